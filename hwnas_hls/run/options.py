"""Options of an export: records at prices of refinement, and which of them are exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas_hls.network.design import Design
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.noise import Contender, distinct
from hwnas_hls.run.problem import Problem
from hwnas_hls.values.front import hypervolume, non_dominated
from hwnas_hls.values.record import Record


@dataclass(frozen=True, slots=True)
class Option:
    """A record at one price of refinement, with the numbers used for the choice.

    Args:
        record: with the score and LUTs at this price.
        price: 0 means no refinement.
        right: whether each row was classified correctly, bool (rows,); ``None`` unless the task's metric is
            the accuracy.
        design: the scored design, if it is the only one.
        costed: whether the costs are those of the design; before, they are those of the search, the LUTs
            scaled by the share that the refinement has kept.
    """

    record: Record
    price: float
    right: np.ndarray | None = None
    design: Design | None = None
    costed: bool = False


def picked(
    problem: Problem, judge: Judge, options: Sequence[Option], on_step: Callable[[str], None]
) -> list[Option]:
    """The options to export, one per record, with the costs of their designs.

    Those of the front; without the noise filter also those behind it, up to the number of members, because
    the test rows may order them differently.
    """
    members = problem.spec.members
    on_step("costs of the designs on the front")
    found: list[Option] = []
    left = list(options)
    while left and len(found) < members:
        front, left = _front(problem, judge, left)
        found += _largest(_beyond_noise(problem, front), members - len(found))
        if problem.spec.export.noise_filter:
            break
        keys = {option.record.key for option in found}
        left = [option for option in left if option.record.key not in keys]
    return found


def _front(problem: Problem, judge: Judge, options: Sequence[Option]) -> tuple[list[Option], list[Option]]:
    """The non-dominated options, with the costs of their designs, and the other ones."""
    found = list(options)
    while True:
        places = non_dominated([option.record.losses or () for option in found])
        due = [place for place in places if found[place].design is not None and not found[place].costed]
        if not due:
            on_front = set(places)
            rest = [option for place, option in enumerate(found) if place not in on_front]
            return [found[place] for place in places], rest
        # Others may take the places of those that turn out to be larger.
        for place, option in zip(due, _costed(problem, judge, [found[place] for place in due]), strict=True):
            found[place] = option


def _costed(problem: Problem, judge: Judge, options: Sequence[Option]) -> list[Option]:
    """Options that have a design, with its costs, by the estimators that do not train."""
    out = list(options)
    left = list(range(len(options)))
    while left:
        # One design per candidate: estimators find a design by its candidate.
        turn = {options[place].record.key: place for place in reversed(left)}.values()
        left = [place for place in left if place not in turn]
        some = [options[place] for place in turn]
        items = judge.with_designs(
            [one.record.candidate for one in some], [one.design for one in some if one.design is not None]
        )
        for place, item in zip(turn, items, strict=True):
            record = options[place].record
            estimates = {**record.estimates, **item.estimates}
            record = dataclasses.replace(record, estimates=estimates, losses=problem.goal.losses(estimates))
            out[place] = dataclasses.replace(options[place], record=record, costed=True)
    return out


def _beyond_noise(problem: Problem, front: Sequence[Option]) -> list[Option]:
    """The options that no other makes redundant, up to the noise of the rows and of one predicted cycle."""
    if not problem.spec.export.noise_filter or any(option.right is None for option in front):
        return list(front)
    contenders = [Contender.of(option.record, option.right) for option in front]
    redundant = distinct(problem.goal, problem.clock_ns, contenders)
    return [option for place, option in enumerate(front) if place not in redundant]


def _largest(options: Sequence[Option], count: int) -> list[Option]:
    """At most ``count`` options, one per record: the ends, then greedily the largest hypervolume."""
    losses = np.array([option.record.losses for option in options])
    reference = np.maximum(losses.max(axis=0), 1.0) + 1e-9
    taken: list[int] = []
    open_ = list(range(len(options)))

    def take(place: int) -> None:
        taken.append(place)
        key = options[place].record.key
        open_[:] = [other for other in open_ if options[other].record.key != key]

    for column in losses.T:
        if open_ and len(taken) < count:
            take(min(open_, key=lambda place: (column[place], place)))
    while open_ and len(taken) < count:
        take(max(open_, key=lambda place: (hypervolume(losses[[*taken, place]], reference.tolist()), -place)))
    return [options[place] for place in sorted(taken)]
