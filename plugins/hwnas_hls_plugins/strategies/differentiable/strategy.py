"""The differentiable strategy: supernets propose first, evolution goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError, UserError
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
    """Gradient descent on the choices of supernets; what they settle on is asked, and refined by evolution.

    A supernet holds the largest network of the space. Depth, widths, types and sparsities are
    distributions over their choices (straight-through Gumbel-softmax, colder and colder), trained
    together with the weights on the training rows. The loss is the task's plus, at a weight a
    supernet, the goal's hardware losses of the expected network by the differentiable closed form
    of the hardware model; so each supernet ends in another part of the front. Layers are unrolled.

    The most likely network of each supernet and some drawn from its distribution are asked first,
    as ordinary candidates: they are trained anew and judged as all others. Then regularised
    evolution takes over, with them as its first parents.

    Source: Liu et al., "DARTS: Differentiable architecture search", ICLR 2019; Wu et al.,
    "FBNet", CVPR 2019 (hardware in the loss); Wan et al., "FBNetV2", CVPR 2020 (masked widths); Wu
    et al., "Mixed precision quantization of ConvNets via differentiable neural architecture search",
    2018 (bit widths).

    Args:
        config: trade-offs, rates and the evolution's settings.
        space: unrolled multilayer perceptrons with the knobs of the space ``mlp``, or some of them.
        goal: objectives and limits; of the hardware's those on LUTs, DSPs and latency are followed.
        seed: of the run.
        task: whose training rows the supernets learn from.
        target: whose silicon the cost is that of.
        clock_ns: clock period; the target's if left out.

    Raises:
        UserError: the space has knobs that it does not understand, or fits not the task.
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
    ) -> None:
        self.config = config
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
        """Passes over the training rows that the supernets have taken so far, all of them together.

        One counts as one epoch of one candidate, as that of the widest candidate does.
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
        # Asked for nothing it still counts the batch.
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
                "not a state that this strategy saved",
                where=self.name,
                found=state,
                kind=ErrorKind.WRONG_FORMAT,
            ) from error
        self._trained = self._designs is not None

    def _descend(self) -> list[Candidate]:
        """What the supernets propose: the most likely networks first, then draws, in turn."""
        from hwnas_hls_plugins.strategies.differentiable.descent import descend

        found = descend(
            self.relaxation,
            self.task,
            self.goal,
            self.target,
            self.clock_ns,
            self.config,
            batch_seed(self.name, self.seed, 0, "supernets"),
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
    """An option by its chance."""
    left = rng.random() * sum(chances)
    for place, chance in enumerate(chances):
        left -= chance
        if left < 0:
            return place
    return len(chances) - 1
