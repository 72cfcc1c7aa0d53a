"""What surrounds the calls of the layers: pragmas, other statements, a function around the top function."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hwnas_hls.errors import Unsupported
from hwnas_hls.hls4ml.folder.dense import Layers
from hwnas_hls.hls4ml.folder.expressions import evaluate
from hwnas_hls.hls4ml.folder.firmware import Firmware
from hwnas_hls.hls4ml.notes import Note, NoteKind

#: Pragmas that hls4ml itself writes into a top function (any release). Whatever else stands there changes
#: what is built.
_USUAL = frozenset(
    {"ARRAY_RESHAPE", "ARRAY_PARTITION", "INTERFACE", "PIPELINE", "DATAFLOW", "STREAM", "STABLE"}
)
#: Options of an array that hls4ml writes for none of a chain's layers: they leave fewer ports than values.
_PARTIAL = re.compile(r"(?:type=)?(?:cyclic|block)|factor=.*")
#: Modes of ports that add a bus, a queue or a memory port.
_PORT_MODE = re.compile(r"(?:mode=)?(s_axilite|m_axi|axis|ap_fifo|ap_memory|bram|ap_bus)")


def check_input(source: str, name: str, firmware: Firmware) -> None:
    """The first layer reads a port of the top function; otherwise nothing reaches it.

    Raises:
        Unsupported: it reads something else.
    """
    if not firmware.ports or source in firmware.parameters:
        return
    if source in firmware.touched:
        raise Unsupported(
            f"layer {name!r} reads {source}, which code fills that hls4ml did not write; only its layers are "
            "supported"
        )
    raise Unsupported(
        f"layer {name!r} reads {source}, which no layer writes: no layer uses the network's input, "
        "and the tools remove all logic"
    )


def check_output(result: str, firmware: Firmware) -> None:
    """The last layer writes a port of the top function; otherwise nothing leaves it.

    Raises:
        Unsupported: it writes something else.
    """
    if result not in firmware.variables or result in firmware.ports:
        return
    if result in firmware.touched:
        raise Unsupported(
            f"the last layer writes {result}, which code reads that hls4ml did not write; only its layers "
            "are supported"
        )
    raise Unsupported(
        f"the last layer writes {result}, which is no output of the top function, and the tools remove all "
        "logic"
    )


def uncounted(firmware: Firmware, arrays: Iterable[str]) -> list[Note]:
    """What is built besides the layers: statements that use their arrays, and a function around them all."""
    texts = [
        f"code that hls4ml did not write works on {name} and is not counted"
        for name in dict.fromkeys(arrays)
        if name in firmware.touched
    ]
    if firmware.wrapper:
        texts.append(f"the top function {firmware.wrapper} around {firmware.top} is not counted")
    notes = [Note(NoteKind.UNCOUNTED, text) for text in texts]
    if firmware.missing:
        text = (
            f"the scripts' top function {firmware.missing} is in no source: the layers are in {firmware.top}"
        )
        notes.append(Note(NoteKind.NO_DATA, text))
    for directive in dict.fromkeys(firmware.bindings.others):
        notes.append(Note(NoteKind.NO_DATA, f"{directive[:80]} in a header or script: no data", "pragma"))
    return notes


def pragma_reasons(pragmas: Iterable[str], constants: Mapping[str, str], layers: Layers) -> list[Note]:
    """Why pragmas of the top function put the design outside the measured domain.

    Args:
        pragmas: text behind ``#pragma HLS``.
        constants: names -> expressions, for names in it.
        layers: takes the interval of a pipeline that is not that of its layers.
    """
    texts: list[str] = []
    styles = set()
    for pragma in pragmas:
        words = re.sub(r"\s*=\s*", "=", pragma).split()
        kind = words[0].upper()
        styles.add(kind)
        if kind not in _USUAL:
            texts.append(f"{' '.join(words[:2])} on the top function: no data")
        elif kind.startswith("ARRAY_"):
            if any(_PARTIAL.fullmatch(word.lower()) for word in words[1:]):
                texts.append(f"{kind} {' '.join(words[1:])[:60]} on the top function: no data")
        elif kind == "PIPELINE":
            texts.append(_pipeline(words, constants, layers))
        elif kind == "DATAFLOW" and layers.io_type == "io_parallel" and not _shares(layers):
            texts.append("DATAFLOW on layers that are not Resource makes each a separate process: no data")
        elif kind == "INTERFACE" and layers.io_type == "io_parallel":
            texts += _ports(words)
    if not styles & {"PIPELINE", "DATAFLOW"} and layers.io_type == "io_parallel":
        texts.append("the top function has neither PIPELINE nor DATAFLOW, so layers wait for each other")
    return [Note(NoteKind.NO_DATA, text, "pragma") for text in dict.fromkeys(texts) if text]


def _shares(layers: Layers) -> bool:
    return any(layer.strategy.startswith(("Resource", "compressed")) for layer in layers.layers)


def _ports(words: list[str]) -> list[str]:
    modes = [match[1] for word in words[1:] if (match := _PORT_MODE.fullmatch(word.lower()))]
    return [f"an interface {mode} on the top function adds a wrapper that is not counted" for mode in modes]


def _pipeline(words: list[str], constants: Mapping[str, str], layers: Layers) -> str:
    """What a pipeline of the whole network means for the domain; empty where hls4ml writes the same."""
    options = [word for word in words[1:] if not word.upper().startswith("II=")]
    if options and options[0].lower() == "off":
        return "PIPELINE off on the top function: no data"
    written = next((word[3:] for word in words[1:] if word.upper().startswith("II=")), "1")
    interval = evaluate(written, constants)
    if interval is None or interval < 1:
        return f"PIPELINE II={written[:40]} on the top function: its value is not known"
    wanted = {layer.reuse_factor for layer in layers.layers}
    if interval > 1 and wanted != {interval}:
        layers.pipeline_ii = interval
        return f"PIPELINE II={interval} on the top function shares operators between its cycles"
    if options:
        return f"PIPELINE {' '.join(options)[:40]} on the top function: no data"
    looped = any(layer.strategy == "Resource" and layer.reuse_factor > 1 for layer in layers.layers)
    if looped and layers.io_type == "io_parallel":
        return "PIPELINE above Resource layers unrolls their loops: no data"
    return ""
