"""The training loop: groups, minibatches, rungs, pruning. Loaded only to train, hence torch at the top."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls.architecture import Architecture, Pool2D
from hwnas_hls.design import Design, Preprocessing
from hwnas_hls.precision import FixedType
from hwnas_hls.task import CLASSIFICATION, Dataset, Split
from hwnas_hls_plugins.graph_training.member import GraphMember
from hwnas_hls_plugins.graph_training.network import GraphNetwork
from hwnas_hls_plugins.graph_training.plan import GraphPlan
from hwnas_hls_plugins.training.config import TrainingConfig
from hwnas_hls_plugins.training.member import Member
from hwnas_hls_plugins.training.network import Network
from hwnas_hls_plugins.training.normalisation import MOMENTUM
from hwnas_hls_plugins.training.plan import Plan

#: (places in the batch, interim metric, share done) -> who goes on; see :data:`hwnas_hls.estimator.Keep`.
Keep = Callable[[Sequence[int], Sequence[float], float], Sequence[bool]]
#: A chain, or a graph.
AnyMember = Member | GraphMember
AnyNetwork = Network | GraphNetwork


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of one network.

    Args:
        design: its integers when training ended.
        progress: share of the training it was given; 1 where it was never stopped.
    """

    design: Design
    progress: float


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch with ``count`` threads, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA where there is some."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


class Rows:
    """Rows of one split, standardised; quantised only as they are read.

    Features stay in float64: they are rounded onto an input grid as the emulator rounds them.
    """

    def __init__(self, split: Split, dataset: Dataset, dtype: torch.dtype, device: torch.device) -> None:
        mean, scale = dataset.standardisation
        features = np.ascontiguousarray(((split.x - mean) / scale).T)
        self.features = torch.as_tensor(features, device=device)
        if dataset.kind == CLASSIFICATION:
            targets = (split.y[None, :] == np.arange(dataset.n_out)[:, None]).astype(np.float64)
        else:
            target_mean, target_scale = target_standardisation(dataset)
            targets = ((split.y - target_mean) / target_scale).T
        self.targets = torch.as_tensor(np.ascontiguousarray(targets), dtype=dtype, device=device)
        self.dtype = dtype

    def __len__(self) -> int:
        return self.features.shape[1]

    def read(self, kinds: Sequence[FixedType], order: Tensor) -> tuple[list[Tensor], Tensor]:
        """Rows in ``order``: (n_in + 1, rows) whole numbers an input type, ones below; and targets."""
        features = self.features.index_select(1, order)
        return [quantised(features, kind, self.dtype) for kind in kinds], self.targets.index_select(1, order)


def quantised(features: Tensor, kind: FixedType, dtype: torch.dtype) -> Tensor:
    """Standardised float64 (n_in, rows) -> whole numbers on the input grid, a row of ones below.

    Rounded half up and saturated, as :func:`hwnas_hls.emulator.input_integers` does.
    """
    out = torch.ones((features.shape[0] + 1, features.shape[1]), dtype=dtype, device=features.device)
    counted = torch.floor(features * 2.0**kind.fraction + 0.5)
    out[:-1] = torch.clamp(counted, float(kind.lowest), float(kind.highest))
    return out


def as_emulated(architecture: Architecture) -> Architecture:
    """Without a softmax at the end, which changes no class and goes through a table."""
    last = architecture.layers[-1]
    if isinstance(last, Pool2D) or last.activation != "softmax":
        return architecture
    return replace(architecture, layers=(*architecture.layers[:-1], replace(last, activation="linear")))


def target_standardisation(dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mean, scale) of regression targets on the training split, each (n_out,)."""
    mean, scale = dataset.train.y.mean(axis=0), dataset.train.y.std(axis=0)
    return mean, np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-300), scale, 1.0)


def some(split: Split, most: int, seed: int) -> Split:
    """``most`` rows drawn from a split, the same for the same seed; 0 takes all."""
    if most == 0 or len(split) <= most:
        return split
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split))[:most])
    return Split(split.x[chosen], split.y[chosen])


def automatic_batch_size(rows: int) -> int:
    """64 rows for up to some thousand an epoch, up to 256 for more: steps are what costs."""
    return int(min(256, max(64, 2 ** round(math.log2(rows / 64)))))


def automatic_group_elements(device: torch.device) -> int:
    """How many activations of one step networks may have together."""
    if device.type == "cuda":
        # Sums, values, masks, gradients and scratch, and at most as much again for weights.
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, free // 2 // (4 * 10))
    return 400_000


def group(members: Sequence[AnyMember], most_features: int, most: int) -> list[list[AnyMember]]:
    """Members that train together: alike in kind, neighbours in order.

    What a member computes does not depend on its group; only speed and memory do.

    Args:
        most_features: activations of one row, at most, of a group of more than one.
        most: members, at most.
    """
    found: list[list[AnyMember]] = []
    kinds: dict[tuple[bool, ...], list[AnyMember]] = {}
    for member in sorted(members, key=lambda member: member.plan.order):
        is_graph = isinstance(member, GraphMember)
        kind = (is_graph, member.plan.fast, member.plan.normalised, member.plan.dropped)
        kinds.setdefault(kind, []).append(member)
    for alike in kinds.values():
        current: list[AnyMember] = []
        size = 0
        for member in alike:
            if current and (size + member.plan.n_features > most_features or len(current) == most):
                found.append(current)
                current, size = [], 0
            current.append(member)
            size += member.plan.n_features
        found.append(current)
    return found


def _member(plan: Plan | GraphPlan, index: int, source: int) -> AnyMember:
    if isinstance(plan, GraphPlan):
        return GraphMember(plan, index, source)
    return Member(plan, index, source)


class Training:
    """Train many networks, in groups, from start to end.

    Args:
        plans: one a network.
        dataset: ``train`` is learned from, ``validation`` scored; ``test`` is never touched.
        config: how.
        seed: of the run; fixes the order of the minibatches, the same for all networks.
        device: ``cpu``, ``cuda`` or ``auto``.
        train: rows to learn from, where not ``dataset.train``.
        dtype: of all arithmetic; float64 is exact for any type up to 53 bits, float32 for sums
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
    ) -> None:
        self.plans, self.dataset, self.config, self.seed = plans, dataset, config, seed
        self.device, self.dtype = choose_device(device), dtype
        self.kinds = list(dict.fromkeys(plan.architecture.input for plan in plans))
        sources = {kind: number for number, kind in enumerate(self.kinds)}
        self.train = Rows(train or dataset.train, dataset, dtype, self.device)
        self.validation_split = some(dataset.validation, config.max_validation_rows, seed)
        self.validation = Rows(self.validation_split, dataset, dtype, self.device)
        self.members = [
            _member(plan, number, sources[plan.architecture.input]) for number, plan in enumerate(plans)
        ]
        per_epoch = len(self.train) if config.max_rows == 0 else min(config.max_rows, len(self.train))
        size = min(config.batch_size or automatic_batch_size(per_epoch), len(self.train))
        # Whole vectors of eight rows: no number then depends on where in memory it stands.
        self.batch_rows = size - size % 8 if size >= 8 else size
        self.group_elements = config.group_elements or automatic_group_elements(self.device)
        self.epoch_steps = max(1, per_epoch // self.batch_rows)
        self.total_steps = self.epoch_steps * config.epochs
        self.classes = dataset.kind == CLASSIFICATION

    def run(self, keep: Keep, begin: int = 0, until: int = 0) -> list[Outcome]:
        """Train :attr:`members`; ``keep`` decides at each rung who goes on. One outcome each, in order.

        Args:
            begin: epochs that the members, restored by the caller, have behind them; 0 starts them.
            until: epochs after which training ends, the schedule unfinished and :attr:`members`
                as they were left; 0 means all.
        """
        outcomes: dict[int, Outcome] = {}
        with threads(self.config.threads):
            if begin == 0:
                for member in self.members:
                    member.start(self.dtype)
            alive = list(self.members)
            epochs = until or self.config.epochs
            rungs = {max(1, round(rung * self.config.epochs)) for rung in self.config.rungs}
            for end in (*sorted(rung for rung in rungs if begin < rung < epochs), epochs):
                scores: dict[int, float] = {}
                for members in self._groups(alive):
                    network = self._network(members)
                    self._train(network, begin, end)
                    share = end / self.config.epochs
                    if end == epochs:
                        for j, member in enumerate(network.members):
                            outcomes[member.index] = Outcome(self._design(network, j, share), share)
                    else:
                        scores |= self._scores(network)
                    if end < self.config.epochs:
                        network.save_members()
                if end == epochs or not alive:
                    break
                alive = self._survivors(alive, scores, keep, end / self.config.epochs, outcomes)
                begin = end
        return [outcomes[member.index] for member in self.members]

    def _network(self, members: Sequence[AnyMember]) -> AnyNetwork:
        graphs = [member for member in members if isinstance(member, GraphMember)]
        if graphs:
            return GraphNetwork(graphs, self.batch_rows, self.dataset.n_out, self.dtype, self.device)
        members = [member for member in members if isinstance(member, Member)]
        return Network(members, self.batch_rows, self.dataset.n_out, self.dtype, self.device)

    def _groups(self, members: Sequence[AnyMember]) -> list[list[AnyMember]]:
        return group(members, self.group_elements // self.batch_rows, self.config.group_candidates)

    def _survivors(
        self,
        alive: list[AnyMember],
        scores: dict[int, float],
        keep: Keep,
        progress: float,
        outcomes: dict[int, Outcome],
    ) -> list[AnyMember]:
        alive.sort(key=lambda member: member.index)
        indices = [member.index for member in alive]
        kept = keep(indices, [scores[index] for index in indices], progress)
        dropped = [member for member, stays in zip(alive, kept, strict=True) if not stays]
        for members in self._groups(dropped) if dropped else []:
            network = self._network(members)
            for j, member in enumerate(network.members):
                outcomes[member.index] = Outcome(self._design(network, j, progress), progress)
        return [member for member, stays in zip(alive, kept, strict=True) if stays]

    # Steps

    def _take_inputs(self, network: AnyNetwork) -> list[FixedType]:
        """The input types that a group reads; its first products are told which is which."""
        used = sorted({member.source for member in network.members})
        network.number_sources({source: number for number, source in enumerate(used)})
        return [self.kinds[source] for source in used]

    def _train(self, network: AnyNetwork, begin: int, end: int) -> None:
        kinds = self._take_inputs(network)
        for epoch in range(begin, end):
            self._prune(network, epoch)
            network.settle()
            leak = self.config.leak * max(0.0, 1 - 2 * epoch / self.config.epochs)
            rng = np.random.default_rng([self.seed, epoch])
            chosen = rng.permutation(len(self.train))[: self.epoch_steps * self.batch_rows]
            order = torch.as_tensor(chosen, device=self.device)
            inputs, targets = self.train.read(kinds, order)
            if self.classes:
                smoothing = self.config.smoothing
                targets = targets * (1 - smoothing) + smoothing / self.dataset.n_out
            for step in range(self.epoch_steps):
                rows = slice(step * self.batch_rows, (step + 1) * self.batch_rows)
                batch = [copy[:, rows] for copy in inputs]
                if epoch == 0 and step == 0 and network.normalised:
                    network.calibrate(batch)
                number = epoch * self.epoch_steps + step + 1
                network.forward(batch, training=True, momentum=self._momentum(number))
                network.lose(targets[:, rows], classes=self.classes)
                network.backward(batch, leak)
                config = self.config
                network.update(self._rate(number), config.beta1, config.beta2, config.decay, number)

    def _rate(self, step: int) -> float:
        """Learning rate of one step, from 1: a short linear rise, then half a cosine down to 0."""
        warm = max(1, round(self.config.warmup * self.total_steps))
        if step <= warm:
            return self.config.learning_rate * step / warm
        done = (step - warm) / max(1, self.total_steps - warm)
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    @staticmethod
    def _momentum(step: int) -> float:
        """Batch statistics cost a product of their own: every step at first, then every fourth."""
        if step <= 32:
            return MOMENTUM
        return 0.0 if step % 4 else 1 - (1 - MOMENTUM) ** 4

    def _prune(self, network: AnyNetwork, epoch: int) -> None:
        """Zeros of the smallest magnitude, more of them each epoch by a cubic (Zhu and Gupta, 2017)."""
        until = max(1, round(self.config.pruned_by * self.config.epochs))
        if epoch >= until:
            return
        share = 1 - (1 - (epoch + 1) / until) ** 3
        if isinstance(network, GraphNetwork):
            network.prune(share)
            return
        touched = False
        for j, member in enumerate(network.members):
            for k, plan in enumerate(member.levels):
                if plan.layer.sparsity <= 0:
                    continue
                touched = True
                block = network.latent[slice(*network.places[j, k])].view(plan.rows, plan.cols)
                body = block[: plan.layer.n_out, : plan.layer.n_in].abs().reshape(-1).cpu()
                zeros = int(plan.layer.sparsity * share * body.numel())
                kept = torch.ones_like(body)
                kept[torch.sort(body, stable=True).indices[:zeros]] = 0
                member.kept[k][: plan.layer.n_out, : plan.layer.n_in] = kept.view(plan.layer.n_out, -1)
        if touched:
            network.refresh_kept()
            network.quantise()

    # What comes out

    def answers(self, network: AnyNetwork, rows: Rows) -> Iterator[tuple[slice, Tensor]]:
        """Outputs of all members in their counted units, (members, n_out, rows) a chunk.

        The tensor is overwritten by the next chunk.
        """
        kinds = self._take_inputs(network)
        for start in range(0, len(rows), self.batch_rows):
            stop = min(start + self.batch_rows, len(rows))
            # The last chunk is filled up with its last row.
            order = torch.arange(start, start + self.batch_rows, device=self.device).clamp_(max=stop - 1)
            chunk, _ = rows.read(kinds, order)
            network.forward(chunk)
            yield slice(start, stop), network.logits[:, :, : stop - start]

    def _scores(self, network: AnyNetwork) -> dict[int, float]:
        parts = [chunk.cpu().numpy().copy() for _, chunk in self.answers(network, self.validation)]
        answers = np.concatenate(parts, axis=2)
        out = {}
        for j, member in enumerate(network.members):
            predicted = answers[j].T.astype(np.float64)
            if not self.classes:
                mean, scale = target_standardisation(self.dataset)
                predicted = predicted * member.plan.temperature * scale + mean
            out[member.index] = self._interim(predicted)
        return out

    def _interim(self, predicted: NDArray[np.float64]) -> float:
        """Accuracy, or R2 averaged over the targets, of validation outputs (rows, n_out)."""
        truth = self.validation_split.y
        if self.classes:
            return float((predicted.argmax(axis=1) == truth).mean())
        spread = np.maximum(truth.var(axis=0), 1e-300)
        return float((1 - ((predicted - truth) ** 2).mean(axis=0) / spread).mean())

    def _design(self, network: AnyNetwork, j: int, progress: float) -> Design:
        member = network.members[j]
        architecture = as_emulated(member.plan.architecture)
        held = network.layout if isinstance(network, GraphNetwork) else network
        weights, biases = held.exported(j)
        mean, scale = self.dataset.standardisation
        meta: dict[str, object] = {
            "task": self.dataset.source,
            "seed": self.seed,
            "epochs": round(progress * self.config.epochs),
        }
        if not self.classes:
            target_mean, target_scale = target_standardisation(self.dataset)
            unit = member.plan.temperature * 2.0 ** member.plan.layers[-1].out_fraction
            meta["target_mean"] = [float(value) for value in target_mean]
            meta["target_scale"] = [float(value) for value in target_scale * unit]
        return Design(
            architecture,
            tuple(weights),
            tuple(
                bias if getattr(layer, "bias", None) is not None else None
                for layer, bias in zip(architecture.layers, biases, strict=True)
            ),
            Preprocessing(mean, scale, tuple(self.dataset.features)),
            tuple(self.dataset.labels),
            meta,
        )
