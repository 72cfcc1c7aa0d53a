"""Cells of a row of designs as values: whatever a stranger's table may write, said in this package's words.

No reader raises: what cannot be read comes back as ``None`` or as a text that says why. Readers are cached,
for thousands of rows share few cells.
"""

from __future__ import annotations

import functools
import math
import re

from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import STAGES
from hwnas_hls_plugins.estimators.hls_model.table import ACTIVATION_CODES, STRATEGY_NAMES

MAX_LAYERS, MAX_WIDTH = 64, 65536
_PLAIN_NAMES = {
    "": "linear",
    "none": "linear",
    "identity": "linear",
    "activation": "linear",
    "qactivation": "linear",
    "relu6": "relu",
    "qrelu": "relu",
    "logistic": "sigmoid",
    "leakyrelu": "leaky_relu",
    "lrelu": "leaky_relu",
    "hardsigmoid": "hard_sigmoid",
    "hardtanh": "hard_tanh",
    "thresholdedrelu": "thresholded_relu",
    "binarytanh": "binary_tanh",
    "ternarytanh": "ternary_tanh",
}
#: Words of an activation list that are no activation.
_LAYER_WORDS = ("dense", "qdense", "linear_layer", "fc", "input", "dropout", "flatten")
_NORMALISATIONS = ("bn", "batchnorm", "batch_normalization", "batchnormalization", "batchnorm1d")
_LAST_ONLY = ("softmax", "sigmoid", "linear", "tanh")
_STAGE_WORDS = (
    ("post_route", ("route", "impl", "par", "placed")),
    ("csynth", ("csyn", "c_syn", "csim", "cosim", "hls", "c_synth")),
    ("logic_synth", ("logic", "vsyn", "vivado", "rtl", "out_of_context", "synth", "ooc")),
)
_TEXT_FOR_NOTHING = ("", "none", "nan", "null", "n/a", "na", "-", "?", "unknown", "default")


def plain(text: str) -> str:
    """A cell without the blanks around it; empty where it says that nothing is known."""
    text = text.strip()
    return "" if text.lower() in _TEXT_FOR_NOTHING else text


@functools.lru_cache(maxsize=65536)
def widths_of(text: str) -> tuple[int, ...] | str:
    """``16-64-5``, ``[16, 64, 5]``, ``16x64x5`` -> widths, or a text that says what is wrong."""
    if not text:
        return "empty"
    bare = re.sub(r"(?<=\d)\s*[xX×*]\s*(?=\d)", "-", text.strip("[](){}\"' "))
    pieces = [piece.strip(" \"'") for piece in re.split(r"[-,;:→>|/_\s]+", bare) if piece.strip(" \"'")]
    widths = []
    for piece in pieces:
        try:
            value = float(piece)
        except ValueError:
            return f"{text[:60]!r} is no list of widths such as 16-64-5"
        if not math.isfinite(value) or value != int(value) or not 1 <= value <= MAX_WIDTH:
            return f"{piece[:20]!r} is no width between 1 and {MAX_WIDTH}"
        widths.append(int(value))
    if len(widths) < 2:
        return f"{text[:60]!r} names fewer than two widths"
    if len(widths) > MAX_LAYERS + 1:
        return f"more than {MAX_LAYERS} layers"
    return tuple(widths)


@functools.lru_cache(maxsize=65536)
def activations_of(
    text: str, n_layers: int, softmax: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Note, ...], tuple[Note, ...]]:
    """Activation and normalisation of each layer, warnings, reasons.

    Args:
        text: one word a layer; one word for all hidden layers, or two for these and the last; empty.
        softmax: whether the row mentions a softmax elsewhere.
    """
    names = ["linear"] * n_layers
    normal = ["none"] * n_layers
    warnings: list[Note] = []
    reasons: list[Note] = []
    found: list[str] = []
    bare = re.sub(r"\([^()]*\)", "", text.lower())
    tokens = re.split(r"[-,;|/>\s]+", bare.strip("[](){}\"' ")) if bare.strip("[](){}\"' ") else []
    for token in tokens:
        word = token.strip("[](){}\"'").rsplit(".", 1)[-1]
        if word in _NORMALISATIONS:
            normal[max(0, min(len(found), n_layers) - 1)] = "batch"
            continue
        if word in _LAYER_WORDS:
            continue
        name = word.removeprefix("quantized_")
        name = _PLAIN_NAMES.get(name, name)
        if name not in ACTIVATION_CODES:
            reasons.append(Note(NoteKind.NO_DATA, f"unknown activation {word[:30]!r}"))
            name = "linear"
        if len(found) >= n_layers:
            if name != "linear":
                warnings.append(_activations(NoteKind.UNREAD, f"more than the {n_layers} layers take"))
            break
        found.append(name)
    if not tokens and n_layers > 1:
        found = ["relu"] * (n_layers - 1) + ["softmax" if softmax else "linear"]
        warnings.append(_activations(NoteKind.ASSUMED, "unknown", f"relu and a {found[-1]} end"))
    elif len(found) == 1 < n_layers - 1 and found[0] != "linear":
        found *= n_layers - 1
        text = f"one for {n_layers} layers, taken for all but the last"
        warnings.append(_activations(NoteKind.ASSUMED, text))
    elif len(found) == 2 < n_layers - 1 and found[1] in _LAST_ONLY and found[0] != found[1]:
        found = [found[0]] * (n_layers - 1) + [found[1]]
        text = f"two for {n_layers} layers, taken for the hidden ones and the last"
        warnings.append(_activations(NoteKind.ASSUMED, text))
    names[: len(found)] = found
    return tuple(names), tuple(normal), tuple(warnings), tuple(reasons)


def _activations(kind: NoteKind, text: str, taken: str = "") -> Note:
    return Note(kind, text, "activations", taken)


@functools.lru_cache(maxsize=65536)
def integers_of(text: str) -> tuple[int, ...] | None:
    """``8;32``, ``[8, 32]``, ``8-32``, ``{fc1: 8, fc2: 32}`` -> numbers, ``None`` where one is none."""
    bare = text.strip("[](){}\"' ")
    if ":" in bare:
        pieces = [piece.rsplit(":", 1)[-1] for piece in re.split(r"[;,]", bare)]
    elif re.fullmatch(r"\d+(?:-\d+)+", bare):
        pieces = bare.split("-")
    else:
        pieces = re.split(r"[;,|/\s]+", bare)
    out = []
    for piece in pieces:
        piece = piece.strip(" \"'")
        if not piece:
            continue
        try:
            value = float(piece)
        except ValueError:
            return None
        if not math.isfinite(value) or value < 0 or value > 1e12:
            return None
        out.append(int(value))
    return tuple(out)


@functools.lru_cache(maxsize=4096)
def stage_of(text: str) -> str | None:
    """One of the stages, empty where the cell is, ``None`` for what is none."""
    word = re.sub(r"[\s\-]+", "_", text.strip().lower())
    if not word or word in STAGES:
        return word
    for stage, words in _STAGE_WORDS:
        if any(word.startswith(start) or f"_{start}" in word for start in words):
            return stage
    return None


@functools.lru_cache(maxsize=4096)
def io_type_of(text: str) -> str:
    """``io_parallel``, ``io_stream``, or what the cell says where that is neither."""
    word = re.sub(r"[\s\-]+", "_", text.strip().lower())
    if not word or word in ("parallel", "ioparallel", "io_parallel"):
        return "io_parallel"
    if word in ("stream", "streaming", "iostream", "io_stream", "io_serial", "serial"):
        return "io_stream"
    return word


@functools.lru_cache(maxsize=4096)
def strategies_of(text: str) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Strategies, one a layer or one for all, and warnings."""
    names: list[str] = []
    warnings: list[Note] = []
    for piece in re.split(r"[;,|/]+", text.strip("[](){}\"' ")):
        name = piece.rsplit(":", 1)[-1].strip(" \"'[](){}")
        if not name:
            continue
        if name.lower().replace(" ", "_") not in STRATEGY_NAMES:
            text = f"unknown {name[:30]!r}, hls4ml builds Latency"
            warnings.append(Note(NoteKind.CHANGED, text, "strategy"))
        names.append(name.replace(" ", "_"))
    return tuple(names), tuple(warnings)
