"""front.json: it is what docs/front-json.md says, for every kind of front."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from json_schema import faults
from places import ROOT
from refusal import refused
from synthetic_front import HOSTILE, make_front

from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.network import emulator
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.protocols.exporter import Exporter, Front
from hwnas_hls_plugins.exporters.front_json import FrontJsonExporter

DOCS = ROOT / "docs"
SCHEMA = json.loads((DOCS / "front.schema.json").read_text())


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def exported(front: Front, folder: Path) -> dict[str, Any]:
    (path,) = FrontJsonExporter().export(front, folder)
    assert path == folder / "front.json"
    data: dict[str, Any] = json.loads(path.read_text(), parse_constant=no_constant)
    return data


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"members": 1, "candidates": 10},
        {"members": 0},
        {"candidates": 0},
        {"feasible": False},
        {"metric": "rmse"},
        {"synthesised": True, "run": {"finished": False, "minutes": 3.5}},
    ],
    ids=str,
)
def test_fits_the_published_schema(settings: dict[str, Any], tmp_path: Path) -> None:
    assert faults(exported(make_front(**settings), tmp_path), SCHEMA) == []


def test_the_schema_check_finds_faults(tmp_path: Path) -> None:
    good = exported(make_front(), tmp_path)

    def spoilt(*path: Any, value: Any) -> list[str]:
        data = copy.deepcopy(good)
        place = data
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return faults(data, SCHEMA)

    assert spoilt("schema", value=2)
    assert spoilt("new", value=1)
    assert spoilt("members", 0, "metrics", "lut", "source", value="guessed")
    assert spoilt("members", 0, "metrics", "lut", "value", value="12")
    assert spoilt("members", 0, "architecture", "layers", 0, "accum", value=None)
    assert spoilt("members", 0, "key", value="../../etc/passwd")
    missing = copy.deepcopy(good)
    del missing["members"][1]["metrics"]["lut"]["evidence"]
    assert faults(missing, SCHEMA) == ["$.members[1].metrics.lut: evidence is missing"]


def test_every_field_is_described_in_the_documentation() -> None:
    text = (DOCS / "front-json.md").read_text()

    def names(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(names, schema))
        if not isinstance(schema, dict):
            return set()
        own = set(schema.get("properties", {})) if isinstance(schema.get("properties"), dict) else set()
        return own.union(*map(names, schema.values()))

    described = {name for name in names(SCHEMA) if f"`{name}`" in text or f".{name}`" in text}
    assert names(SCHEMA) - described == set()


def test_members_are_those_of_the_front(tmp_path: Path) -> None:
    front = make_front(members=4)
    data = exported(front, tmp_path)
    assert [item["key"] for item in data["members"]] == [member.key for member in front.members]
    for item, member in zip(data["members"], front.members, strict=True):
        assert item["design"] == f"designs/{member.key}"
        assert set(item["metrics"]) == set(member.estimates)
        for name, estimate in member.estimates.items():
            assert item["metrics"][name]["value"] == estimate.value
            assert item["metrics"][name]["source"] == estimate.source
        assert item["search_metrics"]["accuracy"]["source"] == "trained"
        assert item["metrics"]["accuracy"]["source"] == "csim"
    assert data["run"]["counts"] == {
        "candidates": 60, "complete": 31, "infeasible": 15, "stopped": 7, "failed": 7,
    }  # fmt: skip
    assert data["hypervolume"]["reference"] == {"accuracy": 0.0, "latency_ns": 1000, "lut": 100000}


def test_the_layers_are_written_as_they_are_built(tmp_path: Path) -> None:
    """Exact accumulators are resolved, and the resolved network computes the same bits."""
    front = make_front(members=4)
    rows = np.random.default_rng(0).normal(size=(50, 16))
    for item, member in zip(exported(front, tmp_path)["members"], front.members, strict=True):
        rebuilt = Architecture.from_json(item["architecture"])
        assert all(layer.accum is not None and layer.result is not None for layer in rebuilt.layers)
        accumulators = [accum for _, accum, _ in member.design.layer_types()]
        assert [layer.accum for layer in rebuilt.layers] == accumulators
        design = dataclasses.replace(member.design, architecture=rebuilt)
        assert np.array_equal(emulator.outputs(design, rows), emulator.outputs(member.design, rows))


def test_open_intervals_and_other_non_numbers_are_null(tmp_path: Path) -> None:
    data = exported(make_front(run={"seconds": np.float64("nan"), "trials": np.int64(3)}), tmp_path)
    assert data["members"][0]["metrics"]["ff"]["high"] is None
    assert data["members"][0]["metrics"]["ff"]["low"] == 0
    assert (data["run"]["seconds"], data["run"]["trials"]) == (None, 3)


def test_hostile_names_travel_unchanged(tmp_path: Path) -> None:
    data = exported(make_front(run={"name": "\udcff"}), tmp_path)
    assert data["task"]["features"][-1] == HOSTILE
    assert data["run"]["name"] == "\udcff"


def test_run_without_feasible_design_names_broken_limits(tmp_path: Path) -> None:
    data = exported(make_front(feasible=False), tmp_path)
    assert data["members"] == []
    assert data["least_infeasible"][0]["violations"]["lut <= 20000"] == pytest.approx(0.12)


def test_the_same_front_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        FrontJsonExporter().export(make_front(), tmp_path / name)
    assert (tmp_path / "a/front.json").read_bytes() == (tmp_path / "b/front.json").read_bytes()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FrontJsonExporter().export(make_front(), tmp_path)
    before = (tmp_path / "front.json").read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with refused(ErrorKind.NOT_ACCESSIBLE, HwnasError, mentions=[tmp_path / "front.json", "No space left"]):
        FrontJsonExporter().export(make_front(members=1), tmp_path)
    assert (tmp_path / "front.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["front.json"]


def test_it_is_an_exporter() -> None:
    assert isinstance(FrontJsonExporter(FrontJsonExporter.Config()), Exporter)
    assert FrontJsonExporter.name == "front-json"
