"""Which pictures a system is trained and measured on: classes, duplicates, hold-out, oversampling, masks, faces.

Settings are those of ``TrainConfig``. Validation and test pictures keep their ids, so that every run of a dataset
can be compared with every other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fer_core import masks
from fer_core.datasets.split import SPLIT_NAMES, Dataset, Split, picture_digests
from fer_core.datasets.subjects import assign, known_subjects
from fer_core.errors import ConfigError
from fer_core.labels import KNOWN_NAMES, canonical_name
from fer_core.training.config import TrainConfig
from fer_core.training.task import Progress, reporter


@dataclass(frozen=True)
class Prepared:
    """What a training gets.

    Attributes:
        fitted: pictures that weights are fitted to, oversampled if so wanted.
        watched: pictures that decide when to stop and which epoch is kept.
        evaluated: split -> pictures that the finished model is measured on; ``train``: ``fitted`` without repetitions.
    """

    fitted: Split
    watched: Split
    evaluated: Mapping[str, Split]


def stages(config: TrainConfig) -> list[str]:
    """What :func:`prepare` tells of, in this order, as ``Progress.what``."""
    return [faces_of(name) for name in SPLIT_NAMES] if config.faces else []


def faces_of(split: str) -> str:
    """What is done with a split before all else, as ``Progress.what``."""
    return f"faces of {split} pictures"


def prepare(
    dataset: Dataset, config: TrainConfig, on_progress: Callable[[Progress], None] = lambda progress: None
) -> Prepared:
    """Apply the settings of ``config`` to ``dataset``, in this order.

    1. ``classes``: keep these classes only, in their order in the dataset (Patil, section 2.1, keeps five).
    2. ``faces``: find, align and cut the face of each picture; the whole picture where none is found.
    3. ``dedupe``: leave out training pictures that repeat another one, or one of val or test, pixel by pixel.
    4. ``mask``: hide this region of every picture, black (Kroening et al., "Models with Masking Layers").
    5. ``holdout``: watch this share of the training pictures, stratified, or of their subjects, in place of val.
    6. ``oversample``: repeat pictures of the rarer classes until all are as frequent as the commonest.

    Raises:
        ConfigError: an unknown class, or a split is left without pictures.
    """
    splits = {name: dataset[name] for name in SPLIT_NAMES}
    if config.classes:
        splits = {name: only_classes(split, config.classes) for name, split in splits.items()}
    if config.faces:
        from fer_core.training.face_crops import face_crops

        for name, split in splits.items():
            report = reporter(faces_of(name), config.epochs, on_progress)
            splits[name] = face_crops(split, dataset.name, name, report)
    if config.dedupe:
        splits["train"] = without_copies(splits["train"], (splits["val"], splits["test"]))
    if config.mask:
        splits = {name: masked(split, config.mask) for name, split in splits.items()}
    for name, split in splits.items():
        if not len(split):
            raise ConfigError(f"The {name} split of {dataset.name} is empty.", "Register a dataset with more pictures.")
    fitted, watched = splits["train"], splits["val"]
    if config.holdout:
        fitted, watched = held_out(fitted, config.holdout, config.seed)
        splits["train"] = fitted
    if config.oversample:
        fitted = oversampled(fitted, config.seed)
    return Prepared(fitted, watched, splits)


def as_evaluated(dataset: Dataset, name: str, config: Mapping, pixels: bool = True) -> Split:
    """The split ``name`` of ``dataset`` as a run with these settings was measured on it: see :func:`prepare`.

    Args:
        config: settings of the run, as in its ``run.json``.
        pixels: False leaves the pictures as they are, where only ids and labels are wanted.
    """
    split = dataset[name]
    if config.get("classes"):
        split = only_classes(split, config["classes"])
    if config.get("faces") and pixels:
        from fer_core.training.face_crops import face_crops

        split = face_crops(split, dataset.name, name)
    return masked(split, config["mask"]) if config.get("mask") and pixels else split


def only_classes(split: Split, names: list[str]) -> Split:
    """The pictures of ``names``, whose labels then count only these classes, in the order of the dataset.

    Raises:
        ConfigError: fewer than two classes, or one that the dataset does not have.
    """
    wanted = {canonical_name(name, KNOWN_NAMES) for name in names}
    missing = wanted - set(split.class_names)
    if missing or len(wanted) < 2:
        raise ConfigError(
            f"classes must be at least two of {', '.join(split.class_names)}. Received {', '.join(names)}."
        )
    kept = [index for index, name in enumerate(split.class_names) if name in wanted]
    position = np.full(len(split.class_names), -1, np.int64)
    position[kept] = np.arange(len(kept))
    part = split.take(np.flatnonzero(position[split.y_true] >= 0))
    names_kept = tuple(split.class_names[index] for index in kept)
    return replace(part, y_true=position[part.y_true], class_names=names_kept)


def without_copies(train: Split, others: tuple[Split, ...]) -> Split:
    """``train`` without pictures that stand in ``others``, and with the first only of those that repeat each other."""
    digests = picture_digests(train.images)
    elsewhere = np.concatenate([picture_digests(other.images) for other in others]) if others else digests[:0]
    first = np.zeros(len(train), bool)
    first[np.unique(digests, return_index=True)[1]] = True
    return train.take(np.flatnonzero(first & ~np.isin(digests, elsewhere)))


def masked(split: Split, region: str) -> Split:
    """``split`` with one region of every picture black."""
    mask = masks.region_mask(region, split.images.shape[1:3])
    return replace(split, images=masks.apply(np.asarray(split.images), mask, "zero"))


def held_out(train: Split, share: float, seed: int) -> tuple[Split, Split]:
    """Split off ``share`` of each class, at least one picture of it unless all have copies: (the rest, the share).

    Pictures that are equal pixel by pixel never part, so that nothing is watched that was fitted. Where ids name
    subjects (CK+), whole subjects are split off, with about that share of each class.

    Raises:
        ConfigError: a class has a single picture.
    """
    subjects = known_subjects(train.sample_ids)
    if subjects is not None:
        if len(np.unique(subjects)) < 2:
            raise ConfigError("All training pictures are of one subject; holdout needs two.", "Set holdout to 0.")
        held = assign(subjects, train.y_true, seed, {"rest": 1 - share, "held": share}) == "held"
        return train.take(np.flatnonzero(~held)), train.take(np.flatnonzero(held))
    rng = np.random.default_rng([seed, 7])
    chosen = np.zeros(len(train), bool)
    copies, counts = _copies(train), np.bincount(train.y_true, minlength=len(train.class_names))
    if 1 in counts:
        alone = train.class_names[counts.tolist().index(1)]
        raise ConfigError(f"{alone} has one training picture; holdout needs two.", "Set holdout to 0.")
    wanted = np.minimum(np.maximum(np.rint(share * counts).astype(int), 1), counts - 1)
    held = np.zeros_like(counts)
    for label in np.flatnonzero(counts):
        for position in rng.permutation(np.flatnonzero(train.y_true == label)):
            if held[label] >= wanted[label]:
                break
            equal = copies.get(int(position), [position])
            more = np.bincount(train.y_true[equal], minlength=len(counts))
            if not chosen[position] and (held + more <= wanted)[more > 0].all():
                chosen[equal] = True
                held += more
    return train.take(np.flatnonzero(~chosen)), train.take(np.flatnonzero(chosen))


def _copies(train: Split) -> dict[int, np.ndarray]:
    """Position of each picture that stands in ``train`` several times -> the positions of all of them."""
    digests = picture_digests(train.images)
    _, group, counts = np.unique(digests, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[group] > 1)
    return {int(position): repeated[group[repeated] == group[position]] for position in repeated}


def oversampled(train: Split, seed: int) -> Split:
    """Every class as often as the commonest: whole repetitions, then a random part. Absent classes stay absent."""
    rng = np.random.default_rng([seed, 8])
    most = np.bincount(train.y_true).max()
    positions = []
    for label in np.unique(train.y_true):
        where = np.flatnonzero(train.y_true == label)
        positions += [where] * (most // len(where)) + [rng.permutation(where)[: most % len(where)]]
    return train.take(np.sort(np.concatenate(positions)))
