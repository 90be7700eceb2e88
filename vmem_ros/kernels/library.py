"""The compiled library: found, loaded once, and called with tensors.

Its functions are called through ctypes, which lets other Python threads run meanwhile.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from pathlib import Path

import torch
from torch import Tensor

import vmem_ros

_LOG = logging.getLogger(__name__)
#: Set to 0, this environment variable leaves the kernels out.
SWITCH = "VMEM_KERNELS"
# Of the functions; must be equal in src/kernels/version.cpp.
_VERSION = 25


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the library; ``None``, and a line in the log that says why, where there is none to use."""
    if os.environ.get(SWITCH, "1") == "0":
        return None
    path = next((path for path in _places() if path.exists()), None)
    if path is None:
        _LOG.warning(
            "the compiled kernels are missing, previews take several times as long: build the package with colcon, or "
            "install it with pip where there is a C++ compiler"
        )
        return None
    try:
        loaded = ctypes.CDLL(str(path))
        loaded.vmem_kernels_version.restype = ctypes.c_int64
        version = loaded.vmem_kernels_version()
    except (OSError, AttributeError) as error:
        _LOG.warning("the compiled kernels in %s cannot be loaded (%s): build the package again", path, error)
        return None
    if version != _VERSION:
        _LOG.warning(
            "the compiled kernels in %s are of version %d, not %d: build the package again", path, version, _VERSION
        )
        return None
    return loaded


def _places() -> list[Path]:
    """Return where the library may be: a source tree has its code here and what was built of it in an installation."""
    return [Path(root) / "kernels" / "lib" / "libvmem_kernels.so" for root in vmem_ros.__path__]


def usable(*tensors: Tensor) -> ctypes.CDLL | None:
    """Return the library if it can work on these tensors: they are on the CPU."""
    return library() if all(tensor.is_cpu for tensor in tensors) else None


def address(tensor: Tensor | None, dtype: torch.dtype) -> int | None:
    """Return where the numbers of a contiguous tensor are; the caller keeps it alive."""
    if tensor is None:
        return None
    kind = (tensor.dtype, tensor.is_cpu, tensor.is_contiguous())
    assert kind == (dtype, True, True), f"not an array for a kernel: {kind}"
    return tensor.data_ptr()


def threads() -> int:
    """Return how many threads a kernel may use."""
    return torch.get_num_threads()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Return how many threads of torch are to be used where nobody says: one less than there are cores, at least one.

    Where threads wait for a core that another process holds, all wait; one core stays for whoever else needs one. The
    number in ``OMP_NUM_THREADS`` is said.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) else max(1, cores() - 1)
