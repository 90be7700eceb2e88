"""LoRA adapters of a pipeline's network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vmem_ros.errors import ModelError
from vmem_ros.extras import needs_extra
from vmem_ros.generation.vmem.lora_files import read_adapter, write_adapter


class LoraMixin:
    """Loads, saves and removes LoRA adapters of a pipeline's ``unet``."""

    unet: Any

    def load_lora_weights(self, source: Path | str, *, adapter_name: str = "default") -> None:
        """Add a LoRA adapter to the network and use it from now on.

        :param source: a folder that ``save_pretrained`` of a peft model, ``save_lora_adapter`` of the network or
            :meth:`save_lora_weights` wrote, or the safetensors file in it. Pickled weights are not read.
        :param adapter_name: what to call it among several.
        :raises ModelError: unreadable, no LoRA, for another network, or the name is taken; nothing has changed then.
        :raises MissingPackageError: peft is not installed.
        """
        _import_peft()
        if adapter_name in getattr(self.unet, "peft_config", {}):
            raise ModelError(f"an adapter {adapter_name!r} is loaded already: unload it, or choose another name")
        weights, config = read_adapter(source, self.unet)
        self.unet.load_lora_adapter(
            {name: tensor.to(self.unet.dtype) for name, tensor in weights.items()},
            prefix=None,
            adapter_name=adapter_name,
            metadata=config,
            _pipeline=self,
        )

    def unload_lora_weights(self) -> None:
        """Remove all adapters; the network is bit by bit what it was before the first one."""
        if getattr(self.unet, "peft_config", None):
            self.unet.unload_lora()

    def save_lora_weights(self, folder: Path | str, *, adapter_name: str = "default") -> Path:
        """Write an adapter in the format of diffusers, and return the path of its only file.

        :param folder: made if it does not exist.
        :raises ModelError: there is no such adapter, or it cannot be written.
        :raises MissingPackageError: peft is not installed.
        """
        peft = _import_peft()
        loaded = getattr(self.unet, "peft_config", {})
        if adapter_name not in loaded:
            raise ModelError(f"there is no adapter {adapter_name!r}, only {sorted(loaded)}: load or train one first")
        weights = peft.get_peft_model_state_dict(self.unet, adapter_name=adapter_name)
        return write_adapter(folder, weights, loaded[adapter_name])


def _import_peft() -> Any:
    with needs_extra("lora", "a LoRA adapter"):
        import peft
    return peft
