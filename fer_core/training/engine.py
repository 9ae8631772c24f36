"""The training loop: any network of ``MODELS``, any Keras backend, resumable after every epoch."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import keras
import numpy as np

from fer_core.datasets.split import Split
from fer_core.errors import ConfigError
from fer_core.models.preprocess import preprocess
from fer_core.models.registry import build_network
from fer_core.models.specs import spec
from fer_core.passes import kept_pass, last_improved
from fer_core.training import frozen
from fer_core.training.batches import epoch_batches, steps_per_epoch
from fer_core.training.checkpoint import WorkDirectory
from fer_core.training.config import TrainConfig
from fer_core.training.precision import has_accelerator, has_bfloat16_units, policy
from fer_core.training.task import Progress, Task, check_loss

EVALUATION_BATCH = 256
EVALUATION_CHUNK = 4 * EVALUATION_BATCH  # pictures that are turned into floats at once
CALIBRATION_BATCHES = 40


@dataclass(frozen=True)
class Trained:
    """What a training leaves: weights of the serving network, one history row per epoch, and seconds of the epochs.

    ``features_s`` are those of features that were computed before them, see :class:`Task`.
    ``train_accuracy`` is known where measuring it costs nothing: for heads on features that are at hand.
    """

    weights: list[np.ndarray]
    history: list[dict]
    wall_time_s: float
    train_accuracy: float | None = None
    features_s: float | None = None


def learning_rate_at(step: int, total: int, warmup: int, config: TrainConfig) -> float:
    """Learning rate of ``step`` (from 0): linear warm-up to the peak, then the schedule to zero at ``total``."""
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - warmup) / max(1, total - warmup)
    share = 0.5 * (1 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1 - done
    return config.learning_rate * share


def train_network(
    name: str,
    train: Split,
    val: Split,
    config: TrainConfig,
    work: WorkDirectory,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Train ``name`` of ``MODELS`` on ``train``, judged on ``val`` after every epoch.

    Goes on where ``work`` left off. Each epoch's batches depend on (seed, epoch) alone, and weights, optimizer
    and averages are restored, so a resumed training sees what the unbroken one would have seen.
    """
    _check_sizes(name, config)
    _check_backbone(name, config)
    keras.utils.set_random_seed(config.seed)
    if config.trainable_layers == 0:
        task = frozen.head_task(name, train, val, config, work.path.parent / "features", on_progress)
    else:
        task = _network_task(name, train, val, config)
    rows = _fit(task, len(train), config, work, on_progress)
    kept = work.load_best()
    accuracy = None
    if task.seen:
        parts, y_true = task.seen
        accuracy = _judged(_answers(task.network, kept, parts), y_true)["val_accuracy"]
    seconds = sum(row["seconds"] for row in rows)
    return Trained(task.serving_weights(kept), rows, seconds, accuracy, task.features_s)


def _fit(task: Task, n: int, config: TrainConfig, work: WorkDirectory, on_progress) -> list[dict]:
    """The epochs that are left; returns the history of all."""
    network = task.network
    _compile(network, config)
    first, rows = work.load_state(network)
    steps, passes = steps_per_epoch(n, config.batch_size), _passes(task, config)
    best, saved, written = None, time.monotonic(), len(rows)

    def save() -> None:
        if best is not None:
            work.save_best(best)
        work.save_state(len(rows) - 1, network, rows)

    for epoch in range(first, config.epochs):
        if _out_of_patience(rows, config):
            break
        started, rates = time.monotonic(), _rates(epoch, steps, config)

        def tell(step: int, epoch: int = epoch) -> None:
            on_progress(Progress(epoch + 1, config.epochs, step, steps, rows[-1] if rows else {}))

        logs = passes.train(epoch, rates, tell)
        averaged = passes.calibrated(_averaged_weights(network, config), epoch, CALIBRATION_BATCHES)
        row = {"epoch": epoch + 1, "size": task.size_at(epoch), "loss": logs["loss"], "accuracy": logs["accuracy"]}
        row |= _judged(*passes.answers(averaged, epoch))
        row |= {"learning_rate": rates[-1], "seconds": time.monotonic() - started}
        rows.append(row)
        if kept_pass(rows, config.select, config.monitor) == len(rows) - 1:
            best = averaged
        if time.monotonic() - saved >= passes.save_every_s:
            save()
            best, saved, written = None, time.monotonic(), len(rows)
        on_progress(Progress(epoch + 1, config.epochs, steps, steps, row))
    if len(rows) > written:
        save()
    return rows


def _passes(task: Task, config: TrainConfig):
    """Who makes the passes: the accelerator on its own, if there is one and pictures can lie in its memory."""
    if has_accelerator():
        from fer_core.training import on_device

        if on_device.fits(task):
            return on_device.DevicePasses(task, config)
    return HostPasses(task)


class HostPasses:
    """Trains and judges the compiled network of ``task``, batch after batch."""

    save_every_s = 0.0  # after every pass

    def __init__(self, task: Task) -> None:
        self._task = task

    def train(self, epoch: int, rates: list[float], tell: Callable[[int], None]) -> dict:
        """One pass; its mean loss and accuracy. ``tell`` is called with the batches done."""
        return _run_epoch(self._task.network, self._task.batches(epoch), epoch, rates, tell)

    def calibrated(self, weights: list[np.ndarray], epoch: int, batches: int) -> list[np.ndarray]:
        """``weights`` with batch-norm statistics of their own, from the first ``batches`` of ``epoch``."""
        return _calibrated(self._task.network, weights, islice(self._task.batches(epoch), batches))

    def answers(self, weights: list[np.ndarray], epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities float32 (N, K) of the watched pictures with ``weights``, and their labels."""
        parts, y_true = self._task.watched(epoch)
        return _answers(self._task.network, weights, parts), y_true


def _network_task(name: str, train: Split, val: Split, config: TrainConfig) -> Task:
    """All of the network, on pictures that are augmented on the fly."""
    entry = spec(name)
    input_size, channels = config.input_size or entry["input_size"], entry["channels"]

    def size_at(epoch: int) -> int:
        return config.size_at(epoch, input_size)

    def watched(epoch: int) -> tuple[Iterable[np.ndarray], np.ndarray]:
        size = (_evaluation_side(input_size, size_at(epoch), config),) * 2
        chunks = (val.images[start : start + EVALUATION_CHUNK] for start in range(0, len(val), EVALUATION_CHUNK))
        return (preprocess(chunk, size, channels, config.equalize) for chunk in chunks), val.y_true

    return Task(
        network=_training_network(name, len(train.class_names), config),
        batches=lambda epoch: epoch_batches(train, config, epoch, size_at(epoch), channels),
        watched=watched,
        size_at=size_at,
        serving_weights=lambda weights: weights,
        pictures=(train, channels),
    )


def _check_sizes(name: str, config: TrainConfig) -> None:
    size = spec(name)["input_size"]
    others = [other for other, _ in config.sizes if other != (config.input_size or size)]
    one_size = spec(name).get("fixed_size") or _backbone(name, config) == "mobilenetv2"  # pads odd sides differently
    if one_size and others:
        raise ConfigError(
            f"{name} takes pictures of one size only. Received sizes {config.sizes}.",
            "Leave it out; input_size sets that one size.",
        )


def _check_backbone(name: str, config: TrainConfig) -> None:
    if config.initial_weights != "imagenet" and config.trainable_layers < 0:
        return
    if _backbone(name, config) is None:
        raise ConfigError(
            f"{name} has no backbone with ImageNet weights.", "Leave initial_weights and trainable_layers out."
        )
    if config.initial_weights == "random":
        raise ConfigError(
            f"{name} would keep layers as they were drawn at random: trainable_layers is {config.trainable_layers}.",
            "Train all of them with trainable_layers=-1, or begin with ImageNet weights.",
        )


def _evaluation_side(input_size: int, size: int, config: TrainConfig) -> int:
    """Side at which val is judged while training at ``size``: as ``size`` to the last one, so it to ``input_size``."""
    last = config.sizes[-1][0] if config.sizes else input_size
    return round(input_size * size / last)


def _training_network(name: str, num_classes: int, config: TrainConfig) -> keras.Model:
    bfloat16 = config.precision == "mixed_bfloat16" or (config.precision == "auto" and has_bfloat16_units())
    size = None if config.sizes else config.input_size or "spec"
    with policy(bfloat16):
        network = build_network(name, input_size=size, num_classes=num_classes, fused=True, arguments=config.arguments)
    if config.initial_weights == "imagenet":
        from fer_core.models.backbones import freeze, load_imagenet

        load_imagenet(network, _backbone(name, config))
        freeze(network, config.trainable_layers)
    return network


def _backbone(name: str, config: TrainConfig) -> str | None:
    return (spec(name)["arguments"] | config.arguments).get("backbone")


def _compile(network: keras.Model, config: TrainConfig) -> None:
    network.compile(
        optimizer=_optimizer(config, network),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=keras.backend.backend() == "jax",
    )
    network.optimizer.build(network.trainable_variables)


def _optimizer(config: TrainConfig, network: keras.Model) -> keras.optimizers.Optimizer:
    common = {"learning_rate": config.learning_rate, "weight_decay": config.weight_decay or None}
    if config.ema:
        common |= {"use_ema": True, "ema_momentum": config.ema}
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=0.9, nesterov=True, **common)
    else:
        optimizer = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[config.optimizer](
            **(common | {"weight_decay": config.weight_decay})
        )
    if config.weight_decay:
        undecayed = [v for v in network.trainable_variables if v.path.split("/")[-1] in ("gamma", "beta", "bias")]
        optimizer.exclude_from_weight_decay(var_list=undecayed)
    return optimizer


def _rates(epoch: int, steps: int, config: TrainConfig) -> list[float]:
    total, warmup = config.epochs * steps, round(config.warmup_epochs * steps)
    return [learning_rate_at(epoch * steps + step, total, warmup, config) for step in range(steps)]


def _run_epoch(network, batches, epoch, rates, tell) -> dict:
    """One pass. Returns the mean over its batches; ``train_on_batch`` itself reports the last one only."""
    sums = {"loss": 0.0, "accuracy": 0.0}
    for step, (rate, (pixels, targets, weights)) in enumerate(zip(rates, batches, strict=True), start=1):
        network.optimizer.learning_rate = rate
        logs = network.train_on_batch(pixels, targets, sample_weight=weights, return_dict=True)
        check_loss(logs["loss"], epoch)
        sums = {name: sums[name] + float(logs[name]) for name in sums}
        tell(step)
    return {name: value / len(rates) for name, value in sums.items()}


def _averaged_weights(network: keras.Model, config: TrainConfig) -> list[np.ndarray]:
    """The weights to judge and keep: averages for what the optimizer trains, current values for the rest."""
    if not config.ema:
        return network.get_weights()
    optimizer = network.optimizer
    averages = {
        id(variable): average
        for variable, average in zip(
            optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True
        )
    }
    return [keras.ops.convert_to_numpy(averages.get(id(variable), variable)) for variable in network.weights]


def _calibrated(network: keras.Model, weights: list[np.ndarray], batches: Iterable) -> list[np.ndarray]:
    """``weights`` with the batch-norm statistics that they themselves give, as plain means over ``batches``.

    Running means belong to the weights of the last few steps; averaged weights need their own (Izmailov et al. 2018,
    section 3.2; Wu & Johnson 2021, section 3).
    """
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    norms = [layer for layer in norms if layer.trainable]
    if not norms:
        return weights
    own, momenta = network.get_weights(), [layer.momentum for layer in norms]
    network.set_weights(weights)
    for index, (pixels, _, _) in enumerate(batches):
        for layer in norms:
            layer.momentum = index / (index + 1)
        network(keras.ops.convert_to_tensor(pixels), training=True)
    calibrated = network.get_weights()
    network.set_weights(own)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return calibrated


def _answers(network, weights, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Probabilities float32 (N, K) with ``weights``; the network gets its own back. ``parts``: its inputs."""
    own = network.get_weights()
    network.set_weights(weights)
    answers = [np.asarray(network.predict(part, batch_size=EVALUATION_BATCH, verbose=0)) for part in parts]
    network.set_weights(own)
    return np.concatenate(answers).astype(np.float32)


def _judged(probabilities: np.ndarray, y_true: np.ndarray) -> dict:
    likelihood = probabilities[np.arange(len(y_true)), y_true]
    return {
        "val_loss": float(-np.log(np.clip(likelihood, 1e-7, 1)).mean()),
        "val_accuracy": float((probabilities.argmax(axis=1) == y_true).mean()),
    }


def _out_of_patience(rows: list[dict], config: TrainConfig) -> bool:
    if not config.patience or not rows:
        return False
    if len(rows) <= sum(epochs for _, epochs in config.sizes[:-1]):  # the size that is served is not trained at yet
        return False
    return len(rows) - 1 - last_improved(rows, config.monitor, config.min_delta) >= config.patience
