"""Checks of what the methods of plugins return, where the run uses it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from hwnas_hls.plugin.faults import WrongReturn
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.task import CLASSIFICATION, REGRESSION, Dataset, Split
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates

T = TypeVar("T")


def checked_estimates(returned: object, candidates: int) -> list[Estimates]:
    """What ``estimate`` returned for this many candidates.

    Raises:
        WrongReturn: no list of one ``Estimates`` per candidate, or a value that is no finite estimate.
    """
    found = _items(returned, Estimates, "estimate()")
    if len(found) != candidates:
        raise WrongReturn(f"estimate() returned {len(found)} results for {candidates} candidates")
    for item in found:
        for metric, estimate in item.values.items():
            if not isinstance(estimate, Estimate):
                raise WrongReturn(f"estimate() returned {metric} = {estimate!r:.80}; it must be an Estimate")
            if not math.isfinite(estimate.value):
                raise WrongReturn(f"estimate() returned {metric} = {estimate.value}; it must be finite")
    return found


def checked_paths(returned: object) -> list[Path]:
    """What ``export`` returned.

    Raises:
        WrongReturn: no list of paths.
    """
    return _items(returned, Path, "export()")


def checked_report(returned: object) -> SynthesisReport:
    """What ``synthesize`` returned.

    Raises:
        WrongReturn: no report, or one whose numbers are no estimates.
    """
    if not isinstance(returned, SynthesisReport):
        raise WrongReturn(f"synthesize() returned {returned!r:.80}; it must return a SynthesisReport")
    for metric, estimate in returned.estimates.items():
        if not isinstance(estimate, Estimate):
            raise WrongReturn(
                f"synthesize() returned {metric} = {estimate!r:.80}; write measured({metric!r}, ...)"
            )
    return returned


def checked_availability(returned: object) -> str:
    """What ``available`` returned.

    Raises:
        WrongReturn: no text.
    """
    if not isinstance(returned, str):
        raise WrongReturn(
            f"available() returned {returned!r:.80}; it must return text: empty, or what is missing"
        )
    return returned


def asked_candidates(returned: object) -> list[Candidate]:
    """What ``ask`` of a strategy returned, as a list."""
    return _items(returned, Candidate, "ask()")


def _items(returned: object, item: type[T], call: str) -> list[T]:
    if isinstance(returned, str | Path) or not isinstance(returned, Iterable):
        raise WrongReturn(f"{call} returned {returned!r:.80}; it must return a list of {item.__name__}")
    found = list(returned)
    for entry in found:
        if not isinstance(entry, item):
            raise WrongReturn(f"{call} returned a list with {entry!r:.80}; each item must be {item.__name__}")
    return found


def dataset_fault(data: Dataset) -> str:
    """Why a run cannot use what ``load`` returned: split, what it holds, what it must hold; else empty."""
    if data.kind not in (CLASSIFICATION, REGRESSION):
        return f"kind is {data.kind!r}; it must be {CLASSIFICATION!r} or {REGRESSION!r}"
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    for name, split in splits.items():
        if fault := _array_fault(split):
            return f"{name}: {fault}"
    for name, split in splits.items():
        if split.x.shape != (len(split.y), data.n_in) or not len(split.y):
            return (
                f"{name}: x is {split.x.shape} and y {split.y.shape}; x must be (rows, {data.n_in}), rows > 0"
            )
        if fault := _target_fault(data, split):
            return f"{name}: {fault}"
    if len(data.features) != data.n_in:
        return f"{len(data.features)} feature names for {data.n_in} columns"
    return ""


def _array_fault(split: Split) -> str:
    for what, array in (("x", split.x), ("y", split.y)):
        if not isinstance(array, np.ndarray):
            return f"{what} is a {type(array).__name__}; it must be a NumPy array"
    if split.x.dtype.kind != "f" or split.x.ndim != 2:
        return f"x has {split.x.ndim} dimensions of type {split.x.dtype}; it must be (rows, n_in) of float64"
    if not np.isfinite(split.x).all():
        row, column = np.argwhere(~np.isfinite(split.x))[0]
        return f"x[{row}, {column}] is {split.x[row, column]}; every feature must be finite"
    return ""


def _target_fault(data: Dataset, split: Split) -> str:
    if data.kind == REGRESSION:
        if split.y.dtype.kind != "f" or split.y.ndim != 2 or not np.isfinite(split.y).all():
            return f"y is {split.y.shape} of type {split.y.dtype}; it must be finite float64 (rows, n_out)"
        return ""
    if split.y.dtype.kind not in "iu" or split.y.ndim != 1:
        return f"y is {split.y.shape} of type {split.y.dtype}; class numbers are int64 (rows,)"
    low, high = int(split.y.min()), int(split.y.max())
    if low < 0 or high >= len(data.labels):
        return f"y holds classes {low} to {high}, but there are {len(data.labels)} labels"
    return ""
