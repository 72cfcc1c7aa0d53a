"""Coverage-guided fuzzing of everything that reads a stranger's file, by libFuzzer through atheris.

    pip install atheris
    python benchmarks/robustness/fuzz.py csynth --runs 100000
    python benchmarks/robustness/fuzz.py all --runs 100000 --json counts.json

A parser may refuse (any :class:`hwnas_hls.errors.HwnasError`); whatever else leaves it is a bug,
and so are more than two seconds or 2 GiB for one input. The first inputs are real files that the
project itself writes or its tests hold.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "tests" / "data" / "vendor_reports"


def _of_file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes, Path], Any]:
    """A parser of files that are called ``name``."""

    def parse(data: bytes, folder: Path) -> Any:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return parse


def _spec() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.spec.spec import read_tables, spec_from_tables

    return _of_file("spec.toml", lambda path: spec_from_tables(read_tables(path), str(path)))


def _target() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.protocols.target import read_target

    return _of_file("part.toml", read_target)


def _table() -> Callable[[bytes, Path], Any]:
    from hwnas_hls_plugins.tasks.file_task.csv_table import read_csv

    return _of_file("table.csv", read_csv)


def _npz() -> Callable[[bytes, Path], Any]:
    from hwnas_hls_plugins.tasks.file_task.npz_table import read_npz

    return _of_file("table.npz", read_npz)


def _csynth() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.hls4ml.reports.csynth import read_csynth

    return _of_file("top_csynth.xml", read_csynth)


def _csynth_text() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.hls4ml.reports.csynth import read_csynth

    return _of_file("top_csynth.rpt", read_csynth)


def _cosim() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.hls4ml.reports.cosim import read_cosim

    return _of_file("top_cosim.rpt", read_cosim)


def _utilisation() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.hls4ml.reports.utilisation import read_utilisation

    return _of_file("vivado_synth.rpt", read_utilisation)


def _timing() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.hls4ml.reports.timing import read_timing

    return _of_file("timing.rpt", read_timing)


def _config() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.hls4ml.folder.config import load_config

    return _of_file("hls4ml_config.yml", load_config)


def _firmware() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.hls4ml.folder import cpp

    def parse(data: bytes, folder: Path) -> Any:
        source = cpp.clean(data.decode("utf-8", "replace"))
        text = getattr(source, "text", "")
        for function in cpp.functions(text):
            for statement, _ in cpp.statements(getattr(function, "body", ""), 1):
                cpp.call_of(statement, "")
        return cpp.structs(text), cpp.typedefs(text)

    return parse


def _rows() -> Callable[[bytes, Path], Any]:
    from hwnas_hls_plugins.estimators.hls_model.rows import query_of_row
    from hwnas_hls_plugins.estimators.hls_model.rows_file import read_rows

    return _of_file("rows.csv", lambda path: [query_of_row(row) for row in read_rows(path)])


def _calibration() -> Callable[[bytes, Path], Any]:
    from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration

    return _of_file("calibration.json", read_calibration)


def _design() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.network.design import Design

    weights = _sample_design("weights.npz")

    def parse(data: bytes, folder: Path) -> Any:
        (folder / "weights.npz").write_bytes(weights)
        (folder / "design.json").write_bytes(data)
        return Design.load(folder)

    return parse


def _weights() -> Callable[[bytes, Path], Any]:
    from hwnas_hls.network.design import Design

    description = _sample_design("design.json")

    def parse(data: bytes, folder: Path) -> Any:
        (folder / "design.json").write_bytes(description)
        (folder / "weights.npz").write_bytes(data)
        return Design.load(folder)

    return parse


def _words() -> Callable[[bytes, Path], Any]:
    """What is typed on the command line: types, bounds, times, settings, selection rules."""
    from hwnas_hls.errors import HwnasError
    from hwnas_hls.network.precision import FixedType
    from hwnas_hls.run.selection import parse_rule
    from hwnas_hls.spec.bounds import parse_bound
    from hwnas_hls.spec.quantities import parse_time_ns
    from hwnas_hls.spec.spec import parse_setting

    readers: list[Callable[[str], Any]] = [
        FixedType.parse,
        parse_setting,
        lambda text: parse_bound(text, "--max"),
        lambda text: parse_time_ns(text, "--clock"),
        lambda text: parse_rule(text, "--pick"),
    ]

    def parse(data: bytes, folder: Path) -> None:
        text = data.decode("utf-8", "replace")
        for read in readers:
            try:
                read(text)
            except HwnasError:
                continue

    return parse


def _sample_design(name: str) -> bytes:
    from hwnas_hls.testing import sample_front

    with tempfile.TemporaryDirectory() as scratch:
        sample_front().members[0].design.save(Path(scratch))
        return (Path(scratch) / name).read_bytes()


def _files(pattern: str) -> list[bytes]:
    found = [path.read_bytes() for path in sorted(REPORTS.rglob(pattern)) if path.stat().st_size < 100_000]
    return found[:20]


def _resolved_spec() -> bytes:
    from hwnas_hls.spec.spec import Spec

    return Spec("xcvu9p", 5.0).to_toml().encode()


def _npz_sample() -> bytes:
    import io

    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, X=np.ones((4, 2)), y=np.array([0, 1, 0, 1]))
    return buffer.getvalue()


_SPEC = (
    b'[target]\nname = "xcvu9p"\n[run]\ntrials = 10\n[limits.max]\nlut = 1e4\n'
    b'[strategy]\nname = "random"\n[estimators.training]\nepochs = 5\n'
)
_ROW = b'layers,precision,reuse_factor,strategy,part\n16-32-5,"ap_fixed<8,3>",1,Latency,xcvu9p\n'
_FIRMWARE = (
    b"struct config2 : nnet::dense_config {\n static const unsigned n_in = 16; // inputs\n"
    b" typedef ap_fixed<16,6> accum_t;\n};\nvoid top(input_t x[16], result_t y[5]) {\n"
    b" nnet::dense<input_t, layer2_t, config2>(x, layer2_out, w2, b2); // fc1\n}\n"
)
#: name -> (what makes the parser, first inputs)
PARSERS: dict[str, tuple[Callable[[], Callable[[bytes, Path], Any]], Callable[[], list[bytes]]]] = {
    "spec": (_spec, lambda: [_SPEC, _resolved_spec()]),
    "target": (_target, lambda: [path.read_bytes() for path in sorted((ROOT / "hw_targets").glob("*.toml"))]),
    "table": (
        _table,
        lambda: [b"a,b,label\n1,2.5,x\n3,-1e9,y\n", b"1;2\n3;4\n", "\ufeffa\tb\n".encode("utf-16")],
    ),
    "npz": (_npz, lambda: [_npz_sample()]),
    "csynth": (_csynth, lambda: _files("*csynth.xml")),
    "csynth-text": (_csynth_text, lambda: _files("*csynth.rpt")),
    "cosim": (_cosim, lambda: _files("*cosim.rpt")),
    "utilisation": (
        _utilisation,
        lambda: _files("*synth.rpt") + _files("hierarchical.rpt") + _files("*routed.rpt"),
    ),
    "timing": (_timing, lambda: _files("*timing*.rpt")),
    "config": (_config, lambda: [b"HLSConfig:\n  Model:\n    Precision: ap_fixed<16,6>\nPart: xcvu9p\n"]),
    "firmware": (_firmware, lambda: [_FIRMWARE]),
    "rows": (_rows, lambda: [_ROW]),
    "calibration": (
        _calibration,
        lambda: [path.read_bytes() for path in (ROOT / "hw_targets" / "calibration").glob("hls_model.json")],
    ),
    "design": (_design, lambda: [_sample_design("design.json")]),
    "weights": (_weights, lambda: [_sample_design("weights.npz")]),
    "words": (
        _words,
        lambda: [
            b"ap_ufixed<8,3,AP_RND,AP_SAT>",
            b"lut=10k",
            b"1.5us",
            b"run.trials=5",
            b"min lut where accuracy>=0.9",
        ],
    ),
}


def fuzz(name: str, runs: int, corpus: Path, longest: int) -> None:
    """Run libFuzzer over one parser; does not return (libFuzzer ends the process)."""
    import atheris

    make, _ = PARSERS[name]
    with atheris.instrument_imports(include=["hwnas_hls", "hwnas_hls_plugins"]):
        parse = make()
    from hwnas_hls.errors import HwnasError

    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108

    def one(data: bytes) -> None:
        try:
            parse(data, scratch)
        except HwnasError as error:
            str(error)

    options = [
        f"-runs={runs}",
        f"-max_len={longest}",
        "-timeout=2",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={corpus.parent}/", *options], one)
    atheris.Fuzz()


def run(name: str, runs: int, longest: int) -> dict[str, Any]:
    """Fuzz one parser in a process of its own; returns its counts."""
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        first = PARSERS[name][1]()
        for number, data in enumerate(first):
            (corpus / f"first{number}").write_bytes(data)
        begun = time.monotonic()
        inner = [sys.executable, __file__, name, "--runs", str(runs), "--longest", str(longest)]
        done = subprocess.run([*inner, "--corpus", str(corpus)], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
        covered = re.findall(r"cov: (\d+)", said)
        counts = {
            "parser": name,
            "executions": int(executed[1]) if executed else 0,
            "first_inputs": len(first),
            "inputs_kept_for_new_coverage": len(list(corpus.iterdir())) - len(first),
            "edges_covered": int(covered[-1]) if covered else 0,
            "seconds": round(time.monotonic() - begun, 1),
            "bug": "" if done.returncode == 0 else said[-3000:],
        }
        for path in Path(scratch).glob("*-*"):
            if path.is_file():
                kept = Path(tempfile.gettempdir()) / f"fuzz-{name}-{path.name}"
                kept.write_bytes(path.read_bytes())
                counts["input"] = str(kept)
        return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parser", choices=["all", *PARSERS])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--longest", type=int, default=20_000, help="bytes of one input, at most")
    parser.add_argument("--json", type=Path, help="write the counts here")
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.corpus:
        fuzz(arguments.parser, arguments.runs, arguments.corpus, arguments.longest)
    found = []
    for name in PARSERS if arguments.parser == "all" else [arguments.parser]:
        counts = run(name, arguments.runs, arguments.longest)
        found.append(counts)
        print(json.dumps({key: value for key, value in counts.items() if key != "bug"}), flush=True)
        if counts["bug"]:
            print(counts["bug"], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if any(counts["bug"] for counts in found) else 0


if __name__ == "__main__":
    sys.exit(main())
