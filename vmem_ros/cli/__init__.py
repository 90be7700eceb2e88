"""The ``vmem`` command."""

from vmem_ros.cli.main import main

__all__ = ["main"]
