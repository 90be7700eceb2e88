"""Which pipeline of diffusers draws, and what its call takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from diffusers import DiffusionPipeline

from vmem_ros.errors import ModelError
from vmem_ros.generation.stock.calls import parameters
from vmem_ros.generation.stock.loading import pipeline_class

# What this engine gives; a pipeline that cannot do without anything else is none for it.
_GIVEN = {"prompt", "image", "mask_image", "kwargs"}
_NEEDED = ("prompt", "image", "mask_image", "callback_on_step_end", "output_type")
# Named by the engine, and not by users.
_OWN = {*_NEEDED, "image_reference", "height", "width", "generator", "num_images_per_prompt", "return_dict"}
_OWN |= {"callback_on_step_end_tensor_inputs", "latents", "num_inference_steps", "guidance_scale", "strength"}
_OWN |= {"negative_prompt"}
# Pipelines that take any number of references; others that take some take one.
_MANY_REFERENCES = ("Flux2",)


def choose_class(asked: str, found: str) -> type[DiffusionPipeline]:
    """Return the class that draws.

    :param asked: option ``pipeline``.
    :param found: name of the class that a folder is of.
    :raises ModelError: there is none, or it is not for inpainting.
    """
    if asked != "auto":
        return _checked(asked, f"option pipeline = {asked!r}")
    own = pipeline_class(found)
    if own is not None and "mask_image" in parameters(own):
        return _checked(found, f"the model's {found}")
    for name in (found.replace("Pipeline", "InpaintPipeline"), found.replace("Pipeline", "FillPipeline")):
        if pipeline_class(name) is not None:
            return _checked(name, f"the model's {found}")
    raise ModelError(
        f"diffusers has no pipeline for inpainting that belongs to {found}: name a model that has one, or a class with "
        "option pipeline"
    )


def most_references(kind: type[DiffusionPipeline]) -> int | None:
    """Return how many reference pictures a pipeline takes; ``None``: any number."""
    if "image_reference" not in parameters(kind):
        return 0
    return None if kind.__name__.startswith(_MANY_REFERENCES) else 1


def check_call(kind: type[DiffusionPipeline], asked: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise :class:`ModelError` for arguments that the call of a pipeline does not have, or that are not a user's.

    :param asked: further arguments by name.
    :param options: named options of the engine, ``None`` or empty if they are not asked for.
    """
    known = parameters(kind)
    free = sorted(set(known) - _OWN - {"self", "kwargs"})
    for name in asked:
        if name not in free:
            raise ModelError(f"option call has no {name} for a {kind.__name__}: it has {', '.join(free)}")
    for name, value in options.items():
        if value not in (None, "") and name not in known:
            raise ModelError(f"a {kind.__name__} takes no {name}: leave it out, or see option call ({', '.join(free)})")


def _checked(name: str, what: str) -> type[DiffusionPipeline]:
    kind = pipeline_class(name)
    if kind is None:
        raise ModelError(f"{what}: this diffusers has no pipeline {name}; update it, or name another one")
    known = parameters(kind)
    missing = [need for need in _NEEDED if need not in known]
    if missing:
        raise ModelError(f"{what}: a {name} takes no {', '.join(missing)}, so it is no pipeline for inpainting")
    required = [n for n, p in known.items() if p.default is inspect.Parameter.empty and n not in {"self", *_GIVEN}]
    required += [n for n in ("control_image",) if n in known]
    if required:
        raise ModelError(f"{what}: a {name} also needs {', '.join(required)}, which memory does not have")
    return kind
