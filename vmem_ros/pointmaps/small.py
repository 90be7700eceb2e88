"""The depth network that ships with the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vmem_ros.geometry import Camera, pixel_rays
from vmem_ros.geometry.hole_filling import fill_depth
from vmem_ros.pointmaps.doubt import calmed
from vmem_ros.pointmaps.options import Scene
from vmem_ros.pointmaps.outdoors import outdoor_depth
from vmem_ros.pointmaps.prediction import DepthPrediction, ScalePrior
from vmem_ros.pointmaps.sky import find_sky
from vmem_ros.types import Recall, View

if TYPE_CHECKING:
    from vmem_ros.pointmaps.depth_network import DepthNetwork, DepthNetworkOutput

# No picture is given to the network with fewer pixels a side.
_LEAST_SIDE = 64
# Log depth of memory and picture that differ more are not of one surface in two scales; see _believable.
_LARGEST, _LEAST_DEVIATION = 0.5, 0.05
# How much of the deviation of its pixels is one of the whole view: about half, in the views of the demo's robot.
_SCALE_SHARE = 0.5
# Memory that is so much deeper (log depth) than the network thinks is of no room.
_OTHER_WORLD = 1.2
# Deviation of log depth, and of its scale, of what is not the network's own.
_GUESSED = 0.5


class SmallDepth:
    """Depth of single pictures, with memory's depth as a prompt; see :class:`~vmem_ros.pointmaps.AlignedDepth`.

    The network knows rooms. The first picture of a world is asked whether it shows the open air, if it may
    (:mod:`~vmem_ros.pointmaps.sky`), and gets depth by other rules then (:mod:`~vmem_ros.pointmaps.outdoors`); in a
    world that is so much deeper than the network thinks, later views continue what is remembered.

    :param network: what ``vmem train depth`` made.
    :param scene: what pictures show.
    """

    name = "small"
    metric = True

    def __init__(
        self, network: DepthNetwork, *, scale_prior: ScalePrior | None = None, scene: Scene = "indoors"
    ) -> None:
        self.network = network
        self.scene = scene
        self.scale_prior: ScalePrior | None = scale_prior or ScalePrior(common=0.05, own=0.1)

    @classmethod
    def from_pretrained(
        cls, folder: Path | str | None = None, *, device: torch.device | str = "cpu", scene: Scene = "indoors"
    ) -> SmallDepth:
        """Return the estimator with the network of a folder.

        :param folder: that ``vmem train depth`` wrote; ``None``: the network that ships with the package.
        :raises ModelError: missing, damaged or of another class.
        """
        # These import diffusers, which takes seconds.
        from vmem_ros.pointmaps.depth_network import DepthNetwork
        from vmem_ros.pretrained.components import load_component
        from vmem_ros.pretrained.shipped import DEPTH_MODEL, check_manifest, shipped_folder

        path = shipped_folder(DEPTH_MODEL) if folder is None else Path(folder)
        check_manifest(path)
        return cls(load_component(DepthNetwork, path).to(device), scene=scene)

    @torch.inference_mode()
    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return depth and deviation of each view."""
        first = not recall.views
        return [self._predict(view, p.depth, first=first) for view, p in zip(views, recall.projections, strict=True)]

    def _predict(self, view: View, remembered: Tensor, *, first: bool) -> DepthPrediction:
        device = self.network.device
        size = self._working_size(view.camera)
        image = view.image.to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
        image = interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        camera = view.camera.resized(size[1], size[0])
        rays = pixel_rays(camera, device=device)[..., :2].permute(2, 0, 1)[None]
        # Depth is never averaged: a mean lies between surfaces.
        prompt = interpolate(remembered.to(device)[None, None], size, mode="nearest-exact")[0]
        alone = self.network(image, rays)
        believed = _believable(prompt, alone)
        told = self.network(image, rays, believed) if bool(torch.isfinite(believed).any()) else alone
        # Told of memory, the network goes on with its scale; how large things look is what it says alone.
        scale = (alone.log_depth - told.log_depth).median()
        log_depth, log_deviation = (
            interpolate(each[None], view.camera.size, mode="bilinear", align_corners=False)[0, 0]
            for each in (told.log_depth + scale, told.log_deviation)
        )
        deviation, scale_deviation = log_deviation.exp(), _SCALE_SHARE * float(alone.log_deviation.median().exp())
        if first:
            # Perhaps it is a photograph, and no other view will correct what is wrong.
            log_depth = calmed(log_depth, deviation)
            sky = None if self.scene == "indoors" else find_sky(view.image, outdoors=self.scene == "outdoors")
            if sky is not None:
                depth = outdoor_depth(view, sky.to(device), log_depth)
                return _guess(depth.to(remembered))
        elif float((prompt.log() - alone.log_depth).nanmedian()) > _OTHER_WORLD:
            return _guess(fill_depth(remembered))
        return DepthPrediction(
            log_depth.exp().to(remembered), deviation.to(remembered), scale_deviation=scale_deviation
        )

    def _working_size(self, camera: Camera) -> tuple[int, int]:
        """Return (height, width) that give the picture about the focal length that the network knows."""
        config, multiple = self.network.config, self.network.multiple
        factor = config.focal_px / (camera.fx * camera.fy) ** 0.5
        factor = max(factor, _LEAST_SIDE / min(camera.size))
        height, width = (max(multiple, round(side * factor / multiple) * multiple) for side in camera.size)
        return height, width


def _guess(depth: Tensor) -> DepthPrediction:
    """Return a prediction [H, W] that nobody should rely on."""
    return DepthPrediction(depth, torch.full_like(depth, _GUESSED), scale_deviation=_GUESSED)


def _believable(prompt: Tensor, alone: DepthNetworkOutput) -> Tensor:
    """Return what memory shows [1, H, W] without what the picture contradicts: surfaces that were imagined wrongly.

    :param alone: what the network says without it.
    """
    difference = prompt.log() - alone.log_depth
    tolerance = 3 * alone.log_deviation.exp().clamp(min=_LEAST_DEVIATION)
    near = torch.where(difference.abs() < tolerance.clamp(min=_LARGEST), difference, torch.nan)
    scale = torch.nan_to_num(near.nanmedian(), nan=0.0)
    return torch.where((difference - scale).abs() < tolerance, prompt, torch.nan)
