"""Trainings that take seconds: tiny views, one house, networks of a few thousand parameters."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from vmem_ros.generation import VMemGenerator, VMemPipeline
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.memory import load_memory
from vmem_ros.training.data.house_walks import ViewWalkFactory, true_geometry
from vmem_ros.training.recipes import as_recipe
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.start import train
from vmem_ros.training.tasks.task import Task
from vmem_ros.types import Target

DATA: dict[str, Any] = {
    "size": [32, 32],
    "chunks": 4,
    "remembered": [1.0, 1.0],
    "walks_per_house": 1000,
    "first_walks": 2,
    "samples_per_walk": 1000,
    "workers": 0,
}
REPORTING: dict[str, Any] = {"log_every": 1, "sample_every": 1000, "sample_sets": 1, "checkpoint_every": 2}
AUTOENCODER: dict[str, Any] = {
    "trains": "autoencoder",
    "kind": "PatchAutoencoder",
    "config": {"patch": 4, "widths": [16, 16], "blocks": [1, 1], "latent_channels": 4},
    "latent_noise": 0.05,
    "optimisation": {"steps": 4, "batch": 2, "lr": 0.002, "warmup_steps": 2, "ema_decay": 0.9},
    "data": DATA,
    "reporting": REPORTING,
}
GENERATOR: dict[str, Any] = {
    "trains": "generator",
    "network": {
        "model_channels": 32,
        "channel_mult": [1],
        "num_res_blocks": 1,
        "attention_resolutions": [1],
        "transformer_depth": [1],
        "num_head_channels": 16,
        "context_dim": 8,
    },
    "diffusion": {"prediction": "v_prediction"},
    "optimisation": {"steps": 2, "batch": 2, "lr": 0.001, "warmup_steps": 0},
    "data": DATA,
    "sampling": {"num_inference_steps": 2},
    "reporting": REPORTING,
}
GAC: dict[str, Any] = {
    "trains": "generator",
    "engine": "gac",
    "network": {"patch": 2, "width": 32, "num_layers": 2, "heads": 4, "kv_heads": 2, "ffn_width": 48},
    "depth": {"far_m": 20.0},
    "sequences": {"views": 4, "context": [1, 2]},
    "optimisation": {"steps": 2, "batch": 2, "lr": 0.001, "warmup_steps": 0},
    "data": DATA,
    "sampling": {"num_inference_steps": 2, "geometry_steps": 2},
    "reporting": REPORTING,
}
SPATIA: dict[str, Any] = {
    "trains": "generator",
    "engine": "spatia",
    "network": {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "text_dim": 8,
        "ffn_dim": 48,
        "num_layers": 2,
        "vace_layers": [0],
        "prediction": "sample",
    },
    "optimisation": {"steps": 2, "batch": 2, "lr": 0.001, "warmup_steps": 0},
    "data": DATA,
    "sampling": {"num_inference_steps": 2},
    "reporting": REPORTING,
}
MIRAGE: dict[str, Any] = {**SPATIA, "engine": "mirage"}
LORA: dict[str, Any] = {
    "trains": "lora",
    "adapter": {"rank": 2},
    "optimisation": {"steps": 2, "batch": 1, "lr": 0.01, "warmup_steps": 0, "ema_decay": 0.0},
    "data": DATA,
    "sampling": {"num_inference_steps": 2},
    "reporting": REPORTING,
}
DEPTH: dict[str, Any] = {
    "trains": "depth",
    "network": {"widths": [8, 16], "blocks": [1, 1], "attention_blocks": 1, "head_width": 8, "focal_px": 25.0},
    "optimisation": {"steps": 4, "batch": 4, "lr": 0.003, "warmup_steps": 1, "ema_decay": 0.9},
    "data": DATA,
    "reporting": REPORTING,
}


def changed(recipe: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a copy with other fields; of a section given as a mapping only the fields named change."""
    made = copy.deepcopy(recipe)
    for name, value in fields.items():
        made[name] = {**made[name], **value} if isinstance(value, dict) and name in made else value
    return made


def run(recipe: dict[str, Any], out: Path, cache: Path, **fields: Any) -> Path:
    """Train one of the recipes above with other fields, and return the folder of its result."""
    train(as_recipe(changed(recipe, **fields)), out, cache=cache, device="cpu", threads=1)
    return out / "model"


def mean_loss(task: Task) -> float:
    """Return the loss of sixteen samples, the same in every call."""
    with torch.no_grad():
        losses = [task.loss(task.network, n, 4, torch.Generator().manual_seed(n))[0] for n in range(4)]
    return float(torch.stack(losses).mean())


def log(out: Path) -> list[dict[str, float]]:
    """Return the log of a training."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a model, by file and name."""
    files = sorted(folder.rglob("*.safetensors"))
    assert files, f"nothing in {folder}"
    return {f"{path.name}:{name}": tensor for path in files for name, tensor in load_file(path).items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Return whether two models are equal bit by bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def generate(pipeline: VMemPipeline) -> torch.Tensor:
    """Return two views [2, H, W, 3] that a pipeline generates after one, through the generator that worlds use."""
    views, _ = ViewWalkFactory(Data(**DATA)).views(0)
    memory = load_memory()
    memory.write(views[:1], [true_geometry(views[0])])
    targets = [Target(view.camera, view.T_world_camera) for view in views[1:3]]
    generator = VMemGenerator(pipeline, sampling=SamplingOptions(sampler="fast", num_inference_steps=2))
    return torch.stack([view.image for view in generator.generate(memory.read(targets, 4), targets, seed=0)])
