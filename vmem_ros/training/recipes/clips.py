"""What recipes for the video networks of Spatia and Mirage have in common."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from vmem_ros.training.recipes.flow import Flow
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.section import Count, Index, NonNegative, Section, Share


class Clips(Section):
    """The clips that are trained on; those of a batch have equally many frames of each kind.

    A clip draws a chunk of a walk. It begins with known views: the newest ones, or the one that is nearest to the first
    target.

    :param continued: share of the batches whose clips go on from the newest views, right after a remembered chunk.
    :param references: remembered views beside a clip, at most.
    :param few_references: share of the batches with fewer.
    :param recalled: share of the clips whose references are those that memory recalled; others get random ones nearby.
    :param drop_scene: share of the clips that are told that memory shows nothing.
    :param noise: largest standard deviation of noise on what is known: a model is trained on true views and runs on
        generated ones. A clip gets a random share of it.
    :param blur: share of the clips whose known views are blurred by half a latent cell.
    """

    continued: Share = 0.75
    references: Count = 3
    few_references: Share = 0.25
    recalled: Share = 0.5
    drop_scene: Share = 0.1
    noise: NonNegative = 0.15
    blur: Share = 0.15


class SpatiaClips(Clips):
    """The clips of Spatia's network.

    :param history: known views that a continued clip begins with.
    """

    history: Count = 2


class MirageClips(Clips):
    """The clips of Mirage's network, which begin with one known view.

    :param preceding: views before it, which the network of a continued clip sees, too. The engine has 2 where nobody
        says.
    """

    preceding: Index = 2


class ClipSheets(Section):
    """How sample sheets are drawn, and what the model does where nobody says."""

    num_inference_steps: Count = 24


class ClipRecipe(BaseRecipe):
    """The training of a video network with a scene branch, without text.

    :param autoencoder: folder of a trained autoencoder, or the name of a model of the package, for its.
    :param network: arguments of :class:`~vmem_ros.generation.wan.SceneWanTransformer3DModel`; its channels follow from
        the autoencoder.
    :param start: folder of a pipeline whose network the training starts from; ``None``: from nothing.
    """

    trains: Literal["generator"] = "generator"
    engine: str
    autoencoder: str
    network: dict[str, Any] = Field(default_factory=dict)
    start: str | None = None
    clips: Clips
    flow: Flow = Flow()
    sampling: ClipSheets = ClipSheets()

    @model_validator(mode="after")
    def _check_walks(self) -> ClipRecipe:
        if self.clips.continued and self.data.chunks < 2:
            raise ValueError("clips.continued needs walks of 2 data.chunks or more: there is no chunk to go on from")
        return self
