"""What tests of trainings share: walks, and a trained autoencoder and generator."""

import pytest

from training_runs import AUTOENCODER, GENERATOR, run


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Folder of walks."""
    return tmp_path_factory.mktemp("training_cache")


@pytest.fixture(scope="session")
def autoencoder(cache, tmp_path_factory):
    """Folder of an autoencoder."""
    return run(AUTOENCODER, tmp_path_factory.mktemp("autoencoder"), cache)


@pytest.fixture(scope="session")
def generator_out(autoencoder, cache, tmp_path_factory):
    """Folder of the training of a generator."""
    out = tmp_path_factory.mktemp("generator")
    run(GENERATOR, out, cache, autoencoder=str(autoencoder))
    return out
