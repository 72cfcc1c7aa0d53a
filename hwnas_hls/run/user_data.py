"""Data passed as Python objects (arrays, data frames, data sets), saved to a file for the run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Task
from hwnas_hls.values.score_metrics import BY_KIND, DEFAULT_FALSE_POSITIVE_RATE

if TYPE_CHECKING:
    import pandas
    from numpy.typing import ArrayLike, NDArray

    Rows: TypeAlias = "tuple[ArrayLike | pandas.DataFrame, ArrayLike] | pandas.DataFrame"
else:
    Rows = object

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_WHERE = "task"


@dataclass(frozen=True, slots=True, eq=False)
class UserTable:
    """Rows in the npz format that the task ``file`` reads.

    Args:
        arrays: ``x`` and ``y``, or one pair per split, and ``feature_names``.
        kind: ``classification``, ``regression`` or ``auto``.
        metrics: further keys of ``[task]``: the metric and its settings.
    """

    arrays: Mapping[str, NDArray[Any]]
    kind: str = "auto"
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write ``data-DIGEST.npz`` in ``folder``; returns the ``[task]`` table for it.

        Raises:
            UserError: the folder cannot be written.
        """
        import numpy as np

        state = hashlib.sha256()
        for name, array in sorted(self.arrays.items()):
            state.update(f"{name} {array.dtype} {array.shape}".encode())
            state.update(np.ascontiguousarray(array).tobytes())
        path = (folder / f"data-{state.hexdigest()[:16]}.npz").absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(path, **dict[str, Any](self.arrays))
        except OSError as error:
            raise UserError(
                "the data cannot be saved", kind=ErrorKind.NOT_ACCESSIBLE, where=str(path), found=error
            ) from error
        return {"name": "file", "path": str(path), "kind": self.kind, **self.metrics}


def rows_of(given: Any, label: str | None = None) -> UserTable:
    """The rows of ``(X, y)``, a DataFrame with its label column, a Dataset, or a task object.

    Raises:
        UserError: it is none of these, or its arrays have inconsistent shapes.
    """
    if isinstance(given, Task):
        given = given.load()
    if isinstance(given, Dataset):
        return _of_dataset(given)
    if hasattr(given, "columns") and hasattr(given, "drop"):
        return _of_frame(given, label)
    if isinstance(given, tuple | list) and len(given) == 2:
        return _of_pair(*given)
    raise UserError(
        "not a task",
        where=_WHERE,
        found=type(given).__name__,
        choices=["a name", "a path", "(X, y)", "a DataFrame", "a Dataset", "a Task"],
    )


def _of_dataset(dataset: Dataset) -> UserTable:
    import numpy as np

    dataset.scoring.check(dataset.metric, _WHERE)
    if any(getattr(dataset, name).weight is not None for name in _SPLITS):
        raise UserError(
            "row weights of a data set passed as an object are not supported",
            kind=ErrorKind.UNSUPPORTED,
            where=_WHERE,
            remedy="pass the path of a table with a column of weights, or register a task plugin",
        )
    metrics: dict[str, Any] = {}
    # Left out where it is the usual one: then the objectives of the run may choose another.
    if dataset.metric != BY_KIND[dataset.kind][0]:
        metrics["metric"] = dataset.metric
    if dataset.false_positive_rate != DEFAULT_FALSE_POSITIVE_RATE:
        metrics["false_positive_rate"] = dataset.false_positive_rate
    if dataset.signal is not None:
        metrics["signal"] = dataset.labels[dataset.signal]
    arrays: dict[str, NDArray[Any]] = {"feature_names": np.array(dataset.features, np.str_)}
    for name, short in _SPLITS.items():
        split = getattr(dataset, name)
        arrays[f"x_{short}"] = split.x
        arrays[f"y_{short}"] = (
            np.array(dataset.labels, np.str_)[split.y] if dataset.kind == CLASSIFICATION else split.y
        )
    return UserTable(arrays, dataset.kind, metrics)


def _of_frame(frame: Any, label: str | None) -> UserTable:
    if label is None:
        raise UserError(
            "the label column is not given",
            kind=ErrorKind.MISSING,
            where="label",
            found=None,
            choices=[str(c) for c in frame.columns],
        )
    if label not in frame.columns:
        raise UserError("no such column", where="label", found=label, choices=[str(c) for c in frame.columns])
    return _of_pair(frame.drop(columns=[label]), frame[label])


def _of_pair(features: Any, labels: Any) -> UserTable:
    import numpy as np

    names = [str(name) for name in getattr(features, "columns", ())]
    try:
        x = np.asarray(features, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError("features must be numbers", where=f"{_WHERE}: X", found=error) from error
    y = np.asarray(labels)
    if y.dtype.kind == "O":
        y = y.astype(np.str_)
    if x.ndim != 2 or y.ndim not in (1, 2) or len(x) != len(y):
        raise UserError(
            "the shape of X must be (rows, features), that of y (rows,) or (rows, outputs)",
            where=_WHERE,
            found=f"X {x.shape}, y {y.shape}",
        )
    arrays = {"x": x, "y": y}
    if names:
        arrays["feature_names"] = np.array(names, np.str_)
    return UserTable(arrays)
