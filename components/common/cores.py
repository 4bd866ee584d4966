"""Processor cores of this process."""

import os

from components.common.settings import settings


def cores() -> int:
    """Return the processor cores that may be used: OMP_NUM_THREADS, as set for a container, else all."""
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings().omp_num_threads or present
