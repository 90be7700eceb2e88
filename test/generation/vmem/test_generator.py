"""VMem's generator between a world and a pipeline, with small networks of the real classes."""

import dataclasses
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig

from rooms import box_view
from tiny_models import tiny_image_encoder, tiny_pipeline, tiny_unet, tiny_vae
from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation import ReprojectionGenerator, VMemGenerator, VMemPipeline
from vmem_ros.generation.exemplars import ExemplarLibrary
from vmem_ros.generation.resizing import resize_image
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.generation.vmem.schedules import published_scheduler
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Recall, Target, View
from vmem_ros.world import World

CAMERA = Camera.from_fov(60, 44, 80)  # drawn at 64 x 48
FAST = SamplingOptions(sampler="fast", num_inference_steps=3)


def pose(x: float, y: float = 0.0) -> torch.Tensor:
    return look_at((x, y, 0), (3, 0, 0))


def targets(n: int, camera: Camera = CAMERA) -> list[Target]:
    return [Target(camera, pose(-0.5, 0.1 * i), stamp_ns=100 + i) for i in range(n)]


@pytest.fixture(scope="module")
def pipeline() -> VMemPipeline:
    return tiny_pipeline()


@pytest.fixture
def generator(pipeline: VMemPipeline) -> VMemGenerator:
    return VMemGenerator(pipeline, sampling=FAST)


def recall_of(*views: View) -> Recall:
    return Recall(views, torch.ones(len(views), dtype=torch.float64) / max(1, len(views)), tuple(range(len(views))))


@pytest.fixture
def recall() -> Recall:
    """Three views, the nearest in the middle, one of another size."""
    far = box_view(Camera.from_fov(80, 80, 70), pose(-2.0, -1.0))
    return recall_of(box_view(CAMERA, pose(-1.2)), box_view(CAMERA, pose(-0.6)), far)


@pytest.fixture
def frames_of_passes(pipeline: VMemPipeline) -> Iterator[list[int]]:
    """Frames that the network sees in each evaluation, both halves of guidance together."""
    frames: list[int] = []
    hook = pipeline.unet.register_forward_pre_hook(lambda _, inputs: frames.append(len(inputs[0])))
    yield frames
    hook.remove()


def test_views_have_camera_pose_and_time_of_their_targets(generator, recall) -> None:
    wide = Target(Camera.from_fov(90, 30, 100), pose(-0.5), stamp_ns=7)
    views = generator.generate(recall, [*targets(2), wide], seed=1)
    for view, target in zip(views, [*targets(2), wide], strict=True):
        assert view.image.shape == (*target.camera.size, 3)
        assert torch.equal(view.T_world_camera, target.T_world_camera)
        assert (view.camera, view.stamp_ns, view.source) == (target.camera, target.stamp_ns, "generated")
        assert view.latent.shape == (4, 6, 8)
        assert view.embedding.shape == (48,)
        assert view.depth is None
    assert generator.uses == {"views", "depth"}


def test_it_is_the_pipeline_with_the_nearest_reference_first_and_eight_frames(pipeline, generator, recall) -> None:
    views = generator.generate(recall, targets(2), seed=5)
    nearest_first = [recall.views[i] for i in (1, 0, 2)]
    padded = [*targets(2), *targets(2)[-1:] * 3]
    expected = pipeline(
        [v.image for v in nearest_first],
        [v.camera for v in nearest_first],
        [v.T_world_camera for v in nearest_first],
        [t.camera for t in padded],
        [t.T_world_camera for t in padded],
        height=48,
        width=64,
        sampler="fast",
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(5),
    )
    for index, view in enumerate(views):
        torch.testing.assert_close(view.latent, expected.latents[index])
        torch.testing.assert_close(view.embedding, expected.embeddings[index], rtol=1e-3, atol=1e-3)
        back = torch.nn.functional.interpolate(expected.images[index : index + 1], (44, 60), mode="area")[0]
        difference = view.image.permute(2, 0, 1) / 255 - back
        assert difference.abs().mean() < 0.05


def test_equal_seeds_give_equal_views(generator, recall) -> None:
    first, again, other, random, random_again = (
        generator.generate(recall, targets(1), seed=seed)[0].image for seed in (1, 1, 2, None, None)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(random, random_again)


@pytest.mark.parametrize(
    ("references", "wanted", "fixed", "passes"),
    [
        (1, 1, True, [8]),
        (1, 7, True, [8]),
        (4, 4, True, [8]),
        (4, 5, True, [8, 8]),
        (9, 2, True, [8]),
        (9, 9, True, [8, 8, 8]),
        (4, 5, False, [9]),
        (1, 1, False, [2]),
    ],
)
def test_frames_of_a_pass(pipeline, frames_of_passes, references, wanted, fixed, passes) -> None:
    generator = VMemGenerator(pipeline, sampling=FAST, fixed_frames=fixed)
    recall = recall_of(*[box_view(CAMERA, pose(-1, 0.05 * i)) for i in range(references)])
    steps: list[tuple[int, int]] = []
    views = generator.generate(recall, targets(wanted), on_step=lambda *step: steps.append(step))
    assert len(views) == wanted
    assert frames_of_passes == [2 * frames for frames in passes for _ in range(3)]
    assert steps == [(i + 1, 3 * len(passes)) for i in range(3 * len(passes))]


def test_the_best_references_are_taken_where_not_all_have_room(generator) -> None:
    views = [box_view(CAMERA, pose(-1, 0.05 * i)) for i in range(6)]
    best = generator.generate(recall_of(*views), targets(4), seed=1)
    four = generator.generate(recall_of(*views[:4]), targets(4), seed=1)
    assert all(torch.equal(a.image, b.image) for a, b in zip(best, four, strict=True))


class TestEncodings:
    @pytest.fixture
    def encoded(self, pipeline: VMemPipeline) -> Iterator[list[int]]:
        """Number of images in each call of the autoencoder's encoder."""
        counts: list[int] = []
        hook = pipeline.vae.encoder.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
        yield counts
        hook.remove()

    def test_a_view_is_encoded_once(self, generator, recall, encoded) -> None:
        first = generator.generate(recall, targets(1), seed=1)
        again = generator.generate(recall, targets(1), seed=1)
        assert encoded == [3]
        assert torch.equal(first[0].image, again[0].image)
        generator.generate(recall, targets(1, CAMERA.resized(128, 128)))
        assert encoded == [3, 3], "another size needs other latents"

    def test_latents_of_generated_views_are_used(self, generator, recall, encoded) -> None:
        (view,) = generator.generate(recall, targets(1), seed=1)
        stored = dataclasses.replace(view, image=view.image.clone())
        generator.generate(recall_of(*recall.views, stored), targets(2))
        assert encoded == [3]

    def test_latents_of_another_model_are_not(self, generator, recall, encoded) -> None:
        foreign = dataclasses.replace(recall.views[0], latent=torch.zeros(16, 6, 8), embedding=torch.zeros(3))
        generator.generate(recall_of(foreign), targets(1))
        assert encoded == [1]

    def test_nothing_is_kept_of_views_that_are_gone(self, generator, recall) -> None:
        views = recall_of(*[box_view(CAMERA, pose(-1, 0.1 * i)) for i in range(3)])
        generator.generate(views, targets(1))
        generator.generate(recall, targets(1))
        assert len(generator._encodings) == 6
        del views
        gc.collect()
        assert len(generator._encodings) == 3


def test_projections_condition_a_network_that_takes_them(recall) -> None:
    unet = tiny_unet(projection_channels=5)
    torch.nn.init.normal_(unet.projection_in.weight, std=0.1)
    generator = VMemGenerator(VMemPipeline(unet, tiny_vae(), None, tiny_pipeline().scheduler), sampling=FAST)
    assert generator.uses == {"views", "depth", "projection"}
    memory = SurfelMemory()
    World(memory, generator, MemoryDepth()).observe(recall.views[0])
    shown = [memory.project(target) for target in targets(2)]
    darker = [dataclasses.replace(p, image=p.image // 2) for p in shown]
    views = generator.generate(dataclasses.replace(recall, projections=tuple(shown)), targets(2), seed=1)
    other = generator.generate(dataclasses.replace(recall, projections=tuple(darker)), targets(2), seed=1)
    assert views[0].embedding is None
    assert not torch.equal(views[1].image, other[1].image)


def test_sampling_may_change_between_calls(pipeline, recall) -> None:
    settings = {"num_inference_steps": 2, "sampler": "fast"}
    generator = VMemGenerator(pipeline, sampling=lambda: SamplingOptions(**settings))
    steps: list[tuple[int, int]] = []
    generator.generate(recall, targets(1), on_step=lambda *step: steps.append(step))
    settings["num_inference_steps"] = 3
    generator.generate(recall, targets(1), on_step=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]


@pytest.fixture
def world(generator: VMemGenerator) -> World:
    world = World(SurfelMemory(), generator, MemoryDepth())
    world.observe(box_view(CAMERA, pose(-1.0)))
    return world


class TestInAWorld:
    def test_cancelling_in_the_middle_changes_nothing(self, world) -> None:
        before, _ = world.memory.state()
        steps: list[int] = []
        views = world.explore(
            targets(2), on_progress=lambda p: steps.append(p.step), should_stop=lambda: len(steps) == 2
        )
        with pytest.raises(CancelledError, match="after denoising step 2 of 3"):
            next(views)
        after, _ = world.memory.state()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert len(list(world.explore(targets(2)))) == 2

    @pytest.mark.parametrize("composite", ["none", "remembered"])
    def test_encodings_are_stored_unless_the_picture_was_changed(self, generator, composite) -> None:
        world = World(SurfelMemory(), generator, MemoryDepth(), composite=composite)
        world.observe(box_view(CAMERA, pose(-1.0)))
        (frame,) = world.explore(targets(1))
        assert frame.projection.seen.any()
        assert (frame.view.latent is None) == (frame.view.embedding is None) == (composite == "remembered")

    def test_a_saved_world_goes_on_as_before(self, world, generator, tmp_path) -> None:
        other = World(SurfelMemory(), VMemGenerator(generator.pipeline, sampling=FAST), MemoryDepth())
        world.composite = other.composite = "none"
        list(world.explore(targets(1), seed=1))
        world.save(tmp_path / "world")
        assert other.load(tmp_path / "world") == ()
        ahead = [Target(CAMERA, pose(-0.4, -0.2))]
        (expected,), (frame,) = world.explore(ahead, seed=2), other.explore(ahead, seed=2)
        assert torch.equal(frame.view.image, expected.view.image)

    def test_encodings_of_other_networks_are_left_out(self, world, tmp_path) -> None:
        """Of an autoencoder of the same shape they look like the model's own, and show something else."""
        world.composite = "none"
        (drawn,) = world.explore(targets(1), seed=1)
        assert drawn.view.latent is not None
        world.save(tmp_path / "world")
        unet, encoder = tiny_unet(), tiny_image_encoder()
        same = VMemPipeline(tiny_unet(1), tiny_vae(), tiny_image_encoder(), published_scheduler())
        of_another_picture = VMemPipeline(unet, tiny_vae(1), encoder, published_scheduler())
        of_another_embedding = VMemPipeline(unet, tiny_vae(), tiny_image_encoder(1), published_scheduler())
        for pipeline, kept in ((same, True), (of_another_picture, False), (of_another_embedding, False)):
            other = World(SurfelMemory(), VMemGenerator(pipeline, sampling=FAST), MemoryDepth())
            notes = other.load(tmp_path / "world")
            (view,) = (view for view in other.memory.views if view.source == "generated")
            assert (view.latent is not None, view.embedding is not None) == (kept, kept)
            assert torch.equal(view.image, drawn.view.image)
            assert notes == () if kept else "are made anew" in notes[0]
            assert len(list(other.explore([Target(CAMERA, pose(-0.4, -0.2))]))) == 1

    def test_encodings_outlive_an_engine_that_has_none(self, world, tmp_path) -> None:
        world.composite = "none"
        list(world.explore(targets(1), seed=1))
        world.save(tmp_path / "world")
        between = World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth())
        assert between.load(tmp_path / "world") == ()
        between.save(tmp_path / "again")
        assert world.load(tmp_path / "again") == ()
        assert any(view.latent is not None for view in world.memory.views)

    def test_a_model_has_one_name_in_any_type(self) -> None:
        exact, rounded = (VMemGenerator(tiny_pipeline().to(dtype)) for dtype in (torch.float32, torch.bfloat16))
        assert exact.encodings() == rounded.encodings()

    def test_out_of_range_sampling_is_refused(self, pipeline, recall) -> None:
        generator = VMemGenerator(pipeline, sampling=SamplingOptions(num_inference_steps=2000))
        with pytest.raises(ModelError, match="must be 1 to 1000 for this schedule, got 2000"):
            generator.generate(recall, targets(1))


def test_nothing_to_draw_from_is_refused(generator, recall) -> None:
    with pytest.raises(ModelError, match="0 references for 1 targets"):
        generator.generate(recall_of(), targets(1))
    with pytest.raises(ModelError, match="3 references for 0 targets"):
        generator.generate(recall, [])


def test_a_limit_below_the_smallest_size_is_refused(pipeline) -> None:
    with pytest.raises(ModelError, match="max_side must be at least 16 for this model, got 8"):
        VMemGenerator(pipeline, max_side=8)


def test_a_limit_bounds_the_size_drawn_and_not_the_view(pipeline, recall) -> None:
    generator = VMemGenerator(pipeline, sampling=FAST, max_side=32)
    (view,) = generator.generate(recall, targets(1))
    assert view.latent.shape == (4, 2, 4)
    assert view.image.shape == (44, 60, 3)


class TestExemplars:
    """Pictures of other places lend details where memory shows nothing."""

    @pytest.fixture
    def half_known(self) -> Recall:
        view = box_view(CAMERA, pose(-1.2))
        memory = SurfelMemory()
        World(memory, ReprojectionGenerator(), MemoryDepth()).observe(view)
        return memory.read([Target(CAMERA, look_at((-1.2, 0, 0), (-0.9, 1, 0)))], 4)

    def drawn(self, recall: Recall, library: ExemplarLibrary | None, seed: int = 1) -> View:
        told = VMemPipeline(tiny_unet(projection_channels=5), tiny_vae(), None, tiny_pipeline().scheduler)
        generator = VMemGenerator(told, sampling=FAST, library=library)
        return generator.generate(recall, [Target(CAMERA, look_at((-1.2, 0, 0), (-0.9, 1, 0)))], seed=seed)[0]

    def test_they_come_where_nothing_is_known(self, half_known) -> None:
        noise, without = torch.Generator().manual_seed(0), self.drawn(half_known, None)
        shown = half_known.projections[0]
        like = resize_image(torch.where(shown.seen[..., None], shown.image, without.image), (64, 64)).int()
        library = ExemplarLibrary.of(
            (like + torch.randint(-60, 60, (64, 64, 3), generator=noise)).clamp(0, 255).to(torch.uint8)
            for _ in range(60)
        )
        lent, seen = self.drawn(half_known, library), shown.seen
        assert 0.1 < seen.float().mean() < 0.9
        assert torch.equal(lent.image[seen], without.image[seen])
        assert not torch.equal(lent.image[~seen], without.image[~seen])
        assert lent.latent is None
        assert torch.equal(self.drawn(half_known, library).image, lent.image)
        assert any(not torch.equal(self.drawn(half_known, library, seed).image, lent.image) for seed in (2, 3, 4))

    def test_views_are_drawn_one_by_one(self, pipeline) -> None:
        library = ExemplarLibrary.of([torch.zeros(64, 64, 3, dtype=torch.uint8)])
        assert VMemGenerator(pipeline, library=library).frames == 1


class TestFromPretrained:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, pipeline, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("model") / "pipeline"
        pipeline.save_pretrained(folder)
        return folder

    def test_the_folder_draws_like_the_pipeline(self, folder, generator, recall) -> None:
        loaded = VMemGenerator.from_pretrained(folder, sampling=FAST)
        expected, view = (g.generate(recall, targets(1), seed=3)[0] for g in (generator, loaded))
        assert torch.equal(view.image, expected.image)

    def test_type_of_all_parts(self, folder, recall) -> None:
        generator = VMemGenerator.from_pretrained(folder, dtype=torch.bfloat16, sampling=FAST)
        parts = (generator.pipeline.unet, generator.pipeline.vae, generator.pipeline.image_encoder)
        assert {part.dtype for part in parts} == {torch.bfloat16}
        assert generator.generate(recall, targets(1))[0].image.float().std() > 1

    def test_a_lora_is_merged(self, folder, generator, recall, tmp_path) -> None:
        tuned = VMemPipeline.from_pretrained(folder)
        torch.manual_seed(0)
        tuned.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
        tuned.save_lora_weights(tmp_path)
        merged = VMemGenerator.from_pretrained(folder, lora=tmp_path, sampling=FAST)
        assert merged.pipeline.unet.state_dict().keys() == generator.pipeline.unet.state_dict().keys()
        plain, expected, view = (
            g.generate(recall, targets(1), seed=3)[0].latent
            for g in (generator, VMemGenerator(tuned, sampling=FAST), merged)
        )
        torch.testing.assert_close(view, expected, rtol=1e-3, atol=1e-3)
        assert (view - plain).abs().max() > 0.01
        off = VMemGenerator.from_pretrained(folder, lora=tmp_path, lora_scale=0.0, sampling=FAST)
        weights = generator.pipeline.unet.state_dict()
        assert all(torch.equal(tensor, weights[name]) for name, tensor in off.pipeline.unet.state_dict().items())

    def test_a_missing_lora_is_refused(self, folder, tmp_path) -> None:
        with pytest.raises(ModelError, match="no LoRA adapter"):
            VMemGenerator.from_pretrained(folder, lora=tmp_path / "gone")


def test_an_image_encoder_of_another_width_is_refused() -> None:
    with pytest.raises(ModelError, match="embeddings of 32, the unet takes 48"):
        VMemPipeline(tiny_unet(), tiny_vae(), tiny_image_encoder(projection_dim=32), tiny_pipeline().scheduler)


class TestNotes:
    def test_views_drawn_smaller_than_asked_for_are_noted(self, pipeline, recall):
        generator = VMemGenerator(pipeline, sampling=FAST, max_side=32)
        assert generator.notes() == ()
        generator.generate(recall, targets(1), seed=0)
        assert generator.notes() == ("views of 60 x 44 are drawn at 32 x 16 and enlarged (max_side is 32)",)

    @pytest.mark.parametrize("max_side", [None, 64])
    def test_what_is_only_rounded_is_not(self, pipeline, recall, max_side):
        generator = VMemGenerator(pipeline, sampling=FAST, max_side=max_side)
        generator.generate(recall, targets(1), seed=0)
        assert generator.notes() == ()

    def test_a_later_view_of_another_size_replaces_the_note(self, pipeline, recall):
        generator = VMemGenerator(pipeline, sampling=FAST, max_side=32)
        generator.generate(recall, targets(1), seed=0)
        generator.generate(recall, targets(1, CAMERA.resized(32, 32)), seed=0)
        assert generator.notes() == ()
