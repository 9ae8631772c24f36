"""Memory that a training takes at the least, from its settings and what its pictures are. Loads without TensorFlow."""

import os
from collections.abc import Mapping

import numpy as np

from fer_core.datasets.split import Split, picture_digests
from fer_core.datasets.subjects import known_subjects
from fer_core.models.activations import kept
from fer_core.training.config import TrainConfig
from fer_core.training.precision import processor_has_bfloat16_units

TENSORFLOW_BYTES = 800 * 2**20  # Python with TensorFlow, measured before the first step
PYTHON_BYTES = TENSORFLOW_BYTES // 2
TURNED_AT_ONCE = 1024  # val pictures that are turned into floats at once
JUDGED_AT_ONCE = 256  # of these, in a batch that the engine judges
ANSWERED_AT_ONCE = 64  # and in a batch of a network that is only asked
FLOAT32, BFLOAT16 = 4, 2


def needed(entry: Mapping, config: TrainConfig, splits: Mapping[str, Split]) -> int:
    """Bytes that training an entry of ``MODELS`` on ``splits`` takes at the least.

    Counted are Python with its libraries, pictures that are held in memory (not those on disk), and the larger of

    - a step: the pixels of a batch, float32, and the maps that are kept of each of its pictures until the gradient is
      known (``fer_core.models.activations``); only the largest of them where frozen layers end the gradient's way, and
      nothing for a head, whose batches are of features. No batch has more pictures than ``classes``, ``dedupe`` and
      ``holdout`` leave, counted where a look at pictures and labels tells how many these are at the least;
    - judging val: pixels of up to 1024 pictures, float32, and the largest map of each picture of a batch.

    Maps have two bytes a number where the training is in bfloat16. What is refused for this would surely not fit; what
    is let through may still not.
    """
    held = sum(split.images.nbytes for split in splits.values() if not isinstance(split.images, np.memmap))
    if entry["family"] != "network":
        return PYTHON_BYTES + held
    own = config.input_size or entry["input_size"]
    fitted = _fitted(config, splits)
    steps = [_step(entry, config, side, fitted) for side, _ in config.sizes or [[own, 1]]]
    others = config.classes or config.holdout  # then it is not known how many pictures are judged
    judged = 0 if others else _judging(entry, config, own, len(splits.get("val", ())))
    return TENSORFLOW_BYTES + held + max(*steps, judged)


def _fitted(config: TrainConfig, splits: Mapping[str, Split]) -> int:
    """Pictures that weights are fitted to, at the least, see ``fer_core.training.preparation.prepare``."""
    train = splits.get("train")
    if train is None:
        return 0
    wanted = np.isin(np.array(train.class_names)[train.y_true], config.classes or train.class_names)
    if config.dedupe:
        if config.faces:  # those that show the same face are left out, and nobody has looked for faces yet
            return 0
        digests = picture_digests(train.images)
        others = [picture_digests(split.images) for name, split in splits.items() if name != "train"]
        n = len(np.setdiff1d(digests[wanted], np.concatenate(others) if others else []))
    else:
        n = int(wanted.sum())
    if not config.holdout:
        return n
    if known_subjects(train.sample_ids) is not None:  # whole ones are held out, however many pictures they have
        return 0
    return max(0, int(n * (1 - config.holdout)) - len(train.class_names))


def _step(entry: Mapping, config: TrainConfig, side: int, there: int) -> int:
    if config.trainable_layers == 0:
        return 0
    maps = _maps(entry, config, side)
    whole_way = config.trainable_layers < 0 or (entry["arguments"] | config.arguments).get("input_norm")
    numbers = sum(maps) if whole_way else max(maps)
    return min(config.batch_size, there) * (FLOAT32 * entry["channels"] * side**2 + _width(config) * numbers)


def _judging(entry: Mapping, config: TrainConfig, side: int, there: int) -> int:
    pixels = min(TURNED_AT_ONCE, there) * FLOAT32 * entry["channels"] * side**2
    at_once, width = (ANSWERED_AT_ONCE, FLOAT32) if config.trainable_layers == 0 else (JUDGED_AT_ONCE, _width(config))
    return pixels + min(at_once, there) * width * max(_maps(entry, config, side))


def _maps(entry: Mapping, config: TrainConfig, side: int) -> list[int]:
    if os.environ.get("KERAS_BACKEND") == "jax":  # compiles what is kept, perhaps for another device
        return [0]
    try:
        return kept(entry["builder"], side, entry["channels"], entry["arguments"] | config.arguments)
    except (KeyError, TypeError, ValueError, AttributeError):  # the builder will say what is wrong with its arguments
        return [0]


def _width(config: TrainConfig) -> int:
    half = config.precision == "mixed_bfloat16" or (config.precision == "auto" and processor_has_bfloat16_units())
    return BFLOAT16 if half else FLOAT32
