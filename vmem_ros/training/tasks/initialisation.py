"""How the weights of a new multi-view network begin."""

from __future__ import annotations

from torch import nn

from vmem_ros.generation.vmem.network import MultiviewUNet


def initialise(network: MultiviewUNet) -> None:
    """Make a new network begin as the identity of its residuals: the last layer of each block starts at zero.

    The output starts at zero too, so that the first steps are not spent on unlearning what random weights say.
    """
    for name, module in network.named_modules():
        last = name == "out.2" or name.endswith(("out_layers.3", "proj_out", "dense_emb_layers.0"))
        if last and isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if network.projection_in is not None:
        # That it starts at zero is for networks that were trained without it.
        nn.init.kaiming_uniform_(network.projection_in.weight, a=5**0.5)
