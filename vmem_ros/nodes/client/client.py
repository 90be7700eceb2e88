"""A planner's view of the camera: verbs that return arrays and raise named errors.

from vmem_ros.geometry import look_at
from vmem_ros.nodes.client import CameraClient

with CameraClient() as camera:
    camera.wait_until_ready()
    candidates = [look_at((1, y, 1.2), (4, 0, 1)) for y in (-1.0, 0.0, 1.0)]
    best = max(candidates, key=lambda T: camera.render(T, images=False).seen)
    view = camera.capture(best)
    print(view.image.shape, view.depth.min(), view.confidence.mean())

In a node of your own, on whatever executor spins it:

class Planner(Node):
    def __init__(self):
        super().__init__("planner")
        self.camera = CameraClient(node=self)
        self.create_subscription(PoseStamped, "goal", self.look, 1)

    async def look(self, goal):
        view = await self.camera.capture_async(goal)
"""

from __future__ import annotations

from types import TracebackType

from rclpy.node import Node

from vmem_ros.errors import DeadlockError, ParameterError
from vmem_ros.nodes.client.connection import Connection
from vmem_ros.nodes.client.executors import has_executor, is_spun_here
from vmem_ros.nodes.client.imagining import Imagining
from vmem_ros.nodes.client.looking import Looking
from vmem_ros.nodes.client.moving import Moving
from vmem_ros.nodes.client.remembering import Remembering
from vmem_ros.nodes.client.spinning_node import SpinningNode
from vmem_ros.nodes.client.waiting import Waiting
from vmem_ros.nodes.interface.names import NAMESPACE, NODE_NAME


class CameraClient(Looking, Imagining, Moving, Remembering, Waiting):
    """Drives one camera node, from a plain script or on a node of yours.

    Each verb has two forms. ``verb(...)`` blocks the calling thread until it is done. ``verb_async(...)`` returns a
    :class:`~vmem_ros.nodes.client.tasks.Task` at once, to be awaited, polled or cancelled.

    Without ``node`` it has its own ROS context and its own thread that spins it, so every method may be called from any
    thread, callbacks of your own nodes included. With ``node``, whatever spins that node answers: a verb that blocks
    waits in another thread than the one that spins, and DeadlockError says where it cannot.

    :param namespace: of the camera node.
    :param node: on which to act; :meth:`close` takes from it what was made here and leaves it alive.
    :param node_name: name of the camera node.
    :param use_sim_time: stamp poses with /clock; a node that is given has a parameter of that name.
    :param timeout_s: how long to wait for an answer. For views, as long as ~/status shows that the node goes on:
    :param silence_s: how long a node may draw, or be paused, without a change of ~/status.
    :raises VmemError: every verb raises the named error whose code the node returned, NotReadyError where it does not
        answer in time, and CancelledError where its task was cancelled.
    """

    def __init__(
        self,
        namespace: str = NAMESPACE,
        *,
        node: Node | None = None,
        node_name: str = NODE_NAME,
        use_sim_time: bool = False,
        timeout_s: float = 60.0,
        silence_s: float = 600.0,
    ) -> None:
        self._spinning: SpinningNode | None = None
        if node is None:
            self._spinning = SpinningNode("vmem_client", namespace, use_sim_time=use_sim_time)
            node = self._spinning.node
        elif use_sim_time:
            raise ParameterError("use_sim_time is a parameter of the node that is given: set it there")
        self._connection = Connection(node, namespace, node_name, timeout_s=timeout_s, silence_s=silence_s)
        if self._spinning is not None:
            self._spinning.start()

    def close(self) -> None:
        """End all tasks with CancelledError and leave ROS; both nodes go on. A second call does nothing.

        :raises DeadlockError: in what a task calls, or in the client's own thread.
        """
        node, is_here = self._connection.node, is_spun_here(self._connection.node.executor)
        if self._connection.runner.is_stepping_here or (self._spinning is not None and is_here):
            raise DeadlockError("close would end the task or the thread that calls it: call it from elsewhere")
        self._connection.close(waits=has_executor(node) and not is_here)
        if self._spinning is not None:
            self._spinning.close()

    def __enter__(self) -> CameraClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
