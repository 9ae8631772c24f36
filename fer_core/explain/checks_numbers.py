"""Every number of a study of the checks: on how many pictures each check passes, and the answer in a sentence.

Intervals are Wilson's (:func:`fer_core.metrics.wilson`), 95 %, over the pictures; they say nothing about training the
network again. The grid is the same for every picture, so its share has no width.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.explain.check_basics import FAILED, NOT_APPLICABLE, PASSED, UNDECIDED
from fer_core.explain.checks_study import OUTCOMES, ChecksStudy
from fer_core.explain.faithfulness import grid_verdict
from fer_core.explain.saliency import METHODS
from fer_core.explain.saliency_numbers import EVERY, RIGHT
from fer_core.wording import percent

MOST_PASS, MOST_FAIL, FEW_PASS = "most pass", "most fail", "most do not pass"  # else UNDECIDED
COLUMNS = ["check", "says", "passed", "undecided", "failed", "n", "share", "low", "high", "median", "words"]


def check_table(study: ChecksStudy, which: str = EVERY) -> pd.DataFrame:
    """A row per check, in the order of a single map's strip.

    Columns: check; says (:data:`MOST_PASS` or :data:`MOST_FAIL` where the interval of the pictures that pass, or fail,
    lies above one half, :data:`FEW_PASS` where that of those that pass lies below it, ``UNDECIDED`` otherwise,
    ``NOT_APPLICABLE`` without pictures); passed, undecided, failed and n,
    numbers of pictures, those left out to which the check does not apply; share that passes, low, high; median of the
    check's number (:func:`fer_core.explain.check_rows.check_rows`); words, why it applies to none, else empty.

    Args:
        which: :data:`RIGHT` for the pictures that the model recognises.
    """
    rows = []
    outcomes, numbers = study.outcomes[_chosen(study, which)], study.numbers[_chosen(study, which)]
    for column, check in enumerate(study.record["checks"]):
        counts = _counts(outcomes[:, column])
        applies = outcomes[:, column] != OUTCOMES.index(NOT_APPLICABLE)
        n = int(applies.sum())
        known = numbers[applies, column][np.isfinite(numbers[applies, column])]
        edges = _interval(check, counts[PASSED], n, study.record["grid"])
        row = {"check": check, "says": _says(check, counts, n, study.record["grid"]), "n": n}
        row |= {outcome: counts[outcome] for outcome in (PASSED, UNDECIDED, FAILED)}
        row |= {"share": counts[PASSED] / n if n else np.nan, "low": edges[0], "high": edges[1]}
        row |= {"median": float(np.median(known)) if len(known) else np.nan}
        rows.append(row | {"words": study.record["left_out"].get(check, "")})
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(study: ChecksStudy, which: str = EVERY) -> str:
    """On how many pictures every check passes, and which fails, or is undecided, most often."""
    record, outcomes = study.record, study.outcomes[_chosen(study, which)]
    title, n = f"{METHODS[record['method']].title} of {record['run']}", len(outcomes)
    if not n:
        return f"{title}: no face of this study is recognised."
    of_use = int((outcomes != OUTCOMES.index(NOT_APPLICABLE)).any(axis=0).sum())
    whole = _whole(outcomes)[0]
    interval = ""
    if grid_verdict(tuple(record["grid"])).outcome == PASSED:  # else no map passes, however many are checked
        interval = " [{}, {}]".format(*map(percent, metrics.wilson(whole / n, n)))
    every = "every check" if of_use == len(record["checks"]) else f"all {of_use} checks that apply"
    said = f"{title} passes {every} on {whole} of {n} {_faces(n)}{interval}"
    for outcome, words in ((FAILED, "most often fails"), (UNDECIDED, "most often undecided")):
        counts = (outcomes == OUTCOMES.index(outcome)).sum(axis=0)
        most = int(counts.max())
        if most:
            names = [name.lower() for name, count in zip(record["checks"], counts, strict=True) if count == most]
            each = " each" if len(names) > 1 else ""
            said += f"; {words}: {' and '.join(names)} ({most} {_faces(most)}{each})"
    return f"{said}."


def method_grid(studies: Mapping[str, ChecksStudy], which: str = EVERY) -> pd.DataFrame:
    """One model's checks by several methods: a row per method (title -> study), a column per check and ``all``.

    Cells read ``33 of 40 pass, undecided``; without more than the numbers where most pass; empty where a check does not
    apply. ``all`` are the faces on which every check that applies passes.
    """
    rows = []
    for title, study in studies.items():
        cells = {row["check"]: _cell(row) for row in check_table(study, which).to_dict("records")}
        whole, n = _whole(study.outcomes[_chosen(study, which)])
        rows.append({"method": title} | cells | {"all": f"{whole} of {n}"})
    return pd.DataFrame(rows).fillna("")


def pass_words(row: Mapping) -> str:
    """A row of :func:`check_table` in few words: ``33 of 40 pass``; what is not a pass is said."""
    return f"{row['passed']} of {row['n']} pass" + ("" if row["says"] == MOST_PASS else f", {row['says']}")


def empty_maps(study: ChecksStudy, which: str = EVERY) -> int:
    """How many maps are the same everywhere; such a map fails the checks."""
    return int(study.even[_chosen(study, which)].sum())


def picture_rows(study: ChecksStudy, which: str = EVERY) -> pd.DataFrame:
    """A row per picture and check: sample_id, class, recognised, check, outcome, number; and random, the mean area of
    the random maps, for deletion and insertion.
    """
    checks, random = study.record["checks"], np.full(study.numbers.shape, np.nan)
    for column, check in enumerate(checks):
        areas = {"Deletion": study.deletion, "Insertion": study.insertion}.get(check)
        if areas is not None:
            random[:, column] = areas[:, 1:].mean(axis=1)
    rows = np.flatnonzero(_chosen(study, which))
    names = np.array(study.class_names)[study.y_true[rows]]
    return pd.DataFrame(
        {
            "sample_id": np.repeat(study.sample_ids[rows], len(checks)),
            "class": np.repeat(names, len(checks)),
            "recognised": np.repeat(study.right[rows], len(checks)),
            "check": np.tile(checks, len(rows)),
            "outcome": np.array(OUTCOMES)[study.outcomes[rows]].ravel(),
            "number": study.numbers[rows].ravel(),
            "random": random[rows].ravel(),
        }
    )


def _chosen(study: ChecksStudy, which: str) -> np.ndarray:
    return study.right if which == RIGHT else np.ones(len(study.y_true), bool)


def _whole(outcomes: np.ndarray) -> tuple[int, int]:
    """On how many pictures every check that applies passes, and how many there are."""
    passes = np.isin(outcomes, [OUTCOMES.index(PASSED), OUTCOMES.index(NOT_APPLICABLE)])
    return int(passes.all(axis=1).sum()), len(outcomes)


def _cell(row: Mapping) -> str:
    return "" if row["says"] == NOT_APPLICABLE else pass_words(row)


def _counts(outcomes: np.ndarray) -> dict[str, int]:
    return {name: int((outcomes == code).sum()) for code, name in enumerate(OUTCOMES)}


def _interval(check: str, count: int, n: int, grid: list[int]) -> tuple[float, float]:
    if n and check == grid_verdict(grid).name:
        return count / n, count / n
    return metrics.wilson(count / n if n else np.nan, n)


def _says(check: str, counts: dict[str, int], n: int, grid: list[int]) -> str:
    if not n:
        return NOT_APPLICABLE
    for outcome, said in ((PASSED, MOST_PASS), (FAILED, MOST_FAIL)):
        if _interval(check, counts[outcome], n, grid)[0] > 0.5:
            return said
    return FEW_PASS if _interval(check, counts[PASSED], n, grid)[1] < 0.5 else UNDECIDED


def _faces(n: int) -> str:
    return "face" if n == 1 else "faces"
