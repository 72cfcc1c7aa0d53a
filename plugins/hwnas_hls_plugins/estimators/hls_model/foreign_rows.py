"""Tables that others wrote, brought into the documented columns and spellings that :mod:`.rows` reads.

What no rule here knows stays as it is, and the reader says that it cannot read it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from hwnas_hls_plugins.estimators.hls_model.precision_text import KEY, TYPE
from hwnas_hls_plugins.estimators.hls_model.row_cells import NORMALISATION
from hwnas_hls_plugins.estimators.hls_model.rows import COLUMNS

#: Other names of columns.
_ALIASES = {
    "id": "row_id",
    "name": "row_id",
    "architecture": "layers",
    "topology": "layers",
    "rf": "reuse_factor",
    "reuse": "reuse_factor",
    "clock": "clock_ns_target",
    "clock_ns": "clock_ns_target",
    "clock_period": "clock_ns_target",
    "clock_period_ns": "clock_ns_target",
    "device": "part",
    "fpga_part": "part",
    "target": "part",
    "activation": "activations",
    "nonzeros": "n_nonzeros",
    "iotype": "io_type",
}
_NOTHING = ("", "none", "nan", "null", "n/a", "na", "-", "?", "unknown", "default")
_BRACKETS = "[](){}\"' "
#: Words of a list of activations -> ours; those of layers without one are left out.
_ACTIVATIONS = {
    **dict.fromkeys(("none", "identity", "activation", "qactivation"), "linear"),
    **dict.fromkeys(("relu6", "qrelu"), "relu"),
    **dict.fromkeys(("leakyrelu", "lrelu"), "leaky_relu"),
    **dict.fromkeys(("batchnorm", "batch_normalization", "batchnormalization", "batchnorm1d"), NORMALISATION),
    **dict.fromkeys(("dense", "qdense", "linear_layer", "fc", "input", "dropout", "flatten"), ""),
    "logistic": "sigmoid",
    "hardsigmoid": "hard_sigmoid",
    "hardtanh": "hard_tanh",
    "thresholdedrelu": "thresholded_relu",
    "binarytanh": "binary_tanh",
    "ternarytanh": "ternary_tanh",
}
_STAGES = (
    ("post_route", r"(^|_)(post_route|route|impl|par|placed)"),
    ("csynth", r"(^|_)(c_?syn|csim|cosim|hls)"),
    ("logic_synth", r"(^|_)(logic|vsyn|vivado|rtl|out_of_context|synth|ooc)"),
)
_PARTS = {
    "in": "inputs?",
    "w": "weights?|kernel",
    "b": "bias(?:es)?",
    "acc": r"accum(?:ulator)?(?:_t)?",
    "out": "outputs?",
    "act": "activations?",
    "result": "results?",
    "default": "model|precision",
}
_PART_NAMES = tuple(
    (re.compile(rf"\b(?:{names})(?:_t)?(?=\s*[/:=]|\s+ap_)", re.I), part) for part, names in _PARTS.items()
)
#: A part before its type, without a colon. ``default`` is also a word: ``hls4ml default ap_fixed<16,6>``.
_BARE_PART = re.compile(rf"\b({'|'.join(part for part in _PARTS if part != 'default')})\s+(?=ap_)")
_ANY_TYPE = re.compile(r"(?:ap_)?(u?)(fixed|int)\s*<([^<>]*)>", re.I)
#: Two numbers that are not part of a type or call: ``16,6``, ``<16,6>``, ``(16, 6)``.
_BARE_PAIR = re.compile(r"(\w[<(][^<>()]*[>)])|[<(\[]?\b(\d{1,4})\s*,\s*(-?\d{1,4})\b[>)\]]?")
_QUANTISER = re.compile(r"quantized_(bits|relu)\s*\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?[^)]*\)")


def delimiter_of(line: str) -> str:
    """What parts the first line into most columns that are known; a comma where nothing does."""
    known = {
        mark: sum(name in COLUMNS for name in own_columns(cell.strip("\"' ") for cell in line.split(mark)))
        for mark in ",;\t"
    }
    return max(known, key=lambda mark: known[mark])


def own_columns(header: Iterable[str]) -> list[str]:
    """The documented names of columns; where a header holds both, the documented one counts."""
    words = ["_".join(name.strip().lower().split()) for name in header]
    return [_ALIASES.get(word, word) if _ALIASES.get(word) not in words else word for word in words]


def own_row(row: Mapping[str, str]) -> dict[str, str]:
    """The row with every documented column but the name in its documented spelling; others stay."""
    cells = {
        name: own_cell(name, text.strip()) if name in COLUMNS[1:] else text.strip()
        for name, text in row.items()
    }
    # Authors say in words where a directive binds the products.
    bound = re.search(r"multiplies bound to (DSP|\w+)", cells.get("notes", ""))
    if bound is not None and not cells.get("multipliers"):
        cells["multipliers"] = "dsp" if bound[1] == "DSP" else "fabric"
    return cells


def own_cell(column: str, text: str) -> str:
    """A cell in the documented spelling; empty where it says that nothing is known."""
    if text.lower() in _NOTHING:
        return ""
    respell = _RESPELL.get(column)
    return text if respell is None else respell(text)


def _widths(text: str) -> str:
    """``[16, 64, 5]``, ``16x64x5``, ``16 -> 64 -> 5``."""
    bare = text.strip(_BRACKETS)
    # Beside another separator, x may mean the pixels of an image: 28x28-64-10.
    if not re.search(r"\d\s*[-,;:→>|/_]", bare):
        bare = re.sub(r"(?<=\d)\s*[xX×*]\s*(?=\d)", "-", bare)
    return re.sub(r"[-,;:→>|/_\s\"']+", "-", bare).strip("-")


def _activations(text: str) -> str:
    """``['ReLU', 'softmax']``, ``nn.ReLU;quantized_relu(6,0)``."""
    words = re.split(r"[-,;|/>\s]+", re.sub(r"\([^()]*\)", "", text.lower()))
    plain = [
        word.strip(_BRACKETS).rsplit(".", 1)[-1].removeprefix("quantized_")
        for word in words
        if word.strip(_BRACKETS)
    ]
    return "-".join(filter(None, (_ACTIVATIONS.get(word, word) for word in plain)))


def _list(text: str) -> str:
    """``[8, 32]``, ``8-32``, ``{fc1: 8, fc2: 32}``, ``2.0``."""
    bare = text.strip(_BRACKETS)
    pieces: Sequence[str] = re.split(r"[;,|/]+" if ":" in bare else r"[;,|/\s]+", bare)
    if re.fullmatch(r"\d+(?:-\d+)+", bare):
        pieces = bare.split("-")
    values = (piece.rsplit(":", 1)[-1].strip(_BRACKETS) for piece in pieces)
    return ";".join(re.sub(r"\.0*$", "", value) for value in values if value)


def _strategies(text: str) -> str:
    """``latency``, ``{fc1: Latency, fc2: Resource}``."""
    pieces = (piece.rsplit(":", 1)[-1].strip(_BRACKETS) for piece in re.split(r"[;,|/]+", text))
    return ";".join(piece.replace(" ", "_") for piece in pieces if piece)


def _stage(text: str) -> str:
    """``C Synthesis``, ``post-route``."""
    word = re.sub(r"[\s\-]+", "_", text.lower())
    return next((stage for stage, pattern in _STAGES if re.search(pattern, word)), word)


def _io_type(text: str) -> str:
    """``Parallel``, ``io_serial``, ``streaming``."""
    word = re.sub(r"[\s\-_]+", "", text.lower()).removeprefix("io")
    if word.startswith(("stream", "serial")):
        return "io_stream"
    return "io_parallel" if word == "parallel" else text.lower()


def _precision(text: str) -> str:
    """``<16,6>``, ``fixed<8, 3>``, ``weight=ap_fixed<8,2>; bias: ...``, quantisers of QKeras."""
    out = re.sub(r"[{}\"']", " ", text).strip()
    out = _ANY_TYPE.sub(
        lambda found: f"ap_{found[1].lower()}{found[2].lower()}<{found[3].upper().replace(' ', '')}>", out
    )
    out = _BARE_PAIR.sub(lambda found: found[1] or f"ap_fixed<{found[2]},{found[3]}>", out)
    for pattern, part in _PART_NAMES:
        out = pattern.sub(part, out)
    out = _BARE_PART.sub(r"\1: ", re.sub(r"\b(\w+)\s*=", r"\1:", out))
    if KEY.search(out) or TYPE.search(out):
        return _QUANTISER.sub(_of_quantiser, out)
    # QKeras names no parts: bits are those of weights and biases, a relu is an activation.
    found = list(_QUANTISER.finditer(out))
    kinds = {
        key: ";".join(_of_quantiser(match) for match in found if match[1] == word)
        for key, word in (("w/b", "bits"), ("act", "relu"))
    }
    return " ".join(f"{key}: {types}" for key, types in kinds.items() if types) or out


def _of_quantiser(found: re.Match[str]) -> str:
    """QKeras does not count the sign bit among the integer bits; ``ap_fixed`` does.

    hls4ml rounds and saturates where a quantised ReLU did, as the firmware of three designs shows.
    """
    bits, integer = int(found[2]), int(found[3] or 0)
    if found[1] == "bits":
        return f"ap_fixed<{bits},{integer + 1}>"
    return f"ap_ufixed<{bits},{integer},AP_RND_CONV,AP_SAT>"


#: Column -> function that respells its cells; cached, because thousands of rows have few different cells.
_RESPELL: Mapping[str, Callable[[str], str]] = {
    column: functools.lru_cache(maxsize=65536)(respell)
    for column, respell in (
        ("layers", _widths),
        ("activations", _activations),
        ("precision", _precision),
        ("reuse_factor", _list),
        ("reuse_factor_effective", _list),
        ("n_nonzeros", _list),
        ("strategy", _strategies),
        ("stage", _stage),
        ("io_type", _io_type),
    )
}
