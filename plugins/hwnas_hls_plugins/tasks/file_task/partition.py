"""Assigns rows to training, validation and test, as given in the file or at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.task import CLASSIFICATION, REGRESSION
from hwnas_hls_plugins.tasks.file_task.examples import Examples
from hwnas_hls_plugins.tasks.file_task.labels import Labels
from hwnas_hls_plugins.tasks.split import TEST_SHARE, VALIDATION_SHARE, shuffled, stratified

Rows = NDArray[np.int64]


def partition(examples: Examples, labels: Labels, seed: int) -> tuple[Rows, ...]:
    """Row indices of training, validation and test.

    Rows whose part the file gives keep it. Without a given test split the rows are drawn
    60/20/20; where only validation is missing, a quarter of the training rows is drawn for
    it, so that the shares are those of a drawn split.

    Raises:
        UserError: a split without rows, a class that training lacks, too few rows to draw from,
            a split in which all targets are the same.
    """
    parts = examples.parts
    every = np.arange(len(examples.x), dtype=np.int64)
    if parts is None:
        rows = _drawn(every, labels, seed, examples.where, (VALIDATION_SHARE, TEST_SHARE))
    else:
        held = {name: every[parts == name] for name in ("train", "validation", "test")}
        free = every[parts == ""]
        training = np.concatenate([held["train"], free])
        validation = held["validation"]
        for name, found in (("train", training), ("test", held["test"])):
            if not len(found):
                raise UserError(
                    f"the split {name!r} has no rows",
                    kind=ErrorKind.MISSING,
                    where=examples.where,
                    remedy="give rows of train and test (validation is drawn from train where it is missing)",
                )
        if not len(validation):
            share = VALIDATION_SHARE / (1.0 - TEST_SHARE)
            training, validation = _drawn(training, labels, seed, examples.where, (share,))
        rows = (training, validation, held["test"])
    _check(rows, labels, examples)
    return rows


def _drawn(rows: Rows, labels: Labels, seed: int, where: str, shares: tuple[float, ...]) -> tuple[Rows, ...]:
    if labels.kind == REGRESSION:
        drawn = shuffled(len(rows), seed, where, shares)
    else:
        present = np.unique(labels.y[rows])
        names = [labels.classes[number] for number in present]
        drawn = stratified(np.searchsorted(present, labels.y[rows]), names, seed, where, shares)
    return tuple(rows[places] for places in drawn)


def _check(rows: tuple[Rows, ...], labels: Labels, examples: Examples) -> None:
    training = examples.x[rows[0]]
    if len(training) > 1 and (training == training[0]).all():
        raise UserError(
            "every feature is constant in the training rows, so nothing can be learnt from them",
            where=examples.where,
            found=", ".join(examples.features[:10]),
            remedy="give a table with features that differ between rows",
        )
    if labels.kind == CLASSIFICATION:
        lacking = np.setdiff1d(labels.y[np.concatenate(rows[1:])], labels.y[rows[0]])
        if len(lacking):
            raise UserError(
                "classes occur in validation or test, but not in training",
                kind=ErrorKind.MISMATCH,
                where=examples.where,
                found=", ".join(repr(labels.classes[number]) for number in lacking[:10]),
                remedy="add training rows of these classes, or drop their rows",
            )
        return
    for name, part in zip(("training", "validation", "test"), rows, strict=True):
        same = np.flatnonzero(labels.y[part].min(axis=0) == labels.y[part].max(axis=0))
        if len(same):
            raise UserError(
                f"all rows of the {name} split have the same target, so r2 is undefined",
                where=f"{examples.where}: label column {examples.label_names[int(same[0])]!r}",
                found=f"{len(part)} rows",
                remedy="give more rows, or split them yourself (split_column)",
            )
