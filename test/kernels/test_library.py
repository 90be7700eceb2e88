"""The compiled library is there after a build, can be left out, and a wrong one is refused."""

import ctypes
import logging

import pytest
import torch

import vmem_ros
from vmem_ros.kernels import SWITCH, default_threads, library, usable


@pytest.fixture(autouse=True)
def looked_for_anew():
    library.library.cache_clear()
    yield
    library.library.cache_clear()


def test_the_build_made_it():
    assert isinstance(usable(torch.zeros(1)), ctypes.CDLL)


def test_other_devices_go_without():
    assert usable(torch.zeros(1), torch.zeros(1, device="meta")) is None


def test_the_switch_leaves_it_out(monkeypatch, caplog):
    monkeypatch.setenv(SWITCH, "0")
    assert usable(torch.zeros(1)) is None
    assert caplog.records == []


def test_a_missing_one_is_named(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(vmem_ros, "__path__", [str(tmp_path)])
    with caplog.at_level(logging.WARNING):
        assert usable(torch.zeros(1)) is None
    assert "build the package" in caplog.text


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_broken_one_is_named(monkeypatch, tmp_path, caplog, content):
    folder = tmp_path / "kernels" / "lib"
    folder.mkdir(parents=True)
    (folder / "libvmem_kernels.so").write_bytes(content)
    monkeypatch.setattr(vmem_ros, "__path__", [str(tmp_path)])
    assert usable(torch.zeros(1)) is None
    assert "cannot be loaded" in caplog.text


def test_one_of_other_sources_is_named(monkeypatch, caplog):
    monkeypatch.setattr(library, "_VERSION", library._VERSION + 1)
    assert usable(torch.zeros(1)) is None
    assert "build the package again" in caplog.text


def test_an_array_of_another_kind_is_refused():
    with pytest.raises(AssertionError):
        library.address(torch.zeros(2, 2).T[:1], torch.float64)


@pytest.mark.parametrize(
    ("cores", "said", "threads"), [(1, None, 1), (2, None, 1), (8, None, 7), (8, "3", 3), (8, "0", 7), (8, "4,2", 7)]
)
def test_one_core_is_left_where_nobody_says_how_many_threads(monkeypatch, cores, said, threads):
    monkeypatch.setattr(library, "cores", lambda: cores)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert default_threads() == threads
