"""The parameters of a network as groups of an optimiser."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return the parameters that require gradients, in groups that are clipped one by one.

    A network may have an attribute ``rates``: by how the names of parameters begin, the learning rate of these as a
    multiple of the recipe's. Each group has that multiple as ``rate``, 1 for all others.
    """
    rates: dict[str, float] = getattr(network, "rates", {})
    groups: dict[str, dict[str, Any]] = {
        prefix: {"params": [], "rate": rate} for prefix, rate in {"": 1.0, **rates}.items()
    }
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[max((prefix for prefix in groups if name.startswith(prefix)), key=len)]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]
