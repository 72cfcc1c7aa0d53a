"""Task ``file``: data from a CSV, NPZ, NPY, Parquet, Feather, HDF5 or ROOT file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls_plugins.tasks.file_task.examples import Examples
    from hwnas_hls_plugins.tasks.file_task.labels import Labels
    from hwnas_hls_plugins.tasks.file_task.npz_table import Arrays
    from hwnas_hls_plugins.tasks.file_task.table import Table

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat")
PARQUET_SUFFIXES = (".parquet", ".pq")
FEATHER_SUFFIXES = (".feather", ".arrow")
HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
SUFFIXES = (
    *CSV_SUFFIXES,
    *(f"{suffix}.gz" for suffix in CSV_SUFFIXES),
    ".npz",
    ".npy",
    *PARQUET_SUFFIXES,
    *FEATHER_SUFFIXES,
    *HDF5_SUFFIXES,
    ".root",
)


@dataclass(frozen=True)
class FileConfig:
    """Settings of the task ``file``.

    Args:
        path: a .csv (also .tsv, .txt, .data, .dat; each also .gz), .npz, .npy, .parquet, .feather, .h5 or
            .root file.
        label: the label column, or several (targets of a regression, or one-hot classes); empty
            means a column called label, target, class or y, or the only text column.
        kind: ``classification``, ``regression``, or ``auto`` (see docs/tasks.md).
        test_path: a second file with the same columns, which becomes the test split.
        split_column: column with the values train, validation (valid, val) or test.
        ignore: columns that are neither features nor label.
        weight: column of numbers, 0 or more: how much each row counts in the loss of training.
        table: tree of a ROOT file, or group or data set of an HDF5 file, if it has several.
        delimiter: character between the columns of a CSV file; empty means that it is detected.
        header: whether the first line of a CSV file names the columns: ``yes``, ``no``, or ``auto`` to detect
            it.
        decimal: decimal sign of a CSV file; ``auto`` takes a comma if numbers are written with one.
        encoding: character encoding of a CSV file, such as ``latin-1``; empty means UTF-8.
        split_seed: seed of the split into 60 % training, 20 % validation, 20 % test.
        image: height, width and channels if a row is an image (channels last) or a time series
            (height 1).
    """

    path: str = ""
    label: str | tuple[str, ...] = ""
    kind: Literal["auto", "classification", "regression"] = "auto"
    test_path: str = ""
    split_column: str = ""
    ignore: str | tuple[str, ...] = ()
    weight: str = ""
    table: str = ""
    delimiter: str = ""
    header: Literal["auto", "yes", "no"] = "auto"
    decimal: Literal["auto", ".", ","] = "auto"
    encoding: str = ""
    split_seed: int = 0
    image: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.image and (len(self.image) != 3 or min(self.image) < 1):
            raise UserError(
                "image must be [height, width, channels]", where="task.image", found=list(self.image)
            )
        if len(self.delimiter) > 1 or self.delimiter in ("\n", "\r", '"', "."):
            raise UserError("not a delimiter", where="task.delimiter", found=repr(self.delimiter))
        if self.delimiter and self.delimiter == self.decimal:
            raise UserError(
                "delimiter and decimal must differ",
                kind=ErrorKind.CONFLICT,
                where="task",
                found=self.delimiter,
            )
        if not 0 <= self.split_seed < 2**32:
            raise UserError("split_seed must be between 0 and 2**32 - 1", where="task", found=self.split_seed)

    @property
    def label_columns(self) -> tuple[str, ...]:
        return _tuple(self.label)

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        return _tuple(self.ignore)


def _tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return ((names,) if names else ()) if isinstance(names, str) else tuple(names)


class FileTask(Task):
    """Data from a CSV, NPZ, NPY, Parquet, Feather, HDF5 or ROOT file."""

    name: ClassVar[str] = "file"
    Config: ClassVar[type[FileConfig]] = FileConfig
    config: FileConfig

    def load(self) -> Dataset:
        """The data in three splits, the same at every call.

        Raises:
            UserError: the file, a column or a value cannot be used.
        """
        from hwnas_hls_plugins.tasks.file_task.labels import encode

        if not self.config.path:
            raise UserError(
                "the task 'file' needs a data file",
                kind=ErrorKind.MISSING,
                where="task.path",
                remedy="run with --task PATH.csv",
            )
        examples = self._read(Path(self.config.path).expanduser())
        if self.config.test_path:
            examples = self._with_test(examples)
        labels = encode(examples.y, examples.label_names, self.config.kind, examples.where)
        train, validation, test = (
            Split(
                examples.x[rows], labels.y[rows], None if examples.weight is None else examples.weight[rows]
            )
            for rows in self._rows(examples, labels)
        )
        classes = labels.kind == CLASSIFICATION
        return Dataset(
            train,
            validation,
            test,
            labels.kind,
            labels.classes,
            examples.features,
            _source(examples, labels, self.config),
            metric="accuracy" if classes else "r2",
            input_shape=(self.config.image[0], self.config.image[1], self.config.image[2])
            if self.config.image
            else None,
            warnings=examples.warnings,
        )

    def _read(self, path: Path, like: Examples | None = None) -> Examples:
        """The examples of a file; ``like`` gives the required columns of a test file."""
        from hwnas_hls_plugins.tasks.file_task.examples import from_table

        config = self.config
        suffix = _suffix(path)
        table: Table
        if suffix == ".npz":
            from hwnas_hls_plugins.tasks.file_task.npz_table import read_npz

            return _of_arrays(read_npz(path), path, config)
        if suffix in HDF5_SUFFIXES:
            from hwnas_hls_plugins.tasks.file_task.hdf5_table import read_hdf5

            found = read_hdf5(path, config.table, config.ignored_columns)
            if isinstance(found, tuple):
                return _of_arrays(found, path, config)
            table = found
        elif suffix == ".npy":
            from hwnas_hls_plugins.tasks.file_task.npz_table import read_npy

            table = read_npy(path, config.ignored_columns)
        elif suffix == ".root":
            from hwnas_hls_plugins.tasks.file_task.root_table import read_root

            table = read_root(path, config.table, config.ignored_columns)
        elif suffix in FEATHER_SUFFIXES:
            from hwnas_hls_plugins.tasks.file_task.parquet_table import read_feather

            table = read_feather(path, config.ignored_columns)
        elif suffix.removesuffix(".gz") in CSV_SUFFIXES:
            from hwnas_hls_plugins.tasks.file_task.csv_table import read_csv

            delimiter = config.delimiter or ("\t" if suffix.startswith(".tsv") else "")
            table = read_csv(
                path, delimiter, config.header, config.decimal, config.encoding, config.ignored_columns
            )
        elif suffix in PARQUET_SUFFIXES:
            from hwnas_hls_plugins.tasks.file_task.parquet_table import read_parquet

            table = read_parquet(path, config.ignored_columns)
        else:
            from hwnas_hls_plugins.tasks.file_task.table import check_file

            check_file(path)
            raise UserError(
                "unknown type of data file (it is taken from the suffix)",
                where=str(path),
                found=suffix or "no suffix",
                choices=SUFFIXES,
            )
        label = like.label_names if like else config.label_columns
        split_column = "" if like else config.split_column
        return from_table(
            table,
            label,
            split_column,
            config.ignored_columns,
            like.features if like else (),
            "" if like else config.weight,
        )

    def _with_test(self, examples: Examples) -> Examples:
        """The examples with the rows of the test file as the test split."""
        import numpy as np

        if examples.parts is not None and "test" in examples.parts:
            raise UserError(
                "the test rows are given twice: in the data and by test_path",
                kind=ErrorKind.CONFLICT,
                where=f"{examples.where} and {self.config.test_path}",
                remedy="omit one of them",
            )
        test = self._read(Path(self.config.test_path).expanduser(), examples)
        if test.features != examples.features:
            raise UserError(
                "the features of the test file differ from those of the data file",
                kind=ErrorKind.MISMATCH,
                where=test.where,
                found=f"{len(test.features)} features",
                remedy=f"it needs the {len(examples.features)} features of {examples.where}",
            )
        parts = examples.parts
        if parts is None:
            parts = np.full(len(examples.x), "", dtype=object)
        columns = []
        for name, ours, theirs in zip(examples.label_names, examples.y, test.y, strict=True):
            if (ours.dtype.kind in "OU") != (theirs.dtype.kind in "OU"):
                raise UserError(
                    "the label is text in one file and a number in the other",
                    kind=ErrorKind.MISMATCH,
                    where=f"{examples.where} and {test.where}: column {name!r}",
                )
            columns.append(np.concatenate([ours, theirs]))
        return dataclasses.replace(
            examples,
            x=np.concatenate([examples.x, test.x]),
            y=tuple(columns),
            parts=np.concatenate([parts, np.full(len(test.x), "test", dtype=object)]),
            # Test rows are not trained on.
            weight=None
            if examples.weight is None
            else np.concatenate([examples.weight, np.ones(len(test.x))]),
            remarks=(*examples.remarks, f"test split from {test.where}"),
        )

    def _rows(self, examples: Examples, labels: Labels) -> tuple[NDArray[np.int64], ...]:
        """Row numbers of training, validation and test."""
        from hwnas_hls_plugins.tasks.file_task.partition import partition

        return partition(examples, labels, self.config.split_seed)


def _suffix(path: Path) -> str:
    """The suffix of a file in lower case; of a gzip file with the one before: ``.csv.gz``."""
    suffix = path.suffix.lower()
    return f"{path.with_suffix('').suffix.lower()}{suffix}" if suffix == ".gz" else suffix


def _of_arrays(found: tuple[Arrays, tuple[str, ...]], path: Path, config: FileConfig) -> Examples:
    """Arrays of features and labels as examples."""
    import numpy as np

    from hwnas_hls_plugins.tasks.file_task.examples import Examples, check_features

    for key in ("label", "split_column", "ignore", "weight"):
        if getattr(config, key):
            raise UserError(
                f"{key} names columns, but arrays of features and labels have none",
                where=str(path),
                found=getattr(config, key),
                remedy="omit it; the arrays must be named X and y, or x_train, y_train, ...",
            )
    pairs, features = found
    for x, _ in pairs.values():
        check_features(x, features, str(path))
    widths = {y.shape[1:] for _, y in pairs.values()}
    if len(widths) > 1:
        raise UserError(
            "the splits have labels of different shapes",
            kind=ErrorKind.MISMATCH,
            where=str(path),
            found=sorted(widths),
        )
    y = np.concatenate([y for _, y in pairs.values()])
    if y.dtype.kind == "U":
        y = y.astype(object)
    matrix = y.reshape(len(y), -1)
    names = ("y",) if y.ndim == 1 else tuple(f"y{number}" for number in range(matrix.shape[1]))
    split = "" not in pairs
    return Examples(
        str(path),
        np.concatenate([x for x, _ in pairs.values()]),
        tuple(matrix[:, number] for number in range(matrix.shape[1])),
        features,
        names,
        np.concatenate([np.full(len(x), part, dtype=object) for part, (x, _) in pairs.items()])
        if split
        else None,
    )


def _source(examples: Examples, labels: Labels, config: FileConfig) -> str:
    """The source of the data and how they were interpreted, for the report."""
    remarks = [*examples.remarks]
    if config.kind == "auto":
        remarks.append(f"interpreted as a {labels.kind}")
    if examples.parts is None:
        stratified = "stratified " if labels.kind == CLASSIFICATION else ""
        remarks.append(f"{stratified}60/20/20 split, seed {config.split_seed}")
    else:
        remarks.append("split as given")
        if "validation" not in examples.parts:
            remarks.append(f"a quarter of the training rows for validation, seed {config.split_seed}")
    return f"{Path(examples.where).name}, {len(examples.x)} rows ({'; '.join(remarks)})"
