"""Converts a measurement into estimates for a part, each with its evidence and its limits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.layers import Weighted
from hwnas_hls.protocols.target import Target
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.estimate import Estimate, Source, measured
from hwnas_hls_plugins.synthesizers.open_synthesis.counts import Counts
from hwnas_hls_plugins.synthesizers.open_synthesis.measurement import Measurement
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import routed_law
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import FAMILY, FITS, Period, period
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

#: LUTs of Yosys (this flow, inverters counted) over LUTs of Vivado after routing: value, low, high.
#: Three published networks: da4ml's jet tagger 1.040, HGQ's two jet taggers 1.018 (0.997 at five
#: adder levels) and 1.064 (1.044); 6k to 12k LUTs, UltraScale+.
LUT_OVER_VIVADO = (1.04, 1.00, 1.06)


def vivado_lut(lut: float) -> tuple[float, float, float]:
    """The expected LUTs of Vivado after routing for ``lut`` LUTs of Yosys: value, low, high."""
    value, low, high = LUT_OVER_VIVADO
    return lut / value, lut / high, lut / low


def estimates(
    measurement: Measurement, architecture: Architecture, target: Target, *, distributed: bool
) -> dict[str, Estimate]:
    """Metric -> estimate.

    Args:
        measurement: of the design.
        architecture: of the design.
        target: the part; only its family matters.
        distributed: whether the RTL is distributed arithmetic (else plain multipliers).
    """
    in_domain = builds_what_is_asked(architecture, distributed=distributed)
    simulated = (
        f"{measurement.rows} inputs, a new one every clock, equal the integer emulator bit for bit "
        f"({measurement.facts['generator']} RTL, {measurement.simulator})"
    )
    out = _cycles(measurement, simulated, in_domain)
    timing = None
    counts = measurement.counts
    if measurement.routes:
        out |= _routed(measurement, target, in_domain)
    elif counts is not None and target.family == ECP5:
        out |= _mapped_to_ecp5(measurement, counts, in_domain)
    elif counts is not None:
        out |= _resources(measurement, counts, target, distributed, in_domain)
    if distributed:
        # Without a mapping, the generator's cost is accurate enough for the small LUT term.
        facts = measurement.facts
        lut = facts["cost_lut"] if counts is None else counts.lut_high
        if counts is None and target.family == ECP5:
            lut = routed_law().lut(lut).value
        stage_bits = facts["path_bits"] / measurement.stages if "path_bits" in facts else None
        timing = period(facts["adder_levels"], lut, target.family, stage_bits, target.part)
    if not measurement.routes:
        out |= _timing(measurement, target, timing, in_domain)
    return {name: dataclasses.replace(found, circuit=measurement.circuit) for name, found in out.items()}


def builds_what_is_asked(architecture: Architecture, *, distributed: bool) -> bool:
    """Whether the generated RTL corresponds to the architecture's HLS strategy.

    This holds for distributed arithmetic. The plain multipliers do not follow Vitis HLS's rules for DSP
    blocks.
    """
    return distributed and all(
        layer.strategy == "distributed_arithmetic" and layer.reuse_factor == 1
        for layer in architecture.layers
        if isinstance(layer, Weighted)
    )


def _cycles(measurement: Measurement, simulated: str, in_domain: bool) -> dict[str, Estimate]:
    cycles, source = measurement.latency_cycles, "simulated_rtl"
    low = cycles
    evidence = f"the outputs equal the expected ones at this delay and no other: {simulated}"
    if cycles is None:
        # A network with constant outputs: its output stream does not show the latency.
        cycles, low, source = measurement.stages, 0, "predicted"
        evidence = f"pipeline stages counted by the generator; the outputs are constant: {simulated}"
    latency = Estimate("latency_cycles", cycles, low or 0, cycles, source, evidence, in_domain=in_domain)
    ii = measurement.ii_cycles
    interval = Estimate("ii_cycles", ii, ii, ii, "simulated_rtl", simulated, in_domain=in_domain)
    return {"latency_cycles": latency, "ii_cycles": interval}


def _timing(
    measurement: Measurement, target: Target, timing: Period | None, in_domain: bool
) -> dict[str, Estimate]:
    """``latency_ns`` is a prediction, because the cycles are proven but the clock period is not."""
    cycles = measurement.stages if measurement.latency_cycles is None else measurement.latency_cycles
    clock_ns = measurement.clock_ns
    proven = (
        f"{counted(cycles, 'cycle')} by RTL simulation; it is not proven that the clock of "
        f"{clock_ns:g} ns is met"
    )
    if timing is None:
        evidence = f"{proven}: no period model for this RTL on {target.family}"
        if target.family not in FITS and "adder_levels" in measurement.facts:
            evidence += f"; the model of {FAMILY} divided its pipeline"
        value = cycles * clock_ns
        return {
            "latency_ns": Estimate(
                "latency_ns", value, value, math.inf, "predicted", evidence, in_domain=in_domain
            )
        }
    evidence = timing.evidence
    inside = timing.in_domain and in_domain
    coverage = timing.coverage if inside else None
    value, low, high = (cycles * period_ns for period_ns in timing.at_clock(clock_ns))
    return {
        "latency_ns": Estimate(
            "latency_ns",
            value,
            low,
            high,
            "predicted",
            f"{proven}; {evidence}",
            coverage,
            in_domain=inside,
        ),
        "fmax_mhz": Estimate(
            "fmax_mhz",
            1000 / timing.value_ns,
            1000 / timing.high_ns,
            1000 / timing.low_ns,
            "predicted",
            evidence,
            coverage,
            in_domain=inside,
        ),
    }


def _routed(measurement: Measurement, target: Target, in_domain: bool) -> dict[str, Estimate]:
    """The numbers of the routed circuit; timing is that of the slowest placement.

    ``latency_ns`` uses the clock of the design if the slowest placement meets it, else the clock that this
    placement reaches.
    """
    routes, slowest = measurement.routes, measurement.slowest
    if slowest is None:
        return {}
    seeds = ", ".join(f"{route.fmax_mhz:.2f}" for route in routes)
    tool = f"{measurement.versions['nextpnr']} on {target.part}, {measurement.facts['generator']} RTL"
    cells = f"{tool}: cells in use after routing, without those of the harness at the ports"
    timing = (
        f"{tool}: static timing of the routed circuit, the worst of {len(routes)} "
        f"{'placements' if len(routes) > 1 else 'placement'} ({seeds} MHz)"
    )
    period_ns = 1000.0 / slowest.fmax_mhz
    meets = period_ns <= measurement.clock_ns
    clock_ns = measurement.clock_ns if meets else period_ns
    proven = measurement.latency_cycles is not None
    cycles = measurement.stages if measurement.latency_cycles is None else measurement.latency_cycles
    delay = (
        f"{counted(cycles, 'cycle')} by RTL simulation"
        if proven
        else f"{counted(cycles, 'stage')} by the generator (constant outputs)"
    )
    which = f"at the clock of {clock_ns:g} ns, which it meets"
    if not meets:
        which = f"at {clock_ns:.4g} ns, since the clock of {measurement.clock_ns:g} ns is not met"
    values = {
        "lut": (max(route.lut for route in routes), f"{cells}: LUT4, halves of carry cells included"),
        "ff": (slowest.ff, cells),
        "dsp": (slowest.dsp, cells),
        "bram_18k": (slowest.bram_18k, cells),
        "uram": (0, f"{target.name} has none"),
        "fmax_mhz": (slowest.fmax_mhz, timing),
        "latency_ns": (cycles * clock_ns, f"{delay}, {which}; {timing}"),
    }
    found = {
        name: dataclasses.replace(measured(name, value, "post_route", evidence), in_domain=in_domain)
        for name, (value, evidence) in values.items()
    }
    if not proven:
        found["latency_ns"] = dataclasses.replace(found["latency_ns"], low=0.0, source=Source.PREDICTED)
    return found


def _mapped_to_ecp5(measurement: Measurement, counts: Counts, in_domain: bool) -> dict[str, Estimate]:
    """The numbers of the mapped netlist; placement adds LUTs where carry chains begin and end."""
    tool = f"yosys {measurement.versions['yosys']} for ECP5, {measurement.facts['generator']} RTL"
    pairs = counts.carry_bits // 2
    lut = (
        f"{tool}: {counts.lut - 2 * pairs} LUT4 and {pairs} CCU2C of two LUT4; placement adds at most two "
        "LUT4 for each CCU2C that begins or ends a carry chain (high)"
    )
    values = {
        "lut": (counts.lut, counts.lut + 2 * pairs, lut),
        "ff": (counts.ff, counts.ff, f"{tool}: registers, of which placement keeps all"),
        "dsp": (counts.dsp, counts.dsp, f"{tool}: MULT18X18D"),
        "bram_18k": (counts.bram_18k, counts.bram_18k, f"{tool}: DP16KD"),
        "uram": (0, 0, "ECP5 has none"),
    }
    return {
        name: Estimate(name, value, value, high, "open_synthesis", evidence, in_domain=in_domain)
        for name, (value, high, evidence) in values.items()
    }


def _resources(
    measurement: Measurement, counts: Counts, target: Target, distributed: bool, in_domain: bool
) -> dict[str, Estimate]:
    tool = f"yosys {measurement.versions['yosys']} for {target.family}, {measurement.facts['generator']} RTL"
    lut = (
        f"{tool}: {counts.lut} LUT1-6, {counts.srl} shift registers, {counts.inv} inverters "
        "(low: all absorbed, high: none)"
    )
    generator = str(measurement.facts["generator"])
    if distributed and not generator.startswith("da4ml"):
        lut += "; no published design of this generator includes weights, so Vivado was not compared"
    elif distributed:
        value, low, high = vivado_lut(counts.lut_high)
        lut += (
            f"; Vivado after routing is expected at {value:.0f} ({low:.0f}-{high:.0f}): Yosys / Vivado "
            "1.04 (1.00-1.06) on three published networks of 6k to 12k LUTs"
        )
    else:
        lut += "; no calibration against Vivado for this RTL"
    if distributed:
        # The smallest observed ratio, so the interval matches the evidence.
        ff_low = 0.4 * counts.ff
        ff = f"{tool}: an upper bound (Vivado kept 0.4 to 0.95 of these on three published networks)"
    else:
        ff_low, ff = 0.0, f"{tool}: an upper bound (Vivado moves registers into DSP blocks)"
    dsp = f"{tool}: " + (
        "distributed arithmetic has no multiplier" if distributed else "DSP blocks by Yosys' width rules"
    )
    metrics = {
        "lut": (counts.lut_high, counts.lut_low, lut),
        "ff": (counts.ff, ff_low, ff),
        "dsp": (counts.dsp, counts.dsp, dsp),
        "bram_18k": (counts.bram_18k, counts.bram_18k, tool),
        "uram": (counts.uram, counts.uram, tool),
    }
    return {
        name: Estimate(name, value, low, value, "open_synthesis", evidence, in_domain=in_domain)
        for name, (value, low, evidence) in metrics.items()
    }


def table(counts: Counts | None, facts: Mapping[str, float | str]) -> dict[str, float]:
    """All counts by name: cells, and the numbers in the generator's facts."""
    numbers = {name: float(value) for name, value in facts.items() if isinstance(value, int | float)}
    return numbers | ({} if counts is None else {name: float(n) for name, n in counts.to_json().items()})
