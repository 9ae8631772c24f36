"""Files below a folder or inside a zip archive, listed and opened the same way; nothing is ever unpacked to disk.

Member names are relative, with ``/`` between the parts, and printable (:func:`fer_core.wording.printable`). What must
not be read (archives inside archives, absolute names, ``..``) is never listed but noted in ``problems``.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from fer_core.errors import DatasetError
from fer_core.wording import printable

MAX_MEMBERS = 2_000_000
# A zip may not blow up beyond these: fer2013.csv packs 1:4, real pictures hardly at all.
MAX_UNPACKED = 2**30
MAX_RATIO = 50
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
# What reading a member of a damaged or locked archive raises, apart from zipfile's own errors.
DAMAGE = (OSError, zipfile.BadZipFile, zlib.error, LZMAError, RuntimeError, NotImplementedError, EOFError, ValueError)


class LeftOut(NamedTuple):
    """A row or file that was not used: where it stands and why."""

    where: str
    reason: str


class Tree(Protocol):
    """A folder, a zip archive or a single file.

    Attributes:
        source: the path as the user gave it, for messages.
        names: members in sorted order.
        problems: members that must not be read.
    """

    source: str
    names: list[str]
    problems: list[LeftOut]

    def open(self, name: str) -> BinaryIO: ...

    def size(self, name: str) -> int: ...


def open_tree(path: Path | str) -> Tree:
    """Look at ``path`` and list what is in it.

    Raises:
        DatasetError: it does not exist, cannot be read, or is an archive that is damaged or a bomb.
    """
    path = Path(path).expanduser()
    try:
        if path.is_dir():
            return FolderTree(path)
        if not path.exists():
            raise DatasetError(f"{path} does not exist.", "Check the path and the spelling.")
        if not path.is_file():
            raise DatasetError(f"{path} is neither a file nor a folder.", "Give a CSV file, a folder or a zip archive.")
        with open(path, "rb") as file:
            head = file.read(8)
        if not head:
            raise DatasetError(f"{path} is empty.", "Download it again.")
        if zipfile.is_zipfile(path):
            return ZipTree(path)
        if head.startswith(b"PK\x03\x04"):
            raise DatasetError(f"{path} is an incomplete zip archive: its end is missing.", "Download it again.")
        return FileTree(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.", "Check the path and its permissions.") from error


class FileTree:
    """A single file."""

    def __init__(self, path: Path) -> None:
        self.path, self.source = path, printable(path)
        self.names, self.problems = [path.name], []

    def open(self, name: str) -> BinaryIO:
        return open(self.path, "rb")

    def size(self, name: str) -> int:
        return self.path.stat().st_size


class FolderTree:
    """The regular files below a folder, hidden ones left aside."""

    def __init__(self, path: Path) -> None:
        self.path, self.source = path, printable(path)
        self.problems: list[LeftOut] = []
        self._files = {printable(name): name for name in _limited(self._walk(), self.source)}
        self.names = sorted(self._files)

    def _walk(self) -> Iterator[str]:
        for folder, subfolders, files in os.walk(self.path):
            subfolders[:] = [name for name in subfolders if not _is_litter(name)]
            relative = Path(folder).relative_to(self.path)
            for file in files:
                if not _is_litter(file):
                    name = (relative / file).as_posix()
                    if _is_archive(file):
                        self.problems.append(_inner_archive(printable(name)))
                    else:
                        yield name

    def open(self, name: str) -> BinaryIO:
        path = self.path / self._files[name]
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise OSError("not a regular file")
        return open(path, "rb")

    def size(self, name: str) -> int:
        try:
            return (self.path / self._files[name]).stat().st_size
        except OSError:  # a link that leads nowhere; opening it says so
            return 0


class ZipTree:
    """The members of a zip archive, read in place."""

    def __init__(self, path: Path) -> None:
        self.source = printable(path)
        self.problems: list[LeftOut] = []
        try:
            self.archive = zipfile.ZipFile(path)
        except DAMAGE as error:
            raise DatasetError(f"{path} is a damaged zip archive: {error}.", "Download it again.") from error
        infos = [info for info in self.archive.infolist() if not info.is_dir()]
        _refuse_bomb(infos, self.source)
        # Some Windows programs write names with backslashes.
        self.members = {info.filename.replace("\\", "/"): info for info in infos if self._allowed(info)}
        self.names = sorted(_limited(iter(self.members), self.source))

    def _allowed(self, info: zipfile.ZipInfo) -> bool:
        name = info.filename
        parts = name.replace("\\", "/").split("/")
        if any(_is_litter(part) and part not in ("..", ".") for part in parts):
            return False
        if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
            self.problems.append(LeftOut(name, "its name points outside of the archive"))
            return False
        if _is_archive(parts[-1]):
            self.problems.append(_inner_archive(name))
            return False
        return True

    def open(self, name: str) -> BinaryIO:
        return self.archive.open(self.members[name])

    def size(self, name: str) -> int:
        return self.members[name].file_size


def _refuse_bomb(infos: list[zipfile.ZipInfo], source: str) -> None:
    packed = sum(info.compress_size for info in infos)
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(MAX_UNPACKED, MAX_RATIO * packed):
        raise DatasetError(
            f"{source} claims to unpack from {packed / 2**20:.0f} MB to {unpacked / 2**20:.0f} MB.",
            "No real set of pictures packs like that; if you trust it, unpack it and add the folder.",
        )


def _limited(names: Iterator[str], source: str) -> list[str]:
    found = []
    for name in names:
        found.append(name)
        if len(found) > MAX_MEMBERS:
            raise DatasetError(f"{source} holds more than {MAX_MEMBERS:,} files.", "Name the dataset's own folder.")
    return found


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def _inner_archive(name: str) -> LeftOut:
    return LeftOut(name, "an archive inside; unpack it and add what comes out")
