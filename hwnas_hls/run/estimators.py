"""The estimators of a run, built with their settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.plugin.faults import PluginError
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.spec.configuration import to_table
from hwnas_hls.spec.spec import Spec


def estimators_of(spec: Spec, registry: Registry, common: Mapping[str, Any]) -> list[ConfiguredPlugin]:
    """The estimators that a spec names, the cheapest first.

    Args:
        common: arguments that their constructors may take.
    """
    default = Spec(target="").run.estimators
    parts = []
    for name in spec.run.estimators:
        table = spec.estimators.get(name, {})
        parts.append(configured_estimator(spec, registry, name, table, name in default, common))
    return sorted(parts, key=lambda part: float(part.instance.cost))


def configured_estimator(
    spec: Spec,
    registry: Registry,
    name: str,
    table: Mapping[str, Any],
    is_default: bool,
    common: Mapping[str, Any],
) -> ConfiguredPlugin:
    """An estimator with the settings of a table.

    Raises:
        UserError: a setting or attribute is wrong or missing.
        PluginError: it raised, or its attributes have wrong values.
    """
    where = spec.where(f"estimators.{name}")
    offer = registry.offer("estimator", name, where, is_default=is_default)
    instance = registry.build(offer, table, where, **common)
    for attribute in ("provides", "version", "cost"):
        if not hasattr(instance, attribute):
            raise UserError(f"estimator {name} has no `{attribute}`", where=offer.package)
    if isinstance(instance.provides, str) or not isinstance(instance.provides, Iterable):
        raise PluginError(
            f"estimator {name} ({offer.package}): provides is {instance.provides!r:.80}; "
            "it must be a tuple of names and Metric objects"
        )
    if not isinstance(instance.cost, int | float) or not instance.cost >= 0:
        raise PluginError(
            f"estimator {name} ({offer.package}): cost is {instance.cost!r:.80}; "
            "it must be the seconds per candidate, 0 or more"
        )
    return ConfiguredPlugin(name, instance, stated(instance, table), offer.package)


def trainer_of(
    spec: Spec, registry: Registry, estimators: Sequence[ConfiguredPlugin], common: Mapping[str, Any]
) -> ConfiguredPlugin | None:
    """The most expensive estimator that trains, rebuilt with the settings in ``[export.training]``."""
    training = [part for part in estimators if part.instance.trains]
    if not training:
        if spec.export.training:
            raise UserError(
                "no estimator of this run trains",
                kind=ErrorKind.MISSING,
                where=spec.where("export.training"),
            )
        return None
    part = training[-1]
    full = part.instance.full_training
    table = {**spec.estimators.get(part.name, {}), **full, **spec.export.training}
    return configured_estimator(spec, registry, part.name, table, True, common)


def stated(instance: Plugin, table: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a plugin, including defaults if it stores its ``config``."""
    config = instance.config
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return to_table(config)
    return dict(table)
