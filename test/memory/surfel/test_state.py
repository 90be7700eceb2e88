"""Saving and restoring: the round trip, and every kind of damage."""

import dataclasses

import pytest
import torch

from memories import CAMERA, differences, memory_of, same_projection, snapshot, views_at, write
from rooms import box_view, orbit
from vmem_ros.errors import WorldFileError
from vmem_ros.geometry import Camera
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.types import Target

VIEWS = views_at(orbit(8)[:3], panel=True)
TARGET = Target(CAMERA, orbit(16)[1])
COLUMNS = ("surfels/position", "surfels/normal", "surfels/radius", "surfels/color", "surfels/provenance")
INDEX = (*COLUMNS, "observations/surfel", "observations/offset", "views/born", "views/popularity", "origin")


@pytest.fixture(scope="module")
def saved():
    memory = memory_of(VIEWS)
    memory.read([TARGET], 2)
    return snapshot(memory)


@pytest.fixture
def other():
    """A memory with another content, which a failed restore must leave alone."""
    return memory_of(views_at(orbit(8)[5:7]))


def refuse(other: SurfelMemory, tensors, metadata, match: str | None = None) -> None:
    before, shown = snapshot(other), other.project(TARGET)
    with pytest.raises(WorldFileError, match=match):
        other.restore(tensors, metadata)
    assert differences(snapshot(other), before) == []
    assert same_projection(other.project(TARGET), shown)


class TestRoundTrip:
    def test_everything_is_equal(self, saved, other):
        other.restore(*saved)
        assert differences(snapshot(other), saved) == []
        original = memory_of(VIEWS)
        assert same_projection(other.project(TARGET), original.project(TARGET))
        assert other.read([TARGET], 3).indices == original.read([TARGET], 3).indices
        for memory in (other, original):
            write(memory, views_at(orbit(8)[3:4], panel=True))
            memory.undo(2)
        assert differences(snapshot(other, votes=False), snapshot(original, votes=False)) == []

    def test_of_an_empty_memory(self, other):
        other.restore(*snapshot(SurfelMemory()))
        assert len(other) == other.n_surfels == 0
        assert not other.project(TARGET).seen.any()
        write(other, VIEWS[:1])
        assert other.project(VIEWS[0].target).seen.any()

    def test_views_of_every_kind(self, other):
        """Other sizes, stamps, sources, latents and embeddings come back as they were."""
        views = [
            dataclasses.replace(VIEWS[0], stamp_ns=2**53 + 1, source="generated"),
            box_view(Camera([[50.0, 0.3, 20], [0, 55, 30], [0, 0, 1]], 40, 56), orbit(8)[2]),
            dataclasses.replace(VIEWS[1], latent=torch.randn(4, 6, 8), embedding=torch.randn(16).half()),
        ]
        other.restore(*snapshot(memory_of(views)))
        for found, view in zip(other.views, views, strict=True):
            assert found.camera == view.camera
            assert (found.stamp_ns, found.source) == (view.stamp_ns, view.source)
            for name in ("image", "T_world_camera", "latent", "embedding"):
                before, after = getattr(view, name), getattr(found, name)
                assert (before is None) == (after is None)
                assert before is None or (torch.equal(before, after) and before.dtype == after.dtype)

    @pytest.mark.parametrize("fails_at", range(0, 14, 3))
    def test_all_or_nothing_without_memory(self, saved, other, fails_at, monkeypatch):
        before, calls = snapshot(other), iter(range(1000))
        append = GrowableTensor.append

        def failing(self, rows):
            if next(calls) == fails_at:
                raise torch.OutOfMemoryError("full")
            append(self, rows)

        monkeypatch.setattr(GrowableTensor, "append", failing)
        with pytest.raises(torch.OutOfMemoryError):
            other.restore(*saved)
        monkeypatch.undo()
        assert differences(snapshot(other), before) == []

    def test_does_not_share_the_tensors_it_was_given(self, saved, other):
        tensors = {name: value.clone() for name, value in saved[0].items()}
        other.restore(tensors, saved[1])
        for name in INDEX:
            tensors[name].zero_()
        assert differences(snapshot(other), saved) == []


class TestDamage:
    @pytest.mark.parametrize("name", [*INDEX, "views/1/image", "views/1/K", "views/1/T_world_camera", "views/1/depth"])
    def test_missing(self, saved, other, name):
        tensors = {key: value for key, value in saved[0].items() if key != name}
        refuse(other, tensors, saved[1])

    @pytest.mark.parametrize("name", INDEX)
    def test_of_another_type(self, saved, other, name):
        kind = torch.int16 if saved[0][name].is_floating_point() else torch.float64
        refuse(other, saved[0] | {name: saved[0][name].to(kind)}, saved[1], match=name)

    @pytest.mark.parametrize("name", INDEX)
    def test_shorter(self, saved, other, name):
        refuse(other, saved[0] | {name: saved[0][name][:-1]}, saved[1])

    @pytest.mark.parametrize("name", INDEX)
    def test_of_another_shape(self, saved, other, name):
        refuse(other, saved[0] | {name: saved[0][name][..., None]}, saved[1])

    @pytest.mark.parametrize(
        "name", [*COLUMNS[:3], "surfels/provenance", "origin", "views/0/T_world_camera", "views/0/K"]
    )
    def test_not_finite(self, saved, other, name):
        damaged = saved[0][name].clone()
        damaged.view(-1)[0] = torch.nan
        refuse(other, saved[0] | {name: damaged}, saved[1])

    @pytest.mark.parametrize("value", [0.0, -0.1])
    def test_radius(self, saved, other, value):
        damaged = saved[0]["surfels/radius"].clone()
        damaged[3] = value
        refuse(other, saved[0] | {"surfels/radius": damaged}, saved[1], match="radii")

    @pytest.mark.parametrize("value", [torch.nan, -0.1, 1e30])
    @pytest.mark.parametrize("name", ["surfels/provenance", "views/1/confidence"])
    def test_shares_that_are_none(self, saved, other, name, value):
        damaged = saved[0][name].clone()
        damaged.view(-1)[3] = value
        refuse(other, saved[0] | {name: damaged}, saved[1], match="not within 0 and 1|not finite")

    @pytest.mark.parametrize("value", [10**30, -1, 2**31 * 10**9, "soon", None])
    def test_stamps_that_are_no_time(self, saved, other, value):
        views = [dict(view) for view in saved[1]["views"]]
        views[1]["stamp_ns"] = value
        refuse(other, saved[0], {**saved[1], "views": views}, match="no time|no valid view")

    @pytest.mark.parametrize("value", [-1, 10**6])
    def test_pairs_that_name_no_surfel(self, saved, other, value):
        damaged = saved[0]["observations/surfel"].clone()
        damaged[5] = value
        refuse(other, saved[0] | {"observations/surfel": damaged}, saved[1], match="do not exist")

    def test_pairs_that_name_a_surfel_of_a_later_view(self, saved, other):
        """Such a file would break at the first undo."""
        damaged = saved[0]["observations/surfel"].clone()
        damaged[0] = len(saved[0]["surfels/position"]) - 1
        refuse(other, saved[0] | {"observations/surfel": damaged}, saved[1])

    @pytest.mark.parametrize("entry", [0, 1, -1])
    def test_offsets(self, saved, other, entry):
        damaged = saved[0]["observations/offset"].clone()
        damaged[entry] = 10**7 if entry == 1 else damaged[entry] + 1
        refuse(other, saved[0] | {"observations/offset": damaged}, saved[1], match="grouped")

    @pytest.mark.parametrize("born", [[0, 5, 3, 9], [1, 2, 3, 4], [0, 1, 2, 3]])
    def test_counts_per_view(self, saved, other, born):
        refuse(other, saved[0] | {"views/born": torch.tensor(born)}, saved[1], match="add up")

    def test_a_pose_that_is_none(self, saved, other):
        refuse(other, saved[0] | {"views/2/T_world_camera": torch.zeros(4, 4)}, saved[1], match="view 2")

    def test_an_image_of_another_size(self, saved, other):
        refuse(other, saved[0] | {"views/1/image": saved[0]["views/1/image"][1:]}, saved[1], match="view 1")

    def test_a_depth_of_another_size(self, saved, other):
        refuse(other, saved[0] | {"views/1/depth": torch.ones(3, 3)}, saved[1], match="view 1")

    @pytest.mark.parametrize(
        "metadata",
        [
            {},
            {"views": None},
            {"views": {}},
            {"views": []},
            {"views": [{}] * 3},
            {"views": ["view"] * 3},
            {"views": [{"width": "wide", "height": 48, "stamp_ns": 0, "source": "observed"}] * 3},
            {"views": [{"width": 64, "height": 48, "stamp_ns": None, "source": "observed"}] * 3},
            {"views": [{"width": 64, "height": 48, "stamp_ns": 0, "source": "dreamt"}] * 3},
            {"views": [{"width": 64, "height": 48, "stamp_ns": 0, "source": "observed"}] * 2},
            {"views": [{"width": 64, "height": 48, "stamp_ns": 0, "source": "observed"}] * 4},
            {"views": [{"width": float("inf"), "height": 48, "stamp_ns": 0, "source": "observed"}] * 3},
        ],
    )
    def test_metadata(self, saved, other, metadata):
        refuse(other, saved[0], metadata)
