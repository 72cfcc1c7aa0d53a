"""The exporter ``html-report``: a self-contained HTML report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.protocols.exporter import Exporter

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Front


class HtmlReportExporter(Exporter):
    """Writes ``report.html``, which needs no network and is readable on screens, phones and paper."""

    name = "html-report"

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write ``folder/report.html`` atomically.

        The files and commands of each design come from ``folder/designs/KEY``, if it exists.
        """
        from hwnas_hls.system.files import write_text
        from hwnas_hls_plugins.exporters.html_report.page import page

        return [write_text(folder / "report.html", page(front, folder))]
