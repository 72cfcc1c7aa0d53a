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
from hwnas_hls_plugins.strategies.optuna_study import told_losses, told_violation

_REDRAWS = 16


class ReinforceStrategy(ProposingStrategy):
    """REINFORCE with a moving baseline and an entropy bonus.

    The policy is one categorical distribution a knob (a continuous knob is cut into bins).
    Knobs are drawn in the order of the space's table, so those that are inactive are neither
    drawn nor learned from. The reward holds every objective, the hardware's included, and a
    penalty for broken limits; its advantage over the baseline moves the logits along
    ``advantage * grad log p``, by Adam.

    Rewards: ``dominance`` is the share of the last judged candidates that do not dominate this
    one (a broken limit counts as dominated by all that keep it), which spreads the policy over a
    whole front; ``sum`` is minus the weighted sum of the losses. With a single loss it is minus
    that loss in both cases.

    A candidate that the policy has proposed before is drawn again, and at last mutated.

    Source: Williams, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning", Machine Learning 8, 1992; Zoph and Le, "Neural architecture search
    with reinforcement learning", ICLR 2017.

    Args:
        config: rates.
        space: needs knobs.
        goal: objectives, limits and weights.
        seed: of the run.
    """

    name = "reinforce"

    @dataclass(frozen=True, slots=True)
    class Config:
        """Settings of REINFORCE.

        Args:
            learning_rate: of the logits.
            entropy_weight: reward of one nat of the policy's entropy a knob.
            baseline_decay: how much of the moving baseline a batch keeps.
            violation_weight: reward lost for breaking limits by 100 %.
            reward: how several losses become one reward.
            window: how many of the newest candidates a ``dominance`` reward compares with.
            bins: into which a continuous knob is cut.
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
                raise ValueError("learning_rate is above 0, entropy_weight and violation_weight at least 0")
            if not 0 <= self.baseline_decay < 1:
                raise ValueError(f"baseline_decay is at least 0 and below 1, found {self.baseline_decay}")
            if self.window < 1 or self.bins < 2:
                raise ValueError(f"window is at least 1 and bins 2, found {self.window} and {self.bins}")

    config: Config

    def __init__(self, config: Config, space: Space, goal: Goal, seed: int) -> None:
        if not knobs_of(space):
            raise UserError(
                f"strategy {self.name} needs a space whose knobs are a table of Knob",
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
        told = [(told_losses(self.goal, record), told_violation(record)) for record in records]
        self._recent = [*self._recent, *told][-self.config.window :]
        rewards = [self._reward(losses, violation) for losses, violation in told]
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
        # The candidate itself is among them, unless its batch was larger than the window.
        others = np.array([other for other, broken in self._recent if broken == 0] or [losses])
        better = np.all(others <= losses, axis=1) & np.any(others < losses, axis=1)
        return 1.0 - float(better.mean())


class Policy:
    """Independent categorical distributions over the knobs' choices.

    Args:
        knobs: in the order of the table.
        bins: of a continuous knob.
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
        """Values of all knobs; those that turn out inactive are drawn, too, and ignored later."""
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
        """Of the choices (or bins) of one knob."""
        place = next(place for place, knob in enumerate(self.knobs) if knob.name == name)
        return _softmax(self.logits[place])

    def learn(
        self,
        candidates: Sequence[Candidate],
        advantages: Sequence[float],
        learning_rate: float,
        entropy_weight: float,
    ) -> None:
        """One step of Adam up the policy gradient of a batch, entropy bonus included."""
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
