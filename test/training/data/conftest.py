"""One walk as a dataset keeps it, and as the denoising network takes it."""

import pytest
import torch

from training_runs import DATA
from vmem_ros.generation.vmem.patch_autoencoder import PatchAutoencoder
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.data.latent_walks import Encoder
from vmem_ros.training.recipes.data import Data


@pytest.fixture(scope="session")
def factory():
    return ViewWalkFactory(Data(**DATA))


@pytest.fixture(scope="session")
def walk(factory):
    return factory.make(1)


@pytest.fixture(scope="session")
def vae():
    torch.manual_seed(0)
    return PatchAutoencoder(patch=4, latent_channels=4, widths=(16, 16), blocks=(1, 1))


@pytest.fixture(scope="session")
def encoded(walk, vae):
    return Encoder(vae).encode(walk)
