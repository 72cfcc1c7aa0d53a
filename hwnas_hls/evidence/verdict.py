"""The verdict on requirements: each is compared with the strongest evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED, EXIT_NOT_PROVEN
from hwnas_hls.spec.notation import quantity
from hwnas_hls.values.estimate import CSYNTH_OF, SOURCES, Estimate, Source
from hwnas_hls.values.objective import Limit


class Verdict(StrEnum):
    """The possible verdicts on a requirement."""

    PROVEN = "PROVEN"
    REFUTED = "REFUTED"
    NOT_PROVEN = "NOT PROVEN"


PROVEN, REFUTED, NOT_PROVEN = Verdict
EXIT_OF = {PROVEN: EXIT_DONE, REFUTED: EXIT_FAILED, NOT_PROVEN: EXIT_NOT_PROVEN}

SIMULATED = (Source.CSIM, Source.SIMULATED_RTL)
_CYCLES = (Source.SIMULATED_RTL, Source.CSYNTH)
_SYNTHESISED = (Source.OPEN_SYNTHESIS, Source.LOGIC_SYNTHESIS, Source.POST_ROUTE)
#: metric -> sources that can decide it; models and weaker stages cannot. C synthesis schedules exactly,
#: but overestimates LUTs about twofold; timing is known after routing.
PROOF = {
    "latency_cycles": _CYCLES,
    "ii_cycles": _CYCLES,
    "lut": _SYNTHESISED,
    "ff": _SYNTHESISED,
    "dsp": _SYNTHESISED,
    "bram_18k": _SYNTHESISED,
    "uram": _SYNTHESISED,
    "fmax_mhz": (Source.POST_ROUTE,),
    "model_size_bytes": (Source.COUNTED,),
    "parameters": (Source.COUNTED,),
    "macs": (Source.COUNTED,),
    "bit_operations": (Source.COUNTED,),
}
_WANTED = {
    "latency_cycles": "an RTL simulation or a C synthesis report",
    "ii_cycles": "an RTL simulation or a C synthesis report",
    "fmax_mhz": "a routed design's timing report",
    "energy_pj": "a power measurement or a routed design's power report",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one requirement.

    Args:
        requirement: for example ``latency_ns <= 1000``.
        verdict: proven, refuted or not proven.
        why: the deciding numbers, or what is missing.
        evidence: all estimates of the metric, strongest first.
    """

    requirement: str
    verdict: Verdict
    why: str
    evidence: tuple[Estimate, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "requirement": self.requirement,
            "verdict": self.verdict,
            "why": self.why,
            "evidence": [{"metric": e.metric, **e.to_json()} for e in self.evidence],
        }


def judge(
    limits: Iterable[Limit], evidence: Sequence[Estimate], clock_ns: float, circuit: str = ""
) -> list[Judgement]:
    """Judge requirements.

    Args:
        limits: the requirements.
        evidence: all estimates of the design; several per metric are possible.
        clock_ns: required clock period.
        circuit: SHA-256 of the exported circuit; numbers of another circuit are not used. Empty if there
            is none.
    """
    ladder: dict[str, list[Estimate]] = {}
    aside: dict[str, Estimate] = {}
    for estimate in evidence:
        # Numbers of a different circuit, or outside the calibrated domain, are not used.
        is_foreign = bool(circuit and estimate.circuit and estimate.circuit != circuit)
        if is_foreign or (not estimate.in_domain and not estimate.is_predicted):
            aside[estimate.metric] = estimate
            continue
        ladder.setdefault(estimate.metric, []).append(estimate)
    for estimates in ladder.values():
        estimates.sort(key=lambda estimate: -SOURCES.index(estimate.source))
    limits = list(limits)
    findings = [_finding(limit, ladder, clock_ns) for limit in limits]
    findings = _of_one_circuit(limits, findings, ladder, clock_ns, circuit)
    for place, (limit, finding) in enumerate(zip(limits, findings, strict=True)):
        other = aside.get("latency_cycles" if limit.metric == "latency_ns" else limit.metric)
        if finding.verdict == NOT_PROVEN and other is not None:
            why = f"{finding.why}; not used, because it belongs to a different circuit: {_said(other)}"
            findings[place] = replace(finding, why=why)
    return findings


def _finding(limit: Limit, ladder: Mapping[str, Sequence[Estimate]], clock_ns: float) -> Judgement:
    return _latency(limit, ladder, clock_ns) if limit.metric == "latency_ns" else _plain(limit, ladder)


def _of_one_circuit(
    limits: Sequence[Limit],
    findings: list[Judgement],
    ladder: Mapping[str, Sequence[Estimate]],
    clock_ns: float,
    circuit: str,
) -> list[Judgement]:
    """The findings with every requirement on the hardware proven of the same circuit.

    The exported RTL and what Vitis HLS builds are different circuits; the numbers of the second state no
    circuit. If no circuit meets all requirements, those proven of another than the one that meets most are
    not proven.

    Args:
        circuit: SHA-256 of the exported circuit; it goes first.
    """
    hardware = [n for n, limit in enumerate(limits) if _is_hardware(limit)]
    built = {
        e.circuit
        for n in hardware
        for name in _parts(limits[n])
        for e in ladder.get(name, ())
        if e.source in PROOF[name]
    }
    if len(built) < 2 or any(findings[n].verdict == REFUTED for n in hardware):
        return findings
    best: dict[int, Judgement] = {}
    held: list[int] = []
    for one in sorted(built, key=lambda name: (name != circuit, name)):
        own = {name: [e for e in each if e.circuit == one] for name, each in ladder.items()}
        found = {n: _finding(limits[n], own, clock_ns) for n in hardware}
        met = [n for n in hardware if found[n].verdict == PROVEN]
        if len(met) > len(held):
            best, held = found, met
    out = list(findings)
    for n in hardware:
        if n in held:
            out[n] = replace(best[n], evidence=findings[n].evidence)
        elif findings[n].verdict == PROVEN:
            first = best[held[0]]
            why = f"{findings[n].why}; that is not the circuit of {first.requirement}: {first.why}"
            out[n] = replace(findings[n], verdict=NOT_PROVEN, why=why)
    return out


def _parts(limit: Limit) -> tuple[str, ...]:
    """The metrics whose evidence decides a requirement."""
    return ("latency_cycles", "fmax_mhz") if limit.metric == "latency_ns" else (limit.metric,)


def _is_hardware(limit: Limit) -> bool:
    return all(PROOF.get(name, (Source.COUNTED,)) != (Source.COUNTED,) for name in _parts(limit))


def overall(findings: Iterable[Judgement]) -> Verdict:
    """``REFUTED`` if any finding is, ``PROVEN`` if all are, else ``NOT PROVEN``."""
    verdicts = {finding.verdict for finding in findings}
    if REFUTED in verdicts:
        return REFUTED
    return PROVEN if verdicts == {PROVEN} else NOT_PROVEN


def _plain(limit: Limit, ladder: Mapping[str, Sequence[Estimate]]) -> Judgement:
    known = tuple(ladder.get(limit.metric, ()))
    proof = [e for e in known if e.source in PROOF.get(limit.metric, SIMULATED)]
    if not proof:
        # The figure of C synthesis is a different metric; it is shown, but decides nothing.
        reported = ladder.get(CSYNTH_OF.get(limit.metric, ""), ())
        return Judgement(limit.requirement, NOT_PROVEN, _missing(limit, (*known, *reported)), known)
    strongest = proof[0]
    verdict = _hold(limit, strongest)
    why = _said(strongest)
    if verdict == NOT_PROVEN:
        why += f"; the bound is inside its interval {strongest.low:g} to {strongest.high:g}"
    elif _is_score(limit, strongest) and strongest.low <= limit.bound <= strongest.high:
        share = "" if strongest.coverage is None else f" ({100 * strongest.coverage:.0f} %)"
        spread = f"{strongest.low:g} to {strongest.high:g}"
        why += f"; the bound is inside its interval for other rows{share}, {spread}"
    return Judgement(limit.requirement, verdict, why, known)


def _hold(limit: Limit, estimate: Estimate) -> Verdict:
    """Whether the whole interval of a deciding estimate meets the bound, or violates it.

    A requirement on the score refers to the test rows, so its value decides; its binomial interval
    describes other rows and is only shown.
    """
    low, high = estimate.low, estimate.high
    if _is_score(limit, estimate):
        low = high = estimate.value
    best, worst = (low, high) if limit.kind == "max" else (-high, -low)
    bound = limit.bound if limit.kind == "max" else -limit.bound
    if worst <= bound:
        return PROVEN
    return REFUTED if best > bound else NOT_PROVEN


def _is_score(limit: Limit, estimate: Estimate) -> bool:
    return estimate.source in SIMULATED and limit.metric not in PROOF


def _counted(cycles: Estimate, clock_ns: float) -> str:
    amount = quantity("latency_cycles", cycles.value)
    return f"{amount} ({_said(cycles)}) at {clock_ns:g} ns = {cycles.value * clock_ns:g} ns"


def _latency(limit: Limit, ladder: Mapping[str, Sequence[Estimate]], clock_ns: float) -> Judgement:
    """The latency in ns is cycles times clock period; both need evidence."""
    cycles = [e for e in ladder.get("latency_cycles", ()) if e.source in _CYCLES]
    timing = [e for e in ladder.get("fmax_mhz", ()) if e.source in PROOF["fmax_mhz"]]
    known = (*ladder.get("latency_ns", ()), *ladder.get("latency_cycles", ()), *ladder.get("fmax_mhz", ()))
    if not cycles:
        return Judgement(
            limit.requirement, NOT_PROVEN, _missing(Limit("latency_cycles", "max", 0), known), known
        )
    strongest = cycles[0]
    reached_ns = strongest.value * clock_ns
    counted = _counted(strongest, clock_ns)
    over = reached_ns > limit.bound if limit.kind == "max" else reached_ns < limit.bound
    if over:
        return Judgement(limit.requirement, REFUTED, counted, known)
    if not timing:
        why = (
            f"{counted}, but {clock_ns:g} ns has no timing evidence: "
            "a routed design's timing report is missing"
        )
        return Judgement(limit.requirement, NOT_PROVEN, why, known)
    # The cycles of one circuit at the clock of another prove nothing.
    pair = next(((e, t) for e in cycles for t in timing if e.circuit == t.circuit), None)
    if pair is None:
        why = f"{counted}, but what was routed is another circuit: {_said(timing[0])}"
        return Judgement(limit.requirement, NOT_PROVEN, why, known)
    held, routed = pair
    if held is not strongest:
        reached_ns = held.value * clock_ns
        counted = _counted(held, clock_ns)
        if reached_ns > limit.bound if limit.kind == "max" else reached_ns < limit.bound:
            return Judgement(limit.requirement, REFUTED, counted, known)
    period_ns = 1000.0 / routed.value
    if period_ns > clock_ns:
        why = (
            f"{counted}, but the routed design misses this clock: it needs {period_ns:.4g} ns, "
            f"and would take {held.value * period_ns:.4g} ns with a clock that long ({_said(routed)})"
        )
        return Judgement(limit.requirement, REFUTED, why, known)
    return Judgement(limit.requirement, PROVEN, f"{counted}; {_said(routed)} meets {clock_ns:g} ns", known)


def _missing(limit: Limit, known: Sequence[Estimate]) -> str:
    wanted = _WANTED.get(limit.metric)
    if wanted is None:
        wanted = "logic synthesis, open or the vendor's" if limit.metric in PROOF else "a C simulation"
    text = f"{wanted} is missing"
    if known:
        text += f"; best available: {_said(known[0])}"
        if known[0].low != known[0].high:
            text += f", interval {known[0].low:g} .. {known[0].high:g}"
    return text


def _said(estimate: Estimate) -> str:
    of = f" of circuit {estimate.circuit[:12]}" if estimate.circuit else ""
    return f"{estimate.metric} {estimate.value:g}{of} by {estimate.source}: {estimate.evidence}"
