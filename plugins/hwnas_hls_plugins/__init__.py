"""The built-in plugins, registered like any other plugin through the entry point group ``hwnas_hls``.

Every hook imports its classes when it is called, which keeps the command line fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas_hls import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def hwnas_register_spaces() -> list[type]:
    """The built-in search spaces."""
    from hwnas_hls_plugins.spaces.cell import CellSpace
    from hwnas_hls_plugins.spaces.conv_cell import ConvCellSpace
    from hwnas_hls_plugins.spaces.hierarchical import HierarchicalSpace
    from hwnas_hls_plugins.spaces.mlp import MlpSpace

    return [MlpSpace, CellSpace, ConvCellSpace, HierarchicalSpace]


@hookimpl
def hwnas_register_strategies() -> list[type]:
    """The built-in search strategies."""
    from hwnas_hls_plugins.strategies.bayesian import BayesianStrategy
    from hwnas_hls_plugins.strategies.differentiable import DifferentiableStrategy
    from hwnas_hls_plugins.strategies.evolution import EvolutionStrategy
    from hwnas_hls_plugins.strategies.grid import GridStrategy
    from hwnas_hls_plugins.strategies.optuna_samplers import Nsga2Strategy, Nsga3Strategy, TpeStrategy
    from hwnas_hls_plugins.strategies.random_search import RandomStrategy
    from hwnas_hls_plugins.strategies.reinforce import ReinforceStrategy

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
    """The built-in estimators."""
    from hwnas_hls_plugins.estimators.da_cost import DaCostEstimator
    from hwnas_hls_plugins.estimators.da_law import DaLawEstimator
    from hwnas_hls_plugins.estimators.hls_model import HlsModelEstimator
    from hwnas_hls_plugins.estimators.multi_fidelity import FullTrainingEstimator, PartialTrainingEstimator
    from hwnas_hls_plugins.estimators.performance_predictor import PerformancePredictorEstimator
    from hwnas_hls_plugins.estimators.static_cost import StaticEstimator
    from hwnas_hls_plugins.estimators.training import TrainingEstimator
    from hwnas_hls_plugins.estimators.weight_sharing import WeightSharingEstimator
    from hwnas_hls_plugins.estimators.zero_cost import ZeroCostEstimator

    return [
        StaticEstimator,
        HlsModelEstimator,
        TrainingEstimator,
        PartialTrainingEstimator,
        FullTrainingEstimator,
        WeightSharingEstimator,
        PerformancePredictorEstimator,
        ZeroCostEstimator,
        DaLawEstimator,
        DaCostEstimator,
    ]


@hookimpl
def hwnas_register_tasks() -> list[type]:
    """The built-in tasks."""
    from hwnas_hls_plugins.tasks.digits import Digits16Task, DigitsTask
    from hwnas_hls_plugins.tasks.file_task import FileTask
    from hwnas_hls_plugins.tasks.jets import JetsTask

    return [Digits16Task, DigitsTask, JetsTask, FileTask]


@hookimpl
def hwnas_register_synthesizers() -> list[type]:
    """The built-in synthesizers."""
    from hwnas_hls_plugins.synthesizers.open_synthesis import (
        Ecp5MultiplierSynthesizer,
        Ecp5Synthesizer,
        OpenMultiplierSynthesizer,
        OpenSynthesizer,
    )
    from hwnas_hls_plugins.synthesizers.vendor_reports import ReportsSynthesizer
    from hwnas_hls_plugins.synthesizers.vendor_tools import VitisSynthesizer, VivadoSynthesizer

    return [
        OpenSynthesizer,
        OpenMultiplierSynthesizer,
        Ecp5Synthesizer,
        Ecp5MultiplierSynthesizer,
        VitisSynthesizer,
        VivadoSynthesizer,
        ReportsSynthesizer,
    ]


@hookimpl
def hwnas_register_exporters() -> list[type]:
    """The built-in exporters."""
    from hwnas_hls_plugins.exporters.csv_export import CsvExporter
    from hwnas_hls_plugins.exporters.front_json import FrontJsonExporter
    from hwnas_hls_plugins.exporters.html_report import HtmlReportExporter
    from hwnas_hls_plugins.exporters.onnx_export import OnnxExporter
    from hwnas_hls_plugins.exporters.optuna_export import OptunaExporter
    from hwnas_hls_plugins.exporters.rtl_export import VerilogExporter, VhdlExporter

    return [
        FrontJsonExporter,
        HtmlReportExporter,
        VerilogExporter,
        VhdlExporter,
        CsvExporter,
        OptunaExporter,
        OnnxExporter,
    ]


@hookimpl
def hwnas_register_commands(cli: click.Group) -> None:
    """The built-in commands ``predict`` and ``calibrate``."""
    from hwnas_hls_plugins.estimators.hls_model.calibrate_command import calibrate_command
    from hwnas_hls_plugins.estimators.hls_model.command import predict_command

    cli.add_command(predict_command)
    cli.add_command(calibrate_command)
