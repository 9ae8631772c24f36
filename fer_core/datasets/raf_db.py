"""RAF-DB (Li, Deng & Du 2017), single expressions: the official layout, and the release with folders 1 to 7.

Official: ``list_patition_label.txt`` with lines ``train_00001.jpg 5``, and pictures in ``Image/aligned``
(``train_00001_aligned.jpg``) or ``Image/original`` (``train_00001.jpg``). The other release: ``train|test/<1 to 7>/
train_00001_aligned.jpg``, with or without ``train_labels.csv`` and ``test_labels.csv``. Numbers mean classes only where
files are named in RAF-DB's way. Ids are the official stems, so that all forms of the same pictures are one dataset.

The download holds ``basic/`` and ``compound/``, whose pictures have the same names: compound emotions (labels 1 to 11,
where 4 is sadly angry, not happy) are never read.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from fer_core import images
from fer_core.datasets.reading import REPORT_EVERY, PictureFiles, Progress, Reader, Sample, photographs_note
from fer_core.datasets.tree import DAMAGE, LeftOut, Tree
from fer_core.errors import DatasetError
from fer_core.labels import CLASS_NAMES, RAF_DB_CODES

LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # the first is how RAF-DB spells it
TABLES = ("train_labels.csv", "test_labels.csv")
MAX_LIST = 16 * 2**20
COMPOUND = "compound"  # the folder in RAF-DB's download
COMPOUND_CODES = {b"8", b"9", b"10", b"11"}
COMPOUND_SHARE = 0.1  # of a list's lines; officially 0.4 have these labels, and slips of the pen are few
_STEM = re.compile(r"((?:train|test)_\d{1,9})(_aligned)?", re.IGNORECASE)
_CODES = {str(code): code for code in RAF_DB_CODES}


class Picture(NamedTuple):
    """A picture file: its name in the tree, the official id, whether it is an aligned face, the folder's class code."""

    name: str
    sample_id: str
    aligned: bool
    code: int | None


class Line(NamedTuple):
    """What a label file says about one picture, and where it says so."""

    code: int
    where: str


def find(tree: Tree) -> "RafDb | None":
    """The reader of RAF-DB in ``tree``, or None where it is not there.

    Raises:
        DatasetError: it holds compound emotions alone.
    """
    lists = [name for name in tree.names if _base(name) in LISTS]
    compound = [name for name in lists if _is_compound(tree, name)]
    if compound and len(compound) == len(lists):
        raise DatasetError(
            f"{tree.source} holds RAF-DB's compound emotions: {compound[0]} has labels 1 to 11.",
            "Add the folder basic/ of the same download, whose list has the labels 1 to 7.",
        )
    names, notes = _without_compound(tree.names, lists, compound)
    lists = [name for name in lists if name in names]
    pictures = [picture for name in names if (picture := _picture(name))]
    if lists:
        return RafDb(tree, names, pictures, lists[:1], "RAF-DB, official layout", notes)
    if any(picture.code for picture in pictures):
        tables = [name for name in names if _base(name) in TABLES]
        return RafDb(tree, names, pictures, tables, "RAF-DB, folders 1 to 7", notes)
    return None


class RafDb(Reader):
    """Reader of both layouts; see :class:`~fer_core.datasets.reading.Reader`."""

    suggested_name = "rafdb"

    def __init__(
        self, tree: Tree, names: list[str], pictures: list[Picture], files: list[str], form: str, notes: list[str]
    ) -> None:
        self.format = form
        self.files = PictureFiles(tree)
        self.problems: list[LeftOut] = []
        aligned = any(picture.aligned for picture in pictures)
        self.kind = "aligned face" if aligned else "original photograph"
        self.photographs = not aligned
        self.pictures = self._by_id([picture for picture in pictures if picture.aligned == aligned])
        self.notes = [_which(pictures, aligned), *notes]
        self._refuse_strange_names(names, form)
        self._read_labels(tree, files)

    def samples(self, progress: Progress) -> Iterator[Sample | LeftOut]:
        yield from self.problems
        wanted = sorted(self.lines.keys() | self.pictures.keys())
        for done, sample_id in enumerate(wanted):
            if done % REPORT_EVERY == 0:
                progress("Reading pictures", done, len(wanted))
            found = self._sample(sample_id)
            if found is not None:
                yield found
        progress("Reading pictures", len(wanted), len(wanted))
        self.notes += self.files.notes()
        if self.photographs:
            self.notes.append(photographs_note(self.cut))

    def _sample(self, sample_id: str) -> Sample | LeftOut | None:
        picture, line = self.pictures.get(sample_id), self.lines.get(sample_id)
        split = sample_id.split("_")[0]
        if picture is None:
            return LeftOut(line.where, f"there is no {self.kind} of {sample_id}")
        if line is None and split in self.listing:
            # The line of some pictures is bad, which has been said already.
            return (
                None
                if sample_id in self.named_badly
                else LeftOut(picture.name, f"is not listed in {self.listing[split]}")
            )
        if line is None and picture.code is None:
            return LeftOut(picture.name, "lies in no folder 1 to 7")
        if line and picture.code and line.code != picture.code:
            return LeftOut(picture.name, f"lies in folder {picture.code}, but {line.where} says {line.code}")
        image = self.files.read(picture.name, cut=self.cut, colour=True)
        if isinstance(image, LeftOut):
            return image
        code = line.code if line else picture.code
        return Sample(sample_id, split, CLASS_NAMES.index(RAF_DB_CODES[code]), image)

    def _by_id(self, pictures: list[Picture]) -> dict[str, Picture]:
        found: dict[str, Picture] = {}
        for picture in pictures:
            first = found.setdefault(picture.sample_id, picture)
            if first is not picture:
                self.problems.append(LeftOut(picture.name, f"{first.name} is {picture.sample_id} already"))
        return found

    def _refuse_strange_names(self, names: list[str], form: str) -> None:
        """Leave out pictures beside RAF-DB's that are not named in its way."""
        folders = {_folder(picture.name) for picture in self.pictures.values()}
        self.problems += [
            LeftOut(name, f"is not named as in {form.split(',')[0]} (train_00001, test_0001)")
            for name in names
            if _folder(name) in folders and name.lower().endswith(images.SUFFIXES) and _picture(name) is None
        ]

    def _read_labels(self, tree: Tree, files: list[str]) -> None:
        """Fill ``lines`` (id -> line), ``listing`` (split -> label file that lists it), ``named_badly`` (ids)."""
        self.lines: dict[str, Line] = {}
        self.listing: dict[str, str] = {}
        self.named_badly: set[str] = set()
        for name in files:
            base = PurePosixPath(name).name
            try:
                with tree.open(name) as file:
                    rows = file.read(MAX_LIST).splitlines()
            except DAMAGE as error:
                self.problems.append(LeftOut(name, f"cannot be read: {error}"))
                continue
            for number, row in enumerate(rows, start=1):
                self._read_line(row, base, number)
            splits = ("train", "test") if base.lower() in LISTS else (base.lower().split("_")[0],)
            self.listing |= dict.fromkeys(splits, base)

    def _read_line(self, row: bytes, base: str, number: int) -> None:
        where = f"{base} line {number}"
        fields = row.decode("utf-8-sig", "replace").replace(",", " ").split()
        if not fields or (number == 1 and fields[-1].lower() in ("label", "labels")):
            return  # blank, or the header of a CSV
        match = _STEM.fullmatch(PurePosixPath(fields[0]).stem)
        sample_id = match[1].lower() if match else ""
        if len(fields) != 2:
            problem = f"{len(fields)} fields; expected a name and a label"
        elif not match:
            problem = f"unknown name {_short(fields[0])}; expected one such as train_00001.jpg"
        elif fields[1] not in _CODES:
            problem = f"unknown label {_short(fields[1])}; expected 1 to 7"
        elif sample_id in self.lines:
            problem = f"{sample_id} is listed already in {self.lines[sample_id].where}"
        else:
            self.lines[sample_id] = Line(_CODES[fields[1]], where)
            return
        self.problems.append(LeftOut(where, problem))
        self.named_badly |= {sample_id} - {""}


def _picture(name: str) -> Picture | None:
    """What RAF-DB calls this file, or None where it is not named in its way."""
    path = PurePosixPath(name)
    match = _STEM.fullmatch(path.stem)
    if match is None or path.suffix.lower() not in images.SUFFIXES:
        return None
    return Picture(name, match[1].lower(), match[2] is not None, _CODES.get(path.parent.name))


def _is_compound(tree: Tree, name: str) -> bool:
    """Whether the label file ``name`` is that of RAF-DB's compound emotions."""
    if COMPOUND in _folder(name).lower().split("/"):
        return True
    try:
        with tree.open(name) as file:
            labels = [fields[1] for row in file.read(MAX_LIST).splitlines() if len(fields := row.split()) == 2]
    except DAMAGE:
        return False  # whoever reads it says so
    return sum(label in COMPOUND_CODES for label in labels) > COMPOUND_SHARE * len(labels)


def _without_compound(names: list[str], lists: list[str], compound: list[str]) -> tuple[list[str], list[str]]:
    """``names`` without those that belong to a list in ``compound``, and what to say of it.

    A file belongs to the list that is nearest above it or beside its folder.
    """
    if not compound:
        return names, []
    subsets = {_subset(name) for name in lists}
    left = {_subset(name) for name in compound} - {_subset(name) for name in lists if name not in compound}

    def nearest(name: str) -> str:
        parents = [parent.as_posix() for parent in PurePosixPath(name).parents]
        return next((parent for parent in parents if parent in subsets), "")

    skipped = {name for name in names if nearest(name) in left}
    count = sum(name.lower().endswith(images.SUFFIXES) for name in skipped)
    places = ", ".join("its top folder" if place == "." else place for place in sorted(left))
    note = f"Only basic emotions were read; not read: {count:,} pictures of compound emotions in {places}."
    return [name for name in names if name not in skipped], [note]


def _subset(name: str) -> str:
    """The folder whose pictures the label file ``name`` lists: that above ``EmoLabel``."""
    folder = PurePosixPath(name).parent
    return (folder.parent if folder.name.lower() == "emolabel" else folder).as_posix()


def _which(pictures: list[Picture], aligned: bool) -> str:
    folders = {False: set(), True: set()}
    for picture in pictures:
        folders[picture.aligned].add(_folder(picture.name))
    if not aligned:
        return "The original photographs were read: there are no aligned faces."
    if folders[False]:
        return (
            f"The aligned faces were read; not read: the original photographs in {', '.join(sorted(folders[False]))}."
        )
    return "The aligned faces were read."


def _base(name: str) -> str:
    return PurePosixPath(name).name.lower()


def _folder(name: str) -> str:
    return PurePosixPath(name).parent.as_posix()


def _short(text: str) -> str:
    return repr(text if len(text) <= 20 else text[:20] + "...")
