"""How many pictures a second does training take? FERscope's engine beside plain `model.fit`, in one run.

    python benchmarks/training.py                      compact at 44 pixels, and a head on frozen MobileNetV2
    python benchmarks/training.py --model patil_cnn    another network

Both train the same network on the same drawn pictures, in turn, so that a busy machine slows both; the median of the
rounds is kept. The engine augments each picture on the fly; plain `model.fit` gets finished float32 arrays and does
not. The second part compares an epoch of a head on cached features with an epoch of the frozen backbone and the head,
and what the two have learnt. Writes benchmarks/results/training-<model>.json.
"""

import argparse
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from fer_core import artifacts  # noqa: E402
from fer_core.datasets import synthetic  # noqa: E402

BATCH = 128


def engine_pass(model: str, size: int, split):
    """A function that trains some steps of the engine, augmentation included."""
    from fer_core.training.batches import epoch_batches
    from fer_core.training.engine import _compile, _training_network
    from fer_core.training.run import recipe

    config = recipe(model, {"batch_size": BATCH})
    network = _training_network(model, 7, config)
    _compile(network, config)
    channels = network.input_shape[3]

    def train(steps: int) -> None:
        for pixels, targets, _ in islice(epoch_batches(split, config, 0, size, channels), steps):
            network.train_on_batch(pixels, targets)

    return train


def plain_pass(model: str, size: int, split):
    """A function that trains as many steps by `model.fit`, as Keras' own examples do: float32, stock layers."""
    import keras

    from fer_core.models.preprocess import preprocess
    from fer_core.models.registry import build_network

    network = build_network(model, input_size=size)
    network.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "categorical_crossentropy", metrics=["accuracy"]
    )
    pixels = preprocess(split.images, (size, size), network.input_shape[3])
    targets = keras.utils.to_categorical(split.y_true, 7)

    def train(steps: int) -> None:
        network.fit(pixels[: steps * BATCH], targets[: steps * BATCH], batch_size=BATCH, epochs=1, verbose=0)

    return train


def images_per_second(ways: dict, steps: int, rounds: int) -> dict[str, float]:
    for train in ways.values():
        train(2)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, train in ways.items():
            started = time.perf_counter()
            train(steps)
            rates[name].append(steps * BATCH / (time.perf_counter() - started))
    return {name: float(np.median(values)) for name, values in rates.items()}


def frozen_epochs(n: int, rounds: int) -> dict:
    """Seconds per epoch of a head on MobileNetV2 with random weights: on cached features, and on pictures."""
    import keras

    from fer_core.models.backbones import freeze
    from fer_core.models.preprocess import preprocess
    from fer_core.models.registry import build_network
    from fer_core.training.frozen import _head

    split = synthetic.faces(n, size=48, seed=1)
    network = build_network("mobilenetv2_frozen", input_size=96)
    freeze(network, 0)
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    pixels = preprocess(split.images, (96, 96), 3)
    started = time.perf_counter()
    pooled = keras.Model(network.inputs, network.get_layer("pool").output).predict(pixels, verbose=0)
    once = time.perf_counter() - started
    twin = build_network("mobilenetv2_frozen", input_size=96)
    twin.set_weights(network.get_weights())
    head = _head(twin)
    head.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    times: dict[str, list[float]] = {"backbone in every epoch": [], "cached features": []}
    settings = {"batch_size": BATCH, "epochs": 1, "verbose": 0, "shuffle": False}
    for turn in range(rounds + 1):
        for name, (model, inputs) in zip(times, ((network, pixels), (head, pooled)), strict=True):
            started = time.perf_counter()
            model.fit(inputs, split.y_true, **settings)
            if turn:  # the first round compiles
                times[name].append(time.perf_counter() - started)
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    accuracy = {
        "backbone in every epoch": float(network.evaluate(pixels, split.y_true, verbose=0)[1]),
        "cached features": float(head.evaluate(pooled, split.y_true, verbose=0)[1]),
    }
    return {
        "pictures": n,
        "seconds_per_epoch": seconds,
        "seconds_for_features_once": once,
        "ratio": seconds["backbone in every epoch"] / seconds["cached features"],
        "train_accuracy": accuracy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--size", type=int, default=0, help="side in pixels; the model's own by default")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    from fer_core.models.specs import spec

    size = args.size or spec(args.model)["input_size"]
    split = synthetic.faces(args.steps * BATCH, size=48, seed=0)
    ways = {"FERscope's engine": engine_pass(args.model, size, split), "model.fit": plain_pass(args.model, size, split)}
    rates = images_per_second(ways, args.steps, args.rounds)
    conditions = {"model": args.model, "input": f"{size} x {size}", "batch_size": BATCH, "rounds": args.rounds}
    result = {
        "conditions": conditions | artifacts.environment() | {"load_average": os.getloadavg()[0]},
        "images_per_second": rates,
        "ratio": rates["FERscope's engine"] / rates["model.fit"],
        "frozen": frozen_epochs(1024, args.rounds),
    }
    output = args.output or PROJECT / "benchmarks" / "results" / f"training-{args.model}.json"
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
