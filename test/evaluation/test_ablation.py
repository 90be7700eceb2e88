"""Parts of the memory taken away, courses through a house, their scores and intervals, and ``vmem evaluate``."""

import json
import math

import pytest
import torch

import vmem_ros.cli.evaluate
from rooms import box_view, orbit
from tiny_models import tiny_unet, tiny_vae
from vmem_ros.cli import main
from vmem_ros.evaluation.ablation_methods import METHODS, RecallingMemory, WithoutProjection, build_world, methods_for
from vmem_ros.evaluation.ablation_report import FIGURES, MARKS
from vmem_ros.evaluation.ablation_run import AblationConfig, ExactDepth, evaluate_house
from vmem_ros.evaluation.benchmark_paths import EvaluationPath, benchmark_paths
from vmem_ros.evaluation.scores import score
from vmem_ros.generation import VMemPipeline
from vmem_ros.generation.vmem.autoencoding import encode
from vmem_ros.generation.vmem.generator import VMemGenerator
from vmem_ros.generation.vmem.pipeline_folder import write_pipeline
from vmem_ros.generation.vmem.schedules import published_scheduler
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import MemoryDepth, SensorDepth
from vmem_ros.reporting.intervals import mean_interval, paired_difference
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.types import Target, View

CAMERA = Camera.from_fov(32, 32, 75)
SIZES = {"poses": 3, "loop": 3, "size": 32}
VIEWS = tuple(box_view(CAMERA, T) for T in orbit(8))
# Beside view 2, looking nearly the same way.
TARGETS = (Target(CAMERA, orbit(80)[19]),)


def projecting_pipeline(hole_filling="smooth"):
    """Return a tiny pipeline that listens to projections, with random weights, and draws in one step."""
    unet = tiny_unet(projection_channels=5)
    torch.manual_seed(1)
    torch.nn.init.normal_(unet.projection_in.weight, std=0.3)
    sampling = {"sampler": "fast", "num_inference_steps": 1, "guidance_scale": 1.0}
    return VMemPipeline(unet, tiny_vae(), None, published_scheduler(), sampling=sampling, hole_filling=hole_filling)


@pytest.fixture(scope="module")
def pipeline():
    return projecting_pipeline()


@pytest.fixture(scope="module")
def study(pipeline):
    """What every method answered in one house."""
    return evaluate_house(EVALUATION_SEEDS[0], METHODS, VMemGenerator(pipeline), MemoryDepth(), AblationConfig(**SIZES))


@pytest.fixture(scope="module")
def house():
    return House(EVALUATION_SEEDS[1])


def memory_of(views, references=None):
    memory = SurfelMemory() if references is None else RecallingMemory(references)
    memory.write(views, SensorDepth().estimate(views))
    return memory


class TestReferences:
    def recalled(self, references, k=3):
        return memory_of(VIEWS, references).read(TARGETS, k)

    def test_recent_views_come_newest_first(self):
        assert self.recalled("recent").indices == (7, 6, 5)
        assert len(self.recalled("recent", k=20).indices) == 8

    def test_the_first_view_is_the_only_one(self):
        assert self.recalled("first").indices == (0,)

    def test_nearest_poses_are_those_beside_the_target(self):
        assert self.recalled("nearest").indices == (2, 1, 3)

    def test_surfels_vote_as_in_the_memory_that_ships(self):
        recall = memory_of(VIEWS).read(TARGETS, 3)
        assert self.recalled("surfels").indices == recall.indices
        assert torch.equal(self.recalled("surfels").weights, recall.weights)

    @pytest.mark.parametrize("references", ["recent", "first", "nearest"])
    def test_only_the_views_differ(self, references):
        recall = self.recalled(references)
        [shown], [expected] = recall.projections, memory_of(VIEWS).read(TARGETS, 3).projections
        assert torch.equal(shown.image, expected.image)
        assert [view.T_world_camera[0, 3] for view in recall.views] == [
            VIEWS[i].T_world_camera[0, 3] for i in recall.indices
        ]
        assert float(recall.weights.sum()) == pytest.approx(1)


class TestWithoutProjection:
    @pytest.mark.parametrize("hole_filling", ["smooth", "room"])
    def test_the_network_is_told_what_training_tells_when_it_drops_the_projection(self, hole_filling):
        pipeline = projecting_pipeline(hole_filling)
        generator = WithoutProjection(VMemGenerator(pipeline))
        recall = memory_of(VIEWS).read(TARGETS, 2)
        assert recall.projections[0].seen.any()
        told = []
        hook = pipeline.unet.projection_in.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0]))
        generator.generate(recall, TARGETS, seed=0)
        hook.remove()
        # References come first and show themselves, completely; the rest shows nothing.
        nothing = encode(pipeline.vae, torch.zeros(1, 3, 32, 32))[0]
        references, targets = told[0][:2], told[0][2:8]
        assert bool((references[:, -1] == 1).all())
        assert bool((targets[:, -1] == 0).all())
        assert torch.allclose(targets[:, :-1], nothing.expand_as(targets[:, :-1]), atol=1e-3)

    def test_it_draws_otherwise_than_with_it(self, pipeline):
        generator = VMemGenerator(pipeline)
        recall = memory_of(VIEWS).read(TARGETS, 2)
        [told], [untold] = (g.generate(recall, TARGETS, seed=0) for g in (generator, WithoutProjection(generator)))
        assert not torch.equal(told.image, untold.image)
        assert WithoutProjection(generator).uses == {"views"}

    def test_a_model_without_projection_is_not_judged_with_it(self):
        plain = VMemGenerator(VMemPipeline(tiny_unet(), tiny_vae(), None, published_scheduler()))
        assert {m.references for m in methods_for(plain) if m.engine == "diffusion"} == {
            "surfels", "nearest", "recent", "first",
        }  # fmt: skip
        assert not any(m.projection for m in methods_for(plain) if m.engine == "diffusion")


class TestCourses:
    def test_the_loop_ends_where_it_starts_and_the_way_back_is_the_way_out(self, study):
        loop, walk = study.courses
        assert len(loop.truths) == 3
        assert torch.equal(loop.truths[-1].T_world_camera, loop.start.T_world_camera)
        assert len(walk.truths) == 6
        for i in range(3):
            assert torch.equal(walk.truths[i].T_world_camera, walk.truths[5 - i].T_world_camera)
        assert not torch.equal(walk.truths[0].T_world_camera, walk.start.T_world_camera)
        assert walk.walked_m[2] == walk.walked_m[3]
        assert walk.walked_m.diff().min() >= 0

    def test_what_the_given_view_shows_shrinks_on_the_way(self, house):
        loop, walk = benchmark_paths(house, poses=12, loop=8, size=32)
        share = [float(shown.float().mean()) for shown in walk.shown]
        assert share[0] > 0.6
        assert min(share) < 0.4
        # The pose of the given view itself.
        assert float(loop.shown[-1].float().mean()) > 0.95

    def test_exact_depth_is_that_of_the_house(self, house):
        truth = house.view(Target(CAMERA, house.loop(5)[1]))
        drawn = View(torch.zeros_like(truth.image), CAMERA, truth.T_world_camera, source="generated")
        [found] = ExactDepth(house).estimate([drawn], memory_of(VIEWS).read(TARGETS, 1))
        assert torch.allclose(found.depth, truth.depth, equal_nan=True)


class TestStudy:
    def test_methods_differ_only_once_there_is_something_to_remember(self, study):
        names = ("surfels", "nearest poses", "most recent views", "first view")
        chunks = [torch.stack(list(study.answers[name]["out and back"])) for name in names]
        # The first chunk has the given view alone, whatever the rule, and the same noise.
        for other in chunks[1:]:
            assert torch.equal(chunks[0][:4], other[:4])
        assert not torch.equal(chunks[2][4:], chunks[3][4:])

    def test_baselines_answer_what_they_say(self, study):
        start = study.courses[1].start.image
        assert all(torch.equal(image, start) for image in study.answers["copy the nearest view"]["out and back"])
        assert study.scores["copy the nearest view"].loop.psnr_db == math.inf
        # Memory knows its given view; the network of random weights draws noise.
        assert study.scores["reprojection"].loop.psnr_db > 25
        assert study.scores["reprojection"].truth.psnr_db > study.scores["surfels"].truth.psnr_db
        composited = study.scores["surfels + projection, composited"]
        assert composited.truth.psnr_db > study.scores["surfels + projection"].truth.psnr_db

    def test_poses_are_drawn_again_although_they_are_stored(self, pipeline):
        world = build_world(METHODS[0], VMemGenerator(pipeline), MemoryDepth())
        world.seed(box_view(CAMERA, orbit(8)[0]))
        [frame] = world.explore([Target(CAMERA, orbit(8)[0])], seed=0)
        assert not frame.reused


class TestScores:
    @pytest.fixture
    def course(self):
        """Three grey views out and the same back, of which the given view shows all, the left half, nothing."""
        left = torch.zeros(32, 32, dtype=torch.bool)
        left[:, :16] = True
        shown = [torch.ones_like(left), left, torch.zeros_like(left)]
        poses = orbit(3)
        grey = [View(torch.full((32, 32, 3), 100, dtype=torch.uint8), CAMERA, T) for T in poses]
        return EvaluationPath("out and back", grey[0], (*grey, *grey[::-1]), (*shown, *shown[::-1]))

    def scores(self, course, pictures):
        loop = EvaluationPath("loop", course.start, course.truths[:2], course.shown[:2])
        answers = {"loop": [view.image for view in loop.truths], "out and back": pictures}
        return score([loop, course], answers, seconds_per_view=0.1)

    def test_the_way_back_is_compared_with_its_twin_not_with_the_truth(self, course):
        wrong = [view.image + 10 for view in course.truths]
        scores = self.scores(course, wrong)
        assert scores.back.psnr_db == math.inf
        assert scores.back.ssim == pytest.approx(1)
        assert scores.truth_db == pytest.approx([20 * math.log10(255 / 10)] * 6)
        drifted = [*wrong[:3], *(image - 15 for image in wrong[3:])]
        # 10 above the truth on the way out, 5 below on the way back.
        assert self.scores(course, drifted).back_db == pytest.approx([20 * math.log10(255 / 15)] * 3)
        assert self.scores(course, drifted).truth_db[3:] == pytest.approx([20 * math.log10(255 / 5)] * 3)

    def test_unseen_views_and_invented_pixels_are_told_apart(self, course):
        pictures = [view.image.clone() for view in course.truths]
        for picture, shown in zip(pictures, course.shown, strict=True):
            picture[~shown] += 20
        scores = self.scores(course, pictures)
        # Of the view shown by half, the invented half counts; half is not largely unseen.
        assert scores.invented_db == pytest.approx(20 * math.log10(255 / 20))
        assert scores.unseen.psnr_db == pytest.approx(20 * math.log10(255 / 20))
        assert scores.truth_db[1] == pytest.approx(20 * math.log10(255 / 20) + 10 * math.log10(2))
        assert scores.truth_db[0] == math.inf


class TestIntervals:
    def test_the_interval_is_students(self):
        interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
        assert interval.mean == 3
        # The table value of t with four degrees of freedom.
        assert interval.half_width == pytest.approx(2.776 * math.sqrt(2.5) / math.sqrt(5), rel=1e-3)
        assert interval.text(2) == "3.00 ± 1.96"

    def test_it_covers_the_mean_as_often_as_it_says(self):
        draws = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
        found = [mean_interval(row) for row in draws.tolist()]
        covered = sum(abs(interval.mean - 1) <= interval.half_width for interval in found)
        assert 0.93 < covered / 2000 < 0.97

    @pytest.mark.parametrize(
        ("values", "text"),
        [
            ([math.nan, 2.0], "2.0"),
            ([], "-"),
            ([math.nan], "-"),
            ([math.inf, math.inf], "identical"),
            ([math.inf, 4.0, 4.0], "4.0 ± 0.0"),
        ],
    )
    def test_what_is_not_finite(self, values, text):
        assert mean_interval(values).text(1) == text

    def test_differences_are_taken_house_by_house(self):
        values, others = [10.0, 20.0, 33.0, math.inf], [9.0, 18.0, 30.0, 7.0]
        difference = paired_difference(values, others)
        assert (difference.mean, difference.count) == (2, 3)
        assert difference.text(1, signed=True) == "+2.0 ± 2.5"
        # Houses differ by far more than the methods.
        assert mean_interval(values).half_width > 10


class TestCommand:
    @pytest.fixture
    def model(self, pipeline, tmp_path):
        write_pipeline(pipeline, tmp_path / "model")
        return tmp_path / "model"

    def arguments(self, model, out, *more):
        sizes = ["--poses", "2", "--loop", "2", "--size", "32", "--threads", "1"]
        return ["evaluate", "--model", str(model), *sizes, "--out", str(out), *more]

    def test_it_leaves_tables_figures_pictures_and_a_page(self, model, tmp_path, capsys):
        page = tmp_path / "evaluation.md"
        page.write_text(f"Before.\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\nAfter.\n")
        out = tmp_path / "out"
        assert main(self.arguments(model, out, "--houses", "1", "--markdown", str(page))) == 0
        figures = json.loads((out / FIGURES).read_text())["houses"][str(EVALUATION_SEEDS[0])]
        assert list(figures["methods"]) == [method.name for method in METHODS]
        assert len(figures["methods"]["surfels"]["truth_db"]) == 4
        assert figures["methods"]["copy the nearest view"]["loop"]["psnr_db"] == "identical"
        text = page.read_text()
        assert text.startswith("Before.")
        assert text.endswith("After.\n")
        assert "old" not in text
        pictures = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
        assert len(pictures) == 3
        assert all((tmp_path / picture).stat().st_size > 1000 for picture in pictures)
        assert "| surfels + projection |" in capsys.readouterr().out

    def test_an_interrupt_keeps_the_houses_that_are_done(self, study, model, tmp_path, monkeypatch, capsys):
        def until_interrupted(seed, *arguments, **options):
            if seed == EVALUATION_SEEDS[1]:
                raise KeyboardInterrupt
            return study

        monkeypatch.setattr(vmem_ros.cli.evaluate, "evaluate_house", until_interrupted)
        assert main(self.arguments(model, tmp_path / "out", "--houses", "3")) == 130
        figures = json.loads((tmp_path / "out" / FIGURES).read_text())
        assert list(figures["houses"]) == [str(EVALUATION_SEEDS[0])]
        assert "1 house " in (tmp_path / "out" / "report.md").read_text()
        assert "interrupted" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            (("--houses", "0"), "--houses must be at least 1, got 0"),
            (("--houses", "1001"), "--houses must be at most 1000"),
            (("--steps", "0"), "--steps must be at least 1, got 0"),
            (("--size", "8"), "--size must be at least 16, got 8"),
        ],
    )
    def test_numbers_out_of_range_are_refused_before_anything_is_loaded(self, tmp_path, capsys, option, message):
        assert main(self.arguments(tmp_path / "none", tmp_path / "out", *option)) == 1
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_a_page_without_marks_is_refused_before_anything_is_loaded(self, tmp_path, capsys):
        page = tmp_path / "page.md"
        page.write_text("Mine.\n")
        assert main(self.arguments(tmp_path / "none", tmp_path / "out", "--markdown", str(page))) == 1
        assert MARKS[0] in capsys.readouterr().err
        assert page.read_text() == "Mine.\n"

    def test_a_missing_model_is_named(self, tmp_path, capsys):
        assert main(self.arguments(tmp_path / "none", tmp_path / "out")) == 1
        assert "none" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
