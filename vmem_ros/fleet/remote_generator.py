"""A generator elsewhere: worlds use it like one of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import torch

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.fleet.cluster import connect, import_ray
from vmem_ros.protocols import DrawRequest, OnStep, ShouldStop
from vmem_ros.types import Projection, Recall, Target, View

#: Where the names of actors live on a cluster.
NAMESPACE = "vmem_ros"

_CPU = torch.device("cpu")
# How often a world that waits is asked whether it still wants the views.
_POLL_S = 0.05


class RemoteGenerator:
    """A :class:`~vmem_ros.fleet.generator_actor.GeneratorActor`, as a :class:`vmem_ros.protocols.Generator`.

    It says what the actor says of itself. Progress is one step: what the actor is at belongs to many worlds.

    :param actor: handle of the actor.
    """

    def __init__(self, actor: Any) -> None:
        self._ray = import_ray()
        self._actor = actor
        about = self._ray.get(actor.describe.remote())
        self.name: str = about.name
        self.uses = about.uses
        self.frames: int = about.frames
        self._encodings: str = about.encodings
        if about.ignores_seeds:
            # As of :class:`vmem_ros.protocols.IgnoresSeeds`, which others do not have at all.
            self.ignores_seeds: Literal[True] = True

    def encodings(self) -> str:
        """Return by what name the actor's encodings go; see :class:`vmem_ros.protocols.HasEncodings`."""
        return self._encodings

    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return one view per target; see :class:`vmem_ros.protocols.Generator`."""
        if should_stop is not None and should_stop():
            raise CancelledError(f"cancelled before {len(targets)} views")
        request = DrawRequest(self._portable(recall), tuple(targets), seed)
        answer = self._actor.generate.remote(request, prompt)
        while should_stop is not None:
            done, _ = self._ray.wait([answer], timeout=_POLL_S)
            if done:
                break
            if should_stop():
                self._ray.cancel(answer)
                raise CancelledError(f"cancelled while {len(targets)} views were drawn elsewhere")
        views: list[View] = self._ray.get(answer)
        device = recall.projections[0].image.device if recall.projections else _CPU
        # A copy: what comes over Ray may be memory that others read, too.
        views = [view.copied(device) for view in views]
        if on_step is not None:
            on_step(1, 1)
        return views

    def _portable(self, recall: Recall) -> Recall:
        """Return a recall in memory of its own: a part of a tensor would take the whole of it along."""
        features = "features" in self.uses
        return dataclasses.replace(
            recall,
            views=tuple(view.copied(_CPU) for view in recall.views),
            projections=tuple(_copied(projection, features=features) for projection in recall.projections),
            newest=tuple(view.copied(_CPU) for view in recall.newest) if "newest" in self.uses else (),
        )


def _copied(projection: Projection, *, features: bool) -> Projection:
    tensors = {name: value for name, value in vars(projection).items() if isinstance(value, torch.Tensor)}
    kept = {name: value.to(_CPU, copy=True) for name, value in tensors.items()}
    copied = dataclasses.replace(projection, **kept)
    return copied if features else dataclasses.replace(copied, features=None, features_seen=None)


def generator_of(name: str) -> RemoteGenerator:
    """Return the generator of a named actor on the cluster that this process is connected to.

    :raises ModelError: there is no such actor.
    """
    try:
        return RemoteGenerator(import_ray().get_actor(name, namespace=NAMESPACE))
    except ValueError as error:
        raise ModelError(f"there is no generator {name!r} on the cluster: start a fleet that has it") from error


def from_options(*, actor: str, address: str = "auto", device: torch.device | str = "cpu") -> RemoteGenerator:
    """Return the generator of a named actor: the engine ``vmem_ros.fleet.remote_generator:from_options``.

    Environments in many processes share one model so. A process that is not connected to the cluster stays connected
    from now on.

    :param actor: its name, see :class:`~vmem_ros.fleet.fleet.Fleet`.
    :param address: of the cluster, unless this process is connected to one.
    :param device: taken for the sake of other engines: views lie where their projections lie.
    :raises ModelError: there is no such actor.
    """
    if not import_ray().is_initialized():
        connect(address).__enter__()
    return generator_of(actor)
