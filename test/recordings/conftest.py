"""Recordings of real cameras, where they are at hand."""

import os
from pathlib import Path

import pytest

from repository import ROOT


@pytest.fixture
def kitchen_walk() -> Path:
    """A real RGB-D walk; skips the test where it is absent."""
    folder = Path(os.environ.get("VMEM_RECORDINGS_DIR", ROOT.parent / "shared" / "data")) / "kitchen_walk"
    if not folder.is_dir():
        pytest.skip(f"recording not found at {folder}; set VMEM_RECORDINGS_DIR to the folder that holds kitchen_walk")
    return folder
