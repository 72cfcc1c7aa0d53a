"""The parts of ``docs/`` that are read off the program, each between ``<!-- generated: ... -->`` marks."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from places import ROOT

from hwnas_hls.cli.main import cli
from hwnas_hls.errors import UserError
from hwnas_hls.network.architecture import ACTIVATIONS, STRATEGIES, Dense, Merge
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType
from hwnas_hls.plugin.offers import BUILTIN, Offer
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context, Estimator, Resumable
from hwnas_hls.protocols.exporter import Exporter, Front, Member
from hwnas_hls.protocols.knob import Knob
from hwnas_hls.protocols.plugin import Isolatable, Plugin
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.protocols.task import Dataset, Task
from hwnas_hls.run.goal import metrics_of
from hwnas_hls.spec.spec import PLAIN_TABLES
from hwnas_hls.spec.tables import SeedTable
from hwnas_hls.testing import MixedSpace, TinySpace, sample_dataset, sample_target
from hwnas_hls.testing.samples import sample_goal
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import RunFacts

DOCS = ROOT / "docs"
_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_WIDTH = 100
_DESCRIBED = (Record, Context, Estimate, Estimates, Front, Member, Dataset, Design, SynthesisReport)
#: Vocabularies that docstrings name.
_VALUES: dict[str, tuple[str, ...]] = {
    "ACTIVATIONS": ACTIVATIONS,
    "OVERFLOWS": OVERFLOWS,
    "ROUNDINGS": ROUNDINGS,
    "STRATEGIES": STRATEGIES,
}
_CLASSES: dict[str, type] = {cls.__name__: cls for cls in (*_DESCRIBED, RunFacts, Dense, Merge, FixedType)}
_PROTOCOLS: dict[str, tuple[type, ...]] = {
    "plugin": (Plugin, Isolatable),
    "space": (Space,),
    "strategy": (Strategy,),
    "estimator": (Estimator,),
    "resumable": (Resumable,),
    "task": (Task,),
    "synthesizer": (Synthesizer,),
    "exporter": (Exporter,),
}


def refreshed(text: str) -> str:
    """A page with every generated part as it should be now."""

    def part(match: re.Match[str]) -> str:
        kind, _, argument = match[2].partition(" ")
        return f"{match[1]}{_PARTS[kind](argument)}{match[3]}"

    return _PART.sub(part, text)


def generated_pages() -> list[Path]:
    return [path for path in sorted(DOCS.rglob("*.md")) if _PART.search(path.read_text(encoding="utf-8"))]


def commands(_: str = "") -> str:
    """``--help`` of every command, as wide as the command line makes it."""
    Registry().call_each("hwnas_register_commands", cli=cli)
    return "".join(f"## {name}\n\n```text\n{text}\n```\n\n" for name, text in _help(cli, "hwnas-hls", None))


def _help(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    settings.pop("help_option_names", None)
    context = click.Context(
        command, parent=parent, info_name=name, help_option_names=["-h", "--help"], **settings
    )
    yield context.command_path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _help(command.commands[below], below, context)


def strategies(_: str = "") -> str:
    rows = ["| strategy | what it does | spaces | settings |", "|---|---|---|---|"]
    for offer in _builtin("strategy"):
        rows.append(f"| `{offer.name}` | {_summary(offer)} | {_spaces(offer)} | {_settings(offer)} |")
    return "\n".join(rows) + "\n"


def _spaces(offer: Offer) -> str:
    """Which spaces a strategy takes, found by offering it some."""
    if _takes(offer, MixedSpace()):
        return "any"
    if _takes(offer, TinySpace()):
        return "finite knobs"
    taken = [f"`{space.name}`" for space in _builtin("space") if _takes(offer, _built(space))]
    assert taken, f"{offer.name} takes none of the built-in spaces"
    return ", ".join(taken)


def estimators(_: str = "") -> str:
    rows = [
        "| estimator | what it does | provides | trains | weights | cost (s) | version |",
        "|---|---|---|---|---|---|---|",
    ]
    for offer in _builtin("estimator"):
        instance = _built(offer)
        provided = ", ".join(f"`{name}`" for name in metrics_of(instance))
        trains, weights = ("yes" if flag else "no" for flag in (instance.trains, instance.uses_weights))
        # What follows a plus is a hash, of a calibration say: new with every fit, and no news here.
        number, plus, _ = str(instance.version).partition("+")
        version = f"`{number}`{', and a hash' if plus else ''}"
        rows.append(
            f"| `{offer.name}` | {_summary(offer)} | {provided} | {trains} | {weights} "
            f"| {float(instance.cost):.1g} | {version} |"
        )
    return "\n".join(rows) + "\n"


def protocol(kind: str) -> str:
    """The protocol class as it stands in the engine; its docstring explains every method."""
    source = "\n\n".join(inspect.getsource(cls) for cls in _PROTOCOLS[kind])
    return f"```python\n{source}```\n"


def fields(name: str) -> str:
    """A dataclass' fields with what its docstring says of each; one that it leaves out is an error."""
    cls = _CLASSES[name]
    meanings = _meanings(cls)
    rows = ["| field | type | what |", "|---|---|---|"]
    for field in (field for field in dataclasses.fields(cls) if field.init):
        kind = str(field.type).replace("|", "\\|")
        rows.append(f"| `{field.name}` | `{kind}` | {meanings.pop(field.name)} |")
    assert not meanings, f"{name} has no such fields: {', '.join(meanings)}"
    return "\n".join(rows) + "\n"


def _meanings(cls: type) -> dict[str, str]:
    """The ``Args:`` of a docstring: names -> text; ``low, high: ...`` describes two."""
    _, _, text = (inspect.getdoc(cls) or "").partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", text)[0]
    found = {}
    for item in re.split(r"\n(?= {4}\S)", "\n" + section):
        names, colon, meaning = " ".join(item.split()).partition(": ")
        if colon:
            found |= {each: _with_values(_readable(meaning)) for each in names.split(", ")}
    return found


def _with_values(meaning: str) -> str:
    """The text with the values of a vocabulary instead of its name in the code."""
    return re.sub(
        r"one of `([A-Z]+)`", lambda name: " ".join(f"`{value}`" for value in _VALUES[name[1]]), meaning
    )


def _builtin(kind: str) -> list[Offer]:
    offers = [offer for same in Registry().offers(kind).values() for offer in same]
    return sorted((offer for offer in offers if offer.plugin == BUILTIN), key=lambda offer: offer.name)


def _built(offer: Offer, space: Space | None = None) -> Any:
    goal = sample_goal()
    return Registry().build(
        offer,
        {},
        "documentation",
        space=space or TinySpace(),
        goal=goal,
        objectives=goal.objectives,
        limits=goal.limits,
        seed=0,
        task=sample_dataset(),
        target=sample_target(),
        clock_ns=5.0,
        synthesizer=None,
    )


def _takes(offer: Offer, space: Space) -> bool:
    try:
        _built(offer, space)
    except UserError:
        return False
    return True


def _summary(offer: Offer) -> str:
    return _readable(offer.summary)


def _readable(text: str) -> str:
    """A docstring's words without the marks of a documentation tool."""
    return re.sub(r":\w+:`([^`]*)`", r"`\1`", text).replace("``", "`")


def _settings(offer: Offer) -> str:
    fields = dataclasses.fields(offer.config)
    return ", ".join(f"`{field.name} = {field.default}`" for field in fields) or "none"


def settings(kind: str) -> str:
    """Tables of all settings: of the spec's own tables, or of the built-in plugins of a kind."""
    if kind == "tables":
        named: list[tuple[str, type]] = [(f"[{name}]", cls) for name, cls in PLAIN_TABLES.items()]
        named.append(("[[seeds]]", SeedTable))
    else:
        named = [(f"`{offer.name}`", offer.config) for offer in _builtin(kind)]
    texts, configs = [], {}
    for name, cls in named:
        rows = _setting_rows(cls)
        if not rows:
            continue
        # Plugins that share a class of settings share a table.
        configs.setdefault(tuple(rows), []).append(name)
    for rows, names in configs.items():
        head = ["| setting | default | meaning |", "|---|---|---|"]
        texts.append("\n".join([f"### {', '.join(names)}", "", *head, *rows]) + "\n")
    return "\n".join(texts)


def _setting_rows(cls: type) -> list[str]:
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        meanings |= _meanings(base)
    rows = []
    for field in (field for field in dataclasses.fields(cls) if field.init):
        meaning = meanings[field.name].replace("|", "\\|")
        rows.append(f"| `{field.name.rstrip('_')}` | {_default_text(field)} | {meaning} |")
    return rows


def _default_text(field: dataclasses.Field[Any]) -> str:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if default is dataclasses.MISSING:
        return "required"
    if default is None:
        return "none"
    return f"`{_as_toml(default)}`"


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_as_toml(held)}' for key, held in value.items())}}}"
    return str(value)


_PARTS: dict[str, Callable[[str], str]] = {
    "settings": settings,
    "commands": commands,
    "strategies": strategies,
    "estimators": estimators,
    "protocol": protocol,
    "fields": fields,
}


def knob_table(knobs: Iterable[Knob]) -> str:
    """The table of knobs as Markdown, one row per family: the same knob of several layers or operations."""
    families: dict[tuple[str, str, str], list[Knob]] = {}
    for knob in knobs:
        families.setdefault((_family(knob), _values_text(knob), knob.doc), []).append(knob)
    lines = ["| knob | values | exists | meaning |", "|---|---|---|---|"]
    for (family, values, doc), members in families.items():
        tags = [knob.name.removeprefix(family) for knob in members]
        names = ", ".join([f"`{members[0].name}`", *(f"`{tag}`" for tag in tags[1:])])
        conditions = dict.fromkeys(map(_condition_text, members))
        lines.append(f"| {names} | {values} | {'; '.join(conditions)} | {doc} |")
    return "\n".join(lines) + "\n"


def _family(knob: Knob) -> str:
    """The name without the number or letter of a layer, operation or position."""
    return re.sub(r"_(\d+|[a-d]\d*|out|stem)$", "", knob.name)


def _values_text(knob: Knob) -> str:
    if knob.continuous:
        return f"{knob.low:g} to {knob.high:g}{', logarithmic' if knob.log else ''}"
    return ", ".join(f"`{value}`" if isinstance(value, str) else str(value) for value in knob.choices)


def _condition_text(knob: Knob) -> str:
    if knob.active_if is None:
        return "always"
    other, allowed = knob.active_if
    tag = knob.name.removeprefix(_family(knob))
    other = f"{other.removesuffix(tag)}_N" if tag and other.endswith(tag) else other
    return f"`{other}` is {' or '.join(str(value) for value in allowed)}"
