"""The removal of adders from many networks on several cores.

This module imports torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import torch
from threadpoolctl import threadpool_limits

from hwnas_hls.spec.notation import counted, percent
from hwnas_hls.system.forks import can_fork, forked
from hwnas_hls_plugins.estimators.training.descent import Descent, Trainer
from hwnas_hls_plugins.estimators.training.member import ChainMember
from hwnas_hls_plugins.estimators.training.snapshots import Snapshot

#: Called with the number of networks left and the share of their adders.
Follow = Callable[[int, float], None]


class Watched(Trainer, Protocol):
    """A trainer whose progress is followed."""

    progress: Callable[[str], None]


class _Progress:
    """The progress of several descents as one line."""

    def __init__(self, progress: Callable[[str], None], counts: Sequence[int]) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._states = [(count, 1.0) for count in counts]

    def of(self, place: int) -> Follow:
        """The function that follows one of the descents."""

        def take(count: int, left: float) -> None:
            with self._lock:
                self._states[place] = (count, left)
                networks = sum(count for count, _ in self._states)
                slowest = max(left for _, left in self._states)
                if networks:
                    whose = "its" if networks == 1 else "their"
                    self._progress(
                        f"{counted(networks, 'network')}, down to {percent(slowest)} of {whose} adders"
                    )

        return take


def in_parallel(training: Watched, members: Sequence[ChainMember], cores: int) -> dict[int, list[Snapshot]]:
    """Remove adders from all members; index -> snapshots.

    The members are dealt to the cores by size. No network depends on those that it is trained with, so
    the result does not depend on the number of cores.

    Each core has a process, forked from this one: threads would wait for one another, because half of
    the time is Python's and not the kernels'. Where processes cannot be forked, threads take their place.

    Raises:
        HwnasError: a process was killed, for example because memory was short.
    """
    cores = max(1, min(cores, len(members)))
    by_size = sorted(members, key=lambda member: (-_weights(member), member.index))
    parts = [by_size[place::cores] for place in range(cores)]
    progress = _Progress(training.progress, [len(part) for part in parts])

    def of(place: int, follow: Follow) -> dict[int, list[Snapshot]]:
        # Torch's modes belong to a thread.
        with torch.inference_mode():
            return Descent(training, parts[place], follow).run()

    def alone(place: int, follow: Follow) -> dict[int, list[Snapshot]]:
        # The other cores have processes of their own.
        with threadpool_limits(1):
            return of(place, follow)

    follows = [progress.of(place) for place in range(cores)]
    if cores == 1:
        return of(0, follows[0])
    if can_fork():
        found = forked(alone, follows)
    else:
        with ThreadPoolExecutor(cores) as pool:
            found = list(pool.map(of, range(cores), follows))
    return {index: snapshots for some in found for index, snapshots in some.items()}


def _weights(member: ChainMember) -> int:
    return sum(layer.n_in * layer.n_out for layer in member.plan.architecture.chain)
