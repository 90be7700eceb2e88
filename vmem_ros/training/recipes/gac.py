"""``vmem train generator --recipe gac``: the network of Geometry-as-Context."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vmem_ros.generation.gac.depth_code import Curve
from vmem_ros.training.recipes.flow import Flow
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.section import (
    Count,
    CountPair,
    FloatPair,
    NonNegative,
    Positive,
    Section,
    Share,
    rising,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task


class DepthCoding(Section):
    """How depth becomes a picture (:class:`~vmem_ros.generation.gac.depth_code.DepthCode`)."""

    near_m: Positive = 0.2
    far_m: Positive = 50.0
    curve: Curve = "log"

    @model_validator(mode="after")
    def _check_range(self) -> DepthCoding:
        if not self.near_m < self.far_m:
            raise ValueError(f"near_m must be less than far_m, got {self.near_m:g} and {self.far_m:g}")
        return self


class Sequences(Section):
    """The sequences that are trained on; those of a batch have one layout.

    :param views: views of a sequence.
    :param context: range of the number of those that are given; the others follow one another along the walk.
    :param overlapping: share of the sequences whose context are the views that overlap most, of a random half of those
        before; others get random ones of that half.
    :param geometry_dropout: range, over batches, of the share of the views whose depth is left out.
    :param noise: largest standard deviation of noise on what is clean, context and copies of what was drawn before,
        which in use is never as clean as the truth; a sequence gets a random share of it.
    """

    views: Annotated[int, Field(ge=2)] = 8
    context: CountPair = (1, 4)
    overlapping: Share = 0.5
    geometry_dropout: Annotated[FloatPair, AfterValidator(rising(0, 1))] = (0.0, 1.0)
    noise: NonNegative = 0.15

    @model_validator(mode="after")
    def _check_context(self) -> Sequences:
        if not self.context[0] <= self.context[1] < self.views:
            raise ValueError(f"context must be a range below {self.views} views, got {list(self.context)}")
        return self


class GacSheets(Section):
    """How sample sheets are drawn, and what the model does where nobody says."""

    num_inference_steps: Count = 24
    geometry_steps: Count = 24


class GacRecipe(BaseRecipe):
    """The training of a network of Geometry-as-Context, on the same walks as that of engine ``vmem``.

    :param autoencoder: folder of a trained autoencoder, or the name of a model of the package, for its.
    :param network: arguments of :class:`~vmem_ros.generation.gac.GacTransformer`; its channels follow from the
        autoencoder.
    :param start: folder of a pipeline whose network the training starts from; ``None``: from nothing.
    :param unit_m: positions of cameras are told in units of so many metres.
    """

    trains: Literal["generator"] = "generator"
    engine: Literal["gac"] = "gac"
    autoencoder: str
    network: dict[str, Any] = Field(default_factory=dict)
    start: str | None = None
    unit_m: Positive = 1.0
    depth: DepthCoding = DepthCoding()
    sequences: Sequences = Sequences()
    flow: Flow = Flow()
    sampling: GacSheets = GacSheets()

    @model_validator(mode="after")
    def _check_walks(self) -> GacRecipe:
        views = 1 + self.data.chunks * self.data.chunk
        if self.sequences.views > views:
            raise ValueError(
                f"sequences.views must be at most {views}, the views of a walk, got {self.sequences.views}"
            )
        return self

    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return the task; see :class:`BaseRecipe`."""
        from vmem_ros.training.tasks.gac import gac_task

        return gac_task(self, cache=cache, accelerator=accelerator)
