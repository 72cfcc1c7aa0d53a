"""What one own report is worth: a source is taken out of the fit, one of its reports is given back.

    python benchmarks/predictor/one_report.py CALIBRATION_DIR

For each source (family) and each site of it (stage, strategy, compiler and version, silicon) with two or
more designs: laws and factors are fitted without the source, its designs are predicted, then each of its
reports in turn is given to ``recalibrate`` alone and the *other* designs of the site are predicted again.
Printed are medians of |predicted / reported - 1| over all (report given, design predicted) pairs, as
Markdown, by site and over sites, there also apart for designs of another network than the report's; then the
same for other values of ``CAUTION``; then how often the intervals held; then the same of intervals
made of one's own designs, for the two sweeps of single layers, ten draws each.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from fit import SWEEPS, Data, _best, fit_all
from rows import Row, data_folder, read_rows

from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch
from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration, read_calibration
from hwnas_hls_plugins.estimators.hls_model.keys import Flow, Group
from hwnas_hls_plugins.estimators.hls_model.own_designs import OwnDesign, at_level
from hwnas_hls_plugins.estimators.hls_model.own_factors import CAUTION
from hwnas_hls_plugins.estimators.hls_model.recalibration import recalibrate
from hwnas_hls_plugins.estimators.hls_model.regimes import site_of

LEVELS = ("architecture only", "non-zeros", "weights")
CAUTIONS = (0.0, 0.5, 1.0, 1.5, 2.0)


@dataclass
class Pair:
    """One report given, one other design predicted."""

    family: str
    site: Group
    knowledge: int
    same_network: bool
    caution: float
    before: dict[str, float]
    after: dict[str, float]
    inside_before: dict[str, bool]
    inside_after: dict[str, bool]


def main() -> None:
    rows = read_rows(data_folder())
    best = _best(rows)
    shipped = read_calibration()
    pairs: list[Pair] = []
    for family in sorted(set(best.families) - set(SWEEPS)):
        train = np.array([name != family for name in best.families])
        base = replace_bands(fit_all(best, train, "without " + family), shipped)
        for knowledge in (2, 1, 0):
            for site, designs in sites(rows, best, family, knowledge).items():
                if len(designs) > 1:
                    pairs += tried(family, site, knowledge, designs, base)
        print(f"{family} done", file=sys.stderr)
    print("| source | site | known | pairs | LUT before | after one report | FF before | after |")
    print("|---|---|---|---|---|---|---|---|")
    chosen = [pair for pair in pairs if pair.caution == CAUTION]
    groups: dict[tuple[int, str, str], list[Pair]] = defaultdict(list)
    for pair in chosen:
        groups[-pair.knowledge, pair.family, str(pair.site)].append(pair)
    for (level, family, site), found in sorted(groups.items()):
        print(line([family, site.replace("|", " "), LEVELS[-level]], found))
    print()
    print(
        "| C synthesis, Latency strategy, medians over sites | sites "
        "| LUT before | after one report | FF before | after |"
    )
    print("|---|---|---|---|---|---|")
    for level in (2, 1, 0):
        for name, keep in (("any other design", None), ("another network", False), ("same network", True)):
            medians = over_sites(chosen, level, keep)
            print(f"| {LEVELS[level]}, {name} | {len(medians)} | " + cells(medians))
    print()
    print("| CAUTION | " + " | ".join(f"LUT after, {name}" for name in LEVELS) + " |")
    print("|---|" + "---|" * len(LEVELS))
    for caution in CAUTIONS:
        some = [pair for pair in pairs if pair.caution == caution]
        values = [100 * np.median([m[1] for m in over_sites(some, level, None)]) for level in (0, 1, 2)]
        print(f"| {caution:g} | " + " | ".join(f"{value:.1f} %" for value in values) + " |")
    print()
    print("| C synthesis, LUT interval | pairs | held before | held after |")
    print("|---|---|---|---|")
    for level in (2, 1, 0):
        some = [p for p in chosen if p.knowledge == level and p.site.flow is Flow.CSYNTH]
        shares = [
            100 * np.mean([held["lut"] for p in some if "lut" in (held := getattr(p, side))])
            for side in ("inside_before", "inside_after")
        ]
        print(f"| {LEVELS[level]} | {len(some)} | {shares[0]:.0f} % | {shares[1]:.0f} % |")
    print()
    own_coverage(rows, best)


def own_coverage(rows: list[Row], best: Data) -> None:
    """Own intervals of a sweep from some of its networks, on its other networks."""
    shipped = read_calibration()
    print("| sweep, fitted without it | own networks | stated | LUT held | FF held | LUT width |")
    print("|---|---|---|---|---|---|")
    for family in SWEEPS:
        train = np.array([name != family for name in best.families])
        base = replace_bands(fit_all(best, train, "without " + family), shipped)
        _, designs = max(sites(rows, best, family, 0).items(), key=lambda found: len(found[1]))
        networks = sorted({design.network for design in designs})
        for count in (1, 5, 12, 20):
            held: dict[str, list[bool]] = defaultdict(list)
            stated, widths = set(), []
            for seed in range(10):
                drawn = np.random.default_rng(seed).permutation(len(networks))[:count]
                chosen = {networks[place] for place in drawn.tolist()}
                given = [design for design in designs if design.network in chosen]
                others = [design for design in designs if design.network not in chosen]
                calibration = recalibrate(given, base, "some").calibration
                found = predict_batch([design.query for design in others], calibration)
                stated |= set(found.coverage["lut"])
                for metric in ("lut", "ff"):
                    truth = np.array([other.truth[metric] for other in others])
                    held[metric] += ((found.low[metric] <= truth) & (truth <= found.high[metric])).tolist()
                widths.append(float(np.median(found.high["lut"] / np.maximum(found.low["lut"], 1.0))))
            names = {"not calibrated" if c is None or np.isnan(c) else f"{c:.0%}" for c in stated}
            text = ", ".join(sorted(names))
            shares = " | ".join(f"{100 * np.mean(held[metric]):.0f} %" for metric in ("lut", "ff"))
            print(f"| {family} | {count} | {text} | {shares} | x {np.median(widths):.2f} |")


def replace_bands(fold: Calibration, shipped: Calibration) -> Calibration:
    """The fold's laws and factors with the shipped intervals (whose widths have seen the source)."""
    return Calibration(
        fold.name, fold.laws, fold.factors, shipped.bands, fold.seen, fold.provenance, fold.known
    )


def sites(rows: list[Row], best: Data, family: str, knowledge: int) -> dict[Group, list[OwnDesign]]:
    """The designs of a family that factors are learnt from, by site."""
    out: dict[Group, list[OwnDesign]] = defaultdict(list)
    for number, place in enumerate(best.places):
        if best.families[number] != family or best.bands[number] == "outside":
            continue
        query = at_level(best.queries[number], knowledge)
        truth = {m: float(v[number]) for m, v in best.truth.items() if np.isfinite(v[number])}
        if query is not None and "lut" in truth:
            design = OwnDesign(query, truth, family, rows[place].raw["row_id"])
            out[site_of(query, best.regimes[number])].append(design)
    return out


def tried(
    family: str, site: Group, knowledge: int, designs: list[OwnDesign], base: Calibration
) -> list[Pair]:
    """Every report of a site given alone, every other design predicted."""
    out = []
    queries = [design.query for design in designs]
    before = predict_batch(queries, base)
    for given in designs:
        for caution in CAUTIONS:
            after = predict_batch(queries, recalibrate([given], base, "one", caution).calibration)
            for number, other in enumerate(designs):
                if other is given:
                    continue
                measured = [metric for metric in ("lut", "ff") if other.truth.get(metric)]
                out.append(
                    Pair(
                        family,
                        site,
                        knowledge,
                        other.network == given.network,
                        caution,
                        {m: abs(before.value[m][number] / other.truth[m] - 1) for m in measured},
                        {m: abs(after.value[m][number] / other.truth[m] - 1) for m in measured},
                        {
                            m: before.low[m][number] <= other.truth[m] <= before.high[m][number]
                            for m in measured
                        },
                        {
                            m: after.low[m][number] <= other.truth[m] <= after.high[m][number]
                            for m in measured
                        },
                    )
                )
    return out


def over_sites(pairs: list[Pair], level: int, same: bool | None) -> list[tuple[float, float, float, float]]:
    """Medians of each site of C synthesis under Latency: LUT before, after, FF before, after."""
    groups: dict[tuple[str, Group], list[Pair]] = defaultdict(list)
    for pair in pairs:
        fits = same is None or pair.same_network == same
        latency = (pair.site.flow, pair.site.strategy) == (Flow.CSYNTH, "latency")
        if pair.knowledge == level and fits and latency:
            groups[pair.family, pair.site].append(pair)
    return [medians(found) for found in groups.values()]


def medians(pairs: list[Pair]) -> tuple[float, float, float, float]:
    """LUT before and after, FF before and after; NaN where no report of the pairs has the metric."""
    first, second, third, fourth = (
        float(np.median([errors[metric] for errors in found if metric in errors] or [np.nan]))
        for metric in ("lut", "ff")
        for found in ([pair.before for pair in pairs], [pair.after for pair in pairs])
    )
    return first, second, third, fourth


def cells(found: list[tuple[float, float, float, float]]) -> str:
    columns = [np.array(column) for column in zip(*found, strict=True)]
    shown = [column[np.isfinite(column)] for column in columns]
    return " | ".join(f"{100 * np.median(column):.1f} %" if column.size else "" for column in shown) + " |"


def line(names: list[str], pairs: list[Pair]) -> str:
    return "| " + " | ".join([*names, str(len(pairs))]) + " | " + cells([medians(pairs)])


if __name__ == "__main__":
    main()
