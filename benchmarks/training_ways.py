"""One way of training a network, timed pass by pass: what benchmarks/training.py starts as a process of its own.

    python benchmarks/training_ways.py ours compact --size 44 --steps 12

Says "ready" when it is warm, then trains that many steps for every line of its input and prints pictures a second.
"""

import argparse
import sys
import time
from collections.abc import Callable
from itertools import islice

BATCH = 128
CLASSES = 7
OURS, FIT, FIT_ONEDNN = "ours", "model.fit", "model.fit with oneDNN"
WAYS = (OURS, FIT, FIT_ONEDNN)


def engine(model: str, size: int, split) -> Callable[[int], object]:
    """A function that trains some steps of the engine, augmentation included."""
    from fer_core.models.specs import spec
    from fer_core.training.batches import epoch_batches
    from fer_core.training.engine import _compile, _training_network
    from fer_core.training.run import recipe

    other_size = {} if size == spec(model)["input_size"] else {"input_size": size}
    config = recipe(model, {"batch_size": BATCH} | other_size)
    network = _training_network(model, CLASSES, config)
    _compile(network, config)
    channels = network.input_shape[3]

    def train(steps: int) -> None:
        for pixels, targets, _ in islice(epoch_batches(split, config, 0, size, channels), steps):
            network.train_on_batch(pixels, targets)

    return train


def plain(model: str, size: int, split) -> Callable[[int], object]:
    """A function that trains as many steps by `model.fit`, as Keras' own examples do: float32, stock layers."""
    import keras

    from fer_core.models.preprocess import preprocess
    from fer_core.models.registry import build_network

    network = build_network(model, input_size=size)
    network.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "categorical_crossentropy", metrics=["accuracy"]
    )
    pixels = preprocess(split.images, (size, size), network.input_shape[3])
    targets = keras.utils.to_categorical(split.y_true, CLASSES)

    def train(steps: int) -> None:
        network.fit(pixels[: steps * BATCH], targets[: steps * BATCH], batch_size=BATCH, epochs=1, verbose=0)

    return train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("model")
    parser.add_argument("--size", type=int, required=True, help="side in pixels")
    parser.add_argument("--steps", type=int, required=True)
    args = parser.parse_args()
    if args.way == FIT:
        import keras  # noqa: F401 - before fer_core, which turns oneDNN on: TensorFlow reads that once, here
    from timing import PROJECT  # noqa: F401 - makes fer_core importable

    from fer_core.datasets import synthetic

    split = synthetic.faces(args.steps * BATCH, size=48, seed=0)
    train = (engine if args.way == OURS else plain)(args.model, args.size, split)
    train(2)
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        train(args.steps)
        print(args.steps * BATCH / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
