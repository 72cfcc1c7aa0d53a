"""The shipped target files, and how a target is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import ROOT
from refusal import refused

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.target import RESOURCES, Target, find_target, read_target, read_targets
from hwnas_hls.resources import data_folder

FOLDERS = [data_folder("hw_targets")]
TARGETS = read_targets(FOLDERS)
NAMES = {
    *("xcvu9p", "xcvu13p", "xcku115", "xc7z020", "xczu9eg", "xck26", "xcu50"),
    *("xcu55c", "xcu200", "xcu250", "xcu280", "xc7vx690t", "xc7a35t"),
    *("xc7z010", "xc7z007s", "xczu3eg", "xczu7ev", "xczu28dr", "xcku040"),
}

TEXT = """
name = "xcab1"
part = "xcab1-abcd100-1-e"
family = "ultrascale+"
lut = 1000
ff = 2000
dsp = 10
bram_18k = 20
uram = 0
slr = 1
dsp_type = "DSP48E2"
dsp_widths = [27, 18]
clock_ns = 5
sources = ["a table", "a report"]
"""


def test_every_part_that_is_promised_has_a_file() -> None:
    assert set(TARGETS) >= NAMES
    for name, target in TARGETS.items():
        assert read_target(FOLDERS[0] / f"{name}.toml") == target


@pytest.mark.parametrize(
    ("name", "lut", "ff", "dsp", "bram_18k", "uram", "slr"),
    [
        # AMD DS890, DS891, DS190, DS180, DS962, DS963, DS965, DS978, DS987.
        ("xcvu9p", 1_182_240, 2_364_480, 6_840, 4_320, 960, 3),
        ("xcvu13p", 1_728_000, 3_456_000, 12_288, 5_376, 1_280, 4),
        ("xcku115", 663_360, 1_326_720, 5_520, 4_320, 0, 2),
        ("xc7z020", 53_200, 106_400, 220, 280, 0, 1),
        ("xczu9eg", 274_080, 548_160, 2_520, 1_824, 0, 1),
        ("xck26", 117_120, 234_240, 1_248, 288, 64, 1),
        ("xcu50", 871_680, 1_743_360, 5_952, 2_688, 640, 2),
        ("xcu55c", 1_303_680, 2_607_360, 9_024, 4_032, 960, 3),
        ("xcu200", 1_182_240, 2_364_480, 6_840, 4_320, 960, 3),
        ("xcu250", 1_728_000, 3_456_000, 12_288, 5_376, 1_280, 4),
        ("xcu280", 1_303_680, 2_607_360, 9_024, 4_032, 960, 3),
        ("xc7vx690t", 433_200, 866_400, 3_600, 2_940, 0, 1),
        ("xc7a35t", 20_800, 41_600, 90, 100, 0, 1),
        ("xc7z010", 17_600, 35_200, 80, 120, 0, 1),
        ("xc7z007s", 14_400, 28_800, 66, 100, 0, 1),
        ("xczu3eg", 70_560, 141_120, 360, 432, 0, 1),
        ("xczu7ev", 230_400, 460_800, 1_728, 624, 96, 1),
        ("xczu28dr", 425_280, 850_560, 4_272, 2_160, 80, 1),
        ("xcku040", 242_400, 484_800, 1_920, 1_200, 0, 1),
        ("lfe5u-12f", 12_000, 12_000, 28, 32, 0, 1),
        ("lfe5u-25f", 24_288, 24_288, 28, 56, 0, 1),
        ("lfe5u-25f-8", 24_288, 24_288, 28, 56, 0, 1),
        ("lfe5u-45f", 43_848, 43_848, 72, 108, 0, 1),
        ("lfe5u-85f", 83_640, 83_640, 156, 208, 0, 1),
        ("lfe5u-85f-8", 83_640, 83_640, 156, 208, 0, 1),
    ],
)
def test_figures(name: str, lut: int, ff: int, dsp: int, bram_18k: int, uram: int, slr: int) -> None:
    target = TARGETS[name]
    assert (target.lut, target.ff, target.dsp) == (lut, ff, dsp)
    assert (target.bram_18k, target.uram, target.slr) == (bram_18k, uram, slr)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_figures_of_part_are_consistent(target: Target) -> None:
    # Every CLB of AMD's families has two flip-flops a LUT, every slice of ECP5 one; block RAMs come in pairs.
    assert target.ff == (1 if target.family == "ecp5" else 2) * target.lut
    assert target.lut % 8 == 0
    assert target.bram_18k % 2 == 0
    expected = {
        "7series": ("DSP48E1", (25, 18)),
        "ultrascale": ("DSP48E2", (27, 18)),
        "ecp5": ("MULT18X18D", (18, 18)),
    }
    assert (target.dsp_type, target.dsp_widths) == expected[target.family.rstrip("+")]
    assert target.uram == 0 or target.family == "ultrascale+"
    assert 1.0 <= target.clock_ns <= 20.0
    assert target.part.lower().startswith(target.name)
    # The figures stand in the sources as well, so neither can be changed alone.
    assert len(target.sources) >= 2
    figures = [source for source in target.sources if not source.startswith("board ")]
    assert len(figures) >= 2
    for source in figures:
        digits = source.replace(",", "")
        assert str(target.dsp) in digits
        assert str(target.bram_18k) in digits or str(target.bram_18k // 2) in digits
        assert str(target.lut) in digits or "rounded" in source or "K LUTs" in source
        assert target.uram == 0 or f"{target.uram} UltraRAM" in digits
    assert all("agrees" in source for source in figures[1:]) or "do not agree" in target.note


def test_names_aliases_and_parts_are_unique() -> None:
    seen: dict[str, str] = {}
    for target in TARGETS.values():
        for name in (target.name, target.part.lower(), *target.aliases):
            assert name == name.lower()
            assert seen.setdefault(name, target.name) == target.name, name
    assert seen["pynq-z2"] == "xc7z020"
    assert seen["zcu102"] == "xczu9eg"
    assert seen["kv260"] == "xck26"
    assert seen["alveo-u50"] == "xcu50"
    assert seen["ulx3s"] == "lfe5u-85f"
    assert seen["colorlight-i5"] == "lfe5u-25f"
    assert seen["orangecrab"] == "lfe5u-25f-8"


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_every_name_finds_its_target(target: Target) -> None:
    for name in (target.name, target.name.upper(), target.part, target.part.upper(), *target.aliases):
        assert find_target(name, FOLDERS) == target
    assert find_target(str(FOLDERS[0] / f"{target.name}.toml"), FOLDERS) == target


@pytest.mark.parametrize(
    ("text", "name", "part"),
    [
        ("xc7z020clg400-1", "xc7z020", "xc7z020clg400-1"),
        ("xc7z020-clg400-1", "xc7z020", "xc7z020clg400-1"),
        ("XC7Z020-CLG484-2", "xc7z020", "xc7z020clg484-2"),
        ("xcvu9p-flgb2104-2-e", "xcvu9p", "xcvu9p-flgb2104-2-e"),
        ("XCVU13P-FHGA2104-2LV-E", "xcvu13p", "xcvu13p-fhga2104-2LV-e"),
        ("xc7a35ticsg324-1l", "xc7a35t", "xc7a35ticsg324-1L"),
        ("xc7vx690t-ffg1930-3", "xc7vx690t", "xc7vx690tffg1930-3"),
        ("xcku115-flva1517-2-e", "xcku115", "xcku115-flva1517-2-e"),
        ("lfe5u-25f-7bg256i", "lfe5u-25f", "LFE5U-25F-7BG256I"),
    ],
)
def test_another_package_or_spelling_keeps_the_figures_of_the_device(text: str, name: str, part: str) -> None:
    found = find_target(text, FOLDERS)
    assert (found.name, found.part) == (name, part)
    assert found.lut == TARGETS[name].lut


@pytest.mark.parametrize(
    "text", ["xcvu9", "xcvu9pq-flga2104-2-e", "xcvu9p-", "xcvu9p-x", "vu99p", "", "7z020"]
)
def test_an_unknown_target_names_the_choices(text: str) -> None:
    with pytest.raises(UserError) as caught:
        find_target(text, FOLDERS)
    assert "xcvu9p" in (caught.value.choices or ())
    assert "pynq-z2" in (caught.value.choices or ())
    assert "path of a target file" in (caught.value.remedy or "")


def test_a_near_miss_is_named() -> None:
    with refused(ErrorKind.UNKNOWN_NAME, near="xcvu13p"):
        find_target("xcvu13", FOLDERS)


def test_own_target_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    target = find_target(str(path), FOLDERS)
    assert (target.name, target.lut, target.clock_ns) == ("xcab1", 1000, 5.0)
    assert find_target("xcab1-abcd200-2-i", [*FOLDERS, tmp_path]).part == "xcab1-abcd200-2-i"
    assert target.share("lut", 250) == 0.25
    assert target.share("uram", 0) == 0.0
    assert target.share("uram", 1) == float("inf")
    assert set(RESOURCES) < set(target.to_json())


@pytest.mark.parametrize(
    ("before", "after", "kind", "named"),
    [
        ("lut = 1000", "luts = 1000", ErrorKind.UNKNOWN_NAME, "luts"),
        ("lut = 1000", "", ErrorKind.MISSING, "lut"),
        ("lut = 1000", "lut = -1", ErrorKind.INVALID, "lut"),
        ("lut = 1000", "lut = 0", ErrorKind.INVALID, "lut"),
        ("lut = 1000", "lut = true", ErrorKind.INVALID, "lut"),
        ("lut = 1000", 'lut = "many"', ErrorKind.INVALID, "'many'"),
        ("clock_ns = 5", "clock_ns = 0", ErrorKind.INVALID, "clock_ns"),
        ("clock_ns = 5", "clock_ns = nan", ErrorKind.INVALID, "clock_ns"),
        ("clock_ns = 5", "clock_ns = inf", ErrorKind.INVALID, "clock_ns"),
        ("[27, 18]", "[27]", ErrorKind.INVALID, "dsp_widths"),
        ("[27, 18]", "[27, 0]", ErrorKind.INVALID, "dsp_widths"),
        ("xcab1-abcd100-1-e", "x y", ErrorKind.INVALID, "x y"),
        ('"xcab1"', '"XC AB"', ErrorKind.INVALID, "XC AB"),
        ('["a table", "a report"]', "[]", ErrorKind.MISSING, "sources"),
        ("name =", "name", ErrorKind.WRONG_FORMAT, "line"),
    ],
)
def test_a_broken_file_is_explained(
    tmp_path: Path, before: str, after: str, kind: ErrorKind, named: str
) -> None:
    path = tmp_path / "broken.toml"
    assert before in TEXT
    path.write_text(TEXT.replace(before, after, 1))
    with refused(kind, mentions=[path, named]):
        find_target(str(path), FOLDERS)


def test_a_broken_file_in_a_folder_harms_no_other_target(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("lut = ")
    assert find_target("xcvu9p", [*FOLDERS, tmp_path]).lut == 1_182_240
    with refused(ErrorKind.UNKNOWN_NAME, found="xcab1", mentions=["broken.toml"]):
        find_target("xcab1", [*FOLDERS, tmp_path])
    with refused(ErrorKind.WRONG_FORMAT, where=str(tmp_path / "broken.toml")):
        read_targets([tmp_path])


def test_missing_or_binary_path_is_refused(tmp_path: Path) -> None:
    with refused(ErrorKind.MISSING, where=str(tmp_path / "none.toml")):
        find_target(str(tmp_path / "none.toml"), FOLDERS)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00name")
    with refused(ErrorKind.WRONG_FORMAT, where=str(tmp_path / "bytes.toml")):
        find_target(str(tmp_path / "bytes.toml"), FOLDERS)


def test_the_table_of_the_documentation_is_that_of_the_files() -> None:
    text = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    for target in TARGETS.values():
        figures = (target.lut, target.ff, target.dsp, target.bram_18k, target.uram, target.slr)
        cells = " | ".join(f"{figure:,}" for figure in figures)
        aliases = ", ".join(target.aliases)
        assert f"| `{target.name}` | {aliases} | {cells} | `{target.part}` | {target.clock_ns:g} ns |" in text


def test_the_example_of_the_documentation_is_a_target_file(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    example = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    (tmp_path / "example.toml").write_text(example)
    assert read_target(tmp_path / "example.toml").name == "xcau25p"


@pytest.mark.parametrize(
    ("text", "name"), [("Alveo U250", "xcu250"), ("PYNQ_Z2", "xc7z020"), ("xcvu9p ", "xcvu9p")]
)
def test_board_names_accept_vendor_spelling(text: str, name: str) -> None:
    assert find_target(text, FOLDERS).name == name
