"""What every generator must do: subclass :class:`GeneratorContract`, say how to make yours, and run pytest.

class TestMyGenerator(GeneratorContract):
    def make(self):
        return load_generator("my_package:MyGenerator")
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import get_args

import pytest
import torch

from comparisons import equal
from memory_places import turned
from memory_subject import CAMERA, VIEWS, write
from rooms import orbit
from vmem_ros.errors import CancelledError
from vmem_ros.geometry import Camera, pose_from
from vmem_ros.memory import load_memory
from vmem_ros.memory.view_memory import nothing_shown
from vmem_ros.protocols import DrawRequest, DrawsTogether, Generator, IgnoresSeeds, Use
from vmem_ros.types import Recall, Target, View

CPU = torch.device("cpu")
#: Near the views, so that most of each is remembered.
TARGETS = [Target(CAMERA, T, stamp_ns=100 + n) for n, T in enumerate(orbit(32, radius=0.9)[1:12])]


def recall_of(targets: Sequence[Target], views: Sequence[View] = tuple(VIEWS[:4]), k: int = 4) -> Recall:
    """Return what a memory of some views recalls for targets."""
    memory = load_memory()
    write(memory, views)
    return memory.read(targets, k, record=False)


class GeneratorContract(ABC):
    """Tests of a generator, with recalls of a room."""

    @abstractmethod
    def make(self) -> Generator:
        """Return the generator, its model loaded. May return the same one each time."""

    def draw(self, recall: Recall, targets: Sequence[Target], seed: int | None = 7) -> list[View]:
        """Return the views of a call, after checking what holds for each of them."""
        views = self.make().generate(recall, targets, seed=seed)
        assert len(views) == len(targets)
        for view, target in zip(views, targets, strict=True):
            assert tuple(view.image.shape) == (*target.camera.size, 3)
            assert view.image.dtype == torch.uint8
            assert view.image.device == recall.projections[0].image.device
            assert view.camera == target.camera
            assert torch.equal(view.T_world_camera, target.T_world_camera)
            assert (view.stamp_ns, view.source) == (target.stamp_ns, "generated")
            if view.depth is not None:
                assert tuple(view.depth.shape) == target.camera.size
        return views

    def test_it_says_what_it_is(self) -> None:
        generator = self.make()
        assert isinstance(generator.name, str)
        assert generator.name
        assert generator.uses <= set(get_args(Use))
        assert isinstance(generator.frames, int)
        assert generator.frames >= 1

    @pytest.mark.parametrize(("times", "more"), [(0, 1), (1, 0), (1, 1), (2, 1)])
    def test_one_view_per_target(self, times: int, more: int) -> None:
        """One, as many as a pass likes, one more, and so many that it takes several passes."""
        targets = [TARGETS[i % len(TARGETS)] for i in range(times * self.make().frames + more)]
        self.draw(recall_of(targets), targets)

    def test_other_sizes_in_one_call(self) -> None:
        cameras = [CAMERA, Camera.from_fov(70, 33, 90), Camera.from_fov(31, 50, 60)]
        targets = [Target(c, t.T_world_camera, t.stamp_ns) for c, t in zip(cameras, TARGETS, strict=False)]
        self.draw(recall_of(targets), targets)

    def test_references_of_other_sizes(self) -> None:
        (view,) = VIEWS[1:2]
        left = Camera(CAMERA.K, 40, CAMERA.height)
        cut = dataclasses.replace(view, image=view.image[:, :40], camera=left, depth=view.depth[:, :40])
        self.draw(recall_of(TARGETS[:2], [VIEWS[0], cut]), TARGETS[:2])

    @pytest.mark.parametrize("k", [1, 2, 7])
    def test_few_or_many_references(self, k: int) -> None:
        recall = recall_of(TARGETS[:2], VIEWS, k)
        assert len(recall.views) == k
        self.draw(recall, TARGETS[:2])

    def test_equal_seeds_give_equal_views(self) -> None:
        recall = recall_of(TARGETS[:3])
        one, other = (self.draw(recall, TARGETS[:3]) for _ in range(2))
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a.image, b.image)
            assert equal(a.depth, b.depth)

    def test_other_seeds_give_other_views_unless_it_ignores_them(self) -> None:
        targets = TARGETS[:2]
        recall = dataclasses.replace(recall_of(targets), projections=tuple(nothing_shown(t, CPU) for t in targets))
        one, other = (self.draw(recall, targets, seed) for seed in (7, 8))
        alike = all(torch.equal(a.image, b.image) for a, b in zip(one, other, strict=True))
        assert alike == isinstance(self.make(), IgnoresSeeds)

    def test_drawn_together_as_alone(self) -> None:
        """Also where one request takes more passes than another, has fewer references, or is larger."""
        generator = self.make()
        if not isinstance(generator, DrawsTogether):
            pytest.skip("this generator draws one request after another")
        large = [Target(Camera.from_fov(70, 33, 90), t.T_world_camera, t.stamp_ns) for t in TARGETS[:2]]
        many = [TARGETS[i % len(TARGETS)] for i in range(2 * generator.frames + 1)]
        requests = [
            DrawRequest(recall_of(TARGETS[:2]), TARGETS[:2], 7),
            DrawRequest(recall_of(TARGETS[3:5]), TARGETS[3:5], 8),
            DrawRequest(recall_of(many), many, 7),
            DrawRequest(recall_of(TARGETS[:1], VIEWS[:2]), TARGETS[:1], 9),
            DrawRequest(recall_of(large), large, 7),
        ]
        steps: list[tuple[int, int]] = []
        together = generator.generate_together(requests, on_step=lambda *step: steps.append(step))
        assert [step for step, _ in steps] == list(range(1, steps[0][1] + 1))
        assert steps[0][1] == len(steps)
        for request, views in zip(requests, together, strict=True):
            alone = self.draw(request.recall, request.targets, request.seed)
            for view, expected in zip(views, alone, strict=True):
                assert torch.equal(view.T_world_camera, expected.T_world_camera)
                assert (view.camera, view.stamp_ns) == (expected.camera, expected.stamp_ns)
                assert (view.image.int() - expected.image.int()).abs().max() <= 1

    def test_drawn_together_it_can_be_stopped(self) -> None:
        generator = self.make()
        if not isinstance(generator, DrawsTogether):
            pytest.skip("this generator draws one request after another")
        requests = [DrawRequest(recall_of(TARGETS[:2]), TARGETS[:2], seed) for seed in (1, 2)]
        done: list[int] = []
        with pytest.raises(CancelledError):
            generator.generate_together(requests, on_step=lambda *s: done.append(s[0]), should_stop=lambda: True)
        assert done == [1]

    def test_without_a_seed(self) -> None:
        self.draw(recall_of(TARGETS[:1]), TARGETS[:1], seed=None)

    def test_it_leaves_what_others_draw_at_random(self) -> None:
        torch.manual_seed(3)
        expected = torch.rand(4)
        torch.manual_seed(3)
        self.draw(recall_of(TARGETS[:1]), TARGETS[:1])
        assert torch.equal(torch.rand(4), expected)

    def test_it_changes_nothing_of_the_recall(self) -> None:
        """Not even by what becomes of its views, where one is all that memory shows."""
        recall = recall_of(TARGETS[:2])
        whole = dataclasses.replace(recall.projections[1], seen=torch.ones(CAMERA.size, dtype=torch.bool))
        recall = dataclasses.replace(recall, projections=(recall.projections[0], whole))
        copies = [{n: v.clone() for n, v in _tensors(each).items()} for each in (*recall.views, *recall.projections)]
        views = self.draw(recall, TARGETS[:2])
        for view in views:
            view.image.zero_()
        for each, copy in zip((*recall.views, *recall.projections), copies, strict=True):
            assert all(equal(value, copy[name]) for name, value in _tensors(each).items())

    def test_where_memory_shows_nothing(self) -> None:
        """References, and not a pixel of them in view: something is drawn all the same."""
        targets = TARGETS[:2]
        recall = dataclasses.replace(recall_of(targets), projections=tuple(nothing_shown(t, CPU) for t in targets))
        views = self.draw(recall, targets)
        assert all(view.image.any() for view in views)

    def test_where_memory_shows_everything_or_half(self) -> None:
        targets = [VIEWS[0].target, VIEWS[0].target]
        recall = recall_of(targets, VIEWS)
        half = recall.projections[0]
        gone = torch.zeros(CAMERA.size, dtype=torch.bool)
        gone[:, :24] = True
        half = dataclasses.replace(
            half, image=half.image * ~gone[..., None], depth=torch.where(gone, torch.nan, half.depth),
            seen=half.seen & ~gone, ids=torch.where(gone, -1, half.ids), confidence=half.confidence * ~gone,
        )  # fmt: skip
        self.draw(dataclasses.replace(recall, projections=(recall.projections[0], half)), targets)

    def test_depth_that_is_not_known_or_infinite(self) -> None:
        views = [dataclasses.replace(VIEWS[0], depth=torch.where(VIEWS[0].depth > 3, torch.inf, VIEWS[0].depth))]
        views += [dataclasses.replace(VIEWS[1], depth=torch.full(CAMERA.size, torch.nan))]
        self.draw(recall_of(TARGETS[:2], views), TARGETS[:2])

    def test_far_away_and_tilted(self) -> None:
        """The same room a thousand kilometres away, and turned: the views are still drawn, and repeat themselves."""
        by = pose_from((1e6, -1e6, 1e3), (0, 0, 0, 1)) @ turned("x", 60) @ turned("y", 30)
        views = [dataclasses.replace(v, T_world_camera=by @ v.T_world_camera) for v in VIEWS[:3]]
        targets = [Target(t.camera, by @ t.T_world_camera, t.stamp_ns) for t in TARGETS[:2]]
        first, again = (self.draw(recall_of(targets, views), targets) for _ in range(2))
        assert all(torch.equal(a.image, b.image) for a, b in zip(first, again, strict=True))
        assert all(float(view.image.float().std()) > 1 for view in first)

    def test_a_prompt_that_it_does_not_use(self) -> None:
        generator, recall = self.make(), recall_of(TARGETS[:1])
        if "prompt" in generator.uses:
            pytest.skip("this generator uses prompts")
        (without,), (with_one,) = (
            generator.generate(recall, TARGETS[:1], prompt=prompt, seed=1) for prompt in (None, "a garden")
        )
        assert torch.equal(without.image, with_one.image)

    def test_steps_are_counted_from_one_to_all(self) -> None:
        steps: list[tuple[int, int]] = []
        targets = TARGETS[:3]
        self.make().generate(recall_of(targets), targets, seed=1, on_step=lambda *step: steps.append(step))
        counts, totals = zip(*steps, strict=True)
        assert len(set(totals)) == 1
        assert list(counts) == list(range(1, totals[0] + 1))

    def test_it_can_be_stopped_at_any_step(self) -> None:
        recall, targets = recall_of(TARGETS[:3]), TARGETS[:3]
        total: list[int] = []
        self.make().generate(recall, targets, seed=1, on_step=lambda _, steps: total.append(steps))
        for last in range(1, total[0]):
            assert last <= self._steps_until_stopped(recall, targets, last) <= last + 1

    def _steps_until_stopped(self, recall: Recall, targets: Sequence[Target], last: int) -> int:
        """Ask to stop after step ``last``, and return how many steps were made."""
        done: list[int] = []
        with pytest.raises(CancelledError):
            self.make().generate(
                recall, targets,
                seed=1, on_step=lambda step, _: done.append(step), should_stop=lambda: len(done) >= last,
            )  # fmt: skip
        return len(done)

    def test_stopped_before_it_began(self) -> None:
        with pytest.raises(CancelledError):
            self.make().generate(recall_of(TARGETS[:2]), TARGETS[:2], should_stop=lambda: True)

    def test_after_it_was_stopped_it_draws_as_before(self) -> None:
        recall = recall_of(TARGETS[:2])
        expected = self.draw(recall, TARGETS[:2])
        with pytest.raises(CancelledError):
            self.make().generate(recall, TARGETS[:2], should_stop=lambda: True)
        assert all(torch.equal(a.image, b.image) for a, b in zip(self.draw(recall, TARGETS[:2]), expected, strict=True))


def _tensors(item: object) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(item).items() if isinstance(value, torch.Tensor)}
