"""Options of the engine ``gac``, without anything that takes long to import."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from vmem_ros.errors import ModelError
from vmem_ros.generation.gac.overlap import Rule
from vmem_ros.pretrained.devices import DTYPES, DtypeName
from vmem_ros.pretrained.shipped import GAC_MODEL


@dataclass(frozen=True, kw_only=True)
class GacSampling:
    """How a model draws where nobody asks for anything else: the field ``sampling`` of ``model_index.json``.

    :param num_inference_steps: evaluations of the network for a picture.
    :param geometry_steps: evaluations for its depth.
    """

    num_inference_steps: int = 24
    geometry_steps: int = 24

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if type(value) is not int or value < 1:
                raise ModelError(f"sampling.{name} must be a whole number of 1 or more, got {value!r}")

    @classmethod
    def of(cls, fields: Mapping[str, Any] | None) -> GacSampling:
        """Return the options of a pipeline folder.

        :raises ModelError: a field that does not exist, or a value out of range.
        """
        fields = dict(fields or {})
        allowed = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(allowed))
        if unknown:
            raise ModelError(f"sampling has no field {unknown[0]}: allowed are {', '.join(allowed)}")
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class GacSamplingOptions:
    """What a caller asks for; fields as of :class:`GacSampling`, ``None``: as the model draws by itself."""

    num_inference_steps: int | None = None
    geometry_steps: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"sampling.{name} must be a whole number of 1 or more, got {value!r}")

    @classmethod
    def of(cls, asked: Any) -> GacSamplingOptions:
        """Return what is asked for, by name or as attributes, or by a call that returns these.

        What is ``None`` is not asked for.

        :raises ValueError: a field that this engine does not have, or a value out of range.
        """
        asked = asked() if callable(asked) else asked
        fields = asked if isinstance(asked, Mapping) else vars(asked)
        wanted = {name: value for name, value in fields.items() if value is not None}
        known = [each.name for each in dataclasses.fields(cls)]
        if unknown := sorted(set(wanted) - set(known)):
            raise ValueError(f"sampling has no {', '.join(unknown)}: it has {', '.join(known)}")
        return cls(**wanted)


@dataclass(frozen=True, kw_only=True)
class GacOptions:
    """Options of :class:`~vmem_ros.generation.gac.generator.GacGenerator`.

    :param model: one that comes with the package, a pipeline folder that ``vmem train generator --recipe gac`` wrote,
        or ``owner/name`` on the Hugging Face Hub.
    :param dtype: type of the network's numbers; ``auto``: bfloat16 on a GPU, float32 on a CPU.
    :param max_side: bound on the sides in pixels at which the network works; ``None``: the model's own.
    :param allow_download: fetch a model that is not on this machine.
    :param context: views that the network is shown; ``None``: as many as it was trained with at most.
    :param context_rule: how their worth is found (:func:`~vmem_ros.generation.gac.overlap.choose_context`).
    :param geometry: draw depth, too; false: views come without, and the estimator finds it. The depth of the context is
        shown in either case.
    :param sampling: how noise becomes images: :class:`GacSamplingOptions`, its fields by name, or what has them or
        returns that, which is asked again for each call.
    """

    model: Path | str = GAC_MODEL
    dtype: DtypeName = "auto"
    max_side: int | None = None
    allow_download: bool = False
    context: int | None = None
    context_rule: Rule = "volume"
    geometry: bool = True
    sampling: Any = dataclasses.field(default_factory=GacSamplingOptions)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.context_rule not in get_args(Rule):
            raise ValueError(f"context_rule must be one of {', '.join(get_args(Rule))}, got {self.context_rule!r}")
        if self.context is not None and (type(self.context) is not int or self.context < 1):
            raise ValueError(f"context must be a whole number of 1 or more, got {self.context!r}")
        # The node and the command line ask every engine in the same words.
        found = GacSamplingOptions.of(self.sampling)
        if not callable(self.sampling):
            object.__setattr__(self, "sampling", found)
