"""Where the known designs of a run come from: the user, and earlier runs."""

from __future__ import annotations

from pathlib import Path

from hwnas_hls.run.known.designs import KnownDesign, distinct
from hwnas_hls.run.known.earlier_runs import check_run, known_of_run
from hwnas_hls.run.known.own_designs import known_of_seed
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.store import Store


def check_sources(problem: Problem) -> None:
    """Check the sources of known designs before the folder of the run is created.

    Raises:
        UserError: as :func:`gathered`.
    """
    for seed in problem.spec.seeds:
        for _ in known_of_seed(problem, seed):
            pass
    for folder in problem.spec.run.from_:
        check_run(problem, Path(folder))


def gathered(problem: Problem, store: Store) -> list[KnownDesign]:
    """The known designs that the spec of a run names, one entry per candidate.

    Args:
        store: of the run; evaluations of earlier runs are copied into it.

    Raises:
        UserError: a design or an earlier run cannot be read, cannot be built or does not fit the data.
    """
    known: list[KnownDesign] = []
    for seed in problem.spec.seeds:
        known += known_of_seed(problem, seed)
    for folder in problem.spec.run.from_:
        known += known_of_run(problem, Path(folder), store)
    return distinct(known)
