"""The search loop (ask, evaluate, store, tell), and its continuation after an interruption."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas_hls.cluster import Workers
from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, WrongReturn, in_words_with_place
from hwnas_hls.plugin.returned import asked_candidates
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.run.hardware_loop import Measuring
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.known.designs import origins, take_up
from hwnas_hls.run.known.sources import gathered
from hwnas_hls.run.live_front import LiveFront
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.store import Store
from hwnas_hls.system.cores import available_cores
from hwnas_hls.values.candidate import GIVEN, Candidate
from hwnas_hls.values.front import hypervolume
from hwnas_hls.values.record import Record

log = logging.getLogger(__name__)
#: Number of the batch of known designs, which comes before the first batch of the strategy.
KNOWN_BATCH = -1
#: Candidates of the first batch in a space with starts; without a time limit, equal seeds give equal batches.
_FIRST_BATCH = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a search after a batch.

    Args:
        judged: proposed candidates with a record. If one training gives designs of several candidates,
            there are more records than this.
        trials: the budget of proposed candidates.
        states: state -> number of records.
        front: size of the front.
        hypervolume: of the front; 1 is the whole box between best and worst.
        seconds: run time, including earlier sessions.
    """

    judged: int
    trials: int
    states: dict[str, int]
    front: int
    hypervolume: float
    seconds: float


class Search:
    """The search of one run; the only object with mutable state.

    :meth:`resume` returns a search that continues from the store, :meth:`view` one for reading only.

    Args:
        problem: the problem to search.
        store: the store of the run.
        on_records: called with the records of each batch after they are stored.
        on_progress: called after each batch.
        workers: for expensive estimators and syntheses; if ``None``, everything runs in this process.
    """

    def __init__(
        self,
        problem: Problem,
        store: Store,
        on_records: Callable[[Sequence[Record]], None] = lambda records: None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        workers: Workers | None = None,
    ) -> None:
        self.problem = problem
        self.store = store
        self.judge = Judge(problem, store, workers)
        self.front = LiveFront(problem.goal.n_losses)
        self.trace: list[tuple[int, float, float]] = []
        self.states: dict[str, int] = {}
        self.asked = self.judged = 0
        self._next_batch = 0
        self._unfinished: tuple[Candidate, ...] = ()
        self._known: tuple[Candidate, ...] | None = None
        self._knows = False
        self._seconds_before = 0.0
        self._began = time.monotonic()
        self.measuring = (
            Measuring(problem, store, self.judge.design, workers) if problem.synthesizer else None
        )
        self._on_records = on_records
        self._on_progress = on_progress

    @classmethod
    def resume(
        cls,
        problem: Problem,
        store: Store,
        on_records: Callable[[Sequence[Record]], None] = lambda records: None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        workers: Workers | None = None,
    ) -> Search:
        """A search that continues from the store, or begins if the store is empty.

        Raises:
            PluginError: the strategy fails on the records of the store.
        """
        search = cls(problem, store, on_records, on_progress, workers)
        search._take_up()
        return search

    @classmethod
    def view(cls, problem: Problem, store: Store, workers: Workers | None = None) -> Search:
        """The current results of a run, for reading only; no strategy is built."""
        search = cls(problem, store, workers=workers)
        search._take_up(tell=False)
        return search

    @functools.cached_property
    def strategy(self) -> Strategy:
        """The strategy, built on first use."""
        return self.problem.make_strategy(self._strategy_progress)

    def _strategy_progress(self, words: str) -> None:
        self.judge.calls.on_phase(f"batch {self._next_batch + 1}: {self.problem.spec.strategy.name}, {words}")

    def run(self) -> None:
        """Search until the budget is spent or the space is exhausted."""
        budget = self.problem.spec.run
        self._judge_known()
        if self.measuring is not None and self.asked < budget.trials:
            self.measuring.require()
        while self.asked < budget.trials:
            if budget.minutes is not None and self.seconds() >= 60 * budget.minutes:
                break
            candidates = self._ask(self._batch_size())
            if not candidates:
                log.info("the strategy has no further candidates after %d", self.asked)
                break
            self._finish(candidates, self._next_batch)
        if self.measuring is not None:
            self.measuring.learn()
            self.front = LiveFront(self.problem.goal.n_losses)
            self.front.add(self.measuring.population())

    def _batch_size(self) -> int:
        """Candidates of the next batch.

        The first batch is small if the space has starts, which are large: all others are compared with its
        front. With a time limit, the first batch has one candidate per core, at least two. A later batch has
        at most as many as all batches before it, and only those that are expected to end in time.
        """
        budget = self.problem.spec.run
        most = min(budget.batch, budget.trials - self.asked)
        if self._unfinished:
            return min(most, len(self._unfinished))
        if budget.minutes is None:
            return min(most, _FIRST_BATCH) if self.asked == 0 and self.problem.space.starts() else most
        if self.asked == 0:
            return min(most, max(2, available_cores()))
        left_s = 60 * budget.minutes - self.seconds()
        return max(1, min(most, self.asked, int(left_s * self.asked / max(self.seconds(), 1e-3))))

    def seconds(self) -> float:
        """Run time so far, by a monotonic clock."""
        return self._seconds_before + time.monotonic() - self._began

    def _take_up(self, *, tell: bool = True) -> None:
        """Restore the front from the store, and with ``tell`` the strategy too."""
        by_batch: dict[int, list[Record]] = {}
        for record in self.store.records():
            by_batch.setdefault(record.batch, []).append(record)
        state: Any = None
        restorable = False
        taken: list[Record] = []
        self.judge.origins = origins(self.store)
        for batch in self.store.batches():
            known = batch.number == KNOWN_BATCH
            if batch.state is None:
                if known:
                    self._known = batch.candidates
                else:
                    self._unfinished = batch.candidates
                break
            self._knows = self._knows or known
            records = by_batch.get(batch.number, [])
            if self.measuring is not None:
                # Evaluate again from the store: corrections apply to the original predictions.
                self._measured(
                    self.judge.records(batch.candidates, batch.number, self.judged),
                    (self.asked + (0 if known else len(batch.candidates))) / self.problem.spec.run.trials,
                )
            if tell:
                with self._strategy(f"failed on the records of batch {batch.number}"):
                    self.strategy.tell(_of_space(records))
                state, restorable = batch.state.state, True
            taken.extend(records)
            self._tally(records)
            self.asked += 0 if known else len(batch.candidates)
            self.trace.append((self.judged, batch.seconds, batch.hypervolume))
            self._next_batch = batch.number + 1
            self._seconds_before = batch.seconds
        if restorable:
            with self._strategy("failed to restore its saved state"):
                self.strategy.restore(state)
        if self.measuring is None:
            self.front.add(taken)

    def _ask(self, n: int) -> Sequence[Candidate]:
        with self._strategy(f"failed to propose candidates of space {self.problem.spec.space.name}"):
            asked: Sequence[Candidate] = asked_candidates(self.strategy.ask(n))[:n]
        if self._unfinished:
            if list(asked) != list(self._unfinished):
                log.warning(
                    "after the interruption, the strategy proposes other candidates; the stored ones are used"
                )
            asked, self._unfinished = self._unfinished, ()
        return asked

    @contextlib.contextmanager
    def _strategy(self, what: str) -> Iterator[None]:
        """Run the code of the strategy; a fault ends the search, and the traceback goes to the log."""
        try:
            yield
        except UserError:
            raise
        except PLUGIN_FAULTS as error:
            name = self.problem.spec.strategy.name
            log.info("strategy %s %s", name, what, exc_info=error)
            folder = self.store.path.parent
            raise HwnasError(
                f"strategy {name} {what}: {in_words_with_place(error)}\n"
                f"  the results are kept; fix the strategy, then: hwnas-hls resume {folder}\n"
                f"  the traceback is in {folder / 'log.txt'}",
                kind=ErrorKind.PLUGIN_FAULT,
            ) from error

    def _judge_known(self) -> None:
        """Judge the designs of earlier runs and the user's own, once; they are no part of the budget."""
        if self._knows:
            return
        if self._known is None:
            known = gathered(self.problem, self.store)
            take_up(self.judge, self.store, known)
            self._known = tuple(item.candidate for item in known)
            self.judge.origins = origins(self.store)
        self._knows = True
        if self._known:
            self._finish(self._known, KNOWN_BATCH)

    def _finish(self, candidates: Sequence[Candidate], number: int) -> None:
        self.store.begin_batch(number, candidates)
        asked = 0 if number == KNOWN_BATCH else len(candidates)
        share = (self.asked + asked) / self.problem.spec.run.trials
        records = self._measured(self.judge.records(candidates, number, self.judged), share)
        self.judge.take(records)
        with self._strategy(f"failed on the records of batch {number}"):
            self.strategy.tell(_of_space(records))
            state = _as_json(self.strategy.state())
        self.asked += asked
        self._count(records, self.seconds())
        self.store.finish_batch(number, records, state, self.front.hypervolume, self.seconds())
        self._next_batch = number + 1
        self._on_records(records)
        self._on_progress(self.progress())

    def _measured(self, records: list[Record], share: float) -> list[Record]:
        """Use finished syntheses, revise the population, and start the syntheses that are due."""
        if self.measuring is None:
            return records
        before = self.measuring.changes
        self.measuring.learn()
        self.measuring.take(records)
        self.measuring.begin(share)
        revised = [self.measuring.revised(record) for record in records]
        if self.measuring.changes > before:
            # Any record may have moved, so the front is rebuilt from all of them.
            self.front = LiveFront(self.problem.goal.n_losses)
            self.front.add(self.measuring.population())
        else:
            self.front.add(revised)
        return revised

    def close(self) -> None:
        """End the syntheses and the processes of isolated estimators."""
        self.judge.close()
        if self.measuring is not None:
            self.measuring.close()

    def records(self) -> list[Record]:
        """All records, with current estimates."""
        stored = self.store.records()
        if self.measuring is None:
            return stored
        return [self.measuring.revised(record) for record in stored]

    def population(self) -> list[Record]:
        """All complete records, with current estimates."""
        return [record for record in self.records() if record.feasible]

    def _tally(self, records: Sequence[Record]) -> None:
        for record in records:
            self.states[record.state] = self.states.get(record.state, 0) + 1
        self.judged += len(records)

    def _count(self, records: Sequence[Record], seconds: float) -> None:
        self._tally(records)
        self.front.add(records)
        self.trace.append((self.judged, seconds, self.front.hypervolume))

    def progress(self) -> Progress:
        return Progress(
            self.asked,
            self.problem.spec.run.trials,
            dict(self.states),
            len(self.front.records),
            self.front.hypervolume,
            self.seconds(),
        )


def _of_space(records: Sequence[Record]) -> list[Record]:
    """The records that a strategy can learn from: those of candidates of the space."""
    return [record for record in records if record.candidate.space != GIVEN]


def _as_json(state: Any) -> str:
    try:
        return json.dumps(state)
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongReturn(f"state() returned a value that is not JSON-able: {error}") from error


def choose(records: Sequence[Record], members: int) -> list[Record]:
    """At most ``members`` records of a front, chosen greedily for the largest hypervolume.

    The best of each objective is always included, as far as they fit. Designs worse than ``worst`` in
    an objective (for example an accuracy near chance) are excluded if there are others.
    """
    useful = [record for record in records if record.losses is not None and max(record.losses) < 1.0]
    records = useful or records
    if len(records) <= members:
        return list(records)
    losses = np.array([record.losses for record in records])
    chosen = list(dict.fromkeys(int(place) for place in losses.argmin(axis=0)))[:members]
    reference = [1.0 + 1e-9] * losses.shape[1]
    while len(chosen) < members:
        gains = [
            -1.0 if place in chosen else hypervolume(losses[[*chosen, place]], reference)
            for place in range(len(records))
        ]
        chosen.append(int(np.argmax(gains)))
    return [records[place] for place in sorted(chosen)]


def least_infeasible(records: Sequence[Record], count: int = 5) -> list[Record]:
    """The records with the smallest total excess over their limits, one per candidate."""
    broken = {record.key: record for record in records if record.violations}
    return sorted(broken.values(), key=lambda record: (sum(record.violations.values()), record.number))[
        :count
    ]
