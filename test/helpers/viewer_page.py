"""What a browser does with the viewer's WebSocket, without a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec
import torch
import viser
import zstandard
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from vmem_ros.geometry import quaternion_xyzw
from waiting import wait_until

_LENGTHS = 16


def connection(url: str, *, origin: str | None = None) -> ClientConnection:
    """Open the WebSocket of a viewer.

    :param origin: of the page that does so; browsers send it.
    """
    protocol = f"viser-v{viser.__version__}"
    where = url.replace("http://", "ws://")
    return connect(where, subprotocols=[protocol], origin=origin, max_size=None, compression=None)  # type: ignore[arg-type]


class ViewerPage:
    """One page: reads all that the viewer sends, and says where its camera is.

    :param T_world_camera: where it looks from at first.
    """

    def __init__(self, url: str, T_world_camera: torch.Tensor) -> None:
        #: All messages, in order.
        self.messages: list[dict[str, Any]] = []
        self._socket = connection(url)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.look_from(T_world_camera)

    def _read(self) -> None:
        try:
            for window in self._socket:
                self.messages += messages_of(window)  # type: ignore[arg-type]
        except ConnectionClosed:
            pass

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message of viser's protocol."""
        self._socket.send(packed(kind, **fields))

    def look_from(self, T_world_camera: torch.Tensor) -> None:
        """Say where the page's camera is, as a browser does when its user has dragged it."""
        self.send("ViewerCameraMessage", **camera_fields(T_world_camera))

    def wait_for(self, kind: str, condition: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """Return the newest message of a kind that fulfils a condition, once there is one."""
        return wait_until(
            lambda: next((m for m in reversed(self.messages) if m["type"] == kind and condition(m)), None),
            f"a {kind}",
            seen=lambda: [m["type"] for m in self.messages[-20:]],
        )

    def count(self, kind: str) -> int:
        """Return how many messages of a kind have come."""
        return sum(m["type"] == kind for m in list(self.messages))

    def control(self, label: str) -> str:
        """Return the id of the control with a label."""
        return str(
            wait_until(
                lambda: next(
                    (m["uuid"] for m in self.messages if (m.get("props") or {}).get("label") == label),
                    None,
                ),
                f"a control {label}",
            )
        )

    def set(self, label: str, value: object) -> None:
        """Give a control a value: ``True`` presses a button."""
        self.send("GuiUpdateMessage", uuid=self.control(label), updates={"value": value})

    def says(self, text: str) -> None:
        """Wait until the panel says something."""
        wait_until(
            lambda: any(text in str(m.get("updates", {}).get("_markdown", "")) for m in list(self.messages)),
            f"the panel to say {text!r}",
            seen=lambda: [m["updates"] for m in self.messages if m["type"] == "GuiUpdateMessage"][-5:],
        )

    def __enter__(self) -> ViewerPage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._thread.join()


def packed(kind: str, **fields: Any) -> bytes:
    """Return a message of viser's protocol, from a page to the server."""
    return msgspec.msgpack.encode({"type": kind, **fields})


def camera_fields(T_world_camera: torch.Tensor) -> dict[str, Any]:
    """Return the fields of a ViewerCameraMessage."""
    x, y, z, w = quaternion_xyzw(T_world_camera).tolist()
    eye = T_world_camera[:3, 3]
    return {
        "wxyz": (w, x, y, z),
        "position": tuple(eye.tolist()),
        "fov": 1.0,
        "near": 0.1,
        "far": 100.0,
        "image_height": 300,
        "image_width": 400,
        "look_at": tuple((eye + T_world_camera[:3, 2]).tolist()),
        "up_direction": (0.0, 0.0, 1.0),
    }


def messages_of(window: bytes) -> list[dict[str, Any]]:
    """Return the messages of one packet; arrays stay bytes."""
    size = int.from_bytes(window[8:_LENGTHS], "little")
    inner = zstandard.ZstdDecompressor().decompress(window[_LENGTHS : _LENGTHS + size])
    return list(msgspec.msgpack.decode(inner)["messages"])
