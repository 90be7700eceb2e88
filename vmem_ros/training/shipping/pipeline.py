"""A trained pipeline becomes a model of the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin

from vmem_ros.errors import ModelError
from vmem_ros.pretrained import shipped
from vmem_ros.pretrained.components import quiet_libraries
from vmem_ros.training.shipping.model_card import ShippablePipeline, render_card
from vmem_ros.training.shipping.records import training_records
from vmem_ros.training.shipping.writing import MAX_FILE_BYTES, check_finite, check_name_is_free, write_model

# Room for the names and shapes at the head of each file.
_SHARD_BYTES = MAX_FILE_BYTES - 200_000


def ship_pipeline(
    pipeline: ShippablePipeline,
    name: str,
    *,
    trainings: Mapping[str, Path],
    sampling: Mapping[str, Any],
    max_side: int | None,
    introduction: str,
    command: str,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
) -> int:
    """Write a model of the package and return its size in bytes; on any error what was there stays.

    :param pipeline: is converted to ``dtype``.
    :param name: one of :data:`~vmem_ros.pretrained.shipped.SHIPPED_MODELS`.
    :param trainings: folders of ``vmem train`` by name, see
        :class:`~vmem_ros.training.shipping.records.TrainingRecord`.
    :param sampling: fields of the pipeline's ``sampling`` that are to differ.
    :param max_side: the same for the pipeline's ``max_side``; ``None``: as it is.
    :param introduction: first part of the card, Markdown.
    :param command: what was typed to come here; part of the card.
    :param dtype: of the stored weights; they are computed with in the type that is asked for when they are loaded.
    :raises ModelError: an unknown name, a model that is there, weights that are not finite in ``dtype``, a training
        without log or recipe, or files that are larger than a package may hold.
    """
    if name not in shipped.SHIPPED_MODELS:
        raise ModelError(f"no model of vmem_ros is called {name!r}: allowed are {', '.join(shipped.SHIPPED_MODELS)}")
    check_name_is_free(name, overwrite=overwrite)
    records = training_records(trainings)
    defaults = {**(pipeline.config.sampling or {}), **sampling}
    pipeline.register_to_config(sampling=defaults, max_side=max_side or pipeline.config.max_side)
    _ = pipeline.sampling_defaults  # says what is wrong with them
    for part in (pipeline, *pipeline.components.values()):
        if isinstance(part, ConfigMixin):
            # Where it was read from is of no use to anybody else.
            part.register_to_config(_name_or_path=name)
    with quiet_libraries():
        pipeline.to(dtype)
    for part, module in pipeline.components.items():
        if isinstance(module, torch.nn.Module):
            check_finite(part, module, dtype)
    return write_model(
        name,
        lambda new: pipeline.save_pretrained(new, safe_serialization=True, max_shard_size=_SHARD_BYTES),
        lambda summaries: render_card(pipeline, summaries, introduction=introduction, command=command, dtype=dtype),
        records,
    )
