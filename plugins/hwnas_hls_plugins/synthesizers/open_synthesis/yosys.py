"""Lists of Yosys passes, run in a child process.

Two vendors' families: ``synth_xilinx`` for AMD's, ``synth_lattice`` for ECP5.

``python -m hwnas_hls_plugins.synthesizers.open_synthesis.yosys SCRIPT``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hwnas_hls_plugins.synthesizers.open_synthesis.process import die_with_parent

#: Family of a target -> its name in Yosys.
FAMILIES = {"7series": "xc7", "ultrascale": "xcu", "ultrascale+": "xcup", "ecp5": "ecp5"}
#: The family of Lattice's parts: its name in targets, and in Yosys.
ECP5 = "ecp5"
#: ECP5: sums of at most this many bits become LUTs, wider ones carry chains. A chain takes two LUTs per two
#: bits, and two more at the output of its last carry, so short sums are smaller and faster as LUTs. Of 4, 5,
#: 7, 8, 9 and no limit, 9 gave the highest routed Fmax (docs/ecp5.md).
SHORT_SUM_BITS = 9

#: Changes whenever the counts of the same RTL may change.
FLOW = "2"


def _read(sources: Sequence[str], top: str) -> list[str]:
    # Names are relative to the working folder, so no quoting is needed.
    return [f"read_verilog -sv {' '.join(sources)}", f"hierarchy -check -top {top}"]


def simulation_passes(sources: Sequence[str], top: str, output: str) -> list[str]:
    """Passes that write the RTL as a C++ class (CXXRTL) into ``output`` and its header."""
    return [
        *_read(sources, top),
        "proc",
        "flatten",
        "opt_clean",
        f"write_cxxrtl -O6 -g0 -header {output}",
    ]


def synthesis_passes(
    sources: Sequence[str], top: str, family: str, *, adders: str | None, netlist: str, statistics: str
) -> list[str]:
    """Passes that map the RTL onto a family's cells and count them.

    Args:
        sources, top: as for :func:`simulation_passes`.
        family: Yosys' name, one of the values of :data:`FAMILIES`.
        adders: pattern of the modules whose sums become carry chains one by one before the
            hierarchy is flattened; ``None`` for all modules. Afterwards Yosys would merge
            chains of two-input adders into carry-save trees, which take 3 LUTs per bit, not 2.
        netlist: JSON netlist to write.
        statistics: JSON statistics to write.
    """
    if family == ECP5:
        return _ecp5_passes(sources, top, adders=adders, netlist=netlist, statistics=statistics)
    synth = f"synth_xilinx -family {family} -top {top} -noiopad -noclkbuf -flatten"
    return [
        # Only the necessary libraries: reading those of block RAMs takes four of five seconds.
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        *_before_mapping(sources, top, adders),
        f"{synth} -run prepare:map_memory",
        "select -assert-none t:$mem*",
        f"{synth} -run map_ffram:map_luts",
        # Classic abc: as small as the stock flow's abc9 and seven times as fast.
        "opt_expr -mux_undef -noclkinv",
        "abc -lut 6",
        "clean",
        "xilinx_srl -fixed -minlen 3",
        "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
        "xilinx_dffopt",
        "opt_lut_ins -tech xilinx",
        "clean",
        f"tee -q -o {statistics} stat -json -tech xilinx",
        # The cell library is not part of the netlist, and its processes cannot be written.
        "blackbox =A:whitebox",
        f"write_json {netlist}",
    ]


def _before_mapping(sources: Sequence[str], top: str, adders: str | None) -> list[str]:
    """The passes up to the adders, which both families share."""
    select = "" if adders is None else f" {adders}"
    return [
        *_read(sources, top),
        # alkaid writes functions of few bits as tables. As ROMs they would be memories, which are refused.
        "proc -norom",
        "opt_expr",
        "wreduce",
        "opt_clean",
        f"alumacc{select}",
        "opt_clean",
    ]


def _ecp5_passes(
    sources: Sequence[str], top: str, *, adders: str | None, netlist: str, statistics: str
) -> list[str]:
    """As :func:`synthesis_passes`, for ECP5: LUT4, CCU2C, TRELLIS_FF and MULT18X18D."""
    synth = f"synth_lattice -family {ECP5} -top {top}"
    return [
        "read_verilog -lib -specify +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v",
        *_before_mapping(sources, top, adders),
        f"{synth} -run coarse:map_ram",
        "select -assert-none t:$mem*",
        f"{synth} -run map_ffram:map_gates",
        f"techmap t:$alu r:Y_WIDTH<={SHORT_SUM_BITS} %i",
        "opt -fast",
        f"{synth} -run map_gates:map_luts",
        "opt_expr -mux_undef -noclkinv",
        "abc -lut 4",
        "clean",
        "techmap -map +/lattice/cells_map_trellis.v",
        "opt_lut_ins -tech lattice",
        "clean",
        f"tee -q -o {statistics} stat -json",
        "blackbox =A:whitebox",
        f"write_json {netlist}",
    ]


def main(arguments: list[str]) -> None:
    """Run the passes of a script file."""
    from pyosys import libyosys

    die_with_parent()
    design = libyosys.Design()
    for line in Path(arguments[0]).read_text().splitlines():
        libyosys.run_pass(line, design)


if __name__ == "__main__":
    main(sys.argv[1:])
