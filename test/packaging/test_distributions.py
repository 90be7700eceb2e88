"""What ``python -m build`` makes: an archive, and from it a wheel that holds all and needs no more than it says."""

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from outside import run_outside
from repository import PACKAGE, ROOT, files_below

VERSION = PACKAGE.findtext("version")
# Rooms for which some extra is needed; all others get along with what `pip install .` brings.
ROOMS_WITH_EXTRAS = (
    *(
        "recordings",
        "reporting",
        "evaluation",
        "showcase",
        "training",
        "benchmarking",
        "fleet",
        "planning",
        "viewer",
        "nodes",
    ),
)
# The first of them compiles the kernels.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def below(source: Path, folder: str) -> set[str]:
    """Files of a folder of the copy, as paths from its root."""
    return {f"{folder}/{name}" for name in files_below(source / folder)}


def test_names_say_the_version(source: Path, wheel: Path) -> None:
    assert {path.name for path in (source / "dist").iterdir()} == {f"vmem_ros-{VERSION}.tar.gz", wheel.name}
    assert wheel.name.startswith(f"vmem_ros-{VERSION}-")


def test_the_wheel_holds_all_of_the_library(source: Path, wheel: Path) -> None:
    """Modules, models, recipes, the type marker and the compiled kernels. What needs the built messages is ROS's."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kernels = "vmem_ros/kernels/lib/libvmem_kernels.so"
    recipes = {f"vmem_ros-{VERSION}.data/data/share/vmem_ros/{name}" for name in below(source, "config/training")}
    assert names == below(source, "vmem_ros") - below(source, "vmem_ros/nodes") | {kernels} | recipes


def test_the_archive_holds_what_the_wheel_is_built_of(source: Path) -> None:
    (archive,) = source.glob("dist/*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = below(source, "vmem_ros") - below(source, "vmem_ros/nodes")
    wanted |= below(source, "src") | below(source, "config/training")
    assert wanted | {"package.xml", "LICENSE", "README.md", "setup.py", "pyproject.toml"} <= names


def test_metadata_says_what_an_index_shows(plain: Path) -> None:
    probe = """
from importlib.metadata import metadata
told = metadata("vmem_ros")
for name in ("Version", "License", "Requires-Python", "Description-Content-Type", "Summary"):
    print(told[name])
"""
    done = run_outside([str(plain / "bin" / "python"), "-c", probe], plain)
    summary = " ".join(PACKAGE.findtext("description", "").split())
    assert done.stdout.splitlines() == [VERSION, "Apache-2.0", ">=3.10", "text/markdown", summary]


def test_versions_fit_together(plain: Path) -> None:
    python = str(plain / "bin" / "python")
    run_outside([sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "check"], plain)


def test_the_library_imports_without_ros(library: Path) -> None:
    probe = """
import importlib, importlib.metadata, pkgutil, sys
sys.modules["rclpy"] = None
import vmem_ros
assert vmem_ros.__file__.startswith(sys.prefix), vmem_ros.__file__
assert importlib.metadata.version("vmem_ros") == vmem_ros.__version__
for module in pkgutil.walk_packages(vmem_ros.__path__, "vmem_ros."):
    if not module.name.startswith("vmem_ros.nodes") and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert not [name for name in sys.modules if name.startswith("vmem_ros.nodes")]
"""
    run_outside([str(library / "bin" / "python"), "-c", probe], library)


def test_a_plain_installation_draws(plain: Path) -> None:
    """Without the packages of any extra all other rooms import, both engines draw, and what is missing is named."""
    probe = """
import importlib, pkgutil, sys
import vmem_ros
from vmem_ros.errors import MissingPackageError
from vmem_ros.extras import EXTRAS
from vmem_ros.kernels.library import library
assert library() is not None, "the compiled library"
for name in {name for names in EXTRAS.values() for name in names}:
    sys.modules[name] = None  # some come along with what others need, in their present versions
for module in pkgutil.walk_packages(vmem_ros.__path__, "vmem_ros.", onerror=lambda name: None):
    room = module.name.split(".")[1]
    if room not in sys.argv[1].split() + ["cli"] and not module.name.endswith("__main__"):
        importlib.import_module(module.name)

from vmem_ros.generation.engines import load_generator
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import load_estimator
from vmem_ros.scenes import House
from vmem_ros.types import Target
from vmem_ros.world import World

house, camera = House(1000001), Camera.from_fov(64, 48, 70)
targets = [Target(camera, pose) for pose in house.loop(40)[:2]]
for engine in ("reprojection", "vmem"):
    generator = load_generator(engine)
    world = World(load_memory(), generator, load_estimator("small"))
    world.observe(house.view(targets[0]))
    (frame,) = world.explore(targets[1:], seed=0)
    assert frame.view.image.float().std() > 5
try:
    generator.pipeline.load_lora_weights("nowhere")
except MissingPackageError as error:
    assert "needs peft, which is not installed: pip install peft" in str(error), error
else:
    raise AssertionError("an adapter without peft")

from vmem_ros.cli import main
for verb, package, extra in (
    ("train generator recipe.yaml --out out", "pydantic", "training"),
    ("explore --house 1000001", "rosbags", "showcase"),
    ("evaluate", "matplotlib", "evaluation"),
):
    assert main(verb.split()) == 1
    print(package, extra)
main(["explore", "--help"])
"""
    done = run_outside([str(plain / "bin" / "python"), "-c", probe, " ".join(ROOMS_WITH_EXTRAS)], plain)
    assert "--trajectory" in done.stdout, "the last command shows its help"
    expected = [line.split() for line in done.stdout.splitlines()[:3]]
    errors = [line for line in done.stderr.splitlines() if "MissingPackageError" in line]
    for (package, extra), line in zip(expected, errors, strict=True):
        assert f"needs {package}, which is not installed: pip install {package}" in line
        assert f"vmem_ros[{extra}]" in line


def test_models_and_recipes_are_found(library: Path) -> None:
    probe = """
from vmem_ros.pretrained import shipped
from vmem_ros.training.recipes.named import named_recipe
for name in shipped.SHIPPED_MODELS:
    shipped.check_manifest(shipped.shipped_folder(name))
print(named_recipe("gac").read_text(), end="")
"""
    done = run_outside([str(library / "bin" / "python"), "-c", probe], library)
    assert done.stdout == (ROOT / "config" / "training" / "gac.yaml").read_text(encoding="utf-8")


def test_the_command_starts_without_ros(plain: Path) -> None:
    assert "explore" in run_outside([str(plain / "bin" / "vmem"), "--help"], plain).stdout
