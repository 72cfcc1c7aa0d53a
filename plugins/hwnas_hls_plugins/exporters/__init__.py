"""The built-in exporters: front.json, the HTML report, CSV, ONNX and Optuna.

They use the engine; ``optuna_export`` also uses the strategies' Optuna study. Begin with ``front_json``.
"""
