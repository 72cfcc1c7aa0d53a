"""What another process needs to build the same plugins: written by one, read by the other.

Both isolated plugins (:mod:`hwnas_hls.plugin.isolation`) and workers (:mod:`hwnas_hls.cluster`) are sent
build arguments: plugins by the names of their modules, configurations, data set and target. It is JSON; the
rows of the data set lie beside it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import Unsupported
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset


def build_args_of(
    registry: Registry,
    built: Mapping[str, tuple[str, Any, Mapping[str, Any]]],
    parts: transfer.Parts,
    *,
    task: Dataset | None = None,
    target: Target | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """What another process needs to build these plugins, as JSON-able data.

    Args:
        registry: that built everything in ``built``.
        built: name of a plugin -> (kind, instance, its configuration).
        parts: takes the rows of the data set.
        task, target, facts: what constructors may ask for; of ``facts`` that is ``seed clock_ns``.

    Raises:
        Unsupported: an instance is of no plugin that another process can load.
    """
    build_args: dict[str, Any] = {
        "sys_path": [_entry(path) for path in sys.path],
        "modules": registry.modules(),
        "facts": facts,
        "built": {
            name: {"kind": kind, "offer": _offer(registry, kind, instance), "table": dict(table)}
            for name, (kind, instance, table) in built.items()
        },
    }
    if task is not None:
        build_args["dataset"] = transfer.dataset_to_json(task, parts)
    if target is not None:
        build_args["target"] = target.to_json()
    return build_args


@dataclass(frozen=True, slots=True)
class BuildArgs:
    """The plugins that another process sent, and what their constructors are given here.

    Args:
        registry: of this process, with the modules that were sent.
        facts: what constructors may ask for, as :meth:`Registry.build` takes it.
        built: name -> kind, offer and configuration of each plugin that was sent.
        where: this process, for messages.
    """

    registry: Registry
    facts: Mapping[str, Any]
    built: Mapping[str, Any]
    where: str

    @classmethod
    def load(cls, data: Mapping[str, Any], parts: transfer.Parts, where: str) -> BuildArgs:
        """Import the modules that were sent, and read the rows of the data set.

        Paths that this process does not search for modules yet are searched last; a plugin that it
        has already by an entry point is not registered twice.

        Args:
            data: from :func:`build_args_of`.
            parts: with the rows of the data set.
            where: this process, for messages.
        """
        known = set(sys.path)
        sys.path.extend(path for path in data["sys_path"] if path not in known)
        registry = Registry()
        for name, module in data["modules"].items():
            if name not in registry.plugins():
                registry.register(importlib.import_module(module), name)
        facts: dict[str, Any] = dict(data["facts"])
        if "dataset" in data:
            facts["task"] = transfer.dataset_from_json(data["dataset"], parts)
        if "target" in data:
            facts["target"] = transfer.target_from_json(data["target"])
        return cls(registry, facts, data["built"], where)

    def build(self, name: str, **more: Any) -> Any:
        """Another instance of the plugin of this name; ``more`` are facts besides."""
        item = self.built[name]
        offer = self.registry.offer(item["kind"], item["offer"], self.where)
        return self.registry.build(offer, item["table"], self.where, **self.facts, **more)


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
