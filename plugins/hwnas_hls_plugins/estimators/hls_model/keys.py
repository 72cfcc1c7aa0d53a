"""The keys of scale factors and intervals in a calibration.

A calibration file writes each as text, its parts joined by ``|``; ``str`` and ``parse_...`` are the two ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hwnas_hls.errors import UserError
from hwnas_hls.hls4ml.query import Query


class Flow(StrEnum):
    """The stage of a report; logic synthesis and routing count as one."""

    CSYNTH = "csynth"
    IMPLEMENTED = "implemented"

    @classmethod
    def of(cls, stage: str) -> Flow:
        """The flow that ends at a stage."""
        return cls.CSYNTH if stage == "csynth" else cls.IMPLEMENTED


@dataclass(frozen=True, slots=True)
class Group:
    """Designs that share scale factors; the finer, the more parts are given. The finest is a *site*.

    Args:
        flow: how far they were built.
        strategy: group of regimes that cost alike, such as ``latency``.
        compiler: family of the HLS compiler, ``vitis`` or ``vivado``; empty for all.
        silicon: class of parts; empty for all.
        version: of the compiler, such as ``2023.1``; empty for all.
    """

    flow: Flow
    strategy: str
    compiler: str = ""
    silicon: str = ""
    version: str = ""

    def __str__(self) -> str:
        parts = (self.flow, self.strategy, self.compiler, self.silicon, self.version)
        return "|".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class NetworkGroup:
    """The designs of one network at one site, of which this much is known.

    Args:
        site: the finest group.
        shape: widths, ``16-64-5``.
        weight_types: of its layers, joined by commas.
        knowledge: 0 architecture only, 1 non-zeros, 2 weights.
    """

    site: Group
    shape: str
    weight_types: str
    knowledge: int

    @classmethod
    def of(cls, site: Group, query: Query, knowledge: int) -> NetworkGroup:
        return cls(site, query.shape, ",".join(str(layer.weight) for layer in query.layers), knowledge)

    def __str__(self) -> str:
        return f"network|{self.site}|{self.shape}|{self.weight_types}|{self.knowledge}"


FactorKey = Group | NetworkGroup


@dataclass(frozen=True, slots=True)
class Regime:
    """Designs that share an interval; the finer, the more parts are given.

    Args:
        flow: how far they were built; ``None`` for designs outside what the laws describe.
        name: what they are built by, one of :data:`regimes.REGIMES`; empty for all.
        knowledge: 0 architecture only, 1 non-zeros, 2 weights; ``None`` for all.
        known: whether their silicon and compiler were calibrated on; ``None`` for both.
    """

    flow: Flow | None
    name: str = ""
    knowledge: int | None = None
    known: bool | None = None

    def __str__(self) -> str:
        parts = ["outside"] if self.flow is None else [self.flow.value]
        parts += [self.name] if self.name else []
        parts += [] if self.knowledge is None else [str(self.knowledge)]
        parts += [] if self.known is None else ["known" if self.known else "new"]
        return "|".join(parts)


@dataclass(frozen=True, slots=True)
class SiteRegime:
    """Designs of one site and regime, which have an interval of their own.

    Args:
        site: the finest group.
        stage: of the report.
        name: regime.
        knowledge: 0 architecture only, 1 non-zeros, 2 weights.
    """

    site: Group
    stage: str
    name: str
    knowledge: int

    def __str__(self) -> str:
        return f"own|{self.site}|{self.stage}|{self.name}|{self.knowledge}"


BandKey = Regime | SiteRegime

#: Parts of the finest :class:`Group`.
_SITE_PARTS = 5


def groups(stage: str, strategy: str, compiler: str, silicon: str, version: float) -> tuple[Group, ...]:
    """Groups a design belongs to, coarse to fine; its factor is the sum over them.

    Logic synthesis and routing share theirs: routing moves LUTs by a per cent or two.
    """
    flow = Flow.of(stage)
    return (
        Group(flow, strategy),
        Group(flow, strategy, compiler),
        Group(flow, strategy, compiler, silicon),
        Group(flow, strategy, compiler, silicon, f"{version:.1f}"),
    )


def band_regimes(name: str, stage: str, knowledge: int, known: bool) -> tuple[Regime, ...]:
    """Regimes of an interval, fine to coarse; ``known``: silicon and compiler were calibrated on."""
    flow = Flow.of(stage)
    return (
        Regime(flow, name, knowledge, known),
        Regime(flow, name, knowledge),
        Regime(flow, name),
        Regime(None) if name == "outside" else Regime(flow),
    )


def parse_factor_key(text: str) -> FactorKey:
    """The inverse of ``str``.

    Raises:
        UserError: neither a group nor a network.
    """
    parts = text.split("|")
    if parts[0] != "network":
        return _group(parts, text)
    site, rest = parts[1 : 1 + _SITE_PARTS], parts[1 + _SITE_PARTS :]
    if len(rest) != 3:
        raise UserError("not a group of scale factors", found=text)
    return NetworkGroup(_group(site, text), rest[0], rest[1], _number(rest[2], text))


def parse_band_key(text: str) -> BandKey:
    """The inverse of ``str``.

    Raises:
        UserError: neither a regime nor one of a site.
    """
    parts = text.split("|")
    if parts[0] == "own":
        site, rest = parts[1 : 1 + _SITE_PARTS], parts[1 + _SITE_PARTS :]
        if len(rest) != 3:
            raise UserError("not a regime of intervals", found=text)
        return SiteRegime(_group(site, text), rest[0], rest[1], _number(rest[2], text))
    if parts == ["outside"]:
        return Regime(None)
    if parts[0] not in list(Flow) or len(parts) > 4 or parts[3:] not in ([], ["known"], ["new"]):
        raise UserError("not a regime of intervals", found=text)
    return Regime(
        Flow(parts[0]),
        parts[1] if len(parts) > 1 else "",
        _number(parts[2], text) if len(parts) > 2 else None,
        parts[3] == "known" if len(parts) > 3 else None,
    )


def _group(parts: list[str], text: str) -> Group:
    if parts[0] not in list(Flow) or not 2 <= len(parts) <= _SITE_PARTS:
        raise UserError("not a group of scale factors", found=text)
    return Group(Flow(parts[0]), *parts[1:])


def _number(part: str, text: str) -> int:
    if part not in ("0", "1", "2"):
        raise UserError("not a level of knowledge of weights", found=text)
    return int(part)
