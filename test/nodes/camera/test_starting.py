"""How the node starts: what it accepts and refuses, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters

from harness import CameraProcess, Probe, add_truth, pose_at
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME, qos_profile
from waiting import wait_until


def parameter_file(folder: Path, text: str) -> list[str]:
    """Arguments of a node that reads a parameter file."""
    path = folder / "parameters.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n{text}", encoding="utf-8")
    return ["--params-file", str(path)]


def test_whole_numbers_and_names_that_nobody_knows(tmp_path: Path) -> None:
    """A whole number is taken for a double, in a file and later; a misspelt name is told with the nearest one."""
    arguments = parameter_file(tmp_path, "    seed.slop_s: 1\n    camera:\n      widht: 300\n")
    with CameraProcess(tmp_path / "log", ros_args=arguments) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        get = probe.client(f"/vmem/{NODE_NAME}/get_parameters", GetParameters)

        def value(name: str) -> float:
            return float(probe.call(get, GetParameters.Request(names=[name])).values[0].double_value)

        assert value("seed.slop_s") == 1.0
        probe.set_parameter("seed.slop_s", 2)
        assert value("seed.slop_s") == 2.0
        said = "unknown parameters, which change nothing: 'camera.widht' (do you mean 'camera.width'?)"
        assert node.log.count(said) == 1
        diagnostics = probe.listen("/diagnostics", DiagnosticArray, qos_profile("events"))
        (entry,) = wait_until(
            lambda: [s for m in diagnostics.messages[-1:] for s in m.status if s.name.endswith(": parameters")],
            "diagnostics of the parameters",
        )
        assert (entry.level, entry.message) == (DiagnosticStatus.WARN, said)
        probe.close()


def test_it_says_what_it_hears_and_what_it_knows(tmp_path: Path) -> None:
    """One line each, with names as they are after remapping; and not that time has jumped by nothing."""
    parameters = {"world.root": tmp_path / "worlds", "world.path": "house"}
    with CameraProcess(tmp_path / "log", parameters, ros_args=["-r", "pose:=/goal"]) as node, CameraClient() as client:
        client.wait_until_ready()
        assert node.log.count("ready: engine reprojection, depth of memory, on cpu, an empty world: it begins") == 1
        (line,) = (line for line in node.log.splitlines() if "listens to" in line)
        for name in ("/goal", "/vmem/path", "/vmem/seed/depth", "/vmem/vmem_camera/status"):
            assert name in line
        add_truth(client, pose_at(-1.0))
        client.save()
        client.load()
        assert node.log.count(f"loaded {tmp_path / 'worlds' / 'house'}: 1 views") == 1
    autoload = {**parameters, "world.autoload": True}
    with CameraProcess(tmp_path / "log2", autoload) as node, CameraClient() as client:
        client.wait_until_ready()
        assert node.log.count(f"on cpu, 1 views of {tmp_path / 'worlds' / 'house'}") == 1
        probe = Probe()
        for value, said in ((True, "time is that of /clock from now on"), (False, "time is the system's from now on")):
            probe.set_parameter("use_sim_time", value)
            wait_until(lambda said=said: said in node.log, said)
            if value:
                said = "use_sim_time is set, and nobody publishes /clock: start the simulator, or leave it out"
                wait_until(lambda said=said: said in node.log, said)
        assert node.log.count("nobody publishes /clock") == 1
        assert "time has jumped" not in node.log
        probe.close()


def test_what_is_refused_is_told_in_one_line(tmp_path: Path) -> None:
    """All of it at once, with what is allowed, and no traceback."""
    arguments = parameter_file(tmp_path, "    stamp_policy: never\n    seed.refine_pose: off\n")
    node = CameraProcess(tmp_path / "log", {"camera.width": "wide"}, ros_args=arguments)
    assert node.wait() == 2, node.log
    assert node.log == (
        "vmem_camera: cannot start: stamp_policy = 'never' is refused: allowed is 'request', 'publish' (default "
        "'request'); camera.width must be an integer, got 'wide' (default 576); seed.refine_pose must be a string, got "
        "False (default 'off'); YAML takes a bare word or number for text only in quotes\n"
    )


def test_a_parameter_file_that_is_not_there(tmp_path: Path) -> None:
    node = CameraProcess(tmp_path / "log", ros_args=["--params-file", str(tmp_path / "nowhere.yaml")])
    assert node.wait() == 2, node.log
    assert "Traceback" not in node.log
    last = node.log.splitlines()[-1]
    assert last.startswith("vmem_camera: cannot start: RCLError: failed to initialize rcl: Couldn't parse params file")
    assert "nowhere.yaml" in last
