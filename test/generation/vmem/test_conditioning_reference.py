"""Camera normalisation and the conditioning of a chunk against the arrays computed from the published code."""

import numpy as np
import pytest
import torch

from vmem_ros.generation.vmem.conditioning import Conditioning, normalise_poses, projection_channels
from vmem_ros.geometry import Camera


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return {name: torch.from_numpy(array) for name, array in np.load(reference_dir / "conditioning.npz").items()}


def chunk(arrays, case, dtype):
    """Return the conditioning of a stored case: 8 cameras, 1 or 4 references, a latent grid of 24 x 24."""
    cameras = [Camera(K, 576, 576) for K in arrays["in.Kpix_f64"]]
    # The published function takes OpenGL's axes and flips them itself.
    optical = arrays["in.c2w_f64"] * torch.tensor([1.0, -1, -1, 1], dtype=torch.float64)
    poses = normalise_poses(optical, published_offset=True)
    torch.testing.assert_close(poses, arrays[f"cond.f64.{case}.all_c2ws"], rtol=0, atol=1e-12)
    embeddings = arrays[f"cond.{case}.embeddings"]
    return Conditioning.of_chunk(
        arrays[f"cond.{case}.latents"].to(dtype), embeddings, cameras, poses, context_dim=embeddings.shape[1]
    )


@pytest.mark.parametrize(("case", "poses"), [("f64", "in.c2w_f64"), ("big", "tsf.big.in")])
def test_published_normalisation(arrays, case, poses):
    found = normalise_poses(arrays[poses], published_offset=True)
    expected = arrays[f"tsf.{case}.c2ws"].clone()
    expected[:, :3, 3] *= arrays[f"tsf.{case}.factor"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_an_outlier_does_not_move_the_centre(arrays):
    poses = arrays["in.c2w_f64"].clone()
    poses[5, :3, 3] = torch.tensor([1e9, 0, 0])
    found = normalise_poses(poses, published_offset=True)
    expected = arrays["tsf.f64.outlier.c2ws"][:, :3, 3] * arrays["tsf.f64.outlier.factor"]
    torch.testing.assert_close(found[:, :3, 3], expected, rtol=1e-9, atol=1e-9)


def test_the_first_frame_comes_to_the_given_distance(arrays):
    found = normalise_poses(arrays["in.c2w_f64"], camera_scale=3.0)
    assert found[0, :3, 3].norm().item() == pytest.approx(3.0)
    torch.testing.assert_close(found[:, :3, :3], arrays["in.c2w_f64"][:, :3, :3])


def test_a_first_frame_in_the_centre_keeps_the_scale():
    poses = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    poses[1, 0, 3], poses[2, 0, 3] = 1, -1
    assert normalise_poses(poses)[:, 0, 3].tolist() == [0, 2, -2]


@pytest.mark.parametrize("case", ["ctx1", "ctx4"])
def test_conditioning(arrays, case):
    conditional = chunk(arrays, case, torch.float32)
    for found, side in ((conditional, "c"), (conditional.unconditional(), "uc")):
        expected = {
            name: arrays[f"cond.f32.{case}.{side}.{name}"]
            for name in ("crossattn", "replace", "concat", "dense_vector")
        }
        torch.testing.assert_close(found.context, expected["crossattn"])
        torch.testing.assert_close(found.latents, expected["replace"][:, :4])
        assert torch.equal(found.given, expected["replace"][:, 4].amax(dim=(1, 2)) > 0)
        # The published code finds rays in float32.
        torch.testing.assert_close(found.concat, expected["concat"], rtol=0, atol=3e-6)
        torch.testing.assert_close(found.plucker, expected["dense_vector"], rtol=0, atol=3e-6)


@pytest.mark.parametrize("case", ["ctx1", "ctx4"])
def test_conditioning_in_float64(arrays, case):
    found = chunk(arrays, case, torch.float64).concat
    torch.testing.assert_close(found, arrays[f"cond.f64.{case}.c.concat"], rtol=0, atol=1e-12)


def test_given_latents_are_placed_where_they_are_given(arrays):
    conditional = chunk(arrays, "ctx4", torch.float32)
    noisy = torch.full_like(conditional.latents, 7.0)
    placed = conditional.place_given(noisy, 2.0)
    assert torch.equal(placed[:4], conditional.latents[:4] / 2)
    assert bool((placed[4:] == 7).all())
    assert torch.equal(conditional.unconditional().place_given(noisy, 2.0), noisy)


def test_without_an_image_encoder_the_token_is_zero():
    camera = Camera.from_fov(64, 64, 60)
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    found = Conditioning.of_chunk(torch.ones(1, 4, 8, 8), None, [camera] * 2, poses, context_dim=5)
    assert torch.equal(found.context, torch.zeros(2, 1, 5))


def test_projection_channels():
    seen = torch.zeros(1, 16, 16, dtype=torch.bool)
    seen[0, :8, :4] = True
    latents = torch.randn(1, 4, 2, 2)
    channels = projection_channels(latents, seen)
    assert torch.equal(channels[:, :4], latents)
    assert channels[0, 4].tolist() == [[0.5, 0], [0, 0]]


def test_the_unconditional_half_does_not_see_the_projection():
    camera = Camera.from_fov(64, 64, 60)
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    projection = torch.randn(2, 5, 8, 8)
    found = Conditioning.of_chunk(
        torch.ones(1, 4, 8, 8), None, [camera] * 2, poses, context_dim=5, projection=projection
    )
    assert torch.equal(found.concat[:, 7:], projection)
    assert not found.unconditional().concat[:, 7:].any()
    assert torch.equal(found.unconditional().concat[:, 1:7], found.concat[:, 1:7])
