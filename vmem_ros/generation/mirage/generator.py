"""Mirage's generator: a clip of the wanted path, told in latents what memory has of the world, and keeping its own.

A clip begins with the last latent frame of what was drawn before, as it was drawn. The network also sees the latent
frames before that, references from elsewhere, and for each latent frame the latents of the world that its camera sees.
What it draws is kept as latents: the memory of latents puts them into the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from vmem_ros.errors import ModelError
from vmem_ros.generation.clips import is_same_view
from vmem_ros.generation.mirage.options import MirageOptions, Visibility
from vmem_ros.generation.mirage.scene import (
    Scene,
    lifted_of,
    own_scene,
    remembered_scene,
    scene_control,
    warped_scene,
)
from vmem_ros.generation.resizing import resize_image
from vmem_ros.generation.step_callback import step_callback
from vmem_ros.generation.vmem.autoencoding import pixels
from vmem_ros.generation.vmem.fingerprint import fingerprint
from vmem_ros.generation.wan.autoencoding import encode_singly, latent_channels, spatial_stride, temporal_stride
from vmem_ros.generation.wan.generator import SpatiaGenerator
from vmem_ros.generation.wan.pipeline import SceneWanPipeline, SceneWanPipelineOutput
from vmem_ros.generation.wan.rounds import Round
from vmem_ros.geometry.lifting import Lifted
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.protocols import Use
from vmem_ros.types import Projection, Target, View

# As published, in pictures: a clip repeats one, and adds 32.
_ROUNDS = {"first": 33, "later": 33, "history": 1}
_REFERENCES = 4


class MirageGenerator(SpatiaGenerator):
    """Draws new views with a :class:`SceneWanPipeline`; see :class:`vmem_ros.protocols.Generator`.

    The latents that memory shows come with the projections of a memory that keeps some
    (:class:`vmem_ros.memory.latent.LatentMemory`). Recalled views that have none, for a camera took them or another
    engine drew them, are encoded, lifted into the world and warped here; so are all of them where memory keeps no
    latents. What a camera saw lies over what was drawn, and memory's depth tells what is hidden.

    Of an autoencoder of videos one view in four carries a latent: the one whose pose its latent frame is given.

    :param pipeline: see :class:`SpatiaGenerator`, as for all other arguments.
    :param preceding: latent frames before the one that a round goes on from, which the network sees, too.
    :param visibility: what the model was trained with.
    :raises ModelError: options that the pipeline cannot follow.
    """

    name = "mirage"

    def __init__(
        self,
        pipeline: SceneWanPipeline,
        *,
        preceding: int = 2,
        visibility: Visibility = "mask",
        rounds: Mapping[str, Any] | None = None,
        max_references: int | None = None,
        **options: Any,
    ) -> None:
        lengths = {**(pipeline.config.rounds or _ROUNDS), **(rounds or {})}
        if max_references is None:
            max_references = min(_REFERENCES, pipeline.config.max_references)
        super().__init__(pipeline, rounds=lengths, max_references=max_references, **options)
        if self.rounds.history != 1:
            raise ModelError(
                f"rounds of the engine 'mirage' go on from one frame, but history is {self.rounds.history}: set it to 1"
            )
        self.preceding, self.visibility = preceding, visibility
        reads: set[Use] = {"features"}
        self.uses = self.uses | reads
        # Latents of views that came without, by their images: kept as long as a memory keeps those.
        self._encodings: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._fingerprint = ""

    def encodings(self) -> str:
        """Return the fingerprint of the autoencoder whose latents the views have."""
        if not self._fingerprint:
            self._fingerprint = fingerprint(self.pipeline.vae)
        return self._fingerprint

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
        """Return the views of one round, those of its latent frames with their latents."""
        vae, start = self.pipeline.vae, known[-1]
        stride = temporal_stride(vae)
        first = self._latents(start, size)
        # What is before in time, from the end: a latent frame each.
        before = self._before(known, stride, size)
        references = [view for view in references if not any(is_same_view(view, other) for other in before)]
        scenes = [own_scene(start, first)]
        shown = self._scenes([start, *references], targets, projections, size, first)
        scenes += [shown(min(frame - 1, len(targets) - 1)) for frame in range(stride, clip.frames, stride)]
        scenes += [own_scene(view, self._latents(view, size)) for view in before]

        output = self.pipeline(
            self._text(prompt),
            height=size[0],
            width=size[1],
            num_frames=clip.frames,
            control=scene_control(vae, scenes, self.visibility),
            history_latents=first[None, :, None],
            reference_latents=self._stacked(references, size),
            preceding_latents=self._stacked(before, size),
            negative_prompt=self._negative_prompt or None,
            generator=noise,
            callback_on_step_end=step_callback(after_step),
            callback_on_step_end_tensor_inputs=(),
            **vars(self._sampling),
        )
        assert isinstance(output, SceneWanPipelineOutput), "return_dict is the default"
        assert isinstance(output.frames, Tensor), "pt is the default"
        home = start.image.device
        pictures = (output.frames[1:] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).to(home)
        latents = output.latents[0].float().to(home)
        return [
            View(
                self._in_size(picture, target, projection),
                target.camera,
                target.T_world_camera,
                latent=latents[:, frame // stride].clone() if frame % stride == 0 else None,
                stamp_ns=target.stamp_ns,
                source="generated",
            )
            for frame, (picture, target, projection) in enumerate(zip(pictures, targets, projections, strict=False), 1)
        ]

    def _before(self, known: Sequence[View], stride: int, size: tuple[int, int]) -> list[View]:
        """Return the views of the latent frames before the one that a round goes on from, oldest first.

        There are some if it goes on from a clip of the same camera, whose frames still have their latents.
        """
        before: list[View] = []
        for number in range(len(known) - 1 - stride, -1, -stride):
            view = known[number]
            if len(before) == self.preceding or not self._has_latents(view, size) or view.camera != known[-1].camera:
                break
            before.append(view)
        return before[::-1]

    def _scenes(
        self,
        views: Sequence[View],
        targets: Sequence[Target],
        projections: Sequence[Projection],
        size: tuple[int, int],
        like: Tensor,
    ) -> Callable[[int], Scene]:
        """Return what gives the scene of a target by its number.

        :param views: that may be lifted.
        :param like: latents [C, h, w].
        """
        keeps_latents = any(projection.features is not None for projection in projections)
        missing = [view for view in views if not (keeps_latents and self._has_latents(view, size))]
        seen, drawn = (
            self._lifted([view for view in missing if (view.source == "observed") is by_camera], size)
            for by_camera in (True, False)
        )

        def scene(number: int) -> Scene:
            projection, target = projections[number], targets[number]
            out = Scene.nothing(like.shape, like.device)
            if drawn is not None:
                out = warped_scene(drawn, target, projection, like.shape)
            out = out.under(remembered_scene(projection, like.shape, like.device))
            if seen is not None:
                out = out.under(warped_scene(seen, target, projection, like.shape))
            return out

        return scene

    def _lifted(self, views: Sequence[View], size: tuple[int, int]) -> Lifted | None:
        parts = [lifted_of(view, self._latents(view, size)) for view in views]
        return Lifted(*(torch.cat(each) for each in zip(*parts, strict=True))) if parts else None

    def _stacked(self, views: Sequence[View], size: tuple[int, int]) -> Tensor | None:
        return torch.stack([self._latents(view, size) for view in views], dim=1)[None] if views else None

    def _has_latents(self, view: View, size: tuple[int, int]) -> bool:
        """Return whether a view carries latents for pictures of this (height, width)."""
        stride = spatial_stride(self.pipeline.vae)
        shape = (latent_channels(self.pipeline.vae), size[0] // stride, size[1] // stride)
        return view.latent is not None and tuple(view.latent.shape) == shape

    def _latents(self, view: View, size: tuple[int, int]) -> Tensor:
        """Return the latents [C, h, w] float32 of a view: its own, or those of its picture."""
        device = self.pipeline._execution_device
        if self._has_latents(view, size):
            assert view.latent is not None, "it has been asked"
            return view.latent.to(device, torch.float32)
        kept = self._encodings.setdefault(view.image, {})
        if size not in kept:
            picture = pixels([resize_image(view.image, size)], device)
            kept[size] = encode_singly(self.pipeline.vae, picture)[0, :, 0]
        found: Tensor = kept[size]
        return found


def from_options(options: MirageOptions, *, device: torch.device | str = "cpu") -> MirageGenerator:
    """Return the generator that the options of engine ``mirage`` describe, its model loaded.

    :raises ModelError: see :meth:`MirageGenerator.from_pretrained`.
    """
    chosen = dict(vars(options))
    device, dtype, model = usable_device(device), chosen.pop("dtype"), chosen.pop("model")
    if dtype == "auto":
        dtype = "float32" if device.type == "cpu" else "bfloat16"
    return MirageGenerator.from_pretrained(model, device=device, dtype=getattr(torch, dtype), **chosen)
