"""Kaggle's ``fer2013.csv`` and its kin: columns emotion, pixels and Usage, in any order and with stray blanks.

Also ``icml_face_data.csv`` (headers ``emotion, Usage, pixels``) and the challenge's ``train.csv`` (no Usage).
Read line by line, so that a damaged row costs that row alone and memory stays small.
"""

import csv
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from fer_core.datasets.reading import USAGES, Progress, Reader, Sample, fer2013_id
from fer_core.datasets.tree import DAMAGE, LeftOut, Tree
from fer_core.errors import DatasetError
from fer_core.labels import CLASS_NAMES, FER2013_CODES, canonical_name, is_class_name

SIDE = 48
MAX_LINE = 2**17  # a row of 2,304 pixels is at most 9.3 kB long
SUFFIXES = (".csv", ".txt", ".tsv")
_REPORT_EVERY = 500


def find(tree: Tree) -> "Fer2013Csv | None":
    """The reader of the CSV in ``tree`` that says most (one with Usage, else the longest), or None.

    Raises:
        DatasetError: the only file there is a CSV with other columns.
    """
    names = tree.names if len(tree.names) == 1 else [name for name in tree.names if name.lower().endswith(SUFFIXES)]
    found, headers = [], {}
    for name in names:
        columns = _columns(tree, name)
        headers[name] = columns
        if columns and {"emotion", "pixels"} <= set(columns):
            found.append(("usage" in columns, tree.size(name), name))
    if found:
        best = max(found)[2]
        return Fer2013Csv(tree, best, headers[best], [name for name in headers if name != best])
    if len(tree.names) == 1 and headers[tree.names[0]] and tree.names[0].lower().endswith(SUFFIXES):
        columns = ", ".join(headers[tree.names[0]][:12])
        raise DatasetError(
            f"{tree.source}: {tree.names[0]} has the columns {columns}.",
            "Expected emotion, pixels and Usage, as in Kaggle's fer2013.csv.",
        )
    return None


class Fer2013Csv(Reader):
    """Reader of one CSV file; see :class:`~fer_core.datasets.reading.Reader`."""

    format = "fer2013.csv"

    def __init__(self, tree: Tree, name: str, columns: list[str], others: list[str]) -> None:
        self.tree, self.name, self.columns = tree, name, columns
        self.notes = [f"Read from {name}; not read: {', '.join(others)}."] if others else []

    def samples(self, progress: Progress) -> Iterator[Sample | LeftOut]:
        total, done, row = self.tree.size(self.name), 0, 0
        at = {column: position for position, column in reversed(list(enumerate(self.columns)))}
        try:
            with self.tree.open(self.name) as file:
                done += len(_line(file))
                # People open the file in an editor: the header is line 1.
                for number, line in enumerate(iter(lambda: _line(file), b""), start=2):
                    done += len(line)
                    if line.strip():
                        yield self._row(line, row, number, at)
                        row += 1
                    if number % _REPORT_EVERY == 0:
                        progress("Reading rows", min(done, total), total)
        except DAMAGE as error:
            yield LeftOut(f"{self.name} after row {row}", f"the rest cannot be read: {error}")
        progress("Reading rows", total, total)

    def _row(self, line: bytes, row: int, number: int, at: dict[str, int]) -> Sample | LeftOut:
        try:
            cells = _cells(line)
            if len(cells) != len(self.columns):
                raise _BadRow(f"{len(cells)} columns; expected {len(self.columns)}")
            usage, split = _usage(cells[at["usage"]]) if "usage" in at else ("Row", None)
            label = _label(cells[at["emotion"]])
            return Sample(fer2013_id(usage, row), split, label, _image(cells[at["pixels"]]))
        except _BadRow as error:
            return LeftOut(f"{PurePosixPath(self.name).name} row {row} (line {number})", str(error))


class _BadRow(Exception):
    """Why a row cannot be used."""


def _line(file: BinaryIO) -> bytes:
    """The next line, cut at ``MAX_LINE`` bytes; what is cut off is skipped."""
    line = rest = file.readline(MAX_LINE)
    while len(rest) == MAX_LINE and not rest.endswith(b"\n"):
        rest = file.readline(MAX_LINE)
    return line


def _columns(tree: Tree, name: str) -> list[str] | None:
    """Column names of the first line in lower case, or None where the file is no text."""
    try:
        with tree.open(name) as file:
            line = _line(file)
    except DAMAGE:
        return None
    if not line or b"\x00" in line:
        return None
    try:
        columns = [cell.strip().lower() for cell in _cells(line)]
    except _BadRow:
        return None
    return ["emotion" if column in ("label", "class") else column for column in columns]


def _cells(line: bytes) -> list[str]:
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        return next(csv.reader([text]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise _BadRow(f"no readable text: {error}") from None


def _usage(cell: str) -> tuple[str, str]:
    try:
        return USAGES[cell.strip().lower()]
    except KeyError:
        raise _BadRow(f"unknown Usage {_short(cell)}; expected Training, PublicTest or PrivateTest") from None


def _label(cell: str) -> int:
    cell = cell.strip()
    if is_class_name(cell):
        return CLASS_NAMES.index(canonical_name(cell))
    if cell.isdecimal() and len(cell) < 4 and int(cell) in FER2013_CODES:
        return CLASS_NAMES.index(FER2013_CODES[int(cell)])
    raise _BadRow(f"unknown label {_short(cell)}; expected 0 to 6")


def _image(cell: str) -> np.ndarray:
    """uint8 (48, 48) of 2,304 numbers with blanks between."""
    if cell.encode("utf-8", "replace").translate(None, b" 0123456789"):  # the common case is quick
        _refuse_words(cell)
        cell = " ".join(cell.split())  # blanks that NumPy does not take for any
    pixels = np.fromstring(cell, dtype=np.int64, sep=" ")
    if pixels.size != SIDE * SIDE:
        raise _BadRow(f"{pixels.size:,} pixels; expected {SIDE * SIDE:,}")
    if pixels.max() > 255:
        position = int(np.argmax(pixels > 255))
        raise _BadRow(f"pixel {position} is {cell.split()[position][:20]}; expected 0 to 255")
    return pixels.astype(np.uint8).reshape(SIDE, SIDE)


def _refuse_words(cell: str) -> None:
    for position, word in enumerate(cell.split()):
        if not (word.isascii() and word.isdecimal()):
            raise _BadRow(f"pixel {position} is {_short(word)}; expected a whole number from 0 to 255")


def _short(text: str) -> str:
    return repr(text if len(text) <= 20 else text[:20] + "...")
