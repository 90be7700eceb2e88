"""The card of a model that ships with the package: what it is made of, how it was trained, and by which commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch

# Figures of the last lines of a log that a card repeats, by the beginning of their names.
_FIGURES = ("loss", "sample_psnr")


class ShippablePipeline(Protocol):
    """What a pipeline of diffusers must have to become a model of the package."""

    @property
    def sampling_defaults(self) -> Any:
        """How it draws, from the field ``sampling`` of its configuration.

        :raises ModelError: a field that does not exist, or a value out of range.
        """
        ...

    @property
    def way_of_drawing(self) -> str:
        """The same in words."""
        ...

    def __getattr__(self, name: str) -> Any: ...  # what all pipelines have: config, components, save_pretrained


@dataclass(frozen=True)
class TrainingSummary:
    """What a card says of one training.

    :param name: of its folder below ``training/``.
    :param out: what ``vmem train --out`` named.
    :param steps: that were taken, each of ``batch`` samples.
    :param log: its entries.
    :param sheets: names of sample sheets in its folder, in the order in which they were drawn.
    """

    name: str
    out: Path
    steps: int
    batch: int
    log: Sequence[dict[str, float]]
    sheets: tuple[str, ...]

    @property
    def hours(self) -> float:
        """How long it took, from the speeds in its log."""
        lines = [entry for entry in self.log if entry.get("steps_per_s", 0) > 0]
        steps = [0, *(entry["step"] for entry in lines)]
        taken = (after - before for before, after in pairwise(steps))
        return sum(n / entry["steps_per_s"] for n, entry in zip(taken, lines, strict=True)) / 3600

    @property
    def cost(self) -> str:
        """How much was learnt from, and how long it took, in words."""
        samples = self.steps * self.batch
        each = 3600 * self.hours / samples if samples else 0.0
        return f"{self.steps:,} steps, {samples:,} samples, {self.hours:.1f} hours, {each:.2g} s a sample"

    @property
    def figures(self) -> dict[str, float]:
        """The last of each figure in its log that a card repeats."""
        found = {name: value for entry in self.log for name, value in entry.items() if name.startswith(_FIGURES)}
        return dict(sorted(found.items()))


def render_card(
    pipeline: ShippablePipeline,
    trainings: Sequence[TrainingSummary],
    *,
    introduction: str,
    command: str,
    dtype: torch.dtype,
) -> str:
    """Return the card, Markdown.

    :param introduction: what a person has to say about the model; comes first.
    :param command: what put the model into the package.
    :param dtype: of the stored weights.
    """
    lines = [introduction.strip(), "", "## Parts", "", "| part | class | parameters |", "|---|---|---|"]
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            count = sum(parameter.numel() for parameter in part.parameters())
            lines.append(f"| `{name}` | `{type(part).__name__}` | {count:,} |")
    side = pipeline.config.max_side
    lines += [
        "",
        f"Weights are stored as {str(dtype).removeprefix('torch.')}. Where nobody asks for anything else it draws "
        f"{pipeline.way_of_drawing}, at most {side or 'any number of'} pixels a side.",
        "",
        "## How it was made",
        "",
        "In a folder with these recipes, which name all settings that were used:",
        "",
    ]
    for training in trainings:
        verb = training.name.partition("-")[0]
        figures = ", ".join(f"{name} {value:.4g}" for name, value in training.figures.items())
        lines += [
            f"### {training.name}",
            "",
            f"    vmem train {verb} training/{training.name}/recipe.yaml --out {training.out}",
            "",
            f"{training.cost}. Last figures: {figures}. [Log](training/{training.name}/log.jsonl).",
            "",
            *(f"![{sheet}](training/{training.name}/{sheet})\n" for sheet in training.sheets[-1:]),
        ]
    return "\n".join([*lines, "Put into the package by", "", f"    {command}", ""])
