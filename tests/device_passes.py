"""What test_on_device.py judges: trainings through JAX in a process of their own, told as JSON in the file it names.

``python -m tests.device_passes result.json`` with KERAS_BACKEND=jax. The processor plays the accelerator.
"""

import gc
import json
import sys
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

from fer_core.datasets import synthetic
from fer_core.errors import ModelError
from fer_core.inference import compile_network
from fer_core.training import engine, frozen, on_device
from fer_core.training.batches import steps_per_epoch
from fer_core.training.checkpoint import WorkDirectory
from fer_core.training.config import Augmentation, TrainConfig

CONFIG = TrainConfig(
    epochs=3,
    batch_size=32,
    learning_rate=0.05,
    warmup_epochs=1.5,
    weight_decay=1e-3,
    label_smoothing=0.1,
    ema=0.9,
    precision="float32",
    seed=4,
    input_size=16,
    arguments={"width": 8, "stages": [1], "dropout": 0.0},
)
RANDOM = replace(
    CONFIG,
    epochs=7,
    mixup=0.4,
    augmentation=Augmentation(crop=0.9, flip=0.5, rotation=10, brightness=0.2, contrast=0.2, erase=0.5),
    arguments=CONFIG.arguments | {"dropout": 0.3},
)
PASS_S = 8.0  # seconds that a pass takes by the clock of `fitted`
DRAWN = synthetic.dataset(n_train=128, n_val=40, n_test=7, size=16, seed=1)
RARE = np.flatnonzero(DRAWN["train"].y_true == 3)[:14]
TRAIN, VAL = DRAWN["train"].take(np.setdiff1d(np.arange(128), RARE)), DRAWN["val"]
# One picture under each of the labels: whatever the answer is, one in seven is right, and no epoch beats the first.
ALIKE = replace(VAL.take(np.arange(7)), images=VAL.images[[0] * 7], y_true=np.arange(7))


class Killed(Exception):
    """Stands for what ends a process between two epochs."""


def fitted(folder: Path, config: TrainConfig, val=VAL, device=True, save_every_s=on_device.SAVE_EVERY_S, until=0):
    """Train in ``folder``, or go on there; killed after epoch ``until``. What was seen, saved and left."""
    now, seen, saved = [0.0], [], []

    class Work(WorkDirectory):
        def save_state(self, epoch, network, rows):
            saved.append(epoch + 1)
            super().save_state(epoch, network, rows)

    def watch(progress):
        over = progress.logs.get("epoch") == progress.epoch
        if not over and progress.step == progress.steps:
            seen.append(progress.epoch)
            now[0] += PASS_S
        if over and progress.epoch == until:
            raise Killed

    folder.mkdir(exist_ok=True)
    engine.has_accelerator = lambda: device
    engine.time = SimpleNamespace(monotonic=lambda: now[0])
    on_device.DevicePasses.save_every_s = save_every_s
    trained = None
    with suppress(Killed):
        trained = engine.train_network("compact", TRAIN, val, config, Work(folder), watch)
    found = {"seen": seen, "saved": saved}
    if trained is not None:
        with np.load(folder / "state.npz") as archive:
            state = {name: archive[name].tolist() for name in archive.files}
        weights = {str(index): value.tolist() for index, value in enumerate(trained.weights)}
        found |= {"history": trained.history, "state": state, "weights": weights}
    return found


def agreement(folder: Path) -> dict:
    return {
        f"{name} {device}": fitted(folder / f"{name}{device}", config, device=device == "device")
        for name, config in (("plain", CONFIG), ("weighted", replace(CONFIG, class_weight=True)))
        for device in ("host", "device")
    }


def interruption(folder: Path) -> dict:
    found = {"whole": fitted(folder / "whole", RANDOM, ALIKE)}
    for name, seconds in (("seldom", on_device.SAVE_EVERY_S), ("always", 0.0)):
        settings = {"config": RANDOM, "val": ALIKE, "save_every_s": seconds}
        found[f"{name} killed"] = fitted(folder / name, **settings, until=5)
        found[f"{name} resumed"] = fitted(folder / name, **settings)
    return found


def calibration(config: TrainConfig) -> dict:
    task = compiled(config)
    network = task.network
    own, norms = network.get_weights(), on_device._norms(network)
    weights = [value * 1.3 for value in own]
    host = engine.HostPasses(task).calibrated(weights, 1, 2)
    device = on_device.DevicePasses(task, config).calibrated(weights, 1, 2)
    return {
        "given": [value.tolist() for value in weights],
        "host": [value.tolist() for value in host],
        "device": [value.tolist() for value in device],
        "momenta": [layer.momentum for layer in norms],
        "own_kept": all((a == b).all() for a, b in zip(own, network.get_weights(), strict=True)),
    }


def compiled(config: TrainConfig):
    task = engine._network_task("compact", TRAIN, VAL, config)
    engine._compile(task.network, config)
    return task


def breakdown(config: TrainConfig) -> dict:
    passes = on_device.DevicePasses(compiled(config), config)
    steps = steps_per_epoch(len(TRAIN), config.batch_size)
    told = []
    try:
        passes.train(1, [1e38] * steps, told.append)
    except ModelError as error:
        return {"error": str(error), "told": told, "steps": steps}
    return {"error": None}


def who_trains(folder: Path) -> dict:
    engine.has_accelerator = lambda: True
    task = compiled(CONFIG)
    head = frozen.head_task("compact", TRAIN, VAL, CONFIG, folder, lambda progress: None)
    largest, held = on_device.LARGEST, TRAIN.images.nbytes
    found = {}
    for name, wanted, limit in (
        ("usual", task, largest),
        ("just fits", task, held),
        ("too large", task, held - 1),
        ("head", head, largest),
    ):
        on_device.LARGEST = limit
        found[name] = type(engine._passes(wanted, CONFIG)).__name__
    on_device.LARGEST = largest
    engine.has_accelerator = lambda: False
    found["no accelerator"] = type(engine._passes(task, CONFIG)).__name__
    return found


def colours() -> dict:
    """Grey pictures for a network that takes three channels, each with a rectangle erased."""
    config = replace(CONFIG, augmentation=Augmentation(erase=1.0))
    passes = on_device.DevicePasses(replace(compiled(config), pictures=(TRAIN, 3)), config)
    draws = on_device.drawn(TRAIN.images.shape, config, 0, 16, np.zeros(3))
    first = jax.tree.map(lambda values: values[0], draws)
    pixels, targets, _ = jax.jit(passes._batch, static_argnums=2)(passes._data, first, 16)
    return {
        "pixels": np.asarray(pixels).tolist(),
        "pictures": TRAIN.images[draws.where[0]].tolist(),
        "boxes": draws.boxes[0].tolist(),
        "targets": np.asarray(targets).tolist(),
        "labels": TRAIN.y_true[draws.where[0]].tolist(),
    }


def answers() -> dict:
    """How far compiled answers lie from the network's own, by batch size, and those of threads from one another."""
    network = compiled(CONFIG).network
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in network.get_weights()])
    forward, pixels = compile_network(network), VAL.images[:40, ..., None].astype(np.float32)
    own = np.asarray(network(pixels, training=False))
    with ThreadPoolExecutor(4) as pool:
        together = np.stack(list(pool.map(forward, [pixels] * 8)))
    far = {n: float(np.abs(forward(pixels[:n]) - own[:n]).max()) for n in (1, 3, 32, 40)}
    return {"far": far, "shape": forward(pixels[:3]).shape, "spread": float(np.ptp(own, axis=0).max())} | {
        "threads": float(np.abs(together - own).max())
    }


def leftovers() -> int:
    """Passes that a training in this process leaves behind, with pictures in the memory of the accelerator."""
    passes = on_device.DevicePasses(compiled(CONFIG), CONFIG)
    passes.train(0, [0.01] * steps_per_epoch(len(TRAIN), CONFIG.batch_size), lambda step: None)
    left = weakref.ref(passes)
    del passes
    gc.collect()
    return int(left() is not None)


def main(result: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        facts = {
            "agreement": agreement(folder),
            "interruption": interruption(folder),
            "calibration": calibration(CONFIG),
            "breakdown": breakdown(CONFIG),
            "who_trains": who_trains(folder / "features"),
            "colours": colours(),
            "leftovers": leftovers(),
            "answers": answers(),
        }
    result.write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
