"""From a picture file to classified faces, and what was found as rows and as JSON. Page and command line share it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pandas as pd

from fer_core import faces, images
from fer_core.artifacts import ENSEMBLE, best_first
from fer_core.errors import FerError, ImageError, ModelError
from fer_core.faces import FaceCrop
from fer_core.models.specs import MODELS

if TYPE_CHECKING:
    from fer_core.artifacts import Run
    from fer_core.predictions import Classifier


PREVIEW_SIDE = 800


@dataclass(frozen=True)
class Picture:
    """A picture and the faces to classify in it, small enough to be kept.

    Attributes:
        name: of the file.
        size: its width and height in pixels.
        preview: uint8 (H, W, 3) RGB, at most ``PREVIEW_SIDE`` pixels a side.
        crops: at least one, numbered from left to right; positions are in pixels of the picture, not of the preview.
    """

    name: str
    size: tuple[int, int]
    preview: np.ndarray
    crops: tuple[FaceCrop, ...]


@dataclass(frozen=True)
class PictureResult:
    """What a classifier says about the faces of a picture.

    Attributes:
        name: of the file.
        size: width and height in pixels; (0, 0) if it could not be read.
        crops: the faces.
        probabilities: float32 (number of faces, K).
        class_names: the K classes.
        seen: per face what the network was given, uint8 (H, W) or (H, W, 3); the crop itself for other models.
        error: why there is nothing; None if all went well.
    """

    name: str
    size: tuple[int, int]
    crops: tuple[FaceCrop, ...]
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    seen: tuple[np.ndarray, ...] = ()
    error: FerError | None = None


def read(source: bytes | str | Path | BinaryIO, *, name: str = "") -> Picture:
    """Decode a picture and find its faces.

    Raises:
        ImageError: it cannot be read.
        ModelError: the face detector cannot start.
    """
    image = images.decode(source, name=name)
    height, width = image.shape[:2]
    shrink = min(1.0, PREVIEW_SIDE / max(height, width))
    preview = images.resize(image, (max(1, round(height * shrink)), max(1, round(width * shrink))))
    return Picture(name or str(source), (width, height), preview, tuple(faces.find_faces(image)))


def classify(picture: Picture, classifier: "Classifier") -> PictureResult:
    """Class probabilities of every face of ``picture``."""
    from fer_core import inference

    probabilities = inference.classify(classifier, picture.crops)
    seen = tuple(_seen(crop.image, classifier) for crop in picture.crops)
    return PictureResult(picture.name, picture.size, picture.crops, probabilities, tuple(classifier.class_names), seen)


def _seen(image: np.ndarray, classifier: "Classifier") -> np.ndarray:
    if getattr(classifier, "network", None) is None:
        return image
    pixels = np.rint(classifier.preprocess(image[None])[0]).clip(0, 255).astype(np.uint8)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def failure(name: str, error: FerError, class_names: Sequence[str] = ()) -> PictureResult:
    """The result of a picture that could not be read."""
    nothing = np.zeros((0, len(class_names)), np.float32)
    return PictureResult(name, (0, 0), (), nothing, tuple(class_names), error=error)


def to_frame(results: Iterable[PictureResult]) -> pd.DataFrame:
    """A row per face; pictures that could not be read have none.

    Columns: file, face, expression, probability, left, top, width, height (of the face's box in pixels, empty where
    none was found), score, whole, note, and ``p_<class>`` for each class.
    """
    rows = [_row(result, index) for result in results for index in range(len(result.crops))]
    columns = ["file", "face", "expression", "probability", "left", "top", "width", "height", "score", "whole", "note"]
    frame = pd.DataFrame(rows, columns=list(dict.fromkeys(columns + [key for row in rows for key in row])))
    return frame.astype(dict.fromkeys(("left", "top", "width", "height"), "Int64"))


def to_records(results: Iterable[PictureResult], run_name: str) -> dict:
    """Everything as plain JSON data: the model, then per picture its size, faces with landmarks, or its error."""
    return {"model": run_name, "pictures": [_record(result) for result in results]}


def usable_runs(runs: Iterable["Run"]) -> list["Run"]:
    """Runs that have weights here, in the order of ``artifacts.best_first``.

    Ensembles, as slow as all their members, are the last of their dataset.
    """
    usable = [run for run in best_first(runs) if run.can_answer]
    order = datasets_of(usable)
    return sorted(usable, key=lambda run: (order.index(run.dataset), run.model == ENSEMBLE))


def datasets_of(runs: Iterable["Run"]) -> list[str]:
    """Each dataset once, in the order of the runs."""
    return list(dict.fromkeys(run.dataset for run in runs))


def is_network(run: "Run") -> bool:
    """Whether the run's model is one network, with layers to look into."""
    return _is_network(run.model)


def has_gradients(run: "Run") -> bool:
    """Whether the run's model is a network or an ensemble of nothing else."""
    if run.model != ENSEMBLE:
        return is_network(run)
    return all(_is_network(member["model"]) for member in run.run["config"]["members"])


def answers_alike(run: "Run") -> bool:
    """Whether the run's model says the same of every picture, so that no map of it can show anything."""
    return MODELS.get(run.model, {}).get("builder") == "majority"


def _is_network(model: str) -> bool:
    return MODELS.get(model, {}).get("family") == "network"


def default_run(runs: Iterable["Run"]) -> "Run":
    """The first of :func:`usable_runs`.

    Raises:
        ModelError: none has weights.
    """
    usable = usable_runs(runs)
    if not usable:
        raise ModelError("No trained model has weights here yet.", TRAIN_FIRST)
    return usable[0]


TRAIN_COMMAND = "python -m fer_core train compact fer2013"
TRAIN_FIRST = f"Train one: {TRAIN_COMMAND}"


def expand(paths: Iterable[Path]) -> tuple[list[Path], list[tuple[Path, ImageError]]]:
    """Picture files that ``paths`` name: files as they are, whatever their suffix; folders with all below them.

    Returns:
        The files, each once, and (path, error) for folders without a picture.
    """
    files: dict[Path, None] = {}
    problems = []
    for path in paths:
        if not os.path.isdir(path):  # Path.is_dir raises where a folder above may not be entered
            files[path] = None
            continue
        below = sorted(file for file in path.rglob("*") if _is_candidate(file, path))
        files |= dict.fromkeys(below)
        if not below:
            error = ImageError(f"{path} holds no picture.", f"Expected files ending in {', '.join(images.SUFFIXES)}.")
            problems.append((path, error))
    return list(files), problems


def _is_candidate(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in images.SUFFIXES and file.is_file()


def _row(result: PictureResult, index: int) -> dict:
    crop, probabilities = result.crops[index], result.probabilities[index]
    box = crop.face.box if crop.face else (None,) * 4
    best = int(probabilities.argmax())
    row = {
        "file": result.name,
        "face": crop.number,
        "expression": result.class_names[best],
        "probability": float(probabilities[best]),
        **dict(zip(("left", "top", "width", "height"), box, strict=True)),
        "score": crop.face.score if crop.face else None,
        "whole": crop.whole,
        "note": crop.note,
    }
    return row | {f"p_{name}": float(p) for name, p in zip(result.class_names, probabilities, strict=True)}


def _record(result: PictureResult) -> dict:
    if result.error is not None:
        return {"file": result.name, "error": {"problem": result.error.problem, "remedy": result.error.remedy}}
    found = []
    for crop, row in zip(result.crops, (_row(result, index) for index in range(len(result.crops))), strict=True):
        found.append(
            {
                "face": crop.number,
                "expression": row["expression"],
                "probabilities": {name: row[f"p_{name}"] for name in result.class_names},
                "box": list(crop.face.box) if crop.face else None,
                "score": row["score"],
                "landmarks": {name: list(point) for name, point in crop.face.landmarks.items()} if crop.face else None,
                "whole": crop.whole,
                "note": crop.note,
            }
        )
    return {"file": result.name, "width": result.size[0], "height": result.size[1], "faces": found}
