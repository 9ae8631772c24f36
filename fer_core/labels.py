"""The seven expression classes in one order, and every dataset's names and codes mapped onto them by name."""

from collections.abc import Iterable

import numpy as np

from fer_core.errors import DatasetError

CLASS_NAMES: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

ALIASES: dict[str, str] = {
    "anger": "angry",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "suprise": "surprise",
    "normal": "neutral",
}

# Kaggle's fer2013.csv writes the class as a code: its own order, which happens to be CLASS_NAMES'.
FER2013_CODES: dict[int, str] = dict(enumerate(CLASS_NAMES))


def canonical_name(name: str) -> str:
    """Return the class name that ``name`` means.

    Case, surrounding blanks and the usual variants ("Anger", "happiness") do not matter.

    Raises:
        DatasetError: the name is none of the seven expressions.
    """
    cleaned = str(name).strip().lower()
    cleaned = ALIASES.get(cleaned, cleaned)
    if cleaned not in CLASS_NAMES:
        raise DatasetError(
            f"Unknown class name {name!r}.",
            f"Expected one of {', '.join(CLASS_NAMES)} or a usual variant such as 'anger' or 'happiness'.",
        )
    return cleaned


def is_class_name(name: str) -> bool:
    """Whether ``name`` is one of the seven expressions or a usual variant."""
    cleaned = str(name).strip().lower()
    return ALIASES.get(cleaned, cleaned) in CLASS_NAMES


def to_indices(names: Iterable[str], class_names: tuple[str, ...] = CLASS_NAMES) -> np.ndarray:
    """Map class names to positions in ``class_names``: int64 (N,).

    Raises:
        DatasetError: a name is unknown or not among ``class_names``.
    """
    position = {name: index for index, name in enumerate(class_names)}
    canonical = [canonical_name(name) for name in names]
    missing = sorted(set(canonical) - set(position))
    if missing:
        raise DatasetError(f"Classes {missing} are not among {list(class_names)}.")
    return np.array([position[name] for name in canonical], dtype=np.int64)
