"""What all tests share: a ROS environment that nothing outside the run can reach, markers, and where things are.

Without ROS (``pip install .``), files that import ``rclpy`` or ``vmem_ros.nodes`` are left out, and the header says so.
"""

import contextlib
import functools
import importlib.util
import os
import random
import re
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
_NEEDS_ROS = re.compile(r"^\s*(?:from|import) (?:rclpy|vmem_ros\.(?:nodes|msg|srv|action))\b", re.MULTILINE)
_USES_HARNESS = re.compile(r"^from harness import", re.MULTILINE)
_IS_ROS = re.compile(r"^from harness import|pytest\.mark\.ros\b", re.MULTILINE)
_HAS_RCLPY = importlib.util.find_spec("rclpy") is not None
_LOG_FOLDER = pytest.StashKey[str]()
_DOMAINS, _WORKERS = 100, 8
# Of DDS, for the default mapping of domains to ports.
_FIRST_PORT, _PORTS_OF_A_DOMAIN = 7400, 250
# A process that was told to end has ended by then.
_ENDS_S = 5.0


def pytest_configure(config: pytest.Config) -> None:
    """Confine ROS and torch before anything starts them."""
    _confine_ros(config)
    # Tests fill the machine by running side by side; torch's threads would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    # A shell that starts tests in the background lets them, and all that they start, ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _confine_ros(config: pytest.Config) -> None:
    """Give each process of the run a domain of its own on this machine only, and a folder for logs that goes away."""
    config.stash[_LOG_FOLDER] = tempfile.mkdtemp(prefix="vmem_ros_log_")
    for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER"):
        os.environ.pop(name, None)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = int(os.environ.setdefault("VMEM_TEST_DOMAIN", str(_free_domain())))
    os.environ["ROS_DOMAIN_ID"] = str(1 + (first + worker) % _DOMAINS)
    os.environ["ROS_LOG_DIR"] = config.stash[_LOG_FOLDER]
    # Humble and Jazzy read the old name, later ones warn about it.
    library = "FASTRTPS" if os.environ.get("ROS_DISTRO", "jazzy") in ("humble", "jazzy") else "FASTDDS"
    os.environ.setdefault(f"{library}_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds.xml"))


def _free_domain() -> int:
    """Return a number from which on a few domains have no port in use: other runs are in others."""
    table = Path("/proc/net/udp")
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    ports = (int(line.split()[1].partition(":")[2], 16) for line in lines)
    taken = {(port - _FIRST_PORT) // _PORTS_OF_A_DOMAIN for port in ports}
    ours = {number: {1 + (number + worker) % _DOMAINS for worker in range(_WORKERS)} for number in range(_DOMAINS)}
    free = [number for number, domains in ours.items() if not domains & taken]
    return random.SystemRandom().choice(free or range(_DOMAINS))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_LOG_FOLDER], ignore_errors=True)


def pytest_report_header() -> str:
    if not _HAS_RCLPY:
        return "ROS 2: not installed, tests of vmem_ros.nodes are left out"
    return f"ROS 2: {os.environ.get('ROS_DISTRO', 'unnamed')}, domain {os.environ['ROS_DOMAIN_ID']}, this machine only"


def pytest_ignore_collect(collection_path: Path) -> "bool | None":
    """Leave out what cannot be imported without ROS; where ROS is there but not sourced, say what to do."""
    if collection_path.suffix != ".py" or not _NEEDS_ROS.search(_source(collection_path)):
        return None
    if not _HAS_RCLPY:
        return True
    if importlib.util.find_spec("vmem_ros.msg") is None:
        raise pytest.UsageError(
            f"{collection_path.name} needs the built ROS messages: run `make test`, or `source tools/env.sh` first "
            "(in a ROS 2 workspace: `source install/setup.bash`)"
        )
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts nodes, and skip what needs a GPU where there is none."""
    for item in items:
        if _USES_HARNESS.search(_source(item.path)):
            item.add_marker(pytest.mark.ros)
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Run each file in one process, for its fixtures; those that start nodes in the same one, for their timing."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "ros" if _IS_ROS.search(_source(config.rootpath / file)) else file

    return Scheduling(config, log)


@pytest.fixture(scope="module", autouse=True)
def _no_node_outlives_its_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the nodes that a failed test has left behind: those of the next file would talk to them."""
    yield
    if not _USES_HARNESS.search(_source(request.path)):
        return
    import psutil

    started = psutil.Process().children(recursive=True)
    stray = [process for process in started if any("vmem_ros" in part for part in _command(process))]
    for process in psutil.wait_procs(stray, timeout=_ENDS_S)[1]:
        warnings.warn(f"left behind, and killed: {' '.join(_command(process))}", stacklevel=1)
        process.kill()


def _command(process: Any) -> list[str]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


@functools.cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of the arrays computed from the published implementation; skips the test where it is absent."""
    folder = Path(os.environ.get("VMEM_REFERENCE_DIR", ROOT.parent / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip(f"reference arrays not found at {folder}; set VMEM_REFERENCE_DIR to their folder")
    return folder


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], tuple[Any, Any]]:
    """Call something with the compiled kernels, and without."""
    from vmem_ros.kernels import library

    assert library.library() is not None, "build the package first"

    def call(function: Callable[[], Any]) -> tuple[Any, Any]:
        compiled = function()
        with monkeypatch.context() as without:
            without.setattr(library, "library", lambda: None)
            return compiled, function()

    return call
