"""What lint finds: one pitfall of hls4ml projects that a design has stepped into."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "note")
#: Activations that hls4ml builds as tables.
TABLES = ("tanh", "sigmoid", "softmax")
#: Products a layer beyond which arrays stop being partitioned (``maximum_size`` in hls4ml's
#: ``project.tcl``) and the adder tree of the Latency strategy is no longer balanced.
UNROLL_LIMIT = 4096


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
