"""Spatia's generator: a clip of the wanted path that goes on from what was seen last, told what memory shows of it.

The pipeline draws clips of one size and of certain lengths. What every engine of clips does around one is in
:mod:`~vmem_ros.generation.clips`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from vmem_ros.errors import ModelError
from vmem_ros.generation.clips import ClipGenerator
from vmem_ros.generation.resizing import resize_depth, resize_image, resize_projection
from vmem_ros.generation.step_callback import step_callback
from vmem_ros.generation.stock.options import Offload
from vmem_ros.generation.stock.placing import place
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline_of
from vmem_ros.generation.wan.autoencoding import spatial_stride, temporal_stride
from vmem_ros.generation.wan.options import SpatiaOptions
from vmem_ros.generation.wan.pipeline import SceneWanPipeline, SceneWanPipelineOutput
from vmem_ros.generation.wan.rounds import Round, RoundSettings
from vmem_ros.generation.wan.sampling_options import ClipSamplingOptions
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.protocols import Use
from vmem_ros.types import Projection, Target, View

_Generator = TypeVar("_Generator", bound="SpatiaGenerator")


class SpatiaGenerator(ClipGenerator):
    """Draws new views with a :class:`SceneWanPipeline`; see :class:`~vmem_ros.generation.clips.ClipGenerator`.

    :param pipeline: in its place and type; only its progress bar is switched off.
    :param sampling: how noise becomes pictures.
    :param rounds: fields of :class:`RoundSettings` that differ from the pipeline's own.
    :param max_references: ``None``: the pipeline's own, as ``max_side`` and ``prompt_suffix``.
    :param prompt: of views for which no other one is given.
    :raises ModelError: options that the pipeline cannot follow.
    """

    name = "spatia"

    def __init__(
        self,
        pipeline: SceneWanPipeline,
        *,
        sampling: ClipSamplingOptions | None = None,
        rounds: Mapping[str, Any] | None = None,
        max_references: int | None = None,
        max_side: int | None = None,
        prompt: str = "",
        prompt_suffix: str | None = None,
        negative_prompt: str = "",
    ) -> None:
        config, self.pipeline = pipeline.config, pipeline
        self._sampling = sampling or ClipSamplingOptions()
        super().__init__(
            rounds=RoundSettings.of({**(config.rounds or {}), **(rounds or {})}, stride=temporal_stride(pipeline.vae)),
            steps=pipeline.sampling_defaults.override(self._sampling).num_inference_steps,
            multiple=spatial_stride(pipeline.vae) * max(pipeline.transformer.divisor),
            cell_px=spatial_stride(pipeline.vae),
            max_references=config.max_references if max_references is None else max_references,
            max_side=config.max_side if max_side is None else max_side,
        )
        uses: set[Use] = {"views", "projection", "newest", "depth"}
        if pipeline.text_encoder is not None:
            uses.add("prompt")
        elif prompt or negative_prompt:
            raise ModelError("this model has no text encoder: leave prompt and negative_prompt out")
        self.uses: frozenset[Use] = frozenset(uses)
        self._prompt, self._negative_prompt = prompt, negative_prompt
        self._suffix = config.prompt_suffix if prompt_suffix is None else prompt_suffix
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def from_pretrained(
        cls: type[_Generator],
        source: Path | str,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        compile: bool = False,
        offload: Offload = "none",
        lora: Path | str | None = None,
        lora_scale: float = 1.0,
        allow_download: bool = False,
        **options: Any,
    ) -> _Generator:
        """Return the generator of a pipeline folder, ready to draw.

        :param source: see :func:`~vmem_ros.generation.vmem.pipeline_folder.read_pipeline_of`, as ``allow_download``.
        :param compile: compile the network when it first sees a size.
        :param offload: see :data:`~vmem_ros.generation.stock.options.Offload`.
        :param lora: an adapter (:meth:`SceneWanPipeline.load_lora_weights`), times ``lora_scale``.
        :param options: of the constructor.
        :raises ModelError: the folder or the adapter is missing, damaged, or of another kind, or there is no GPU to
            offload from.
        """
        pipeline = read_pipeline_of(SceneWanPipeline, source, torch_dtype=dtype, allow_download=allow_download)
        if lora is not None:
            pipeline.load_lora_weights(lora, scale=lora_scale)
        place(pipeline, device, offload)
        if compile:
            pipeline.transformer.compile(dynamic=False)
        return cls(pipeline, **options)

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
        shown = [shown_by(view, size) for view in history]
        shown += [resize_projection(projection, size)[:2] for projection in projections]
        shown += shown[-1:] * clip.padding

        output = self.pipeline(
            self._text(prompt),
            height=size[0],
            width=size[1],
            num_frames=clip.frames,
            scene=[image for image, _ in shown],
            coverage=[seen for _, seen in shown],
            history=[view.image for view in history],
            references=[view.image for view in references] or None,
            negative_prompt=self._negative_prompt or None,
            generator=noise,
            callback_on_step_end=step_callback(after_step),
            callback_on_step_end_tensor_inputs=(),
            **vars(self._sampling),
        )
        assert isinstance(output, SceneWanPipelineOutput), "return_dict is the default"
        assert isinstance(output.frames, Tensor), "pt is the default"
        home = history[0].image.device
        pictures = (output.frames[clip.history :] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).to(home)
        return self._views(pictures, targets, projections)

    def _text(self, prompt: str | None) -> str | None:
        if "prompt" not in self.uses:
            return None
        text = (prompt or self._prompt).strip()
        return text + self._suffix if text else None


def from_options(options: SpatiaOptions, *, device: torch.device | str = "cpu") -> SpatiaGenerator:
    """Return the generator that the options of engine ``spatia`` describe, its model loaded.

    :raises ModelError: see :meth:`SpatiaGenerator.from_pretrained`.
    """
    chosen = dict(vars(options))
    device, dtype, model = usable_device(device), chosen.pop("dtype"), chosen.pop("model")
    if dtype == "auto":
        dtype = "float32" if device.type == "cpu" else "bfloat16"
    return SpatiaGenerator.from_pretrained(model, device=device, dtype=getattr(torch, dtype), **chosen)


def shown_by(view: View, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return what memory shows at the pose of a view: the view itself, where its depth is known."""
    image = resize_image(view.image, size)
    if view.depth is None:
        return torch.zeros_like(image), torch.zeros(size, dtype=torch.bool, device=image.device)
    seen = resize_depth(view.depth.to(image.device), size).isfinite()
    return image * seen[..., None], seen
