"""Numbers and metrics as people read them in a terminal."""

import math
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from fer_core import metrics


def number(value: float | None, digits: int = 4) -> str:
    """Fixed digits with thousands separated; a dash for None and NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """``0.6954`` as ``69.54 %``."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f} %"


def with_interval(
    value: float | None, interval: Sequence[float] | None, form: Callable[[float | None], str] = number
) -> str:
    """``value [low, high]``."""
    return form(value) if interval is None else f"{form(value)} [{', '.join(form(edge) for edge in interval)}]"


def metrics_table(record: dict, title: str) -> tuple[Table, Table]:
    """The record of :func:`metrics.evaluate` as two tables: headline numbers, and numbers per class."""
    headline = Table(title=f"{title}, n = {record['n']}", title_justify="left")
    headline.add_column("metric")
    headline.add_column("value [95 %]", justify="right")
    for name in metrics.METRICS:
        headline.add_row(name, with_interval(record[name], record["intervals"].get(name)))
    if "discrepancy" in record:
        headline.add_row("discrepancy", number(record["discrepancy"]))
    per_class = Table()
    per_class.add_column("class")
    for column in ("precision", "recall", "f1", "roc_auc", "support"):
        per_class.add_column(column, justify="right")
    for name, values in (record["per_class"] | class_averages(record["per_class"])).items():
        if name == "macro avg":
            per_class.add_section()
        shares = [number(values[key]) for key in ("precision", "recall", "f1", "roc_auc")]
        per_class.add_row(name, *shares, str(values["support"]))
    return headline, per_class


def class_averages(per_class: dict[str, dict]) -> dict[str, dict]:
    """The last two rows of scikit-learn's ``classification_report``: means over classes, and weighted by support.

    An area under the curve that does not exist is left out of its mean.
    """
    support = [values["support"] for values in per_class.values()]
    rows = {}
    for name, weights in (("macro avg", [1] * len(support)), ("weighted avg", support)):
        rows[name] = {
            key: _mean([values[key] for values in per_class.values()], weights)
            for key in ("precision", "recall", "f1", "roc_auc")
        } | {"support": sum(support)}
    return rows


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def print_table(table: Table) -> None:
    """Print to standard output: within a terminal's width, but as wide as need be where it is piped."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 300)
        console.width = console.measure(table).maximum
    console.print(table)
