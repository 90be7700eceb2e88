"""Images on their way to latents and embeddings."""

import math

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from tiny_models import tiny_image_encoder, tiny_vae
from vmem_ros.generation.vmem.autoencoding import decode, downsampling, encode, pixels
from vmem_ros.generation.vmem.image_embedding import clip_pixels, embed


def test_pixels():
    images = [torch.tensor([[[0, 255, 51]]], dtype=torch.uint8)] * 2
    torch.testing.assert_close(pixels(images), torch.tensor([-1, 1, -0.6]).view(1, 3, 1, 1).expand(2, -1, -1, -1))


def test_clip_pixels_are_those_of_the_published_code():
    """Values of ``kornia.geometry.resize(x, 16, "bicubic", align_corners=True, antialias=True)``, normalised."""
    image = torch.sin(torch.arange(3 * 40 * 48).reshape(1, 3, 40, 48) * 0.37)
    found = clip_pixels(image, 16)
    expected = [
        [0.2808, 1.3354, 0.4510, -1.0346],
        [-0.2356, 1.1937, 1.0345, -0.4725],
        [-0.5664, 0.9011, 1.4846, 0.3016],
    ]
    torch.testing.assert_close(found[0, :, ::5, 3], torch.tensor(expected), rtol=0, atol=1e-4)
    assert found.sum().item() == pytest.approx(144.3185, abs=1e-2)
    assert found.square().sum().item() == pytest.approx(766.8276, abs=1e-2)


def test_small_images_are_not_blurred():
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    found = clip_pixels(board.expand(1, 3, 8, 8), 8)
    assert found[0, 0].unique().shape == (2,)


def test_a_grey_image_stays_grey():
    found = clip_pixels(torch.zeros(1, 3, 50, 70), 32)
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    torch.testing.assert_close(found, ((0.5 - mean) / std)[:, None, None].expand(1, 3, 32, 32))


def test_embeddings_are_those_of_the_encoder_whatever_the_size():
    encoder = tiny_image_encoder()
    images = torch.rand(2, 3, 64, 96) * 2 - 1
    found = embed(encoder, images)
    assert found.shape == (2, 48)
    torch.testing.assert_close(found, encoder(clip_pixels(images, 224)).image_embeds)


def test_latents_are_the_scaled_mean():
    vae = tiny_vae()
    images = torch.rand(2, 3, 32, 16) * 2 - 1
    latents = encode(vae, images)
    torch.testing.assert_close(latents, vae.encode(images).latent_dist.mean * 0.18215)
    torch.testing.assert_close(decode(vae, latents), vae.decode(latents / 0.18215).sample)


def test_a_shift_of_the_autoencoder_is_undone():
    vae = AutoencoderKL(norm_num_groups=4, block_out_channels=(8,), shift_factor=0.5, scaling_factor=2.0).eval()
    images = torch.rand(1, 3, 8, 8) * 2 - 1
    with torch.no_grad():
        mean = vae.encode(images).latent_dist.mean
        torch.testing.assert_close(encode(vae, images), (mean - 0.5) * 2)
        torch.testing.assert_close(decode(vae, encode(vae, images)), vae.decode(mean).sample)


@pytest.mark.parametrize("levels", [1, 3])
def test_downsampling(levels):
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * levels, "up_block_types": ("UpDecoderBlock2D",) * levels}
    kl = AutoencoderKL(norm_num_groups=4, block_out_channels=(8,) * levels, **blocks)
    widths, counts = (8,) * levels, (1,) * levels
    tiny = AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=counts,
        num_decoder_blocks=counts,
    )
    for vae in (kl, tiny):
        latents = encode(vae, torch.zeros(1, 3, 16, 16))
        assert math.prod(latents.shape[-2:]) * downsampling(vae) ** 2 == 256
        assert downsampling(vae) == 2 ** (levels - 1)
