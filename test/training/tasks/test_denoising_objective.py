"""What the denoising network is trained for."""

import pytest
import torch

from vmem_ros.generation.vmem.conditioning import Conditioning
from vmem_ros.generation.vmem.denoising import Denoiser
from vmem_ros.generation.vmem.prediction import clean_latents, wanted_output
from vmem_ros.generation.vmem.schedules import log_scheduler, noise_levels
from vmem_ros.training.data.view_sets import ViewSetBatch
from vmem_ros.training.tasks.denoising_objective import DenoisingObjective


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_prediction_gives_the_clean_latents(prediction):
    torch.manual_seed(0)
    clean, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    sigma = torch.tensor([0.02, 1.0, 40.0])[:, None, None, None]
    noisy = (clean + sigma * noise) / (sigma**2 + 1).sqrt()
    output = wanted_output(prediction, clean, noise, sigma)
    assert torch.allclose(clean_latents(prediction, noisy, output, sigma), clean, atol=2e-5)


class _Perfect:
    """A network that knows the clean latents of its frames, and says the velocity that leads to them."""

    def __init__(self, clean, sigmas):
        self.clean, self.sigmas = clean, torch.from_numpy(sigmas).float()

    def prepare(self, *_):
        return None

    def __call__(self, sample, timestep, *_, num_frames=None, prepared=None):
        channels = self.clean.shape[1]
        sigma = self.sigmas[timestep][:, None, None, None]
        noisy = sample[:, :channels]
        noise = (noisy * (sigma**2 + 1).sqrt() - self.clean) / sigma
        return type("Output", (), {"sample": wanted_output("v_prediction", self.clean, noise, sigma)})


class _Wrong:
    """A network that says the same everywhere and keeps the timesteps it is asked at."""

    def __init__(self, value):
        self.value, self.timesteps = value, []

    def __call__(self, sample, timestep, *_):
        self.timesteps += timestep.tolist()
        return type("Output", (), {"sample": torch.full_like(sample[:, :4], self.value)})


def test_a_share_of_the_sets_is_noise_alone():
    conditioning = Conditioning(
        torch.zeros(100, 4, 2, 2), torch.zeros(100, dtype=torch.bool), torch.zeros(100, 6, 2, 2), torch.zeros(100, 1, 8)
    )
    for share, least, most in ((0.0, 0, 2), (0.5, 35, 65), (1.0, 100, 100)):
        network = _Wrong(0.0)
        objective = DenoisingObjective(log_scheduler(0.02, 40.0), pure_noise=share)
        objective(network, ViewSetBatch(torch.zeros(100, 4, 2, 2), conditioning, 1), torch.Generator().manual_seed(0))
        assert least <= network.timesteps.count(999) <= most


def test_errors_of_pixels_are_absolute_ones_of_decoded_images_that_are_not_given():
    clean = torch.zeros(2, 4, 2, 2)
    clean[0] = 100.0  # given: what is said of it does not count
    given = torch.tensor([True, False])
    conditioning = Conditioning(
        clean * given[:, None, None, None], given, torch.zeros(2, 6, 2, 2), torch.zeros(2, 1, 8)
    )
    objective = DenoisingObjective(
        log_scheduler(0.02, 40.0, prediction="sample"), decode=lambda latents: 3 * latents + 7
    )
    loss, _ = objective(_Wrong(-2.0), ViewSetBatch(clean, conditioning, 2), torch.Generator().manual_seed(0))
    assert float(loss) == pytest.approx(6.0)


def test_errors_count_more_where_memory_shows_nothing():
    """Two cells, one of them seen; the error of the other is three times as large."""
    clean = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2).expand(1, 4, 1, 2)
    projection = torch.cat([torch.zeros(1, 4, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)], dim=1)
    given = torch.tensor([False])
    conditioning = Conditioning(
        torch.zeros(1, 4, 1, 2), given, torch.zeros(1, 6, 1, 2), torch.zeros(1, 1, 8), projection
    )
    scheduler = log_scheduler(0.02, 40.0, prediction="sample")
    for unseen, expected in ((1.0, 2.0), (3.0, 2.5), (0.0, 1.0)):
        objective = DenoisingObjective(scheduler, decode=lambda latents: latents[:, :3], unseen=unseen)
        loss, _ = objective(_Wrong(0.0), ViewSetBatch(clean, conditioning, 1), torch.Generator().manual_seed(0))
        assert float(loss) == pytest.approx(expected)


def test_a_perfect_network_has_no_loss_and_denoises_in_one_step():
    torch.manual_seed(0)
    clean = torch.randn(3, 4, 4, 4)
    given = torch.tensor([True, False, False])
    conditioning = Conditioning(
        clean * given[:, None, None, None], given, torch.randn(3, 6, 4, 4), torch.zeros(3, 1, 8)
    )
    scheduler = log_scheduler(0.02, 40.0, prediction="v_prediction")
    sigmas = noise_levels(scheduler)
    network = _Perfect(clean, sigmas)
    loss, figures = DenoisingObjective(scheduler)(
        network, ViewSetBatch(clean, conditioning, 3), torch.Generator().manual_seed(0)
    )
    assert float(loss) < 1e-4
    assert len(figures) == 1
    denoiser = Denoiser(network, conditioning, torch.ones(3), prediction="v_prediction")
    noisy = torch.randn(3, 4, 4, 4)
    assert torch.allclose(denoiser(noisy, torch.tensor(700), float(sigmas[700])), clean, atol=1e-3)
