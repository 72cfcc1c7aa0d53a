"""Grid search: every candidate of a finite space exactly once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.space import Space, assemble, knobs_of, settings
from hwnas_hls.protocols.strategy import ProposingStrategy, batch_rng
from hwnas_hls.values.candidate import Candidate, Value


class GridStrategy(ProposingStrategy):
    """Proposes every candidate of a finite space once.

    Args:
        config: settings.
        space: a finite space.
        seed: seed of the run; shuffles the order.

    Raises:
        UserError: the space has a continuous knob, no knobs, or too many combinations.
    """

    name = "grid"

    @dataclass(frozen=True, slots=True)
    class Config:
        """Settings of grid search.

        Args:
            max_settings: maximum number of combinations of the space.
            scattered: use an order shuffled by the seed, so a run that ends early has sampled the whole
                space; otherwise the last knob varies fastest.
        """

        max_settings: int = 100_000
        scattered: bool = True

        def __post_init__(self) -> None:
            if self.max_settings < 1:
                raise ValueError(f"max_settings must be at least 1, not {self.max_settings}")

    def __init__(self, config: Config, space: Space, seed: int) -> None:
        if not knobs_of(space):
            raise UserError(
                "strategy grid needs a space described by a table of knobs",
                found=f"space {space.name}",
                remedy="use random or evolution",
                kind=ErrorKind.UNSUPPORTED,
            )
        super().__init__(space, seed)
        found = list(itertools.islice(settings(space), config.max_settings + 1))
        if len(found) > config.max_settings:
            raise UserError(
                f"strategy grid supports at most {config.max_settings} combinations",
                where=f"space {space.name}",
                found=f"more, from {len(space.knobs)} knobs",
                remedy="give knobs fewer values (a single value fixes one), raise max_settings, "
                "or use another strategy",
                kind=ErrorKind.TOO_LARGE,
            )
        if config.scattered:
            order = batch_rng(self.name, seed, 0, "order").permutation(len(found))
            found = [found[place] for place in order]
        self._settings: Iterator[dict[str, Value]] = iter(found)

    def ask(self, n: int) -> list[Candidate]:
        self.proposals.batch += 1
        asked: list[Candidate] = []
        # Skip known candidates: duplicates after a repair, and the records of a resumed run.
        while len(asked) < n and (values := next(self._settings, None)) is not None:
            candidate = assemble(self.space, values)
            if not self.proposals.known(candidate):
                asked.append(self.proposals.add(candidate))
        return asked
