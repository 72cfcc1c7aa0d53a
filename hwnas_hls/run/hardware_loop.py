"""Hardware in the loop: syntheses during the search, on the designs where they help most."""

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
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, blamed, in_words
from hwnas_hls.plugin.isolation import guarded, release
from hwnas_hls.plugin.returned import checked_availability, checked_report
from hwnas_hls.protocols.exporter import Comparison
from hwnas_hls.protocols.task import Split
from hwnas_hls.run.correction import Correction, Observation, corrections, most_worth, regime_of, revise
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.store import Store
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.record import Record, RecordState

log = logging.getLogger(__name__)
_SIMULATED_ROWS = 10_000


class Measuring:
    """The syntheses of one run.

    Syntheses run in threads while the next batch is trained, and the run waits for their results
    before it evaluates the records of that batch. Training and synthesis therefore overlap, but the
    result does not depend on how long a synthesis takes.

    Args:
        problem: must have a synthesizer.
        store: keeps every measurement for a resumed run.
        design_of: record -> its trained design.
        workers: run the syntheses; if ``None``, the tools of this machine do.
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
        self._clocks: dict[str, float] = {}
        # Of the records taken, with current estimates; none is older than the last observation.
        self._current: dict[str, Record] = {}
        self._corrections: Mapping[tuple[str, str], Correction] | None = None
        #: How often syntheses have changed estimates.
        self.changes = 0
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
        """Check early that the synthesizer can run; results in the store do not need it.

        Raises:
            ToolMissing: the synthesizer cannot run here.
        """
        if self._missing:
            table = self.problem.spec.synthesis
            raise ToolMissing(f"synthesizer {table.synthesizer} cannot run here: {self._missing}")

    @functools.cached_property
    def _missing(self) -> str:
        with blamed(f"synthesizer {self.problem.spec.synthesis.synthesizer} failed in available()"):
            return checked_availability(self._synthesizer.available(self.problem.target))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        release(self._synthesizer)

    @property
    def spent(self) -> int:
        """Number of syntheses that the search has started."""
        return self._spent

    # -- in the loop ---------------------------------------------------------------------

    def learn(self) -> None:
        """Wait for the pending syntheses and use their results."""
        for record, future in self._pending:
            measured, failure = future.result()
            if failure:
                log.warning("synthesis of %s: %s", record.key, failure)
            regime = self._regimes[record.key]
            before = self.revised(record)
            raw = self._complete[record.key]
            self._measured[record.key] = dict(measured)
            self._observe(record.key, regime, before.estimates, raw.estimates, measured)
        self._pending = []

    def take(self, records: Sequence[Record]) -> None:
        """Add new complete records, with the estimates of the judge."""
        for record in records:
            if record.state == RecordState.COMPLETE and record.key not in self._complete:
                architecture = self.problem.architecture(record.candidate)
                self._complete[record.key] = record
                self._regimes[record.key] = regime_of(architecture)
                self._clocks[record.key] = architecture.clock_ns or self.problem.clock_ns

    def begin(self, share: float) -> None:
        """Start the syntheses that are due after ``share`` of the search."""
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
            self._pending.append((record, self._pool.submit(self._as_exported, design)))

    def population(self) -> list[Record]:
        """All complete records, with current estimates."""
        return [self.revised(record) for record in self._complete.values()]

    def revised(self, record: Record) -> Record:
        """A record with current estimates; an unknown record is returned unchanged."""
        raw = self._complete.get(record.key)
        if raw is None:
            return record
        if record is not raw:
            return self._revised(record)
        if not self.changes:
            return raw
        if record.key not in self._current:
            self._current[record.key] = self._revised(record)
        return self._current[record.key]

    def _revised(self, record: Record) -> Record:
        raw = self._complete[record.key]
        regime = self._regimes[record.key]
        measured = self._measured.get(record.key, {})
        estimates = revise(raw.estimates, regime, self._factors(), measured, self._clocks[record.key])
        goal = self.problem.goal
        violations = goal.violations(estimates)
        reason = ""
        if violations:
            reason = "over a limit according to the syntheses of this run: " + ", ".join(sorted(violations))
        return dataclasses.replace(
            record,
            estimates=estimates,
            losses=None if violations else goal.losses(estimates),
            violations=violations,
            state=RecordState.INFEASIBLE if violations else RecordState.COMPLETE,
            reason=reason,
        )

    def _factors(self) -> Mapping[tuple[str, str], Correction]:
        if self._corrections is None:
            self._corrections = corrections(self.observations)
        return self._corrections

    # -- designs -------------------------------------------------------------------------

    def measure(self, design: Design, rows: Split | None = None) -> tuple[Mapping[str, Estimate], str]:
        """(metric -> measurement, failure) of a design; read from the store if it is there.

        Args:
            rows: simulated by a synthesizer that can simulate; default the validation rows.
        """
        digest = design.digest()
        held = self.store.measurement(digest)
        if held is not None:
            return held
        if self.store.reading:
            return {}, "not synthesised yet"
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
            report = checked_report(synthesizer.synthesize(design, self.problem.target, stage, **more))
        except ClusterLost:
            raise
        except PLUGIN_FAULTS as error:
            # A fault of the synthesizer fails this design, not the run.
            return {}, in_words(error)
        self.store.add_measurement(digest, report.estimates, report.failure)
        return report.estimates, report.failure

    def _as_exported(self, design: Design) -> tuple[Mapping[str, Estimate], str]:
        """:meth:`measure` of a design of the search, at the clock that it would have in an export."""
        digest = design.digest()
        held = self.store.measurement(digest)
        if held is not None or self.store.reading or not self.problem.finds_clock:
            return self.measure(design)
        there = self.clocked(design, self.problem.dataset.validation)
        found = self.measure(there)
        if there.digest() != digest:
            self.store.add_measurement(digest, *found)
        return found

    def clocked(self, design: Design, rows: Split) -> Design:
        """The design at the clock that the synthesizer finds for it, if the user states none.

        Args:
            rows: simulated by a synthesizer that can simulate.
        """
        if self.problem.spec.clock_ns is not None or self._missing:
            return design
        given = input_integers(design, rows.x[:_SIMULATED_ROWS]) if self._wants_rows else None
        try:
            found: Design = self._synthesizer.clocked(design, self.problem.target, given)
            return found
        except PLUGIN_FAULTS as error:
            log.warning("no clock was found for a design: %s", in_words(error))
            return design

    def measure_all(
        self,
        designs: Sequence[Design],
        on_done: Callable[[int, Mapping[str, Estimate], str], None] = lambda place, found, failure: None,
    ) -> list[Design]:
        """Measure designs on the test rows, each at the clock found for it; the store keeps the results.

        ``[synthesis] workers`` run in parallel, the largest designs first, because they take longest.

        Args:
            on_done: called after each, with its index, the measurements and the reason of a failure.

        Returns:
            the designs at their clocks.
        """
        rows = self.problem.dataset.test

        def one(place: int) -> Design:
            design = self.clocked(designs[place], rows)
            on_done(place, *self.measure(design, rows))
            return design

        order = sorted(range(len(designs)), key=lambda place: -_size(designs[place]))
        futures = {place: self._pool.submit(one, place) for place in order}
        return [futures[place].result() for place in range(len(designs))]

    def final(
        self, key: str, design: Design, estimates: Mapping[str, Estimate]
    ) -> tuple[dict[str, Estimate], str]:
        """(Final numbers of an exported design, measured where possible; why its synthesis failed, or "")."""
        regime = regime_of(design.architecture)
        clock_ns = design.architecture.clock_ns or self.problem.clock_ns
        predicted = revise(estimates, regime, self._factors(), {}, clock_ns)
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
        self.changes += 1
        self._corrections = None
        self._current.clear()
        for name, estimate in measured.items():
            # A report may contain predictions (a clock period before routing), and what was known before
            # may be an earlier measurement of the same design; neither is a prediction with its outcome.
            usable = estimate.in_domain and not estimate.is_predicted
            before = name in predicted and name in raw and predicted[name].is_predicted
            if usable and before and raw[name].is_predicted:
                self.observations.append(Observation(key, regime, predicted[name], estimate, raw[name]))

    def comparisons(self) -> list[Comparison]:
        """Predictions and measurements, in the order of the measurements."""
        return [Comparison(item.key, item.predicted, item.measured) for item in self.observations]


def _size(design: Design) -> int:
    """The number of weights that are not zero."""
    return sum(int((weight != 0).sum()) for weight in design.weights if weight is not None)
