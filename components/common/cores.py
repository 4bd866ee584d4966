"""Processor cores of this process."""

import os

from components.common.settings import settings


def cores() -> int:
    """Return the processor cores that may be used: OMP_NUM_THREADS, as set for a container, else all."""
    return settings().omp_num_threads or len(os.sched_getaffinity(0))
