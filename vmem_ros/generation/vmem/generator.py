"""VMem's generator: remembered views in, new views of the same world out, through a diffusion pipeline.

The pipeline draws chunks of frames of one size. Here is what lies between it and a world: cameras of any size,
references in the order the network expects, chunks of a fixed length, encodings that are kept, progress and cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation.enlarging import enlarge_into
from vmem_ros.generation.exemplars import ExemplarLibrary, lend_details, load_library
from vmem_ros.generation.noise import seeded_noise
from vmem_ros.generation.resizing import drawn_smaller, resize_image, working_size
from vmem_ros.generation.step_callback import step_callback
from vmem_ros.generation.vmem.autoencoding import decode, downsampling
from vmem_ros.generation.vmem.fingerprint import fingerprint
from vmem_ros.generation.vmem.image_embedding import embed
from vmem_ros.generation.vmem.options import VMemOptions
from vmem_ros.generation.vmem.pipeline import VMemPipeline, VMemPipelineOutput
from vmem_ros.generation.vmem.pipeline_chunk import PipelineChunk
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.geometry import average_pose, geodesic_distance
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.pretrained.shipped import SHIPPED_MODELS
from vmem_ros.protocols import DrawRequest, OnStep, ShouldStop, Use
from vmem_ros.types import Projection, Recall, Target, View

_AS_THE_MODEL = SamplingOptions()


@dataclass(frozen=True, eq=False)
class _Pass:
    """One pass of the network for one request.

    :param room: frames for targets; more than there are targets.
    :param size: (height, width) that it works at.
    :param noise: of the whole request.
    """

    references: Sequence[View]
    targets: Sequence[Target]
    projections: Sequence[Projection]
    room: int
    size: tuple[int, int]
    noise: torch.Generator


class VMemGenerator:
    """Draws new views with a :class:`VMemPipeline`; see :class:`vmem_ros.protocols.Generator`.

    Views are drawn at the nearest size that the network can work at, with the same field of view, and resampled. The
    references best in the recall are used, nearest to the targets first, as many as leave room for the targets. A
    network that sees projections draws the rest of them; what it draws smaller than asked for is joined to them in full
    size (:mod:`~vmem_ros.generation.enlarging`).

    :param pipeline: in its place and type; only its progress bar is switched off.
    :param sampling: how noise becomes pictures, or what returns that: asked again for each call.
    :param fixed_frames: every pass of the network has ``unet.config.num_frames`` frames, the number it was trained
        with and for which it may be compiled: missing targets are filled up with repetitions, which are dropped, and
        more targets than fit take several passes. Otherwise a pass has as many frames as there are.
    :param max_side: bound on the sides in pixels at which the network works; ``None``: the model's own.
    :param library: pictures of other places that lend details to what nobody saw
        (:mod:`~vmem_ros.generation.exemplars`). Then views are drawn one by one, for each of them has to know what was
        invented for the one before.
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
        library: ExemplarLibrary | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.library = library
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
        self.frames: int = 1 if library else max(2, pipeline.unet.config.num_frames) // 2
        # (latent, embedding) by the image of the view: kept as long as a memory keeps that.
        self._encodings: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._notes: tuple[str, ...] = ()
        self._fingerprint = ""
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
        exemplars: Path | str = "none",
        allow_download: bool = False,
        **options: Any,
    ) -> VMemGenerator:
        """Return the generator of a pipeline folder, ready to draw.

        :param source: see :func:`~vmem_ros.generation.vmem.pipeline_folder.read_pipeline`, as ``allow_download``.
        :param compile: compile the network when it first sees a size.
        :param lora: a LoRA adapter to merge into the network (:meth:`VMemPipeline.load_lora_weights`), which then costs
            no time, times ``lora_scale``.
        :param exemplars: see :class:`~vmem_ros.generation.vmem.options.VMemOptions`.
        :param options: of the constructor.
        :raises ModelError: the folder, the adapter or the library is missing, damaged, or of another kind.
        """
        pipeline = read_pipeline(source, torch_dtype=dtype, allow_download=allow_download)
        library = load_library(exemplars, of_package=source in SHIPPED_MODELS)
        if lora is not None:
            pipeline.load_lora_weights(lora)
            pipeline.unet.fuse_lora(lora_scale)
            pipeline.unload_lora_weights()
        pipeline.to(device)
        if torch.device(device).type == "cuda":
            pipeline.unet.to(memory_format=torch.channels_last)
        if compile:
            pipeline.unet.compile(dynamic=False)
        return cls(pipeline, library=library, **options)

    def notes(self) -> tuple[str, ...]:
        """Return what users should know of the views drawn last: that they were drawn smaller than asked for."""
        return self._notes

    def encodings(self) -> str:
        """Return the fingerprint of autoencoder and image encoder, whose encodings the views have."""
        if not self._fingerprint:
            self._fingerprint = fingerprint(self.pipeline.vae, self.pipeline.image_encoder)
        return self._fingerprint

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
        request = DrawRequest(recall, targets, seed)
        return self.generate_together([request], on_step=on_step, should_stop=should_stop)[0]

    @torch.no_grad()
    def generate_together(
        self,
        requests: Sequence[DrawRequest],
        *,
        prompt: str | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[list[View]]:
        """Return the views of several requests, drawn as one batch; see :class:`vmem_ros.protocols.DrawsTogether`.

        Requests of which a pass has another size, or another number of frames, take passes of their own.
        """
        for request in requests:
            if not request.targets or not request.recall.views:
                raise ModelError(
                    f"nothing to draw from: {len(request.recall.views)} references for {len(request.targets)} targets"
                )
        sampling = self._sampling() if callable(self._sampling) else self._sampling
        steps = self.pipeline.sampling_defaults.override(sampling).num_inference_steps
        batches = _batches([self._passes(request) for request in requests])
        views: list[list[View]] = [[] for _ in requests]
        self._notes = ()
        for number, batch in enumerate(batches):

            def after_step(step: int, before: int = number * steps) -> None:
                if on_step is not None:
                    on_step(before + step, steps * len(batches))
                if should_stop is not None and should_stop():
                    raise CancelledError(f"cancelled after denoising step {before + step} of {steps * len(batches)}")

            drawn = self._draw(list(batch.values()), sampling, after_step)
            for request_number, made in zip(batch, drawn, strict=True):
                views[request_number] += made
        return views

    def _passes(self, request: DrawRequest) -> list[_Pass]:
        """Return the passes of the network that a request takes: all with its references, nearest first."""
        targets, projections = request.targets, request.recall.projections
        references, room = list(request.recall.views), len(targets)
        if self.fixed_frames:
            frames = max(2, self.pipeline.unet.config.num_frames)
            references = references[: max(frames - len(targets), frames // 2)]
            room = frames - len(references)
        middle = average_pose(torch.stack([target.T_world_camera for target in targets]))
        references.sort(key=lambda view: float(geodesic_distance(view.T_world_camera, middle)))
        noise = seeded_noise(request.seed)
        passes = []
        for start in range(0, len(targets), room):
            drawn = slice(start, start + room)
            size = working_size(targets[start].camera, multiple=self._multiple, max_side=self.max_side)
            passes.append(_Pass(references, targets[drawn], projections[drawn], room, size, noise))
        return passes

    def _draw(
        self, passes: Sequence[_Pass], sampling: SamplingOptions, after_step: Callable[[int], None]
    ) -> list[list[View]]:
        """Return the views of passes of one size and number of frames, drawn as one batch."""
        height, width = passes[0].size
        outputs = self.pipeline.draw(
            [self._chunk(each) for each in passes],
            sampling,
            height=height,
            width=width,
            output_type="latent",
            callback_on_step_end=step_callback(after_step),
            callback_on_step_end_tensor_inputs=(),
        )
        return [self._views(each, output) for each, output in zip(passes, outputs, strict=True)]

    def _chunk(self, drawn: _Pass) -> PipelineChunk:
        """Return what the pipeline is given of a pass."""
        known = [self._known(view, drawn.size) for view in drawn.references]
        # What repeats the last target is drawn and dropped.
        order = [min(slot, len(drawn.targets) - 1) for slot in range(drawn.room)]
        return PipelineChunk(
            [view.image for view in drawn.references],
            [view.camera for view in drawn.references],
            [view.T_world_camera for view in drawn.references],
            [drawn.targets[slot].camera for slot in order],
            [drawn.targets[slot].T_world_camera for slot in order],
            projections=[drawn.projections[slot] for slot in order] if "projection" in self.uses else None,
            reference_depths=[view.depth for view in drawn.references],
            reference_latents=[latent for latent, _ in known],
            reference_embeddings=[embedding for _, embedding in known],
            generator=drawn.noise,
        )

    def _views(self, drawn: _Pass, output: VMemPipelineOutput) -> list[View]:
        """Return the views of a pass, and keep the encodings of its references."""
        pipeline, references, (height, width) = self.pipeline, drawn.references, drawn.size
        targets, projections = drawn.targets, drawn.projections
        notes = drawn_smaller(targets[0].camera, drawn.size, multiple=self._multiple, max_side=self.max_side)
        self._notes = tuple(dict.fromkeys((*self._notes, *notes)))
        embeddings = output.reference_embeddings
        for index, view in enumerate(references):
            embedding = None if embeddings is None else embeddings[index]
            self._encodings[view.image] = (output.reference_latents[index], embedding)
        latents = output.latents[: len(targets)]
        decoded = decode(pipeline.vae, latents).clamp(-1, 1)
        embedded = None if pipeline.image_encoder is None else embed(pipeline.image_encoder, decoded)
        home = references[0].image.device
        images = ((decoded + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).to(home)
        views = []
        for index, target in enumerate(targets):
            image, enlarged = images[index], height * width < target.camera.height * target.camera.width
            changed = enlarged and "projection" in self.uses
            if changed:
                image = enlarge_into(image, projections[index], cell_px=downsampling(pipeline.vae))
            image = resize_image(image, target.camera.size)
            if self.library is not None and "projection" in self.uses:
                image, changed = lend_details(image, projections[index], self.library, drawn.noise), True
            views.append(
                View(
                    image,
                    target.camera,
                    target.T_world_camera,
                    # The encodings are those of what was drawn.
                    latent=None if changed else latents[index].to(home),
                    embedding=None if changed or embedded is None else embedded[index].to(home),
                    stamp_ns=target.stamp_ns,
                    source="generated",
                )
            )
        return views

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


def _batches(passes: Sequence[Sequence[_Pass]]) -> list[dict[int, _Pass]]:
    """Return which passes are drawn together, by the number of their request: one of each, of one size.

    Those of one request follow one another, because they share their noise.
    """
    batches: list[dict[int, _Pass]] = []
    for turn in range(max(map(len, passes))):
        alike: dict[tuple[int, tuple[int, int]], dict[int, _Pass]] = {}
        for number, of_request in enumerate(passes):
            if turn < len(of_request):
                drawn = of_request[turn]
                frames = len(drawn.references) + drawn.room
                alike.setdefault((frames, drawn.size), {})[number] = drawn
        batches += alike.values()
    return batches


def _of_shape(encoding: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """Return an encoding if it is one of this model: views may come with those of another."""
    fits = encoding is not None and encoding.is_floating_point() and tuple(encoding.shape) == shape
    return encoding if fits else None
