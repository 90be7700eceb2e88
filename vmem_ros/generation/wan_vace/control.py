"""What the pipeline is given of a path: a video of what is known and shown, and a mask of where it is to draw.

The network works on latent frames: the first of one picture, each other of ``stride``. What of a latent frame is to be
drawn is one answer for all its pictures, so a pixel that is a hole in one of them is drawn in all. And the pipeline
reads the mask of a latent frame from a single picture, which may belong to the next latent frame: that one, too, has to
say what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from vmem_ros.generation.resizing import resize_image
from vmem_ros.generation.wan.rounds import latent_frames

#: The middle of the range of pixels: what the network was trained to see where it is to draw.
GREY = 128
# Pictures of nearly the shape of the clip are fitted to it; others are left to the pipeline, which puts them whole on a
# white canvas.
_NEARLY = 0.1


def conservative_holes(holes: Tensor, stride: int) -> Tensor:
    """Return where a clip is to be drawn [F, h, w] bool: the same for all pictures of a latent frame, and no less.

    :param holes: [F, h, w] bool, true where nothing is known; stride * k + 1 pictures.
    """
    count = latent_frames(len(holes), stride)
    group = (torch.arange(len(holes)) + stride - 1) // stride
    of_latent = torch.stack([holes[group == k].any(dim=0) for k in range(count)])
    # Where the pipeline looks: its interpolation of the mask in time, nearest-exact.
    read = ((torch.arange(count) + 0.5) * len(holes) / count).floor().long()
    drawn = of_latent.clone()
    for latent, frame in enumerate(read.tolist()):
        drawn[group[frame]] |= of_latent[latent]
    return drawn[group]


def as_video(pictures: Tensor, drawn: Tensor) -> tuple[list[Image.Image], list[Image.Image]]:
    """Return video and mask as the pipeline takes them: grey where it is to draw, and white there in the mask.

    :param pictures: [F, h, w, 3] uint8.
    :param drawn: [F, h, w] bool.
    """
    video = torch.where(drawn[..., None], torch.full_like(pictures, GREY), pictures).cpu().numpy()
    mask = (drawn.to(torch.uint8) * 255).cpu().numpy()
    return [Image.fromarray(frame) for frame in video], [Image.fromarray(frame) for frame in mask]


def as_references(images: Sequence[Tensor], size: tuple[int, int]) -> list[Image.Image] | None:
    """Return reference pictures as the pipeline takes them, ``None`` for none.

    It puts each in front of those before it, so the first of the list, which memory holds the best, comes to lie beside
    the clip. Pictures of nearly the shape of the clip are made to fit, so that no white rim is left around them.

    :param images: [H, W, 3] uint8, best first.
    :param size: (height, width) of the clip.
    """
    shape = size[0] / size[1]
    fitted = [
        resize_image(image, size) if abs(image.shape[0] / image.shape[1] / shape - 1) <= _NEARLY else image
        for image in images
    ]
    return [Image.fromarray(image.cpu().numpy()) for image in fitted] or None
