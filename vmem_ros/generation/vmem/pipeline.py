"""The diffusion pipeline: reference images and cameras in, images of new cameras out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, ModelMixin, SchedulerMixin
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from PIL.Image import Image
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from vmem_ros.generation.resizing import resize_depth, resize_image, resize_projection
from vmem_ros.generation.vmem import pipeline_checks as checks
from vmem_ros.generation.vmem.autoencoding import decode, downsampling, encode, pixels
from vmem_ros.generation.vmem.caching import TaylorCache
from vmem_ros.generation.vmem.checkpoints import OnBytes, unet_from_original
from vmem_ros.generation.vmem.conditioning import Conditioning, normalise_poses, projection_channels
from vmem_ros.generation.vmem.denoising import Denoiser
from vmem_ros.generation.vmem.guidance import GuidanceInterval, guidance_scales
from vmem_ros.generation.vmem.image_embedding import embed
from vmem_ros.generation.vmem.lora import LoraMixin
from vmem_ros.generation.vmem.network import MultiviewUNet
from vmem_ros.generation.vmem.pipeline_chunk import PipelineChunk
from vmem_ros.generation.vmem.room_filling import HoleFilling, fill_projection
from vmem_ros.generation.vmem.sampling import sample
from vmem_ros.generation.vmem.sampling_options import Sampler, SamplingDefaults, SamplingOptions
from vmem_ros.generation.vmem.schedules import published_scheduler, sampling_scheduler
from vmem_ros.geometry import Camera, as_pose
from vmem_ros.pretrained.components import load_component, refuse_code
from vmem_ros.types import Projection

#: Modules that ``model_index.json`` of folders from earlier versions names, and where their classes are now.
MOVED_MODULES = {
    "vmem_ros.generation.network.multiview_unet": "vmem_ros.generation.vmem.network.multiview_unet",
    "vmem_ros.generation.patch_autoencoder": "vmem_ros.generation.vmem.patch_autoencoder",
}

#: Called after each step as ``callback(pipeline, index, timestep, tensors)``; returns the tensors to go on with.
OnStepEnd = Callable[["VMemPipeline", int, Tensor, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class VMemPipelineOutput(BaseOutput):
    """What a call returns, for K references and M targets.

    :param images: of the targets: ``pt`` [M, 3, H, W] and ``np`` [M, H, W, 3] float32 in [0, 1], ``pil`` a list, or
        ``latent`` the same as ``latents``.
    :param latents: [M, C, h, w] float32 of the targets: pass them back when a target becomes a reference.
    :param embeddings: [M, D] float32 of the target images; ``None`` without an image encoder or for ``latent``.
    :param reference_latents: [K, C, h, w] float32, computed or as passed.
    :param reference_embeddings: [K, D] float32; ``None`` without an image encoder.
    """

    images: Tensor | np.ndarray | list[Image]
    latents: Tensor
    embeddings: Tensor | None
    reference_latents: Tensor
    reference_embeddings: Tensor | None


@dataclass(frozen=True, eq=False)
class _Given:
    """The K references of a chunk: images [H, W, 3] of the size that is drawn, and their encodings."""

    images: list[Tensor]
    latents: Tensor
    embeddings: Tensor | None


class VMemPipeline(LoraMixin, DiffusionPipeline):
    """Draws the views of new cameras from reference views, with VMem's image-set diffusion.

    :param unet: the denoiser.
    :param vae: an ``AutoencoderKL``, an ``AutoencoderTiny``, or what encodes and decodes like one of them.
    :param image_encoder: CLIP's vision tower with projection, or ``None``: the network's context is a zero token then.
    :param scheduler: any diffusers scheduler with the betas and the ``prediction_type`` that the network was trained
        with. It holds the noise schedule; which scheduler class walks it, the ``sampler`` of a call says.
    :param camera_scale: distance from the centre that frame 0 is scaled to.
    :param published_offset: whether poses are scaled as by VMem's released code
        (:func:`~vmem_ros.generation.vmem.conditioning.normalise_poses`): true for the published weights.
    :param residual: whether the network predicts differences to what memory shows
        (:class:`~vmem_ros.generation.vmem.conditioning.Conditioning`).
    :param hole_filling: what the network sees where memory shows nothing
        (:func:`~vmem_ros.generation.vmem.room_filling.fill_projection`)
    :param sampling: fields of :class:`~vmem_ros.generation.vmem.sampling_options.SamplingDefaults`, which apply where a
        call does not say; those left out are as published.
    :param max_side: largest side in pixels at which this model draws well, for those who choose a size; ``None``: any.
    :raises ModelError: the parts do not fit together, or an unknown field of ``sampling``.
    """

    model_cpu_offload_seq = "image_encoder->unet->vae"
    _optional_components: ClassVar[list[str]] = ["image_encoder"]
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents", "clean_latents"]

    def __init__(
        self,
        unet: MultiviewUNet,
        vae: ModelMixin,
        image_encoder: CLIPVisionModelWithProjection | None,
        scheduler: SchedulerMixin,
        camera_scale: float = 2.0,
        published_offset: bool = False,
        residual: bool = False,
        hole_filling: HoleFilling = "smooth",
        sampling: Mapping[str, Any] | None = None,
        max_side: int | None = None,
    ) -> None:
        super().__init__()
        checks.check_parts(unet, vae, image_encoder, scheduler)
        SamplingDefaults.of(sampling)
        self.register_modules(unet=unet, vae=vae, image_encoder=image_encoder, scheduler=scheduler)
        self.register_to_config(
            camera_scale=camera_scale,
            published_offset=published_offset,
            residual=residual,
            hole_filling=hole_filling,
            sampling=sampling,
            max_side=max_side,
        )
        self.image_processor = VaeImageProcessor(vae_scale_factor=downsampling(vae))
        self._interrupt = False

    @classmethod
    def from_pretrained(cls, source: Path | str, **options: Any) -> VMemPipeline:
        """Return the pipeline that ``save_pretrained`` wrote; as in diffusers, but safetensors only.

        :raises ModelError: a folder with code in it, which diffusers before 0.41 may run.
        """
        if Path(source).is_dir():
            refuse_code(Path(source))
        return super().from_pretrained(source, **{"use_safetensors": True, **options})

    @classmethod
    def load_config(cls, *args: Any, **options: Any) -> Any:
        """Return the index of a folder as diffusers reads it, with modules that moved under their present names."""
        loaded = super().load_config(*args, **options)
        index = loaded[0] if isinstance(loaded, tuple) else loaded
        for name, value in index.items():
            if isinstance(value, list) and value and value[0] in MOVED_MODULES:
                index[name] = [MOVED_MODULES[value[0]], *value[1:]]
        return loaded

    @classmethod
    def from_original(
        cls,
        weights: Path | str,
        *,
        vae: AutoencoderKL | Path | str,
        image_encoder: CLIPVisionModelWithProjection | Path | str,
        config: Mapping[str, Any] | None = None,
        torch_dtype: torch.dtype = torch.float32,
        allow_download: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> VMemPipeline:
        """Return the pipeline of a published checkpoint file, on the CPU.

        :param weights: ``vmem_weights.pth`` (:func:`~vmem_ros.generation.vmem.checkpoints.load_original`).
        :param vae: autoencoder of Stable Diffusion 2.1, or where it is
            (:func:`~vmem_ros.pretrained.components.load_component`, as ``allow_download``). The file has none of its
            own, and the repository that its authors took it from has left the Hub.
        :param image_encoder: CLIP ViT-H/14 with projection, or where it is.
        :param config: see :func:`~vmem_ros.generation.vmem.checkpoints.unet_from_original`, as ``on_bytes``.
        :param torch_dtype: of all parts that are loaded.
        :raises ModelError: a file or part cannot be read, or the parts do not fit together.
        """
        if isinstance(vae, (str, Path)):
            vae = load_component(AutoencoderKL, vae, torch_dtype=torch_dtype, allow_download=allow_download)
        if isinstance(image_encoder, (str, Path)):
            image_encoder = load_component(
                CLIPVisionModelWithProjection, image_encoder, torch_dtype=torch_dtype, allow_download=allow_download
            )
        unet = unet_from_original(weights, config=config, torch_dtype=torch_dtype, on_bytes=on_bytes)
        return cls(unet, vae, image_encoder, published_scheduler(), published_offset=True)

    @property
    def sampling_defaults(self) -> SamplingDefaults:
        """How this model draws where a call does not say."""
        return SamplingDefaults.of(self.config.sampling)

    @property
    def way_of_drawing(self) -> str:
        """How this model draws where a call does not say, in words."""
        own = self.sampling_defaults
        interval = (
            "" if own.guidance_interval is None else " at noise levels {:g} to {:g}".format(*own.guidance_interval)
        )
        return (
            f"with the sampler `{own.sampler}` in {own.num_inference_steps} steps, guidance {own.guidance_scale:g} "
            f"({own.guidance_min:g} near a reference){interval}"
        )

    @property
    def interrupt(self) -> bool:
        """Set it during a call, e.g. from its callback, to end sampling after the current step.

        What is returned then is the latest estimate of the clean images.
        """
        return self._interrupt

    @interrupt.setter
    def interrupt(self, value: bool) -> None:
        self._interrupt = value

    @torch.no_grad()
    def __call__(
        self,
        reference_images: Sequence[Tensor],
        reference_cameras: Sequence[Camera],
        reference_poses: Tensor | Sequence[Tensor],
        target_cameras: Sequence[Camera],
        target_poses: Tensor | Sequence[Tensor],
        *,
        height: int,
        width: int,
        sampler: Sampler | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_min: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        camera_scale: float | None = None,
        projections: Sequence[Projection] | None = None,
        reference_depths: Sequence[Tensor | None] | None = None,
        reference_latents: Sequence[Tensor | None] | None = None,
        reference_embeddings: Sequence[Tensor | None] | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        cache: TaylorCache | None = None,
        output_type: checks.OutputType = "pt",
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        return_dict: bool = True,
    ) -> VMemPipelineOutput | tuple[Any, ...]:
        """Draw one image per target.

        How noise becomes pictures is, where an argument is ``None``, as the model's own :attr:`sampling_defaults` says.

        :param reference_images: K images [H, W, 3] uint8 RGB, each of the size of its camera. They are resized to
            ``height`` x ``width``. The first one must be the reference nearest to the targets: the scale of positions
            and the frame of all rays are taken from it.
        :param reference_poses: K of ``T_world_camera`` [4, 4], optical axes; in any unit, for positions are normalised.
        :param target_cameras: M cameras of any size; the image that is drawn spans the whole field of view of each.
        :param target_poses: M of ``T_world_camera``.
        :param height: of the images drawn; it and ``width`` must be multiples of the vae's downsampling times
            ``unet.divisor``.
        :param sampler: see :data:`~vmem_ros.generation.vmem.sampling_options.Sampler`.
        :param num_inference_steps: evaluations of the network; with another sampler than the model's own and no number,
            50 for ``published`` and 15 for ``fast``.
        :param guidance_scale: of targets that no reference is near (``guidance_scales``); 1 is none, at half the cost.
        :param guidance_min: of references, and of targets near one.
        :param guidance_interval: (low, high) noise levels with guidance (:class:`GuidanceInterval`); (0, inf): all.
        :param camera_scale: instead of the pipeline's own.
        :param projections: what memory shows at each target, for a network with ``projection_channels``. Such a
            network sees references as shown completely.
        :param reference_depths: [H, W] of each reference, for holes that are filled as of a room: references may show
            its floor where no projection does.
        :param reference_latents: encodings from earlier calls, ``None`` for those to be computed.
        :param reference_embeddings: the same for CLIP embeddings.
        :param generator: makes the noise; equal seeds give equal images on one device.
        :param latents: noise of unit variance [K + M, C, h, w] instead.
        :param cache: skips evaluations of the network, as an experiment; a new one for each call.
        :param callback_on_step_end: may return tensors to go on with, and set :attr:`interrupt`. What it raises ends
            the call.
        :param callback_on_step_end_tensor_inputs: of ``latents`` (running, in the scale of the sampler) and
            ``clean_latents`` (the estimate, for previews).
        :raises ModelError: arguments that do not fit the model or each other.
        :raises InvalidImageError: an image that is not uint8 RGB, or a size that the model cannot draw.
        :raises InvalidCameraError: an image and its intrinsics disagree.
        :raises InvalidPoseError: a pose that is not rigid.
        """
        chunk = PipelineChunk(
            reference_images,
            reference_cameras,
            reference_poses,
            target_cameras,
            target_poses,
            projections,
            reference_depths,
            reference_latents,
            reference_embeddings,
            generator,
            latents,
        )
        (output,) = self.draw(
            [chunk],
            SamplingOptions(
                sampler=sampler,
                num_inference_steps=num_inference_steps,
                guidance_scale=guidance_scale,
                guidance_min=guidance_min,
                guidance_interval=guidance_interval,
            ),
            height=height,
            width=width,
            camera_scale=camera_scale,
            cache=cache,
            output_type=output_type,
            callback_on_step_end=callback_on_step_end,
            callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
        )
        return output if return_dict else output.to_tuple()

    @torch.no_grad()
    def draw(
        self,
        chunks: Sequence[PipelineChunk],
        sampling: SamplingOptions,
        *,
        height: int,
        width: int,
        camera_scale: float | None = None,
        cache: TaylorCache | None = None,
        output_type: checks.OutputType = "pt",
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> list[VMemPipelineOutput]:
        """Draw several chunks that have nothing to do with each other, in one batch: each as a call draws it alone.

        :param chunks: of as many frames each, references and targets together.
        :param sampling: what is ``None`` in it is as the model's own :attr:`sampling_defaults` says.
        :param callback_on_step_end: as of a call; its tensors hold one chunk after another.
        :returns: what a call returns, for each chunk.
        :raises VmemError: as of a call; or the chunks have different numbers of frames.
        """
        how = self.sampling_defaults.override(sampling)
        interval = None if how.guidance_interval is None else GuidanceInterval(*how.guidance_interval)
        camera_scale = self.config.camera_scale if camera_scale is None else camera_scale
        latent_size = checks.check_size(self.unet, self.vae, height, width)
        latent_shape = (self.vae.config.latent_channels, *latent_size)
        for chunk in chunks:
            self._check_chunk(chunk, latent_shape)
        frames = checks.check_equal_frames([chunk.frames for chunk in chunks])
        checks.check_numbers(
            guidance_scale=how.guidance_scale, guidance_min=how.guidance_min, camera_scale=camera_scale
        )
        checks.check_output(output_type, callback_on_step_end_tensor_inputs, self._callback_tensor_inputs)
        device = self._execution_device
        scheduler = sampling_scheduler(self.scheduler, how.sampler, how.num_inference_steps, device=device)
        self._interrupt = False

        given = [self._encode_references(chunk, (height, width), device) for chunk in chunks]
        told, scales, noise = [], [], []
        for chunk, each in zip(chunks, given, strict=True):
            poses = torch.cat(
                [_stack(chunk.reference_poses, "reference_poses"), _stack(chunk.target_poses, "target_poses")]
            )
            normalised = normalise_poses(
                poses, camera_scale=camera_scale, published_offset=self.config.published_offset
            )
            cameras = [*chunk.reference_cameras, *chunk.target_cameras]
            told.append(
                Conditioning.of_chunk(
                    each.latents,
                    each.embeddings,
                    cameras,
                    normalised,
                    context_dim=self.unet.config.context_dim,
                    projection=self._project(chunk, each, [camera.resized(width, height) for camera in cameras], poses),
                    residual=self.config.residual,
                )
            )
            scales.append(
                guidance_scales(
                    normalised,
                    torch.stack([camera.resized(1, 1).K for camera in cameras]),
                    told[-1].given.cpu(),
                    scale=how.guidance_scale,
                    minimum=how.guidance_min,
                )
            )
            noise.append(
                randn_tensor((frames, *latent_shape), generator=chunk.generator, device=device, dtype=torch.float32)
                if chunk.latents is None
                else chunk.latents.to(device)
            )
        denoiser = Denoiser(
            self.unet,
            Conditioning.of_chunks(told),
            torch.cat(scales).to(device),
            chunk_frames=frames,
            interval=interval,
            prediction=self.scheduler.config.prediction_type,
            dtype=self.unet.dtype,
        )
        with self.progress_bar(total=how.num_inference_steps) as bar:
            for step in sample(denoiser, scheduler, torch.cat(noise), cache=cache):
                if callback_on_step_end is not None:
                    shown = {"latents": step.latents, "clean_latents": step.clean}
                    chosen = {name: shown[name] for name in callback_on_step_end_tensor_inputs}
                    changed = callback_on_step_end(self, step.index, step.timestep, chosen)
                    step.latents = changed.get("latents", step.latents)
                bar.update()
                if self._interrupt:
                    step.latents = step.clean
                    break

        outputs = [
            self._output(latents[len(chunk.reference_images) :], each, output_type)
            for chunk, each, latents in zip(chunks, given, step.latents.split(frames), strict=True)
        ]
        self.maybe_free_model_hooks()
        return outputs

    def _check_chunk(self, chunk: PipelineChunk, latent_shape: tuple[int, int, int]) -> None:
        """Find every mistake in a chunk before any work."""
        poses = _stack(chunk.reference_poses, "reference_poses"), _stack(chunk.target_poses, "target_poses")
        references, targets = len(chunk.reference_images), len(chunk.target_cameras)
        checks.check_frames(
            (chunk.reference_images, chunk.reference_cameras, poses[0]), (chunk.target_cameras, poses[1])
        )
        checks.check_cached("reference_latents", chunk.reference_latents, references, latent_shape)
        embedding_shape = (self.unet.config.context_dim,)
        checks.check_cached("reference_embeddings", chunk.reference_embeddings, references, embedding_shape)
        checks.check_depths(chunk.reference_depths, chunk.reference_images)
        checks.check_projections(self.unet, chunk.projections, targets)
        checks.check_noise(chunk.latents, (chunk.frames, *latent_shape))

    def _output(self, latents: Tensor, given: _Given, output_type: checks.OutputType) -> VMemPipelineOutput:
        """Return what is made of the latents of the targets [M, C, h, w]."""
        images, embeddings = latents, None
        if output_type != "latent":
            decoded = decode(self.vae, latents).clamp(-1, 1)
            images = self.image_processor.postprocess(decoded, output_type=output_type)
            if self.image_encoder is not None:
                embeddings = embed(self.image_encoder, decoded)
        return VMemPipelineOutput(images, latents, embeddings, given.latents, given.embeddings)

    def _encode_references(self, chunk: PipelineChunk, size: tuple[int, int], device: torch.device) -> _Given:
        """Return the references of a chunk as the network takes them, for a picture size (height, width)."""
        images = [resize_image(torch.as_tensor(image), size) for image in chunk.reference_images]
        latents = self._encode(images, chunk.reference_latents, device)
        embeddings = None
        if self.image_encoder is not None:
            embeddings = self._embed(images, chunk.reference_embeddings, device)
        return _Given(images, latents, embeddings)

    def _encode(self, images: list[Tensor], cached: Sequence[Tensor | None] | None, device: torch.device) -> Tensor:
        """Return latents [K, C, h, w], those of images that have none yet computed in one batch."""
        return _complete(images, cached, lambda batch: encode(self.vae, batch), device)

    def _embed(self, images: list[Tensor], cached: Sequence[Tensor | None] | None, device: torch.device) -> Tensor:
        """Return embeddings [K, D], those of images that have none yet computed in one batch."""
        return _complete(images, cached, lambda batch: embed(self.image_encoder, batch), device)

    def _project(
        self, chunk: PipelineChunk, references: _Given, cameras: Sequence[Camera], T_world_camera: Tensor
    ) -> Tensor | None:
        """Return the projection channels [K + M, C + 1, h, w], if there are projections; references show themselves.

        :param cameras: K + M of the size that is drawn, as ``T_world_camera``.
        """
        if chunk.projections is None:
            return None
        # What is filled smoothly is filled picture by picture: references have no part in it.
        in_room = self.config.hole_filling == "room"
        beside = _shown_by_references(references.images, chunk.reference_depths) if in_room else []
        given = references.latents
        size, first = cameras[0].size, len(given) - len(beside)
        every = [resize_projection(projection, size) for projection in (*beside, *chunk.projections)]
        # Memory and the references need not be where the network is.
        shown, seen, depth = ([tensor.to(given.device) for tensor in each] for each in zip(*every, strict=True))
        visible = torch.stack(seen)
        filled = fill_projection(
            pixels(shown, given.device),
            visible,
            torch.stack(depth),
            cameras[first:],
            T_world_camera[first:],
            how=self.config.hole_filling,
        )[len(beside) :]
        visible = visible[len(beside) :]
        everything = visible.new_ones(len(given), *size)
        return projection_channels(torch.cat([given, encode(self.vae, filled)]), torch.cat([everything, visible]))


def _shown_by_references(images: Sequence[Tensor], depths: Sequence[Tensor | None] | None) -> list[Projection]:
    """Return references [H, W, 3] of one size as projections that show all of which the depth is known."""
    shown = []
    for image, known in zip(images, depths or [None] * len(images), strict=True):
        depth = torch.full(image.shape[:2], torch.nan, device=image.device)
        if known is not None:
            depth = resize_depth(known.to(image.device).float(), (image.shape[0], image.shape[1]))
        seen = depth.isfinite()
        shown.append(Projection(image, depth, seen, torch.where(seen, 0, -1), seen.float()))
    return shown


def _complete(
    images: list[Tensor],
    cached: Sequence[Tensor | None] | None,
    compute: Callable[[Tensor], Tensor],
    device: torch.device,
) -> Tensor:
    """Return one encoding per image [K, ...] float32: the cached ones, and computed where there is none."""
    known = [None] * len(images) if cached is None else list(cached)
    missing = [index for index, entry in enumerate(known) if entry is None]
    if missing:
        computed = compute(pixels([images[index] for index in missing], device))
        for index, entry in zip(missing, computed, strict=True):
            known[index] = entry
    return torch.stack([entry.to(device, torch.float32) for entry in known if entry is not None])


def _stack(poses: Tensor | Sequence[Tensor], name: str) -> Tensor:
    """Return poses [N, 4, 4] float64."""
    return as_pose(torch.stack([torch.as_tensor(T) for T in poses]), name) if len(poses) else torch.empty(0, 4, 4)
