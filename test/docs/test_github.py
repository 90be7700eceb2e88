"""What GitHub reads besides pages, and the Dockerfile: workflows, forms, the citation. They are checked, not run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from repository import PACKAGE, ROOT

FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
SCHEMAS = [
    *((path, "github-workflows") for path in sorted((ROOT / ".github" / "workflows").glob("*"))),
    *((path, "github-issue-forms") for path in FORMS),
    (ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml", "github-issue-config"),
    (ROOT / ".github" / "dependabot.yml", "dependabot"),
    (ROOT / "CITATION.cff", "citation-file-format"),
]
CI = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# Of containers alone.
HOUSEKEEPING = re.compile(r"apt-get |rm -rf |rosdep update$|source /opt/ros/jazzy/setup.bash$")


@pytest.mark.parametrize(
    ("path", "schema"), SCHEMAS, ids=lambda value: value.name if isinstance(value, Path) else value
)
def test_files_keep_their_schema(path: Path, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


class TestContinuousIntegration:
    def test_it_runs_what_everybody_runs(self) -> None:
        assert CI["jobs"]["test"]["steps"][-1] == {"run": ".ci/run"}
        assert (ROOT / ".ci" / "run").stat().st_mode & 0o111

    def test_on_every_python_and_distribution(self) -> None:
        matrix = CI["jobs"]["test"]["strategy"]["matrix"]
        find_python = (ROOT / "tools" / "find_python.sh").read_text(encoding="utf-8")
        (supported,) = re.findall(r"^    (3\.\d+(?: \| 3\.\d+)+)\)$", find_python, re.MULTILINE)
        assert matrix["python"] == supported.split(" | ")
        distributions = re.search(r'supported="(.*)"', (ROOT / "tools" / "distro.sh").read_text(encoding="utf-8"))
        assert distributions
        assert matrix["distro"] == distributions[1].split()

    def test_the_site_is_built_of_the_pinned_versions(self) -> None:
        pages = (ROOT / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8")
        assert "pip install -r requirements/docs.txt" in pages
        assert "mkdocs build --strict" in pages


class TestContainers:
    def test_the_dockerfile_is_clean(self) -> None:
        linter = Path(sys.executable).parent / "hadolint"
        done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_its_commands_are_those_of_the_page(self) -> None:
        page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
        runs = re.findall(r"^RUN (.*?)(?<!\\)$", DOCKERFILE, re.MULTILINE | re.DOTALL)
        commands = [part.strip() for run in runs for part in run.replace("\\\n", " ").split("&&")]
        ours = [command for command in commands if not HOUSEKEEPING.match(command)]
        assert len(ours) >= 5
        assert [command for command in ours if command not in page] == []

    def test_what_it_copies_is_not_left_out(self) -> None:
        ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
        for name in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE):
            assert (ROOT / name).exists()
            assert name not in ignored

    def test_the_development_container_is_built_of_it(self) -> None:
        folder = ROOT / ".devcontainer"
        container = json.loads((folder / "devcontainer.json").read_text(encoding="utf-8"))
        built = container["build"]
        assert (folder / built["dockerfile"]).resolve() == ROOT / "Dockerfile"
        assert (folder / built["context"]).resolve() == ROOT
        assert f" AS {built['target']}\n" in DOCKERFILE
        assert f"target={container['workspaceFolder']}," in container["workspaceMount"]
        assert container["workspaceFolder"].startswith(re.search(r"^WORKDIR (\S+)", DOCKERFILE, re.MULTILINE)[1])
        make = subprocess.run(["make", "-n", "setup"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert container["postCreateCommand"] == "make setup"
        assert make.returncode == 0


def test_the_version_is_the_same_everywhere() -> None:
    version = PACKAGE.findtext("version")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version
    assert citation["license"] == PACKAGE.findtext("license")
    released = re.findall(r"^## ([\d.]+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert released[0] == (version, citation["date-released"])
