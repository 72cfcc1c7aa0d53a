"""One circuit as files: a generator's RTL with unique module names and a clock enable, and its hash.

Generators call their modules ``m``, ``logic0`` or ``mux``, so two networks in one FPGA would collide.
Therefore every module name here begins with the name of its design.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwnas_hls.errors import HwnasError
from hwnas_hls.network.design import Design

#: Changes whenever the text of the same circuit may change.
BUILDER = "1"
#: Folders of an assembled circuit: its Verilog, sources that name cells of AMD's parts, its VHDL.
VERILOG, AMD, VHDL = "core", "core/amd", "vhdl"
#: The end of the name of the circuit's top module; the design's name stands before it.
CORE = "_core"

_HEADS = {
    ".v": (
        (r"module {top} \(\s*input clk,", "module {top} #(\n    parameter CLOCK_ENABLE = 0\n) (\n"
         "    input clk,\n    input ce, // holds every register where CLOCK_ENABLE is 1 and this is 0"),
        (r"always @\(posedge clk\) begin", "always @(posedge clk) if (CLOCK_ENABLE == 0 || ce) begin"),
    ),
    ".vhd": (
        (r"entity {top} is port\(\s*clk ?: ?in std_logic;", "entity {top} is\n"
         "  generic (CLOCK_ENABLE : integer := 0);\n  port (\n    clk : in std_logic;\n"
         "    ce : in std_logic; -- holds every register where CLOCK_ENABLE is 1 and this is 0"),
        (r"if rising_edge\(clk\) then", "if rising_edge(clk) then if CLOCK_ENABLE = 0 or ce = '1' then"),
        (r"end if;(\s*end process;)", r"end if; end if;\1"),
    ),
}  # fmt: skip


def top_of(design: Design) -> str:
    """The module of the circuit itself: registers and logic, no valid pipeline."""
    return f"{design.hardware_name}{CORE}"


def assemble(
    texts: Mapping[str, str], folder: Path, design: Design, *, top: str, suffix: str, shared: Sequence[str]
) -> list[str]:
    """Write a generator's modules, renamed for a design, without unused shared modules.

    Args:
        texts: module -> its source; ``top`` is among them.
        folder: receives one file per module.
        suffix: of the files, ``.v`` or ``.vhd``.
        shared: modules of ``texts`` that the generator always writes, even if unused.

    Returns:
        names of the files, each module after those that it uses.

    Raises:
        HwnasError: the top module does not look as expected (another version of the generator).
    """
    own = {name: text for name, text in texts.items() if name not in shared}
    used = [name for name in shared if name in texts and any(_names(name, text) for text in own.values())]
    order = [*used, *(name for name in own if name != top), top]
    new = {name: f"{design.hardware_name}_{'core' if name == top else name}" for name in order}
    others = sorted((name for name in order if name != top), key=len, reverse=True)
    known = re.compile(rf"\b({'|'.join(map(re.escape, others))})\b")
    folder.mkdir(parents=True, exist_ok=True)
    for name in order:
        text = known.sub(lambda found: new[found[1]], texts[name]) if len(order) > 1 else texts[name]
        if name == top:
            text = re.sub(rf"\b(module|entity|of) {re.escape(top)}\b", rf"\1 {new[top]}", text)
            text = _with_enable(text, new[top], suffix)
        (folder / f"{new[name]}{suffix}").write_text(text)
    return [f"{new[name]}{suffix}" for name in order]


def _names(module: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(module)}\b", text) is not None


def _with_enable(text: str, top: str, suffix: str) -> str:
    for pattern, replacement in _HEADS[suffix]:
        text, count = re.subn(pattern.format(top=top), replacement.format(top=top), text)
        if count != 1:
            raise HwnasError(
                f"the generator's top module holds {count} times {pattern!r}, expected once: "
                "its version is not one that hwnas-hls knows"
            )
    return text


def circuit_hash(folder: Path) -> str:
    """SHA-256 of a folder of Verilog sources, AMD's cells included.

    The hash of the lines that ``find . -name '*.v' | LC_ALL=C sort | xargs sha256sum`` prints there.
    """
    places = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.v"))
    lines = [f"{hashlib.sha256((folder / place).read_bytes()).hexdigest()}  ./{place}\n" for place in places]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
