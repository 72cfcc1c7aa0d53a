"""The training loop: groups, minibatches, rungs, pruning. This module imports torch."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls.evidence.scoring import real_outputs
from hwnas_hls.evidence.usefulness import chance_of
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.spec.notation import counted
from hwnas_hls.system.cores import available_cores
from hwnas_hls.values.scores import measure
from hwnas_hls_plugins.estimators.training.captured import WORTHWHILE, CapturedStep
from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.feature_harm import harms
from hwnas_hls_plugins.estimators.training.finished import finished
from hwnas_hls_plugins.estimators.training.graphs.member import GraphMember
from hwnas_hls_plugins.estimators.training.graphs.network import GraphNetwork
from hwnas_hls_plugins.estimators.training.graphs.plan import GraphPlan
from hwnas_hls_plugins.estimators.training.grouping import (
    automatic_batch_size,
    automatic_group_elements,
    group,
)
from hwnas_hls_plugins.estimators.training.member import AnyMember, ChainMember
from hwnas_hls_plugins.estimators.training.network import Network
from hwnas_hls_plugins.estimators.training.parallel_descent import in_parallel
from hwnas_hls_plugins.estimators.training.plan import Plan
from hwnas_hls_plugins.estimators.training.regrowth import Gradients
from hwnas_hls_plugins.estimators.training.row_weights import balanced_order, row_weights
from hwnas_hls_plugins.estimators.training.rows import InputKind, Rows
from hwnas_hls_plugins.estimators.training.schedule import Pace, Schedule
from hwnas_hls_plugins.estimators.training.snapshots import Snapshot
from hwnas_hls_plugins.estimators.training.step import AnyNetwork, AnyStep, Step
from hwnas_hls_plugins.estimators.training.threads import threads

#: Maximum number of values in the input copies that are read at once.
_MOST_INPUTS = 2**24
_MOST_CORES = 8
#: (places in the batch, interim metric, share done) -> whether each continues; see ``Keep``.
Keep = Callable[[Sequence[int], Sequence[float], float], Sequence[bool]]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """The result of training one network.

    Args:
        design: the design at the end of training.
        progress: fraction of the training that was done; 1 if it was never stopped.
        snapshots: its designs with decreasing numbers of adders, if any were removed; see
            :mod:`~hwnas_hls_plugins.estimators.training.descent`.
    """

    design: Design
    progress: float
    snapshots: tuple[Snapshot, ...] = ()


def choose_device(name: str) -> torch.device:
    """The torch device; ``auto`` means CUDA if available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _member(plan: Plan | GraphPlan, index: int, source: int) -> AnyMember:
    if isinstance(plan, GraphPlan):
        return GraphMember(plan, index, source)
    return ChainMember(plan, index, source)


class Training:
    """Train many networks in groups.

    Args:
        plans: one per network.
        dataset: ``train`` trains and ``validation`` scores; ``test`` is never read.
        config: settings of the training.
        seed: seed of the run; determines the order of the minibatches, the same for all networks.
        device: ``cpu``, ``cuda`` or ``auto``.
        train: training rows, if not ``dataset.train``.
        kept: requested shares of the adders, one sequence per plan; 1 means all adders.
        front: (interim task metric, adder bits) of known designs; networks far behind them are stopped.
        dtype: type of all arithmetic; float64 is exact for any type up to 53 bits, float32 for sums
            of up to 24 bits (a wider one may round a bit differently while training; the integers
            and their scores are exact either way).
    """

    def __init__(
        self,
        plans: Sequence[Plan | GraphPlan],
        dataset: Dataset,
        config: TrainingConfig,
        seed: int,
        device: str = "auto",
        train: Split | None = None,
        dtype: torch.dtype = torch.float32,
        kept: Sequence[Sequence[float]] = (),
        front: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.kept: Sequence[Sequence[float]] = list(kept) or [(1.0,)] * len(plans)
        # Like the scores of snapshots: larger is better.
        sign = 1.0 if dataset.direction == "max" else -1.0
        self.front: Sequence[tuple[float, float]] = [(sign * score, cost) for score, cost in front]
        self.plans, self.dataset, self.config, self.seed = plans, dataset, config, seed
        self.device, self.dtype = choose_device(device), dtype
        self.kinds = [InputKind(kind) for kind in dict.fromkeys(plan.architecture.input for plan in plans)]
        self._shared_kinds = len(self.kinds)
        sources = {one.kind: number for number, one in enumerate(self.kinds)}
        compiled = config.kernels != "torch"
        self.train_split = rows = train or dataset.train
        #: Scores of snapshots are larger for better designs, whatever the metric.
        self.sign = 1.0 if dataset.direction == "max" else -1.0
        weights = row_weights(rows, dataset, config)
        self.train = Rows(rows, dataset, dtype, self.device, compiled=compiled, weights=weights)
        self._balanced = rows.y if config.balanced_batches else None
        self.validation_split = dataset.validation.drawn(config.max_validation_rows, seed)
        chance = chance_of(dataset, self.validation_split)
        #: The score of a constant output, with the sign of the scores.
        self._chance = None if chance is None else self.sign * chance.value
        self.validation = Rows(self.validation_split, dataset, dtype, self.device, compiled=compiled)
        self.members = [
            _member(plan, number, sources[plan.architecture.input]) for number, plan in enumerate(plans)
        ]
        per_epoch = len(self.train) if config.max_rows == 0 else min(config.max_rows, len(self.train))
        size = min(config.batch_size or automatic_batch_size(per_epoch), len(self.train))
        # Whole vectors of eight rows, so no result depends on its position in memory.
        self.batch_rows = size - size % 8 if size >= 8 else size
        self.group_elements = config.group_elements or automatic_group_elements(self.device)
        self.schedule = Schedule(config, max(1, per_epoch // self.batch_rows), self.batch_rows, dataset.n_out)
        self.classes = dataset.kind == CLASSIFICATION
        self._lock = threading.Lock()
        #: Called with a short description of the progress.
        self.progress: Callable[[str], None] = lambda words: None

    def run(self, keep: Keep, begin: int = 0, until: int = 0) -> list[TrainingResult]:
        """Train :attr:`members`; ``keep`` decides at each rung which continue. One result each, in order.

        Args:
            begin: epochs that the members, restored by the caller, have done; 0 initialises them.
            until: epoch at which training pauses, with its state in :attr:`members`; 0 means the end of
                the schedule.
        """
        outcomes: dict[int, TrainingResult] = {}
        with threads(self.config.threads), torch.inference_mode():
            if begin == 0:
                for member in self.members:
                    member.start(self.dtype)
            alive = list(self.members)
            epochs = until or self.config.epochs
            rungs = {max(1, round(rung * self.config.epochs)) for rung in self.config.rungs}
            for end in (*sorted(rung for rung in rungs if begin < rung < epochs), epochs):
                scores: dict[int, float] = {}
                for network in self.stretch(alive, begin, end):
                    if end == epochs:
                        outcomes |= self._outcomes(network, end / self.config.epochs)
                    else:
                        scores |= self.scores(network)
                    if end < self.config.epochs or any(map(self.descends, network.members)):
                        network.save_members()
                if end == epochs or not alive:
                    if end == self.config.epochs:
                        outcomes |= self.descents(alive)
                    break
                share = end / self.config.epochs
                alive.sort(key=lambda member: member.index)
                indices = [member.index for member in alive]
                kept = keep(indices, [scores[index] for index in indices], share)
                judged = list(zip(alive, kept, strict=True))
                outcomes |= self.designs([member for member, stays in judged if not stays], share)
                alive = [member for member, stays in judged if stays]
                begin = end
        return [outcomes[member.index] for member in self.members]

    def stretch(self, members: Sequence[AnyMember], begin: int, end: int) -> Iterator[AnyNetwork]:
        """Train members from one epoch to another, and yield each group; the caller stores the results."""
        for group_members in self.groups(members):
            network = self.network(group_members)
            self._train(network, begin, end)
            yield network

    def designs(self, members: Sequence[AnyMember], share: float) -> dict[int, TrainingResult]:
        """Index -> the result of each member, for members that stop here.

        Args:
            share: fraction of the training that they have done.
        """
        found: dict[int, TrainingResult] = {}
        for group_members in self.groups(members):
            found |= self._outcomes(self.network(group_members), share)
        return found

    def descends(self, member: AnyMember) -> bool:
        """Whether designs of a member with fewer adders are requested."""
        return min(self.kept[member.index]) < 1

    def descents(self, members: Sequence[AnyMember]) -> dict[int, TrainingResult]:
        """Remove adders from fully trained members, where requested; returns index -> result."""
        descending = [m for m in members if self.descends(m) and isinstance(m, ChainMember)]
        found = in_parallel(self, descending, self._cores()) if descending else {}
        return {
            index: TrainingResult(snapshots[-1].design, 1.0, tuple(snapshots))
            for index, snapshots in found.items()
        }

    def _cores(self) -> int:
        if self.device.type != "cpu":
            return 1
        return self.config.cores or min(available_cores(), _MOST_CORES)

    def descend(self, network: Network, round_: int) -> None:
        """Train a group after a round of removing adders; round 0 has all of them."""
        epochs, before = self.schedule.round_epochs(round_), self.schedule.epochs_before(round_)
        kinds = self._take_inputs(network)
        step = self._step(network, epochs * self.schedule.epoch_steps)
        network.settle()
        if round_:
            network.freeze_removed()
        for epoch in range(epochs):
            # A round is too short for denormal averages, and the layout's are not those in training.
            if epoch and not round_:
                network.settle()
            self._epoch(network, step, kinds, before + epoch, self.schedule.descent_paces(round_, epoch))
        network.thaw()

    def give_inputs(self, member: ChainMember) -> None:
        """Give a member its own input types; the first call also gives it its own copy of the inputs."""
        kind = InputKind(member.plan.architecture.input, member.features)
        with self._lock:
            if member.source < self._shared_kinds:
                member.source = len(self.kinds)
                self.kinds.append(kind)
            else:
                self.kinds[member.source] = kind

    def feature_harms(self, network: Network) -> list[Tensor]:
        """See :func:`~hwnas_hls_plugins.estimators.training.feature_harm.harms`."""
        return harms(network, self.train, self._wanted, self.batch_rows, classes=self.classes)

    def gradients(self, network: Network, round_: int) -> Gradients:
        """The gradients that choose the weights that come back in a round of removal."""
        kinds = self._take_inputs(network)
        seeds = (self.seed, round_)
        return Gradients.of(network, self.train, kinds, seeds, self._wanted, classes=self.classes)

    def _outcomes(self, network: AnyNetwork, share: float) -> dict[int, TrainingResult]:
        return {
            member.index: TrainingResult(self._design(network, j, share), share)
            for j, member in enumerate(network.members)
        }

    def network(self, members: Sequence[AnyMember]) -> AnyNetwork:
        graphs = [member for member in members if isinstance(member, GraphMember)]
        if graphs:
            return GraphNetwork(graphs, self.batch_rows, self.dataset.n_out, self.dtype, self.device)
        return self.chains([member for member in members if isinstance(member, ChainMember)])

    def chains(self, members: Sequence[ChainMember]) -> Network:
        """A group of chains as one network."""
        return Network(
            members, self.batch_rows, self.dataset.n_out, self.dtype, self.device, self.config.kernels
        )

    def groups(self, members: Sequence[AnyMember]) -> list[list[AnyMember]]:
        return group(members, self.group_elements // self.batch_rows, self.config.group_candidates)

    # Steps

    def _take_inputs(self, network: AnyNetwork) -> list[InputKind]:
        """The input kinds that a group reads; their numbers are passed to its first products."""
        used = sorted({member.source for member in network.members})
        network.number_sources({source: number for number, source in enumerate(used)})
        return [self.kinds[source] for source in used]

    def _train(self, network: AnyNetwork, begin: int, end: int) -> None:
        kinds = self._take_inputs(network)
        for member in network.members if begin < end else ():
            if network.kernels not in member.kernels:
                member.kernels.append(network.kernels)
        step = self._step(network, (end - begin) * self.schedule.epoch_steps)
        for epoch in range(begin, end):
            zeros = self.schedule.zeros(epoch)
            if zeros is not None:
                network.prune(zeros)
            network.settle()
            self._epoch(network, step, kinds, epoch, self.schedule.paces(epoch))
            self.progress(
                f"{counted(len(network.members), 'network')}, epoch {epoch + 1} of {self.config.epochs}"
            )

    def _epoch(
        self,
        network: AnyNetwork,
        step: AnyStep,
        kinds: Sequence[InputKind],
        epoch: int,
        paces: Sequence[Pace],
    ) -> None:
        # The same rows in the same order for all networks of a run.
        rng = np.random.default_rng([self.seed, epoch])
        count = self.schedule.epoch_steps * self.batch_rows
        if self._balanced is None:
            chosen = rng.permutation(len(self.train))[:count]
        else:
            chosen = balanced_order(self._balanced, count, rng)
        step.begin(paces)
        # Networks with their own input types have their own copies: too large for a whole epoch at once.
        numbers = len(kinds) * (self.dataset.n_in + 1) * self.batch_rows
        at_once = max(1, _MOST_INPUTS // numbers)
        for number in range(self.schedule.epoch_steps):
            place = number % at_once
            if place == 0:
                some = chosen[number * self.batch_rows :][: at_once * self.batch_rows]
                inputs, targets = self.train.read(kinds, torch.as_tensor(some, device=self.device))
                targets = self._wanted(targets)
            rows = slice(place * self.batch_rows, (place + 1) * self.batch_rows)
            batch = [copy[:, rows] for copy in inputs]
            if epoch == 0 and number == 0 and network.normalised:
                network.calibrate(batch)
            step.take(number, batch, targets[:, rows])

    def _wanted(self, targets: Tensor) -> Tensor:
        """Targets in the form that the loss expects; the weights in the last row are unchanged."""
        if not self.classes:
            return targets
        smoothing, n_out = self.config.smoothing, self.dataset.n_out
        smooth = targets[:n_out] * (1 - smoothing) + smoothing / n_out
        return smooth if len(targets) == n_out else torch.cat([smooth, targets[n_out:]])

    def _step(self, network: AnyNetwork, steps: int) -> AnyStep:
        step = Step(network, self.config, classes=self.classes)
        captures = self.device.type == "cuda" and self.config.graphs == "auto" and steps >= WORTHWHILE
        return CapturedStep(step) if captures else step

    # Results

    def answers(self, network: AnyNetwork, rows: Rows) -> Iterator[tuple[slice, Tensor]]:
        """Outputs of all members in least significant bits, (members, n_out, rows) per chunk.

        The tensor is overwritten by the next chunk.
        """
        kinds = self._take_inputs(network)
        for start in range(0, len(rows), self.batch_rows):
            stop = min(start + self.batch_rows, len(rows))
            # The last chunk is padded with its last row.
            order = torch.arange(start, start + self.batch_rows, device=self.device).clamp_(max=stop - 1)
            chunk, _ = rows.read(kinds, order)
            network.forward(chunk)
            yield slice(start, stop), network.logits[:, :, : stop - start]

    def scores(self, network: AnyNetwork) -> dict[int, float]:
        """Index -> the interim metric of each member on the validation rows."""
        parts = [chunk.cpu().numpy().copy() for _, chunk in self.answers(network, self.validation)]
        answers = np.concatenate(parts, axis=2)
        out = {}
        for j, member in enumerate(network.members):
            predicted = answers[j].T.astype(np.float64)
            if not self.classes:
                mean, scale = self.dataset.target_standardisation
                predicted = predicted * member.plan.temperature * scale + mean
            out[member.index] = self._interim(predicted)
        return out

    def signed_score(self, design: Design) -> float:
        """The interim metric of a design on the validation rows, larger for better designs."""
        return self.sign * self._interim(real_outputs(design, self.validation_split.x))

    def floor(self, snapshots: Sequence[Snapshot]) -> float:
        """The score below which a design of a network is useless; minus infinity if chance is unknown.

        It depends on the known front and the network's own designs alone: a network may not depend on
        those that it is trained with.
        """
        if self._chance is None:
            return -math.inf
        best = max([*(one.score for one in snapshots), *(score for score, _ in self.front)])
        return self._chance + self.config.descent_floor * max(best - self._chance, 0.0)

    def _interim(self, predicted: NDArray[np.float64]) -> float:
        """The task's metric of validation outputs (rows, n_out)."""
        dataset = self.dataset
        return float(measure(dataset.metric, self.validation_split.y, predicted, dataset.scoring)[0])

    def _design(self, network: AnyNetwork, j: int, progress: float) -> Design:
        epochs = round(progress * self.config.epochs)
        return finished(network.layout, j, self.dataset, self.seed, epochs)
