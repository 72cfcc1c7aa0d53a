"""What another process needs to build the same plugins: written by one, read by the other.

Both isolated plugins (:mod:`hwnas_hls.plugin.isolation`) and workers (:mod:`hwnas_hls.cluster`) are sent
a kit: plugins by the names of their modules, configurations, data set and target. It is JSON; the
rows of the data set lie beside it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas_hls.errors import Unsupported
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset


def kit_of(
    registry: Registry,
    built: Mapping[str, tuple[str, Any, Mapping[str, Any]]],
    parts: transfer.Parts,
    *,
    task: Dataset | None = None,
    target: Target | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """A kit as JSON-able data.

    Args:
        registry: that built everything in ``built``.
        built: name in the kit -> (kind, instance, its configuration).
        parts: takes the rows of the data set.
        task, target, facts: what constructors may ask for; of ``facts`` that is ``seed clock_ns``.

    Raises:
        Unsupported: an instance is of no plugin that another process can load.
    """
    kit: dict[str, Any] = {
        "sys_path": [_entry(path) for path in sys.path],
        "modules": registry.modules(),
        "facts": facts,
        "built": {
            name: {"kind": kind, "offer": _offer(registry, kind, instance), "table": dict(table)}
            for name, (kind, instance, table) in built.items()
        },
    }
    if task is not None:
        kit["dataset"] = transfer.dataset_to_json(task, parts)
    if target is not None:
        kit["target"] = target.to_json()
    return kit


class Kit:
    """The plugins of a kit, in the process that it was sent to.

    Paths that this process does not search for modules yet are searched last; a plugin that it
    has already by an entry point is not registered twice.

    Args:
        data: from :func:`kit_of`.
        parts: with the rows of the data set.
        where: this process, for messages.
    """

    def __init__(self, data: Mapping[str, Any], parts: transfer.Parts, where: str) -> None:
        known = set(sys.path)
        sys.path.extend(path for path in data["sys_path"] if path not in known)
        self.registry = Registry()
        for name, module in data["modules"].items():
            if name not in self.registry.plugins():
                self.registry.register(importlib.import_module(module), name)
        #: What constructors may ask for, as :meth:`Registry.build` takes it.
        self.facts: dict[str, Any] = dict(data["facts"])
        if "dataset" in data:
            self.facts["task"] = transfer.dataset_from_json(data["dataset"], parts)
        if "target" in data:
            self.facts["target"] = transfer.target_from_json(data["target"])
        self.built: Mapping[str, Any] = data["built"]
        self._where = where

    def build(self, name: str, **more: Any) -> Any:
        """Another instance of what has this name in the kit; ``more`` are facts besides."""
        item = self.built[name]
        offer = self.registry.offer(item["kind"], item["offer"], self._where)
        return self.registry.build(offer, item["table"], self._where, **self.facts, **more)


def _entry(path: str) -> str:
    """An entry of ``sys.path`` that means the same in another folder; what is no file stays as it is."""
    place = Path(path or ".")
    return str(place.absolute()) if place.exists() else path


def _offer(registry: Registry, kind: str, instance: Any) -> str:
    """``plugin:name`` of the offer that made ``instance``."""
    same = registry.offers(kind).get(instance.name, [])
    exact = [offer for offer in same if offer.cls is type(instance)]
    if not same:
        raise Unsupported(
            f"{kind} {instance.name} runs in another process, and is in no plugin that a process can load"
        )
    return (exact or same)[0].qualified
