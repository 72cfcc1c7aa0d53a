"""A comparison of runs as one HTML file: attainment, hypervolume over candidates and time, and the table."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any

from hwnas_hls.render import embedded, render
from hwnas_hls.spec.notation import duration, figure, is_ratio, plain_number, title
from hwnas_hls.values.attainment import Point, staircase, surface
from hwnas_hls.values.objective import Goal
from hwnas_hls.views.comparison import RunRow, grouped, kinds


def comparison_page(rows: Sequence[RunRow], goal: Goal) -> str:
    """The comparison as HTML text; runs that differ in their seed alone are grouped.

    Args:
        rows: as :func:`hwnas_hls.views.comparison.compare_runs` gives them.
        goal: of the first run.
    """
    from plotly.offline import get_plotlyjs

    groups = grouped(rows)
    columns = list(rows[0].best)
    return render(
        "report/compare.html.j2",
        rows=[
            (
                row.run,
                row.strategy,
                (f"{row.judged:,}", row.judged),
                (duration(row.seconds), row.seconds),
                row.front,
                f"{row.hypervolume:.4f}",
                [_cell(name, row.best.get(name)) for name in columns],
            )
            for row in rows
        ],
        columns=[title(name) for name in columns],
        kinds=kinds(rows),
        groups=[
            (name, len(members), volume_in_words([member.hypervolume for member in members]))
            for name, members in groups.items()
        ],
        reference=", ".join(
            f"{title(item.metric)} {figure(item.metric, item.worst)}" for item in goal.objectives
        ),
        pairs=[f"{title(b.metric)} against {title(a.metric)}" for a, b in _pairs(goal)],
        data=embedded(
            {"groups": list(groups), "pairs": _attainment(goal, groups), "traces": _traces(groups)}
        ),
        plotly=get_plotlyjs(),
    )


def _cell(name: str, value: float | None) -> tuple[str, float | None]:
    """A number as displayed, and the sort key of its column."""
    return figure(name, value), None if value is None else plain_number(name, value)


def volume_in_words(volumes: Sequence[float]) -> str:
    """Mean and, from two runs on, its 95 % interval (Student's t)."""
    mean = statistics.fmean(volumes)
    if len(volumes) == 1:
        return f"{mean:.4f} (one run: no interval)"
    from scipy.stats import t

    half = float(t.ppf(0.975, len(volumes) - 1)) * statistics.stdev(volumes) / math.sqrt(len(volumes))
    return f"{mean:.4f} ± {half:.4f}"


def _pairs(goal: Goal) -> list[tuple[Any, Any]]:
    """(x axis, y axis): the first objective, usually an accuracy, is on the y axis."""
    return [(b, a) for a, b in itertools.combinations(goal.objectives, 2)]


def _attainment(goal: Goal, groups: dict[str, list[RunRow]]) -> list[dict[str, Any]]:
    out = []
    for across, up in _pairs(goal):
        signs = tuple(-1.0 if item.direction == "max" else 1.0 for item in (across, up))
        drawn = []
        for members in groups.values():
            runs = [
                [(signs[0] * one[across.metric], signs[1] * one[up.metric]) for one in member.designs]
                for member in members
            ]
            levels = {"best": 1, "median": (len(runs) + 1) // 2, "worst": len(runs)}
            drawn.append(
                {
                    "runs": [_corners(staircase(points), signs) for points in runs],
                    **{name: _corners(surface(runs, least), signs) for name, least in levels.items()},
                }
            )
        out.append(
            {
                "across": {
                    "title": title(across.metric),
                    "percent": is_ratio(across.metric),
                    "lower_is_better": signs[0] > 0,
                    "log": across.log,
                },
                "up": {
                    "title": title(up.metric),
                    "percent": is_ratio(up.metric),
                    "lower_is_better": signs[1] > 0,
                },
                "groups": drawn,
            }
        )
    return out


def _corners(points: Sequence[Point], signs: tuple[float, ...]) -> dict[str, list[float]]:
    return {
        "x": [signs[0] * first for first, _ in points],
        "y": [signs[1] * second for _, second in points],
    }


def _traces(groups: dict[str, list[RunRow]]) -> list[dict[str, Any]]:
    return [
        {
            "run": row.run,
            "group": place,
            "candidates": [point[0] for point in row.trace],
            "seconds": [point[1] for point in row.trace],
            "hypervolume": [point[2] for point in row.trace],
        }
        for place, members in enumerate(groups.values())
        for row in members
    ]
