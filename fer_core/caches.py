"""What was computed from pictures and is kept beside the datasets, because computing it again would take long.

Everything here can be deleted at any time: what needs it computes it anew. Only files whose names are those of the kind
count, so that trainings, sweeps, studies, jobs and datasets are left alone wherever they lie.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fer_core import datasets, machine
from fer_core.errors import ConfigError, RunError


@dataclass(frozen=True)
class Kind:
    """One kind of cache.

    Attributes:
        about: what is kept, and for whom.
        folders: patterns of its folders below the data folder.
        file: regular expression of its files' names.
    """

    about: str
    folders: tuple[str, ...]
    file: str


KINDS: dict[str, Kind] = {
    "backbones": Kind(
        "outputs of frozen backbones, for training heads and for sweeps over them",
        ("work/features", "sweeps/*/trials/features"),
        r"[0-9a-f]{16}-[0-9a-f]{16}\.(npy|json)",
    ),
    "landmarks": Kind("five landmarks per picture, for SVMs and studies", ("features",), r"landmarks\.npz"),
    "face_crops": Kind("aligned faces, for trainings on them", ("face_crops/*",), r"[0-9a-f]{32}\.npy"),
}


@dataclass(frozen=True)
class Kept:
    """Files of one kind.

    Attributes:
        files: sorted.
        size: bytes in all.
        used: when one of them was last read or written, seconds since 1970, to within a day where the file system
            saves itself the trouble; None without files.
    """

    files: tuple[Path, ...]
    size: int
    used: float | None


def kept(kind: str) -> Kept:
    """What is kept of ``kind``, with what killed processes left half written.

    Raises:
        ConfigError: unknown kind.
    """
    files, size, used = [], 0, None
    for path in sorted(_files(kind)):
        try:
            status = path.stat()
        except OSError:  # gone since
            continue
        files.append(path)
        size += status.st_size
        used = max(used or 0.0, status.st_atime, status.st_mtime)
    return Kept(tuple(files), size, used)


def clear(kind: str) -> Kept:
    """Delete what is kept of ``kind``; returns what it was. Folders stay, a training may be about to write there.

    Raises:
        ConfigError: unknown kind.
        RunError: a file cannot be deleted.
    """
    found = kept(kind)
    for path in found.files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be deleted: {error}.", "Mend the permissions of its folder.") from error
    return found


def _files(kind: str) -> Iterator[Path]:
    if kind not in KINDS:
        raise ConfigError(f"Unknown cache {kind!r}.", f"Expected one of {', '.join(KINDS)}.")
    name = re.compile(rf"{KINDS[kind].file}|\.{KINDS[kind].file}\.(?P<pid>\d+)")
    for pattern in KINDS[kind].folders:
        for path in datasets.data_dir().glob(f"{pattern}/*"):
            match = name.fullmatch(path.name)
            if match and path.is_file() and not _being_written(match["pid"]):
                yield path


def _being_written(pid: str | None) -> bool:
    """Whether the process runs that writes a file under a temporary name, see ``storage.write_atomically``."""
    return pid is not None and machine.process_identity(int(pid)) is not None
