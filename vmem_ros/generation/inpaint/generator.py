"""The engine ``inpaint``: a pipeline of diffusers for pictures draws what memory's projection does not show.

Its mask is the holes of the projection; remembered views are its references, where it takes some. What memory shows is
pasted back, since these pipelines keep it in latents only, and a world asks for one view at a time: the next one sees
what was invented for the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation.composition import composite_remembered
from vmem_ros.generation.enlarging import fit_into
from vmem_ros.generation.inpaint.capabilities import check_call, choose_class, most_references
from vmem_ros.generation.inpaint.masks import picture_and_mask
from vmem_ros.generation.inpaint.options import InpaintOptions, InpaintSampling
from vmem_ros.generation.inpainting import inpaint
from vmem_ros.generation.noise import seeded_noise
from vmem_ros.generation.resizing import drawn_smaller, resize_image, working_size
from vmem_ros.generation.stock.calls import default_of, takes
from vmem_ros.generation.stock.loading import read_stock_pipeline
from vmem_ros.generation.stock.placing import at_work, place, type_of
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.protocols import OnStep, ShouldStop, Use
from vmem_ros.types import Projection, Recall, Target, View

_DISTILLED_STEPS = 4
_DEFAULTS = InpaintOptions()


class InpaintGenerator:
    """Draws new views with a pipeline for inpainting; see :class:`vmem_ros.protocols.Generator`.

    A view that memory shows whole, or but for cracks, is that, and costs nothing.

    :param pipeline: in its place and type; only its progress bar is switched off.
    :param options: those that say how it draws.
    :raises ModelError: options that the pipeline cannot follow.
    """

    name = "inpaint"
    #: One at a time, so that the next view sees what this one invents.
    frames = 1

    def __init__(self, pipeline: DiffusionPipeline, *, options: InpaintOptions = _DEFAULTS) -> None:
        kind = type(pipeline)
        self.pipeline, self.options = pipeline, options
        # Networks work on pairs of latents a side.
        self._cell = 2 * int(pipeline.vae_scale_factor)
        if options.max_side < self._cell:
            raise ModelError(f"max_side must be at least {self._cell} for this model, got {options.max_side}")
        check_call(kind, options.call, {**vars(options.sampling), "negative_prompt": options.negative_prompt})
        most = most_references(kind)
        self.max_references = options.max_references if most is None else min(options.max_references, most)
        uses: set[Use] = {"projection", "prompt"}
        if self.max_references:
            uses.add("views")
        self.uses: frozenset[Use] = frozenset(uses)
        self._call = {**self._settings(options.sampling, options.negative_prompt), **options.call}
        self._notes: tuple[str, ...] = ()
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str,
        *,
        device: torch.device | str = "cpu",
        options: InpaintOptions = _DEFAULTS,
    ) -> InpaintGenerator:
        """Return the generator of a pipeline folder or a repository of the Hub, ready to draw.

        :raises ModelError: it is missing, damaged or not for inpainting, or there is no GPU to offload from.
        :raises MemoryFullError: it does not fit on the device.
        """
        pipeline = read_stock_pipeline(
            source,
            engine=cls.name,
            choose=lambda found: choose_class(options.pipeline, found),
            torch_dtype=type_of(options.dtype, device),
            allow_download=options.allow_download,
        )
        if options.vae_tiling:
            pipeline.vae.enable_tiling()
        place(pipeline, device, options.offload)
        return cls(pipeline, options=options)

    def notes(self) -> tuple[str, ...]:
        """Return what users should know of the views drawn last."""
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
        """Return one view per target; see :class:`vmem_ros.protocols.Generator`."""
        noise, self._notes = seeded_noise(seed), ()
        views: list[View] = []
        prepared = [self._prepared(t, p) for t, p in zip(targets, recall.projections, strict=True)]
        number, total = 0, sum(bool(mask.any()) for _, mask in prepared)
        if not total and on_step is not None:
            on_step(1, 1)
        for target, projection, (picture, mask) in zip(targets, recall.projections, prepared, strict=True):
            if should_stop is not None and should_stop():
                raise CancelledError(f"cancelled before view {len(views) + 1} of {len(targets)}")
            if bool(mask.any()):

                def after_step(step: int, steps: int, before: int = number) -> None:
                    if on_step is not None:
                        on_step(before * steps + step, total * steps)
                    if should_stop is not None and should_stop():
                        raise CancelledError(
                            f"cancelled after denoising step {before * steps + step} of {total * steps}"
                        )

                references = [*views[-1:], *recall.views][: self.max_references]
                picture = self._draw(picture, mask, references, prompt, noise, after_step)
                number += 1
            image = composite_remembered(fit_into(picture, target.camera, projection, cell_px=self._cell), projection)
            views.append(
                View(image, target.camera, target.T_world_camera, stamp_ns=target.stamp_ns, source="generated")
            )
        return views

    def _prepared(self, target: Target, projection: Projection) -> tuple[Tensor, Tensor]:
        """Return what the pipeline is given of a projection; see :func:`picture_and_mask`."""
        options, cell = self.options, self._cell
        size = working_size(target.camera, multiple=cell, max_side=options.max_side, min_side=options.min_side)
        if bool(projection.seen.all()):
            return projection.image, torch.zeros_like(projection.seen)
        picture, mask = picture_and_mask(
            projection, size, cell_px=cell, holes=options.holes, least_hole=options.least_hole
        )
        if not bool(mask.any()):
            # No more than cracks, which are closed at full size.
            return inpaint(projection.image, projection.seen), mask
        self._notes = drawn_smaller(target.camera, size, multiple=cell, max_side=options.max_side)
        return picture, mask

    def _draw(
        self,
        picture: Tensor,
        mask: Tensor,
        references: Sequence[View],
        prompt: str | None,
        noise: torch.Generator,
        after_step: OnStep,
    ) -> Tensor:
        """Return a picture [h, w, 3] uint8, drawn anew where the mask [h, w] is true."""
        pipeline, kind, size = self.pipeline, type(self.pipeline), tuple(mask.shape)

        def on_step_end(called: Any, index: int, timestep: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            after_step(index + 1, _steps_of(called))
            return tensors

        given: dict[str, Any] = dict(self._call)
        if takes(kind, "height"):
            given.update(height=size[0], width=size[1])
        if references:
            given["image_reference"] = [_as_pil(resize_image(view.image, self._size_of(view))) for view in references]
        what = f"a view of {size[1]} x {size[0]} with {len(references)} references"
        with at_work(pipeline, self.name, what):
            output = pipeline(
                prompt=(prompt or self.options.prompt).strip(),
                image=_as_pil(picture),
                mask_image=Image.fromarray((mask.to(torch.uint8) * 255).cpu().numpy()),
                generator=noise,
                output_type="pt",
                callback_on_step_end=on_step_end,
                callback_on_step_end_tensor_inputs=[],
                **given,
            )
            drawn = output.images[0].float()
        if any(getattr(output, "nsfw_content_detected", None) or ()):
            self._notes += (
                "the model's safety checker has blackened a view: load the pipeline without one, or reword",
            )
        drawn = (drawn.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
        return drawn.to(picture.device)

    def _size_of(self, view: View) -> tuple[int, int]:
        return working_size(view.camera, multiple=self._cell, max_side=self.options.max_side)

    def _settings(self, asked: InpaintSampling, negative_prompt: str) -> dict[str, Any]:
        """Return the arguments of every call that say how noise becomes pictures."""
        kind, distilled = type(self.pipeline), bool(self.pipeline.config.get("is_distilled"))
        steps = asked.num_inference_steps or (
            _DISTILLED_STEPS if distilled else default_of(kind, "num_inference_steps")
        )
        settings: dict[str, Any] = {"num_inference_steps": steps}
        if takes(kind, "strength"):
            # What stands in the holes is a guess: by default nothing of it stays.
            settings["strength"] = 1.0 if asked.strength is None else asked.strength
        if asked.guidance_scale is not None:
            settings["guidance_scale"] = asked.guidance_scale
        elif distilled and takes(kind, "guidance_scale"):
            settings["guidance_scale"] = 1.0
        if negative_prompt:
            settings["negative_prompt"] = negative_prompt
        return settings


def from_options(options: InpaintOptions, *, device: torch.device | str = "cpu") -> InpaintGenerator:
    """Return the generator that the options of engine ``inpaint`` describe, its model loaded.

    :raises ModelError: see :meth:`InpaintGenerator.from_pretrained`.
    """
    return InpaintGenerator.from_pretrained(options.model, device=usable_device(device), options=options)


def _as_pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.cpu().numpy())


def _steps_of(pipeline: Any) -> int:
    """Return how many evaluations of the network the call at work takes; some pipelines keep it to themselves."""
    found: int = getattr(pipeline, "num_timesteps", None) or pipeline._num_timesteps
    return found
