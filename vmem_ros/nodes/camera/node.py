"""The camera node ``vmem_camera``: a generative world as a ROS 2 camera.

    ros2 run vmem_ros vmem_camera                   (or: python -m vmem_ros.nodes.camera)

One executor thread answers everything at once; one worker thread owns the world. See docs/ros_interface.md.
"""

from __future__ import annotations

import sys

import rclpy
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from vmem_ros.nodes.camera.build_world import build_world
from vmem_ros.nodes.camera.camera_stream import CameraStream
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.diagnostics import Diagnostics
from vmem_ros.nodes.camera.generate_action import GenerateAction
from vmem_ros.nodes.camera.memory_topics import MemoryTopics
from vmem_ros.nodes.camera.pose_commands import PathCommand, PoseCommand, Streaming
from vmem_ros.nodes.camera.preview_stream import PreviewStream
from vmem_ros.nodes.camera.requests import Generation
from vmem_ros.nodes.camera.seeding import Seeding
from vmem_ros.nodes.camera.services import Services
from vmem_ros.nodes.camera.status import StatusTopic
from vmem_ros.nodes.camera.teleop import Follow, Teleop
from vmem_ros.nodes.camera.tf import TF_INSTALLED
from vmem_ros.nodes.camera.world_paths import world_path
from vmem_ros.nodes.interface.names import NAMESPACE, NODE_NAME
from vmem_ros.nodes.interface.script import SIGNAL_POLL_S, event_of_signals
from vmem_ros.process import keep_freed_memory
from vmem_ros.world import World

_STOP_TIMEOUT_S = 10.0


class CameraNode(LifecycleNode):
    """Lifecycle: *configure* starts loading the model in the worker's thread and returns at once; *activate* opens the
    camera; *deactivate* closes it, ends all requests and keeps the world; *cleanup* forgets the world and the model.

    Topics and services exist from the start, so that a request to a node that is not ready gets an answer that says so.
    """

    def __init__(self) -> None:
        super().__init__(NODE_NAME, namespace=NAMESPACE)
        self.core = core = Core(self)
        generation = Generation(core, CameraStream(core))
        status = StatusTopic(core, generation)
        preview = PreviewStream(core)
        MemoryTopics(core)
        self._seeding = Seeding(core)
        Services(core, generation)
        self._generate = GenerateAction(core, generation)
        PoseCommand(core)
        PathCommand(core, generation)
        Streaming(core, generation)
        self._teleop = Teleop(core)
        Diagnostics(core, generation, preview, self._seeding, Follow(core), status)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump = self.get_clock().create_jump_callback(back, post_callback=self._on_time_jump)
        if not TF_INSTALLED:
            self.get_logger().warning(
                "tf2_msgs is not installed: no /tf, and only poses in the world frame are understood"
            )
        core.broadcaster.send_fixed(core.now_ns())
        core.state_changed()

    # -- lifecycle ---------------------------------------------------------------------------------------------------
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to load the model."""
        self.core.worker.load(self._build_world)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the camera."""
        out = super().on_activate(state)
        self._set_active(True)
        return out

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the camera and end all requests; the world stays."""
        self._set_active(False)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the world and the model."""
        self.core.worker.unload()
        self.core.state_changed()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the world and the model, for good."""
        self._set_active(False)
        self.core.worker.unload()
        self.core.state_changed()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        """Stop the worker, then everything else."""
        self.core.active = False
        if not self.core.worker.stop(timeout_s=_STOP_TIMEOUT_S):
            self.get_logger().error(f"the worker did not stop within {_STOP_TIMEOUT_S:g} s")
        self._jump.unregister()
        self._generate.destroy()
        super().destroy_node()

    # -- inside ------------------------------------------------------------------------------------------------------
    def _build_world(self) -> World:
        """Return the world; in the worker's thread."""
        p = self.core.parameters
        world = build_world(p.values)
        if p["world.autoload"]:
            world.load(world_path(p["world.root"], p["world.path"]))
        return world

    def _set_active(self, active: bool) -> None:
        self.core.active = active
        if not active:
            self._teleop.stop()
            self.core.worker.end_requests("the camera node was deactivated")
        self.core.state_changed()

    def _on_time_jump(self, jump: TimeJump) -> None:
        """Forget what belongs to a future that is no more; the world and the camera's place stay."""
        self.get_logger().info(f"time has jumped by {jump.delta.nanoseconds / 1e9:.3f} s")
        self.core.frames.clear()
        self.core.forget_stamps()
        self.core.rig.stamp_ns = self.core.unique_stamp_ns()
        self._seeding.forget()
        self._teleop.stop()


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns 0."""
    stop = event_of_signals()
    keep_freed_memory()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = CameraNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if node.core.parameters["autostart"]:
        node.trigger_configure()
        node.trigger_activate()
    while not stop.is_set():
        executor.spin_once(timeout_sec=SIGNAL_POLL_S)
    node.destroy_node()
    executor.shutdown()  # here, or the interpreter collects its guard conditions in any order and complains
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
