"""How wrong the hardware model is on designs of families that it has not seen; prints Markdown tables.

    python benchmarks/predictor/evaluate.py CALIBRATION_DIR

Every number is of a held-out fold (whole families; fifths of the shapes of the single-layer sweeps): the law
constants and scale factors were fitted without it. Coverage is of intervals whose widths came from the
other families only.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
from fit import NEVER_90, SWEEPS, Data, _best, cross_validate, left_over
from rows import data_folder, read_rows

from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, Calibration
from hwnas_hls_plugins.estimators.hls_model.fitting import fit_bands

LEVELS = ("blind", "non-zeros", "weights")


def main() -> None:
    rows = read_rows(data_folder())
    levels = [Data(rows, knowledge) for knowledge in (0, 1, 2)]
    held = cross_validate(levels, _best(rows), lambda text: print(text, file=sys.stderr))
    print(
        "| stage | regime | known | n | families | LUT | FF | DSP = | 10 % | cycles exact | +-2 | II exact |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for data, values, level in zip(levels, held, LEVELS, strict=True):
        for key, mask in _groups(data):
            _line(data, values, mask, key, level)
    print()
    print("| family | regime | known | n | LUT | FF | DSP = | 10 % | cycles exact | +-2 | II exact |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for data, values, level in zip(levels, held, LEVELS, strict=True):
        families = np.array(data.families)
        for (stage, regime), mask in _groups(data):
            for family in sorted(set(families[mask])):
                if regime.startswith("latency") and stage == "csynth":
                    _line(data, values, mask & (families == family), (family, regime), level, False)
    print()
    print("| interval | designs | LUT | FF | DSP | cycles | II |")
    print("|---|---|---|---|---|---|---|")
    _coverage(levels, held)
    print()
    _by_purpose(levels, held)
    if "--rows" in sys.argv:
        for data, values, level in zip(levels, held, LEVELS, strict=True):
            for number, place in enumerate(data.places):
                if data.families[number] not in ("dend_single_resource",):
                    text = " ".join(
                        f"{m[:3]} {data.truth[m][number]:.0f}/{values[m][number]:.0f}" for m in METRICS
                    )
                    print(
                        level,
                        rows[place].raw["row_id"],
                        data.families[number][:10],
                        data.regimes[number],
                        text,
                    )


def _groups(data: Data) -> list[tuple[tuple[str, str], np.ndarray]]:
    stages = np.array(["csynth" if q.stage == "csynth" else "implemented" for q in data.queries])
    names = np.array(data.bands)
    out = []
    for stage in ("csynth", "implemented"):
        for regime in sorted(set(data.bands) - {"outside"}):
            mask = (stages == stage) & (names == regime)
            if mask.any():
                out.append(((stage, regime), mask))
    out.append((("any", "outside the domain"), names == "outside"))
    return out


def _line(
    data: Data,
    values: dict[str, np.ndarray],
    mask: np.ndarray,
    key: tuple[str, str],
    level: str,
    count_families: bool = True,
) -> None:
    if not mask.any():
        return
    names = {data.families[row] for row in np.flatnonzero(mask)}

    def share(metric: str, test: object) -> str:
        known = mask & np.isfinite(data.truth[metric])
        if not known.any():
            return ""
        return f"{100 * np.mean(test(data.truth[metric][known], values[metric][known])):.0f} %"  # type: ignore[operator]

    def error(metric: str) -> str:
        known = mask & np.isfinite(data.truth[metric]) & (data.truth[metric] > 0)
        if not known.any():
            return ""
        ratio = np.abs(values[metric][known] / data.truth[metric][known] - 1.0)
        return f"{100 * np.median(ratio):.1f} %"

    cells = [
        *key,
        level,
        str(int(mask.sum())),
        *([str(len(names))] if count_families else []),
        error("lut"),
        error("ff"),
        share("dsp", lambda t, v: t == v),
        share("dsp", lambda t, v: np.abs(v - t) <= np.maximum(1.0, 0.1 * t)),
        share("latency_cycles", lambda t, v: t == v),
        share("latency_cycles", lambda t, v: np.abs(t - v) <= 2),
        share("ii_cycles", lambda t, v: t == v),
    ]
    print("| " + " | ".join(cells) + " |")


#: Latency below which a design is of the sub-microsecond kind.
SHORT_NS = 1000.0


def _by_purpose(levels: list[Data], held: list[dict[str, np.ndarray]]) -> None:
    """The figures that decide whether a prediction is of use, over all families but the sweeps."""
    print("| designs | known | n | figure | error or share |")
    print("|---|---|---|---|---|")
    for data, values, level in zip(levels, held, LEVELS, strict=True):
        bands, stages = np.array(data.bands), np.array([query.stage for query in data.queries])
        sweeps = np.isin(np.array(data.families), SWEEPS)
        clock = np.array([query.clock_ns for query in data.queries])
        csynth = stages == "csynth"
        short = csynth & (bands == "latency-rf1") & (data.truth["latency_cycles"] * clock < SHORT_NS)
        few = np.array([min(layer.weight.width for layer in query.layers) < 8 for query in data.queries])
        kinds = {
            "one Resource layer, new shapes": csynth & (bands == "resource-one"),
            "several Resource layers": csynth & (bands == "resource-several"),
            "reuse factor 1, below 1 us": short & ~sweeps,
            "the same, weights of fewer than 8 bits": short & ~sweeps & few,
            "after logic synthesis or routing, in the domain": ~csynth & (bands != "outside"),
        }
        for name, mask in kinds.items():
            for figure, text in _figures(data, values, mask).items():
                print(f"| {name} | {level} | {int(mask.sum())} | {figure} | {text} |")


def _figures(data: Data, values: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, str]:
    """Median errors and shares of the designs of a mask."""
    out = {}
    for metric in ("lut", "ff", "dsp", "latency_cycles"):
        truth = data.truth[metric]
        known = mask & np.isfinite(truth)
        if not known.any():
            continue
        off = np.abs(values[metric][known] - truth[known])
        if metric == "latency_cycles":
            out["cycles exact"] = f"{100 * np.mean(off == 0):.1f} %"
            out["cycles within 2"] = f"{100 * np.mean(off <= 2):.1f} %"
            continue
        share = np.median(off / np.maximum(truth[known], 1.0))
        out[f"{metric.upper()} median error"] = f"{100 * share:.2f} %"
        if metric == "dsp":
            out["DSP exact"] = f"{100 * np.mean(off == 0):.1f} %"
            out["DSP within 10 %"] = f"{100 * np.mean(off <= np.maximum(1.0, 0.1 * truth[known])):.1f} %"
    return out


def _coverage(levels: list[Data], held: list[dict[str, np.ndarray]]) -> None:
    """Coverage of each design by bands fitted without its family (for a sweep: without its shape)."""
    queries, families, shapes, regime, knowledge = [], [], [], [], []
    scores: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for data, values in zip(levels, held, strict=True):
        queries += data.queries
        families += data.families
        shapes += data.shapes
        regime += data.bands
        knowledge += data.knowledge.tolist()
        for metric in METRICS:
            scores[metric] += left_over(data, metric, values[metric]).tolist()
    table = {metric: np.array(score) for metric, score in scores.items()}
    hits: dict[tuple[str, float], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    units = [f"{f} {s}" if f in SWEEPS else f for f, s in zip(families, shapes, strict=True)]
    for unit in sorted(set(units)):
        inside = np.array([name == unit for name in units])
        others = np.flatnonzero(~inside)
        bands = fit_bands(
            [queries[row] for row in others],
            [families[row] for row in others],
            [shapes[row] for row in others],
            [regime[row] for row in others],
            [knowledge[row] for row in others],
            [True] * len(others),
            {metric: values[others] for metric, values in table.items()},
            NEVER_90,
        )
        calibration = Calibration("fold", {}, {}, bands, {}, {})
        for row in np.flatnonzero(inside):
            for metric in ("lut", "ff", "dsp", "latency_cycles", "ii_cycles"):
                if np.isfinite(table[metric][row]):
                    band = calibration.stage_band(
                        regime[row], queries[row].stage, knowledge[row], True, metric
                    )
                    name = "sweep" if families[row] in SWEEPS else "other"
                    hit = bool(band.holds(float(table[metric][row])))
                    stated = band.coverage or 0.0
                    hits[f"{name} {regime[row]}", stated][metric].append(hit)
                    # together, as one reads the statement: the sweeps are most of the rows
                    for whole in ("all", f"all {name}"):
                        hits[whole, stated][metric].append(hit)
    for (name, stated), found in sorted(hits.items()):
        cells = [
            f"{100 * np.mean(found[metric]):.0f} %" if found.get(metric) else ""
            for metric in ("lut", "ff", "dsp", "latency_cycles", "ii_cycles")
        ]
        count = max(len(values) for values in found.values())
        text = f"{stated:.0%} stated" if stated else "not calibrated"
        print(f"| {name}, {text} | {count} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
