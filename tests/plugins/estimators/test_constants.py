"""Constants of neurons: one adder for a bias and the offset that rounds, none where they cancel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, output_fraction
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.hls_model.constants import significant_bits
from hwnas_hls_plugins.estimators.refinement import refine
from hwnas_hls_plugins.estimators.refinement.constants import cheaper, coarse, constants
from hwnas_hls_plugins.estimators.refinement.network import layer_states
from hwnas_hls_plugins.synthesizers.open_synthesis import alkaid_rtl, da_rtl

DA = "distributed_arithmetic"


def network(result: str = "ufixed<5,2,RND,SAT>", seed: int = 0, **fields: object) -> Design:
    """Random weights and biases; one hidden layer."""
    rng = np.random.default_rng(seed)
    first = Dense(6, 8, "relu", FixedType(5, 1), FixedType(9, 2), None, FixedType.parse(result), strategy=DA)
    last = Dense(8, 3, "linear", FixedType(4, 1), FixedType(7, 2), strategy=DA)
    layers = (replace(first, **fields), last)  # type: ignore[arg-type]
    weights = tuple(rng.integers(-7, 8, (layer.n_in, layer.n_out)) for layer in layers)
    biases = tuple(rng.integers(-40, 40, layer.n_out) for layer in layers)
    return Design(Architecture(FixedType(5, 2), layers), weights, biases)


def rows_of(design: Design, count: int = 400) -> np.ndarray:
    kind = design.architecture.input
    return np.random.default_rng(9).integers(kind.lowest, kind.highest + 1, (count, design.architecture.n_in))


def test_significant_bits_reach_from_the_highest_to_the_lowest_set_bit() -> None:
    numbers = np.array([0, 1, -1, 2, 3, 5, -12, 40, 96, 97, 2**40])
    assert significant_bits(numbers).tolist() == [0, 1, 1, 1, 2, 3, 2, 3, 2, 7, 1]


@pytest.mark.parametrize("result", ["ufixed<5,2,RND,SAT>", "ufixed<5,2,TRN,WRAP>", "fixed<9,2,RND,SAT_SYM>"])
def test_constants_are_those_that_the_circuit_adds(result: str) -> None:
    design = network(result)
    for number, state in enumerate(layer_states(design, 4)):
        added, kind = da_rtl.constants(design, number)
        accum = design.layer_types()[number][1]
        assert np.array_equal(constants(state) * 2.0**-accum.fraction, added)
        assert kind.rounding in ("TRN", "RND")


@pytest.mark.parametrize("writer", ["da4ml", "alkaid"])
@pytest.mark.parametrize(
    "fields", [{}, {"accum": FixedType.parse("fixed<14,6>")}, {"activation": "leaky_relu"}]
)
def test_an_offset_in_the_bias_changes_no_output(writer: str, fields: dict[str, object]) -> None:
    pytest.importorskip(writer)
    result = "fixed<5,2,RND,SAT>" if fields.get("activation") else "ufixed<5,2,RND,SAT>"
    for seed in range(3):
        design = network(result, seed, **fields)
        rows = rows_of(design)
        graph = (da_rtl if writer == "da4ml" else alkaid_rtl).adder_graph(design)
        found = graph.predict(rows * 2.0**-design.architecture.input.fraction).reshape(len(rows), -1)
        assert np.array_equal(found, emulate(design, rows) * 2.0 ** -output_fraction(design))


def test_a_bias_that_cancels_the_offset_needs_no_adder() -> None:
    pytest.importorskip("da4ml")
    # Saturation would add constants, too.
    design = network("ufixed<5,2,RND,WRAP>")
    layer = design.architecture.chain[0]
    assert layer.bias is not None
    assert layer.result is not None
    half = 1 << (layer.bias.fraction - layer.result.fraction - 1)
    biases = (np.full(layer.n_out, -half), np.zeros(3, np.int64))
    constant_adders = 4  # da4ml's number of this operation
    for given, count in ((biases, 0), ((biases[0] * 0, biases[1]), layer.n_out)):
        operations = da_rtl.adder_graph(replace(design, biases=given)).ops
        assert sum(one.opcode == constant_adders for one in operations) == count


def test_changes_of_constants_lead_to_coarser_grids() -> None:
    now = np.array([0, 5, -12, 37, 64, -1])
    for step in (1, 4):
        changes, places = cheaper(now, step)
        assert not (changes % step).any()
        after = now[places] + changes
        on_grid = now[places] % step == 0
        assert not (after[on_grid] % (2 * step)).any()
        assert set(places[after == 0]) == {
            place for place, one in enumerate(now.tolist()) if one and one % step == 0
        }
        shorter = significant_bits(after) < significant_bits(now[places])
        assert set(places[shorter]) >= set(places[significant_bits(now[places]) > 1])


def test_compensating_changes_stay_on_a_coarse_grid() -> None:
    state = layer_states(network(), 4)[0]
    grid = 1 << (state.result_shift - 1)
    assert grid > state.bias_step
    now = constants(state)
    offset = np.arange(8) * state.bias_step
    assert not ((now + coarse(now, offset, state)) % grid).any()
    assert (np.abs(coarse(now, offset, state) - offset) <= grid // 2).all()


def test_refinement_shortens_constants() -> None:
    design = network(seed=4)
    rows = rows_of(design)
    labels = emulate(design, rows).argmax(axis=1)
    refined = refine(design, rows, labels, 1e-4)

    def bits(one: Design) -> int:
        return sum(
            int(significant_bits(np.ldexp(da_rtl.constants(one, number)[0], 12).astype(np.int64)).sum())
            for number in range(2)
        )

    assert bits(refined.design) < 0.8 * bits(design)
    right = emulate(refined.design, rows).argmax(axis=1) == labels
    assert right.mean() > 0.95
