"""A chunk of frames for tests of the pipeline: two references and three targets, in an image of 48 x 32."""

from __future__ import annotations

from typing import Any

import torch

from tiny_models import tiny_image_encoder, tiny_unet, tiny_vae
from vmem_ros.generation import VMemPipeline
from vmem_ros.generation.vmem.schedules import published_scheduler
from vmem_ros.geometry import Camera, look_at

HEIGHT, WIDTH = 32, 48
REFERENCES, TARGETS = 2, 3
CAMERA = Camera.from_fov(WIDTH, HEIGHT, 70)


def tiny_pipeline(**parts: Any) -> VMemPipeline:
    """Return a pipeline of real classes with random weights; parts may be given."""
    made = {"unet": tiny_unet, "vae": tiny_vae, "image_encoder": tiny_image_encoder, "scheduler": published_scheduler}
    pipeline = VMemPipeline(
        **{name: parts.pop(name) if name in parts else make() for name, make in made.items()}, **parts
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def chunk(references: int = REFERENCES, targets: int = TARGETS, **options: Any) -> dict[str, Any]:
    """Return the arguments of a call; the first target stands where the first reference stands."""
    g = torch.Generator().manual_seed(5)
    reference_poses = [look_at((0.1 * i, 0, 0), (1, 0.3 * i, 0)) for i in range(references)]
    target_poses = [reference_poses[0], *(look_at((0.2 * i, 0.1, 0), (1, 1, 0)) for i in range(1, targets))]
    return {
        "reference_images": list(torch.randint(0, 256, (references, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=g)),
        "reference_cameras": [CAMERA] * references,
        "reference_poses": reference_poses,
        "target_cameras": [CAMERA] * targets,
        "target_poses": target_poses,
        "height": HEIGHT,
        "width": WIDTH,
        "num_inference_steps": 3,
        "generator": torch.Generator().manual_seed(7),
        **options,
    }
