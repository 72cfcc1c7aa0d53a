"""Fit the hardware model to a folder of real designs and write the calibration file that ships.

    python benchmarks/predictor/fit.py CALIBRATION_DIR [--evaluate]

Law constants are fitted by least squares on log residuals, every family weighing the same, held towards
their starting values; scale factors by tool, silicon and stage are shrunken means; intervals come from
designs of families that the fit has not seen (for the two single-layer sweeps: of shapes it has not seen).
"""

from __future__ import annotations

import copy
import datetime
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from factors import fit_factors
from fit_prior import prior_without
from rows import Row, data_folder, measured, read_rows
from scipy.optimize import least_squares

from hwnas_hls.protocols.target import device_of, shipped_targets
from hwnas_hls_plugins.estimators.hls_model.batch import reaches, replaced_dsps
from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, Calibration, KnownWeights
from hwnas_hls_plugins.estimators.hls_model.coefficients import PLAIN, Coefficients
from hwnas_hls_plugins.estimators.hls_model.domain import SEEN_PAIRS, measured_kinds, unusual
from hwnas_hls_plugins.estimators.hls_model.fitting import fit_bands, log_residual, remaining
from hwnas_hls_plugins.estimators.hls_model.keys import FactorKey, Flow
from hwnas_hls_plugins.estimators.hls_model.laws import evaluate
from hwnas_hls_plugins.estimators.hls_model.prior import WeightPrior, weight_prior
from hwnas_hls_plugins.estimators.hls_model.regimes import (
    costs_of,
    counted_designs,
    factor_group,
    knowledge_of,
    log_factors_of,
    regime_codes,
    regimes,
)
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of
from hwnas_hls_plugins.estimators.hls_model.table import DesignTable, tabulate

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "hw_targets" / "calibration" / "hls_model.json"
#: Constants of the laws that are fitted, by the metric they act on.
FITTED = {
    "lut": (
        "tree_lut_per_bit",
        "tree_lut_per_adder",
        "bias_lut_per_bit",
        "vitis_shift_adder_lut_per_bit",
        "vivado_shift_adder_lut_per_bit",
        "multiplier_lut_per_bit2",
        "vitis_relu_lut_per_bit",
        "vivado_relu_lut_per_bit",
        "softmax_lut",
        "softmax_fabric_lut",
    ),
    "ff": (
        "cut_ff_per_bit",
        "chained_ff_per_bit",
        "softmax_ff",
        "shared_ff_per_bit",
    ),
}
#: Standard deviation (natural logarithm) of a constant around its start, and of a design around its law.
PRIOR_SPREAD, DESIGN_SPREAD = 0.25, 0.15
#: Constants that act on the blocks of a ``Resource`` layer: fitted to single layers, alone and closely.
RESOURCE = {
    "lut": (
        "resource_shift_lut",
        "resource_select_lut_per_bit",
        "resource_output_lut",
        "resource_block_lut",
        "resource_mux_scale",
        "resource_fabric_lut",
    ),
    "ff": ("resource_ff", "resource_ff_per_log2"),
}
#: All intervals that ship state the same coverage: a table of predictions has no column for another.
NEVER_90 = math.inf
SWEEPS = ("dend_single_resource", "dend_single_latency")


class Data:
    """One knowledge level: table, truth, families, strategies."""

    def __init__(self, rows: list[Row], knowledge: int) -> None:
        found, self.places = measured(rows, knowledge)
        self.queries, self.families, self.truth = found.queries, list(found.families), found.truth
        self.rows = rows
        self.table: DesignTable = tabulate(self.queries)
        self.regimes = regimes(self.table)
        odd = unusual(self.table)
        self.bands = ["outside" if o else name for o, name in zip(odd, self.regimes, strict=True)]
        self.knowledge = knowledge_of(self.table)
        codes = regime_codes(self.table)
        self.reach = reaches(self.table, codes, self.knowledge, evaluate(self.table, Coefficients()).design)
        self.shapes = [rows[place].shape for place in self.places]

    def with_prior(self, prior: WeightPrior) -> Data:
        """The same designs, as another prior expects their weights."""
        out = copy.copy(self)
        out.table = tabulate(self.queries, prior)
        codes = regime_codes(out.table)
        costs = evaluate(out.table, Coefficients()).design
        out.reach = reaches(out.table, codes, self.knowledge, costs, prior)
        return out

    def usable(self) -> np.ndarray:
        """Designs that the laws describe: no streams, no wrapper, no chained adders."""
        d = self.table.design
        chained = self.table.largest((self.table.layer.n_in * self.table.layer.n_out > 4096) * 1.0) > 0
        resource = np.array([name.startswith("resource") for name in self.regimes])
        return (d.stream == 0) & (d.wrapped == 0) & (~chained | resource)

    def counted(self) -> np.ndarray:
        """Designs whose LUTs show the laws; without known zeros, they show how much was pruned."""
        resource = np.array([name.startswith("resource") for name in self.regimes])
        return (self.knowledge > 0) | (self.table.design.n_layers == 1) | resource


def fit_laws(data: Data, train: np.ndarray, known: bool = False) -> dict[str, float]:
    """Law constants that fit the training designs, held towards their starting values.

    Args:
        known: fit those of the Latency strategy to designs with known weights alone.
    """
    fitted: dict[str, float] = {}
    keep = train & data.usable() & (data.table.design.stage == 0)
    single = np.array([name == "resource-one" for name in data.regimes])
    fits = [(metric, names, single, 0.005) for metric, names in RESOURCE.items()]
    counted = (data.knowledge == 2) | (not known)
    fits += [(metric, names, ~single & counted, DESIGN_SPREAD) for metric, names in FITTED.items()]
    for metric, names, subset, spread in fits:
        seen = data.counted() if metric == "lut" else True
        reported = np.flatnonzero(keep & subset & seen & np.isfinite(data.truth[metric]))
        if reported.size == 0:
            continue
        groups = defaultdict(list)
        for row in reported:
            groups[data.families[row]].append(row)
        weight = np.zeros(len(data.queries))
        for rows in groups.values():
            weight[rows] = 1.0 / np.sqrt(len(rows))
        scale = weight[reported] * np.sqrt(10.0) / spread
        start = np.array([PLAIN[name] for name in names])

        def residual(
            theta: np.ndarray,
            names: tuple[str, ...] = names,
            start: np.ndarray = start,
            metric: str = metric,
            reported: np.ndarray = reported,
            scale: np.ndarray = scale,
            before: dict[str, float] = dict(fitted),  # noqa: B006 - the constants fitted so far
        ) -> np.ndarray:
            k = Coefficients({**before, **dict(zip(names, (start * np.exp(theta)).tolist(), strict=True))})
            predicted = evaluate(data.table, k).design[metric]
            error = log_residual(metric, data.truth[metric], predicted)[reported] * scale
            return np.concatenate([error, theta / PRIOR_SPREAD])

        solution = least_squares(residual, np.zeros(len(names)), loss="soft_l1", max_nfev=25, diff_step=1e-3)
        fitted |= {
            name: round(float(v), 5) for name, v in zip(names, start * np.exp(solution.x), strict=True)
        }
    return fitted


def fit_all(data: Data, train: np.ndarray, name: str) -> Calibration:
    """Laws and factors from the training designs: of all, and of those under Latency with known weights."""
    laws = fit_laws(data, train)
    counted = train & counted_designs(data.table, regime_codes(data.table))
    known = None
    if counted.any():
        of_known = fit_laws(data, train, known=True)
        known = KnownWeights({**laws, **of_known}, _factors(data, counted, of_known))
    return Calibration(name, laws, _factors(data, train, laws), {}, seen(data, train), {}, known)


def _factors(data: Data, train: np.ndarray, laws: dict[str, float]) -> dict[FactorKey, dict[str, float]]:
    """Scale factors over the laws."""
    costs = evaluate(data.table, Coefficients(laws))
    residuals = {
        metric: np.where(train, log_residual(metric, data.truth[metric], costs.design[metric]), np.nan)
        for metric in ("lut", "ff")
    }
    residuals["lut"] = np.where(data.counted(), residuals["lut"], np.nan)
    # Without a clock, registers tell of the clock that was assumed.
    timed = np.array([query.clock_known for query in data.queries])
    residuals["ff"] = np.where(timed, residuals["ff"], np.nan)
    factors = fit_factors(
        data.queries,
        data.families,
        [factor_group(name) for name in data.regimes],
        residuals,
        train & data.usable() & _fits(data, costs.design["dsp"]),
    )
    return {key: {m: round(v, 4) for m, v in values.items()} for key, values in factors.items()}


def _fits(data: Data, dsp: np.ndarray) -> np.ndarray:
    """Implemented designs whose part has their DSPs (beyond, LUTs stand in), and all of C synthesis."""
    held = [
        target.dsp if (target := shipped_targets().of_part(query.part)) else np.inf for query in data.queries
    ]
    return (dsp <= np.array(held)) | (data.table.design.stage == 0)


def seen(data: Data, train: np.ndarray) -> dict[str, object]:
    """What the training designs cover."""
    tools: dict[str, set[float]] = defaultdict(set)
    parts: dict[str, set[str]] = defaultdict(set)
    pairs: dict[Flow, set[tuple[str, str, str]]] = {flow: set() for flow in Flow}
    stages, clocks = set(), []
    for row in np.flatnonzero(train):
        query = data.queries[row]
        tool, silicon = tool_of(query.tool), part_class(query.part)
        tools[tool.family].add(tool.version)
        parts[silicon].add(device_of(query.part))
        kind = (tool.family, silicon, factor_group(data.regimes[row]))
        pairs[Flow.of(query.stage)].add(kind)
        stages.add(query.stage)
        clocks.append(query.clock_ns)
    return {
        "tools": {key: sorted(values) for key, values in sorted(tools.items())},
        "parts": {key: sorted(values) for key, values in sorted(parts.items())},
        "part_classes": sorted(parts),
        **{name: sorted(list(pair) for pair in pairs[flow]) for flow, name in SEEN_PAIRS.items()},
        "stages": sorted(stages),
        "clock_ns": [min(clocks), max(clocks)] if clocks else [0.0, 0.0],
    }


def folds(data: Data) -> list[np.ndarray]:
    """Held-out masks: each family; for the sweeps, fifths of their shapes."""
    out = []
    families = np.array(data.families)
    for family in sorted(set(data.families)):
        mask = families == family
        if family in SWEEPS:
            shapes = sorted({shape for shape, inside in zip(data.shapes, mask, strict=True) if inside})
            parts = min(5, len(shapes))
            for part in range(parts):
                chosen = set(shapes[part::parts])
                out.append(mask & np.array([shape in chosen for shape in data.shapes]))
        else:
            out.append(mask)
    return out


def predicted(data: Data, calibration: Calibration) -> dict[str, np.ndarray]:
    """Values of every metric, before intervals."""
    codes = regime_codes(data.table)
    costs = costs_of(data.table, calibration, codes)
    factors = log_factors_of(data.table, calibration, codes)
    values = {metric: costs.design[metric] * np.exp(factors.get(metric, 0.0)) for metric in METRICS}
    parts = [shipped_targets().of_part(each.part) for each in data.table.conditions]
    values |= replaced_dsps(data.table, parts, values)
    return {metric: np.rint(values[metric]) for metric in METRICS}


def left_over(data: Data, metric: str, values: np.ndarray) -> np.ndarray:
    """Log residuals that a band has to hold."""
    return remaining(log_residual(metric, data.truth[metric], values), data.reach.get(metric))


def cross_validate(
    levels: Sequence[Data], best: Data, report: Callable[[str], None]
) -> list[dict[str, np.ndarray]]:
    """Held-out predictions of every design at every level of knowledge.

    The habits of pruning are those of the other families, too; ``reach`` of the levels becomes theirs.
    """
    out = [{metric: np.full(len(data.queries), np.nan) for metric in METRICS} for data in levels]
    row_of = {place: number for number, place in enumerate(best.places)}
    shipped = weight_prior()
    for held in folds(best):
        names = sorted({best.families[row] for row in np.flatnonzero(held)})
        prior = prior_without(best.rows, shipped, names)
        seen = best if prior == shipped else best.with_prior(prior)
        calibration = fit_all(seen, ~held, "fold")
        for data, values in zip(levels, out, strict=True):
            mask = np.array([held[row_of[place]] if place in row_of else False for place in data.places])
            if not mask.any():
                continue
            unseen = data if prior == shipped else data.with_prior(prior)
            found = predicted(unseen, calibration)
            for metric in METRICS:
                values[metric][mask] = found[metric][mask]
            for metric, sides in data.reach.items():
                data.reach[metric] = tuple(
                    np.where(mask, ours, all_) for ours, all_ in zip(unseen.reach[metric], sides, strict=True)
                )
        report(f"held out {int(held.sum())} designs of {', '.join(names)}")
    return out


def main() -> None:
    folder = data_folder()
    rows = read_rows(folder)
    levels = [Data(rows, knowledge) for knowledge in (0, 1, 2)]
    best = _best(rows)
    held = cross_validate(levels, best, lambda text: print(text, file=sys.stderr))
    final = fit_all(best, np.ones(len(best.queries), bool), "")
    pairs = {flow: measured_kinds(final.seen, flow) for flow in Flow}
    queries, families, shapes, regime, knowledge, known = [], [], [], [], [], []
    scores: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for data, values in zip(levels, held, strict=True):
        queries += data.queries
        families += data.families
        shapes += data.shapes
        regime += data.bands
        knowledge += data.knowledge.tolist()
        known += [
            (tool_of(q.tool).family, part_class(q.part), factor_group(name)) in pairs[Flow.of(q.stage)]
            for q, name in zip(data.queries, data.regimes, strict=True)
        ]
        for metric in METRICS:
            scores[metric] += left_over(data, metric, values[metric]).tolist()
    bands = fit_bands(
        queries,
        families,
        shapes,
        regime,
        knowledge,
        known,
        {m: np.array(v) for m, v in scores.items()},
        NEVER_90,
    )
    today = datetime.date.today().isoformat()
    calibration = Calibration(
        f"reports-{today}",
        final.laws,
        final.factors,
        bands,
        final.seen,
        {
            "data": "reports of hls4ml MLPs in public repositories, and hls4ml's own test baselines",
            "designs": len(rows),
            "families": {family: best.families.count(family) for family in sorted(set(best.families))},
            "tools": sorted({query.tool for query in best.queries}),
            "date": today,
            "method": "benchmarks/predictor/fit.py",
        },
        final.known,
    )
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(calibration.to_json(), indent=1) + "\n")
    print(f"wrote {OUTPUT.relative_to(ROOT)}: {len(rows)} designs, {len(bands)} regimes")


def _best(rows: list[Row]) -> Data:
    """Every row with all that is known of it."""
    data = Data(rows, 0)
    data.queries = [rows[place].query for place in data.places]
    data.table = tabulate(data.queries)
    data.knowledge = knowledge_of(data.table)
    return data


if __name__ == "__main__":
    main()
