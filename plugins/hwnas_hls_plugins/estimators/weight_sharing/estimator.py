"""The estimator ``weight-sharing``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwnas_hls.errors import ErrorKind, HwnasError, Unsupported, UserError
from hwnas_hls.evidence.scoring import score
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.task import CLASSIFICATION, REGRESSION, Dataset
from hwnas_hls.values.candidate import digest
from hwnas_hls.values.estimate import Estimate, Estimates, Metric
from hwnas_hls_plugins.estimators.weight_sharing.layout import Layout, Paths, planned

if TYPE_CHECKING:
    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.protocols.space import Space
    from hwnas_hls.values.candidate import Candidate
    from hwnas_hls_plugins.estimators.weight_sharing.supernet import Supernet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WeightSharingConfig:
    """Settings of the supernet, which is trained once per run.

    Args:
        steps: number of minibatches.
        networks: number of candidates trained on each minibatch.
        pool: total number of candidates drawn from the space; they also determine the size of the supernet.
        batch_size: rows of a minibatch.
        learning_rate: initial rate, with cosine decay.
        max_validation_rows: maximum number of validation rows for the score.
    """

    steps: int = 1500
    networks: int = 8
    pool: int = 1024
    batch_size: int = 128
    learning_rate: float = 0.02
    max_validation_rows: int = 5000

    def __post_init__(self) -> None:
        for name in ("steps", "networks", "pool", "batch_size", "max_validation_rows"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} of weight sharing must be at least 1", found=getattr(self, name))
        if not self.learning_rate > 0:
            raise UserError("the learning rate must be above 0", found=self.learning_rate)


class WeightSharingEstimator(Estimator):
    """The task's metric of a candidate as a slice of a supernet, which is trained once per run.

    The metric is called ``supernet_accuracy`` (or by the task's metric). It ranks candidates, and is
    lower than the accuracy after their own training. The supernet is stored in the run, so a resumed run
    uses the same one. Supports spaces of chains of dense layers.
    """

    name: ClassVar[str] = "weight-sharing"
    version: str = "1"
    cost: float = 0.02
    proxies: bool = True
    Config: ClassVar[type[WeightSharingConfig]] = WeightSharingConfig
    config: WeightSharingConfig

    def __init__(self, config: WeightSharingConfig | None = None, task: Dataset | None = None) -> None:
        self.config = config or WeightSharingConfig()
        self.metric = f"supernet_{task.metric if task else 'accuracy'}"
        direction = task.direction if task else "max"
        label = f"{task.metric if task else 'accuracy'} in the supernet"
        ends = (1.0, 0.0) if direction == "max" else (0.0, 1.0)
        self.provides: Sequence[Metric] = (Metric(self.metric, direction, label, "", *ends),)
        self._held: tuple[tuple[object, ...], Layout, Supernet] | None = None

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """See :class:`~hwnas_hls.protocols.estimator.Estimator`.

        Raises:
            Unsupported: the space is not available, or most of its networks are not chains.
        """
        if not candidates:
            return []
        if context.space is None:
            raise Unsupported(
                "weight sharing needs the space, which is not available here",
                kind=ErrorKind.MISSING,
            )
        layout, net = self._supernet(context.space, context)
        found: list[Estimates] = []
        judged: dict[int, Architecture] = {}
        for place, candidate in enumerate(candidates):
            found.append(Estimates())
            try:
                architecture = context.architecture(candidate)
                refuse(architecture)
            except HwnasError as error:
                found[place] = Estimates.failed(error)
                continue
            if layout.holds(architecture):
                judged[place] = architecture
            else:
                found[place] = Estimates(
                    warnings=(f"{architecture.shape} is larger than the supernet: no {self.metric}",)
                )
        places = list(judged)
        for start in range(0, len(places), self.config.networks):
            some = places[start : start + self.config.networks]
            for place, estimate in zip(
                some, self._scores(net, [judged[p] for p in some], context), strict=True
            ):
                found[place] = Estimates({self.metric: estimate})
        return found

    def _scores(
        self, net: Supernet, architectures: Sequence[Architecture], context: Context
    ) -> list[Estimate]:
        from hwnas_hls_plugins.estimators.weight_sharing.supernet import answers

        dataset = context.dataset
        split = dataset.validation.drawn(self.config.max_validation_rows, [context.seed, 0x50E])
        paths = Paths.of([planned(item, regression=dataset.kind == REGRESSION) for item in architectures])
        mean, scale = dataset.target_standardisation if dataset.kind == REGRESSION else (0.0, 1.0)
        evidence = f"a slice of the run's supernet on {len(split)} validation rows, without its own training"
        return [
            replace(
                score(dataset, split, outputs * scale + mean, source="trained", evidence=evidence),
                metric=self.metric,
            )
            for outputs in answers(net, paths, dataset.standardised(split))
        ]

    def _supernet(self, space: Space, context: Context) -> tuple[Layout, Supernet]:
        """The supernet of the run: in memory, from the store, or trained now."""
        asked = (space, context.seed, context.dataset.fingerprint)
        if self._held is not None and self._held[0] == asked:
            return self._held[1], self._held[2]
        pool = drawn(space, self.config.pool, context.seed)
        content = [item.to_json() for item in pool]
        key = digest([asdict(self.config), context.seed, context.dataset.fingerprint, self.version, content])
        name = f"supernet {key}"
        from hwnas_hls_plugins.estimators.weight_sharing.supernet import Supernet

        layout = Layout.of(pool)
        data = context.cache.get(name)
        if data is not None:
            net = Supernet.from_bytes(layout, data)
        else:
            net = self._trained(layout, pool, context)
            context.cache[name] = net.to_bytes()
        self._held = (asked, layout, net)
        return layout, net

    def _trained(self, layout: Layout, pool: Sequence[Architecture], context: Context) -> Supernet:
        from hwnas_hls_plugins.estimators.weight_sharing.supernet import Group, Supernet, train

        dataset, config = context.dataset, self.config
        classes = dataset.kind == CLASSIFICATION
        log.info("training a supernet for up to %d layers, once per run", len(layout.widths) + 1)
        plans = [planned(item, regression=not classes) for item in pool]
        groups = [
            Group(Paths.of(plans[start : start + config.networks]), layout)
            for start in range(0, len(plans), config.networks)
        ]
        net = Supernet(layout, context.seed)
        train(
            net,
            groups,
            dataset.standardised(dataset.train),
            dataset.wanted(dataset.train),
            classes=classes,
            steps=config.steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            seed=context.seed,
        )
        return net


def refuse(architecture: Architecture) -> None:
    """Raise :class:`Unsupported` for an architecture that is not a slice of the supernet."""
    for layer in architecture.chain:
        if layer.activation not in ("relu", "linear", "softmax"):
            raise Unsupported(f"weight sharing does not support the activation {layer.activation}")


def drawn(space: Space, count: int, seed: int) -> list[Architecture]:
    """Random chains of the space, each with everything that determines its accuracy.

    Raises:
        Unsupported: fewer than half of the draws are supported chains.
    """
    from hwnas_hls.network.architecture import as_architecture

    rng = np.random.default_rng([seed, 0x9001])
    found, reason = [], ""
    for _ in range(count):
        architecture = as_architecture(space.architecture(space.sample(rng)))
        try:
            refuse(architecture)
        except Unsupported as error:
            reason = str(error)
        else:
            found.append(architecture)
    if 2 * len(found) < count:
        raise Unsupported(f"weight sharing supports only spaces of chains of dense layers: {reason}")
    return found
