"""The camera node ``vmem_camera``: a generative world as a ROS 2 camera.

    ros2 run vmem_ros vmem_camera                   (or: python -m vmem_ros.nodes.camera)

One executor thread answers everything at once; one worker thread owns the world. See docs/ros_interface.md.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from pathlib import Path

import rclpy
from rclpy.clock import ClockChange, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from vmem_ros.files import remove_leftovers
from vmem_ros.nodes.camera.browser_view import open_viewer
from vmem_ros.nodes.camera.build_world import build_world
from vmem_ros.nodes.camera.camera_stream import CameraStream
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.diagnostics import Diagnostics
from vmem_ros.nodes.camera.generate_action import GenerateAction
from vmem_ros.nodes.camera.imagine_action import ImagineAction
from vmem_ros.nodes.camera.memory_topics import MemoryTopics
from vmem_ros.nodes.camera.observing import Observing
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
from vmem_ros.nodes.interface.script import SIGNAL_POLL_S, START_ERRORS, event_of_signals, refusal
from vmem_ros.process import keep_freed_memory
from vmem_ros.world import World

# Short enough for launch, which kills after 5 s: what takes longer, a model that loads or a step, is given up.
_STOP_TIMEOUT_S = 1.0
_JUMPS = {
    ClockChange.ROS_TIME_ACTIVATED: "time is that of /clock from now on (use_sim_time)",
    ClockChange.ROS_TIME_DEACTIVATED: "time is the system's from now on (use_sim_time is off)",
}


class CameraNode(LifecycleNode):
    """Lifecycle: *configure* starts loading the model in the worker's thread and returns at once; *activate* opens the
    camera; *deactivate* closes it, ends all requests and keeps the world; *cleanup* forgets the world and the model.

    Topics and services exist from the start, so that a request to a node that is not ready gets an answer that says so.
    """

    def __init__(self) -> None:
        super().__init__(NODE_NAME, namespace=NAMESPACE)
        self._stopped: bool | None = None
        self.core = core = Core(self)
        generation = Generation(core, CameraStream(core))
        status = StatusTopic(core, generation)
        preview = PreviewStream(core)
        MemoryTopics(core)
        observing = Observing(core)
        self._seeding = Seeding(core, observing)
        Services(core, generation, observing)
        self._actions = (GenerateAction(core, generation), ImagineAction(core, generation))
        PoseCommand(core)
        PathCommand(core, generation)
        Streaming(core, generation)
        self._teleop = Teleop(core)
        Diagnostics(core, generation, preview, self._seeding, observing, Follow(core), status)
        self._viewer = open_viewer(core, generation, status)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump = self.get_clock().create_jump_callback(back, post_callback=self._on_time_jump)
        if not TF_INSTALLED:
            self.get_logger().warning(
                "tf2_msgs is not installed: no /tf, and only poses in the world frame are understood"
            )
        self.get_logger().info(f"listens to {', '.join(self._heard())}; the state is told on {self._own('status')}")
        if unknown := core.parameters.unknown():
            self.get_logger().warning(f"unknown parameters, which change nothing: {', '.join(unknown)}")
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

    def stop(self) -> bool:
        """Stop the worker. False: it still loads a model or computes; see :meth:`Worker.stop`."""
        if self._stopped is None:
            self.core.active = False
            if self._viewer is not None:
                self._viewer.close()
            self._stopped = self.core.worker.stop(timeout_s=_STOP_TIMEOUT_S)
        return self._stopped

    def destroy_node(self) -> None:
        """Stop the worker, then everything else."""
        self.stop()
        self._jump.unregister()
        for action in self._actions:
            action.destroy()
        super().destroy_node()
        # rclpy leaves it to the garbage collector, and as long as it is there, so is the node's shared memory.
        self._state_machine.destroy_when_not_in_use()

    # -- inside ------------------------------------------------------------------------------------------------------
    def _build_world(self) -> World:
        """Return the world; in the worker's thread."""
        p = self.core.parameters
        remove_leftovers(Path(p["world.root"]).expanduser(), "*")  # of saves in which a node was killed
        world = build_world(p.values)
        what = "an empty world: it begins with seed/*, ~/add_view or ~/load_world"
        if p["world.autoload"]:
            path = world_path(p["world.root"], p["world.path"])
            notes = world.load(path)
            what = "; ".join([f"{len(world)} views of {path}", *notes])
        self.get_logger().info(
            f"ready: engine {world.generator.name}, depth of {world.estimator.name}, on {world.memory.device}, {what}"
        )
        return world

    def _heard(self) -> list[str]:
        """Return the topics that are listened to, as they are called after remapping."""
        return sorted({each.topic_name for each in self.subscriptions} - {"/clock", "/parameter_events"})

    def _own(self, name: str) -> str:
        return f"{self.get_fully_qualified_name()}/{name}"

    def _set_active(self, active: bool) -> None:
        self.core.active = active
        if not active:
            self._teleop.stop()
            self.core.worker.end_requests("the camera node was deactivated")
        self.core.state_changed()

    def _on_time_jump(self, jump: TimeJump) -> None:
        """Forget what belongs to a future that is no more; the world and the camera's place stay."""
        self.get_logger().info(
            _JUMPS.get(jump.clock_change, f"time has jumped by {jump.delta.nanoseconds / 1e9:.3f} s")
        )
        self.core.frames.clear()
        self.core.forget_stamps()
        self.core.rig.stamp_ns = self.core.unique_stamp_ns()
        self._seeding.forget()
        self._teleop.stop()


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM and end the process with status 0, or return 2 if it is refused at start."""
    stop = event_of_signals()
    keep_freed_memory()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = CameraNode()
    except START_ERRORS as error:
        rclpy.try_shutdown()
        return refusal(NODE_NAME, error)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if node.core.parameters["autostart"] and not stop.is_set():
        node.trigger_configure()
        node.trigger_activate()
    while not stop.is_set():
        executor.spin_once(timeout_sec=SIGNAL_POLL_S)
    if not (stopped := node.stop()):
        node.get_logger().info("stops without waiting for a model that loads or a step that takes long")
        threading.excepthook = lambda _: None  # what the worker meets in a node that is gone
    node.destroy_node()
    executor.shutdown()  # here, or the interpreter collects its guard conditions in any order and complains
    rclpy.try_shutdown()
    _leave(stopped)
    return 0


def _leave(stopped: bool) -> None:
    """End the process without the interpreter's own end.

    That takes more than a second with torch in it, and aborts where a thread still computes.

    :param stopped: no thread does: what was registered for the end is called.
    """
    if stopped:
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
