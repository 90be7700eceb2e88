"""Depth networks of transformers: Depth Anything, Depth Pro, Prompt Depth Anything, DPT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vmem_ros.errors import ModelError
from vmem_ros.geometry import Camera
from vmem_ros.geometry.hole_filling import fill_depth
from vmem_ros.pointmaps.prediction import DepthPrediction, ScalePrior
from vmem_ros.pointmaps.preprocessing import Preprocessing
from vmem_ros.pretrained import hub
from vmem_ros.types import Recall, View

#: Kinds of models (``model_type`` of their configuration) that are understood.
ModelType = Literal["depth_anything", "depth_pro", "prompt_depth_anything", "dpt"]
_CLASSES: dict[ModelType, str] = {
    "depth_anything": "DepthAnythingForDepthEstimation",
    "depth_pro": "DepthProForDepthEstimation",
    "prompt_depth_anything": "PromptDepthAnythingForDepthEstimation",
    "dpt": "DPTForDepthEstimation",
}
#: Apache-2.0, 25 million parameters.
DEFAULT_MODEL = "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"
#: The same for the open air.
OUTDOOR_MODEL = "depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf"
#: Files of a repository that are read: neither pickles nor code.
FILES = ("*.json", "*.safetensors")
# These networks do not say how sure they are.
_DEVIATION = 0.1
# Of inverse depth; what is smaller is infinitely far.
_LEAST_INVERSE = 1e-4
_LEAST_CONTRAST = 1e-3


class HuggingFaceDepth:
    """Depth of single pictures; see :class:`~vmem_ros.pointmaps.AlignedDepth`.

    - Metric models give z-depth in metres. Depth Pro gives inverse depth for a focal length of one picture width; the
      true focal length is known and used, not the one it would estimate.
    - Prompt Depth Anything is told what memory shows, its holes filled; where memory shows nothing it knows no scale,
      and there is no depth.
    - Relative models (Depth Anything without *Metric* in its name, DPT) give inverse depth up to scale and shift: they
      continue a world but cannot begin one.

    :param model: a model of transformers for depth estimation.
    :raises ModelError: of a kind that is not known here.
    """

    name = "huggingface"

    def __init__(self, model: Any, preprocessing: Preprocessing) -> None:
        kind = _known(model.config.model_type)
        self.model = model
        self._preprocess = preprocessing
        self._kind = kind
        if kind == "depth_pro":
            # A second network that would estimate the focal length.
            model.use_fov_model = False
        estimation = getattr(model.config, "depth_estimation_type", "relative")
        self._relative = kind == "dpt" or (kind == "depth_anything" and estimation == "relative")
        #: Prompt Depth Anything has the scale of memory, and no depth where that shows nothing.
        self.metric = not self._relative
        self.scale_prior: ScalePrior | None = None if self._relative else ScalePrior()

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str = DEFAULT_MODEL,
        *,
        device: torch.device | str = "cpu",
        allow_download: bool = False,
    ) -> HuggingFaceDepth:
        """Return the estimator with a model of a folder or of the Hugging Face Hub.

        :param source: a folder with ``config.json``, ``preprocessor_config.json`` and safetensors, or ``owner/name``.
        :param allow_download: fetch what is not on this machine yet.
        :raises ModelError: transformers is missing, or the model is missing, damaged or of another kind.
        """
        try:
            import transformers
        except ImportError as error:
            raise ModelError(
                f"geometry.estimator = 'huggingface' needs transformers, which cannot be imported ({error}): pip "
                "install transformers"
            ) from error
        from vmem_ros.pretrained.components import load_component

        folder = _folder(source, allow_download=allow_download)
        try:
            kind = _known(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder}/config.json does not say what kind of model it is ({type(error).__name__}: {error}): fetch "
                "the model again"
            ) from error
        model = load_component(getattr(transformers, _CLASSES[kind]), folder)
        return cls(model.to(device), Preprocessing.read(folder / "preprocessor_config.json"))

    @torch.inference_mode()
    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return depth and deviation of each view."""
        return [self._predict(view, p.depth) for view, p in zip(views, recall.projections, strict=True)]

    def _predict(self, view: View, remembered: Tensor) -> DepthPrediction:
        nothing = torch.full_like(remembered, torch.nan)
        options = {}
        if self._kind == "prompt_depth_anything":
            if not bool(torch.isfinite(remembered).any()):
                return DepthPrediction(nothing, nothing)
            options["prompt_depth"] = _prompt(remembered).to(self.model.device)
        values = self._preprocess(view.image.to(self.model.device))
        output = self.model(pixel_values=values, **options).predicted_depth.float()
        output = interpolate(output[:, None], view.camera.size, mode="bilinear", align_corners=False)[0, 0]
        depth = self._depth(output, view.camera).to(remembered)
        return DepthPrediction(depth, torch.full_like(depth, _DEVIATION))

    def _depth(self, output: Tensor, camera: Camera) -> Tensor:
        """Return depth [H, W] of what the model says."""
        if not self._relative and self._kind != "depth_pro":
            return output
        inverse = output * (camera.width / camera.fx) if self._kind == "depth_pro" else output
        return torch.where(inverse > _LEAST_INVERSE, 1 / inverse, torch.inf)


def _folder(source: Path | str, *, allow_download: bool) -> Path:
    """Return the folder of a model; without ``allow_download`` nobody is asked on the network."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    command = f"vmem fetch depth{_model_option(str(source))}"
    if allow_download:
        elsewhere = (
            f"run `{command} --to depth-model` where there is one, copy the folder here and name it as the model"
        )
        return hub.bring(str(source), FILES, marker="config.json", elsewhere=elsewhere)
    found = hub.cached_folder(str(source), "config.json")
    if found is None:
        raise ModelError(
            f"the depth model {source} is not on this machine: fetch it with `{command}`, allow downloads, or give a "
            "folder"
        )
    return found


def _model_option(source: str) -> str:
    return "" if source == DEFAULT_MODEL else f" --model {source}"


def _known(kind: str) -> ModelType:
    found: ModelType | None = next((each for each in get_args(ModelType) if each == kind), None)
    if found is None:
        raise ModelError(
            f"a depth model of kind {kind!r} is not known here; allowed are {', '.join(get_args(ModelType))}"
        )
    return found


def _prompt(remembered: Tensor) -> Tensor:
    """Return a prompt [1, 1, H, W] without holes, and not the same everywhere: it is scaled to its own range."""
    prompt = fill_depth(remembered)
    prompt = torch.where(torch.isfinite(prompt), prompt, prompt[torch.isfinite(prompt)].max())
    if float(prompt.max() - prompt.min()) < _LEAST_CONTRAST:
        prompt = prompt.clone()
        prompt[0, 0] += _LEAST_CONTRAST
    return prompt[None, None]
