"""Types of single input features: some of the bits of the network's input type, or none.

The host rounds and saturates every feature to its own type and passes it as a number of the network's input
type. The circuit reads the bits of the feature's own type and ignores the others: a cast by truncation and
wrapping, which costs no hardware and does not change a number that the host has prepared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: One type per feature, ``None`` where it is not read; empty where all have the network's input type.
FeatureTypes = tuple[FixedType | None, ...]


def check_features(features: FeatureTypes, kind: FixedType, n_in: int) -> None:
    """Raise a UserError unless these are plain types inside ``kind``, one each of ``n_in`` features."""
    if not features:
        return
    if len(features) != n_in:
        raise UserError(
            f"each of the {n_in} features needs a type", found=len(features), kind=ErrorKind.MISMATCH
        )
    for number, own in enumerate(features):
        if own is None:
            continue
        sign = kind.signed and not own.signed  # an unsigned number in a signed type needs one more bit
        inside = own.fraction <= kind.fraction and own.integer + sign <= kind.integer
        if not inside or (own.signed and not kind.signed) or own != own.plain:
            raise UserError(
                f"the type of feature {number} must be a plain type inside the input type {kind}",
                found=str(own),
                kind=ErrorKind.INVALID,
            )


def given_features(features: FeatureTypes, kind: FixedType, n_in: int) -> FeatureTypes:
    """One type per feature; without own types, all have the plain input type."""
    return features or (kind.plain,) * n_in


def bits_read(features: FeatureTypes, kind: FixedType, n_in: int) -> int:
    """Bits of all features that are read."""
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


def cast(features: FeatureTypes, kind: FixedType, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers (rows, n_in) on the input grid -> the values of the bits that are read, on the same grid."""
    import numpy as np

    if not features:
        return values
    out = np.zeros_like(values)
    for number, own in enumerate(features):
        if own is not None:
            shift = kind.fraction - own.fraction
            out[:, number] = own.requantise(values[:, number], kind.fraction) << shift
    return out


def ends(features: FeatureTypes, kind: FixedType, n_in: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The smallest and the largest value of each feature, (n_in,) on the input grid."""
    import numpy as np

    own = given_features(features, kind, n_in)
    low, high = (
        np.array(
            [0 if one is None else getattr(one, end) << (kind.fraction - one.fraction) for one in own],
            np.int64,
        )
        for end in ("lowest", "highest")
    )
    return low, high


class Grids:
    """Arrays float64 (n_in,) that put standardised features onto the input grid.

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
    """As ``ap_fixed`` text; ``None`` for a feature that is not read."""
    return [None if one is None else str(one) for one in features]


def features_from_json(data: Sequence[str | None]) -> FeatureTypes:
    """The inverse of :func:`features_to_json`."""
    return tuple(None if one is None else FixedType.parse(one) for one in data)
