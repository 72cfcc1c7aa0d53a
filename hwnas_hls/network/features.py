"""Types of single values that a layer reads: some of the bits of the type that they share, or none.

Input features: the host rounds and saturates every feature to its own type and passes it as a number of the
network's input type. The circuit reads the bits of the feature's own type and ignores the others: a cast by
truncation and wrapping, which costs no hardware and does not change a number that the host has prepared.

Results of hidden neurons: the circuit rounds and limits the sum of a neuron to its own type, once, by the
rounding and overflow modes of its layer's result type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: One type per value, ``None`` where it is not read; empty where all have the type that they share.
FeatureTypes = tuple[FixedType | None, ...]


def check_features(features: FeatureTypes, kind: FixedType, n_in: int, what: str = "feature") -> None:
    """Raise a UserError unless these are plain types inside ``kind``, one each of ``n_in`` values.

    Args:
        what: one of the values, for messages.
    """
    if not features:
        return
    if len(features) != n_in:
        raise UserError(
            f"each {what} needs a type, all {n_in} of them", found=len(features), kind=ErrorKind.MISMATCH
        )
    for number, own in enumerate(features):
        if own is None:
            continue
        sign = kind.signed and not own.signed  # an unsigned number in a signed type needs one more bit
        inside = own.fraction <= kind.fraction and own.integer + sign <= kind.integer
        if not inside or (own.signed and not kind.signed) or own != own.plain:
            raise UserError(
                f"the type of {what} {number} must be a plain type inside {kind}",
                found=str(own),
                kind=ErrorKind.INVALID,
            )
        with_modes(own, kind)  # raises if it cannot have them


def given_features(features: FeatureTypes, kind: FixedType, n_in: int) -> FeatureTypes:
    """One type per value; without own types, all have the plain type that they share."""
    return features or (kind.plain,) * n_in


def bits_read(features: FeatureTypes, kind: FixedType, n_in: int) -> int:
    """Bits of all values that are read."""
    return sum(own.width for own in given_features(features, kind, n_in) if own is not None)


def on_own_grids(features: FeatureTypes, kind: FixedType, values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Standardised features (rows, n_in) -> integers on the input grid, as the host passes them.

    Each feature is rounded half up and saturated to its own type; a feature that is not read is 0.
    """
    import numpy as np

    grids = Grids(features, kind, values.shape[1])
    counted = np.floor(np.asarray(values, np.float64) * grids.scale + 0.5)
    whole: NDArray[np.int64] = (np.clip(counted, grids.low, grids.high) * grids.step).astype(np.int64)
    return whole


def requantised(
    types: FeatureTypes, kind: FixedType, values: NDArray[np.int64], fraction: int
) -> NDArray[np.int64]:
    """Integers (rows, n) on the grid ``2**-fraction`` -> on the grid of ``kind``, each of its own type.

    The rounding and overflow modes are those of ``kind``.
    """
    import numpy as np

    if not types:
        return kind.requantise(values, fraction)
    out = np.zeros_like(values)
    # Equal types at once.
    for own in set(types) - {None}:
        places = [number for number, one in enumerate(types) if one == own]
        moded = with_modes(own, kind)
        out[:, places] = moded.requantise(values[:, places], fraction) << (kind.fraction - moded.fraction)
    return out


def with_modes(own: FixedType | None, kind: FixedType) -> FixedType:
    """A value's own type with the modes of ``kind``; ``kind`` for a value that is not read."""
    return kind if own is None else replace(own, rounding=kind.rounding, overflow=kind.overflow)


def cast(features: FeatureTypes, kind: FixedType, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers (rows, n_in) on the input grid -> the values of the bits that are read, on the same grid."""
    return requantised(features, kind.plain, values, kind.fraction) if features else values


def hull(types: FeatureTypes, kind: FixedType) -> FixedType:
    """The narrowest type that represents all of these, with the modes of ``kind``; it without own types."""
    own = [one for one in types if one is not None]
    if not own:
        return kind
    signed = any(one.signed for one in own)
    integer = max(one.integer + (signed and not one.signed) for one in own)
    return FixedType(
        integer + max(one.fraction for one in own), integer, signed, kind.rounding, kind.overflow
    )


def ends(features: FeatureTypes, kind: FixedType, n_in: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The smallest and the largest value of each type, (n_in,) on the grid of ``kind``."""
    import numpy as np

    if not features:
        return np.full(n_in, kind.lowest, np.int64), np.full(n_in, kind.highest, np.int64)
    low, high = (
        np.array(
            [0 if one is None else getattr(one, end) << (kind.fraction - one.fraction) for one in features],
            np.int64,
        )
        for end in ("lowest", "highest")
    )
    return low, high


class Grids:
    """Arrays float64 (n_in,) that put real values onto the grid of ``kind``, each by its own type.

    ``clip(floor(x * scale + 0.5), low, high) * step``
    """

    def __init__(self, features: FeatureTypes, kind: FixedType, n_in: int) -> None:
        import numpy as np

        own = given_features(features, kind, n_in)
        self.scale = np.array([0.0 if one is None else 2.0**one.fraction for one in own])
        self.low = np.array([0.0 if one is None else float(one.lowest) for one in own])
        self.high = np.array([0.0 if one is None else float(one.highest) for one in own])
        self.step = np.array([0.0 if one is None else 2.0 ** (kind.fraction - one.fraction) for one in own])


def features_to_json(features: FeatureTypes) -> list[str | None]:
    """As ``ap_fixed`` text; ``None`` for a value that is not read."""
    return [None if one is None else str(one) for one in features]


def features_from_json(data: Sequence[str | None]) -> FeatureTypes:
    """The inverse of :func:`features_to_json`."""
    return tuple(None if one is None else FixedType.parse(one) for one in data)
