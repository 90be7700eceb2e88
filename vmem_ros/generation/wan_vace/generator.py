"""The engine ``wan-vace``: a clip of the wanted path by Wan 2.1 VACE, told by video and mask what memory shows of it.

The newest views, or the one that the path goes on from, are the first frames and are kept; what memory shows of the
others is kept too, up to what a latent frame can say, and pasted back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import DiffusionPipeline, WanVACEPipeline
from torch import Tensor

from vmem_ros.errors import ModelError
from vmem_ros.generation.clips import ClipGenerator
from vmem_ros.generation.composition import composite_remembered
from vmem_ros.generation.resizing import resize_image, resize_projection
from vmem_ros.generation.step_callback import step_callback
from vmem_ros.generation.stock.calls import default_of
from vmem_ros.generation.stock.loading import read_stock_pipeline
from vmem_ros.generation.stock.placing import at_work, place, type_of
from vmem_ros.generation.wan.rounds import Round, RoundSettings, latent_frames
from vmem_ros.generation.wan.text import encode_text
from vmem_ros.generation.wan_vace.control import as_references, as_video, conservative_holes
from vmem_ros.generation.wan_vace.options import VaceOptions
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.protocols import Use
from vmem_ros.types import Projection, Target, View

_DEFAULTS = VaceOptions()
# As the model was trained, and as its authors call it.
_ROUNDS = {"first": 81, "later": 81, "history": 5}
_SMALL_AREA, _SMALL_SHIFT, _LARGE_SHIFT = 832 * 480, 3.0, 5.0


class VaceGenerator(ClipGenerator):
    """Draws new views with diffusers' ``WanVACEPipeline``; see :class:`~vmem_ros.generation.clips.ClipGenerator`.

    :param pipeline: in its place and type; its progress bar is switched off, and its scheduler gets the shift that
        belongs to the size of a clip.
    :param options: those that say how it draws.
    :raises ModelError: options that the pipeline cannot follow, or a model that it cannot host.
    """

    name = "wan-vace"

    def __init__(self, pipeline: WanVACEPipeline, *, options: VaceOptions = _DEFAULTS) -> None:
        stride = int(pipeline.vae_scale_factor_spatial)
        if (true := int(pipeline.vae.config.get("scale_factor_spatial") or stride)) != stride:
            raise ModelError(
                f"this autoencoder makes pictures {true} times smaller, but diffusers' WanVACEPipeline takes it for "
                f"{stride} times: use a model of the Wan 2.1 VACE type"
            )
        if pipeline.text_encoder is None or pipeline.tokenizer is None:
            raise ModelError("this model has no text encoder, without which it cannot draw: fetch the whole of it")
        network = pipeline.transformer if pipeline.transformer is not None else pipeline.transformer_2
        if network is None:
            raise ModelError("this model has no network: fetch the whole of it")
        self.pipeline, self.options = pipeline, options
        steps = options.sampling.num_inference_steps or default_of(WanVACEPipeline, "num_inference_steps")
        super().__init__(
            rounds=RoundSettings.of({**_ROUNDS, **options.rounds}, stride=int(pipeline.vae_scale_factor_temporal)),
            steps=steps,
            multiple=stride * max(network.config.patch_size[1:]),
            cell_px=stride,
            max_references=options.max_references,
            max_side=options.max_side,
            min_side=options.min_side,
        )
        uses: set[Use] = {"projection", "newest", "views", "prompt"}
        self.uses: frozenset[Use] = frozenset(uses)
        guidance = options.sampling.guidance_scale
        self._guidance = float(default_of(WanVACEPipeline, "guidance_scale") if guidance is None else guidance)
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def from_pretrained(
        cls, source: Path | str, *, device: torch.device | str = "cpu", options: VaceOptions = _DEFAULTS
    ) -> VaceGenerator:
        """Return the generator of a pipeline folder or a repository of the Hub, ready to draw.

        The autoencoder computes in float32, as its authors have it.

        :raises ModelError: it is missing, damaged or of another kind, or there is no GPU to offload from.
        :raises MemoryFullError: it does not fit on the device.
        """
        pipeline = read_stock_pipeline(
            source,
            engine=cls.name,
            choose=_choose_class,
            torch_dtype=type_of(options.dtype, device),
            dtypes={"vae": torch.float32},
            allow_download=options.allow_download,
        )
        if options.vae_tiling:
            pipeline.vae.enable_tiling()
        place(pipeline, device, options.offload)
        return cls(pipeline, options=options)

    def _draw(
        self,
        clip: Round,
        known: Sequence[View],
        references: Sequence[View],
        targets: Sequence[Target],
        projections: Sequence[Projection],
        size: tuple[int, int],
        prompt: str | None,
        noise: torch.Generator,
        after_step: Callable[[int], None],
    ) -> list[View]:
        """Return the views of one round."""
        history = known[clip.start :]
        home = history[0].image.device
        kept = torch.zeros(size, dtype=torch.bool, device=home)
        shown = [(resize_image(view.image, size), kept) for view in history]
        for projection in projections:
            image, seen, _ = resize_projection(projection, size)
            shown.append((image, ~seen))
        shown += shown[-1:] * clip.padding
        pictures, holes = (torch.stack(each) for each in zip(*shown, strict=True))
        drawn = conservative_holes(holes, self.rounds.stride)
        video, mask = as_video(pictures, drawn)
        self._set_shift(size)

        sampling = self.options.sampling
        # The pipeline has no room in its mask for more references than latent frames, and fails.
        references = references[: latent_frames(clip.frames, self.rounds.stride)]
        what = f"a clip of {clip.frames} frames of {size[1]} x {size[0]} with {len(references)} references"
        with at_work(self.pipeline, self.name, what):
            output = self.pipeline(
                video=video,
                mask=mask,
                reference_images=as_references([view.image for view in references], size),
                conditioning_scale=1.0 if sampling.control_scale is None else float(sampling.control_scale),
                height=size[0],
                width=size[1],
                num_frames=clip.frames,
                num_inference_steps=self._steps,
                guidance_scale=self._guidance,
                generator=noise,
                output_type="pt",
                callback_on_step_end=step_callback(after_step),
                callback_on_step_end_tensor_inputs=[],
                **self._texts(prompt),
            )
            frames = output.frames[0][clip.history :].float()
        new = (frames.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).to(home)
        return self._views(new, targets, projections)

    def _in_size(self, picture: Tensor, target: Target, projection: Projection) -> Tensor:
        """Return a drawn picture in the size asked for, what memory shows pasted back."""
        return composite_remembered(super()._in_size(picture, target, projection), projection)

    def _texts(self, prompt: str | None) -> dict[str, Tensor]:
        """Return the texts as embeddings: as strings the pipeline would need the package ftfy."""
        pipeline, device = self.pipeline, self.pipeline._execution_device

        def embedded(text: str) -> Tensor:
            return encode_text(pipeline.tokenizer, pipeline.text_encoder, text, device).to(device)

        texts = {"prompt_embeds": embedded((prompt or self.options.prompt).strip())}
        if self._guidance > 1:
            texts["negative_prompt_embeds"] = embedded(self.options.negative_prompt)
        return texts

    def _set_shift(self, size: tuple[int, int]) -> None:
        """Give the scheduler the shift that belongs to a (height, width), where it has one."""
        scheduler, asked = self.pipeline.scheduler, self.options.sampling.flow_shift
        name = next((name for name in ("flow_shift", "shift") if name in scheduler.config), None)
        if name is None:
            return
        shift = asked or (_SMALL_SHIFT if size[0] * size[1] <= _SMALL_AREA else _LARGE_SHIFT)
        if scheduler.config[name] != shift:
            self.pipeline.scheduler = type(scheduler).from_config(scheduler.config, **{name: shift})


def from_options(options: VaceOptions, *, device: torch.device | str = "cpu") -> VaceGenerator:
    """Return the generator that the options of engine ``wan-vace`` describe, its model loaded.

    :raises ModelError: see :meth:`VaceGenerator.from_pretrained`.
    """
    return VaceGenerator.from_pretrained(options.model, device=usable_device(device), options=options)


def _choose_class(found: str) -> type[DiffusionPipeline]:
    if found != WanVACEPipeline.__name__:
        raise ModelError(f"the model is of a {found}, but engine 'wan-vace' needs one of a WanVACEPipeline")
    kind: type[DiffusionPipeline] = WanVACEPipeline
    return kind
