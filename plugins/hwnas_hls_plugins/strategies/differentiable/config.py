"""Settings of the differentiable search."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.strategies.evolution import EvolutionConfig


@dataclass(frozen=True, slots=True)
class DifferentiableConfig(EvolutionConfig):
    """Settings of the differentiable search and of the evolution that refines what it found.

    Args:
        tradeoffs: weights of the hardware's losses against the task's, one a supernet; each yields
            another part of the front.
        epochs: passes over the training rows of each supernet.
        warmup: share of them in which all choices are drawn evenly and only weights learn.
        learning_rate: of the weights (Adam, falling as a cosine).
        choice_rate: learning rate of the choices' logits.
        hot, cold: temperature of the choices after the warm-up and at the end.
        max_rows: at most so many training rows a pass; 0 takes all.
        draws: networks drawn from each supernet's final distribution, beside its most likely one.
        population_size, tournament_size, crossover_chance, front_share: of the evolution; see
            :class:`~hwnas_hls_plugins.strategies.evolution.EvolutionConfig`.
    """

    tradeoffs: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 3.0)
    epochs: int = 20
    warmup: float = 0.2
    learning_rate: float = 0.01
    choice_rate: float = 0.1
    hot: float = 2.0
    cold: float = 0.3
    max_rows: int = 8192
    draws: int = 4

    def __post_init__(self) -> None:
        EvolutionConfig.__post_init__(self)
        if not self.tradeoffs or any(weight < 0 for weight in self.tradeoffs):
            raise ValueError("tradeoffs names at least one weight, each at least 0")
        if self.epochs < 1 or self.draws < 0 or self.max_rows < 0:
            raise ValueError("epochs is at least 1, draws and max_rows at least 0")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is at least 0 and below 1, found {self.warmup}")
        if not (self.learning_rate > 0 and self.choice_rate > 0):
            raise ValueError("learning_rate and choice_rate are above 0")
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"0 < cold <= hot is broken by {self.cold} and {self.hot}")
