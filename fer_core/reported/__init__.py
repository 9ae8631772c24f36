"""What the four papers print: their numbers, where these contradict each other, and what was measured beside them."""

from fer_core.reported.comparison import (
    class_bar_rows,
    comparison_table,
    depends_on_split,
    example_predictions,
    masked_answers,
    metric_names,
    of_metric,
    open_commands,
    runs_of,
    shown,
    summary,
    train_commands,
    why_open,
)
from fer_core.reported.consistency import checks, contradictions, failed
from fer_core.reported.passes import fewer_passes
from fer_core.reported.printed import Check
from fer_core.reported.reading import Paper, label, papers, read, references, systems

__all__ = [
    "Check",
    "Paper",
    "checks",
    "class_bar_rows",
    "comparison_table",
    "contradictions",
    "depends_on_split",
    "example_predictions",
    "failed",
    "fewer_passes",
    "label",
    "masked_answers",
    "metric_names",
    "of_metric",
    "open_commands",
    "papers",
    "read",
    "references",
    "runs_of",
    "shown",
    "summary",
    "systems",
    "train_commands",
    "why_open",
]
