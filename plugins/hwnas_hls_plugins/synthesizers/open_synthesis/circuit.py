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
BUILDER = "3"
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


_WORD = re.compile(r"\w+")
#: Modules and entities where they are defined, not where they are used.
_DEFINED = re.compile(r"^\s*(?:module|entity)\s+(\w+)", re.MULTILINE)


def top_of(design: Design) -> str:
    """The module of the circuit itself: registers and logic, no valid pipeline."""
    return f"{design.hardware_name}{CORE}"


def assemble(
    texts: Mapping[str, str], folder: Path, design: Design, *, top: str, suffix: str, shared: Sequence[str]
) -> list[str]:
    """Write a generator's modules, renamed for a design, without unused shared modules.

    Args:
        texts: file without suffix -> its source; the file ``top`` holds the module of that name.
        folder: receives the files, under names of the design.
        suffix: of the files, ``.v`` or ``.vhd``.
        shared: modules of ``texts`` that the generator always writes, even if unused.

    Returns:
        names of the files, each one after those whose modules it uses.

    Raises:
        HwnasError: the top module does not look as expected (another version of the generator).
    """
    words = {name: set(_WORD.findall(text)) for name, text in texts.items()}
    own = [name for name in texts if name not in shared]
    used = [name for name in shared if name in texts and any(name in words[other] for other in own)]
    # A file may define several modules: alkaid writes all tables into one.
    defined = {name: {name, *_DEFINED.findall(texts[name])} for name in (*used, *own)}
    order = _ordered(defined, words, top)
    new = {module: f"{design.hardware_name}_{module}" for modules in defined.values() for module in modules}
    del new[top]
    files = {**new, top: top_of(design)}
    folder.mkdir(parents=True, exist_ok=True)
    for name in order:
        text = _WORD.sub(lambda found: new.get(found[0], found[0]), texts[name])
        if name == top:
            text = re.sub(rf"\b(module|entity|of) {re.escape(top)}\b", rf"\1 {files[top]}", text)
            text = _with_enable(text, files[top], suffix)
        (folder / f"{files[name]}{suffix}").write_text(text)
    return [f"{files[name]}{suffix}" for name in order]


def _ordered(defined: Mapping[str, set[str]], words: Mapping[str, set[str]], top: str) -> list[str]:
    """The files, each after those whose modules it names; otherwise in the given order."""
    order: dict[str, None] = {}
    begun: set[str] = set()

    def place(name: str) -> None:
        if name in begun:
            return
        begun.add(name)
        for other in defined:
            if other != top and defined[other] & words[name]:
                place(other)
        order[name] = None

    for name in (*(name for name in defined if name != top), top):
        place(name)
    return list(order)


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
