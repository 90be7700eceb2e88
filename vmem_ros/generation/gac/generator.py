"""The engine ``gac``: remembered views with their depth in, new views with theirs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation.gac.options import GacOptions, GacSamplingOptions
from vmem_ros.generation.gac.overlap import Rule, choose_context
from vmem_ros.generation.gac.pipeline import GacPipeline, KnownView
from vmem_ros.generation.noise import seeded_noise
from vmem_ros.generation.resizing import drawn_smaller, resize_depth, resize_image, working_size
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline_of
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.protocols import OnStep, ShouldStop, Use
from vmem_ros.types import Recall, Target, View

_AS_THE_MODEL = GacSamplingOptions()


class GacGenerator:
    """Draws new views with a :class:`GacPipeline`; see :class:`vmem_ros.protocols.Generator`.

    The context is chosen among the views that memory recalls and the newest ones, and, if the targets take several
    sequences, those of the sequence before. Its length is bounded, so the thousandth view costs what the tenth does.

    :param context: see :class:`~vmem_ros.generation.gac.options.GacOptions`, as ``rule`` (``context_rule``),
        ``geometry`` and ``sampling``.
    :param max_side: bound on the sides in pixels at which the network works; ``None``: the model's own.
    :raises ModelError: ``max_side`` is less than the smallest size of the network.
    """

    name = "gac"

    def __init__(
        self,
        pipeline: GacPipeline,
        *,
        context: int | None = None,
        rule: Rule = "volume",
        geometry: bool = True,
        sampling: GacSamplingOptions | Callable[[], Any] = _AS_THE_MODEL,
        max_side: int | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.max_side: int | None = pipeline.config.max_side if max_side is None else max_side
        self._multiple = pipeline.transformer.multiple
        if self.max_side is not None and self.max_side < self._multiple:
            raise ModelError(f"max_side must be at least {self._multiple} for this model, got {self.max_side}")
        self.uses: frozenset[Use] = frozenset({"views", "newest", "depth"})
        self.frames: int = pipeline.config.frames
        self._context = context or pipeline.config.context
        self._rule: Rule = rule
        self._geometry = geometry
        self._sampling = sampling
        # Latents by image and by depth, each with their size: kept as long as a memory keeps these.
        self._encodings: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._notes: tuple[str, ...] = ()

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        allow_download: bool = False,
        **options: Any,
    ) -> GacGenerator:
        """Return the generator of a pipeline folder, ready to draw.

        :param source: see :func:`~vmem_ros.generation.vmem.pipeline_folder.read_pipeline_of`, as ``allow_download``.
        :param options: of the constructor.
        :raises ModelError: the folder is missing, damaged, or of another kind.
        """
        pipeline = read_pipeline_of(GacPipeline, source, torch_dtype=dtype, allow_download=allow_download)
        return cls(pipeline.to(device), **options)

    def notes(self) -> tuple[str, ...]:
        """Return what users should know of the views drawn last: that they were drawn smaller than asked for."""
        return self._notes

    @torch.no_grad()
    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return one view per target, with depth unless it is not to be drawn.

        :raises ModelError: the recall has no view, or an option of the sampling is out of range.
        """
        known = [*recall.views, *reversed(recall.newest)]
        if not targets or not known:
            raise ModelError(f"nothing to draw from: {len(known)} views for {len(targets)} targets")
        noise = seeded_noise(seed)
        steps = self._steps()
        total = len(targets) * sum(steps)
        views: list[View] = []
        for first in range(0, len(targets), self.frames):
            done = first * sum(steps)

            def after_step(step: int, _: int, before: int = done) -> None:
                if on_step is not None:
                    on_step(before + step, total)
                if should_stop is not None and should_stop():
                    raise CancelledError(f"cancelled after denoising step {before + step} of {total}")

            wanted = targets[first : first + self.frames]
            views += self._draw([*known, *views[-self.frames :]], wanted, steps, noise, after_step)
        return views

    def _steps(self) -> tuple[int, int]:
        """Return how many steps a picture takes now, and its depth."""
        try:
            asked, defaults = GacSamplingOptions.of(self._sampling), self.pipeline.sampling_defaults
        except ValueError as error:
            raise ModelError(str(error)) from error
        geometry = asked.geometry_steps or defaults.geometry_steps
        return asked.num_inference_steps or defaults.num_inference_steps, geometry if self._geometry else 0

    def _draw(
        self,
        candidates: Sequence[View],
        targets: Sequence[Target],
        steps: tuple[int, int],
        noise: torch.Generator,
        after_step: OnStep,
    ) -> list[View]:
        """Return the views of one sequence."""
        camera = targets[0].camera
        size = working_size(camera, multiple=self._multiple, max_side=self.max_side)
        self._notes = drawn_smaller(camera, size, multiple=self._multiple, max_side=self.max_side)
        context = choose_context(candidates, targets, self._context, rule=self._rule)
        output = self.pipeline.draw(
            [self._known(view, size) for view in context],
            targets,
            size,
            geometry=self._geometry,
            num_inference_steps=steps[0],
            geometry_steps=steps[1] or None,
            generator=noise,
            on_step=after_step,
        )
        home = candidates[0].image.device
        images = (output.images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).to(home)
        depth = None if output.depth is None else output.depth.to(home)
        return [
            View(
                resize_image(images[index], target.camera.size),
                target.camera,
                target.T_world_camera,
                depth=None if depth is None else resize_depth(depth[index], target.camera.size),
                stamp_ns=target.stamp_ns,
                source="generated",
            )
            for index, target in enumerate(targets)
        ]

    def _known(self, view: View, size: tuple[int, int]) -> KnownView:
        """Return a view of the context, encoded once as long as it is remembered."""
        pipeline = self.pipeline
        latents = self._kept(view.image, size, pipeline.encode_image)
        geometry = None if view.depth is None else self._kept(view.depth, size, pipeline.encode_depth)
        return KnownView(view.camera, view.T_world_camera, latents, geometry)

    def _kept(self, tensor: Tensor, size: tuple[int, int], encode: Any) -> Any:
        of_size, latents = self._encodings.get(tensor, (None, None))
        if of_size != size:
            latents = encode(tensor, size)
            self._encodings[tensor] = (size, latents)
        return latents


def from_options(options: GacOptions, *, device: torch.device | str = "cpu") -> GacGenerator:
    """Return the generator that the options of engine ``gac`` describe, its model loaded.

    :raises ModelError: see :meth:`GacGenerator.from_pretrained`.
    """
    chosen = dict(vars(options))
    source = chosen.pop("model")
    device, dtype = usable_device(device), chosen.pop("dtype")
    if dtype == "auto":
        dtype = "float32" if device.type == "cpu" else "bfloat16"
    rule = chosen.pop("context_rule")
    return GacGenerator.from_pretrained(source, device=device, dtype=getattr(torch, dtype), rule=rule, **chosen)
