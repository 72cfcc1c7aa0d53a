"""The relaxed choices of a space, and the conversion of choices to knob values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.network.architecture import Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.space import Space, assemble, knobs_of
from hwnas_hls.values.candidate import Candidate, Value

#: Families of relaxed knobs, one knob per network or per layer (``width_2``, ``weight_bits_out``).
RELAXED = (
    "depth",
    "width",
    "input_bits",
    "input_integer",
    "weight_bits",
    "weight_integer",
    "activation_bits",
    "activation_integer",
    "sparsity",
)
#: Families that the supernet does not relax, because its cost model ignores them; it assumes networks with
#: all their adders.
LEFT_OPEN = ("normalisation", "use_bias", "dropout", "clock_ns", "kept_adders", "narrow_features")
#: Families with one fixed choice, the only one that the supernet and its cost model support: plain
#: unrolled layers, with a ReLU if available.
SETTLED = ("strategy", "reuse_factor", "activation", "layer")
_PREFERRED = {"activation": "relu", "layer": "dense"}
_OUTPUT = "out"


@dataclass(frozen=True, slots=True)
class Site:
    """One relaxed choice.

    Args:
        name: for example ``depth``, ``width_1``, ``weight_out``.
        options: per option, the knobs that it sets.
        numbers: per option, its value: a number, or (W, I) of a type, including the sign.
    """

    name: str
    options: tuple[Mapping[str, Value], ...]
    numbers: tuple[tuple[float, ...], ...]


class Relaxation:
    """The relaxed choices of a space of multilayer perceptrons.

    Args:
        strategy: name of the strategy, for messages.
        space: its knobs must be those of the ``mlp`` space, or some of them.

    Attributes:
        sites: name -> site. ``depth`` and ``input`` once; ``width_N`` and ``activation_N`` per hidden
            layer; ``weight_N`` and ``sparsity_N`` per hidden layer and ``_out``.
        n_in, n_out, max_depth: of the largest network.
        rectified, signed: whether hidden layers have a ReLU, and whether their results are signed.

    Raises:
        UserError: an unknown knob, no unrolled layers, no hidden layers, or an architecture that does not
            match the knobs.
    """

    def __init__(self, strategy: str, space: Space) -> None:
        self.strategy, self.space = strategy, space
        self.knobs = {knob.name: knob for knob in knobs_of(space)}
        if not self.knobs:
            raise self._refusal("no table of knobs")
        for knob in self.knobs.values():
            family = _family(knob.name)
            if family not in (*RELAXED, *LEFT_OPEN, *SETTLED):
                raise self._refusal(f"knob {knob.name}")
            if knob.continuous and family not in LEFT_OPEN:
                raise self._refusal(f"continuous knob {knob.name}")
        self._settled = self._settled_choices()
        layers, inputs = self._deepest()
        self.n_in, self.n_out = layers[0].n_in, layers[-1].n_out
        self.max_depth = len(layers) - 1
        self.rectified = layers[0].activation == "relu"
        self.signed = layers[0].result.signed if layers[0].result else True
        self.sites = {site.name: site for site in self._sites(layers, inputs)}

    def values(self, chosen: Mapping[str, int], rest: Mapping[str, Value]) -> dict[str, Value]:
        """The knob values of a network; ``rest`` contains those that no site sets.

        Args:
            chosen: site -> option.
        """
        values = dict(rest) | self._settled
        for name, place in chosen.items():
            values |= self.sites[name].options[place]
        return values

    def candidate(self, chosen: Mapping[str, int], rest: Mapping[str, Value]) -> Candidate:
        return assemble(self.space, self.values(chosen, rest))

    def _refusal(self, found: str) -> UserError:
        return UserError(
            f"strategy {self.strategy} supports only the knobs of unrolled multilayer perceptrons "
            "(those of the space mlp)",
            where=f"space {self.space.name}",
            found=found,
            remedy="use nsga2 or evolution",
            kind=ErrorKind.UNSUPPORTED,
        )

    def _settled_choices(self) -> dict[str, Value]:
        """knob -> its only choice, of the families of :data:`SETTLED`."""
        found: dict[str, Value] = {}
        for name, knob in self.knobs.items():
            family = _family(name)
            if family == "strategy":
                unrolled = [choice for choice in knob.choices if choice != "Resource"]
                if not unrolled:
                    raise self._refusal(f"{name} without an unrolled choice")
                found[name] = unrolled[0]
            elif family in _PREFERRED:
                preferred = _PREFERRED[family]
                found[name] = preferred if preferred in knob.choices else knob.choices[0]
        return found

    def _deepest(self) -> tuple[tuple[Dense, ...], FixedType]:
        """The layers and input type of the deepest, narrowest network of the space.

        They show the values of knobs with a single choice, which are not in the table, and reveal knobs
        with another meaning than in the mlp space. (Wide layers might be too large to unroll.)
        """
        values = {knob.name: knob.at(float(_family(knob.name) != "width")) for knob in self.knobs.values()}
        values |= self._settled
        try:
            candidate = assemble(self.space, values)
            architecture = self.space.architecture(candidate)
            layers = architecture.chain
        except HwnasError as error:
            raise self._refusal(f"networks that are not chains: {error}") from error
        hidden = len(layers) - 1
        if hidden < 1:
            raise self._refusal("networks without hidden layers")
        if any(layer.strategy == "Resource" for layer in layers):
            raise self._refusal("layers that are not unrolled")
        if int(candidate.values.get("depth", hidden)) != hidden:  # type: ignore[arg-type]
            raise self._refusal(f"depth {candidate.values['depth']} that builds {hidden} hidden layers")
        for number, layer in enumerate(layers[:-1], 1):
            if candidate.values.get(f"width_{number}", layer.n_out) != layer.n_out:
                raise self._refusal(f"width_{number}, which is not the width of a layer")
        return layers, architecture.input

    def _sites(self, layers: Sequence[Dense], inputs: FixedType) -> Iterator[Site]:
        depths = [depth for depth in self._choices("depth", self.max_depth) if depth > 0]
        yield Site("depth", self._options("depth", depths), tuple((float(depth),) for depth in depths))
        yield self._types("input", "input_bits", "input_integer", "", inputs.width, inputs.integer)
        for number, layer in enumerate(layers):
            tag = _OUTPUT if number == self.max_depth else str(number + 1)
            weight = layer.weight
            yield self._types(
                f"weight_{tag}", "weight_bits", "weight_integer", tag, weight.width, weight.integer
            )
            shares = self._choices(f"sparsity_{tag}", layer.sparsity)
            yield Site(
                f"sparsity_{tag}",
                self._options(f"sparsity_{tag}", shares),
                tuple((float(share),) for share in shares),
            )
            if tag == _OUTPUT:
                continue
            widths = self._choices(f"width_{tag}", layer.n_out)
            yield Site(
                f"width_{tag}",
                self._options(f"width_{tag}", widths),
                tuple((float(width),) for width in widths),
            )
            result = layer.result or FixedType(16, 6)
            yield self._types(
                f"activation_{tag}",
                "activation_bits",
                "activation_integer",
                tag,
                result.width,
                result.integer - result.signed,
                int(result.signed),
            )

    def _types(
        self, name: str, bits: str, integer: str, tag: str, width: int, whole: int, sign: int = 0
    ) -> Site:
        """All types from two knobs; ``width`` and ``whole`` are used for values that are not knobs."""
        bits, integer = (f"{family}_{tag}" if tag else family for family in (bits, integer))
        pairs = [
            (w, i)
            for w, i in itertools.product(self._choices(bits, width), self._choices(integer, whole))
            if i + sign <= w
        ]
        options = tuple({**self._option(bits, w), **self._option(integer, i)} for w, i in pairs)
        return Site(name, options, tuple((float(w), float(i + sign)) for w, i in pairs))

    def _choices(self, name: str, fixed: Any) -> list[Any]:
        return list(self.knobs[name].choices) if name in self.knobs else [fixed]

    def _options(self, name: str, choices: Sequence[Any]) -> tuple[Mapping[str, Value], ...]:
        return tuple(self._option(name, choice) for choice in choices)

    def _option(self, name: str, choice: Value) -> dict[str, Value]:
        return {name: choice} if name in self.knobs else {}


def _family(name: str) -> str:
    """The family of a knob: ``weight_bits_2`` and ``weight_bits_out`` -> ``weight_bits``."""
    family, _, tag = name.rpartition("_")
    return family if family and (tag.isdigit() or tag == _OUTPUT) else name
