"""The differentiable strategy: supernets propose the first candidates, evolution the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.protocols.plugin import silent
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Proposals, Strategy, batch_rng, batch_seed
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record
from hwnas_hls_plugins.strategies.differentiable.config import DifferentiableConfig
from hwnas_hls_plugins.strategies.differentiable.relaxation import Relaxation
from hwnas_hls_plugins.strategies.evolution import EvolutionStrategy

if TYPE_CHECKING:
    import numpy as np

    from hwnas_hls_plugins.strategies.differentiable.descent import Distribution


class DifferentiableStrategy(Strategy):
    """Gradient descent on the choices of supernets, then evolution from the networks that they select.

    A supernet contains the largest network of the space. Depth, widths, types and sparsities are
    distributions over their choices (straight-through Gumbel-softmax with decreasing temperature),
    trained together with the weights on the training rows. The loss is the task's loss plus the
    weighted hardware losses of the expected network, from the differentiable form of the hardware
    model. Each supernet has a different weight and gives a different part of the front. Layers are
    unrolled.

    The first proposals are the most likely network of each supernet and some drawn from its
    distribution; they are trained and evaluated like all candidates. Regularised evolution then
    continues with them as its first parents.

    Source: Liu et al., "DARTS: Differentiable architecture search", ICLR 2019; Wu et al.,
    "FBNet", CVPR 2019 (hardware in the loss); Wan et al., "FBNetV2", CVPR 2020 (masked widths); Wu
    et al., "Mixed precision quantization of ConvNets via differentiable neural architecture search",
    2018 (bit widths).

    Args:
        config: settings.
        space: unrolled multilayer perceptrons with the knobs of the space ``mlp``, or some of them.
        goal: objectives and limits; of the hardware metrics, LUTs, DSPs and latency are used.
        seed: of the run.
        task: provides the training rows of the supernets.
        target: the part, for the cost model.
        clock_ns: clock period; default that of the target.
        progress: called with each epoch of the supernets.

    Raises:
        UserError: the space has unsupported knobs or does not match the task.
    """

    name = "differentiable"
    Config = DifferentiableConfig
    config: DifferentiableConfig

    def __init__(
        self,
        config: DifferentiableConfig,
        space: Space,
        goal: Goal,
        seed: int,
        task: Dataset,
        target: Target,
        clock_ns: float | None = None,
        progress: Callable[[str], None] = silent,
    ) -> None:
        self.config, self.progress = config, progress
        self.goal, self.seed = goal, seed
        self.task, self.target, self.clock_ns = task, target, clock_ns or target.clock_ns
        self.relaxation = Relaxation(self.name, space)
        if (self.relaxation.n_in, self.relaxation.n_out) != (task.n_in, task.n_out):
            raise UserError(
                f"strategy {self.name} trains on a task of {task.n_in} inputs and {task.n_out} outputs",
                where=f"space {space.name}",
                found=f"networks of {self.relaxation.n_in} inputs and {self.relaxation.n_out} outputs",
                kind=ErrorKind.MISMATCH,
            )
        self._evolution = EvolutionStrategy(config, space, goal, seed)
        self._evolution.proposals = self._proposals = Proposals(self.name, space, seed)
        self._designs: list[Candidate] | None = None
        self._trained = False

    @property
    def training_epochs(self) -> float:
        """The total number of passes over the training rows by all supernets so far.

        One pass counts as one epoch of one candidate.
        """
        return float(len(self.config.tradeoffs) * self.config.epochs) if self._trained else 0.0

    def ask(self, n: int) -> list[Candidate]:
        if self._designs is None:
            self._designs = self._descend()
        rng = batch_rng(self.name, self.seed, self._proposals.batch, "variants")
        asked: list[Candidate] = []
        while self._designs and len(asked) < n:
            found = self._proposals.variant(self._designs.pop(0), rng)
            if found is None:
                return asked
            asked.append(found)
        # An empty request still counts as a batch.
        return asked + self._evolution.ask(n - len(asked))

    def tell(self, records: Sequence[Record]) -> None:
        self._evolution.tell(records)

    def state(self) -> Any:
        designs = None if self._designs is None else [design.to_json() for design in self._designs]
        return {**self._proposals.state(), "designs": designs}

    def restore(self, state: Any) -> None:
        self._proposals.restore(state)
        try:
            designs = state["designs"]
            self._designs = None if designs is None else [Candidate.from_json(item) for item in designs]
        except (KeyError, TypeError, HwnasError) as error:
            raise UserError(
                "not a saved state of this strategy",
                where=self.name,
                found=state,
                kind=ErrorKind.WRONG_FORMAT,
            ) from error
        self._trained = self._designs is not None

    def _descend(self) -> list[Candidate]:
        """The proposals of the supernets: the most likely networks, then random draws, alternating."""
        from hwnas_hls_plugins.strategies.differentiable.descent import descend

        found = descend(
            self.relaxation,
            self.task,
            self.goal,
            self.target,
            self.clock_ns,
            self.config,
            batch_seed(self.name, self.seed, 0, "supernets"),
            self.progress,
        )
        self._trained = True
        return list(self._discretised(found, batch_rng(self.name, self.seed, 0, "discretised")))

    def _discretised(
        self, distributions: Sequence[Distribution], rng: np.random.Generator
    ) -> Iterator[Candidate]:
        knobs = list(self.relaxation.knobs.values())
        for turn in range(1 + self.config.draws):
            for distribution in distributions:
                chosen = {
                    name: chances.index(max(chances)) if turn == 0 else drawn(chances, rng)
                    for name, chances in distribution.chances.items()
                }
                yield self.relaxation.candidate(chosen, {knob.name: knob.draw(rng) for knob in knobs})


def drawn(chances: Sequence[float], rng: np.random.Generator) -> int:
    """An option drawn by its probability."""
    left = rng.random() * sum(chances)
    for place, chance in enumerate(chances):
        left -= chance
        if left < 0:
            return place
    return len(chances) - 1
