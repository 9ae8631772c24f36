"""Whether a stored run is what it says: everything is computed again from its predictions, or from its weights."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_core.artifacts import Run, all_metrics, not_clean, read_run, update_run
from fer_core.datasets.split import Dataset
from fer_core.errors import RunError
from fer_core.models.ensemble import aligned, mean_of
from fer_core.predictions import Classifier, Predictions
from fer_core.storage import read_json, sha256

METRIC_TOLERANCE = 1e-9
MEAN_TOLERANCE = 1e-5  # weights are stored with six digits
PROBABILITY_TOLERANCE = 0.01  # other processors round half-precision networks differently


def verify_run(run: Run, *, dataset: Dataset | None = None, classifier: Classifier | None = None) -> list[str]:
    """Recompute all that can be recomputed, and say what differs from what is stored.

    Checked: metrics of every split and their intervals from the predictions, class names, length of the history,
    checksum and size of the weights; of an ensemble, whether its members are here, have
    the weights they had, and have it for their mean.

    Args:
        run: as read; damage that :func:`read_run` would report must be caught by the caller.
        dataset: if given, the stored ids and labels must be its own.
        classifier: the run's own, from its shipped weights; with ``dataset``, its probabilities must be the stored
            ones to within :data:`PROBABILITY_TOLERANCE`.

    Returns:
        One sentence per difference; empty if the run is sound.
    """
    differences = _weights_differences(run) + _member_differences(run) + _history_differences(run)
    predictions: dict[str, Predictions] = {}
    for split in run.splits:
        if split != "test_clean":
            try:
                predictions[split] = run.predictions(split)
            except RunError as error:
                differences.append(str(error))
    for split, of_split in predictions.items():
        if of_split.class_names != run.class_names:
            differences.append(f"predictions_{split}.npz has the classes {list(of_split.class_names)}.")
    excluded = not_clean(run.dataset, run.run.get("dataset_fingerprint"), run.path.parent.parent)
    recomputed = all_metrics(predictions, excluded, run.run, _history(run))
    stored = {split: run.metrics(split) for split in run.splits}
    if excluded is None and "test" in predictions and stored.pop("test_clean", None):
        differences.append(f"metrics.test_clean cannot be recomputed: no datasets/{run.dataset}.json with this data.")
    differences += _differences(stored, recomputed, "metrics")
    if dataset is not None:
        for split, of_split in predictions.items():
            differences += _dataset_differences(of_split, split, dataset, classifier)
    return differences


def refresh_run(run: Run) -> Run:
    """Write ``run.json`` again with metrics recomputed from the stored predictions and history; all else stays.

    Raises:
        RunError: stored predictions or ``history.csv`` are damaged.
    """
    predictions = {split: run.predictions(split) for split in run.splits if split != "test_clean"}
    excluded = not_clean(run.dataset, run.run.get("dataset_fingerprint"), run.path.parent.parent)
    return update_run(run, {"metrics": all_metrics(predictions, excluded, run.run, run.history())})


def _history(run: Run) -> pd.DataFrame | None:
    """The history of ``run``; None too where it is damaged, which :func:`_history_differences` says."""
    try:
        return run.history()
    except RunError:
        return None


def _weights_differences(run: Run) -> list[str]:
    path, expected = run.weights_path, run.run.get("weights_sha256")
    if path is None:
        return ["weights are missing, though run.json has their size."] if run.run.get("weights_bytes") else []
    if not expected:
        return [f"{path.name} is there, but run.json has no weights_sha256."]
    found = sha256(path)
    return [] if found == expected else [f"{path.name} has SHA-256 {found}; run.json says {expected}."]


def _member_differences(run: Run) -> list[str]:
    if not run.members:
        return []
    told = run.run["config"]["members"]
    differences = []
    if run.weights_path is not None:
        keys = ("run", "weights_sha256", "weight")
        try:
            named = read_json(run.weights_path).get("members")
        except RunError as error:
            return [error.problem]
        if named != [{key: one[key] for key in keys} for one in told]:
            differences.append("weights.json names other members than run.json.")
    for one in told:
        try:
            member = read_run(run.path.parent / one["run"])
        except RunError as error:
            differences.append(f"the member {one['run']} cannot be read: {error.problem}")
            continue
        if member.weights_path is None:
            differences.append(f"the member {one['run']} has no weights here.")
        elif sha256(member.weights_path) != one["weights_sha256"]:
            differences.append(f"the member {one['run']} has other weights than it had.")
    return differences + ([] if differences else _mean_differences(run))


def _mean_differences(run: Run) -> list[str]:
    """Whether an ensemble's predictions are the weighted mean of its members' stored ones."""
    told = run.run["config"]["members"]
    members, weights = [read_run(run.path.parent / one["run"]) for one in told], [one["weight"] for one in told]
    differences = []
    for split in (name for name in run.splits if name != "test_clean"):
        try:
            answers = [one.predictions(split) for one in (run, *members)]
            stored, *own = aligned(answers, [one.name for one in (run, *members)])
        except RunError as error:
            differences.append(f"predictions_{split}.npz cannot be held against the members': {error.problem}")
            continue
        gap = float(np.abs(mean_of(own, weights).pred_probs - stored.pred_probs).max())
        if gap > MEAN_TOLERANCE:
            differences.append(f"predictions_{split}.npz is not the mean of the members' (off by {gap:.4f}).")
    return differences


def _history_differences(run: Run) -> list[str]:
    epochs = run.run.get("epochs")
    try:
        history = run.history()
    except RunError as error:
        return [str(error)]
    if history is None:
        return [f"history.csv is missing, though run.json says {epochs} epochs."] if epochs else []
    return [] if len(history) == epochs else [f"history.csv has {len(history)} rows; run.json says {epochs} epochs."]


def _dataset_differences(stored: Predictions, split: str, dataset: Dataset, classifier: Classifier | None) -> list[str]:
    """Ids, labels and, with ``classifier``, probabilities of one split against the registered pictures."""
    if split not in dataset.splits:
        return [f"{dataset.name} has no split {split!r}, but predictions of it are stored."]
    pictures = dataset[split]
    order = {sample_id: position for position, sample_id in enumerate(pictures.sample_ids.tolist())}
    if set(order) != set(stored.sample_ids.tolist()):
        missing = len(set(order) - set(stored.sample_ids.tolist()))
        extra = len(set(stored.sample_ids.tolist()) - set(order))
        return [f"predictions_{split}.npz lacks {missing} pictures of {dataset.name} and has {extra} it does not have."]
    pictures = pictures.take(np.array([order[sample_id] for sample_id in stored.sample_ids.tolist()]))
    names = np.array(pictures.class_names)[pictures.y_true]
    wrong = int((names != np.array(stored.class_names)[stored.y_true]).sum())
    differences = [f"predictions_{split}.npz has another true class for {wrong} pictures."] if wrong else []
    if classifier is None:
        return differences
    if set(classifier.class_names) != set(stored.class_names):
        return [*differences, f"the weights predict the classes {list(classifier.class_names)}."]
    columns = [classifier.class_names.index(name) for name in stored.class_names]
    again = classifier.predict_proba(pictures.images)[:, columns]
    gap = np.abs(again - stored.pred_probs).max(axis=1)
    off = int((gap > PROBABILITY_TOLERANCE).sum())
    if off:
        flipped = int((again.argmax(1) != stored.y_pred).sum())
        differences.append(
            f"the shipped weights give other probabilities for {off} of {len(stored)} {split} pictures "
            f"(largest difference {gap.max():.4f}, another class for {flipped})."
        )
    return differences


def _differences(stored: object, recomputed: object, where: str) -> list[str]:
    """Leaves in which two JSON-like values differ by more than rounding."""
    if isinstance(stored, Mapping) and isinstance(recomputed, Mapping):
        found = [f"{where}.{key} is not stored." for key in recomputed if key not in stored]
        found += [f"{where}.{key} is stored but cannot be recomputed." for key in stored if key not in recomputed]
        return found + [
            line
            for key in stored
            if key in recomputed
            for line in _differences(stored[key], recomputed[key], f"{where}.{key}")
        ]
    if isinstance(stored, list) and isinstance(recomputed, list) and len(stored) == len(recomputed):
        pairs = enumerate(zip(stored, recomputed, strict=True))
        return [line for i, (old, new) in pairs for line in _differences(old, new, f"{where}[{i}]")]
    same = stored == recomputed
    if isinstance(stored, int | float) and isinstance(recomputed, int | float):
        same = math.isclose(stored, recomputed, rel_tol=METRIC_TOLERANCE, abs_tol=METRIC_TOLERANCE)
    return [] if same else [f"{where}: stored {stored}, recomputed {recomputed}."]
