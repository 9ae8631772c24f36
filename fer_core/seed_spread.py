"""How far results of one recipe differ from seed to seed, and what a difference of two trainings must exceed.

The seed draws initial weights, order and augmentation, so two trainings of one recipe differ by luck; a bootstrap over
the test pictures of a single training does not see that (Bouthillier et al. 2021, Accounting for variance in machine
learning benchmarks, MLSys 3). The split is the same for all, so luck in drawing it is not in these numbers.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_core.artifacts import Run

MEASURES: tuple[str, ...] = ("accuracy", "macro_f1")
STATISTICS: tuple[str, ...] = ("mean", "sd", "low", "high")
DRAWS_NOTHING = ("majority", "hog_logistic")  # their trainings from several seeds are one, and spread by no luck


class Luck(NamedTuple):
    """What seeds do to one measure.

    Attributes:
        measure: of :data:`MEASURES`.
        sd: standard deviation over seeds, pooled over recipes.
        degrees: of freedom of it.
        least: what a difference of two single trainings must exceed.
    """

    measure: str
    sd: float
    degrees: int
    least: float


def seed_rows(groups: Iterable[Sequence[Run]], split: str) -> pd.DataFrame:
    """A row per group of runs that differ in the seed alone, the best mean accuracy first.

    Args:
        groups: as :func:`fer_core.training.seeds.groups` gives them. Runs without results on ``split`` are left out,
            those of models that draw nothing, and groups of which fewer than two are left.

    Returns:
        Columns model, dataset, seeds (text), n (trainings), and of each of :data:`MEASURES` ``<measure>_mean``,
        ``_sd`` (divided by n - 1), ``_low`` and ``_high`` (lowest and highest).
    """
    columns = ["model", "dataset", "seeds", "n"]
    columns += [f"{measure}_{statistic}" for measure in MEASURES for statistic in STATISTICS]
    rows = []
    for group in _measured(groups, split):
        seeds = ", ".join(str(run.run.get("seed") or 0) for run in group)
        row = {"model": group[0].model, "dataset": group[0].dataset, "seeds": seeds, "n": len(group)}
        for measure in MEASURES:
            values = _values(group, split, measure)
            found = (values.mean(), values.std(ddof=1), values.min(), values.max())
            row |= {f"{measure}_{name}": float(value) for name, value in zip(STATISTICS, found, strict=True)}
        rows.append(row)
    return pd.DataFrame(rows, columns=columns).sort_values("accuracy_mean", ascending=False, ignore_index=True)


def luck(groups: Iterable[Sequence[Run]], split: str) -> list[Luck]:
    """What a difference of two single trainings must exceed to be more than the luck of a seed, per measure.

    That is t(0.975, nu) * s * sqrt(2), where s is the standard deviation over seeds pooled over the groups and nu its
    degrees of freedom, the sum of n - 1: Fisher's least significant difference (1935, The design of experiments) of
    two means of one training each. Two trainings of one recipe differ by more in one of twenty cases, as far as their
    results are normal and all recipes spread alike. Empty where no group has two results.
    """
    from scipy.special import stdtrit

    measured = _measured(groups, split)
    degrees = sum(len(group) - 1 for group in measured)
    if not degrees:
        return []
    found = []
    for measure in MEASURES:
        squares = sum((len(group) - 1) * _values(group, split, measure).var(ddof=1) for group in measured)
        sd = float(np.sqrt(squares / degrees))
        found.append(Luck(measure, sd, degrees, float(stdtrit(degrees, 0.975)) * sd * float(np.sqrt(2))))
    return found


def _measured(groups: Iterable[Sequence[Run]], split: str) -> list[list[Run]]:
    left = [[run for run in group if split in run.splits and run.model not in DRAWS_NOTHING] for group in groups]
    return [group for group in left if len(group) > 1]


def _values(group: Sequence[Run], split: str, measure: str) -> np.ndarray:
    return np.array([run.metrics(split)[measure] for run in group], float)
