"""Pictures that were drawn smaller than they are asked for: enlarged, and joined to what memory shows in full size.

A network that works at a third of the size knows nothing of details, and one that works on cells of eight pixels does
not even know where within a cell a surface ends. What memory shows has both. So remembered pixels are taken from
memory; near them, holes are continued from their border; farther away they are as drawn, with what the picture is off
at the border taken out smoothly, as when pictures are pasted together (Perez et al., Poisson Image Editing, 2003). How
near, the picture itself says: a network that cannot draw what memory shows will not draw what it does not show either.
"""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from vmem_ros.generation.inpainting import inpaint
from vmem_ros.generation.resizing import resize_image, resize_projection
from vmem_ros.geometry import Camera
from vmem_ros.geometry.hole_filling import fill_picture
from vmem_ros.types import Projection

# Over this distance from the border, in cells, drawing takes the place of continuing (exp(-1) of it is left) if it
# misses all details that memory shows; less if it misses less, but never more than the second number.
_CELLS, _MOST = 8.0, 4.0


def enlarge_into(drawn: Tensor, projection: Projection, *, cell_px: float) -> Tensor:
    """Return a drawn picture [h, w, 3] uint8 in the size of a projection [H, W], joined to it: [H, W, 3] uint8.

    :param cell_px: side in pixels of the drawn picture of what the network cannot resolve.
    """
    seen = projection.seen
    large = resize_image(drawn, (seen.shape[0], seen.shape[1]))
    if not bool(seen.any()):
        return large
    shown, picture = projection.image.float(), large.float()
    off = torch.where(seen[..., None], shown - picture, 0.0)
    picture = picture + fill_picture(off, seen)
    continued = inpaint(projection.image, seen).float()
    distance = cv2.distanceTransform((~seen).to(torch.uint8).cpu().numpy(), cv2.DIST_L2, 5)
    cells = min(_CELLS * _missed(drawn, projection), _MOST)
    reach = max(cells, 1e-3) * cell_px * seen.shape[1] / drawn.shape[1]
    near = torch.exp(-torch.from_numpy(distance).to(picture) / reach)[..., None]
    joined = near * continued + (1 - near) * picture
    return torch.where(seen[..., None], shown, joined).round().clamp(0, 255).to(torch.uint8)


def fit_into(drawn: Tensor, camera: Camera, projection: Projection, *, cell_px: float) -> Tensor:
    """Return a drawn picture [h, w, 3] uint8 in the size of a camera, joined to what memory shows if it is smaller.

    :param projection: what memory shows there, in the size of the camera.
    :param cell_px: see :func:`enlarge_into`.
    """
    if drawn.shape[0] * drawn.shape[1] < camera.height * camera.width:
        drawn = enlarge_into(drawn, projection, cell_px=cell_px)
    return resize_image(drawn, camera.size)


def _missed(drawn: Tensor, projection: Projection) -> float:
    """Return what a picture [h, w, 3] misses of the details that memory shows: its squared error over theirs.

    Details are differences of neighbouring pixels, at the size of the drawing.
    """
    image, seen, _ = resize_projection(projection, (drawn.shape[0], drawn.shape[1]))
    shown = image.float()
    error = (shown - drawn.float()).square().mean(dim=-1)[seen]
    details = (shown[:, 1:] - shown[:, :-1]).square().mean(dim=-1)[seen[:, 1:] & seen[:, :-1]]
    if not len(error) or not len(details):
        return 1.0
    return float(error.mean()) / max(float(details.mean()), 1e-6)
