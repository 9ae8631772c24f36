"""The seven expression classes in one order, contempt beside them, and every dataset's codes mapped by name."""

from collections.abc import Iterable

import numpy as np

from fer_core.errors import DatasetError

CLASS_NAMES: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# Contempt is a class of CK+ alone, so it is known but not among the seven that every other dataset has.
KNOWN_NAMES: tuple[str, ...] = (*CLASS_NAMES, "contempt")

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
# RAF-DB (Li, Deng & Du 2017), list_patition_label.txt.
RAF_DB_CODES: dict[int, str] = dict(
    enumerate(("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), start=1)
)
# CK+ (Lucey et al. 2010), *_emotion.txt.
CK_PLUS_CODES: dict[int, str] = dict(
    enumerate(("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise"))
)


def canonical_name(name: str, among: tuple[str, ...] = CLASS_NAMES) -> str:
    """Return the class name of ``among`` that ``name`` means.

    Case, surrounding blanks and the usual variants ("Anger", "happiness") do not matter.

    Raises:
        DatasetError: the name is none of ``among``.
    """
    cleaned = str(name).strip().lower()
    cleaned = ALIASES.get(cleaned, cleaned)
    if cleaned not in among:
        raise DatasetError(
            f"Unknown class name {name!r}.",
            f"Expected one of {', '.join(among)} or a usual variant such as 'anger' or 'happiness'.",
        )
    return cleaned


def is_class_name(name: str, among: tuple[str, ...] = CLASS_NAMES) -> bool:
    """Whether ``name`` is one of ``among`` or a usual variant."""
    cleaned = str(name).strip().lower()
    return ALIASES.get(cleaned, cleaned) in among


def to_indices(names: Iterable[str], class_names: tuple[str, ...] = CLASS_NAMES) -> np.ndarray:
    """Map class names to positions in ``class_names``: int64 (N,).

    Raises:
        DatasetError: a name is unknown or not among ``class_names``.
    """
    position = {name: index for index, name in enumerate(class_names)}
    canonical = [canonical_name(name, KNOWN_NAMES) for name in names]
    missing = sorted(set(canonical) - set(position))
    if missing:
        raise DatasetError(f"Classes {missing} are not among {list(class_names)}.")
    return np.array([position[name] for name in canonical], dtype=np.int64)
