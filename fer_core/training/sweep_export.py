"""Finished sweeps among the artifacts: ``sweeps/<name>.csv``, a row per trial, and its conditions as ``.json``."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pandas as pd

from fer_core import artifacts
from fer_core.errors import RunError
from fer_core.models.specs import spec
from fer_core.storage import environment, read_json, to_json, write_text
from fer_core.training.config import needed_changes
from fer_core.training.sweep_trials import trials_frame
from fer_core.training.sweeps import MODEL, RESULTS, Sweep, config_of, read

FINISHED = ("complete", "pruned", "fail")
IDENTITY = ("model", "dataset", "fingerprint", "space", "settings", "sampler")  # what tells sweeps of one name apart


def export(name: str) -> tuple[Path, Path]:
    """Write the finished trials of a sweep as ``sweeps/<name>.csv`` of the artifacts, and its conditions as ``.json``.

    Raises:
        RunError: there is no such sweep, no trial of it is complete, or the artifacts hold another one of its name.
    """
    frame, record = current(name)
    if record["best_trial"] is None:
        raise RunError(f"No trial of {name} is complete yet.", "Let the sweep run first.")
    if name in exported() and not same(record, read_export(name)[1]):
        raise RunError(
            f"The artifacts hold another sweep called {name}.",
            f"Move {name}.csv and {name}.json out of artifacts/sweeps first, or sweep again with another --name.",
        )
    kept = frame[frame["state"].isin(FINISHED)]
    record |= {"states": kept["state"].value_counts().to_dict(), "date": date.today().isoformat()} | environment()
    folder = artifacts.root() / "sweeps"
    folder.mkdir(parents=True, exist_ok=True)
    table, conditions = folder / f"{name}.csv", folder / f"{name}.json"
    write_text(table, kept.round(dict.fromkeys(RESULTS, 6)).to_csv(index=False))
    write_text(conditions, to_json(record))
    return table, conditions


def current(name: str) -> tuple[pd.DataFrame, dict]:
    """Trials and conditions of a sweep of this machine as it stands; ``best_trial`` is None until one is complete.

    Raises:
        RunError: there is no such sweep.
    """
    sweep, frame = read(name), trials_frame(name)
    complete = frame.loc[frame["state"] == "complete", "val_accuracy"].astype(float)
    best = None if complete.empty else int(frame.loc[complete.idxmax(), "trial"])
    states = frame["state"].value_counts().to_dict()
    return frame, dataclasses.asdict(sweep) | {"best_trial": best, "states": states, "split": "val"}


def same(record: Mapping, other: Mapping) -> bool:
    """Whether two conditions are of one sweep, however many trials of it have finished."""
    one, two = (json.loads(to_json({field: each.get(field) for field in IDENTITY})) for each in (record, other))
    return one == two


def exported() -> list[str]:
    """Names of the exported sweeps."""
    folder = artifacts.root() / "sweeps"
    return sorted(path.stem for path in folder.glob("*.json") if path.with_suffix(".csv").is_file())


def read_export(name: str) -> tuple[pd.DataFrame, dict]:
    """Trials and conditions of an exported sweep.

    Raises:
        RunError: a file is missing or damaged.
    """
    path = artifacts.root() / "sweeps" / f"{name}.csv"
    record = read_json(path.with_suffix(".json"))
    try:
        # An empty word is a choice, such as no equalisation, and not a gap.
        frame = pd.read_csv(path, keep_default_na=False, na_values={key: [""] for key in (*RESULTS, "error")})
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.", f"Write it again: sweep export {name}.") from error
    needed = {"trial", "state", *record.get("space", {}), *RESULTS}
    if not needed <= set(frame.columns):
        missing = ", ".join(sorted(needed - set(frame.columns)))
        raise RunError(f"{path} lacks {missing}.", f"Write it again: sweep export {name}.")
    return frame, record


def best_settings(frame: pd.DataFrame, record: Mapping) -> tuple[int, str, dict]:
    """Number of the best trial of an exported sweep, its model, and its settings where they differ from the recipe.

    Raises:
        RunError: the table does not hold the trial that the conditions call the best.
    """
    chosen = frame[frame["trial"] == record.get("best_trial")]
    if chosen.empty:
        raise RunError(f"The table of {record.get('name')} lacks its best trial.", "Export the sweep again.")
    row = chosen.iloc[0]
    params = {name: getattr(row[name], "item", lambda value=row[name]: value)() for name in record["space"]}
    params = {name: int(value) if _whole(record["space"][name]) else value for name, value in params.items()}
    model = params.get(MODEL, record["model"])
    sweep = Sweep(record["name"], model, record["dataset"], record["fingerprint"], {}, 1, settings=record["settings"])
    return int(row["trial"]), model, needed_changes(spec(model), config_of(sweep, params).to_dict())


def _whole(parameter: Mapping) -> bool:
    """Whether a stored parameter takes whole numbers only; a column with gaps comes back from CSV as floats."""
    choices = parameter.get("choices")
    return bool(parameter.get("integer") or (choices and all(type(choice) is int for choice in choices)))
