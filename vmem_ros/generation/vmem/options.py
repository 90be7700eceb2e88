"""Options of the engine ``vmem``, without anything that takes long to import."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.pretrained.devices import DTYPES, DtypeName
from vmem_ros.pretrained.shipped import DEFAULT_MODEL


@dataclass(frozen=True, kw_only=True)
class VMemOptions:
    """Options of :class:`~vmem_ros.generation.vmem.generator.VMemGenerator`.

    :param model: one that comes with the package, a pipeline folder, or ``owner/name`` on the Hugging Face Hub.
    :param dtype: type of the network's numbers; ``auto``: bfloat16 on a GPU, float32 on a CPU.
    :param compile: compile the network when it first sees a size.
    :param max_side: bound on the sides in pixels at which the network works; ``None``: the model's own.
    :param lora: a LoRA adapter to merge into the network, a file or folder, times ``lora_scale``.
    :param exemplars: pictures of other places that lend details to what nobody saw: a file that ``vmem collect`` wrote,
        ``package`` for the rooms that come with the package, or ``none``; ``auto``: those of the package with a small
        model of the package, none with any other.
    :param allow_download: fetch a model that is not on this machine.
    :param fixed_frames: every pass of the network has the number of frames that it was trained with.
    :param sampling: how noise becomes pictures: :class:`SamplingOptions`, its fields by name, or what returns it, which
        is asked again for each call.
    """

    model: Path | str = DEFAULT_MODEL
    dtype: DtypeName = "auto"
    compile: bool = False
    max_side: int | None = None
    lora: Path | str | None = None
    lora_scale: float = 1.0
    exemplars: Path | str = "auto"
    allow_download: bool = False
    fixed_frames: bool = True
    sampling: SamplingOptions | Mapping[str, Any] | Callable[[], SamplingOptions] = field(
        default_factory=SamplingOptions
    )

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if isinstance(self.sampling, Mapping):
            allowed = [field.name for field in dataclasses.fields(SamplingOptions)]
            if unknown := sorted(set(self.sampling) - set(allowed)):
                raise ValueError(f"sampling has no {', '.join(unknown)}: it has {', '.join(allowed)}")
            object.__setattr__(self, "sampling", SamplingOptions(**self.sampling))
