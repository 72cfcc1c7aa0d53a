"""Open synthesis, the parts that need no tool: ports, counts, netlists, streams, children, cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import expect_mentioned, raises_naming, refused

from hwnas_hls.errors import ErrorKind, HwnasError, ReportError, Unsupported
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenSynthesizer
from hwnas_hls_plugins.synthesizers.open_synthesis.config import OpenConfig
from hwnas_hls_plugins.synthesizers.open_synthesis.counts import Counts
from hwnas_hls_plugins.synthesizers.open_synthesis.estimates import vivado_lut
from hwnas_hls_plugins.synthesizers.open_synthesis.netlist import Netlist
from hwnas_hls_plugins.synthesizers.open_synthesis.ports import Element, Port, from_words, to_words
from hwnas_hls_plugins.synthesizers.open_synthesis.process import (
    Deadline,
    TimeLimitError,
    ToolFailureError,
    run,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.result_cache import ResultCache
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import check
from hwnas_hls_plugins.synthesizers.open_synthesis.streaming import observe, random_inputs, streams
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import latency_cutoff, period


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=9),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_values_survive_the_way_through_a_port(rows: list[tuple[int, int, int]], seed: int) -> None:
    port = Port.of(rows)
    rng = np.random.default_rng(seed)
    columns = []
    for element in port.elements:
        low = -(1 << (element.width - 1)) if element.sign else 0
        high = (1 << (element.width - element.sign)) - 1 if element.width else 0
        # On the common grid of 5 fractional bits.
        columns.append(rng.integers(low, high, 7, endpoint=True) << (5 - element.fraction))
    values = np.stack(columns, axis=1)
    bits = port.bits(values, 5)
    assert bits.shape == (7, port.width)
    assert np.array_equal(port.values(from_words(to_words(bits), port.width), 5), values)


def test_element_zero_lies_in_the_least_significant_bits() -> None:
    port = Port((Element(0, 2, 0), Element(1, 2, 0)))
    assert port.bits(np.array([[2, -1]]), 0).tolist() == [[0, 1, 1, 1, 1]]


def test_cells_become_resources() -> None:
    cells = {"LUT2": 5, "LUT6": 2, "INV": 3, "SRL16E": 1, "FDRE": 7, "FDSE": 1, "CARRY4": 2, "DSP48E2": 4}
    counts = Counts.of({**cells, "RAMB36E2": 1, "RAMB18E2": 1, "MUXF7": 2, "$scopeinfo": 9})
    assert (counts.lut_low, counts.lut_high) == (8, 11)
    assert (counts.ff, counts.dsp, counts.carry_bits, counts.bram_18k, counts.wide_mux) == (8, 4, 8, 3, 2)


def test_an_unmapped_cell_is_no_resource() -> None:
    with refused(ErrorKind.UNREADABLE_REPORT, ReportError, mentions=["$mul", 1]):
        Counts.of({"LUT2": 1, "$mul": 1})


def test_half_written_statistics_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "statistics.json"
    path.write_text('{"design": {"num_cells_by_type": {"LUT2"')
    with refused(ErrorKind.WRONG_FORMAT, ReportError, mentions=[path]):
        Counts.read(path)


def _netlist(tmp_path: Path) -> Netlist:
    """out[0..3] = a + b a clock later; out[4] = a[0] four clocks later; out[5] = not a[1], set by b[3]."""
    a, b, total = [2, 3, 4, 5], [6, 7, 8, 9], [20, 21, 22, 23]
    half = [30, 31, 32, 33]
    cells = {
        f"xor{place}": {
            "type": "LUT2",
            "parameters": {"INIT": "0110"},
            "connections": {"I0": [a[place]], "I1": [b[place]], "O": [half[place]]},
        }
        for place in range(4)
    }
    cells["carry"] = {
        "type": "CARRY4",
        "parameters": {},
        "connections": {"CI": ["0"], "CYINIT": ["0"], "DI": a, "S": half, "O": total, "CO": [40, 41, 42, 43]},
    }
    cells["inverter"] = {"type": "INV", "parameters": {}, "connections": {"I": [3], "O": [44]}}
    register = {"IS_C_INVERTED": "0"}
    for place in range(4):
        wires = {"D": [total[place]], "Q": [50 + place], "CE": ["1"], "R": ["0"], "C": [60]}
        cells[f"ff{place}"] = {"type": "FDRE", "parameters": register, "connections": wires}
    cells["delay"] = {
        "type": "SRL16E",
        "parameters": {},
        "connections": {"D": [2], "Q": [54], "CE": ["1"], "A0": ["1"], "A1": ["1"], "A2": ["0"], "A3": ["0"]},
    }
    wires = {"D": [44], "Q": [55], "CE": ["1"], "S": [9], "C": [60]}
    cells["set"] = {"type": "FDSE", "parameters": {}, "connections": wires}
    ports = {"clk": {"bits": [60]}, "model_inp": {"bits": a + b}, "model_out": {"bits": list(range(50, 56))}}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"m": {"ports": ports, "cells": cells}}}))
    return Netlist(path, "m")


def test_netlist_of_every_kind_of_cell(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    streams_in = rng.integers(0, 2, (70, 12, 8)).astype(np.uint8)  # more streams than one word has bits
    out = _netlist(tmp_path).simulate(streams_in, Deadline.after(60))
    a = (streams_in[..., :4] << np.arange(4)).sum(-1)
    b = (streams_in[..., 4:] << np.arange(4)).sum(-1)
    assert np.array_equal((out[..., :4] << np.arange(4)).sum(-1), (a + b) & 15)
    assert np.array_equal(out[:, 3:, 4], streams_in[:, :-3, 0])
    assert np.array_equal(out[..., 5], (1 - streams_in[..., 1]) | streams_in[..., 7])


def test_netlist_stops_at_its_deadline(tmp_path: Path) -> None:
    with refused(ErrorKind.TIME_LIMIT, TimeLimitError, mentions=["netlist", "0 s"]):
        _netlist(tmp_path).simulate(np.zeros((1, 3, 8), np.uint8), Deadline.after(0))


@pytest.mark.parametrize("kind", ["DSP48E2", "RAMB18E2", "LUT7"])
def test_netlist_refuses_what_it_does_not_simulate(tmp_path: Path, kind: str) -> None:
    cells = {"x": {"type": kind, "parameters": {}, "connections": {}}}
    ports = {"model_inp": {"bits": [2]}, "model_out": {"bits": ["0"]}}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"m": {"ports": ports, "cells": cells}}}))
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=[kind]):
        Netlist(path, "m")


def test_netlist_refuses_an_output_without_a_register(tmp_path: Path) -> None:
    cells = {"x": {"type": "INV", "parameters": {}, "connections": {"I": [2], "O": [3]}}}
    ports = {"model_inp": {"bits": [2]}, "model_out": {"bits": [3]}}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"m": {"ports": ports, "cells": cells}}}))
    with refused(ErrorKind.INVALID, Unsupported):
        Netlist(path, "m")


def test_latency_is_the_shift_that_fits() -> None:
    expected = np.random.default_rng(0).integers(0, 100, (3, 20, 2))
    outputs = np.concatenate([np.full((3, 4, 2), -1), expected, np.full((3, 5, 2), -1)], axis=1)
    seen = observe(outputs, expected)
    assert (seen.latency_cycles, seen.shifts, seen.mismatches) == (4, (4,), (0, 60))
    outputs[1, 10, 0] += 1
    assert observe(outputs, expected).mismatches == (1, 60)


def test_constant_outputs_show_no_latency() -> None:
    seen = observe(np.zeros((1, 9, 2), int), np.zeros((1, 5, 2), int))
    assert seen.latency_cycles is None
    assert seen.shifts == (0, 1, 2, 3, 4)


@given(st.integers(2, 300), st.integers(1, 200), st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_streams_hold_every_row(rows: int, count: int, extra: int) -> None:
    values = np.arange(2 * rows).reshape(rows, 2)
    stream, length = streams(values, count, extra)
    assert len(stream) <= count
    assert stream.shape[1] == length + extra
    assert np.array_equal(stream[:, :length].reshape(-1, 2)[:rows], values)


def test_random_inputs_are_the_same_every_time_and_reach_both_ends() -> None:
    layer = Dense(3, 1, "linear", FixedType(4, 1), None)
    architecture = Architecture(FixedType(6, 3), (layer,))
    values = random_inputs(architecture, 500, 0)
    assert np.array_equal(values, random_inputs(architecture, 500, 0))
    assert not np.array_equal(values, random_inputs(architecture, 500, 1))
    assert (values.min(), values.max()) == (-32, 31)
    assert len(np.unique(values)) == 64


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


_SPAWN = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open('pids', 'w').write(str(child.pid)); time.sleep(float(sys.argv[1]))\n"
)


@pytest.mark.parametrize(("sleep_s", "limit_s"), [("600", 2.0), ("0", 60.0)])
def test_a_whole_process_group_dies(tmp_path: Path, sleep_s: str, limit_s: float) -> None:
    def start() -> None:
        arguments = [sys.executable, "-c", _SPAWN, sleep_s]
        run(arguments, folder=tmp_path, log=tmp_path / "log", deadline=Deadline.after(limit_s))

    if sleep_s == "0":
        start()  # ended in time, but left a child behind
    else:
        with refused(ErrorKind.TIME_LIMIT, TimeLimitError, mentions=["2 s", tmp_path / "log"]):
            start()
    pid = int((tmp_path / "pids").read_text())
    for _ in range(100):
        if not _alive(pid):
            break
        time.sleep(0.05)
    assert not _alive(pid)


_THREAD = """
import sys, threading
from pathlib import Path
from typing import Any
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, run
folder = Path(sys.argv[1])
code = "import os, time; open('pids', 'w').write(str(os.getpid())); time.sleep(600)"
arguments = [sys.executable, '-c', code]
keywords = {'folder': folder, 'log': folder / 'log', 'deadline': Deadline.after(600)}
threading.Thread(target=run, args=(arguments,), kwargs=keywords).start()
while not (folder / 'pids').exists() or not (folder / 'pids').read_text():
    pass
"""


def test_ending_program_stops_threads_programs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _THREAD, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    expect_mentioned(done.stderr, ["ToolFailureError"])
    assert not _alive(int((tmp_path / "pids").read_text()))


_PARENT = """
import os, subprocess, sys, time
code = (
    "import time; from hwnas_hls_plugins.synthesizers.open_synthesis.process import die_with_parent; "
    "die_with_parent(); print('ready', flush=True); time.sleep(600)"
)
child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_a_child_dies_with_its_killed_parent() -> None:
    done = subprocess.run([sys.executable, "-c", _PARENT], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    for _ in range(100):
        if not _alive(pid):
            break
        time.sleep(0.05)
    assert not _alive(pid)


def test_a_failure_quotes_the_first_error(tmp_path: Path) -> None:
    code = "import sys; print('fine'); print('ERROR: no such module'); print('ERROR: more'); sys.exit(3)"
    with refused(ErrorKind.TOOL_FAILED, ToolFailureError, mentions=[3, "ERROR: no such module"]):
        run(
            [sys.executable, "-c", code],
            folder=tmp_path,
            log=tmp_path / "log",
            deadline=Deadline.after(60),
        )


@pytest.mark.parametrize("damaged", [False, True])
def test_the_first_writer_of_a_result_stays(tmp_path: Path, damaged: bool) -> None:
    start = threading.Barrier(12)

    def write(cache: ResultCache, number: int) -> dict[str, Any] | None:
        work = cache.work_folder()
        (work / "rtl").mkdir()
        start.wait()
        return cache.read(cache.keep("key", work, {"number": number}).name)

    for turn in range(20):
        cache = ResultCache(tmp_path / str(turn))
        if damaged:
            cache.keep("key", cache.work_folder(), {"number": -1})
            (cache.folder("key") / "result.json").write_text('{"number"')
        with ThreadPoolExecutor(12) as pool:
            seen = list(pool.map(write, [cache] * 12, range(12)))
        assert cache.read("key") in [{"number": number} for number in range(12)]
        assert [path.name for path in cache.root.iterdir()] == ["key"]
        # Where no entry is damaged, none is replaced, and every writer finds the same one.
        assert damaged or seen == [cache.read("key")] * 12


def test_damaged_cache_entry_is_ignored_and_replaced(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    cache.keep("key", cache.work_folder(), {"number": 1})
    (cache.folder("key") / "result.json").write_text('{"number"')
    assert cache.read("key") is None
    cache.keep("key", cache.work_folder(), {"number": 2})
    assert cache.read("key") == {"number": 2}


def test_an_unwritable_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused(ErrorKind.NOT_ACCESSIBLE, HwnasError, mentions=[tmp_path / "file"]):
        ResultCache(tmp_path / "file").work_folder()


def test_the_cutoff_follows_the_clock() -> None:
    assert [latency_cutoff(clock_ns, 10_000) for clock_ns in (0.5, 2.0, 2.6, 5.0, 20.0)] == [1, 1, 2, 5, 5]
    chosen = latency_cutoff(3.5, 20_000)
    slower = period(chosen + 1, 20_000, "ultrascale+")
    fits = period(chosen, 20_000, "ultrascale+")
    assert fits is not None
    assert slower is not None
    assert fits.value_ns <= 3.5 < slower.value_ns
    assert fits.in_domain
    assert not period(6, 900, "ultrascale+").in_domain  # type: ignore[union-attr]
    assert period(5, 10_000, "7series") is None


def test_the_correction_to_vivado_holds_for_the_networks_it_rests_on() -> None:
    # Published post-route LUTs, Yosys' count of the same networks (docs/open-synthesis.md).
    for published, counted in ((12_250, 12_736), (10_921, 11_122), (5_974, 6_358)):
        value, low, high = vivado_lut(counted)
        assert low <= published * 1.005 <= high * 1.01
        assert value == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize(
    ("change", "kind", "named"),
    [
        ({"activation": "softmax"}, ErrorKind.UNSUPPORTED, "softmax"),
        ({"result": FixedType(6, 2, True, "RND_CONV", "SAT")}, ErrorKind.UNSUPPORTED, "RND_CONV"),
        ({"result": FixedType(6, 2, True, "RND", "SAT_ZERO")}, ErrorKind.UNSUPPORTED, "SAT_ZERO"),
        ({"accum": FixedType(8, 6)}, ErrorKind.INEXACT, "ap_fixed<8,6>"),
    ],
)
def test_unbuildable_layer_is_refused_with_reason(
    change: dict[str, object], kind: ErrorKind, named: str
) -> None:
    settings_ = {"activation": "linear", "weight": FixedType(6, 1), "bias": None, **change}
    layer = Dense(2, 1, **settings_)  # type: ignore[arg-type]
    design = Design(Architecture(FixedType(6, 3), (layer,)), (np.array([[1], [2]]),), (None,))
    with refused(kind, Unsupported, mentions=[named]):
        check(design)
    # What the weights do not decide is known before the search.
    assert (named in OpenSynthesizer().unbuilt(design.architecture)) == ("accum" not in change)


@pytest.mark.parametrize(
    "wrong", [{"rows": 1}, {"latency_cutoff": 0}, {"simulator": "vcs"}, {"time_limit_s": 0.0}]
)
def test_a_wrong_setting_names_itself(wrong: dict[str, object]) -> None:
    with raises_naming(next(iter(wrong))):
        OpenConfig(**wrong)  # type: ignore[arg-type]


_HIDDEN = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('alkaid', 'da4ml', 'pyosys'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
from pathlib import Path
from typing import Any
import numpy as np
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.errors import ToolMissing
from hwnas_hls.network.precision import FixedType
from hwnas_hls.resources import data_folder
from hwnas_hls.protocols.target import find_target
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenMultiplierSynthesizer, OpenSynthesizer
target = find_target('xcvu9p', [data_folder('hw_targets')])
layer = Dense(1, 1, 'linear', FixedType(6, 1), None)
design = Design(Architecture(FixedType(6, 3), (layer,)), (np.array([[3]]),), (None,))
for kind in (OpenSynthesizer, OpenMultiplierSynthesizer):
    print(kind().available(target))
    try:
        kind().synthesize(design, target)
    except ToolMissing as error:
        print(error)
loaded = [name for name in ('torch', 'hls4ml', 'alkaid', 'da4ml', 'pyosys') if name in sys.modules]
assert not loaded, loaded
"""


def test_without_the_tools_it_imports_and_names_what_to_install(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    environment.pop("CXX", None)
    done = subprocess.run(
        [sys.executable, "-c", _HIDDEN], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    open_, open_error, multiplier, multiplier_error = done.stdout.splitlines()
    assert "pyosys" in open_
    assert "da4ml" in open_
    assert "hwnas-hls[open]" in open_
    assert "C++" not in open_  # the netlist simulator needs no compiler
    assert "da4ml" not in multiplier
    assert "C++ compiler" in multiplier
    assert open_ in open_error
    assert multiplier in multiplier_error
