"""Settings of the C libraries, in processes of their own: both are read once, at the start or for good."""

import os
import subprocess
import sys

import pytest

from vmem_ros.process import set_thread_waiting

_FAULTS = """
import resource, sys, torch
if sys.argv[1] == "keep":
    from vmem_ros.process import keep_freed_memory
    keep_freed_memory()
torch.set_num_threads(1)
def work():
    for _ in range(50):
        (torch.ones(1 << 20) + 1) * 2
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str, **environment: str) -> int:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _FAULTS, mode], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_memory_that_is_kept_costs_no_page_faults() -> None:
    # 50 times two temporaries of 4 MiB are 100,000 pages.
    assert faults("keep") < 1000


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_a_users_own_setting_of_the_allocator_wins() -> None:
    own = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    assert faults("keep", **own) > 50_000


def test_threads_wait_shortly() -> None:
    environment: dict[str, str] = {}
    set_thread_waiting(environment)
    assert environment == {"GOMP_SPINCOUNT": "1000"}


@pytest.mark.parametrize("own", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "7"}])
def test_a_users_own_policy_wins(own: dict[str, str]) -> None:
    environment = dict(own)
    set_thread_waiting(environment)
    assert environment == own
