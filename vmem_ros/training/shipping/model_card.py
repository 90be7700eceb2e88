"""The card of a model that ships with the package: what it is made of, how it was trained, and by which commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from vmem_ros.generation.vmem.pipeline import VMemPipeline

# Figures of the last lines of a log that a card repeats, by the beginning of their names.
_FIGURES = ("loss", "sample_psnr")


@dataclass(frozen=True)
class TrainingSummary:
    """What a card says of one training.

    :param name: of its folder below ``training/``.
    :param out: what ``vmem train --out`` named.
    :param steps: that were taken.
    :param log: its entries.
    :param sheets: names of sample sheets in its folder, in the order in which they were drawn.
    """

    name: str
    out: Path
    steps: int
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
    def figures(self) -> dict[str, float]:
        """The last of each figure in its log that a card repeats."""
        found = {name: value for entry in self.log for name, value in entry.items() if name.startswith(_FIGURES)}
        return dict(sorted(found.items()))


def render_card(
    pipeline: VMemPipeline, trainings: Sequence[TrainingSummary], *, introduction: str, command: str, dtype: torch.dtype
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
    own, side = pipeline.sampling_defaults, pipeline.config.max_side
    interval = "" if own.guidance_interval is None else " at noise levels {:g} to {:g}".format(*own.guidance_interval)
    lines += [
        "",
        f"Weights are stored as {str(dtype).removeprefix('torch.')}. Where nobody asks for anything else it draws with "
        f"the sampler `{own.sampler}` in {own.num_inference_steps} steps, guidance {own.guidance_scale:g} "
        f"({own.guidance_min:g} near a reference){interval}, at most {side or 'any number of'} pixels a side.",
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
            f"{training.steps:,} steps, {training.hours:.1f} hours. Last figures: {figures}. "
            f"[Log](training/{training.name}/log.jsonl).",
            "",
            *(f"![{sheet}](training/{training.name}/{sheet})\n" for sheet in training.sheets[-1:]),
        ]
    return "\n".join([*lines, "Put into the package by", "", f"    {command}", ""])
