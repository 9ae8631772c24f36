"""Every number of a study of parts, computed from its predictions: model x shape x class, with intervals.

A mask study (:mod:`fer_core.explain.mask_study`), whose shapes are the papers' rows, has the same numbers.

Each shape stands beside random masks of each picture's own hidden area; what form they have, the study says
(:func:`fer_core.explain.part_study.control_kind`). Intervals are 95 % bootstrap intervals over the pictures; all
conditions are resampled together, so that differences are paired. They say nothing about training the network again.
They are percentile intervals, but basic ones (2 x value - percentiles; Davison and Hinkley 1997, section 5.2.1) for
calibration errors: these are sums of absolute values, so that those of resamples are too large.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.explain import ranking
from fer_core.explain.conditions import WHOLE
from fer_core.explain.headline import leader
from fer_core.explain.mask_study import MaskStudy
from fer_core.explain.part_study import PartStudy
from fer_core.explain.ranking import Ranking, rank, rank_resampled, resamples
from fer_core.predictions import Predictions
from fer_core.regions import OCCLUDERS

ALL = "all"
TITLES = {name: part.title for name, part in OCCLUDERS.items()}
# column of the table -> what it says; the first is shown first
MEASURES: dict[str, str] = {
    "drop": "Recall lost",
    "beyond": "Recall lost beyond random",
    "flip_rate": "Flips",
    "flip_beyond": "Flips beyond random",
    "p_shift": "Shift of the true class",
    "p_beyond": "Shift beyond random",
    "ece": "Calibration error",
    "ece_change": "Change of calibration error",
}
OVER_ALL = ("ece", "ece_change")  # of a class too they are over all pictures
COLUMNS = [
    "shape",
    "class",
    "n",
    "area",
    *(f"{name}{end}" for name in ("recall", *MEASURES) for end in ("", "_low", "_high")),
]


@dataclass(frozen=True)
class PartNumbers:
    """What :func:`numbers` computes.

    Attributes:
        table: see :func:`table`.
        by_drop: the shapes by the accuracy that they cost, 0..1.
        beyond_control: by what they cost beyond random masks as large; None without any.
        by_class: the classes by the recall that they lose under the first of ``by_drop``.
    """

    table: pd.DataFrame
    by_drop: Ranking
    beyond_control: Ranking | None
    by_class: Ranking


def table(study: PartStudy | MaskStudy, *, calibration: bool = True, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """All numbers of a study: a row per shape and class, and one per shape for ``all`` pictures.

    Columns, each measure with ``_low`` and ``_high``: shape, class, n, area (mean hidden share); recall (under the
    mask; accuracy for ``all``), drop (recall of the whole pictures minus that); flip_rate (share of pictures whose most
    probable class changes); p_shift (mean change of the true class's probability); ece (calibration error of the masked
    pictures: :func:`metrics.ece`, and of a class :func:`metrics.class_ece`, which is over all pictures as well),
    ece_change (minus that of the whole ones). ``beyond``, ``flip_beyond``, ``p_beyond``: the same minus what random
    masks of the same area do; NaN without any. A class without pictures has no row.

    Args:
        calibration: whether to compute the calibration errors, which take longer than all the rest; NaN otherwise.
    """
    weights = resamples(len(study.predictions[WHOLE]), n_boot, seed)
    found = _table(study, {shape: _values(study, shape) for shape in study.shapes}, weights)
    return _calibrated(found, study, weights) if calibration else found


def with_calibration(
    found: pd.DataFrame, study: PartStudy | MaskStudy, *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """What :func:`table` gives with calibration errors, of what it gives without them, and in less time."""
    return _calibrated(found, study, resamples(len(study.predictions[WHOLE]), n_boot, seed))


def _calibrated(found: pd.DataFrame, study: PartStudy | MaskStudy, weights: np.ndarray) -> pd.DataFrame:
    whole = _eces(study.predictions[WHOLE], weights)
    masked = {shape: _eces(study.masked(shape), weights) for shape in study.shapes}
    rows = []
    for shape, name in zip(found["shape"], found["class"], strict=True):
        own, resampled = masked[shape][name]
        row = _basic_interval("ece", own, resampled, least=0.0)
        rows.append(row | _basic_interval("ece_change", own - whole[name][0], resampled - whole[name][1]))
    return found.assign(**pd.DataFrame(rows, index=found.index))


def _table(study: PartStudy | MaskStudy, values: Mapping[str, dict], weights: np.ndarray) -> pd.DataFrame:
    whole = study.predictions[WHOLE]
    groups = {ALL: np.arange(len(whole))}
    groups |= {name: np.flatnonzero(whole.y_true == k) for k, name in enumerate(study.class_names)}
    groups = {name: rows for name, rows in groups.items() if len(rows)}
    means = {ALL: _means(values, groups[ALL], weights)}  # a copy of all weights takes as long as the product
    means |= {name: _means(values, rows, weights[rows], metrics.FEWEST) for name, rows in groups.items() if name != ALL}
    found = []
    for shape in study.shapes:
        of_shape = {"shape": shape, "area": study.area(shape)}
        found += [of_shape | {"class": name, "n": len(rows)} | means[name][shape] for name, rows in groups.items()]
    return pd.DataFrame(found, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[4:], float))


def numbers(study: PartStudy, *, calibration: bool = True, n_boot: int = 1000, seed: int = 0) -> PartNumbers:
    """:func:`table` and the rankings of a study of parts, on one set of resamples."""
    whole = study.predictions[WHOLE]
    weights = resamples(len(whole), n_boot, seed)
    values = {shape: _values(study, shape) for shape in study.shapes}
    by_drop = rank({shape: of_shape["drop"] for shape, of_shape in values.items()}, weights)
    beyond = {shape: of_shape["beyond"] for shape, of_shape in values.items() if "beyond" in of_shape}
    table = _table(study, values, weights)
    return PartNumbers(
        table=_calibrated(table, study, weights) if calibration else table,
        by_drop=by_drop,
        beyond_control=rank(beyond, weights) if beyond else None,
        by_class=_rank_classes(values[by_drop.first]["drop"], whole, weights),
    )


def verdict(found: PartNumbers) -> list[str]:
    """The answer in sentences: which shape costs most accuracy, whom it costs most, and which costs most beyond its
    area; or that this is undecided.
    """
    if not found.by_drop.positive:
        return ["No shape costs accuracy beyond chance: this model does not need what they hide."]
    lines = [ranking.lead_sentence(found.by_drop, "shape", "costs most accuracy", title=_title)]
    if found.by_class is not None and found.by_class.positive:
        opening = f"With the {_title(found.by_drop.first)} shape hidden, "
        lines.append(ranking.lead_sentence(found.by_class, "class", "loses most recall", opening))
    if found.beyond_control is not None:
        lines.append(ranking.beyond_sentence(found.by_drop, found.beyond_control, "shape", _title))
    return lines


def leaders(found: PartNumbers) -> tuple[str, str | None]:
    """The shape that costs most, and the one that costs most beyond its size, see :func:`fer_core.explain.headline`."""
    beyond = found.beyond_control
    return leader(found.by_drop, _title), None if beyond is None else leader(beyond, _title)


def whole_accuracy(found: pd.DataFrame) -> float:
    """Accuracy on the whole pictures of :func:`table`."""
    row = found[found["class"] == ALL].iloc[0]
    return float(row["recall"] + row["drop"])


def area_words(found: pd.DataFrame) -> str:
    """How much of the picture each shape hides on average: ``eyes 16 %, nose 7 %, ...``."""
    areas = found[found["class"] == ALL].set_index("shape")["area"]
    return ", ".join(f"{_title(shape)} {100 * area:.0f} %" for shape, area in areas.items())


def measure_rows(found: pd.DataFrame, measure: str, titles: Mapping[str, str] = TITLES) -> pd.DataFrame:
    """One measure of :func:`table`: columns shape (by ``titles``), class, n (pictures), value, low, high."""
    shown = found[["shape", "class", "n", measure, f"{measure}_low", f"{measure}_high"]]
    if measure in OVER_ALL:
        shown = shown.assign(n=found["n"].max())
    shown = shown.set_axis(["shape", "class", "n", "value", "low", "high"], axis=1)
    return shown.assign(shape=[titles[name] for name in shown["shape"]])


def compare_rows(
    tables: Mapping[str, pd.DataFrame], measure: str, class_name: str = ALL, titles: Mapping[str, str] = TITLES
) -> pd.DataFrame:
    """One measure and class of several runs: columns run, shape (by ``titles``), value, low, high."""
    parts = []
    for run, found in tables.items():
        rows = measure_rows(found[found["class"] == class_name], measure, titles)
        parts.append(rows.assign(run=run)[["run", "shape", "value", "low", "high"]])
    return pd.concat(parts, ignore_index=True)


def true_probs(predictions: Predictions) -> np.ndarray:
    """Probability of the true class, float64 (N,)."""
    return predictions.pred_probs[np.arange(len(predictions)), predictions.y_true].astype(np.float64)


def _values(study: PartStudy | MaskStudy, shape: str) -> dict[str, np.ndarray]:
    """Of each picture (N,): what the means of a row are taken over."""
    whole, masked, controls = study.predictions[WHOLE], study.masked(shape), study.controls(shape)
    values = {"recall": _hits(masked), "drop": _hits(whole) - _hits(masked)}
    values |= {"flip_rate": _flips(whole, masked), "p_shift": true_probs(masked) - true_probs(whole)}
    if controls:
        values["beyond"] = np.mean([_hits(control) for control in controls], axis=0) - _hits(masked)
        values["flip_beyond"] = values["flip_rate"] - np.mean([_flips(whole, control) for control in controls], axis=0)
        values["p_beyond"] = true_probs(masked) - np.mean([true_probs(control) for control in controls], axis=0)
    return values


def _means(
    values: Mapping[str, dict], rows: np.ndarray, weights: np.ndarray, fewest: int = 1
) -> dict[str, dict[str, float]]:
    """Shape -> means of its ``values`` (N,) over ``rows`` (M,), with intervals from the resamples ``weights`` (M, B),
    NaN below ``fewest`` rows.

    All shapes at once: the weights are large, and each product reads all of them.
    """
    names = [(shape, name) for shape, of_shape in values.items() for name in of_shape]
    stack = np.stack([values[shape][name][rows] for shape, name in names])
    resampled = (stack @ weights) / np.maximum(weights.sum(axis=0), 1)
    edges = np.percentile(resampled, [2.5, 97.5], axis=1).T
    edges = (edges if len(rows) >= fewest else np.full_like(edges, np.nan)).tolist()
    found: dict[str, dict[str, float]] = {shape: {} for shape in values}
    for (shape, name), mean, (low, high) in zip(names, stack.mean(axis=1).tolist(), edges, strict=True):
        found[shape] |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return found


def _rank_classes(drops: np.ndarray, whole: Predictions, weights: np.ndarray) -> Ranking | None:
    """The classes that have enough pictures for an interval by the mean of ``drops`` (N,) over theirs; None without."""
    means, resampled = {}, {}
    for index, name in enumerate(whole.class_names):
        of_class = whole.y_true == index
        if of_class.sum() >= metrics.FEWEST:
            own = weights[of_class]
            means[name] = float(drops[of_class].mean())
            resampled[name] = (drops[of_class] @ own) / np.maximum(own.sum(axis=0), 1)
    return rank_resampled(means, resampled) if means else None


def _basic_interval(name: str, value: float, resampled: np.ndarray, least: float = -1.0) -> dict[str, float]:
    low, high = metrics.basic_interval(value, resampled, least)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _eces(predictions: Predictions, weights: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """Calibration error over all pictures and of each class, and of the resamples (B,)."""
    (over_all, own), (resampled, of_classes) = (metrics.calibration_errors(predictions, one) for one in (None, weights))
    of_class = zip(own.tolist(), of_classes.T, strict=True)
    return {ALL: (over_all, resampled)} | dict(zip(predictions.class_names, of_class, strict=True))


def _hits(predictions: Predictions) -> np.ndarray:
    return (predictions.y_pred == predictions.y_true).astype(np.float64)


def _flips(whole: Predictions, masked: Predictions) -> np.ndarray:
    return (whole.y_pred != masked.y_pred).astype(np.float64)


def _title(shape: str) -> str:
    return TITLES[shape].lower()
