"""Whether two classifiers differ by more than chance, and on which pictures: always on shared ``sample_ids``."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.errors import ConfigError, RunError
from fer_core.predictions import Predictions

EXACT_BELOW = 25  # discordant pairs under which the chi-square approximation is poor (Edwards 1948)


@dataclass(frozen=True)
class McNemar:
    """Result of :func:`mcnemar`: ``only_a`` and ``only_b`` count samples that just one of the two got right."""

    n: int
    only_a: int
    only_b: int
    p_value: float
    method: str


@dataclass(frozen=True)
class Difference:
    """Result of :func:`paired_bootstrap`: ``difference`` is a minus b, [``low``, ``high``] its 95 % interval."""

    metric: str
    n: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float


def align(a: Predictions, b: Predictions) -> tuple[Predictions, Predictions]:
    """Both on their shared samples, sorted by id, with the classes of ``a``.

    Raises:
        RunError: they share no sample, have different classes, or give one sample different true classes.
    """
    if set(a.class_names) != set(b.class_names):
        raise RunError(f"The runs know different classes: {list(a.class_names)} and {list(b.class_names)}.")
    if a.class_names != b.class_names:
        columns = [b.class_names.index(name) for name in a.class_names]
        b = Predictions(b.sample_ids, np.argsort(columns)[b.y_true], b.pred_probs[:, columns], a.class_names)
    shared, in_a, in_b = np.intersect1d(a.sample_ids, b.sample_ids, assume_unique=True, return_indices=True)
    if not len(shared):
        raise RunError("The runs share no pictures.", "Compare runs of the same dataset and split.")
    a, b = a.take(in_a), b.take(in_b)
    contradicting = shared[a.y_true != b.y_true]
    if len(contradicting):
        raise RunError(
            f"The runs disagree about the true class of {len(contradicting)} pictures, e.g. {contradicting[0]}.",
            "They were evaluated on different labels: evaluate both on the same registered dataset.",
        )
    return a, b


def mcnemar(a: Predictions, b: Predictions) -> McNemar:
    """McNemar's test of equal accuracy on paired samples (McNemar 1947).

    Exact binomial below 25 discordant pairs; else chi-square with one degree of freedom and Edwards' continuity
    correction, (\\|only_a - only_b\\| - 1)^2 / (only_a + only_b).
    """
    if not _alike(a, b):
        a, b = align(a, b)
    right_a, right_b = a.y_pred == a.y_true, b.y_pred == b.y_true
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return McNemar(len(a), only_a, only_b, *_mcnemar_p(only_a, only_b))


def paired_bootstrap(
    a: Predictions, b: Predictions, metric: str = "accuracy", *, n_boot: int = 1000, seed: int = 0
) -> Difference:
    """Difference of one of :data:`metrics.METRICS` with its 95 % percentile interval and two-sided p.

    That of ECE, which resampling pushes upwards, has its basic interval, and the p that goes with it. Both classifiers
    are resampled together. p is twice the smaller share of resamples on either side of zero, counted
    with the observed one: 2 (1 + #) / (n_boot + 1), at most 1 (Davison and Hinkley 1997, section 4.2).

    Raises:
        ConfigError: there is no such metric.
        RunError: see :func:`align`, or the metric is undefined on these samples.
    """
    if metric not in metrics.METRICS:
        raise ConfigError(f"Unknown metric {metric!r}.", f"Expected one of {', '.join(metrics.METRICS)}.")
    a, b = align(a, b)
    return _difference(a, b, metric, metrics.resamples(len(a), n_boot, seed))


def differences(
    a: Predictions,
    b: Predictions,
    names: Iterable[str] = tuple(metrics.METRICS),
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """:func:`paired_bootstrap` of several metrics on the same resamples, one row each; undefined ones are left out.

    A column ``better`` says "a" or "b" where the interval leaves out 0, else "neither".
    """
    a, b = align(a, b)
    weights = metrics.resamples(len(a), n_boot, seed)
    rows = []
    for name in names:
        try:
            result = _difference(a, b, name, weights)
            rows.append(asdict(result) | {"better": _better(result)})
        except RunError:
            continue
    return pd.DataFrame(rows)


def all_pairs(
    runs: Mapping[str, Predictions], metric: str = "accuracy", *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Every pair of ``runs``: bootstrap difference, McNemar's p, and that p corrected for the number of pairs (Holm).

    Columns: a, b, n, metric, value_a, value_b, difference, low, high, bootstrap_p, only_a, only_b, mcnemar_p, method,
    holm_p.
    """
    rows = []
    for name_a, name_b in combinations(runs, 2):
        pair = paired_bootstrap(runs[name_a], runs[name_b], metric, n_boot=n_boot, seed=seed)
        test = mcnemar(runs[name_a], runs[name_b])
        rows.append(
            {
                "a": name_a,
                "b": name_b,
                "n": pair.n,
                "metric": metric,
                "value_a": pair.a,
                "value_b": pair.b,
                "difference": pair.difference,
                "low": pair.low,
                "high": pair.high,
                "bootstrap_p": pair.p_value,
                "only_a": test.only_a,
                "only_b": test.only_b,
                "mcnemar_p": test.p_value,
                "method": test.method,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.assign(holm_p=holm(frame["mcnemar_p"].to_numpy())) if rows else frame


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's (1979) step-down correction of ``p_values`` (M,): float64 (M,), at most 1."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(stepped)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected


def disagreements(a: Predictions, b: Predictions) -> pd.DataFrame:
    """Samples for which the two predict different classes, the most confident contradictions first.

    Columns: sample_id, true, pred_a, confidence_a, pred_b, confidence_b, right ("a", "b" or "neither").
    """
    a, b = align(a, b)
    differ = np.flatnonzero(a.y_pred != b.y_pred)
    certainty = np.minimum(a.confidence[differ], b.confidence[differ])
    differ = differ[np.argsort(-certainty, kind="stable")]
    a, b = a.take(differ), b.take(differ)
    names = np.array(a.class_names)
    return pd.DataFrame(
        {
            "sample_id": a.sample_ids,
            "true": names[a.y_true],
            "pred_a": names[a.y_pred],
            "confidence_a": a.confidence,
            "pred_b": names[b.y_pred],
            "confidence_b": b.confidence,
            "right": np.select([a.y_pred == a.y_true, b.y_pred == b.y_true], ["a", "b"], "neither"),
        }
    )


def _better(result: Difference) -> str:
    if result.low <= 0.0 <= result.high:
        return "neither"
    return "a" if (result.difference > 0) != (result.metric in metrics.LOWER_IS_BETTER) else "b"


def _alike(a: Predictions, b: Predictions) -> bool:
    """Whether both are of the same pictures and classes in the same order, as those of one study are."""
    same = a.class_names == b.class_names and np.array_equal(a.y_true, b.y_true)
    return same and np.array_equal(a.sample_ids, b.sample_ids)


def _mcnemar_p(only_a: int, only_b: int) -> tuple[float, str]:
    discordant = only_a + only_b
    if discordant < EXACT_BELOW:
        tail = sum(math.comb(discordant, k) for k in range(min(only_a, only_b) + 1)) / 2**discordant
        return min(1.0, 2.0 * tail), "exact binomial"
    statistic = (abs(only_a - only_b) - 1.0) ** 2 / discordant
    return math.erfc(math.sqrt(statistic / 2)), "chi-square, continuity corrected"


def _difference(a: Predictions, b: Predictions, metric: str, weights: np.ndarray) -> Difference:
    measure = metrics.METRICS[metric]
    value_a, value_b = measure(a), measure(b)
    resampled = measure(a, weights) - measure(b, weights)
    difference = value_a - value_b
    edges = metrics.interval(resampled)
    if edges is None or not np.isfinite(difference):
        raise RunError(f"{metric} is undefined on the {len(a)} shared pictures.", "Compare on more classes.")
    finite = resampled[np.isfinite(resampled)]
    if metric == "ece":  # resampling pushes it upwards, that of the better calibrated one most
        edges, finite = metrics.basic_interval(difference, resampled), 2 * difference - finite
    rarer = min((finite <= 0).sum(), (finite >= 0).sum())
    p_value = min(1.0, 2.0 * (1.0 + rarer) / (len(finite) + 1.0))
    return Difference(metric, len(a), value_a, value_b, difference, *edges, float(p_value))
