"""Features of pictures by a network that knows photographs: SqueezeNet v1.0, trained on ImageNet."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from vmem_ros.pretrained.shipped import MODELS, check_manifest

#: The folder with its weights.
FOLDER = MODELS / "perceptual"

# Mean of blue, green and red of the pictures that it was trained on.
_MEAN = (104.0, 117.0, 123.0)
# Channels of a fire module: squeezed, and each of its two expansions.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
# Fire modules behind which the picture becomes half as large.
_POOLED = (4, 8)
_FIRST = 96
#: Channels of the stages of :meth:`PerceptualNetwork.stages`.
STAGE_CHANNELS = (_FIRST, *(2 * _FIRES[number - 2][1] for number in _POOLED), 2 * _FIRES[-1][1])


class PerceptualNetwork(nn.Module):
    """The convolutions of SqueezeNet v1.0 (Iandola et al. 2016) up to the last but one, 512 channels.

    What it says is no LPIPS distance: nothing here was fitted to what people see.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _FIRST, 7, stride=2)
        inputs = _FIRST
        for number, (squeezed, expanded) in enumerate(_FIRES, start=2):
            self.add_module(f"fire{number}", _Fire(inputs, squeezed, expanded))
            inputs = 2 * expanded

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, 512, h, w], a cell for 16 pixels each way.

        :param images: [N, H, W, 3] uint8 RGB, sides of 32 or more.
        """
        return self.stages(images.permute(0, 3, 1, 2).float())[-1]

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return features from fine to coarse: :data:`STAGE_CHANNELS` channels, cells of 2, 4, 8 and 16 pixels.

        :param images: [N, 3, H, W] RGB from 0 to 255, sides of 32 or more.
        """
        bgr = images.flip(1)
        x = F.relu(self.conv1(bgr - bgr.new_tensor(_MEAN)[:, None, None]))
        found = [x]
        x = _halved(x)
        for number in range(2, 2 + len(_FIRES)):
            x = self.get_submodule(f"fire{number}")(x)
            if number in _POOLED:
                found.append(x)
                x = _halved(x)
        return [*found, x]


class _Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(inputs, squeezed, 1)
        self.conv1x1_2 = nn.Conv2d(squeezed, expanded, 1)
        self.conv3x3_2 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1x1_1(x))
        return F.relu(torch.cat([self.conv1x1_2(x), self.conv3x3_2(x)], dim=1))


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, ceil_mode=True)


@cache
def perceptual_network() -> PerceptualNetwork:
    """Return the network of the package, which nobody trains.

    :raises ModelError: its files are missing or altered.
    """
    check_manifest(FOLDER)
    network = PerceptualNetwork()
    state = load_file(FOLDER / "model.safetensors")
    network.load_state_dict({name: value.float() for name, value in state.items()})
    return network.eval().requires_grad_(False)
