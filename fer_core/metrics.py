"""Every number that FERscope reports about a classifier, as pure functions of :class:`Predictions`.

Each metric takes ``(predictions, weights=None)``. Without weights it returns one float. ``weights`` (N, B) says how
often each of the N samples stands in each of B bootstrap resamples; then the metric returns one value per resample,
float64 (B,). Point estimate and interval thus come from the same code.

All metrics run over all K classes, whether or not each occurs (scikit-learn's ``labels=range(K)``). A division by
zero counts as 0, as in scikit-learn's ``zero_division=0``, unless the metric's own docstring says otherwise.
"""

import math
from collections.abc import Callable

import numpy as np

from fer_core.errors import ConfigError, RunError
from fer_core.predictions import Predictions

ECE_BINS = 15
FEWEST = 20  # samples for a bootstrap interval of a mean: resamples of fewer hardly differ
Z_95 = 1.959964  # 97.5 % point of the standard normal distribution
COUNTED_AT_ONCE = 2**14  # counters that fit a core's first cache
Metric = Callable[..., "float | np.ndarray"]


def confusion_matrix(predictions: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Counts, rows true and columns predicted: int64 (K, K), or float64 (B, K, K) with ``weights`` (N, B)."""
    k = len(predictions.class_names)
    cell = predictions.y_true * k + predictions.y_pred
    if weights is None:
        return np.bincount(cell, minlength=k * k).reshape(k, k)
    return _bin_sums(np.ones(len(cell)), cell, k * k, weights).T.reshape(-1, k, k)


def accuracy(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Share of samples whose most probable class is the true one."""
    counts = confusion_matrix(predictions, weights)
    return _plain(_ratio(_hits(counts).sum(-1), counts.sum((-2, -1))))


def balanced_accuracy(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Mean recall over the classes that occur in ``y_true``; absent classes have no recall and are left out."""
    counts = confusion_matrix(predictions, weights)
    support = counts.sum(-1)
    return _plain(_ratio(_ratio(_hits(counts), support).sum(-1), (support > 0).sum(-1)))


def macro_f1(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Unweighted mean of the K per-class F1 scores."""
    return _plain(f1(predictions, weights).mean(-1))


def weighted_f1(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Mean of the K per-class F1 scores, weighted by support."""
    counts = confusion_matrix(predictions, weights)
    support = counts.sum(-1)
    return _plain(_ratio((_f1(counts) * support).sum(-1), support.sum(-1)))


def precision(predictions: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Per class, TP / (TP + FP): float64 (K,), or (B, K)."""
    counts = confusion_matrix(predictions, weights)
    return _ratio(_hits(counts), counts.sum(-2))


def recall(predictions: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Per class, TP / (TP + FN), the true positive rate: float64 (K,), or (B, K)."""
    counts = confusion_matrix(predictions, weights)
    return _ratio(_hits(counts), counts.sum(-1))


def f1(predictions: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Per class, 2 TP / (2 TP + FP + FN): float64 (K,), or (B, K)."""
    return _f1(confusion_matrix(predictions, weights))


def support(predictions: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Per class, the number of samples that truly are of it: (K,), or (B, K)."""
    return confusion_matrix(predictions, weights).sum(-1)


def mean_tpr(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Macro mean of the K true positive rates; an absent class counts as 0 (macro recall)."""
    return _plain(recall(predictions, weights).mean(-1))


def mean_fpr(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Macro mean of the K false positive rates FP / (FP + TN), one class against the rest."""
    counts = confusion_matrix(predictions, weights)
    false_positives = counts.sum(-2) - _hits(counts)
    negatives = counts.sum((-2, -1))[..., None] - counts.sum(-1)
    return _plain(_ratio(false_positives, negatives).mean(-1))


def class_roc_auc(predictions: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under each class's one-vs-rest ROC curve: float64 (K,), or (B, K).

    The Mann-Whitney form with ties counted half (Hanley and McNeil 1982). NaN where a class is absent from
    ``y_true`` or makes up all of it, because then the curve does not exist.
    """
    columns = _columns(predictions, weights)
    areas = [
        _roc_auc(scores, predictions.y_true == index, columns)
        for index, scores in enumerate(predictions.pred_probs.T.astype(np.float64))
    ]
    areas = np.stack(areas, axis=-1)
    return areas[0] if weights is None else areas


def roc_auc(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Macro mean of the one-vs-rest areas over the classes that have one; NaN where none has."""
    areas = class_roc_auc(predictions, weights)
    exists = np.isfinite(areas)
    mean = np.where(exists, areas, 0.0).sum(-1) / np.maximum(exists.sum(-1), 1)
    return _plain(np.where(exists.any(-1), mean, np.nan))


def log_loss(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Mean of -ln p(true class), p clipped to [eps, 1 - eps] with float64's eps, as scikit-learn does."""
    eps = np.finfo(np.float64).eps
    return _mean(-np.log(np.clip(_true_probs(predictions), eps, 1.0 - eps)), weights)


def brier_score(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Mean over samples of the squared error summed over all K classes: 0 is perfect, 2 the worst (Brier 1950)."""
    target = np.eye(len(predictions.class_names))[predictions.y_true]
    return _mean(((predictions.pred_probs.astype(np.float64) - target) ** 2).sum(1), weights)


def ece(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Expected calibration error: 15 equal-width bins (lower, upper] of confidence (Guo et al. 2017, eq. 3)."""
    columns = _columns(predictions, weights)
    confidence, correct, bins = _calibration(predictions)
    values = np.abs(_bin_sums(correct - confidence, bins, ECE_BINS, columns)).sum(0) / columns.sum(0)
    return float(values[0]) if weights is None else values


def class_ece(predictions: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Class-wise expected calibration error: float64 (K,), or (B, K).

    Of each class k, its probability on *all* samples, in 15 equal-width bins (lower, upper], against whether they are
    of the class (classwise-ECE of Kull et al. 2019, section 2, before its mean over classes; Nixon et al. 2019).
    To take only the samples of a class would punish a perfectly calibrated model: its other answers are missing.
    """
    return calibration_errors(predictions, weights)[1]


def calibration_errors(
    predictions: Predictions, weights: np.ndarray | None = None
) -> tuple[float | np.ndarray, np.ndarray]:
    """:func:`ece` and :func:`class_ece` in one pass over the weights, which takes longest."""
    columns, k = _columns(predictions, weights), len(predictions.class_names)
    probs = predictions.pred_probs.astype(np.float64)
    confidence, correct, bins = _calibration(predictions)
    gaps = np.column_stack([np.eye(k)[predictions.y_true] - probs, correct - confidence])
    bins = np.column_stack([_bins(probs), bins]) + ECE_BINS * np.arange(k + 1)
    sums = _bin_sums(gaps, bins, (k + 1) * ECE_BINS, columns).reshape(k + 1, ECE_BINS, -1)
    values = (np.abs(sums).sum(1) / columns.sum(0)).T
    return (float(values[0, k]), values[0, :k]) if weights is None else (values[:, k], values[:, :k])


def top2_accuracy(predictions: Predictions, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Share of samples whose true class is among the two most probable; ties go to the earlier class, as in argmax."""
    top2 = np.argsort(-predictions.pred_probs, axis=1, kind="stable")[:, :2]
    return _mean((top2 == predictions.y_true[:, None]).any(1).astype(np.float64), weights)


def discrepancy(train_accuracy: float, val_accuracy: float) -> float:
    """Train accuracy minus validation accuracy: how much a model has learnt by heart.

    Ugwu's "Difference between Training accuracy and Validation accuracy" (below his Table 1), which takes both from the
    last row of Keras' log. It means nothing unless both are of the same weights and the same views of a picture.
    """
    return float(train_accuracy) - float(val_accuracy)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "weighted_f1": weighted_f1,
    "roc_auc": roc_auc,
    "mean_tpr": mean_tpr,
    "mean_fpr": mean_fpr,
    "log_loss": log_loss,
    "brier_score": brier_score,
    "ece": ece,
    "top2_accuracy": top2_accuracy,
}
LOWER_IS_BETTER: frozenset[str] = frozenset({"mean_fpr", "log_loss", "brier_score", "ece"})


def resamples(n: int, n_boot: int, seed: int = 0) -> np.ndarray:
    """Bootstrap weights float64 (n, n_boot): how often each sample is drawn in ``n`` draws with replacement.

    Raises:
        ConfigError: ``n`` or ``n_boot`` is below 1.
    """
    return draw_counts(n, n_boot, seed).T.astype(np.float64, order="C")


def draw_counts(n: int, n_boot: int, seed: int = 0) -> np.ndarray:
    """:func:`resamples` as they are drawn, a row each, in an eighth of the memory: uint8 (n_boot, n).

    Raises:
        ConfigError: ``n`` or ``n_boot`` is below 1.
    """
    if n < 1 or n_boot < 1:
        raise ConfigError(f"A bootstrap needs samples and resamples. Received n={n}, n_boot={n_boot}.")
    drawn = np.random.default_rng(seed).integers(0, n, size=(n_boot, n))
    counts = np.empty((n_boot, n), np.uint8)  # nothing is drawn 256 times
    rows = max(COUNTED_AT_ONCE // n, 1)
    drawn += n * (np.arange(n_boot) % rows)[:, None]
    for start in range(0, n_boot, rows):
        part = drawn[start : start + rows]
        counts[start : start + rows] = np.bincount(part.ravel(), minlength=part.size).reshape(part.shape)
    return counts


def interval(values: np.ndarray, level: float = 0.95) -> list[float] | None:
    """Percentile interval [low, high] of bootstrap ``values`` (B,), NaN left out; None where none is left."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    tail = 50.0 * (1.0 - level)
    return [float(edge) for edge in np.percentile(finite, [tail, 100.0 - tail])]


def basic_interval(value: float, values: np.ndarray, least: float = -math.inf) -> list[float] | None:
    """Basic interval of ``value`` from its bootstrap ``values`` (B,): 2 x value - their percentiles.

    For a statistic that resampling pushes to one side, as it does the calibration error, a percentile interval may
    leave out the value itself (Davison and Hinkley 1997, section 5.2). This one begins at ``least`` and is widened to
    hold ``value``, which few samples can push as far.
    """
    edges = interval(values)
    return edges and [max(min(2 * value - edges[1], value), least), max(2 * value - edges[0], value)]


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of ``n`` independent samples (Wilson 1927); NaN for n = 0.

    It holds for few samples and for shares of 0 and 1 too, where a bootstrap has no width.
    """
    if n < 1 or not math.isfinite(share):
        return math.nan, math.nan
    centre = share + Z_95**2 / (2 * n)
    reach = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    scale = 1 + Z_95**2 / n
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)  # rounding leads beyond


def evaluate(predictions: Predictions, *, n_boot: int = 1000, seed: int = 0) -> dict:
    """All metrics of one split, as plain JSON types.

    Args:
        predictions: of one split; at least one sample.
        n_boot: bootstrap resamples behind the 95 % intervals, percentile ones but for ``ece``, whose are basic ones
            (:func:`basic_interval`); 0 leaves ``intervals`` empty.
        seed: of the resampling.

    Returns:
        ``n``; each of :data:`METRICS` (None where undefined); ``per_class`` {name: precision, recall, f1, roc_auc,
        support, f1_interval}; ``confusion_matrix`` as K lists of K counts; ``intervals`` {metric: [low, high]}.

    Raises:
        RunError: there is no sample.
    """
    if not len(predictions):
        raise RunError("There are no predictions to evaluate.", "Predict at least one labelled picture.")
    record: dict = {"n": len(predictions)}
    record |= {name: _json(metric(predictions)) for name, metric in METRICS.items()}
    record["confusion_matrix"] = confusion_matrix(predictions).tolist()
    record["per_class"] = _per_class(predictions)
    record["intervals"] = {}
    if n_boot:
        weights = resamples(len(predictions), n_boot, seed)
        record["intervals"] = {name: interval(metric(predictions, weights)) for name, metric in METRICS.items()}
        record["intervals"]["ece"] = basic_interval(record["ece"], ece(predictions, weights), least=0.0)
        for name, values in zip(predictions.class_names, f1(predictions, weights).T, strict=True):
            record["per_class"][name]["f1_interval"] = interval(values)
    return record


def reliability(predictions: Predictions) -> dict[str, np.ndarray]:
    """What :func:`ece` sums up: per bin ``lower`` and ``upper`` edge, ``count``, mean ``confidence`` and ``accuracy``.

    Every array is (15,); mean confidence and accuracy are NaN in an empty bin.
    """
    confidence, correct, bins = _calibration(predictions)
    count = np.bincount(bins, minlength=ECE_BINS)
    edges = np.linspace(0.0, 1.0, ECE_BINS + 1)
    with np.errstate(invalid="ignore"):
        return {
            "lower": edges[:-1],
            "upper": edges[1:],
            "count": count,
            "confidence": np.bincount(bins, weights=confidence, minlength=ECE_BINS) / count,
            "accuracy": np.bincount(bins, weights=correct, minlength=ECE_BINS) / count,
        }


def _per_class(predictions: Predictions) -> dict[str, dict]:
    columns = {
        "precision": precision(predictions),
        "recall": recall(predictions),
        "f1": f1(predictions),
        "roc_auc": class_roc_auc(predictions),
    }
    counts = support(predictions)
    return {
        name: {key: _json(values[i]) for key, values in columns.items()} | {"support": int(counts[i])}
        for i, name in enumerate(predictions.class_names)
    }


def _calibration(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, hit (0 or 1) and bin of each sample, (N,) each."""
    confidence = predictions.confidence.astype(np.float64)
    correct = (predictions.y_pred == predictions.y_true).astype(np.float64)
    return confidence, correct, _bins(confidence)


def _bin_sums(values: np.ndarray, bins: np.ndarray, n_bins: int, weights: np.ndarray) -> np.ndarray:
    """Weighted sum of ``values`` (N,) or (N, M) in each of their ``bins``: (n_bins, B) for ``weights`` (N, B)."""
    # a sample lies in few of the bins: a dense product would take longer, and so would one by rows, which reads the
    # large weights again for each bin
    from scipy.sparse import csc_matrix

    per_sample = values[0].size if len(values) else 0
    first = np.arange(len(values) + 1) * per_sample
    return csc_matrix((values.ravel(), bins.ravel(), first), shape=(n_bins, len(values))) @ weights


def _bins(probs: np.ndarray) -> np.ndarray:
    """The bin (lower, upper] of each probability; 0 lies in the first."""
    return np.clip(np.ceil(probs * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)


def _roc_auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area (B,) of one class; ``scores`` and ``positive`` (N,), ``weights`` (N, B)."""
    order = np.argsort(scores, kind="stable")
    scores, positive = scores[order], positive[order]
    weights = weights[order]
    # negatives_below[i]: weight of the negatives among the i lowest scores
    negatives_below = np.zeros((len(scores) + 1, weights.shape[1]))
    np.cumsum(weights * ~positive[:, None], axis=0, out=negatives_below[1:])
    tied_from = np.searchsorted(scores, scores[positive], side="left")
    tied_to = np.searchsorted(scores, scores[positive], side="right")
    of_positives = weights[positive]
    wins = (of_positives * (negatives_below[tied_from] + negatives_below[tied_to])).sum(0) / 2.0
    pairs = of_positives.sum(0) * negatives_below[-1]
    return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _columns(predictions: Predictions, weights: np.ndarray | None) -> np.ndarray:
    return np.ones((len(predictions), 1)) if weights is None else weights


def _mean(values: np.ndarray, weights: np.ndarray | None) -> float | np.ndarray:
    return float(values.mean()) if weights is None else (values @ weights) / weights.sum(0)


def _true_probs(predictions: Predictions) -> np.ndarray:
    return predictions.pred_probs[np.arange(len(predictions)), predictions.y_true].astype(np.float64)


def _hits(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _f1(counts: np.ndarray) -> np.ndarray:
    return _ratio(2.0 * _hits(counts), counts.sum(-1) + counts.sum(-2))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _plain(values: np.ndarray) -> float | np.ndarray:
    return float(values) if np.ndim(values) == 0 else values


def _json(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
