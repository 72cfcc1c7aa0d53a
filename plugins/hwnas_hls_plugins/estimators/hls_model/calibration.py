"""A calibration: constants of the laws, scale factors by tool, silicon and stage, and intervals."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.estimators.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.estimators.hls_model.keys import (
    BandKey,
    FactorKey,
    Group,
    SiteRegime,
    band_regimes,
    parse_band_key,
    parse_factor_key,
)

CALIBRATION_SCHEMA = 3
DEFAULT_FILE = "hls_model.json"
METRICS = ("latency_cycles", "ii_cycles", "lut", "ff", "dsp", "bram_18k")
#: Added to reported and predicted numbers before the logarithm; without it, small counts have large errors.
OFFSETS = {"latency_cycles": 1.0, "ii_cycles": 1.0, "lut": 20.0, "ff": 20.0, "dsp": 1.0, "bram_18k": 1.0}
#: Half width (natural logarithm) of metrics without any held-out design.
UNCALIBRATED = 1.6
#: Added to the half width of C synthesis for logic synthesis, where too few designs were held out: it kept
#: 33 to 107 % of the LUTs of C synthesis.
STAGE_SPREAD = {"lut": 0.6, "ff": 0.9}


@dataclass(frozen=True, slots=True)
class Band:
    """The range of log residuals of held-out designs, for one metric in one regime.

    Residuals are seldom symmetric (a net that turns out pruned takes far fewer LUTs, hardly ever far
    more). Up and down therefore have separate scales, and one quantile stretches both.

    Args:
        q90, q80: stretch that covered 90 % and 80 % of held-out families; ``None`` where the families
            are too few to say.
        families: independent sources behind them.
        up, down: scales of truth above and below the prediction, natural logarithm.
        fallback: stretch where neither quantile is known.
    """

    q90: float | None
    q80: float | None
    families: int
    up: float = 1.0
    down: float = 1.0
    fallback: float = UNCALIBRATED

    @property
    def stretch(self) -> float:
        for stretch in (self.q90, self.q80):
            if stretch is not None:
                return stretch
        return self.fallback

    def holds(self, residual: float) -> bool:
        """Whether a log residual (truth over prediction) is inside."""
        return -self.stretch * self.down - 1e-9 <= residual <= self.stretch * self.up + 1e-9

    @property
    def coverage(self) -> float | None:
        return 0.9 if self.q90 is not None else 0.8 if self.q80 is not None else None


NOTHING = Band(None, None, 0)


@dataclass(frozen=True, slots=True, eq=False)
class KnownWeights:
    """What replaces the laws and factors for designs under Latency whose weights are known.

    The cost of counted constants differs from the cost of expected ones: a common fit would absorb the
    errors of the expectation.

    Args:
        laws: constants that replace the defaults of :mod:`coefficients`.
        factors: group -> metric -> logarithm of a factor.
    """

    laws: Mapping[str, object]
    factors: Mapping[FactorKey, Mapping[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The fitted numbers and their evidence.

    Args:
        name: shown with every number.
        laws: constants that replace the defaults of :mod:`coefficients`.
        factors: group -> metric -> logarithm of a factor; see :func:`keys.groups`.
        bands: regime -> metric -> :class:`Band`.
        seen: what the data cover: tools, part classes, parts, versions, clock range.
        provenance: data, number of designs, versions, date.
        known: laws and factors for known weights under Latency; ``None`` takes the ones above.
    """

    name: str
    laws: Mapping[str, object]
    factors: Mapping[FactorKey, Mapping[str, float]]
    bands: Mapping[BandKey, Mapping[str, Band]]
    seen: Mapping[str, Any]
    provenance: Mapping[str, Any]
    known: KnownWeights | None = None
    coefficients: Coefficients = field(init=False)
    known_coefficients: Coefficients = field(init=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "coefficients", Coefficients(self.laws))
            known = self.coefficients if self.known is None else Coefficients(self.known.laws)
            object.__setattr__(self, "known_coefficients", known)
        except KeyError as error:
            raise UserError("a calibration names an unknown law constant", found=error.args[0]) from error

    def factor(self, keys: Iterable[FactorKey], metric: str, known: bool = False) -> float:
        """Log factor of a design: each finer group adds what the coarser ones left.

        Args:
            known: the factor of known weights under Latency.
        """
        factors = self.known.factors if known and self.known is not None else self.factors
        return sum(factors.get(key, {}).get(metric, 0.0) for key in keys)

    def band(self, keys: Iterable[BandKey], metric: str) -> Band:
        """The band of the finest regime that was measured; ``keys`` run from fine to coarse."""
        best = NOTHING
        for key in keys:
            found = self.bands.get(key, {}).get(metric)
            if found is not None:
                if found.coverage is not None:
                    return found
                best = found
        return best

    def stage_band(
        self, regime: str, stage: str, knowledge: int, known: bool, metric: str, site: Group | None = None
    ) -> Band:
        """The band of a design at its stage.

        Cycles, DSPs and BRAMs of an implemented design are those of C synthesis; LUTs and FFs are not.

        Args:
            site: the design's finest group, where its own bands go before all others.
        """
        if site is not None:
            own = self.bands.get(SiteRegime(site, stage, regime, knowledge), {}).get(metric)
            if own is not None:
                return own
        csynth = self.band(band_regimes(regime, "csynth", knowledge, known), metric)
        if stage == "csynth" or metric not in STAGE_SPREAD:
            return csynth
        found = self.band(band_regimes(regime, stage, knowledge, known), metric)
        if found.coverage is not None:
            return found
        up, down = (
            math.hypot(csynth.stretch * side, STAGE_SPREAD[metric]) for side in (csynth.up, csynth.down)
        )
        return Band(None, None, found.families, up, down, 1.0)

    @property
    def hash(self) -> str:
        """The hash of everything that determines a number, as in the file."""
        return str(self.to_json()["hash"])

    def to_json(self) -> dict[str, Any]:
        body = {
            "schema": CALIBRATION_SCHEMA,
            "name": self.name,
            "provenance": dict(self.provenance),
            "seen": dict(self.seen),
            "laws": dict(self.laws),
            "factors": {str(key): dict(values) for key, values in self.factors.items()},
            "known_weights": None
            if self.known is None
            else {
                "laws": dict(self.known.laws),
                "factors": {str(key): dict(values) for key, values in self.known.factors.items()},
            },
            "bands": {
                str(key): {
                    metric: [band.q90, band.q80, band.families, band.up, band.down]
                    for metric, band in bands.items()
                }
                for key, bands in self.bands.items()
            },
        }
        return {**body, "hash": _hash(body)}


def _hash(body: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in body.items() if key != "hash"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_calibration(path: Path | None = None) -> Calibration:
    """Read a calibration file; ``None`` means the built-in one.

    A file that was not written to since is not read again.

    Raises:
        UserError: not readable, of another schema, or altered since it was written.
    """
    file = path or data_folder("hw_targets") / "calibration" / DEFAULT_FILE
    try:
        state = file.stat()
    except OSError as error:
        raise UserError(
            "not a readable calibration file", kind=ErrorKind.NOT_ACCESSIBLE, where=str(file), found=error
        ) from error
    return _read(file, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=16)
def _read(file: Path, _written_ns: int, _size: int) -> Calibration:
    try:
        data = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(
            "not a readable calibration file", kind=ErrorKind.WRONG_FORMAT, where=str(file), found=error
        ) from error
    if not isinstance(data, dict) or data.get("schema") != CALIBRATION_SCHEMA:
        raise UserError(
            "a calibration of another schema",
            where=str(file),
            found=data.get("schema") if isinstance(data, dict) else type(data).__name__,
            choices=[CALIBRATION_SCHEMA],
        )
    if data.get("hash") != _hash(data):
        raise UserError(
            "the calibration was altered after it was written",
            where=str(file),
            remedy="fit it again",
            kind=ErrorKind.DAMAGED,
        )
    try:
        bands = {
            parse_band_key(key): {metric: Band(*values) for metric, values in metrics.items()}
            for key, metrics in data["bands"].items()
        }
        factors = {parse_factor_key(key): values for key, values in data["factors"].items()}
        known = data["known_weights"]
        calibration = Calibration(
            data["name"],
            data["laws"],
            factors,
            bands,
            data["seen"],
            data["provenance"],
            None
            if known is None
            else KnownWeights(
                known["laws"], {parse_factor_key(key): values for key, values in known["factors"].items()}
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "a key is missing in a calibration file", where=str(file), found=error, kind=ErrorKind.DAMAGED
        ) from error
    return calibration


#: Added to the half width if a strategy was never measured with this tool or silicon; guesses, set by hand.
NEW_PLACE = {"latency_cycles": 0.1, "ii_cycles": 0.0, "lut": 0.35, "ff": 0.45, "dsp": 0.1, "bram_18k": 0.3}


#: Added for an unknown clock, which decides the pipeline cuts (none, or one after every adder). Guesses,
#: set by hand: half or twice the cycles, a quarter or four times the registers.
UNKNOWN_CLOCK = {"latency_cycles": 0.7, "ff": 1.5}


#: Metrics that depend on the values of the weights.
OF_WEIGHTS = ("lut", "ff", "dsp")


def half_widths(band: Band, metric: str, novelty: float, clock_known: bool = True) -> tuple[float, float]:
    """Half widths below and above.

    Args:
        novelty: 0 seen, 1 seen apart, 2 not seen; widens both.
    """
    more = NEW_PLACE[metric] * novelty
    if not clock_known:
        more = math.hypot(more, UNKNOWN_CLOCK.get(metric, 0.0))
    return math.hypot(band.stretch * band.down, more), math.hypot(band.stretch * band.up, more)
