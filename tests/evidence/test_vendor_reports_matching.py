"""Projects with reports as answers for a design, and as rows for calibration."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from old_projects import edited
from parts import XCKU115
from places import TESTS
from refusal import expect_mentioned, refused

from hwnas_hls.errors import ErrorKind, ToolMissing, Unsupported
from hwnas_hls.evidence.measured_projects import SkipReason, measured_projects
from hwnas_hls.hls4ml.belonging import contradictions
from hwnas_hls.hls4ml.folder import read_folder, read_whole
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.reports import read_csynth
from hwnas_hls.network.architecture import Architecture, Dense, Merge
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.testing import SynthesizerContract
from hwnas_hls_plugins.synthesizers.vendor_reports import ReportsConfig, ReportsSynthesizer

DATA = TESTS / "data" / "vendor_reports"
TARGET = XCKU115
MODULE = "dense_latency_ap_fixed_8_3_5_3_0_ap_fixed_{width}_{integer}_5_3_0_config2_s"
SECOND = "dense_latency_ap_ufixed_7_3_0_0_0_ap_fixed_12_6_5_3_0_config4_s"


def _design(seed: int = 0, strategy: str = "Latency", reuse_factor: int = 1) -> Design:
    rng = np.random.default_rng(seed)
    kind = FixedType(6, 2)
    layers = []
    for n_in, n_out, activation, result in (
        (6, 8, "relu", FixedType(7, 3, False, "RND", "SAT")),
        (8, 3, "linear", FixedType(12, 6)),
    ):
        layers.append(
            Dense(
                n_in,
                n_out,
                activation,
                kind,
                kind,
                None,
                result,
                reuse_factor=reuse_factor,
                strategy=strategy,
            )
        )
    weights = tuple(rng.integers(-31, 32, (layer.n_in, layer.n_out)) for layer in layers)
    biases = tuple(rng.integers(-31, 32, layer.n_out) for layer in layers)
    return Design(Architecture(FixedType(8, 3), tuple(layers), clock_ns=5.0), weights, biases)


def _synthesised(folder: Path, design: Design, name: str = "tagger") -> Path:
    """The design's project as hls4ml writes it, with reports in the format of the tools."""
    from hwnas_hls.hls4ml.project import write_project

    write_project(design, TARGET, folder, clock_ns=5.0, name=name, backend="Vivado")
    accum = design.layer_types()[0][1]
    first = MODULE.format(width=accum.width, integer=accum.integer)
    names = [
        each.replace("latency", "resource_rf_leq_nin") if layer.strategy == "Resource" else each
        for layer, each in zip(design.architecture.layers, (first, SECOND), strict=False)
    ]
    text = (DATA / "vivado_2019_csynth.xml").read_text().replace(">tagger<", f">{name}<")
    inner = "".join(
        f"<Module><Name>{each}</Name><AreaEstimates><Resources><LUT>5</LUT></Resources></AreaEstimates></Module>"
        for each in names
    )
    if design.architecture.layers[0].strategy != "distributed_arithmetic":  # built without a configuration
        text = text.replace("</profile>", f"<ModuleInformation>{inner}</ModuleInformation></profile>")
    text = text.replace("<Worst-caseLatency>undef", "<Worst-caseLatency>9")
    for place, content in (
        (f"{name}_prj/solution1/syn/report/{name}_csynth.xml", text),
        ("vivado_synth.rpt", (DATA / "ultrascale_synth.rpt").read_text().replace(": tagger", f": {name}")),
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(content)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("projects")
    _synthesised(root / "a" / "first", _design(0))
    _synthesised(root / "b", _design(1), "other_name")
    _synthesised(root / "shared", _design(2, "Resource", 2))
    _synthesised(root / "graph", _design(3, "distributed_arithmetic"))
    return root


@pytest.fixture(scope="module")
def reports(tree: Path) -> ReportsSynthesizer:
    return ReportsSynthesizer(ReportsConfig((str(tree),)))


@pytest.mark.parametrize(
    ("design", "folder"),
    [
        (_design(0), "a/first"),
        (_design(1), "b"),
        (_design(2, "Resource", 2), "shared"),
        (_design(3, "distributed_arithmetic"), "graph"),
    ],
)
def test_a_design_is_found_by_its_content(
    reports: ReportsSynthesizer, tree: Path, design: Design, folder: str
) -> None:
    report = reports.synthesize(design, TARGET, "csynth")
    assert report.failure == ""
    assert report.files["project"] == tree / folder
    assert report.tool == "vivado_hls 2019.2"
    assert (report.estimates["lut_csynth"].value, report.estimates["lut_csynth"].source) == (55555, "csynth")
    logic = reports.synthesize(design, TARGET, "logic_synth")
    assert (logic.estimates["lut"].value, logic.estimates["bram_18k"].value) == (24680, 7)
    assert logic.estimates["lut"].source == "logic_synthesis"
    assert logic.estimates["latency_cycles"].value == 9


def _changed(design: Design, **changes: object) -> Design:
    first = dataclasses.replace(design.architecture.layers[0], **changes)  # type: ignore[arg-type]
    layers = (first, *design.architecture.layers[1:])
    return dataclasses.replace(design, architecture=dataclasses.replace(design.architecture, layers=layers))


def test_differences_are_named(reports: ReportsSynthesizer) -> None:
    design = _design(0)
    weights = design.weights[1].copy()
    weights[2, 1] += 1 if weights[2, 1] < 31 else -1
    biases = design.biases[0].copy()  # type: ignore[union-attr]
    biases[3] = -biases[3] or 1
    slower = dataclasses.replace(design.architecture, clock_ns=4.0)
    other = dataclasses.replace(TARGET, part="xcku060-ffva1156-2-e")
    cases = [
        (dataclasses.replace(design, weights=(design.weights[0], weights)), TARGET, ["layer 1"]),
        (dataclasses.replace(design, biases=(biases, design.biases[1])), TARGET, ["layer 0"]),
        (_changed(design, reuse_factor=3), TARGET, ["layer 0", 1, 3]),
        (_changed(design, result=FixedType(8, 3, False, "RND", "SAT")), TARGET, ["layer 0"]),
        (dataclasses.replace(design, architecture=slower), TARGET, ["5 ns", "4 ns"]),
        (design, other, ["xcku115-flvb2104-2-i"]),
    ]
    for asked, target, named in cases:
        report = reports.synthesize(asked, target, "csynth")
        assert report.failure_kind is ErrorKind.MISMATCH
        expect_mentioned(report.failure, [*named, "4 projects"])
        assert not report.estimates


def test_graph_is_refused_even_if_layers_match_project(reports: ReportsSynthesizer) -> None:
    chain = _design(0)
    first, last = chain.architecture.layers
    joined = Merge("add", (8, 8), (0, 0), result=FixedType(7, 3, False, "RND", "SAT"))
    layers = (first, joined, dataclasses.replace(last, inputs=(1,)))
    graph = Design(
        dataclasses.replace(chain.architecture, layers=layers),
        (chain.weights[0], None, chain.weights[1]),
        (chain.biases[0], None, chain.biases[1]),
    )
    assert not reports.synthesize(chain, TARGET, "csynth").failure
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=[graph.architecture.shape]):
        reports.synthesize(graph, TARGET, "csynth")


def test_a_missing_stage_is_not_made_up(reports: ReportsSynthesizer) -> None:
    report = reports.synthesize(_design(0), TARGET, "post_route")
    assert report.failure_kind is ErrorKind.MISSING
    expect_mentioned(report.failure, ["post_route"])
    with refused(ErrorKind.UNKNOWN_NAME, found="lunch"):
        reports.synthesize(_design(0), TARGET, "lunch")


def test_missing_folders_are_an_error(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    monkeypatch.delenv("HWNAS_REPORTS", raising=False)
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["HWNAS_REPORTS"]):
        ReportsSynthesizer().synthesize(_design(0), TARGET, "csynth")
    assert "/nowhere" in ReportsSynthesizer(ReportsConfig(("/nowhere",))).available(TARGET)
    monkeypatch.setenv("HWNAS_REPORTS", str(tree))
    assert ReportsSynthesizer().available(TARGET) == ""


def test_report_of_older_firmware_is_no_evidence(tmp_path: Path) -> None:
    folder = _synthesised(tmp_path, _design(0))
    path = folder / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    path.write_text(path.read_text().replace("_ap_fixed_8_3_5_3_0_", "_ap_fixed_9_3_5_3_0_"))
    report = ReportsSynthesizer(ReportsConfig((str(tmp_path),))).synthesize(_design(0), TARGET, "csynth")
    assert report.failure_kind is ErrorKind.MISSING
    expect_mentioned(report.failure, [tmp_path, "tagger_csynth.xml", "ap_fixed<9,3>"])
    # Vivado's report names no module, so that it is as doubtful as the C synthesis before it
    rows, problems = measured_projects([tmp_path])
    assert rows == []
    assert [problem.kind for problem in problems] == [SkipReason.OTHER_DESIGN] * 2
    reports = ReportsSynthesizer(ReportsConfig((str(tmp_path),)))
    assert not reports.synthesize(_design(0), TARGET, "logic_synth").estimates
    shutil.rmtree(folder / "tagger_prj")
    assert reports.synthesize(_design(0), TARGET, "logic_synth").estimates
    assert [row.query.stage for row in measured_projects([tmp_path])[0]] == ["logic_synth"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (">tagger<", ">kernel_wrapper<"),
        ("config2_s", "softmax_config9_s"),
        (f"<Name>{SECOND}", "<Name>softmax_stable_ap_fixed_softmax_config4_s"),
        (f"<Name>{SECOND}", "<Name>relu_ap_fixed_ap_ufixed_7_3_0_0_0_relu_config3_s"),
    ],
    ids=[
        "another top function",
        "a configuration that the firmware lacks",
        "a configuration of another kind",
        "without the last layer",
    ],
)
def test_lone_report_of_another_design_is_left_out(tmp_path: Path, old: str, new: str) -> None:
    folder = _synthesised(tmp_path, _design(0))
    (folder / "vivado_synth.rpt").unlink()
    path = folder / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    path.write_text(path.read_text().replace(old, new))
    rows, problems = measured_projects([tmp_path])
    assert rows == []
    assert [(problem.source, problem.kind) for problem in problems] == [(path, SkipReason.OTHER_DESIGN)]


@pytest.mark.parametrize(
    ("old", "new"),
    [(": tagger", ": level0_wrapper"), (": tagger", ": "), ("xcku115", "xcvu9p")],
    ids=["another top", "no top", "another part"],
)
def test_a_lone_utilisation_report_must_name_this_network(tmp_path: Path, old: str, new: str) -> None:
    folder = _synthesised(tmp_path, _design(0))
    shutil.rmtree(folder / "tagger_prj")
    reports = ReportsSynthesizer(ReportsConfig((str(tmp_path),)))
    assert reports.synthesize(_design(0), TARGET, "logic_synth").estimates["lut"].value == 24680
    path = folder / "vivado_synth.rpt"
    path.write_text(path.read_text().replace(old, new))
    report = reports.synthesize(_design(0), TARGET, "logic_synth")
    assert report.failure_kind is ErrorKind.MISSING
    assert not report.estimates


@pytest.mark.parametrize("kind", ["leaky_relu", "hard_tanh", "unary_lut"])
def test_longer_names_of_activations_are_the_firmwares(tmp_path: Path, kind: str) -> None:
    folder = _synthesised(tmp_path, _design(0))
    path = folder / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    text = path.read_text()
    other = text[text.index("<Module>") : text.index("</Module>") + len("</Module>")]
    name = other[other.index("<Name>") + 6 : other.index("</Name>")]
    more = other.replace(name, f"{kind}_ap_fixed_ap_fixed_{kind}_config7_s")
    path.write_text(text.replace("</ModuleInformation>", f"{more}</ModuleInformation>"))
    project = read_whole(folder)
    assert project.reports is not None
    (solution,) = project.reports.solutions
    assert len(contradictions(project, solution)) == 1
    structs = project.structs | {f"{kind}_config7"}
    assert contradictions(dataclasses.replace(project, structs=structs), solution) == []


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("dense_s", True),
        ("tagger_dense_latency_ap_fixed_ap_fixed_config2_s", True),
        ("tagger_dense_latency_ap_fixed_ap_fixed_config8_s", False),
        ("tagger_softmax_stable_ap_fixed_ap_fixed_softmax_config4_s", False),
    ],
)
def test_modules_of_a_hierarchical_report_are_the_firmwares(
    tmp_path: Path, module: str, counts: bool
) -> None:
    folder = _synthesised(tmp_path, _design(0))
    shutil.rmtree(folder / "tagger_prj")
    text = (DATA / "hierarchical.rpt").read_text().replace("xczu9egffvb1156-2", TARGET.part)
    (folder / "vivado_synth.rpt").write_text(text.replace("  dense_s ", f"  {module} "))
    reports = ReportsSynthesizer(ReportsConfig((str(tmp_path),)))
    assert bool(reports.synthesize(_design(0), TARGET, "post_route").estimates) == counts
    rows, problems = measured_projects([tmp_path])
    assert len(rows) == counts
    assert [problem.kind for problem in problems] == [SkipReason.OTHER_DESIGN] * (not counts)


def test_inlined_first_layer_does_not_contradict_report(tmp_path: Path) -> None:
    folder = _synthesised(tmp_path, _design(0))
    (folder / "vivado_synth.rpt").unlink()
    path = folder / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    text = path.read_text()
    first = text[text.index("<Name>dense_latency") + 6 : text.index("config2_s")] + "config2_s"
    path.write_text(text.replace(first, "something_else"))
    rows, problems = measured_projects([tmp_path])
    assert [row.query.stage for row in rows] == ["csynth"]
    assert problems == []


def test_report_with_missing_layer_is_no_evidence(tmp_path: Path) -> None:
    _synthesised(tmp_path, _design(0))
    path = tmp_path / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    text = path.read_text()
    path.write_text(text.replace(SECOND, "something_else"))
    report = ReportsSynthesizer(ReportsConfig((str(tmp_path),))).synthesize(_design(0), TARGET, "csynth")
    assert report.failure_kind is ErrorKind.MISSING


@pytest.mark.parametrize("part", [0.3, 0.7, 0.95])
def test_half_a_report_is_no_answer(tmp_path: Path, part: float) -> None:
    _synthesised(tmp_path, _design(0))
    path = tmp_path / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    text = path.read_text()
    path.write_text(text[: int(part * len(text))])
    report = ReportsSynthesizer(ReportsConfig((str(tmp_path),))).synthesize(_design(0), TARGET, "csynth")
    assert not report.estimates
    assert report.failure


FIRST_GRAPH = "dense_da_2_ap_fixed_8_3_5_3_0_ap_fixed_{width}_{integer}_5_3_0_s"
LAST_GRAPH = "dense_da_4_ap_ufixed_7_3_0_0_0_ap_fixed_12_6_5_3_0_s"
RELU = "relu_ap_fixed_{width}_{integer}_5_3_0_ap_ufixed_7_3_0_0_0_relu_config3_s"


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("", "", True),
        (f"<Name>{LAST_GRAPH}", "<Name>something_else", False),
        ("dense_da_4", "dense_da_7", False),
        ("dense_da_2_ap_fixed_8_3", "dense_da_2_ap_fixed_9_3", False),
        ("ap_fixed_12_6_5_3_0_s", "ap_fixed_13_6_5_3_0_s", False),
        ("ap_ufixed_7_3_0_0_0_relu", "ap_ufixed_6_3_0_0_0_relu", False),
        ("relu_config3", "relu_config6", False),
    ],
    ids=[
        "of this firmware",
        "without the last layer",
        "another graph",
        "another input",
        "another output",
        "another activation type",
        "another activation",
    ],
)
def test_modules_of_adder_graphs_are_the_firmwares(tmp_path: Path, old: str, new: str, counts: bool) -> None:
    design = _design(3, "distributed_arithmetic")
    folder = _synthesised(tmp_path, design)
    project = read_whole(folder)
    assert project.graphs == ("dense_da_2", "dense_da_4")
    built = project.query.layers[0].dense_out
    assert built is not None
    names = [
        name.format(width=built.width, integer=built.integer) for name in (FIRST_GRAPH, LAST_GRAPH, RELU)
    ]
    inner = "".join(
        f"<Module><Name>{name}</Name><AreaEstimates><Resources><LUT>5</LUT></Resources></AreaEstimates></Module>"
        for name in names
    )
    path = folder / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    text = path.read_text().replace("</profile>", f"<ModuleInformation>{inner}</ModuleInformation></profile>")
    assert old in text
    path.write_text(text.replace(old, new) if old else text)
    reports = ReportsSynthesizer(ReportsConfig((str(tmp_path),)))
    assert bool(reports.synthesize(design, TARGET, "csynth").estimates) == counts
    assert bool(reports.synthesize(design, TARGET, "logic_synth").estimates) == counts
    assert bool(measured_projects([tmp_path])[0]) == counts


def test_report_naming_only_activations_is_no_evidence(tmp_path: Path) -> None:
    """HLS inlined the graphs; the activation of the older firmware is one of the newer, too."""
    kind = FixedType(7, 3, False, "RND", "SAT")
    rng = np.random.default_rng(5)
    weight = FixedType(5, 1)
    layers = tuple(
        Dense(a, b, act, weight, None, None, out, strategy="distributed_arithmetic")
        for a, b, act, out in ((6, 6, "relu", kind), (6, 6, "relu", kind), (6, 4, "linear", None))
    )
    weights = tuple(rng.integers(-8, 8, (layer.n_in, layer.n_out)) for layer in layers)
    newer = Design(Architecture(FixedType(8, 3), layers, clock_ns=5.0), weights, (None,) * 3)
    folder = _synthesised(tmp_path, newer)
    project = read_whole(folder)
    assert {"relu_config3", "relu_config5"} <= project.structs
    path = folder / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    text = path.read_text()
    for configs, counts in (("35", True), ("5", True), ("3", False), ("", True)):
        names = [f"relu_ap_fixed_ap_ufixed_7_3_0_0_0_relu_config{number}_s" for number in configs]
        inner = "".join(
            f"<Module><Name>{name}</Name><AreaEstimates><Resources><LUT>5</LUT></Resources></AreaEstimates></Module>"
            for name in names
        )
        path.write_text(
            text.replace("</profile>", f"<ModuleInformation>{inner}</ModuleInformation></profile>")
        )
        reports = ReportsSynthesizer(ReportsConfig((str(tmp_path),)))
        assert bool(reports.synthesize(newer, TARGET, "csynth").estimates) == counts, configs
        assert bool(measured_projects([tmp_path])[0]) == counts, configs


def test_rows_for_calibration(tree: Path, tmp_path: Path) -> None:
    rows, problems = measured_projects([tree])
    assert problems == []
    assert [row.query.stage for row in rows] == ["csynth", "logic_synth"] * 4
    first = rows[0]
    assert first.query.tool == "vivado_hls 2019.2"
    # the report rounds 12.5 % of 5 ns to 0.62 ns
    assert (first.query.clock_ns, first.query.clock_uncertainty) == (5.0, 0.125)
    assert first.truth == {
        "lut": 55555.0,
        "ff": 22222.0,
        "dsp": 1010.0,
        "bram_18k": 3.0,
        "latency_cycles": 9.0,
        "ii_cycles": 2.0,
    }
    assert first.query.layers[0].weights is not None
    assert rows[1].truth["lut"] == 24680.0
    assert {row.family for row in rows} == {tree.name}
    (tmp_path / "broken" / "firmware").mkdir(parents=True)
    (tmp_path / "broken" / "firmware" / "parameters.h").write_text("struct")
    rows, problems = measured_projects([tmp_path, tree], family="mine")
    assert (len(rows), len(problems)) == (8, 1)
    assert {row.family for row in rows} == {"mine"}


class TestContract(SynthesizerContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def synthesizer(self) -> ReportsSynthesizer:
        return ReportsSynthesizer(ReportsConfig((str(self.folder),)))


def _ports(*ports: tuple[str, int]) -> str:
    clock = "<RtlPorts><name>ap_clk</name><IOProtocol>ap_ctrl_hs</IOProtocol><Bits>1</Bits></RtlPorts>"
    drawn = "".join(
        f"<RtlPorts><name>{name}</name><IOProtocol>{protocol}</IOProtocol><Bits>{bits}</Bits></RtlPorts>"
        for name, bits in ports
        for protocol in ["ap_ctrl_hs" if "return" in name else "ap_vld"]
    )
    return f"<InterfaceSummary>{clock}{drawn}</InterfaceSummary></profile>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dense_latency", "dense_resource_rf_leq_nin"),  # the firmware's strategy is Latency
        ("config4_s", "config3_s"),  # relu_config3 is no configuration of a dense layer
    ],
    ids=["strategy", "kind"],
)
def test_modules_of_another_strategy_or_kind_are_of_another_firmware(
    tmp_path: Path, old: str, new: str
) -> None:
    folder = _synthesised(tmp_path / "project", _design())
    path = folder / "tagger_prj" / "solution1" / "syn" / "report" / "tagger_csynth.xml"
    assert measured_projects([folder])[0]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    designs, skipped = measured_projects([folder])
    assert not designs
    assert SkipReason.OTHER_DESIGN in {each.kind for each in skipped}


def test_c_synthesis_for_another_part_than_the_projects_teaches_nothing(tmp_path: Path) -> None:
    folder = _synthesised(tmp_path / "project", _design())
    path = folder / "tagger_prj" / "solution1" / "syn" / "report" / "tagger_csynth.xml"
    text = path.read_text()
    path.write_text(re.sub(r"<Part>[^<]*<", "<Part>xc7z020-clg400-1<", text))
    designs, skipped = measured_projects([folder])
    assert not designs
    assert SkipReason.OTHER_DESIGN in {each.kind for each in skipped}
    (folder / "project.tcl").unlink(missing_ok=True)
    for script in folder.glob("*.tcl"):
        script.unlink()
    designs, _ = measured_projects([folder])
    assert {design.query.part for design in designs} == {"xc7z020-clg400-1"}


INPUT = (("x_V", 48), ("x_V_ap_vld", 1))
OUTPUTS = tuple((f"layer4_out_{number}_V", 12) for number in range(3))


@pytest.mark.parametrize(
    ("ports", "foreign"),
    [
        ((*INPUT, *OUTPUTS, ("const_size_in_1", 16)), False),
        ((("x", 48), *((name.removesuffix("_V"), bits) for name, bits in OUTPUTS)), False),
        ((("x_V", 40), *OUTPUTS), True),  # another number of inputs
        ((*INPUT, *OUTPUTS[:2]), True),  # another number of outputs
        ((*INPUT, *((name, 16) for name, _ in OUTPUTS)), True),  # wider outputs
        ((("fc1_input_V", 48), *OUTPUTS), True),  # another input
        ((), False),  # none in the report
    ],
    ids=["Vivado", "Vitis", "inputs", "outputs", "width", "name", "none"],
)
def test_ports_of_a_report_are_those_of_the_firmware(
    tmp_path: Path, ports: tuple[tuple[str, int], ...], foreign: bool
) -> None:
    folder = _synthesised(tmp_path / "project", _design())
    first = read_whole(folder).ports
    path = folder / "tagger_prj" / "solution1" / "syn" / "report" / "tagger_csynth.xml"
    names = dict(zip(("x", "layer4_out"), first, strict=True))
    renamed = [(name.replace("layer4_out", names["layer4_out"]), bits) for name, bits in ports]
    renamed = [(name.replace("x", names["x"], 1) if name[0] == "x" else name, bits) for name, bits in renamed]
    path.write_text(path.read_text().replace("</profile>", _ports(*renamed)))
    designs, skipped = measured_projects([folder])
    assert (SkipReason.OTHER_DESIGN in {each.kind for each in skipped}) == foreign
    assert bool(designs) != foreign


@pytest.mark.parametrize(("values", "foreign"), [(8, False), (7, False), (6, True), (16, True)])
def test_modules_return_the_values_of_their_layer(tmp_path: Path, values: int, foreign: bool) -> None:
    design = _design()
    weights = [each.copy() for each in design.weights]
    weights[1][2] = 0  # no output needs the third neuron, so HLS may remove it
    design = dataclasses.replace(design, weights=tuple(weights))
    folder = _synthesised(tmp_path / "project", design)
    report = folder / "tagger_prj" / "solution1" / "syn" / "report"
    accum = design.layer_types()[0][1]
    module = MODULE.format(width=accum.width, integer=accum.integer)
    text = (DATA / "vivado_2019_csynth.xml").read_text().replace(">tagger<", f">{module}<")
    returned = _ports(*((f"ap_return_{number}", 12) for number in range(values)))
    (report / f"{module}_csynth.xml").write_text(text.replace("</profile>", returned))
    project = read_whole(folder)
    assert project.reports is not None
    assert bool(contradictions(project, project.reports.solutions[0])) == foreign


def test_ports_of_text_reports(tmp_path: Path) -> None:
    table = """
+---------------+-----+-----+------------+--------------+--------------+
|   RTL Ports   | Dir | Bits|  Protocol  | Source Object|    C Type    |
+---------------+-----+-----+------------+--------------+--------------+
|ap_clk         |  in |    1| ap_ctrl_hs |    tagger    | return value |
|fc1_input_V    |  in |  256|   ap_vld   |  fc1_input_V |    pointer   |
+---------------+-----+-----+------------+--------------+--------------+
"""
    path = tmp_path / "tagger_csynth.rpt"
    path.write_text((DATA / "vitis_2021_csynth.rpt").read_text() + table)
    assert [(port.name, port.bits, port.protocol) for port in read_csynth(path).ports] == [
        ("ap_clk", 1, "ap_ctrl_hs"),
        ("fc1_input_V", 256, "ap_vld"),
    ]
    overview = read_csynth(DATA / "vitis_2024_overview.rpt")
    assert [(port.name, port.bits) for port in overview.ports] == [("input_1", 144)]


def test_a_report_of_another_design_gives_no_part_and_clock(tmp_path: Path) -> None:
    folder = edited(tmp_path, "HLS PIPELINE", "HLS PIPELINE")
    (folder / "build_prj.tcl").unlink()
    text = (DATA / "vivado_2019_csynth.xml").read_text()
    path = folder / "tagger_prj" / "solution1" / "syn" / "report" / "tagger_csynth.xml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    own = read_folder(folder)
    path.write_text(text.replace(">tagger<", ">kernel<"))
    query = read_folder(folder)
    assert (query.part, query.clock_ns) == ("xc7z020-clg400-1", 10.0)
    assert (own.part, own.clock_ns) != (query.part, query.clock_ns)
    assert own.tool == query.tool == "vivado_hls 2019.2"
    assert NoteKind.ASSUMED in {note.kind for note in query.warnings}


@pytest.mark.parametrize(
    ("strategy", "reuse_factor", "foreign"),
    [("Resource", 4, False), ("Resource", 6, True), ("Latency", 6, False)],
)
def test_an_interval_below_a_reuse_factor_is_of_an_older_configuration(
    tmp_path: Path, strategy: str, reuse_factor: int, foreign: bool
) -> None:
    folder = edited(tmp_path, "HLS PIPELINE", "HLS DATAFLOW")
    path = folder / "firmware" / "parameters.h"
    text = path.read_text().replace("nnet::latency", f"nnet::{strategy.lower()}")
    path.write_text(text.replace("reuse_factor = 2", f"reuse_factor = {reuse_factor}"))
    report = (DATA / "vivado_2019_csynth.xml").read_text()
    report = re.sub(r"<(Interval-m\w\w)>[^<]*<", r"<\1>4<", report)
    (folder / "tagger_csynth.xml").write_text(report)
    project = read_whole(folder)
    assert project.reports is not None
    assert bool(contradictions(project, project.reports.solutions[0])) == foreign
