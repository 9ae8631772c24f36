"""Passes in one compiled call each, where JAX has an accelerator, which waits for single batches of small networks.

Pictures lie in its memory as bytes; a pass scans over batches, and each is warped, lit, erased and mixed there. What is
random is drawn here for a whole pass at a time, from (seed, epoch) alone, so that a resumed training sees what the
unbroken one would have seen. Draws have the distributions of ``fer_core.training.augmentation``, in another order.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from fer_core.models.preprocess import equalize
from fer_core.training.augmentation import BLUR, SHRUNK, erased_boxes, reduced, warps
from fer_core.training.batches import MIXUP_ENDS, class_weights, mixed, steps_per_epoch, with_channels
from fer_core.training.config import TrainConfig
from fer_core.training.task import Task, check_loss

SAVE_EVERY_S = 20.0  # state of a large network takes longer to write than some passes
LARGEST = 8 * 2**30  # bytes of pictures that are put into the accelerator's memory
JUDGED_AT_ONCE = 256
Values = list[jax.Array]


class Draws(NamedTuple):
    """What is random in the batches of a pass, each array (steps, batch, ...); None where settings leave it out.

    Attributes:
        where: positions in the training split.
        matrices: float32 (..., 2, 3), from pixels of the result to pixels of the picture.
        light: float32 (..., 2): gain of the contrast, shift of the brightness in 0..255.
        boxes: int32 (..., 4): top, left, bottom, right of what is erased.
        partners: positions in the batch; share: float32 (steps,), of the picture itself, both for mixup.
        rates: float32 (steps,), learning rates.
        number: int32 (steps,), which batch of the training it is.
    """

    where: np.ndarray
    matrices: np.ndarray
    light: np.ndarray | None
    boxes: np.ndarray | None
    partners: np.ndarray | None
    share: np.ndarray | None
    rates: np.ndarray
    number: np.ndarray


def drawn(shape: tuple[int, ...], config: TrainConfig, epoch: int, size: int, rates: np.ndarray) -> Draws:
    """What is random in ``epoch`` (from 0) at ``size`` pixels, for pictures (N, H, W, ...)."""
    n, height, width = shape[:3]
    steps, batch = len(rates), min(config.batch_size, n)
    rng, settings = np.random.default_rng([config.seed, epoch]), config.augmentation
    where = rng.permutation(n)[: steps * batch]
    matrices = _inverted(warps(steps * batch, height, width, size, settings, rng))
    light = boxes = partners = share = None
    if settings.brightness or settings.contrast:
        spread = np.array([settings.contrast, 255 * settings.brightness])
        light = np.array([1, 0]) + rng.uniform(-spread, spread, (steps * batch, 2))
        light = light.astype(np.float32).reshape(steps, batch, 2)
    if settings.erase:
        boxes = erased_boxes(steps * batch, size, size, settings.erase, rng).reshape(steps, batch, 4)
    if config.mixup:
        on = epoch < MIXUP_ENDS * config.epochs
        share = (rng.beta(config.mixup, config.mixup, steps) if on else np.ones(steps)).astype(np.float32)
        partners = rng.permuted(np.tile(np.arange(batch), (steps, 1)), axis=1)
    numbers = np.arange(epoch * steps, (epoch + 1) * steps, dtype=np.int32)
    where, matrices = where.reshape(steps, batch), matrices.astype(np.float32).reshape(steps, batch, 2, 3)
    return Draws(where, matrices, light, boxes, partners, share, np.asarray(rates, np.float32), numbers)


def augmented(pictures, matrices, light, boxes, key, size: int, smaller: bool):
    """Pictures uint8 (B, H, W, C) as :func:`fer_core.training.augmentation.augment` makes them: float32 in 0..255."""
    images = pictures.astype(jnp.float32)
    if smaller:
        images = _blurred(images)
    images = _warped(images, matrices, size)
    if light is not None:
        gain, shift = light[:, 0, None, None, None], light[:, 1, None, None, None]
        mean = images.mean(axis=(1, 2, 3), keepdims=True)
        images = jnp.clip((images - mean) * gain + mean + shift, 0, 255)
    if boxes is not None:
        rows, columns = jnp.arange(size)[None, :, None, None], jnp.arange(size)[None, None, :, None]
        top, left, bottom, right = (boxes[:, side, None, None, None] for side in range(4))
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        images = jnp.where(inside, jax.random.uniform(key, images.shape, maxval=255.0), images)
    return images


class DevicePasses:
    """Trains and judges a compiled network of a :class:`~fer_core.training.task.Task` that has ``pictures``."""

    save_every_s = SAVE_EVERY_S

    def __init__(self, task: Task, config: TrainConfig) -> None:
        train, self._channels = task.pictures
        images = equalize(train.images, config.equalize)
        images = images[..., None] if images.ndim == 3 else with_channels(images, self._channels)
        images = reduced(images, max(map(task.size_at, range(config.epochs))), config.augmentation)
        self._task, self._config, self._shape = task, config, images.shape
        k = len(train.class_names)
        weights = class_weights(train.y_true, k)[train.y_true] if config.class_weight else None
        self._data = jax.device_put((images, train.y_true, weights))
        self._num_classes = k
        self._watched: tuple[int, list, np.ndarray] | None = None
        unknown = jnp.full((1, k), 1 / k)
        task.network.compute_metrics(None, unknown, unknown)  # metrics have their variables from now on
        # Compiled for this object alone: what is compiled for a class keeps its objects, and pictures with them.
        self._pass = jax.jit(self._pass, static_argnums=3, donate_argnums=0)
        self._statistics = jax.jit(self._statistics, static_argnums=4)
        self._answers = jax.jit(self._answers)

    def train(self, epoch: int, rates: list[float], tell) -> dict:
        """One pass; its mean loss and accuracy. ``tell`` is called with the number of batches, at the end."""
        network, size = self._task.network, self._task.size_at(epoch)
        network.reset_metrics()
        variables = _variables(network)
        state = [[variable.value for variable in part] for part in variables]
        draws = drawn(self._shape, self._config, epoch, size, rates)
        state, logs = self._pass(state, self._data, draws, size)
        for part, values in zip(variables, state, strict=True):
            for variable, value in zip(part, values, strict=True):
                variable.assign(value)
        tell(len(rates))
        check_loss(float(logs["loss"]), epoch)
        return {name: float(logs[name]) for name in ("loss", "accuracy")}

    def calibrated(self, weights: list[np.ndarray], epoch: int, batches: int) -> list[np.ndarray]:
        """``weights`` with batch-norm statistics of their own, see ``engine._calibrated``."""
        norms = _norms(self._task.network)
        if not norms:
            return weights
        trainable, rest = self._split(weights)
        count = min(batches, steps_per_epoch(self._shape[0], self._config.batch_size))
        size = self._task.size_at(epoch)
        draws = drawn(self._shape, self._config, epoch, size, np.zeros(count))
        rest = self._statistics(trainable, rest, self._data, draws, size)
        found = {id(v): value for v, value in zip(self._task.network.non_trainable_variables, rest, strict=True)}
        moving = {id(v) for layer in norms for v in (layer.moving_mean, layer.moving_variance)}
        return [
            np.asarray(found[id(variable)]) if id(variable) in moving else value
            for variable, value in zip(self._task.network.weights, weights, strict=True)
        ]

    def answers(self, weights: list[np.ndarray], epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities float32 (N, K) of the watched pictures with ``weights``, and their labels."""
        trainable, rest = self._split(weights)
        parts, y_true = self._pictures_watched(epoch)
        found = [self._answers(trainable, rest, part) for part in parts]
        return np.concatenate([np.asarray(part) for part in found])[: len(y_true)], y_true

    def _pictures_watched(self, epoch: int):
        size = self._task.size_at(epoch)
        if self._watched is None or self._watched[0] != size:
            parts, y_true = self._task.watched(epoch)
            pixels = np.concatenate(list(parts))
            padded = np.pad(pixels, ((0, -len(pixels) % JUDGED_AT_ONCE), *[(0, 0)] * 3))
            self._watched = size, jax.device_put(np.split(padded, len(padded) // JUDGED_AT_ONCE)), y_true
        return self._watched[1:]

    def _split(self, weights: list[np.ndarray]) -> tuple[Values, Values]:
        """``weights`` as values of the trainable and other variables; those that are no weights keep theirs."""
        network = self._task.network
        given = {id(variable): value for variable, value in zip(network.weights, weights, strict=True)}
        return tuple(
            [jnp.asarray(given.get(id(variable), variable.value)) for variable in part]
            for part in (network.trainable_variables, network.non_trainable_variables)
        )

    def _batch(self, data, draw: Draws, size: int):
        images, labels, weights = data
        config, where = self._config, draw.where
        smaller = size < SHRUNK * min(self._shape[1:3]) * config.augmentation.crop
        key = jax.random.fold_in(jax.random.key(config.seed), draw.number)
        pictures = jnp.broadcast_to(images[where], (*where.shape, *self._shape[1:3], self._channels))
        pixels = augmented(pictures, draw.matrices, draw.light, draw.boxes, key, size, smaller)
        k, smoothing = self._num_classes, config.label_smoothing
        targets = jax.nn.one_hot(labels[where], k) * (1 - smoothing) + smoothing / k
        sample_weight = None if weights is None else weights[where]
        if draw.share is not None:
            share, partners = draw.share, draw.partners
            pixels = share * pixels + (1 - share) * pixels[partners]
            targets, sample_weight = mixed(targets, sample_weight, share, partners)
        return pixels, targets, sample_weight

    def _pass(self, state, data, draws: Draws, size: int):
        network = self._task.network
        rate = next(i for i, v in enumerate(network.optimizer.variables) if v is network.optimizer.learning_rate)

        def step(state, draw):
            trainable, rest, optimizer, metrics = state
            optimizer = [*optimizer[:rate], draw.rates, *optimizer[rate + 1 :]]
            logs, state = network.train_step((trainable, rest, optimizer, metrics), self._batch(data, draw, size))
            return list(map(list, state)), logs

        state, logs = jax.lax.scan(step, state, draws)
        return state, jax.tree.map(lambda values: values[-1], logs)  # metrics are means over the pass so far

    def _statistics(self, trainable, rest, data, draws: Draws, size: int):
        network, norms = self._task.network, _norms(self._task.network)
        momenta = [layer.momentum for layer in norms]

        def step(rest, draw):
            index, draw = draw
            for layer in norms:
                layer.momentum = index / (index + 1)
            _, rest = network.stateless_call(trainable, rest, self._batch(data, draw, size)[0], training=True)
            return rest, None

        try:
            return jax.lax.scan(step, rest, (jnp.arange(len(draws.rates), dtype=jnp.float32), draws))[0]
        finally:
            for layer, momentum in zip(norms, momenta, strict=True):
                layer.momentum = momentum

    def _answers(self, trainable, rest, pixels):
        return self._task.network.stateless_call(trainable, rest, pixels, training=False)[0].astype(jnp.float32)


def fits(task: Task) -> bool:
    """Whether the pictures of ``task`` can lie in an accelerator's memory; those of a head on features need not."""
    return task.pictures is not None and task.pictures[0].images.nbytes <= LARGEST


def _variables(network: keras.Model) -> list[list]:
    return [
        network.trainable_variables,
        network.non_trainable_variables,
        network.optimizer.variables,
        network.metrics_variables,
    ]


def _norms(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return [layer for layer in norms if layer.trainable]


def _inverted(matrices: np.ndarray) -> np.ndarray:
    """Affine matrices (N, 2, 3) of the other direction."""
    linear = np.linalg.inv(matrices[:, :, :2])
    return np.concatenate([linear, -linear @ matrices[:, :, 2:]], axis=2)


def _blurred(images):
    """Gaussian blur of 3 x 3 pixels of float32 (B, H, W, C), borders reflected."""
    _, height, width, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    kernel = np.exp(-(np.array([-1, 0, 1]) ** 2) / (2 * BLUR**2)).astype(np.float32)
    kernel /= kernel.sum()
    rows = sum(weight * padded[:, offset : offset + height] for offset, weight in enumerate(kernel))
    return sum(weight * rows[:, :, offset : offset + width] for offset, weight in enumerate(kernel))


def _warped(images, matrices, size: int):
    """Bilinear values float32 (B, size, size, C) at the places that ``matrices`` give, borders reflected."""
    n, height, width, channels = images.shape
    rows, columns = jnp.mgrid[:size, :size].reshape(2, 1, -1).astype(jnp.float32)
    x = matrices[:, 0, 0, None] * columns + matrices[:, 0, 1, None] * rows + matrices[:, 0, 2, None]
    y = matrices[:, 1, 0, None] * columns + matrices[:, 1, 1, None] * rows + matrices[:, 1, 2, None]
    left, top = jnp.floor(x), jnp.floor(y)
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    left, top = left.astype(jnp.int32), top.astype(jnp.int32)
    flat = images.reshape(n, height * width, channels)

    def at(row, column):
        index = _reflected(row, height) * width + _reflected(column, width)
        return jnp.take_along_axis(flat, index[..., None], axis=1)

    upper = at(top, left) * (1 - right_share) + at(top, left + 1) * right_share
    lower = at(top + 1, left) * (1 - right_share) + at(top + 1, left + 1) * right_share
    return (upper * (1 - lower_share) + lower * lower_share).reshape(n, size, size, channels)


def _reflected(index, length: int):
    """Positions outside 0..length-1 mirrored at the first and last one."""
    period = max(1, 2 * (length - 1))
    index = jnp.mod(index, period)
    return jnp.minimum(index, period - index)
