"""Walks as the denoising network takes them."""

import torch

from vmem_ros.generation.vmem.autoencoding import encode, pixels
from vmem_ros.geometry.hole_filling import fill_holes
from vmem_ros.training.data.latent_walks import Encoder


def test_encoded_walks_hold_what_the_pipeline_would_compute(walk, encoded, vae):
    with torch.no_grad():
        views = encode(vae, pixels(list(walk.images)))
    assert torch.allclose(encoded.latents.float(), views, atol=1e-2)
    share = torch.nn.functional.avg_pool2d(walk.seen[:, None].float(), 4)
    assert torch.allclose(encoded.shown[:, 4:].float(), share, atol=1e-3)
    holes_filled = fill_holes(pixels(list(walk.shown)), walk.seen)
    with torch.no_grad():
        assert torch.allclose(encoded.shown[:, :4].float(), encode(vae, holes_filled), atol=1e-2)
        nothing = encode(vae, torch.zeros(1, 3, *walk.images.shape[1:3]))[0]
    assert torch.allclose(encoded.nothing.float(), nothing, atol=1e-2)


def test_the_digest_is_that_of_what_encodes(vae):
    before = Encoder(vae).digest
    restored = vae.restorer[0].weight.detach().clone()
    with torch.no_grad():
        vae.restorer[0].weight.add_(1)
        assert Encoder(vae).digest == before
        vae.restorer[0].weight.copy_(restored)
        vae.encoder.weight.mul_(2)
        assert Encoder(vae).digest != before
        vae.encoder.weight.div_(2)
    assert Encoder(vae).digest == before
