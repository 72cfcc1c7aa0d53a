"""The contract of search strategies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas_hls.errors import UserError
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.testing.contract import Contract, expect, expect_equal, expect_list, untouched_random_state
from hwnas_hls.testing.samples import MixedSpace, TinySpace, judge, sample_goal
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record, RecordState


class StrategyContract(Contract):
    """Inherit and override :meth:`strategy`, and :meth:`spaces` and :meth:`supports` if it does not
    support every space.

    The class attributes ``batches`` and ``batch_size`` set the length of the tests, which must exceed
    the start-up phase of the strategy (48 candidates are enough for the built-in ones).
    """

    kind = Strategy
    batches = 6
    batch_size = 8
    modes: Sequence[str] = ("pareto", "constrained")

    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        raise NotImplementedError

    def spaces(self) -> list[Space]:
        """The spaces to test on."""
        return [TinySpace(), MixedSpace()]

    def supports(self, space: Space) -> bool:
        """Whether the strategy supports this space; if not, it must raise a UserError."""
        return True

    def plugins(self) -> Sequence[Plugin]:
        return [self.strategy(space, goal, 0) for space, goal in self._cases()]

    def test_rejects_unsupported_spaces_with_an_error(self) -> None:
        for space in self.spaces():
            if self.supports(space):
                continue
            try:
                refused = self.strategy(space, sample_goal(), 0)
            except UserError as error:
                expect(space.name in str(error), f"the error does not name the space: {error}")
            else:
                raise AssertionError(
                    f"{refused.name} accepted the space {space.name}, which it does not support"
                )

    def test_asks_for_candidates_of_the_space(self) -> None:
        for space, goal in self._cases():
            asked, _ = self._run(self.strategy(space, goal, 0), space, goal)
            expect(bool(asked[0]), f"no candidates proposed on {space.name}")
            for candidate in (candidate for batch in asked for candidate in batch):
                expect_equal(candidate.space, space.name, "a candidate belongs to another space")
                expect_equal(space.decode(space.encode(candidate)), candidate, "not a candidate of the space")
            most = max(len(batch) for batch in asked)
            expect(
                most <= self.batch_size,
                f"ask({self.batch_size}) returned {most} candidates, more than requested",
            )

    def test_seeds_change_the_candidates(self) -> None:
        cases = [(space, goal) for space, goal in self._cases() if not isinstance(space, TinySpace)]
        for space, goal in cases:
            runs = [_keys(self._run(self.strategy(space, goal, seed), space, goal)[0]) for seed in (0, 1)]
            expect(
                runs[0] != runs[1] or self.deterministic,
                f"two seeds give the same candidates on {space.name}",
            )

    #: True for a strategy without random decisions.
    deterministic = False

    def test_resume_continues_identically(self) -> None:
        for space, goal in self._cases():
            whole = self.strategy(space, goal, 3)
            asked, records = self._run(whole, space, goal)
            for stop in sorted({1, self.batches // 2, self.batches - 1}):
                first = self.strategy(space, goal, 3)
                _, history = self._run(first, space, goal, batches=stop)
                saved = json.loads(json.dumps(first.state(), allow_nan=False))
                second = self.strategy(space, goal, 3)
                for batch in history:
                    second.tell([Record.from_json(json.loads(json.dumps(item.to_json()))) for item in batch])
                second.restore(saved)
                again, _ = self._run(second, space, goal, first=stop, before=history)
                expect_equal(
                    _keys(again),
                    _keys(asked[stop:]),
                    f"the run differs when resumed after batch {stop} on {space.name} ({goal.mode})",
                )
            expect(bool(records), "no records")

    def test_a_batch_lost_in_a_crash_is_proposed_again(self) -> None:
        for space, goal in self._cases():
            strategy = self.strategy(space, goal, 4)
            _, history = self._run(strategy, space, goal, batches=self.batches - 1)
            saved = json.loads(json.dumps(strategy.state()))
            lost = strategy.ask(self.batch_size)
            again = self.strategy(space, goal, 4)
            for batch in history:
                again.tell(batch)
            again.restore(saved)
            expect_equal(
                again.ask(self.batch_size), lost, f"a lost batch differs when repeated on {space.name}"
            )

    def test_accepts_incomplete_records(self) -> None:
        for space, goal in self._cases():
            for states in (
                (RecordState.FAILED,),
                (RecordState.INFEASIBLE,),
                (RecordState.STOPPED,),
                (RecordState.FAILED, RecordState.INFEASIBLE, RecordState.STOPPED),
            ):
                strategy = self.strategy(space, goal, 5)
                asked, _ = self._run(strategy, space, goal, states=states)
                expect(bool(asked[0]) and bool(asked[1]), f"no candidates after {', '.join(states)} records")
                strategy.tell([])

    def test_accepts_records_of_candidates_it_did_not_propose(self) -> None:
        """One training may give designs of several candidates; tell receives the records of all."""
        stop = self.batches // 2
        for space, goal in self._cases():
            whole = self.strategy(space, goal, 8)
            asked, history = self._run(whole, space, goal, siblings=2)
            expect(bool(asked[0]) and bool(asked[1]), f"no candidates on {space.name}")
            first = self.strategy(space, goal, 8)
            _, before = self._run(first, space, goal, batches=stop, siblings=2)
            second = self.strategy(space, goal, 8)
            for batch in before:
                second.tell(batch)
            second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
            again, _ = self._run(second, space, goal, first=stop, before=before, siblings=2)
            expect_equal(_keys(again), _keys(asked[stop:]), f"the resumed run differs on {space.name}")
            expect(len(history[0]) > len(asked[0]), "no records of other candidates")

    def test_does_not_change_global_random_state(self) -> None:
        for space, goal in self._cases():
            with untouched_random_state():
                self._run(self.strategy(space, goal, 6), space, goal)

    def test_fresh_processes_propose_the_same_candidates(self) -> None:
        expect_equal(
            self.fresh_transcript(), self.transcript(), "a new process proposes different candidates"
        )

    def transcript(self) -> Any:
        return {
            f"{space.name} {goal.mode}": _keys(self._run(self.strategy(space, goal, 9), space, goal)[0])
            for space, goal in self._cases()
        }

    def _cases(self) -> list[tuple[Space, Goal]]:
        return [
            (space, sample_goal(mode))
            for space in self.spaces()
            if self.supports(space)
            for mode in self.modes
        ]

    def _run(
        self,
        strategy: Strategy,
        space: Space,
        goal: Goal,
        *,
        batches: int | None = None,
        first: int = 0,
        before: Sequence[Sequence[Record]] = (),
        states: Sequence[RecordState] | None = None,
        siblings: int = 0,
    ) -> tuple[list[list[Candidate]], list[list[Record]]]:
        """Ask and tell from batch ``first`` on; an exhausted space gives empty batches.

        Each batch also contains records of ``siblings`` candidates that were not proposed.
        """
        asked, history = [], []
        number = sum(len(batch) for batch in before)
        for batch in range(first, self.batches if batches is None else batches):
            candidates = strategy.ask(self.batch_size)
            expect_list(candidates, Candidate, "ask()")
            more = {} if states is None else {"states": states}
            rng = np.random.default_rng(batch)
            others = [space.sample(rng) for _ in range(siblings)]
            records = judge([*candidates, *others], space, goal, batch, number, **more)
            number += len(records)
            strategy.tell(records)
            asked.append(candidates)
            history.append(records)
        return asked, history


def _keys(batches: Sequence[Sequence[Candidate]]) -> list[list[str]]:
    return [[candidate.key for candidate in batch] for batch in batches]
