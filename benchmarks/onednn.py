"""How much faster is TensorFlow with oneDNN's convolutions? On and off in turn, each in a process of its own.

    python benchmarks/onednn.py                        compact and vgg16, three processes each way

TensorFlow itself turns them on for some processors only; `fer_core` does so for all, unless TF_ENABLE_ONEDNN_OPTS says
otherwise. Random weights. Writes benchmarks/results/onednn.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from fer_core import artifacts  # noqa: E402

MODELS = ("compact", "vgg16")
BATCH = 64


def seconds(call: Callable[[], object], times: int) -> float:
    """Median seconds of a call, after two that do not count."""
    taken = []
    for turn in range(times + 2):
        started = time.perf_counter()
        call()
        if turn >= 2:
            taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def measure(model: str) -> dict[str, float]:
    """Seconds that this process needs: a training step, predictions of a batch and of one face, and SmoothGrad."""
    import keras

    from fer_core.explain import saliency
    from fer_core.inference import Predictor
    from fer_core.models.registry import NetworkClassifier, build_network

    network = build_network(model)
    network.compile(keras.optimizers.Adam(), keras.losses.CategoricalCrossentropy())
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (BATCH, *network.input_shape[1:3]), dtype=np.uint8)
    targets = np.eye(network.output_shape[1], dtype=np.float32)[generator.integers(0, network.output_shape[1], BATCH)]
    predictor = Predictor(NetworkClassifier(network))
    pixels = predictor.preprocess(images)
    return {
        f"predictions of {BATCH} faces": seconds(lambda: predictor.predict_proba(images), 8),
        "prediction of one face": seconds(lambda: predictor.predict_proba(images[:1]), 40),
        "SmoothGrad of 4 faces": seconds(lambda: saliency.explain(predictor, images[:4], 3, "smoothgrad"), 4),
        f"training step of {BATCH} faces": seconds(lambda: network.train_on_batch(pixels, targets), 5),
    }


def in_own_process(model: str, on: bool) -> dict[str, float]:
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": str(int(on)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--model", model, "--measure"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(model: str, rounds: int) -> dict[str, dict]:
    """What is done -> median seconds on and off, and how many times as fast it is when on."""
    found: dict[bool, list[dict]] = {True: [], False: []}
    for _ in range(rounds):
        for on in found:
            found[on].append(in_own_process(model, on))
    result = {}
    for what in found[True][0]:
        on, off = (float(np.median([one[what] for one in found[way]])) for way in (True, False))
        result[what] = {"seconds": {"on": on, "off": off}, "ratio": off / on}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", action="store_true", help="measure in this process and print it")
    parser.add_argument("--output", type=Path, default=PROJECT / "benchmarks" / "results" / "onednn.json")
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.model[0])))
        return
    conditions = {"rounds": args.rounds, "weights": "random"} | artifacts.environment()
    result: dict = {"conditions": conditions | {"load_average": os.getloadavg()[0]}}
    for model in args.model or MODELS:
        result[model] = compare(model, args.rounds)
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
