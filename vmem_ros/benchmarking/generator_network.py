"""The network alone: from as it was published to as fast as it gets, and what each exact saving changes and saves."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from vmem_ros.benchmarking.generator_device import MatrixProducts, Spent, peak_gb, profile_call
from vmem_ros.benchmarking.generator_workload import Work, Workload, count
from vmem_ros.benchmarking.result import Row
from vmem_ros.benchmarking.timing import Case, Timing, measure_in_turn
from vmem_ros.generation.vmem.network import attention_backend

_MILLIONTH = 1e-6
#: The row of what a network could reach at best.
MATRIX_PRODUCTS = "(large matrix products)"


@torch.no_grad()
def unoptimised(workload: Workload) -> Tensor:
    """Evaluate the network with fused attention everywhere, everything worked out in the step."""
    with attention_backend("fused"):
        return workload.evaluate(None)


def prepared(workload: Workload) -> Tensor:
    """Evaluate the network with its conditioning prepared."""
    return workload.evaluate(workload.prepared)


def decode_all(workload: Workload) -> Tensor:
    """Decode all frames, as published."""
    return workload.decode(slice(None))


def decode_new(workload: Workload) -> Tensor:
    """Decode the new frames."""
    return workload.decode(slice(workload.size.references, None))


def _prepared_fused(workload: Workload) -> Tensor:
    with attention_backend("fused"):
        return prepared(workload)


@dataclass(frozen=True)
class NetworkVariant:
    """A step of the way from the published to the fastest network.

    :param workload: with the network as it is at this stage.
    """

    name: str
    workload: Workload
    work: Work

    def run(self, _: object = None) -> Tensor:
        """Evaluate both halves of guidance."""
        return self.work(self.workload)


def stages(plain: Workload, *, compiled: bool) -> list[NetworkVariant]:
    """Return the stages, each with all savings of those before it; the compiled one where the compiler works."""
    last = plain.channels_last()
    found = [
        NetworkVariant("unoptimised", plain, unoptimised),
        NetworkVariant("+ conditioning prepared once", plain, _prepared_fused),
        NetworkVariant("+ short sequences by matrix products", plain, prepared),
        NetworkVariant("+ channels-last memory", last, prepared),
    ]
    if compiled:
        stage = NetworkVariant("+ compiled", last.compiled(), prepared)
        try:
            stage.run()
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            print(f"left out: the compiled network, because torch.compile fails here: {reason}", file=sys.stderr)
        else:
            found.append(stage)
    return found


def stage_figures(ladder: Sequence[NetworkVariant], meta: Workload, *, repeats: int) -> list[Row]:
    """Return a row per stage, and one for large matrix products in the same type."""
    unet = ladder[0].workload.unet
    products = MatrixProducts(unet.device, unet.dtype, flops=count(meta, ladder[-1].work).total)
    first = ladder[0].run()
    *timings, bound = measure_in_turn(
        [Case(run, range(repeats + 1)) for run in (*(stage.run for stage in ladder), products.run)]
    )
    rows: list[Row] = []
    for stage, timing in zip(ladder, timings, strict=True):
        flops = count(meta, stage.work).total
        rows.append(
            {
                "network": stage.name,
                "evaluation": timing,
                "times faster": times_faster(timings[0], timing),
                "GFLOP": flops / 1e9,
                "GFLOP/s": flops / timing.median_ms / 1e6,
                "% of matrix rate": 100 * times_faster(bound, timing) * flops / products.flops,
                "change x 1e-6": difference(stage.run(), first) / _MILLIONTH,
                **peak_gb(unet.device, stage.run),
            }
        )
    reached = products.flops / bound.median_ms / 1e6
    empty = dict.fromkeys(rows[0], math.nan)
    large = {"network": MATRIX_PRODUCTS, "evaluation": bound, "GFLOP": products.flops / 1e9, "GFLOP/s": reached}
    return [*rows, {**empty, **large, "% of matrix rate": 100.0}]


@dataclass(frozen=True)
class Saving:
    """Two ways to the same numbers."""

    name: str
    without: Work
    saved: Work


SAVINGS = (
    Saving("cross-attention to one token, once", lambda w: w.evaluate(w.without_contexts), prepared),
    Saving("modulations by the rays, once", lambda w: w.evaluate(w.without_modulations), prepared),
    Saving(
        "first step: the same modulations for both halves",
        lambda w: w.evaluate(w.prepare(shared=False)),
        lambda w: w.evaluate(w.prepare()),
    ),
    Saving("short sequences by matrix products", _prepared_fused, prepared),
    Saving(
        "outside the guidance interval: one half",
        lambda w: prepared(w)[w.size.frames :],
        lambda w: w.evaluate_conditional(),
    ),
    Saving("decoding new frames alone", lambda w: decode_all(w)[w.size.references :], decode_new),
)


def saving_figures(workload: Workload, meta: Workload, *, repeats: int) -> list[Row]:
    """Return a row per exact saving, everything else being equal and saved already."""
    precise = workload.more_precise()
    rows: list[Row] = []
    for saving in tqdm(SAVINGS, desc="exact savings", unit="saving"):
        results = saving.without(workload), saving.saved(workload)
        exact = saving.saved(precise)
        inputs = [workload] * (repeats + 1)
        without, saved = measure_in_turn([Case(saving.without, inputs), Case(saving.saved, inputs)])
        flops = [count(meta, work).total for work in (saving.without, saving.saved)]
        rows.append(
            {
                "saving": saving.name,
                "without": without,
                "with": saved,
                "times faster": times_faster(without, saved),
                "GFLOP without": flops[0] / 1e9,
                "GFLOP with": flops[1] / 1e9,
                "change x 1e-6": difference(results[1], results[0]) / _MILLIONTH,
                "rounding x 1e-6": difference(results[0], exact) / _MILLIONTH,
            }
        )
    return rows


def profile_figures(ladder: Sequence[NetworkVariant]) -> list[Row]:
    """Return where the time of the unoptimised and of the fastest network goes, a row per kind of work."""
    device = ladder[0].workload.unet.device
    first, last = (profile_call(device, stage.run) for stage in (ladder[0], ladder[-1]))
    sums = [sum(spent.ms for spent in kinds.values()) for kinds in (first, last)]
    nothing = Spent(0.0, 0, "-")
    return [
        {
            "kind of work": kind,
            "unoptimised ms": first.get(kind, nothing).ms,
            "unoptimised %": 100 * first.get(kind, nothing).ms / sums[0],
            "fastest ms": last.get(kind, nothing).ms,
            "fastest %": 100 * last.get(kind, nothing).ms / sums[1],
            "calls": last.get(kind, nothing).calls,
            "most of it in": last.get(kind, nothing).largest,
        }
        for kind in dict.fromkeys([*last, *first])
    ]


def times_faster(before: Timing, after: Timing) -> float:
    """Return the median ratio of calls that took turns: what slows the machine for a while slows both of a pair."""
    return statistics.median(b / a for b, a in zip(before.seconds, after.seconds, strict=True))


def difference(a: Tensor, b: Tensor) -> float:
    """Return the largest difference between two outputs over the standard deviation of the second."""
    a, b = a.double(), b.double()
    return float((a - b).abs().max() / b.std())
