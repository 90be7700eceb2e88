"""A trained depth network becomes the one of the package, with a card that says how it was made and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from vmem_ros.pointmaps.depth_network import DepthNetwork
from vmem_ros.pretrained import shipped
from vmem_ros.pretrained.components import load_component, quiet_libraries
from vmem_ros.training.shipping.model_card import TrainingSummary
from vmem_ros.training.shipping.records import training_records
from vmem_ros.training.shipping.writing import check_finite, check_name_is_free, write_model

_FIGURES = {
    "sample_depth_error": "depth of an image alone",
    "sample_depth_error_told": "depth with a prompt from memory",
    "sample_scale_error": "scale of an image alone",
}


def ship_depth(
    source: Path,
    *,
    trainings: Mapping[str, Path],
    introduction: str,
    command: str,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
) -> int:
    """Write the depth network of the package and return its size in bytes; on any error what was there stays.

    :param source: folder that ``vmem train depth`` wrote.
    :param trainings: folders of ``vmem train`` by name, see
        :class:`~vmem_ros.training.shipping.records.TrainingRecord`.
    :param introduction: first part of the card, Markdown.
    :param command: what was typed to come here; part of the card.
    :param dtype: of the stored weights.
    :raises ModelError: a network that cannot be loaded or is there, weights that are not finite in ``dtype``, a
        training without log or recipe, or files that are larger than a package may hold.
    """
    check_name_is_free(shipped.DEPTH_MODEL, overwrite=overwrite)
    records = training_records(trainings)
    network = load_component(DepthNetwork, source)
    with quiet_libraries():
        network.to(dtype)
    check_finite(shipped.DEPTH_MODEL, network, dtype)
    # Where it was read from is of no use to anybody else.
    network.register_to_config(_name_or_path=shipped.DEPTH_MODEL)
    return write_model(
        shipped.DEPTH_MODEL,
        lambda new: network.save_pretrained(new, safe_serialization=True),
        lambda summaries: _card(network, summaries, introduction=introduction, command=command, dtype=dtype),
        records,
    )


def _card(
    network: DepthNetwork, trainings: Sequence[TrainingSummary], *, introduction: str, command: str, dtype: torch.dtype
) -> str:
    count = sum(parameter.numel() for parameter in network.parameters())
    lines = [
        introduction.strip(),
        "",
        f"A `DepthNetwork` of {count:,} parameters, stored as {str(dtype).removeprefix('torch.')}.",
    ]
    for training in trainings:
        last = {name: value for entry in training.log for name, value in entry.items()}
        figures = ", ".join(f"{what} {last[name]:.1%}" for name, what in _FIGURES.items() if name in last)
        lines += [
            "",
            f"## {training.name}",
            "",
            f"    vmem train depth training/{training.name}/recipe.yaml --out runs/{training.name}",
            "",
            f"{training.cost}. Last errors on evaluation houses: {figures}. [Log](training/{training.name}/log.jsonl).",
            *(f"\n![{sheet}](training/{training.name}/{sheet})" for sheet in training.sheets[-1:]),
        ]
    return "\n".join([*lines, "", "Put into the package by", "", f"    {command}", ""])
