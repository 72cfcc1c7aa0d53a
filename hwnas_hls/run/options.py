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
    """The non-dominated options, one per record, with the costs of their designs, and the other ones."""
    found = list(options)
    while True:
        places = _one_each(found)
        due = [place for place in places if found[place].design is not None and not found[place].costed]
        if not due:
            on_front = set(places)
            rest = [option for place, option in enumerate(found) if place not in on_front]
            return [found[place] for place in places], rest
        # Others may take the places of those that turn out to be larger.
        for place, option in zip(due, _costed(problem, judge, [found[place] for place in due]), strict=True):
            found[place] = option


def _one_each(options: Sequence[Option]) -> list[int]:
    """Places of the non-dominated options, one per record.

    Of several of one record, the one with the largest hypervolume beside the others stays. Options that only
    those left out dominated come in their place: the front has no gap there.
    """
    losses = np.array([option.record.losses or () for option in options])
    reference = _reference(losses)
    open_ = list(range(len(options)))
    while True:
        places = [open_[place] for place in non_dominated(losses[open_])]
        by_record: dict[str, list[int]] = {}
        for place in places:
            by_record.setdefault(options[place].record.key, []).append(place)
        kept = [own[0] for own in by_record.values() if len(own) == 1]
        if len(kept) == len(by_record):
            return places
        dropped: set[int] = set()
        for own in by_record.values():
            if len(own) > 1:
                volumes = [hypervolume(losses[[*kept, place]], reference) for place in own]
                best = own[int(np.argmax(volumes))]
                kept.append(best)
                dropped |= set(own) - {best}
        open_ = [place for place in open_ if place not in dropped]


def _reference(losses: np.ndarray) -> list[float]:
    """The corner of a hypervolume."""
    corner: list[float] = (np.maximum(losses.max(axis=0), 1.0) + 1e-9).tolist()
    return corner


def _costed(problem: Problem, judge: Judge, options: Sequence[Option]) -> list[Option]:
    """Options that have a design, one per record, with its costs, by the estimators that do not train."""
    items = judge.with_designs(
        [one.record.candidate for one in options],
        [one.design for one in options if one.design is not None],
    )
    out = []
    for option, item in zip(options, items, strict=True):
        estimates = {**option.record.estimates, **item.estimates}
        losses = problem.goal.losses(estimates)
        record = dataclasses.replace(option.record, estimates=estimates, losses=losses)
        out.append(dataclasses.replace(option, record=record, costed=True))
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
    reference = _reference(losses)
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
        take(max(open_, key=lambda place: (hypervolume(losses[[*taken, place]], reference), -place)))
    return [options[place] for place in sorted(taken)]
