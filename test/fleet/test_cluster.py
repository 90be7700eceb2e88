"""Connecting to Ray: what is said where there is no cluster, and where Ray is not installed."""

import os
import subprocess
import sys

import pytest

from vmem_ros.errors import VmemError
from vmem_ros.fleet.cluster import connect, import_ray
from vmem_ros.fleet.local_cluster import two_nodes

STORE = 100_000_000


def test_no_cluster_there():
    address = "127.0.0.1:1"
    with pytest.raises(VmemError, match=f"no Ray cluster at '{address}'.*`ray start --head`"), connect(address):
        pass


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cluster_of_ones_own_is_on_loopback_whatever_came_before():
    """Ray reads once, when it is imported, whether loopback will do; a cluster that is there wants the real address."""
    with pytest.raises(VmemError), connect("127.0.0.1:1"):
        pass
    for cluster in (lambda: connect("local", cpus=1, object_store_bytes=STORE), lambda: two_nodes(cpus=1)):
        with cluster():
            assert {node["NodeManagerAddress"] for node in import_ray().nodes()} == {"127.0.0.1"}
        assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ


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
