"""Refinement: exact losses, equal moves in numpy and compiled, smaller circuits, untouched formats."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import INPUT, Architecture, Dense, Merge
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, output_fraction
from hwnas_hls.network.precision import ROUNDINGS, FixedType
from hwnas_hls_plugins.estimators.da_law import lut_of, sums_of
from hwnas_hls_plugins.estimators.refinement import ladder, refine, simplify
from hwnas_hls_plugins.estimators.refinement.arithmetic import WEIGHT, NumpyTrials, Screening
from hwnas_hls_plugins.estimators.refinement.features import InputFeatures
from hwnas_hls_plugins.estimators.refinement.growth import slopes
from hwnas_hls_plugins.estimators.refinement.ladders import ladders
from hwnas_hls_plugins.estimators.refinement.laws import MILLI, lut_of_weights
from hwnas_hls_plugins.estimators.refinement.losses import ONE, CrossEntropy, SquaredError
from hwnas_hls_plugins.estimators.refinement.moves import MoveList
from hwnas_hls_plugins.estimators.refinement.native import NativeTrials, library
from hwnas_hls_plugins.estimators.refinement.network import layer_states
from hwnas_hls_plugins.estimators.refinement.saturation import without_idle_saturation
from hwnas_hls_plugins.estimators.refinement.simplify import bounds_of_results
from hwnas_hls_plugins.estimators.refinement.work import affordable, work_of

compiled = pytest.mark.skipif(library() is None, reason="no C compiler here")
DA = "distributed_arithmetic"


def filled(architecture: Architecture, seed: int = 0) -> Design:
    """Random weights and biases of a quarter of their range."""
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for layer in architecture.layers:
        shape = layer.weight_shape
        if not isinstance(layer, Dense) or shape is None:
            weights.append(None)
            biases.append(None)
            continue
        weights.append(rng.integers(layer.weight.lowest // 2, layer.weight.highest // 2 + 1, shape))
        kind = layer.bias
        biases.append(
            None if kind is None else rng.integers(kind.lowest // 4, kind.highest // 4 + 1, layer.n_out)
        )
    return Design(architecture, tuple(weights), tuple(biases))


def chain(result: str = "ufixed<4,2,RND,SAT>", strategy: str = DA, **fields: object) -> Design:
    kind = FixedType.parse(result)
    first = Dense(6, 9, "relu", FixedType(5, 1), FixedType(8, 2), None, kind, strategy=strategy)
    last = Dense(9, 4, "linear", FixedType(4, 1), FixedType(7, 2), strategy=strategy)
    first, last = replace(first, **fields), replace(last, **fields)  # type: ignore[arg-type]
    return filled(Architecture(FixedType(5, 2), (first, last)))


def residual() -> Design:
    """Two branches, a sum, a concatenation with the input, a leaky activation."""
    narrow = FixedType.parse("fixed<5,2,RND,SAT>")
    layers = (
        Dense(6, 5, "leaky_relu", FixedType(4, 1), FixedType(6, 2), None, narrow, strategy=DA),
        Dense(5, 5, "linear", FixedType(4, 1), None, None, FixedType.parse("fixed<6,3>"), strategy=DA),
        Merge("add", (5, 5), (0, 1), "relu", FixedType.parse("ufixed<5,3,TRN,SAT>")),
        Merge("concatenate", (5, 6), (2, INPUT)),
        Dense(11, 4, "linear", FixedType(4, 1), FixedType(6, 2), inputs=(3,), strategy=DA),
    )
    return filled(Architecture(FixedType(5, 2), layers))


def rows_of(design: Design, count: int = 300, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Inputs on the grid, and labels that the design itself gives for most of them."""
    rng = np.random.default_rng(seed)
    kind = design.architecture.input
    rows = rng.integers(kind.lowest, kind.highest + 1, (count, design.architecture.n_in))
    labels = emulate(design, rows).argmax(axis=1)
    wrong = rng.random(count) < 0.1
    return rows, np.where(wrong, rng.integers(0, design.architecture.n_out, count), labels)


def entropy(design: Design, rows: np.ndarray, labels: np.ndarray, loss: CrossEntropy) -> float:
    """The smoothed cross entropy in floating point, of the emulator's outputs."""
    answers = emulate(design, rows) * (loss.temperature / 2.0**40)
    largest = answers.max(axis=1)
    total = largest + np.log(np.exp(answers - largest[:, None]).sum(axis=1))
    own = answers[np.arange(len(rows)), labels]
    smoothing = loss.each * loss.classes / loss.temperature
    return float((total - (1 - smoothing) * own - smoothing * answers.mean(axis=1)).mean())


DESIGNS: list[Callable[[], Design]] = [
    chain,
    residual,
    *(lambda mode=mode: chain(f"fixed<4,2,{mode},WRAP>") for mode in ROUNDINGS),
    lambda: chain("fixed<4,1,RND,SAT_SYM>"),
    lambda: chain("fixed<4,1,TRN,SAT_ZERO>"),
    lambda: chain("ufixed<9,2,RND,SAT>"),
    lambda: chain(accum=FixedType.parse("fixed<12,4,TRN,SAT>")),
    lambda: chain(strategy="Latency"),
    lambda: chain(bias=None),
]


@compiled
@pytest.mark.parametrize("measured", [2048, 200])
@pytest.mark.parametrize("made", DESIGNS)
def test_both_kernels_make_the_same_changes(
    made: Callable[[], Design], measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the loss that they state is that of the emulator's outputs, with all rows measured or not."""
    module = importlib.import_module("hwnas_hls_plugins.estimators.refinement.refine")
    monkeypatch.setattr(module, "_SCREENING", replace(module._SCREENING, measured_rows=measured))
    design = made()
    rows, labels = rows_of(design)
    stops = {
        kernels: ladder(design, rows, labels, (1e-4, 2e-3), passes=2, kernels=kernels)
        for kernels in ("native", "numpy")
    }
    for one, other in zip(stops["native"], stops["numpy"], strict=True):
        assert one.design.digest() == other.design.digest()
        assert (one.loss, one.lut, one.changes) == (other.loss, other.lut, other.changes)
        assert one.loss == pytest.approx(
            entropy(one.design, rows, labels, CrossEntropy.of(emulate(design, rows), labels)), abs=1e-5
        )
    assert stops["native"][-1].changes > 5


@pytest.mark.parametrize("made", [chain, residual])
def test_a_change_costs_less_than_it_is_worth(made: Callable[[], Design]) -> None:
    design = made()
    rows, labels = rows_of(design)
    stops = ladder(design, rows, labels, (1e-4, 1e-3, 1e-2))
    loss, lut = stops[0].loss_before, stops[0].lut_before
    for stop in stops:
        assert stop.design.architecture == design.architecture
        assert stop.loss + stop.price * stop.lut < loss + stop.price * lut
        loss, lut = stop.loss, stop.lut
    assert stops[-1].lut < 0.7 * stops[0].lut_before


def test_the_loss_is_the_smoothed_cross_entropy() -> None:
    design = chain()
    rows, labels = rows_of(design, 500)
    outputs = emulate(design, rows)
    loss = CrossEntropy.of(outputs, labels)
    whole = loss(outputs.T, np.arange(len(rows))).sum() / (len(rows) * ONE)
    assert whole == pytest.approx(entropy(design, rows, labels, loss), abs=1e-5)
    # The temperature is the best one.
    for factor in (0.9, 1.1):
        other = replace(loss, temperature=round(loss.temperature * factor))
        shares = (round(other.temperature * 0.95), round(other.temperature * 0.05 / 4))
        assert entropy(design, rows, labels, replace(other, own=shares[0], each=shares[1])) > whole


def test_targets_of_a_regression() -> None:
    design = chain()
    rows, _ = rows_of(design)
    rng = np.random.default_rng(4)
    fraction = output_fraction(design)
    outputs = emulate(design, rows) * 2.0**-fraction
    targets = outputs + rng.normal(0, 0.05, outputs.shape)
    squared = SquaredError.of(fraction, targets)
    stated = squared(emulate(design, rows).T, np.arange(len(rows))).sum() / (len(rows) * ONE)
    # Targets are rounded to the outputs' grid.
    assert stated == pytest.approx(0.5 * ((outputs - targets) ** 2).sum(axis=1).mean(), rel=5e-2)
    found = refine(design, rows, targets, 1e-4)
    assert found.changes
    assert found.lut < found.lut_before
    assert found.loss - found.loss_before < 1e-4 * (found.lut_before - found.lut)
    if library() is not None:
        alone = refine(design, rows, targets, 1e-4, kernels="numpy")
        assert alone.design.digest() == found.design.digest()


def smooth() -> Design:
    """Types so fine that the loss is nearly a smooth function of the weights."""
    result = FixedType.parse("ufixed<14,4,RND,SAT>")
    first = Dense(6, 9, "relu", FixedType(10, 1), FixedType(14, 2), None, result, strategy="Latency")
    last = Dense(9, 4, "linear", FixedType(10, 1), FixedType(14, 2), strategy="Latency")
    return filled(Architecture(FixedType(5, 2), (first, last)))


def residual_and_smooth() -> Design:
    """A sum and a concatenation of two branches, and a leaky activation."""
    wide = FixedType.parse("fixed<15,5,RND,SAT>")
    kind = FixedType(10, 1)
    layers = (
        Dense(6, 5, "leaky_relu", kind, FixedType(14, 2), None, wide, strategy="Latency"),
        Dense(5, 5, "linear", kind, None, None, wide, strategy="Latency"),
        Merge("add", (5, 5), (0, 1), "relu", FixedType.parse("ufixed<15,5,RND,SAT>")),
        Merge("concatenate", (5, 6), (2, INPUT)),
        Dense(11, 4, "linear", kind, FixedType(14, 2), inputs=(3,), strategy="Latency"),
    )
    return filled(Architecture(FixedType(5, 2), layers))


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("made", [smooth, residual_and_smooth])
def test_slopes_are_those_of_the_exact_loss(made: Callable[[], Design], regression: bool) -> None:
    design = made()
    rows, labels = rows_of(design)
    outputs = emulate(design, rows)
    fraction = output_fraction(design)
    wanted = 0.7 * outputs * 2.0**-fraction + 0.3
    loss = SquaredError.of(fraction, wanted) if regression else CrossEntropy.of(outputs, labels)
    states = layer_states(design, len(rows))
    trials = NumpyTrials(states, np.ascontiguousarray(rows.T), loss, InputFeatures(design, None))
    found = slopes(trials, loss)

    def total(number: int, place: tuple[int, int], step: int) -> float:
        weights = list(design.weights)
        changed = weights[number].copy()
        changed[place] += step
        weights[number] = changed
        answers = emulate(replace(design, weights=tuple(weights)), rows)
        return float(loss(answers.T, np.arange(len(rows))).sum()) / (len(rows) * ONE)

    for number, layer in enumerate(design.architecture.layers):
        if not isinstance(layer, Dense):
            continue
        places = [(0, 0), (1, 2), (4, 3), (layer.n_in - 1, 1)]
        expected = [(total(number, at, 8) - total(number, at, -8)) / 16 for at in places]
        got = [found[number][at] for at in places]
        assert got == pytest.approx(expected, rel=0.1, abs=0.06 * np.abs(expected).max())


@pytest.mark.parametrize("trials_of", [pytest.param(NativeTrials, marks=compiled), NumpyTrials])
def test_a_missing_connection_comes_back(trials_of: Callable[..., NumpyTrials | NativeTrials]) -> None:
    """The labels are those of a network that still has it; only connections are tried."""
    whole = chain("ufixed<6,3,RND,SAT>")
    rows, _ = rows_of(whole, 1500)
    labels = emulate(whole, rows).argmax(axis=1)
    loss = CrossEntropy.of(emulate(whole, rows), labels)

    def without(place: tuple[int, int]) -> Design:
        first, last = (weight.copy() for weight in whole.chain_weights)
        first[place] = 0
        return replace(whole, weights=(first, last))

    places = [(row, column) for row in range(6) for column in range(9)]
    place = max(places, key=lambda one: entropy(without(one), rows, labels, loss))
    damaged = without(place)
    features = InputFeatures(damaged, None)
    states, moves = layer_states(damaged, len(rows)), MoveList(damaged, features)
    trials = trials_of(states, np.ascontiguousarray(rows.T), loss, features)
    before, price = trials.loss / (len(rows) * ONE), 1e-4
    every = [np.ones((state.weight.shape[0] + 1, state.n_out), bool) for state in states]
    tried = moves.of(trials, every, loss, price)
    new = np.flatnonzero((tried.kind == WEIGHT) & (tried.old == 0))
    rate = price * len(rows) * ONE / MILLI
    assert trials.sweep(tried, new, rate, Screening(2.0, 128, 2048), make=True)
    assert np.sign(states[0].weight[place]) == np.sign(whole.chain_weights[0][place])
    paid = -tried.saving[tried.taken > 0].sum() / MILLI
    assert paid > 0
    assert before - trials.loss / (len(rows) * ONE) > price * paid


def test_promised_sparsity_gets_no_new_connections() -> None:
    """A removal's expected sparsity is no promise."""
    whole = chain("ufixed<6,3,RND,SAT>", sparsity=0.5)
    rows, _ = rows_of(whole, 500)
    labels = emulate(whole, rows).argmax(axis=1)
    weights = [weight.copy() for weight in whole.chain_weights]
    for weight in weights:
        weight[::2] = 0
    for kept, more in ((1.0, False), (0.3, True)):
        architecture = replace(whole.architecture, kept_adders=kept)
        thin = replace(whole, architecture=architecture, weights=tuple(weights))
        found = refine(thin, rows, labels, 1e-5).design.chain_weights
        grown = [bool((new != 0)[::2].any()) for new in found]
        assert any(grown) == more


def test_an_unused_neuron_costs_nothing() -> None:
    design = chain()
    weights = [weight.copy() for weight in design.weights if weight is not None]
    weights[1][3] = 0
    design = replace(design, weights=tuple(weights))
    rows, labels = rows_of(design)
    found = refine(design, rows, labels, 1e-9)
    assert found.design.weights[0] is not None
    assert not found.design.weights[0][:, 3].any()


def test_numbers_too_wide_for_the_kernels_are_left_to_numpy() -> None:
    first = Dense(6, 9, "relu", FixedType(18, 4), FixedType(30, 8), None, FixedType(16, 6), strategy=DA)
    last = Dense(9, 4, "linear", FixedType(16, 4), None, strategy=DA)
    design = filled(Architecture(FixedType(16, 6), (first, last)))
    assert max(state.most_bits for state in layer_states(design, 1)) > 31
    rows, labels = rows_of(design, 60)
    found = refine(design, rows, labels, 1e-4, passes=1)
    loss = CrossEntropy.of(emulate(design, rows), labels)
    assert found.loss == pytest.approx(entropy(found.design, rows, labels, loss), abs=1e-4)


def test_unsupported_design_is_not_refined() -> None:
    rows, labels = rows_of(chain())
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["Resource", 2]):
        refine(chain(strategy="Resource", reuse_factor=2), rows, labels, 1e-4)
    with refused(ErrorKind.INEXACT, Unsupported, mentions=["ap_fixed<8,5>"]):
        refine(chain(accum=FixedType(8, 5)), rows, labels, 1e-4)
    with refused(ErrorKind.MISMATCH, found=rows[:, :3].shape):
        refine(chain(), rows[:, :3], labels, 1e-4)
    with refused(ErrorKind.MISMATCH, found=(5,)):
        refine(chain(), rows, labels[:5], 1e-4)
    with refused(ErrorKind.INVALID, found=[1e-3, 1e-4]):
        ladder(chain(), rows, labels, (1e-3, 1e-4))


def test_laws() -> None:
    """Powers of two are wires under Latency, digits are adders under distributed arithmetic."""
    values = np.array([0, 1, 4, 5, 7, 11, 43])
    shared = lut_of_weights(replace(chain().architecture.chain[0], strategy=DA), FixedType(5, 2), values)
    assert shared.tolist() == [round(0.8 * 6 * 1000) * digits for digits in (0, 1, 1, 2, 2, 3, 4)]
    latency = lut_of_weights(
        replace(chain().architecture.chain[0], strategy="Latency"), FixedType(5, 2), values
    )
    assert latency[0] == 0
    assert latency[1] == latency[2] < latency[3] <= latency[4] < latency[5] < latency[6]


def wide(result: str) -> Design:
    """Three layers, with a neuron that nobody reads, one that is constant and one that is always off."""
    kind = FixedType.parse(result)
    layers = (
        Dense(6, 9, "relu", FixedType(5, 1), FixedType(8, 2), None, kind, strategy=DA),
        Dense(9, 7, "relu", FixedType(4, 1), FixedType(9, 3), None, kind, strategy=DA),
        Dense(7, 4, "linear", FixedType(4, 1), FixedType(14, 5), strategy=DA),
    )
    design = filled(Architecture(FixedType(5, 2), layers), 6)
    weights = [weight.copy() for weight in design.weights if weight is not None]
    biases = list(design.biases)
    weights[1][2] = 0
    weights[0][:, 4] = 0
    assert biases[0] is not None
    biases[0] = biases[0].copy()
    biases[0][4] = 37
    weights[0][:, 5], biases[0][5] = 0, -3
    return replace(design, weights=tuple(weights), biases=tuple(biases))


@pytest.mark.parametrize("mode", ["RND,SAT", "TRN,SAT", "RND,WRAP", "RND_CONV,SAT_SYM", "TRN,SAT_ZERO"])
@pytest.mark.parametrize("shape", ["ufixed<4,2", "fixed<6,4", "ufixed<12,6", "ufixed<16,6"])
def test_a_simplified_design_has_the_same_outputs(shape: str, mode: str) -> None:
    design = wide(f"{shape},{mode}>")
    simple = simplify(design)
    rows, _ = rows_of(design, 2000, seed=9)
    kind = design.architecture.input
    corners = np.where(np.random.default_rng(1).random((500, 6)) < 0.5, kind.lowest, kind.highest)
    rows = np.concatenate([rows, corners])
    for one in (design, simple):
        assert output_fraction(one) >= 0
    finest = max(output_fraction(design), output_fraction(simple))
    found = [emulate(one, rows) << (finest - output_fraction(one)) for one in (design, simple)]
    np.testing.assert_array_equal(*found)
    first, second, _ = simple.architecture.chain
    assert first.n_out <= 7
    assert simplify(simple).digest() == simple.digest()
    for layer in (first, second):
        assert layer.result is not None
        assert layer.result.rounding == "TRN" or mode.startswith("RND_CONV")
        if shape == "ufixed<12,6":  # no sum leaves it
            assert layer.result.overflow == "WRAP"


def test_constant_stays_if_biases_cannot_absorb_it() -> None:
    second = wide("ufixed<4,2,RND,SAT>")
    layers = list(second.architecture.chain)
    layers[1] = replace(layers[1], bias=None)
    biases = (second.biases[0], None, second.biases[2])
    architecture = replace(second.architecture, layers=tuple(layers))
    kept = simplify(replace(second, architecture=architecture, biases=biases))
    assert kept.architecture.chain[0].n_out == simplify(second).architecture.chain[0].n_out + 1


def test_graphs_are_returned_unchanged() -> None:
    design = residual()
    assert simplify(design) is design


def test_a_layer_keeps_one_output_even_if_all_are_unused() -> None:
    design = wide("ufixed<4,2,RND,SAT>")
    weights = list(design.weights)
    weights[2] = np.zeros_like(weights[2])
    simple = simplify(replace(design, weights=tuple(weights)))
    assert [layer.n_out for layer in simple.architecture.chain] == [1, 1, 4]
    rows, _ = rows_of(design)
    assert np.unique(emulate(simple, rows), axis=0).shape == (1, 4)


def test_a_ladder_ends_once_a_design_has_lost_its_share() -> None:
    design = chain()
    rows, labels = rows_of(design)
    prices = (1e-4, 1e-2, 1.0, 10.0)
    whole = ladder(design, rows, labels, prices)
    shares = [stop.lut / stop.lut_before for stop in whole]
    assert shares[2] < 0.5 < shares[0]
    first = next(number for number, share in enumerate(shares) if share < 0.5)
    ended = ladder(design, rows, labels, prices, until=0.5)
    assert [stop.lut for stop in ended] == [stop.lut for stop in whole[: first + 1]]


def test_a_ladder_begins_at_a_price_for_its_size() -> None:
    design = chain()
    rows, labels = rows_of(design)
    whole = ladder(design, rows, labels, (1e-6, 1e-4, 1e-2))
    late = ladder(design, rows, labels, (1e-6, 1e-4, 1e-2), since=1e-4 * whole[0].lut_before)
    assert [stop.price for stop in late] == [1e-4, 1e-2]


def test_a_ladder_of_multipliers_goes_further_down_than_one_of_adders() -> None:
    """Designs of adders come from a removal, which has others that are smaller."""
    for strategy, least, power in ((DA, 0.8, 1.3), ("Latency", 0.5, 1.0)):
        design = chain(strategy=strategy)
        rows, labels = rows_of(design)
        x = rows * 2.0**-design.architecture.input.fraction
        (stops,) = ladders([design], x, labels, [np.inf])
        # The result depends on the order of the rows, because the first ones reject moves.
        order = np.random.default_rng(0).permutation(len(rows))
        law = ladder(design, rows[order], labels[order], [stop.price for stop in stops], passes=2)
        assert [stop.kept for stop in stops] == [(one.lut / one.lut_before) ** power for one in law]
        shares = [one.lut / one.lut_before for one in law]
        assert all(share >= least for share in shares[:-1])
    # The last strategy has gone below the end of the other.
    assert any(share < 0.8 for share in shares[:-1])


def test_a_ladder_of_the_smallest_designs_goes_further_down() -> None:
    whole = chain()
    rows, labels = rows_of(whole)
    first = whole.chain_weights[0].copy()
    first[3:] = 0
    small = replace(whole, weights=(first, whole.chain_weights[1]))
    x = rows * 2.0**-whole.architecture.input.fraction
    *others, least = ladders([*[whole] * 9, small], x, labels, [np.inf] * 10)
    assert all(stop.kept >= 0.8**1.3 for stops in others for stop in stops[:-1])
    assert any(stop.kept < 0.8**1.3 for stop in least[:-1])


def test_work_is_spent_in_the_given_order() -> None:
    assert affordable([3.0, 5.0, 2.0, 2.0, 1.0], 6.0) == [True, False, True, False, True]
    assert affordable([], 1.0) == []
    small, large = chain(), chain()
    large = replace(large, weights=tuple(np.where(w == 0, 1, w) for w in large.weights))
    few = replace(
        small, weights=tuple(w * (np.arange(w.size).reshape(w.shape) % 4 == 0) for w in small.weights)
    )
    assert work_of(few, 100) < work_of(large, 100) < work_of(large, 200)


def saturating(integer: int) -> Design:
    """A hidden layer whose sums may reach 15 for any inputs, in a result type of 3 bits."""
    first = Dense(
        6, 9, "relu", FixedType(3, 3), FixedType(4, 4), None, FixedType(3, integer, False, "RND", "SAT")
    )
    last = Dense(9, 4, "linear", FixedType(3, 2), FixedType(5, 3))
    layers = tuple(replace(layer, strategy=DA) for layer in (first, last))
    return filled(Architecture(FixedType(4, 2), layers))


def test_saturation_that_no_row_needs_is_removed() -> None:
    design = saturating(3)
    rows, _ = rows_of(design)
    quiet = rows // 4  # small inputs never reach the limit
    wider = without_idle_saturation(design, quiet)
    before, after = (one.architecture.layers[0].result for one in (design, wider))
    assert after is not None
    assert before is not None
    assert after.fraction == before.fraction
    assert after.width > before.width
    assert lut_of(sums_of(wider)) < lut_of(sums_of(design))
    assert np.array_equal(emulate(wider, quiet), emulate(design, quiet))
    # No sum leaves the new type, whatever the inputs are.
    assert bounds_of_results(wider)[0][1] <= after.highest
    assert without_idle_saturation(wider, quiet) is wider


def test_neurons_with_the_range_of_their_layer_become_wider_with_it() -> None:
    design = saturating(3)
    own = (FixedType(2, 3, False), FixedType(2, 2, False), *[FixedType(3, 3, False)] * 7)
    design = replace(design, neurons=(own,))
    rows, _ = rows_of(design)
    wider = without_idle_saturation(design, rows // 8)
    grown = wider.architecture.chain[0].result
    assert grown is not None
    added = grown.width - 3
    assert added > 0
    assert wider.neurons == ((FixedType(2 + added, 3 + added, False), own[1], *[grown.plain] * 7),)


def test_saturation_that_a_row_needs_stays() -> None:
    design = saturating(2)
    kind = design.architecture.input
    rows = np.where(np.random.default_rng(0).random((50, 6)) < 0.5, kind.lowest, kind.highest)
    assert without_idle_saturation(design, rows) is design
    graph = residual()
    assert without_idle_saturation(graph, rows) is graph


def test_symmetric_results_keep_two_bits() -> None:
    """A signed result of one bit that saturates symmetrically does not exist."""
    design = chain("fixed<3,1,RND,SAT_SYM>", activation="linear")
    rows, labels = rows_of(design)
    stops = ladder(design, rows, labels, (1e-3, 3e-2), passes=3)
    own = {kind for kind in stops[-1].design.own_results(0) if kind is not None}
    assert min(kind.width for kind in own) == 2
