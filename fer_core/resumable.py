"""Work that goes on where it was interrupted: its finished parts, kept in a folder until all of it is done."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fer_core.storage import write_atomically


def work_folder(base: Path, settings: Mapping) -> Path:
    """A folder under ``base`` for the parts of work, named after all that its answers depend on: ``settings``."""
    key = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()[:16]
    return base / key


def read_part(work: Path | None, name: str) -> dict[str, np.ndarray] | None:
    """Arrays of a finished part; None where there is none, or what there is cannot be read."""
    path = work / f"{name}.npz" if work else None
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as part:
            return {array: part[array] for array in part.files}
    except (EOFError, OSError, ValueError, zipfile.BadZipFile):
        return None  # it is made again, and written over


def write_part(work: Path | None, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep a finished part for :func:`read_part`; without a folder nothing is kept."""
    if work is not None:
        write_atomically(work / f"{name}.npz", lambda file: np.savez(file, **arrays))


def clear_work(work: Path) -> None:
    """Remove the parts of finished work."""
    shutil.rmtree(work, ignore_errors=True)
