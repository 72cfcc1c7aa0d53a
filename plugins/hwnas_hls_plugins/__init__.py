"""The built-in plugins, by the same door as a stranger's: the entry point group ``hwnas_hls``.

Every hook imports what it hands over when it is called, so that the command line starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas_hls import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def hwnas_register_spaces() -> list[type]:
    from hwnas_hls_plugins.cell_space import CellSpace
    from hwnas_hls_plugins.conv_cell_space import ConvCellSpace
    from hwnas_hls_plugins.hierarchical_space import HierarchicalSpace
    from hwnas_hls_plugins.mlp_space import MlpSpace

    return [MlpSpace, CellSpace, ConvCellSpace, HierarchicalSpace]


@hookimpl
def hwnas_register_strategies() -> list[type]:
    from hwnas_hls_plugins.bayesian import BayesianStrategy
    from hwnas_hls_plugins.differentiable import DifferentiableStrategy
    from hwnas_hls_plugins.evolution import EvolutionStrategy
    from hwnas_hls_plugins.grid_strategy import GridStrategy
    from hwnas_hls_plugins.optuna_strategies import Nsga2Strategy, Nsga3Strategy, TpeStrategy
    from hwnas_hls_plugins.random_strategy import RandomStrategy
    from hwnas_hls_plugins.reinforce import ReinforceStrategy

    return [
        RandomStrategy,
        GridStrategy,
        EvolutionStrategy,
        Nsga2Strategy,
        Nsga3Strategy,
        TpeStrategy,
        BayesianStrategy,
        ReinforceStrategy,
        DifferentiableStrategy,
    ]


@hookimpl
def hwnas_register_estimators() -> list[type]:
    from hwnas_hls_plugins.hls_model import HlsModelEstimator
    from hwnas_hls_plugins.multi_fidelity import FullTrainingEstimator, PartialTrainingEstimator
    from hwnas_hls_plugins.open_synthesis.cost_estimator import DaCostEstimator
    from hwnas_hls_plugins.performance_predictor import PerformancePredictorEstimator
    from hwnas_hls_plugins.static_cost import StaticEstimator
    from hwnas_hls_plugins.training import TrainingEstimator
    from hwnas_hls_plugins.weight_sharing import WeightSharingEstimator
    from hwnas_hls_plugins.zero_cost import ZeroCostEstimator

    return [
        StaticEstimator,
        HlsModelEstimator,
        TrainingEstimator,
        PartialTrainingEstimator,
        FullTrainingEstimator,
        WeightSharingEstimator,
        PerformancePredictorEstimator,
        ZeroCostEstimator,
        DaCostEstimator,
    ]


@hookimpl
def hwnas_register_tasks() -> list[type]:
    from hwnas_hls_plugins.digits_tasks import Digits16Task, DigitsTask
    from hwnas_hls_plugins.file_task import FileTask
    from hwnas_hls_plugins.jets_task import JetsTask

    return [Digits16Task, DigitsTask, JetsTask, FileTask]


@hookimpl
def hwnas_register_synthesizers() -> list[type]:
    from hwnas_hls_plugins.open_synthesis import OpenMultiplierSynthesizer, OpenSynthesizer
    from hwnas_hls_plugins.vendor_reports.synthesizer import ReportsSynthesizer
    from hwnas_hls_plugins.vendor_synthesis import VitisSynthesizer, VivadoSynthesizer

    return [
        OpenSynthesizer,
        OpenMultiplierSynthesizer,
        VitisSynthesizer,
        VivadoSynthesizer,
        ReportsSynthesizer,
    ]


@hookimpl
def hwnas_register_exporters() -> list[type]:
    from hwnas_hls_plugins.csv_export import CsvExporter
    from hwnas_hls_plugins.front_json import FrontJsonExporter
    from hwnas_hls_plugins.html_report import HtmlReportExporter
    from hwnas_hls_plugins.onnx_export import OnnxExporter
    from hwnas_hls_plugins.optuna_export import OptunaExporter

    return [FrontJsonExporter, HtmlReportExporter, CsvExporter, OptunaExporter, OnnxExporter]


@hookimpl
def hwnas_register_commands(cli: click.Group) -> None:
    from hwnas_hls_plugins.hls_model.calibrate_command import calibrate_command
    from hwnas_hls_plugins.hls_model.command import predict_command

    cli.add_command(predict_command)
    cli.add_command(calibrate_command)
