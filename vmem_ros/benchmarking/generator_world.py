"""A whole step of the world behind the generator: memory read, views drawn, depth found, memory written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import CLIPVisionModelWithProjection

from vmem_ros.benchmarking.building import VIEWS_PER_ROOM, Building
from vmem_ros.benchmarking.generator_chunk import Recipe
from vmem_ros.benchmarking.generator_models import FOV_DEG
from vmem_ros.benchmarking.generator_workload import Workload
from vmem_ros.benchmarking.memory_filler import MemoryFiller
from vmem_ros.benchmarking.result import Row
from vmem_ros.benchmarking.timing import Case, measure_in_turn
from vmem_ros.generation import VMemGenerator, VMemPipeline
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.generation.vmem.schedules import published_scheduler
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Recall, Target
from vmem_ros.world import World

_WARM_UP_STEPS = 2


@dataclass
class _Driven:
    """A world that has filled a room, and what it is asked for; how it samples may change at every call."""

    world: World
    targets: list[Target]
    recall: Recall
    sampling: SamplingOptions = field(default_factory=SamplingOptions)

    def step(self, sampling: SamplingOptions) -> None:
        """Take one step with everything."""
        self.sampling = sampling
        for _ in self.world.explore(self.targets, seed=0):
            pass

    def generate(self, sampling: SamplingOptions) -> None:
        """Draw the views of the same step alone."""
        self.sampling = sampling
        self.world.generator.generate(self.recall, self.targets, seed=0)


def world_figures(
    fastest: Workload,
    image_encoder: CLIPVisionModelWithProjection | None,
    recipes: Sequence[Recipe],
    *,
    repeats: int,
) -> list[Row]:
    """Return a row per recipe: seconds per frame of a step that draws as many views as the chunk has new frames."""
    driven = _driven(fastest, image_encoder)
    undo = driven.world.undo
    cases = [
        Case(driven.step, [_sampling(recipe, _WARM_UP_STEPS), *[_sampling(recipe, recipe.steps)] * repeats], undo)
        for recipe in recipes
    ]
    # Without denoising to speak of, what is left is everything else.
    single = _sampling(Recipe("fast", 1), 1)
    cases += [Case(driven.step, [single] * (repeats + 1), undo), Case(driven.generate, [single] * (repeats + 1))]
    *steps, whole, drawing = measure_in_turn(cases)
    beside = (whole.median_ms - drawing.median_ms) / 1e3 / len(driven.targets)
    return [
        {
            "sampler": recipe.name,
            "s per frame": timing.median_ms / 1e3 / len(driven.targets),
            "of that memory and depth": beside,
        }
        for recipe, timing in zip(recipes, steps, strict=True)
    ]


def _driven(fastest: Workload, image_encoder: CLIPVisionModelWithProjection | None) -> _Driven:
    size = fastest.size
    pipeline = VMemPipeline(fastest.unet, fastest.vae, image_encoder, published_scheduler())
    memory = load_memory(device=fastest.unet.device)
    camera = Camera.from_fov(size.side, size.side, FOV_DEG)
    filler = MemoryFiller(Building(), camera, memory)
    filler.grow(views=VIEWS_PER_ROOM)
    generator = VMemGenerator(pipeline, sampling=lambda: driven.sampling)
    world = World(memory, generator, MemoryDepth(), k=size.references, chunk=size.targets, reuse_views=False)
    targets = next(filler.asks(1, chunk=size.targets))
    driven = _Driven(world, targets, memory.read(targets, size.references))
    return driven


def _sampling(recipe: Recipe, steps: int) -> SamplingOptions:
    return SamplingOptions(sampler=recipe.sampler, num_inference_steps=steps, guidance_interval=recipe.interval)
