"""Trainings that were interrupted, and whether one that is wanted may go on with them. Loads without TensorFlow."""

import json
from collections.abc import Container, Mapping
from pathlib import Path

import pandas as pd

from fer_core import datasets, machine
from fer_core.errors import RunError
from fer_core.models.specs import spec
from fer_core.storage import read_json
from fer_core.training import recipes
from fer_core.training.config import TrainConfig, config_of_entry


def folder(model: str, dataset: str, seed: int) -> Path:
    """Where ``training.run`` keeps the state of an unfinished training."""
    return datasets.data_dir() / "work" / f"{dataset}-{model}-s{seed}"


def begun(path: Path) -> bool:
    """Whether an epoch was finished in the work folder ``path``; settings alone are nothing to go on with."""
    return any((path / name).exists() for name in ("history.csv", "state.npz"))


def stamp(model: str, dataset: str, seed: int) -> str:
    """What tells an unfinished training from another, and from itself some epochs later; empty where there is none."""
    work = folder(model, dataset, seed)
    if not begun(work):
        return ""
    files = [work / name for name in ("settings.json", "history.csv", "state.npz")]
    return " ".join(str(file.stat().st_mtime_ns) for file in files if file.exists())


def history(model: str, dataset: str, seed: int) -> pd.DataFrame | None:
    """A row per finished epoch, or None before the first one."""
    try:
        return pd.read_csv(folder(model, dataset, seed) / "history.csv")
    except (OSError, ValueError):
        return None


def epochs_done(model: str, dataset: str, seed: int) -> int:
    """Epochs that an unfinished training has behind it, whatever its settings."""
    found = history(model, dataset, seed)
    return 0 if found is None else len(found)


def what_is_trained(model: str, dataset: str, fingerprint: str, config: TrainConfig) -> dict:
    """What an unfinished training must agree with to be gone on with, as ``settings.json`` in its folder has it.

    Args:
        dataset, fingerprint: name and fingerprint of the dataset.
    """
    settings = config.to_dict()  # without what is newer than some trainings, so that these can be gone on with
    del settings["arguments"]  # they stand in the spec
    if not config.min_delta:
        del settings["min_delta"]
    if not config.augmentation.shift:
        del settings["augmentation"]["shift"]
    found = {"model": model, "dataset": dataset, "fingerprint": fingerprint}
    return found | {"spec": recipes.network_of(model, config), "config": settings}


def other_settings(model: str, dataset: str, changes: Mapping | None = None, pictures: bool = True) -> str:
    """In what an unfinished training differs that is in the way of this one; empty if it may begin or go on.

    ``epochs 4 instead of 3``: those of the unfinished one instead of those wanted. One that has finished no epoch is in
    nobody's way: it may have been refused for what it was told.

    Args:
        changes: of the recipe, the seed among them.
        pictures: whether other pictures under the dataset's name count; then it must be registered.

    Raises:
        FerError: unknown model, setting or dataset, or a value out of range.
    """
    config = config_of_entry(spec(model), changes)
    work = folder(model, dataset, config.seed)
    path = work / "settings.json"
    if spec(model)["family"] != "network" or not begun(work) or not path.is_file():
        return ""
    try:
        stored = read_json(path)
    except RunError:
        return "settings that cannot be read"
    fingerprint = datasets.load(dataset).fingerprint if pictures else stored.get("fingerprint")
    wanted = json.loads(json.dumps(what_is_trained(model, dataset, fingerprint, config)))
    if stored == wanted:
        return ""
    if not all(isinstance(stored.get(part), dict) for part in ("spec", "config")):
        return "settings that cannot be read"
    found = recipes.told(
        recipes.differences(*(each["config"] | {"network": each["spec"]} for each in (stored, wanted)))
    )
    other = "other pictures" if stored.get("fingerprint") != fingerprint else ""
    return ", ".join(filter(None, (other, found))) or "settings of another version"


def at_work(apart_from: Container[int | None] = ()) -> list[str]:
    """Unfinished trainings, trials of sweeps among them, that a process works on.

    Told by the lock on their folder (Linux). A trial is called ``<sweep>, trial <number>``.

    Args:
        apart_from: processes that do not count.
    """
    home, holders = datasets.data_dir(), machine.lock_holders()
    names = {lock: lock.parent.name for lock in sorted(home.glob("work/*/lock"))}
    trials = sorted(home.glob("sweeps/*/trials/*.lock"), key=lambda lock: (lock.parts[-3], len(lock.stem), lock.stem))
    names |= {lock: f"{lock.parts[-3]}, trial {lock.stem}" for lock in trials}
    found = []
    for lock, name in names.items():
        try:
            pid = holders.get(lock.stat().st_ino)
        except OSError:
            continue
        if pid is not None and pid not in apart_from and machine.process_identity(pid):  # not one that is just ending
            found.append(name)
    return found
