"""Vocabularies are enums whose members are the texts that files hold."""

from __future__ import annotations

import json

import pytest
from refusal import raises_naming

from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.check import PASSED, CheckResult, failure, not_run
from hwnas_hls.values.estimate import Estimate, Source
from hwnas_hls.values.record import Record, RecordState


def test_estimate_takes_a_source_by_its_text_and_writes_it_as_before() -> None:
    estimate = Estimate("lut", 1.0, 1.0, 2.0, "csynth", "report")
    assert estimate.source is Source.CSYNTH
    assert json.loads(json.dumps(estimate.to_json()))["source"] == "csynth"
    assert Estimate.from_json("lut", estimate.to_json()) == estimate
    assert not estimate.is_predicted
    with raises_naming("guessed"):
        Estimate("lut", 1.0, 1.0, 2.0, "guessed", "report")


def test_record_reads_its_state_back() -> None:
    record = Record(0, 0, Candidate("tiny", {"a": 1}), RecordState.STOPPED)
    data = json.loads(json.dumps(record.to_json()))
    assert data["state"] == "stopped"
    assert Record.from_json(data).state is RecordState.STOPPED
    with raises_naming("lost"):
        Record.from_json({**data, "state": "lost"})


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (PASSED, "ok"),
        (failure("2 of 9 rows differ"), "2 of 9 rows differ"),
        (not_run("no g++"), "not run: no g++"),
        (not_run("export.csim = false", wanted=False), "not run (export.csim = false)"),
        (failure("not run of the mill"), "not run of the mill"),
    ],
)
def test_check_result_survives_json_and_reads_as_text(result: CheckResult, text: str) -> None:
    assert str(result) == text
    assert CheckResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert [result.ok, result.failed, result.not_run].count(True) == 1
