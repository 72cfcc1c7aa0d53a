"""What people change in projects that hls4ml wrote, so that the tool builds something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from old_projects import edited

from hwnas_hls.hls4ml.folder import read_folder
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.query import Query

PIPELINE = "#pragma HLS PIPELINE"


def _scripted(folder: Path, project: str, build: str) -> Query:
    """A project of both scripts, as newer releases write them."""
    edited(folder, PIPELINE, PIPELINE)
    (folder / "project.tcl").write_text(f'set project_name "tagger"\n{project}')
    (folder / "build_prj.tcl").write_text(f"source project.tcl\nset_top $project_name\n{build}")
    return read_folder(folder)


def _conflicts(query: Query, what: str) -> int:
    return sum(note.kind == NoteKind.CONFLICT and note.text.startswith(what) for note in query.warnings)


PROJECT = 'set part "xc7z020clg400-1"\nset clock_period 10\nset clock_uncertainty 12.5%\n'
BUILD = (
    "set_part $part\ncreate_clock -period $clock_period\nset_clock_uncertainty $clock_uncertainty default\n"
)


def test_a_value_in_the_script_that_the_tool_runs_wins(tmp_path: Path) -> None:
    plain = _scripted(tmp_path / "plain", PROJECT, BUILD)
    assert (plain.part, plain.clock_ns, plain.clock_uncertainty) == ("xc7z020clg400-1", 10.0, 0.125)
    assert {note.kind for note in plain.warnings} <= {NoteKind.ASSUMED, NoteKind.UNREAD}

    build = BUILD.replace("$part", "{xcku115-flvf1924-2-i}").replace("$clock_period", '"2"')
    literal = _scripted(tmp_path / "literal", PROJECT, build.replace("$clock_uncertainty", "0.5"))
    assert (literal.part, literal.clock_ns, literal.clock_uncertainty) == ("xcku115-flvf1924-2-i", 2.0, 0.25)
    for what in ("part", "clock period", "clock uncertainty"):
        assert _conflicts(literal, what)


def test_a_command_in_a_comment_is_no_setting(tmp_path: Path) -> None:
    commented = "# create_clock -period 2\n# set_clock_uncertainty 0.5\n"
    query = _scripted(tmp_path, PROJECT, commented + BUILD)
    assert (query.clock_ns, query.clock_uncertainty) == (10.0, 0.125)


@pytest.mark.parametrize("part", ["xcfoo", "z7"])
def test_an_unknown_part_is_not_exchanged_for_that_of_the_configuration(tmp_path: Path, part: str) -> None:
    query = _scripted(tmp_path, PROJECT.replace("xc7z020clg400-1", part), BUILD)
    assert query.part == part
    assert _conflicts(query, "part")
