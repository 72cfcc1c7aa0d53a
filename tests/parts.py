"""Parts that several tests build for, as the shipped target files describe them."""

from __future__ import annotations

from pathlib import Path

from hwnas_hls.protocols.target import Target, read_target
from hwnas_hls.resources import data_folder


def _shipped(name: str) -> Target:
    return read_target(Path(data_folder("hw_targets")) / f"{name}.toml")


XCVU9P = _shipped("xcvu9p")
XCKU115 = _shipped("xcku115")
