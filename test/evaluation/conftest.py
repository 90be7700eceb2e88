"""Made once for all tests here: a house, and what every method of the ablation answers in one with a tiny network."""

import pytest

from tiny_models import tiny_projecting_pipeline
from vmem_ros.evaluation.ablation_methods import METHODS
from vmem_ros.evaluation.ablation_run import AblationConfig, HouseResult, evaluate_house
from vmem_ros.generation.vmem.generator import VMemGenerator
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.scenes import EVALUATION_SEEDS, House


@pytest.fixture(scope="session")
def generator() -> VMemGenerator:
    return VMemGenerator(tiny_projecting_pipeline())


@pytest.fixture(scope="session")
def result(generator: VMemGenerator) -> HouseResult:
    config = AblationConfig(poses=3, loop=3, size=32)
    return evaluate_house(EVALUATION_SEEDS[0], METHODS, generator, MemoryDepth(), load_memory(), config)


@pytest.fixture(scope="session")
def house() -> House:
    return House(EVALUATION_SEEDS[1])
