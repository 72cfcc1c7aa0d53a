"""Search strategies: what proposes candidates and learns from their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from hwnas_hls.candidate import Candidate
from hwnas_hls.record import Record


@runtime_checkable
class Strategy(Protocol):
    """What a strategy plugin offers; ``name`` and a frozen ``Config`` stand on the class.

    The constructor takes, by name, any of ``config space goal seed task target``. A strategy
    owns its random state and touches no global one.

    A resumed run makes a fresh strategy, tells it every past batch in order, and then calls
    :meth:`restore` with the state saved after the last of them. A strategy may therefore keep
    its whole memory in the state, or only what records cannot tell (its random state).
    """

    name: str

    def ask(self, n: int) -> list[Candidate]:
        """Up to ``n`` candidates; an empty list says that the space is exhausted."""
        ...

    def tell(self, records: Sequence[Record]) -> None:
        """Learn from records, failed, infeasible and stopped ones included.

        The candidates may be ones this instance never asked for (a resumed run).
        """
        ...

    def state(self) -> Any:
        """JSON-able; small where the records are the memory."""
        ...

    def restore(self, state: Any) -> None: ...
