"""A server on this machine that answers as the Hugging Face Hub does, for models in folders."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
#: Files from this size on are large ones, with a SHA-256.
LARGE = 1000


@dataclass
class Running:
    """A hub.

    :param address: what ``HF_ENDPOINT`` is to be.
    :param models: folder and licence of each repository.
    :param sent: the names of files that were sent, each time.
    :param ranges: where they began, if the client said so.
    :param break_after: bytes after which the connection is cut, once, of the first file that is larger.
    :param claims: sizes that are told instead of the true ones.
    :param also: files that are told, too, and are not there.
    """

    address: str
    models: dict[str, tuple[Path, str]]
    sent: list[str] = field(default_factory=list)
    ranges: list[int] = field(default_factory=list)
    break_after: int | None = None
    claims: dict[str, int] = field(default_factory=dict)
    also: list[dict[str, Any]] = field(default_factory=list)


def sums(content: bytes) -> tuple[str, str]:
    """Return the SHA-256 and the checksum as a git blob."""
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
    return hashlib.sha256(content).hexdigest(), blob


def _about(hub: Running, repository: str) -> dict[str, Any]:
    folder, licence = hub.models[repository]
    siblings = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content, name = file.read_bytes(), str(file.relative_to(folder))
        sha256, blob = sums(content)
        size = hub.claims.get(name, len(content))
        about: dict[str, Any] = {"rfilename": name, "size": size, "blobId": blob}
        if len(content) >= LARGE:
            about["lfs"] = {"size": size, "sha256": sha256, "pointerSize": 130}
        siblings.append(about)
    siblings += hub.also
    card = {"license": licence} if licence else {}
    return {"id": repository, "sha": COMMIT, "siblings": siblings, "cardData": card, "tags": [], "private": False}


@contextmanager
def running_hub(models: dict[str, tuple[Path, str]]) -> Iterator[Running]:
    """Run a hub as long as the block does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            repository = "/".join(path.removeprefix("/api/models").strip("/").split("/")[:2])
            if repository not in hub.models:
                return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"}, body=body)
            if path.startswith("/api/models/"):
                about = _about(hub, repository)
                if "/tree/" in path:
                    # Newer clients ask for this list as well.
                    listed = [
                        {"type": "file", "path": s["rfilename"], "size": s["size"], "oid": s["blobId"]}
                        for s in about["siblings"]
                    ]
                    return self.reply(200, json.dumps(listed).encode(), {}, body=body)
                return self.reply(200, json.dumps(about).encode(), {}, body=body)
            name = path.split(f"/{repository}/resolve/", 1)[-1].partition("/")[2]
            file = hub.models[repository][0] / name
            if not name or not file.is_file():
                return self.reply(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
            return self.send_file(file.read_bytes(), name, body=body)

        def send_file(self, content: bytes, name: str, *, body: bool) -> None:
            sha256, blob = sums(content)
            headers = {"ETag": f'"{sha256 if len(content) >= LARGE else blob}"', "Accept-Ranges": "bytes"}
            start = 0
            if asked := self.headers.get("Range"):
                start = int(asked.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            cut = None
            if body:
                hub.sent.append(name)
                if asked:
                    hub.ranges.append(start)
                if hub.break_after is not None and len(content) > hub.break_after:
                    cut, hub.break_after = hub.break_after, None
            self.reply(206 if start else 200, content[start:], headers, body=body, cut=cut)

        def reply(
            self, status: int, content: bytes, headers: dict[str, str], *, body: bool, cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {"X-Repo-Commit": COMMIT, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content[:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub = Running(f"http://127.0.0.1:{server.server_port}", dict(models))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()
