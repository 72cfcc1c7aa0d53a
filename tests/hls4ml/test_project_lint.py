"""Lint: each pitfall is found where it is, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas_hls.hls4ml.lint import SEVERITIES, lint_design
from hwnas_hls.network.architecture import Architecture, Dense, Pool2D
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.target import Target

TARGET = Target(
    name="small",
    part="xc7a35tcpg236-1",
    family="7series",
    lut=20800,
    ff=41600,
    dsp=90,
    bram_18k=100,
    uram=0,
    slr=1,
    dsp_type="DSP48E1",
    dsp_widths=(25, 18),
    clock_ns=5.0,
    sources=("test",),
)
RELU6 = "ap_ufixed<6,2,AP_RND,AP_SAT>"


def net(*layers, input="ap_fixed<8,3>", clock_ns=5.0, zero=False):
    weights = tuple(np.full((each.n_in, each.n_out), 0 if zero else 1, np.int64) for each in layers)
    biases = tuple(None if each.bias is None else np.zeros(each.n_out, np.int64) for each in layers)
    return Design(Architecture(FixedType.parse(input), layers, clock_ns), weights, biases)


def dense(n_in=8, n_out=8, activation="relu", weight="ap_fixed<5,1>", result=RELU6, accum=None, **more):
    parse = FixedType.parse
    return Dense(
        n_in,
        n_out,
        activation,
        parse(weight),
        None,
        None if accum is None else parse(accum),
        None if result is None else parse(result),
        **more,
    )


def rules(design):
    return {finding.rule: finding for finding in lint_design(design, TARGET)}


@pytest.mark.parametrize(("routed_mhz", "noted"), [(0.0, True), (399.0, True), (400.0, False)])
def test_a_fast_clock_that_a_routed_design_meets_is_no_finding(routed_mhz, noted):
    found = lint_design(net(dense(), clock_ns=2.5), TARGET, routed_mhz)
    assert [finding.rule for finding in found] == ["fast-clock"] * noted


def test_a_clean_design_has_no_findings():
    assert lint_design(net(dense(), dense(8, 4, "linear", result=None)), TARGET) == []


@pytest.mark.parametrize(
    ("rule", "severity", "design"),
    [
        ("unroll-limit", "warning", net(dense(64, 65))),
        ("unroll-limit", "warning", net(dense(128, 128, strategy="Resource", reuse_factor=2))),
        ("illegal-reuse-factor", "error", net(dense(strategy="Resource", reuse_factor=3))),
        ("da-reuse-factor", "error", net(dense(strategy="distributed_arithmetic", reuse_factor=2))),
        ("resource-unrolled", "warning", net(dense(strategy="Resource"))),
        ("latency-reuse", "note", net(dense(reuse_factor=5))),
        ("table-activation", "error", net(dense(activation="softmax"))),
        ("saturating-accumulator", "error", net(dense(accum="ap_fixed<20,10,AP_TRN,AP_SAT>"))),
        ("rounding-accumulator", "warning", net(dense(accum="ap_fixed<20,10,AP_RND,AP_WRAP>"))),
        ("short-accumulator", "warning", net(dense(accum="ap_fixed<18,10>"))),
        (
            "short-accumulator",
            "error",
            net(dense(accum="ap_fixed<18,10>", strategy="distributed_arithmetic")),
        ),
        ("wide-operand", "warning", net(dense(weight="ap_fixed<27,4>"))),
        ("wrapping-result", "warning", net(dense(result="ap_ufixed<6,0>"))),
        ("fast-clock", "note", net(dense(), clock_ns=2.5)),
        ("wide-output", "note", net(dense(result="ap_fixed<30,12>"))),
        ("wide-output", "error", net(dense(result="ap_fixed<60,12>"))),
        ("wide-input", "error", net(dense(), input="ap_fixed<54,10>")),
        ("mixed-strategies", "note", net(dense(), dense(strategy="Resource", reuse_factor=2))),
        ("dsp-limit", "warning", net(dense(16, 8), input="ap_fixed<12,4>")),
        ("dead-layer", "warning", net(dense(), zero=True)),
    ],
)
def test_each_pitfall(rule, severity, design):
    found = rules(design)
    assert rule in found
    assert found[rule].severity == severity
    assert str(found[rule]).startswith(f"{severity} {rule}, ")
    assert found[rule].remedy


@pytest.mark.parametrize(
    ("rule", "design"),
    [
        ("unroll-limit", net(dense(64, 64))),
        ("unroll-limit", net(dense(128, 128, strategy="Resource", reuse_factor=4))),
        ("illegal-reuse-factor", net(dense(strategy="Resource", reuse_factor=4))),
        ("resource-unrolled", net(dense(strategy="Resource", reuse_factor=2))),
        ("short-accumulator", net(dense(accum="ap_fixed<20,10>"))),
        ("wide-operand", net(dense(weight="ap_fixed<26,4>"))),
        ("wrapping-result", net(dense(result="ap_ufixed<12,7>"))),
        ("wrapping-result", net(dense(result=None))),
        ("mixed-strategies", net(dense(strategy="Resource", reuse_factor=2))),
        ("dsp-limit", net(dense(16, 8), input="ap_fixed<11,4>")),
        ("dsp-limit", net(dense(16, 8), input="ap_fixed<12,4>", zero=True)),
    ],
)
def test_rule_is_silent_elsewhere(rule, design):
    assert rule not in rules(design)


@pytest.mark.parametrize(
    ("result", "wraps"), [(None, False), ("ap_fixed<8,3>", False), ("ap_fixed<8,2>", True)]
)
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_a_pooled_value_is_in_the_range_of_its_window(pooling, result, wraps):
    pool = Pool2D(4, 4, 2, 2, 2, pooling, None if result is None else FixedType.parse(result))
    design = Design(Architecture(FixedType.parse("ap_fixed<8,3>"), (pool,), 5.0), (None,), (None,))
    assert ("wrapping-result" in rules(design)) == wraps


def test_remedies_name_what_would_do():
    found = rules(net(dense(128, 128, strategy="Resource", reuse_factor=3)))
    assert "would use 2" in found["illegal-reuse-factor"].what
    assert "1, 2, 4, 8" in found["illegal-reuse-factor"].remedy
    assert "reuse factor of at least 4," in found["unroll-limit"].remedy


def test_errors_are_sorted_first():
    found = lint_design(
        net(dense(reuse_factor=2), dense(strategy="Resource", reuse_factor=3), clock_ns=1.0), TARGET
    )
    order = [SEVERITIES.index(finding.severity) for finding in found]
    assert order == sorted(order)
    assert found[0].severity == "error"
