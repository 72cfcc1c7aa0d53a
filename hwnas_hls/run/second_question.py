"""A second question to a stored run: its records and designs under other objectives and limits.

Nothing is searched, trained or written. The estimates of the records are judged again by the new goal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.exporter import Front, Member
from hwnas_hls.run.choice import above_floor
from hwnas_hls.run.exporters import front_of
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.goal import goal_of
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search, choose, least_infeasible
from hwnas_hls.run.spec_changes import check_unchanged
from hwnas_hls.run.storage.member_store import stored_members
from hwnas_hls.run.storage.store import Store
from hwnas_hls.run.task_metrics import TASK_KEYS, missing_scores, with_metrics
from hwnas_hls.spec.spec import Spec, spec_from_tables
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls.values.run_facts import RunFacts


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a stored run to a second question.

    Args:
        folder: the run folder.
        front: the run under the new goal; its members are the exported designs that meet the new limits
            and that no other exported design dominates.
        candidates: records of the new front without an exported design, with the numbers of the search.
        untrained: number of records that meet the new limits as far as known, but were not trained,
            because of a limit or a rival of the search.
    """

    folder: Path
    front: Front
    candidates: Sequence[Record]
    untrained: int

    @property
    def keys(self) -> list[str]:
        """The keys of the designs, then those of the candidates."""
        return [member.key for member in self.front.members] + [record.key for record in self.candidates]

    def to_json(self) -> dict[str, Any]:
        """For scripts: the goal, and key and numbers of each design and candidate."""

        def listed(item: Member | Record) -> dict[str, Any]:
            return {
                "key": item.key,
                "metrics": {name: estimate.to_json() for name, estimate in item.estimates.items()},
            }

        return {
            "folder": str(self.folder),
            "goal": self.front.goal.to_json(),
            "exported": [listed(member) for member in self.front.members],
            "not_exported": [listed(record) for record in self.candidates],
            "untrained": self.untrained,
        }


def answer(folder: Path, registry: Registry, question: Mapping[str, Any]) -> Answer:
    """What a stored run gives under other objectives and limits.

    Args:
        question: tables ``objectives`` and ``limits`` as in a spec; each key replaces that of the run,
            and a limit on a metric replaces the run's limit on the same metric.

    Raises:
        UserError: the folder is not a run, no estimator of the run provides a metric, or the limits
            contradict each other.
    """
    problem = resolve(run_spec(folder), registry)
    asked = _asked(problem, question)
    with Store(folder, reading=True) as store:
        facts = store.meta()
        check_unchanged(problem, facts, folder)
        # The old goal is part of the keys of stored trainings, so the view is made with it.
        search = Search.view(problem, store)
        try:
            stored = search.records()
            members = stored_members(facts, stored, folder)
            run = store.run_facts() or RunFacts()
            front = front_of(asked, search, members, run, facts, stored)
            stored = [_with_scores(asked, search.judge, record) for record in stored]
        finally:
            search.close()
    goal = asked.goal
    records = [judged_again(goal, record) for record in stored]
    held = _members_under(goal, members)
    keys = {member.key for member in members}
    complete = above_floor(asked, [record for record in records if record.feasible])
    best = [complete[place] for place in non_dominated([record.losses or () for record in complete])]
    unique = list({record.key: record for record in best}.values())
    found = [record for record in choose(unique, asked.spec.export.members) if record.key not in keys]
    untrained = sum(
        not record.feasible and not record.violations and record.state != RecordState.FAILED
        for record in records
    )
    nearest = () if complete or held else least_infeasible(records)
    front = dataclasses.replace(front, goal=goal, members=held, records=records, least_infeasible=nearest)
    return Answer(folder, front, found, untrained)


def judged_again(goal: Goal, record: Record) -> Record:
    """A record under another goal, from its estimates.

    A record without a number for an objective was not trained, or not to the end: its state is
    ``stopped``, unless it breaks a limit.
    """
    if record.state == RecordState.FAILED:
        return record
    violations = goal.violations(record.estimates)
    if violations:
        reason = f"over the limit {', '.join(sorted(violations))}"
        return dataclasses.replace(
            record, state=RecordState.INFEASIBLE, losses=None, violations=violations, reason=reason
        )
    losses = None if record.state == RecordState.STOPPED else goal.losses(record.estimates)
    if losses is None:
        reason = record.reason or "an objective has no number"
        return dataclasses.replace(
            record, state=RecordState.STOPPED, losses=None, violations={}, reason=reason
        )
    return dataclasses.replace(record, state=RecordState.COMPLETE, losses=losses, violations={}, reason="")


def _asked(problem: Problem, question: Mapping[str, Any]) -> Problem:
    """The problem with the goal of the question."""
    tables = problem.spec.to_tables()
    objectives, limits = question.get("objectives", {}), question.get("limits", {})
    if "metrics" in objectives:
        # Weights and scales of objectives that are gone would be refused.
        kept = objectives["metrics"]
        for name in ("weights", "best", "worst"):
            held = tables["objectives"].get(name, {})
            tables["objectives"][name] = {metric: held[metric] for metric in held if metric in kept}
    tables["objectives"] |= objectives
    for kind, other in (("max", "max_share"), ("max_share", "max"), ("min", "")):
        asked = limits.get(kind, {})
        tables["limits"][kind] = {**tables["limits"].get(kind, {}), **asked}
        if other:  # the bound and the share of the part replace each other
            held = tables["limits"].get(other, {})
            tables["limits"][other] = {metric: held[metric] for metric in held if metric not in asked}
    spec: Spec = spec_from_tables(tables, "the question")
    instances = [part.instance for part in problem.estimators]
    settings = {key: value for key, value in spec.task.config.items() if key in TASK_KEYS}
    dataset = with_metrics(problem.dataset, spec, settings)
    goal = goal_of(spec, dataset, problem.target, problem.clock_ns, instances)
    return dataclasses.replace(problem, spec=spec, goal=goal, dataset=dataset)


def _with_scores(problem: Problem, judge: Judge, record: Record) -> Record:
    """A trained record with the metrics of predictions that its run did not measure, from its weights."""
    wanted = [name for name in problem.dataset.metrics if name not in record.estimates]
    trained = judge.stored_training(record.candidate) if wanted and record.feasible else None
    if trained is None or trained.design is None:
        return record
    seed = problem.spec.run.seed
    found = missing_scores(problem.dataset, seed, trained.design, record.estimates)
    return dataclasses.replace(record, estimates={**record.estimates, **found})


def _members_under(goal: Goal, members: Sequence[Member]) -> list[Member]:
    """The exported designs within the limits, without dominated ones, by their final numbers."""
    fitting = [
        member
        for member in members
        if not goal.violations(member.estimates) and goal.losses(member.estimates) is not None
    ]
    losses = [goal.losses(member.estimates) or () for member in fitting]
    return [fitting[place] for place in sorted(non_dominated(losses))] if fitting else []
