"""The hardware model's laws: reuse factors, constants, priors, and what they add up to."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.reuse import nearest_legal
from hwnas_hls_plugins.estimators.hls_model import (
    Interval,
    LayerQuery,
    Prediction,
    Query,
    predict,
    read_calibration,
)
from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch
from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, Band, Calibration, KnownWeights
from hwnas_hls_plugins.estimators.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.estimators.hls_model.constants import constant_cost, csd_weight
from hwnas_hls_plugins.estimators.hls_model.keys import Flow, Regime
from hwnas_hls_plugins.estimators.hls_model.laws import evaluate
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of
from hwnas_hls_plugins.estimators.hls_model.table import tabulate

P = FixedType.parse
VIVADO = "vivado_hls 2020.1"
U250 = "xcu250-figd2104-2L-e"


def dense(n_in: int, n_out: int, **more: object) -> LayerQuery:
    return LayerQuery(n_in, n_out, **more)  # type: ignore[arg-type]


def one(*layers: LayerQuery, **more: object) -> dict[str, float]:
    query = Query(layers, **more)  # type: ignore[arg-type]
    return {name: interval.value for name, interval in predict([query])[0].metrics.items()}


def digits_by_hand(value: int) -> int:
    """Canonical signed digits, from the least significant bit up."""
    count, value = 0, abs(value)
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            value -= digit
            count += 1
        value >>= 1
    return count


@given(st.lists(st.integers(-(2**25), 2**25), min_size=1, max_size=20))
def test_csd_weight_counts_signed_digits(values: list[int]) -> None:
    assert csd_weight(np.array(values, np.int64)).tolist() == [digits_by_hand(value) for value in values]


def trees_by_hand(weights: np.ndarray) -> int:
    """Distinct adders of the balanced trees, as expressions."""
    seen = set()
    for column in weights.T:
        level: list[object] = [(i, int(w)) for i, w in enumerate(column) if w]
        while len(level) > 1:
            paired: list[object] = []
            for left in range(0, len(level) - 1, 2):
                node = (level[left], level[left + 1])
                seen.add(node)
                paired.append(node)
            if len(level) % 2:
                paired.append(level[-1])
            level = paired
    return len(seen)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 8), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_constants_are_counted_as_expressions(n_in: int, n_out: int, reach: int, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(-reach, reach + 1, (n_in, n_out))
    cost = constant_cost(weights, P("ap_fixed<8,3>"), P("ap_fixed<6,1>"), P("ap_fixed<16,6>"))
    pairs = {(i, int(w)) for i, row in enumerate(weights) for w in row if w}
    assert cost.nonzeros == np.count_nonzero(weights)
    assert cost.multipliers == sum(digits_by_hand(w) >= 3 for _, w in pairs)
    assert cost.shift_adders == sum(digits_by_hand(w) == 2 for _, w in pairs)
    assert cost.tree_adders == trees_by_hand(weights)


def test_tree_widths_stay_below_the_accumulator() -> None:
    weights = np.full((64, 1), 31)
    cost = constant_cost(weights, P("ap_fixed<16,6>"), P("ap_fixed<6,1>"), P("ap_fixed<12,6>"))
    assert cost.tree_bits <= 12 * cost.tree_adders


def test_multipliers_of_known_weights_are_dsps() -> None:
    """11 = 1+2+8 needs three digits, 7 = 8-1 two: the first is a DSP under Vitis, fabric under Vivado HLS."""
    weights = np.array([[11, 7, 19], [1, 0, 21]], np.int64)
    layer = dense(2, 3, weight=P("ap_fixed<6,1>"), weights=weights)
    assert one(layer, tool="vitis_hls 2021.1")["dsp"] == 3
    assert one(layer, tool=VIVADO)["dsp"] == 2
    narrow = dataclasses.replace(layer, input=P("ap_fixed<10,3>"))
    assert one(narrow, tool="vitis_hls 2021.1")["dsp"] == 0
    assert one(dataclasses.replace(narrow, multipliers="dsp"), tool=VIVADO)["dsp"] == 3
    assert one(dataclasses.replace(layer, multipliers="fabric"), tool="vitis_hls 2021.1")["dsp"] == 0


def test_zeros_and_powers_of_two_cost_no_multiplier() -> None:
    rng = np.random.default_rng(1)
    full = rng.integers(1, 32, (16, 32))
    wires = 2 ** rng.integers(0, 5, (16, 32))
    sparse = full * (rng.random((16, 32)) < 0.25)
    layer = dense(16, 32, weight=P("ap_fixed<6,1>"))
    luts = [one(dataclasses.replace(layer, weights=w))["lut"] for w in (full, wires, sparse)]
    assert luts[1] < luts[0]
    assert luts[2] < 0.4 * luts[0]


def test_prior_expects_what_trained_weights_turn_out_to_cost() -> None:
    """Drawn from the prior's own law, weights cost what the prior expects, within a quarter."""
    rng = np.random.default_rng(3)
    n_in, n_out = 32, 48
    weight = P("ap_fixed<8,2>")
    drawn = rng.laplace(0.0, 1.15 / np.sqrt(0.5 * n_in) / np.sqrt(2), (n_in, n_out)) * (
        rng.random((n_in, n_out)) < 0.5
    )
    weights = weight.integers(drawn + 2.0**-7)
    known = dense(n_in, n_out, weight=weight, weights=weights)
    counted = dataclasses.replace(known, weights=None, n_nonzeros=int(np.count_nonzero(weights)))
    last = dense(n_out, 2)
    exact, expected = (tabulate([Query((layer, last))]).layer for layer in (known, counted))
    for name in ("multipliers", "shift_adders", "tree_adders", "tree_bits", "digits"):
        assert getattr(expected, name)[0] == pytest.approx(getattr(exact, name)[0], rel=0.25), name


def laplace_weights(weight: FixedType, n_in: int, n_out: int) -> np.ndarray:
    """Weights as training leaves them without pruning; rounding alone makes zeros."""
    drawn = np.random.default_rng(5).laplace(0.0, 1.15 / np.sqrt(2.0 * n_in), (n_in, n_out))
    return weight.integers(drawn + 2.0 ** -(weight.fraction + 1))


@pytest.mark.parametrize("bits", [6, 10])
def test_a_layer_that_is_not_pruned_is_expected_to_keep_its_weights(bits: int) -> None:
    weight = FixedType(bits, 1)
    known = [
        dense(a, b, weight=weight, weights=laplace_weights(weight, a, b)) for a, b in ((32, 40), (40, 32))
    ]
    blind = [dataclasses.replace(layer, weights=None, unpruned=True) for layer in known]
    last = dense(32, 2, weight=weight, n_nonzeros=64)
    exact, expected = (tabulate([Query((*layers, last))]).layer for layers in (known, blind))
    assert expected.nonzeros[:2] == pytest.approx(exact.nonzeros[:2], rel=0.1)
    assert expected.tree_bits[:2] == pytest.approx(exact.tree_bits[:2], rel=0.15)
    # Networks from elsewhere may be pruned, so fewer non-zero weights are expected.
    stranger = tabulate([Query((*(dataclasses.replace(layer, unpruned=False) for layer in blind), last))])
    assert np.all(stranger.layer.nonzeros[:2] < 0.8 * exact.nonzeros[:2])


def test_narrow_types_of_individually_quantised_weights_mean_few_of_them() -> None:
    """The wider the widest weight of a layer, the more weights are left; a last layer keeps its share."""

    def layers(bits: int) -> tuple[LayerQuery, ...]:
        sums = [FixedType(bits + 10, 8), FixedType(bits + 9, 8), FixedType(bits + 8, 6)]
        types = [FixedType(bits, 3), FixedType(bits - 1, 3), FixedType(bits - 1, 1)]
        shapes = ((16, 64), (64, 32), (32, 5))
        return tuple(
            dense(*shape, weight=kind, bias=total, accum=total)
            for shape, kind, total in zip(shapes, types, sums, strict=True)
        )

    shares = []
    for bits in (7, 8, 9, 10):
        c = tabulate([Query(layers(bits))]).layer
        shares.append(c.nonzeros / (c.n_in * c.n_out))
    hidden = np.array([share[:2] for share in shares])
    assert np.all(np.diff(hidden, axis=0) > 0)
    assert np.all(hidden[1:] / hidden[:-1] < 4)
    assert hidden[0].max() < 0.1
    assert hidden[-1].max() > 0.5
    assert [share[2] for share in shares] == pytest.approx([shares[0][2]] * 4)


def test_a_note_says_how_many_weights_are_assumed() -> None:
    few = P("ap_fixed<6,1>")
    layers = (dense(16, 64, weight=few), dense(64, 32, weight=few))

    def taken(*built: LayerQuery) -> list[str]:
        notes = predict([Query(built, tool=VIVADO, part=U250)])[0].warnings
        return [note.taken for note in notes if note.about == "n_nonzeros"]

    (share,) = taken(*layers)
    assert 15 <= float(share.split(" %")[0]) <= 35
    assert taken(dense(32, 32)) == ["those before training"]
    assert taken(*(dataclasses.replace(layer, n_nonzeros=300) for layer in layers)) == []
    assert taken(*(dataclasses.replace(layer, unpruned=True) for layer in layers)) == []
    assert taken(*(dataclasses.replace(layer, strategy="Resource", reuse_factor=8) for layer in layers)) == []


def test_unknown_pruning_reaches_further_down_than_up() -> None:
    """Most networks of eight bits and more keep most of their weights, some a quarter."""
    layers = (dense(16, 64), dense(64, 32), dense(32, 5))
    lut = predict([Query(layers, tool=VIVADO, part=U250)])[0].metrics["lut"]
    assert lut.value / lut.low > 1.2 * lut.high / lut.value
    kept = tuple(dataclasses.replace(layer, unpruned=True) for layer in layers)
    whole = predict([Query(kept, tool=VIVADO, part=U250)])[0].metrics["lut"]
    assert whole.value > lut.value
    assert whole.high / whole.low < lut.high / lut.low


@pytest.mark.parametrize(
    ("n_in", "n_out", "bits", "reuse", "cycles", "lut", "ff", "dsp"),
    [
        # Reports of single layers, Vivado HLS 2020.1, xcu250, io_parallel (Dendendelen/wa-hls4ml-search).
        (128, 64, 8, 1024, 1026, 12694, 1261, 8),
        (32, 128, 10, 1024, 1026, 11477, 2224, 4),
        (256, 192, 8, 512, 514, 21481, 3987, 96),
        (192, 96, 2, 576, 578, 35575, 1725, 0),
        (32, 64, 6, 512, 514, 8345, 1197, 4),
        (64, 32, 6, 512, 514, 8196, 683, 3),
        (32, 32, 12, 1024, 1026, 7333, 1152, 1),
    ],
)
def test_resource_layers_match_their_reports(
    n_in: int, n_out: int, bits: int, reuse: int, cycles: int, lut: int, ff: int, dsp: int
) -> None:
    weight = FixedType(bits, 1)
    layer = dense(n_in, n_out, weight=weight, bias=weight, strategy="Resource", reuse_factor=reuse)
    found = one(layer, tool=VIVADO, part=U250)
    assert found["latency_cycles"] == cycles
    assert found["ii_cycles"] == reuse
    assert found["dsp"] == dsp
    assert found["lut"] == pytest.approx(lut, rel=0.003)
    assert found["ff"] == pytest.approx(ff, rel=0.03)


def test_linear_resource_layers_add_up() -> None:
    layers = [
        dense(64, 32, strategy="Resource", reuse_factor=64),
        dense(32, 8, strategy="Resource", reuse_factor=32),
    ]
    found = one(*layers, tool=VIVADO, part=U250)
    assert found["latency_cycles"] == 64 + 32 + 3 * 2 - 1
    assert predict([Query(tuple(layers), tool=VIVADO, part=U250)])[0].earliest_cycles == 64 + 32 + 2 * 2 - 1
    assert found["ii_cycles"] == 64
    assert found["dsp"] == 64 * 32 // 64 + 32 * 8 // 32


@pytest.mark.parametrize("sizes", [(32, 16), (32, 64), (64, 32, 16)])
def test_a_dataflow_of_unrolled_resource_layers_adds_up_the_layers_alone(sizes: tuple[int, ...]) -> None:
    """hls4ml makes a dataflow of any layer under Resource; each process starts after the one before."""
    layers = [dense(a, b, strategy="Resource", reuse_factor=1) for a, b in itertools.pairwise((32, *sizes))]
    alone = [one(layer, part=U250, clock_ns=5.0, tool=VIVADO)["latency_cycles"] for layer in layers]
    found = one(*layers, part=U250, clock_ns=5.0, tool=VIVADO)
    assert found["latency_cycles"] == sum(alone) + len(layers) - 1
    assert found["ii_cycles"] == max(alone) + 1


def test_a_step_that_sums_many_products_takes_further_cycles() -> None:
    def step(reuse: int) -> float:
        layer = dense(64, 16, strategy="Resource", reuse_factor=reuse)
        return one(layer, part=U250, clock_ns=5.0, tool=VIVADO)["latency_cycles"] - reuse

    # One product of an output a step, two in the same cycle, or more than a cycle holds.
    assert [step(reuse) for reuse in (64, 32, 8, 2)] == [2, 2, 3, 3]


def test_a_later_resource_layer_reads_channels_not_a_wide_port() -> None:
    """What a second layer adds: a selector of its inputs in place of two shifts of the whole port."""
    layers = [dense(64, 64, strategy="Resource", reuse_factor=512) for _ in range(3)]
    tables = [tabulate([Query(tuple(layers[:count]), part=U250, tool=VIVADO)]) for count in (1, 2, 3)]
    luts = [float(evaluate(table, Coefficients()).design["lut"][0]) for table in tables]
    first, second, third = luts[0], luts[1] - luts[0], luts[2] - luts[1]
    assert second == pytest.approx(third, rel=0.01)
    # Without the two 512-bit shifts of 2,171 LUTs, with 64 channels and registers' selectors.
    assert first - 2 * 2171 - 2 * 1024 < second < first - 2 * 1024


def test_small_products_join_fixed_accumulators() -> None:
    """The report of a pruned six-bit jet tagger, Vivado HLS 2020.1 on a Zynq-7 (Gabriele-bot/PYNQ_IA)."""
    act, weight, wide = FixedType(6, 1), FixedType(6, 1), FixedType(16, 6)
    shapes = ((16, 64, 8, wide), (64, 32, 32, act), (32, 32, 16, act), (32, 5, 16, act))
    layers = [
        dense(n_in, n_out, input=source, weight=weight, strategy="Resource", reuse_factor=reuse)
        for n_in, n_out, reuse, source in shapes
    ]
    found = one(*layers, tool=VIVADO, part="xc7z020clg400-1")
    # 128 products of sixteen bits, and half of those of six: 32, 32 and 5
    assert found["dsp"] == 128 + 32 + 32 + 5


def test_logic_synthesis_keeps_a_third_to_two_thirds_of_the_luts() -> None:
    layers = (dense(16, 64, activation="relu"), dense(64, 32, activation="relu"), dense(32, 5))
    for bits in (6, 8, 16):
        typed = tuple(dataclasses.replace(layer, weight=FixedType(bits, 2)) for layer in layers)
        before, after = (one(*typed, stage=stage, part=U250)["lut"] for stage in ("csynth", "logic_synth"))
        assert 0.33 < after / before < 0.69


def test_a_slower_grade_takes_no_fewer_cycles() -> None:
    layers = (dense(16, 64, activation="relu"), dense(64, 32, activation="relu"), dense(32, 5))
    cycles = [one(*layers, part=f"xc7z020clg400-{grade}")["latency_cycles"] for grade in (1, 2, 3)]
    assert cycles[0] > cycles[1] >= cycles[2]


def test_an_illegal_reuse_factor_is_changed_with_a_note() -> None:
    query = Query((dense(16, 5, strategy="resource", reuse_factor=7),))
    found = predict([query])[0]
    assert found.metrics["ii_cycles"].value == nearest_legal(16, 5, "Resource", 7) == 8
    assert [note.kind for note in found.warnings].count(NoteKind.CHANGED) == 1


def test_slower_clock_means_fewer_cycles_and_faster_silicon_too() -> None:
    layers = (dense(16, 64, activation="relu"), dense(64, 32, activation="relu"), dense(32, 5))
    cycles = {
        (part, clock): one(*layers, part=part, clock_ns=clock, tool="vitis_hls 2021.1")["latency_cycles"]
        for part in ("xc7z020clg400-1", U250)
        for clock in (3.0, 5.0, 10.0)
    }
    for part in ("xc7z020clg400-1", U250):
        assert cycles[part, 3.0] > cycles[part, 5.0] > cycles[part, 10.0]
    assert cycles[U250, 5.0] < cycles["xc7z020clg400-1", 5.0]


def test_old_vitis_puts_products_of_eight_bits_into_dsps_of_series_7() -> None:
    eight = FixedType(8, 2)
    layer = dense(16, 24, input=eight, weight=eight, n_nonzeros=384)
    part = "xc7z010clg400-2"

    def dsp(layer: LayerQuery, **more: object) -> Interval:
        return predict([Query((layer,), clock_ns=3.3, **more)])[0].metrics["dsp"]  # type: ignore[arg-type]

    old = dsp(layer, part=part, tool="vitis_hls 2021.1")
    assert old.value > 50
    assert old.low == 0
    bound = dsp(dataclasses.replace(layer, multipliers="dsp"), part=part, tool="vitis_hls 2021.1")
    assert bound.value == old.value
    assert bound.low > 0
    seven = dataclasses.replace(layer, weight=FixedType(7, 2))
    assert dsp(seven, part=part, tool="vitis_hls 2021.1").value == 0
    assert dsp(layer, part=part, tool="vitis_hls 2024.2").value == 0
    assert dsp(layer, part=U250, tool="vitis_hls 2021.1").value == 0


def test_a_product_longer_than_a_cycle_goes_through_registers() -> None:
    """The step is where a DSP's product no longer fits one cycle, not a little more time."""
    layers = tuple(dense(32, 32, activation="relu") for _ in range(3))
    found = {
        clock: one(*layers, part=U250, tool="vitis_hls 2022.2", clock_ns=clock)["latency_cycles"]
        for clock in (3.3, 3.7, 4.0)
    }
    # 2.75 ns of a product: 4.0 ns less 27 % hold it, 3.7 and 3.3 do not.
    assert found[3.7] - found[4.0] >= 3 > found[3.3] - found[3.7] - 3


def trained_layer(rng: np.random.Generator, n_in: int, n_out: int, kept: float, towards: float) -> np.ndarray:
    """Sixteen-bit weights, ``towards`` of them drawn to zero, the smallest pruned until ``kept`` are left."""
    weights = rng.laplace(scale=150.0, size=(n_in, n_out))
    weights[rng.random(weights.shape) < towards] /= 120.0
    whole = np.rint(weights).astype(np.int64)
    if kept < 1:
        whole[np.abs(whole) < np.quantile(np.abs(whole), 1.0 - kept)] = 0
    return whole


@pytest.mark.parametrize(("kept", "towards"), [(1.0, 0.5), (0.25, 0.0)])
def test_zeros_indicate_training_towards_zero(kept: float, towards: float) -> None:
    """A layer of a fifth zeros has many weights near them; a pruned one has none, and needs more digits."""
    weight = FixedType(16, 6)
    weights = trained_layer(np.random.default_rng(3), 48, 48, kept, towards)
    known = dense(48, 48, weight=weight, weights=weights)
    counted = dataclasses.replace(known, weights=None, n_nonzeros=int(np.count_nonzero(weights)))
    exact, expected = (tabulate([Query((x, dense(48, 2)))]).layer for x in (known, counted))
    assert expected.multipliers[0] == pytest.approx(exact.multipliers[0], rel=0.25)
    assert expected.tree_bits[0] == pytest.approx(exact.tree_bits[0], rel=0.25)


def test_types_of_single_weights_leave_few_digits() -> None:
    """A type a layer, biases as wide as sums: what quantisation of single weights leaves."""
    kinds = (P("ap_fixed<9,3>"), P("ap_fixed<8,3>"))
    sums = (P("ap_fixed<20,8>"), P("ap_fixed<18,8>"))
    layers = [
        dense(32, n_out, weight=kind, bias=accum, accum=accum, n_nonzeros=32 * n_out // 4)
        for n_out, kind, accum in zip((32, 8), kinds, sums, strict=True)
    ]
    own = tabulate([Query(tuple(layers))]).layer
    other = [dataclasses.replace(layer, bias=P("ap_fixed<8,3>")) for layer in layers]
    plain = tabulate([Query(tuple(other))]).layer
    assert own.multipliers.sum() < 0.2 * plain.multipliers.sum()
    assert own.digits[0] < 1.3 * own.nonzeros[0]
    wide, narrow = (
        predict([Query(tuple(dataclasses.replace(x, n_nonzeros=None) for x in each))])[0].metrics["lut"]
        for each in (layers, other)
    )
    assert wide.high / wide.low > 2.0
    assert wide.value < narrow.value


def test_unknown_weights_of_few_bits_have_the_wider_interval() -> None:
    """How much networks of several layers are pruned is a habit; a layer alone has none."""
    six = FixedType(6, 1)
    alone, several = (
        predict([Query(tuple(dense(32, 32, weight=six) for _ in range(count)), part=U250, tool=VIVADO)])[0]
        for count in (1, 3)
    )
    ratios = [found.metrics["lut"].high / found.metrics["lut"].low for found in (alone, several)]
    assert ratios[1] > 1.5 * ratios[0]


def test_a_dataflow_copies_a_wide_input_into_block_ram() -> None:
    layers = tuple(dense(n_in, 16, strategy="Resource", reuse_factor=64) for n_in in (200, 16))
    narrow = tuple(dense(n_in, 16, strategy="Resource", reuse_factor=64) for n_in in (16, 16))
    vivado, vitis = (one(*layers, tool=tool, part=U250)["bram_18k"] for tool in (VIVADO, "vitis_hls 2022.2"))
    assert vivado - vitis == 2 * -(-200 * 16 // 18)
    same = [one(*narrow, tool=tool, part=U250)["bram_18k"] for tool in (VIVADO, "vitis_hls 2022.2")]
    assert same[0] == same[1]


def test_one_copy_of_a_wide_input_is_inside_the_interval() -> None:
    """Three reports: two of them with two copies, one with one."""
    layers = tuple(
        dense(n_in, 20, input=FixedType(8, 3), strategy="Resource", reuse_factor=reuse)
        for n_in, reuse in ((784, 784), (20, 20))
    )
    found = predict([Query(layers, part=U250, tool=VIVADO)])[0].metrics["bram_18k"]
    copy = -(-784 * 8 // 18)
    assert found.low < found.value - copy < found.value <= found.high


def test_intervals_are_the_whole_numbers_inside() -> None:
    """Rounded outwards, they would hold more than they state."""
    band = Band(None, 1.0, 8, up=0.12, down=0.12)
    bands = {Regime(Flow.CSYNTH): dict.fromkeys(METRICS, band)}
    calibration = dataclasses.replace(read_calibration(), bands=bands)
    layers = tuple(dense(n, n, activation="relu") for n in (16, 16, 16))
    weights = np.random.default_rng(0).integers(-200, 200, (16, 16))
    known = tuple(dataclasses.replace(x, weights=weights, biases=np.zeros(16, np.int64)) for x in layers)
    for found in predict(
        [Query(known, part=U250, tool=tool) for tool in (VIVADO, "vitis_hls 2023.1")], calibration
    ):
        cycles = found.metrics["latency_cycles"]
        exact = [(cycles.value + 1.0) * np.exp(side) - 1.0 for side in (-0.12, 0.12)]
        assert exact[0] <= cycles.low <= cycles.value <= cycles.high <= exact[1]
        assert cycles.low - exact[0] < 1.0 > exact[1] - cycles.high


def test_registers_of_products_move_into_their_dsps() -> None:
    """After logic synthesis; a layer of one source kept 0.23 of them on slow silicon, 0.46 on fast."""
    rng = np.random.default_rng(0)
    layer = dense(16, 4, weights=rng.integers(-2000, 2000, (16, 4)), biases=rng.integers(-99, 99, 4))
    share = {}
    for part in ("xc7z020clg400-1", "xc7vx690tffg1930-3"):
        for bound in ("dsp", "fabric"):
            query = Query(
                (dataclasses.replace(layer, multipliers=bound),), part=part, tool="vivado_hls 2019.2"
            )
            stages = [
                evaluate(tabulate([dataclasses.replace(query, stage=stage)]), Coefficients()).design["ff"][0]
                for stage in ("csynth", "logic_synth")
            ]
            share[part, bound] = stages[1] / stages[0]
    assert share["xc7z020clg400-1", "dsp"] < 0.5
    assert share["xc7vx690tffg1930-3", "dsp"] < 0.7
    assert share["xc7z020clg400-1", "fabric"] == share["xc7vx690tffg1930-3", "fabric"] == 1.0


def test_a_long_loop_may_take_many_cycles_a_step() -> None:
    layers = tuple(
        dense(n_in, 50, strategy="Resource", reuse_factor=reuse, activation="relu")
        for n_in, reuse in ((800, 20_000), (50, 500))
    )
    found = predict([Query(layers, part=U250, tool=VIVADO)])[0].metrics
    for metric in ("latency_cycles", "ii_cycles"):
        assert found[metric].high > 20 * found[metric].value
        assert found[metric].coverage is None


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"n_in": 900}, "256 inputs"),
        ({"reuse_factor": 6400}, "reuse factors up to"),
        ({"input": FixedType(24, 8)}, "bits"),
        ({}, ""),
    ],
)
def test_several_resource_layers_have_a_domain(changes: dict[str, object], what: str) -> None:
    first = dense(**{"n_in": 100, "n_out": 64, "strategy": "Resource", "reuse_factor": 64} | changes)  # type: ignore[arg-type]
    layers = (first, dense(64, 8, strategy="Resource", reuse_factor=32))
    reasons = " ".join(map(str, predict([Query(layers, part=U250, tool=VIVADO)])[0].reasons))
    assert (what in reasons) if what else not reasons


def test_tables_of_a_softmax_take_two_block_rams_under_newer_vitis() -> None:
    layers = (dense(16, 8, activation="softmax"),)
    tools = (VIVADO, "vitis_hls 2022.2")
    large = [one(*layers, tool=tool, part=U250)["bram_18k"] for tool in tools]
    small = [one(*layers, tool=tool, part="xc7z020clg400-1")["bram_18k"] for tool in tools]
    assert large == [5, 10]
    assert small == [5, 5]


def test_a_pragma_sets_the_interval_of_the_whole_design() -> None:
    assert one(dense(16, 8), pipeline_ii=8)["ii_cycles"] == 8
    assert one(dense(16, 8))["ii_cycles"] == 1


def test_sharing_bounds_dsps_by_the_multiplier_limit() -> None:
    layer = dense(32, 32, n_nonzeros=1024)
    shared = dataclasses.replace(layer, reuse_factor=16)
    alone, together = one(layer, tool=VIVADO), one(shared, tool=VIVADO)
    assert together["dsp"] == 64 < alone["dsp"]
    assert 1 < together["ii_cycles"] <= 16
    assert together["latency_cycles"] > alone["latency_cycles"]


@pytest.mark.parametrize(
    ("part", "silicon"),
    [
        ("xcvu9p-flga2104-2L-e", "ultrascale+"),
        ("xcvu13p-flga2577-2-e", "ultrascale+"),
        ("xcu250-figd2104-2L-e", "ultrascale+"),
        ("xczu9eg-ffvb1156-2-e", "ultrascale+"),
        ("xck26-sfvc784-2LV-c", "ultrascale+"),
        ("xcku115-flvb2104-2-i", "ultrascale"),
        ("xcvu095-ffva2104-2-e", "ultrascale"),
        ("xc7z020clg400-1", "7series_slow"),
        ("xc7z020-clg400-1", "7series_slow"),
        ("xc7a35tcpg236-1", "7series_slow"),
        ("xc7vx690tffg1927-2", "7series_fast"),
        ("xcvc1902-vsva2197-2MP-e-S", "versal"),
        ("10AX115", "unknown"),
    ],
)
def test_silicon_of_parts(part: str, silicon: str) -> None:
    assert part_class(part) == silicon


@pytest.mark.parametrize(
    ("text", "family", "version", "place"),
    [
        ("vitis_hls 2023.2", "vitis", 2023.2, False),
        ("Vivado HLS 2018.3", "vivado", 2018.3, False),
        ("vivado 2020.1", "vivado", 2020.1, True),
        ("vivado 2022.2", "vitis", 2022.2, True),
        ("2019.2", "vivado", 2019.2, False),
        ("", "vitis", 0.0, False),
    ],
)
def test_tools(text: str, family: str, version: float, place: bool) -> None:
    tool = tool_of(text)
    assert (tool.family, tool.version, tool.place) == (family, version, place)


def test_known_weights_have_laws_and_factors_of_their_own() -> None:
    weights = np.random.default_rng(0).integers(-31, 32, (16, 8))
    known = Query((dense(16, 8, weights=weights),))
    blind = Query((dense(16, 8), dense(8, 4)))
    shared = Query(
        (dense(64, 64, weights=np.ones((64, 64), np.int64), strategy="Resource", reuse_factor=64),)
    )
    plain = Calibration("t", {}, {}, {}, {}, {})
    double = Coefficients().to_json()["tree_lut_per_bit"]
    assert isinstance(double, float)
    of_known = KnownWeights({"tree_lut_per_bit": 2.0 * double}, {})
    other = Calibration("t", {}, {}, {}, {}, {}, of_known)
    before, after = (predict_batch([known, blind, shared], each).value["lut"] for each in (plain, other))
    assert after[0] > 1.3 * before[0]
    assert after[1:].tolist() == before[1:].tolist()
    assert predict_batch([known], other).value["lut"][0] == after[0]


@pytest.mark.parametrize(("bits", "n_in", "n_out"), [(8, 64, 32), (12, 32, 64)])
def test_large_single_layer_is_assumed_untrained(bits: int, n_in: int, n_out: int) -> None:
    source, weight, accum = P("ap_fixed<16,6>"), P(f"ap_fixed<{bits},1>"), P("ap_fixed<16,6>")
    limit = np.sqrt(6.0 / (n_in + n_out))
    drawn = np.random.default_rng(1).uniform(-limit, limit, (n_in, n_out))
    cut = np.floor(drawn * 2.0**weight.fraction).astype(np.int64)
    counted = constant_cost(cut, source, weight, accum).multipliers
    found = tabulate([Query((dense(n_in, n_out, weight=weight, input=source),))]).layer.multipliers[0]
    assert found == pytest.approx(counted, rel=0.05)


def _one_of(clock_ns: float, widths: tuple[int, ...], reuse: int = 1) -> Prediction:
    """A network of 16-bit layers with known weights of few digits, on the part of the sweeps."""
    rng = np.random.default_rng(3)
    kind = FixedType(16, 6)
    layers = tuple(
        LayerQuery(
            n_in,
            n_out,
            kind,
            kind,
            kind,
            None,
            None,
            kind,
            "relu" if number < len(widths) - 2 else "linear",
            reuse_factor=reuse,
            weights=rng.choice([-64, 0, 64], (n_in, n_out)),
            biases=np.zeros(n_out, np.int64),
        )
        for number, (n_in, n_out) in enumerate(itertools.pairwise(widths))
    )
    return predict([Query(layers, part=U250, clock_ns=clock_ns, tool=VIVADO)])[0]


def test_results_between_layers_are_registered() -> None:
    found = _one_of(25.0, (8, 32, 4))
    # 32 values of 16 bits at the least: nothing is in two cycles at once without a register.
    assert found.metrics["ff"].value >= 0.75 * 32 * 16
    assert found.layers[0].ff > found.layers[1].ff


def test_a_design_near_a_pipeline_cut_may_have_its_registers_or_not() -> None:
    clocks = np.linspace(3.0, 9.0, 25).tolist()
    layer = dense(64, 32, weights=np.random.default_rng(3).choice([-64, 0, 64], (64, 32)))
    table = tabulate([Query((layer,), part=U250, clock_ns=clock, tool=VIVADO) for clock in (*clocks, 25.0)])
    found = evaluate(table, Coefficients()).design
    ff, less, more = (found[name] for name in ("ff", "ff_less", "ff_more"))
    # Far from any cut nothing is uncertain; somewhere below, one cut is most of the registers.
    assert less[-1] == more[-1] == 0.0
    assert np.max((less + more) / ff) > 0.5
    intervals = [each.metrics["ff"] for each in predict(table.queries)]
    assert max(each.high / each.value for each in intervals[:-1]) > intervals[-1].high / intervals[-1].value


def test_an_interval_of_cycles_does_not_begin_below_the_pragma() -> None:
    layer = LayerQuery(8, 8, FixedType(8, 3), FixedType(6, 2), FixedType(6, 2), None, None, None, "linear")
    found = predict([Query((layer,), pipeline_ii=8)])[0].metrics["ii_cycles"]
    assert found.low == 8.0 <= found.value


def test_all_intervals_that_ship_state_the_same_coverage() -> None:
    """A table of predictions has no column that could tell intervals of 90 % from those of 80 %."""
    stated = {band.coverage for bands in read_calibration().bands.values() for band in bands.values()}
    assert stated == {0.8, None}


@pytest.mark.parametrize("classes", [2, 3, 5, 6, 10, 16])
def test_old_vitis_copies_exponentials_for_each_class(classes: int) -> None:
    """Counts of 32 reports of Vitis HLS 2021.1."""
    layer = dense(8, classes, activation="softmax")
    assert one(layer, tool="vitis_hls 2021.1", part="xc7z007s-clg225-2")["bram_18k"] == classes


@pytest.mark.parametrize(
    ("kind", "tool", "low"),
    [("ap_fixed<12,6>", "vitis_hls 2025.2", 0), ("ap_fixed<16,6>", "vitis_hls 2025.2", 1)],
)
def test_vitis_may_build_products_of_12_bits_in_logic(kind: str, tool: str, low: int) -> None:
    parsed = FixedType.parse(kind)
    layers = tuple(
        LayerQuery(n_in, n_out, parsed, parsed, parsed, parsed, parsed, parsed, "relu", 4, "Resource")
        for n_in, n_out in ((16, 16), (16, 8))
    )
    found = predict([Query(layers, part="xc7a35tcpg236-1", tool=tool)])[0].metrics["dsp"]
    assert found.value == 96
    assert (found.low > 0) == bool(low)


@pytest.mark.parametrize(("reuse", "low"), [(4, False), (64, True)])
def test_vitis_may_keep_few_words_of_weights_out_of_block_rams(reuse: int, low: bool) -> None:
    layers = tuple(dense(64, 64, strategy="Resource", reuse_factor=reuse) for _ in range(2))
    found = predict([Query(layers, part=U250, tool="vitis_hls 2025.2")])[0].metrics["bram_18k"]
    assert found.value > 0
    assert (found.low > 0) is low
