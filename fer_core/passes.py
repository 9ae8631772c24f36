"""Which pass of a training is kept, told by its rows: those of ``history.csv``."""

import math
from collections.abc import Mapping, Sequence


def best_pass(rows: Sequence[Mapping], monitor: str) -> int:
    """Position of the best of ``rows`` at the size of the last one, the first of equals.

    What was learned at another size would be served at one it has not seen.

    Args:
        rows: one per pass, not empty, with ``size``, ``val_accuracy`` and ``val_loss``.
        monitor: ``val_accuracy`` (higher is better) or ``val_loss`` (lower is).
    """
    same = [index for index, row in enumerate(rows) if row["size"] == rows[-1]["size"]]
    return max(same, key=lambda index: _score(rows[index], monitor))


def kept_pass(rows: Sequence[Mapping], select: str, monitor: str) -> int:
    """Position of the pass whose weights are served: the last one, or the :func:`best_pass`."""
    return len(rows) - 1 if select == "last" else best_pass(rows, monitor)


def last_improved(rows: Sequence[Mapping], monitor: str, min_delta: float) -> int:
    """Position of the last pass that beat the last improved one before it by more than ``min_delta``.

    As keras.callbacks.EarlyStopping counts it, over the passes at the size of the last one.
    """
    last, reached = 0, -math.inf
    for index, row in enumerate(rows):
        if row["size"] == rows[-1]["size"] and _score(row, monitor) - min_delta > reached:
            last, reached = index, _score(row, monitor)
    return last


def _score(row: Mapping, monitor: str) -> float:
    """Higher is better."""
    return row[monitor] if monitor == "val_accuracy" else -row[monitor]
