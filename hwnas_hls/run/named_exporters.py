"""Exporters by name, with the settings of a run or of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.spec.spec import Spec
from hwnas_hls.spec.tables import RunTable


def exporter_named(
    registry: Registry,
    name: str,
    where: str,
    *,
    is_default: bool = False,
    settings: Mapping[str, Any] = MappingProxyType({}),
    settings_where: str = "--set",
    task: Dataset,
) -> Exporter:
    """The exporter of a name.

    Args:
        settings: of its configuration; the defaults for what is left out.
        where, settings_where: where the name and the settings were given, for messages.
        task: the data of the run.

    Raises:
        UserError: no plugin offers it, it has no such setting, or the setting does not suit the task.
    """
    offer = registry.offer("exporter", name, where, is_default=is_default)
    place = settings_where if settings else where
    try:
        exporter: Exporter = registry.build(offer, settings, place, task=task)
    except UserError as error:
        if error.where not in settings:
            raise
        # The exporter knows the key, but not where it was set.
        raise UserError(
            error.what,
            where=f"{place}.{error.where}",
            found=error.found,
            remedy=error.remedy,
            kind=error.kind,
        ) from error
    return exporter


def exporter_of_run(registry: Registry, spec: Spec, name: str, task: Dataset) -> Exporter:
    """An exporter of ``[run] exporters`` with its settings in ``[exporters.NAME]``.

    Raises:
        UserError: as :func:`exporter_named`.
    """
    return exporter_named(
        registry,
        name,
        spec.where("run"),
        is_default=name in RunTable().exporters,
        settings=spec.exporters.get(name, {}),
        settings_where=spec.where(f"exporters.{name}"),
        task=task,
    )
