"""The number of processor cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """The cores that the scheduler allows this process, at most ``OMP_NUM_THREADS``.

    It is the usual limit of threads. Workers of a cluster have it set to 1: there is one for each core.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores
