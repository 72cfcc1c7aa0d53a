"""The number of processor cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """The cores that the scheduler allows this process, or all of the machine where it does not say."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
