"""The diffusion pipeline of the video network: what memory shows along a path in, a clip of that path out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, ModelMixin, SchedulerMixin
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from PIL.Image import Image
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, UMT5EncoderModel

from vmem_ros.errors import ModelError
from vmem_ros.generation.resizing import resize_image
from vmem_ros.generation.vmem.autoencoding import pixels
from vmem_ros.generation.wan import pipeline_checks as checks
from vmem_ros.generation.wan.autoencoding import (
    decode_clip,
    encode_clip,
    encode_control,
    encode_singly,
    latent_channels,
    spatial_stride,
    temporal_stride,
)
from vmem_ros.generation.wan.checkpoints import transformer_from_original
from vmem_ros.generation.wan.lora import WanLoraMixin, switch_adapters
from vmem_ros.generation.wan.network import SceneWanTransformer3DModel
from vmem_ros.generation.wan.rounds import RoundSettings
from vmem_ros.generation.wan.sampling import RoundConditioning, sample_round
from vmem_ros.generation.wan.sampling_options import ClipSampling, ClipSamplingOptions
from vmem_ros.generation.wan.schedules import started, unipc_scheduler
from vmem_ros.generation.wan.text import encode_text, load_tokenizer
from vmem_ros.pretrained.components import load_component

#: What Spatia's published code adds to every prompt.
PUBLISHED_SUFFIX = " 4K, realistic, high quality, HDR."

#: Called after each step as ``callback(pipeline, index, timestep, tensors)``; returns the tensors to go on with.
OnStepEnd = Callable[["SceneWanPipeline", int, Tensor, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class SceneWanPipelineOutput(BaseOutput):
    """What a call returns, for a clip of F pictures and f latent frames, those that were given included.

    :param frames: ``pt`` [F, 3, H, W] and ``np`` [F, H, W, 3] float32 in [0, 1], ``pil`` a list, or ``latent`` the same
        as ``latents``.
    :param latents: [1, C, f, h, w] float32.
    :param reference_latents: [1, C, R, h, w] float32, computed or as passed; ``None`` without references.
    """

    frames: Tensor | np.ndarray | list[Image]
    latents: Tensor
    reference_latents: Tensor | None


class SceneWanPipeline(WanLoraMixin, DiffusionPipeline):
    """Draws a clip that begins with pictures that are known, told what memory shows of every frame.

    :param transformer: the denoiser.
    :param vae: ``AutoencoderKLWan`` of the 2.2 type, or an autoencoder of single pictures with as many channels.
    :param scheduler: of flows: ``unipc_scheduler()`` or ``euler_scheduler()`` of
        :mod:`vmem_ros.generation.wan.schedules`. The noise levels are the published ones, whatever its own are.
    :param text_encoder: UMT5, with its ``tokenizer``, or ``None`` for both: there is no text then, or only one that is
        given as embeddings.
    :param rounds: fields of :class:`~vmem_ros.generation.wan.rounds.RoundSettings` that the network was trained with,
        for those who cut paths into clips; those left out are as published.
    :param sampling: fields of :class:`~vmem_ros.generation.wan.sampling_options.ClipSampling`, which apply where a call
        does not say.
    :param max_references: most references that the network was trained with.
    :param prompt_suffix: what published code adds to every prompt, for those who make prompts.
    :param max_side: largest side in pixels at which this model draws well; ``None``: any.
    :raises ModelError: the parts do not fit together, or an unknown field.
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae"
    _optional_components: ClassVar[list[str]] = ["text_encoder", "tokenizer"]
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]

    def __init__(
        self,
        transformer: SceneWanTransformer3DModel,
        vae: ModelMixin,
        scheduler: SchedulerMixin,
        text_encoder: PreTrainedModel | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        rounds: Mapping[str, Any] | None = None,
        sampling: Mapping[str, Any] | None = None,
        max_references: int = 7,
        prompt_suffix: str = "",
        max_side: int | None = None,
    ) -> None:
        super().__init__()
        checks.check_parts(transformer, vae, text_encoder, tokenizer, scheduler)
        ClipSampling.of(sampling)
        self.register_modules(
            transformer=transformer, vae=vae, scheduler=scheduler, text_encoder=text_encoder, tokenizer=tokenizer
        )
        self.register_to_config(
            rounds=rounds,
            sampling=sampling,
            max_references=max_references,
            prompt_suffix=prompt_suffix,
            max_side=max_side,
        )
        _ = self.rounds
        self.image_processor = VaeImageProcessor(vae_scale_factor=spatial_stride(vae))
        self._interrupt = False

    @classmethod
    def from_pretrained(cls, source: Path | str, **options: Any) -> SceneWanPipeline:
        """Return the pipeline that ``save_pretrained`` wrote; as in diffusers, but safetensors only."""
        return super().from_pretrained(source, **{"use_safetensors": True, **options})

    @classmethod
    def from_original(
        cls,
        main: Path | str,
        control: Path | str,
        *,
        base: Path | str,
        config: Mapping[str, Any] | None = None,
        torch_dtype: torch.dtype = torch.float32,
        allow_download: bool = False,
    ) -> SceneWanPipeline:
        """Return the pipeline of Spatia's published files, on the CPU.

        :param main: see :func:`~vmem_ros.generation.wan.checkpoints.transformer_from_original`, as ``control`` and
            ``config``.
        :param base: where ``vae``, ``text_encoder`` and ``tokenizer`` are: a folder in the format of diffusers, or
            ``owner/name`` of one on the Hugging Face Hub.
        :param torch_dtype: of all parts but the vae, which stays in float32.
        :param allow_download: fetch what is not on this machine.
        :raises ModelError: a file or part cannot be read, or the parts do not fit together.
        """
        load = partial(load_component, allow_download=allow_download)
        transformer = transformer_from_original(main, control, config=config, torch_dtype=torch_dtype)
        return cls(
            transformer,
            load(AutoencoderKLWan, f"{base}/vae"),
            unipc_scheduler(),
            load(UMT5EncoderModel, f"{base}/text_encoder", torch_dtype=torch_dtype),
            load_tokenizer(base, allow_download=allow_download),
            # The first round of the paper, not the 121 frames of the code: worlds ask for 72 views at a time.
            rounds={"first": 81, "full": True},
            prompt_suffix=PUBLISHED_SUFFIX,
        )

    @property
    def sampling_defaults(self) -> ClipSampling:
        """How this model draws where a call does not say."""
        return ClipSampling.of(self.config.sampling)

    @property
    def way_of_drawing(self) -> str:
        """How this model draws where a call does not say, in words."""
        own, rounds = self.sampling_defaults, self.rounds
        return (
            f"clips of {rounds.first} and then {rounds.later} frames, of which {rounds.history} are known, with up to "
            f"{self.config.max_references} references, in {own.num_inference_steps} steps, guidance "
            f"{own.guidance_scale:g}"
        )

    @property
    def rounds(self) -> RoundSettings:
        """Lengths of the clips that this model was trained with."""
        return RoundSettings.of(self.config.rounds, stride=temporal_stride(self.vae))

    @property
    def interrupt(self) -> bool:
        """Set it during a call, e.g. from its callback, to end sampling after the current step."""
        return self._interrupt

    @interrupt.setter
    def interrupt(self, value: bool) -> None:
        self._interrupt = value

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | None = None,
        *,
        height: int,
        width: int,
        num_frames: int,
        scene: Sequence[Tensor] | None = None,
        coverage: Sequence[Tensor] | None = None,
        control: Tensor | None = None,
        history: Sequence[Tensor] | None = None,
        history_latents: Tensor | None = None,
        references: Sequence[Tensor] | None = None,
        reference_latents: Tensor | None = None,
        preceding_latents: Tensor | None = None,
        negative_prompt: str | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        control_scale: float | None = None,
        use_lora: bool | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        output_type: checks.OutputType = "pt",
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        return_dict: bool = True,
    ) -> SceneWanPipelineOutput | tuple[Any, ...]:
        """Draw one clip.

        :param height: of the pictures; it and ``width`` are multiples of the vae's stride times the patches.
        :param num_frames: F, of the clip, history included: stride * k + 1.
        :param scene: F pictures [height, width, 3] uint8 RGB, what memory shows of each frame, black where it shows
            nothing; ``None``: memory shows nothing at all, and the network is not told.
        :param coverage: F of [height, width] in 0 ... 1, how much of each pixel it shows; ``None``: nothing of it
            counts as shown, as where the published code is given no score.
        :param control: latents [1, 2 C, f, h, w] instead of scene and coverage; with ``preceding_latents``, theirs
            follow.
        :param history: the first pictures [H, W, 3] uint8 of the clip, 1 or stride * k + 1 of them; they are resized.
        :param history_latents: [1, C, k, h, w] instead.
        :param references: pictures of the same world from elsewhere, of any size.
        :param reference_latents: [1, C, R, h, w] instead, each encoded by itself.
        :param preceding_latents: [1, C, P, h, w] frames that are known, which the network sees after the clip (Mirage).
        :param negative_prompt: what guidance leads away from; ``None``: the empty text.
        :param prompt_embeds: [1, T, text_dim] instead of the prompt, as ``negative_prompt_embeds``.
        :param num_inference_steps: where it is ``None``, as ``guidance_scale`` and ``control_scale``, the model's own
            :attr:`sampling_defaults` hold. Guidance needs two texts that differ.
        :param use_lora: whether adapters act; ``None``: only in clips that go on from more than one latent frame or see
            references, as published.
        :param generator: makes the noise; equal seeds give equal pictures on one device.
        :param latents: noise of unit variance [1, C, f, h, w] instead.
        :param callback_on_step_end: may return ``latents`` to go on with, and set :attr:`interrupt`. What it raises
            ends the call.
        :raises ModelError: arguments that do not fit the model or each other.
        :raises InvalidImageError: a picture that is not uint8 RGB, or a size that the model cannot draw.
        """
        how = self.sampling_defaults.override(
            ClipSamplingOptions(
                num_inference_steps=num_inference_steps, guidance_scale=guidance_scale, control_scale=control_scale
            )
        )
        size = (height, width)
        shape = (latent_channels(self.vae), *checks.check_size(self.transformer, self.vae, height, width))
        frames = checks.check_clip(self.vae, "num_frames", num_frames)
        checks.check_scene(scene, coverage, num_frames, size)
        checks.check_one_of(scene, control, "scene and control")
        checks.check_one_of(history, history_latents, "history")
        checks.check_one_of(references, reference_latents, "references")
        checks.check_pictures("history", history)
        checks.check_pictures("references", references)
        if history is not None:
            checks.check_history(checks.check_clip(self.vae, "history", len(history)), frames)
        preceding = 0 if preceding_latents is None else preceding_latents.shape[2]
        if preceding and scene is not None:
            raise ModelError("preceding_latents need a control of latents, theirs included, not a scene")
        checks.check_latents("control", control, (2 * shape[0], *shape[1:]), frames + preceding)
        for name, given in (
            ("history_latents", history_latents),
            ("reference_latents", reference_latents),
            ("preceding_latents", preceding_latents),
        ):
            checks.check_latents(name, given, shape)
        if history_latents is not None:
            checks.check_history(history_latents.shape[2], frames)
        checks.check_latents("latents", latents, shape, frames)
        checks.check_text(self.transformer, self.text_encoder, prompt, prompt_embeds)
        checks.check_text(self.transformer, self.text_encoder, negative_prompt, negative_prompt_embeds)
        checks.check_output(output_type, callback_on_step_end_tensor_inputs, self._callback_tensor_inputs)
        device = self._execution_device
        scheduler = started(self.scheduler, how.num_inference_steps, device)
        self._interrupt = False
        try:
            text, negative = self._texts(prompt, negative_prompt, prompt_embeds, negative_prompt_embeds, device)
            if history:
                history_latents = encode_clip(self.vae, self._pictures(history, size, device))
            if references:
                reference_latents = encode_singly(self.vae, self._pictures(references, size, device))
            if scene is not None:
                control = self._control(scene, coverage, device)
            told = RoundConditioning(
                text=text,
                negative_text=negative,
                history=history_latents,
                references=reference_latents,
                preceding=preceding_latents,
                control=control,
                control_scale=how.control_scale,
            )
            if latents is None:
                latents = randn_tensor((1, shape[0], frames, *shape[1:]), generator, device, torch.float32)
            if use_lora is None:
                use_lora = told.goes_on
            switch_adapters(self.transformer, use_lora)
            drawn = latents.to(device, torch.float32)
            with self.progress_bar(total=how.num_inference_steps) as bar:
                for step in sample_round(self.transformer, scheduler, drawn, told, guidance_scale=how.guidance_scale):
                    if callback_on_step_end is not None:
                        shown = {name: step.latents for name in callback_on_step_end_tensor_inputs}
                        changed = callback_on_step_end(self, step.index, step.timestep, shown)
                        step.latents = changed.get("latents", step.latents)
                    drawn = step.latents
                    bar.update()
                    if self._interrupt:
                        break
            pictures: Any = drawn
            if output_type != "latent":
                decoded = decode_clip(self.vae, drawn).clamp(-1, 1)
                pictures = self.image_processor.postprocess(decoded, output_type=output_type)
        finally:
            switch_adapters(self.transformer, True)
            self.maybe_free_model_hooks()
        output = SceneWanPipelineOutput(pictures, drawn, reference_latents)
        return output if return_dict else output.to_tuple()

    def _texts(
        self,
        prompt: str | None,
        negative_prompt: str | None,
        embeds: Tensor | None,
        negative_embeds: Tensor | None,
        device: torch.device,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return embeddings of the text and of the one to lead away from; ``None`` where it would be the same."""
        same = embeds is None and negative_embeds is None and (prompt or "") == (negative_prompt or "")
        if self.text_encoder is None:
            return embeds, negative_embeds
        if embeds is None:
            embeds = encode_text(self.tokenizer, self.text_encoder, prompt or "", device)
        if negative_embeds is None and not same:
            negative_embeds = encode_text(self.tokenizer, self.text_encoder, negative_prompt or "", device)
        return embeds, negative_embeds

    def _pictures(self, images: Sequence[Tensor], size: tuple[int, int], device: torch.device) -> Tensor:
        return pixels([resize_image(torch.as_tensor(image), size) for image in images], device)

    def _control(self, scene: Sequence[Tensor], coverage: Sequence[Tensor] | None, device: torch.device) -> Tensor:
        shown = pixels([torch.as_tensor(picture) for picture in scene], device)
        shares = None if coverage is None else torch.stack([share.to(shown) for share in coverage])
        return encode_control(self.vae, shown, shares)
