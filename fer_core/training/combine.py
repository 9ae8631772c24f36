"""Stored runs that answer as one: an ensemble is a run too, whose "weights" are the names of its members."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fer_core import artifacts
from fer_core.artifacts import ENSEMBLE, Run
from fer_core.errors import ConfigError, RunError
from fer_core.models.ensemble import aligned, mean_of
from fer_core.models.members import Member, write_members
from fer_core.predictions import Predictions

ROUNDS = 30
SPLITS = ("val", "test")


def combine(runs: Sequence[Run], weights: Sequence[float] | None = None, root: Path | None = None) -> Path:
    """Store the ensemble of ``runs``: the weighted mean of their stored predictions.

    Args:
        runs: two or more of one dataset, with weights of their own, measured on the same pictures.
        weights: one per run; chosen on val by :func:`chosen_weights` without. Members of weight 0 are left out.
        root: artifacts folder.

    Returns:
        The new run directory.

    Raises:
        ConfigError: too few runs, or weights that do not fit.
        RunError: runs that cannot answer together.
    """
    _check(runs)
    given = weights is not None
    answers = {split: aligned([run.predictions(split) for run in runs], [run.name for run in runs]) for split in SPLITS}
    shares = _shares(weights, len(runs)) if given else chosen_weights(answers["val"])
    kept = [place for place, share in enumerate(shares) if share > 0]
    if len(kept) < 2:
        raise ConfigError(f"{runs[kept[0]].name} alone does best, so there is nothing to combine.", "Try other runs.")
    members = [Member(runs[at].name, runs[at].run["weights_sha256"], round(float(shares[at]), 6)) for at in kept]
    means = {
        split: mean_of([of_split[at] for at in kept], [one.weight for one in members])
        for split, of_split in answers.items()
    }
    record = _record([runs[at] for at in kept], members, given, [run.name for run in runs])
    record["class_names"] = list(means["val"].class_names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.json"
        write_members(members, path)
        return artifacts.write_run(record, predictions=means, weights=path, root=root)


def _record(runs: Sequence[Run], members: Sequence[Member], given: bool, candidates: Sequence[str]) -> dict:
    """What ``run.json`` says of the ensemble of ``runs``, its ``members`` chosen from ``candidates``."""
    counts = [run.run.get("param_count") for run in runs]
    told = [
        "Weighted mean of the members' probabilities" + ("" if given else "; chosen on val, so too good there") + "."
    ]
    told += dict.fromkeys(run.run["notes"] for run in runs if run.run.get("notes"))
    words = ["python -m fer_core ensemble", *([one.run for one in members] if given else candidates)]
    words += [f"--weight {one.weight:g}" for one in members] if given else []
    return {
        "model": ENSEMBLE,
        "dataset": runs[0].dataset,
        "dataset_fingerprint": runs[0].run.get("dataset_fingerprint"),
        "seed": 0,
        "config": {
            "members": [asdict(one) | {"model": run.model} for one, run in zip(members, runs, strict=True)],
            "weights": "given" if given else "chosen on val",
            "tta": views_of(runs),
        },
        "param_count": None if None in counts else sum(counts),
        "retrain": " ".join(words),
        "notes": " ".join(told),
    }


def views_of(runs: Iterable[Run]) -> str:
    """Views that the stored predictions of ``runs`` average, each kind once: ``ten_view``, ``flip+ten_view``."""
    own = {(run.run.get("config") or {}).get("tta", "none") for run in runs} - {"none"}
    return "+".join(sorted(own)) or "none"


def chosen_weights(predictions: Sequence[Predictions], rounds: int = ROUNDS) -> np.ndarray:
    """How much each of some aligned predictions should count: shares float64 (M,).

    In each round the member is added, again if need be, that makes the mean most accurate, of those the one with the
    lowest log loss; the earliest most accurate mean is taken (forward selection with replacement, Caruana et al. 2004,
    "Ensemble Selection from Libraries of Models", section 2.1).
    """
    probs = np.stack([one.pred_probs for one in predictions]).astype(np.float64)
    y_true = predictions[0].y_true
    counts, best, taken = np.zeros(len(probs)), (-1.0, -np.inf), None
    total = np.zeros_like(probs[0])
    for done in range(1, rounds + 1):
        scores = [_score((total + one) / done, y_true) for one in probs]
        added = max(range(len(probs)), key=lambda place: scores[place])
        total += probs[added]
        counts[added] += 1
        if scores[added][0] > best[0]:
            best, taken = scores[added], counts / done
    return taken


def _score(probs: np.ndarray, y_true: np.ndarray) -> tuple[float, float]:
    """Accuracy, and mean logarithm of the true class's probability."""
    true = probs[np.arange(len(y_true)), y_true]
    return float((probs.argmax(1) == y_true).mean()), float(np.log(np.clip(true, 1e-12, 1)).mean())


def _check(runs: Sequence[Run]) -> None:
    names = [run.name for run in runs]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise ConfigError(f"An ensemble takes two or more different runs. Received {', '.join(names) or 'none'}.")
    for run in runs:
        if run.weights_path is None:
            raise RunError(f"{run.name} has no weights here.", f"Train them: {run.run.get('retrain')}")
        if (run.dataset, run.run.get("dataset_fingerprint")) != (
            runs[0].dataset,
            runs[0].run.get("dataset_fingerprint"),
        ):
            raise RunError(f"{run.name} and {names[0]} belong to other pictures.", "Choose runs of one dataset.")
        if run.model == ENSEMBLE:
            raise RunError(f"{run.name} is an ensemble itself.", f"Name its members: {' '.join(run.members)}")
        if run.altered:
            raise RunError(f"{run.name} was measured with {run.altered}.", "Choose runs measured on whole pictures.")


def _shares(weights: Sequence[float], n: int) -> np.ndarray:
    given = np.asarray(weights, np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or given.min() < 0 or given.sum() == 0:
        raise ConfigError(f"Expected {n} weights, none negative and not all 0. Received {list(weights)}.")
    return given / given.sum()
