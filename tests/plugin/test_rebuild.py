"""What isolated plugins and workers are sent builds the same there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import toy
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.plugin.rebuild import BuildArgs, build_args_of
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.testing import sample_dataset


def test_build_args_build_same_plugin_in_other_process(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, finder = tmp_path / "here", tmp_path / "there", "__editable__.some.finder.__path_hook__"
    for folder in (here / "modules", there):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", ["", "modules", finder, *sys.path])
    dataset, target = sample_dataset(), registry.target("xcvu9p")
    config = {"max_width": 9}
    facts = {"task": dataset, "target": target, "seed": 3, "clock_ns": 5.0}
    space = registry.build(registry.offer("space", "toy", "test"), config, "test", **facts)
    parts: dict[str, bytes] = {}
    sent = json.loads(json.dumps(build_args_of(registry, {"it": ("space", space, config)}, parts, **facts)))

    monkeypatch.chdir(there)
    monkeypatch.setattr(sys, "path", list(sys.path[3:]))
    before = list(sys.path)
    build_args = BuildArgs.load(sent, parts, "the other process")
    # Folders mean the same from another one, and come after what was there.
    assert sys.path == [*before, str(here), str(here / "modules"), finder]
    again = build_args.build("it")
    assert type(again) is type(space)
    assert again.knobs == space.knobs
    assert build_args.facts["target"] == target
    assert (build_args.facts["task"].train.x == dataset.train.x).all()
    assert len(build_args.facts["task"].test.y) == 0
    assert (build_args.facts["seed"], build_args.facts["clock_ns"]) == (3, 5.0)
    # Once more in the same process: nothing is added or refused.
    path = list(sys.path)
    assert not BuildArgs.load(sent, parts, "the other process").registry.faults
    assert sys.path == path


def test_installed_plugin_is_not_registered_twice(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(**more: Any) -> Registry:
        found = Registry(entry_points=[])
        found.register(toy, "toy")
        return found

    sent = build_args_of(registry, {}, {})
    assert sent["modules"] == {"toy": "toy"}
    monkeypatch.setattr("hwnas_hls.plugin.rebuild.Registry", installed)
    build_args = BuildArgs.load(sent, {}, "the other process")
    assert not build_args.registry.faults
    assert build_args.registry.offers("space").keys() == {"toy"}


def test_unregistered_plugin_cannot_be_sent(registry: Registry) -> None:
    stranger = type("Stranger", (), {"name": "stranger"})()
    with refused(ErrorKind.UNSUPPORTED, Unsupported):
        build_args_of(registry, {"it": ("estimator", stranger, {})}, {}, seed=os.getpid())
