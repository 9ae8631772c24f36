"""Folders named after the classes, with or without folders named after the splits above them.

Covers the FER2013 releases on Kaggle (``train|test/<class>/PrivateTest_123.jpg``, ``images/train|validation``,
``train|validation|test``) and any folder of class folders. A file named in FER2013's way goes where its name says,
whatever folder it lies in; every other file where the nearest split folder above it says.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from fer_core import images
from fer_core.datasets.reading import REPORT_EVERY, PictureFiles, Progress, Reader, Sample, parse_usage_name
from fer_core.datasets.tree import DAMAGE, LeftOut, Tree
from fer_core.labels import CLASS_NAMES, canonical_name, is_class_name

SPLIT_FOLDERS: dict[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "publictest": "val",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}


class Member(NamedTuple):
    """A picture file: its name in the tree, the folder above split and class, what is below that, and what it is."""

    name: str
    root: str
    below: str
    sample_id: str
    split: str | None
    label: int


def find(tree: Tree) -> "ClassFolders | None":
    """The reader of the class folders in ``tree``, or None where there are none."""
    return ClassFolders(tree) if any(_class_at(name.split("/")) is not None for name in tree.names) else None


class ClassFolders(Reader):
    """Reader of class folders; see :class:`~fer_core.datasets.reading.Reader`."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.notes = tree, []
        members, self.problems = _members(tree.names)
        members = self._without_copies(members)
        members = self._without_strays(members)
        self.members = _with_unique_ids(members)
        named = any(parse_usage_name(PurePosixPath(member.name).stem) for member in members)
        self.format = "class folders with FER2013's file names" if named else "class folders"
        self._note_merged(members)
        self.pictures = PictureFiles(tree)

    def samples(self, progress: Progress) -> Iterator[Sample | LeftOut]:
        yield from self.problems
        total = len(self.members)
        for done, member in enumerate(self.members):
            if done % REPORT_EVERY == 0:
                progress("Reading pictures", done, total)
            image = self.pictures.read(member.name)
            yield image if isinstance(image, LeftOut) else Sample(member.sample_id, member.split, member.label, image)
        progress("Reading pictures", total, total)
        self.notes += self.pictures.notes()

    def _without_copies(self, members: list[Member]) -> list[Member]:
        """Leave out a root that repeats another one file by file, as Oheix's images/images does."""
        roots: dict[str, dict[str, str]] = {}
        for member in members:
            roots.setdefault(member.root, {})[member.below] = member.name
        kept: list[str] = []
        for root in sorted(roots, key=lambda root: (-len(roots[root]), len(root), root)):
            twin = next((other for other in kept if self._repeats(roots[root], roots[other])), None)
            if twin is None:
                kept.append(root)
            else:
                self.notes.append(f"{root or '.'} repeats files of {twin or '.'} and was not read twice.")
        return [member for member in members if member.root in kept]

    def _repeats(self, files: dict[str, str], others: dict[str, str]) -> bool:
        """Whether each of ``files`` (name below its root -> member) stands among ``others`` too, byte for byte."""
        size = self.tree.size
        if not all(below in others and size(name) == size(others[below]) for below, name in files.items()):
            return False
        return all(self._digest(name) == self._digest(others[below]) for below, name in files.items())

    def _digest(self, name: str) -> bytes:
        """Of the bytes of a member; of its name where these cannot be read, so that it is like no other."""
        try:
            with self.tree.open(name) as file:
                return hashlib.file_digest(file, "sha256").digest()
        except DAMAGE:
            return name.encode()

    def _without_strays(self, members: list[Member]) -> list[Member]:
        """Where there are split folders, leave out pictures that lie in none."""
        strays = {member.name for member in members if member.split is None}
        if not strays or len(strays) == len(members):
            return members
        self.problems += [LeftOut(name, "lies in no split folder, while other pictures do") for name in sorted(strays)]
        return [member for member in members if member.name not in strays]

    def _note_merged(self, members: list[Member]) -> None:
        """Say so where file names overrule the split folders."""
        moved = Counter()
        for member in members:
            folder = _split_of(member.below.split("/")[:-1])
            if folder and folder != member.split:
                moved[folder, member.split] += 1
        for (folder, split), count in sorted(moved.items()):
            self.notes.append(f"{count:,} pictures in {folder} folders belong to {split} by their file names.")


def _class_at(parts: list[str]) -> int | None:
    """Position of the innermost class folder in the parts of a file's path."""
    return next((at for at in range(len(parts) - 2, -1, -1) if is_class_name(parts[at])), None)


def _members(names: list[str]) -> tuple[list[Member], list[LeftOut]]:
    """Every file in a class folder, and pictures in folders beside those that are no class."""
    members, others, parents, ancestors = [], [], set(), set()
    for name in names:
        parts = name.split("/")
        at = _class_at(parts)
        if at is None:
            others.append(parts)
            continue
        members.append(_member(parts, at))
        parents.add(tuple(parts[:at]))
        ancestors |= {tuple(parts[:end]) for end in range(at + 1)}
    problems = []
    for parts in others:
        for at in range(len(parts) - 1):
            beside = tuple(parts[:at]) in parents and tuple(parts[: at + 1]) not in ancestors
            if beside and parts[-1].lower().endswith(images.SUFFIXES):
                problems.append(LeftOut("/".join(parts), f"unknown class {parts[at]!r}"))
                break
    return members, problems


def _member(parts: list[str], at: int) -> Member:
    start = at
    while start and _split_of(parts[start - 1 : start]) is not None:
        start -= 1
    below = "/".join(parts[start:])
    label = CLASS_NAMES.index(canonical_name(parts[at]))
    named = parse_usage_name(PurePosixPath(parts[-1]).stem)
    sample_id, split = named or (_stem(below), _split_of(parts[:-1]))
    return Member("/".join(parts), "/".join(parts[:start]), below, sample_id, split, label)


def _stem(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()


def _split_of(folders: list[str]) -> str | None:
    """The split that the innermost split folder names."""
    return next((SPLIT_FOLDERS[name.lower()] for name in reversed(folders) if name.lower() in SPLIT_FOLDERS), None)


def _with_unique_ids(members: list[Member]) -> list[Member]:
    """Fall back on the path below the root, then on the whole name, where ids collide."""
    for fallback in (lambda member: _stem(member.below), lambda member: member.name):
        times = Counter(member.sample_id for member in members)
        members = [
            member if times[member.sample_id] == 1 else member._replace(sample_id=fallback(member))
            for member in members
        ]
    return members
