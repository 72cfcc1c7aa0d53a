"""Specs: every mistake is named with file, table, key, value and choices; a round trip keeps all."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from refusal import refused

from hwnas_hls.cli.flags import spec_of_flags
from hwnas_hls.cli.run_commands import run
from hwnas_hls.errors import ErrorKind
from hwnas_hls.spec.bounds import parse_bound
from hwnas_hls.spec.spec import (
    override,
    parse_setting,
    read_tables,
    spec_from_tables,
)


def test_target_alone_is_a_complete_spec() -> None:
    spec = spec_from_tables({"target": {"name": "xcvu9p"}}, "x.toml")
    assert (spec.task.name, spec.space.name, spec.strategy.name) == ("digits16", "mlp", "nsga2")
    assert spec.limits.sub_microsecond


@pytest.mark.parametrize(
    ("tables", "values"),
    [
        ({}, {"kind": ErrorKind.MISSING, "mentions": ["--target xcvu9p"]}),
        ({"objectve": {}}, {"kind": ErrorKind.UNKNOWN_NAME, "where": "x.toml", "near": "objectives"}),
        (
            {"run": {"trails": 3}},
            {"kind": ErrorKind.UNKNOWN_NAME, "where": "x.toml: [run]", "near": "trials"},
        ),
        ({"run": {"trials": 0}}, {"where": "x.toml: [run]", "mentions": ["trials", 1, 0]}),
        ({"run": {"trials": "many"}}, {"where": "x.toml: [run].trials", "found": "'many' (string)"}),
        ({"run": {"trials": True}}, {"where": "x.toml: [run].trials", "found": "true (true or false)"}),
        ({"export": {"training": False}}, {"where": "x.toml: [export].training"}),
        ({"run": {"estimators": 3}}, {"where": "x.toml: [run].estimators"}),
        ({"run": {"device": "tpu"}}, {"mentions": ["device", "auto, cpu or cuda", "tpu"]}),
        ({"run": 3}, {"found": "3", "mentions": ["[run]"]}),
        ({"target": {"name": "a", "clock_ns": -1}}, {"found": "-1", "mentions": ["clock_ns"]}),
        ({"target": {"name": "a", "clok": 1}}, {"kind": ErrorKind.UNKNOWN_NAME, "near": "clock_ns"}),
        ({"objectives": {"mode": "best"}}, {"mentions": ["mode", "pareto", "best"]}),
        ({"objectives": {"metrics": []}}, {"where": "x.toml: [objectives]", "mentions": ["metrics"]}),
        ({"objectives": {"metrics": ["lut", "lut"]}}, {"mentions": ["metrics", "lut, lut"]}),
        ({"objectives": {"mode": "weighted", "weights": {"dsp": 1.0}}}, {"mentions": ["weights", "dsp"]}),
        ({"objectives": {"weights": {"lut": 1.0}}}, {"mentions": ["weights", "mode weighted", "pareto"]}),
        ({"limits": {"max": {"lut": 10.0}, "min": {"lut": 20.0}}}, {"mentions": ["lut >= 20", "<= 10"]}),
        ({"estimators": {"training": 3}}, {"found": "3", "mentions": ["[estimators.training]"]}),
        (
            {"estimators": {"other": {}}},
            {"kind": ErrorKind.UNKNOWN_NAME, "found": "other", "mentions": ["static", "training"]},
        ),
        ({"exporters": {"verilog": 3}}, {"found": "3", "mentions": ["[exporters.verilog]"]}),
        (
            {"exporters": {"onnx": {}}},
            {"kind": ErrorKind.UNKNOWN_NAME, "found": "onnx", "mentions": ["verilog", "html-report"]},
        ),
        ({"target": {"name": 5}}, {"where": "x.toml: [target].name", "found": "5"}),
        ({"task": {"name": 3}}, {"where": "x.toml: [task].name", "found": "3"}),
        ({"schema": 2}, {"kind": ErrorKind.NEWER_VERSION, "where": "x.toml: schema", "found": 2}),
    ],
)
def test_mistakes_are_named(tables: dict[str, Any], values: dict[str, Any]) -> None:
    target = {"target": {"name": "a"}} if tables else {}
    with refused(**({"kind": ErrorKind.INVALID} | values)) as caught:
        spec_from_tables(target | tables, "x.toml")
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
            "exporters": {"verilog": {"rows": 9}},
            "export": {"training": {"epochs": 9}},
        },
        "x.toml",
    )
    again = spec_from_tables(tomllib.loads(spec.to_toml()), "x.toml")
    assert again.to_tables() == spec.to_tables()
    assert again.task.config == {"path": "x.csv", "label": "y"}


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with refused(ErrorKind.MISSING, where=str(tmp_path / "missing.toml")):
        read_tables(tmp_path / "missing.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[run\ntrials = 3")
    with refused(ErrorKind.WRONG_FORMAT, where=str(bad), mentions=["line 1"]):
        read_tables(bad)
    bad.write_bytes(b"\xff\xfe\x00")
    with refused(ErrorKind.NOT_ACCESSIBLE, where=str(bad)):
        read_tables(bad)


def test_bounds_and_settings() -> None:
    assert parse_bound("lut=2e4", "--max") == ("lut", 20000.0)
    assert parse_bound("latency_ns=1us", "--max") == ("latency_ns", 1000.0)
    for text in ("lut", "=3", "lut=few"):
        with refused(ErrorKind.INVALID, where="--max", found=text):
            parse_bound(text, "--max")
    assert parse_setting("space.max_depth=3") == (["space", "max_depth"], 3)
    assert parse_setting("task.path=a.csv") == (["task", "path"], "a.csv")
    assert parse_setting("run.estimators=['a']")[1] == ["a"]
    with refused(ErrorKind.INVALID, where="--set", found="space.max_depth"):
        parse_setting("space.max_depth")
    tables: dict[str, Any] = {"run": 3}
    with refused(ErrorKind.INVALID, where="run.trials", found="3"):
        override(tables, ["run", "trials"], 5)


def test_units_are_read_in_every_limit_and_in_the_clock() -> None:
    limits = {"max": {"lut": "10%", "ff": "8k", "latency_ns": "1us"}, "min": {"accuracy": "90%"}}
    tables = {"target": {"name": "a", "clock_ns": "320MHz"}, "limits": limits}
    spec = spec_from_tables(tables, "x.toml")
    assert spec.clock_ns == 3.125
    assert spec.limits.max == {"ff": 8000.0, "latency_ns": 1000.0}
    assert spec.limits.min == {"accuracy": 0.9}
    assert spec.limits.max_share == {"lut": 0.1}
    assert spec_from_tables(spec.to_tables(), "x.toml").limits == spec.limits
    assert tables["limits"] is limits
    assert limits["max"]["lut"] == "10%"


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"maxima": ("lut=5k", "lut=8k")}, "lut=5k and lut=8k"),
        ({"maxima": ("latency_ns=100",), "max_latency": "200ns"}, "latency_ns=100 and latency_ns=200ns"),
        ({"maxima": ("lut=5k", "lut=10%")}, "lut=5k and lut=10%"),
        ({"objectives": ("accuracy", "lut"), "mode": "constrained"}, "--objective lut with mode constrained"),
        ({"objectives": ("accuracy=5",)}, "--objective accuracy=5 with mode pareto"),
        ({"objectives": ("accuracy",), "mode": "weighted"}, "--objective accuracy with mode weighted"),
    ],
)
def test_contradicting_flags(flags: dict[str, Any], found: str) -> None:
    with refused(ErrorKind.CONFLICT, mentions=[found]):
        spec_of_flags(None, {**_NO_FLAGS, **flags})


def test_a_flag_replaces_the_limit_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text('[target]\nname = "a"\n[limits]\nmax = {lut = 5000}\n')
    spec = spec_of_flags(path, {**_NO_FLAGS, "maxima": ("lut=10%", "lut=10 %")})
    assert (spec.limits.max, spec.limits.max_share) == ({}, {"lut": 0.1})


#: The flags of ``run`` as click passes them if none is given.
_NO_FLAGS: dict[str, Any] = {
    option.name: () if option.multiple else None for option in run.params if isinstance(option, click.Option)
} | {"target": "a"}
