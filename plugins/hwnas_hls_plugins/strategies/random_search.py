"""Random search: independent samples of the space without duplicates."""

from __future__ import annotations

from hwnas_hls.protocols.strategy import ProposingStrategy
from hwnas_hls.values.candidate import Candidate


class RandomStrategy(ProposingStrategy):
    """Draws random candidates from the space; the baseline for every other strategy.

    Args:
        space: any space.
        seed: of the run.
    """

    name = "random"

    def ask(self, n: int) -> list[Candidate]:
        rng = self.proposals.next_rng()
        asked: list[Candidate] = []
        while len(asked) < n:
            candidate = self.proposals.sample(rng)
            if candidate is None:
                break
            asked.append(candidate)
        return asked
