"""Which pass of a training is kept, told by its rows: those of ``history.csv``."""

from collections.abc import Mapping, Sequence


def best_pass(rows: Sequence[Mapping], monitor: str) -> int:
    """Position of the best of ``rows`` at the size of the last one, the first of equals.

    What was learned at another size would be served at one it has not seen.

    Args:
        rows: one per pass, not empty, with ``size``, ``val_accuracy`` and ``val_loss``.
        monitor: ``val_accuracy`` (higher is better) or ``val_loss`` (lower is).
    """
    sign = 1 if monitor == "val_accuracy" else -1
    same = [index for index, row in enumerate(rows) if row["size"] == rows[-1]["size"]]
    return max(same, key=lambda index: sign * rows[index][monitor])


def kept_pass(rows: Sequence[Mapping], select: str, monitor: str) -> int:
    """Position of the pass whose weights are served: the last one, or the :func:`best_pass`."""
    return len(rows) - 1 if select == "last" else best_pass(rows, monitor)
