"""Processor cores of this process."""

import math
import os
from pathlib import Path

# Limits of a container, where it sees its own control group as the root: of version 2, and of version 1.
CGROUPS = Path("/sys/fs/cgroup")
QUOTA, OLD_QUOTA, OLD_PERIOD = "cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"


def cores() -> int:
    """Return the processor cores that a computation uses: OMP_NUM_THREADS where it is set, else all."""
    # Processes that decode pictures start twice as fast without the packages that read settings.
    from components.common.settings import settings

    return settings().omp_num_threads or available_cores()


def available_cores() -> int:
    """Return the processor cores that this process may use; a limit of its container counts up to a whole core."""
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        if (CGROUPS / QUOTA).exists():
            quota, period = (CGROUPS / QUOTA).read_text(encoding="ascii").split()
        else:
            quota, period = ((CGROUPS / name).read_text(encoding="ascii") for name in (OLD_QUOTA, OLD_PERIOD))
        limit = int(quota) / int(period)
    except (OSError, ValueError):  # no such files, or "max"
        return present
    return max(1, min(present, math.ceil(limit))) if limit > 0 else present
