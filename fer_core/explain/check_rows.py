"""The checks of a map as numbers, to compare several methods on the same face."""

import numpy as np
import pandas as pd

from fer_core.explain import faithfulness
from fer_core.explain.across_trainings import Trainings
from fer_core.explain.faithfulness import Trust

COLUMNS = ["check", "outcome", "number", "random", "value", "words"]


def check_rows(checked: Trust) -> pd.DataFrame:
    """A row per verdict of :func:`fer_core.explain.faithfulness.verdicts`, in their order.

    Columns: check, outcome; number, what the verdict is about, NaN where it has none: area under the curve, 0..1;
    similarity, -1..1, to the maps of randomised networks, to those of the moved picture or of the method's other seeds,
    whichever is lower, and to the least similar map of another training; the smaller side of the grid. random, mean
    area of the random maps, NaN for other checks; value and words, as the verdict says it.
    """
    told = faithfulness.verdict_frame(faithfulness.verdicts(checked))
    numbers = told["check"].map(_numbers(checked)).astype(float).where(told["value"] != "")
    curves = {"Deletion": checked.deletion, "Insertion": checked.insertion}
    random = {name: float(curve.random_areas.mean()) for name, curve in curves.items()}
    return told.assign(number=numbers, random=told["check"].map(random).astype(float))[COLUMNS]


def _numbers(checked: Trust) -> dict[str, float]:
    similarity = np.nan if isinstance(checked.randomisation, str) else checked.randomisation.similarity
    stable = [float(drawn.mean()) for drawn in (checked.shifts, checked.seeds) if len(drawn)]
    return {
        "Deletion": checked.deletion.area,
        "Insertion": checked.insertion.area,
        "Randomisation": similarity,
        "Stability": min(stable),
        "Trainings": float(checked.trainings.spearman.min()) if isinstance(checked.trainings, Trainings) else np.nan,
        "Grid": min(checked.grid),
    }
