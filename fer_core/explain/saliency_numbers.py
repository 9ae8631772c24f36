"""Every number of a saliency study, computed from its maps: shares per region, agreement with FACS, disagreement.

Intervals are 95 % percentile bootstrap intervals over the pictures. What a map that is the same everywhere would reach
stands beside each number: a large region has a large share whatever the model does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.errors import RunError
from fer_core.explain.action_units import PROTOTYPES, SCORES, prototype
from fer_core.explain.saliency_study import SaliencyStudy
from fer_core.regions import ELSEWHERE, PLACES, title

EVERY, RIGHT = "all pictures", "rightly recognised"
ALL_CLASSES = "all"
DRAWN_AT_ONCE = 64  # resamples whose weights are made float at a time: more leave the cache
SHARE_COLUMNS = ("class", "region", "n", "share", "low", "high", "area", "lift", "prototype")
SCORE_COLUMNS = ("class", "score", "n", "value", "low", "high", "even", "lift", "lift_low", "lift_high")


@dataclass(frozen=True)
class Disagreement:
    """Where two models look, on pictures that both recognise.

    Attributes:
        pictures: a row per picture, the least alike first: sample_id, class, similarity, prob_a, prob_b; ``a``, ``b``
            (its rows in either study).
        mean, low, high: similarity over all of them.
        shuffled: mean similarity of maps of *different* pictures of one class: what habit alone would give.
    """

    pictures: pd.DataFrame
    mean: float
    low: float
    high: float
    shuffled: float


def share_rows(study: SaliencyStudy, which: str = EVERY, n_boot: int = 1000) -> pd.DataFrame:
    """Share of the maps in each region, per expression, beside the FACS prototype.

    Args:
        which: :data:`EVERY` or :data:`RIGHT`.

    Returns:
        Columns :data:`SHARE_COLUMNS`, a row per class and place: mean share with interval, the share of the picture
        that the place covers (``area``), ``lift`` (share / area; 1 means no preference), and the prototype's weight
        (NaN for neutral and for ``elsewhere``).
    """
    rows = []
    for index, name in enumerate(study.class_names):
        chosen = _chosen(study, which) & (study.y_true == index) & np.isfinite(study.shares[:, 0])
        shares, areas = study.shares[chosen].astype(np.float64), study.areas[chosen].astype(np.float64)
        low, high = _edges(shares, n_boot)
        weights = prototype(name) or {}
        for place, region in enumerate(PLACES):
            share, area = (float(part[:, place].mean()) if len(part) else np.nan for part in (shares, areas))
            lift = share / area if area else np.nan
            rows.append((name, region, len(shares), share, low[place], high[place], area, lift, weights.get(region)))
    frame = pd.DataFrame(rows, columns=list(SHARE_COLUMNS))
    return frame.assign(prototype=frame["prototype"].astype(float))


def mean_rows(study: SaliencyStudy, which: str = EVERY) -> pd.DataFrame:
    """The mean maps as a table: class, row, column, value, from top left to bottom right; classes without one left out.

    The values of a class add up to 1 but for what lies outside of the frame.
    """
    means = study.means[int(which == RIGHT)].astype(np.float64)
    known = [index for index, one in enumerate(means) if np.isfinite(one).all()]
    place, rows, columns = np.indices((len(known), *means.shape[1:])).reshape(3, -1)
    names = np.array(study.class_names)[np.array(known, dtype=np.int64)]
    columns_of = {"class": names[place], "row": rows, "column": columns, "value": means[known].ravel()}
    return pd.DataFrame(columns_of)


def score_rows(study: SaliencyStudy, which: str = EVERY, n_boot: int = 1000, only: str | None = None) -> pd.DataFrame:
    """Agreement with the prototypes, over all expressions that have one (``all``) and for each.

    Args:
        which: :data:`EVERY` or :data:`RIGHT`.
        only: leave out all rows but those of this class or of :data:`ALL_CLASSES`, which saves their bootstrap.

    Returns:
        Columns :data:`SCORE_COLUMNS`: the mean of each of ``action_units.SCORES`` with interval, what an even map
        reaches (``even``), and the paired difference to it (``lift``) with interval. Without pictures NaN.
    """
    rows = []
    labels = np.array(study.class_names)[study.y_true]
    usable = _chosen(study, which) & np.isfinite(np.hstack([study.scores, study.even_scores])).all(axis=1)
    for name in (ALL_CLASSES, *(name for name in study.class_names if name in PROTOTYPES)):
        if only not in (None, name):
            continue
        chosen = usable & np.isin(labels, list(PROTOTYPES) if name == ALL_CLASSES else [name])
        own, even = study.scores[chosen].astype(np.float64), study.even_scores[chosen].astype(np.float64)
        low, high = _edges(np.hstack([own, own - even]), n_boot)
        lift_low, lift_high = low[len(SCORES) :], high[len(SCORES) :]
        for place, score in enumerate(SCORES):
            value, base = (float(part[:, place].mean()) if len(part) else np.nan for part in (own, even))
            lift = (value - base, lift_low[place], lift_high[place])
            rows.append((name, score, len(own), value, low[place], high[place], base, *lift))
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def verdict(shares: pd.DataFrame, scores: pd.DataFrame) -> list[str]:
    """What a study says, in sentences: where the model looks more than chance, and whether it agrees with FACS."""
    inside = shares[(shares["region"] != ELSEWHERE) & shares["share"].notna()]
    if inside.empty:
        return ["No map of this study has any evidence in it."]
    weighed = inside.assign(total=inside["share"] * inside["n"], covered=inside["area"] * inside["n"])
    means = (
        weighed.groupby("region", sort=False)[["total", "covered"]].sum() / inside.groupby("class")["n"].first().sum()
    )
    lifts = (means["total"] / means["covered"]).sort_values(ascending=False)
    first, last = lifts.index[0], lifts.index[-1]
    most, least = title(first).lower(), title(last).lower()
    told = [
        f"For its size the {most} gets most of the map: {means['total'][first]:.0%} of it on "
        f"{means['covered'][first]:.0%} of the picture ({lifts.iloc[0]:.1f} times an even map); the {least} least "
        f"({lifts.iloc[-1]:.1f} times)."
    ]
    mass = scores[(scores["class"] == ALL_CLASSES) & (scores["score"] == "relevance_mass")].iloc[0]
    if not mass["n"]:
        return told
    if mass["lift_low"] > 0:
        judged = "more than an even map"
    elif mass["lift_high"] < 0:
        judged = "less than an even map"
    else:
        judged = "no more than an even map"
    told.append(
        f"{mass['value']:.0%} [{mass['low']:.0%}, {mass['high']:.0%}] of the map lies in the parts of the face that "
        f"carry the expression by FACS: {judged} ({mass['even']:.0%})."
    )
    return told


def empty_maps(study: SaliencyStudy) -> dict[str, float]:
    """Class -> share of its maps without any evidence, 0..1; classes without pictures are left out.

    A CAM is empty where everything in its layer speaks against the class. Shares and means leave such maps out.
    """
    empty = ~np.isfinite(study.shares[:, 0])
    counts = {name: study.y_true == index for index, name in enumerate(study.class_names)}
    return {name: float(empty[of_class].mean()) for name, of_class in counts.items() if of_class.any()}


def disagreement(a: SaliencyStudy, b: SaliencyStudy, *, n_boot: int = 1000, seed: int = 0) -> Disagreement:
    """Pictures that both models recognise, by how alike their maps are.

    Similarity is the cosine between the two coarse maps in FER2013's frame, 0..1.

    Raises:
        RunError: the studies share no picture that both recognise.
    """
    positions = {sample: place for place, sample in enumerate(b.sample_ids.tolist())}
    pairs = [(place, positions[sample]) for place, sample in enumerate(a.sample_ids.tolist()) if sample in positions]
    rows_a, rows_b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    labels_a, labels_b = (np.array(study.class_names)[study.y_true] for study in (a, b))
    usable = a.right[rows_a] & b.right[rows_b] & (labels_a[rows_a] == labels_b[rows_b])
    usable &= a.coarse[rows_a].any(axis=(1, 2)) & b.coarse[rows_b].any(axis=(1, 2))
    rows_a, rows_b = rows_a[usable], rows_b[usable]
    if not len(rows_a):
        raise RunError(
            f"{a.name} and {b.name} share no picture that both models recognise.", "Choose two studies of one split."
        )
    maps_a, maps_b = _unit(a.coarse[rows_a]), _unit(b.coarse[rows_b])
    similarity = (maps_a * maps_b).sum(axis=1)
    labels = labels_a[rows_a]
    low, high = _edges(similarity[:, None], n_boot)
    frame = pd.DataFrame(
        {
            "sample_id": a.sample_ids[rows_a],
            "class": labels,
            "similarity": similarity,
            "prob_a": a.probs[rows_a].astype(np.float64),
            "prob_b": b.probs[rows_b].astype(np.float64),
            "a": rows_a,
            "b": rows_b,
        }
    )
    others = _others_of_class(labels, seed)
    shuffled = float((maps_a * maps_b[others]).sum(axis=1).mean())
    frame = frame.sort_values(["similarity", "sample_id"], ignore_index=True)
    return Disagreement(frame, float(similarity.mean()), float(low[0]), float(high[0]), shuffled)


def _chosen(study: SaliencyStudy, which: str) -> np.ndarray:
    return study.right if which == RIGHT else np.ones(len(study.y_true), bool)


def _edges(values: np.ndarray, n_boot: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap interval of the mean of each column of (N, D): two of (D,)."""
    if not len(values):
        return (np.full(values.shape[1], np.nan),) * 2
    draws, means = _draws(len(values), n_boot), np.empty((n_boot, values.shape[1]))
    for start in range(0, n_boot, DRAWN_AT_ONCE):
        some = slice(start, start + DRAWN_AT_ONCE)
        means[some] = draws[some].astype(np.float64) @ values
    low, high = np.percentile(means / len(values), [2.5, 97.5], axis=0)
    return low, high


@lru_cache(maxsize=32)
def _draws(n: int, n_boot: int) -> np.ndarray:
    """:func:`fer_core.metrics.draw_counts`, kept: studies of a split mostly have equally many pictures."""
    draws = metrics.draw_counts(n, n_boot, seed=0)
    draws.flags.writeable = False
    return draws


def _unit(maps: np.ndarray) -> np.ndarray:
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def _others_of_class(labels: Sequence[str], seed: int) -> np.ndarray:
    """For each picture another one of its class (itself where it is the only one): int64 (N,)."""
    rng, labels = np.random.default_rng(seed), np.asarray(labels)
    others = np.arange(len(labels))
    for name in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == name))
        others[own] = np.roll(own, 1)
    return others
