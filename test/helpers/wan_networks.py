"""The network with a scene branch of the reference arrays, and a smaller random one, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vmem_ros.generation.wan import SceneWanTransformer3DModel

TINY: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 8,
    "out_channels": 8,
    "text_dim": 16,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 3,
    "vace_layers": (0, 2),
    "vace_in_channels": 16,
}


def tiny_transformer(seed: int = 0, **config: Any) -> SceneWanTransformer3DModel:
    """Return a random network in evaluation mode; ``config`` overrides :data:`TINY`."""
    torch.manual_seed(seed)
    return SceneWanTransformer3DModel(**{**TINY, **config}).eval().requires_grad_(False)


def tiny_inputs(
    network: SceneWanTransformer3DModel, frames: int = 4, references: int = 1, *, batch: int = 1, seed: int = 1
) -> dict[str, Any]:
    """Return arguments of a call; the references and the first frame after them are given."""
    g = torch.Generator().manual_seed(seed)
    config, total = network.config, references + frames
    timestep = torch.full((batch, total), 700.0)
    timestep[:, : references + 1] = 0
    return {
        "hidden_states": torch.randn(batch, config.in_channels, total, 4, 6, generator=g),
        "timestep": timestep,
        "encoder_hidden_states": torch.randn(batch, 3, config.text_dim, generator=g),
        "control_hidden_states": torch.randn(batch, config.vace_in_channels, frames, 4, 6, generator=g),
        "num_references": references,
    }


def published_states(reference_dir: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return (main, control) parameters of the tiny published network, under their published names."""
    weights = load_file(reference_dir / "others" / "tiny_wan_vace_weights.safetensors")
    main, control = (
        {name.removeprefix(part): value for name, value in weights.items() if name.startswith(part)}
        for part in ("dit.", "vace.")
    )
    assert len(main) + len(control) == len(weights)
    return main, control


def published_config(reference_dir: Path) -> dict[str, Any]:
    """Return the configuration of the tiny published network."""
    found = json.loads((reference_dir / "others" / "tiny_wan_vace_config.json").read_text())
    main, control = found["dit"], found["control"]
    return {
        "patch_size": tuple(main["patch_size"]),
        "num_attention_heads": main["num_heads"],
        "attention_head_dim": main["dim"] // main["num_heads"],
        "in_channels": main["in_dim"],
        "out_channels": main["out_dim"],
        "text_dim": main["text_dim"],
        "freq_dim": main["freq_dim"],
        "ffn_dim": main["ffn_dim"],
        "num_layers": main["num_layers"],
        "eps": main["eps"],
        "vace_layers": control["vace_layers"],
        "vace_in_channels": control["vace_in_dim"],
    }


def published_network(reference_dir: Path) -> SceneWanTransformer3DModel:
    """Return the tiny network of the reference arrays with its published weights."""
    network = SceneWanTransformer3DModel(**published_config(reference_dir))
    network.load_published(*published_states(reference_dir))
    return network.eval().requires_grad_(False)
