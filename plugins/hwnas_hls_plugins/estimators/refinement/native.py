"""Trials of single changes with ``trials.c``: the same moves as in numpy, hundreds of times faster."""

from __future__ import annotations

import ctypes
import functools
import logging
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ToolMissing
from hwnas_hls_plugins.estimators.c_library import shared_library
from hwnas_hls_plugins.estimators.refinement.arithmetic import Moves, Screening
from hwnas_hls_plugins.estimators.refinement.features import InputFeatures
from hwnas_hls_plugins.estimators.refinement.losses import CrossEntropy, Loss
from hwnas_hls_plugins.estimators.refinement.network import NATIVE_BITS, LayerState

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger("hwnas_hls.refinement")
SOURCE = Path(__file__).with_name("trials.c")

_pointer, _count = ctypes.c_void_p, ctypes.c_int64
_COUNTS = (
    *("merge", "n_in", "n_out", "source", "other", "shift", "other_shift", "rectified", "leak"),
    *("sum_overflow", "sum_low", "sum_high", "rounding", "result_shift", "overflow", "low", "high"),
)
_MATRICES = ("sums", "values", "new_sums", "new_values", "differences")


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, _count) for name in _COUNTS),
        ("weight", _pointer),
        ("bias", _pointer),
        ("bias_low", _count),
        ("bias_high", _count),
        *((name, _pointer) for name in _MATRICES),
        *((name, _pointer) for name in ("changed", "low_bits", "high_bits")),
    )


class _Network(ctypes.Structure):
    _fields_ = (
        ("layers", _pointer),
        *((name, _count) for name in ("count", "rows", "n_in")),
        *((name, _pointer) for name in ("inputs", "alternatives", "versions")),
        ("classes", _count),
        *((name, _pointer) for name in ("labels", "losses", "places", "largest", "total", "exponentials")),
        *((name, _count) for name in ("exponential_count", "exponential_shift")),
        ("logarithms", _pointer),
        *((name, _count) for name in ("log_two", "temperature", "smoothing", "square_shift")),
    )


_MOVES = ("kind", "layer", "input", "output", "value", "offset", "saving", "old", "rise", "taken")


class _Moves(ctypes.Structure):
    _fields_ = tuple((name, _pointer) for name in _MOVES)


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; ``None`` if they cannot be compiled."""
    try:
        kernels = ctypes.CDLL(str(shared_library(SOURCE)))
    except (OSError, subprocess.SubprocessError) as error:
        cause = str(getattr(error, "stderr", "") or error).strip()
        log.warning(
            "refinement uses numpy, which is slower, because the kernels could not be compiled (%s)", cause
        )
        return None
    kernels.settle.argtypes, kernels.settle.restype = [_pointer], _count
    kernels.sweep.argtypes = [
        *(_pointer, _pointer, _pointer, _count),
        *(ctypes.c_double, ctypes.c_double, _count, _count, _count),
    ]
    kernels.sweep.restype = _count
    return kernels


def serves(states: list[LayerState], kernels: str) -> bool:
    """Whether the compiled kernels support this network.

    Args:
        kernels: ``auto``, ``native`` or ``numpy``.

    Raises:
        ToolMissing: ``native`` is requested, but there is no working compiler.
    """
    if kernels == "numpy" or max(state.most_bits for state in states) > NATIVE_BITS:
        return False
    if kernels == "native" and library() is None:
        raise ToolMissing("the refinement kernels need a C compiler (cc, gcc or clang) that works")
    return library() is not None


class NativeTrials:
    """:class:`~hwnas_hls_plugins.estimators.refinement.arithmetic.NumpyTrials` in 32-bit integers."""

    def __init__(
        self, states: list[LayerState], inputs: NDArray[np.int64], loss: Loss, features: InputFeatures
    ) -> None:
        found = library()
        if found is None:
            raise ToolMissing("the refinement kernels need a C compiler (cc, gcc or clang) that works")
        self._kernels, self.states = found, states
        self.rows = inputs.shape[1]
        self._inputs = np.ascontiguousarray(inputs, np.int32)
        # The structures hold addresses only: what they point to is kept alive here.
        self._held: list[Any] = [loss, features]
        self._features = features
        # The inputs come first, as the layer number -1.
        self._layers = (_Layer * (len(states) + 1))(
            self._input_layer(), *(self._layer(state) for state in states)
        )
        self._network = self._of(loss)
        self.loss = int(self._kernels.settle(ctypes.byref(self._network)))

    def values(self, number: int) -> NDArray[Any]:
        """The outputs of a layer, (features, rows); -1 means the inputs."""
        return self._inputs if number < 0 else self.states[number].values

    def sweep(
        self, moves: Moves, order: NDArray[np.int64], rate: float, screening: Screening, *, make: bool
    ) -> int:
        """Like :meth:`NumpyTrials.sweep`."""
        entry = _Moves(*(getattr(moves, name).ctypes.data for name in _MOVES))
        order = np.ascontiguousarray(order, np.int64)
        network = ctypes.byref(self._network)
        made = int(
            self._kernels.sweep(
                *(network, ctypes.byref(entry), order.ctypes.data, len(order)),
                *(rate, screening.patience, screening.first_rows, screening.measured_rows, int(make)),
            )
        )
        self.loss = int(self._losses.sum())
        return made

    def _address(self, array: NDArray[Any]) -> int:
        self._held.append(array)
        return int(array.ctypes.data)

    def _input_layer(self) -> _Layer:
        layer = _Layer(n_out=len(self._inputs))
        layer.differences = self._address(np.zeros_like(self._inputs))
        layer.changed = self._address(np.zeros(len(self._inputs), np.uint8))
        return layer

    def _layer(self, state: LayerState) -> _Layer:
        # The kernels modify these arrays in place, so the state sees their changes.
        state.weight = np.ascontiguousarray(state.weight, np.int32)
        state.bias = np.ascontiguousarray(state.bias, np.int32)
        state.sums = np.repeat(state.bias[:, None], self.rows, axis=1)
        state.values = np.empty_like(state.sums)
        room = [np.empty_like(state.sums) for _ in range(3)]
        numbers = (
            *(state.merge, state.n_in, state.n_out, state.source, state.other, state.shift),
            *(state.other_shift, state.rectified, state.leak, *state.sum_limit),
            *(state.rounding, state.result_shift, *state.limit),
        )
        return _Layer(
            *numbers,
            self._address(state.weight),
            self._address(state.bias),
            *state.bias_range,
            *(self._address(matrix) for matrix in (state.sums, state.values, *room)),
            *(self._address(part) for part in (np.zeros(state.n_out, np.uint8), *state.lacking)),
        )

    def _of(self, loss: Loss) -> _Network:
        rows = self.rows
        self._losses = np.zeros(rows, np.int64)
        places, largest, total = (np.zeros(rows, np.int32) for _ in range(3))
        cross = isinstance(loss, CrossEntropy)
        return _Network(
            ctypes.addressof(self._layers) + ctypes.sizeof(_Layer),
            *(len(self.states), rows, len(self._inputs)),
            self._address(self._inputs),
            *(part.ctypes.data for part in (self._features.alternatives, self._features.versions)),
            loss.classes if isinstance(loss, CrossEntropy) else 0,
            self._address(loss.labels if isinstance(loss, CrossEntropy) else loss.targets),
            *(self._address(array) for array in (self._losses, places, largest, total)),
            self._address(loss.exponentials) if isinstance(loss, CrossEntropy) else 0,
            len(loss.exponentials) if isinstance(loss, CrossEntropy) else 0,
            loss.shift if cross else 0,
            self._address(loss.logarithms) if isinstance(loss, CrossEntropy) else 0,
            loss.log_two if isinstance(loss, CrossEntropy) else 0,
            loss.own if isinstance(loss, CrossEntropy) else 0,
            loss.each if isinstance(loss, CrossEntropy) else 0,
            0 if cross else loss.shift,
        )
