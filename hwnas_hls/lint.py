"""The known pitfalls of hls4ml projects, looked for in a design before any tool runs.

The rules come from hls4ml 1.3's sources and templates and from its users' issues (numbers of
github.com/fastmachinelearning/hls4ml in the rules' comments). Nothing here is a guess of cost:
that is an estimator's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwnas_hls.architecture import Dense
from hwnas_hls.design import Design
from hwnas_hls.precision import FixedType
from hwnas_hls.reuse import legal_reuse_factors, nearest_legal
from hwnas_hls.target import Target

SEVERITIES = ("error", "warning", "note")
#: Products a layer beyond which arrays stop being partitioned (``maximum_size`` in hls4ml's
#: ``project.tcl``) and the adder tree of the Latency strategy is no longer balanced.
UNROLL_LIMIT = 4096
#: A float32 holds every value up to this width.
FLOAT_BITS = 24
#: A double, through which C simulation gets its inputs and gives its outputs, up to this one.
DOUBLE_BITS = 53
#: Beyond it a product takes two DSPs or collapses into LUTs.
OPERAND_BITS = 26
#: Vitis HLS builds products of narrower inputs from LUTs.
DSP_INPUT_BITS = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """One pitfall that a design has stepped into.

    Args:
        rule: short name, for example ``unroll-limit``.
        severity: ``error`` (cannot be built as it stands, or not bit for bit), ``warning``
            (builds, but likely not as expected) or ``note``.
        where: layer or setting.
        what: the fact, with its figures.
        remedy: what to do.
    """

    rule: str
    severity: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity} {self.rule}, {self.where}: {self.what}; {self.remedy}"


def lint_design(design: Design, target: Target) -> list[Finding]:
    """The pitfalls of ``design`` on ``target``, errors first, then in the order of the layers."""
    findings = [*_network(design, target)]
    types = design.layer_types()
    for number, layer in enumerate(design.architecture.chain):
        where = f"layer {number} ({layer.n_in}x{layer.n_out}, {layer.strategy})"
        source, accum, result = types[number]
        findings += _structure(layer, where)
        findings += _accumulator(layer, source, where)
        findings += _precision(layer, source, accum, result, where)
        if not design.weights[number].any():
            findings.append(
                Finding(
                    "dead-layer",
                    "warning",
                    where,
                    "every weight is zero, so the network's output does not depend on its input",
                    "train longer, prune less, or give the weights more fractional bits",
                )
            )
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _structure(layer: Dense, where: str) -> Iterator[Finding]:
    wanted, strategy = layer.reuse_factor, layer.strategy
    built = nearest_legal(layer.n_in, layer.n_out, strategy, wanted)
    if layer.activation not in ("relu", "linear"):
        yield Finding(
            "table-activation",
            "error",
            where,
            f"{layer.activation} goes through a table in hls4ml, whose values are not reproduced bit for bit",
            "use relu or linear",
        )
    if strategy == "distributed_arithmetic":
        if wanted != 1:
            yield Finding(
                "da-reuse-factor",
                "error",
                where,
                f"hls4ml refuses distributed arithmetic with reuse factor {wanted}",
                "use reuse factor 1, or the strategy Resource",
            )
        return
    if built != wanted:  # H446: which are legal
        legal = legal_reuse_factors(layer.n_in, layer.n_out, strategy)
        yield Finding(
            "illegal-reuse-factor",
            "error",
            where,
            f"reuse factor {wanted} is not among those that hls4ml builds; it would take {built}",
            f"use one of {', '.join(map(str, legal))}",
        )
    unrolled = layer.n_products if strategy == "Latency" else -(-layer.n_products // built)
    if unrolled > UNROLL_LIMIT:  # H572, H903, H904
        yield Finding(
            "unroll-limit",
            "warning",
            where,
            f"{unrolled} products side by side, above the {UNROLL_LIMIT} that are unrolled and partitioned",
            f"use Resource with a reuse factor of at least {_least_reuse(layer)}, distributed_arithmetic, "
            "or a narrower layer",
        )
    if strategy == "Resource" and wanted == 1:
        yield Finding(
            "resource-unrolled",
            "warning",
            where,
            "Resource with reuse factor 1 shares nothing, yet keeps the weights out of the logic",
            "use Latency, which drops zero weights and shares equal ones",
        )
    if strategy == "Latency" and wanted > 1:  # H566: reuse factor 2 may take more DSPs than 1
        yield Finding(
            "latency-reuse",
            "note",
            where,
            f"under Latency a reuse factor of {wanted} only limits the multipliers in DSPs and the "
            "initiation interval; products in LUTs are not shared and everything stays unrolled",
            "use Resource where the layer is to become smaller",
        )


def _least_reuse(layer: Dense) -> int:
    """The smallest legal reuse factor that keeps the unrolled products within the limit."""
    legal = legal_reuse_factors(layer.n_in, layer.n_out, "Resource")
    return next(
        factor for factor in legal if layer.n_products <= factor * UNROLL_LIMIT or factor == legal[-1]
    )


def _accumulator(layer: Dense, source: FixedType, where: str) -> Iterator[Finding]:
    accum = layer.accum
    if accum is None:
        return
    exact = layer.exact_accum(source)
    if accum.overflow != "WRAP":
        yield Finding(
            "saturating-accumulator",
            "error",
            where,
            f"{accum} saturates at every partial sum, so the result depends on the order of the sums",
            "let it wrap (WRAP) with enough integer bits, and saturate in the result type",
        )
    if accum.rounding != "TRN":
        yield Finding(
            "rounding-accumulator",
            "warning",
            where,
            f"{accum} rounds every product before the sum, which about triples the LUTs",
            "use TRN with all fractional bits, and round in the result type",
        )
    if accum.fraction < exact.fraction:
        by_code = layer.strategy == "distributed_arithmetic"
        yield Finding(
            "short-accumulator",
            "error" if by_code else "warning",
            where,
            f"{accum} has {accum.fraction} fractional bits of the {exact.fraction} of its products: "
            + ("distributed arithmetic cuts the sum, not each product" if by_code else "each product is cut"),
            "leave the accumulator out: the exact type is then worked out from the weights",
        )


def _precision(
    layer: Dense, source: FixedType, accum: FixedType, result: FixedType, where: str
) -> Iterator[Finding]:
    for what, kind in (("input", source), ("weight", layer.weight)):
        if kind.width > OPERAND_BITS and layer.strategy != "distributed_arithmetic":
            yield Finding(
                "wide-operand",
                "warning",
                where,
                f"its {what} {kind} has over {OPERAND_BITS} bits: a product takes two DSPs or many LUTs",
                f"use at most {OPERAND_BITS} bits",
            )
    lowest = 0.0 if layer.activation == "relu" else accum.lowest * 2.0**-accum.fraction
    highest, step = accum.highest * 2.0**-accum.fraction, 2.0**-result.fraction
    held = (result.lowest * step, result.highest * step)
    if result.overflow == "WRAP" and (lowest < held[0] or highest > held[1]):
        yield Finding(
            "wrapping-result",
            "warning",
            where,
            f"sums may reach {lowest:g} to {highest:g}; its result {result} holds {held[0]:g} to {held[1]:g} "
            "and wraps: a large value turns into a small one",
            "use SAT in the result type, or more integer bits",
        )


def _network(design: Design, target: Target) -> Iterator[Finding]:
    architecture = design.architecture
    clock_ns = architecture.clock_ns or target.clock_ns
    if clock_ns < target.clock_ns:
        yield Finding(
            "fast-clock",
            "note",
            "clock",
            f"{clock_ns:g} ns is faster than {target.name}'s default of {target.clock_ns:g} ns",
            "expect more cycles and registers, and timing that only post-route reports can prove",
        )
    for what, kind in (("input", architecture.input), ("output", design.layer_types()[-1][2])):
        if kind.width > DOUBLE_BITS:
            yield Finding(
                f"wide-{what}",
                "error",
                what,
                f"{kind} has more bits than the {DOUBLE_BITS} of a double: C simulation cannot carry it",
                "use a narrower type",
            )
        elif kind.width > FLOAT_BITS:
            yield Finding(
                f"wide-{what}",
                "note",
                what,
                f"{kind} has more bits than the {FLOAT_BITS} of a float32: hls4ml's test bench and its "
                "predict() with float32 round it",
                "feed predict() with float64",
            )
    layers = architecture.chain
    if any(layer.strategy == "Resource" for layer in layers):
        others = [str(number) for number, layer in enumerate(layers) if layer.strategy != "Resource"]
        if others:
            yield Finding(
                "mixed-strategies",
                "note",
                "network",
                "one Resource layer puts the whole network under DATAFLOW, layers "
                f"{', '.join(others)} of other strategies too",
                "count a handshake a layer; with no Resource layer it is one pipeline",
            )
    eligible = [
        -(-layer.n_products // layer.reuse_factor)
        - (int((weight == 0).sum()) // layer.reuse_factor if layer.strategy == "Latency" else 0)
        for layer, weight, (source, _, _) in zip(layers, design.weights, design.layer_types(), strict=True)
        if layer.strategy != "distributed_arithmetic" and source.width >= DSP_INPUT_BITS
    ]
    if sum(eligible) > target.dsp:
        yield Finding(
            "dsp-limit",
            "warning",
            "network",
            f"up to {sum(eligible)} products go to DSPs, {target.name} has {target.dsp}",
            f"give layers inputs below {DSP_INPUT_BITS} bits (products in LUTs), raise reuse factors, prune",
        )
