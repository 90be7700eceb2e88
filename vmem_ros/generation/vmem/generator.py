"""VMem's generator: remembered views in, new views of the same world out, through a diffusion pipeline.

The pipeline draws chunks of frames of one size. Here is what lies between it and a world: cameras of any size,
references in the order the network expects, chunks of a fixed length, encodings that are kept, progress and cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation.resizing import resize_image, working_size
from vmem_ros.generation.vmem.autoencoding import decode, downsampling
from vmem_ros.generation.vmem.image_embedding import embed
from vmem_ros.generation.vmem.options import VMemOptions
from vmem_ros.generation.vmem.pipeline import VMemPipeline, VMemPipelineOutput
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.geometry import average_pose, geodesic_distance
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.protocols import OnStep, ShouldStop, Use
from vmem_ros.types import Projection, Recall, Target, View

_AS_THE_MODEL = SamplingOptions()


class VMemGenerator:
    """Draws new views with a :class:`VMemPipeline`; see :class:`vmem_ros.protocols.Generator`.

    Views are drawn at the nearest size that the network can work at, with the same field of view, and resampled. The
    references best in the recall are used, nearest to the targets first, as many as leave room for the targets.

    :param pipeline: in its place and type; only its progress bar is switched off.
    :param sampling: how noise becomes pictures, or what returns that: asked again for each call.
    :param fixed_frames: every pass of the network has ``unet.config.num_frames`` frames, the number it was trained
        with and for which it may be compiled: missing targets are filled up with repetitions, which are dropped, and
        more targets than fit take several passes. Otherwise a pass has as many frames as there are.
    :param max_side: bound on the sides in pixels at which the network works; ``None``: the model's own.
    :raises ModelError: ``max_side`` is less than the smallest size of the network.
    """

    name = "vmem"

    def __init__(
        self,
        pipeline: VMemPipeline,
        *,
        sampling: SamplingOptions | Callable[[], SamplingOptions] = _AS_THE_MODEL,
        fixed_frames: bool = True,
        max_side: int | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.fixed_frames = fixed_frames
        self.max_side: int | None = pipeline.config.max_side if max_side is None else max_side
        self._sampling = sampling
        self._multiple = downsampling(pipeline.vae) * pipeline.unet.divisor
        if self.max_side is not None and self.max_side < self._multiple:
            raise ModelError(f"max_side must be at least {self._multiple} for this model, got {self.max_side}")
        reads: set[Use] = {"views", "depth"}
        if pipeline.unet.config.projection_channels:
            reads.add("projection")
        self.uses: frozenset[Use] = frozenset(reads)
        # Half of what the network sees at once is remembered, half is new.
        self.frames: int = max(2, pipeline.unet.config.num_frames) // 2
        # (latent, embedding) by the image of the view: kept as long as a memory keeps that.
        self._encodings: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._notes: tuple[str, ...] = ()
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        compile: bool = False,
        lora: Path | str | None = None,
        lora_scale: float = 1.0,
        allow_download: bool = False,
        **options: Any,
    ) -> VMemGenerator:
        """Return the generator of a pipeline folder, ready to draw.

        :param source: see :func:`~vmem_ros.generation.vmem.pipeline_folder.read_pipeline`, as ``allow_download``.
        :param compile: compile the network when it first sees a size.
        :param lora: a LoRA adapter to merge into the network (:meth:`VMemPipeline.load_lora_weights`), which then costs
            no time, times ``lora_scale``.
        :param options: of the constructor.
        :raises ModelError: the folder or the adapter is missing, damaged, or of another kind.
        """
        pipeline = read_pipeline(source, torch_dtype=dtype, allow_download=allow_download)
        if lora is not None:
            pipeline.load_lora_weights(lora)
            pipeline.unet.fuse_lora(lora_scale)
            pipeline.unload_lora_weights()
        pipeline.to(device)
        if torch.device(device).type == "cuda":
            pipeline.unet.to(memory_format=torch.channels_last)
        if compile:
            pipeline.unet.compile(dynamic=False)
        return cls(pipeline, **options)

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
        """Return one view per target, with its latent and embedding; see :class:`vmem_ros.protocols.Generator`.

        :raises ModelError: the recall has no view, or an option of the sampling is out of range.
        """
        if not targets or not recall.views:
            raise ModelError(f"nothing to draw from: {len(recall.views)} references for {len(targets)} targets")
        sampling = self._sampling() if callable(self._sampling) else self._sampling
        steps = self.pipeline.sampling_defaults.override(sampling).num_inference_steps
        references, room = self._plan(recall.views, targets)
        passes = math.ceil(len(targets) / room)
        noise = torch.Generator()
        if seed is None:
            noise.seed()
        else:
            noise.manual_seed(seed)
        views: list[View] = []
        for number in range(passes):
            drawn = slice(number * room, (number + 1) * room)

            def after_step(step: int, before: int = number * steps) -> None:
                if on_step is not None:
                    on_step(before + step, steps * passes)
                if should_stop is not None and should_stop():
                    raise CancelledError(f"cancelled after denoising step {before + step} of {steps * passes}")

            views += self._draw(
                references, targets[drawn], recall.projections[drawn], room, sampling, noise, after_step
            )
        return views

    def _plan(self, views: Sequence[View], targets: Sequence[Target]) -> tuple[list[View], int]:
        """Return the references of all passes, nearest first, and how many targets a pass has room for."""
        references, room = list(views), len(targets)
        if self.fixed_frames:
            frames = max(2, self.pipeline.unet.config.num_frames)
            references = references[: max(frames - len(targets), frames // 2)]
            room = frames - len(references)
        middle = average_pose(torch.stack([target.T_world_camera for target in targets]))
        references.sort(key=lambda view: float(geodesic_distance(view.T_world_camera, middle)))
        return references, room

    def _draw(
        self,
        references: Sequence[View],
        targets: Sequence[Target],
        projections: Sequence[Projection],
        room: int,
        sampling: SamplingOptions,
        noise: torch.Generator,
        after_step: Callable[[int], None],
    ) -> list[View]:
        """Return the views of one pass of the network."""
        pipeline = self.pipeline
        camera = targets[0].camera
        height, width = working_size(camera, multiple=self._multiple, max_side=self.max_side)
        if (height, width) == working_size(camera, multiple=self._multiple):
            self._notes = ()
        else:
            self._notes = (
                f"views of {camera.width} x {camera.height} are drawn at {width} x {height} and enlarged "
                f"(max_side is {self.max_side})",
            )
        known = [self._known(view, (height, width)) for view in references]
        # What repeats the last target is drawn and dropped.
        order = [min(slot, len(targets) - 1) for slot in range(room)]

        def on_step_end(_: VMemPipeline, index: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            after_step(index + 1)
            return tensors

        output = pipeline(
            [view.image for view in references],
            [view.camera for view in references],
            [view.T_world_camera for view in references],
            [targets[slot].camera for slot in order],
            [targets[slot].T_world_camera for slot in order],
            height=height,
            width=width,
            projections=[projections[slot] for slot in order] if "projection" in self.uses else None,
            reference_depths=[view.depth for view in references],
            reference_latents=[latent for latent, _ in known],
            reference_embeddings=[embedding for _, embedding in known],
            generator=noise,
            output_type="latent",
            callback_on_step_end=on_step_end,
            callback_on_step_end_tensor_inputs=(),
            **vars(sampling),
        )
        assert isinstance(output, VMemPipelineOutput), "return_dict is the default"
        embeddings = output.reference_embeddings
        for index, view in enumerate(references):
            embedding = None if embeddings is None else embeddings[index]
            self._encodings[view.image] = (output.reference_latents[index], embedding)
        latents = output.latents[: len(targets)]
        decoded = decode(pipeline.vae, latents).clamp(-1, 1)
        embedded = None if pipeline.image_encoder is None else embed(pipeline.image_encoder, decoded)
        home = references[0].image.device
        images = ((decoded + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).to(home)
        return [
            View(
                resize_image(images[index], target.camera.size),
                target.camera,
                target.T_world_camera,
                latent=latents[index].to(home),
                embedding=None if embedded is None else embedded[index].to(home),
                stamp_ns=target.stamp_ns,
                source="generated",
            )
            for index, target in enumerate(targets)
        ]

    def _known(self, view: View, size: tuple[int, int]) -> tuple[Tensor | None, Tensor | None]:
        """Return the latent and the embedding of a view, as far as they are known for a (height, width)."""
        pipeline = self.pipeline
        kept_latent, kept_embedding = self._encodings.get(view.image, (None, None))
        latent = kept_latent if view.latent is None else view.latent
        embedding = kept_embedding if view.embedding is None else view.embedding
        factor = downsampling(pipeline.vae)
        latent_shape = (pipeline.vae.config.latent_channels, size[0] // factor, size[1] // factor)
        return _of_shape(latent, latent_shape), _of_shape(embedding, (pipeline.unet.config.context_dim,))


def from_options(options: VMemOptions, *, device: torch.device | str = "cpu") -> VMemGenerator:
    """Return the generator that the options of engine ``vmem`` describe, its model loaded.

    :raises ModelError: see :meth:`VMemGenerator.from_pretrained`.
    """
    chosen = dict(vars(options))
    device, dtype = usable_device(device), chosen.pop("dtype")
    if dtype == "auto":
        dtype = "float32" if device.type == "cpu" else "bfloat16"
    return VMemGenerator.from_pretrained(chosen.pop("model"), device=device, dtype=getattr(torch, dtype), **chosen)


def _of_shape(encoding: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """Return an encoding if it is one of this model: a world may have been saved with another."""
    fits = encoding is not None and encoding.is_floating_point() and tuple(encoding.shape) == shape
    return encoding if fits else None
