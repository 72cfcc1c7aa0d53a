from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import toy

import hwnas_hls_plugins
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.spec.spec import Spec, spec_from_tables


@pytest.fixture
def registry() -> Registry:
    """A registry with the toy plugin and nothing else."""
    return toy.toy_registry()


@pytest.fixture
def all_plugins(registry: Registry) -> Registry:
    """The toy plugin and the built-in ones."""
    registry.register(hwnas_hls_plugins, "builtin")
    return registry


@pytest.fixture(scope="session")
def toy_spec() -> Callable[..., Spec]:
    """Makes the toy spec, with tables changed: ``toy_spec(run={"trials": 5})``."""

    def make(**changes: Any) -> Spec:
        tables = {name: {**table, **changes.pop(name, {})} for name, table in toy.SPEC.items()}
        return spec_from_tables({**tables, **changes}, "test.toml")

    return make
