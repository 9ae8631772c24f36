"""Tables about stored runs in the shapes that charts and pages draw."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.artifacts import Run
from fer_core.comparison import align
from fer_core.errors import ConfigError
from fer_core.predictions import Predictions

CLASS_MEASURES: tuple[str, ...] = ("f1", "precision", "recall", "roc_auc")
CONFUSION_KINDS: tuple[str, ...] = ("counts", "rows")


def metric_rows(runs: Iterable[Run], split: str, names: Iterable[str] = tuple(metrics.METRICS)) -> pd.DataFrame:
    """Columns run, metric, value, low, high: one row per run and metric that is defined."""
    names = tuple(names)
    rows = []
    for run in runs:
        record = run.metrics(split)
        for name in names:
            if record.get(name) is not None:
                low, high = (record.get("intervals") or {}).get(name) or (np.nan, np.nan)
                rows.append({"run": run.name, "metric": name, "value": record[name], "low": low, "high": high})
    return pd.DataFrame(rows, columns=["run", "metric", "value", "low", "high"])


def class_rows(runs: Iterable[Run], split: str, measure: str = "f1") -> pd.DataFrame:
    """Columns run, class, support, value, low, high; only F1 has an interval.

    Raises:
        ConfigError: ``measure`` is none of :data:`CLASS_MEASURES`.
    """
    if measure not in CLASS_MEASURES:
        raise ConfigError(f"Unknown measure {measure!r}.", f"Expected one of {', '.join(CLASS_MEASURES)}.")
    rows = []
    for run in runs:
        for name, values in run.metrics(split)["per_class"].items():
            low, high = (values.get(f"{measure}_interval") or (np.nan, np.nan)) if measure == "f1" else (np.nan, np.nan)
            row = {"run": run.name, "class": name, "support": values["support"], "value": values[measure]}
            rows.append(row | {"low": low, "high": high})
    frame = pd.DataFrame(rows, columns=["run", "class", "support", "value", "low", "high"])
    return frame.astype({"value": float, "low": float, "high": float})


def confusion(predictions: Predictions, kind: str = "counts") -> np.ndarray:
    """Confusion matrix (K, K): ``counts``, or ``rows`` where each row is shares of its true class (0 if absent).

    Raises:
        ConfigError: another ``kind``.
    """
    if kind not in CONFUSION_KINDS:
        raise ConfigError(f"Unknown kind {kind!r}.", f"Expected one of {', '.join(CONFUSION_KINDS)}.")
    counts = metrics.confusion_matrix(predictions)
    return counts if kind == "counts" else counts / np.maximum(counts.sum(1, keepdims=True), 1)


def confusion_difference(a: Predictions, b: Predictions, kind: str = "counts") -> np.ndarray:
    """:func:`confusion` of ``a`` minus that of ``b``, both on the pictures they share."""
    a, b = align(a, b)
    return confusion(a, kind) - confusion(b, kind)


def confusion_frame(matrix: np.ndarray, class_names: Iterable[str]) -> pd.DataFrame:
    """The matrix as a table: index ``true``, a column per predicted class."""
    names = list(class_names)
    return pd.DataFrame(matrix, index=pd.Index(names, name="true"), columns=names)


def cell_samples(predictions: Predictions, true: int, predicted: int) -> pd.DataFrame:
    """Samples of one cell, most confident first: sample_id, true, predicted, confidence, p_true."""
    where = np.flatnonzero((predictions.y_true == true) & (predictions.y_pred == predicted))
    where = where[np.argsort(-predictions.confidence[where], kind="stable")]
    cell, names = predictions.take(where), np.array(predictions.class_names)
    return pd.DataFrame(
        {
            "sample_id": cell.sample_ids,
            "true": names[cell.y_true],
            "predicted": names[cell.y_pred],
            "confidence": cell.confidence,
            "p_true": cell.pred_probs[:, true] if len(cell) else np.zeros(0, np.float32),
        }
    )


def cell_differences(a: Predictions, b: Predictions, true: int, predicted: int) -> pd.DataFrame:
    """Samples of one true class that only one of the two predicts as ``predicted``, most confident first.

    Columns: sample_id, true, only ("a" or "b"), pred_a, confidence_a, pred_b, confidence_b.
    """
    a, b = align(a, b)
    in_a, in_b = a.y_pred == predicted, b.y_pred == predicted
    where = np.flatnonzero((a.y_true == true) & (in_a != in_b))
    certainty = np.where(in_a[where], a.confidence[where], b.confidence[where])
    where = where[np.argsort(-certainty, kind="stable")]
    names, in_a, a, b = np.array(a.class_names), in_a[where], a.take(where), b.take(where)
    return pd.DataFrame(
        {
            "sample_id": a.sample_ids,
            "true": names[a.y_true],
            "only": np.where(in_a, "a", "b"),
            "pred_a": names[a.y_pred],
            "confidence_a": a.confidence,
            "pred_b": names[b.y_pred],
            "confidence_b": b.confidence,
        }
    )


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """What :func:`fer_core.artifacts.runs_frame` returns, as the Models page shows it.

    Columns: run, accuracy, interval (text), altered (where any run's pictures are), macro_f1, roc_auc, mean_tpr,
    mean_fpr, F1 per class, parameters, size_mb (of shipped weights), latency_ms, discrepancy, model, dataset, n, date.
    Numbers stay numbers, so that they sort.
    """
    if frame.empty:
        return frame
    edges = zip(frame["accuracy_low"], frame["accuracy_high"], strict=True)
    shown = {"run": frame["name"], "accuracy": frame["accuracy"]}
    shown["interval"] = [f"{100 * low:.1f} – {100 * high:.1f} %" if np.isfinite(low) else "" for low, high in edges]
    shown |= {"altered": frame["altered"]} if frame["altered"].any() else {}
    shown |= {name: frame[name] for name in ("macro_f1", "roc_auc", "mean_tpr", "mean_fpr")}
    shown |= {column: frame[column] for column in frame if column.startswith("f1_")}
    shown |= {"parameters": frame["param_count"], "size_mb": frame["weights_bytes"] / 1e6}
    shown |= {name: frame[name] for name in ("latency_ms", "discrepancy", "model", "dataset", "n", "date")}
    return pd.DataFrame(shown)


def find_cell(matrix: np.ndarray, true: int | None = None, predicted: int | None = None) -> tuple[int, int]:
    """Cell (true, predicted) to look at: as given; what is not given is where confusion is largest.

    That is the largest absolute value off the diagonal, among the cells of the given row or column.
    """
    sizes = np.abs(np.asarray(matrix, dtype=np.float64))
    if true is None or predicted is None:
        np.fill_diagonal(sizes, -1.0)
    excluded = np.ones(sizes.shape, dtype=bool)
    excluded[slice(None) if true is None else true, slice(None) if predicted is None else predicted] = False
    row, column = np.unravel_index(np.where(excluded, -2.0, sizes).argmax(), sizes.shape)
    return int(row), int(column)


def positions(known_ids: np.ndarray, wanted_ids: np.ndarray) -> np.ndarray | None:
    """Where each of ``wanted_ids`` stands in ``known_ids``: int64 (M,); None unless all of them are there."""
    order = {sample_id: place for place, sample_id in enumerate(np.asarray(known_ids).tolist())}
    places = [order.get(sample_id, -1) for sample_id in np.asarray(wanted_ids).tolist()]
    return None if -1 in places else np.array(places, dtype=np.int64)
