"""Scores of exported designs on the test rows, by the estimators that use weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hwnas_hls.network.design import Design
from hwnas_hls.run.goal import metrics_of
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.store import Store
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import SCORED, Estimate, Source


def with_final_scores(
    problem: Problem,
    store: Store,
    candidates: Sequence[Candidate],
    designs: Sequence[Design],
    estimates: Sequence[Mapping[str, Estimate]],
) -> list[dict[str, Estimate]]:
    """The estimates, with the scores of estimators that use weights measured again, on the test rows.

    A score is a number whose source is ``trained`` or ``emulated``. One that cannot be measured again is
    marked: the full training may have seen the validation rows. The metrics of the task are left out.
    """
    found = [dict(known) for known in estimates]
    scorers = {}
    for part in problem.estimators:
        names = metrics_of(part.instance).keys() - set(problem.dataset.scoring.names)
        own = {name for known in found for name in names & known.keys() if known[name].source in SCORED}
        if own and part.instance.uses_weights and not part.instance.trains:
            scorers[part.name] = own
    if not scorers:
        return found
    judge = Judge(problem.tested(scorers), store)
    try:
        again = judge.with_designs(candidates, designs)
    finally:
        judge.close()
    for known, item in zip(found, again, strict=True):
        for name in {name for own in scorers.values() for name in own} & known.keys():
            if fresh := item.estimates.get(name):
                known[name] = replace(fresh, evidence=f"{fresh.evidence} (test rows in their place)")
            else:
                evidence = f"{known[name].evidence}; not measured on the test rows: {item.reason}"
                known[name] = replace(known[name], source=Source.TRAINED, evidence=evidence)
    return found
