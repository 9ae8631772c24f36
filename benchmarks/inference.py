"""How long does one face take? The compiled predictor beside Keras' own `model.predict`, in one run.

    python benchmarks/inference.py                     the stored run of `compact`
    python benchmarks/inference.py --model vgg16       another one; with random weights where no run has any

All ways get the same float32 input of the network's size and are timed in turn, so that a busy machine slows all of
them; the median of each is kept. Writes benchmarks/results/inference-<model>.json.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from fer_core import artifacts  # noqa: E402

BATCHES = (1, 64)


def medians_ms(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each way, timed in turn after three rounds of warming up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 3):
        for name, call in ways.items():
            started = time.perf_counter()
            call()
            if turn >= 3:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: float(np.median(values)) for name, values in times.items()}


def compiled_unfolded(network) -> Callable[[np.ndarray], np.ndarray]:
    """`tf.function` alone, to show what folding the normalisation adds."""
    import tensorflow as tf

    signature = tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)
    graph = tf.function(lambda pixels: network(pixels, training=False)).get_concrete_function(signature)
    return lambda pixels: np.asarray(graph(tf.constant(pixels)))


def stored_run(model: str) -> artifacts.Run | None:
    """The run of ``model`` on fer2013 whose weights are here."""
    runs = artifacts.list_runs(PROJECT / "artifacts")[0]
    return next((run for run in runs if run.model == model and run.dataset == "fer2013" and run.weights_path), None)


def measure(model: str, rounds: int) -> dict:
    from fer_core.inference import Predictor, compile_network
    from fer_core.models.registry import NetworkClassifier, build_network, load_classifier

    run = stored_run(model)
    network = load_classifier(run, tta="none").network if run else build_network(model)
    predictor = Predictor(NetworkClassifier(network))
    folded, unfolded = compile_network(network), compiled_unfolded(network)
    result = {}
    for batch in BATCHES:
        shape = (batch, *network.input_shape[1:3])
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        pixels = predictor.preprocess(images)
        difference = np.abs(folded(pixels) - network.predict(pixels, verbose=0)).max()
        ways = {
            "model.predict": lambda p=pixels: network.predict(p, verbose=0),
            "model()": lambda p=pixels: np.asarray(network(p, training=False)),
            "tf.function": lambda p=pixels: unfolded(p),
            "tf.function, folded": lambda p=pixels: folded(p),
            "Predictor, from uint8": lambda i=images: predictor.predict_proba(i),
        }
        times = medians_ms(ways, rounds if batch == 1 else max(5, rounds // 10))
        result[f"batch {batch}"] = {
            "ms": times,
            "predictor_over_predict": times["Predictor, from uint8"] / times["model.predict"],
            "largest_difference": float(difference),
        }
    height, width, channels = network.input_shape[1:]
    told = {"weights": run.name if run else "random", "input": f"{height} x {width} x {channels}"}
    return told | {"parameters": network.count_params()} | result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    output = args.output or PROJECT / "benchmarks" / "results" / f"inference-{args.model}.json"
    conditions = {"model": args.model, "rounds": args.rounds}
    result = {"conditions": conditions | artifacts.environment() | {"load_average": os.getloadavg()[0]}}
    result |= measure(args.model, args.rounds)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
