"""The saliency study: where a run looks on every picture of a split, per class and against the action units.

``artifacts/studies/saliency-<run>-<split>-<method>/`` holds ``study.json`` (:data:`FIELDS`) and ``maps.npz``
(:class:`SaliencyStudy`). Each picture's *true* class is explained: the question is what the model uses to recognise an
expression. Maps are laid into FER2013's frame by each face's five landmarks before they are averaged. No picture is
stored, and no number beside the maps: :mod:`fer_core.explain.saliency_numbers` computes them all.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from fer_core import regions
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.errors import RunError
from fer_core.explain import action_units
from fer_core.explain.mask_study import list_studies, stale_reason, studies_folder
from fer_core.labels import to_indices
from fer_core.predictions import Classifier
from fer_core.storage import environment, read_json, sha256, to_json, write_atomically, write_directory

SCHEMA_VERSION = 1
FIELDS: dict[str, str] = {
    "schema_version": "layout of this file",
    "name": "name of the directory",
    "run": "the run that was explained",
    "model": "its key of models.specs.MODELS",
    "weights_sha256": "of its weights",
    "dataset": "name of the dataset",
    "dataset_fingerprint": "of its pictures, labels and splits",
    "split": "train, val or test",
    "n": "number of pictures explained",
    "n_split": "number of pictures in the split; fewer explained are spread evenly over it",
    "n_found": "pictures whose landmarks were found; the others count as framed the usual way",
    "method": "key of explain.saliency.METHODS",
    "options": "what the method was given, {} for its defaults",
    "layer": "layer of a CAM, or null",
    "grid": "rows and columns that the method resolves",
    "seconds": "time of all maps",
    "date": "day the study ended, YYYY-MM-DD",
    "machine": "where",
    "versions": "library versions",
    "git_commit": "commit of the code, or null",
}
MEAN_SIDE = 48  # pixels a side of the mean maps
COARSE_SIDE = 8  # and of each picture's own map
CHUNK = 64  # pictures per step, and between two part files
COMMAND = "python -m fer_core study saliency"
REMEDY = "Restore it from git, or remove it and run the study again."
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class SaliencyStudy:
    """Maps of one run on one split.

    Attributes:
        record: :data:`FIELDS`.
        class_names: the K classes.
        sample_ids: str (N,).
        y_true: int64 (N,), the class explained.
        y_pred: int64 (N,), the most probable one.
        probs: float16 (N,), probability of the true class.
        shares: float16 (N, 9), share of each map per place of ``regions.PLACES``; NaN for empty maps.
        areas: float16 (N, 9), share of the picture that each place covers.
        scores: float16 (N, 4), ``action_units.SCORES``; NaN for neutral and empty maps.
        even_scores: float16 (N, 4), the same of a map that is the same everywhere: what no preference reaches.
        coarse: uint8 (N, 8, 8), each map in FER2013's frame, 255 at its strongest.
        means: float32 (2, K, 48, 48), mean map per true class in that frame, each picture's map adding up to 1:
            of all its pictures, then of those the model gets right; NaN without any.
    """

    record: dict
    class_names: tuple[str, ...]
    sample_ids: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray
    probs: np.ndarray
    shares: np.ndarray
    areas: np.ndarray
    scores: np.ndarray
    even_scores: np.ndarray
    coarse: np.ndarray
    means: np.ndarray

    @property
    def name(self) -> str:
        return self.record["name"]

    @property
    def right(self) -> np.ndarray:
        """Whether the model recognises each picture: bool (N,)."""
        return self.y_true == self.y_pred


ROWS = ("y_pred", "probs", "shares", "areas", "scores", "even_scores", "coarse")
ARRAYS = ("class_names", "sample_ids", "y_true", *ROWS, "means")


def study_name(run: str, split: str, method: str) -> str:
    """``saliency-<run>-<split>-<method>``."""
    return f"saliency-{run}-{split}-{method}"


def spread(n: int, wanted: int | None) -> np.ndarray:
    """``wanted`` positions spread evenly over ``n``, or all: int64."""
    return np.arange(n) if wanted is None or wanted >= n else np.unique(np.linspace(0, n - 1, wanted).astype(np.int64))


def explain_split(
    classifier: Classifier,
    split: Split,
    points: np.ndarray,
    method: str,
    *,
    positions: np.ndarray,
    layer: str | None = None,
    options: Mapping | None = None,
    work: Path | None = None,
    report: Report = lambda done, total: None,
) -> tuple[dict[str, np.ndarray], dict]:
    """Explain the true class of pictures of ``split``, a bounded batch at a time.

    Args:
        classifier: without test-time averaging; its classes are matched to the split's by name.
        points: (M, 5, 2), landmarks of the pictures at ``positions``.
        method: key of ``explain.saliency.METHODS``.
        positions: int64 (M,), which pictures.
        work: folder for finished batches: the same call after a kill goes on there. The caller names it after all that
            the maps depend on, and removes it.
        report: called with pictures done and pictures in all.

    Returns:
        The arrays of :class:`SaliencyStudy`; and ``layer``, ``grid`` and ``seconds`` (earlier sittings included).

    Raises:
        DatasetError: the split has a class that the classifier does not know.
        ConfigError, ModelError: the method does not exist or does not suit the classifier.
    """
    y_true = to_indices(split.class_names, classifier.class_names)[split.y_true[positions]]
    parts, about = [], {"layer": None, "grid": [0, 0], "seconds": 0.0}
    for start in range(0, len(positions), CHUNK):
        where = slice(start, start + CHUNK)
        part = _read_part(work, start)
        if part is None:
            started = time.monotonic()
            images = np.asarray(split.images[positions[where]])
            part = _explained(classifier, images, y_true[where], points[where], method, layer, options or {})
            part["seconds"] = np.float64(time.monotonic() - started)
            _write_part(work, start, part)
        about = {
            "layer": str(part["layer"]) or None,
            "grid": [int(side) for side in part["grid"]],
            "seconds": about["seconds"] + float(part["seconds"]),
        }
        parts.append(part)
        report(min(start + CHUNK, len(positions)), len(positions))
    found = {name: np.concatenate([part[name] for part in parts]) for name in (*ROWS, "upright")}
    found["means"] = _means(found.pop("upright"), y_true, y_true == found["y_pred"], len(classifier.class_names))
    found |= {"class_names": np.array(classifier.class_names), "y_true": y_true}
    return found | {"sample_ids": np.asarray(split.sample_ids[positions], dtype=str)}, about


def make_study(
    run: Run, arrays: Mapping[str, np.ndarray], about: Mapping, split: Split, split_name: str, method: str
) -> SaliencyStudy:
    """A study of what :func:`explain_split` returns; ``about`` also needs ``options`` and ``n_found``.

    Raises:
        RunError: the run has no weights.
    """
    if run.weights_path is None:
        raise RunError(f"{run.name} has no weights here.", f"Train it again: {run.run.get('retrain') or run.model}")
    record = environment() | {
        "schema_version": SCHEMA_VERSION,
        "name": study_name(run.name, split_name, method),
        "run": run.name,
        "model": run.model,
        "weights_sha256": sha256(run.weights_path),
        "dataset": run.dataset,
        "dataset_fingerprint": split.fingerprint,
        "split": split_name,
        "n": len(arrays["y_true"]),
        "n_split": len(split),
        "n_found": int(about["n_found"]),
        "method": method,
        "options": dict(about["options"]),
        "layer": about["layer"],
        "grid": list(about["grid"]),
        "seconds": round(about["seconds"], 1),
        "date": date.today().isoformat(),
    }
    return _study({field: record[field] for field in FIELDS}, arrays)


def write_study(study: SaliencyStudy, root: Path | None = None) -> Path:
    """Write the study directory, whole or not at all; one of the same name is replaced.

    Raises:
        RunError: the disk refuses.
    """

    def fill(folder: Path) -> None:
        arrays = {name: getattr(study, name) for name in ARRAYS} | {"class_names": np.array(study.class_names)}
        arrays["means"] = arrays["means"].astype(np.float16)
        np.savez_compressed(folder / "maps.npz", **arrays)
        (folder / "study.json").write_text(to_json(study.record), encoding="utf-8")

    folder = studies_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write_directory(folder / study.name, fill)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error}.", "Free disk space or mend its permissions.") from error


def read_record(path: Path) -> dict:
    """``study.json`` of the study directory ``path``.

    Raises:
        RunError: it is missing, incomplete or of another version, or the maps are not beside it.
    """
    file = path / "study.json"
    record = read_json(file)
    if record.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"{file} has schema_version {record.get('schema_version')!r}; expected {SCHEMA_VERSION}.", REMEDY
        )
    missing = [field for field in FIELDS if field not in record]
    if missing or record["name"] != path.name:
        what = f"lacks {', '.join(missing)}" if missing else f"calls itself {record['name']!r}"
        raise RunError(f"{file} {what}.", REMEDY)
    if not (path / "maps.npz").is_file():
        raise RunError(f"{path / 'maps.npz'} is missing.", REMEDY)
    return record


def read_study(path: Path) -> SaliencyStudy:
    """Read a study directory.

    Raises:
        RunError: a file is missing or damaged, or they contradict each other.
    """
    record, file = read_record(path), path / "maps.npz"
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ARRAYS}
    except Exception as error:  # zipfile.BadZipFile, zlib.error, KeyError, ValueError: truncated or something else
        raise RunError(f"{file} is damaged: {error}.", REMEDY) from error
    k, n, places = len(arrays["class_names"]), record["n"], len(regions.PLACES)
    expected: dict[str, tuple[int, ...]] = dict.fromkeys(("sample_ids", "y_true", "y_pred", "probs"), (n,))
    expected |= {"shares": (n, places), "areas": (n, places), "coarse": (n, COARSE_SIDE, COARSE_SIDE)}
    expected |= {"means": (2, k, MEAN_SIDE, MEAN_SIDE)}
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise RunError(f"{file} has {name} {arrays[name].shape}; expected {shape}.", REMEDY)
    return _study(record, arrays)


def list_records(root: Path | None = None) -> tuple[list[dict], list[str]]:
    """Records of all studies that still speak of the runs as they are, by name; and what is wrong with the others."""
    return list_studies("saliency-*", read_record, stale, root)


def stale(record: Mapping, run: Run | None) -> str:
    """Why a study no longer speaks of ``run`` as it is, and what to do; empty where it does."""
    again = f"{COMMAND} {record['run']} --split {record['split']} --method {record['method']}"
    return stale_reason(record, run, again)


def _study(record: dict, arrays: Mapping[str, np.ndarray]) -> SaliencyStudy:
    names = tuple(str(name) for name in arrays["class_names"])
    return SaliencyStudy(record, names, **{name: arrays[name] for name in ARRAYS if name != "class_names"})


def _explained(classifier, images, y_true, points, method, layer, options) -> dict[str, np.ndarray]:
    from fer_core.explain.saliency import explain

    found = explain(classifier, images, y_true, method, layer, **options)
    probs = classifier.predict_proba(images)
    owners = action_units.region_indices(points, images.shape[1:3])
    even = np.ones(owners.shape, np.float32)
    names = [classifier.class_names[index] for index in y_true]
    upright = regions.upright(found.values, points, MEAN_SIDE)
    coarse = np.stack([cv2.resize(one, (COARSE_SIDE,) * 2, interpolation=cv2.INTER_AREA) for one in upright])
    top = coarse.max(axis=(1, 2), keepdims=True)
    return {
        "y_pred": probs.argmax(axis=1).astype(np.int64),
        "probs": probs[np.arange(len(probs)), y_true].astype(np.float16),
        "shares": action_units.shares_in(found.values, owners).astype(np.float16),
        "areas": action_units.areas_in(owners).astype(np.float16),
        "scores": action_units.scores_in(found.values, owners, names).astype(np.float16),
        "even_scores": action_units.scores_in(even, owners, names).astype(np.float16),
        "coarse": np.rint(255 * np.divide(coarse, top, out=np.zeros_like(coarse), where=top > 0)).astype(np.uint8),
        "upright": upright,
        "layer": np.array(found.layer or ""),
        "grid": np.array(found.grid),
    }


def _means(maps: np.ndarray, y_true: np.ndarray, right: np.ndarray, k: int) -> np.ndarray:
    """Mean of maps that each add up to 1: float32 (2, K, H, W)."""
    totals = maps.sum(axis=(1, 2), keepdims=True)
    maps = np.divide(maps, totals, out=np.zeros_like(maps), where=totals > 0)
    means = np.full((2, k, *maps.shape[1:]), np.nan, np.float32)
    for row, chosen in enumerate((np.ones(len(maps), bool), right)):
        for index in range(k):
            of_class = chosen & (y_true == index) & (totals[:, 0, 0] > 0)
            if of_class.any():
                means[row, index] = maps[of_class].mean(axis=0)
    return means


def _read_part(work: Path | None, start: int) -> dict[str, np.ndarray] | None:
    path = work / f"{start}.npz" if work else None
    if path is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as part:
        return {name: part[name] for name in part.files}


def _write_part(work: Path | None, start: int, part: Mapping[str, np.ndarray]) -> None:
    if work is not None:
        write_atomically(work / f"{start}.npz", lambda file: np.savez(file, **part))
