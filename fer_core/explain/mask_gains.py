"""What training with a mask changes against meeting it for the first time: recall and flips per class, with intervals.

Both models see the same masked pictures, so everything is paired. Over all classes :func:`mask_numbers.gains` says the
same of probability and calibration too.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_core import comparison, metrics
from fer_core.artifacts import Run
from fer_core.explain.mask_numbers import interval_columns
from fer_core.explain.mask_study import REGIONS, MaskStudy
from fer_core.explain.ranking import resamples
from fer_core.predictions import Predictions

ALL_CLASSES = "all"
CLASS_COLUMNS = ["class", "n", *interval_columns("gain"), *interval_columns("flip_rate"), "to_right", "to_wrong"]


def class_gains(trained: Predictions, tested: Predictions, *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Recall gained by training with a mask, and flips, on the pictures that both were shown.

    Returns:
        Columns :data:`CLASS_COLUMNS`, a row for all classes together and one for each: n (pictures truly of it), gain
        (recall of ``trained`` minus that of ``tested``; over all classes, accuracy), flip_rate (share of pictures whose
        most probable class differs between the two), both with 95 % percentile bootstrap intervals over the pictures,
        NaN for classes of fewer than ``metrics.FEWEST``; to_right and to_wrong (flips that only ``trained``, only
        ``tested`` gets right). A class without pictures has NaN.

    Raises:
        RunError: they share no pictures or differ in their classes.
    """
    own, other = comparison.align(trained, tested)
    weights = resamples(len(own), n_boot, seed)
    gained = (own.y_pred == own.y_true).astype(np.int64) - (other.y_pred == other.y_true)
    values = np.stack([gained, own.y_pred != other.y_pred]).astype(np.float64)  # (2, N)
    of_class = [np.flatnonzero(own.y_true == index) for index in range(len(own.class_names))]
    counts = [weights[where].sum(axis=0) for where in of_class]  # (B,) each
    drawn = [values[:, where] @ weights[where] for where in of_class]  # (2, B) each
    groups = {ALL_CLASSES: (slice(None), sum(counts), sum(drawn))}
    groups |= dict(zip(own.class_names, zip(of_class, counts, drawn, strict=True), strict=True))
    rows = []
    for name, (where, count, resampled) in groups.items():
        n, edges = len(gained[where]), np.full((3, 2), np.nan)
        if n:
            edges[0] = values[:, where].mean(axis=1)
        if n >= (1 if name == ALL_CLASSES else metrics.FEWEST):
            edges[1:] = _percentiles(resampled / np.maximum(count, 1))
        flips = [int((gained[where] == sign).sum()) for sign in (1, -1)]
        rows.append((name, n, *edges.T.ravel(), *flips))
    return pd.DataFrame(rows, columns=CLASS_COLUMNS)


def _percentiles(drawn: np.ndarray) -> np.ndarray:
    return np.percentile(drawn, [2.5, 97.5], axis=1)


def gain_rows(study: MaskStudy, trained: Mapping[str, Run], *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """:func:`class_gains` of a study: columns mask, model, trained (its run, and the one trained with the mask) first.

    Args:
        trained: see :func:`fer_core.explain.mask_numbers.trained_runs`.
    """
    columns = ["mask", "model", "trained", *CLASS_COLUMNS]
    tables = []
    for mask in (region for region in REGIONS if region in trained):
        predictions = trained[mask].predictions(study.record["split"])
        found = class_gains(predictions, study.predictions[mask], n_boot=n_boot, seed=seed)
        tables.append(found.assign(mask=mask, model=study.run, trained=trained[mask].name)[columns])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
