"""The generators of the package keep the contract."""

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


class TestVMem(GeneratorContract):
    """A network of random weights that is told of references alone."""

    @pytest.fixture(autouse=True, scope="class")
    def network(self, request: pytest.FixtureRequest) -> None:
        fast = SamplingOptions(sampler="fast", num_inference_steps=3)
        request.cls.generator = VMemGenerator(tiny_pipeline(), sampling=fast)

    def make(self) -> Generator:
        return self.generator


class TestVMemWithProjection(TestVMem):
    """The same with inputs for projections, without a fixed number of frames."""

    @pytest.fixture(autouse=True, scope="class")
    def network(self, request: pytest.FixtureRequest) -> None:
        pipeline = tiny_pipeline()
        pipeline.register_modules(unet=tiny_unet(projection_channels=5))
        fast = SamplingOptions(sampler="fast", num_inference_steps=2)
        request.cls.generator = VMemGenerator(pipeline, sampling=fast, fixed_frames=False)


@pytest.mark.slow
class TestShipped(TestVMem):
    """The model that comes with the package."""

    @pytest.fixture(autouse=True, scope="class")
    def network(self, request: pytest.FixtureRequest) -> None:
        request.cls.generator = load_generator("vmem")
