"""Whether two networks are the same, told by their weights."""

from __future__ import annotations

import hashlib
from typing import Any

import torch


def fingerprint(*networks: Any) -> str:
    """Return 64 hexadecimal digits that are equal for networks of equal weights and scale, on any device.

    Weights are taken as bfloat16: a network in float32 and the same in bfloat16 are one.

    :param networks: modules of diffusers or transformers with a ``config``; ``None`` for one that is not there.
    """
    digest = hashlib.sha256()
    for network in networks:
        config = getattr(network, "config", None)
        scale = [getattr(config, name, None) for name in ("scaling_factor", "shift_factor")]
        digest.update(f"{type(network).__name__} {scale}".encode())
        for name, tensor in sorted(network.state_dict().items() if network is not None else ()):
            digest.update(f"{name} {list(tensor.shape)}".encode())
            plain = tensor.detach().to("cpu", torch.bfloat16).flatten().contiguous()
            digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()
