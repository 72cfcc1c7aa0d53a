"""The contract of synthesizers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from hwnas_hls.errors import ToolMissing
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.testing.contract import (
    Contract,
    expect,
    expect_equal,
    expect_finite,
    expect_type,
    untouched_random_state,
)
from hwnas_hls.testing.samples import sample_design, sample_target
from hwnas_hls.values.estimate import SOURCES, Estimate


class SynthesizerContract(Contract):
    """Inherit and override :meth:`synthesizer`; ``stage`` is the stage to run.

    If its tool is not installed, the tests check that it reports this.
    """

    stage = ""

    kind = Synthesizer

    def synthesizer(self) -> Synthesizer:
        raise NotImplementedError

    def plugins(self) -> Sequence[Plugin]:
        return [self.synthesizer()]

    def test_reports_numbers_with_sources_or_a_missing_tool(self) -> None:
        report = self._report()
        if report is None:
            return
        expect(bool(report.tool), "the report does not name its tool")
        expect(
            bool(report.estimates) != bool(report.failure), "the report must have either numbers or a failure"
        )
        for name, estimate in report.estimates.items():
            expect_type(estimate, Estimate, f"the value of {name} in the report")
            expect_equal(estimate.metric, name, "metric of a number")
            expect_finite(estimate.value, name)
            expect(estimate.source in SOURCES, f"unknown source {estimate.source}")
            expect(not estimate.is_predicted or estimate.low < estimate.high, f"{name} has no interval")
            expect(bool(estimate.evidence), f"{name} has no evidence")
            expect(estimate.low <= estimate.value <= estimate.high, f"{name} is outside its interval")

    def test_takes_rows_if_it_says_so(self) -> None:
        synthesizer = self.synthesizer()
        if synthesizer.takes_rows:
            known = inspect.signature(synthesizer.synthesize).parameters
            expect("rows" in known, "takes_rows is true, but synthesize() has no argument rows")

    def test_equal_designs_get_equal_numbers(self) -> None:
        first, second = self._report(), self._report()
        if first is not None and second is not None:
            expect_equal(first.estimates, second.estimates, "the same design got different numbers")

    def test_does_not_change_global_random_state(self) -> None:
        with untouched_random_state():
            self._report()

    def _report(self) -> SynthesisReport | None:
        synthesizer, target = self.synthesizer(), sample_target()
        missing = synthesizer.available(target)
        expect_type(missing, str, "available()")
        stage = self.stage or synthesizer.default_stage
        if not missing:
            report = synthesizer.synthesize(sample_design(), target, stage)
            expect_type(report, SynthesisReport, "synthesize()")
            return report
        try:
            synthesizer.synthesize(sample_design(), target, stage)
        except ToolMissing as error:
            expect(bool(str(error)), "ToolMissing has no message")
            return None
        raise AssertionError(f"available() reports a missing tool ({missing}), but synthesize() runs")
