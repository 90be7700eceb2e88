"""Geometry-as-Context against arrays computed from the paper's equations."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vmem_ros.generation.gac import CameraGatedAttention, DepthCode
from vmem_ros.generation.gac.overlap import ViewVolume, edge_crossings
from vmem_ros.generation.gac.rays import RayPatchifier, ray_maps
from vmem_ros.generation.gac.rotary import rotary_table
from vmem_ros.generation.gac.sequence import Split, attention_mask, interleave, positions_of
from vmem_ros.geometry import Camera, plucker_rays
from vmem_ros.types import Target

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def arrays(reference_dir) -> dict[str, Tensor]:
    with np.load(reference_dir / "others" / "gac.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def facts(reference_dir) -> dict[str, Any]:
    return json.loads((reference_dir / "others" / "gac.json").read_text())


def agree(found: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> bool:
    return found.shape == expected.shape and float((found - expected).abs().max()) <= tolerance


def test_the_equations_alone(arrays) -> None:
    a = arrays
    attention = CameraGatedAttention(24, 3)
    weights = {"qkv.weight": "eq_W1", "qkv.bias": "eq_b1", "camera.weight": "eq_W2", "camera.bias": "eq_b2"}
    weights |= {"out.weight": "eq_W3", "out.bias": "eq_b3"}
    attention.load_state_dict({name: a[array] for name, array in weights.items()})
    with torch.no_grad():
        q = attention.qkv(a["eq_F"])[..., :24]
        residual, gate = attention.camera(q + a["eq_r"]).chunk(2, dim=-1)
        assert agree(q, a["eq_q"])
        assert agree(residual, a["eq_q_res"])
        assert agree(gate, a["eq_gate"])
        said: list[Tensor] = []
        attention.out.register_forward_pre_hook(lambda _, inputs: said.append(inputs[0]))
        assert agree(attention(a["eq_F"], a["eq_r"]), a["eq_output"])
        assert agree(said[0], a["eq_attention"] * gate.sigmoid())


def test_rays_and_their_tokens(arrays) -> None:
    a = arrays
    cameras = [Camera(a["ray_K"], 48, 32)] * 2
    assert agree(plucker_rays(cameras, a["ray_T_world_camera"], height=32, width=48).float(), a["ray_map"])
    maps = ray_maps(cameras, a["ray_T_world_camera"], (32, 48))
    assert agree(maps, a["ray_map"])
    patchifier = RayPatchifier(24, 16)
    patchifier.load_state_dict({"convolution.weight": a["ray_conv_weight"], "convolution.bias": a["ray_conv_bias"]})
    with torch.no_grad():
        assert agree(patchifier(maps), a["ray_tokens"])


def test_a_sequence_through_a_layer_with_norms_positions_and_grouped_keys(arrays, facts) -> None:
    a = arrays
    splits = [Split(part["mode"], part["length"]) for part in facts["split_kinds"]]
    assert torch.equal(attention_mask(splits), a["seq_mask"])
    assert torch.equal(positions_of(splits), a["seq_position"])
    attention = CameraGatedAttention(24, 4, 2, out_bias=False, qk_norm=True)
    attention.load_state_dict(
        {
            "qkv.weight": torch.cat([a["seq_Wq"], a["seq_Wk"], a["seq_Wv"]]),
            "qkv.bias": torch.cat([a["seq_bq"], a["seq_bk"], a["seq_bv"]]),
            "camera.weight": a["seq_W2"],
            "camera.bias": a["seq_b2"],
            "out.weight": a["seq_W3"],
            "q_norm.weight": a["seq_q_norm"],
            "k_norm.weight": a["seq_k_norm"],
        }
    )
    posed = torch.cat([torch.full((split.length,), split.mode != "causal") for split in splits])
    assert torch.equal(posed, (a["seq_r"][0] != 0).any(dim=-1))
    said: list[Tensor] = []
    attention.out.register_forward_pre_hook(lambda _, inputs: said.append(inputs[0]))
    with torch.no_grad():
        rotary = rotary_table(a["seq_position"], 6)
        found = attention(a["seq_x"], a["seq_r"], a["seq_mask"], rotary=rotary, posed=posed)
    assert agree(found, a["seq_output"])
    # Words are not gated: their attention comes out as it is.
    assert agree(said[0][:, ~posed], a["seq_attention"][:, ~posed])


def test_layouts_with_geometry_left_out(facts) -> None:
    for keep, expected in facts["geometry_dropout_layouts"]["layouts"].items():
        assert [str(part) for part in interleave(5, 2, json.loads(keep))] == expected


@pytest.mark.parametrize("curve", ["log", "inverse"])
def test_codes_of_depth(arrays, curve) -> None:
    code, depth = DepthCode(curve=curve), arrays["depth_z"]
    assert agree(code.encode(depth), arrays[f"depth_code_{curve}"], 1e-12)
    assert agree(code.decode(code.encode(depth)), depth, 1e-10)


@pytest.mark.parametrize("curve", ["log", "inverse", "sqrt", "linear"])
def test_errors_of_codes_of_depth(arrays, facts, curve) -> None:
    code, depth = DepthCode(*facts["depth_code_errors"]["range_m"], curve=curve), arrays["depth_z"]
    expected = facts["depth_code_errors"]["codes"][curve]
    levels = ((code.encode(depth) + 1) / 2 * 255).round() / 255 * 2 - 1
    after_8_bits = (code.decode(levels) - depth).abs() / depth
    assert float(after_8_bits.max()) == pytest.approx(expected["max_rel_err_8bit"])
    assert float(np.median(after_8_bits)) == pytest.approx(expected["median_rel_err_8bit"])
    wrong = (code.decode(code.encode(depth) + 0.02) - depth).abs() / depth
    assert float(wrong.max()) == pytest.approx(expected["max_rel_err_code_plus_0_02"])


def test_overlap_of_view_volumes_and_crossings_of_edges(arrays) -> None:
    width, height = 160.0, 90.0
    fx, fy = width / 2 / math.tan(math.radians(30)), height / 2 / math.tan(math.radians(17.5))
    camera = Camera(torch.tensor([[fx, 0, width / 2], [0, fy, height / 2], [0, 0, 1]]).double(), 160, 90)
    poses = arrays["fov_T_world_camera"]
    target, cameras = Target(camera, poses[0]), [camera] * len(poses)
    assert agree(ViewVolume().shares(target, cameras, poses), arrays["fov_fraction"], 1e-12)
    assert torch.equal(edge_crossings(target, cameras, poses), arrays["fov_ray_crossings"])
