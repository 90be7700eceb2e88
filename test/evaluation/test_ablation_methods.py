"""Parts of the memory taken away: other references, and no projection."""

import pytest
import torch

from memories import memory_of
from rooms import box_view, orbit
from tiny_models import tiny_projecting_pipeline, tiny_unet, tiny_vae
from vmem_ros.errors import ModelError
from vmem_ros.evaluation.ablation_methods import (
    METHODS,
    ChosenReferences,
    WithoutProjection,
    build_world,
    methods_for,
)
from vmem_ros.generation import ReprojectionGenerator, VMemPipeline
from vmem_ros.generation.vmem.autoencoding import encode
from vmem_ros.generation.vmem.generator import VMemGenerator
from vmem_ros.generation.vmem.schedules import published_scheduler
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Target

CAMERA = Camera.from_fov(32, 32, 75)
VIEWS = tuple(box_view(CAMERA, T) for T in orbit(8))
# Beside view 2, looking nearly the same way.
TARGETS = (Target(CAMERA, orbit(80)[19]),)


class TestChosenReferences:
    def recalled(self, references, k=3):
        return ChosenReferences(memory_of(VIEWS), references).read(TARGETS, k)

    def test_recent_views_come_newest_first(self):
        assert self.recalled("recent").indices == (7, 6, 5)
        assert len(self.recalled("recent", k=20).indices) == 8

    def test_the_first_view_is_the_only_one(self):
        assert self.recalled("first").indices == (0,)

    def test_nearest_poses_are_those_beside_the_target(self):
        assert self.recalled("nearest").indices == (2, 1, 3)

    def test_the_memorys_own_are_those_of_the_memory(self):
        recall = memory_of(VIEWS).read(TARGETS, 3)
        assert self.recalled("own").indices == recall.indices
        assert torch.equal(self.recalled("own").weights, recall.weights)

    @pytest.mark.parametrize("references", ["recent", "first", "nearest"])
    def test_only_the_views_differ(self, references):
        recall, expected = self.recalled(references), memory_of(VIEWS).read(TARGETS, 3)
        assert torch.equal(recall.projections[0].image, expected.projections[0].image)
        assert [v.T_world_camera[0, 3] for v in recall.newest] == [v.T_world_camera[0, 3] for v in expected.newest]
        assert [v.T_world_camera[0, 3] for v in recall.views] == [VIEWS[i].T_world_camera[0, 3] for i in recall.indices]
        assert float(recall.weights.sum()) == pytest.approx(1)

    def test_all_else_is_the_memory_inside(self):
        inside = memory_of(VIEWS)
        memory = ChosenReferences(inside, "recent")
        assert (len(memory), memory.kind, memory.nbytes) == (8, inside.kind, inside.nbytes)
        memory.undo(1)
        assert len(inside) == 7
        empty = memory.empty_copy()
        assert len(empty) == 0
        empty.restore(*memory.state())
        assert empty.read(TARGETS, 2).indices == (6, 5)

    def test_a_read_that_is_not_to_be_recorded_is_not(self):
        inside = memory_of(VIEWS)
        before = inside.state()[0]["views/popularity"].clone()
        ChosenReferences(inside, "recent").read(TARGETS, 2, record=False)
        assert torch.equal(inside.state()[0]["views/popularity"], before)
        ChosenReferences(inside, "recent").read(TARGETS, 2)
        assert not torch.equal(inside.state()[0]["views/popularity"], before)


class TestWithoutProjection:
    @pytest.mark.parametrize("hole_filling", ["smooth", "room"])
    def test_the_network_is_told_what_training_tells_when_it_drops_the_projection(self, hole_filling):
        pipeline = tiny_projecting_pipeline(hole_filling)
        generator = WithoutProjection(VMemGenerator(pipeline))
        recall = memory_of(VIEWS).read(TARGETS, 2)
        assert recall.projections[0].seen.any()
        told = []
        hook = pipeline.unet.projection_in.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0]))
        generator.generate(recall, TARGETS, seed=0)
        hook.remove()
        # References come first and show themselves, completely; the rest shows nothing.
        nothing = encode(pipeline.vae, torch.zeros(1, 3, 32, 32))[0]
        references, targets = told[0][:2], told[0][2:8]
        assert bool((references[:, -1] == 1).all())
        assert bool((targets[:, -1] == 0).all())
        assert torch.allclose(targets[:, :-1], nothing.expand_as(targets[:, :-1]), atol=1e-3)

    def test_it_draws_otherwise_than_with_it(self, generator):
        recall = memory_of(VIEWS).read(TARGETS, 2)
        [told], [untold] = (g.generate(recall, TARGETS, seed=0) for g in (generator, WithoutProjection(generator)))
        assert not torch.equal(told.image, untold.image)
        assert WithoutProjection(generator).uses == {"views"}
        assert WithoutProjection(generator).frames == generator.frames


class TestMethods:
    def test_a_network_without_projection_is_not_judged_with_it(self):
        plain = VMemGenerator(VMemPipeline(tiny_unet(), tiny_vae(), None, published_scheduler()))
        judged = [m for m in methods_for(plain) if m.engine == "judged"]
        assert {m.references for m in judged} == {"own", "nearest", "recent", "first"}
        assert not any(m.projection for m in judged)

    def test_a_generator_that_takes_no_views_is_not_judged_by_which_it_gets(self):
        assert all(m.projection for m in methods_for(ReprojectionGenerator()) if m.engine == "judged")

    def test_poses_are_drawn_again_although_they_are_stored(self, generator):
        world = build_world(METHODS[0], generator, MemoryDepth(), load_memory())
        world.seed(box_view(CAMERA, orbit(8)[0]))
        [frame] = world.explore([Target(CAMERA, orbit(8)[0])], seed=0)
        assert not frame.reused

    def test_copying_needs_no_world(self, generator):
        [copy] = [m for m in METHODS if m.engine == "copy"]
        with pytest.raises(ModelError, match="has no world"):
            build_world(copy, generator, MemoryDepth(), load_memory())
