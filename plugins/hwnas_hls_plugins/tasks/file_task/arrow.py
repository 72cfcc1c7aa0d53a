"""Converts Arrow columns to numpy columns, for the CSV and Parquet readers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls_plugins.tasks.file_task.table import Column


def to_column(name: str, values: Any, where: str) -> Column:
    """An Arrow column as float64, bool or text.

    Args:
        name: of the column, for messages.
        values: a ``pyarrow.ChunkedArray``.
        where: the file, for messages.

    Returns:
        shape (rows,); see :class:`~hwnas_hls_plugins.tasks.file_task.table.Table` for the kinds.

    Raises:
        UserError: a type that is neither number nor text (lists, structures, raw bytes).
    """
    import pyarrow as pa

    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if pa.types.is_boolean(kind):
        if values.null_count:
            return np.asarray(values.cast(pa.int8()).cast(pa.float64()).to_numpy(), np.float64)
        return np.asarray(values.to_numpy(), np.bool_)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), np.float64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array(values.to_pylist(), dtype=object)
    if pa.types.is_temporal(kind):
        # A date is neither a number nor a class; as text it gets the message for text columns.
        return np.array([None if v is None else str(v) for v in values.to_pylist()], dtype=object)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise UserError(
            "a column contains bytes that are not text",
            kind=ErrorKind.WRONG_FORMAT,
            where=f"{where}: column {name!r}",
            remedy="save the file as UTF-8, or name its encoding: encoding = 'latin-1'",
        )
    raise UserError(
        "a column contains neither numbers nor text",
        where=f"{where}: column {name!r}",
        found=str(kind),
        remedy="give one number per row and column",
    )
