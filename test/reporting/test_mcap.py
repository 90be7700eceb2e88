"""What a recording replaces, and what it does not."""

import pytest

from vmem_ros.reporting.mcap import Recording


def test_a_recording_replaces_only_recordings(tmp_path):
    Recording(tmp_path / "bag").close()
    Recording(tmp_path / "bag").close()
    (tmp_path / "bag" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="more than a recording"):
        Recording(tmp_path / "bag")
    assert (tmp_path / "bag" / "notes.txt").exists()
