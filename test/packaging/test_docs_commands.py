"""Commands in README and docs work as typed, from the state that the text before them leaves."""

import argparse
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from repository import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"^```(?:sh|bash|console)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_PROGRAMS = ("make", "vmem", "source", "ros2", "python", "tools/run.sh")
_ACTIVATES = "source tools/env.sh"


def commands(page: Path) -> list[tuple[int, str]]:
    """Return (end of its block, command) for each command of a page, without comments and line ends."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in (*_FENCED.finditer(text), *_INDENTED.finditer(text)):
        body = block.group(1) if block.re is _FENCED else block.group(0)
        for line in body.replace("\\\n", " ").splitlines():
            typed = re.sub(r"\s+#.*", "", line).strip()
            found += [(block.end(), part.strip()) for part in typed.split("&&") if part.split()[:1] != []]
    return [(place, typed) for place, typed in found if typed.split()[0] in _PROGRAMS and not _is_prose(typed)]


def _is_prose(text: str) -> bool:
    """A sentence in a list that goes on with "make", say."""
    return re.match(r"make \w+ [^=]*$", text) is not None


ALL = [(page, place, typed) for page in PAGES for place, typed in commands(page)]
ids = [f"{page.name}: {typed[:60]}" for page, _, typed in ALL]


def test_there_are_commands() -> None:
    assert len(ALL) > 50
    assert {typed.split()[0] for _, _, typed in ALL} >= {"make", "vmem", "source", "ros2"}


@pytest.mark.parametrize(("page", "place", "typed"), ALL, ids=ids)
def test_a_command_is_one(page: Path, place: int, typed: str) -> None:
    words = shlex.split(typed.replace("$PWD", str(ROOT)).replace("$HOME", "/home/somebody"))
    {
        "make": _make,
        "vmem": lambda words: _vmem(words, page, place),
        "source": _source,
        "ros2": _ros2,
        "python": _python,
        "tools/run.sh": lambda words: _vmem(words[3:], page, place, activated=True) if words[3] == "vmem" else None,
    }[words[0]](words)


def _make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _vmem(words: list[str], page: Path, place: int, *, activated: bool = False) -> None:
    text = page.read_text(encoding="utf-8")
    before = text[:place]
    assert activated or _ACTIVATES in before or "pip install" in before, f"{page.name}: vmem is not on the PATH yet"
    if words[1:] == ["--help"]:
        return
    verb = importlib.import_module(f"vmem_ros.cli.{words[1]}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    verb.add_arguments(parser)
    parser.parse_args(words[2:])


def _source(words: list[str]) -> None:
    assert words[1] == "install/setup.bash" or words[1].endswith("/bin/activate") or (ROOT / words[1]).is_file()


def _ros2(words: list[str]) -> None:
    if words[1:3] == ["launch", "vmem_ros"]:
        file = ROOT / "launch" / words[3]
        assert file.is_file()
        declared = set(re.findall(r'<arg name="([^"]+)"', file.read_text(encoding="utf-8")))
        assert {word.split(":=")[0] for word in words[4:]} <= declared


def _python(words: list[str]) -> None:
    if words[1] == "-m":
        assert importlib.util.find_spec(words[2]) is not None


@pytest.mark.slow
def test_the_first_commands_of_a_newcomer() -> None:
    """In a shell that knows nothing, as after `make demo`."""
    plain = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    typed = f"{_ACTIVATES} && vmem --help && vmem explore --help"
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=ROOT,
        env={**plain, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--trajectory" in done.stdout
