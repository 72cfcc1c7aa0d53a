"""One step of a group of networks with compiled kernels, on a CPU. Requires torch."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.kernels import library, required
from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.level import Level
from hwnas_hls_plugins.estimators.training.outputs import Outputs
from hwnas_hls_plugins.estimators.training.schedule import Number
from hwnas_hls_plugins.estimators.training.stored import WORTHWHILE, StoredWeights

#: The number of batch rows is a multiple of this.
VECTOR = 8
_PANEL = 16

_pointer, _count, _number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


_LISTS = ("starts", "columns", "column_starts", "column_rows", "column_places")


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, _count) for name in ("rows", "cols", "n_out", "weights", "features", "source", "first")),
        *((name, _pointer) for name in _LISTS),
    )


_LEVEL_BUFFERS = ("sums", "values", "gradient", "low", "high")
_NORM_BUFFERS = ("active", "scale", "unit", "bias_unit", "reach", "gain", "shift", "running")
_NORM_GRADIENTS = ("gain_gradient", "shift_gradient")


class _Level(ctypes.Structure):
    _fields_ = (
        ("layers", _pointer),
        ("count", _count),
        ("bounded", _count),
        *((name, _pointer) for name in (*_LEVEL_BUFFERS, *_NORM_BUFFERS, *_NORM_GRADIENTS)),
    )


_TRAINED_BUFFERS = (
    *("unit", "low", "high", "offset", "kept_factor", "digits", "integers", "weights"),
    *("latent", "mean", "square", "gradient", "floor", "ceiling"),
)


class _Trained(ctypes.Structure):
    _fields_ = (
        ("n_weights", _count),
        ("n_trained", _count),
        ("most_digits", _count),
        *((name, _pointer) for name in _TRAINED_BUFFERS),
    )


def serves(layout: Layout, rows: int, kernels: str) -> bool:
    """Whether the compiled kernels support this group.

    Args:
        rows: number of rows of a batch.
        kernels: ``auto``, ``native`` or ``torch``.

    Raises:
        ToolMissing: ``native`` is requested, and there is no working compiler.
    """
    fits = (
        layout.fast and layout.dtype == torch.float32 and layout.device.type == "cpu" and rows % VECTOR == 0
    )
    if kernels == "torch" or not fits:
        return False
    if kernels == "native":
        required()
    return library() is not None


class NativeArithmetic:
    """:class:`~hwnas_hls_plugins.estimators.training.arithmetic.Arithmetic` by ``kernels.c``.

    The kernels process one network at a time, so its data stay in the caches between operations. They
    support single precision, layers that clamp and round by ``floor``, and whole vectors of rows.
    """

    def __init__(self, layout: Layout, levels: Sequence[Level], rows: int) -> None:
        self._kernels, self._rows, self._depth = required(), rows, len(levels)
        # The structures hold addresses only: what they point to is kept alive here.
        self._layout = layout
        self._held = levels
        self._layers = [self._level_layers(layout, levels, k) for k in range(len(levels))]
        self._levels = (_Level * len(levels))(
            *(_level(level, layers) for level, layers in zip(levels, self._layers, strict=True))
        )
        self._trained = self._trained_from(0)
        #: The parameters that are no weights, for steps in which only some weights are stored.
        self._others = self._trained_from(layout.n_weights)
        self._stored: StoredWeights | None = None
        self._frozen: Tensor | None = None
        widest = max(max(layer.rows, layer.cols) for level in levels for layer in level.layers)
        self._panel = torch.empty(widest * _PANEL)
        #: The inputs of the last forward and their addresses, which backward reads again.
        self._inputs: Sequence[Tensor] = ()
        self._addresses = (_pointer * 0)()
        self._sources = [
            (entry, layout.members[j].source)
            for layers in self._layers
            for j, entry in enumerate(layers)
            if entry.first
        ]

    @staticmethod
    def _level_layers(layout: Layout, levels: Sequence[Level], k: int) -> ctypes.Array[_Layer]:
        level = levels[k]
        entries = []
        for j, plan in enumerate(level.layers):
            first = len(layout.members[j].levels) == k + 1
            source = 0 if first else levels[k + 1].starts[j]
            entries.append(
                _Layer(
                    plan.rows,
                    plan.cols,
                    plan.layer.n_out,
                    layout.places[j, k][0],
                    level.starts[j],
                    source,
                    first,
                )
            )
        return (_Layer * len(entries))(*entries)

    def freeze(self, stored: Tensor) -> None:
        """See :meth:`~hwnas_hls_plugins.estimators.training.arithmetic.Arithmetic.freeze`."""
        shares = stored.to(torch.float32)
        if float(shares.mean()) > WORTHWHILE:
            self._frozen = shares
            return
        kept = self._stored = StoredWeights(self._layout, stored)
        for (j, k), lists in kept.lists.items():
            entry = self._layers[k][j]
            entry.weights = kept.places[j, k]
            for name in _LISTS:
                setattr(entry, name, getattr(lists, name).ctypes.data)
        buffers = [kept.buffers[name].data_ptr() for name in _TRAINED_BUFFERS]
        self._trained = _Trained(len(kept), len(kept), self._layout.most_digits, *buffers)

    def thaw(self) -> None:
        """See :meth:`~hwnas_hls_plugins.estimators.training.arithmetic.Arithmetic.thaw`."""
        self._frozen = None
        if self._stored is None:
            return
        self._stored.write_back()
        for j, k in self._stored.lists:
            entry = self._layers[k][j]
            entry.weights = self._layout.places[j, k][0]
            for name in _LISTS:
                setattr(entry, name, None)
        self._stored, self._trained = None, self._trained_from(0)

    def _trained_from(self, first: int) -> _Trained:
        """The layout's trained parameters from number ``first`` on."""
        layout = self._layout
        buffers = [getattr(layout, name) for name in _TRAINED_BUFFERS]
        addresses = [buffer.data_ptr() + first * buffer.element_size() for buffer in buffers]
        count = layout.latent.numel() - first
        return _Trained(max(layout.n_weights - first, 0), count, layout.most_digits, *addresses)

    def number_sources(self, numbers: Mapping[int, int]) -> None:
        """Set which input copy each first layer reads."""
        for entry, source in self._sources:
            entry.source = numbers[source]

    def quantise(self) -> None:
        self._trained.most_digits = self._layout.most_digits
        self._kernels.quantise(self._levels, self._depth, ctypes.byref(self._trained))

    def forward(self, top: int, bottom: int, inputs: Sequence[Tensor], momentum: float) -> None:
        self._kernels.forward(*self._step(top, bottom, inputs, momentum))

    def backward(self, top: int, bottom: int, inputs: Sequence[Tensor], leak: Number) -> None:
        self._kernels.backward(*self._step(top, bottom, inputs, float(leak)))

    def _step(self, top: int, bottom: int, inputs: Sequence[Tensor], number: float) -> tuple[object, ...]:
        apart = inputs[0].stride(0)
        if inputs is not self._inputs:
            if any(copy.stride() != (apart, 1) for copy in inputs):
                raise ValueError("input copies are matrices of one layout")
            self._inputs = inputs
            self._addresses = (_pointer * len(inputs))(*(copy.data_ptr() for copy in inputs))
        trained = ctypes.byref(self._trained)
        return (
            *(self._levels, trained, top, bottom, self._addresses, apart, number, self._rows),
            self._panel.data_ptr(),
        )

    def cross_entropy(self, outputs: Outputs, targets: Tensor) -> None:
        networks, n_out, rows = outputs.logits.shape
        if targets.stride(1) != 1:
            raise ValueError("targets are a matrix of outputs x rows")
        self._kernels.cross_entropy(
            *(outputs.logits.data_ptr(), targets.data_ptr(), targets.stride(0)),
            *(
                outputs.temperature.data_ptr(),
                outputs.log_temperature.data_ptr(),
                outputs.gradient.data_ptr(),
            ),
            *(outputs.log_temperature_gradient.data_ptr(), networks, n_out, rows, len(targets) > n_out),
            self._panel.data_ptr(),
        )

    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None:
        numbers = (beta1, beta2, float(left), float(size))
        if self._frozen is not None:
            self._layout.gradient[: self._layout.n_weights].mul_(self._frozen)
        self._kernels.update(ctypes.byref(self._trained), *numbers)
        if self._stored is not None:
            self._kernels.update(ctypes.byref(self._others), *numbers)


def _level(level: Level, layers: ctypes.Array[_Layer]) -> _Level:
    norm = level.norm
    buffers = [getattr(level, name).data_ptr() for name in _LEVEL_BUFFERS]
    if norm is not None:
        buffers += [getattr(norm, name).data_ptr() for name in (*_NORM_BUFFERS, *_NORM_GRADIENTS)]
    return _Level(ctypes.addressof(layers), len(layers), level.bounded, *buffers)
