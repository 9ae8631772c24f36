"""The state of a training that was interrupted: everything needed to go on with the next epoch."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from fer_core.errors import ConfigError, FerError, RunError, WriteError
from fer_core.training.unfinished import begun


class WorkDirectory:
    """Folder of an unfinished training: ``settings.json``, ``history.csv``, ``state.npz``, ``best.npz``.

    Each file is written under another name and renamed, so that a kill leaves the old or the new one.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = None

    def claim(self, settings: dict, fresh: bool = False) -> None:
        """Take the folder for these settings until the process ends, or check that it was made for the same.

        What another training left there before its first epoch was over, refused as it may have been, is discarded.

        Args:
            settings: plain data that the training depends on.
            fresh: discard an unfinished training first.

        Raises:
            ConfigError: an unfinished training with other settings lies there, or another process works on it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        if fresh or not begun(self.path):
            for name in ("settings.json", "history.csv", "state.npz", "best.npz"):
                (self.path / name).unlink(missing_ok=True)
        file = self.path / "settings.json"
        plain = json.loads(json.dumps(settings))
        if file.exists():
            stored = json.loads(file.read_text(encoding="utf-8"))
            if stored != plain:
                changed = sorted(key for key in {*stored, *plain} if stored.get(key) != plain.get(key))
                raise ConfigError(
                    f"{self.path} holds an unfinished training with other {', '.join(changed)}.",
                    "Train with the same settings to finish it, or with --fresh to discard it.",
                )
            return
        self._replace(file, lambda temporary: temporary.write_text(json.dumps(plain, indent=1), encoding="utf-8"))

    def save_state(self, epoch: int, network: keras.Model, rows: list[dict]) -> None:
        """Write history and state after ``epoch`` (from 0)."""
        arrays = {f"network_{i:04d}": np.asarray(v) for i, v in enumerate(_values(network.variables))}
        arrays |= {f"optimizer_{i:04d}": np.asarray(v) for i, v in enumerate(_values(network.optimizer.variables))}
        self._replace(self.path / "history.csv", lambda temporary: pd.DataFrame(rows).to_csv(temporary, index=False))
        self._replace(self.path / "state.npz", lambda temporary: _savez(temporary, epoch=np.int64(epoch), **arrays))

    def load_state(self, network: keras.Model) -> tuple[int, list[dict]]:
        """Restore what :meth:`save_state` wrote. Returns the next epoch and the history rows so far."""
        file = self.path / "state.npz"
        if not file.exists():
            return 0, []
        try:
            with np.load(file, allow_pickle=False) as archive:
                epoch = int(archive["epoch"])
                _assign(network.variables, archive, "network")
                _assign(network.optimizer.variables, archive, "optimizer")
            history = pd.read_csv(self.path / "history.csv", float_precision="round_trip")
        except FerError:
            raise
        except Exception as error:
            raise RunError(f"{file} is damaged: {error}.", "Train with --fresh to start again.") from error
        rows = history[history["epoch"] <= epoch + 1].to_dict("records")
        return epoch + 1, rows

    def save_best(self, weights: list[np.ndarray]) -> None:
        arrays = {f"{i:04d}": np.asarray(v) for i, v in enumerate(weights)}
        self._replace(self.path / "best.npz", lambda temporary: _savez(temporary, **arrays))

    def load_best(self) -> list[np.ndarray]:
        with np.load(self.path / "best.npz", allow_pickle=False) as archive:
            return [archive[name] for name in sorted(archive.files)]

    def clear(self) -> None:
        """Remove the folder, if it was claimed; the training is finished."""
        if self._lock is None:
            return
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def _replace(self, file: Path, write) -> None:
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            write(temporary)
            os.replace(temporary, file)
        except OSError as error:
            raise WriteError(
                f"{file} cannot be written: {error}.", "Free disk space and run the command again."
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


def _lock(folder: Path):
    """An open file whose lock the system drops when this process ends, however it ends.

    Raises:
        ConfigError: another process holds it.
    """
    file = open(folder / "lock", "w", encoding="ascii")  # noqa: SIM115 -- open as long as the training runs
    try:
        import fcntl
    except ImportError:  # Windows: two trainings of one model at once are the user's to avoid
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigError(
            f"Another process is training in {folder}.", "Wait for it, or train with another --seed."
        ) from None
    return file


def _savez(path: Path, **arrays) -> None:
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _values(variables) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables, archive, prefix: str) -> None:
    names = sorted(name for name in archive.files if name.startswith(f"{prefix}_"))
    if len(names) != len(variables):
        raise RunError(
            f"The saved state has {len(names)} {prefix} arrays, not {len(variables)}.",
            "Train with --fresh to start again.",
        )
    for variable, name in zip(variables, names, strict=True):
        variable.assign(archive[name])
