"""The page of the interface is written from its tables."""

from repository import ROOT
from vmem_ros.nodes.interface import docs


def test_documentation_is_current() -> None:
    written = ROOT / "docs" / "ros_interface.md"
    assert written.read_text(encoding="utf-8") == docs.render(), (
        "run: python -m vmem_ros.nodes.interface.docs docs/ros_interface.md"
    )
