"""Plain RTL of a design: one ``*`` per non-zero weight, adder trees, one register rank per layer.

Open synthesis decides which products use DSP blocks. Vitis HLS has different rules, so the DSP counts
are a bound for its circuits, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.synthesizers.open_synthesis.ports import Element, Port
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import TOP, Rtl, check

#: Each sum is an instance of this module, so it can become one carry chain.
ADDER = "sum_of_two"
_ADDER_MODULE = f"""\
module {ADDER} #(parameter A = 1, parameter B = 1, parameter Y = 1)
  (input signed [A-1:0] a, input signed [B-1:0] b, output signed [Y-1:0] y);
  assign y = a + b;
endmodule

"""


@dataclass(frozen=True, slots=True)
class _Signal:
    """A signed wire and the smallest and largest integer on it."""

    name: str
    low: int
    high: int

    @property
    def bits(self) -> int:
        return _bits(self.low, self.high)


def write(design: Design, folder: Path) -> Rtl:
    """Write the Verilog and ``rtl.json``.

    Args:
        design: relu and linear layers; see :func:`hwnas_hls_plugins.synthesizers.open_synthesis.rtl.check`.
        folder: receives ``src/m.v``.
    """
    check(design)
    architecture = design.architecture
    kind = architecture.input
    module = _Module()
    width = architecture.n_in * kind.width
    values = []
    for place in range(architecture.n_in):
        part = f"inp[{(place + 1) * kind.width - 1}:{place * kind.width}]"
        values.append(module.wire(part if kind.signed else f"{{1'b0, {part}}}", kind.lowest, kind.highest))
    last = len(architecture.chain) - 1
    for number in range(len(architecture.chain)):
        values = _layer(module, design, number, values)
        if number < last:
            values = [module.register(value) for value in values]
    result = design.layer_types()[-1][2]
    fields = [module.sized(value, result.width) for value in values]
    folder.joinpath("src").mkdir(parents=True, exist_ok=True)
    text = module.text(width, len(fields) * result.width, "{" + ", ".join(reversed(fields)) + "}")
    (folder / "src" / f"{TOP}.v").write_text(_ADDER_MODULE + text)
    rtl = Rtl(
        folder,
        (f"src/{TOP}.v",),
        Port((_element(kind),) * architecture.n_in),
        Port((_element(result),) * architecture.n_out),
        len(architecture.chain),
        {"generator": "plain multiplier", "products": module.products},
    )
    rtl.save()
    return rtl


def _layer(module: _Module, design: Design, number: int, values: list[_Signal]) -> list[_Signal]:
    source, accum, result = design.layer_types()[number]
    layer, weight, bias = (
        design.architecture.chain[number],
        design.chain_weights[number],
        design.biases[number],
    )
    constants = None
    if bias is not None and layer.bias is not None:
        constants = accum.requantise(bias, layer.bias.fraction)
    out = []
    for neuron in range(layer.n_out):
        factors = [(value, int(w)) for value, w in zip(values, weight[:, neuron], strict=True) if w]
        total = module.total([module.product(value, w) for value, w in factors])
        total = module.scaled(total, accum.fraction - source.fraction - layer.weight.fraction)
        if constants is not None and constants[neuron]:
            total = module.add(total, module.constant(int(constants[neuron])))
        total = module.limited(total, accum)
        if layer.activation == "relu":
            total = module.rectified(total)
        if result != accum:
            total = module.rounded(total, accum.fraction - result.fraction, result)
        out.append(total)
    return out


class _Module:
    """The Verilog of one module; the range of every wire is known, so widths are minimal."""

    def __init__(self) -> None:
        self.products = 0
        self._lines: list[str] = []
        self._registers: list[str] = []
        self._count = 0

    def wire(self, expression: str, low: int, high: int) -> _Signal:
        signal = self._declared(low, high)
        self._lines.append(f"  assign {signal.name} = {expression};")
        return signal

    def constant(self, value: int) -> _Signal:
        return self.wire(_literal(value), value, value)

    def product(self, value: _Signal, factor: int) -> _Signal:
        self.products += 1
        ends = sorted((value.low * factor, value.high * factor))
        return self.wire(f"{value.name} * {_literal(factor)}", *ends)

    def add(self, a: _Signal, b: _Signal) -> _Signal:
        signal = self._declared(a.low + b.low, a.high + b.high)
        widths = f".A({a.bits}), .B({b.bits}), .Y({signal.bits})"
        self._lines.append(
            f"  {ADDER} #({widths}) add_{signal.name} (.a({a.name}), .b({b.name}), .y({signal.name}));"
        )
        return signal

    def total(self, signals: list[_Signal]) -> _Signal:
        """Balanced tree of two-input adders."""
        if not signals:
            return self.constant(0)
        while len(signals) > 1:
            pairs = [self.add(a, b) for a, b in zip(signals[0::2], signals[1::2], strict=False)]
            signals = pairs + signals[len(pairs) * 2 :]
        return signals[0]

    def scaled(self, signal: _Signal, shift: int) -> _Signal:
        if not shift:
            return signal
        return self.wire(f"{{{signal.name}, {shift}'b0}}", signal.low << shift, signal.high << shift)

    def rectified(self, signal: _Signal) -> _Signal:
        if signal.low >= 0:
            return signal
        zero = _literal(0)
        return self.wire(f"({signal.name} < {zero}) ? {zero} : {signal.name}", 0, max(0, signal.high))

    def rounded(self, signal: _Signal, shift: int, kind: FixedType) -> _Signal:
        """Drop ``shift`` fractional bits (append if negative), then limit to the type."""
        if shift <= 0:
            return self.limited(self.scaled(signal, -shift), kind)
        if kind.rounding == "RND":
            signal = self.add(signal, self.constant(1 << (shift - 1)))
        dropped = self.wire(f"{signal.name} >>> {shift}", signal.low >> shift, signal.high >> shift)
        return self.limited(dropped, kind)

    def limited(self, signal: _Signal, kind: FixedType) -> _Signal:
        low, high = kind.lowest, kind.highest
        if kind.overflow == "SAT_SYM" and kind.signed:
            low = -high
        if low <= signal.low and signal.high <= high:
            return signal
        name = signal.name
        if kind.overflow == "WRAP":
            part = self.sized(signal, kind.width)
            return self.wire(part if kind.signed else f"{{1'b0, {part}}}", low, high)
        least, most = _literal(low), _literal(high)
        expression = f"({name} > {most}) ? {most} : ({name} < {least}) ? {least} : {name}"
        return self.wire(expression, min(max(signal.low, low), high), max(min(signal.high, high), low))

    def sized(self, signal: _Signal, width: int) -> str:
        """The name of a wire of exactly ``width`` bits: sign-extended or truncated."""
        name = self._name()
        self._lines += [f"  wire signed [{width - 1}:0] {name};", f"  assign {name} = {signal.name};"]
        return name

    def register(self, signal: _Signal) -> _Signal:
        name = self._name()
        self._lines.append(f"  reg signed [{signal.bits - 1}:0] {name};")
        self._registers.append(f"    {name} <= {signal.name};")
        return _Signal(name, signal.low, signal.high)

    def text(self, input_bits: int, output_bits: int, result: str) -> str:
        head = [
            f"module {TOP} (",
            "  input clk,",
            f"  input [{input_bits - 1}:0] model_inp,",
            f"  output reg [{output_bits - 1}:0] model_out",
            ");",
            f"  reg [{input_bits - 1}:0] inp;",
        ]
        clocked = ["  always @(posedge clk) begin", "    inp <= model_inp;", *self._registers]
        tail = [f"    model_out <= {result};", "  end", "endmodule", ""]
        return "\n".join([*head, *self._lines, *clocked, *tail])

    def _declared(self, low: int, high: int) -> _Signal:
        signal = _Signal(self._name(), low, high)
        self._lines.append(f"  wire signed [{signal.bits - 1}:0] {signal.name};")
        return signal

    def _name(self) -> str:
        self._count += 1
        return f"w{self._count}"


def _bits(low: int, high: int) -> int:
    """The width of the narrowest two's complement type that holds both."""
    return max(high, -low - 1, 0).bit_length() + 1


def _literal(value: int) -> str:
    # Binary, because a negative decimal literal would be negated after its extension.
    width = _bits(value, value)
    return f"{width}'sb{value & ((1 << width) - 1):0{width}b}"


def _element(kind: FixedType) -> Element:
    return Element(int(kind.signed), kind.integer - int(kind.signed), kind.fraction)
