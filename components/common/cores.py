"""Processor cores of this process."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

# The control groups of this process, and where all groups are.
OWN_GROUPS = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
# Files with the quota and the period of a group: of version 2, which names no controllers, and of version 1.
FILES = {"": ("cpu.max",), "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us")}


def cores() -> int:
    """Return the processor cores that a computation uses: OMP_NUM_THREADS where it is set, else all."""
    # Processes that decode pictures start twice as fast without the packages that read settings.
    from components.common.settings import settings

    return settings().omp_num_threads or available_cores()


def available_cores() -> int:
    """Return the processor cores that this process may use; a limit of a control group counts up to a whole core."""
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([present, *_limits()])))


def _limits() -> Iterator[float]:
    """Yield the limits, in cores, of the control groups that this process is in, and of those above them.

    A container may see its own group as the root, and yet find it named as on the host: then the names lead nowhere.
    """
    try:
        memberships = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    for line in memberships:
        _, controllers, path = line.split(":", maxsplit=2)
        for controller in FILES.keys() & controllers.split(","):
            own = CGROUPS / controller / path.lstrip("/")
            for group in (own, *own.parents):
                yield _limit(group, FILES[controller])


def _limit(group: Path, files: Iterable[str]) -> float:
    """Return the limit of a control group in cores, infinity where it has none."""
    try:
        texts = [(group / file).read_text(encoding="ascii") for file in files]
        quota, period = map(int, " ".join(texts).split())
    except (OSError, ValueError):  # no such files, or "max"
        return math.inf
    return quota / period if quota > 0 else math.inf
