"""From a name to a memory."""

from __future__ import annotations

import pytest

from vmem_ros.errors import ModelError
from vmem_ros.memory import AUTO_MEMORY, MEMORIES, load_memory, memory_kind


@pytest.mark.parametrize(
    ("engines", "kind"),
    [
        (["vmem"], "surfel"),
        (["gac"], "surfel"),
        (["spatia"], "points"),
        (["mirage"], "latent"),
        (["own_parts:OwnEngine"], "surfel"),
        (["spatia", "mirage"], "surfel"),
        ([], "surfel"),
    ],
)
def test_auto_is_the_memory_that_the_engine_was_made_for(engines: list[str], kind: str) -> None:
    assert memory_kind(AUTO_MEMORY, engines) == kind
    assert load_memory(memory_kind(AUTO_MEMORY, engines)).kind == kind


@pytest.mark.parametrize("kind", [*MEMORIES, "own_parts:OwnMemory"])
def test_what_is_named_is_what_remembers(kind: str) -> None:
    assert memory_kind(kind, ["spatia"]) == kind


def test_auto_is_no_memory_by_itself() -> None:
    with pytest.raises(ModelError, match="auto"):
        load_memory(AUTO_MEMORY)
