"""The values of the templates of an RTL folder, from a design and its circuit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hwnas_hls.evidence.operating_point import OperatingPoint
from hwnas_hls.network.emulator import output_fraction
from hwnas_hls.network.scaling import unscaled
from hwnas_hls.protocols.task import CLASSIFICATION
from hwnas_hls.values.estimate import Source

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design, Preprocessing
    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls_plugins.synthesizers.open_synthesis.ports import Element, Port
    from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl

_SHOWN = ("latency_cycles", "ii_cycles", "lut", "ff", "dsp", "bram_18k", "fmax_mhz", "latency_ns")
_BYTE = 8


def described(member: Member, circuit: Rtl, front: Front) -> dict[str, Any]:
    """The values that are the same for all templates."""
    design = member.design
    numbers = [
        {
            "metric": name,
            "value": f"{found.value:g}",
            "source": found.source,
            "evidence": plain(found.evidence),
        }
        for name in _SHOWN
        if (found := member.estimates.get(name)) is not None and found.circuit == circuit.circuit
    ]
    return {
        "name": design.hardware_name,
        "core": circuit.top,
        "key": member.key,
        "title": title(member, front),
        "circuit": circuit.circuit,
        "generator": circuit.facts["generator"],
        "proof": proof(member, circuit),
        "part": front.target.part,
        "clock_ns": design.architecture.clock_ns or front.clock_ns,
        "latency": circuit.stages,
        "numbers": numbers,
        "amd": bool(circuit.mapped),
        "input_bits": circuit.input.width,
        "output_bits": circuit.output.width,
        "input_words": -(-circuit.input.width // 32),
        "output_words": -(-circuit.output.width // 32),
        "inputs": features(design, circuit.input, front.dataset.features),
        "outputs": outputs(design, circuit.output),
        "standardised": _standardised(design) is not None,
        "scaling": scaling(design, front.dataset.features),
        "network_input": plain(str(unscaled(design.architecture).input)),
        "regression": "target_scale" in design.meta,
        "operating_point": _operating_point(design),
    }


def _operating_point(design: Design) -> str:
    """The threshold on the score of the signal class; empty for a task without one."""
    stated = design.meta.get("operating_point")
    return plain(str(OperatingPoint.from_json(stated))) if isinstance(stated, Mapping) else ""


def title(member: Member, front: Front) -> str:
    """One line that describes the network."""
    metric = front.dataset.metric
    score = member.estimates.get(metric)
    said = "" if score is None else f", {metric} {score.value:.4g} ({score.source})"
    task = front.run.task or "a task"
    return plain(f"Network {member.design.architecture.shape} for {task}{said}; design {member.key}")


def proof(member: Member, circuit: Rtl) -> str:
    """What has been proven for this circuit."""
    cycles = member.estimates.get("latency_cycles")
    if cycles is not None and cycles.source == Source.SIMULATED_RTL and cycles.circuit == circuit.circuit:
        return f"simulated: {plain(cycles.evidence)}"
    return "not simulated by hwnas-hls: run the testbench below, or `hwnas-hls synth` on the design's folder"


def features(design: Design, port: Port, names: Sequence[str]) -> list[dict[str, Any]]:
    """One entry per feature: its grid, its bits in the port, its standardisation."""
    given = _standardised(design)
    # A feature may have a type of its own, or none where nothing reads it.
    own = design.features or (design.architecture.input,) * design.architecture.n_in
    names = feature_names(design, names)
    out = []
    for place, (kind, element, bits) in enumerate(zip(own, port.elements, _places(port), strict=True)):
        fraction = element.fraction if kind is None else kind.fraction
        lowest, highest = (0, 0) if kind is None else (kind.lowest, kind.highest)
        out.append(
            {
                "name": plain(names[place]) if place < len(names) else f"feature {place}",
                "bits": bits,
                "sign": element.sign,
                "width": element.width,
                "fraction": fraction,
                "dropped": fraction - element.fraction,
                "lowest": lowest,
                "highest": highest,
                "low_value": f"{lowest * 2.0**-fraction:g}",
                "high_value": f"{highest * 2.0**-fraction:g}",
                "mean": repr(float(given.mean[place])) if given is not None else "",
                "scale": repr(float(given.scale[place])) if given is not None else "",
            }
        )
    return out


def feature_names(design: Design, names: Sequence[str]) -> Sequence[str]:
    """The names of the design's features; ``names`` if it has none."""
    return (design.preprocessing.names if design.preprocessing is not None else ()) or names


def _standardised(design: Design) -> Preprocessing | None:
    """How the host prepares raw features; ``None`` if it passes them unchanged."""
    given = design.preprocessing
    return None if given is None or given.changes_nothing else given


def scaling(design: Design, names: Sequence[str]) -> list[dict[str, Any]]:
    """One entry per feature that the circuit scales: its word, offset and shift; empty without a scaling."""
    found = design.architecture.scaling
    if found is None:
        return []
    names = feature_names(design, names)
    return [
        {
            "name": plain(names[place]) if place < len(names) else f"feature {place}",
            "word": plain(str(word)),
            "offset": f"{offset * 2.0**-word.fraction:g}",
            "shift": shift,
        }
        for place, (word, offset, shift) in enumerate(
            zip(found.words, found.offsets, found.shifts, strict=True)
        )
    ]


def outputs(design: Design, port: Port) -> list[dict[str, Any]]:
    """One entry per output: its grid, its bits in the port, the scale of its target."""
    scaled: Mapping[str, Any] = design.meta
    out = []
    for place, (element, bits) in enumerate(zip(port.elements, _places(port), strict=True)):
        entry: dict[str, Any] = {
            "name": plain(design.labels[place]) if place < len(design.labels) else f"output {place}",
            "bits": bits,
            "sign": element.sign,
            "width": element.width,
            "fraction": element.fraction,
        }
        if "target_scale" in scaled:
            entry |= {
                "mean": repr(float(scaled["target_mean"][place])),
                "scale": repr(float(scaled["target_scale"][place])),
            }
        out.append(entry)
    return out


def stream(circuit: Rtl) -> dict[str, int]:
    """Widths of the AXI4-Stream wrapper: whole bytes."""
    return {
        "input_bits": -(-circuit.input.width // _BYTE) * _BYTE,
        "output_bits": -(-circuit.output.width // _BYTE) * _BYTE,
    }


def largest(circuit: Rtl) -> dict[str, Any]:
    """The tree that finds the largest output: one register rank per level; the first of equals wins."""
    elements = circuit.output.elements
    fraction = max(element.fraction for element in elements)
    # A sign bit above the widest, so that unsigned outputs compare as they are.
    width = max(element.width + fraction - element.fraction for element in elements) + 1
    nodes = list(range(len(elements)))
    rounds: list[dict[str, Any]] = []
    while len(nodes) > 1:
        level = [
            {"place": place, "left": nodes[2 * place], "right": _second(nodes, place)}
            for place in range(-(-len(nodes) // 2))
        ]
        rounds.append({"number": len(rounds) + 1, "nodes": level})
        nodes = list(range(len(level)))
    return {
        "inputs": [_aligned(element, start, fraction, width) for element, start in _starts(circuit.output)],
        "width": width,
        "bits": max(1, (len(elements) - 1).bit_length()),
        "levels": len(rounds),
        "rounds": rounds,
    }


def decision(design: Design, circuit: Rtl) -> dict[str, Any] | None:
    """The comparisons of the operating point; ``None`` where no threshold keeps the wanted rate.

    A score is at least the threshold if the signal's output exceeds every other one by it.
    """
    point = OperatingPoint.from_json(design.meta["operating_point"])
    if point.threshold_integer is None:
        return None
    elements = circuit.output.elements
    fraction = max(element.fraction for element in elements)
    # Scores are multiples of the ports' grid, which may be coarser than that of the emulator.
    scale = Fraction(2) ** (fraction - output_fraction(design))
    bound = math.ceil(point.threshold_integer * scale)
    # A difference has one bit more than its terms, and so has the threshold, which is a score of a row.
    widest = max(element.width + fraction - element.fraction for element in elements) + 2
    width = max(widest, bound.bit_length() + 1)
    inputs = [_aligned(element, start, fraction, width) for element, start in _starts(circuit.output)]
    signal = design.labels.index(point.signal)
    return {
        "signal": plain(point.signal),
        "own": inputs[signal],
        "others": [one for place, one in enumerate(inputs) if place != signal],
        "threshold": bound,
        "literal": f"{'-' if bound < 0 else ''}{width}'sd{abs(bound)}",
        "fraction": fraction,
        "width": width,
    }


def _second(nodes: Sequence[int], place: int) -> int | None:
    return nodes[2 * place + 1] if 2 * place + 1 < len(nodes) else None


def _aligned(element: Element, start: int, fraction: int, width: int) -> str:
    """Verilog of one output on a common grid: sign or zeros above it, zeros below."""
    below = fraction - element.fraction
    above = width - element.width - below
    if not element.width:
        return f"{width}'b0"
    high = start + element.width - 1
    fill = f"word[{high}]" if element.sign else "1'b0"
    parts = [f"{{{above}{{{fill}}}}}", f"word[{high}:{start}]"]
    if below:
        parts.append(f"{{{below}{{1'b0}}}}")
    return f"{{{', '.join(parts)}}}"


def _starts(port: Port) -> list[tuple[Element, int]]:
    found, start = [], 0
    for element in port.elements:
        found.append((element, start))
        start += element.width
    return found


def _places(port: Port) -> list[str]:
    """The bits of each element, for example ``7:4``, or a remark that an element is unused."""
    return [
        f"{start + element.width - 1}:{start}" if element.width else "none: nothing uses it"
        for element, start in _starts(port)
    ]


def plain(text: str) -> str:
    """Text that is safe in one line of Markdown, Tcl, C and Verilog."""
    return re.sub(r"[^\w .,:;+\-=()%/<>]|\*/|/\*", " ", text).strip()


def is_classification(front: Front) -> bool:
    """Whether the largest output is a class."""
    return bool(front.dataset.kind == CLASSIFICATION and front.dataset.n_out > 1)


def file_size_words(bits: int) -> int:
    """Bits of a hexadecimal word that holds so many: a multiple of four."""
    return math.ceil(bits / 4) * 4
