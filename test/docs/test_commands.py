"""Commands on the pages work as typed, from the state that the text before them leaves; their options exist."""

import importlib.util
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from markdown_pages import PAGES, Block, blocks, name_of, spans
from repository import ROOT
from vmem_ros.cli.main import parser_of
from vmem_ros.nodes.interface.parameters import PARAMETERS, check

_SHELL = ("", "sh", "bash", "console")
_PROGRAMS = ("make", "vmem", "source", "ros2", "python", "tools/run.sh")
_ACTIVATES = "source tools/env.sh"
# Pages that are read from above, unlike the cards of models.
_TYPED_ALONG = [page for page in PAGES if page.parent in (ROOT, ROOT / "docs")]


def commands(page: Path) -> list[tuple[Block, str]]:
    """Return each command of a page with its block, without comments and line ends."""
    found = []
    for block in blocks(page):
        if block.language in _SHELL:
            for line in block.text.replace("\\\n", " ").splitlines():
                typed = re.sub(r"\s+#.*", "", line).strip()
                found += [(block, part.strip()) for part in typed.split("&&") if part.strip()]
    return [(block, typed) for block, typed in found if typed.split()[0] in _PROGRAMS and not _is_prose(typed)]


def _is_prose(text: str) -> bool:
    """A sentence in a list that goes on with "make", say."""
    return re.match(r"make \w+ [^=]*$", text) is not None


ALL = [(block, typed) for page in PAGES for block, typed in commands(page)]
ids = [f"{name_of(block.page)}: {typed[:60]}" for block, typed in ALL]
MENTIONED = sorted({(page, text) for page in PAGES for text in spans(page) if re.match(r"vmem [a-z]+ .*--", text)})


def test_there_are_commands() -> None:
    assert len(ALL) > 50
    assert {typed.split()[0] for _, typed in ALL} >= {"make", "vmem", "source", "ros2"}


@pytest.mark.parametrize(("block", "typed"), ALL, ids=ids)
def test_a_command_is_one(block: Block, typed: str) -> None:
    words = shlex.split(typed.replace("$PWD", str(ROOT)).replace("$HOME", "/home/somebody"))
    {
        "make": _make,
        "vmem": lambda words: _vmem(words, block),
        "source": _source,
        "ros2": _ros2,
        "python": _python,
        "tools/run.sh": lambda words: _vmem(words[3:], block, activated=True) if words[3] == "vmem" else None,
    }[words[0]](words)


def _make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    for word in words[1:]:
        if words[1] == "camera" and word.startswith("ARGS="):
            _parameters(shlex.split(word.removeprefix("ARGS=")))


def _parameters(words: list[str]) -> None:
    """Parameters of the node, as ROS takes them."""
    values = {}
    for flag, word in zip(words[::2], words[1::2], strict=True):
        assert flag == "-p"
        name, _, text = word.partition(":=")
        assert name in PARAMETERS, f"{name} is no parameter"
        values[name] = yaml.safe_load(text)
    allowed = {name: value for name, value in values.items() if not _is_placeholder(value)}
    assert check({**{name: each.default for name, each in PARAMETERS.items()}, **allowed}) is None


def _is_placeholder(value: object) -> bool:
    return isinstance(value, str) and value.isupper()


def _vmem(words: list[str], block: Block, *, activated: bool = False) -> None:
    before = block.before
    on_the_path = activated or _ACTIVATES in before or "pip install" in before or block.page not in _TYPED_ALONG
    assert on_the_path, f"{block}: vmem is not on the PATH yet"
    if words[1:] == ["--help"]:
        return
    parser, _, rest = parser_of(words[1:])
    parser.exit_on_error = False
    parser.parse_args(rest)


@pytest.mark.parametrize(("page", "text"), MENTIONED, ids=lambda value: str(value)[:60])
def test_options_of_a_command_in_a_sentence_exist(page: Path, text: str) -> None:
    """Also of one that is not whole there."""
    words = re.sub(r"[….]{3}|[\"']", " ", text).split()
    parser, _, rest = parser_of(words[1:])
    named = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert named <= set(parser._option_string_actions)


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
