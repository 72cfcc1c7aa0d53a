"""Writes the ``rtl`` folder of a design: sources, testbenches, scripts, host code and README."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, Unsupported, UserError
from hwnas_hls.network.design import Design
from hwnas_hls.render import render
from hwnas_hls.system.files import write_text
from hwnas_hls_plugins.exporters.rtl_export import description, rows

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl

log = logging.getLogger(__name__)

FOLDER = "rtl"
STATEMENT = "circuit.json"
LANGUAGES = ("verilog", "vhdl")
#: Runs a testbench with exit statuses that make does not have.
_SCRIPT = "sim.sh"


@dataclass(frozen=True, slots=True)
class Options:
    """What to write in addition to the circuit.

    Args:
        rows: test rows of the testbench; 0 takes all.
        axi_stream, argmax, accept: also a wrapper of this kind, with its testbench.
    """

    rows: int = 256
    axi_stream: bool = False
    argmax: bool = False
    accept: bool = False


def write_package(
    member: Member, circuit: Rtl, front: Front, place: Path, options: Options, language: str
) -> list[Path]:
    """Write ``place/rtl`` and record the circuit in ``design.json``.

    A folder of the same circuit keeps the other language, and ``vhdl`` keeps the settings of ``verilog``;
    a folder of another circuit is replaced.

    Args:
        place: the design's folder.
        language: the requested one; Verilog is always written, because it is the proven circuit.

    Raises:
        UserError: the class is requested, but the task is not a classification; or the decision, but the
            design has no operating point.
        Unsupported: all outputs of the circuit are constant.
    """
    if options.argmax and not description.is_classification(front):
        raise UserError(
            "only a classifier has a class",
            kind=ErrorKind.CONFLICT,
            where="argmax",
            found=front.dataset.kind,
        )
    if options.accept and "operating_point" not in member.design.meta:
        raise UserError(
            "the design has no operating point",
            kind=ErrorKind.CONFLICT,
            where="accept",
            found=f"design {member.key}",
            remedy="name the signal class in [task]: signal",
        )
    if not circuit.input.width or not circuit.output.width:
        raise Unsupported("the outputs are constant: there is no circuit")
    folder = place / FOLDER
    languages = {"verilog", language}
    if (kept := _stated(folder)).get("circuit") == circuit.circuit:
        languages |= set(kept.get("languages", ()))
        if language == "vhdl":
            options = _with_verilogs(options, kept.get("options"), member.design)
    shutil.rmtree(folder, ignore_errors=True)
    values = description.described(member, circuit, front)
    written = _sources(circuit, folder, values["name"], "vhdl" in languages)
    values |= _listed(values, circuit, options, "vhdl" in languages)
    values["accept"] = description.decision(member.design, circuit) if options.accept else None
    if options.accept and values["accept"] is None:
        log.warning("%s: no threshold keeps the rate, so no decision in hardware", member.key)
    written += _rows(member.design, circuit, front, folder, values, options.rows)
    written += _rendered(folder, values)
    statement = {
        "circuit": circuit.circuit,
        "design": member.design.digest(),
        "top": values["name"],
        "core": circuit.top,
        "generator": circuit.facts["generator"],
        "languages": sorted(languages, key=LANGUAGES.index),
        "options": dataclasses.asdict(options),
        "latency_cycles": circuit.stages,
        "ii_cycles": 1,
        "clock_ns": values["clock_ns"],
        "target": front.target.part,
        "features": values["inputs"],
        "outputs": values["outputs"],
        "files_sha256": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(written)
        },
    }
    written.append(write_text(folder / STATEMENT, json.dumps(statement, indent=2) + "\n"))
    _state(place, circuit)
    return written


def _stated(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / STATEMENT).read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _with_verilogs(options: Options, kept: Any, design: Design) -> Options:
    """The options of ``vhdl``, which has no wrappers of its own, with those of an earlier ``verilog``.

    A run writes the folder once for each of the two; the second must not undo the settings of the first.
    """
    if not isinstance(kept, dict) or not isinstance(wanted := kept.get("rows"), int) or wanted < 0:
        return options
    return Options(
        wanted if options.rows == Options().rows else options.rows,
        axi_stream=kept.get("axi_stream") is True,
        argmax=kept.get("argmax") is True,
        accept=kept.get("accept") is True and "operating_point" in design.meta,
    )


def _state(place: Path, circuit: Rtl) -> None:
    """Record the circuit in ``design.json``."""
    if not (place / "design.json").is_file():
        return
    design = Design.load(place)
    stated = {"sha256": circuit.circuit, "generator": circuit.facts["generator"], "folder": FOLDER}
    if design.meta.get("circuit") != stated:
        dataclasses.replace(design, meta={**design.meta, "circuit": stated}).save(place)


def _sources(circuit: Rtl, folder: Path, name: str, vhdl: bool) -> list[Path]:
    """The files of the circuit, unchanged."""
    places = {source: f"src/{source}" for source in (*circuit.sources, *circuit.mapped.values())}
    if vhdl:
        places |= {source: f"src/{source}" for source in circuit.vhdl}
    written = []
    for source, target in places.items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(circuit.folder / source, path)
        written.append(path)
    return written


def _listed(values: dict[str, Any], circuit: Rtl, options: Options, vhdl: bool) -> dict[str, Any]:
    """The values that depend on the options: sources in reading order, wrappers, testbench widths."""
    name, given = values["name"], values["input_bits"]
    argmax = description.largest(circuit) if options.argmax else None
    if argmax is not None:
        argmax["rows_file"] = f"tb/{name}_class_rows.hex"
    return {
        "verilog": [*(f"src/{source}" for source in circuit.sources), f"src/{name}.v"],
        "vhdl": [*(f"src/{source}" for source in circuit.vhdl), f"src/vhdl/{name}.vhd"] if vhdl else [],
        "axis": description.stream(circuit) if options.axi_stream else None,
        "argmax": argmax,
        "rows_file": f"tb/{name}_rows.hex",
        "bench": _bench(name, f"tb/{name}_rows.hex", values["latency"], given, values["output_bits"]),
    }


def _bench(
    module: str, rows_file: str, latency: int, input_bits: int, output_bits: int, port: str = "outputs"
) -> dict[str, Any]:
    return {
        "port": port,
        "module": module,
        "rows": rows_file,
        "latency": latency,
        "output_bits": output_bits,
        "word_bits": description.file_size_words(input_bits + output_bits),
    }


def _rows(
    design: Design, circuit: Rtl, front: Front, folder: Path, values: dict[str, Any], wanted: int
) -> list[Path]:
    inputs = rows.inputs(design, front.dataset.test.x, wanted)
    values["rows"], values["random_rows"] = len(inputs), rows.RANDOM_ROWS
    written = [_lines(folder / values["rows_file"], rows.words(design, circuit, inputs))]
    if values["argmax"] is not None:
        words = rows.class_words(design, circuit, inputs, values["argmax"]["bits"])
        written.append(_lines(folder / values["argmax"]["rows_file"], words))
    if values["accept"] is not None:
        words = rows.accept_words(design, circuit, inputs)
        written.append(_lines(folder / f"tb/{values['name']}_accept_rows.hex", words))
    return written


def _lines(path: Path, words: list[str]) -> Path:
    return write_text(path, "\n".join(words) + "\n")


def _rendered(folder: Path, values: dict[str, Any]) -> list[Path]:
    """All files from templates."""
    name = values["name"]
    files = {
        f"src/{name}.v": "top.v",
        f"tb/{name}_tb.v": "tb.v",
        f"host/{name}_host.h": "host.h",
        f"host/{name}_host.c": "host.c",
        f"host/{name}_host.py": "host.py",
        f"vivado/{name}_ooc.xdc": "ooc.xdc",
        "vivado/implement.tcl": "implement.tcl",
        "vivado/package_ip.tcl": "package_ip.tcl",
        f"{name}.core": "fusesoc.core",
        "Makefile": "Makefile",
        _SCRIPT: _SCRIPT,
        "README.md": "README.md",
    }
    if values["vhdl"]:
        files |= {f"src/vhdl/{name}.vhd": "top.vhd", f"tb/{name}_tb.vhd": "tb.vhd"}
    if values["axis"] is not None:
        files |= {f"src/{name}_axis.v": "axis.v", f"tb/{name}_axis_tb.v": "axis_tb.v"}
    written = [
        write_text(folder / place, render(f"rtl/{template}.j2", **values))
        for place, template in files.items()
    ]
    (folder / _SCRIPT).chmod(0o755)
    for kind, bench in _stages(values).items():
        for place, template in ((f"src/{name}_{kind}.v", f"{kind}.v"), (f"tb/{name}_{kind}_tb.v", "tb.v")):
            text = render(f"rtl/{template}.j2", **{**values, "bench": bench})
            written.append(write_text(folder / place, text))
    return written


def _stages(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The optional stages behind the outputs, each with the values of its testbench."""
    name, latency, given = values["name"], values["latency"], values["input_bits"]
    found = {}
    if values["argmax"] is not None:
        argmax = values["argmax"]
        later = latency + argmax["levels"]
        found["class"] = _bench(f"{name}_class", argmax["rows_file"], later, given, argmax["bits"])
    if values["accept"] is not None:
        rows_file = f"tb/{name}_accept_rows.hex"
        found["accept"] = _bench(f"{name}_accept", rows_file, latency + 1, given, 1, "accept")
    return found
