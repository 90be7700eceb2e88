"""The device under a benchmark: its matrix rate, its memory, and what its time goes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from vmem_ros.benchmarking.result import Row

# Sides of a matrix product that reaches the rate of a device.
_SIDE = {"cuda": 8192, "cpu": 2048}
# Kind of work: parts of the names of its operators and kernels; the first that fits. Names of kernels that the compiler
# fused list everything that went into them, so they come first.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "fused by the compiler": ("triton_poi", "triton_red", "triton_per", "graph_", "cpp_fused"),
    "attention": ("attention", "flash", "fmha", "softmax", "bmm"),
    "convolutions": ("conv", "fprop", "wgrad", "winograd"),
    "linear layers": ("gemm", "nvjet", "cutlass", "addmm", "::mm", "_mm", "linear"),
    "norms": ("norm",),
    "copies": ("copy", "cat", "memcpy", "memset", "nchw", "nhwc", "clone", "contiguous"),
}
_OTHER = "element-wise and other"
_NAME_LENGTH = 40


def work_dtype(device: torch.device | str) -> torch.dtype:
    """Return the type in which a network runs on a device."""
    return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32


class MatrixProducts:
    """Large products of random matrices, whose rate is what a network could reach at best.

    :param flops: about so many operations in a run, so that it meets the clock rate that a network meets.
    """

    def __init__(self, device: torch.device | str, dtype: torch.dtype, *, flops: int) -> None:
        largest = _SIDE[torch.device(device).type]
        side = min(largest, round((flops / 2) ** (1 / 3)))
        self._a, self._b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        self._number = max(1, round(flops / (2 * side**3)))
        self.flops = self._number * 2 * side**3

    def run(self, _: object = None) -> None:
        """Multiply."""
        for _number in range(self._number):
            self._a @ self._b


def peak_gb(device: torch.device | str, call: Callable[[], object]) -> Row:
    """Return the most memory that a call takes beside what was there before it, as a column; none for a CPU."""
    if torch.device(device).type != "cuda":
        return {}
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    return {"peak GB beside weights": (torch.cuda.max_memory_allocated(device) - before) / 1e9}


@dataclass(frozen=True)
class Spent:
    """What one kind of work took in a call.

    :param largest: the operator or kernel that took most of it.
    """

    ms: float
    calls: int
    largest: str


def profile_call(device: torch.device | str, call: Callable[[], object]) -> dict[str, Spent]:
    """Return where the time of a call went, by kind of work, the most expensive first.

    On a GPU these are kernels, so what is missing to the time of the call is the time in which none ran.
    """
    gpu = torch.device(device).type == "cuda"
    call()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]) as profiled:
        call()
        if gpu:
            torch.cuda.synchronize(device)
    wanted = DeviceType.CUDA if gpu else DeviceType.CPU
    by_kind: dict[str, list[tuple[float, int, str]]] = {}
    for event in profiled.key_averages():
        ms = (event.self_device_time_total if gpu else event.self_cpu_time_total) / 1e3
        if event.device_type == wanted and ms > 0:
            by_kind.setdefault(kind_of(event.key), []).append((ms, event.count, event.key))
    spent = {
        kind: Spent(sum(ms for ms, _, _ in entries), sum(n for _, n, _ in entries), max(entries)[2][:_NAME_LENGTH])
        for kind, entries in by_kind.items()
    }
    return dict(sorted(spent.items(), key=lambda entry: -entry[1].ms))


def kind_of(name: str) -> str:
    """Return the kind of work of an operator or kernel."""
    lower = name.lower()
    return next((kind for kind, parts in _KINDS.items() if any(part in lower for part in parts)), _OTHER)
