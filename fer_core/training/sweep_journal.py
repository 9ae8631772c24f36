"""The file that holds the study of a sweep: a full disk or a kill costs it no line that was whole. Imports Optuna."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from fer_core.errors import RunError, WriteError


class Journal(JournalFileBackend):
    """Lines are appended whole or not at all.

    Raises:
        WriteError: the disk refuses a line; the file is as it was before.
        RunError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._turn = path, JournalFileOpenLock(str(path))
        with _told(path):
            super().__init__(str(path), lock_obj=self._turn)

    def append_logs(self, logs: list[dict]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with _told(self._path):
            self._turn.acquire()
            try:
                _append(self._path, lines.encode())
            finally:
                self._turn.release()

    def read_logs(self, log_number_from: int) -> Iterator[dict]:
        try:
            yield from super().read_logs(log_number_from)
        except (OSError, ValueError) as error:
            remedy = f"Delete the folder {self._path.parent.name} in data/sweeps and sweep again."
            raise RunError(f"{self._path} cannot be read: {error}.", remedy) from error


def stored(name: str, path: Path) -> optuna.Study | None:
    """The study ``name`` in the file ``path``, to look at; None before there is one. Writes nothing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.load_study(study_name=name, storage=_storage(path)) if path.exists() else None
    except KeyError:
        return None


def opened(name: str, path: Path, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """The study ``name`` in the file ``path``, made if need be; only one process at a time may call this."""
    found = stored(name, path)
    if found is None:
        return optuna.create_study(study_name=name, storage=_storage(path), direction="maximize", pruner=pruner)
    found.pruner = pruner
    return found


def _storage(path: Path) -> optuna.storages.JournalStorage:
    return optuna.storages.JournalStorage(Journal(path))


def _append(path: Path, lines: bytes) -> None:
    """Without a buffer, which would be written once more when the file is closed."""
    with open(path, "r+b", buffering=0) as file:
        end = _end_of_whole_lines(file)
        file.truncate(end)
        file.seek(end)
        try:
            written = 0
            while written < len(lines):
                written += file.write(lines[written:])
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise


def _end_of_whole_lines(file) -> int:
    """What follows the last line break, a process that was killed has left."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if file.read(1) in (b"", b"\n"):
        return size
    file.seek(0)
    return file.read().rfind(b"\n") + 1


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error}.", "Free disk space and run the command again.") from error
