"""Connecting to Ray: what is said where there is no cluster, and where Ray is not installed."""

import subprocess
import sys

import pytest

from vmem_ros.errors import VmemError
from vmem_ros.fleet.cluster import connect


def test_no_cluster_there():
    address = "127.0.0.1:1"
    with pytest.raises(VmemError, match=f"no Ray cluster at '{address}'.*`ray start --head`"), connect(address):
        pass


def test_without_ray_the_remedy_is_named():
    probe = """
import sys
sys.modules["ray"] = None
from vmem_ros.cli import main
main(["fleet", "bench"])
"""
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert "needs ray, which is not installed" in done.stderr
    assert "pip install 'vmem_ros[fleet]'" in done.stderr
