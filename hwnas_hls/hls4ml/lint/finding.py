"""Findings of the linter, and the table of its rules."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "note")
_TRIED = "hls4ml 1.3"


@dataclass(frozen=True, slots=True)
class Rule:
    """One lint rule.

    Args:
        name: for example ``unroll-limit``.
        severity: ``error`` (cannot be built, or not bit for bit), ``warning`` (can be built, but probably
            not as expected) or ``note``.
        holds: the releases of hls4ml or the tools for which it was read in the sources and tested;
            ``H123`` is issue 123 of fastmachinelearning/hls4ml.
    """

    name: str
    severity: str
    holds: str = _TRIED


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of the linter.

    Args:
        rule: name of the rule, for example ``unroll-limit``.
        severity: ``error``, ``warning`` or ``note``, see :class:`Rule`.
        where: the layer or setting.
        what: the problem, with its numbers.
        remedy: what to do.
    """

    rule: str
    severity: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity} {self.rule}, {self.where}: {self.what}; {self.remedy}"


#: Every rule by its name.
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        # Single layers with weights, in a configuration or as built.
        Rule("unroll-limit", "warning", "hls4ml 1.3; H572, H903, H904"),
        Rule("illegal-reuse-factor", "error", "hls4ml 1.3; H446"),
        Rule("reuse-factor", "warning", "hls4ml 1.3; H446"),
        Rule("da-reuse-factor", "error"),
        Rule("da-unrounded-weights", "warning"),
        Rule("unrolled-reuse-factor", "note", "hls4ml 1.0 to 1.3"),
        Rule("resource-unrolled", "warning"),
        Rule("latency-reuse", "note", "hls4ml 1.3; H566"),
        Rule("saturating-accumulator", "error"),
        Rule("rounding-accumulator", "warning"),
        Rule("short-accumulator", "warning"),
        Rule("wide-operand", "warning"),
        Rule("dead-layer", "warning"),
        Rule("table-activation", "error"),
        Rule("wrapping-result", "warning"),
        # Whole networks on their target.
        Rule("fast-clock", "note"),
        Rule("wide-input", "note"),
        Rule("wide-output", "note"),
        Rule("mixed-strategies", "note"),
        Rule("dsp-limit", "warning"),
        Rule("graph", "error"),
        Rule("dataflow-fork", "warning", "hls4ml 1.3; Vitis HLS, AMD UG1399"),
        # Configurations, and the projects written from them.
        Rule("misplaced-key", "warning"),
        Rule("part-missing", "warning"),
        Rule("strategy-spelling", "warning", "hls4ml 0.6 to 1.3"),
        Rule("da-without-weights", "error"),
        Rule("model-precision", "warning", "hls4ml 1.3; H445"),
        Rule("stale-config", "warning", "hls4ml 0.6 to 1.3"),
    )
}


def pitfall(name: str, where: str, what: str, remedy: str, severity: str = "") -> Finding:
    """A finding of the rule ``name``; ``severity`` overrides that of the rule."""
    return Finding(name, severity or RULES[name].severity, where, what, remedy)
