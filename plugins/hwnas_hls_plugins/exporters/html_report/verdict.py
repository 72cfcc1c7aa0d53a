"""The result of a run in sentences: designs found, failures, binding limits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.spec.notation import figure, interval, metric_of, title
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.record import RecordState
from hwnas_hls.values.run_facts import LeftOutKind
from hwnas_hls.views.front_summary import chance_words
from hwnas_hls_plugins.exporters.html_report.cards import Card, summary
from hwnas_hls_plugins.exporters.html_report.points import head_metric

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls.values.record import Record

SUB_MICROSECOND_NS = 1000.0
#: Lengths of the lists for a run without exported designs.
_NEAREST, _SEARCHED = 10, 20
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?")
MAX_REASONS = 25
MAX_REASON_LETTERS = 400

STATE_MEANINGS = {
    RecordState.COMPLETE: "fully evaluated",
    RecordState.INFEASIBLE: "over a hard limit, so not trained further",
    RecordState.STOPPED: "stopped during training, because others were better",
    RecordState.FAILED: "could not be evaluated",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Candidates that ended for the same reason; numbers in the text may differ."""

    state: RecordState
    count: int
    words: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit and the number of candidates that violate it.

    Args:
        limit: as written, for example ``lut <= 20000``.
        count: number of candidates that violate it.
        nearest: the smallest excess among them.
        relative: whether the excess is relative to the bound, which is then not zero.
    """

    limit: str
    count: int
    nearest: float
    relative: bool

    @property
    def words(self) -> str:
        by = f"{100 * self.nearest:.3g} %" if self.relative else f"{self.nearest:.3g}"
        nearest = f"the nearest misses it by {by}"
        return f"{self.limit}, violated by {_count(self.count, 'candidate')}; {nearest}"


def verdict(front: Front, cards: Sequence[Card]) -> list[str]:
    """Sentences, the most important first."""
    cut = (
        ["The run was interrupted before its budget was spent; `hwnas-hls resume` continues it."]
        if front.run.finished is False
        else []
    )
    return (_something(front, cards) if front.members else _nothing(front)) + cut


def _something(front: Front, cards: Sequence[Card]) -> list[str]:
    sentences = [_how_many(front)]
    best = _best(front)
    name = head_metric(front)
    if name in best.estimates:
        sentences.append(f"The best by {metric_of(name).label}: {summary(best.estimates, name)}.")
    small = [member for member in front.members if "lut" in member.estimates]
    if len(small) > 1:
        smallest = min(small, key=lambda member: member.estimates["lut"].value)
        if smallest is not best:
            sentences.append(f"The smallest: {summary(smallest.estimates, name)}.")
    wrong = [card.key for card in cards if not card.sound]
    unchecked = [card.key for card in cards if card.missing]
    if wrong:
        sentences.append(f"{_count(len(wrong), 'design')} failed a check: {', '.join(wrong)}.")
    if unchecked:
        verb = "lacks" if len(unchecked) == 1 else "lack"
        sentences.append(f"{_count(len(unchecked), 'design')} {verb} a check.")
    if not wrong and not unchecked:
        sentences.append("Every check passed.")
    return [*sentences, *_left_out(front), *_chance(front)]


def useless(front: Front) -> list[str]:
    """Keys of chosen designs that were left out because they are useless."""
    return [key for key, item in front.run.left_out.items() if item.kind is LeftOutKind.USELESS]


def _left_out(front: Front) -> list[str]:
    """Sentences on chosen designs that were left out of the export."""
    left_out, dead = front.run.left_out, useless(front)
    sentences = [f"Left out as useless: {key} ({left_out[key].reason})." for key in dead]
    for kind, up_to in ((LeftOutKind.DOMINATED, ""), (LeftOutKind.ALIKE, " up to the noise")):
        if others := [key for key, item in left_out.items() if item.kind is kind]:
            verb = "was" if len(others) == 1 else "were"
            sentences.append(
                f"{_count(len(others), 'further design')} {verb} left out: in the final numbers, "
                f"another is at least as good in every objective{up_to}."
            )
    return sentences


def _chance(front: Front) -> list[str]:
    words = chance_words(front)
    return [*([words] if words else []), *(f"Warning: {text}." for text in front.run.data_warnings)]


def _how_many(front: Front) -> str:
    total = len(front.members)
    timed = [member.estimates["latency_ns"] for member in front.members if "latency_ns" in member.estimates]
    fast = sum(_below(estimate) for estimate in timed)
    if not timed:
        return f"{_count(total, 'design')} on the front."
    if fast == total:
        return f"{_count(total, 'design')} on the front, {'all ' if total > 1 else ''}below 1 µs."
    return f"{_count(total, 'design')} on the front, {fast} of them below 1 µs."


def _below(estimate: Estimate) -> bool:
    """Whether the whole interval is below one microsecond."""
    return estimate.high < SUB_MICROSECOND_NS


def _best(front: Front) -> Member:
    name = head_metric(front)
    scored = [member for member in front.members if name in member.estimates]
    if not scored:
        return front.members[0]
    known = {front.dataset.metric: front.dataset.direction} | {
        objective.metric: objective.direction for objective in front.goal.objectives
    }
    sign = 1 if known[name] == "max" else -1
    return max(scored, key=lambda member: sign * member.estimates[name].value)


def _nothing(front: Front) -> list[str]:
    if not front.records:
        return ["No candidate was evaluated."]
    states = Counter(record.state for record in front.records)
    if states[RecordState.FAILED] == len(front.records):
        return [
            f"No design: {'all ' if len(front.records) > 1 else ''}{_count(len(front.records), 'candidate')} "
            "failed; the reasons are listed below."
        ]
    if states[RecordState.COMPLETE]:
        kept = f"{_count(states[RecordState.COMPLETE], 'candidate')} met every limit"
        return [f"No design was exported, although {kept}.", *_left_out(front), *_chance(front)]
    sentences = [f"No feasible design among {_count(len(front.records), 'candidate')}."]
    found = bindings(front)
    if found:
        sentences.append(f"Binding limit: {found[0].words}.")
    if front.least_infeasible:
        nearest = front.least_infeasible[0]
        broken = " and ".join(nearest.violations) or nearest.reason
        sentences.append(
            f"The nearest candidate is {nearest.key}: {summary(nearest.estimates, head_metric(front))}"
            f" (violates {broken})."
        )
    return sentences


def bindings(front: Front) -> list[Binding]:
    """Violated limits, the most frequent first, then by the smallest excess."""
    # The excess over a limit of zero cannot be relative.
    absolute = {str(limit) for limit in front.goal.limits if limit.bound == 0}
    excess: dict[str, list[float]] = {}
    for record in front.records:
        for limit, amount in record.violations.items():
            excess.setdefault(limit, []).append(amount)
    found = [
        Binding(limit, len(amounts), min(amounts), limit not in absolute) for limit, amounts in excess.items()
    ]
    return sorted(found, key=lambda item: (-item.count, -item.nearest, item.limit))


def reasons(records: Iterable[Record]) -> tuple[list[Reason], int]:
    """Why candidates are not complete, grouped, the most frequent first; and the number of omitted groups.

    Reasons that differ only in their numbers are one group, shown by its first reason.
    """
    counts: Counter[tuple[RecordState, str]] = Counter()
    first: dict[tuple[RecordState, str], str] = {}
    for record in records:
        if record.state == RecordState.COMPLETE:
            continue
        words = record.reason.strip().split("\n", 1)[0] or ", ".join(record.violations) or "no reason given"
        if len(words) > MAX_REASON_LETTERS:
            words = words[:MAX_REASON_LETTERS] + " …"
        group = (record.state, _NUMBER.sub("#", words))
        counts[group] += 1
        first.setdefault(group, words)
    groups = sorted(counts, key=lambda group: (list(RecordState).index(group[0]), -counts[group], group[1]))
    groups = sorted(groups, key=lambda group: group[0] != RecordState.FAILED)
    shown = [Reason(group[0], counts[group], first[group]) for group in groups[:MAX_REASONS]]
    return shown, max(0, len(groups) - MAX_REASONS)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def nearest_rows(front: Front) -> list[tuple[str, str, str]]:
    """(key, numbers, violated limits with values) of the least infeasible candidates."""
    rows = []
    for record in list(front.least_infeasible)[:_NEAREST]:
        broken = ", ".join(
            f"{limit} (found {figure(limit.metric, estimate.value)}, {interval(estimate) or 'no interval'})"
            for limit in front.goal.limits
            if str(limit) in record.violations and (estimate := record.estimates.get(limit.metric))
        )
        numbers = ", ".join(
            f"{title(name)} {figure(name, estimate.value)}"
            for name, estimate in list(record.estimates.items())[:6]
        )
        rows.append((record.key, numbers, broken or record.reason))
    return rows


def searched_rows(front: Front) -> list[tuple[str, str]]:
    """(key, numbers) of the front of the search, for a run without exported designs."""
    complete = [record for record in front.records if record.losses is not None and record.feasible]
    best = [complete[place] for place in non_dominated([record.losses or () for record in complete])]
    best.sort(key=lambda record: record.losses or ())
    return [(record.key, summary(record.estimates, head_metric(front))) for record in best[:_SEARCHED]]
