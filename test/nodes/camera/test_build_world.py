"""The world that the parameters of the node describe."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rooms import box_view
from tiny_models import tiny_pipeline
from vmem_ros.errors import ModelError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.kernels import default_threads
from vmem_ros.nodes.camera.build_world import build_world
from vmem_ros.nodes.interface.parameters import PARAMETERS
from vmem_ros.types import Target


def parameters(**changes: object) -> dict[str, object]:
    return {**{name: p.default for name, p in PARAMETERS.items()}, **changes}


@pytest.fixture(autouse=True)
def _threads_are_put_back() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("asked", "used"), [(3, 3), (0, default_threads())])
def test_threads(asked: int, used: int) -> None:
    build_world(parameters(engine="reprojection", **{"model.cpu_threads": asked}))
    assert torch.get_num_threads() == used


def test_a_world_without_a_model() -> None:
    world = build_world(parameters(engine="reprojection", **{"memory.max_views": 7, "camera.chunk": 3}))
    assert (world.generator.name, world.estimator.name, world.chunk, len(world)) == ("reprojection", "memory", 3, 0)
    assert world.memory.config.max_views == 7
    assert world.memory.config.max_surfels is None


def test_geometry_believes_nothing_unless_told() -> None:
    assert build_world(parameters(engine="reprojection")).estimator.options.prior == "none"
    told = {"geometry.prior": "room", "geometry.options": "{up: [1.0, 0.0, 0.0]}"}
    options = build_world(parameters(engine="reprojection", **told)).estimator.options
    assert (options.prior, list(options.up)) == ("room", [1.0, 0.0, 0.0])
    sky = {"geometry.estimator": "small", "geometry.max_depth_m": 9.0, "model.allow_download": True}
    assert build_world(parameters(engine="reprojection", **sky)).estimator.max_depth_m == 9.0


@pytest.mark.parametrize("estimator", ["small", "memory"])
def test_what_an_estimator_does_not_have_is_told(estimator: str) -> None:
    set_for_the_other = {"small": {"geometry.prior": "room"}, "memory": {"geometry.max_depth_m": 9.0}}[estimator]
    with pytest.raises(ModelError, match=f"geometry.estimator '{estimator}' has no option"):
        build_world(parameters(engine="reprojection", **{"geometry.estimator": estimator, **set_for_the_other}))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("engine", "unheard_of", "use reprojection, gac, .*vmem, or 'module:factory' of your own"),
        ("engine", "no_such_module:make", "cannot be imported: No module named 'no_such_module'"),
        ("engine", "math:make", "cannot be imported: module 'math' has no attribute 'make'"),
        ("geometry.estimator", "magic", "use memory, small, huggingface, cut3r, or 'module:factory' of your own"),
        ("model.device", "cuda:77", "available are cpu"),
        ("model.device", "abacus", "available are cpu"),
    ],
)
def test_unknown_names_are_told_what_exists(name: str, value: str, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        build_world(parameters(**{name: value}))


def test_vmem_is_built_from_its_parameters_and_follows_those_of_sampling(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    pipeline.register_to_config(sampling={"sampler": "fast", "num_inference_steps": 2})
    pipeline.save_pretrained(tmp_path)
    values = parameters(
        **{
            "model.path": str(tmp_path),
            "model.dtype": "bfloat16",
            "model.max_side": 32,
        }
    )
    world = build_world(values)
    assert (world.generator.name, world.generator.max_side) == ("vmem", 32)
    assert world.generator.pipeline.unet.dtype == torch.bfloat16
    camera = Camera.from_fov(64, 48, 80)
    world.observe(box_view(camera, look_at((-1, 0, 0), (3, 0, 0))))
    steps: list[int] = []
    for wanted in (0, 3):  # 0: the model's own
        values["sampling.steps"] = wanted
        target = Target(camera, look_at((-0.5, 0.1 * wanted, 0), (3, 0, 0)))
        list(world.explore([target], on_progress=lambda progress: steps.append(progress.steps)))
    assert steps == [2, 2, 3, 3, 3]


def test_vmem_without_a_model_or_its_packages_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"no pipeline folder .*gone: make one .* with `vmem convert`"):
        build_world(parameters(**{"model.path": str(tmp_path / "gone")}))
    for module in [name for name in sys.modules if name.startswith("vmem_ros.generation.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModelError, match=r"needs a package .*diffusers.*: pip install diffusers transformers"):
        build_world(parameters())


@pytest.mark.parametrize("told", [{}, {"seed.sensor": "tof"}, {"seed.sensor": "exact"}, {"seed.close_gaps_px": 0}])
def test_gaps_of_depth_are_closed_as_told(told: dict[str, object]) -> None:
    view = box_view(Camera.from_fov(64, 48, 70), look_at((0.0, 0.0, 0.0), (1.0, 0.2, 0.0)))
    depth = view.depth.clone()
    depth[20] = torch.nan
    world = build_world(parameters(engine="reprojection", **told))
    world.observe(dataclasses.replace(view, depth=depth))
    closed = bool(world.memory.views[0].depth.isfinite().all())
    assert closed == (told in ({}, {"seed.sensor": "tof"}))
