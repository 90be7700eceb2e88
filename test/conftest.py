"""What all tests share: a ROS environment that nothing outside the run can reach, and the folder of reference arrays.

Without ROS (``pip install .``), files that import ``rclpy`` or ``vmem_ros.nodes`` are left out, and the header says so.
"""

import importlib.util
import os
import random
import re
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_NEEDS_ROS = re.compile(r"^\s*(?:from|import) (?:rclpy|vmem_ros\.(?:nodes|msg|srv|action))\b", re.MULTILINE)
_HAS_RCLPY = importlib.util.find_spec("rclpy") is not None
_LOG_FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Confine ROS before anything starts it: own domain, this machine only, logs in a folder that goes away."""
    config.stash[_LOG_FOLDER] = tempfile.mkdtemp(prefix="vmem_ros_log_")
    for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER"):
        os.environ.pop(name, None)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 100))
    os.environ["ROS_LOG_DIR"] = config.stash[_LOG_FOLDER]
    # Humble and Jazzy read the old name, later ones warn about it.
    library = "FASTRTPS" if os.environ.get("ROS_DISTRO", "jazzy") in ("humble", "jazzy") else "FASTDDS"
    os.environ.setdefault(f"{library}_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds.xml"))
    os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_LOG_FOLDER], ignore_errors=True)


def pytest_report_header() -> str:
    if not _HAS_RCLPY:
        return "ROS 2: not installed, tests of vmem_ros.nodes are left out"
    return f"ROS 2: {os.environ.get('ROS_DISTRO', 'unnamed')}, domain {os.environ['ROS_DOMAIN_ID']}, this machine only"


def pytest_ignore_collect(collection_path: Path) -> "bool | None":
    """Leave out what cannot be imported without ROS; where ROS is there but not sourced, say what to do."""
    if collection_path.suffix != ".py" or not _NEEDS_ROS.search(collection_path.read_text(encoding="utf-8")):
        return None
    if not _HAS_RCLPY:
        return True
    if importlib.util.find_spec("vmem_ros.msg") is None:
        raise pytest.UsageError(
            f"{collection_path.name} needs the built ROS messages: run `make test`, or `source tools/env.sh` first "
            "(in a ROS 2 workspace: `source install/setup.bash`)"
        )
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests across processes a second try: discovery on a busy machine may lose a first message.

    A rerun is listed in the summary; what fails twice fails. Without pytest-rerunfailures there is no second try.
    """
    if not config.pluginmanager.hasplugin("rerunfailures"):
        return
    for item in items:
        if "nodes" in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of the arrays computed from the published implementation; skips the test where it is absent."""
    folder = Path(os.environ.get("VMEM_REFERENCE_DIR", ROOT.parent / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip(f"reference arrays not found at {folder}; set VMEM_REFERENCE_DIR to their folder")
    return folder
