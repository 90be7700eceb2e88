"""The hash table against a dictionary."""

from __future__ import annotations

import pytest
import torch

from vmem_ros.memory.hash_table import EMPTY, HashTable

CPU = torch.device("cpu")


def keys(n: int, seed: int, *, most: int = 1 << 60) -> torch.Tensor:
    return torch.randint(0, most, (n,), generator=torch.Generator().manual_seed(seed)).unique()


@pytest.mark.parametrize("most", [3000, 1 << 60])
def test_it_is_a_dictionary(most: int) -> None:
    table, expected = HashTable(CPU), {}
    for seed in range(12):
        new = keys(1500, seed, most=most)
        slots = table.claim(new)
        assert len(slots.unique()) == len(new)
        table.rows[slots] = torch.arange(len(new), dtype=torch.int32) + 10000 * seed
        expected |= dict(zip(new.tolist(), table.rows[slots].tolist(), strict=True))
    asked = torch.cat([torch.tensor(list(expected)), keys(500, 99)])
    slots = table.find(asked)
    found = torch.where(slots >= 0, table.rows[slots.clamp(min=0)].long(), -1)
    assert found.tolist() == [expected.get(key, -1) for key in asked.tolist()]


def test_rows_of_several_numbers_and_keys_that_have_nothing_any_more() -> None:
    table = HashTable(CPU, (2,))
    first = keys(1000, 1)
    slots = table.claim(first)
    table.rows[slots, 1] = 7
    half = first[::2]
    table.rows[table.find(half), 1] = EMPTY
    for seed in range(2, 40):
        # Each is forgotten again: the table need not grow for them.
        new = keys(1000, seed)
        slots = table.claim(new)
        table.rows[slots, 0] = 5
        table.rows[slots, 0] = EMPTY
    assert table.nbytes < 10 * HashTable(CPU, (2,)).nbytes
    slots = table.find(first[1::2])
    assert (slots >= 0).all()
    assert (table.rows[slots] == torch.tensor([EMPTY, 7])).all()


def test_nothing() -> None:
    table, nothing = HashTable(CPU), torch.empty(0, dtype=torch.int64)
    assert len(table.find(nothing)) == len(table.claim(nothing)) == 0
    assert table.find(torch.tensor([5])).tolist() == [-1]


def test_growing_that_fails_leaves_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table, first = HashTable(CPU), keys(1000, 1)
    slots = table.claim(first)
    table.rows[slots] = 3

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "full", full)
    with pytest.raises(torch.OutOfMemoryError):
        table.claim(keys(5000, 2))
    monkeypatch.undo()
    assert (table.rows[table.find(first)] == 3).all()
    assert (table.find(keys(5000, 2)) == -1).all()
