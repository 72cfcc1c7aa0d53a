"""Integer losses: the sum does not depend on the order or the compiler."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Fractional bits of a row's loss.
LOSS_BITS = 24
ONE = 1 << LOSS_BITS
#: Label smoothing: the share of a label that is spread over all classes.
SMOOTHING = 0.05
#: Terms of a softmax below ``exp(-this)`` are neglected.
_FARTHEST = 17.0
_MOST_EXPONENTIALS = 1 << 16
_LOGARITHMS = 4096
#: Number of rows for finding the temperature.
_SCALE_ROWS = 4096
#: Sums of this many ones fit into 31 bits.
MOST_CLASSES = 127
_FARTHEST_OFF = 1 << 27
#: Fractional bits of the gradient at an output.
_SLOPE_BITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class CrossEntropy:
    """Cross entropy of integer outputs with smoothed labels, in nats x 2**24.

    Args:
        labels: int32 (rows,).
        classes: number of outputs.
        temperature: nats per least significant bit of the outputs, x 2**40.
        own, each: label shares of the true class and of every class.
        exponentials: table of exponentials of the distance from the largest output, in steps of ``2**shift``.
        shift: see ``exponentials``.
        logarithms: table of the logarithms of ``1 + k / 4096``.
    """

    labels: NDArray[np.int32]
    classes: int
    temperature: int
    own: int
    each: int
    exponentials: NDArray[np.int32]
    shift: int
    logarithms: NDArray[np.int32]

    @classmethod
    def of(
        cls, outputs: NDArray[np.int64], labels: NDArray[np.integer], smoothing: float = SMOOTHING
    ) -> CrossEntropy:
        """The loss with the temperature that minimises the cross entropy of the outputs (rows, classes)."""
        rows, classes = outputs.shape
        if classes > MOST_CLASSES:
            raise UserError(
                f"refinement supports at most {MOST_CLASSES} classes", found=classes, kind=ErrorKind.TOO_LARGE
            )
        if len(labels) != rows or labels.min() < 0 or labels.max() >= classes:
            raise UserError(f"labels must be {rows} class indices from 0 to {classes - 1}", found=labels)
        scale = _best_scale(outputs[:_SCALE_ROWS].astype(np.float64), labels[:_SCALE_ROWS], smoothing)
        temperature = max(1, round(scale * (1 << (LOSS_BITS + 16))))
        farthest = _FARTHEST / (temperature / (1 << (LOSS_BITS + 16)))
        shift = max(0, math.ceil(math.log2(farthest / _MOST_EXPONENTIALS)))
        steps = np.arange(math.ceil(farthest / (1 << shift)) + 1) * (temperature / (1 << (LOSS_BITS + 16)))
        exponentials = np.rint(np.exp(-steps * (1 << shift)) * ONE).astype(np.int32)
        exponentials[-1] = 0
        logarithms = np.rint(np.log1p(np.arange(_LOGARITHMS + 1) / _LOGARITHMS) * ONE).astype(np.int32)
        return cls(
            np.ascontiguousarray(labels, np.int32),
            classes,
            temperature,
            round(temperature * (1.0 - smoothing)),
            round(temperature * smoothing / classes),
            exponentials,
            shift,
            logarithms,
        )

    @property
    def log_two(self) -> int:
        return round(math.log(2.0) * ONE)

    def __call__(self, outputs: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Outputs (classes, n) of these rows -> their losses (n,)."""
        largest = outputs.max(axis=0)
        off = largest - outputs
        below = np.minimum(off >> self.shift, len(self.exponentials) - 1)
        total = self.exponentials[below].sum(axis=0, dtype=np.int64)
        lacks = largest - outputs[self.labels[rows], np.arange(len(rows))]
        lost = lacks * self.own + off.sum(axis=0) * self.each
        found: NDArray[np.int64] = (lost >> 16) + self._logarithm(total)
        return found

    def slopes(
        self, outputs: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], float]:
        """The gradient at outputs (classes, n) of these rows: whole numbers, and their unit in nats."""
        off = outputs.max(axis=0) - outputs
        shares = self.exponentials[np.minimum(off >> self.shift, len(self.exponentials) - 1)].astype(
            np.float64
        )
        wanted = np.full(outputs.shape, self.each / self.temperature)
        wanted[self.labels[rows], np.arange(len(rows))] += self.own / self.temperature
        slope = np.rint((shares / shares.sum(axis=0) - wanted) * (1 << _SLOPE_BITS))
        return slope, self.temperature / (1 << 16) / ONE / (1 << _SLOPE_BITS)

    def _logarithm(self, total: NDArray[np.int64]) -> NDArray[np.int64]:
        high = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
        mantissa = total << (31 - high)
        place, rest = (mantissa >> 19) & 4095, mantissa & 0x7FFFF
        table = self.logarithms.astype(np.int64)
        start = table[place]
        found: NDArray[np.int64] = (
            start + (((table[place + 1] - start) * rest) >> 19) + (high - LOSS_BITS) * self.log_two
        )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class SquaredError:
    """Half the squared distance from targets, summed over outputs, x 2**24.

    Args:
        targets: int32 (outputs, rows) on the outputs' grid.
        shift: right shift from squares on that grid to 24 fractional bits.
    """

    targets: NDArray[np.int32]
    shift: int

    @classmethod
    def of(cls, fraction: int, targets: NDArray[np.floating]) -> SquaredError:
        """Targets (rows, outputs) in the unit of the outputs, which have ``fraction`` fractional bits."""
        scaled = np.rint(np.asarray(targets, np.float64) * 2.0**fraction)
        whole = np.clip(scaled, -(2.0**30), 2.0**30).astype(np.int32)
        return cls(np.ascontiguousarray(whole.T), 2 * fraction - LOSS_BITS + 1)

    def __call__(self, outputs: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Outputs (outputs, n) of these rows -> their losses (n,)."""
        off = np.clip(outputs - self.targets[:, rows], -_FARTHEST_OFF, _FARTHEST_OFF).astype(np.int64)
        squares = off * off
        shifted = squares >> self.shift if self.shift >= 0 else squares << -self.shift
        total: NDArray[np.int64] = shifted.sum(axis=0)
        return total

    def slopes(
        self, outputs: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], float]:
        """The gradient at outputs (outputs, n) of these rows: whole numbers, and their unit."""
        off = np.clip(outputs - self.targets[:, rows], -_FARTHEST_OFF, _FARTHEST_OFF).astype(np.float64)
        return off, 2.0 ** (1 - self.shift) / ONE


Loss = CrossEntropy | SquaredError


def _best_scale(outputs: NDArray[np.float64], labels: NDArray[np.integer], smoothing: float) -> float:
    """The factor of the outputs with the least cross entropy, by golden section over its logarithm."""
    spread = float(np.abs(outputs - outputs.mean(axis=1, keepdims=True)).mean()) or 1.0
    own = outputs[np.arange(len(outputs)), labels][:, None]
    # Relative to the true class, to avoid cancellation.
    against = outputs - own

    def loss(log_scale: float) -> float:
        answers = against * math.exp(log_scale)
        largest = answers.max(axis=1)
        entropy = largest + np.log(np.exp(answers - largest[:, None]).sum(axis=1))
        return float((entropy - smoothing * answers.mean(axis=1)).mean())

    low, high = math.log(0.05 / spread), math.log(50.0 / spread)
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    inner, outer = high - golden * (high - low), low + golden * (high - low)
    at_inner, at_outer = loss(inner), loss(outer)
    for _ in range(25):
        if at_inner < at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - golden * (high - low)
            at_inner = loss(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + golden * (high - low)
            at_outer = loss(outer)
    return math.exp((low + high) / 2.0)
