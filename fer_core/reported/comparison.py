"""What the papers print beside what was measured here: tables for pages and charts."""

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.artifacts import Run
from fer_core.errors import RunError
from fer_core.models.specs import MODELS
from fer_core.models.systems import own
from fer_core.predictions import Predictions
from fer_core.reported.printed import distinct, printed
from fer_core.reported.reading import label, papers, read, systems
from fer_core.training import recipes

COLUMNS: tuple[str, ...] = (
    *("system", "metric", "class", "reported", "where", "run", "model", "measured", "low", "high", "difference"),
    *(
        "inside",
        "better",
        "same_data",
        "n",
        "reported_on",
        "dataset",
        "split",
        "initial_weights",
        "input_size",
        "epochs",
        "trained_on",
        "source",
    ),
    *("differs_from_recipe", "open"),
)
# Of the papers' metrics, those that a stored run can be held against.
CLASS_METRICS: tuple[str, ...] = ("f1", "recall", "precision", "tpr", "fpr")
OF_HISTORY: dict[str, str] = {
    "train_loss": "loss",
    "train_accuracy": "accuracy",
    "val_loss": "val_loss",
    "val_accuracy": "val_accuracy",
}
AVERAGES: tuple[str, ...] = ("macro_precision", "macro_recall", "weighted_precision", "weighted_recall")
HEADLINES: tuple[str, ...] = (*metrics.METRICS, *AVERAGES, *OF_HISTORY, "discrepancy", "param_count")
LOWER_IS_BETTER: frozenset[str] = metrics.LOWER_IS_BETTER | {"fpr", "train_loss", "val_loss", "discrepancy"}
NEUTRAL: frozenset[str] = frozenset({"param_count"})
TRAIN = "python -m fer_core train"
FROM_RANDOM = "--set initial_weights=random"


def comparison_table(
    paper: str, runs: Iterable[Run], split: str | None = None, table: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Every reported number that can be measured beside every run that reproduces its system.

    Args:
        paper: key.
        runs: those whose ``run.json`` has another ``paper`` are left out.
        split: ``val``, ``test`` or ``test_clean``; the paper's own choice by default. Losses, ``train_accuracy``,
            ``val_accuracy`` and ``discrepancy`` do not depend on it: they come from the last row of ``history.csv``,
            which is what a paper that prints Keras' last epoch means, or else from ``run.json``.
        table: as :func:`fer_core.reported.read` returns it; read by default.

    Returns:
        :data:`COLUMNS`. A row per system, metric, class (empty for headline numbers), distinct reported value and run.
        ``low`` and ``high`` are the stored 95 % bootstrap interval, or Wilson's (1927) for ``val_accuracy`` and for
        per-class recall, precision and false positive rate; NaN where there is none. ``n`` is the number of pictures
        that the value rests on: of a class, for its recall; taken for it, for precision; of all others, for its false
        positive rate; either of the first two, for F1. ``inside``: whether the reported value lies in the interval
        (missing without one). ``better``: 1 where the measured value is better, -1 where it is worse, 0 where they
        agree in all printed digits or better means nothing. ``reported_on`` is the paper's dataset, ``dataset`` ours;
        where they are not the :func:`same_data`, neither ``inside`` nor ``better`` is said. ``source`` says which file
        the measured value stands in. ``trained_on``: backend and machine. ``differs_from_recipe``: the settings of the
        run that are not those of its model's recipe, which follows the paper; of a :func:`relative`, that it is another
        network. Every model of a system that has no run has a row per number too, with ``open`` saying why; so has a
        system without any model.
        In other rows ``open`` holds the notes of the run.

    Raises:
        ConfigError, RunError: as :func:`fer_core.reported.read`.
    """
    table = read() if table is None else table
    split = split or papers()[paper].split
    runs = runs_of(paper, runs)
    rows = []
    for system in systems(table, paper):
        reported = _reported(table[(table["paper"] == paper) & (table["system"] == system)])
        of_system = [run for run in runs if run.run.get("system") == system]
        for run in of_system:
            measured = _Measured(run, split)
            rows += [row | measured.row(row) for row in reported]
        trained = {run.model for run in of_system}
        models = [name for name in _entries(paper, system) if not relative(name)]
        for model in [name for name in models if name not in trained] or [""] * (not of_system):
            rows += [row | {"model": model, "open": why_open(paper, system, model=model)} for row in reported]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "unit"])
    frame = frame.astype(dict.fromkeys(("reported", "measured", "low", "high"), float))
    return _judged(frame)[list(COLUMNS)]


def runs_of(paper: str, runs: Iterable[Run]) -> list[Run]:
    """The runs that reproduce a system of ``paper``, by name."""
    return sorted((run for run in runs if run.run.get("paper") == paper), key=lambda run: run.name)


def same_data(reported_on: str, dataset: str) -> bool:
    """Whether two names of datasets mean the same pictures; a part, a split or a cleaned copy of them counts as such.

    One name is the beginning of the other, punctuation apart: ``ck+`` and ``ckplus-frames``, but not ``raf-db`` and
    ``fer2013``.
    """
    a, b = (re.sub("[^a-z0-9]", "", name.lower().replace("+", "plus")) for name in (reported_on, dataset))
    return a.startswith(b) or b.startswith(a)


def relative(model: str) -> bool:
    """Whether ``model`` is a network of our own that only stands beside a paper's system, as ``vgg16`` does."""
    return model in own.SYSTEMS


def why_open(paper: str, system: str, models: Mapping[str, Mapping] | None = None, model: str = "") -> str:
    """Why a system has no measured row, and the command that mends it.

    Args:
        models: as ``fer_core.models.specs.MODELS``, which is the default.
        model: the one of the system's models that is meant; all of them by default.
    """
    entries = {name: entry for name, entry in _entries(paper, system, models).items() if model in ("", name)}
    reasons = []
    for name, entry in entries.items():
        if not relative(name):
            reason = f"{'needs ImageNet weights' if _imagenet(entry) else 'not trained yet'}: run `{TRAIN} {name}`"
            without = f", or without them `{TRAIN} {name} {FROM_RANDOM}`" if _all_trained(entry) else ""
            reasons.append(reason + (without if _imagenet(entry) else ""))
    return "; ".join(reasons) or "not built yet"


def train_commands(paper: str, models: Mapping[str, Mapping] | None = None) -> list[str]:
    """Commands that train a system of ``paper``, those first that need no ImageNet weights.

    A system whose layers are all trained can do without them and has two.
    """
    entries = {name: entry for name, entry in _entries(paper, None, models).items() if not relative(name)}
    pretrained = [name for name, entry in entries.items() if _imagenet(entry)]
    commands = [f"{TRAIN} {name}" for name in entries if name not in pretrained]
    commands += [f"{TRAIN} {name} {FROM_RANDOM}" for name in pretrained if _all_trained(entries[name])]
    return commands + [f"{TRAIN} {name}" for name in pretrained]


def open_commands(paper: str, frame: pd.DataFrame, models: Mapping[str, Mapping] | None = None) -> list[str]:
    """The commands of :func:`train_commands` for the models that have no run in ``frame``, each once."""
    known = MODELS if models is None else models
    lacking = set(frame.loc[frame["run"] == "", "model"])
    return train_commands(paper, {name: entry for name, entry in known.items() if name in lacking})


def depends_on_split(frame: pd.DataFrame) -> bool:
    """Whether any number of a comparison table is measured on the split that was chosen, not always on train or val."""
    return not frame["metric"].isin([*OF_HISTORY, "discrepancy", "param_count"]).all()


def _entries(paper: str, system: str | None, models: Mapping[str, Mapping] | None = None) -> dict[str, Mapping]:
    known = MODELS if models is None else models
    found = {name: entry for name, entry in known.items() if entry.get("paper") == paper}
    return {name: entry for name, entry in found.items() if system in (None, entry.get("system"))}


def _imagenet(entry: Mapping) -> bool:
    return entry.get("recipe", {}).get("initial_weights") == "imagenet"


def _all_trained(entry: Mapping) -> bool:
    return entry.get("recipe", {}).get("trainable_layers", -1) == -1


def metric_names(frame: pd.DataFrame, per_class: bool = False) -> list[str]:
    """Metrics of a comparison table in the order in which the paper prints them: headline or per-class ones."""
    return list(dict.fromkeys(frame.loc[(frame["class"] != "") == per_class, "metric"]))


def of_metric(frame: pd.DataFrame, metric: str | None, per_class: bool = False) -> pd.DataFrame:
    """The headline (or per-class) rows of a comparison table for one metric; for all with None."""
    wanted = (frame["class"] != "") == per_class
    return frame[wanted if metric is None else wanted & (frame["metric"] == metric)].reset_index(drop=True)


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """A comparison table as people read it: the numbers first, then on what they were measured.

    Columns: system, metric, class, reported, measured, difference, interval (text), inside (yes, no or empty),
    differs_from_recipe, run (its name, or why there is none), and the rest of :data:`COLUMNS`; metric and class only
    where they vary.
    """
    edges = zip(frame["low"], frame["high"], strict=True)
    interval = [f"{low:.4f} to {high:.4f}" if math.isfinite(low) else "" for low, high in edges]
    inside = frame["inside"].map({True: "yes", False: "no"}).astype(object).where(frame["inside"].notna(), "")
    runs = [
        ", ".join(filter(None, (run, why))) if run else f"open: {why}" for run, why in frame[["run", "open"]].values
    ]
    frame = frame.assign(interval=interval, inside=inside, run=runs, metric=frame["metric"].map(label))
    hidden = [name for name in ("metric", "class") if frame[name].nunique() < 2]
    first = ["system", "metric", "class", "reported", "measured", "difference", "interval", "inside"]
    first += ["differs_from_recipe", "run"]
    rest = ["n", "reported_on", "dataset", "split", "initial_weights", "input_size", "epochs", "trained_on"]
    rest += ["where", "source", "better"]
    return frame[[name for name in first + rest if name not in hidden]]


def summary(frame: pd.DataFrame) -> dict[str, int]:
    """Counts of systems, of runs and of distinct headline numbers; those of a :func:`relative` count nowhere else.

    Returns:
        ``systems``; ``measured``: systems with a run; ``by_relatives``: systems with runs of relatives alone.
        ``runs``: those of the paper's own systems; ``other_settings``: of these, those that differ from the paper's
        recipe; ``only_weights``: in nothing but random initial weights. Of the reported numbers that are no class's:
        ``judged``: those that a run has an interval for; ``inside``: those that lie in the interval of at least one
        run; ``other_data``: those measured, but only on other data than the paper's.
    """
    runs = frame[frame["run"] != ""].drop_duplicates("run")
    of_papers = runs[~_of_relatives(runs)]
    measured = set(of_papers["system"])
    headline = frame[(frame["class"] == "") & (frame["run"] != "") & ~_of_relatives(frame)]
    of_number = headline.assign(
        judged=headline["inside"].notna(),
        inside=headline["inside"].fillna(False),
        other=headline["measured"].notna() & ~headline["same_data"].fillna(True),
    ).groupby(["system", "metric", "reported"])[["judged", "inside", "other"]]
    numbers = of_number.any()
    return {
        "systems": int(frame["system"].nunique()),
        "measured": len(measured),
        "by_relatives": len(set(runs["system"]) - measured),
        "runs": len(of_papers),
        "other_settings": int((of_papers["differs_from_recipe"] != "").sum()),
        "only_weights": int((of_papers["differs_from_recipe"] == recipes.ONLY_WEIGHTS).sum()),
        "judged": int(numbers["judged"].sum()),
        "inside": int(numbers["inside"].sum()),
        "other_data": int((numbers["other"] & ~numbers["judged"]).sum()),
    }


def _of_relatives(frame: pd.DataFrame) -> pd.Series:
    return frame["model"].isin(list(own.SYSTEMS))


def class_bar_rows(frame: pd.DataFrame, system: str, metric: str) -> pd.DataFrame:
    """Per-class numbers of one system as ``charts.results.class_bars`` draws them: run, class, value, low, high.

    The reported numbers come first, as the run ``reported``.
    """
    rows = frame[(frame["system"] == system) & (frame["metric"] == metric) & (frame["class"] != "")]
    first = rows.drop_duplicates("class").assign(run="reported", value=rows["reported"], low=math.nan, high=math.nan)
    measured = rows[(rows["run"] != "") & rows["measured"].notna()].drop_duplicates(["run", "class"])
    both = pd.concat([first, measured.assign(value=measured["measured"])], ignore_index=True)
    return both[["run", "class", "value", "low", "high"]].astype({"low": float, "high": float})


def example_predictions(predictions: Predictions, right: bool = False) -> pd.DataFrame:
    """Wrong (or right) answers, the most confident first: sample_id, true, predicted, confidence."""
    where = np.flatnonzero((predictions.y_true == predictions.y_pred) == right)
    shown = predictions.take(where[np.argsort(-predictions.confidence[where], kind="stable")])
    names = np.array(predictions.class_names)
    return pd.DataFrame(
        {
            "sample_id": shown.sample_ids,
            "true": names[shown.y_true],
            "predicted": names[shown.y_pred],
            "confidence": shown.confidence,
        }
    )


def masked_answers(answers: Iterable[tuple[Run, Predictions]], sample_id: str, regions: Iterable[str]) -> pd.DataFrame:
    """What runs say of one picture, those trained on whole pictures first, then by the region each was trained without.

    Args:
        answers: runs with their stored predictions; those that hold no such sample are left out.
        regions: in the order to list them.

    Returns:
        mask (empty for whole pictures), system, run, true, predicted, confidence, true_prob.
    """
    order, rows = ["", *regions], []
    for run, predictions in answers:
        mask = (run.run.get("config") or {}).get("mask") or ""
        where = np.flatnonzero(predictions.sample_ids == sample_id)
        if mask in order and len(where):
            one, names = predictions.take(where), predictions.class_names
            row = {"mask": mask, "system": run.run["system"], "run": run.name, "true": names[one.y_true[0]]}
            row |= {"predicted": names[one.y_pred[0]], "confidence": one.confidence[0]}
            rows.append(row | {"true_prob": one.pred_probs[0, one.y_true[0]]})
    columns = ["mask", "system", "run", "true", "predicted", "confidence", "true_prob"]
    frame = pd.DataFrame(sorted(rows, key=lambda row: order.index(row["mask"])), columns=columns)
    return frame.astype({"confidence": float, "true_prob": float})


def _reported(rows: pd.DataFrame) -> list[dict]:
    """A record per distinct reported number that can be measured."""
    empty = dict.fromkeys(COLUMNS) | dict.fromkeys(
        ("run", "model", "dataset", "split", "source", "open", "initial_weights", "trained_on", "differs_from_recipe"),
        "",
    )
    found = []
    for (metric, class_name), of_quantity in rows.groupby(["metric", "class_name"], sort=False):
        if metric in (CLASS_METRICS if class_name else HEADLINES):
            for row, places in distinct(printed(of_quantity)):
                values = {"system": row.system, "metric": metric, "class": class_name, "reported": row.value}
                found.append(empty | values | {"where": places, "reported_on": row.dataset, "unit": row.unit})
    return found


def _judged(frame: pd.DataFrame) -> pd.DataFrame:
    """With ``difference``, ``inside``, ``better`` and ``same_data``."""
    difference = frame["measured"] - frame["reported"]
    inside = frame["reported"].between(frame["low"], frame["high"]).astype("boolean").mask(frame["low"].isna())
    direction = frame["metric"].map(lambda name: 0 if name in NEUTRAL else -1 if name in LOWER_IS_BETTER else 1)
    better = np.sign(difference.where(difference.abs() > frame["unit"].astype(float), 0.0)) * direction
    pairs = zip(frame["reported_on"], frame["dataset"], strict=True)
    same = pd.Series([same_data(*pair) if pair[1] else pd.NA for pair in pairs], frame.index, dtype="boolean")
    other = ~same.fillna(True)
    verdicts = {"inside": inside.mask(other), "better": better.where(difference.notna() & ~other), "same_data": same}
    integers = dict.fromkeys(("n", "input_size", "epochs", "better"), "Int64")
    return frame.assign(difference=difference, **verdicts).astype(integers)


class _Measured:
    """Numbers of one run, looked up by the papers' names."""

    def __init__(self, run: Run, split: str) -> None:
        self.run, self.split = run, split
        self.record = run.run["metrics"].get(split)
        self.differs = recipes.told_of_run(run.run)
        if relative(run.model):
            title = f"another network: {MODELS[run.model]['title']}"
            self.differs = "; ".join(filter(None, (title, self.differs)))
        try:
            history = run.history()
        except RunError:
            history = None
        self.last = None if history is None or history.empty else history.iloc[-1]

    def row(self, reported: Mapping) -> dict:
        """The columns of one comparison row that describe the measurement."""
        record = self.run.run
        known = {
            "run": self.run.name,
            "model": self.run.model,
            "dataset": self.run.dataset,
            "initial_weights": record.get("initial_weights") or "",
            "input_size": (record.get("spec") or {}).get("input_size"),
            "epochs": record.get("epochs"),
            "trained_on": ", ".join(filter(None, (record.get("backend"), record.get("machine")))),
            "differs_from_recipe": self.differs,
            "open": record.get("notes") or "",
        }
        metric, class_name = reported["metric"], reported["class"]
        if metric in OF_HISTORY or metric == "discrepancy":
            return known | self._of_history(metric)
        if metric == "param_count":
            return known | _value(record.get("param_count"), "run.json, param_count")
        if self.record is None:
            told = filter(None, (f"not evaluated on {self.split}", known["open"]))
            return known | {"split": self.split, "open": "; ".join(told)}
        found = self._of_class(metric, class_name) if class_name else self._of_split(metric)
        return known | {"split": self.split, "n": self.record.get("n")} | found

    def _of_history(self, metric: str) -> dict:
        """What the last epoch says; without it, what ``run.json`` says of the final model."""
        val = self.run.run["metrics"].get("val", {})
        split = "train" if metric.startswith("train") else "val"
        n = val.get("n") if split == "val" else None
        if self.last is not None and {"accuracy", "val_accuracy"} <= set(self.last.index):
            value = (
                metrics.discrepancy(self.last["accuracy"], self.last["val_accuracy"])
                if metric == "discrepancy"
                else self.last.get(OF_HISTORY[metric])
            )
            found = _value(value, "history.csv, last row")
        else:
            of_run = {
                "train_accuracy": (self.run.run.get("train_accuracy"), "run.json, train_accuracy"),
                "val_accuracy": (val.get("accuracy"), "run.json, metrics.val"),
                "val_loss": (val.get("log_loss"), "run.json, metrics.val, log_loss"),
                "discrepancy": (val.get("discrepancy"), "run.json, metrics.val"),
            }
            found = _value(*of_run.get(metric, (None, "")))
        if metric == "val_accuracy" and n:
            found |= dict(zip(("low", "high"), metrics.wilson(found["measured"], n), strict=True))
        return found | {"split": split, "n": n}

    def _of_split(self, metric: str) -> dict:
        place = f"run.json, metrics.{self.split}"
        if metric in AVERAGES:
            kind, _, of = metric.partition("_")
            classes = self.record["per_class"].values()
            weights = [values["support"] if kind == "weighted" else 1 for values in classes]
            return _value(float(np.average([values[of] for values in classes], weights=weights)), place)
        low, high = (self.record.get("intervals") or {}).get(metric) or (math.nan, math.nan)
        return _value(self.record.get(metric), place) | {"low": low, "high": high}

    def _of_class(self, metric: str, class_name: str) -> dict:
        place = f"run.json, metrics.{self.split}"
        values = self.record.get("per_class", {}).get(class_name)
        if values is None:
            return _value(None, place)
        counts = np.array(self.record["confusion_matrix"])
        at = self.run.class_names.index(class_name)
        support, predicted, hits = int(counts[at].sum()), int(counts[:, at].sum()), int(counts[at, at])
        if metric == "f1":
            low, high = values.get("f1_interval") or (math.nan, math.nan)
            return _value(values["f1"], place) | {"low": low, "high": high, "n": support + predicted - hits}
        if metric == "fpr":
            n = int(counts.sum()) - support
            share = (predicted - hits) / n if n else math.nan
        else:
            name = "recall" if metric == "tpr" else metric
            share, n = values[name], predicted if name == "precision" else support
        return _value(share, place) | dict(zip(("low", "high"), metrics.wilson(share, n), strict=True)) | {"n": n}


def _value(value: float | None, source: str) -> dict:
    missing = value is None or not math.isfinite(value)
    return {"measured": math.nan if missing else float(value), "source": "" if missing else source}
