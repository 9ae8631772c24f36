"""The mask study: what a run predicts for every picture of a split, whole, masked, and under random masks as large.

``artifacts/studies/masks-<run>-<split>-<fill>/`` holds ``study.json`` (:data:`FIELDS`) and ``predictions.npz``. No
number is stored beside the predictions: :mod:`fer_core.explain.mask_numbers` computes them all.

Conditions are ``none`` (the whole picture), the regions of :data:`fer_core.masks.REGIONS`, and
``control-<pixels>-<seed>``: each picture under a random rectangle of its own, of as many pixels as a region hides.
Regions of one area share their controls.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from fer_core import artifacts, masks
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.errors import ConfigError, RunError
from fer_core.labels import to_indices
from fer_core.predictions import Classifier, Predictions
from fer_core.storage import environment, read_json, sha256, to_json, write_atomically, write_directory

SCHEMA_VERSION = 1
FIELDS: dict[str, str] = {
    "schema_version": "layout of this file",
    "name": "name of the directory",
    "run": "the run that was asked",
    "model": "its key of models.specs.MODELS",
    "weights_sha256": "of the weights that predicted",
    "dataset": "name of the dataset",
    "dataset_fingerprint": "of its pictures, labels and splits",
    "split": "train, val or test",
    "n": "number of pictures",
    "picture_size": "height and width of a picture, pixels",
    "fill": "what the hidden pixels show, a key of masks.FILLS",
    "tta": "views averaged, see fer_core.models.views",
    "areas": "region -> hidden pixels",
    "control_seeds": "seeds of the random masks; picture i has control_seed(seed, i)",
    "conditions": "in the order of pred_probs",
    "seconds": "time of all predictions",
    "date": "day the study ended, YYYY-MM-DD",
    "machine": "where",
    "versions": "library versions",
    "git_commit": "commit of the code, or null",
}
WHOLE = "none"
REGIONS: tuple[str, ...] = tuple(masks.REGIONS)
CHUNK = 256
COMMAND = "python -m fer_core study masks"
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MaskStudy:
    """Predictions of one run for one split under every condition.

    Attributes:
        record: :data:`FIELDS`.
        predictions: condition -> predictions, all of the same samples in the same order.
    """

    record: dict
    predictions: dict[str, Predictions]

    @property
    def name(self) -> str:
        return self.record["name"]

    @property
    def run(self) -> str:
        return self.record["run"]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.predictions[WHOLE].class_names

    def area(self, region: str) -> float:
        """Hidden share of the picture, 0..1; 0 for the whole picture."""
        height, width = self.record["picture_size"]
        return self.record["areas"].get(region, 0) / (height * width)

    def controls(self, region: str) -> list[Predictions]:
        """Predictions under random masks as large as ``region``, one per seed."""
        area = self.record["areas"][region]
        return [self.predictions[f"control-{area}-{seed}"] for seed in self.record["control_seeds"]]


def study_name(run: str, split: str, fill: str) -> str:
    """``masks-<run>-<split>-<fill>``."""
    return f"masks-{run}-{split}-{fill}"


def region_areas(shape: tuple[int, int]) -> dict[str, int]:
    """Hidden pixels of each region in a picture of ``shape`` (H, W)."""
    return {region: int(masks.region_mask(region, shape).sum()) for region in REGIONS}


def conditions(shape: tuple[int, int], seeds: Iterable[int]) -> list[str]:
    """Names of all conditions: whole, the regions, then a control per area and seed."""
    areas = sorted(set(region_areas(shape).values()))
    return [WHOLE, *REGIONS, *(f"control-{area}-{seed}" for area in areas for seed in seeds)]


def control_seed(seed: int, position: int) -> int:
    """Seed of the random mask of the picture at ``position`` in its split."""
    return (int(seed) << 32) + int(position)


def condition_masks(condition: str, shape: tuple[int, int], positions: np.ndarray) -> np.ndarray:
    """What ``condition`` hides of the pictures at ``positions`` of their split: bool (H, W), or (N, H, W) for controls.

    Raises:
        ConfigError: no such condition.
    """
    if condition == WHOLE:
        return np.zeros(shape, dtype=bool)
    if not condition.startswith("control-"):
        return masks.region_mask(condition, shape)
    area, seed = (int(part) for part in condition.split("-")[1:])
    return masks.random_masks(area, shape, [control_seed(seed, position) for position in positions])


def predict_conditions(
    classifier: Classifier,
    split: Split,
    *,
    fill: str = "zero",
    seeds: Iterable[int] = range(5),
    positions: np.ndarray | None = None,
    work: Path | None = None,
    report: Report = lambda what, done, total: None,
) -> tuple[dict[str, Predictions], float]:
    """Ask ``classifier`` about the pictures of ``split`` under every condition, a bounded batch at a time.

    Args:
        classifier: its classes are matched to the split's by name.
        fill: a key of ``masks.FILLS``.
        seeds: a random mask per picture and seed.
        positions: of the pictures to take, int64 (M,); all of them by default. Masks do not depend on it.
        work: folder for finished conditions: the same call after a kill goes on there. The caller names it after all
            that the answers depend on, and removes it.
        report: called with the condition, pictures done and pictures in all.

    Returns:
        Condition -> predictions, with probabilities as :func:`compact_probs` leaves them; and the seconds it took,
        earlier sittings included.

    Raises:
        ConfigError: unknown fill.
        DatasetError: the split has a class that the classifier does not know.
    """
    if fill not in masks.FILLS:
        raise ConfigError(f"Unknown fill {fill!r}.", f"Expected one of {', '.join(masks.FILLS)}.")
    positions = np.arange(len(split)) if positions is None else np.asarray(positions)
    known = to_indices(split.class_names, classifier.class_names)
    sample_ids, y_true = split.sample_ids[positions], known[split.y_true[positions]]
    names = conditions(tuple(split.images.shape[1:3]), list(seeds))
    found, seconds = {}, 0.0
    for place, name in enumerate(names):
        stored = read_part(work, name, (len(positions), len(classifier.class_names)))
        if stored is None:
            started = time.monotonic()
            done = partial(_report_part, report, name, place * len(positions), len(names) * len(positions))
            probs = _predict(classifier, split, name, fill, positions, done)
            stored = compact_probs(probs), time.monotonic() - started
            write_part(work, name, *stored)
        found[name] = Predictions(sample_ids, y_true, stored[0], tuple(classifier.class_names))
        seconds += stored[1]
        report(name, (place + 1) * len(positions), len(names) * len(positions))
    return found, seconds


def compact_probs(probs: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) in half precision, float16; rounding never changes which class is the most probable."""
    small = probs.astype(np.float16)
    rows, best = np.arange(len(probs)), probs.argmax(axis=1)
    tied = small.argmax(axis=1) != best
    small[rows[tied], best[tied]] = np.nextafter(small[tied].max(axis=1, initial=0), np.float16(2))
    return small


def make_record(
    run: Run,
    predictions: Mapping[str, Predictions],
    *,
    split: Split,
    split_name: str,
    fill: str,
    tta: str,
    seeds: Iterable[int],
    seconds: float,
) -> dict:
    """What ``study.json`` says about ``predictions`` of :func:`predict_conditions`.

    Raises:
        RunError: the run has no weights.
    """
    if run.weights_path is None:
        raise RunError(f"{run.name} has no weights here.", f"Train it again: {run.run.get('retrain') or run.model}")
    shape = tuple(split.images.shape[1:3])
    return environment() | {
        "schema_version": SCHEMA_VERSION,
        "name": study_name(run.name, split_name, fill),
        "run": run.name,
        "model": run.model,
        "weights_sha256": sha256(run.weights_path),
        "dataset": run.dataset,
        "dataset_fingerprint": split.fingerprint,
        "split": split_name,
        "n": len(predictions[WHOLE]),
        "picture_size": list(shape),
        "fill": fill,
        "tta": tta,
        "areas": region_areas(shape),
        "control_seeds": [int(seed) for seed in seeds],
        "conditions": list(predictions),
        "seconds": round(seconds, 1),
        "date": date.today().isoformat(),
    }


def write_study(study: MaskStudy, root: Path | None = None) -> Path:
    """Write the study directory, whole or not at all; one of the same name is replaced.

    Raises:
        RunError: the disk refuses.
    """
    whole = study.predictions[WHOLE]
    probs = [of_condition.pred_probs for of_condition in study.predictions.values()]
    record = {field: study.record[field] for field in FIELDS}

    def fill_folder(folder: Path) -> None:
        np.savez_compressed(
            folder / "predictions.npz",
            sample_ids=whole.sample_ids,
            y_true=whole.y_true,
            pred_probs=np.stack([compact_probs(of_condition) for of_condition in probs]),
            class_names=np.array(whole.class_names),
        )
        (folder / "study.json").write_text(to_json(record), encoding="utf-8")

    folder = studies_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write_directory(folder / study.name, fill_folder)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error}.", "Free disk space or mend its permissions.") from error


def studies_folder(root: Path | None = None) -> Path:
    """``studies`` of the artifacts folder ``root`` (:func:`fer_core.artifacts.root` by default)."""
    return (Path(root) if root else artifacts.root()) / "studies"


def read_record(path: Path) -> dict:
    """``study.json`` of the study directory ``path``.

    Raises:
        RunError: it is missing, incomplete or of another version, or the predictions are not beside it.
    """
    record = read_json(path / "study.json")
    remedy = "Restore it from git, or remove it and run the study again."
    if record.get("schema_version") != SCHEMA_VERSION:
        version = record.get("schema_version")
        raise RunError(f"{path / 'study.json'} has schema_version {version!r}; expected {SCHEMA_VERSION}.", remedy)
    missing = [field for field in FIELDS if field not in record]
    if missing or record["name"] != path.name:
        what = f"lacks {', '.join(missing)}" if missing else f"calls itself {record['name']!r}"
        raise RunError(f"{path / 'study.json'} {what}.", remedy)
    if not (path / "predictions.npz").is_file():
        raise RunError(f"{path / 'predictions.npz'} is missing.", remedy)
    return record


def read_study(path: Path) -> MaskStudy:
    """Read a study directory.

    Raises:
        RunError: a file is missing or damaged, or they contradict each other.
    """
    record = read_record(path)
    remedy = "Restore it from git, or remove it and run the study again."
    file = path / "predictions.npz"
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("sample_ids", "y_true", "pred_probs", "class_names")}
    except Exception as error:  # zipfile.BadZipFile, zlib.error, KeyError, ValueError: truncated or something else
        raise RunError(f"{file} is damaged: {error}.", remedy) from error
    expected = (len(record["conditions"]), record["n"], len(arrays["class_names"]))
    if arrays["pred_probs"].shape != expected:
        raise RunError(f"{file} has pred_probs {arrays['pred_probs'].shape}; expected {expected}.", remedy)
    shared = arrays["sample_ids"], arrays["y_true"]
    predictions = {
        name: Predictions(*shared, probs, tuple(arrays["class_names"]))
        for name, probs in zip(record["conditions"], arrays["pred_probs"], strict=True)
    }
    return MaskStudy(record, predictions)


def list_records(root: Path | None = None) -> tuple[list[dict], list[str]]:
    """Records of all studies that still speak of the runs as they are, by name; and what is wrong with the others.

    A study is left out where its run is gone, has other weights by now, or is of other pictures.
    """
    return list_studies("masks-*", read_record, stale, root)


def list_studies(
    pattern: str, read: Callable[[Path], dict], reason: Callable[[dict, Run | None], str], root: Path | None = None
) -> tuple[list[dict], list[str]]:
    """:func:`list_records` for any kind of study.

    Args:
        pattern: of the names of its directories.
        read: its ``read_record``.
        reason: its ``stale``.
    """
    folder = studies_folder(root)
    runs = {run.name: run for run in artifacts.list_runs(root)[0]}
    records, problems = [], []
    for path in sorted(folder.glob(pattern)) if folder.is_dir() else []:
        try:
            record = read(path)
        except RunError as error:
            problems.append(str(error))
            continue
        problem = reason(record, runs.get(record["run"]))
        if problem:
            problems.append(problem)
        else:
            records.append(record)
    return records, problems


def stale(record: Mapping, run: Run | None) -> str:
    """Why a study no longer speaks of ``run`` as it is, and what to do; empty where it does."""
    return stale_reason(record, run, f"{COMMAND} {record['run']} --split {record['split']} --fill {record['fill']}")


def stale_reason(record: Mapping, run: Run | None, again: str) -> str:
    """:func:`stale` for any kind of study; ``again`` is the command that makes it anew."""
    if run is None:
        return f"{record['name']} is left out: the run {record['run']} is not here. Remove the study."
    if run.run.get("weights_sha256") != record["weights_sha256"]:
        return f"{record['name']} is left out: the run has other weights by now. Do it again: {again}"
    fingerprint = run.run.get("dataset_fingerprint")
    if fingerprint and fingerprint != record["dataset_fingerprint"]:
        return f"{record['name']} is left out: it is of other pictures than the run. Do it again: {again}"
    return ""


def trained_mask(run: Run) -> str | None:
    """The region that was hidden in the pictures ``run`` was trained and measured on, or None."""
    region = (run.run.get("config") or {}).get("mask")
    return region if region in REGIONS else None


def work_folder(base: Path, settings: Mapping) -> Path:
    """A folder under ``base`` for the parts of an unfinished study, named after all that its answers depend on."""
    key = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()[:16]
    return base / f"masks-{key}"


def clear_work(work: Path) -> None:
    """Remove the parts of a finished study."""
    shutil.rmtree(work, ignore_errors=True)


def _predict(classifier, split, condition, fill, positions, done: Callable[[int], None]) -> np.ndarray:
    probs = np.empty((len(positions), len(classifier.class_names)), np.float32)
    for start in range(0, len(positions), CHUNK):
        chosen = positions[start : start + CHUNK]
        images = np.asarray(split.images[chosen])
        if condition != WHOLE:
            images = masks.apply(images, condition_masks(condition, images.shape[1:3], chosen), fill)
        probs[start : start + CHUNK] = classifier.predict_proba(images)
        done(min(start + CHUNK, len(positions)))
    return probs


def _report_part(report: Report, condition: str, before: int, total: int, done: int) -> None:
    report(condition, before + done, total)


def read_part(work: Path | None, condition: str, shape: tuple[int, int]) -> tuple[np.ndarray, float] | None:
    """Probabilities and seconds of a finished condition of an unfinished study; None where there is none."""
    path = work / f"{condition}.npz" if work else None
    if path is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as part:
        return (part["pred_probs"], float(part["seconds"])) if part["pred_probs"].shape == shape else None


def write_part(work: Path | None, condition: str, probs: np.ndarray, seconds: float) -> None:
    """Keep a finished condition for :func:`read_part`; without a folder nothing is kept."""
    if work is not None:
        path = work / f"{condition}.npz"
        write_atomically(path, lambda file: np.savez(file, pred_probs=probs, seconds=seconds))
