"""Reads NumPy files: archives (``.npz``) of X and y, or of one pair per split; and arrays (``.npy``)."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls_plugins.tasks.file_task.table import (
    MAX_VALUES,
    Table,
    check_file,
    check_size,
    plain_column,
    unreadable,
)

_NPY = b"\x93NUMPY"
_FEATURES = ("x", "features", "inputs", "data")
_LABELS = ("y", "labels", "label", "targets", "target", "outputs")
_SPLITS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
_NAMES = ("feature_names", "features_names", "columns")

#: split name ("" for an archive that is not split) -> (features (rows, n), labels (rows,) or (rows, m))
Arrays = dict[str, tuple[NDArray[np.float64], NDArray[Any]]]


def read_npz(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays of an archive, by split, and the feature names.

    Accepted names, in any case: ``X`` and ``y`` (also features/inputs/data and
    label(s)/target(s)/outputs), or ``x_train``, ``y_train``, ``x_val``, ``y_val``, ``x_test``,
    ``y_test``; ``feature_names`` is optional. Arrays are read without pickle. Features of
    more than two dimensions are flattened.

    Raises:
        UserError: not a readable archive, or arrays are missing, have different lengths or no numbers.
    """
    check_file(path)
    where = str(path)
    return paired(_load(path, where), where)


def has_pairs(held: Mapping[str, NDArray[Any]]) -> bool:
    """Whether arrays have names of features and labels."""
    lower = {name.lower(): name for name in held}
    splits = {"": ("",), **_SPLITS}.values()
    return any(_find(lower, _FEATURES, names) and _find(lower, _LABELS, names) for names in splits)


def paired(held: Mapping[str, NDArray[Any]], where: str) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays by split, and the feature names; as :func:`read_npz`."""
    lower = {name.lower(): name for name in held}
    pairs: Arrays = {}
    for split, spellings in {"": ("",), **_SPLITS}.items():
        x_name, y_name = _find(lower, _FEATURES, spellings), _find(lower, _LABELS, spellings)
        if x_name is None and y_name is None:
            continue
        if x_name is None or y_name is None:
            raise UserError(
                f"the archive has {'labels' if x_name is None else 'features'} without "
                f"{'features' if x_name is None else 'labels'}",
                kind=ErrorKind.MISSING,
                where=where,
                found=f"arrays {', '.join(sorted(held))}",
                remedy=_WANTED,
            )
        pairs[split] = _pair(held[x_name], held[y_name], f"{where}: {x_name}, {y_name}")
    if not pairs:
        raise UserError(
            "the archive has no features and labels",
            kind=ErrorKind.MISSING,
            where=where,
            found=f"arrays {', '.join(sorted(held)) or '(none)'}",
            remedy=_WANTED,
        )
    if "" in pairs and len(pairs) > 1:
        raise UserError(
            "the archive has both whole and split arrays",
            kind=ErrorKind.CONFLICT,
            where=where,
            found=f"arrays {', '.join(sorted(held))}",
            remedy=_WANTED,
        )
    widths = {x.shape[1] for x, _ in pairs.values()}
    if len(widths) > 1:
        raise UserError(
            "the splits have different numbers of features",
            kind=ErrorKind.MISMATCH,
            where=where,
            found=", ".join(f"{split}: {x.shape[1]}" for split, (x, _) in pairs.items()),
        )
    return pairs, _feature_names(held, lower, widths.pop(), where)


_WANTED = "store X and y, or x_train, y_train, x_val, y_val, x_test and y_test, by numpy.savez"


def _load(path: Path, where: str) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            # Uncompressed sizes are checked before anything is unpacked.
            size = sum(member.file_size for member in archive.infolist())
        if size > 8 * MAX_VALUES + 1_000_000:
            raise UserError(
                f"the arrays take more than {8 * MAX_VALUES / 1e9:.1f} GB, more than this tool reads",
                kind=ErrorKind.TOO_LARGE,
                where=where,
                found=f"{size / 1e9:.1f} GB",
                remedy="give a sample of the rows",
            )
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError) as error:
        raise UserError(
            "not a readable NumPy archive of plain arrays",
            kind=ErrorKind.WRONG_FORMAT,
            where=where,
            found=str(error) or type(error).__name__,
            remedy="store arrays of numbers or text (no objects) by numpy.savez",
        ) from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise UserError(
            "not a NumPy archive (.npz)", kind=ErrorKind.WRONG_FORMAT, where=where, found=error
        ) from error


def _find(lower: dict[str, str], stems: tuple[str, ...], spellings: tuple[str, ...]) -> str | None:
    for stem in stems:
        for split in spellings:
            for name in (f"{stem}_{split}", f"{stem}{split}", f"{split}_{stem}") if split else (stem,):
                if name in lower:
                    return lower[name]
    return None


def _pair(x: NDArray[Any], y: NDArray[Any], where: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
    if x.dtype.kind not in "biuf":
        raise UserError("the features are not numbers", where=where, found=f"dtype {x.dtype}")
    if x.ndim == 0 or y.ndim == 0 or y.ndim > 2 or y.dtype.kind not in "biufUO":
        raise UserError(
            "features must have the shape (rows, features), labels (rows,) or (rows, targets)",
            where=where,
            found=f"shapes {x.shape} and {y.shape}, dtypes {x.dtype} and {y.dtype}",
        )
    if len(x) != len(y):
        raise UserError(
            "features and labels have different numbers of rows",
            kind=ErrorKind.MISMATCH,
            where=where,
            found=f"{len(x)} and {len(y)}",
        )
    check_size(len(x), max(1, x.size // max(1, len(x))), where)
    flat = x.reshape(len(x), -1).astype(np.float64)
    return flat, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _feature_names(
    held: Mapping[str, NDArray[Any]], lower: dict[str, str], n_features: int, where: str
) -> tuple[str, ...]:
    for name in _NAMES:
        if name in lower and held[lower[name]].dtype.kind in "UO":
            names = tuple(str(entry) for entry in held[lower[name]].ravel())
            if len(names) != n_features:
                raise UserError(
                    "the number of feature names differs from that of the features",
                    kind=ErrorKind.MISMATCH,
                    where=f"{where}: {lower[name]}",
                    found=f"{len(names)} names for {n_features} features",
                )
            return names
    return tuple(f"x{number}" for number in range(n_features))


def read_npy(path: Path, ignore: Sequence[str] = ()) -> Table:
    """A NumPy array (``.npy``) as a table: (rows, columns) without names, or a structured array with names.

    Raises:
        UserError: not a readable array, or of another shape.
    """
    check_file(path)
    where = str(path)
    with path.open("rb") as file:
        begin = file.read(len(_NPY))
    if begin != _NPY:
        # NumPy itself takes any other file for pickled objects, and advises to load them.
        raise UserError(
            "not a NumPy array (.npy)", kind=ErrorKind.WRONG_FORMAT, where=where, found=f"it begins {begin!r}"
        )
    try:
        values = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise unreadable("NumPy array", where, error) from error
    if not isinstance(values, np.ndarray):
        raise UserError("an archive; name it .npz", kind=ErrorKind.WRONG_FORMAT, where=where)
    if values.dtype.names and values.ndim == 1:
        check_size(len(values), len(values.dtype.names), where)
        named = {name: values[name] for name in values.dtype.names if name not in ignore}
        return Table(where, {name: plain_column(name, column, where) for name, column in named.items()})
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise UserError(
            "the array must have the shape (rows, columns), or be a structured array of columns",
            kind=ErrorKind.WRONG_FORMAT,
            where=where,
            found=f"shape {values.shape}, dtype {values.dtype}",
            remedy="store features and labels as X and y by numpy.savez",
        )
    check_size(len(values), values.shape[1], where)
    names = [f"column_{place}" for place in range(values.shape[1])]
    columns = {
        name: plain_column(name, values[:, place], where)
        for place, name in enumerate(names)
        if name not in ignore
    }
    return Table(where, columns, named=False)
