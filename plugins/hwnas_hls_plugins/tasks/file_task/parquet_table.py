"""Reads Parquet and Feather files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas_hls_plugins.tasks.file_task.arrow import to_column
from hwnas_hls_plugins.tasks.file_task.table import Table, check_file, check_names, check_size, unreadable


def read_parquet(path: Path, ignore: Sequence[str] = ()) -> Table:
    """All columns of a Parquet file, except an index written by pandas.

    Raises:
        UserError: not a readable Parquet file, too large, or a column of another kind than
            number or text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(path)
    where = str(path)
    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            check_names(names, where)
            check_size(file.metadata.num_rows, len(names), where)
            index = _pandas_index(file.schema_arrow.metadata)
            wanted = [name for name in names if name not in index and name not in ignore]
            table = file.read(columns=wanted)
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise unreadable("Parquet file", where, error) from error
    return _table(table, names, index, wanted, where)


def read_feather(path: Path, ignore: Sequence[str] = ()) -> Table:
    """All columns of a Feather (Arrow IPC) file, except an index written by pandas.

    Raises:
        UserError: as :func:`read_parquet`.
    """
    import pyarrow as pa
    from pyarrow import feather

    check_file(path)
    where = str(path)
    try:
        table = feather.read_table(path)
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise unreadable("Feather file", where, error) from error
    check_names(table.column_names, where)
    check_size(table.num_rows, max(1, table.num_columns), where)
    index = _pandas_index(table.schema.metadata)
    wanted = [name for name in table.column_names if name not in index and name not in ignore]
    return _table(table, table.column_names, index, wanted, where)


def _table(table: Any, names: Sequence[str], index: set[str], wanted: Sequence[str], where: str) -> Table:
    """The wanted columns of an Arrow table, with a remark about each of the index."""
    columns = {name: to_column(name, table.column(name), where) for name in wanted}
    remarks = tuple(f"index column {name!r} left out" for name in names if name in index)
    return Table(where, columns, remarks=remarks)


def _pandas_index(metadata: Any) -> set[str]:
    """The columns that pandas stored only for its index."""
    try:
        described = json.loads((metadata or {}).get(b"pandas", b"{}"))
        return {name for name in described.get("index_columns", []) if isinstance(name, str)}
    except (ValueError, AttributeError):
        return set()
