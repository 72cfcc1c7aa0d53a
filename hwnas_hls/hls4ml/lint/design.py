"""Lint rules for designs.

The rules come from the sources and templates of hls4ml 1.3 and from its issues (``H123`` in a comment
is issue 123 of github.com/fastmachinelearning/hls4ml). Costs are left to the estimators.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hwnas_hls.hls4ml.lint.finding import SEVERITIES, Finding, pitfall
from hwnas_hls.hls4ml.lint.graphs import graph_findings, words
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import LEAKY_SLOPE, Conv2D, Dense, Layer, Pool2D, Weighted
from hwnas_hls.network.limits import (
    DOUBLE_BITS,
    DSP_INPUT_BITS,
    FLOAT_BITS,
    OPERAND_BITS,
    TABLES,
    UNROLL_LIMIT,
)
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.reuse import legal_reuse_factors, nearest_legal
from hwnas_hls.protocols.target import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def lint_design(design: Design, target: Target, routed_mhz: float = 0.0) -> list[Finding]:
    """The findings for ``design`` on ``target``, errors first, then in the order of the layers.

    Args:
        routed_mhz: clock frequency that the routed design reaches; 0 without a routed design.
    """
    architecture, types = design.architecture, design.layer_types()
    findings = [*_network(design, target), *graph_findings(design)]
    clock_ns = architecture.clock_ns or target.clock_ns
    if clock_ns < target.clock_ns and routed_mhz * clock_ns < 1000.0:
        findings.insert(0, _fast_clock(clock_ns, target))
    for number, layer in enumerate(architecture.layers):
        (source, accum, result), weight = types[number], design.weights[number]
        where = f"layer {number} ({words(layer)})"
        if weight is not None and isinstance(layer, Weighted):
            findings += _structure(layer, where)
            findings += _accumulator(layer, source, where)
            findings += _operands(layer, source, where)
            if not weight.any():
                findings.append(_dead(architecture, where))
        if layer.activation in TABLES:
            findings.append(_table(layer, where))
        # An average and the largest value of a window are within the range of its values.
        findings += _result(layer, source if isinstance(layer, Pool2D) else accum, result, where)
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _fast_clock(clock_ns: float, target: Target) -> Finding:
    return pitfall(
        "fast-clock",
        "clock",
        f"{clock_ns:g} ns is faster than {target.name}'s default of {target.clock_ns:g} ns",
        "expect more cycles and registers; only a post-route report proves the timing",
    )


def _dead(architecture: Architecture, where: str) -> Finding:
    so = ", so the network's output does not depend on its input" if architecture.is_chain else ""
    return pitfall(
        "dead-layer",
        where,
        f"every weight is zero{so}",
        "train longer, prune less, or give the weights more fractional bits",
    )


def _table(layer: Layer, where: str) -> Finding:
    activation = layer.activation
    return pitfall(
        "table-activation",
        where,
        f"{activation} uses a lookup table in hls4ml, whose values are not reproduced bit for bit",
        "use relu, leaky_relu or linear",
    )


def _structure(layer: Dense | Conv2D, where: str) -> Iterator[Finding]:
    wanted, strategy = layer.reuse_factor, layer.strategy
    rows, columns = layer.matrix_shape
    built = nearest_legal(rows, columns, strategy, wanted)
    if strategy == "distributed_arithmetic":
        if wanted != 1:
            yield pitfall(
                "da-reuse-factor",
                where,
                f"hls4ml rejects distributed arithmetic with reuse factor {wanted}",
                "use reuse factor 1, or the strategy Resource",
            )
        return
    if built != wanted:  # H446: which are legal
        legal = _legal(layer)
        yield pitfall(
            "illegal-reuse-factor",
            where,
            f"hls4ml does not build reuse factor {wanted}; it would use {built}",
            f"use one of {', '.join(map(str, legal))}",
        )
    unrolled = rows * columns if strategy == "Latency" else -(-rows * columns // built)
    if unrolled > UNROLL_LIMIT:  # H572, H903, H904
        yield pitfall(
            "unroll-limit",
            where,
            f"{unrolled} parallel products, above the limit of {UNROLL_LIMIT} for unrolling and partitioning",
            f"use Resource with a reuse factor of at least {_least_reuse(layer)}, distributed_arithmetic, "
            "or a narrower layer",
        )
    if strategy == "Resource" and wanted == 1:
        yield pitfall(
            "resource-unrolled",
            where,
            "Resource with reuse factor 1 shares no multipliers, but does not optimise for constant weights",
            "use Latency, which removes zero weights and shares equal ones",
        )
    if strategy == "Latency" and wanted > 1:  # H566: reuse factor 2 may take more DSPs than 1
        yield pitfall(
            "latency-reuse",
            where,
            f"under Latency, a reuse factor of {wanted} only limits the multipliers in DSPs and the "
            "initiation interval; products in LUTs are not shared and everything stays unrolled",
            "use Resource to make the layer smaller",
        )


def _legal(layer: Dense | Conv2D) -> list[int]:
    """The reuse factors that hls4ml builds unchanged and correctly."""
    rows, columns = layer.matrix_shape
    legal = legal_reuse_factors(rows, columns, layer.strategy)
    return [factor for factor in legal if factor <= rows or isinstance(layer, Dense)]


def _least_reuse(layer: Dense | Conv2D) -> int:
    """The smallest legal reuse factor of Resource that keeps the unrolled products within the limit."""
    rows, columns = layer.matrix_shape
    legal = _legal(dataclasses.replace(layer, strategy="Resource"))
    return next(factor for factor in legal if rows * columns <= factor * UNROLL_LIMIT or factor == legal[-1])


def _accumulator(layer: Dense | Conv2D, source: FixedType, where: str) -> Iterator[Finding]:
    accum = layer.accum
    if accum is None:
        return
    exact = layer.exact_accum(source)
    if accum.overflow != "WRAP":
        yield pitfall(
            "saturating-accumulator",
            where,
            f"{accum} saturates each partial sum, so the result depends on the order of summation",
            "use WRAP with enough integer bits, and saturate in the result type",
        )
    if accum.rounding != "TRN":
        yield pitfall(
            "rounding-accumulator",
            where,
            f"{accum} rounds every product before summation, which roughly triples the LUTs",
            "use TRN with all fractional bits, and round in the result type",
        )
    if accum.fraction < exact.fraction:
        by_code = layer.strategy == "distributed_arithmetic"
        yield pitfall(
            "short-accumulator",
            where,
            f"{accum} has {accum.fraction} fractional bits of the {exact.fraction} of its products: "
            + ("distributed arithmetic truncates the sum" if by_code else "each product is truncated"),
            "omit the accumulator: the exact type is then derived from the weights",
            severity="error" if by_code else "",
        )


def _operands(layer: Dense | Conv2D, source: FixedType, where: str) -> Iterator[Finding]:
    for what, kind in (("input", source), ("weight", layer.weight)):
        if kind.width > OPERAND_BITS and layer.strategy != "distributed_arithmetic":
            yield pitfall(
                "wide-operand",
                where,
                f"its {what} {kind} has more than {OPERAND_BITS} bits: a product takes two DSPs or many LUTs",
                f"use at most {OPERAND_BITS} bits",
            )


def _result(layer: Layer, exact: FixedType, result: FixedType, where: str) -> Iterator[Finding]:
    """Findings on the result type of a layer.

    Args:
        exact: type of what is rounded to the result.
    """
    activation = layer.activation
    slope = {"relu": 0.0, "leaky_relu": LEAKY_SLOPE}.get(activation, 1.0)
    lowest = slope * exact.lowest * 2.0**-exact.fraction
    highest, step = exact.highest * 2.0**-exact.fraction, 2.0**-result.fraction
    held = (result.lowest * step, result.highest * step)
    if result.overflow == "WRAP" and (lowest < held[0] or highest > held[1]):
        yield pitfall(
            "wrapping-result",
            where,
            f"its values can be {lowest:g} to {highest:g}; the result type {result} holds {held[0]:g} to "
            f"{held[1]:g}, and wraps: a large value becomes a small one",
            "use SAT in the result type, or more integer bits",
        )


def _network(design: Design, target: Target) -> Iterator[Finding]:
    architecture = design.architecture
    for what, kind in (("input", architecture.input), ("output", design.layer_types()[-1][2])):
        if kind.width > DOUBLE_BITS:
            yield pitfall(
                f"wide-{what}",
                what,
                f"{kind} has more than the {DOUBLE_BITS} bits of a double: C simulation cannot represent it",
                "use a narrower type",
                severity="error",
            )
        elif kind.width > FLOAT_BITS:
            yield pitfall(
                f"wide-{what}",
                what,
                f"{kind} has more than the {FLOAT_BITS} bits of a float32: hls4ml's test bench and its "
                "predict() with float32 round it",
                "call predict() with float64",
            )
    weighted = list(design.weighted())
    if any(layer.strategy == "Resource" for _, layer, _, _ in weighted):
        others = [str(number) for number, layer, _, _ in weighted if layer.strategy != "Resource"]
        if others:
            yield pitfall(
                "mixed-strategies",
                "network",
                "one Resource layer puts the whole network under DATAFLOW, including "
                f"{'layer' if len(others) == 1 else 'layers'} {', '.join(others)} with other strategies",
                "expect one handshake per layer; without Resource layers it is one pipeline",
            )
    types = design.layer_types()
    eligible = [
        _multipliers(layer, weight) for number, layer, weight, _ in weighted if _in_dsp(layer, types[number])
    ]
    if sum(eligible) > target.dsp:
        yield pitfall(
            "dsp-limit",
            "network",
            f"up to {sum(eligible)} products use DSPs, but {target.name} has {target.dsp}",
            f"give layers inputs below {DSP_INPUT_BITS} bits (products in LUTs), raise reuse factors, prune",
        )


def _in_dsp(layer: Dense | Conv2D, types: tuple[FixedType, FixedType, FixedType]) -> bool:
    return layer.strategy != "distributed_arithmetic" and types[0].width >= DSP_INPUT_BITS


def _multipliers(layer: Dense | Conv2D, weight: NDArray[np.int64]) -> int:
    """The number of parallel multipliers."""
    products = math.prod(layer.matrix_shape)
    zeros = products - int((weight != 0).sum())
    built = -(-products // layer.reuse_factor)
    return built - (zeros // layer.reuse_factor if layer.strategy == "Latency" else 0)
