"""The mask study: what a run predicts for every picture of a split, whole, masked, and under random masks as large.

``artifacts/studies/masks-<run>-<split>-<fill>/`` is a study of :mod:`fer_core.explain.studies`, of the :data:`KIND`
here; :mod:`fer_core.explain.mask_numbers` computes its numbers.

Conditions are ``none`` (the whole picture), the regions of :data:`fer_core.masks.REGIONS`, and
``control-<pixels>-<seed>``: each picture under a random rectangle of its own, of as many pixels as a region hides.
Regions of one area share their controls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core import masks
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.explain import conditions
from fer_core.explain.conditions import WHOLE, Report, control_seed
from fer_core.explain.studies import Kind, OfRun
from fer_core.predictions import Classifier, Predictions

REGIONS: tuple[str, ...] = tuple(masks.REGIONS)
KIND = Kind(
    name="masks",
    choice="fill",
    file="predictions.npz",
    arrays=conditions.ARRAYS,
    shapes=lambda record, k: {"pred_probs": (len(record["conditions"]), record["n"], k)},
    own_fields={
        "picture_size": "height and width of a picture, pixels",
        "fill": "what the hidden pixels show, a key of masks.FILLS",
        "tta": "views averaged, see fer_core.models.views",
        "areas": "region -> hidden pixels",
        "control_seeds": "seeds of the random masks; picture i has conditions.control_seed(seed, i)",
        "conditions": "in the order of pred_probs",
    },
    options=conditions.options_of,
)


@dataclass(frozen=True)
class MaskStudy(OfRun):
    """Predictions of one run for one split under every condition.

    Attributes:
        record: the fields of :data:`KIND`.
        predictions: condition -> predictions, all of the same samples in the same order.
    """

    record: dict
    predictions: dict[str, Predictions]

    @property
    def run(self) -> str:
        return self.record["run"]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.predictions[WHOLE].class_names

    @property
    def shapes(self) -> tuple[str, ...]:
        """What is hidden, keys of ``masks.REGIONS``."""
        return REGIONS

    def masked(self, region: str) -> Predictions:
        """Predictions with ``region`` hidden."""
        return self.predictions[region]

    def area(self, region: str) -> float:
        """Hidden share of the picture, 0..1; 0 for the whole picture."""
        height, width = self.record["picture_size"]
        return self.record["areas"].get(region, 0) / (height * width)

    def controls(self, region: str) -> list[Predictions]:
        """Predictions under random masks as large as ``region``, one per seed."""
        area = self.record["areas"][region]
        return [self.predictions[f"control-{area}-{seed}"] for seed in self.record["control_seeds"]]


def region_areas(shape: tuple[int, int]) -> dict[str, int]:
    """Hidden pixels of each region in a picture of ``shape`` (H, W)."""
    return {region: int(masks.region_mask(region, shape).sum()) for region in REGIONS}


def condition_names(shape: tuple[int, int], seeds: Iterable[int]) -> list[str]:
    """Names of all conditions: whole, the regions, then a control per area and seed."""
    areas = sorted(set(region_areas(shape).values()))
    return [WHOLE, *REGIONS, *(f"control-{area}-{seed}" for area in areas for seed in seeds)]


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
    """What ``classifier`` says of the pictures of ``split`` under every condition.

    Args:
        classifier, fill, work, report: see :func:`conditions.ask`, and there for what is returned.
        seeds: a random mask per picture and seed.
        positions: of the pictures to take, int64 (M,); all of them by default. Masks do not depend on it.

    Raises:
        ConfigError: unknown fill.
        DatasetError: the split has a class that the classifier does not know.
    """
    masks.check_fill(fill)
    positions = np.arange(len(split)) if positions is None else np.asarray(positions)
    shape = tuple(split.images.shape[1:3])

    def hidden(condition: str, some: slice) -> np.ndarray:
        return condition_masks(condition, shape, positions[some])

    names = condition_names(shape, list(seeds))
    about = {"fill": fill, "positions": positions, "work": work, "report": report}
    return conditions.ask(classifier, split, names, hidden, **about)


def make_study(
    run: Run,
    predictions: Mapping[str, Predictions],
    *,
    split: Split,
    split_name: str,
    fill: str,
    tta: str,
    seeds: Iterable[int],
    seconds: float,
) -> MaskStudy:
    """The study of what :func:`predict_conditions` returned.

    Raises:
        RunError: the run has no weights.
    """
    shape = tuple(split.images.shape[1:3])
    own = {"picture_size": list(shape), "fill": fill, "tta": tta, "areas": region_areas(shape)}
    own |= {"control_seeds": [int(seed) for seed in seeds], "conditions": list(predictions)}
    record = KIND.make_record(run, split, split_name, n=len(predictions[WHOLE]), seconds=seconds, **own)
    return MaskStudy(record, dict(predictions))


def write_study(study: MaskStudy, root: Path | None = None) -> Path:
    """Write the study directory, see :meth:`Kind.write`."""
    return KIND.write(study.record, conditions.to_arrays(study.predictions), root)


def read_study(path: Path) -> MaskStudy:
    """Read a study directory, see :meth:`Kind.read`."""
    record, arrays = KIND.read(path)
    return MaskStudy(record, conditions.from_arrays(record["conditions"], arrays))


def trained_mask(run: Run) -> str | None:
    """The region that was hidden in the pictures ``run`` was trained and measured on, or None."""
    region = (run.run.get("config") or {}).get("mask")
    return region if region in REGIONS else None
