"""The device that tensors live on, and the type of a network's numbers there."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from vmem_ros.errors import ModelError

#: Type of a network's numbers; ``auto``: bfloat16 on a GPU, float32 on a CPU.
DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES = get_args(DtypeName)


def usable_device(name: torch.device | str) -> torch.device:
    """Return a device on which tensors can be made.

    :raises ModelError: there is none of that name; the message lists those that there are.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        available = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ModelError(f"the device {str(name)!r} cannot be used ({error}): available are {available}") from error
    return device


def choose_device(name: torch.device | str) -> None:
    """Make a device the one that ``cuda`` without a number means, if it is a GPU with a number.

    :raises ModelError: see :func:`usable_device`.
    """
    device = usable_device(name)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
