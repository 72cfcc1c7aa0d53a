"""Reinforcement learning: a policy over the knobs, trained by policy gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.space import Knob, Space, assemble, knobs_of
from hwnas_hls.protocols.strategy import ProposingStrategy
from hwnas_hls.values.candidate import Candidate, Value
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record
from hwnas_hls_plugins.strategies.optuna_study import finite_losses, total_violation

_REDRAWS = 16


class ReinforceStrategy(ProposingStrategy):
    """REINFORCE with a moving baseline and an entropy bonus.

    The policy is one categorical distribution per knob (a continuous knob is divided into bins).
    Knobs are drawn in the order of the space's table; inactive ones do not contribute to the gradient.
    The reward includes all objectives and a penalty for broken limits; its advantage over the baseline
    moves the logits along ``advantage * grad log p``, by Adam.

    Rewards: ``dominance`` is the share of the last candidates that do not dominate this one (a
    candidate over a limit counts as dominated by all within it), which spreads the policy over the
    whole front; ``sum`` is the negative weighted sum of the losses. With a single loss, both are the
    negative loss.

    A candidate that was proposed before is drawn again, and finally mutated.

    Source: Williams, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning", Machine Learning 8, 1992; Zoph and Le, "Neural architecture search
    with reinforcement learning", ICLR 2017.

    Args:
        config: settings.
        space: a space with knobs.
        goal: objectives, limits and weights.
        seed: of the run.
    """

    name = "reinforce"

    @dataclass(frozen=True, slots=True)
    class Config:
        """Settings of REINFORCE.

        Args:
            learning_rate: learning rate of the logits.
            entropy_weight: reward per nat of the policy's entropy per knob.
            baseline_decay: share of the moving baseline kept per batch.
            violation_weight: penalty for exceeding limits by 100 %.
            reward: how several losses become one reward: ``dominance``, the share of the last candidates
                that do not dominate this one, or ``sum``, the negative weighted sum of the losses.
            window: number of the newest candidates that a ``dominance`` reward compares with.
            bins: number of bins of a continuous knob.
        """

        learning_rate: float = 0.2
        entropy_weight: float = 0.01
        baseline_decay: float = 0.8
        violation_weight: float = 1.0
        reward: Literal["dominance", "sum"] = "dominance"
        window: int = 128
        bins: int = 8

        def __post_init__(self) -> None:
            if not (self.learning_rate > 0 and self.entropy_weight >= 0 and self.violation_weight >= 0):
                raise ValueError("learning_rate must be > 0, entropy_weight and violation_weight >= 0")
            if not 0 <= self.baseline_decay < 1:
                raise ValueError(f"baseline_decay must be at least 0 and below 1, not {self.baseline_decay}")
            if self.window < 1 or self.bins < 2:
                raise ValueError(f"window ({self.window}) must be >= 1 and bins ({self.bins}) >= 2")

    config: Config

    def __init__(self, config: Config, space: Space, goal: Goal, seed: int) -> None:
        if not knobs_of(space):
            raise UserError(
                f"strategy {self.name} needs a space described by a table of knobs",
                found=f"space {space.name}",
                remedy="use random or evolution",
                kind=ErrorKind.UNSUPPORTED,
            )
        super().__init__(space, seed)
        self.config = config
        self.goal = goal
        self._policy = Policy(space.knobs, config.bins)
        self._baseline: float | None = None
        self._recent: list[tuple[tuple[float, ...], float]] = []

    def ask(self, n: int) -> list[Candidate]:
        rng = self.proposals.next_rng()
        asked: list[Candidate] = []
        while len(asked) < n:
            for _ in range(_REDRAWS):
                candidate = assemble(self.space, self._policy.draw(rng))
                if not self.proposals.known(candidate):
                    break
            found = self.proposals.variant(candidate, rng)
            if found is None:
                break
            asked.append(found)
        return asked

    def tell(self, records: Sequence[Record]) -> None:
        super().tell(records)
        if not records:
            return
        outcomes = [(finite_losses(self.goal, record), total_violation(record)) for record in records]
        self._recent = [*self._recent, *outcomes][-self.config.window :]
        rewards = [self._reward(losses, violation) for losses, violation in outcomes]
        mean = sum(rewards) / len(rewards)
        baseline = mean if self._baseline is None else self._baseline
        self._policy.learn(
            [record.candidate for record in records],
            [reward - baseline for reward in rewards],
            self.config.learning_rate,
            self.config.entropy_weight,
        )
        decay = self.config.baseline_decay
        self._baseline = decay * baseline + (1 - decay) * mean

    def _reward(self, losses: tuple[float, ...], violation: float) -> float:
        penalty = self.config.violation_weight * min(violation, 1.0)
        if len(losses) == 1:
            return -losses[0] - penalty
        if self.config.reward == "sum":
            weights = [objective.weight for objective in self.goal.objectives]
            return -float(np.dot(weights, losses)) / sum(weights) - penalty
        if violation > 0:
            return -penalty
        # These include the candidate itself, unless its batch was larger than the window.
        others = np.array([other for other, broken in self._recent if broken == 0] or [losses])
        better = np.all(others <= losses, axis=1) & np.any(others < losses, axis=1)
        return 1.0 - float(better.mean())


class Policy:
    """Independent categorical distributions over the knobs' choices.

    Args:
        knobs: knobs in the order of the table.
        bins: number of bins of a continuous knob.
    """

    def __init__(self, knobs: Sequence[Knob], bins: int) -> None:
        self.knobs = list(knobs)
        self.bins = bins
        sizes = [len(knob.choices) or bins for knob in self.knobs]
        self.logits = [np.zeros(size) for size in sizes]
        self._first = [np.zeros(size) for size in sizes]
        self._second = [np.zeros(size) for size in sizes]
        self._steps = 0

    def draw(self, rng: np.random.Generator) -> dict[str, Value]:
        """Values of all knobs; those of inactive knobs are drawn too and ignored later."""
        values: dict[str, Value] = {}
        for knob, logits in zip(self.knobs, self.logits, strict=True):
            place = int(np.searchsorted(np.cumsum(_softmax(logits)), rng.random()))
            place = min(place, len(logits) - 1)
            within = float(rng.random())
            if knob.continuous:
                values[knob.name] = knob.at((place + within) / self.bins)
            else:
                values[knob.name] = knob.choices[place]
        return values

    def probabilities(self, name: str) -> NDArray[np.float64]:
        """The probabilities of the choices (or bins) of a knob."""
        place = next(place for place, knob in enumerate(self.knobs) if knob.name == name)
        return _softmax(self.logits[place])

    def learn(
        self,
        candidates: Sequence[Candidate],
        advantages: Sequence[float],
        learning_rate: float,
        entropy_weight: float,
    ) -> None:
        """One step of Adam along the policy gradient of a batch, including the entropy bonus."""
        self._steps += 1
        for place, knob in enumerate(self.knobs):
            chances = _softmax(self.logits[place])
            gradient = np.zeros_like(chances)
            for candidate, advantage in zip(candidates, advantages, strict=True):
                if knob.name in candidate.values:
                    chosen = np.zeros_like(chances)
                    chosen[self._place(knob, candidate.values[knob.name])] = 1.0
                    gradient += advantage * (chosen - chances) / len(candidates)
            logs = np.log(np.maximum(chances, 1e-12))
            entropy = -float(np.sum(chances * logs))
            gradient -= entropy_weight * chances * (logs + entropy)
            self._first[place] = 0.9 * self._first[place] + 0.1 * gradient
            self._second[place] = 0.999 * self._second[place] + 0.001 * gradient**2
            first = self._first[place] / (1 - 0.9**self._steps)
            second = self._second[place] / (1 - 0.999**self._steps)
            self.logits[place] = self.logits[place] + learning_rate * first / (np.sqrt(second) + 1e-8)

    def _place(self, knob: Knob, value: Value) -> int:
        if knob.continuous:
            return min(int(knob.position(value) * self.bins), self.bins - 1)
        return knob.choices.index(value)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max())
    shares: NDArray[np.float64] = raised / raised.sum()
    return shares
