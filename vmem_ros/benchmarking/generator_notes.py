"""What the tables about the generator say about themselves."""

from __future__ import annotations

import torch

from vmem_ros.benchmarking.generator_chunk import INTERVAL
from vmem_ros.benchmarking.generator_models import Size
from vmem_ros.benchmarking.generator_network import NetworkVariant
from vmem_ros.benchmarking.generator_workload import Workload


def network(plain: Workload, repeats: int) -> str:
    """Return what was evaluated, on what, and how often."""
    size, device = plain.size, plain.unet.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    parameters = sum(parameter.numel() for parameter in plain.unet.parameters()) / 1e6
    return (
        f"{parameters:,.1f} million random weights, {str(plain.unet.dtype).removeprefix('torch.')}, on {where}. Both "
        f"halves of guidance over {size.frames} frames, latents {size.latent_side} x {size.latent_side}. Median / 90th "
        f"percentile in ms of {repeats} in turn; times faster: median ratio within a turn. Unoptimised: fused "
        "attention for every length, all conditioning worked out in every step, standard memory layout; each row adds "
        "to those above. Operations are counted, a multiplication and an addition as two. Matrix rate: "
        "what large products in the same type reach in the same turns. Change: largest difference to the unoptimised "
        "output over its standard deviation."
    )


def savings(plain: Workload) -> str:
    """Return what is compared, and what the savings hold in memory."""
    shared, apart = (plain.prepare(shared=shared).num_bytes / 1e6 for shared in (True, False))
    return (
        "Everything else is saved in both columns. Change: largest difference between the two outputs over their "
        "standard deviation. Rounding: the same for the first of them against the computation with twice the bits; a "
        f"change of this size comes from the order of additions. What is prepared takes {shared:,.1f} MB; {apart:,.1f} "
        "MB if each half of guidance had its own modulations."
    )


def profiled(fastest: NetworkVariant) -> str:
    """Return what the profile shows."""
    return (
        "One evaluation under torch.profiler: kernels on a GPU, operators on a CPU, where the profiler adds some time. "
        f"Fastest: all up to {fastest.name.removeprefix('+ ')}; calls and largest are its. On a GPU, what is missing "
        "to the evaluation's time is time in which no kernel ran."
    )


def chunk(size: Size, fastest: NetworkVariant, repeats: int) -> str:
    """Return what a chunk is, and which of the rows are approximations."""
    return (
        f"{size.references} references and {size.targets} new frames: denoising, decoding"
        f"{', embedding of the new images' if size.image_encoder else ''}; per new frame, median of {repeats}. "
        "Chunks take turns step by step. "
        "First row: the unoptimised network, which also decodes the references; all others with every saving up to "
        f"{fastest.name.removeprefix('+ ')}. Passes: frame sets through the network, two per step where guidance "
        f"applies. Guidance interval: noise levels {INTERVAL[0]} to {INTERVAL[1]:g}. TaylorCache: every third step "
        "evaluated, the rest extrapolated; an experiment. Error: of the sampler itself, relative, with the exact "
        "denoiser of a mixture of Gaussians in the place of the network and without guidance. Random weights cannot "
        "say what a picture loses."
    )


def world(size: Size) -> str:
    """Return what a step of the world includes."""
    return (
        f"World.explore over {size.targets} new poses with VMemGenerator in a filled room, per new frame: retrieval "
        f"of {size.references} views with projections, a chunk as above, depth, writing."
    )
