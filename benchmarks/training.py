"""How many pictures a second does training take? FERscope's engine beside plain `model.fit`, in one run.

    python benchmarks/training.py                      compact at 44 pixels, and a head on frozen MobileNetV2
    python benchmarks/training.py --model patil_cnn    another network

All ways train the same network on the same drawn pictures, in turn, each in a process of its own, so that a busy
machine slows all; the median of the rounds is kept. `model.fit` runs as TensorFlow comes, and once more with oneDNN's
convolutions, which the engine always turns on and TensorFlow for some processors only. The engine augments each
picture on the fly; `model.fit` gets finished float32 arrays and does not.

The second part trains the same head on cached features of a frozen backbone, and behind that backbone in every epoch,
and compares seconds per epoch and accuracy on val: on FER2013 with ImageNet weights where it is registered and
FER_PRETRAINED_DIR holds MobileNetV2, else on drawn faces with random weights, as the result says. Writes
benchmarks/results/training-<model>.json, and fails where a goal is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from timing import PROJECT, judge, missed
from training_ways import BATCH, FIT, FIT_ONEDNN, OURS, WAYS

from fer_core import artifacts, datasets
from fer_core.datasets import Split, synthetic

BACKBONE, FROZEN_SIDE = "mobilenetv2", 96
PRETRAINED_DIR = "FER_PRETRAINED_DIR"
GOALS = {"engine": 2.0, "cached_features": 20.0}  # times as fast as the other way


def started(way: str, model: str, size: int, steps: int) -> subprocess.Popen:
    """A process that trains ``model`` one way whenever it gets a line, with TensorFlow's own settings."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    command = [sys.executable, str(Path(__file__).with_name("training_ways.py")), way, model]
    command += ["--size", str(size), "--steps", str(steps)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def images_per_second(model: str, size: int, steps: int, rounds: int) -> dict[str, float]:
    """Pictures a second of each of ``WAYS``: the median over ``rounds``, in which they take turns."""
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    processes = {way: started(way, model, size, steps) for way in WAYS}
    try:
        for way, process in processes.items():
            if process.stdout.readline().strip() != "ready":
                raise SystemExit(f"{way} did not start.")
        for _ in range(rounds):
            for way, process in processes.items():
                print(file=process.stdin, flush=True)
                rates[way].append(float(process.stdout.readline()))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return {way: float(np.median(values)) for way, values in rates.items()}


def frozen_faces(n_train: int, n_val: int) -> tuple[Split, Split, str]:
    """Pictures to train a head on and to measure it on, and the weights of the backbone.

    Real faces and ``imagenet`` where ``FER_PRETRAINED_DIR`` holds MobileNetV2 and FER2013 is registered; else drawn
    faces and ``random``, on which nothing can be learnt that would tell two ways apart.
    """
    folder = os.environ.get(PRETRAINED_DIR)
    names = (f"{BACKBONE}_imagenet_notop.weights.h5", f"{BACKBONE}.weights.h5")
    held = folder and any((Path(folder) / name).is_file() for name in names)
    if not held or "fer2013" not in datasets.available():
        return synthetic.faces(n_train, size=48, seed=1), synthetic.faces(n_val, size=48, seed=2), "random"
    real = datasets.load("fer2013")
    counts, rng = {"train": n_train, "val": n_val}, np.random.default_rng(0)
    train, val = (real[name].take(rng.permutation(len(real[name]))[:n]) for name, n in counts.items())
    return train, val, "imagenet"


def frozen_epochs(train: Split, val: Split, weights: str, epochs: int) -> dict:
    """A head on a frozen MobileNetV2, trained on cached features and on pictures: seconds per epoch and val accuracy.

    Both begin with the same weights and see the same batches; the first epoch, which compiles, is not timed.
    """
    import keras

    from fer_core.models.backbones import freeze, load_imagenet
    from fer_core.models.preprocess import preprocess
    from fer_core.models.registry import build_network
    from fer_core.training import frozen

    network, twin = (build_network("mobilenetv2_frozen", input_size=FROZEN_SIDE) for _ in range(2))
    if weights == "imagenet":
        load_imagenet(network, BACKBONE)
    twin.set_weights(network.get_weights())
    freeze(network, 0)
    pooled = keras.Model(twin.inputs, twin.get_layer("pool").output)
    ways = {"backbone in every epoch": network, "cached features": frozen._head(twin)}
    inputs: dict[str, list[np.ndarray]] = {"backbone in every epoch": [], "cached features": []}
    inputs["backbone in every epoch"] = [preprocess(part.images, (FROZEN_SIDE,) * 2, 3) for part in (train, val)]
    once = []
    with tempfile.TemporaryDirectory() as cache:
        for part in (train, val):
            started = time.perf_counter()
            found = frozen.features(pooled, part, "", Path(cache), "benchmark", lambda done, total: None)
            once.append(time.perf_counter() - started)
            inputs["cached features"].append(found)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for model in ways.values():
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for epoch in range(epochs):
        for name, model in ways.items():
            started = time.perf_counter()
            model.fit(inputs[name][0], train.y_true, batch_size=BATCH, epochs=1, verbose=0, shuffle=False)
            if epoch:
                times[name].append(time.perf_counter() - started)
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    answers = {name: model.predict(inputs[name][1], verbose=0).argmax(axis=1) for name, model in ways.items()}
    accuracy = {name: float((found == val.y_true).mean()) for name, found in answers.items()}
    return {
        "pictures": {"train": len(train), "val": len(val)},
        "faces": "fer2013" if weights == "imagenet" else "drawn",
        "backbone": BACKBONE,
        "weights": weights,
        "input": f"{FROZEN_SIDE} x {FROZEN_SIDE}",
        "epochs": epochs,
        "seconds_per_epoch": seconds,
        "seconds_for_features_once": dict(zip(("train", "val"), once, strict=True)),
        "ratio": seconds["backbone in every epoch"] / seconds["cached features"],
        "val_accuracy": accuracy,
        "val_accuracy_difference": accuracy["cached features"] - accuracy["backbone in every epoch"],
        "same_val_answers": float(np.mean(np.equal(*answers.values()))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--size", type=int, default=0, help="side in pixels; the model's own by default")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--train", type=int, default=2048, help="pictures that the head is fitted to")
    parser.add_argument("--val", type=int, default=1024, help="pictures that it is measured on")
    parser.add_argument("--epochs", type=int, default=10, help="of that head, 2 or more")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    if args.epochs < 2:
        parser.error("--epochs must be 2 or more: the first one compiles and is not timed.")
    from fer_core.models.specs import spec

    size = args.size or spec(args.model)["input_size"]
    rates = images_per_second(args.model, size, args.steps, args.rounds)
    conditions = {"model": args.model, "input": f"{size} x {size}", "batch_size": BATCH, "rounds": args.rounds}
    conditions |= artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}
    ratio = rates[OURS] / rates[FIT]
    frozen = frozen_epochs(*frozen_faces(args.train, args.val), args.epochs)
    result = {
        "conditions": conditions,
        "goals": judge(GOALS, {"engine": {"ratio": ratio}, "cached_features": frozen}),
        "images_per_second": rates,
        "ratio": ratio,
        "ratio_with_onednn_both_ways": rates[OURS] / rates[FIT_ONEDNN],
        "frozen": frozen,
    }
    output = args.output or PROJECT / "benchmarks" / "results" / f"training-{args.model}.json"
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    raise SystemExit(missed(result["goals"]) or 0)


if __name__ == "__main__":
    main()
