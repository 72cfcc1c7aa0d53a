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

#: The number of batch rows is a multiple of this.
VECTOR = 8
_PANEL = 16

_pointer, _count, _number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


class _Layer(ctypes.Structure):
    _fields_ = tuple(
        (name, _count) for name in ("rows", "cols", "n_out", "weights", "features", "source", "first")
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
        self._held = (layout, levels)
        self._layers = [self._level_layers(layout, levels, k) for k in range(len(levels))]
        self._levels = (_Level * len(levels))(
            *(_level(level, layers) for level, layers in zip(levels, self._layers, strict=True))
        )
        buffers = [getattr(layout, name).data_ptr() for name in _TRAINED_BUFFERS]
        self._trained = _Trained(layout.n_weights, layout.latent.numel(), layout.most_digits, *buffers)
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

    def number_sources(self, numbers: Mapping[int, int]) -> None:
        """Set which input copy each first layer reads."""
        for entry, source in self._sources:
            entry.source = numbers[source]

    def quantise(self) -> None:
        self._trained.most_digits = self._held[0].most_digits
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
        scale = outputs.scale
        networks, n_out, rows = outputs.logits.shape
        if targets.stride(1) != 1:
            raise ValueError("targets are a matrix of outputs x rows")
        self._kernels.cross_entropy(
            *(outputs.logits.data_ptr(), targets.data_ptr(), targets.stride(0), scale.data_ptr()),
            *(
                outputs.gradient.data_ptr(),
                outputs.log_temperature_gradient.data_ptr(),
                networks,
                n_out,
                rows,
                len(targets) > n_out,
            ),
        )

    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None:
        self._kernels.update(ctypes.byref(self._trained), beta1, beta2, float(left), float(size))


def _level(level: Level, layers: ctypes.Array[_Layer]) -> _Level:
    norm = level.norm
    buffers = [getattr(level, name).data_ptr() for name in _LEVEL_BUFFERS]
    if norm is not None:
        buffers += [getattr(norm, name).data_ptr() for name in (*_NORM_BUFFERS, *_NORM_GRADIENTS)]
    return _Level(ctypes.addressof(layers), len(layers), level.bounded, *buffers)
