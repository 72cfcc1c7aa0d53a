"""The tables of the benchmark from measured fronts of both sides.

``python benchmarks/circuits/table.py --ours FOLDER ... [--theirs FOLDER ...] [--by cost|lut]``

``--store FOLDER ...`` instead copies the numbers of measured HGQ folders into ``fronts``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median, median_low
from typing import Any

HERE = Path(__file__).parent
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.84, 0.88, 0.9, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
LOWEST = 0.8
#: The corner of the hypervolume: the score of a constant output, this many LUTs; LUTs count by their
#: logarithm from 10 on.
WORST_LUT, BEST_LUT = 1e5, 10.0

Front = dict[str, Any]
Point = tuple[float, float]


def points_of(front: Front, by: str) -> list[Point]:
    """(test score, LUTs) of every member that has such a number; no member of constant output."""
    found = []
    for member in front["members"]:
        cost = member.get(by)
        if cost is not None:
            found.append((float(member["test"]), float(cost)))
    return found


def smallest(points: Iterable[Point], level: float) -> float:
    return min((cost for score, cost in points if score >= level), default=math.inf)


def hypervolume(points: Iterable[Point], chance: float) -> float:
    """Of test score and log LUT, 1 for a perfect circuit of ten LUTs.

    Args:
        chance: score of a constant output, which needs no LUT.
    """
    span = math.log(WORST_LUT / BEST_LUT)
    volume, best = 0.0, chance
    # From the cheapest on, each better score adds its strip.
    for score, cost in sorted(points, key=lambda point: (point[1], -point[0])):
        if score > best and cost < WORST_LUT:
            volume += (score - best) * min(1.0, math.log(WORST_LUT / max(cost, BEST_LUT)) / span)
            best = score
    return volume / (1.0 - chance)


def front_points(points: Iterable[Point], lowest: float) -> list[Point]:
    kept, best = [], lowest - 1e-12
    for score, cost in sorted(points, key=lambda point: (point[1], -point[0])):
        if score > best:
            kept.append((score, cost))
            best = score
    return kept


def dominated(theirs: Sequence[Point], ours: Iterable[Point]) -> float:
    """Share of their front that a design of ours equals or beats in both."""
    ours = list(ours)
    beaten = sum(any(s >= score and c <= cost for s, c in ours) for score, cost in theirs)
    return beaten / len(theirs) if theirs else 1.0


def seconds_to_dominate(theirs: Sequence[Point], front: Front, by: str) -> str:
    """When the designs of the search so far dominated all of their front above the lowest level."""
    seen: list[Point] = []
    for step in sorted(front["course"], key=lambda item: item["seconds"]):
        seen.append((step["test"], step[by]))
        if dominated(theirs, seen) == 1.0:
            return f"{step['seconds']:.0f}"
    handed = points_of(front, by)
    if dominated(theirs, [*seen, *handed]) == 1.0:
        return f"{front.get('designed_s', front['spent_s']):.0f}"
    return f"no ({dominated(theirs, [*seen, *handed]):.0%})"


def rival(theirs: Sequence[Front], front: Front, by: str) -> list[Point]:
    """Their front of the same seed; of all seeds if they have none with it."""
    same = [other for other in theirs if other["seed"] == front["seed"]] or theirs
    return front_points((point for other in same for point in points_of(other, by)), LOWEST)


def load(paths: Iterable[Path]) -> dict[str, list[Front]]:
    held: dict[str, list[Front]] = defaultdict(list)
    for path in paths:
        front = json.loads(path.read_text())
        held[front["table"]].append(front)
    return held


def by_seed(fronts: Sequence[Front], by: str) -> dict[int, list[Point]]:
    """Seed -> points; the shapes that HGQ trained with one seed count as one front."""
    out: dict[int, list[Point]] = defaultdict(list)
    for front in fronts:
        out[front["seed"]] += points_of(front, by)
    return out


def middle(groups: dict[int, list[Point]], level: float) -> float:
    return median_low([smallest(points, level) for points in groups.values()])


def equal_scores(theirs: Sequence[Front], ours: Sequence[Front], by: str) -> list[tuple[float, float, float]]:
    """(level, our LUTs, their LUTs), from the lowest level to their best."""
    mine, other = by_seed(ours, by), by_seed(theirs, by)
    # One that is reached: the mean of two seeds, or a cost of infinity, would be no level.
    best = median_low([max((score for score, _ in points), default=0.0) for points in other.values()])
    lowest = LOWEST if best > LOWEST else 0.5
    levels = [level for level in LEVELS if lowest <= level < best] + [best]
    return [(level, middle(mine, level), middle(other, level)) for level in levels]


def row(name: str, theirs: Sequence[Front], ours: Sequence[Front], by: str) -> list[str]:
    cells, ratios = [], []
    for level, mine, other in equal_scores(theirs, ours, by):
        ratio = mine / other
        ratios.append(ratio)
        mark = "**" if ratio > 1 else ""
        number = "-" if math.isinf(mine) else f"{mine:,.0f}"
        cells.append(f"{mark}{100 * level:.1f}: {number}/{other:,.0f}{mark}")
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    mean = math.exp(sum(map(math.log, finite)) / len(finite)) if finite else math.nan
    chance = theirs[0]["chance"]
    ours_volume = median(hypervolume(points, chance) for points in by_seed(ours, by).values())
    their_volume = median(hypervolume(points, chance) for points in by_seed(theirs, by).values())
    when = ", ".join(seconds_to_dominate(rival(theirs, front, by), front, by) for front in ours)
    worst = "-" if any(map(math.isinf, ratios)) else f"{max(ratios):.2f}"
    seeds = f"{len(by_seed(ours, by))}/{len(by_seed(theirs, by))}"
    return [
        name,
        "; ".join(cells),
        f"{mean:.2f}",
        worst,
        f"{ours_volume:.4f} / {their_volume:.4f}",
        when,
        seeds,
    ]


def store(folders: Sequence[Path]) -> None:
    target = HERE / "fronts"
    target.mkdir(exist_ok=True)
    for folder in folders:
        front = json.loads((folder / "front.json").read_text())
        shape = "-".join(map(str, front["shape"]))
        path = target / f"{front['table']}-{shape}-{front['seconds']:.0f}s-seed{front['seed']}.json"
        path.write_text(json.dumps(front, separators=(",", ":")).replace('{"network"', '\n{"network"') + "\n")
        print(path.name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--theirs", type=Path, nargs="+", help="their folders; default the stored fronts")
    parser.add_argument("--ours", type=Path, nargs="*", default=[])
    parser.add_argument("--by", choices=("cost", "lut"), default="cost")
    parser.add_argument("--seconds", type=float, default=180.0, help="of the stored fronts")
    parser.add_argument("--store", type=Path, nargs="+")
    options = parser.parse_args()
    if options.store:
        store(options.store)
        return
    paths = [folder / "front.json" for folder in options.theirs or ()]
    stored = load(paths or sorted((HERE / "fronts").glob("*.json")))
    theirs = {
        name: [front for front in fronts if front["seconds"] == options.seconds]
        for name, fronts in stored.items()
    }
    ours = load(folder / "front.json" for folder in options.ours)
    head = [
        "table",
        "test score in per cent: ours/HGQ2",
        "geometric mean",
        "worst",
        "hypervolume ours / HGQ2",
        "seconds to dominate",
        "seeds",
    ]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name in sorted(set(theirs) & set(ours)):
        both = {front["seed"] for front in ours[name]} & {front["seed"] for front in theirs[name]}
        other, mine = (
            [front for front in side if not both or front["seed"] in both]
            for side in (theirs[name], ours[name])
        )
        if other:
            print(f"| {' | '.join(row(name, other, mine, options.by))} |")


if __name__ == "__main__":
    main()
