"""Task ``jets``: the LHC jet data of hls4ml's tutorial, 16 features, 5 classes.

Data: ``hls4ml_lhc_jets_hlf``, OpenML 42468 (M. Pierini, J. Duarte, N. Tran, M. Freytsis, 2020):
830,000 simulated jets from gluons, light quarks, W and Z bosons and top quarks, each with 16
high-level features; used in J. Duarte et al., JINST 13 P07027 (2018).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split, Task
from hwnas_hls_plugins.tasks.file_task import FileConfig, FileTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPENML_ID = 42468
N_FEATURES = 16
CLASSES = ("g", "q", "t", "w", "z")


@dataclass(frozen=True)
class JetsConfig:
    """Settings of the task ``jets``.

    Args:
        download: download the data from OpenML (about 100 MB, cached in scikit-learn's data folder);
            without it, nothing is downloaded.
        path: a local copy, .csv, .npz or .parquet, with the label column ``class``.
        rows: number of random rows to use; 0 means all.
        split_seed: seed of the stratified split into 60 % training, 20 % validation, 20 % test.
    """

    download: bool = False
    path: str = ""
    rows: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.download and self.path:
            raise UserError(
                "download and path exclude each other",
                kind=ErrorKind.CONFLICT,
                where="task",
            )
        if self.rows < 0:
            raise UserError("rows must be at least 0 (0 means all)", where="task.rows", found=self.rows)
        if not 0 <= self.split_seed < 2**32:
            raise UserError("split_seed must be between 0 and 2**32 - 1", where="task", found=self.split_seed)


class JetsTask(Task):
    """Five kinds of LHC jets from 16 features."""

    name: ClassVar[str] = "jets"
    Config: ClassVar[type[JetsConfig]] = JetsConfig
    config: JetsConfig

    def load(self) -> Dataset:
        """The data in three splits, the same at every call.

        Raises:
            UserError: neither a file nor a download is configured, OpenML cannot be reached, or the file
                contains other data.
        """
        if self.config.path:
            dataset = FileTask(FileConfig(path=self.config.path, split_seed=self.config.split_seed)).load()
            _check(dataset, self.config.path)
        elif self.config.download:
            dataset = self._download()
        else:
            raise UserError(
                "the jets data are not on this machine, and downloading is off",
                kind=ErrorKind.MISSING,
                where="task jets",
                remedy=f"set download = true in [task] to download OpenML {OPENML_ID}, or path to a "
                "CSV, NPZ or Parquet copy of it (label column 'class')",
            )
        return self._fewer(dataset) if self.config.rows else dataset

    def _download(self) -> Dataset:
        import http.client

        from sklearn.datasets import fetch_openml

        from hwnas_hls_plugins.tasks.split import stratified

        try:
            bunch: Any = fetch_openml(data_id=OPENML_ID, as_frame=True, parser="auto")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise UserError(
                "the jets could not be downloaded from OpenML",
                kind=ErrorKind.NOT_ACCESSIBLE,
                where=f"OpenML {OPENML_ID}",
                found=f"{type(error).__name__}: {error}",
                remedy="try again online, or set path to a CSV, NPZ or Parquet copy (label column 'class')",
            ) from error
        x = bunch.data.to_numpy(dtype="float64")
        names = bunch.target.astype(str).to_numpy()
        labels = tuple(sorted(set(names)))
        number = {name: place for place, name in enumerate(labels)}
        y = _integers([number[name] for name in names])
        train, validation, test = (
            Split(x[rows], y[rows]) for rows in stratified(y, labels, self.config.split_seed, "jets")
        )
        dataset = Dataset(
            train,
            validation,
            test,
            CLASSIFICATION,
            labels,
            tuple(str(name) for name in bunch.data.columns),
            f"OpenML {OPENML_ID} hls4ml_lhc_jets_hlf, {len(y)} rows; stratified 60/20/20 split, seed "
            f"{self.config.split_seed}",
        )
        _check(dataset, f"OpenML {OPENML_ID}")
        return dataset

    def _fewer(self, dataset: Dataset) -> Dataset:
        """The same share of each split; rows are already in random order."""
        n_rows = len(dataset.train) + len(dataset.validation) + len(dataset.test)
        share = min(1.0, self.config.rows / n_rows)
        parts = []
        for split in (dataset.train, dataset.validation, dataset.test):
            keep = max(1, round(share * len(split)))
            parts.append(Split(split.x[:keep], split.y[:keep]))
        if len(set(parts[0].y.tolist())) < len(dataset.labels):
            raise UserError(
                "too few rows to contain every class",
                kind=ErrorKind.TOO_FEW,
                where="task.rows",
                found=self.config.rows,
            )
        return dataclasses.replace(
            dataset,
            train=parts[0],
            validation=parts[1],
            test=parts[2],
            source=f"{dataset.source}; {sum(len(part) for part in parts)} rows of it used",
        )


def _integers(values: list[int]) -> NDArray[np.int64]:
    import numpy as np

    return np.array(values, np.int64)


def _check(dataset: Dataset, where: str) -> None:
    if dataset.n_in != N_FEATURES or len(dataset.labels) != len(CLASSES):
        raise UserError(
            f"the jets must have {N_FEATURES} features and the classes {', '.join(CLASSES)}",
            kind=ErrorKind.MISMATCH,
            where=where,
            found=f"{dataset.n_in} features, {len(dataset.labels)} classes ({', '.join(dataset.labels[:8])})",
            remedy="for other data, use the task 'file': --task PATH",
        )
