"""Hooks as offloading hangs them on the parts of a pipeline, for machines without a GPU."""

from __future__ import annotations

from typing import Any

import accelerate
import torch
from accelerate.hooks import ModelHook, add_hook_to_module


class Noted(ModelHook):
    """A hook as model offloading uses: it has to be called before a part is used."""

    def __init__(self, name: str, order: list[str]) -> None:
        self.name, self.order = name, order

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.order or self.order[-1] != self.name:
            self.order.append(self.name)
        return args, kwargs


def noted_order(pipeline: Any) -> list[str]:
    """Hang a hook on each network of a pipeline, and return the list in which they will note that it is called."""
    order: list[str] = []
    for name, part in networks(pipeline).items():
        add_hook_to_module(part, Noted(name, order))
    return order


def parts_elsewhere(pipeline: Any) -> None:
    """Move the parameters of all networks away: they come only while their layer computes, as in ``sequential``."""
    for part in networks(pipeline).values():
        accelerate.cpu_offload(part, torch.device("cpu"))
        assert all(parameter.is_meta for parameter in part.parameters())


def networks(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the networks of a pipeline by name."""
    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
