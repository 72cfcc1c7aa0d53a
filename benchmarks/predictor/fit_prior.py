"""Learn what untrained weights are expected to cost: ``hw_targets/calibration/trained_weights.json``.

    python benchmarks/predictor/trained_weights.py WEIGHTS.npz
    python benchmarks/predictor/fit_prior.py CALIBRATION_DIR WEIGHTS.npz

Two sources of the same weight: layers of the networks that ``trained_weights.py`` trained, and the layers
behind the calibration rows. The shape of the distribution (``kappa``, the narrow part, ``lean``) fits the
multipliers, adders of two digits and adders of the trees that the weights themselves lead to. How much is
pruned follows from the habits of the calibration's families, for a trainer cannot know them. The spread is
that of LUTs of whole networks around the prior, of both sources together, every group weighing the same.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rows import data_folder, read_rows
from scipy.optimize import minimize

from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.hls_model.constants import ConstantCost, constant_cost
from hwnas_hls_plugins.estimators.hls_model.prior import (
    ALONE,
    FEW,
    HABITS,
    OWN,
    WIDE,
    WIDE_BITS,
    BlindLayers,
    WeightPrior,
    expected_costs,
)
from hwnas_hls_plugins.estimators.hls_model.table import habit_of

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "hw_targets" / "calibration" / "trained_weights.json"
SOURCE, ACCUM = FixedType(16, 6), FixedType(24, 10)
#: Layers that the fit looks at, of the trained ones (drawn at random) and of the rows.
LAYERS = 400
START = np.array([1.15, 2.0, 0.5, 0.2])
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
        habit = OWN if fact["way"] == "thinned" else WIDE if bits >= WIDE_BITS else FEW
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


def shaped(
    theta: np.ndarray, kept: tuple[float, ...] = (1.0,) * 4, spread: tuple[tuple[float, float], ...] = ()
) -> WeightPrior:
    a, b, c, d = (float(value) for value in theta)
    return WeightPrior(a, b, c, d, kept, spread)


def fit_kept(folder: Path, theta: np.ndarray) -> tuple[tuple[float, ...], dict[str, list[float]]]:
    """Share of weights left by habit, beyond rounding: the median of the families' medians."""
    shares: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(folder):
        layers = row.query.layers
        unrolled = all(layer.strategy == "Latency" for layer in layers)
        if not unrolled or row.family.startswith("dend") or any(x.weight.width > 18 for x in layers):
            continue
        left = [
            np.count_nonzero(layer.weights) if layer.weights is not None else layer.n_nonzeros
            for layer in layers
        ]
        if any(count is None for count in left):
            continue
        habit = habit_of(layers)
        parts = [
            Layer(np.zeros((x.n_in, x.n_out), np.int64), x.weight, k == len(layers) - 1, habit, "", "", False)
            for k, x in enumerate(layers)
        ]
        expected, _ = expected_costs(blind(parts, counted=False), shaped(theta))
        share = float(sum(left) / max(1.0, expected["nonzeros"].sum()))
        shares[habit][row.family].append(min(1.0, share))
    kept, seen = [], {}
    for habit, name in enumerate(HABITS):
        families = shares.get(habit, {})
        centres = [float(np.median(values)) for values in families.values()]
        seen[name] = [round(value, 2) for value in sorted(centres)]
        # A family more, unpruned, stands for the networks that nobody counted.
        kept.append(round(float(np.median([*centres, 1.0])), 3) if habit != ALONE else 1.0)
    return tuple(kept), seen


def fit_spread(
    layers: list[Layer], found: list[ConstantCost], prior: WeightPrior, seen: dict[str, list[float]]
) -> tuple[tuple[float, float], ...]:
    """Half width of 80 % of networks around the prior's LUTs, by habit and knowledge."""
    truth = lut({name: np.array([getattr(c, name) for c in found]) for name in vars_of_lut()})
    networks = sorted({layer.network for layer in layers})
    place = {name: number for number, name in enumerate(networks)}
    owner = np.array([place[layer.network] for layer in layers])
    total = np.bincount(owner, truth)
    groups = {layer.network: layer.group for layer in layers}
    habits = {layer.network: layer.habit for layer in layers}
    weight = weights_of([groups[name] for name in networks])
    out = []
    for habit, name in enumerate(HABITS):
        inside = np.array([habits[network] == habit or habit == ALONE for network in networks])
        expected, _ = expected_costs(blind(layers, counted=True), prior)
        error = np.abs(np.log((total + 40.0) / (np.bincount(owner, lut(expected)) + 40.0)))[inside]
        order = np.argsort(error)
        reach = np.cumsum(weight[inside][order]) / weight[inside].sum()
        counted = float(error[order][np.searchsorted(reach, 0.8)])
        # How much is pruned is a habit of whoever trains: families differ, and one of them prunes nothing.
        ratios = np.abs(np.log(np.array([*seen[name], 1.0]) / prior.kept[habit]))
        pruning = 0.0 if habit == ALONE else float(np.quantile(ratios, 0.8))
        out.append((round(math.hypot(counted, pruning), 2), round(counted, 2)))
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
    kept, seen = fit_kept(folder, theta)
    everything = own + rows
    spread = fit_spread(everything, costs(everything), shaped(theta, kept), seen)
    names = ("kappa_hidden", "kappa_last", "narrow_share", "lean")
    text = {
        **dict(zip(names, theta.tolist(), strict=True)),
        "kept": dict(zip(HABITS, kept, strict=True)),
        "spread": dict(zip(HABITS, spread, strict=True)),
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
