"""Hardware in the loop: a budget of syntheses, spent where it teaches most, beside the training."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hwnas_hls.cluster import ClusterLost, Workers
from hwnas_hls.cluster.remote import RemoteSynthesizer
from hwnas_hls.errors import ToolMissing
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import input_integers
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, in_words
from hwnas_hls.plugin.isolation import guarded, release
from hwnas_hls.protocols.exporter import Comparison
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.task import Split
from hwnas_hls.run.correction import Observation, corrections, most_worth, regime_of, revise
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.store import Store
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.record import Record, RecordState

log = logging.getLogger(__name__)
_SIMULATED_ROWS = 10_000


class Measuring:
    """The syntheses of one run.

    Syntheses run in threads while the next batch is trained; their results are waited for
    before that batch's records are judged. So training and synthesis overlap, and yet the same
    seed gives the same run, however long a synthesis takes.

    Args:
        problem: with a synthesizer.
        store: keeps every measurement; a resumed run asks it first.
        design_of: record -> the design that training made.
        workers: that synthesise; without them the tools of this machine do.
    """

    def __init__(
        self,
        problem: Problem,
        store: Store,
        design_of: Callable[[Record], Design | None],
        workers: Workers | None = None,
    ) -> None:
        self.problem = problem
        self.store = store
        self.observations: list[Observation] = []
        self._design_of = design_of
        self._measured: dict[str, dict[str, Estimate]] = {}
        self._complete: dict[str, Record] = {}
        self._regimes: dict[str, str] = {}
        self._asked: set[str] = set()
        self._spent = 0
        self._pending: list[tuple[Record, Future[tuple[Mapping[str, Estimate], str]]]] = []
        table = problem.spec.synthesis
        self._pool = ThreadPoolExecutor(table.workers, thread_name_prefix="synthesis")
        self._reserve = problem.spec.reserved_syntheses
        if problem.synthesizer is None:
            raise ValueError("this problem has no synthesizer")
        self._synthesizer: Any = guarded(problem.registry, "synthesizer", problem.synthesizer, table.config)
        self._wants_rows = self._synthesizer.takes_rows
        if workers is not None:
            self._synthesizer = RemoteSynthesizer(workers, self._synthesizer)

    def require(self) -> None:
        """Say at once that nothing can be synthesised; what is measured already needs no tool.

        Raises:
            ToolMissing: the synthesizer cannot run here.
        """
        if self._missing:
            table = self.problem.spec.synthesis
            raise ToolMissing(f"synthesizer {table.synthesizer} cannot run here: {self._missing}")

    @functools.cached_property
    def _missing(self) -> str:
        return str(self._synthesizer.available(self.problem.target))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        release(self._synthesizer)

    # -- in the loop ---------------------------------------------------------------------

    def learn(self) -> None:
        """Wait for what was begun, and take in its numbers."""
        for record, future in self._pending:
            measured, failure = future.result()
            if failure:
                log.warning("synthesis of %s: %s", record.key, failure)
            regime = self._regimes[record.key]
            before = self.revised(record)
            raw = self._complete[record.key]
            self._observe(record.key, regime, before.estimates, raw.estimates, measured)
            self._measured[record.key] = dict(measured)
        self._pending = []

    def take(self, records: Sequence[Record]) -> None:
        """New complete records, as the judge gave them."""
        for record in records:
            if record.state == RecordState.COMPLETE and record.key not in self._complete:
                self._complete[record.key] = record
                self._regimes[record.key] = regime_of(self.problem.architecture(record.candidate))

    def begin(self, share: float) -> None:
        """Begin the syntheses that are due when ``share`` of the search is done."""
        budget = max(self.problem.spec.synthesis_budget - self._reserve, 0)
        due = int(budget * share + 1e-9) - self._spent
        if due <= 0:
            return
        open_ = [r for r in self.population() if r.state == RecordState.COMPLETE and r.key not in self._asked]
        seen: dict[str, int] = {}
        for key in self._asked:
            seen[self._regimes[key]] = seen.get(self._regimes[key], 0) + 1
        for record in most_worth(open_, self._regimes, seen, self.problem.goal, due):
            design = self._design_of(record)
            if design is None:
                continue
            self._asked.add(record.key)
            self._spent += 1
            self._pending.append((record, self._pool.submit(self.measure, design)))

    def population(self) -> list[Record]:
        """Every complete record with what is known now."""
        factors = corrections(self.observations)
        return [self._revised(record, factors) for record in self._complete.values()]

    def revised(self, record: Record) -> Record:
        """One record with what is known now; an unknown one is handed back as it is."""
        if record.key not in self._regimes:
            return record
        return self._revised(record, corrections(self.observations))

    def _revised(self, record: Record, factors: Mapping[tuple[str, str], Any]) -> Record:
        raw = self._complete[record.key]
        regime = self._regimes[record.key]
        clock_ns = self.problem.architecture(record.candidate).clock_ns or self.problem.clock_ns
        measured = self._measured.get(record.key, {})
        estimates = revise(raw.estimates, regime, factors, measured, clock_ns)
        goal = self.problem.goal
        violations = goal.violations(estimates)
        reason = ""
        if violations:
            reason = "over a limit by this run's syntheses: " + ", ".join(sorted(violations))
        return dataclasses.replace(
            record,
            estimates=estimates,
            losses=None if violations else goal.losses(estimates),
            violations=violations,
            state=RecordState.INFEASIBLE if violations else RecordState.COMPLETE,
            reason=reason,
        )

    # -- designs -------------------------------------------------------------------------

    def measure(self, design: Design, rows: Split | None = None) -> tuple[Mapping[str, Estimate], str]:
        """(metric -> measured number, failure) of a design; from the store where it holds it.

        Args:
            rows: run through the circuit by a synthesizer that simulates; the validation split's
                where none are given.
        """
        digest = design.digest()
        held = self.store.measurement(digest)
        if held is not None:
            return held
        if self._missing:
            return {}, f"not synthesised: {self._missing}"
        table = self.problem.spec.synthesis
        synthesizer: Any = self._synthesizer
        stage = table.stage or synthesizer.default_stage
        try:
            more = {}
            if self._wants_rows:
                more["rows"] = input_integers(
                    design, (rows or self.problem.dataset.validation).x[:_SIMULATED_ROWS]
                )
            report: SynthesisReport = synthesizer.synthesize(design, self.problem.target, stage, **more)
        except ClusterLost:
            raise
        except PLUGIN_FAULTS as error:
            # A synthesizer is a stranger's code: its fault is this design's failure, not the run's.
            return {}, in_words(error)
        self.store.add_measurement(digest, report.estimates, report.failure)
        return report.estimates, report.failure

    def measure_all(
        self,
        designs: Sequence[Design],
        on_done: Callable[[int, Mapping[str, Estimate], str], None] = lambda place, found, failure: None,
    ) -> None:
        """Measure designs on the test rows, ``[synthesis] workers`` at once; the store keeps the results.

        Args:
            on_done: called as each ends, with its place, the measurements and the reason of a failure.
        """

        def one(place: int) -> None:
            on_done(place, *self.measure(designs[place], self.problem.dataset.test))

        for future in [self._pool.submit(one, place) for place in range(len(designs))]:
            future.result()

    def final(
        self, key: str, design: Design, estimates: Mapping[str, Estimate]
    ) -> tuple[dict[str, Estimate], str]:
        """A handed-over design: corrected predictions, then measured; returns estimates and failure."""
        regime = regime_of(design.architecture)
        clock_ns = design.architecture.clock_ns or self.problem.clock_ns
        predicted = revise(estimates, regime, corrections(self.observations), {}, clock_ns)
        measured, failure = self.measure(design, self.problem.dataset.test)
        self._observe(key, regime, predicted, estimates, measured)
        return revise(predicted, regime, {}, measured, clock_ns), failure

    def _observe(
        self,
        key: str,
        regime: str,
        predicted: Mapping[str, Estimate],
        raw: Mapping[str, Estimate],
        measured: Mapping[str, Estimate],
    ) -> None:
        for name, estimate in measured.items():
            # A report may hold predictions too (a period that nobody routed): they teach nothing.
            taught = estimate.in_domain and not estimate.is_predicted
            if name in predicted and name in raw and taught:
                self.observations.append(Observation(key, regime, predicted[name], estimate, raw[name]))

    def comparisons(self) -> list[Comparison]:
        """Prediction against measurement, in the order they were made."""
        return [Comparison(item.key, item.predicted, item.measured) for item in self.observations]
