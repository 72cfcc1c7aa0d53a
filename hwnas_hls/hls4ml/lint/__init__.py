"""Known pitfalls of hls4ml, looked for in designs, configurations and written projects before any tool runs.

``design`` and ``graphs`` judge a design, ``project`` a configuration or a written project, ``layers`` holds
the rules of single dense layers. Each rule has a name in :data:`RULES`, which says how severe it is and for
which releases of hls4ml it holds. Begin with :func:`lint_design` and :func:`lint_folder`.
"""

from __future__ import annotations

from hwnas_hls.hls4ml.lint.design import lint_design
from hwnas_hls.hls4ml.lint.finding import RULES, SEVERITIES, Finding, Rule
from hwnas_hls.hls4ml.lint.project import lint_config, lint_folder

__all__ = ["RULES", "SEVERITIES", "Finding", "Rule", "lint_config", "lint_design", "lint_folder"]
