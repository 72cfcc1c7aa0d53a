"""The base of all contracts: running them, checks of global random state, new processes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import inspect
import json
import math
import numbers
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hwnas_hls.errors import HwnasError
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, in_words_with_place
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.spec.configuration import default_faults
from hwnas_hls.testing.attributes import attribute_faults

_CHILD_SECONDS = 600


class Contract:
    """Tests that every plugin of one kind must pass; a subclass provides the plugin.

    :meth:`plugins` returns instances whose class is checked; ``kind`` is their base class.
    :meth:`transcript` returns results that must be the same in every process, or ``None``.
    """

    kind: ClassVar[type[Plugin]] = Plugin

    def plugins(self) -> Sequence[Plugin]:
        """Instances of the plugin under test."""
        return ()

    def test_is_a_subclass_of_its_kind_with_a_name_and_a_config(self) -> None:
        for plugin in self.plugins():
            cls, base = type(plugin), self.kind
            wanted = f"{base.__module__}.{base.__name__}"
            expect(isinstance(plugin, base), f"{cls.__name__} does not inherit from {wanted}")
            expect(bool(plugin.name), f"{cls.__name__} has no name")
            expect(dataclasses.is_dataclass(plugin.Config), f"{cls.__name__}.Config is not a dataclass")
            frozen = plugin.Config.__dataclass_params__.frozen  # type: ignore[attr-defined]
            expect(frozen, f"{cls.__name__}.Config can be changed: write @dataclass(frozen=True)")
            faults = default_faults(plugin.Config)
            expect(not faults, f"{cls.__name__}.Config: {'; '.join(faults)}")

    def test_has_no_unknown_or_misspelt_attribute(self) -> None:
        faults = dict.fromkeys(str(fault) for plugin in self.plugins() for fault in attribute_faults(plugin))
        expect(not faults, "; ".join(faults))

    def transcript(self) -> Any:
        return None

    def fresh_transcript(self) -> Any:
        """The :meth:`transcript` of a new process with a different hash seed.

        The process imports the file of the subclass; one process runs all contracts of a file.
        """
        held = _transcripts(inspect.getfile(type(self)))
        expect(
            type(self).__name__ in held,
            f"{type(self).__name__} must be defined at the top level of its file to run in a new process",
        )
        return held[type(self).__name__]


@dataclass(frozen=True, slots=True)
class ContractResult:
    """The result of one test of a contract; ``problem`` is empty if it passed."""

    test: str
    problem: str


def check(contract: Contract) -> list[ContractResult]:
    """Run every test of a contract without pytest."""
    results = []
    for name in sorted(dir(contract)):
        if not name.startswith("test_"):
            continue
        try:
            getattr(contract, name)()
        except PLUGIN_FAULTS as error:
            results.append(ContractResult(name, _problem(error)))
        else:
            results.append(ContractResult(name, ""))
    return results


def _problem(error: BaseException) -> str:
    """A failed expectation or an error of the tool in its own words, anything else with its place."""
    return str(error) if isinstance(error, AssertionError | HwnasError) else in_words_with_place(error)


def expect_list(returned: object, item: type, call: str) -> None:
    """Fails unless a method returned a list or tuple of instances of ``item``.

    Args:
        call: the method, for the message: ``ask()``.
    """
    __tracebackhide__ = True
    wanted = f"{call} must return a list of {item.__name__}"
    expect(isinstance(returned, list | tuple), f"{wanted}, not {_shown(returned)}")
    for entry in returned:  # type: ignore[attr-defined]  # a list or tuple by now
        expect(isinstance(entry, item), f"{wanted}; an entry is {_shown(entry)}")


def expect_type(returned: object, wanted: type, call: str) -> None:
    """Fails unless a value, or what ``call`` returned, is an instance of ``wanted``."""
    __tracebackhide__ = True
    expect(isinstance(returned, wanted), f"{call} must be of type {wanted.__name__}, not {_shown(returned)}")


def expect_finite(value: object, metric: str) -> None:
    """Fails unless the value of a metric is a finite number."""
    __tracebackhide__ = True
    number = isinstance(value, numbers.Real) and math.isfinite(value)
    expect(number, f"{metric} is {value!r}; its value must be a finite number")


def _shown(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    # The text of a generator is its address.
    return f"a {kind}" if isinstance(value, Iterator) else f"a {kind}: {' '.join(repr(value).split())[:80]}"


def expect(condition: bool, message: str) -> None:
    """An assertion whose message does not depend on pytest's rewriting."""
    __tracebackhide__ = True  # pytest then shows the contract's own line
    if not condition:
        raise AssertionError(message)


def expect_equal(found: object, wanted: object, message: str) -> None:
    """Like :func:`expect` for equality; the message shows the first difference."""
    __tracebackhide__ = True
    if found != wanted:
        raise AssertionError(f"{message}: {_difference(found, wanted)}")


def _difference(found: object, wanted: object, place: str = "") -> str:
    at = f"differs first at {place}: " if place else ""
    if isinstance(found, dict) and isinstance(wanted, dict):
        if found.keys() != wanted.keys():
            first, second = found.keys() - wanted.keys(), wanted.keys() - found.keys()
            return (
                f"{at}only in the first: {sorted(map(str, first))}, in the second: {sorted(map(str, second))}"
            )
        name = next(name for name in found if found[name] != wanted[name])
        return _difference(found[name], wanted[name], f"{place}[{name!r}]")
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        for number, (one, other) in enumerate(zip(found, wanted, strict=False)):
            if one != other:
                return _difference(one, other, f"{place}[{number}]")
        return f"{at}{len(found)} entries, not {len(wanted)}"
    return f"{at}{found!r} is not {wanted!r}"


@contextlib.contextmanager
def untouched_random_state() -> Iterator[None]:
    """Fails if the body draws from or seeds a global generator (Python's, numpy's, torch's)."""
    # A fixed seed may have been set before: seeding with it again would then change nothing.
    random.random()
    np.random.random()
    before = _random_states()
    yield
    after = _random_states()
    for name, state in before.items():
        expect(
            after.get(name) == state,
            f"the global random state of {name} was changed: draw from a generator of your own",
        )


def _random_states() -> dict[str, object]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    states: dict[str, object] = {
        "random": random.getstate(),
        "numpy": (kind, np.asarray(keys).tobytes(), *rest),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = bytes(torch.random.get_rng_state().tolist())
    return states


@functools.cache
def _transcripts(file: str) -> dict[str, Any]:
    # Another hash seed reveals results that depend on the order of a set.
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    # The new process must find the same modules as this one.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", "hwnas_hls.testing.fresh", file],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=_CHILD_SECONDS,
        check=False,
    )
    expect(done.returncode == 0, f"a new process failed:\n{done.stderr[-4000:]}")
    held: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return held


def contracts_in(file: Path) -> dict[str, type[Contract]]:
    """The contract subclasses that a file defines, by name."""
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return {
        name: held
        for name, held in vars(module).items()
        if inspect.isclass(held) and issubclass(held, Contract) and held.__module__ == file.stem
    }
