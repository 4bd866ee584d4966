"""Processor cores of this process."""

import os


def cores() -> int:
    """Return the processor cores that may be used: OMP_NUM_THREADS, as set for a container, else all."""
    # Processes that decode pictures start twice as fast without the packages that read settings.
    from components.common.settings import settings

    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings().omp_num_threads or present
