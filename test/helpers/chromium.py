"""A real browser without a window, driven through Chromium's own protocol (DevTools)."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from waiting import WAIT_S, wait_until

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # root may not have one
    "--no-first-run",
    "--disable-background-networking",
    "--disable-extensions",
    # WebGL on the processor.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


class Page:
    """One page in a Chromium process of its own.

    :param folder: where the process keeps its profile and its log.
    """

    def __init__(self, url: str, folder: Path, *, width: int = 1280, height: int = 800) -> None:
        assert PROGRAM is not None
        self._log = folder / "chromium.log"
        profile = folder / "profile"
        size = f"--window-size={width},{height}"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [PROGRAM, *_OPTIONS, size, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._number = 0
        #: What the page has written to its console as a warning or an error, and exceptions that nobody caught.
        self.complaints: list[str] = []
        self._socket = self._connect(profile / "DevToolsActivePort")
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Page.navigate", url=url)

    def _connect(self, port_file: Path) -> ClientConnection:
        def port() -> str:
            return port_file.read_text().split()[0] if port_file.exists() and port_file.read_text().split() else ""

        number = wait_until(port, "Chromium", seen=self._log.read_text)
        browser = re.search(r"ws://\S+", self._log.read_text())
        assert browser is not None
        with connect(browser[0]) as socket:
            socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            targets = json.loads(socket.recv())["result"]["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        return connect(f"ws://127.0.0.1:{number}/devtools/page/{page}", max_size=None)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        what, about = message["method"], message["params"]
        if what == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(each.get("value", each)) for each in about["args"]))
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(about["exceptionDetails"]))
        elif what == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.complaints.append(about["entry"]["text"])

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def text(self) -> str:
        """Return the text of the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def screenshot(self) -> bytes:
        """Return what the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def click(self, x: float, y: float) -> None:
        """Press and release the left button."""
        self.drag((x, y), (x, y))

    def click_button(self, label: str) -> None:
        """Click the button with this text."""
        wanted = json.dumps(label)
        x, y = wait_until(
            lambda: self.evaluate(
                f"(() => {{const b = [...document.querySelectorAll('button')].find(b => b.innerText.trim() === {wanted}"
                " && !b.disabled); if (!b) return null; const r = b.getBoundingClientRect();"
                "return [r.x + r.width / 2, r.y + r.height / 2];})()"
            ),
            f"a button {label}",
            seen=self.text,
        )
        self.click(x, y)

    def drag(self, start: tuple[float, float], end: tuple[float, float], *, steps: int = 8) -> None:
        """Move the mouse from one place to another with the left button pressed."""
        self._mouse("mouseMoved", start)
        self._mouse("mousePressed", start, button="left", clickCount=1, buttons=1)
        if start != end:
            for step in range(1, steps + 1):
                share = step / steps
                place = tuple(a + share * (b - a) for a, b in zip(start, end, strict=True))
                self._mouse("mouseMoved", place, button="left", buttons=1)
                time.sleep(0.03)
        self._mouse("mouseReleased", end, button="left", clickCount=1)

    @contextmanager
    def holding_key(self, key: str) -> Iterator[None]:
        """Press a letter key for as long as the block runs."""
        about = {"key": key, "code": f"Key{key.upper()}", "windowsVirtualKeyCode": ord(key.upper())}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=key, **about)
        yield
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def _mouse(self, kind: str, place: tuple[float, ...], **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **more)

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.process.terminate()
        self.process.wait(timeout=WAIT_S)
