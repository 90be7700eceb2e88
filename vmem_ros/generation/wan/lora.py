"""LoRA adapters of the video network under their published names.

Trainers of the published code save ``pipe.dit.<module>.lora_A.weight``, with or without the name of the adapter before
``weight``. Its loader skips what it does not know and, where the prefix is missing, loads nothing without a word; here
that is an error, and what is skipped on purpose is said.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vmem_ros.errors import ModelError
from vmem_ros.extras import needs_extra
from vmem_ros.generation.wan.published import to_diffusers

_log = logging.getLogger(__name__)

# What the network is called in published adapters, and in those of diffusers and of other programs.
_PREFIX = re.compile(r"^(pipe\.dit|transformer|diffusion_model)\.")
# The scene branch is trained whole and has a file of its own.
_SCENE_BRANCH = "pipe.vace."
_FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight$")
_LISTED = 3


def read_published_adapter(source: Path | str) -> dict[str, Tensor]:
    """Return the tensors of an adapter's safetensors file under the names in the file.

    :raises ModelError: it is missing, truncated, or no safetensors file.
    """
    path = Path(source).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        raise ModelError(f"there is no LoRA adapter at {source}: give its .safetensors file")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the LoRA adapter {path} cannot be read: {error}; copy it again") from error


def adapter_for(network: Any, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the factors of a published adapter as ``network`` calls them, checked against it.

    :returns: ``<module>.lora_A.weight`` [r, in] and ``<module>.lora_B.weight`` [out, r].
    :raises ModelError: nothing in it is for this network, a name that is no factor, a factor without the other, or one
        of another shape.
    """
    skipped = sorted(name for name in published if name.startswith(_SCENE_BRANCH))
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in published.items():
        if name in skipped:
            continue
        match = _FACTOR.match(_PREFIX.sub("", name))
        if match is None:
            raise ModelError(f"the adapter has {name}, which is no factor of a LoRA: is it the file of an adapter?")
        module = to_diffusers(match["module"] + ".").removesuffix(".")
        if found.setdefault(module, {}).setdefault(match["side"], tensor) is not tensor:
            raise ModelError(f"the adapter has {name} twice, under two names")
    if not found:
        raise ModelError(
            f"nothing in the adapter is for this network: it has {len(published)} tensors, none named "
            "pipe.dit.<module>.lora_A.weight"
        )
    modules = dict(network.named_modules())
    if strange := sorted(name for name in found if not hasattr(modules.get(name), "weight")):
        listed = ", ".join(strange[:_LISTED])
        raise ModelError(
            f"the adapter has factors for {len(strange)} modules of {len(found)} that this network does not have "
            f"({listed}): use the network that it was trained for"
        )
    for module, factors in found.items():
        _check_factors(module, factors, modules[module].weight)
    if skipped:
        _log.warning(
            "the LoRA adapter has %d tensors of the scene branch (%s), which the published code does not use either: "
            "left out",
            len(skipped),
            ", ".join(skipped[:_LISTED]),
        )
    return {f"{module}.lora_{side}.weight": tensor for module, pair in found.items() for side, tensor in pair.items()}


class WanLoraMixin:
    """Loads and removes LoRA adapters of a pipeline's ``transformer``, in published naming."""

    transformer: Any

    def load_lora_weights(
        self, source: Path | str | Mapping[str, Tensor], *, scale: float = 1.0, adapter_name: str = "default"
    ) -> None:
        """Add an adapter to the network and use it from now on; it can be switched off and removed.

        :param source: its safetensors file, or its tensors.
        :param scale: what it adds is multiplied by; published adapters are used with 1, whatever their rank.
        :param adapter_name: what to call it among several.
        :raises ModelError: unreadable, for another network, or the name is taken; nothing has changed then.
        :raises MissingPackageError: peft is not installed.
        """
        load_adapter(self.transformer, source, scale=scale, adapter_name=adapter_name)

    def unload_lora_weights(self) -> None:
        """Remove all adapters; the network is bit by bit what it was before the first one."""
        if getattr(self.transformer, "peft_config", None):
            self.transformer.unload_lora()


def load_adapter(
    network: Any, source: Path | str | Mapping[str, Tensor], *, scale: float = 1.0, adapter_name: str = "default"
) -> None:
    """Add an adapter to a network; see :meth:`WanLoraMixin.load_lora_weights`."""
    with needs_extra("lora", "a LoRA adapter"):
        import peft  # noqa: F401 diffusers needs it
    if adapter_name in getattr(network, "peft_config", {}):
        raise ModelError(f"an adapter {adapter_name!r} is loaded already: unload it, or choose another name")
    published = source if isinstance(source, Mapping) else read_published_adapter(source)
    weights = adapter_for(network, published)
    ranks = {name.removesuffix(".lora_A.weight"): len(w) for name, w in weights.items() if name.endswith("A.weight")}
    pattern = {f"^{module}$": rank for module, rank in ranks.items()}
    # What an adapter adds is its product times alpha / rank.
    config = {
        "r": max(ranks.values()),
        "lora_alpha": max(ranks.values()),
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "target_modules": sorted(ranks),
    }
    network.load_lora_adapter(
        {name: tensor.to(network.dtype) for name, tensor in weights.items()},
        prefix=None,
        adapter_name=adapter_name,
        metadata=config,
    )
    network.set_adapters([adapter_name], weights=[scale])


def switch_adapters(network: Any, on: bool) -> None:
    """Use the adapters of a network, if it has any, or do without them."""
    if getattr(network, "peft_config", None):
        (network.enable_lora if on else network.disable_lora)()


def _check_factors(module: str, factors: Mapping[str, Tensor], weight: Tensor) -> None:
    if set(factors) != {"A", "B"}:
        raise ModelError(f"the adapter has one of two factors for {module}: is the file complete?")
    down, up = factors["A"], factors["B"]
    fits = down.ndim == up.ndim == weight.ndim == 2 and (up.shape[0], down.shape[1]) == tuple(weight.shape)
    if not fits or up.shape[1] != down.shape[0] or not down.shape[0]:
        raise ModelError(
            f"the adapter has lora_A {list(down.shape)} and lora_B {list(up.shape)} for {module}, whose weight is "
            f"{list(weight.shape)}: use the network that it was trained for"
        )
    if not down.is_meta and not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise ModelError(f"the adapter has numbers for {module} that are not finite: copy it again")
