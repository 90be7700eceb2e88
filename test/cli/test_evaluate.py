"""``vmem evaluate``: what it writes, what it takes, what it refuses."""

import json

import pytest

import vmem_ros.cli.evaluate
from repository import ROOT
from tiny_models import tiny_projecting_pipeline
from vmem_ros.cli import main
from vmem_ros.evaluation.ablation_methods import METHODS
from vmem_ros.evaluation.ablation_report import FIGURES, MARKS, SHORT_MARKS
from vmem_ros.evaluation.ablation_run import AblationConfig, evaluate_house
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.generation.vmem.pipeline_folder import write_pipeline
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.reporting.sections import marks_in
from vmem_ros.scenes import EVALUATION_SEEDS

SIZES = ["--poses", "2", "--loop", "2", "--size", "32", "--threads", "1"]
OWN = """
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryOptions

class OwnEngine(ReprojectionGenerator):
    name = "own"

    def __init__(self, device, level=0):
        super().__init__()
        self.level = level

    def generate(self, recall, targets, **options):
        views = super().generate(recall, targets, **options)
        for view in views:
            view.image[:] = self.level
        return views

class OwnMemory(SurfelMemory):
    kind = "own_parts:OwnMemory"
    made = []

    def __init__(self, device, stride=2):
        super().__init__(SurfelMemoryOptions(surfel_stride=stride), device=device)
        self.made.append(stride)

    def empty_copy(self):
        return OwnMemory(self.device, self.config.surfel_stride)
"""


def figures_of(out):
    return json.loads((out / FIGURES).read_text())["houses"][str(EVALUATION_SEEDS[0])]["methods"]


@pytest.fixture
def model(tmp_path):
    write_pipeline(tiny_projecting_pipeline(), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_it_leaves_tables_figures_pictures_and_pages(model, tmp_path, capsys):
    page, readme, out = tmp_path / "evaluation.md", tmp_path / "README.md", tmp_path / "out"
    page.write_text(f"Before.\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\nAfter.\n")
    readme.write_text(f"Short.\n{SHORT_MARKS[0]}\nold\n{SHORT_MARKS[1]}\n")
    pages = ["--markdown", str(page), "--markdown", str(readme)]
    assert main(["evaluate", "--model", str(model), *SIZES, "--houses", "1", "--out", str(out), *pages]) == 0
    figures = figures_of(out)
    assert list(figures) == [method.name for method in METHODS]
    assert len(figures["retrieved views"]["truth_db"]) == 4
    assert figures["copy the nearest view"]["loop"]["psnr_db"] == "identical"
    text = page.read_text()
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert "- sampler: fast, 1 steps, guidance 1" in text
    pictures = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert len(pictures) == 3
    assert all((tmp_path / picture).stat().st_size > 1000 for picture in pictures)
    short = readme.read_text()
    assert short.startswith("Short.")
    assert "![" not in short
    assert "## " not in short
    row = f"| retrieved views | {figures['retrieved views']['back']['psnr_db']:.1f} |"
    assert row in short
    assert row in capsys.readouterr().out


def test_the_pages_of_the_repository_have_marks():
    for name, marks in (("evaluation", MARKS), ("results", SHORT_MARKS)):
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert marks_in(page, (MARKS, SHORT_MARKS), ROOT) == [marks]


@pytest.mark.slow
def test_an_engine_and_a_memory_of_ones_own_with_their_options(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    command = ["evaluate", *SIZES, "--houses", "1", "--out", str(tmp_path / "out")]
    command += ["--engine", "own_parts:OwnEngine", "--engine-option", "level=200"]
    command += ["--memory", "own_parts:OwnMemory", "--memory-option", "stride=3"]
    assert main(command) == 0
    import own_parts

    assert set(own_parts.OwnMemory.made) == {3}
    figures = figures_of(tmp_path / "out")
    # A world that draws the same grey everywhere agrees with itself, and with the truth hardly.
    assert figures["retrieved views + projection"]["back"]["psnr_db"] == "identical"
    assert figures["retrieved views + projection"]["truth"]["psnr_db"] < 20
    assert "nearest poses" not in figures
    report = (tmp_path / "out" / "report.md").read_text()
    assert "- engine: own_parts:OwnEngine (level = 200)" in report
    assert "- memory: own_parts:OwnMemory (stride = 3)" in report
    assert "- depth of new views: memory (prior = room)" in report


@pytest.mark.slow
def test_exact_depth_is_better_than_that_of_memory(tmp_path):
    errors = {}
    for estimator in ("memory", "exact"):
        out = tmp_path / estimator
        command = ["evaluate", "--engine", "reprojection", *SIZES, "--houses", "1", "--out", str(out)]
        assert main([*command, "--estimator", estimator]) == 0
        errors[estimator] = figures_of(out)["reprojection"]["truth"]["depth_abs_rel"]
    assert errors["exact"] < 1e-6 < errors["memory"]


def test_an_interrupt_keeps_the_houses_that_are_done(tmp_path, monkeypatch, capsys):
    methods = [method for method in METHODS if method.engine != "judged"]
    config = AblationConfig(poses=2, loop=2, size=32)
    done = evaluate_house(EVALUATION_SEEDS[0], methods, ReprojectionGenerator(), MemoryDepth(), load_memory(), config)

    def until_interrupted(seed, *arguments, **options):
        if seed == EVALUATION_SEEDS[1]:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(vmem_ros.cli.evaluate, "evaluate_house", until_interrupted)
    monkeypatch.setattr(vmem_ros.cli.evaluate, "methods_for", lambda generator: methods)
    command = ["evaluate", "--engine", "reprojection", *SIZES, "--houses", "3", "--out", str(tmp_path / "out")]
    assert main(command) == 130
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
def test_numbers_out_of_range_are_refused_before_anything_is_loaded(tmp_path, capsys, option, message):
    assert main(["evaluate", "--model", str(tmp_path / "none"), "--out", str(tmp_path / "out"), *option]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_page_without_marks_is_refused_before_anything_is_loaded(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("Mine.\n")
    assert main(["evaluate", "--model", str(tmp_path / "none"), "--markdown", str(page)]) == 1
    assert MARKS[0] in capsys.readouterr().err
    assert page.read_text() == "Mine.\n"


def test_a_missing_model_is_named(tmp_path, capsys):
    assert main(["evaluate", "--model", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_steps_are_those_of_engine_vmem_alone(tmp_path, capsys):
    command = ["evaluate", "--engine", "reprojection", "--out", str(tmp_path / "out")]
    assert main([*command, "--steps", "3"]) == 1
    assert "engine 'reprojection' has no option sampling" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
