"""Checkpoints are whole, and never more than tensors."""

import pytest
import torch

from training_runs import AUTOENCODER, run
from vmem_ros.errors import CheckpointError
from vmem_ros.training.checkpoints import Checkpoints


def test_a_damaged_checkpoint_is_named(cache, tmp_path):
    run(AUTOENCODER, tmp_path, cache, optimisation={"steps": 2})
    state = tmp_path / "checkpoints" / "step-0000002" / "state.pt"
    state.write_bytes(state.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"step-0000002 cannot be read.*go on from the one before"):
        run(AUTOENCODER, tmp_path, cache)


def test_a_checkpoint_is_not_unpickled_with_more_than_tensors(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code of a checkpoint ran",))

    folder = Checkpoints(tmp_path, keep=1).save(1, {"parameters": []}, {})
    torch.save(Evil(), folder / "state.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoints(tmp_path, keep=1).load(folder)
