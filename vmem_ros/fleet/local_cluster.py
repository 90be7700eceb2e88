"""A Ray cluster of two nodes on this machine, one of which can be lost: to see what a loss does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vmem_ros.errors import VmemError
from vmem_ros.fleet.cluster import IF_SLOW, LOOPBACK, import_ray, on_loopback

# A node is taken for lost after ten seconds without an answer: more than a machine takes that computes something else.
# Ray's own patience is that of a data centre.
_HEALTH = {"health_check_initial_delay_ms": 2000, "health_check_period_ms": 1000, "health_check_failure_threshold": 10}


@contextmanager
def two_nodes(*, cpus: int, object_store_bytes: int = 100_000_000) -> Iterator[Callable[[], None]]:
    """Connect to a new cluster of two nodes for the length of a block; yields what kills the second one.

    :param cpus: of each node. Ray counts them, and does not enforce them.
    :param object_store_bytes: of each node, for what processes hand each other.
    :raises MissingPackageError: Ray is not installed.
    :raises VmemError: a node does not start.
    """
    ray = import_ray()
    from ray.cluster_utils import Cluster

    node = {
        "num_cpus": cpus,
        "object_store_memory": object_store_bytes,
        "node_ip_address": LOOPBACK,
        "include_dashboard": False,
    }
    cluster = None
    with on_loopback():
        try:
            cluster = _started(
                lambda: Cluster(initialize_head=True, head_node_args={**node, "_system_config": _HEALTH})
            )
            # Before there is another one: who connects is at the node that stays.
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
            ray.init(address=cluster.address, _node_ip_address=LOOPBACK, **quiet)
            second = _started(lambda: cluster.add_node(**node))
            yield lambda: cluster.remove_node(second, allow_graceful=False)
        finally:
            ray.shutdown()
            if cluster is not None:
                cluster.shutdown()


def _started(start: Callable[[], Any]) -> Any:
    try:
        return start()
    except Exception as error:  # Ray has no class of its own for it
        raise VmemError(f"a node of Ray did not start ({error}): {IF_SLOW}") from error
