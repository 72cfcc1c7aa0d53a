"""Designs along the removal of adders: which are worth a record, and their refinement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import input_integers
from hwnas_hls.network.features import given_features
from hwnas_hls.protocols.task import REGRESSION, Dataset, Split
from hwnas_hls.system.cores import available_cores
from hwnas_hls_plugins.estimators.feature_bits import digit_price
from hwnas_hls_plugins.estimators.hls_model.constants import csd_weight
from hwnas_hls_plugins.estimators.refinement import refine
from hwnas_hls_plugins.estimators.refinement.saturation import without_idle_saturation
from hwnas_hls_plugins.estimators.training.row_weights import refinement_rows
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import constants

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.config import TrainingConfig

#: Far behind: another design with a better score has fewer adder bits by this factor.
BEHIND = 1.3
#: Maximum number of training rows of a refinement.
_ROWS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A network that is losing adders.

    Args:
        kept: share of its adders to keep.
        score: interim task metric on the validation rows, with its sign changed if smaller is better.
        adder_bits: total adder bits of the types in training, see :func:`adder_bits_of`.
    """

    kept: float
    design: Design
    score: float
    adder_bits: float


class SnapshotRefinement:
    """Refines single weights of snapshots, at a price above 0, and widens their result types.

    Args:
        dataset: dataset of the rows.
        train: training rows; the loss on at most 2,048 of them decides.
        config: with its ``descent_price`` of 0, weights stay as they are.
        score: the score of a design on the validation rows of the training, see :class:`Snapshot`.
    """

    def __init__(
        self,
        dataset: Dataset,
        train: Split,
        config: TrainingConfig,
        score: Callable[[Design], float],
    ) -> None:
        self.price, self._score = config.descent_price, score
        self._rows = refinement_rows(train, dataset, config, _ROWS)
        self._labels = dataset.wanted(self._rows) if dataset.kind == REGRESSION else self._rows.y

    def refined(self, snapshots: Sequence[Snapshot], front: Sequence[tuple[float, float]]) -> list[Snapshot]:
        """The snapshots, with refined weights unless the price is 0 or they are far behind the front.

        The result does not depend on the number of threads. The compiled kernels release the GIL.
        """

        def of(snapshot: Snapshot) -> Snapshot:
            return snapshot if is_behind(snapshot, front) else self._refined(snapshot)

        if self.price == 0:
            return list(snapshots)
        with ThreadPoolExecutor(min(available_cores(), 4)) as pool:
            return list(pool.map(of, snapshots))

    def _refined(self, snapshot: Snapshot) -> Snapshot:
        design = snapshot.design
        values = None
        if design.architecture.narrow_features and design.preprocessing is not None:
            values = design.preprocessing(self._rows.x)
        # A bit of an adder is about one LUT.
        price = self.price / max(snapshot.adder_bits, 1.0)
        integers = input_integers(design, self._rows.x)
        try:
            design = refine(design, integers, self._labels, price, values=values, passes=1).design
        except Unsupported:
            return snapshot
        return replace(snapshot, design=design, score=self._score(design), adder_bits=adder_bits_of(design))

    def widened(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot without saturation that no row needs.

        Its adder bits stay those of the types that the trainer trains.
        """
        design = without_idle_saturation(snapshot.design, input_integers(snapshot.design, self._rows.x))
        if design is snapshot.design:
            return snapshot
        return replace(snapshot, design=design, score=self._score(design))


def adder_bits_of(design: Design) -> float:
    """The total adder bits of a chain, one adder per signed digit of a weight and one per constant."""
    total = 0.0
    architecture = design.architecture
    for number, (source, layer) in enumerate(architecture.layer_inputs()):
        weight = design.weights[number]
        if layer.strategy == "Resource" or weight is None:
            continue
        own = given_features(design.own_inputs(number), source, layer.n_in)
        prices = np.array([digit_price(kind, source, neuron=number > 0) for kind in own])
        total += float((csd_weight(weight) * prices[:, None]).sum())
        total += float((constants(design, number)[0] != 0).sum() * prices.max())
    return total


def is_behind(snapshot: Snapshot, front: Sequence[tuple[float, float]]) -> bool:
    """Whether a snapshot is far behind a front of (score, adder bits)."""
    return any(score > snapshot.score and bits * BEHIND <= snapshot.adder_bits for score, bits in front)


def worthwhile(
    snapshots: Sequence[Snapshot], front: Sequence[tuple[float, float]], floor: float = -math.inf
) -> list[bool]:
    """Which snapshots of a network are non-dominated, not far behind a front, and not below the floor."""
    found = []
    for place, one in enumerate(snapshots):
        beaten = any(
            other.score >= one.score
            and other.adder_bits <= one.adder_bits
            # Of two equal ones, the later one is kept.
            and (other.score > one.score or other.adder_bits < one.adder_bits or number > place)
            for number, other in enumerate(snapshots)
            if number != place
        )
        found.append(not beaten and one.score >= floor and not is_behind(one, front))
    return found
