"""The study of parts: what a run predicts for every picture of a split with a part of each face hidden, by landmarks.

The shapes are :data:`fer_core.regions.OCCLUDERS`, placed by each face's own five landmarks (the usual place where none
are found), so the hidden area differs from picture to picture, and so does that of its random controls.

``artifacts/studies/parts-<run>-<split>-<fill>/`` is a study of :mod:`fer_core.explain.studies`, of the :data:`KIND`
here; :mod:`fer_core.explain.part_numbers` computes its numbers.

Conditions are ``none`` (the whole picture), ``part-<shape>``, and random controls of each picture's own, which hide as
many pixels of it as the shape does: ``moved-<shape>-<seed>``, the pieces of the shape turned and at random places
(:func:`fer_core.masks.moved_mask`), or, in studies made before there were these, ``control-<shape>-<seed>``: one random
rectangle.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core import masks, regions
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.errors import ConfigError
from fer_core.explain import conditions
from fer_core.explain.conditions import WHOLE, Report, control_seed
from fer_core.explain.studies import Kind, OfRun
from fer_core.predictions import Classifier, Predictions

SHAPES: tuple[str, ...] = tuple(regions.OCCLUDERS)
MOVED, RECTANGLE = "moved", "rectangle"  # what the controls of a study are
_CONTROLS = {"moved": MOVED, "control": RECTANGLE}  # first word of a condition -> what it is


KIND = Kind(
    name="parts",
    choice="fill",
    file="predictions.npz",
    arrays=(*conditions.ARRAYS, "areas", "found"),
    shapes=lambda record, k: {
        "pred_probs": (len(record["conditions"]), record["n"], k),
        "areas": (record["n"], len(record["shapes"])),
        "found": (record["n"],),
    },
    own_fields={
        "n_found": "pictures whose landmarks were found",
        "picture_size": "height and width of a picture, pixels",
        "fill": "what the hidden pixels show, a key of masks.FILLS",
        "tta": "views averaged, see fer_core.models.views",
        "shapes": "keys of regions.OCCLUDERS",
        "control_seeds": "seeds of the random masks; picture i has conditions.control_seed(seed, i)",
        "conditions": "in the order of pred_probs; their first words tell what the controls are",
    },
    options=conditions.options_of,
)


@dataclass(frozen=True)
class PartStudy(OfRun):
    """Predictions of one run for one split under every condition.

    Attributes:
        record: the fields of :data:`KIND`.
        predictions: condition -> predictions, all of the same samples in the same order.
        areas: int32 (N, shapes), hidden pixels of each picture under each shape and its controls.
        found: bool (N,), whether the picture's landmarks were found.
    """

    record: dict
    predictions: dict[str, Predictions]
    areas: np.ndarray
    found: np.ndarray

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.predictions[WHOLE].class_names

    @property
    def shapes(self) -> tuple[str, ...]:
        """What is hidden, keys of ``regions.OCCLUDERS``."""
        return tuple(self.record["shapes"])

    def masked(self, shape: str) -> Predictions:
        """Predictions with ``shape`` hidden."""
        return self.predictions[f"part-{shape}"]

    def controls(self, shape: str) -> list[Predictions]:
        """Predictions under random masks as large as ``shape`` in each picture, one per seed."""
        words, seeds = _control_words(self.predictions), self.record["control_seeds"]
        return [self.predictions[f"{word}-{shape}-{seed}"] for word in words for seed in seeds]

    def area(self, shape: str) -> float:
        """Mean hidden share of the pictures, 0..1."""
        height, width = self.record["picture_size"]
        return float(self.areas[:, self.shapes.index(shape)].mean()) / (height * width)


def condition_names(seeds: Iterable[int]) -> list[str]:
    """Names of all conditions of a new study: whole, the shapes, then a control per shape and seed."""
    seeds = list(seeds)
    controls = [f"moved-{shape}-{seed}" for shape in SHAPES for seed in seeds]
    return [WHOLE, *(f"part-{shape}" for shape in SHAPES), *controls]


def control_kind(names: Iterable[str]) -> str | None:
    """What the controls among the conditions of a study are: :data:`MOVED`, :data:`RECTANGLE`, or None without any."""
    return next((_CONTROLS[word] for word in _control_words(names)), None)


def _control_words(names: Iterable[str]) -> list[str]:
    first_words = {name.partition("-")[0] for name in names}
    return [word for word in _CONTROLS if word in first_words]


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


def condition_masks(condition: str, points: np.ndarray, size: tuple[int, int], positions: np.ndarray) -> np.ndarray:
    """What ``condition`` hides of some pictures: bool (M, H, W).

    Args:
        points: (M, 5, 2), landmarks of these pictures as shares.
        size: (H, W) of a picture.
        positions: int64 (M,), where they stand in their split.

    Raises:
        ConfigError: no such condition.
    """
    word, _, rest = condition.partition("-")
    shape, _, seed = rest.partition("-")
    if condition == WHOLE:
        return np.zeros((len(points), *size), bool)
    if word not in ("part", *_CONTROLS) or shape not in SHAPES:
        raise ConfigError(f"Unknown condition {condition!r}.", f"Expected one of {', '.join(condition_names([0]))}.")
    hidden = [regions.occluder_mask(shape, own, size) for own in points]
    if word in _CONTROLS:
        draw = masks.moved_mask if _CONTROLS[word] == MOVED else _rectangle
        seeds = (control_seed(int(seed), position) for position in positions)
        hidden = [draw(mask, own) for mask, own in zip(hidden, seeds, strict=True)]
    return np.array(hidden, bool).reshape(-1, *size)


def _rectangle(mask: np.ndarray, seed: int) -> np.ndarray:
    return masks.random_mask(int(mask.sum()), mask.shape, seed)


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
    """What ``classifier`` says of the pictures of ``split`` under every condition.

    Args:
        classifier, fill, work, report: see :func:`conditions.ask`.
        points: (M, 5, 2), landmarks of the pictures at ``positions``.
        seeds: a random mask per picture, shape and seed.
        positions: of the pictures to take, int64 (M,); all by default. Masks do not depend on it.

    Returns:
        Condition -> predictions; hidden pixels int32 (M, shapes); and the seconds of the predictions.

    Raises:
        ConfigError: unknown fill, or landmarks of other pictures.
        DatasetError: the split has a class that the classifier does not know.
    """
    masks.check_fill(fill)
    positions = np.arange(len(split)) if positions is None else np.asarray(positions)
    if len(points) != len(positions):
        raise ConfigError(f"Expected landmarks of {len(positions)} pictures. Received {len(points)}.")
    size = tuple(split.images.shape[1:3])
    areas = shape_areas(points, size, lambda done, total: report("placing the shapes", done, total))

    def hidden(condition: str, some: slice) -> np.ndarray:
        return condition_masks(condition, points[some], size, positions[some])

    about = {"fill": fill, "positions": positions, "work": work, "report": report}
    found, seconds = conditions.ask(classifier, split, condition_names(seeds), hidden, **about)
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
    own = {"n_found": int(np.sum(found)), "picture_size": list(split.images.shape[1:3]), "fill": fill, "tta": tta}
    own |= {"shapes": list(SHAPES), "control_seeds": [int(seed) for seed in seeds], "conditions": list(predictions)}
    record = KIND.make_record(run, split, split_name, n=len(predictions[WHOLE]), seconds=seconds, **own)
    return PartStudy(record, dict(predictions), np.asarray(areas, np.int32), np.asarray(found, bool))


def write_study(study: PartStudy, root: Path | None = None) -> Path:
    """Write the study directory, see :meth:`Kind.write`."""
    arrays = conditions.to_arrays(study.predictions) | {"areas": study.areas, "found": study.found}
    return KIND.write(study.record, arrays, root)


def read_study(path: Path) -> PartStudy:
    """Read a study directory, see :meth:`Kind.read`."""
    record, arrays = KIND.read(path)
    predictions = conditions.from_arrays(record["conditions"], arrays)
    return PartStudy(record, predictions, arrays["areas"], arrays["found"])
