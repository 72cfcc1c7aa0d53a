"""Time of rule4ml's estimates; run in an environment of its own (``pip install rule4ml``).

    python benchmarks/predictor_speed/ours.py --write-networks networks.json
    python benchmarks/predictor_speed/rule4ml_speed.py networks.json

rule4ml (GPL-3) is only called here, through its published interface; nothing of it is part of this project.
One network at a time, as its interface takes them, and all networks in one call.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any


def keras_model(network: dict[str, Any], name: str) -> Any:
    import keras
    from keras.layers import Activation, Dense, Input

    inputs = Input(shape=(network["widths"][0],))
    x = inputs
    for width, activation in zip(network["widths"][1:], network["activations"], strict=True):
        x = Dense(width)(x)
        if activation in ("relu", "softmax", "sigmoid", "tanh"):
            x = Activation(activation)(x)
    model = keras.Model(inputs, x, name=name)
    model.build((None, network["widths"][0]))
    return model


def main() -> None:
    with open(sys.argv[1]) as file:  # noqa: PTH123
        networks = json.load(file)
    # torch before TensorFlow: the other way round they crash each other on some machines.
    import torch_geometric  # noqa: F401
    from rule4ml.models.wrappers import MultiModelWrapper

    estimator = MultiModelWrapper()
    estimator.load_default_models()
    pairs = []
    for number, network in enumerate(networks):
        strategy = "latency" if network["strategy"] == "Latency" else "resource"
        config = {
            "board": "alveo-u250",
            "model": {
                "precision": network["precision"],
                "reuse_factor": network["reuse_factor"],
                "strategy": strategy,
            },
        }
        pairs.append((keras_model(network, f"net{number}"), config))
    versions = {"hls4ml_versions": ["0.8.1"], "vivado_versions": ["2020.1"]}
    times = []
    for number, (model, config) in enumerate(pairs):
        began = time.process_time()
        estimator.predict(model, hls_configs=[config], **versions)
        if number:  # the first call loads what is loaded once
            times.append(time.process_time() - began)
    found = {"networks": len(networks), "single_ms": 1e3 * statistics.median(times)}
    models, configs = [model for model, _ in pairs], [pairs[0][1]]
    began = time.process_time()
    try:
        estimator.predict(models, hls_configs=configs, **versions)
        found["together_ms"] = 1e3 * (time.process_time() - began) / len(models)
    except Exception as error:  # whatever it raises, it cannot
        found["together"] = f"{type(error).__name__}: {error}"[:200]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
