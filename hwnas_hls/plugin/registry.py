"""The plugin registry: finds plugins, reports broken ones, and builds the classes they offer."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from hwnas_hls import hookspecs
from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, WrongReturn, blamed, place_of
from hwnas_hls.plugin.offers import (
    BUILTIN,
    COLLECTED,
    Fault,
    FaultKind,
    Offer,
    construct,
    offer_problem,
    short,
)
from hwnas_hls.resources import data_folder

if TYPE_CHECKING:
    from hwnas_hls.protocols.plugin import Plugin
    from hwnas_hls.protocols.target import Target

log = logging.getLogger(__name__)

_BY_HAND = "registered in this process"


class Registry:
    """All plugins of this environment.

    Args:
        entry_points: used instead of the installed ones of the group ``hwnas_hls``.

    Attributes:
        faults: what is wrong with plugins, found so far.
    """

    faults: list[Fault]

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        self.faults = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._packages: dict[str, str] = {}
        self._by_hand: set[str] = set()
        self._offers: dict[str, dict[str, list[Offer]]] = {}
        found = metadata.entry_points(group=hookspecs.PROJECT) if entry_points is None else entry_points
        # An editable and a normal installation of the same package list its entry point twice.
        unique = {(point.name, point.value): point for point in found}
        for point in sorted(
            unique.values(), key=lambda point: (point.name != BUILTIN, point.name, point.value)
        ):
            self._load(point)

    def _load(self, point: metadata.EntryPoint) -> None:
        package = "unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
        if point.name in self._packages:
            self.faults.append(
                Fault(
                    point.name,
                    FaultKind.NAME_TAKEN,
                    f"{package}: {self._packages[point.name]} already uses this entry point name",
                )
            )
            return
        try:
            plugin = point.load()
        except PLUGIN_FAULTS as error:
            self.faults.append(
                Fault(point.name, FaultKind.NOT_LOADED, f"{package} failed to load: {short(error)}")
            )
            return
        self.register(plugin, point.name, package)

    def register(self, plugin: object, name: str, package: str = _BY_HAND) -> None:
        """Register a plugin object in this process, for tests and notebooks."""
        self._packages[name] = package
        if package == _BY_HAND:
            self._by_hand.add(name)
        try:
            self._manager.register(plugin, name=name)
        except Exception as error:
            # pluggy keeps the hooks that it registered before the validation failed.
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self.faults.append(Fault(name, FaultKind.REFUSED, f"{package} was refused: {short(error)}"))
            return
        self._offers.clear()
        known = [hook for hook in dir(hookspecs) if hook.startswith("hwnas_")]
        for caller in self._manager.get_hookcallers(plugin) or []:
            if not caller.has_spec():
                problem = UserError("unknown hook", found=caller.name, choices=known)
                self.faults.append(Fault(name, FaultKind.UNKNOWN_HOOK, f"{package}: {problem}", caller.name))
        for hook, impl in self._implementations(name):
            extra = sorted(set(impl.kwargnames) - set(_spec_arguments(hook)))
            if extra:
                words = f"{package}: hook {hook} has no argument {', '.join(extra)}"
                self.faults.append(Fault(name, FaultKind.UNKNOWN_ARGUMENT, words, ", ".join(extra)))

    def modules(self) -> dict[str, str]:
        """name -> importable module of each plugin registered in this process without an entry point."""
        found = {}
        for name in sorted(self._by_hand & self.plugins().keys()):
            plugin = self._manager.get_plugin(name)
            if inspect.ismodule(plugin) and plugin.__name__ != "__main__":
                found[name] = plugin.__name__
        return found

    def _implementations(self, plugin_name: str) -> Iterable[tuple[str, pluggy.HookImpl]]:
        plugin = self._manager.get_plugin(plugin_name)
        for caller in self._manager.get_hookcallers(plugin) or []:
            for impl in caller.get_hookimpls():
                if impl.plugin_name == plugin_name and caller.has_spec():
                    yield caller.name, impl

    # -- offers ------------------------------------------------------------------------

    def offers(self, kind: str) -> dict[str, list[Offer]]:
        """name -> all offers with that name, built-in first."""
        if kind not in self._offers:
            self._offers[kind] = self._collect(kind)
        return self._offers[kind]

    def _collect(self, kind: str) -> dict[str, list[Offer]]:
        found: dict[str, list[Offer]] = {}
        for name, classes in self._each(COLLECTED[kind]):
            taken: dict[str, type] = {}
            for cls in classes:
                problem = offer_problem(kind, cls) or _name_problem(cls, taken)
                if problem:
                    words = f"{COLLECTED[kind]} returned {cls!r}: {problem}"
                    self.faults.append(Fault(name, FaultKind.WRONG_OFFER, words, COLLECTED[kind]))
                    continue
                offer = Offer(kind, cls.name, name, self._packages[name], cls)
                found.setdefault(cls.name, []).append(offer)
        for same in found.values():
            same.sort(key=lambda offer: (offer.plugin != BUILTIN, offer.plugin))
        return found

    def _each(self, hook: str) -> Iterable[tuple[str, list[Any]]]:
        """(plugin, returned items) of a collecting hook; an exception is recorded as a fault."""
        for impl in sorted(getattr(self._manager.hook, hook).get_hookimpls(), key=lambda i: i.plugin_name):
            try:
                returned = _as_list(impl.function(), hook)
            except PLUGIN_FAULTS as error:
                self.faults.append(_failed(impl.plugin_name, hook, error))
                continue
            yield impl.plugin_name, returned

    def offer(self, kind: str, name: str, where: str, *, is_default: bool = False) -> Offer:
        """The offer with this name, ``name`` or ``plugin:name``.

        Args:
            is_default: whether the name is a default instead of the user's choice. The built-in then
                wins a name clash, so installing another package does not break existing specs.

        Raises:
            UserError: no plugin offers it, or several do.
        """
        every = self.offers(kind)
        plugin, _, plain = name.rpartition(":")
        fitting = [offer for offer in every.get(plain, []) if plugin in ("", offer.plugin)]
        if not fitting:
            faults = "; ".join(str(fault) for fault in self.faults)
            raise UserError(
                f"unknown {kind}",
                where=where,
                found=name,
                choices=sorted(every),
                cause=f"plugins with faults: {faults}" if faults else None,
                remedy="use one of these, or install the package that offers it (`hwnas-hls plugins`)",
            )
        if len(fitting) > 1 and not is_default:
            raise UserError(
                f"{len(fitting)} plugins offer a {kind} with this name",
                kind=ErrorKind.AMBIGUOUS,
                where=where,
                found=name,
                choices=[f"{offer.qualified} ({offer.package})" for offer in fitting],
                remedy=f"write one of {', '.join(offer.qualified for offer in fitting)}",
            )
        return fitting[0]

    def build(self, offer: Offer, table: Mapping[str, Any], where: str, **available: object) -> Any:
        """Build an instance: read its configuration from ``table``, and pass arguments by name.

        Args:
            available: arguments that a constructor may take, in addition to ``config``.

        Raises:
            UserError: the table has a wrong key or value, or the constructor takes an argument that
                is not available.
            PluginError: the constructor raised.
        """
        from hwnas_hls.spec.configuration import from_table

        what = f"{offer.kind} {offer.qualified}"
        with blamed(f"the configuration of {what} ({offer.package}) could not be built"):
            config: Any = from_table(offer.config, table, where)
        with blamed(f"{what} ({offer.package}) could not be built"):
            return construct(offer.cls, what, config=config, **available)

    # -- targets, commands, notifications ----------------------------------------------

    def target_folders(self) -> list[Path]:
        """The shipped folder, then the folders of plugins."""
        folders = [data_folder("hw_targets")]
        for _, returned in self._each("hwnas_target_dirs"):
            folders.extend(Path(folder) for folder in returned)
        return folders

    def targets(self) -> dict[str, Target]:
        from hwnas_hls.protocols.target import read_targets

        faults: list[UserError] = []
        found = read_targets(self.target_folders(), faults)
        self.faults.extend(Fault("target files", FaultKind.TARGET_FILE, str(fault)) for fault in faults)
        return found

    def target(self, text: str) -> Target:
        from hwnas_hls.protocols.target import find_target

        return find_target(text, self.target_folders())

    def call_each(self, hook: str, **arguments: object) -> None:
        """Call every implementation; an exception is logged with the plugin's name, and the others run."""
        for impl in sorted(getattr(self._manager.hook, hook).get_hookimpls(), key=lambda i: i.plugin_name):
            try:
                impl.function(**{name: arguments[name] for name in impl.argnames})
            except PLUGIN_FAULTS as error:
                log.warning("plugin %s: %s failed: %s", impl.plugin_name, hook, short(error))
                self.faults.append(_failed(impl.plugin_name, hook, error))

    def plugins(self) -> dict[str, str]:
        """name -> package of every plugin in use."""
        return {name: package for name, package in self._packages.items() if self._manager.has_plugin(name)}


def registry_with(plugins: Iterable[object]) -> Registry:
    """A registry of the installed plugins and the given ones (modules or objects with hooks).

    Raises:
        UserError: one of the given plugins cannot be used.
    """
    registry = Registry()
    before = len(registry.faults)
    for number, plugin in enumerate(plugins):
        name = str(plugin.__name__) if hasattr(plugin, "__name__") else f"plugin-{number}"
        registry.register(plugin, name.replace(":", "-"))
    if faults := registry.faults[before:]:
        raise UserError(
            "a plugin cannot be used",
            where="plugins",
            found="; ".join(map(str, faults)),
            kind=ErrorKind.PLUGIN_FAULT,
        )
    return registry


def _failed(plugin: str, hook: str, error: BaseException) -> Fault:
    if isinstance(error, WrongReturn):
        return Fault(plugin, FaultKind.HOOK_FAILED, str(error), hook)
    place = place_of(error)
    words = f"{hook} failed: {short(error)}" + (f" ({place})" if place else "")
    return Fault(plugin, FaultKind.HOOK_FAILED, words, hook)


def _as_list(returned: object, hook: str) -> list[Any]:
    """The items that a collecting hook returned.

    Raises:
        WrongReturn: it returned something that has no items, or text.
    """
    item = "folder" if hook == "hwnas_target_dirs" else "class"
    if isinstance(returned, str | Path | type) or not isinstance(returned, Iterable):
        raise WrongReturn(f"{hook} returned {returned!r}: return a list, even for a single {item}")
    return list(returned)


def _name_problem(cls: type[Plugin], taken: dict[str, type]) -> str:
    """Why one plugin may not offer this class, too; empty if it may. ``taken`` collects its names."""
    other = taken.setdefault(cls.name, cls)
    if other is cls:
        return ""
    return f"its name {cls.name!r} is also that of {other.__name__}; each class of a kind needs its own"


def _spec_arguments(hook: str) -> list[str]:
    return list(inspect.signature(getattr(hookspecs, hook)).parameters)
