"""Quantised weights of a design from ``<row_id>.npz``: ``weight0`` (n_in x n_out), ``bias0``, ...

Floating-point arrays hold values, which the layer's type rounds; integer arrays count least significant bits.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import LayerQuery
from hwnas_hls.network.precision import FixedType

MAX_WEIGHT_BYTES = 512 * 2**20


def layers_with_weights(
    layers: Sequence[LayerQuery], folder: Path, name: str
) -> tuple[tuple[LayerQuery, ...], list[str]]:
    """The layers with the weights of ``folder/name.npz``, and what did not fit."""
    if "/" in name or "\\" in name or name.startswith("."):
        return tuple(layers), []
    path = folder / f"{name}.npz"
    if not path.is_file():
        return tuple(layers), []
    out = list(layers)
    complaints: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_WEIGHT_BYTES:
                return tuple(layers), [
                    f"weights: {path.name} unpacks to more than {MAX_WEIGHT_BYTES >> 20} MiB, ignored"
                ]
        with np.load(path, allow_pickle=False) as arrays:
            for number, layer in enumerate(layers):
                key = f"weight{number}"
                if key not in arrays:
                    continue
                complaint, values = _checked(arrays[key], (layer.n_in, layer.n_out))
                if values is None:
                    complaints.append(f"weights: {key} {complaint}; ignored")
                    continue
                _, bias = _checked(arrays.get(f"bias{number}"), (layer.n_out,))
                out[number] = dataclasses.replace(
                    layer,
                    weights=_integers(values, layer.weight),
                    biases=None if bias is None or layer.bias is None else _integers(bias, layer.bias),
                )
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        return tuple(layers), [f"weights: cannot read {path.name} ({str(error)[:80]}), ignored"]
    return tuple(out), complaints


def _checked(
    values: NDArray[np.generic] | None, shape: tuple[int, ...]
) -> tuple[str, NDArray[np.generic] | None]:
    """The array, or what is wrong with it."""
    if values is None:
        return "is missing", None
    if values.shape != shape:
        return f"has shape {values.shape}, the layer is {' x '.join(map(str, shape))}", None
    if values.dtype.kind not in "iuf":
        return f"holds {values.dtype}, not numbers", None
    if not np.all(np.isfinite(values.astype(np.float64))):
        return "holds numbers that are not finite", None
    return "", values


def _integers(values: NDArray[np.generic], grid: FixedType) -> NDArray[np.int64]:
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    return grid.integers(values.astype(np.float64))
