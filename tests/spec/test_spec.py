"""Specs: every mistake is named with file, table, key, value and choices; a round trip keeps all."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hwnas_hls.errors import UserError
from hwnas_hls.spec.spec import (
    override,
    parse_bound,
    parse_setting,
    read_tables,
    spec_from_tables,
)


def test_a_target_is_all_it_takes() -> None:
    spec = spec_from_tables({"target": {"name": "xcvu9p"}}, "x.toml")
    assert (spec.task.name, spec.space.name, spec.strategy.name) == ("digits16", "mlp", "nsga2")
    assert spec.limits.sub_microsecond


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({}, ["no target", "--target xcvu9p"]),
        ({"target": {"name": "a"}, "objectve": {}}, ["objectve", "did you mean: objectives", "x.toml"]),
        ({"target": {"name": "a"}, "run": {"trails": 3}}, ["[run]", "trails", "did you mean: trials"]),
        ({"target": {"name": "a"}, "run": {"trials": 0}}, ["[run]", "trials", "at least 1", "not 0"]),
        (
            {"target": {"name": "a"}, "run": {"trials": "many"}},
            ["[run].trials", "expected a whole number", "'many' (string)"],
        ),
        (
            {"target": {"name": "a"}, "run": {"trials": True}},
            ["expected a whole number", "true (true or false)"],
        ),
        (
            {"target": {"name": "a"}, "handover": {"training": False}},
            ["[handover].training", "expected a table"],
        ),
        ({"target": {"name": "a"}, "run": {"estimators": 3}}, ["expected a list of quoted strings"]),
        ({"target": {"name": "a"}, "run": {"device": "tpu"}}, ["device", "auto, cpu or cuda", "not tpu"]),
        ({"target": {"name": "a"}, "run": 3}, ["[run]", "a table"]),
        ({"target": {"name": "a", "clock_ns": -1}}, ["clock_ns", "-1"]),
        ({"target": {"name": "a", "clok": 1}}, ["clok", "clock_ns"]),
        ({"target": {"name": "a"}, "objectives": {"mode": "best"}}, ["mode", "pareto", "best"]),
        ({"target": {"name": "a"}, "objectives": {"metrics": []}}, ["at least one"]),
        ({"target": {"name": "a"}, "objectives": {"metrics": ["lut", "lut"]}}, ["metrics", "lut"]),
        (
            {"target": {"name": "a"}, "objectives": {"weights": {"dsp": 1.0}}},
            ["weights names dsp"],
        ),
        (
            {"target": {"name": "a"}, "limits": {"max": {"lut": 10.0}, "min": {"lut": 20.0}}},
            ["lut", ">= 20", "<= 10"],
        ),
        ({"target": {"name": "a"}, "estimators": {"training": 3}}, ["[estimators.training]", "a table"]),
        ({"target": {"name": "a"}, "estimators": {"other": {}}}, ["other", "static", "training"]),
        ({"target": {"name": "a"}, "task": {"name": 3}}, ["[task].name", "3"]),
        ({"schema": 2, "target": {"name": "a"}}, ["schema", "2"]),
    ],
)
def test_mistakes_are_named(tables: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        spec_from_tables(tables, "x.toml")
    for word in words:
        assert word in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_resolved_spec_reads_back_the_same() -> None:
    spec = spec_from_tables(
        {
            "target": {"name": "xcvu9p", "clock_ns": 4},
            "run": {"trials": 7, "minutes": 2.5},
            "task": {"name": "file", "path": "x.csv", "label": "y"},
            "space": {"max_depth": 2},
            "objectives": {"mode": "weighted", "weights": {"lut": 2}},
            "limits": {"max": {"lut": 20000}},
            "estimators": {"training": {"epochs": 3}},
            "handover": {"training": {"epochs": 9}},
        },
        "x.toml",
    )
    again = spec_from_tables(tomllib.loads(spec.to_toml()), "x.toml")
    assert again.to_tables() == spec.to_tables()
    assert again.task.config == {"path": "x.csv", "label": "y"}


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.toml"):
        read_tables(tmp_path / "missing.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[run\ntrials = 3")
    with pytest.raises(UserError, match=r"(?s)not TOML.*bad\.toml.*line 1"):
        read_tables(bad)
    bad.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_tables(bad)


def test_bounds_and_settings() -> None:
    assert parse_bound("lut=2e4", "--max") == ("lut", 20000.0)
    assert parse_bound("latency_ns=1us", "--max") == ("latency_ns", 1000.0)
    for text in ("lut", "=3", "lut=few"):
        with pytest.raises(UserError, match="--max"):
            parse_bound(text, "--max")
    assert parse_setting("space.max_depth=3") == (["space", "max_depth"], 3)
    assert parse_setting("task.path=a.csv") == (["task", "path"], "a.csv")
    assert parse_setting("run.estimators=['a']")[1] == ["a"]
    with pytest.raises(UserError, match=r"TABLE\.KEY=VALUE"):
        parse_setting("space.max_depth")
    tables: dict[str, Any] = {"run": 3}
    with pytest.raises(UserError, match="expected a table"):
        override(tables, ["run", "trials"], 5)
