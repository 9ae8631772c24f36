"""Trainings of one recipe that differ in the seed alone. Loads without TensorFlow."""

import json
import re
from collections.abc import Iterable

from fer_core.artifacts import ENSEMBLE, Run
from fer_core.errors import ConfigError
from fer_core.training.config import TrainConfig


def recipe_key(run: Run) -> str | None:
    """Equal for two runs that differ in nothing but the seed: model, pictures, classes, network and settings.

    Settings that a record does not name, for they came later, had their default. Machine, backend and library versions
    do not count. None for ensembles, and for runs of pictures without a fingerprint.
    """
    if run.model == ENSEMBLE or not run.run.get("dataset_fingerprint"):
        return None
    fields = ("model", "dataset", "dataset_fingerprint", "class_names", "initial_weights", "spec")
    return json.dumps(
        [*(run.run.get(field) for field in fields), _settings(run.run.get("config") or {})], sort_keys=True
    )


def in_seed_alone(a: Run, b: Run) -> bool:
    """Whether two runs differ, and in nothing but the seed."""
    key = recipe_key(a)
    return key is not None and _seed(a) != _seed(b) and recipe_key(b) == key


def sisters(run: Run, runs: Iterable[Run]) -> list[Run]:
    """Those of ``runs`` that differ from ``run`` in the seed alone, by seed, with or without weights.

    One per seed: of several the one that has weights here, then the latest.
    """
    return _one_per_seed([other for other in runs if in_seed_alone(run, other)])


def groups(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that differ in the seed alone, two seeds or more, one run per seed; in the order of their first run."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        key = recipe_key(run)
        if key is not None:
            found.setdefault(key, []).append(run)
    return [group for group in map(_one_per_seed, found.values()) if len(group) > 1]


def command_for_another(run: Run, runs: Iterable[Run]) -> str:
    """The command that brings the weights of a sister: of one that lacks them, else of the next seed."""
    found = sisters(run, runs)
    for other in found:
        if not other.can_answer:
            return _command(other, _seed(other))
    taken = {_seed(run), *map(_seed, found)}
    return _command(run, next(seed for seed in range(len(taken) + 1) if seed not in taken))


def _one_per_seed(runs: list[Run]) -> list[Run]:
    ordered = sorted(runs, key=lambda run: (run.can_answer, run.run.get("date") or "", run.name))
    by_seed = {_seed(run): run for run in ordered}  # the last one stays
    return [by_seed[seed] for seed in sorted(by_seed)]


def _command(run: Run, seed: int) -> str:
    again = run.run.get("retrain") or f"python -m fer_core train {run.model} {run.dataset}"
    return re.sub(r" --seed \d+", "", again) + (f" --seed {seed}" if seed else "")


def _seed(run: Run) -> int:
    return run.run.get("seed") or 0


def _settings(config: dict) -> dict:
    try:
        named = TrainConfig.from_dict(config).to_dict()
    except ConfigError:  # of an estimator, or with settings that are no more
        named = dict(config)
    named.pop("seed", None)
    return named
