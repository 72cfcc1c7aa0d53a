"""The rows of a testbench: values of the ports, and the expected outputs of the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.evidence.operating_point import OperatingPoint
from hwnas_hls.network.emulator import emulate, input_integers, margins, output_fraction
from hwnas_hls_plugins.synthesizers.open_synthesis.streaming import random_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design
    from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl

#: Rows beside those of the task: both ends of the input range, then values all over it. Rows of the task do
#: not reach every saturation limit.
RANDOM_ROWS = 256


def inputs(design: Design, features: NDArray[np.floating], rows: int) -> NDArray[np.int64]:
    """The inputs of the testbench on the input grid: rows of the task, then :data:`RANDOM_ROWS` others.

    Args:
        features: raw, (all rows, n_in).
        rows: how many of them, spread evenly; 0 or too large a number means all.

    Returns:
        int64 (rows + RANDOM_ROWS, n_in).
    """
    if rows and rows < len(features):
        features = features[np.linspace(0, len(features) - 1, rows).astype(np.int64)]
    random = random_inputs(design.architecture, RANDOM_ROWS, seed=0)
    return np.concatenate([input_integers(design, features), random])


def words(design: Design, circuit: Rtl, integers: NDArray[np.int64]) -> list[str]:
    """One hexadecimal word per row: the features in the low bits, the expected outputs above them.

    Args:
        integers: of :func:`inputs`.
    """
    answers = emulate(design, integers)
    return _words(design, circuit, integers, circuit.output.bits(answers, output_fraction(design)))


def class_words(design: Design, circuit: Rtl, integers: NDArray[np.int64], bits: int) -> list[str]:
    """Like :func:`words`, with the class instead of the outputs."""
    classes = np.argmax(emulate(design, integers), axis=1)
    return _words(design, circuit, integers, ((classes[:, None] >> np.arange(bits)) & 1).astype(np.uint8))


def accept_words(design: Design, circuit: Rtl, integers: NDArray[np.int64]) -> list[str]:
    """Like :func:`words`, with the decision of the operating point, which has a threshold."""
    point = OperatingPoint.from_json(design.meta["operating_point"])
    scores = margins(emulate(design, integers), design.labels.index(point.signal))
    decisions = scores >= point.threshold_integer
    return _words(design, circuit, integers, decisions[:, None].astype(np.uint8))


def _words(
    design: Design, circuit: Rtl, integers: NDArray[np.int64], expected: NDArray[np.uint8]
) -> list[str]:
    given = circuit.input.bits(integers, design.architecture.input.fraction)
    return hexadecimal(np.concatenate([given, expected], axis=1))


def hexadecimal(bits: NDArray[np.uint8]) -> list[str]:
    """Bits (rows, width), least significant first -> one hexadecimal number per row."""
    digits = -(-bits.shape[1] // 4)
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}" for row in packed]
