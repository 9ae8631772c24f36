"""The batches of one epoch: shuffled, augmented, smoothed and mixed, made one step ahead of the network."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fer_core.datasets.split import Split
from fer_core.models.preprocess import equalize
from fer_core.training.augmentation import augment
from fer_core.training.config import TrainConfig

MIXUP_ENDS = 0.85  # share of the epochs after which mixup is off

Batch = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Full batches in ``n`` samples, at least 1; what remains waits for another epoch's shuffle."""
    return max(1, n // batch_size)


def class_weights(y_true: np.ndarray, num_classes: int) -> np.ndarray:
    """Inverse frequency, float32 (K,), with mean 1 over the samples; absent classes weigh 0."""
    counts = np.bincount(y_true, minlength=num_classes)
    present = counts > 0
    weights = np.zeros(num_classes, np.float32)
    weights[present] = len(y_true) / (present.sum() * counts[present])
    return weights


def smoothed(labels: np.ndarray, k: int, smoothing: float) -> np.ndarray:
    """One-hot targets float32 (N, K) with ``smoothing`` spread over all classes (Szegedy et al. 2016, section 7)."""
    targets = np.full((len(labels), k), smoothing / k, np.float32)
    targets[np.arange(len(labels)), labels] += 1 - smoothing
    return targets


def epoch_batches(split: Split, config: TrainConfig, epoch: int, size: int, channels: int) -> Iterator[Batch]:
    """Batches of ``epoch`` (from 0): pixels float32 (B, size, size, C), targets float32 (B, K), weights (B,) or None.

    Depends on nothing but its arguments, so that a resumed run sees what the unbroken one would have seen.
    """
    rng = np.random.default_rng([config.seed, epoch])
    order = rng.permutation(len(split))
    count = steps_per_epoch(len(split), config.batch_size)
    chunks = [np.sort(order[start * config.batch_size : (start + 1) * config.batch_size]) for start in range(count)]
    seeds = rng.integers(2**63, size=count)
    weights = class_weights(split.y_true, len(split.class_names)) if config.class_weight else None

    def make(index: int) -> Batch:
        return _batch(split, chunks[index], config, epoch, size, channels, weights, np.random.default_rng(seeds[index]))

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as worker:
        ahead = worker.submit(make, 0)
        for index in range(count):
            batch = ahead.result()
            if index + 1 < count:
                ahead = worker.submit(make, index + 1)
            yield batch


def _batch(split, where, config, epoch, size, channels, weights, rng) -> Batch:
    shown = split.images[where]
    if config.equalize:
        shown = equalize(shown, config.equalize)
    images = augment(with_channels(shown, channels), size, config.augmentation, rng)
    labels = split.y_true[where]
    targets = smoothed(labels, len(split.class_names), config.label_smoothing)
    sample_weight = None if weights is None else weights[labels]
    if config.mixup and epoch < MIXUP_ENDS * config.epochs:
        share = np.float32(rng.beta(config.mixup, config.mixup))
        partner = rng.permutation(len(where))
        images = share * images + (1 - share) * images[partner]
        targets, sample_weight = mixed(targets, sample_weight, share, partner)
    return images, targets, sample_weight


def mixed(targets, sample_weight, share, partner):
    """Targets (N, K) and weights (N,), or None, of pictures mixed with their partners: arrays of NumPy or of JAX.

    Mixed are the weighted losses, so that each picture's class counts by its own weight.
    """
    if sample_weight is None:
        return share * targets + (1 - share) * targets[partner], None
    own, others = share * sample_weight, (1 - share) * sample_weight[partner]
    return (own[:, None] * targets + others[:, None] * targets[partner]) / (own + others)[:, None], own + others


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (N, H, W) or (N, H, W, 3) -> (N, H, W, channels)."""
    if images.ndim == 3:
        return np.repeat(images[..., None], channels, axis=3)
    if channels == 1:
        from fer_core.images import to_grey

        return np.stack([to_grey(image) for image in images])[..., None]
    return images
