"""Templates: one jinja2 environment, strict about names and safe in HTML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hwnas_hls.resources import data_folder

if TYPE_CHECKING:
    import jinja2


def environment() -> jinja2.Environment:
    """The environment over ``templates/``: an unknown name raises, HTML is escaped.

    Templates end in ``.j2``; what stands before it decides on escaping, so that
    ``report.html.j2`` is escaped and ``build_prj.tcl.j2`` is not.
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
    """JSON for a script element: no character in it can end the element or start another."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
