"""Precision, reuse factor and strategy of each layer in ``HLSConfig``, with hls4ml's defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.hls4ml.folder.config import mapping_of
from hwnas_hls.network.precision import FixedType

#: Strategy in the form that hls4ml 1.3 compares (see :func:`folded`) -> its spelling.
STRATEGIES = {
    "latency": "Latency",
    "resource": "Resource",
    "resource_unrolled": "ResourceUnrolled",
    "distributed_arithmetic": "distributed_arithmetic",
    "da": "distributed_arithmetic",
}
#: The enumeration of strategies in the firmware of hls4ml 1.2 and 1.3.
NEWEST = frozenset(folded for folded in STRATEGIES if folded != "da")
#: hls4ml's default.
DEFAULT = FixedType(16, 6)


class Precisions:
    """Looks up settings by the layer's name, then its type, then the model.

    Args:
        config: top level of ``hls4ml_config.yml``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        hls = mapping_of(config, "HLSConfig")
        self.model = mapping_of(hls, "Model")
        self.by_type = {name.lower(): value for name, value in mapping_of(hls, "LayerType").items()}
        self.by_name = {name.lower(): value for name, value in mapping_of(hls, "LayerName").items()}
        # hls4ml 0.1 had its settings at the top level
        for old, new in (("DefaultPrecision", "Precision"), ("ReuseFactor", "ReuseFactor")):
            if old in config and new not in self.model:
                self.model[new] = config[old]

    def setting(self, name: str, kind: str, key: str) -> Any:
        """``key`` of the layer ``name`` of hls4ml's class ``kind``; ``None`` if unset."""
        for level in (self.by_name.get(name.lower()), self.by_type.get(kind.lower()), self.model):
            if isinstance(level, dict) and level.get(key) is not None:
                return level[key]
        return None

    def precision(self, name: str, kind: str, role: str) -> FixedType | None:
        """Type of ``weight``, ``bias``, ``accum`` or ``result``; ``None`` for ``auto``.

        Raises:
            UserError: the value is not a fixed-point type.
        """
        for level, values in (
            ("LayerName", self.by_name.get(name.lower())),
            ("LayerType", self.by_type.get(kind.lower())),
            ("Model", self.model),
        ):
            value = values.get("Precision") if isinstance(values, dict) else None
            if isinstance(value, dict):
                value = value.get(role, value.get("default"))
            if value is None:
                continue
            if not isinstance(value, str):
                raise UserError(
                    "not a precision", where=f"HLSConfig, {level}, {name}", found=type(value).__name__
                )
            return None if value.strip().lower() == "auto" else parse_precision(value)
        return DEFAULT

    def names(self, name: str, role: str) -> bool:
        """Whether the layer itself is given a type of ``role``; a default yields to quantisers."""
        values = self.by_name.get(name.lower())
        value = values.get("Precision") if isinstance(values, dict) else None
        return isinstance(value, str) or (isinstance(value, dict) and role in value)

    @property
    def quantised(self) -> bool:
        """Whether the model's own quantisers decide its types: bit-exact conversion, or no width as default.

        ``BitExact`` and the default ``ap_fixed<-1,0>`` are what hls4ml 1.1 and later write for such models.
        """
        value = self.model.get("Precision")
        value = value.get("default") if isinstance(value, dict) else value
        none = isinstance(value, str) and re.search(r"<\s*-\d", value) is not None
        return bool(self.model.get("BitExact")) or none

    def default(self) -> FixedType:
        """The model's default, which hls4ml uses if ``auto`` cannot be inferred."""
        value = self.model.get("Precision")
        if isinstance(value, dict):
            value = value.get("default")
        return parse_precision(value) if isinstance(value, str) and value.lower() != "auto" else DEFAULT

    def weights(self) -> dict[str, FixedType]:
        """The weight types of the layers in the configuration."""
        out: dict[str, FixedType] = {}
        for name in mapping_of({"all": self.by_name}, "all"):
            try:
                found = self.precision(name, "Dense", "weight") or self.default()
            except UserError:
                continue
            out[name] = found
        return out


def parse_precision(text: str) -> FixedType:
    """``ap_fixed<16,6>``, ``fixed<8,3,RND,SAT,0>``, ``ufixed<...>``, ``int<4>``, in hls4ml's spelling."""
    return FixedType.parse(text)


def folded(strategy: str) -> str:
    """``ResourceUnrolled`` -> ``resource_unrolled``, by the rule of hls4ml (``utils/string_utils.py``)."""
    return re.sub(r"_{2,}", "_", re.sub(r"(?<!^)(?=[A-Z])", "_", strategy).lower())


def built_strategy(
    strategy: str, compression: bool = False, release: frozenset[str] = NEWEST
) -> tuple[str, bool]:
    """The strategy that hls4ml builds for ``strategy``, and whether it knows that spelling.

    An unknown one silently becomes Latency (in 1.0 and later also ``RESOURCE`` and ``Unrolled``).

    Args:
        strategy: as written in a configuration.
        compression: whether the layer is compressed.
        release: the enumeration of strategies in the release's firmware.
    """
    # Releases before 1.0, which have no resource_unrolled, compare lower case.
    name = folded(strategy) if "resource_unrolled" in release else strategy.lower()
    known = STRATEGIES.get(name)
    if known is not None and folded(known) not in release:
        known = None
    if known == "Resource" and compression:
        known = "compressed"
    return known or "Latency", known is not None


def dense_strategy(strategy: str, factor: int, release: frozenset[str] = NEWEST) -> str:
    """The strategy of a dense layer with a reuse factor: unrolled at 1, it becomes Resource."""
    built, _ = built_strategy(strategy, release=release)
    return "Resource" if built == "ResourceUnrolled" and factor == 1 else built
