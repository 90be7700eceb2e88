"""CUT3R, the point-map network of the VMem paper, from the user's own installation.

Neither its code nor its weights come with this package: both are CC BY-NC-SA 4.0, for non-commercial use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vmem_ros.errors import ModelError
from vmem_ros.geometry import Camera
from vmem_ros.pointmaps.prediction import DepthPrediction, ScalePrior
from vmem_ros.types import Recall, View

_HOW = (
    "git clone https://github.com/CUT3R/CUT3R, install its requirements, put its folder src on PYTHONPATH, and name "
    "its checkpoint (cut3r_512_dpt_4_64.pth) as geometry.model"
)
_LONGER_SIDE, _MULTIPLE = 512, 16
# Its confidence starts at 1; this deviation of log depth goes with 1, and half of it with 2.
_DEVIATION = 0.2

#: ``inference(views, model, device, verbose=False)`` of CUT3R.
Inference = Callable[..., tuple[dict[str, Any], Any]]


class Cut3rDepth:
    """Depth of new views estimated together with the views that memory recalled, in one sequence.

    CUT3R says where its points lie in each camera; only their depth is used, for poses and intrinsics are known, and
    it is aligned to what is remembered (:class:`~vmem_ros.pointmaps.AlignedDepth`).

    :param model: ``ARCroco3DStereo``, on its device.
    """

    name = "cut3r"
    #: Trained on metric data, but its scale is its own.
    metric = False
    scale_prior: ScalePrior | None = ScalePrior(common=0.5, own=0.2)

    def __init__(self, model: Any, inference: Inference, *, device: torch.device | str) -> None:
        self._model = model
        self._inference = inference
        self._device = torch.device(device)

    @classmethod
    def from_installation(cls, checkpoint: Path | str, *, device: torch.device | str = "cuda") -> Cut3rDepth:
        """Return the estimator with a checkpoint, which is loaded by CUT3R's own code.

        That code unpickles: only load a checkpoint from its authors.

        :raises ModelError: CUT3R cannot be imported, there is no checkpoint, or CUT3R cannot load it.
        """
        try:
            model_module, inference_module = (importlib.import_module(f"dust3r.{n}") for n in ("model", "inference"))
            load, inference = model_module.ARCroco3DStereo.from_pretrained, inference_module.inference
        except (ImportError, AttributeError) as error:
            raise ModelError(
                f"geometry.estimator = 'cut3r' needs CUT3R, which cannot be imported ({error}): {_HOW}"
            ) from error
        if not Path(checkpoint).is_file():
            raise ModelError(f"there is no CUT3R checkpoint {str(checkpoint)!r}: {_HOW}")
        try:
            model = load(str(checkpoint)).to(device).eval()
        except Exception as error:  # whatever somebody else's code raises
            raise ModelError(f"CUT3R cannot load {checkpoint} ({error}): {_HOW}") from error
        return cls(model, inference, device=device)

    @torch.inference_mode()
    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return depth and deviation of each view.

        :raises ModelError: CUT3R fails.
        """
        sequence = [_given(view, i) for i, view in enumerate([*recall.views, *views])]
        try:
            output, _ = self._inference(sequence, self._model, self._device, verbose=False)
            found = [(each["pts3d_in_self_view"][0], each["conf_self"][0]) for each in output["pred"]]
        except Exception as error:
            raise ModelError(f"CUT3R failed ({type(error).__name__}: {error}); it needs a CUDA device") from error
        return [
            _prediction(points[..., 2], confidence, view.camera, projection.depth)
            for (points, confidence), view, projection in zip(
                found[len(recall.views) :], views, recall.projections, strict=True
            )
        ]


def _given(view: View, index: int) -> dict[str, Any]:
    """Return a view as CUT3R's ``inference`` takes it: a picture, and nothing known about its camera."""
    height, width = _working_size(view.camera)
    image = view.image.permute(2, 0, 1)[None].float() / 127.5 - 1
    image = interpolate(image, (height, width), mode="bicubic", antialias=True, align_corners=False)
    return {
        "img": image,
        "ray_map": torch.full((1, 6, height, width), torch.nan),
        "true_shape": torch.tensor([[height, width]], dtype=torch.int32),
        "idx": index,
        "instance": str(index),
        "camera_pose": torch.eye(4)[None],
        "img_mask": torch.tensor([True]),
        "ray_mask": torch.tensor([False]),
        "update": torch.tensor([True]),
        "reset": torch.tensor([False]),
    }


def _working_size(camera: Camera) -> tuple[int, int]:
    factor = _LONGER_SIDE / max(camera.size)
    height, width = (max(_MULTIPLE, round(side * factor / _MULTIPLE) * _MULTIPLE) for side in camera.size)
    return height, width


def _prediction(depth: Tensor, confidence: Tensor, camera: Camera, like: Tensor) -> DepthPrediction:
    depth, confidence = (
        interpolate(each[None, None].float(), camera.size, mode="bilinear", align_corners=False)[0, 0].to(like)
        for each in (depth, confidence)
    )
    return DepthPrediction(depth, _DEVIATION / confidence.clamp(min=1))
