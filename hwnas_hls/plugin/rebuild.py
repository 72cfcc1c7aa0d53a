"""Build arguments: everything another process needs to build the same plugins.

Isolated plugins (:mod:`hwnas_hls.plugin.isolation`) and workers (:mod:`hwnas_hls.cluster`) receive the
names of the plugins' modules, the configurations, the data set and the target as JSON. The rows of the
data set are sent as a separate binary part.
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
    """The build arguments of some plugins, as JSON-able data.

    Args:
        registry: the registry that built them.
        built: name of a plugin -> (kind, instance, its configuration).
        parts: receives the rows of the data set.
        task, target, facts: arguments for constructors; ``facts`` are ``seed`` and ``clock_ns``.

    Raises:
        Unsupported: another process cannot load the plugin of an instance.
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
    """Build arguments received from another process.

    Args:
        registry: registry of this process, including the received modules.
        facts: arguments for constructors, see :meth:`Registry.build`.
        built: name -> kind, offer and configuration of each plugin.
        where: name of this process, for messages.
    """

    registry: Registry
    facts: Mapping[str, Any]
    built: Mapping[str, Any]
    where: str

    @classmethod
    def load(cls, data: Mapping[str, Any], parts: transfer.Parts, where: str) -> BuildArgs:
        """Import the modules and read the rows of the data set.

        New entries of ``sys.path`` are appended; a plugin that is already registered by an entry
        point is not registered again.

        Args:
            data: from :func:`build_args_of`.
            parts: contains the rows of the data set.
            where: name of this process, for messages.
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
        """A new instance of the plugin with this name; ``more`` are additional arguments."""
        item = self.built[name]
        offer = self.registry.offer(item["kind"], item["offer"], self.where)
        return self.registry.build(offer, item["table"], self.where, **self.facts, **more)


def _entry(path: str) -> str:
    """An entry of ``sys.path`` as an absolute path; an entry that does not exist is unchanged."""
    place = Path(path or ".")
    return str(place.absolute()) if place.exists() else path


def _offer(registry: Registry, kind: str, instance: Any) -> str:
    """``plugin:name`` of the offer that made ``instance``."""
    same = registry.offers(kind).get(instance.name, [])
    exact = [offer for offer in same if offer.cls is type(instance)]
    if not same:
        raise Unsupported(
            f"{kind} {instance.name} runs in another process, but is not part of a plugin that it can load"
        )
    return (exact or same)[0].qualified
