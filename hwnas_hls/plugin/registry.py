"""The plugin registry: finds plugins, reports broken ones, and builds the classes they offer."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from hwnas_hls import hookspecs
from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, blamed, in_words
from hwnas_hls.resources import data_folder

if TYPE_CHECKING:
    from hwnas_hls.protocols.plugin import Plugin
    from hwnas_hls.protocols.target import Target

log = logging.getLogger(__name__)

BUILTIN = "builtin"
_BY_HAND = "registered in this process"
#: kind of plugin -> the hook that collects it
COLLECTED = {
    "space": "hwnas_register_spaces",
    "strategy": "hwnas_register_strategies",
    "estimator": "hwnas_register_estimators",
    "task": "hwnas_register_tasks",
    "synthesizer": "hwnas_register_synthesizers",
    "exporter": "hwnas_register_exporters",
}
KINDS = tuple(COLLECTED)


class FaultKind(StrEnum):
    """What is wrong with a plugin."""

    #: Another package uses its entry point name.
    NAME_TAKEN = "name taken"
    #: Its module raised while it was imported.
    NOT_LOADED = "not loaded"
    #: pluggy takes none of its hooks.
    REFUSED = "refused"
    #: A hook of a name that does not exist.
    UNKNOWN_HOOK = "unknown hook"
    #: A hook with an argument that its specification does not have.
    UNKNOWN_ARGUMENT = "unknown argument"
    #: What a collecting hook returned is no plugin class of its kind.
    WRONG_OFFER = "wrong offer"
    #: A hook raised.
    HOOK_FAILED = "hook failed"
    #: A target file that cannot be used.
    TARGET_FILE = "target file"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a plugin; the rest of the tool goes on without it.

    Args:
        plugin: its entry point name.
        kind: what is wrong; programs look at this.
        problem: the same in words.
        about: the hook or argument that is wrong; empty for the plugin as a whole.
    """

    plugin: str
    kind: FaultKind
    problem: str
    about: str = ""

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A deprecated hook that a plugin implements. It still works.

    Args:
        plugin: its entry point name.
        package: distribution and version that provides it.
        advice: the hook and its replacement, in words.
    """

    plugin: str
    package: str
    advice: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.package}: {self.advice}"


@dataclass(frozen=True, slots=True)
class Offer:
    """One class that a plugin offers.

    Args:
        kind: one of :data:`KINDS`.
        name: its name in a spec.
        plugin: name of the entry point; ``plugin:name`` is unambiguous.
        package: distribution and version that provides it.
        cls: the class.
    """

    kind: str
    name: str
    plugin: str
    package: str
    cls: type[Plugin]

    @property
    def qualified(self) -> str:
        return f"{self.plugin}:{self.name}"

    @property
    def config(self) -> type:
        return self.cls.Config

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return (inspect.getdoc(self.cls) or "").split("\n", 1)[0]


class Registry:
    """All plugins of this environment.

    Args:
        entry_points: used instead of the installed ones of the group ``hwnas_hls``.

    Attributes:
        faults: what is wrong with plugins, found so far.
        deprecations: deprecated hooks that plugins implement.
    """

    faults: list[Fault]
    deprecations: list[Deprecation]

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        self.faults = []
        self.deprecations = []
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
                Fault(point.name, FaultKind.NOT_LOADED, f"{package} failed to load: {_short(error)}")
            )
            return
        self.register(plugin, point.name, package)

    def register(self, plugin: object, name: str, package: str = _BY_HAND) -> None:
        """Register a plugin object in this process, for tests and notebooks."""
        self._packages[name] = package
        if package == _BY_HAND:
            self._by_hand.add(name)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self._manager.register(plugin, name=name)
        except Exception as error:
            # pluggy keeps the hooks that it registered before the validation failed.
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self.faults.append(Fault(name, FaultKind.REFUSED, f"{package} was refused: {_short(error)}"))
            return
        self._offers.clear()
        for item in caught:
            # pluggy names the hook; add the plugin.
            warnings.warn(f"plugin {name}: {package}: {item.message}", item.category, stacklevel=2)
            if issubclass(item.category, DeprecationWarning):
                self.deprecations.append(Deprecation(name, package, str(item.message)))
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
            for cls in classes:
                problem = _offer_problem(kind, cls)
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
                returned = list(impl.function())
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

        config = from_table(offer.config, table, where) if dataclasses.is_dataclass(offer.config) else None
        what = f"{offer.kind} {offer.qualified}"
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
                log.warning("plugin %s: %s failed: %s", impl.plugin_name, hook, _short(error))
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


def construct(cls: Callable[..., Any], what: str, **available: object) -> Any:
    """Call ``cls`` with the arguments in ``available`` that its signature names.

    Raises:
        UserError: it takes an argument that is not available.
    """
    chosen: dict[str, object] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            return cls(**available)
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if name in available:
            chosen[name] = available[name]
        elif parameter.default is parameter.empty:
            raise UserError(f"{what} takes an unknown argument", found=name, choices=sorted(available))
    return cls(**chosen)


def base_class(kind: str) -> type[Plugin]:
    """The class that plugins of a kind inherit from: ``Space`` of ``hwnas_hls.protocols.space``, ...

    It is imported when the first plugin is asked for, so that the command line starts fast.
    """
    module = importlib.import_module(f"hwnas_hls.protocols.{kind}")
    found: type[Plugin] = getattr(module, kind.capitalize())
    return found


def _offer_problem(kind: str, cls: object) -> str:
    """Why ``cls`` is not a plugin class of this kind; empty if it is."""
    base = base_class(kind)
    if not isinstance(cls, type):
        return "not a class"
    if not issubclass(cls, base):
        return (
            f"{cls.__name__} does not inherit from {base.__module__}.{base.__name__}: "
            f"write class {cls.__name__}({base.__name__})"
        )
    if missing := sorted(cls.__abstractmethods__):
        return f"{cls.__name__} lacks {', '.join(missing)}, which every {base.__name__} must have"
    name = cls.name if hasattr(cls, "name") else None
    if not isinstance(name, str) or not name or ":" in name or name != name.strip():
        return "its name is not a plain string"
    if not dataclasses.is_dataclass(cls.Config):
        return "its Config is not a dataclass"
    return ""


def _failed(plugin: str, hook: str, error: BaseException) -> Fault:
    return Fault(plugin, FaultKind.HOOK_FAILED, f"{hook} failed: {_short(error)}", hook)


def _spec_arguments(hook: str) -> list[str]:
    return list(inspect.signature(getattr(hookspecs, hook)).parameters)


def _short(error: BaseException) -> str:
    return " ".join(in_words(error).split())[:300]
