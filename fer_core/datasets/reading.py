"""What every format's reader has in common: the samples it yields and the names FER2013 gives them."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from fer_core.datasets.tree import LeftOut

# What is being done, how much of it, out of how much.
Progress = Callable[[str, int, int], None]

# FER2013's own split names; val is PublicTest and test is PrivateTest everywhere in FERscope.
USAGES: dict[str, tuple[str, str]] = {
    "training": ("Training", "train"),
    "publictest": ("PublicTest", "val"),
    "privatetest": ("PrivateTest", "test"),
}
_USAGE_FILE = re.compile(r"(training|publictest|privatetest)[_-](\d{1,18})", re.IGNORECASE)


class Sample(NamedTuple):
    """One labelled picture.

    ``sample_id`` is unique in its dataset, ``split`` one of ``SPLIT_NAMES`` or None where the source has no splits,
    ``label`` the position of the class in ``labels.CLASS_NAMES``, ``image`` uint8 (H, W) or (H, W, 3) RGB.
    """

    sample_id: str
    split: str | None
    label: int
    image: np.ndarray


class Reader(Protocol):
    """Reads one format.

    Attributes:
        format: name of the format for people.
        notes: what was decided on the way, for people; complete once ``samples`` is exhausted.
    """

    format: str
    notes: list[str]

    def samples(self, progress: Progress) -> Iterator[Sample | LeftOut]:
        """Every row or picture, in order: a sample, or why it was left out."""
        ...


def fer2013_id(usage: str, row: int) -> str:
    """``Training_00012``: the row counts from 0 below the header of ``fer2013.csv``.

    >>> fer2013_id("Training", 12)
    'Training_00012'
    """
    return f"{usage}_{row:05d}"


def parse_usage_name(stem: str) -> tuple[str, str] | None:
    """Sample id and split of a file named in FER2013's way, else None.

    >>> parse_usage_name("PublicTest_28709")
    ('PublicTest_28709', 'val')
    """
    match = _USAGE_FILE.fullmatch(stem)
    if match is None:
        return None
    usage, split = USAGES[match[1].lower()]
    return fer2013_id(usage, int(match[2])), split
