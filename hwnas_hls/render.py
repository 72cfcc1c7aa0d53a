"""Templates: a jinja2 environment that rejects unknown names and escapes HTML."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from hwnas_hls.resources import data_folder

if TYPE_CHECKING:
    import jinja2


@cache
def environment() -> jinja2.Environment:
    """The jinja2 environment of ``templates/``: unknown names raise, HTML is escaped.

    It is one, since it keeps the compiled templates: an export renders the same ones for each design.
    Templates end in ``.j2``; the suffix before it determines the escaping: ``report.html.j2`` is
    escaped, ``build_prj.tcl.j2`` is not.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=_is_markup,  # noqa: S701 (by name: Tcl and Python must not be escaped)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _is_markup(name: str | None) -> bool:
    return name is None or name.removesuffix(".j2").endswith((".html", ".htm", ".xml", ".svg"))


def render(template: str, **values: Any) -> str:
    """Fill the template ``templates/TEMPLATE``.

    Raises:
        jinja2.UndefinedError: the template uses a name that ``values`` lacks.
    """
    return environment().get_template(template).render(**values)


def embedded(data: object) -> str:
    """JSON for a script element, with all characters escaped that could end it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
