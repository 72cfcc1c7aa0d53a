"""Every parser of the fuzzing benchmark on mangled inputs: whatever is not a refusal with a reason is a bug.

A small case of ``benchmarks/robustness/fuzz.py``, without its search for new coverage.
"""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import pytest
from places import ROOT

from hwnas_hls.errors import HwnasError

SCRIPT = ROOT / "benchmarks" / "robustness" / "fuzz.py"
NAMES = (
    *("spec", "target", "table", "npz", "csynth", "csynth-text", "cosim", "utilisation", "timing"),
    *("config", "firmware", "rows", "calibration", "design", "weights", "words"),
)
PIECES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"-1",
    b"1e999",
    b"nan",
    b"[" * 2000,
    b"<!ENTITY a 'b'>&a;",
    b"'\"\\",
    b"9" * 400,
)


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mangled(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((0, 1, 8, 200)))
        match rng.randrange(4):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + rng.choice(PIECES) + data[end:]
            case 2:
                data = data[:at] + rng.randbytes(rng.randint(1, 12)) + data[end:]
            case _:
                data = data[:end] + data[at:]
    return data[:20_000]


def test_the_list_of_parsers_is_whole(fuzz: ModuleType) -> None:
    assert set(NAMES) == set(fuzz.PARSERS)


@pytest.mark.parametrize("name", NAMES)
def test_mangled_inputs_are_refused_or_read(name: str, fuzz: ModuleType, tmp_path: Path) -> None:
    make, first = fuzz.PARSERS[name]
    parse = make()
    whole = first()
    assert whole, "no first input"
    parse(whole[0], tmp_path)
    rng = random.Random(name)
    refused = 0
    for number in range(60):
        data = mangled(whole[number % len(whole)], rng)
        try:
            parse(data, tmp_path)
        except HwnasError:
            refused += 1
    assert refused or name in ("firmware", "words", "rows", "csynth-text")
