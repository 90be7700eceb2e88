"""The generators of the package keep the contract."""

import functools

import pytest

from generator_contract import GeneratorContract
from stock_pipelines import tiny_klein, tiny_vace
from tiny_gac import tiny_gac
from tiny_models import tiny_pipeline, tiny_unet
from vmem_ros.generation import ReprojectionGenerator, VMemGenerator
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.gac import GacGenerator
from vmem_ros.generation.inpaint.generator import InpaintGenerator
from vmem_ros.generation.inpaint.options import InpaintOptions
from vmem_ros.generation.mirage import MirageGenerator
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.generation.wan import SpatiaGenerator
from vmem_ros.generation.wan_vace.generator import VaceGenerator
from vmem_ros.generation.wan_vace.options import VaceOptions
from vmem_ros.protocols import Generator
from wan_pipelines import picture_pipeline, video_pipeline


class TestReprojection(GeneratorContract):
    def make(self) -> Generator:
        return ReprojectionGenerator()


@functools.cache
def of_references() -> VMemGenerator:
    """Return a generator with a network of random weights that is told of references alone."""
    return VMemGenerator(tiny_pipeline(), sampling=SamplingOptions(sampler="fast", num_inference_steps=3))


@functools.cache
def of_projections() -> VMemGenerator:
    """Return one that is told of projections, too, in passes of any number of frames."""
    pipeline = tiny_pipeline()
    pipeline.register_modules(unet=tiny_unet(projection_channels=5))
    fast = SamplingOptions(sampler="fast", num_inference_steps=2)
    return VMemGenerator(pipeline, sampling=fast, fixed_frames=False)


class TestVMem(GeneratorContract):
    def make(self) -> Generator:
        return of_references()


class TestVMemWithProjection(GeneratorContract):
    def make(self) -> Generator:
        return of_projections()


@functools.cache
def with_depth() -> GacGenerator:
    """Return a generator that draws depth, too, with a network of random weights."""
    return GacGenerator(tiny_gac())


class TestGac(GeneratorContract):
    def make(self) -> Generator:
        return with_depth()


@functools.cache
def of_clips() -> SpatiaGenerator:
    """Return a generator of clips whose frames share latents, told by texts, too."""
    return SpatiaGenerator(video_pipeline())


@functools.cache
def of_clips_of_pictures() -> SpatiaGenerator:
    """Return one whose frames have latents of their own, without text."""
    return SpatiaGenerator(picture_pipeline())


class TestSpatia(GeneratorContract):
    def make(self) -> Generator:
        return of_clips()


class TestSpatiaOfPictures(GeneratorContract):
    def make(self) -> Generator:
        return of_clips_of_pictures()


@functools.cache
def of_clips_of_latents() -> MirageGenerator:
    """Return one that is told in latents, and keeps its own."""
    return MirageGenerator(picture_pipeline(rounds={"first": 5, "later": 5, "history": 1}))


class TestMirage(GeneratorContract):
    def make(self) -> Generator:
        return of_clips_of_latents()


@functools.cache
def of_holes() -> InpaintGenerator:
    """Return one that fills the holes of projections with a pipeline of diffusers for pictures."""
    return InpaintGenerator(tiny_klein(), options=InpaintOptions(min_side=64, max_side=128))


class TestInpaint(GeneratorContract):
    def make(self) -> Generator:
        return of_holes()


@functools.cache
def of_holes_in_clips() -> VaceGenerator:
    """Return one that fills the holes of clips, with diffusers' pipeline of Wan 2.1 VACE."""
    few = {"first": 9, "later": 9}
    options = VaceOptions(min_side=64, max_side=64, rounds=few, sampling={"num_inference_steps": 2})
    return VaceGenerator(tiny_vace(), options=options)


class TestWanVace(GeneratorContract):
    def make(self) -> Generator:
        return of_holes_in_clips()


@pytest.mark.slow
class TestShipped(GeneratorContract):
    """The model that comes with the package."""

    def make(self) -> Generator:
        return shipped()


@functools.cache
def shipped() -> Generator:
    """Return the engine that stands where nothing is named."""
    return load_generator()
