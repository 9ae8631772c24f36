"""``artifacts/reported/``: every number the papers print, the papers themselves, and what is known from elsewhere.

``reported_metrics.csv`` has a row per printed number, with its digits as printed; ``papers.json`` says what each paper
did, by which protocol, and what it claims about its numbers; ``references.json`` holds published results to judge by.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer_core import artifacts
from fer_core.errors import ConfigError, RunError
from fer_core.labels import CLASS_NAMES
from fer_core.storage import read_json

COLUMNS: tuple[str, ...] = ("paper", "system", "dataset", "metric", "class_name", "value", "where", "note")
KEY: tuple[str, ...] = ("paper", "system", "dataset", "metric", "class_name", "where")
DATASET = "dataset"  # rows with this system describe data, not a model
CITED = "cited:"  # beginning of systems that a paper only cites
FILE = "reported_metrics.csv"

_SHARES = (
    "accuracy accuracy_min accuracy_max roc_auc mean_tpr mean_fpr macro_f1 macro_precision macro_recall weighted_f1 "
    "weighted_precision weighted_recall precision recall f1 tpr fpr train_accuracy val_accuracy"
)
_COUNTS = (
    "support count count_before_cleaning train_count validation_count test_count exact_duplicate_images param_count "
    "trainable_param_count non_trainable_param_count"
)
# Metric -> smallest and largest value it can have.
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_SHARES.split(), (0.0, 1.0)),
    **dict.fromkeys(_COUNTS.split(), (0.0, math.inf)),
    **dict.fromkeys(("train_loss", "val_loss"), (0.0, math.inf)),
    "discrepancy": (-1.0, 1.0),
}
_WORDS = {"f1": "F1", "tpr": "TPR", "fpr": "FPR", "roc": "ROC", "auc": "AUC", "val": "validation", "train": "training"}
_MEND = f"Mend the line, or restore {FILE} from git."
_PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper that can be checked against the numbers it prints.

    Attributes:
        says: the paper's words.
        where: they stand.
        metric, class_name: of the numbers meant.
        expects: ``highest``, ``lowest`` or ``equal``: what ``chosen`` is among ``others``; ``exceeded``: one of
            ``others`` is above ``chosen``; or, of the classes printed at ``chosen``, ``over_half``: most are above one
            half; ``stratified``: the validation pictures are the same share of each.
        chosen, others: (system, where) of the numbers.
        apart_from: a class that is excepted from ``over_half``.
    """

    says: str
    where: str
    metric: str
    class_name: str
    expects: str
    chosen: tuple[str, str]
    others: tuple[tuple[str, str], ...]
    apart_from: str = ""


@dataclass(frozen=True)
class Naming:
    """What a paper says several times which of its systems is, such as its baseline.

    Attributes:
        about: what is named.
        named: (system, where, the paper's words) of each time.
    """

    about: str
    named: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Wording:
    """What a paper says several times in words, such as how its pictures are augmented.

    Attributes:
        about: what it says.
        said: (what is meant, where, the paper's words) of each time.
        follows: what our systems go by, one of what is meant.
    """

    about: str
    said: tuple[tuple[str, str, str], ...]
    follows: str


@dataclass(frozen=True)
class Paper:
    """A paper as it describes itself; what it does not print is None or said to be not printed.

    Attributes:
        key: its name in ``reported_metrics.csv`` and in ``run.json``.
        short: a name for buttons.
        title, authors, year: as printed.
        links: DOI or arXiv addresses that the paper prints of itself.
        dataset: what it was measured on.
        did: one sentence.
        protocol: what -> as printed.
        choices: where our systems differ from what is printed, or the paper is silent.
        split: of ours that is set beside its numbers unless told otherwise; ``split_reason`` says why.
        other_pictures: what the paper measured on, where our dataset of that name never holds its test pictures.
        figures: view -> the figures and tables of the paper that it redraws.
        claims: sentences to check.
        namings: what should name the same system wherever it stands.
        wordings: what should be said alike wherever it stands.
    """

    key: str
    short: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    links: tuple[str, ...]
    dataset: str
    did: str
    protocol: Mapping[str, str]
    split: str
    split_reason: str
    figures: Mapping[str, str]
    claims: tuple[Claim, ...]
    namings: tuple[Naming, ...] = ()
    wordings: tuple[Wording, ...] = ()
    other_pictures: str = ""
    choices: tuple[str, ...] = ()


def folder() -> Path:
    """Where the papers' numbers lie: below ``artifacts.root()`` if they are there, else in the project."""
    own = artifacts.root() / "reported"
    return own if (own / FILE).is_file() else _PROJECT / "artifacts" / "reported"


def papers(path: Path | None = None) -> dict[str, Paper]:
    """Every paper by its key.

    Args:
        path: another ``papers.json``.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = path or folder() / "papers.json"
    try:
        return {key: _paper(key, record) for key, record in read_json(path).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}.", "Restore it from git.") from error


def references(path: Path | None = None) -> list[dict]:
    """Published results to judge a number by: dataset, what, accuracy, spread, source, link.

    Raises:
        RunError: the file is missing or damaged.
    """
    by_dataset = read_json(path or folder() / "references.json")
    return [{"dataset": dataset} | record for dataset, records in by_dataset.items() for record in records]


def read(path: Path | None = None) -> pd.DataFrame:
    """Every printed number.

    Args:
        path: another CSV with :data:`COLUMNS`.

    Returns:
        :data:`COLUMNS`, ``value`` as float; ``unit``, one in the last printed place (1e-4 for 0.584 in a table of four
        places: spreadsheets drop trailing zeros, so the longest number of the same metric in the same place counts),
        0 for counts; ``line`` of the file.

    Raises:
        RunError: there is no such file.
        ConfigError: unknown or missing columns, or a line that makes no sense; names file and line.
    """
    path = Path(path or folder() / FILE)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restkey="extra", restval=None)
            _check_columns(path, reader.fieldnames or [])
            rows = [row | {"line": reader.line_num} for row in reader]
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing.", f"Restore {FILE} from git.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is no CSV in UTF-8: {error}.", _MEND) from error
    seen: dict[tuple, int] = {}
    for row in rows:
        _check_row(path, row, seen)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "line"])
    frame["unit"] = frame["value"].map(lambda text: 10.0 ** -len(text.partition(".")[2]))
    frame["unit"] = frame.groupby(["paper", "where", "metric"])["unit"].transform("min")
    frame.loc[frame["metric"].isin(_COUNTS.split()), "unit"] = 0.0
    return frame.astype({"value": float})


def label(metric: str) -> str:
    """A metric for people: ``mean_tpr`` -> mean TPR, ``val_loss`` -> validation loss."""
    return " ".join(_WORDS.get(word, word) for word in metric.replace("param", "parameter").split("_"))


def systems(table: pd.DataFrame, paper: str) -> list[str]:
    """Systems that ``paper`` measured itself, in the order of ``table`` as :func:`read` returns it."""
    names = dict.fromkeys(table.loc[table["paper"] == paper, "system"])
    return [name for name in names if name != DATASET and not name.startswith(CITED)]


def _paper(key: str, record: Mapping) -> Paper:
    claims = tuple(
        Claim(
            says=claim["says"],
            where=claim["where"],
            metric=claim["metric"],
            class_name=claim.get("class_name", ""),
            expects=claim["expects"],
            chosen=tuple(claim["chosen"]),
            others=tuple(tuple(other) for other in claim["others"]),
            apart_from=claim.get("apart_from", ""),
        )
        for claim in record["claims"]
    )
    namings = tuple(
        Naming(naming["about"], tuple((system, where, says) for system, where, says in naming["named"]))
        for naming in record.get("namings", ())
    )
    lists = {"authors": tuple(record["authors"]), "links": tuple(record["links"]), "claims": claims}
    lists |= {"choices": tuple(record.get("choices", ()))}
    lists |= {"namings": namings, "wordings": tuple(map(_wording, record.get("wordings", ())))}
    return Paper(key=key, **(dict(record) | lists))


def _wording(record: Mapping) -> Wording:
    said = tuple((means, where, says) for means, where, says in record["said"])
    if record["follows"] not in {means for means, _, _ in said}:
        raise ValueError(f"{record['about']}: nowhere is said what is followed")
    return Wording(record["about"], said, record["follows"])


def _check_columns(path: Path, names: list[str]) -> None:
    if sorted(names) != sorted(COLUMNS):
        unknown, missing = sorted(set(names) - set(COLUMNS)), sorted(set(COLUMNS) - set(names))
        raise ConfigError(
            f"{path}, line 1: unknown columns {unknown}, missing columns {missing}.",
            f"Expected {', '.join(COLUMNS)}.",
        )


def _check_row(path: Path, row: Mapping, seen: dict[tuple, int]) -> None:
    """Raise ConfigError unless the row makes sense; ``seen`` maps the keys so far to their lines."""
    at = f"{path}, line {row['line']}"
    if "extra" in row or None in row.values():
        raise ConfigError(f"{at}: expected {len(COLUMNS)} fields.", "Put fields with a comma in quotes.")
    empty = [name for name in ("paper", "system", "dataset", "metric", "where") if not row[name].strip()]
    if empty:
        raise ConfigError(f"{at}: {', '.join(empty)} is empty.", _MEND)
    if row["metric"] not in RANGES:
        raise ConfigError(f"{at}: unknown metric {row['metric']!r}.", f"Expected one of {', '.join(RANGES)}.")
    if row["class_name"] and row["class_name"] not in CLASS_NAMES:
        raise ConfigError(f"{at}: unknown class {row['class_name']!r}.", f"Expected one of {', '.join(CLASS_NAMES)}.")
    try:
        value = float(row["value"])
    except ValueError:
        raise ConfigError(f"{at}: {row['value']!r} is no number.", _MEND) from None
    low, high = RANGES[row["metric"]]
    if not low <= value <= high or math.isinf(value):
        raise ConfigError(
            f"{at}: {row['metric']} is {row['value']}; expected {low:g} to {high:g}.",
            "Give shares as 0 to 1, not in %.",
        )
    key = tuple(row[name] for name in KEY)
    if key in seen:
        raise ConfigError(f"{at} repeats line {seen[key]}: {', '.join(filter(None, key))}.", "Remove one of them.")
    seen[key] = row["line"]
