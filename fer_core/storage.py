"""Plain files: JSON without NaN, checksums, directories that appear whole or not at all, and where we run."""

import errno
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fer_core.errors import RunError, WriteError

LIBRARIES: tuple[str, ...] = ("numpy", "tensorflow", "keras", "scikit-learn", "jax", "torch")


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(record: Mapping) -> str:
    """JSON text of plain values, numpy scalars and arrays; NaN and infinity become null."""
    return json.dumps(_plain(record), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def environment() -> dict:
    """``machine``, ``versions`` and ``git_commit`` of this process, for ``run.json``."""
    versions = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}{_accelerator()}"
    return {"machine": machine, "versions": versions, "git_commit": _git_commit()}


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 under a temporary name, then rename: readers see the old file or the new one.

    Raises:
        WriteError: the disk refuses.
    """
    write_atomically(path, lambda file: file.write(text.encode()))


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let ``write`` fill a file under a temporary name, then rename it to ``path``; its folder is made if need be.

    Raises:
        WriteError: the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error}.", "Free disk space or mend its permissions.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_directory(target: Path, fill: Callable[[Path], None], replace: bool = True) -> Path:
    """Let ``fill`` write into a hidden directory beside ``target``, then rename it to ``target``.

    Nothing stays behind on any failure; what a killed process left is removed by the next call for the same target.
    A ``target`` that exists is replaced, or, without ``replace``, stays as it is.

    Raises:
        FileExistsError: ``target`` exists and is not to be replaced, even if it has come up in the meantime.
    """
    _sweep(target)
    temporary = target.parent / f".{target.name}.{os.getpid()}"
    replaced = target.parent / f".{target.name}.{os.getpid()}.old"
    try:
        temporary.mkdir()
        fill(temporary)
        if replace and target.exists():
            target.rename(replaced)
        _rename(temporary, target)
    finally:
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
    return target


def _rename(folder: Path, target: Path) -> None:
    """Rename a folder that is not empty; no system does so onto another one that is not empty."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise FileExistsError(error.errno, "a folder of that name has come up", str(target)) from error
        raise


def _sweep(target: Path) -> None:
    """Remove what killed processes left of ``target`` under hidden names."""
    for leftover in target.parent.glob(f".{target.name}.*"):
        pid = leftover.name.removeprefix(f".{target.name}.").split(".")[0]
        if pid.isdigit() and Path("/proc/self").exists() and not Path(f"/proc/{pid}").exists():
            if leftover.suffix == ".old" and not target.exists():
                leftover.rename(target)
            else:
                shutil.rmtree(leftover, ignore_errors=True)


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        RunError: the file is missing or holds something else.
    """
    remedy = "Restore it from git or write it again."
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing.", remedy) from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is no JSON: {error}.", remedy) from error
    if not isinstance(record, dict):
        raise RunError(f"{path} holds no JSON object.", remedy)
    return record


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple | set):
        return [_plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _accelerator() -> str:
    """What JAX computes on, where that is no processor; it is not loaded for this."""
    jax = sys.modules.get("jax")
    if jax is None or jax.default_backend() == "cpu":
        return ""
    return f", {jax.devices()[0].device_kind}"


def _git_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
