"""``new-plugin``: writes a package that is a small working plugin."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import re
import sys
from importlib import metadata
from pathlib import Path

import click

from hwnas_hls import __version__
from hwnas_hls.cli.context import current_registry
from hwnas_hls.errors import EXIT_DONE, ErrorKind, UserError
from hwnas_hls.plugin.offers import KINDS

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PLURALS = {"strategy": "strategies"}


def write_plugin(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a plugin package below ``folder/NAME``.

    Args:
        kind: one of :data:`~hwnas_hls.plugin.offers.KINDS`.
        name: lower-case words joined by hyphens: the name of package, entry point and offer.
        folder: the folder that will contain the package.

    Raises:
        UserError: unknown kind, invalid name, name already in use, or the folder exists.
    """
    from hwnas_hls.render import render
    from hwnas_hls.system.files import write_text

    if kind not in KINDS:
        raise UserError("unknown kind of plugin", where="KIND", found=kind, choices=KINDS)
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module):
        raise UserError(
            "not a valid package name", where="NAME", found=name, remedy="write it like my-search-space"
        )
    taken = _taken(name, module)
    if taken:
        # `pip install -e` of such a package would replace or hide the package with this name.
        raise UserError(
            f"this name is already in use: {taken}",
            kind=ErrorKind.TAKEN,
            where="NAME",
            found=name,
            remedy=f"choose another name, for example my-{name}",
        )
    place = folder / name
    if place.exists():
        raise UserError(
            "the folder already exists",
            kind=ErrorKind.TAKEN,
            where=str(place),
            remedy="choose another NAME or --output",
        )
    values = {
        "kind": kind,
        "plural": _PLURALS.get(kind, f"{kind}s"),
        "name": name,
        "module": module,
        "cls": "".join(word.capitalize() for word in name.split("-")),
        "contract": f"{kind.capitalize()}Contract",
        "version": __version__,
    }
    files = {
        "pyproject.toml": "plugin/pyproject.toml.j2",
        "README.md": "plugin/README.md.j2",
        f"{module}.py": f"plugin/{kind}.py.j2",
        f"tests/test_{module}.py": "plugin/test_plugin.py.j2",
    }
    return [write_text(place / path, render(template, **values)) for path, template in files.items()]


def _taken(name: str, module: str) -> str:
    """The module, package or offer that already has a name; empty if there is none."""
    if module in sys.stdlib_module_names:
        return "a module of Python"
    with contextlib.suppress(metadata.PackageNotFoundError):
        return f"the package {metadata.distribution(name).name} is installed"
    spec = importlib.util.find_spec(module)
    # Without an origin it is a folder in the working directory, not a module.
    if spec is not None and spec.origin is not None:
        return f"the module {spec.origin} is installed"
    registry = current_registry()
    for kind in KINDS:
        if name in registry.offers(kind):
            article = "an" if kind in ("estimator", "exporter") else "a"
            return f"{registry.offers(kind)[name][0].package} offers {article} {kind} of this name"
    return ""


@click.command("new-plugin", short_help="Write a plugin package with a working example and a test.")
@click.argument("kind", metavar="KIND")
@click.argument("name", metavar="NAME")
@click.option(
    "--output", default=".", type=click.Path(path_type=Path), help="Where to create the folder NAME."
)
def new_plugin(kind: str, name: str, output: Path) -> int:
    """Write a plugin package: KIND is space, strategy, estimator, task, synthesizer or exporter."""
    for path in write_plugin(kind, name, output):
        click.echo(path)
    click.echo(f"next: pip install -e {output / name}, then hwnas-hls plugins --check {name}")
    return EXIT_DONE
