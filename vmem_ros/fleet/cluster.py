"""A Ray cluster: one that is there, or one on this machine alone that goes when its user goes."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from vmem_ros.errors import VmemError
from vmem_ros.extras import needs_extra

#: The address that starts a cluster on this machine; all others are those of a cluster that is there.
LOCAL = "local"
LOOPBACK = "127.0.0.1"
#: What to do where a cluster of one's own does not start.
IF_SLOW = "is the machine overloaded? Ray gives a node half a minute to start: try again"
# A cluster that is there answers within this time.
_REACHED_S = 10.0


def import_ray() -> Any:
    """Return the module ``ray``, without its reports to its makers.

    :raises MissingPackageError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with needs_extra("fleet", "a fleet of worlds"):
        import ray
    return ray


@contextmanager
def on_loopback() -> Iterator[None]:
    """Let clusters that start in this block listen on the loopback interface alone.

    Ray puts the machine's address in place of that of loopback unless it is told that clusters of several machines are
    off. It reads this switch once, when it is imported; its other processes read it from the environment.
    """
    import_ray()
    from ray._private import ray_constants as switches

    before = switches.ENABLE_RAY_CLUSTER, os.environ.get(switches.ENABLE_RAY_CLUSTERS_ENV_VAR)
    switches.ENABLE_RAY_CLUSTER, os.environ[switches.ENABLE_RAY_CLUSTERS_ENV_VAR] = False, "0"
    try:
        yield
    finally:
        switches.ENABLE_RAY_CLUSTER = before[0]
        if before[1] is None:
            del os.environ[switches.ENABLE_RAY_CLUSTERS_ENV_VAR]
        else:
            os.environ[switches.ENABLE_RAY_CLUSTERS_ENV_VAR] = before[1]


@contextmanager
def connect(address: str = LOCAL, *, cpus: int | None = None, object_store_bytes: int | None = None) -> Iterator[None]:
    """Use a Ray cluster in a block; who is connected already stays so.

    :param address: ``local`` starts a cluster that only this machine reaches and that ends with the block; otherwise
        the ``host:port`` of one, or ``auto``.
    :param cpus: of a local cluster; ``None``: all. Ray counts them, and does not enforce them.
    :param object_store_bytes: of a local cluster, for what processes hand each other; ``None``: as Ray chooses.
    :raises MissingPackageError: Ray is not installed.
    :raises VmemError: there is no cluster at this address.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
    alone = {"num_cpus": cpus, "object_store_memory": object_store_bytes, "include_dashboard": False}
    here = {**alone, "_node_ip_address": LOOPBACK} if address == LOCAL else {}
    with on_loopback() if address == LOCAL else nullcontext():
        try:
            _check_reachable(address)
            ray.init(address=address, **here, **quiet)
        except Exception as error:  # Ray has no class of its own for it
            ray.shutdown()
            remedy = IF_SLOW if address == LOCAL else f"start one with `ray start --head`, or give {LOCAL!r}"
            raise VmemError(f"no Ray cluster at {address!r} ({error}): {remedy}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise :class:`OSError` if nobody listens at ``host:port``: Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHED_S).close()


def cluster_cpus() -> int:
    """Return how many CPUs the cluster says it has, at least 1."""
    return max(1, int(import_ray().cluster_resources().get("CPU", 1)))


def cluster_gpus() -> int:
    """Return how many GPUs the cluster says it has."""
    return int(import_ray().cluster_resources().get("GPU", 0))
