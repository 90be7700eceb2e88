"""Whether an error says that memory is exhausted: each library says so in its own way."""

from __future__ import annotations

import torch

# torch's allocator of the CPU, cuBLAS, cuDNN and safetensors raise a plain RuntimeError, OpenCV an error of its own.
_WORDS = (
    "can't allocate memory",
    "Cannot allocate memory",
    "ALLOC_FAILED",
    "CUDA out of memory",
    "Insufficient memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory of the CPU or of a device did not suffice."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error)
    return any(word in text for word in _WORDS) and (
        isinstance(error, RuntimeError) or type(error).__module__.partition(".")[0] == "cv2"
    )
