"""The training of the depth network: depth of single views, with and without a prompt from memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from vmem_ros.errors import RecipeError
from vmem_ros.evaluation.metrics import depth_errors
from vmem_ros.generation.vmem.pipeline_folder import write_folder
from vmem_ros.geometry import pixel_rays
from vmem_ros.pointmaps.depth_network import DepthNetwork
from vmem_ros.pretrained.components import quiet_libraries
from vmem_ros.reporting.colormaps import depth_colors
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.training.data.depth_samples import DepthSampler
from vmem_ros.training.data.depth_walks import DepthWalk, DepthWalkFactory
from vmem_ros.training.data.walk_caches import OpenWalkCache, evaluation_walks
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.depth import DepthRecipe
from vmem_ros.training.tasks.autoencoder_classes import build

_SCALES = 3
_VIEWS_PER_HOUSE = 6
_NEAR_M, _FAR_M = 0.6, 10.0


class DepthTask:
    """See :class:`vmem_ros.training.tasks.task.Task`.

    :param cache: folder of walks, shared by all trainings.
    :raises RecipeError: a field of the network that does not exist or does not fit.
    """

    def __init__(self, recipe: DepthRecipe, *, cache: Path, accelerator: Accelerator) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self.network: DepthNetwork = build(DepthNetwork, recipe.network, section="network")
        multiple = self.network.multiple
        if any(side % multiple for side in recipe.data.size):
            raise RecipeError(f"data.size must be multiples of {multiple} for this network, got {recipe.data.size}")
        self.network.to(accelerator.device, memory_format=torch.channels_last)
        self._walks: WalkStream[DepthWalk] = WalkStream(
            OpenWalkCache(cache, recipe.data, DepthWalkFactory), recipe.data, produces=accelerator.is_local_main_process
        )
        self._sampler = DepthSampler(self._walks, recipe, multiple=multiple)
        self._cache = cache

    def loss(
        self, network: nn.Module, first: int, count: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the negative log likelihood of log depth under a Laplace distribution, plus the error of edges."""
        batch = self._sampler.batch(first, count).to(self.network.device)
        log_depth, log_deviation = network(batch.images, batch.rays, batch.prompt, return_dict=False)
        known = torch.isfinite(batch.depth)
        error = torch.where(known, log_depth - batch.depth.log(), 0.0)
        # The width of a Laplace distribution is its standard deviation over the square root of two.
        log_width = log_deviation - 0.5 * torch.tensor(2.0).log()
        likelihood = _mean(error.abs() * (-log_width).exp() + log_width, known)
        edges = _edge_error(error, known)
        loss = likelihood + self._recipe.edges * edges
        figures = {"loss_absolute": _mean(error.detach().abs(), known).item(), "loss_edges": edges.item()}
        told = torch.isfinite(batch.prompt).flatten(1).any(dim=1)
        for name, chosen in (("told", told), ("alone", ~told)):
            if bool(chosen.any()):
                figures[f"loss_{name}"] = _mean(error.detach()[chosen].abs(), known[chosen]).item()
        return loss, figures

    @torch.no_grad()
    def sample(self, sheet: Path) -> dict[str, float]:
        """Estimate depth in evaluation houses, without and with a prompt from memory, and compare it with the truth."""
        rows, alone, told, scale = [], [], [], []
        training = self.network.training
        self.network.eval()
        count = self._recipe.reporting.sample_sets
        for walk in evaluation_walks(self._cache, self._recipe.data, count, DepthWalkFactory):
            chosen = np.linspace(1, len(walk.images) - 1, _VIEWS_PER_HOUSE).round().astype(int).tolist()
            truth = walk.depth[chosen].float()
            first, second = self._predict(walk, chosen, prompted=False), self._predict(walk, chosen, prompted=True)
            alone += [depth_errors(a, b).abs_rel for a, b in zip(first, truth, strict=True)]
            told += [depth_errors(a, b).abs_rel for a, b in zip(second, truth, strict=True)]
            scale += [float((a / b).log().median().abs()) for a, b in zip(first, truth, strict=True)]
            shown = {
                "truth": list(truth),
                "alone": first,
                "memory": list(walk.remembered[chosen].float()),
                "told": second,
            }
            pictures = {name: [_picture(each) for each in depths] for name, depths in shown.items()}
            rows.append(Block("", {"picture": [walk.images[i] for i in chosen]} | pictures))
        self.network.train(training)
        write_image_grid(sheet, rows)
        return {
            "depth_error": float(np.mean(alone)),
            "depth_error_told": float(np.mean(told)),
            "scale_error": float(np.mean(scale)),
        }

    def save(self, folder: Path) -> str:
        """Write the network."""

        def write(new: Path) -> None:
            with quiet_libraries():
                self.network.save_pretrained(new, safe_serialization=True)

        size = write_folder(folder, write)
        return (
            f"wrote the depth network {folder} ({size / 1e6:.1f} MB); use it with\n  geometry.estimator:=small "
            f"geometry.model:={folder.absolute()}"
        )

    def close(self) -> None:
        """End the processes that make walks."""
        self._walks.close()

    def _predict(self, walk: DepthWalk, chosen: list[int], *, prompted: bool) -> list[Tensor]:
        """Return z-depth [H, W] of views of a walk."""
        device = self.network.device
        images = walk.images[chosen].to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        rays = pixel_rays(walk.camera, device=device)[..., :2].permute(2, 0, 1)
        prompt = walk.remembered[chosen].float().to(device) if prompted else None
        log_depth, _ = self.network(images, rays.expand(len(images), -1, -1, -1), prompt, return_dict=False)
        return list(log_depth.exp().cpu())


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, values, 0.0).sum() / known.sum().clamp(min=1)


def _edge_error(error: Tensor, known: Tensor) -> Tensor:
    """Return the mean absolute difference of errors [N, H, W] between neighbours, at full, half and quarter size."""
    total = error.new_zeros(())
    value, weight = error[:, None], known[:, None].to(error.dtype)
    for scale in range(_SCALES):
        if scale:
            value, weight = F.avg_pool2d(value, 2), F.avg_pool2d(weight, 2)
        whole = weight == 1
        for axis in (-1, -2):
            size = value.shape[axis] - 1
            both = whole.narrow(axis, 0, size) & whole.narrow(axis, 1, size)
            total = total + _mean(value.diff(dim=axis).abs(), both)
    return total / _SCALES


def _picture(depth: Tensor) -> Tensor:
    return depth_colors(depth, near_m=_NEAR_M, far_m=_FAR_M)
