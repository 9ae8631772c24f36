"""Heads on frozen backbones: features are computed once per picture and kept; only the head runs in every epoch.

``precision`` is that of the backbone, and ``auto`` means float32 here: what is computed once need not be fast.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from fer_core.datasets.split import Split, picture_digests
from fer_core.errors import ConfigError, RunError
from fer_core.models.backbones import load_imagenet
from fer_core.models.preprocess import preprocess
from fer_core.models.registry import build_network
from fer_core.models.specs import spec
from fer_core.storage import read_json, to_json, write_atomically, write_text
from fer_core.training.batches import Batch, class_weights, smoothed, steps_per_epoch
from fer_core.training.config import Augmentation, TrainConfig
from fer_core.training.precision import policy
from fer_core.training.task import Progress, Task, reporter

CHUNK = 256


def head_task(
    name: str, train: Split, val: Split, config: TrainConfig, cache: Path, on_progress: Callable[[Progress], None]
) -> Task:
    """Train what follows the pooling of ``name`` on the pooled features of a frozen backbone.

    Args:
        cache: folder of computed features; they are taken from there when pictures, backbone, its weights and the
            input are the same.

    Raises:
        ConfigError: settings that need the pictures anew in every epoch.
        ModelError: ImageNet weights are not to be had.
    """
    entry = spec(name)
    if config.augmentation != Augmentation() or config.mixup or config.sizes:
        raise ConfigError(
            "A frozen backbone sees each picture once.",
            "Set augmentation=none, mixup=0 and sizes=[], or unfreeze layers with trainable_layers.",
        )
    size = config.input_size or entry["input_size"]
    with policy(config.precision == "mixed_bfloat16"):
        network = build_network(name, input_size=size, num_classes=len(train.class_names), arguments=config.arguments)
    before = [layer.name for layer in network.layers if layer.name in ("input_bn", "input_noise")]
    if before:
        raise ConfigError(
            f"{name} has {' and '.join(before)} before its backbone, which features computed once would leave out.",
            "Unfreeze layers: trainable_layers of 1 or more.",
        )
    if config.initial_weights == "imagenet":
        load_imagenet(network, (entry["arguments"] | config.arguments)["backbone"])
    pooled = keras.Model(network.inputs, network.get_layer("pool").output)
    identity = _identity(pooled, size, config.equalize)
    inputs, outputs, seconds = [], [], []
    for what, split in (("training", train), ("validation", val)):
        report = reporter(f"features of {what} pictures", config.epochs, on_progress)
        inputs.append(features(pooled, split, config.equalize, cache, identity, report))
        outputs.append(split.y_true)
        seconds.append(_seconds(_place(cache, split, identity)))
    head = _head(network)

    def batches(epoch: int) -> Iterator[Batch]:
        return _feature_batches(inputs[0], train, config, epoch)

    def serving_weights(weights: list[np.ndarray]) -> list[np.ndarray]:
        head.set_weights(weights)
        return network.get_weights()

    return Task(
        network=head,
        batches=batches,
        watched=lambda epoch: ([inputs[1]], outputs[1]),
        size_at=lambda epoch: size,
        serving_weights=serving_weights,
        seen=([inputs[0]], outputs[0]),
        features_s=None if None in seconds else round(sum(seconds), 1),
    )


def features(
    pooled: keras.Model, split: Split, equalize: str, cache: Path, identity: str, report: Callable[[int, int], None]
) -> np.ndarray:
    """Pooled features float32 (N, D) of ``split``, from the cache if they are there, else computed and kept.

    A damaged file in the cache is replaced. How long they took stands beside them.
    """
    path = _place(cache, split, identity)
    stored = _stored(path, (len(split), pooled.output_shape[-1]))
    if stored is not None:
        return stored
    _, height, width, channels = pooled.input_shape
    parts, started = [], time.monotonic()
    for start in range(0, len(split), CHUNK):
        pixels = preprocess(split.images[start : start + CHUNK], (height, width), channels, equalize)
        parts.append(np.asarray(pooled.predict(pixels, batch_size=64, verbose=0), np.float32))
        report(start + len(pixels), len(split))
    found = np.concatenate(parts)
    write_text(path.with_suffix(".json"), to_json({"seconds": time.monotonic() - started}))
    write_atomically(path, lambda file: np.save(file, found))
    return found


def _place(cache: Path, split: Split, identity: str) -> Path:
    pictures = hashlib.sha256("".join(picture_digests(split.images).tolist()).encode()).hexdigest()[:16]
    return cache / f"{pictures}-{identity}.npy"


def _seconds(path: Path) -> float | None:
    """How long the features in ``path`` took; None where they are older than that is kept."""
    try:
        return float(read_json(path.with_suffix(".json"))["seconds"])
    except (RunError, KeyError, TypeError, ValueError):
        return None


def _stored(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # missing, cut short or overwritten
        return None
    return found if found.shape == shape else None


def _identity(pooled: keras.Model, size: int, equalize: str) -> str:
    digest = hashlib.sha256(f"{size} {equalize}".encode())
    precision = pooled.get_layer("pool").compute_dtype
    if precision != "float32":
        digest.update(precision.encode())
    for value in pooled.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def _head(network: keras.Model) -> keras.Model:
    """The layers after the pooling, shared with ``network``, on an input of their own."""
    at = network.layers.index(network.get_layer("pool"))
    inputs = keras.Input(network.get_layer("pool").output.shape[1:], name="features")
    x = inputs
    for layer in network.layers[at + 1 :]:
        x = layer(x)
    return keras.Model(inputs, x)


def _feature_batches(values: np.ndarray, train: Split, config: TrainConfig, epoch: int) -> Iterator[Batch]:
    rng = np.random.default_rng([config.seed, epoch])
    order = rng.permutation(len(train))
    weights = class_weights(train.y_true, len(train.class_names)) if config.class_weight else None
    for step in range(steps_per_epoch(len(train), config.batch_size)):
        where = order[step * config.batch_size : (step + 1) * config.batch_size]
        labels = train.y_true[where]
        targets = smoothed(labels, len(train.class_names), config.label_smoothing)
        yield values[where], targets, None if weights is None else weights[labels]
