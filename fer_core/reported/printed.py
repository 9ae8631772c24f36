"""A printed number, and what a check of it says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

KINDS: tuple[str, ...] = ("values", "definition", "claim", "naming", "wording", "implausible")


class Printed(NamedTuple):
    """A printed number: columns of :func:`fer_core.reported.read`."""

    paper: str
    system: str
    dataset: str
    metric: str
    class_name: str
    value: float
    unit: float
    where: str


@dataclass(frozen=True)
class Check:
    """One comparison of printed numbers.

    Attributes:
        paper: key.
        kind: one of :data:`KINDS`.
        system: what the numbers are about; empty for a wording.
        metric: of the number that is checked; empty for words.
        holds: whether the numbers agree.
        sentence: the numbers, and where each stands.
    """

    paper: str
    kind: str
    system: str
    metric: str
    holds: bool
    sentence: str


def number(value: float) -> str:
    """A number for a sentence: four decimals at most, thousands apart."""
    return f"{value:,.0f}" if float(value).is_integer() and value > 1 else f"{value:.4f}".rstrip("0").rstrip(".")


def printed(table: pd.DataFrame) -> list[Printed]:
    """The rows of a table as :func:`fer_core.reported.read` returns it."""
    columns = (table[name].tolist() for name in Printed._fields)
    return [Printed(*values) for values in zip(*columns, strict=True)]


def distinct(rows: Iterable[Printed]) -> list[tuple[Printed, str]]:
    """Numbers of one quantity, those that agree within their printed digits taken together: (the first, places)."""
    groups: list[list[Printed]] = []
    for row in rows:
        for group in groups:
            if abs(row.value - group[0].value) <= row.unit + group[0].unit:
                group.append(row)
                break
        else:
            groups.append([row])
    return [(group[0], ", ".join(dict.fromkeys(row.where for row in group))) for group in groups]


def check(row: Printed, kind: str, metric: str, holds: bool, sentence: str) -> Check:
    """A check of ``row``."""
    return Check(row.paper, kind, row.system, metric, bool(holds), sentence)
