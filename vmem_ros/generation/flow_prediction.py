"""What networks of flows may say of an image under noise, and the velocity that it stands for."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from vmem_ros.errors import ModelError

#: What a network says of an image under noise: its velocity, noise - image, or the image itself.
FlowPrediction = Literal["velocity", "sample"]
#: Likewise of a network that is told what memory shows of the image; ``difference``: the image less that.
SceneFlowPrediction = Literal["velocity", "sample", "difference"]
#: Velocities are not told from images at times below this.
LEAST_TIME = 0.05


def check_prediction(prediction: str, *, scene: bool = False) -> None:
    """Raise :class:`ModelError` unless a prediction is one of :data:`FlowPrediction`.

    :param scene: or of :data:`SceneFlowPrediction`.
    """
    names = get_args(SceneFlowPrediction if scene else FlowPrediction)
    if prediction not in names:
        raise ModelError(f"prediction must be one of {', '.join(names)}, got {prediction!r}")


def velocity_of(prediction: FlowPrediction, said: Tensor, noisy: Tensor, time: Tensor | float) -> Tensor:
    """Return the velocity that an output stands for, at times in 0 to 1."""
    return (noisy - said) / torch.as_tensor(time).clamp(min=LEAST_TIME) if prediction == "sample" else said
