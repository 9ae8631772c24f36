"""What every format's reader has in common: the samples it yields, picture files, and the names FER2013 gives them."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from fer_core import images
from fer_core.datasets.tree import DAMAGE, LeftOut, Tree
from fer_core.errors import ImageError
from fer_core.labels import CLASS_NAMES

# What is being done, how much of it, out of how much.
Progress = Callable[[str, int, int], None]
# A photograph uint8 (H, W, 3) to the face in it, uint8 (H, W, 3), or None where there is none.
Cut = Callable[[np.ndarray], np.ndarray | None]

MAX_FILE = 64 * 2**20
MAX_SIDE = 512  # faces are cut small; larger pictures are shrunk to this on the way in
REPORT_EVERY = 100

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
    ``label`` the position of the class in its reader's ``class_names``, ``image`` uint8 (H, W) or (H, W, 3) RGB.
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
        class_names: the classes that labels point into.
        suggested_name: what to call the dataset where nobody says; "" for the name of its file.
        subject_of: who is seen in the sample of an id, where that is known: then splits are made by subject.
        photographs: the pictures are whole photographs, not faces cut out of them.
        cut: to be set before ``samples``: cuts the face out of each photograph; None keeps them whole.
    """

    format: str
    notes: list[str]
    class_names: tuple[str, ...] = CLASS_NAMES
    suggested_name: str = ""
    subject_of: Callable[[str], str] | None = None
    photographs: bool = False
    cut: Cut | None = None

    def samples(self, progress: Progress) -> Iterator[Sample | LeftOut]:
        """Every row or picture, in order: a sample, or why it was left out."""
        ...


class PictureFiles:
    """Reads the picture files of a tree, and counts what it does to them."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.shrunk = tree, 0

    def read(self, name: str, *, cut: Cut | None = None, colour: bool = False) -> np.ndarray | LeftOut:
        """The picture: uint8 (H, W) where its channels are equal, else (H, W, 3) RGB; or why it cannot be used.

        Args:
            cut: cuts the face out of it.
            colour: give every picture as (H, W, 3).
        """
        try:
            image = images.decode(_content(self.tree, name), name=name)
        except ImageError as error:
            return LeftOut(name, error.problem.removeprefix(name).strip())
        except DAMAGE as error:
            return LeftOut(name, f"cannot be read: {error}")
        if cut is not None:
            image = cut(image)
            if image is None:
                return LeftOut(name, "no face was found in it")
        longest = max(image.shape[:2])
        if longest > MAX_SIDE:
            self.shrunk += 1
            image = images.resize(image, tuple(max(1, round(side * MAX_SIDE / longest)) for side in image.shape[:2]))
        return image if colour else _grey_if_grey(image)

    def notes(self) -> list[str]:
        """What was done to the pictures read so far."""
        return [f"{self.shrunk:,} pictures larger than {MAX_SIDE} pixels were shrunk to that."] if self.shrunk else []


def photographs_note(cut: Cut | None) -> str:
    """Whether faces were cut out of whole photographs."""
    if cut is None:
        return (
            "These are whole photographs: no face was cut out of them. `python -m fer_core data add PATH` without "
            "--whole does that, or datasets.add(path, cut=faces.largest_face)."
        )
    return "The largest face of each photograph was found and cut out, framed as FER2013 frames faces."


def _content(tree: Tree, name: str) -> bytes:
    with tree.open(name) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ImageError(f"{name} is larger than {MAX_FILE // 2**20} MB.")
    return content


def _grey_if_grey(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W) where the three channels are equal, else the (H, W, 3) picture itself."""
    grey = image[:, :, 0]
    if np.array_equal(grey, image[:, :, 1]) and np.array_equal(grey, image[:, :, 2]):
        return grey
    return image


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
