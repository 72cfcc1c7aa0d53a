"""The key ``input_words`` of a task: features that reach the circuit as raw words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.input_words import MAX_BITS, chosen_scaling
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Whole numbers: the narrowest type that holds all rows.
INTEGERS = "integers"
#: In a table of types: that of all features that it does not name.
OTHERS = "others"
_SPLITS = ("train", "validation", "test")
_EXAMPLE = '"integers", or a type such as "ap_uint<12>" or "ap_fixed<10,6>"'


def with_words(dataset: Dataset, wanted: str | Mapping[str, str], where: str) -> Dataset:
    """The data with the scaling of its raw words; unchanged if ``wanted`` is empty.

    Args:
        wanted: ``integers`` or a type for all features, or a table of them by the feature's name.
        where: the key, for messages.

    Raises:
        UserError: a type or feature is unknown, a value is not one of its type, or the scales of two
            features differ too much.
    """
    if not wanted:
        return dataset
    kinds = _by_feature(dataset, wanted, where)
    words = tuple(_word(dataset, place, kind, where) for place, kind in enumerate(kinds))
    return dataclasses.replace(dataset, scaling=chosen_scaling(words, dataset.train.x))


def _by_feature(dataset: Dataset, wanted: str | Mapping[str, str], where: str) -> list[str]:
    if isinstance(wanted, str):
        return [wanted] * dataset.n_in
    unknown = [name for name in wanted if name not in dataset.features and name != OTHERS]
    if unknown:
        raise UserError(
            "no such feature", where=where, found=unknown[0], choices=(*dataset.features[:50], OTHERS)
        )
    missing = [name for name in dataset.features if name not in wanted and OTHERS not in wanted]
    if missing:
        raise UserError(
            "every feature needs the type of its words",
            where=where,
            found=f"none for {', '.join(missing[:5])}",
            remedy=f'add {OTHERS} = "ap_uint<12>" for all that are not named',
            kind=ErrorKind.MISSING,
        )
    return [wanted[name] if name in wanted else wanted[OTHERS] for name in dataset.features]


def _word(dataset: Dataset, place: int, kind: str, where: str) -> FixedType:
    """The type of a feature's words, with all its values checked."""
    name = dataset.features[place] if place < len(dataset.features) else f"feature {place}"
    columns = {split: getattr(dataset, split).x[:, place] for split in _SPLITS}
    if kind == INTEGERS:
        _check(columns, np.floor, f"{where}: {name}", "is not a whole number", _EXAMPLE)
        word = _narrowest(columns)
    else:
        word = FixedType.parse(kind).plain
    if word.width > MAX_BITS:
        raise UserError(
            f"words have at most {MAX_BITS} bits",
            where=f"{where}: {name}",
            found=str(word),
            remedy="drop low or high bits in the table",
            kind=ErrorKind.TOO_LARGE,
        )
    step = 2.0**-word.fraction
    _check(
        columns,
        lambda values: np.clip(np.floor(values / step), word.lowest, word.highest) * step,
        f"{where}: {name}",
        f"is not a value of {word}",
        f"from {word.lowest * step:g} to {word.highest * step:g} in steps of {step:g}",
    )
    return word


def _narrowest(columns: Mapping[str, NDArray[np.float64]]) -> FixedType:
    """The narrowest type of whole numbers that holds all values."""
    values = [column for column in columns.values() if len(column)]
    low, high = int(min(column.min() for column in values)), int(max(column.max() for column in values))
    signed = low < 0
    width = max(max(high, ~low if signed else 0).bit_length() + signed, 1)
    return FixedType(width, width, signed)


def _check(
    columns: Mapping[str, NDArray[np.float64]],
    nearest: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    where: str,
    what: str,
    say: str,
) -> None:
    """Raise UserError with the first value that ``nearest`` changes."""
    for split, column in columns.items():
        wrong = np.flatnonzero(nearest(column) != column)
        if len(wrong):
            raise UserError(
                f"a value {what}",
                where=where,
                found=f"{column[wrong[0]]:g} in row {wrong[0] + 1} of {split}; {len(wrong)} such values",
                remedy=f"give {say}",
                kind=ErrorKind.MISMATCH,
            )
