"""viser's server, as a robot's computer wants it: where it was told to be, for this machine's own pages alone."""

from __future__ import annotations

import atexit
import contextlib
import io
import threading
from urllib.parse import urlsplit

import viser
from viser.infra import WebsockClientConnection

from vmem_ros.errors import ViewerError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_POLICY_VIOLATION = 1008


class Server(viser.ViserServer):
    """A viser server that listens on one port or not at all, shares nothing, and is opened by its own page alone.

    :param host: ``localhost`` for this machine only; ``0.0.0.0`` for everybody who reaches it.
    :param port: 0: any that is free.
    :raises ViewerError: the port cannot be had.
    """

    def __init__(self, host: str, port: int) -> None:
        self._only_local = host in _LOOPBACK
        # viser announces itself on stdout, whatever it is told.
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(host=host, port=port, verbose=False)
        if port and self.get_port() != port:
            self.leave()
            raise ViewerError(
                f"port {port} of {host} cannot be had: another program listens there, or there is no such address; "
                "name another port"
            )
        self._websock_server.on_client_connect(self._check_origin)
        self.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")

    @property
    def url(self) -> str:
        """What a browser opens."""
        host = self.get_host()
        return f"http://{'localhost' if host == '0.0.0.0' else host}:{self.get_port()}"

    def request_share_url(self, verbose: bool = True) -> None:
        """Do nothing: viser would open a tunnel through a server of its own, for anybody who knows the address."""

    def leave(self) -> None:
        """Close, without waiting for browsers that do not answer."""
        atexit.unregister(self.stop)
        atexit.unregister(self._websock_server.stop)
        threading.Thread(target=self.stop, name="viewer_end", daemon=True).start()

    async def _check_origin(self, client: WebsockClientConnection) -> None:
        """Close the connections of other sites' pages: browsers let any page speak to any WebSocket."""
        connection = self._websock_server._live_connections[client.client_id]
        headers = connection.request.headers if connection.request is not None else {}
        if not _is_own_page(headers.get("Origin"), headers.get("Host", ""), only_local=self._only_local):
            await connection.close(_POLICY_VIOLATION, "only the viewer's own page may connect")


def _is_own_page(origin: str | None, host: str, *, only_local: bool) -> bool:
    """Return whether a connection comes from the page that this server has sent, or from no browser."""
    if origin is None:
        return True
    site = urlsplit(origin)
    # A name of somebody else's that leads to this machine is no name of this machine.
    return site.netloc == host and (not only_local or site.hostname in _LOOPBACK)
