"""A pipeline put where it works, and memory that does not suffice named with what helps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from diffusers import DiffusionPipeline

from vmem_ros.errors import CancelledError, MemoryFullError, ModelError, VmemError
from vmem_ros.generation.stock.options import Offload
from vmem_ros.out_of_memory import is_out_of_memory
from vmem_ros.pretrained.devices import DtypeName


def type_of(name: DtypeName, device: torch.device | str) -> torch.dtype:
    """Return the type of a network's numbers on a device."""
    if name == "auto":
        return torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    found: torch.dtype = getattr(torch, name)
    return found


def place(pipeline: DiffusionPipeline, device: torch.device | str, offload: Offload = "none") -> None:
    """Put a pipeline on a device, or let its parts come there when they are at work.

    :raises ModelError: there is no GPU to offload from, or the package that offloads is missing.
    :raises MemoryFullError: it does not fit.
    """
    device = torch.device(device)
    if offload != "none" and device.type == "cpu":
        raise ModelError(f"offload={offload!r} moves parts from a GPU to the CPU, but the device is the CPU")
    try:
        if offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        elif offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
        else:
            pipeline.to(device)
    except ImportError as error:
        raise ModelError(
            f"offload={offload!r} needs accelerate ({_first_line(error)}): pip install accelerate"
        ) from error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryFullError(
            f"the model does not fit on {device} ({_first_line(error)}): say offload=model, or offload=sequential, "
            "which needs least"
        ) from error


@contextlib.contextmanager
def at_work(pipeline: DiffusionPipeline, engine: str, what: str) -> Iterator[None]:
    """Run a call of a pipeline: what goes wrong in it gets a name, and what it holds of the device is given back.

    :param engine: its name.
    :param what: what is being drawn, in words.
    :raises MemoryFullError: memory does not suffice.
    :raises ModelError: anything else that the pipeline raises, such as arguments it cannot follow.
    """
    try:
        yield
    except CancelledError:
        _give_back(pipeline)
        raise
    except VmemError:
        raise
    except Exception as error:
        _give_back(pipeline)
        if is_out_of_memory(error):
            raise MemoryFullError(
                f"engine {engine!r} has not enough memory for {what} ({_first_line(error)}): say offload=model or "
                "sequential, vae_tiling=true, a smaller max_side or fewer max_references"
            ) from error
        missing = _missing_package(error)
        remedy = f": it needs a package that is not installed, pip install {missing}" if missing else ""
        raise ModelError(
            f"engine {engine!r} cannot draw {what}: {type(pipeline).__name__} says {type(error).__name__}: "
            f"{_first_line(error)}{remedy}"
        ) from error


def _give_back(pipeline: Any) -> None:
    """Send parts that are moved to where they wait, as the end of a call would have done."""
    pipeline.maybe_free_model_hooks()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _missing_package(error: BaseException) -> str:
    """Return what is to be installed: some pipelines use a package by its name where it could not be imported."""
    if isinstance(error, ImportError):
        return error.name or ""
    name = getattr(error, "name", "") if isinstance(error, NameError) else ""
    return name if name in ("ftfy", "bs4") else ""


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
