"""The rows of a testbench: values of the ports, and the expected outputs of the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.emulator import emulate, input_integers, output_fraction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design
    from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl


def chosen(features: NDArray[np.floating], rows: int) -> NDArray[np.floating]:
    """Rows spread evenly over the given ones; 0 or too large a number means all."""
    if not rows or rows >= len(features):
        return features
    return features[np.linspace(0, len(features) - 1, rows).astype(np.int64)]


def words(design: Design, circuit: Rtl, features: NDArray[np.floating]) -> list[str]:
    """One hexadecimal word per row: the features in the low bits, the expected outputs above them.

    Args:
        features: raw, (rows, n_in).
    """
    integers = input_integers(design, features)
    answers = emulate(design, integers)
    given = circuit.input.bits(integers, design.architecture.input.fraction)
    expected = circuit.output.bits(answers, output_fraction(design))
    return hexadecimal(np.concatenate([given, expected], axis=1))


def class_words(design: Design, circuit: Rtl, features: NDArray[np.floating], bits: int) -> list[str]:
    """Like :func:`words`, with the class instead of the outputs."""
    integers = input_integers(design, features)
    given = circuit.input.bits(integers, design.architecture.input.fraction)
    classes = np.argmax(emulate(design, integers), axis=1)
    expected = ((classes[:, None] >> np.arange(bits)) & 1).astype(np.uint8)
    return hexadecimal(np.concatenate([given, expected], axis=1))


def accept_words(design: Design, circuit: Rtl, features: NDArray[np.floating]) -> list[str]:
    """Like :func:`words`, with the decision of the operating point instead of the outputs."""
    integers = input_integers(design, features)
    given = circuit.input.bits(integers, design.architecture.input.fraction)
    decisions = design.accepts(features)[:, None].astype(np.uint8)
    return hexadecimal(np.concatenate([given, decisions], axis=1))


def hexadecimal(bits: NDArray[np.uint8]) -> list[str]:
    """Bits (rows, width), least significant first -> one hexadecimal number per row."""
    digits = -(-bits.shape[1] // 4)
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}" for row in packed]
