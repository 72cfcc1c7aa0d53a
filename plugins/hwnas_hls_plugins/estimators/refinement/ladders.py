"""Ladders of several designs, within a limit of their work."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.emulator import input_integers
from hwnas_hls.protocols.estimator import Refinement
from hwnas_hls.system.cores import available_cores
from hwnas_hls_plugins.estimators.refinement.refine import ladder
from hwnas_hls_plugins.estimators.refinement.saturation import without_idle_saturation
from hwnas_hls_plugins.estimators.refinement.work import affordable, work_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design

#: Maximum work of all ladders (see the module ``work``): 80 s of one core.
_MOST_WORK = 4e5
#: Loss per LUT: nats, or half a squared unit of the outputs.
_PRICES = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3, 1.3e-2, 2.6e-2)
#: Passes at each price. In three of them on a design of ``letter``, a third made a quarter as many changes as
#: the first; without it, LUTs and loss of five designs were on the same curve, in 0.9 times the seconds.
_PASSES = 2
#: The first price, times the LUTs of a design: lower ones change nearly nothing.
_FIRST_PRICE = 0.02
#: Share of the LUTs at which a ladder ends, and of designs of distributed arithmetic: training removes their
#: adders, and other designs of the same removal are smaller and better then. The smallest ones, a share of
#: all designs, have no such neighbours.
_LEAST_KEPT, _LEAST_ADDERS_KEPT = 0.5, 0.8
_SMALLEST = 0.1
#: Digits that are left share more adders: the share of da4ml's cost that a refinement kept was that of the
#: weights' law to a power of 1.1 to 1.8 (20 refined designs of 650 to 14,000 LUTs).
_SHARING = 1.3


def ladders(
    designs: Sequence[Design], x: NDArray[np.floating], labels: NDArray[np.generic], until: Sequence[float]
) -> list[list[Refinement]]:
    """A ladder of each design; empty for those that cannot be refined or exceed the limit of the work.

    Args:
        designs: the most important ones first: the limit of the work counts them in this order.
        x: features of the rows that guide the refinement, (rows, n_in).
        labels: as for :func:`~hwnas_hls_plugins.estimators.refinement.refine.refine`.
        until: highest price for each design.
    """
    wanted = affordable([work_of(design, len(x)) for design in designs], _MOST_WORK)
    # The first rows reject most moves, and rows of a file may be sorted by class.
    order = np.random.default_rng(0).permutation(len(x))
    x, labels = x[order], labels[order]

    sizes = [_weights_of(design) for design in designs]
    smallest = sorted(sizes)[: int(_SMALLEST * len(sizes))]

    def of(design: Design, most: float, want: bool) -> list[Refinement]:
        prices = [price for price in _PRICES if price <= most]
        if not prices or not want:
            return []
        adders = design.architecture.allows_feature_types
        has_smaller = adders and _weights_of(design) not in smallest
        try:
            values = None
            if design.architecture.narrow_features and design.preprocessing is not None:
                values = design.preprocessing(x)
            rows = input_integers(design, x)
            stops = ladder(
                design,
                rows,
                labels,
                prices,
                values=values,
                passes=_PASSES,
                since=_FIRST_PRICE,
                until=_LEAST_ADDERS_KEPT if has_smaller else _LEAST_KEPT,
            )
        except Unsupported:
            return []
        return [
            Refinement(
                without_idle_saturation(stop.design, rows),
                stop.price,
                (stop.lut / max(stop.lut_before, 1.0)) ** (_SHARING if adders else 1.0),
            )
            for stop in stops
        ]

    # The compiled kernels release the GIL; the result does not depend on the number of threads.
    with ThreadPoolExecutor(min(available_cores(), 4)) as pool:
        return list(pool.map(of, designs, until, wanted))


def _weights_of(design: Design) -> int:
    """The number of weights that are not zero."""
    return sum(int(np.count_nonzero(weight)) for weight in design.weights if weight is not None)
