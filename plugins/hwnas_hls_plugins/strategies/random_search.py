"""Random search: every candidate an independent draw from the space, none twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Proposals, Strategy
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.record import Record


class RandomStrategy(Strategy):
    """Draws candidates by the space's own sampling, the baseline for every other strategy.

    Args:
        config: nothing to set.
        space: any space.
        seed: of the run.
    """

    name = "random"

    @dataclass(frozen=True, slots=True)
    class Config:
        pass

    def __init__(self, config: Config, space: Space, seed: int) -> None:
        self._proposals = Proposals(self.name, space, seed)

    def ask(self, n: int) -> list[Candidate]:
        rng = self._proposals.next_rng()
        asked: list[Candidate] = []
        while len(asked) < n:
            candidate = self._proposals.sample(rng)
            if candidate is None:
                break
            asked.append(candidate)
        return asked

    def tell(self, records: Sequence[Record]) -> None:
        self._proposals.tell(records)

    def state(self) -> Any:
        return self._proposals.state()

    def restore(self, state: Any) -> None:
        self._proposals.restore(state)
