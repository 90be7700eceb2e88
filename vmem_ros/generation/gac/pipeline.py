"""The pipeline: views and depth of a context in, views of new cameras and their depth out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ModelMixin
from diffusers.utils import BaseOutput
from torch import Tensor

from vmem_ros.generation.gac import pipeline_checks as checks
from vmem_ros.generation.gac.context import Context
from vmem_ros.generation.gac.depth_code import Curve, DepthCode
from vmem_ros.generation.gac.network import GacTransformer
from vmem_ros.generation.gac.options import GacSampling
from vmem_ros.generation.gac.rays import ray_maps
from vmem_ros.generation.gac.sampling import draw
from vmem_ros.generation.gac.sequence import Word
from vmem_ros.generation.resizing import resize_depth, resize_image
from vmem_ros.generation.vmem.autoencoding import decode, encode, pixels
from vmem_ros.geometry import Camera
from vmem_ros.geometry.hole_filling import fill_depth
from vmem_ros.types import Target

# Depth of a view that is known in less than this share of it tells more of what fills its holes than of the view.
_LEAST_KNOWN = 0.2


@dataclass(frozen=True, eq=False)
class KnownView:
    """A view of the context, encoded.

    :param latents: [1, C, h, w] of the picture.
    :param geometry: [1, C, h, w] of its depth, if that is known.
    """

    camera: Camera
    T_world_camera: Tensor
    latents: Tensor
    geometry: Tensor | None


@dataclass
class GacPipelineOutput(BaseOutput):
    """What is drawn for M targets.

    :param images: [M, 3, H, W] float32 in [0, 1].
    :param depth: [M, H, W] float32 z-depth in metres, +Inf at the far end of the code or beyond; ``None`` if it was not
        to be drawn.
    """

    images: Tensor
    depth: Tensor | None


class GacPipeline(DiffusionPipeline):
    """Draws the views of new cameras, one after another, each with the depth of those before it in its context.

    :param vae: an autoencoder with the latents of the network.
    :param near_m: least depth that is told apart, as ``far_m`` the largest, and ``curve``:
        :class:`~vmem_ros.generation.gac.depth_code.DepthCode`.
    :param unit_m: positions of cameras are told in units of so many metres.
    :param frames: targets of a sequence as it was trained, and ``context``: views before them, at most.
    :param sampling: fields of :class:`~vmem_ros.generation.gac.options.GacSampling`, which apply where a call does not
        say.
    :param max_side: largest side in pixels at which this model draws well; ``None``: any.
    :raises ModelError: the parts do not fit together, or a value is out of range.
    """

    model_cpu_offload_seq = "transformer->vae"

    def __init__(
        self,
        transformer: GacTransformer,
        vae: ModelMixin,
        scheduler: FlowMatchEulerDiscreteScheduler,
        near_m: float = 0.2,
        far_m: float = 50.0,
        curve: Curve = "log",
        unit_m: float = 1.0,
        frames: int = 4,
        context: int = 4,
        sampling: Mapping[str, Any] | None = None,
        max_side: int | None = None,
    ) -> None:
        super().__init__()
        checks.check_parts(transformer, vae)
        DepthCode(near_m, far_m, curve)
        GacSampling.of(sampling)
        checks.check_numbers(unit_m=unit_m, frames=frames, context=context)
        self.register_modules(transformer=transformer, vae=vae, scheduler=scheduler)
        self.register_to_config(
            near_m=near_m,
            far_m=far_m,
            curve=curve,
            unit_m=unit_m,
            frames=frames,
            context=context,
            sampling=sampling,
            max_side=max_side,
        )

    @classmethod
    def from_pretrained(cls, source: Path | str, **options: Any) -> GacPipeline:
        """Return the pipeline that ``save_pretrained`` wrote; as in diffusers, but safetensors only."""
        return super().from_pretrained(source, **{"use_safetensors": True, **options})

    @property
    def depth_code(self) -> DepthCode:
        """How depth becomes a picture."""
        return DepthCode(self.config.near_m, self.config.far_m, self.config.curve)

    @property
    def sampling_defaults(self) -> GacSampling:
        """How this model draws where a call does not say."""
        return GacSampling.of(self.config.sampling)

    @property
    def way_of_drawing(self) -> str:
        """How this model draws where a call does not say, in words."""
        own = self.sampling_defaults
        return (
            f"views in {own.num_inference_steps} steps and their depth in {own.geometry_steps}, up to "
            f"{self.config.frames} after a context of up to {self.config.context}"
        )

    @torch.no_grad()
    def __call__(
        self,
        images: Sequence[Tensor],
        cameras: Sequence[Camera],
        poses: Sequence[Tensor],
        target_cameras: Sequence[Camera],
        target_poses: Sequence[Tensor],
        *,
        height: int,
        width: int,
        depths: Sequence[Tensor | None] | None = None,
        geometry: bool = True,
        num_inference_steps: int | None = None,
        geometry_steps: int | None = None,
        generator: torch.Generator | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> GacPipelineOutput:
        """Return the views of M targets that follow K views; arguments as of :meth:`encode_view` and :meth:`draw`.

        :param images: K of [H, W, 3] uint8, of any sizes, the one that says most about the targets last.
        :param poses: K of [4, 4] float64, ``T_world_camera``, as ``target_poses``.
        :param depths: K of [H, W] in metres, or ``None``.
        :raises ModelError: nothing to begin from or to draw, or lists of different lengths.
        :raises InvalidImageError: sides that are no multiples of what the network takes.
        """
        depths = [None] * len(images) if depths is None else depths
        checks.check_lists(images, cameras, poses, depths, target_cameras, target_poses)
        size = checks.check_size(self.transformer, height, width)
        known = [
            KnownView(camera, pose, self.encode_image(image, size), self.encode_depth(depth, size))
            for image, camera, pose, depth in zip(images, cameras, poses, depths, strict=True)
        ]
        targets = [Target(camera, pose) for camera, pose in zip(target_cameras, target_poses, strict=True)]
        return self.draw(
            known,
            targets,
            size,
            geometry=geometry,
            num_inference_steps=num_inference_steps,
            geometry_steps=geometry_steps,
            generator=generator,
            on_step=on_step,
        )

    @torch.no_grad()
    def draw(
        self,
        known: Sequence[KnownView],
        targets: Sequence[Target],
        size: tuple[int, int],
        *,
        geometry: bool = True,
        num_inference_steps: int | None = None,
        geometry_steps: int | None = None,
        generator: torch.Generator | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> GacPipelineOutput:
        """Return the views of targets that follow known ones.

        :param size: (height, width) that they are encoded and drawn at.
        :param geometry: draw the depth of each view after it, which the next ones then have in their context.
        :param num_inference_steps: evaluations of the network for a picture, and ``geometry_steps`` for its depth;
            ``None``: as many as the model says.
        :param generator: of the noise.
        :param on_step: called after each step with its number, from 1, and how many there are; may raise.
        """
        defaults = self.sampling_defaults
        steps: dict[Word, int] = {
            "<Image>": num_inference_steps or defaults.num_inference_steps,
            "<Geometry>": geometry_steps or defaults.geometry_steps,
        }
        words: tuple[Word, ...] = ("<Image>", "<Geometry>") if geometry else ("<Image>",)
        total, done = len(targets) * sum(steps[word] for word in words), 0

        def after_step() -> None:
            nonlocal done
            done += 1
            if on_step is not None:
                on_step(done, total)

        views: list[KnownView | Target] = [*known, *targets]
        poses = torch.stack([view.T_world_camera for view in views])
        plucker = ray_maps([view.camera for view in views], poses, size, unit_m=self.config.unit_m)
        network = self.transformer
        rays = network.rays(plucker.to(self._execution_device, network.dtype))[:, None]
        context = Context(network)
        for index, view in enumerate(known):
            if index:
                context.say("<Image>")
            context.show(view.latents.to(network.dtype), rays[index])
            if view.geometry is not None:
                context.say("<Geometry>")
                context.show(view.geometry.to(network.dtype), rays[index])
        drawn: dict[Word, list[Tensor]] = {word: [] for word in words}
        for index in range(len(known), len(views)):
            for word in words:
                context.say(word)
                latents = draw(
                    functools.partial(context.predict, rays=rays[index]),
                    tuple(known[0].latents.shape),
                    self.scheduler,
                    steps[word],
                    generator=generator,
                    device=self._execution_device,
                    after_step=after_step,
                )
                drawn[word].append(latents)
                context.show(latents.to(network.dtype), rays[index])
        images = (decode(self.vae, torch.cat(drawn["<Image>"])).clamp(-1, 1) + 1) / 2
        depth = self.depth_code.of_image(decode(self.vae, torch.cat(drawn["<Geometry>"]))) if geometry else None
        return GacPipelineOutput(images, depth)

    @torch.no_grad()
    def encode_image(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Return latents [1, C, h, w] of an image [H, W, 3] uint8, resized to (height, width)."""
        return encode(self.vae, pixels([resize_image(image, size)], self._execution_device))

    @torch.no_grad()
    def encode_depth(self, depth: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        """Return latents [1, C, h, w] of depth [H, W] in metres, its holes filled; ``None`` where hardly any is known.

        What is infinitely far lies at the far end of the code.
        """
        if depth is None or float((~torch.isnan(depth)).float().mean()) < _LEAST_KNOWN:
            return None
        near_enough = resize_depth(depth, size).clamp(max=self.config.far_m)
        filled = fill_depth(near_enough)
        if not bool(torch.isfinite(filled).all()):
            return None
        return encode(self.vae, self.depth_code.as_image(filled)[None].to(self._execution_device))
