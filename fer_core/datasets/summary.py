"""What can be said about a dataset without showing a single picture of it: counts, copies, leaks, mean faces."""

import base64
import binascii
from collections.abc import Callable, Mapping

import numpy as np

from fer_core import images
from fer_core.datasets import subjects
from fer_core.datasets.split import Dataset, Split
from fer_core.errors import DatasetError, ImageError

SCHEMA_VERSION = 1
_CHUNK = 1024


def compute(
    dataset: Dataset, digests: Mapping[str, np.ndarray], subject_of: Callable[[str], str] | None = None
) -> dict:
    """Facts of ``dataset``.

    Args:
        digests: the picture digests (N,) of each split.
        subject_of: sample id -> who is seen, where that is known.

    Returns:
        ``schema_version``, ``name``, ``fingerprint``, ``format``, ``drawn``, ``notes``, ``left_out`` (count),
        ``class_names``, ``image_shape``, ``n``, ``totals`` (split -> n), ``counts`` (split -> class -> n),
        ``imbalance_ratio`` (split and ``all`` -> largest over smallest class, None where a class is empty),
        ``duplicates`` (:func:`duplicates`), ``test_clean`` (n), ``test_not_clean`` (sample ids of test pictures that
        stand in train or val too), ``constant`` (split -> sample ids of pictures of one single grey),
        ``mean_faces`` (class -> uint8 (H, W) mean over the train split, rounded). Where subjects are known also
        ``subjects``: ``protocol`` and what :func:`fer_core.datasets.subjects.sharing` says.
    """
    splits, class_names = dataset.splits, dataset.class_names
    counts = {name: _counts(split) for name, split in splits.items()}
    whole = {label: sum(of_split[label] for of_split in counts.values()) for label in class_names}
    not_clean = _standing_elsewhere(splits, digests)
    who = {} if subject_of is None else {"subjects": _subjects(dataset, subject_of)}
    return {
        "schema_version": SCHEMA_VERSION,
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "format": dataset.info.get("format", ""),
        "drawn": bool(dataset.info.get("drawn", False)),
        "notes": list(dataset.info.get("notes", [])),
        "left_out": int(dataset.info.get("left_out", 0)),
        "class_names": list(class_names),
        "image_shape": list(next(iter(splits.values())).images.shape[1:]),
        "n": sum(len(split) for split in splits.values()),
        "totals": {name: len(split) for name, split in splits.items()},
        "counts": counts,
        "imbalance_ratio": {name: _ratio(of_split) for name, of_split in {**counts, "all": whole}.items()},
        "duplicates": duplicates(
            digests, {name: split.y_true for name, split in splits.items()}, class_names=class_names
        ),
        "test_clean": len(splits["test"]) - len(not_clean) if "test" in splits else 0,
        "test_not_clean": not_clean,
        "constant": {name: split.sample_ids[_constant(split.images)].tolist() for name, split in splits.items()},
        **who,
        "mean_faces": _mean_faces(splits.get("train", next(iter(splits.values())))),
    }


def duplicates(
    digests: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], *, class_names: tuple[str, ...]
) -> dict:
    """Exact copies: pictures that agree in every pixel.

    Returns:
        ``distinct`` pictures; ``groups`` of two or more equal ones; ``extra_copies`` (pictures beyond the first of each
        group); ``largest_group``; ``conflicting_groups`` (equal pictures under several labels) and
        ``conflicting_pictures`` in them; ``conflicts`` ("fear / sad" -> groups);
        ``across`` (split -> other split -> pictures of the split that stand in the other one too).
    """
    every = np.concatenate([digests[name] for name in digests])
    every_label = np.concatenate([labels[name] for name in digests])
    _, group, size = np.unique(every, return_inverse=True, return_counts=True)
    seen = np.zeros((len(size), len(class_names)), dtype=bool)
    seen[group, every_label] = True
    conflicting = seen.sum(axis=1) > 1
    pairs: dict[str, int] = {}
    for row in seen[conflicting]:
        key = " / ".join(class_names[label] for label in np.flatnonzero(row))
        pairs[key] = pairs.get(key, 0) + 1
    return {
        "distinct": len(size),
        "groups": int((size > 1).sum()),
        "extra_copies": int(len(every) - len(size)),
        "largest_group": int(size.max(initial=0)),
        "conflicting_groups": int(conflicting.sum()),
        "conflicting_pictures": int(size[conflicting].sum()),
        "conflicts": dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0]))),
        "across": {
            name: {other: int(np.isin(digests[name], digests[other]).sum()) for other in digests if other != name}
            for name in digests
        },
    }


def to_record(facts: Mapping) -> dict:
    """``facts`` with mean faces as base64 PNG, ready for JSON."""
    faces = {
        name: base64.b64encode(images.encode_png(face)).decode("ascii") for name, face in facts["mean_faces"].items()
    }
    return {**facts, "mean_faces": faces}


def from_record(record: Mapping, where: str) -> dict:
    """Undo :func:`to_record`.

    Raises:
        DatasetError: ``record`` holds no facts of this schema; the message calls it ``where``.
    """
    if record.get("schema_version") != SCHEMA_VERSION:
        raise DatasetError(f"{where} holds no facts of schema {SCHEMA_VERSION}.", "Register the dataset again.")
    try:
        faces = {
            name: images.to_grey(images.decode(base64.b64decode(png), name=f"{where}, mean face {name}"))
            for name, png in record["mean_faces"].items()
        }
    except (KeyError, AttributeError, TypeError, binascii.Error, ImageError) as error:
        raise DatasetError(f"{where} is damaged: {error}.", "Register the dataset again.") from error
    return {**record, "mean_faces": faces}


def _subjects(dataset: Dataset, subject_of: Callable[[str], str]) -> dict:
    seen = {
        name: [subject_of(sample_id) for sample_id in of.sample_ids.tolist()] for name, of in dataset.splits.items()
    }
    return {"protocol": dataset.info.get("protocol"), **subjects.sharing(seen)}


def _counts(split: Split) -> dict[str, int]:
    counted = np.bincount(split.y_true, minlength=len(split.class_names))
    return dict(zip(split.class_names, counted.tolist(), strict=True))


def _ratio(counts: Mapping[str, int]) -> float | None:
    """Largest over smallest class."""
    return round(max(counts.values()) / min(counts.values()), 4) if min(counts.values()) else None


def _standing_elsewhere(splits: Mapping[str, Split], digests: Mapping[str, np.ndarray]) -> list[str]:
    if "test" not in splits:
        return []
    others = [digests[name] for name in splits if name != "test"]
    if not others:
        return []
    return splits["test"].sample_ids[np.isin(digests["test"], np.concatenate(others))].tolist()


def _constant(pictures: np.ndarray) -> np.ndarray:
    """Which pictures have the same value everywhere: bool (N,)."""
    out = np.zeros(len(pictures), dtype=bool)
    for start in range(0, len(pictures), _CHUNK):
        flat = np.asarray(pictures[start : start + _CHUNK]).reshape(len(pictures[start : start + _CHUNK]), -1)
        out[start : start + _CHUNK] = (flat == flat[:, :1]).all(axis=1)
    return out


def _mean_faces(split: Split) -> dict[str, np.ndarray]:
    """Mean grey face of each class that has pictures: uint8 (H, W), rounded."""
    out = {}
    for label, name in enumerate(split.class_names):
        at = np.flatnonzero(split.y_true == label)
        if not len(at):
            continue
        total = np.zeros(split.images.shape[1:], dtype=np.float64)
        for start in range(0, len(at), _CHUNK):
            total += split.images[at[start : start + _CHUNK]].sum(axis=0, dtype=np.float64)
        mean = np.rint(total / len(at)).astype(np.uint8)
        out[name] = images.to_grey(mean)
    return out
