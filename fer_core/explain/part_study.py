"""The study of parts: what a run predicts for every picture of a split with a part of each face hidden, by landmarks.

The shapes are :data:`fer_core.regions.OCCLUDERS`, placed by each face's own five landmarks (the usual place where none
are found), so the hidden area differs from picture to picture, and so does that of its random controls.

``artifacts/studies/parts-<run>-<split>-<fill>/`` holds ``study.json`` (:data:`FIELDS`) and ``predictions.npz``. No
number is stored beside the predictions: :mod:`fer_core.explain.part_numbers` computes them all.

Conditions are ``none`` (the whole picture), ``part-<shape>``, and ``control-<shape>-<seed>``: each picture under a
random rectangle of its own, of as many pixels as the shape hides of it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from fer_core import masks, regions
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.errors import ConfigError, RunError
from fer_core.explain import mask_study
from fer_core.explain.mask_study import CHUNK, WHOLE, Report, compact_probs, control_seed, studies_folder
from fer_core.labels import to_indices
from fer_core.predictions import Classifier, Predictions
from fer_core.storage import environment, read_json, sha256, to_json, write_directory

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
    "n_found": "pictures whose landmarks were found",
    "picture_size": "height and width of a picture, pixels",
    "fill": "what the hidden pixels show, a key of masks.FILLS",
    "tta": "views averaged, see fer_core.models.views",
    "shapes": "keys of regions.OCCLUDERS",
    "control_seeds": "seeds of the random masks; picture i has mask_study.control_seed(seed, i)",
    "conditions": "in the order of pred_probs",
    "seconds": "time of all predictions",
    "date": "day the study ended, YYYY-MM-DD",
    "machine": "where",
    "versions": "library versions",
    "git_commit": "commit of the code, or null",
}
SHAPES: tuple[str, ...] = tuple(regions.OCCLUDERS)
COMMAND = "python -m fer_core study parts"
REMEDY = "Restore it from git, or remove it and run the study again."
ARRAYS = ("sample_ids", "y_true", "pred_probs", "class_names", "areas", "found")


@dataclass(frozen=True)
class PartStudy:
    """Predictions of one run for one split under every condition.

    Attributes:
        record: :data:`FIELDS`.
        predictions: condition -> predictions, all of the same samples in the same order.
        areas: int32 (N, shapes), hidden pixels of each picture under each shape.
        found: bool (N,), whether the picture's landmarks were found.
    """

    record: dict
    predictions: dict[str, Predictions]
    areas: np.ndarray
    found: np.ndarray

    @property
    def name(self) -> str:
        return self.record["name"]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.predictions[WHOLE].class_names

    def masked(self, shape: str) -> Predictions:
        """Predictions with ``shape`` hidden."""
        return self.predictions[f"part-{shape}"]

    def controls(self, shape: str) -> list[Predictions]:
        """Predictions under random masks as large as ``shape`` in each picture, one per seed."""
        return [self.predictions[f"control-{shape}-{seed}"] for seed in self.record["control_seeds"]]

    def area(self, shape: str) -> float:
        """Mean hidden share of the pictures, 0..1."""
        height, width = self.record["picture_size"]
        return float(self.areas[:, self.record["shapes"].index(shape)].mean()) / (height * width)


def study_name(run: str, split: str, fill: str) -> str:
    """``parts-<run>-<split>-<fill>``."""
    return f"parts-{run}-{split}-{fill}"


def conditions(seeds: Iterable[int]) -> list[str]:
    """Names of all conditions: whole, the shapes, then a control per shape and seed."""
    seeds = list(seeds)
    controls = [f"control-{shape}-{seed}" for shape in SHAPES for seed in seeds]
    return [WHOLE, *(f"part-{shape}" for shape in SHAPES), *controls]


def shape_areas(
    points: np.ndarray, size: tuple[int, int], report: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Hidden pixels of every shape in every picture: int32 (N, shapes).

    Args:
        points: (N, 5, 2), landmarks as shares.
        size: (H, W) of a picture.
        report: called with pictures done and pictures in all.
    """
    areas = np.zeros((len(points), len(SHAPES)), np.int32)
    for place, own in enumerate(points):
        areas[place] = [regions.occluder_mask(shape, own, size).sum() for shape in SHAPES]
        if report:
            report(place + 1, len(points))
    return areas


def condition_masks(
    condition: str, points: np.ndarray, areas: np.ndarray, size: tuple[int, int], positions: np.ndarray
):
    """What ``condition`` hides of some pictures: bool (M, H, W).

    Args:
        points, areas: (M, 5, 2) and (M, shapes), of these pictures.
        positions: int64 (M,), where they stand in their split.

    Raises:
        ConfigError: no such condition.
    """
    kind, _, rest = condition.partition("-")
    shape, _, seed = rest.partition("-")
    if condition == WHOLE:
        return np.zeros((len(points), *size), bool)
    if kind not in ("part", "control") or shape not in SHAPES:
        raise ConfigError(f"Unknown condition {condition!r}.", f"Expected one of {', '.join(conditions([0]))}.")
    if kind == "part":
        return np.array([regions.occluder_mask(shape, own, size) for own in points], bool).reshape(-1, *size)
    pixels = areas[:, SHAPES.index(shape)]
    drawn = [
        masks.random_mask(int(area), size, control_seed(int(seed), position))
        for area, position in zip(pixels, positions, strict=True)
    ]
    return np.array(drawn, bool).reshape(-1, *size)


def predict_conditions(
    classifier: Classifier,
    split: Split,
    points: np.ndarray,
    *,
    fill: str = "zero",
    seeds: Iterable[int] = (0,),
    positions: np.ndarray | None = None,
    work: Path | None = None,
    report: Report = lambda what, done, total: None,
) -> tuple[dict[str, Predictions], np.ndarray, float]:
    """Ask ``classifier`` about the pictures of ``split`` under every condition, a bounded batch at a time.

    Args:
        classifier: its classes are matched to the split's by name.
        points: (M, 5, 2), landmarks of the pictures at ``positions``.
        fill: a key of ``masks.FILLS``.
        seeds: a random mask per picture, shape and seed.
        positions: of the pictures to take, int64 (M,); all by default. Masks do not depend on it.
        work: folder for finished conditions, see :func:`mask_study.predict_conditions`.
        report: called with the condition, pictures done and pictures in all.

    Returns:
        Condition -> predictions; hidden pixels int32 (M, shapes); and the seconds of the predictions.

    Raises:
        ConfigError: unknown fill, or landmarks of other pictures.
        DatasetError: the split has a class that the classifier does not know.
    """
    if fill not in masks.FILLS:
        raise ConfigError(f"Unknown fill {fill!r}.", f"Expected one of {', '.join(masks.FILLS)}.")
    positions = np.arange(len(split)) if positions is None else np.asarray(positions)
    if len(points) != len(positions):
        raise ConfigError(f"Expected landmarks of {len(positions)} pictures. Received {len(points)}.")
    known, size = to_indices(split.class_names, classifier.class_names), tuple(split.images.shape[1:3])
    sample_ids, y_true = split.sample_ids[positions], known[split.y_true[positions]]
    names, n = conditions(seeds), len(positions)
    areas = shape_areas(points, size, lambda done, total: report("placing the shapes", done, total))
    found, seconds = {}, 0.0
    for place, name in enumerate(names):
        stored = mask_study.read_part(work, name, (n, len(classifier.class_names)))
        if stored is None:
            started, probs = time.monotonic(), np.empty((n, len(classifier.class_names)), np.float32)
            for start in range(0, n, CHUNK):
                some = slice(start, start + CHUNK)
                images = np.asarray(split.images[positions[some]])
                if name != WHOLE:
                    hidden = condition_masks(name, points[some], areas[some], size, positions[some])
                    images = masks.apply(images, hidden, fill)
                probs[some] = classifier.predict_proba(images)
                report(name, place * n + min(start + CHUNK, n), len(names) * n)
            stored = compact_probs(probs), time.monotonic() - started
            mask_study.write_part(work, name, *stored)
        found[name] = Predictions(sample_ids, y_true, stored[0], tuple(classifier.class_names))
        seconds += stored[1]
        report(name, (place + 1) * n, len(names) * n)
    return found, areas, seconds


def make_study(
    run: Run,
    predictions: Mapping[str, Predictions],
    areas: np.ndarray,
    found: np.ndarray,
    *,
    split: Split,
    split_name: str,
    fill: str,
    tta: str,
    seeds: Iterable[int],
    seconds: float,
) -> PartStudy:
    """The study of what :func:`predict_conditions` returned.

    Raises:
        RunError: the run has no weights.
    """
    if run.weights_path is None:
        raise RunError(f"{run.name} has no weights here.", f"Train it again: {run.run.get('retrain') or run.model}")
    record = environment() | {
        "schema_version": SCHEMA_VERSION,
        "name": study_name(run.name, split_name, fill),
        "run": run.name,
        "model": run.model,
        "weights_sha256": sha256(run.weights_path),
        "dataset": run.dataset,
        "dataset_fingerprint": split.fingerprint,
        "split": split_name,
        "n": len(predictions[WHOLE]),
        "n_found": int(np.sum(found)),
        "picture_size": list(split.images.shape[1:3]),
        "fill": fill,
        "tta": tta,
        "shapes": list(SHAPES),
        "control_seeds": [int(seed) for seed in seeds],
        "conditions": list(predictions),
        "seconds": round(seconds, 1),
        "date": date.today().isoformat(),
    }
    return PartStudy(record, dict(predictions), np.asarray(areas, np.int32), np.asarray(found, bool))


def write_study(study: PartStudy, root: Path | None = None) -> Path:
    """Write the study directory, whole or not at all; one of the same name is replaced.

    Raises:
        RunError: the disk refuses.
    """
    whole = study.predictions[WHOLE]
    probs = [compact_probs(of_condition.pred_probs) for of_condition in study.predictions.values()]
    record = {field: study.record[field] for field in FIELDS}

    def fill_folder(folder: Path) -> None:
        values = whole.sample_ids, whole.y_true, np.stack(probs), np.array(whole.class_names), study.areas, study.found
        np.savez_compressed(folder / "predictions.npz", **dict(zip(ARRAYS, values, strict=True)))
        (folder / "study.json").write_text(to_json(record), encoding="utf-8")

    folder = studies_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write_directory(folder / study.name, fill_folder)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error}.", "Free disk space or mend its permissions.") from error


def read_record(path: Path) -> dict:
    """``study.json`` of the study directory ``path``.

    Raises:
        RunError: it is missing, incomplete or of another version, or the predictions are not beside it.
    """
    record, file = read_json(path / "study.json"), path / "study.json"
    if record.get("schema_version") != SCHEMA_VERSION:
        version = record.get("schema_version")
        raise RunError(f"{file} has schema_version {version!r}; expected {SCHEMA_VERSION}.", REMEDY)
    missing = [field for field in FIELDS if field not in record]
    if missing or record["name"] != path.name:
        what = f"lacks {', '.join(missing)}" if missing else f"calls itself {record['name']!r}"
        raise RunError(f"{file} {what}.", REMEDY)
    if not (path / "predictions.npz").is_file():
        raise RunError(f"{path / 'predictions.npz'} is missing.", REMEDY)
    return record


def read_study(path: Path) -> PartStudy:
    """Read a study directory.

    Raises:
        RunError: a file is missing or damaged, or they contradict each other.
    """
    record, file = read_record(path), path / "predictions.npz"
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ARRAYS}
    except Exception as error:  # zipfile.BadZipFile, zlib.error, KeyError, ValueError: truncated or something else
        raise RunError(f"{file} is damaged: {error}.", REMEDY) from error
    n, shapes = record["n"], len(record["shapes"])
    expected = {"pred_probs": (len(record["conditions"]), n, len(arrays["class_names"]))}
    for name, shape in (expected | {"areas": (n, shapes), "found": (n,)}).items():
        if arrays[name].shape != shape:
            raise RunError(f"{file} has {name} {arrays[name].shape}; expected {shape}.", REMEDY)
    classes = tuple(arrays["class_names"])
    predictions = {
        name: Predictions(arrays["sample_ids"], arrays["y_true"], probs, classes)
        for name, probs in zip(record["conditions"], arrays["pred_probs"], strict=True)
    }
    return PartStudy(record, predictions, arrays["areas"], arrays["found"])


def list_records(root: Path | None = None) -> tuple[list[dict], list[str]]:
    """Records of all studies that still speak of the runs as they are, by name; and what is wrong with the others."""
    return mask_study.list_studies("parts-*", read_record, stale, root)


def stale(record: Mapping, run: Run | None) -> str:
    """Why a study no longer speaks of ``run`` as it is, and what to do; empty where it does."""
    again = f"{COMMAND} {record['run']} --split {record['split']} --fill {record['fill']}"
    return mask_study.stale_reason(record, run, again)
