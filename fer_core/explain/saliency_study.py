"""The saliency study: where a run looks on every picture of a split, per class and against the action units.

``artifacts/studies/saliency-<run>-<split>-<method>/`` is a study of :mod:`fer_core.explain.studies`, of the
:data:`KIND` here; :mod:`fer_core.explain.saliency_numbers` computes its numbers. Each picture's *true* class is
explained: the question is what the model uses to recognise an expression. Maps are laid into FER2013's frame by each
face's five landmarks before they are averaged. No picture is stored.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer_core import regions
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.explain import action_units
from fer_core.explain.studies import Kind, OfPictures
from fer_core.labels import to_indices
from fer_core.predictions import Classifier
from fer_core.resumable import read_part, write_part

MEAN_SIDE = 48  # pixels a side of the mean maps
COARSE_SIDE = 8  # and of each picture's own map
CHUNK = 64  # pictures per step, and between two part files
ROWS = ("y_pred", "probs", "shares", "areas", "scores", "even_scores", "coarse")
ARRAYS = ("class_names", "sample_ids", "y_true", *ROWS, "means")
Report = Callable[[int, int], None]


def _shapes(record: Mapping, k: int) -> dict[str, tuple[int, ...]]:
    n, places = record["n"], len(regions.PLACES)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("sample_ids", "y_true", "y_pred", "probs"), (n,))
    shapes |= {"shares": (n, places), "areas": (n, places), "coarse": (n, COARSE_SIDE, COARSE_SIDE)}
    return shapes | {"means": (2, k, MEAN_SIDE, MEAN_SIDE)}


def method_options(record: Mapping) -> str:
    """What the command was given of the method: ``--option name=value --layer layer``; empty for defaults."""
    given = [f"--option {name}={value}" for name, value in record["options"].items()]
    # networks of an ensemble that took different layers took their own, which no option can ask for
    layer = None if ", " in (record["layer"] or "") else record["layer"]
    return " ".join([*given, *([f"--layer {layer}"] if layer else [])])


def _options(record: Mapping) -> str:
    pictures = f"--pictures {record['n']}" if record["n"] < record["n_split"] else ""
    return f"{method_options(record)} {pictures}".strip()


KIND = Kind(
    name="saliency",
    choice="method",
    file="maps.npz",
    arrays=ARRAYS,
    shapes=_shapes,
    own_fields={
        "n_split": "number of pictures in the split; fewer explained are spread evenly over it, see studies.spread",
        "n_found": "pictures whose landmarks were found; the others count as framed the usual way",
        "method": "key of explain.saliency.METHODS",
        "options": "of METHODS[method].options, those that are not its defaults",
        "layer": "layer of a CAM, or null",
        "grid": "rows and columns that the method resolves",
    },
    options=_options,
)


@dataclass(frozen=True)
class SaliencyStudy(OfPictures):
    """Maps of one run on one split.

    Attributes:
        record: the fields of :data:`KIND`.
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
        layer, options: of the method, see :func:`fer_core.explain.saliency.explain`.
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
        part = read_part(work, str(start))
        if part is None:
            started = time.monotonic()
            images = np.asarray(split.images[positions[where]])
            part = _explained(classifier, images, y_true[where], points[where], method, layer, options or {})
            part["seconds"] = np.float64(time.monotonic() - started)
            write_part(work, str(start), part)
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
    own = {"n_split": len(split), "n_found": int(about["n_found"]), "method": method, "options": dict(about["options"])}
    own |= {"layer": about["layer"], "grid": list(about["grid"])}
    n, seconds = len(arrays["y_true"]), about["seconds"]
    return _study(KIND.make_record(run, split, split_name, n=n, seconds=seconds, **own), arrays)


def write_study(study: SaliencyStudy, root: Path | None = None) -> Path:
    """Write the study directory, see :meth:`Kind.write`."""
    arrays = {name: getattr(study, name) for name in ARRAYS} | {"class_names": np.array(study.class_names)}
    return KIND.write(study.record, arrays | {"means": study.means.astype(np.float16)}, root)


def read_study(path: Path) -> SaliencyStudy:
    """Read a study directory, see :meth:`Kind.read`."""
    return _study(*KIND.read(path))


def _study(record: dict, arrays: Mapping[str, np.ndarray]) -> SaliencyStudy:
    names = tuple(str(name) for name in arrays["class_names"])
    return SaliencyStudy(record, names, **{name: arrays[name] for name in ARRAYS if name != "class_names"})


def _explained(classifier, images, y_true, points, method, layer, options) -> dict[str, np.ndarray]:
    from fer_core.explain.saliency import explain

    found = explain(classifier, images, y_true, method, layer, **options)
    probs = classifier.predict_proba(images)
    owners = action_units.region_indices(points, images.shape[1:3])
    even, evidence = np.ones(owners.shape, np.float32), found.uncapped
    names = [classifier.class_names[index] for index in y_true]
    upright = regions.upright(found.values, points, MEAN_SIDE)
    coarse = np.stack([cv2.resize(one, (COARSE_SIDE,) * 2, interpolation=cv2.INTER_AREA) for one in upright])
    top = coarse.max(axis=(1, 2), keepdims=True)
    return {
        "y_pred": probs.argmax(axis=1).astype(np.int64),
        "probs": probs[np.arange(len(probs)), y_true].astype(np.float16),
        "shares": action_units.shares_in(evidence, owners).astype(np.float16),
        "areas": action_units.areas_in(owners).astype(np.float16),
        "scores": action_units.scores_in(evidence, owners, names).astype(np.float16),
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
