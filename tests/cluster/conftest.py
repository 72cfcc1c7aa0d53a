"""The registry of the tests of workers."""

from __future__ import annotations

import cluster_plugin
import pytest

from hwnas_hls.plugin.registry import Registry


@pytest.fixture
def registry(registry: Registry) -> Registry:
    """With the toy plugin and that of these tests."""
    registry.register(cluster_plugin, "cluster-plugin")
    return registry
