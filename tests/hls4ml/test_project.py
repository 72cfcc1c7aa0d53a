"""hls4ml projects: what is written, and that it computes what the emulator computes (real g++)."""

from __future__ import annotations

import importlib.util
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from parts import XCVU9P
from refusal import expect_mentioned, refused

from hwnas_hls.errors import ErrorKind, HwnasError, ReportError, ToolMissing, Unsupported
from hwnas_hls.hls4ml.csim import SimulationStopped, simulate
from hwnas_hls.hls4ml.graph import graph_of
from hwnas_hls.hls4ml.project import hls_config, verify, write_project
from hwnas_hls.hls4ml.settings_check import check_project
from hwnas_hls.hls4ml.written import read_written
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.emulator import emulate, input_integers
from hwnas_hls.network.precision import FixedType

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
needs_da4ml = pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")

TARGET = XCVU9P
DA = "distributed_arithmetic"


def layer(n_in, n_out, activation, weight, bias, result, reuse_factor=1, strategy="Latency", accum=None):
    types = [None if text is None else FixedType.parse(text) for text in (weight, bias, accum, result)]
    return Dense(n_in, n_out, activation, *types, reuse_factor, strategy)


def design(layers, *, input="ap_fixed<6,3>", sparsity=0.0, seed=1, io_type="io_parallel", clock_ns=5.0):
    """Random integers over the whole grid of every type; the extremes are there for certain."""
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for each in layers:
        shape = (each.n_in, each.n_out)
        weight = rng.integers(each.weight.lowest, each.weight.highest, shape, endpoint=True)
        weight[rng.random(shape) < sparsity] = 0
        weight.flat[0], weight.flat[-1] = each.weight.lowest, each.weight.highest
        weights.append(weight)
        if each.bias is None:
            biases.append(None)
        else:
            biases.append(rng.integers(each.bias.lowest, each.bias.highest, each.n_out, endpoint=True))
    n_in = layers[0].n_in
    scaling = Preprocessing(rng.normal(size=n_in), rng.uniform(0.5, 2.0, n_in))
    architecture = Architecture(FixedType.parse(input), tuple(layers), clock_ns, io_type)
    return Design(architecture, tuple(weights), tuple(biases), scaling)


def _every_mode(strategy):
    """One layer a rounding mode, with every overflow mode; linear ones, so that negatives are rounded."""
    kinds = (
        "ap_fixed<5,2,AP_TRN,AP_WRAP>",
        "ap_fixed<5,3,AP_TRN_ZERO,AP_WRAP>",
        "ap_fixed<5,2,AP_RND,AP_SAT>",
        "ap_ufixed<5,3,AP_RND_ZERO,AP_SAT>",
        "ap_fixed<5,2,AP_RND_INF,AP_SAT_ZERO>",
        "ap_fixed<5,3,AP_RND_MIN_INF,AP_SAT_SYM>",
        "ap_fixed<6,3,AP_RND_CONV,AP_SAT>",
    )
    layers = [
        layer(6, 6, "relu" if number == 3 else "linear", "ap_fixed<4,1>", "ap_fixed<5,1>", kind, 1, strategy)
        for number, kind in enumerate(kinds)
    ]
    return design(layers, input="ap_fixed<6,2>", seed=3)


DESIGNS = {
    # 2 to 8 bits, biases finer than the products, half of the weights pruned.
    "latency": design(
        [
            layer(16, 20, "relu", "ap_fixed<8,2>", "ap_fixed<12,2>", "ap_ufixed<7,3,AP_RND,AP_SAT>"),
            layer(20, 12, "relu", "ap_fixed<3,1>", "ap_fixed<4,2>", "ap_ufixed<4,2,AP_RND,AP_SAT>"),
            layer(12, 5, "linear", "ap_fixed<2,1>", "ap_fixed<8,1>", None),
        ],
        sparsity=0.5,
    ),
    # Reuse factors below, at and above n_in; no biases; accumulators handed on as they are.
    "resource": design(
        [
            layer(12, 8, "relu", "ap_fixed<5,1>", None, "ap_ufixed<6,2,AP_RND,AP_SAT>", 4, "Resource"),
            layer(8, 6, "relu", "ap_fixed<6,0>", None, None, 8, "Resource"),
            layer(6, 4, "linear", "ap_fixed<4,6>", None, "ap_fixed<9,6,AP_RND_CONV,AP_SAT>", 12, "Resource"),
        ],
        seed=2,
    ),
    "da": design(
        [
            layer(8, 8, "relu", "ap_fixed<5,1>", "ap_fixed<6,2>", "ap_ufixed<5,2,AP_RND,AP_SAT>", 1, DA),
            layer(8, 4, "linear", "ap_fixed<4,1>", None, "ap_fixed<7,3,AP_RND,AP_SAT>", 1, DA),
        ],
        sparsity=0.4,
        seed=4,
    ),
    # Accumulators that cut every product and that wrap.
    "mixed stream": design(
        [
            layer(
                *(8, 8, "relu", "ap_fixed<5,1>", "ap_fixed<6,2>", "ap_ufixed<5,2,AP_RND,AP_SAT>", 3),
                accum="ap_fixed<11,6>",
            ),
            layer(
                *(8, 4, "linear", "ap_fixed<6,2>", "ap_fixed<6,2>", "ap_fixed<9,5>", 2, "Resource"),
                accum="ap_fixed<10,4>",
            ),
        ],
        io_type="io_stream",
        seed=5,
        clock_ns=3.3,
    ),
    "every mode": _every_mode("Latency"),
}


SMALL = design(
    [
        layer(6, 4, "relu", "ap_fixed<5,1>", "ap_fixed<6,2>", "ap_ufixed<6,3,AP_RND,AP_SAT>"),
        layer(4, 3, "linear", "ap_fixed<4,1>", None, "ap_fixed<9,5,AP_RND_CONV,AP_SAT>"),
    ],
    seed=8,
)


def features(made, rows, seed=7):
    return np.random.default_rng(seed).normal(0.0, 2.5, (rows, made.architecture.n_in))


def write(made, folder, **more):
    return write_project(made, TARGET, folder, clock_ns=made.architecture.clock_ns or 5.0, **more)


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    """Every design of the matrix, written and verified, two at a time."""
    folder = tmp_path_factory.mktemp("matrix")
    names = [name for name, made in DESIGNS.items() if name != "da" or importlib.util.find_spec("da4ml")]
    jobs = [(DESIGNS[name], write(DESIGNS[name], folder / name)) for name in names]
    rows = [features(DESIGNS[name], 1500) for name in names]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job, values: verify(*job, values), jobs, rows))
    return folder, dict(zip(names, rows, strict=True)), dict(zip(names, found, strict=True))


@needs_compiler
@pytest.mark.parametrize("name", [pytest.param(n, marks=needs_da4ml if n == "da" else ()) for n in DESIGNS])
def test_c_simulation_is_bit_exact(proofs, name):
    folder, rows, found = proofs
    assert found[name].exact, str(found[name])
    assert found[name].n_rows == 1500
    assert found[name].n_grid_rows == 256
    assert str(found[name]).startswith("bit-exact on 1756 rows")
    # The test is worth something only where the network does not saturate to a constant.
    made = DESIGNS[name]
    assert len(np.unique(emulate(made, input_integers(made, rows[name])), axis=0)) > 300
    assert sorted(path.name for path in (folder / name).glob(".*")) == []


@needs_compiler
def test_our_compilation_gives_what_hls4mls_own_gives(tmp_path):
    """The same firmware through ``build_lib.sh`` and hls4ml's calling convention."""
    import ctypes
    import subprocess

    made = SMALL
    folder = write(made, tmp_path / "p")
    inputs = input_integers(made, features(made, 300))
    ours = simulate(folder, inputs).outputs
    subprocess.run(["bash", "build_lib.sh"], cwd=folder, check=True, capture_output=True)
    (library,) = (folder / "firmware").glob("*.so")
    run = ctypes.CDLL(str(library)).hwnas_double
    out = made.layer_types()[-1][2]
    theirs = np.empty(ours.shape)
    for row, answer in zip(inputs * 2.0**-made.architecture.input.fraction, theirs, strict=True):
        values, result = np.ascontiguousarray(row), np.zeros(len(answer))
        run(ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(result.ctypes.data))
        answer[:] = result
    np.testing.assert_array_equal(theirs * 2.0**out.fraction, ours)


@needs_compiler
def test_a_single_wrong_weight_is_reported_as_not_bit_exact(tmp_path):
    made = SMALL
    folder = write(made, tmp_path / "p")
    path = folder / "firmware" / "weights" / "w4.txt"
    values = path.read_text().split(",")
    values[5] = "0.125" if float(values[5]) != 0.125 else "0.25"
    path.write_text(",".join(values))
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["w4.txt", "value 5", values[5]]):
        check_project(graph_of(made), TARGET, folder, 5.0, "Vitis", "changed")
    found = verify(made, folder, features(made, 50))
    assert not found.exact
    assert found.n_different > 0
    row, output, emulated, simulated = found.first
    assert emulated != simulated
    assert found.failure_kind is None
    expect_mentioned(found, [found.n_different, row, output, emulated, simulated])


@needs_compiler
def test_a_project_that_does_not_compile_is_a_failure_with_its_log(tmp_path):
    made = SMALL
    folder = write(made, tmp_path / "p")
    with (folder / "firmware" / "hwnas.cpp").open("a") as file:
        file.write("\nthis is not C++;\n")
    found = verify(made, folder, features(made, 5))
    assert not found.exact
    assert found.failure_kind is ErrorKind.TOOL_FAILED
    assert found.failure.startswith("g++ ")
    assert "error" in found.log.read_text()


@needs_compiler
def test_a_crash_of_the_program_is_a_failure(tmp_path):
    made = SMALL
    folder = write(made, tmp_path / "p")
    bridge = folder / "hwnas_bridge.cpp"
    bridge.write_text(bridge.read_text().replace("void hwnas_double(", "void hwnas_dbl(", 1))
    with bridge.open("a") as file:
        file.write('\nextern "C" void hwnas_double(double *, double *) { __builtin_trap(); }\n')
    found = verify(made, folder, features(made, 5), optimisation="-O0")
    assert found.failure_kind is ErrorKind.CRASHED
    assert found.failure.startswith("driver ")
    assert [path.name for path in folder.glob(".*")] == []


def test_written_project_matches_design(tmp_path):
    made = DESIGNS["resource"]
    firmware = read_written(write(made, tmp_path / "p"))
    assert (firmware.part, firmware.clock_ns, firmware.backend) == (TARGET.part, 5.0, "vitis")
    assert firmware.pipeline_style == "dataflow"
    dense = [each for each in firmware.layers if each.kind == "dense"]
    assert [each.reuse_factor for each in dense] == [4, 8, 12]
    assert {each.strategy for each in dense} == {"resource"}
    assert [each.accum for each in dense] == [accum for _, accum, _ in made.layer_types()]
    assert [each.weight for each in dense] == [each.weight for each in made.architecture.layers]
    assert firmware.output == FixedType.parse("ap_fixed<9,6,AP_RND_CONV,AP_SAT>")


def test_the_project_can_be_moved_and_holds_nothing_of_this_machine(tmp_path):
    folder = write(SMALL, tmp_path / "somewhere" / "p")
    texts = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert not [path for path, text in texts.items() if str(tmp_path) in text or "/home/" in text]
    assert "!!python" not in texts[folder / "hls4ml_config.yml"]
    again = write(SMALL, tmp_path / "else" / "p")
    assert {path.relative_to(again): path.read_text() for path in again.rglob("*") if path.is_file()} == {
        path.relative_to(folder): text for path, text in texts.items()
    }
    assert [path.name for path in folder.parent.iterdir()] == ["p"]


def test_test_vectors_for_the_vendors_tools(tmp_path):
    made = DESIGNS["latency"]
    inputs = input_integers(made, features(made, 20))
    folder = write(made, tmp_path / "p", test_inputs=inputs)
    given = np.loadtxt(folder / "tb_data" / "tb_input_features.dat")
    wanted = np.loadtxt(folder / "tb_data" / "tb_output_predictions.dat")
    np.testing.assert_array_equal(given * 2.0**3, inputs)
    np.testing.assert_array_equal(wanted * 2.0 ** made.layer_types()[-1][2].fraction, emulate(made, inputs))


def test_only_hls4ml_output_goes_to_its_log(tmp_path, capsys):
    done = threading.Event()
    others = []

    def convert():
        try:
            others.append(write(SMALL, tmp_path / "p", name="trigger", backend="Vivado"))
        finally:
            done.set()

    worker = threading.Thread(target=convert)
    worker.start()
    lines = 0
    while not done.wait(0.001):
        print("progress")  # noqa: T201
        lines += 1
    worker.join()
    log = (others[0] / "hls4ml.log").read_text()
    assert "Topology" in log
    assert "progress" not in log
    printed = capsys.readouterr().out
    assert "Topology" not in printed
    assert printed.count("progress") == lines > 0
    firmware = read_written(others[0])
    assert (firmware.name, firmware.backend) == ("trigger", "vivado")


def test_an_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "p"):
        with refused(ErrorKind.NOT_ACCESSIBLE, HwnasError, mentions=[folder]):
            write(SMALL, folder)


def test_illegal_reuse_factor_is_refused(tmp_path):
    made = design([layer(6, 4, "linear", "ap_fixed<4,1>", None, None, 5, "Resource")])
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["reuse factor", "layer 0", 6, 5]):
        write(made, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_hls4ml_losing_a_setting_is_found(tmp_path, monkeypatch):
    """As where a layer's name is misspelt: hls4ml then takes a default and says nothing."""
    import hwnas_hls.hls4ml.project as project

    real = project.hls_config

    def misspelt(made):
        config = real(made)
        config["LayerName"]["_00"] = config["LayerName"].pop("_0")
        return config

    monkeypatch.setattr(project, "hls_config", misspelt)
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["firmware/defines.h"]):
        write(DESIGNS["latency"], tmp_path / "p")


def test_another_part_or_clock_is_found(tmp_path):
    made = SMALL
    folder = write(made, tmp_path / "p")
    check_project(graph_of(made), TARGET, folder, 5.0, "Vitis", "changed")
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["project.tcl", "clock period", "5.0", "4.0"]):
        check_project(graph_of(made), TARGET, folder, 4.0, "Vitis", "changed")
    tcl = folder / "project.tcl"
    tcl.write_text(tcl.read_text().replace("xcvu9p-flga2104-2L-e", "xcvu13p-flga2577-2-e"))
    with refused(
        ErrorKind.MISMATCH, HwnasError, mentions=["project.tcl", "xcvu13p-flga2577-2-e", TARGET.part]
    ):
        check_project(graph_of(made), TARGET, folder, 5.0, "Vitis", "changed")
    tcl.unlink()
    with refused(ErrorKind.NOT_ACCESSIBLE, ReportError, mentions=[tcl]):
        read_written(folder)


def test_amendments(tmp_path):
    made = SMALL
    seen = {}

    def amend(files):
        seen.update(files)
        files["notes/read.me"] = "by a plugin\n"
        files["build_opt.tcl"] += "# amended\n"

    folder = write(made, tmp_path / "p", amend=amend)
    assert {"project.tcl", "firmware/defines.h", "firmware/weights/w2.txt"} <= seen.keys()
    assert (folder / "notes" / "read.me").read_text() == "by a plugin\n"
    assert (folder / "build_opt.tcl").read_text().endswith("# amended\n")


@pytest.mark.parametrize("path", ["/tmp/x", "../x", "firmware/../../x", "a\\..\\x"])
def test_an_amendment_stays_inside_the_project(tmp_path, path):
    with refused(ErrorKind.PLUGIN_FAULT, HwnasError, mentions=[repr(path)]):
        write(SMALL, tmp_path / "p", amend=lambda files: files.update({path: "x"}))
    assert list(tmp_path.iterdir()) == []


def test_an_amendment_does_not_change_the_design(tmp_path):
    def slower(files):
        files["project.tcl"] = files["project.tcl"].replace("set clock_period 5", "set clock_period 10")

    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["plugin", "clock period", "10.0"]):
        write(SMALL, tmp_path / "p", amend=slower)


def test_an_older_project_is_replaced_and_other_folders_are_kept(tmp_path):
    made = SMALL
    folder = write(made, tmp_path / "p")
    (folder / "old.txt").write_text("x")
    (tmp_path / ".p-unfinished-killed" / "project").mkdir(parents=True)
    write(made, folder)
    assert not (folder / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter1.tex").write_text("x")
    with refused(ErrorKind.TAKEN, HwnasError, mentions=[other]):
        write(made, other)
    assert (other / "chapter1.tex").exists()


def test_tables_are_refused():
    made = design([layer(4, 3, "softmax", "ap_fixed<4,1>", None, "ap_fixed<8,2>")])
    with refused(ErrorKind.INEXACT, Unsupported, mentions=["softmax"]):
        hls_config(graph_of(made))


def test_names_backends_and_clocks_are_checked(tmp_path):
    made = SMALL
    for more, kind in [
        ({"name": "main"}, ErrorKind.INVALID),
        ({"name": "a b"}, ErrorKind.INVALID),
        ({"backend": "Quartus"}, ErrorKind.UNSUPPORTED),
    ]:
        with refused(kind, HwnasError, mentions=more.values()):
            write(made, tmp_path / "p", **more)
    with refused(ErrorKind.INVALID, HwnasError, mentions=["clock", "0.0 ns"]):
        write_project(made, TARGET, tmp_path / "p", clock_ns=0.0)


def test_no_compiler_is_a_missing_tool(tmp_path, monkeypatch):
    made = SMALL
    folder = write(made, tmp_path / "p")
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["g++"]):
        verify(made, folder, features(made, 2))


def test_no_da4ml_is_a_missing_tool(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "da4ml", None)
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["da4ml"]):
        write(DESIGNS["da"], tmp_path / "p")


@pytest.fixture
def slow_compiler(tmp_path, monkeypatch):
    """A g++ that starts a child and sleeps; tells the child's process number in a file."""
    tools = tmp_path / "tools"
    tools.mkdir()
    pid_file = tmp_path / "child"
    script = tools / "g++"
    script.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {pid_file}\nwait\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return pid_file


def _gone(pid_file):
    """Whether the child is gone; a killed process may take a moment on a busy machine."""
    stat = Path("/proc") / pid_file.read_text().strip() / "stat"
    for _ in range(200):
        try:
            if stat.read_text().split()[2] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_a_timeout_ends_the_whole_process_group(tmp_path, slow_compiler):
    made = SMALL
    folder = write(made, tmp_path / "p")
    found = verify(made, folder, features(made, 2), timeout_s=3.0)
    assert found.failure_kind is ErrorKind.TIME_LIMIT
    assert "3 s" in found.failure
    assert _gone(slow_compiler)
    assert [path.name for path in folder.glob(".*")] == []


def test_an_event_ends_a_running_simulation(tmp_path, slow_compiler):
    made, stop = SMALL, threading.Event()
    threading.Timer(1.0, stop.set).start()
    with pytest.raises(SimulationStopped):
        verify(made, write(made, tmp_path / "p"), features(made, 2), timeout_s=60.0, stop=stop)
    assert _gone(slow_compiler)


def test_rows_of_the_wrong_width_and_types_too_wide_are_refused(tmp_path):
    made = SMALL
    folder = write(made, tmp_path / "p")
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=[folder, 6, "(3, 5)"]):
        simulate(folder, np.zeros((3, 5), np.int64))
    defines = folder / "firmware" / "defines.h"
    defines.write_text(
        defines.read_text().replace("ap_fixed<9,5,AP_RND_CONV,AP_SAT,0> result_t", "ap_fixed<60,3> result_t")
    )
    with refused(ErrorKind.INEXACT, HwnasError, mentions=["ap_fixed<60,3>", "53 bits"]):
        simulate(folder, np.zeros((3, 6), np.int64))
