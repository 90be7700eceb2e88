"""LoRA adapters on disk: what peft and diffusers write, read from safetensors alone and checked against the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vmem_ros.errors import ModelError
from vmem_ros.files import atomic_file

# What peft and diffusers call their files, and write before the names of modules.
_PEFT_WEIGHTS, _PEFT_CONFIG, _PEFT_PREFIX = "adapter_model.safetensors", "adapter_config.json", "base_model.model."
_DIFFUSERS_WEIGHTS, _DIFFUSERS_CONFIG, _DIFFUSERS_PREFIX = (
    "pytorch_lora_weights.safetensors",
    "lora_adapter_metadata",
    "unet.",
)
# What scales a low-rank pair. Its rank and its layer, the weights themselves say.
_FIELDS = ("lora_alpha", "alpha_pattern", "use_rslora")
_A, _B = ".lora_A.weight", ".lora_B.weight"


def read_adapter(source: Path | str, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return (name: tensor, fields of peft's ``LoraConfig``) of an adapter for ``network``.

    :param source: a folder of peft or diffusers, or its safetensors file.
    :returns: names as ``network`` has them, with ``.lora_A.weight`` and ``.lora_B.weight``. Where a file does not say
        its alpha, that is the rank, as in diffusers.
    :raises ModelError: missing, truncated, more than a plain LoRA, or made for another network.
    """
    path = _weights_file(Path(source).expanduser())
    weights, fields = _read(path)
    alien = sorted(name for name in weights if not name.endswith((_A, _B)))
    if alien or not weights:
        found = f"it holds {alien[0]}" if alien else "it is empty"
        raise ModelError(f"{path} is no plain LoRA adapter ({found}): only pairs of lora_A and lora_B can be loaded")
    ranks = _checked_ranks(weights, network, path)
    rank_pattern = {f"^{module}": rank for module, rank in ranks.items()}
    scaling: dict[str, Any] = {"lora_alpha": 1.0, "alpha_pattern": rank_pattern}
    if fields.get("lora_alpha") is not None:
        scaling = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
    if not _is_scaling(**scaling):
        raise ModelError(f"{path} does not say how its weights are scaled, but {scaling}: copy it again")
    return weights, {
        **scaling,
        "r": max(ranks.values()),
        "rank_pattern": rank_pattern,
        "target_modules": sorted(ranks),
    }


def write_adapter(folder: Path | str, weights: Mapping[str, Tensor], config: Any) -> Path:
    """Write an adapter in the format of diffusers, and return the path of its only file.

    :param folder: made if it does not exist.
    :param weights: name: tensor, as ``network`` has them.
    :param config: peft's ``LoraConfig``.
    :raises ModelError: it cannot be written; an adapter that was there is unchanged.
    """
    path = Path(folder).expanduser() / _DIFFUSERS_WEIGHTS
    fields = {_DIFFUSERS_PREFIX + name: getattr(config, name) for name in _FIELDS}
    try:
        with atomic_file(path) as new:
            save_file(
                {_DIFFUSERS_PREFIX + name: tensor.contiguous() for name, tensor in weights.items()},
                new,
                metadata={"format": "pt", _DIFFUSERS_CONFIG: json.dumps(fields)},
            )
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write {path}: {error}") from error
    return path


def _weights_file(source: Path) -> Path:
    candidates = [source / _PEFT_WEIGHTS, source / _DIFFUSERS_WEIGHTS] if source.is_dir() else [source]
    for path in candidates:
        if path.is_file() and path.suffix == ".safetensors":
            return path
    raise ModelError(
        f"there is no LoRA adapter at {source}: give a folder with {_PEFT_WEIGHTS} or {_DIFFUSERS_WEIGHTS}, or a "
        ".safetensors file"
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and configuration of a file, without the prefixes of peft or diffusers."""
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
            metadata = file.metadata() or {}
        if path.name == _PEFT_WEIGHTS:
            prefix, text = _PEFT_PREFIX, (path.parent / _PEFT_CONFIG).read_text(encoding="utf-8")
        else:
            prefix, text = _DIFFUSERS_PREFIX, metadata.get(_DIFFUSERS_CONFIG, "{}")
        fields = {name.removeprefix(prefix): value for name, value in json.loads(text).items()}
    except (OSError, SafetensorError, ValueError, AttributeError) as error:
        raise ModelError(f"the LoRA adapter {path} cannot be read: {error}; copy it again") from error
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}, fields


def _checked_ranks(weights: Mapping[str, Tensor], network: nn.Module, path: Path) -> dict[str, int]:
    """Return the rank by name of the module, of adapters that fit the modules of ``network``."""
    modules = dict(network.named_modules())
    ranks = {}
    for name in sorted({name.removesuffix(_A).removesuffix(_B) for name in weights}):
        down, up = weights.get(name + _A), weights.get(name + _B)
        layer = getattr(modules.get(name), "base_layer", modules.get(name))
        weight = getattr(layer, "weight", None)
        if weight is None or down is None or up is None:
            what = "which the network does not have" if weight is None else "but not both lora_A and lora_B"
            raise ModelError(f"{path} has weights for {name}, {what}: use the network that the adapter was trained for")
        # Convolutions have their kernel size in further dimensions.
        if (down.shape[1], up.shape[0], up.shape[1]) != (weight.shape[1], weight.shape[0], down.shape[0]):
            raise ModelError(
                f"{path} has lora_A {list(down.shape)} and lora_B {list(up.shape)} for {name}, whose weight is "
                f"{list(weight.shape)}: use the network that the adapter was trained for"
            )
        ranks[name] = down.shape[0]
    return ranks


def _is_scaling(lora_alpha: object, alpha_pattern: object = None, use_rslora: object = False) -> bool:
    pattern = alpha_pattern or {}
    if not isinstance(pattern, dict) or not isinstance(use_rslora, bool):
        return False
    return all(isinstance(alpha, (int, float)) for alpha in (lora_alpha, *pattern.values()))
