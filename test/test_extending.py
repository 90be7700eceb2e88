"""docs/extending.md: the files on that page are what it says they are, and its commands work as typed."""

import importlib
import os
import re
import subprocess
import sys

import pytest
import torch

from memories import views_at
from repository import ROOT
from rooms import orbit
from vmem_ros.errors import ModelError, WorldFileError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.generation.engines import load_generator
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import load_estimator
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
VIEWS = views_at(orbit(8)[:3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the page, where Python finds them."""
    out = tmp_path_factory.mktemp("extending")
    for name, text in FILES.items():
        (out / name).write_text(text, encoding="utf-8")
    sys.path.insert(0, str(out))
    yield out
    sys.path.remove(str(out))
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_the_page_has_files_and_commands():
    assert {"diary.py", "fog.py", "plane.py", "tint.py", "test_parts.py"} <= FILES.keys()
    assert len(COMMANDS) >= 4
    assert all(line.startswith("vmem ") for line in COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_commands_work_as_typed(folder, line):
    done = subprocess.run(
        [sys.executable, "-m", "vmem_ros.cli", *line.split()[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    out = line.split("--out ")[1].split()[0]
    assert any((folder / out).iterdir())


class TestMemory:
    def test_a_world_of_it_is_saved_loaded_and_refused_by_others(self, folder, tmp_path):
        world = World(load_memory("diary:create", stride=1), ReprojectionGenerator(), load_estimator("memory"))
        for view in VIEWS:
            world.observe(view)
        list(world.explore([Target(VIEWS[0].camera, T) for T in orbit(25)[1:6]]))
        assert world.memory.commits == (1, 1, 1, 5)
        world.save(tmp_path / "diary")
        again = World(load_memory("diary:create"), ReprojectionGenerator(), load_estimator("memory"))
        again.load(tmp_path / "diary")
        target = Target(VIEWS[0].camera, orbit(25)[2])
        assert torch.equal(again.glimpse(target).image, world.glimpse(target).image)
        again.undo()
        assert len(again) == 3
        with pytest.raises(WorldFileError, match=r"memory of kind 'diary:create' .* 'surfel'"):
            default_world().load(tmp_path / "diary")

    def test_a_view_shows_itself(self, folder):
        world = World(load_memory("diary:create", stride=1), ReprojectionGenerator(), load_estimator("memory"))
        world.seed(VIEWS[0])
        shown = world.glimpse(VIEWS[0].target)
        assert shown.seen.float().mean() > 0.95
        assert torch.equal(shown.image[shown.seen], VIEWS[0].image[shown.seen])
        torch.testing.assert_close(shown.depth[shown.seen], VIEWS[0].depth[shown.seen], rtol=1e-3, atol=0)


class TestGenerator:
    def test_its_options_arrive(self, folder):
        world = default_world(load_generator("fog:create", grey=90))
        world.seed(VIEWS[0])
        assert world.chunk == 2
        (frame,) = world.explore([Target(VIEWS[0].camera, orbit(8)[4])])
        assert (frame.view.image[~frame.projection.seen] == 90).all()

    def test_an_option_that_it_does_not_have(self, folder):
        with pytest.raises(ModelError, match=r"'fog:create' cannot be made with \{'gray': 1\}"):
            load_generator("fog:create", gray=1)


def test_an_estimator_of_depth(folder):
    world = default_world(estimator=load_estimator("plane:create"))
    view = VIEWS[0]
    world.seed(type(view)(view.image, view.camera, view.T_world_camera))
    assert world.memory.views[0].depth.nanmedian() == pytest.approx(3.0, rel=0.2)


@pytest.mark.parametrize("load", [load_memory, load_generator, load_estimator])
@pytest.mark.parametrize("name", ["nowhere:create", "diary:nothing", "unknown", ":", "diary:"])
def test_names_that_lead_nowhere(folder, load, name):
    with pytest.raises(ModelError, match=re.escape(repr(name))):
        load(name)


def test_the_modules_of_the_page_name_what_the_page_names(folder):
    for name in FILES:
        importlib.import_module(name.removesuffix(".py"))


def test_contracts_run_beside_parts_of_ones_own(folder):
    """From a folder outside the checkout, with nothing of ``test/`` but the contracts."""
    path = os.pathsep.join(map(str, (folder, ROOT, ROOT / "test" / "contracts")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_parts.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert re.search(r"[4-9]\d passed", done.stdout)
