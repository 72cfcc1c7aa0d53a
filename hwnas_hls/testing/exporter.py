"""The contract of exporters."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hwnas_hls.errors import ToolMissing, Unsupported
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.testing.contract import Contract, expect, expect_list, untouched_random_state
from hwnas_hls.testing.samples import sample_front


class ExporterContract(Contract):
    """Inherit and override :meth:`exporter`."""

    kind = Exporter

    def exporter(self) -> Exporter:
        raise NotImplementedError

    def plugins(self) -> Sequence[Plugin]:
        return [self.exporter()]

    def test_writes_the_returned_files_inside_the_folder(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            folder.mkdir()
            written = self._written(folder)
            if written is None:
                return
            expect(bool(written), "it returned no files")
            for path in written:
                expect(path.exists(), f"{path} was not written")
                expect(path.resolve().is_relative_to(folder.resolve()), f"{path} is outside the run folder")
            beside = [path.name for path in Path(scratch).iterdir()]
            expect(beside == ["run"], f"it wrote outside the run folder: {beside}")

    def test_accepts_an_empty_front(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            expect_list(self.exporter().export(sample_front(members=0), Path(scratch)), Path, "export()")

    def test_equal_fronts_give_equal_files(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            texts = []
            for name in ("a", "b"):
                folder = Path(scratch) / name
                folder.mkdir()
                written = self._written(folder) or []
                texts.append([path.read_bytes() for path in written if path.is_file()])
            expect(texts[0] == texts[1], "the same front gives different files the second time")

    def test_does_not_change_global_random_state(self) -> None:
        with tempfile.TemporaryDirectory() as scratch, untouched_random_state():
            self._written(Path(scratch))

    def _written(self, folder: Path) -> list[Path] | None:
        """What it writes of the sample; ``None`` where it refuses a design of this kind or lacks a tool."""
        try:
            written = self.exporter().export(sample_front(), folder)
        except (ToolMissing, Unsupported):
            return None
        expect_list(written, Path, "export()")
        return list(written)
