"""The weights of a distributed arithmetic layer, computed from its adder graph.

hls4ml writes no weights for such a layer, only da4ml's straight-line code in
``firmware/nnet_utils/nnet_code_gen.h``. Every value in the code is an affine function of the inputs
(sums, differences, shifts and constants), so its coefficients can be computed line by line. Those of
the outputs are exactly the weights and biases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.errors import UserError
from hwnas_hls.network.features import FeatureTypes
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Maximum number of coefficients; larger graphs are not read.
MAX_COEFFICIENTS = 8_000_000
_LINE = re.compile(r"[\w<>,: -]{1,80}?\s+v(\d{1,7}) = ([^;]{1,200});.*")
_OUTPUT = re.compile(r"model_out\[(\d{1,6})\] = ([^;]{1,200});.*")
_SUM = re.compile(r"(.+?) ([+-]) (.+)")
_SHIFTED = re.compile(r"bit_shift<(-?\d{1,3})>\((-?)v(\d{1,7})\)")
_PLAIN = re.compile(r"(-?)v(\d{1,7})")
_INPUT = re.compile(r"model_inp\[(\d{1,6})\]|model_inp_q_(\d{1,6})")
#: Inputs with types of their own are cast one by one before the graph, which then reads the casts.
_QUANTISED = re.compile(r"([\w<>,: -]{1,80}?)\s+model_inp_q_(\d{1,6}) = (?:model_inp\[(\d{1,6})\]|0);.*")
_VALUE_CAST = re.compile(r"out\[(\d{1,6})\] = (?:(ap_u?fixed<[\w:, -]{1,60}>)\(inp\[(\d{1,6})\]\)|0);")
_CAST = re.compile(r"(?:ap|ac)_u?(?:fixed|int)<[\d, -]{1,24}>\((.+)\)")
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,60})?(?:[eE][+-]?\d{1,3})?")


@dataclass(frozen=True, slots=True, eq=False)
class AdderGraph:
    """The affine map of an adder graph.

    Args:
        weight, bias: the narrowest types for all of them.
        weights: integers (n_in, n_out) on the grid of ``weight``.
        biases: integers (n_out,) on the grid of ``bias``.
        n_adders: sums and differences in the graph.
        features: types that the inputs are cast to, ``None`` for one that is not read; empty where no input
            is cast.
    """

    weight: FixedType
    bias: FixedType
    weights: NDArray[np.int64]
    biases: NDArray[np.int64]
    n_adders: int
    features: tuple[FixedType | None, ...] = ()


def read_graph(text: str, function: str, n_in: int, n_out: int) -> AdderGraph | None:
    """Read the graph of ``function`` from the text of ``nnet_code_gen.h``.

    ``None`` if it is missing, too large, or not affine (a lookup table, a quantiser).
    """
    import numpy as np

    start = text.find(f"void {function}(")
    if start < 0:
        return None
    end = text.find("\n}", start)
    lines = text[start : end if end >= 0 else len(text)].split("\n")
    if len(lines) * (n_in + 1) > MAX_COEFFICIENTS:
        return None
    follower = _Follower(n_in)
    out = np.zeros((n_in + 1, n_out))
    found: set[int] = set()
    for line in lines:
        stripped = line.strip()[:400]
        match = _QUANTISED.fullmatch(stripped)
        if match is not None:
            follower.quantise(int(match[2]), None if match[3] is None else int(match[3]), match[1])
            continue
        match = _LINE.fullmatch(stripped)
        if match is not None:
            value = follower.value(match[2])
            if value is None:
                return None
            follower.values[int(match[1])] = value
            continue
        match = _OUTPUT.fullmatch(stripped)
        if match is not None:
            value = follower.value(match[2])
            if value is None or int(match[1]) >= n_out:
                return None
            out[:, int(match[1])] = value
            found.add(int(match[1]))
    if len(found) != n_out or not np.isfinite(out).all():
        return None
    weight, bias = _grid(out[:-1]), _grid(out[-1])
    if weight is None or bias is None:
        return None
    features = tuple(follower.types.get(place) for place in range(n_in)) if follower.types else ()
    return AdderGraph(*(weight[0], bias[0], weight[1], bias[1]), follower.n_adders, features)


def read_casts(text: str, function: str) -> FeatureTypes | None:
    """The types to which ``function`` of ``nnet_code_gen.h`` casts single values; ``None`` if it does more.

    hls4ml writes such a function for each quantiser of a model whose values have types of their own (HGQ2).
    """
    start = text.find(f"void {function}(")
    if start < 0:
        return None
    end = text.find("\n}", start)
    types: dict[int, FixedType | None] = {}
    for line in text[start : end if end >= 0 else len(text)].split("\n")[1:]:
        stripped = line.strip()[:400]
        if not stripped or stripped.startswith("#"):
            continue
        match = _VALUE_CAST.fullmatch(stripped)
        if match is None or int(match[1]) in types or (match[3] is not None and match[3] != match[1]):
            return None
        try:
            types[int(match[1])] = None if match[2] is None else FixedType.parse(match[2])
        except UserError:
            return None
    if not types or sorted(types) != list(range(len(types))):
        return None
    return tuple(types[place] for place in range(len(types)))


class _Follower:
    """Computes the coefficients of each value: n_in of the inputs, then the constant."""

    def __init__(self, n_in: int) -> None:
        self.n_in = n_in
        self.values: dict[int, NDArray[np.float64]] = {}
        self.quantised: dict[int, int | None] = {}
        self.types: dict[int, FixedType | None] = {}
        self.n_adders = 0

    def quantise(self, number: int, source: int | None, kind: str) -> None:
        """An input is cast to a type; without a source it is 0."""
        self.quantised[number] = source
        try:
            own = None if source is None else FixedType.parse(kind)
        except UserError:
            own = None
        self.types[number if source is None else source] = own

    def value(self, expression: str) -> NDArray[np.float64] | None:
        """The coefficients of an expression; ``None`` if its form is unknown."""
        import numpy as np

        text = expression.strip()
        simple = self._term(text)
        if simple is not None:
            return simple
        given = _INPUT.fullmatch(text)
        if given is not None:
            place = int(given[1]) if given[1] else self.quantised.get(int(given[2]), self.n_in)
            unit = np.zeros(self.n_in + 1)
            if place is None:
                return unit
            if place >= self.n_in:
                return None
            unit[place] = 1.0
            return unit
        cast = _CAST.fullmatch(text)
        if cast is not None:
            return self.value(cast[1])
        both = _SUM.fullmatch(text)
        if both is None:
            return None
        left, right = self._term(both[1]), self._term(both[3])
        if left is None or right is None:
            return None
        self.n_adders += 1
        return left + right if both[2] == "+" else left - right

    def _term(self, text: str) -> NDArray[np.float64] | None:
        import numpy as np

        shifted = _SHIFTED.fullmatch(text)
        if shifted is not None:
            value = self.values.get(int(shifted[3]))
            return None if value is None else _signed(value, shifted[2]) * 2.0 ** int(shifted[1])
        if text.startswith("-bit_shift"):
            inner = self._term(text[1:])
            return None if inner is None else -inner
        plain = _PLAIN.fullmatch(text)
        if plain is not None:
            value = self.values.get(int(plain[2]))
            return None if value is None else _signed(value, plain[1])
        cast = _CAST.fullmatch(text)
        number = _NUMBER.fullmatch(cast[1] if cast is not None else text)
        if number is None:
            return None
        constant = np.zeros(self.n_in + 1)
        constant[-1] = float(number[0])
        return constant


def _signed(value: NDArray[np.float64], sign: str) -> NDArray[np.float64]:
    return -value if sign else value


def _grid(values: NDArray[np.float64]) -> tuple[FixedType, NDArray[np.int64]] | None:
    """The narrowest signed type that represents all values, and the integers on its grid."""
    import numpy as np

    if not values.any():
        return FixedType(1, 1), np.zeros(values.shape, np.int64)
    fraction = -64
    while fraction <= 64:
        scaled = values * 2.0**fraction
        if (scaled == np.rint(scaled)).all():
            break
        fraction += 1
    largest = float(np.abs(scaled).max())
    if fraction > 64 or largest >= 2.0**62:
        return None
    integers = scaled.astype(np.int64)
    low, high = int(integers.min()), int(integers.max())
    width = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    return FixedType(width, width - fraction), integers
