"""Reads ``hls4ml_config.yml`` as plain data: no objects are constructed, no other files opened.

hls4ml 1.3 writes the whole torch model into the file, as tagged Python objects with pickled storage.
These blocks are removed as text before the YAML parser runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.folder.files import MAX_CONFIG_BYTES
from hwnas_hls.hls4ml.reports.files import read_text

#: Maximum size without model blocks, which is normally a few kilobytes.
MAX_YAML_BYTES = 128 * 1024
_MAX_DEPTH = 50
_MODEL_KEYS = ("PytorchModel", "KerasModel", "OnnxModel")
_TOP_KEY = re.compile(r"[A-Za-z_]\w*\s*:")


def split_config(path: Path) -> tuple[str, dict[str, str]]:
    """The file without its model blocks, and these blocks by key, as text.

    Raises:
        ReportError: not readable, or too large.
    """
    text = read_text(path, MAX_CONFIG_BYTES)
    kept: list[str] = []
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines(keepends=True):
        if _TOP_KEY.match(line):
            key = line.split(":", 1)[0].strip()
            current = blocks.setdefault(key, []) if key in _MODEL_KEYS else None
        (kept if current is None else current).append(line)
    return "".join(kept), {key: "".join(lines) for key, lines in blocks.items()}


def load_config(path: Path) -> dict[str, Any]:
    """Top-level keys of the file; tags of Python objects and models are read as plain values.

    Raises:
        ReportError: not readable, not YAML, too large, too deep, or not a mapping.
    """
    text, _ = split_config(path)
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> dict[str, Any]:
    """See :func:`load_config`."""
    import yaml

    if len(text) > MAX_YAML_BYTES:
        raise ReportError(
            f"{where}: more than {MAX_YAML_BYTES // 1024} KiB of YAML without the model",
            kind=ErrorKind.TOO_LARGE,
        )
    if _depth(text) > _MAX_DEPTH:
        raise ReportError(f"{where}: YAML nested deeper than {_MAX_DEPTH}", kind=ErrorKind.TOO_LARGE)
    try:
        # The pure Python loader: too deep nesting raises an exception, while libyaml crashes.
        data = yaml.load(text, _loader())  # noqa: S506 - a SafeLoader that constructs nothing
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise ReportError(f"{where}: not readable YAML: {_first_line(error)}") from error
    if not isinstance(data, dict):
        raise ReportError(f"{where}: not an hls4ml configuration: its top level is not a mapping")
    return {str(key): value for key, value in data.items()}


def _depth(text: str) -> int:
    """The deepest nesting of brackets; the parser itself would take seconds."""
    deepest = depth = 0
    for mark in re.finditer(r"[\[\]{}]", text):
        depth += 1 if mark[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _loader() -> Any:
    import yaml

    class PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads any tagged node as a plain scalar, list or mapping, without merge keys."""

        def flatten_mapping(self, node: Any) -> None:
            """Ignore merge keys, which can expand a small file enormously; hls4ml writes none."""

    def plain(loader: Any, _suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True)

    PlainLoader.add_multi_constructor("", plain)
    # dates, binaries and sets would become other types than the callers know
    for tag in ("binary", "timestamp", "set", "omap", "pairs", "merge", "value"):
        PlainLoader.add_constructor(f"tag:yaml.org,2002:{tag}", lambda loader, node: plain(loader, "", node))
    return PlainLoader


def text_of(config: dict[str, Any], *keys: str) -> str:
    """The first short text or number among some keys; empty if there is none."""
    for key in keys:
        value = config.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()[:200]
    return ""


def mapping_of(data: Any, key: str) -> dict[str, Any]:
    """``data[key]`` if both are mappings, else an empty one; keys as text."""
    inner = data.get(key) if isinstance(data, dict) else None
    return {str(name): value for name, value in inner.items()} if isinstance(inner, dict) else {}
