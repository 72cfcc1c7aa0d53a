"""Regrowth: removed weights with consistent gradients come back, within the adders of the round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset
from hwnas_hls_plugins.estimators.training import TrainingConfig
from hwnas_hls_plugins.estimators.training.schedule import Schedule
from hwnas_hls_plugins.tasks.digits import Digits16Task

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.network import Network

torch = pytest.importorskip("torch")

ROWS = 16
HIDDEN = 6


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return Digits16Task(Digits16Task.Config()).load()


def architecture(normalisation: str = "none") -> Architecture:
    first = Dense(
        *(
            16,
            HIDDEN,
            "relu",
            FixedType(6, 1),
            FixedType(10, 2),
            None,
            FixedType.parse("ufixed<5,2,RND,SAT>"),
        ),
        strategy="distributed_arithmetic",
        normalisation=normalisation,
    )
    last = Dense(HIDDEN, 10, "linear", FixedType(6, 1), FixedType(10, 2), strategy="distributed_arithmetic")
    return Architecture(FixedType(5, 2), (first, last), narrow_features=True)


def network(kernels: str = "torch", normalisation: str = "none") -> Network:
    from hwnas_hls_plugins.estimators.training.member import ChainMember
    from hwnas_hls_plugins.estimators.training.network import Network
    from hwnas_hls_plugins.estimators.training.plan import plan

    member = ChainMember(plan(architecture(normalisation), "a", 0), 0, 0)
    with torch.inference_mode():
        member.start(torch.float32)
        return Network([member], ROWS, 10, torch.float32, torch.device("cpu"), kernels)


def remove(network: Network, level: int, rows: Sequence[int], columns: Sequence[int]) -> None:
    member = network.layout.members[0]
    with torch.inference_mode():
        member.digits[level][list(rows), list(columns)] = 0.0
        member.limited = True
        network.layout.refresh_kept()
        network.layout.forget_removed()
        network.quantise()


def place(network: Network, level: int, row: int, column: int) -> int:
    return network.layout.places[0, level][0] + row * network.layout.members[0].levels[level].cols + column


def given_back(
    network: Network, consistency: dict[tuple[int, int, int], float], room: float, price: float = 6.0
) -> set[tuple[int, int, int]]:
    """The removed weights (level, row, column) that come back.

    Args:
        consistency: of the gradients, positive ones; 0 for all others.
    """
    from hwnas_hls_plugins.estimators.training.regrowth import Gradients, regrow, removed_weights

    layout, member = network.layout, network.layout.members[0]
    mean, square = torch.zeros(layout.n_weights), torch.ones(layout.n_weights)
    for (level, row, column), value in consistency.items():
        mean[place(network, level, row, column)] = value**0.5
    removed = removed_weights(member)
    prices = [torch.tensor(price) for _ in member.levels]
    with torch.inference_mode():
        regrow(layout, 0, room, Gradients(mean, square), prices, removed)
        layout.refresh_kept()
        network.quantise()
    return {
        (level, row, column)
        for level, gone in enumerate(removed)
        for row, column in torch.nonzero(gone & (member.digits[level] > 0)).tolist()
    }


def test_the_most_consistent_gradients_come_first() -> None:
    grown = network()
    remove(grown, 1, (0, 1, 2, 3), (4, 5, 6, 7))
    wanted = {(1, 0, 4): 0.5, (1, 1, 5): 0.9, (1, 2, 6): 0.8, (1, 3, 7): 0.1}
    assert given_back(grown, wanted, room=12.5) == {(1, 1, 5), (1, 2, 6)}
    layout = grown.layout
    for row, column in ((1, 5), (2, 6)):
        here = place(grown, 1, row, column)
        new = float(layout.integers[here])
        own = layout.integers[place(grown, 1, row, 0) : place(grown, 1, row, 16)].abs()
        assert new < 0
        assert np.log2(-new) % 1 == 0
        assert -new <= max(1.0, 0.5 * float(own[own > 0].median()))
        assert layout.square[here] == 1.0
        assert layout.mean[here] == 0.0
    assert layout.integers[place(grown, 1, 0, 4)] == 0


def test_an_inconsistent_gradient_brings_nothing_back() -> None:
    grown = network()
    remove(grown, 1, (0, 1), (4, 5))
    assert given_back(grown, {(1, 0, 4): 0.2, (1, 1, 5): 0.4}, room=100.0) == {(1, 1, 5)}


def test_unread_features_and_dead_neurons_get_no_readers() -> None:
    grown = network()
    member = grown.layout.members[0]
    kind = member.plan.architecture.input.plain
    member.features = (None, *[kind] * 15)
    remove(grown, 1, (2, 3), (0, 1))
    remove(grown, 1, (5,) * 16, range(16))
    remove(grown, 0, (0, 1), (5, 4))
    wanted = {(1, 2, 0): 0.9, (1, 3, 1): 0.9, (0, 0, 5): 0.9, (0, 1, 4): 0.9}
    assert given_back(grown, wanted, room=100.0) == {(1, 3, 1), (0, 1, 4)}


def test_normalised_and_free_weights_stay_away() -> None:
    grown = network(normalisation="batch")
    remove(grown, 1, (0,), (4,))
    remove(grown, 0, (3,), (2,))
    wanted = {(1, 0, 4): 0.9, (0, 3, 2): 0.9}
    assert given_back(grown, wanted, room=100.0) == {(0, 3, 2)}
    assert given_back(network(), wanted, room=100.0, price=0.0) == set()


@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_gradients_of_removed_weights(digits: Dataset, kernels: str) -> None:
    """Against the change of the mean loss by a small weight, in the output layer."""
    from hwnas_hls_plugins.estimators.training.loop import Training
    from hwnas_hls_plugins.estimators.training.routing import planned

    plans = [planned(architecture(), "key", 1, regression=False)]
    training = Training(plans, digits, TrainingConfig(kernels=kernels, batch_size=64), 1, "cpu")
    with torch.inference_mode():
        member = training.members[0]
        member.start(torch.float32)
        trained = training.chains([member])  # type: ignore[list-item]
        assert trained.kernels == kernels
        remove(trained, 0, (4,), (2,))
        gradients = training.gradients(trained, 3)
        again = training.gradients(trained, 3)
        other = training.gradients(trained, 4)
    here = place(trained, 0, 4, 2)
    assert torch.equal(gradients.mean, again.mean)
    assert not torch.equal(gradients.mean, other.mean)
    assert gradients.mean[here] != 0
    assert gradients.square[here] >= gradients.mean[here] ** 2
    # The gradients of a row's outputs sum up to zero, so those at the weights from one neuron do, too.
    column = [float(gradients.mean[place(trained, 0, row, 2)]) for row in range(10)]
    assert abs(sum(column)) < 1e-3 * max(map(abs, column))


def test_a_removal_brings_weights_back(digits: Dataset) -> None:
    from hwnas_hls_plugins.estimators.training.loop import Training
    from hwnas_hls_plugins.estimators.training.routing import planned

    shares = tuple(0.8**number for number in range(12))
    came_back = {}
    for regrown in (0.0, 0.2):
        config = TrainingConfig(
            epochs=3, descent_step=0.8, descent_coarse=1, descent_epochs=1, dense_rows=0,
            descent_regrown=regrown, descent_floor=0.0,
        )  # fmt: skip
        plans = [planned(architecture(), "key", 1, regression=False)]
        training = Training(plans, digits, config, 1, "cpu", kept=[shares])
        snapshots = training.run(lambda indices, scores, share: [True] * len(indices))[0].snapshots
        designs = [one.design.chain_weights[0] for one in snapshots if one.kept <= 0.5]
        bits = [one.adder_bits for one in snapshots]
        assert bits == sorted(bits, reverse=True)
        # Twice zero: removed, and not just rounded to zero in one design.
        came_back[regrown] = sum(
            int(((first == 0) & (second == 0) & (third != 0)).sum())
            for first, second, third in zip(designs, designs[1:], designs[2:], strict=False)
        )
    assert came_back[0.2] > came_back[0.0]


def test_regrowth_begins_where_half_of_the_adders_are_left() -> None:
    schedule = Schedule(TrainingConfig(), 10, 64, 10)
    shares = {number: schedule.share_after(number) for number in range(40)}
    for number, share in shares.items():
        assert schedule.regrown(number) == (0.02 if share <= 0.5 else 0.0)
    none = Schedule(replace(TrainingConfig(), descent_regrown=0.0), 10, 64, 10)
    assert none.regrown(39) == 0.0
