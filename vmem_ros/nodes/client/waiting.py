"""Verbs that wait for the camera node."""

from __future__ import annotations

import time
from collections.abc import Callable

from rcl_interfaces.srv import GetParameters
from vmem_ros.msg import Status

from vmem_ros.errors import ModelError
from vmem_ros.nodes.client.connection import within
from vmem_ros.nodes.client.tasks import until
from vmem_ros.nodes.client.verbs import Verbs, awaitable, blocking

_READY = (Status.STATE_IDLE, Status.STATE_GENERATING, Status.STATE_PAUSED)


class Waiting(Verbs):
    """How the camera node is."""

    @property
    def status(self) -> Status | None:
        """The newest status, ``None`` before the first."""
        return self._connection.status

    @awaitable
    async def wait_for_async(self, condition: Callable[[Status], bool], *, timeout_s: float = 60.0) -> Status:
        """Wait until a status fulfils a condition, e.g. ``lambda s: s.stored_views >= 10``, and return it.

        :param condition: called in the calling thread at first, then where the node is spun.
        :raises ModelError: the node failed to load its model.
        :raises NotReadyError: not within ``timeout_s``.
        """
        return await self._status_that(condition, timeout_s)

    wait_for = blocking(wait_for_async)

    @awaitable
    async def wait_until_ready_async(self, *, timeout_s: float = 120.0) -> Status:
        """Wait until the node is active with its model loaded and everything is connected."""
        connection, end = self._connection, time.monotonic() + timeout_s
        status = await self._status_that(lambda s: s.state in _READY, timeout_s)
        servers = {name: client.service_is_ready for name, client in connection.services.items()}
        servers |= {name: client.server_is_ready for name, client in connection.actions.items()}
        for name, is_ready in servers.items():
            await connection.until_server(is_ready, name, timeout_s=max(end - time.monotonic(), 1.0))
        asked = GetParameters.Request(names=["world_frame_id"])
        left_s = max(end - time.monotonic(), 1.0)
        answer = await connection.call(connection.parameters, asked, timeout_s=left_s)
        connection.stamps.world_frame = answer.values[0].string_value
        return status

    wait_until_ready = blocking(wait_until_ready_async)

    async def _status_that(self, condition: Callable[[Status], bool], timeout_s: float) -> Status:
        connection = self._connection
        found: list[Status] = []

        def fulfilled() -> bool:
            status = connection.status
            if status is not None and condition(status):
                found.append(status)
            elif status is not None and status.state == Status.STATE_FAILED:
                raise ModelError(status.error_msg)
            return bool(found)

        def late() -> str:
            got = "no status came: is the node running, in this namespace and ROS_DOMAIN_ID?"
            last = got if connection.status is None else f"the last status was: {connection.status}"
            return f"waited {timeout_s:g} s for the camera node; {last}"

        await until(fulfilled, within(timeout_s, late))
        return found[0]
