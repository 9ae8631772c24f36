"""CK+ (Lucey et al. 2010): class folders of single frames (Kaggle's CK+48), and the official sequences.

Official: ``cohn-kanade-images/S010/006/S010_006_00000001.png`` and so on, from neutral to the peak of an expression,
and ``Emotion/S010/006/S010_006_00000014_emotion.txt`` with its code. The last three frames of each labelled sequence
are used, as in CK+48. CK+ has contempt, and no neutral but where a source brings its own. File names tell subjects.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from fer_core import images
from fer_core.datasets.reading import REPORT_EVERY, PictureFiles, Progress, Reader, Sample, photographs_note
from fer_core.datasets.subjects import Frame, frame_id, parse_frame, subject_of
from fer_core.datasets.tree import DAMAGE, LeftOut, Tree
from fer_core.errors import DatasetError
from fer_core.labels import CK_PLUS_CODES, KNOWN_NAMES, canonical_name, is_class_name

LAST_FRAMES = 3
LABEL_SUFFIX = "_emotion.txt"
SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "test", "testing")
_MAX_LABEL = 200  # bytes; an official label file has 18


class Picture(NamedTuple):
    """A picture file: its name in the tree, the frame it is, and its class."""

    name: str
    frame: Frame
    label: str


def find(tree: Tree) -> "CkPlus | None":
    """The reader of CK+ in ``tree``, or None where it is not there.

    Raises:
        DatasetError: sequences of CK+ without any label.
    """
    pictures = [name for name in tree.names if name.lower().endswith(images.SUFFIXES)]
    frames = [(name, frame) for name in pictures if (frame := parse_frame(PurePosixPath(name).stem))]
    if not frames:
        return None
    labels = [name for name in tree.names if name.lower().endswith(LABEL_SUFFIX)]
    if labels:
        return _sequences(tree, frames, labels)
    classed = [name for name in pictures if _class_of(name)]
    known = sum(_class_of(name) is not None for name, _ in frames)
    if 2 * known > len(classed):
        return _folders(tree, frames, classed)
    if not classed and any(_in_sequence(name, frame) for name, frame in frames):
        raise DatasetError(
            f"{tree.source} holds sequences of CK+ without their labels.",
            "Put the folder Emotion (from Emotion_labels.zip) beside cohn-kanade-images and add the folder above both.",
        )
    return None


class CkPlus(Reader):
    """Reader of both layouts; see :class:`~fer_core.datasets.reading.Reader`."""

    suggested_name = "ckplus"

    def __init__(
        self, tree: Tree, form: str, pictures: Iterable[Picture], problems: list[LeftOut], notes: list[str]
    ) -> None:
        self.format, self.problems, self.notes = form, problems, notes
        self.files = PictureFiles(tree)
        self.subject_of = subject_of
        self.pictures: dict[str, Picture] = {}
        for picture in pictures:
            first = self.pictures.setdefault(frame_id(picture.frame), picture)
            if first is not picture:
                problems.append(LeftOut(picture.name, f"{first.name} is {frame_id(picture.frame)} already"))
        self.class_names = _classes(picture.label for picture in self.pictures.values())

    def samples(self, progress: Progress) -> Iterator[Sample | LeftOut]:
        yield from self.problems
        total = len(self.pictures)
        for done, (sample_id, picture) in enumerate(self.pictures.items()):
            if done % REPORT_EVERY == 0 or self.cut:
                progress("Finding faces" if self.cut else "Reading pictures", done, total)
            image = self.files.read(picture.name, cut=self.cut)
            if isinstance(image, LeftOut):
                yield image
            else:
                yield Sample(sample_id, None, self.class_names.index(picture.label), image)
        progress("Finding faces" if self.cut else "Reading pictures", total, total)
        self.notes += self.files.notes()
        if self.photographs:
            self.notes.append(photographs_note(self.cut))


def _folders(tree: Tree, frames: list[tuple[str, Frame]], classed: list[str]) -> CkPlus:
    """Class folders of frames; folders named after splits are not followed, as those are often split by frame."""
    named = {name for name, _ in frames}
    problems = [LeftOut(name, "its name tells no subject (S010_006_00000013)") for name in classed if name not in named]
    problems += [
        LeftOut(name, f"unknown class {PurePosixPath(name).parent.name!r}") for name, _ in frames if not _class_of(name)
    ]
    notes = []
    if any(part.lower() in SPLIT_FOLDERS for name in classed for part in PurePosixPath(name).parts[:-1]):
        notes.append("The split folders of the source were not followed: frames of one subject may stand in several.")
    pictures = (Picture(name, frame, _class_of(name)) for name, frame in frames if _class_of(name))
    return CkPlus(tree, "CK+, class folders", pictures, problems, notes)


def _sequences(tree: Tree, frames: list[tuple[str, Frame]], labels: list[str]) -> CkPlus:
    """The official layout: sequences, and one label file for each that has a label."""
    problems: list[LeftOut] = []
    sequences: dict[tuple[str, str], list[tuple[int, str, Frame]]] = {}
    for name, frame in frames:
        sequences.setdefault(frame[:2], []).append((frame.number, name, frame))
    classes: dict[tuple[str, str], str] = {}
    seen: dict[tuple[str, str], str] = {}
    for name in labels:
        frame = parse_frame(PurePosixPath(name).name.lower().removesuffix(LABEL_SUFFIX))
        if frame is None:
            problems.append(LeftOut(name, "its name tells no sequence (S010_006_00000014_emotion.txt)"))
        elif frame[:2] in seen:
            problems.append(LeftOut(name, f"{seen[frame[:2]]} labels this sequence already"))
        else:
            seen[frame[:2]] = name
            label = _read_label(tree, name)
            if isinstance(label, LeftOut):
                problems.append(label)
            elif frame[:2] not in sequences:
                problems.append(LeftOut(name, f"there are no pictures of the sequence {'_'.join(frame[:2])}"))
            else:
                classes[frame[:2]] = label
    pictures = [
        Picture(name, frame, label)
        for sequence, label in sorted(classes.items())
        for name, frame in _last(sequences[sequence])
    ]
    unlabelled = len(sequences.keys() - seen.keys())
    notes = [f"The last {LAST_FRAMES} frames of each of the {len(classes):,} labelled sequences were used."]
    if unlabelled:
        notes.append(f"{unlabelled:,} of {len(sequences):,} sequences have no label and were left out.")
    reader = CkPlus(tree, "CK+, official sequences", pictures, problems, notes)
    reader.photographs = True
    return reader


def _last(sequence: list[tuple[int, str, Frame]]) -> list[tuple[str, Frame]]:
    """Files of the frames with the highest numbers; a frame may be there twice."""
    numbers = sorted({number for number, _, _ in sequence})[-LAST_FRAMES:]
    return [(name, frame) for number, name, frame in sorted(sequence) if number in numbers]


def _read_label(tree: Tree, name: str) -> str | LeftOut:
    """Class name of a label file such as ``   3.0000000e+00``."""
    try:
        with tree.open(name) as file:
            text = file.read(_MAX_LABEL).decode("ascii", "replace").strip()
    except DAMAGE as error:
        return LeftOut(name, f"cannot be read: {error}")
    try:
        return CK_PLUS_CODES[float(text)]  # 3.0 and 3 are one key
    except (ValueError, KeyError):
        shown = repr(text if len(text) <= 20 else text[:20] + "...")
        return LeftOut(f"{name} line 1", f"unknown label {shown}; expected 0 to 7")


def _classes(present: Iterable[str]) -> tuple[str, ...]:
    """CK+'s seven classes, and neutral where a source has it."""
    found = set(present)
    return tuple(name for name in KNOWN_NAMES if name != "neutral" or name in found)


def _class_of(name: str) -> str | None:
    """The class that the innermost class folder above a file names."""
    folders = reversed(PurePosixPath(name).parts[:-1])
    return next((canonical_name(folder, KNOWN_NAMES) for folder in folders if is_class_name(folder, KNOWN_NAMES)), None)


def _in_sequence(name: str, frame: Frame) -> bool:
    """Whether a picture lies in .../S010/006/."""
    return PurePosixPath(name).parts[-3:-1] == (frame.subject, frame.sequence)
