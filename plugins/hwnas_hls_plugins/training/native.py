"""One step of a group of networks in compiled kernels, on a CPU. Loaded only to train.

``kernels.c`` is compiled once by the machine's C compiler, for its very processor, and kept in the
user's cache folder. Where there is no compiler, torch does the same arithmetic, more slowly.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hwnas_hls.errors import ToolMissing
from hwnas_hls_plugins.training.layout import Layout
from hwnas_hls_plugins.training.level import Level

log = logging.getLogger("hwnas_hls.training")

SOURCE = Path(__file__).with_name("kernels.c")
#: Nothing here lets a compiler reorder arithmetic: numbers depend on the source alone.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
COMPILERS = ("cc", "gcc", "clang")
TIMEOUT_S = 120.0
#: Batch rows come in whole vectors of so many.
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
    *("unit", "low", "high", "offset", "kept_factor", "integers", "weights"),
    *("latent", "mean", "square", "gradient", "floor", "ceiling"),
)


class _Trained(ctypes.Structure):
    _fields_ = (
        ("n_weights", _count),
        ("n_trained", _count),
        *((name, _pointer) for name in _TRAINED_BUFFERS),
    )


def serves(layout: Layout, rows: int, kernels: str) -> bool:
    """Whether the compiled kernels train this group.

    Args:
        rows: of a batch.
        kernels: ``auto``, ``native`` or ``torch``.

    Raises:
        ToolMissing: ``native`` is asked for, and there is no compiler that works.
    """
    fits = (
        layout.fast and layout.dtype == torch.float32 and layout.device.type == "cpu" and rows % VECTOR == 0
    )
    if kernels == "torch" or not fits:
        return False
    if library() is None and kernels == "native":
        raise ToolMissing("the training kernels need a C compiler (cc, gcc or clang)")
    return library() is not None


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; ``None`` where this machine cannot compile them."""
    try:
        path = compiled()
        kernels = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or error
        log.warning("training takes torch alone, which is slower: no compiled kernels (%s)", detail)
        return None
    step = (_pointer, _pointer, _count, _count, _pointer, _count, _number, _count, _pointer)
    kernels.forward.argtypes = kernels.backward.argtypes = step
    kernels.quantise.argtypes = (_pointer, _count, _pointer)
    kernels.update.argtypes = (_pointer, _number, _number, _number, _number)
    for name in ("forward", "backward", "quantise", "update"):
        getattr(kernels, name).restype = None
    return kernels


def compiled(folder: Path | None = None) -> Path:
    """The shared library of ``kernels.c``, made by the first who needs it.

    Args:
        folder: where it is kept; ``None`` takes the user's cache folder.

    Raises:
        OSError: no compiler, or the folder cannot be written.
        subprocess.SubprocessError: it does not compile.
    """
    import platformdirs

    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise FileNotFoundError(f"none of {', '.join(COMPILERS)} is on the path")
    folder = folder or Path(platformdirs.user_cache_dir("hwnas-hls")) / "training"
    # Homes are shared between machines: the processor is part of the name.
    facts = "\n".join([SOURCE.read_text(), " ".join(FLAGS), compiler, platform.machine(), _processor()])
    path = folder / f"kernels-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.so"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            fresh = Path(place) / path.name
            command = [compiler, *FLAGS, "-shared", "-fPIC", str(SOURCE), "-o", str(fresh), "-lm"]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
            fresh.replace(path)
    return path


def _processor() -> str:
    """What the processor can do, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


class NativeArithmetic:
    """:class:`~hwnas_hls_plugins.training.arithmetic.Arithmetic` by ``kernels.c``.

    One network after the other, so that its numbers stay in the caches from one operation to the
    next. Single precision, layers that clamp and round by ``floor``, whole vectors of rows.
    """

    def __init__(self, layout: Layout, levels: Sequence[Level], rows: int) -> None:
        kernels = library()
        if kernels is None:
            raise ToolMissing("the training kernels need a C compiler (cc, gcc or clang)")
        self._kernels, self._rows, self._depth = kernels, rows, len(levels)
        # The structures hold addresses only: what they point to is kept alive here.
        self._held = (layout, levels)
        self._layers = [self._level_layers(layout, levels, k) for k in range(len(levels))]
        self._levels = (_Level * len(levels))(
            *(_level(level, layers) for level, layers in zip(levels, self._layers, strict=True))
        )
        buffers = [getattr(layout, name).data_ptr() for name in _TRAINED_BUFFERS]
        self._trained = _Trained(layout.n_weights, layout.latent.numel(), *buffers)
        widest = max(max(layer.rows, layer.cols) for level in levels for layer in level.layers)
        self._panel = torch.empty(widest * _PANEL)
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
        """Which of the input copies each first layer reads."""
        for entry, source in self._sources:
            entry.source = numbers[source]

    def quantise(self) -> None:
        self._kernels.quantise(self._levels, self._depth, ctypes.byref(self._trained))

    def forward(self, top: int, bottom: int, inputs: Sequence[Tensor], momentum: float) -> None:
        self._kernels.forward(*self._step(top, bottom, inputs, momentum))

    def backward(self, top: int, bottom: int, inputs: Sequence[Tensor], leak: float) -> None:
        self._kernels.backward(*self._step(top, bottom, inputs, leak))

    def _step(self, top: int, bottom: int, inputs: Sequence[Tensor], number: float) -> tuple[object, ...]:
        addresses = (_pointer * len(inputs))(*(copy.data_ptr() for copy in inputs))
        apart = inputs[0].stride(0)
        if any(copy.stride() != (apart, 1) for copy in inputs):
            raise ValueError("input copies are matrices of one layout")
        trained = ctypes.byref(self._trained)
        return (
            *(self._levels, trained, top, bottom, addresses, apart, number, self._rows),
            self._panel.data_ptr(),
        )

    def update(self, beta1: float, beta2: float, decay: float, size: float) -> None:
        self._kernels.update(ctypes.byref(self._trained), beta1, beta2, decay, size)


def _level(level: Level, layers: ctypes.Array[_Layer]) -> _Level:
    norm = level.norm
    buffers = [getattr(level, name).data_ptr() for name in _LEVEL_BUFFERS]
    if norm is not None:
        buffers += [getattr(norm, name).data_ptr() for name in (*_NORM_BUFFERS, *_NORM_GRADIENTS)]
    return _Level(ctypes.addressof(layers), len(layers), level.bounded, *buffers)
