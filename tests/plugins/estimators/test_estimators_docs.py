"""The specs of docs/estimators.md hold together, and its table of estimators names those that there are."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from places import ROOT

from hwnas_hls.plugin.offers import BUILTIN
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.resolution import resolve
from hwnas_hls.spec.spec import spec_from_tables

PAGE = (ROOT / "docs" / "estimators.md").read_text(encoding="utf-8")
SPECS = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def provided(estimator: Any) -> set[str]:
    return {getattr(metric, "name", metric) for metric in getattr(estimator, "provides", ())}


CLASSES: dict[str, Any] = {
    name: offers[0].cls
    for name, offers in Registry().offers("estimator").items()
    if offers[0].plugin == BUILTIN
}
#: Estimators of hardware stand on other pages.
NAMES = {name for name, cls in CLASSES.items() if not {"lut", "parameters"} & provided(cls)}


def test_every_block_of_settings_is_found() -> None:
    """Each is one of the cases below; a block of another form would be none."""
    assert len(SPECS) == len(re.findall(r"^ *(?:```|~~~) *toml", PAGE, re.MULTILINE)) >= 1


@pytest.mark.parametrize("number", range(len(SPECS)))
def test_its_specs_hold_together(number: int) -> None:
    problem = resolve(spec_from_tables(tomllib.loads(SPECS[number]), "docs/estimators.md"), Registry())
    wanted = tomllib.loads(SPECS[number])["run"]["estimators"]
    assert sorted(part.name for part in problem.estimators) == sorted(wanted)
    costs = [part.instance.cost for part in problem.estimators]
    assert costs == sorted(costs)


def test_every_name_is_registered_and_explained() -> None:
    registry = Registry()
    overview = PAGE.partition("## Choosing them")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", overview, re.MULTILINE)
    assert {name for name, _ in rows} == NAMES
    for name, metrics in rows:
        offer = registry.offer("estimator", name, "test")
        built = registry.build(offer, {}, "test", task=None, space=None)
        assert provided(built) == set(re.findall(r"`(\w+)`", metrics))


def test_cheap_estimators_run_before_training() -> None:
    """A forecast after the training that it is to spare would be of no use."""
    cost = {name: CLASSES[name].cost for name in NAMES}
    order = ("zero-cost", "weight-sharing", "performance-predictor", "partial-training", "training")
    assert [*order, "full-training"] == sorted(cost, key=lambda name: float(cost[name]))


def test_full_training_continues_partial_training() -> None:
    """By their defaults, too: else nothing would be continued and nobody would notice."""
    from hwnas_hls_plugins.estimators.multi_fidelity import FullTrainingConfig, PartialTrainingConfig

    partial, full = PartialTrainingConfig(), FullTrainingConfig()
    assert partial.schedule.epochs == full.epochs > partial.epochs
