"""From a model name and a dataset to a finished run directory."""

import json
import shlex
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fer_core import artifacts, metrics
from fer_core.datasets.split import Dataset, Split
from fer_core.datasets.subjects import FRAMES
from fer_core.errors import ConfigError
from fer_core.models.arguments import ESTIMATOR_ARGUMENTS
from fer_core.models.registry import CHUNK
from fer_core.models.specs import spec
from fer_core.predictions import Classifier, Predictions
from fer_core.training.config import TrainConfig, config_of_entry, needed_changes
from fer_core.training.recipes import PICTURES, network_of
from fer_core.training.task import reporter, staged
from fer_core.training.unfinished import what_is_trained

LEAKY = "Split by frame: frames of one sequence stand in several splits, so these numbers say nothing of new people."
EVALUATED = ("val", "test")
OF_NETWORKS = ("equalize", "holdout", "class_weight", "tta")  # refused for estimators: they would change the result
OF_ESTIMATORS = ("seed", "arguments")


def recipe(model: str, changes: dict | None = None) -> TrainConfig:
    """The training settings of ``model`` in ``MODELS``, with ``changes``.

    Raises:
        ModelError, ConfigError: unknown model or setting, or a value out of range.
    """
    return config_of_entry(spec(model), changes)


def train(
    model: str,
    dataset: Dataset,
    *,
    config: TrainConfig | None = None,
    work_root: Path,
    fresh: bool = False,
    ship_weights: bool = True,
    root: Path | None = None,
    on_progress: Callable = lambda progress: None,
) -> Path:
    """Train ``model`` on ``dataset``, evaluate it on val and test, and write the run directory.

    The same call after a kill goes on after the last epoch whose state was written: the last that was over, on an
    accelerator one that was over up to ``on_device.SAVE_EVERY_S`` and a pass before.

    Args:
        config: settings, the model's recipe by default.
        work_root: folder for the state of unfinished trainings.
        fresh: discard an unfinished training first.
        ship_weights: put the weights into the run directory.
        root: artifacts folder.
        on_progress: called with ``engine.Progress`` after every step.

    Returns:
        The new run directory.

    Raises:
        FerError: unknown model, a split is missing, an unfinished training has other settings, or a setting that
            changes what is measured is meant for networks and the model is none.
    """
    config = config or recipe(model)
    for name in ("train", *EVALUATED):
        if not len(dataset[name]):
            raise ConfigError(f"The {name} split of {dataset.name} is empty.", "Register a dataset with more pictures.")
    if spec(model)["family"] == "estimator":
        _refuse_for_estimators(model, config)
        return _train_estimator(model, dataset, config, ship_weights, root, on_progress)
    work = work_root / f"{dataset.name}-{model}-s{config.seed}"
    return _train_network(model, dataset, config, work, fresh, ship_weights, root, on_progress)


def predict(
    classifier: Classifier, split: Split, report: Callable[[int, int], None] = lambda done, total: None
) -> Predictions:
    """Predictions of ``classifier`` for every sample of ``split``, ids and truth taken in the same pass.

    ``report`` is called with pictures done and pictures in all.
    """
    parts = []
    for start in range(0, len(split), CHUNK):
        report(start, len(split))
        parts.append(classifier.predict_proba(np.asarray(split.images[start : start + CHUNK])))
    report(len(split), len(split))
    probabilities = np.concatenate(parts) if parts else classifier.predict_proba(np.asarray(split.images))
    return Predictions(split.sample_ids, split.y_true, probabilities, split.class_names)


def _train_network(model, dataset, config, work_path, fresh, ship_weights, root, on_progress) -> Path:
    import keras

    from fer_core.models.registry import NetworkClassifier, build_network
    from fer_core.models.weights import half_precision, save_weights
    from fer_core.training.checkpoint import WorkDirectory
    from fer_core.training.engine import train_network
    from fer_core.training.preparation import prepare

    work = WorkDirectory(work_path)
    work.claim(what_is_trained(model, dataset.name, dataset.fingerprint, config), fresh)
    prepared = prepare(dataset, config, on_progress)
    trained = train_network(model, prepared.fitted, prepared.watched, config, work, on_progress)

    class_names = prepared.fitted.class_names
    network = build_network(
        model, input_size=config.input_size or "spec", num_classes=len(class_names), arguments=config.arguments
    )
    network.set_weights(half_precision(trained.weights))
    plain = NetworkClassifier(network, class_names, equalization=config.equalize)
    averaged = NetworkClassifier(network, class_names, config.tta, config.equalize)

    def answers(classifier: Classifier, name: str) -> Predictions:
        report = reporter(answers_to(name), config.epochs, on_progress, trained.history[-1])
        return predict(classifier, prepared.evaluated[name], report)

    train_accuracy = trained.train_accuracy
    if train_accuracy is None or config.oversample:
        train_accuracy = float(metrics.accuracy(answers(plain, "train")))
    predictions = {name: answers(averaged, name) for name in EVALUATED}
    record = _record(model, dataset, config.seed, config.to_dict()) | {
        "class_names": list(class_names),
        "initial_weights": config.initial_weights,
        "spec": network_of(model, config),
        "retrain": _retrain_command(model, dataset.name, config),
        "backend": keras.backend.backend(),
        "wall_time_s": round(trained.wall_time_s + (trained.features_s or 0.0), 1),
        "features_s": trained.features_s,
        "train_accuracy": train_accuracy,
        "param_count": int(network.count_params()),
    }
    weights = work_path / "weights.npz"
    save_weights(network, weights)
    path = artifacts.write_run(
        record,
        history=_history_frame(trained.history),
        predictions=predictions,
        weights=weights if ship_weights else None,
        root=root,
    )
    work.clear()
    return path


def _refuse_for_estimators(model: str, config: TrainConfig) -> None:
    """Rather than store a run that looks as if these settings had been followed."""
    given = [name for name in OF_NETWORKS if getattr(config, name) != getattr(TrainConfig(), name)]
    if not given:
        return
    known = ESTIMATOR_ARGUMENTS[spec(model)["builder"]]
    same = {"equalize": config.equalize, "class_weight": "balanced"}
    same = {name: value for name, value in same.items() if name in given and name in known}
    others = [name for name in given if name not in same]
    words = [f"Leave {', '.join(others)} out."] if others else []
    if same:
        arguments = shlex.quote(f"arguments={json.dumps(config.arguments | same)}")
        words.append(f"Say {', '.join(same)} in its arguments: --set {arguments}")
    raise ConfigError(f"{model} is no network and has no setting {', '.join(given)}.", " ".join(words))


def estimator_config(model: str, config: TrainConfig) -> dict:
    """What ``run.json`` calls the config of an estimator: its arguments, and which pictures it was fitted on."""
    pictures = {name: getattr(config, name) for name in PICTURES if getattr(config, name)}
    return spec(model)["arguments"] | config.arguments | pictures


def without_effect(model: str, names: Iterable[str]) -> list[str]:
    """Those of the settings ``names`` that the training of ``model`` never looks at: passes of what has none."""
    if spec(model)["family"] == "network":
        return []
    return [name for name in names if name not in (*PICTURES, *OF_NETWORKS, *OF_ESTIMATORS)]


def answers_to(name: str) -> str:
    """What is done after the last epoch, as ``Progress.what``."""
    return f"answers to {name} pictures"


def _train_estimator(model, dataset, config, ship_weights, root, on_progress) -> Path:
    from fer_core import datasets
    from fer_core.models.estimators import fit_estimator, fit_stages, save_estimator
    from fer_core.training.preparation import prepare, stages

    arguments = spec(model)["arguments"] | config.arguments
    names = [*stages(config), *fit_stages(model, arguments), *map(answers_to, ("train", *EVALUATED))]
    tell = staged(names, on_progress)
    prepared = prepare(dataset, config, lambda state: tell(state.what, state.step, state.steps))
    evaluated, class_names = prepared.evaluated, prepared.fitted.class_names
    started = time.monotonic()
    ship_weights = ship_weights and spec(model).get("ship_weights", True)
    classifier = fit_estimator(
        model,
        prepared.fitted,
        seed=config.seed,
        cache=datasets.data_dir() / "features",
        on_stage=tell,
        arguments=arguments,
    )
    wall_time = time.monotonic() - started

    def answers(name: str) -> Predictions:
        return predict(classifier, evaluated[name], partial(tell, answers_to(name)))

    record = _record(model, dataset, config.seed, estimator_config(model, config)) | {
        "class_names": list(class_names),
        "wall_time_s": round(wall_time, 1),
        "train_accuracy": float(metrics.accuracy(answers("train"))),
        "param_count": classifier.param_count,
        "spec": network_of(model, replace(config, input_size=0)),
        "retrain": _retrain_command(model, dataset.name, config),
    }
    predictions = {name: answers(name) for name in EVALUATED}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.skops"
        save_estimator(classifier, weights)
        return artifacts.write_run(
            record, predictions=predictions, weights=weights if ship_weights else None, root=root
        )


def _record(model: str, dataset: Dataset, seed: int, config: dict) -> dict:
    entry = spec(model)
    return {
        "model": model,
        "paper": entry.get("paper"),
        "system": entry.get("system"),
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "class_names": list(dataset.class_names),
        "seed": seed,
        "notes": LEAKY if dataset.info.get("protocol") == FRAMES else None,
        "config": config,
        "retrain": f"python -m fer_core train {model} {dataset.name}" + (f" --seed {seed}" if seed else ""),
    }


def _retrain_command(model: str, dataset: str, config: TrainConfig) -> str:
    """The command that trains the same again: what differs from the recipe is named."""
    words = [f"python -m fer_core train {model} {dataset}"]
    words += [
        f"--set {key}={shlex.quote(json.dumps(value, separators=(',', ':')))}"
        for key, value in needed_changes(spec(model), config.to_dict()).items()
        if key != "seed"
    ]
    return " ".join(words + ([f"--seed {config.seed}"] if config.seed else []))


def _history_frame(rows: list[dict]):
    import pandas as pd

    return pd.DataFrame(rows).round(6)
