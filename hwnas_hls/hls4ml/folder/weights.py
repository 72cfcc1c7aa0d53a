"""Weights of a project: ``firmware/weights/w2.h`` or ``w2.txt`` -> integers on the type's grid.

Synthesis reads the header, so it takes precedence over the text file. Values have as many decimals as
the type has fractional bits, and may be off the grid if the network was not trained on it. C++ then
rounds them by the type's mode (truncation by default), and so does this module.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.folder.files import MAX_WEIGHT_BYTES, inside, source
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The weights of larger layers are not read.
MAX_WEIGHTS = 1_000_000
_NAME = re.compile(r"[A-Za-z_]\w*")


def read_values(folder: Path, name: str, count: int) -> NDArray[np.float64] | None:
    """The ``count`` real values of an array, in file order; ``None`` if there is no file.

    Raises:
        ReportError: the file is outside the folder, or has invalid or too few or many numbers.
    """
    found = _text(folder, name)
    if found is None:
        return None
    path, text = found
    values = _numbers(text.replace("{", " ").replace("}", " "), path)
    if values.size != count:
        raise ReportError(
            f"{path}: has {values.size} values, but the layer has {count}", kind=ErrorKind.MISMATCH
        )
    return values


def read_compressed(folder: Path, name: str, n_in: int, n_out: int) -> NDArray[np.float64] | None:
    """The weights (n_in, n_out) of hls4ml's compressed layers, from triples ``{row, column, weight}``.

    Raises:
        ReportError: as in :func:`read_values`, or a row or column is outside the layer.
    """
    import numpy as np

    found = _text(folder, name)
    if found is None:
        return None
    path, text = found
    values = _numbers(text.replace("{", " ").replace("}", " "), path)
    if values.size % 3:
        raise ReportError(f"{path}: {values.size} numbers are not triples of row, column and weight")
    triples = values.reshape(-1, 3)
    rows, columns = triples[:, 0].astype(np.int64), triples[:, 1].astype(np.int64)
    inside_layer = (rows >= 0) & (rows < n_in) & (columns >= 0) & (columns < n_out)
    if not (inside_layer.all() and (rows == triples[:, 0]).all() and (columns == triples[:, 1]).all()):
        raise ReportError(
            f"{path}: a row or column is outside the layer of {n_in} x {n_out}", kind=ErrorKind.MISMATCH
        )
    out = np.zeros((n_in, n_out))
    np.add.at(out, (rows, columns), triples[:, 2])
    return out


def on_grid(values: NDArray[np.float64], grid: FixedType) -> NDArray[np.int64] | None:
    """The integers that C++ makes from the literals; ``None`` for types beyond 53 bits."""
    return grid.integers(values) if grid.width <= 53 else None


def _text(folder: Path, name: str) -> tuple[Path, str] | None:
    if not _NAME.fullmatch(name):
        return None
    for suffix in (".h", ".txt"):
        relative = f"firmware/weights/{name}{suffix}"
        path = folder / relative
        if not path.is_file():
            continue
        if not inside(folder, path):
            raise ReportError(
                f"{path}: is outside the project folder, so it is not read", kind=ErrorKind.NOT_ACCESSIBLE
            )
        text = source(folder, relative, MAX_WEIGHT_BYTES)
        if suffix == ".txt":
            return path, text
        # if there is also a .txt file, the header declares the array twice, the second time with values
        start = text.find("{", text.rfind("="))
        end = text.find("};", start)
        if "=" in text and start >= 0 and end >= 0:
            return path, text[start:end]
    return None


def _numbers(text: str, path: Path) -> NDArray[np.float64]:
    import numpy as np

    if text.count(",") > 3 * MAX_WEIGHTS:
        raise ReportError(f"{path}: more than {3 * MAX_WEIGHTS} numbers")
    try:
        values = np.array(text.replace(",", " ").split(), dtype=np.float64)
    except ValueError as error:
        raise ReportError(f"{path}: not numbers: {str(error)[:80]}") from error
    if not np.isfinite(values).all():
        raise ReportError(f"{path}: has values that are not finite")
    return values
