"""Searches for an SVM's settings among the artifacts: ``searches/<name>.csv``, best first, its conditions ``.json``."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fer_core import artifacts
from fer_core.errors import RunError
from fer_core.models.specs import spec
from fer_core.storage import environment, read_json, to_json, write_text

VARIED = ("C", "gamma", "degree")
SCORES = ("accuracy", "accuracy_std", "fit_time_s")
CONDITIONS = ("model", "dataset", "split", "n", "method", "folds", "folds_by", "arguments")


def write(frame: pd.DataFrame, conditions: Mapping) -> Path:
    """Write a table as ``fer_core.models.svm.search`` returns it; returns the path of the CSV, over none that is there.

    Args:
        conditions: :data:`CONDITIONS`, ``date`` and what else a reader must know.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{conditions['dataset']}-{conditions['model']}-{conditions['date'].replace('-', '')}"
    path, count = folder / f"{name}.csv", 1
    while path.exists():
        count += 1
        path = folder / f"{name}-{count}.csv"
    write_text(path.with_suffix(".json"), to_json(dict(conditions) | environment()))
    write_text(path, frame.to_csv(index=False))
    return path


def names() -> list[str]:
    """Names of the stored searches."""
    return sorted(path.stem for path in _folder().glob("*.json") if path.with_suffix(".csv").is_file())


def read(name: str) -> tuple[pd.DataFrame, dict]:
    """Settings tried, best first, and the conditions of a stored search.

    Raises:
        RunError: a file is missing or damaged.
    """
    path = _folder() / f"{name}.csv"
    remedy = f"Delete {path.name} and {name}.json, or search again: python -m fer_core search."
    record = read_json(path.with_suffix(".json"))
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.", remedy) from error
    for where, needed, given in ((path, SCORES, frame.columns), (path.with_suffix(".json"), CONDITIONS, record)):
        missing = ", ".join(column for column in needed if column not in given)
        if missing or not varied(frame) or frame.empty:
            raise RunError(f"{where} lacks {missing or 'settings that were tried'}.", remedy)
    return frame.sort_values("accuracy", ascending=False, kind="stable", ignore_index=True), record


def varied(frame: pd.DataFrame) -> list[str]:
    """Which of :data:`VARIED` a search has tried."""
    return [name for name in VARIED if name in frame]


def best_arguments(frame: pd.DataFrame, record: Mapping) -> dict:
    """``arguments`` of the best setting for ``train``: those that are not the model's own, and what was tried."""
    best = {name: frame[name].iloc[0].item() for name in varied(frame)}
    best |= {"degree": int(best["degree"])} if "degree" in best else {}
    own, given = (
        json.loads(to_json(arguments)) for arguments in (spec(record["model"])["arguments"], record["arguments"])
    )
    return {name: value for name, value in given.items() if own.get(name, ...) != value} | best


def edges(frame: pd.DataFrame) -> list[str]:
    """Settings of which the best value is the lowest or highest tried, so that a wider search may find a better one."""
    return [
        name
        for name in varied(frame)
        if frame[name].nunique() > 2 and frame[name].iloc[0] in (frame[name].min(), frame[name].max())
    ]


def as_good(frame: pd.DataFrame) -> int:
    """How many other settings lie within one standard deviation over the folds of the best."""
    return int((frame["accuracy"].iloc[1:] >= frame["accuracy"].iloc[0] - frame["accuracy_std"].iloc[0]).sum())


def _folder() -> Path:
    return artifacts.root() / "searches"
