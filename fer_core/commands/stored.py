"""Whether a training has been done already: stored runs with the same settings on the same pictures."""

import json
from collections.abc import Iterable

from fer_core import artifacts
from fer_core.artifacts import Run
from fer_core.errors import ConfigError
from fer_core.models.specs import spec
from fer_core.training.config import TrainConfig, config_of_entry
from fer_core.training.recipes import network_of
from fer_core.training.run import estimator_config


def finished_run(model: str, fingerprint: str, changes: dict | None = None) -> Run | None:
    """The newest stored run of ``model`` with these settings on these pictures."""
    return with_settings(newest(model, runs_on(fingerprint)), config_of_entry(spec(model), changes))


def runs_on(fingerprint: str) -> list[Run]:
    """Stored runs on the pictures with this fingerprint."""
    return [run for run in artifacts.list_runs()[0] if run.run.get("dataset_fingerprint") == fingerprint]


def newest(model: str, runs: Iterable[Run]) -> list[Run]:
    """Runs of ``model``, the newest first."""
    return sorted((run for run in runs if run.model == model), key=lambda run: str(run.run.get("date")), reverse=True)


def with_settings(runs: Iterable[Run], config: TrainConfig) -> Run | None:
    """The first of ``runs`` that was trained with just these settings."""
    return next((run for run in runs if run.run.get("seed") == config.seed and _same_config(run, config)), None)


def _same_config(run: Run, config: TrainConfig) -> bool:
    """Settings that are newer than the run count with their defaults; its network must be the model's of today."""
    stored = run.run.get("config")
    entry = spec(run.model)
    network, own = run.run.get("spec"), json.loads(json.dumps(network_of(run.model, config)))
    if network and any(network.get(key) != value for key, value in own.items()):
        return False
    if entry["family"] != "network":
        return stored == json.loads(json.dumps(estimator_config(run.model, config)))
    try:
        return TrainConfig.from_dict(stored).to_dict() == config.to_dict()
    except (ConfigError, TypeError):
        return False
