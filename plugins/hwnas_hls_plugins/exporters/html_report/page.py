"""The report page: the data for the template ``report/report.html.j2``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.render import embedded, render
from hwnas_hls.spec.notation import (
    SOURCE_MEANINGS,
    counted,
    duration,
    figure,
    interval,
    limits_in_words,
    metric_of,
    plain_number,
    quantity,
    title,
)
from hwnas_hls.values.estimate import METRICS, SOURCES
from hwnas_hls.values.record import RecordState
from hwnas_hls_plugins.exporters.html_report.cards import card
from hwnas_hls_plugins.exporters.html_report.points import default_axes, payload, plotted_metrics
from hwnas_hls_plugins.exporters.html_report.verdict import (
    STATE_MEANINGS,
    bindings,
    nearest_rows,
    reasons,
    searched_rows,
    useless,
    verdict,
)

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Comparison, Front
    from hwnas_hls.protocols.target import Target

#: Columns of the table of designs, after the task's metric, if they have numbers.
TABLE_METRICS = ("latency_ns", "latency_cycles", "ii_cycles", "lut", "ff", "dsp", "bram_18k")
_HEADLINE = ("name", "command", "seed", "trials", "minutes", "strategy", "task", "started", "seconds")


def page(front: Front, folder: Path) -> str:
    """The report as HTML text.

    Args:
        folder: the run folder, which contains the files of the designs.
    """
    from plotly.offline import get_plotlyjs

    cards = [card(member, place, front, folder) for place, member in enumerate(front.members)]
    metrics = plotted_metrics(front)
    groups, groups_left_out = reasons(front.records)
    states = Counter(record.state for record in front.records)
    return render(
        "report/report.html.j2",
        name=front.run.name or "run",
        verdict=verdict(front, cards),
        alarming=not cards or any(not item.sound for item in cards) or bool(useless(front)),
        facts=_facts(front),
        front=front,
        metric=metric_of(front.dataset.metric).label,
        target=front.target,
        target_facts=_target_facts(front.target),
        cards=cards,
        columns=[title(name) for name in _columns(front)],
        rows=_rows(front),
        metrics=[{"name": name, "title": title(name)} for name in metrics],
        axes=default_axes(front, metrics),
        states=[(state, states[state], STATE_MEANINGS[state]) for state in RecordState],
        reasons=groups,
        reasons_left_out=groups_left_out,
        bindings=bindings(front),
        nearest=nearest_rows(front),
        searched=[] if cards else searched_rows(front),
        comparisons=_comparisons(front),
        parity=_parity(front),
        baselines=_baselines(front),
        sources=[(source, SOURCE_MEANINGS[source]) for source in SOURCES],
        rest=_rest(front),
        hypervolume=f"{front.hypervolume:.4g}",
        reference=", ".join(quantity(name, value) for name, value in front.reference.items()),
        data=embedded(payload(front)),
        plotly=get_plotlyjs(),
    )


#: Facts of a run that are shown elsewhere on the page.
_SAID = frozenset(("choice", "chance", "left_out", "lacking", "baselines"))


def _facts(front: Front) -> list[tuple[str, str]]:
    """The facts at the top of the page: space, part, budget and others."""
    run = front.run
    goal = front.goal
    rows = front.dataset
    facts = [
        ("task", run.task or rows.source),
        (
            "data",
            f"{rows.source}; {len(rows.train):,} training, {len(rows.validation):,} validation, "
            f"{len(rows.test):,} test rows; {counted(rows.n_in, 'input')}, "
            f"{counted(rows.n_out, 'output')}",
        ),
        ("part", f"{front.target.part} ({front.target.name})"),
        ("clock", f"{front.clock_ns:g} ns, unless a design has its own"),
        (
            "objectives",
            ", ".join(
                f"{'highest' if item.direction == 'max' else 'lowest'} {title(item.metric)}"
                for item in goal.objectives
            )
            + f" ({goal.mode})",
        ),
        ("limits", limits_in_words(front.target, goal.limits)),
        ("budget", _budget(front)),
        ("seed", str(run.seed)),
    ]
    if run.strategy:
        facts.insert(5, ("strategy", run.strategy))
    if run.seconds is not None:
        facts.append(("took", duration(run.seconds)))
    if run.choice is not None:
        facts.append(("designs selected by", f"{run.choice.method}: {run.choice.words}"))
    if run.lacking:
        facts.append(("not synthesised", run.lacking))
    if run.command:
        facts.append(("command", run.command))
    return facts


def _budget(front: Front) -> str:
    parts = [f"{len(front.records):,} candidates evaluated"]
    if front.run.trials:
        parts.append(f"{front.run.trials:,} trials requested")
    if front.run.minutes:
        parts.append(f"{front.run.minutes} minutes given")
    return ", ".join(parts)


def _target_facts(target: Target) -> str:
    return (
        f"{target.lut:,} LUT, {target.ff:,} FF, {target.dsp:,} {target.dsp_type}, "
        f"{target.bram_18k:,} BRAM 18K, {target.uram:,} URAM, {target.slr} SLR"
    )


def _columns(front: Front) -> list[str]:
    wanted = dict.fromkeys([*(o.metric for o in front.goal.objectives), front.dataset.metric, *TABLE_METRICS])
    return [name for name in wanted if any(name in member.estimates for member in front.members)]


def _rows(front: Front) -> list[list[dict[str, Any]]]:
    """The cells of the table of designs: value, sort key, interval and source of each number."""
    rows = []
    for member in front.members:
        cells = []
        for name in _columns(front):
            estimate = member.estimates.get(name)
            cells.append(
                {"value": "", "order": None, "interval": "", "source": ""}
                if estimate is None
                else {
                    "value": figure(name, estimate.value),
                    "order": plain_number(name, estimate.value),
                    "interval": interval(estimate),
                    "source": estimate.source,
                }
            )
        rows.append(cells)
    return rows


def _is_telling(item: Comparison) -> bool:
    """Whether a comparison says something: not zero against zero, nor an interval of one cycle twice."""
    same = item.predicted.value == item.measured.value
    return not (same and item.measured.value == (1 if item.measured.metric == "ii_cycles" else 0))


def _parity(front: Front) -> list[str]:
    """For each metric, how many measurements lay inside the predicted interval; then what is not listed."""
    inside: dict[str, list[bool]] = {}
    hidden = 0
    for item in front.comparisons():
        if _is_telling(item):
            held = item.predicted.low <= item.measured.value <= item.predicted.high
            inside.setdefault(item.measured.metric, []).append(held)
        else:
            hidden += 1
    words = [f"{title(name)}: {sum(held)} of {len(held)} inside" for name, held in inside.items()]
    if hidden:
        words.append(f"{hidden} of resources that are predicted and measured as 0, or of an interval of 1")
    return words


def _comparisons(front: Front) -> list[dict[str, Any]]:
    order = {name: place for place, name in enumerate(METRICS)}
    found = [item for item in front.comparisons() if _is_telling(item)]
    found.sort(key=lambda item: (order.get(item.measured.metric, len(order)), item.measured.metric))
    return [
        {
            "key": item.key,
            "title": title(item.measured.metric),
            "predicted": figure(item.predicted.metric, item.predicted.value),
            "predicted_order": plain_number(item.predicted.metric, item.predicted.value),
            "interval": interval(item.predicted),
            "measured": figure(item.measured.metric, item.measured.value),
            "measured_order": plain_number(item.measured.metric, item.measured.value),
            "source": item.measured.source,
            "inside": item.predicted.low <= item.measured.value <= item.predicted.high,
        }
        for item in found
    ]


def _baselines(front: Front) -> list[dict[str, str]]:
    """The rows of the table of baselines."""
    return [
        {
            "name": item.name,
            "words": item.words,
            "value": quantity(item.estimate.metric, item.estimate.value),
            "interval": interval(item.estimate),
            "evidence": item.estimate.evidence,
            "took": duration(item.seconds),
        }
        for item in front.run.baselines
    ]


def _rest(front: Front) -> Sequence[tuple[str, str]]:
    """Further facts of the run: versions, plugins, host."""
    out: list[tuple[str, str]] = []
    for key, value in front.run.to_json().items():
        if key in _HEADLINE or key in _SAID or value in ("", None):
            continue
        if isinstance(value, dict):
            out.extend((f"{key}: {inner}", str(item)) for inner, item in value.items())
        else:
            out.append((str(key), str(value)))
    return out
