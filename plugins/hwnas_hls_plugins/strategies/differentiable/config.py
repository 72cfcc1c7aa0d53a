"""Settings of the differentiable search."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.strategies.evolution import EvolutionConfig


@dataclass(frozen=True, slots=True)
class DifferentiableConfig(EvolutionConfig):
    """Settings of the differentiable search and of the subsequent evolution.

    Args:
        tradeoffs: weights of the hardware losses relative to the task's loss, one per supernet; each gives
            a different part of the front.
        epochs: number of passes over the training rows per supernet.
        warmup: share of the epochs in which choices are drawn uniformly and only the weights are trained.
        learning_rate: learning rate of the weights (Adam, with cosine decay).
        choice_rate: learning rate of the choices' logits.
        hot: temperature of the choices after the warm-up: the higher it is, the more evenly they are drawn.
        cold: temperature of the choices at the end.
        max_rows: maximum number of training rows per pass; 0 means all.
        draws: networks drawn from each supernet's final distribution, in addition to the most likely one.
        Other settings: of the evolution, as in
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
            raise ValueError("tradeoffs must contain at least one weight, each at least 0")
        if self.epochs < 1 or self.draws < 0 or self.max_rows < 0:
            raise ValueError("epochs must be at least 1, draws and max_rows at least 0")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup must be at least 0 and below 1, not {self.warmup}")
        if not (self.learning_rate > 0 and self.choice_rate > 0):
            raise ValueError("learning_rate and choice_rate must be above 0")
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"cold ({self.cold}) must be above 0 and at most hot ({self.hot})")
