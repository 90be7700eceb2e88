"""The generators of the package keep the contract."""

import functools

import pytest

from generator_contract import GeneratorContract
from tiny_models import tiny_pipeline, tiny_unet
from vmem_ros.generation import ReprojectionGenerator, VMemGenerator
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.protocols import Generator


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


@pytest.mark.slow
class TestShipped(GeneratorContract):
    """The model that comes with the package."""

    def make(self) -> Generator:
        return shipped()


@functools.cache
def shipped() -> Generator:
    """Return the engine that stands where nothing is named."""
    return load_generator()
