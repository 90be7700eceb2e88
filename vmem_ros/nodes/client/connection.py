"""What a client has on a node: endpoints of one camera, in a callback group of their own, and a runner of tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.client import Client
from rclpy.node import Node
from rclpy.subscription import Subscription
from std_srvs.srv import Trigger
from vmem_ros.msg import Status

from vmem_ros.errors import ErrorCode, NotReadyError
from vmem_ros.nodes.client.action_client import ThreadSafeActionClient
from vmem_ros.nodes.client.patience import Patience
from vmem_ros.nodes.client.pose_stamps import PoseStamps
from vmem_ros.nodes.client.tasks import TaskRunner, current_task, until
from vmem_ros.nodes.client.view_assembly import ViewAssembly
from vmem_ros.nodes.client.world_changes import WorldChanges
from vmem_ros.nodes.interface.error_codes import error_from_text, error_of
from vmem_ros.nodes.interface.names import ACTIONS, PUBLISHED, SERVICES, SUBSCRIBED, Qos, qos_profile, service_qos
from vmem_ros.nodes.interface.parameters import PARAMETERS

_SERVER_S = 10.0


class Connection:
    """Publishers, subscriptions and clients of one camera on a node, which :meth:`close` takes from it again.

    Their callback group is their own, so that they are answered while a callback of the node awaits one of them.

    :param namespace: of the camera node, seen from the root.
    :param timeout_s: how long to wait for an answer.
    :param silence_s: how long a camera node may draw without a sign of life.
    """

    def __init__(self, node: Node, namespace: str, node_name: str, *, timeout_s: float, silence_s: float) -> None:
        self.node = node
        self.timeout_s = timeout_s
        self.patience = Patience(idle_s=timeout_s, silent_s=silence_s)
        self.status: Status | None = None
        self.changes = WorldChanges()
        self.views = ViewAssembly()
        self.stamps = PoseStamps(node.get_clock())
        self._root = f"/{namespace.strip('/')}".rstrip("/")
        self._node_name = node_name
        self._group = MutuallyExclusiveCallbackGroup()
        self.runner = TaskRunner(node, self._group)
        self.pose = node.create_publisher(SUBSCRIBED["pose"].type, f"{self._root}/pose", qos_profile("command"))
        # As deep as those of a node: every client's reader gets the answers to all clients.
        self._qos = service_qos(*(int(PARAMETERS[f"queue.{name}"].default) for name in ("max_length", "burst")))
        self.services: dict[str, Client] = {name: self.client(row.type, name) for name, row in SERVICES.items()}
        self.parameters = self.client(GetParameters, "get_parameters")
        self.actions = {name: self._action(row.type, name) for name, row in ACTIONS.items()}
        # Volatile and deep: no views from before, and all of a chunk that comes in one burst.
        self._subscriptions = [
            self.subscribe(part, partial(self._on_part, part), "sensor") for part in ViewAssembly.PARTS
        ]
        # Last, because readers are announced in order: once a status has come, the node knows all readers above.
        self._subscriptions.append(self.subscribe("~/status", self._on_status))

    def subscribe(self, topic: str, callback: Callable[[Any], None], qos: Qos | None = None) -> Subscription:
        """Hear a topic of the camera.

        :param topic: a name of :data:`~vmem_ros.nodes.interface.names.PUBLISHED`.
        :param qos: ``None``: as it is published.
        """
        row = PUBLISHED[topic]
        profile = qos_profile(qos or row.qos)
        name = f"{self._root}/{topic.replace('~', self._node_name, 1)}"
        return self.node.create_subscription(row.type, name, callback, profile, callback_group=self._group)

    def close(self, *, waits: bool) -> None:
        """End all tasks and destroy everything; see :meth:`TaskRunner.close`."""
        self.runner.close(self._release, waits=waits)

    # -- asking; in tasks --------------------------------------------------------------------------------------------
    async def call(self, client: Client, request: Any, *, timeout_s: float | None = None, patient: bool = False) -> Any:
        """Return the answer to a request.

        :param patient: wait for it as long as the camera node goes on.
        :raises NotReadyError: it does not come in time.
        """
        name = client.srv_name
        await self.until_server(client.service_is_ready, name)
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        late = within(timeout_s, lambda: f"{name} did not answer within {timeout_s:g} s")
        began = time.monotonic()
        task = current_task()
        assert task is not None
        future = client.call_async(request)
        future.add_done_callback(lambda _: task.step())
        try:
            await until(future.done, (lambda: self.patience.check(began, name)) if patient else late)
        except BaseException:
            client.remove_pending_request(future)
            raise
        return future.result()

    async def call_checked(self, name: str, request: Any) -> Any:
        """Return the answer of a service whose answers have an error code; raise the error behind it."""
        answer = await self.call(self.services[name], request)
        if answer.error_code != ErrorCode.NONE:
            raise error_of(answer.error_code, answer.error_msg)
        return answer

    async def trigger(self, name: str, request: Any = None, *, patient: bool = False) -> str:
        """Return the message of a service of ``std_srvs``; raise the error that is in it."""
        answer = await self.call(self.services[name], request or Trigger.Request(), patient=patient)
        if not answer.success:
            raise error_from_text(answer.message)
        return str(answer.message)

    async def until_server(self, is_ready: Callable[[], bool], name: str, *, timeout_s: float = _SERVER_S) -> None:
        """Wait until the server of a service or action is found.

        :raises NotReadyError: it is not.
        """
        missing = f"no server for {name} after {timeout_s:g} s: is the camera node running?"
        await until(is_ready, within(timeout_s, lambda: missing))

    # -- inside ------------------------------------------------------------------------------------------------------
    def client(self, service_type: Any, name: str) -> Client:
        path = f"{self._root}/{self._node_name}/{name}"
        return self.node.create_client(service_type, path, qos_profile=self._qos, callback_group=self._group)

    def _action(self, action_type: Any, name: str) -> ThreadSafeActionClient:
        return ThreadSafeActionClient(
            self.node,
            action_type,
            f"{self._root}/{self._node_name}/{name}",
            callback_group=self._group,
            goal_service_qos_profile=self._qos,
            result_service_qos_profile=self._qos,
            cancel_service_qos_profile=self._qos,
            feedback_sub_qos_profile=self._qos,
        )

    def _on_status(self, message: Status) -> None:
        self.patience.note(message)
        self.changes.note(message)
        self.status = message
        self.runner.turn()

    def _on_part(self, part: str, message: Any) -> None:
        if self.views.add(part, message):
            self.runner.turn()

    def _release(self) -> None:
        for subscription in self._subscriptions:
            self.node.destroy_subscription(subscription)
        for client in (*self.services.values(), self.parameters):
            self.node.destroy_client(client)
        for action in self.actions.values():
            action.destroy()
        self.node.destroy_publisher(self.pose)


def within(timeout_s: float, message: Callable[[], str]) -> Callable[[], None]:
    """Return a check that raises NotReadyError with a message once some time is over."""
    end = time.monotonic() + timeout_s

    def check() -> None:
        if time.monotonic() > end:
            raise NotReadyError(message())

    return check
