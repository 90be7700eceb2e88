"""What a bag replaces, and what it does not."""

import pytest

from vmem_ros.recordings.bag_writer import BagWriter


def test_a_bag_replaces_only_bags(tmp_path):
    BagWriter(tmp_path / "bag").close()
    BagWriter(tmp_path / "bag").close()
    (tmp_path / "bag" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="more than a bag"):
        BagWriter(tmp_path / "bag")
    assert (tmp_path / "bag" / "notes.txt").exists()
