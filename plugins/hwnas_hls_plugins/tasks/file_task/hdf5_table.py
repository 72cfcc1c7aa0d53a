"""Reads HDF5 files: columns, a compound data set, a pandas table, or arrays X and y."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, ToolMissing, UserError
from hwnas_hls_plugins.tasks.file_task.npz_table import Arrays, has_pairs, paired
from hwnas_hls_plugins.tasks.file_task.table import (
    MAX_VALUES,
    Table,
    check_file,
    check_size,
    listed,
    plain_column,
    unreadable,
)

_WANTED = (
    "store one data set per column, or one compound data set, or arrays X and y; for one group or data set "
    "among several set table"
)


def read_hdf5(
    path: Path, name: str = "", ignore: Sequence[str] = ()
) -> Table | tuple[Arrays, tuple[str, ...]]:
    """The columns of a file, or its arrays X and y as :func:`~.npz_table.read_npz` returns them.

    Args:
        name: group or data set to read; empty means the whole file.
        ignore: columns to skip.

    Raises:
        UserError: not HDF5, no such group, or neither columns nor arrays.
        ToolMissing: h5py is not installed.
    """
    check_file(path)
    try:
        import h5py
    except ImportError as error:
        raise ToolMissing("HDF5 files need the package h5py: pip install 'hwnas-hls[data]'") from error
    where = str(path)
    try:
        with h5py.File(path, "r") as file:
            found = _found(file, name, where)
            size = sum(item.size for item in found.values())
            if size > MAX_VALUES:
                check_size(size, 1, where)
            held = {key: _read(item) for key, item in found.items()}
    except UserError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, MemoryError) as error:
        raise unreadable("HDF5 file", where, error) from error
    short = {key.rpartition("/")[2]: values for key, values in held.items()}
    if len(short) == len(held) and has_pairs(short):
        return paired(short, where)
    return Table(where, _columns(held, ignore, where))


def _found(file: Any, name: str, where: str) -> dict[str, Any]:
    """Path -> data set, below ``name``."""
    import h5py

    found: dict[str, Any] = {}

    def visit(key: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[key] = item

    file.visititems(visit)
    inside = {key: item for key, item in found.items() if key == name or key.startswith(f"{name}/")}
    if name and not inside:
        raise UserError(
            "the file has no such group or data set", where=where, found=name, choices=sorted(found)
        )
    return inside if name else found


def _read(item: Any) -> NDArray[Any]:
    if item.dtype.kind == "O":  # strings of any length
        values = item.asstr()[()]
        return np.asarray(values, dtype=object)
    values = np.asarray(item[()])
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def _columns(held: dict[str, NDArray[Any]], ignore: Sequence[str], where: str) -> dict[str, NDArray[Any]]:
    tables = {key: values for key, values in held.items() if values.dtype.names and values.ndim == 1}
    if len(tables) == 1:
        (values,) = tables.values()
        columns = {name: values[name] for name in values.dtype.names or ()}
        columns = _spread(columns)
        if held.keys() == {next(iter(tables))} or next(iter(tables)).endswith("/table"):
            columns.pop("index", None)  # written by pandas
    else:
        columns = {key: values for key, values in held.items() if values.ndim == 1}
        short = {key.rpartition("/")[2]: values for key, values in columns.items()}
        columns = short if len(short) == len(columns) else columns
        rest = [key for key, values in held.items() if values.ndim != 1]
        if rest or not columns or len({len(values) for values in columns.values()}) > 1:
            shapes = (f"{key} {values.shape}" for key, values in held.items())
            raise UserError(
                "the file has neither columns of one length nor arrays of features and labels",
                kind=ErrorKind.WRONG_FORMAT,
                where=where,
                found=listed(shapes) or "no data sets",
                remedy=_WANTED,
            )
    columns = {name: values for name, values in columns.items() if name not in ignore}
    check_size(len(next(iter(columns.values()), ())), max(1, len(columns)), where)
    return {name: plain_column(name, values, where) for name, values in columns.items()}


def _spread(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Columns of vectors (the blocks of a pandas table) as one column per entry."""
    found: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            found[name] = values
        else:
            flat = values.reshape(len(values), -1)
            found |= {f"{name}_{place}": flat[:, place] for place in range(flat.shape[1])}
    return found
