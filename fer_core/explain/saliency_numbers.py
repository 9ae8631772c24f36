"""Every number of a saliency study, computed from its maps: shares per region, agreement with FACS, disagreement.

Intervals are 95 % percentile bootstrap intervals over the pictures, NaN where there are fewer than ``metrics.FEWEST``;
then nothing is said to be more than chance. What a map that is the same everywhere would reach
stands beside each number: a large region has a large share whatever the model does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.errors import RunError
from fer_core.explain.action_units import PROTOTYPES, SCORES, prototype
from fer_core.explain.ranking import Ranking, rank_resampled
from fer_core.explain.saliency_study import SaliencyStudy
from fer_core.metrics import FEWEST
from fer_core.regions import ELSEWHERE, PLACES

EVERY, RIGHT = "all pictures", "rightly recognised"
SAME = {RIGHT: "recognise", EVERY: "take for the same expression"}
ALL_CLASSES = "all"
DRAWN_AT_ONCE = 64  # resamples whose weights are made float at a time: more leave the cache
SHARE_COLUMNS = ("class", "region", "n", "share", "low", "high", "area", "lift", "lift_low", "lift_high", "prototype")
SCORE_COLUMNS = ("class", "score", "n", "value", "low", "high", "even", "lift", "lift_low", "lift_high")


@dataclass(frozen=True)
class Disagreement:
    """Where two models look, on pictures that both recognise, or that both take for the same expression.

    Attributes:
        pictures: a row per picture, the least alike first: sample_id, class, predicted, similarity, prob_a, prob_b (of
            the true class, which the maps explain); ``a``, ``b`` (its rows in either study).
        mean, low, high: similarity over all of them.
        shuffled: mean similarity of maps of *different* pictures of one class: what habit alone would give; NaN where
            there is but one picture of each.
    """

    pictures: pd.DataFrame
    mean: float
    low: float
    high: float
    shuffled: float
    which: str = RIGHT


def share_rows(study: SaliencyStudy, which: str = EVERY, n_boot: int = 1000) -> pd.DataFrame:
    """Share of the maps in each region, per expression, beside the FACS prototype.

    Args:
        which: :data:`EVERY` or :data:`RIGHT`.

    Returns:
        Columns :data:`SHARE_COLUMNS`, a row per class and place: mean share with interval, the share of the picture
        that the place covers (``area``), ``lift`` (share / area; 1 means no preference) with interval, and the
        prototype's weight (NaN for neutral and for ``elsewhere``).
    """
    rows = []
    for index, name in enumerate(study.class_names):
        chosen = _chosen(study, which) & (study.y_true == index) & np.isfinite(study.shares[:, 0])
        shares, areas = study.shares[chosen].astype(np.float64), study.areas[chosen].astype(np.float64)
        drawn, areas_drawn = np.hsplit(_drawn(np.hstack([shares, areas]), n_boot), 2)
        (low, high), (lift_low, lift_high) = _percentiles(drawn), _percentiles(_ratio(drawn, areas_drawn))
        weights = prototype(name) or {}
        for place, region in enumerate(PLACES):
            share, area = (float(part[:, place].mean()) if len(part) else np.nan for part in (shares, areas))
            lift = (share / area if area else np.nan, lift_low[place], lift_high[place])
            rows.append((name, region, len(shares), share, low[place], high[place], area, *lift, weights.get(region)))
    frame = pd.DataFrame(rows, columns=list(SHARE_COLUMNS))
    return frame.assign(prototype=frame["prototype"].astype(float))


def lifts(study: SaliencyStudy, which: str = EVERY, n_boot: int = 1000) -> Ranking | None:
    """The regions of the face by share of the maps over share of the picture, of all classes together; None where
    too few maps have evidence for an interval.

    Args:
        which: :data:`EVERY` or :data:`RIGHT`.
    """
    chosen = _chosen(study, which) & np.isfinite(study.shares[:, 0])
    if chosen.sum() < FEWEST:
        return None
    inside = [place for place, region in enumerate(PLACES) if region != ELSEWHERE]
    shares, areas = (part[chosen][:, inside].astype(np.float64) for part in (study.shares, study.areas))
    drawn = _ratio(*np.hsplit(_drawn(np.hstack([shares, areas]), n_boot), 2))
    found = _ratio(shares.mean(axis=0), areas.mean(axis=0))
    known = np.isfinite(found) & np.isfinite(drawn).all(axis=0)  # a region in few pictures is in some resamples nowhere
    covered = {PLACES[place]: at for at, place in enumerate(inside) if known[at]}
    if not covered:
        return None
    return rank_resampled(
        {region: float(found[at]) for region, at in covered.items()},
        {region: drawn[:, at] for region, at in covered.items()},
    )


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


def scored(study: SaliencyStudy, which: str = EVERY, only: str = ALL_CLASSES) -> np.ndarray:
    """Ids of the pictures that have scores: a map with evidence, and an expression with a prototype. str (M,).

    Args:
        which: :data:`EVERY` or :data:`RIGHT`.
        only: of this class, or of :data:`ALL_CLASSES`.
    """
    return study.sample_ids[_scored(study, which) & _of_class(study, only)]


def scored_by_all(studies: Iterable[SaliencyStudy], which: str = EVERY) -> np.ndarray:
    """Ids of the pictures that are :func:`scored` in every one of ``studies`` that :func:`speaks`: str (M,).

    Each model has empty maps of its own, mostly of pictures that are hard for it: only on the same pictures can models
    be compared. One whose maps are all empty has nothing to compare, and would leave none to the others.
    """
    found = [scored(study, which) for study in studies if speaks(study)]
    return reduce(np.intersect1d, found) if found else np.array([], dtype=str)


def shared_rows(studies: Mapping[str, SaliencyStudy], which: str = EVERY, only: str = ALL_CLASSES) -> pd.DataFrame:
    """How many pictures studies can be compared on, and which of them costs most of these.

    Args:
        which: :data:`EVERY` or :data:`RIGHT`.
        only: of this class, or of :data:`ALL_CLASSES`.

    Returns:
        A row per study that :func:`speaks`, the one that leaves out most first: study (its key), own (pictures that it
        has scores of), shared (that all have) and without (that all the others have).
    """
    ids = {name: scored(study, which, only) for name, study in studies.items() if speaks(study)}
    known, counts = np.unique(np.concatenate([np.array([], str), *ids.values()]), return_counts=True)
    shared, nearly = int((counts == len(ids)).sum()), known[counts == len(ids) - 1]
    rows = [(name, len(own), shared, shared + int((~np.isin(nearly, own)).sum())) for name, own in ids.items()]
    frame = pd.DataFrame(rows, columns=["study", "own", "shared", "without"])
    return frame.sort_values(["without", "own"], ascending=[False, True], kind="stable", ignore_index=True)


def speaks(study: SaliencyStudy) -> bool:
    """Whether any map of the study has evidence in it; those of a model that always says the same have none."""
    return bool(len(scored(study)))


def score_rows(
    study: SaliencyStudy,
    which: str = EVERY,
    n_boot: int = 1000,
    only: str | None = None,
    among: np.ndarray | None = None,
) -> pd.DataFrame:
    """Agreement with the prototypes, over all expressions that have one (``all``) and for each.

    Args:
        which: :data:`EVERY` or :data:`RIGHT`.
        only: leave out all rows but those of this class or of :data:`ALL_CLASSES`, which saves their bootstrap.
        among: ids of the pictures to take, see :func:`scored_by_all`; all by default.

    Returns:
        Columns :data:`SCORE_COLUMNS`: the mean of each of ``action_units.SCORES`` with interval, what an even map
        reaches (``even``), and the paired difference to it (``lift``) with interval. Without pictures NaN.
    """
    rows = []
    usable = _scored(study, which) & (True if among is None else np.isin(study.sample_ids, among))
    for name in (ALL_CLASSES, *(name for name in study.class_names if name in PROTOTYPES)):
        if only not in (None, name):
            continue
        chosen = usable & _of_class(study, name)
        own, even = study.scores[chosen].astype(np.float64), study.even_scores[chosen].astype(np.float64)
        low, high = _edges(np.hstack([own, own - even]), n_boot)
        lift_low, lift_high = low[len(SCORES) :], high[len(SCORES) :]
        for place, score in enumerate(SCORES):
            value, base = (float(part[:, place].mean()) if len(part) else np.nan for part in (own, even))
            lift = (value - base, lift_low[place], lift_high[place])
            rows.append((name, score, len(own), value, low[place], high[place], base, *lift))
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def method_rows(rows: Mapping[tuple[str, str], pd.DataFrame], score: str) -> pd.DataFrame:
    """One score of several studies: columns run, method and :data:`SCORE_COLUMNS`, a row per study with pictures.

    Args:
        rows: run and method -> rows of one class of :func:`score_rows`.
        score: of ``action_units.SCORES``.
    """
    found = [one[one["score"] == score].assign(run=run, method=method) for (run, method), one in rows.items()]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["run", "method", *SCORE_COLUMNS])
    return table.loc[table["n"] > 0, ["run", "method", *SCORE_COLUMNS]].reset_index(drop=True)


def empty_maps(study: SaliencyStudy) -> dict[str, float]:
    """Class -> share of its maps without any evidence, 0..1; classes without pictures are left out.

    A CAM is empty where everything in its layer speaks against the class. Shares and means leave such maps out.
    """
    empty = ~np.isfinite(study.shares[:, 0])
    counts = {name: study.y_true == index for index, name in enumerate(study.class_names)}
    return {name: float(empty[of_class].mean()) for name, of_class in counts.items() if of_class.any()}


def disagreement(
    a: SaliencyStudy, b: SaliencyStudy, which: str = RIGHT, *, n_boot: int = 1000, seed: int = 0
) -> Disagreement:
    """Pictures on which two models agree in label, by how alike their maps are.

    Similarity is the cosine between the two coarse maps in FER2013's frame, 0..1.

    Args:
        which: :data:`RIGHT` for pictures that both recognise, :data:`EVERY` for those that both take for the same
            expression, be it the true one or not; maps are of the true one.

    Raises:
        RunError: the studies share no such picture.
    """
    positions = {sample: place for place, sample in enumerate(b.sample_ids.tolist())}
    pairs = [(place, positions[sample]) for place, sample in enumerate(a.sample_ids.tolist()) if sample in positions]
    rows_a, rows_b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    labels_a, labels_b = (np.array(study.class_names)[study.y_true] for study in (a, b))
    said_a, said_b = (np.array(study.class_names)[study.y_pred] for study in (a, b))
    usable = (said_a[rows_a] == said_b[rows_b]) & (labels_a[rows_a] == labels_b[rows_b])
    usable &= a.right[rows_a] | (which == EVERY)
    usable &= a.coarse[rows_a].any(axis=(1, 2)) & b.coarse[rows_b].any(axis=(1, 2))
    rows_a, rows_b = rows_a[usable], rows_b[usable]
    if not len(rows_a):
        raise RunError(
            f"{a.name} and {b.name} share no picture that both models {SAME[which]}.",
            "Choose two studies of one split.",
        )
    maps_a, maps_b = _unit(a.coarse[rows_a]), _unit(b.coarse[rows_b])
    similarity = (maps_a * maps_b).sum(axis=1)
    labels = labels_a[rows_a]
    low, high = _edges(similarity[:, None], n_boot)
    frame = pd.DataFrame(
        {
            "sample_id": a.sample_ids[rows_a],
            "class": labels,
            "predicted": said_a[rows_a],
            "similarity": similarity,
            "prob_a": a.probs[rows_a].astype(np.float64),
            "prob_b": b.probs[rows_b].astype(np.float64),
            "a": rows_a,
            "b": rows_b,
        }
    )
    others = _others_of_class(labels, seed)
    different = others != np.arange(len(others))
    shuffled = float((maps_a * maps_b[others]).sum(axis=1)[different].mean()) if different.any() else float("nan")
    frame = frame.sort_values(["similarity", "sample_id"], ignore_index=True)
    return Disagreement(frame, float(similarity.mean()), float(low[0]), float(high[0]), shuffled, which)


def _chosen(study: SaliencyStudy, which: str) -> np.ndarray:
    return study.right if which == RIGHT else np.ones(len(study.y_true), bool)


def _scored(study: SaliencyStudy, which: str) -> np.ndarray:
    return _chosen(study, which) & np.isfinite(np.hstack([study.scores, study.even_scores])).all(axis=1)


def _of_class(study: SaliencyStudy, name: str) -> np.ndarray:
    """Whether each picture is of this class, or of any with a prototype: bool (N,)."""
    wanted = PROTOTYPES if name == ALL_CLASSES else (name,)
    return np.array([label in wanted for label in study.class_names])[study.y_true]


def _edges(values: np.ndarray, n_boot: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap interval of the mean of each column of (N, D): two of (D,)."""
    return _percentiles(_drawn(values, n_boot))


def _percentiles(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return low, high


def _drawn(values: np.ndarray, n_boot: int) -> np.ndarray:
    """Means of each column of (N, D) in bootstrap resamples: float64 (n_boot, D), NaN with too few rows."""
    if len(values) < FEWEST:
        return np.full((n_boot, values.shape[1]), np.nan)
    draws, means = _draws(len(values), n_boot), np.empty((n_boot, values.shape[1]))
    for start in range(0, n_boot, DRAWN_AT_ONCE):
        some = slice(start, start + DRAWN_AT_ONCE)
        means[some] = draws[some].astype(np.float64) @ values
    return means / len(values)


def _ratio(shares: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Share over area; NaN where a region covers nothing."""
    return np.divide(shares, areas, out=np.full_like(shares, np.nan), where=areas > 0)


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
