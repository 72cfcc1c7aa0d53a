"""Learn what untrained weights are expected to cost: ``hw_targets/calibration/trained_weights.json``.

    python benchmarks/predictor/trained_weights.py WEIGHTS.npz
    python benchmarks/predictor/fit_prior.py CALIBRATION_DIR WEIGHTS.npz

Two sources of the same weight: layers of the networks that ``trained_weights.py`` trained, and the layers
behind the calibration rows. The shape of the distribution (``kappa``, the narrow part, ``lean``) fits the
multipliers, adders of two digits and adders of the trees that the weights themselves lead to. How much is
pruned follows from the habits of the calibration's families, for a trainer cannot know them; of individually
quantised weights, from the widths of their types. The spread is that of LUTs of whole networks around the
prior, of both sources together, every group weighing the same; with nothing known, that of the families'
habits comes on top. :func:`prior_without` gives the prior that families held out would have had.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rows import Row, data_folder, read_rows
from scipy.optimize import minimize

from hwnas_hls.hls4ml.query import LayerQuery
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.hls_model.constants import ConstantCost, constant_cost
from hwnas_hls_plugins.estimators.hls_model.prior import (
    ALONE,
    FEW,
    HABITS,
    OWN,
    UNPRUNED,
    WIDE,
    WIDE_BITS,
    BlindLayers,
    WeightPrior,
    expected_costs,
    own_share,
)
from hwnas_hls_plugins.estimators.hls_model.table import habit_of

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "hw_targets" / "calibration" / "trained_weights.json"
SOURCE, ACCUM = FixedType(16, 6), FixedType(24, 10)
#: Layers that the fit looks at, of the trained ones (drawn at random) and of the rows.
LAYERS = 400
START = np.array([1.15, 2.0, 0.5, 0.2])
#: Quantile of either side of the families' habits that the spread with nothing known holds.
SIDE = 0.9
LOW, HIGH = np.array([0.3, 0.3, 0.1, 0.02]), np.array([4.0, 6.0, 0.8, 1.0])
#: Counts that the prior is to meet, and what is added before the logarithm.
MET = {"multipliers": 4.0, "shift_adders": 4.0, "tree_bits": 40.0}


@dataclass(frozen=True, eq=False)
class Layer:
    """A trained layer.

    Args:
        group: layers that weigh as one.
        network: whose it is.
        kept: whether its share of zeros says what rounding does: neither pruned nor thinned.
    """

    weights: np.ndarray
    weight: FixedType
    last: bool
    habit: int
    group: str
    network: str
    kept: bool


def trained(path: Path) -> list[Layer]:
    """The layers of the project's own networks."""
    data = np.load(path)
    out = []
    for place, fact in enumerate(json.loads(str(data["facts"]))):
        bits = fact["bits"]
        habit = WIDE if bits >= WIDE_BITS else FEW
        habit = {"thinned": OWN, "plain": UNPRUNED}.get(fact["way"], habit)
        out.append(
            Layer(
                data[str(place)].astype(np.int64),
                FixedType(bits, bits - fact["fraction"]),
                fact["last"],
                habit,
                f"trained {fact['way']} {bits}",
                f"trained {fact['network']}",
                fact["way"] == "plain",
            )
        )
    return out


def reported(folder: Path) -> list[Layer]:
    """The layers of the calibration rows whose weights are known, each once."""
    out, seen = [], set()
    for row in read_rows(folder):
        layers = row.query.layers
        habit = habit_of(layers)
        for place, layer in enumerate(layers):
            if layer.weights is None or (key := (layer.weights.shape, layer.weights.tobytes())) in seen:
                continue
            seen.add(key)
            out.append(
                Layer(
                    layer.weights,
                    layer.weight,
                    place == len(layers) - 1,
                    habit,
                    f"row {row.family}",
                    f"row {row.raw['row_id']}",
                    False,
                )
            )
    return out


def blind(layers: list[Layer], counted: bool) -> BlindLayers:
    """What the prior may know of the layers; ``counted``: their zeros too."""

    def each(values: list[float]) -> np.ndarray:
        return np.array(values, np.float64)

    count = len(layers)
    return BlindLayers(
        n_in=each([layer.weights.shape[0] for layer in layers]),
        n_out=each([layer.weights.shape[1] for layer in layers]),
        source_bits=np.full(count, float(SOURCE.width)),
        weight_bits=each([layer.weight.width for layer in layers]),
        weight_fraction=each([layer.weight.fraction for layer in layers]),
        accum_bits=np.full(count, float(ACCUM.width)),
        shift=each([SOURCE.fraction + layer.weight.fraction - ACCUM.fraction for layer in layers]),
        has_bias=np.ones(count),
        last=each([layer.last for layer in layers]),
        habit=each([layer.habit for layer in layers]),
        nonzeros=each([np.count_nonzero(layer.weights) if counted else np.nan for layer in layers]),
    )


def costs(layers: list[Layer]) -> list[ConstantCost]:
    """What the weights themselves lead to."""
    return [constant_cost(layer.weights, SOURCE, layer.weight, ACCUM) for layer in layers]


def lut(cost: dict[str, np.ndarray]) -> np.ndarray:
    """LUTs in the proportions of the laws; multipliers in logic, where most layers of few bits have them."""
    found: np.ndarray = (
        1.2 * cost["tree_bits"]
        + 7.0 * cost["tree_adders"]
        + 0.7 * cost["shift_adder_bits"]
        + 0.6 * cost["multiplier_bits"]
    )
    return found


def weights_of(groups: list[str]) -> np.ndarray:
    """Each group the same within its source; what users train weighs twice what this project trains."""
    counts: dict[str, int] = defaultdict(int)
    for group in groups:
        counts[group] += 1
    sources = defaultdict(set)
    for group in counts:
        sources[group.split()[0]].add(group)
    share = {"row": 2.0, "trained": 1.0}
    out = np.array([share[s := g.split()[0]] / counts[g] / len(sources[s]) for g in groups])
    return out / out.sum()


def fit_shape(layers: list[Layer], found: list[ConstantCost]) -> np.ndarray:
    """``kappa_hidden kappa_last narrow_share lean``."""
    known, plain = blind(layers, counted=True), blind(layers, counted=False)
    weight = weights_of([layer.group for layer in layers])
    rounding = np.array([layer.kept for layer in layers])
    truth = {name: np.array([getattr(cost, name) for cost in found]) for name in (*MET, "nonzeros")}

    def loss(theta: np.ndarray) -> float:
        if np.any(theta < LOW) or np.any(theta > HIGH):
            return 10.0 + float(np.abs(theta).sum())
        prior = shaped(theta)
        counted, _ = expected_costs(known, prior)
        total = 0.0
        for name, offset in MET.items():
            error = np.log((truth[name] + offset) / (counted[name] + offset))
            total += float(np.sum(weight * np.minimum(np.abs(error), 1.5)))
        unknown, _ = expected_costs(plain, prior)
        error = np.log((truth["nonzeros"] + 4.0) / (unknown["nonzeros"] + 4.0))
        return total + float(np.sum((weight * np.minimum(np.abs(error), 1.5))[rounding]))

    solution = minimize(loss, START, method="Nelder-Mead", options={"maxfev": 220, "xatol": 0.01})
    print(f"shape: mean error {loss(START):.3f} -> {solution.fun:.3f} at {np.round(solution.x, 3).tolist()}")
    return np.round(solution.x, 3)


def shaped(theta: np.ndarray) -> WeightPrior:
    """A prior of that shape, without any pruning."""
    a, b, c, d = (float(value) for value in theta)
    return WeightPrior(a, b, c, d, (1.0,) * len(HABITS), (1.0, 0.0, 1.0), ((0.0, 0.0, 0.0),) * len(HABITS))


def nonzeros_of(layers: tuple[LayerQuery, ...]) -> list[int] | None:
    """Non-zero weights of each layer of a row; ``None`` where one is not known."""
    counts = [x.n_nonzeros if x.weights is None else int(np.count_nonzero(x.weights)) for x in layers]
    known = [count for count in counts if count is not None]
    return known if len(known) == len(layers) else None


@dataclass(frozen=True, eq=False)
class Habits:
    """How much families prune.

    Args:
        shares: habit -> family -> share of the weights left, beyond rounding, of each design.
        own: family -> each design with individually quantised weights, as arrays of its layers: bits of the
            weight type, 1 for a last layer, weights, non-zeros.
    """

    shares: dict[int, dict[str, list[float]]]
    own: dict[str, list[np.ndarray]]

    def centres(self, habit: int) -> list[float]:
        """The median of each family."""
        return [float(np.median(values)) for values in self.shares[habit].values()]


def habits_of_rows(rows: list[Row], shape: WeightPrior, without: Collection[str]) -> Habits:
    """What the rows' non-zero counts tell. Under Resource, too: who prunes does not ask how it is built."""
    found = Habits(defaultdict(lambda: defaultdict(list)), defaultdict(list))
    plain = replace(shape, kept=(1.0,) * len(HABITS))
    for row in rows:
        layers, left = row.query.layers, nonzeros_of(row.query.layers)
        sweep = row.family.startswith("dend") or any(x.weight.width > 18 for x in layers)
        if sweep or left is None or row.family in without:
            continue
        habit = habit_of(layers)
        if habit == OWN:
            facts = [
                (x.weight.width, place == len(layers) - 1, x.n_in * x.n_out, count)
                for place, (x, count) in enumerate(zip(layers, left, strict=True))
            ]
            found.own[row.family].append(np.array(facts, np.float64).T)
            continue
        parts = [
            Layer(np.zeros((x.n_in, x.n_out), np.int64), x.weight, k == len(layers) - 1, habit, "", "", False)
            for k, x in enumerate(layers)
        ]
        expected, _ = expected_costs(blind(parts, counted=False), plain)
        share = float(sum(left) / max(1.0, expected["nonzeros"].sum()))
        found.shares[habit][row.family].append(min(1.0, share))
    return found


def prior_without(rows: list[Row], shape: WeightPrior, without: Collection[str] = ()) -> WeightPrior:
    """The prior with the habits of pruning of all families but some.

    Args:
        shape: whose distribution of weights, and whose spread with the non-zeros known, are kept.
    """
    habits = habits_of_rows(rows, shape, without)
    own = fit_own(habits.own)
    kept, spread = [], []
    for habit, (_, _, counted) in enumerate(shape.spread):
        # A family more, unpruned, stands for the networks that nobody counted.
        centres = [*habits.centres(habit), 1.0]
        kept.append(round(float(np.median(centres)), 3) if habit in (WIDE, FEW) else 1.0)
        if habit == OWN:
            ratios = own_ratios(habits.own, own)
        else:
            ratios = np.log(np.array(centres if habit in (WIDE, FEW) else [1.0]) / kept[-1])
        sides = (float(np.quantile(np.maximum(side, 0.0), SIDE)) for side in (-ratios, ratios))
        below, above = (round(math.hypot(counted, side), 2) for side in sides)
        spread.append((below, above, counted))
    return replace(shape, kept=tuple(kept), own=own, spread=tuple(spread))


def fit_own(own: dict[str, list[np.ndarray]]) -> tuple[float, float, float]:
    """``own`` of a prior: least squares on the logarithm of hidden layers' shares; median of last layers'."""
    bits, last, products, left = np.concatenate([np.concatenate(found, axis=1) for found in own.values()], 1)
    sizes = [sum(x.shape[1] for x in found) for found in own.values()]
    weight = np.repeat(1.0 / np.array(sizes), sizes)
    share, hidden = left / products, last == 0
    slope, start = np.polyfit(bits[hidden], np.log(share[hidden]), 1, w=np.sqrt(weight[hidden]))
    return (
        round(float(-start / slope), 2),
        round(float(slope), 3),
        round(float(np.median(share[~hidden])), 3),
    )


def own_ratios(designs: dict[str, list[np.ndarray]], own: tuple[float, float, float]) -> np.ndarray:
    """Logarithms of the designs' non-zeros over those that the law of other families expects.

    Two designs more, off by two in either direction, stand for families that nobody counted.
    """
    ratios = [math.log(2.0), -math.log(2.0)]
    for family, found in designs.items():
        others = {name: those for name, those in designs.items() if name != family}
        law = fit_own(others) if others else own
        for bits, last, products, left in found:
            ratios.append(float(np.log(left.sum() / (products * own_share(bits, last, law)).sum())))
    return np.array(ratios)


def fit_counted(layers: list[Layer], found: list[ConstantCost], prior: WeightPrior) -> tuple[float, ...]:
    """Half width of 80 % of networks around the LUTs of a prior that knows the non-zeros, by habit."""
    truth = lut({name: np.array([getattr(c, name) for c in found]) for name in vars_of_lut()})
    networks = sorted({layer.network for layer in layers})
    place = {name: number for number, name in enumerate(networks)}
    owner = np.array([place[layer.network] for layer in layers])
    total = np.bincount(owner, truth)
    groups = {layer.network: layer.group for layer in layers}
    habits = {layer.network: layer.habit for layer in layers}
    weight = weights_of([groups[name] for name in networks])
    out = []
    for habit in range(len(HABITS)):
        # Of a network that is not pruned nothing else has to be known.
        expected, _ = expected_costs(blind(layers, counted=habit != UNPRUNED), prior)
        errors = np.abs(np.log((total + 40.0) / (np.bincount(owner, lut(expected)) + 40.0)))
        inside = np.array([habits[network] == habit or habit == ALONE for network in networks])
        error = errors[inside]
        order = np.argsort(error)
        reach = np.cumsum(weight[inside][order]) / weight[inside].sum()
        out.append(round(float(error[order][np.searchsorted(reach, 0.8)]), 2))
    return tuple(out)


def vars_of_lut() -> tuple[str, ...]:
    return ("tree_bits", "tree_adders", "shift_adder_bits", "multiplier_bits")


def main() -> None:
    folder, path = data_folder(), Path(sys.argv[2])
    own, rows = trained(path), reported(folder)
    rng = np.random.default_rng(0)
    large = [layer for layer in own if np.count_nonzero(layer.weights) >= 16]
    drawn = [large[k] for k in rng.permutation(len(large))[:LAYERS]]
    theta = fit_shape(drawn + rows, costs(drawn + rows))
    everything, reports = own + rows, read_rows(folder)
    counted = fit_counted(everything, costs(everything), shaped(theta))
    shape = replace(shaped(theta), spread=tuple((0.0, 0.0, width) for width in counted))
    prior = prior_without(reports, shape)
    seen = {
        name: sorted(round(value, 2) for value in habits_of_rows(reports, shape, ()).centres(habit))
        for habit, name in enumerate(HABITS)
        if habit in (WIDE, FEW)
    }
    text = {
        **{name: getattr(prior, name) for name in ("kappa_hidden", "kappa_last", "narrow_share", "lean")},
        "kept": dict(zip(HABITS, prior.kept, strict=True)),
        "own": prior.own,
        "spread": dict(zip(HABITS, prior.spread, strict=True)),
        "provenance": {
            "trained": f"{len({x.network for x in own})} networks, {len(own)} layers, by the project's own "
            "trainer (benchmarks/predictor/trained_weights.py)",
            "rows": f"{len(rows)} layers behind reports of {len({x.group for x in rows})} families",
            "kept by families": seen,
            "date": datetime.date.today().isoformat(),
            "method": "benchmarks/predictor/fit_prior.py",
        },
    }
    OUTPUT.write_text(json.dumps(text, indent=1) + "\n")
    print(json.dumps(text, indent=1))


if __name__ == "__main__":
    main()
