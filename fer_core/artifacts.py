"""Run directories: written whole or not at all, listed without ever raising.

``artifacts/runs/<name>/`` holds ``run.json`` (:data:`FIELDS`), ``predictions_<split>.npz``, ``history.csv`` for
models trained in passes, and ``weights.npz`` (``weights.skops``; of an ensemble ``weights.json``, which names its
members) where weights are shipped.
"""

import math
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core import metrics
from fer_core.datasets import DRAWN
from fer_core.errors import RunError
from fer_core.passes import kept_pass
from fer_core.predictions import Predictions
from fer_core.storage import environment, read_json, sha256, to_json, write_directory, write_text

SCHEMA_VERSION = 1
ENSEMBLE = "ensemble"  # the model of a run that other runs answer for; no entry of MODELS, for it is not trained
FIELDS: dict[str, str] = {
    "schema_version": "layout of this file",
    "name": "name of the directory",
    "model": "key of models.specs.MODELS, or ensemble",
    "paper": "paper of reported/ that the run reproduces, or null",
    "system": "row of reported/ that the run reproduces, or null",
    "dataset": "name of the dataset",
    "dataset_fingerprint": "fer_core.datasets.split.fingerprint of the pictures, labels and splits, or null",
    "class_names": "the K class names, in the order of pred_probs",
    "seed": "seed of the run",
    "date": "day the run ended, YYYY-MM-DD",
    "config": "full training configuration",
    "initial_weights": "random, imagenet, or what else; null where nothing is trained by gradient",
    "epochs": "passes over the training split that history.csv has a row for, or null",
    "wall_time_s": "seconds of training, features_s among them, or null",
    "features_s": "seconds that the features of a frozen backbone took, whoever computed them, or null",
    "train_accuracy": "accuracy of the final model on the train split, without averaged views, or null",
    "latency_ms": "milliseconds for one face as the app asks, averaged views included, or null",
    "latency_machine": "where that was measured, or null",
    "machine": "where it was trained",
    "versions": "library versions",
    "git_commit": "commit of the code, or null",
    "param_count": "number of weights, or null",
    "weights_sha256": "of the weights file that the predictions are of, or null where it was never written",
    "weights_bytes": "size of the weights file, or null where it is not shipped",
    "retrain": "command that trains the run again",
    "notes": "what a reader of the numbers must know, or null",
    "metrics": "fer_core.metrics.evaluate of every split",
}
REQUIRED: tuple[str, ...] = ("schema_version", "name", "model", "dataset", "class_names", "metrics")
_PROJECT = Path(__file__).resolve().parent.parent


def root() -> Path:
    """Folder of committed results: ``FER_ARTIFACTS_DIR``, or ``artifacts`` of the project."""
    return Path(os.environ.get("FER_ARTIFACTS_DIR") or _PROJECT / "artifacts")


def run_name(dataset: str, model: str, seed: int, day: date | str | None = None) -> str:
    """``<dataset>-<model>-s<seed>-<YYYYMMDD>``; ``day`` is a date, ``YYYY-MM-DD`` or ``YYYYMMDD``, today by default."""
    stamp = str(day or date.today()).replace("-", "")
    return f"{dataset}-{model}-s{seed}-{stamp}"


@dataclass(frozen=True)
class Run:
    """A stored run. Only ``run.json`` has been read; the rest is read when asked for."""

    path: Path
    run: dict

    @property
    def name(self) -> str:
        return self.run["name"]

    @property
    def model(self) -> str:
        return self.run["model"]

    @property
    def dataset(self) -> str:
        return self.run["dataset"]

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.run["class_names"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that have metrics: of train, val, test and test_clean."""
        return tuple(self.run["metrics"])

    @property
    def altered(self) -> str:
        """What was changed in the pictures it was measured on: ``mouth hidden``; empty where they are the dataset's."""
        config = self.run.get("config") or {}
        told = [f"{config['mask']} hidden"] if config.get("mask") else []
        told += ["faces cut out"] if config.get("faces") else []
        told += [f"{len(config['classes'])} classes only"] if config.get("classes") else []
        return ", ".join(told)

    @property
    def weights_path(self) -> Path | None:
        """``weights.npz`` (``.skops``, ``.json``), or None where no weights are shipped."""
        return next(iter(sorted(self.path.glob("weights.*"))), None)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the runs that an ensemble is made of; empty for other runs."""
        config = self.run.get("config") or {}
        return tuple(member["run"] for member in config.get("members", ())) if self.model == ENSEMBLE else ()

    @property
    def can_answer(self) -> bool:
        """Whether weights are here: its own, and those of its members."""
        paths = [self.path, *(self.path.parent / name for name in self.members)]
        return all(any(path.glob("weights.*")) for path in paths)

    def metrics(self, split: str) -> dict:
        """The stored record of ``split``.

        Raises:
            RunError: the run was not evaluated on it.
        """
        try:
            return self.run["metrics"][split]
        except KeyError:
            raise RunError(
                f"{self.name} has no metrics for {split!r}.", f"Choose one of {', '.join(self.splits)}."
            ) from None

    @property
    def val_accuracy(self) -> float:
        """Share of val that it has right, by which models are chosen; 0 where that is not known."""
        return (self.run["metrics"].get("val") or {}).get("accuracy") or 0.0

    def history(self) -> pd.DataFrame | None:
        """A row per epoch, or None for models that have no passes.

        Raises:
            RunError: ``history.csv`` cannot be read.
        """
        path = self.path / "history.csv"
        if not path.exists():
            return None
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read: {error}.", "Restore it from git or train the run again.") from error

    def predictions(self, split: str) -> Predictions:
        """Stored predictions of ``split``; ``test_clean`` is ``test`` without the pictures that train or val hold too.

        Raises:
            RunError: the file is missing or damaged, or nobody knows which test pictures are clean.
        """
        if split != "test_clean":
            return Predictions.load(self.path / f"predictions_{split}.npz")
        excluded = not_clean(self.dataset, self.run.get("dataset_fingerprint"), self.path.parent.parent)
        if excluded is None:
            raise RunError(
                f"{self.name}: it is not known which test pictures of {self.dataset} stand in train or val too.",
                f"Register the dataset, so that artifacts/datasets/{self.dataset}.json is written.",
            )
        return clean_test(self.predictions("test"), excluded)


def not_clean(dataset: str, fingerprint: str | None = None, base: Path | None = None) -> set[str] | None:
    """Ids of test pictures that stand in train or val too, from ``datasets/<dataset>.json``.

    None when there is no such file, it does not say, or it is about pictures with another fingerprint.
    Looked for in ``base`` (:func:`root` by default), then in the project's own artifacts.
    """
    for folder in (base or root(), _PROJECT / "artifacts"):
        path = folder / "datasets" / f"{dataset}.json"
        if path.is_file():
            facts = read_json(path)
            known = facts.get("fingerprint")
            if "test_not_clean" in facts and (not fingerprint or not known or fingerprint == known):
                return {str(sample_id) for sample_id in facts["test_not_clean"]}
    return None


def clean_test(test: Predictions, excluded: Iterable[str]) -> Predictions:
    """The samples of ``test`` whose id is not ``excluded``."""
    return test.take(~np.isin(test.sample_ids, sorted(excluded)))


def all_metrics(
    predictions: Mapping[str, Predictions],
    excluded: set[str] | None,
    run: Mapping,
    history: pd.DataFrame | None = None,
) -> dict[str, dict]:
    """Metrics per split, ``test_clean`` among them where ``excluded`` is known; ``discrepancy`` belongs to val.

    Args:
        predictions: by split.
        excluded: ids of test pictures that other splits hold too, or None.
        run: ``train_accuracy`` and ``config`` of ``run.json``.
        history: a row per pass, or None.

    ``discrepancy`` is that of the served weights on single views of whole pictures of train and val, see
    :func:`fer_core.metrics.discrepancy`: ``train_accuracy``, which is measured so, minus :func:`_val_accuracy`. Where
    one of the two is not known it is None. Predictions of train, where they are stored, are held against those of val.
    """
    splits = dict(predictions)
    if "test" in splits and excluded is not None:
        clean = clean_test(splits["test"], excluded)
        if len(clean):
            splits["test_clean"] = clean
    records = {split: metrics.evaluate(of_split) for split, of_split in splits.items()}
    if "val" in records:
        val, train = _val_accuracy(run, history, records["val"]["accuracy"]), run.get("train_accuracy")
        if train is None and "train" in records:
            train, val = records["train"]["accuracy"], records["val"]["accuracy"]
        known = train is not None and val is not None
        records["val"]["discrepancy"] = metrics.discrepancy(train, val) if known else None
    return records


def _val_accuracy(run: Mapping, history: pd.DataFrame | None, predicted: float) -> float | None:
    """Accuracy on val of the served weights on one view of each picture.

    That is the accuracy ``predicted``, unless several views were averaged (``tta``) for predictions. Then it stands in
    the row of the kept pass in ``history``: measured with the weights that were kept (averages over steps where there
    are any), in the precision of the training. With a hold-out that row tells of other pictures than val, and nothing
    is known.
    """
    config = run.get("config") or {}
    if config.get("tta", "none") == "none":
        return predicted
    select, monitor = config.get("select", "best"), config.get("monitor", "val_accuracy")
    told = history is not None and len(history) > 0 and {"size", "val_accuracy", monitor} <= set(history.columns)
    if not told or config.get("holdout"):
        return None
    rows = history.to_dict("records")
    return float(rows[kept_pass(rows, select, monitor)]["val_accuracy"])


def write_run(
    run: Mapping,
    *,
    history: pd.DataFrame | None = None,
    predictions: Mapping[str, Predictions],
    weights: Path | None = None,
    root: Path | None = None,
    replace: bool = False,
) -> Path:
    """Evaluate ``predictions`` and write a run directory, whole or not at all.

    Args:
        run: any of :data:`FIELDS`; ``model`` and ``dataset`` must be there, ``seed`` and ``date`` make the name.
            Name, class names, machine, versions, commit and everything computed are filled in.
        history: one row per epoch.
        predictions: by split: ``val``, ``test``, and ``train`` if wanted.
        weights: file to ship, copied as ``weights`` with its own suffix (``.npz``, ``.skops``).
        root: artifacts folder; :func:`root` by default.
        replace: put it in the place of a run of the same name; otherwise the name gets ``-2``, ``-3``, ...

    Returns:
        The new directory.

    Raises:
        RunError: a field is missing, class names disagree, or the disk refuses.
    """
    base = _base(root)
    record = _complete(run, predictions)
    excluded = not_clean(record["dataset"], record["dataset_fingerprint"], base)
    record["metrics"] = all_metrics(predictions, excluded, record, history)
    if history is not None:
        record["epochs"] = len(history)
    if weights is not None:
        record |= {"weights_sha256": sha256(weights), "weights_bytes": Path(weights).stat().st_size}

    def fill(folder: Path) -> None:
        for split, of_split in predictions.items():
            of_split.save(folder / f"predictions_{split}.npz")
        if history is not None:
            history.to_csv(folder / "history.csv", index=False)
        if weights is not None:
            shutil.copyfile(weights, folder / f"weights{Path(weights).suffix}")
        (folder / "run.json").write_text(to_json(record), encoding="utf-8")

    runs = base / "runs"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        if replace:
            return write_directory(runs / record["name"], fill)
        wanted = record["name"]
        while True:
            record["name"] = _free_name(runs, wanted)
            with suppress(FileExistsError):  # another training of that name ended in between
                return write_directory(runs / record["name"], fill, replace=False)
    except OSError as error:
        raise RunError(f"{runs} cannot be written: {error}.", "Free disk space or mend its permissions.") from error


def read_run(path: Path | str) -> Run:
    """Read ``run.json`` of a run directory and check that the files it speaks of are there.

    Raises:
        RunError: something is missing, damaged or of another schema.
    """
    path = Path(path)
    restore = "Restore it from git or train the run again."
    if not path.is_dir():
        raise RunError(f"{path} is no run directory.", "`python -m fer_core runs list` shows the runs there are.")
    record = read_json(path / "run.json")
    if record.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"{path / 'run.json'} has schema_version {record.get('schema_version')!r}; expected {SCHEMA_VERSION}.",
            "Update FERscope or train the run again.",
        )
    missing = [field for field in REQUIRED if field not in record]
    if missing:
        raise RunError(f"{path / 'run.json'} lacks {', '.join(missing)}.", restore)
    by_split = record["metrics"]
    if not isinstance(by_split, dict) or not all(isinstance(values, dict) for values in by_split.values()):
        raise RunError(f"{path / 'run.json'}: metrics must map splits to records.", restore)
    if record["name"] != path.name:
        raise RunError(f"{path / 'run.json'} calls itself {record['name']!r}.", "Rename the directory back.")
    for split in by_split:
        file = path / f"predictions_{'test' if split == 'test_clean' else split}.npz"
        if not file.is_file():
            raise RunError(f"{file} is missing.", restore)
        if not zipfile.is_zipfile(file):
            raise RunError(f"{file} is damaged: it is no complete archive.", restore)
    return Run(path, record)


def strip_run(run: Run) -> Run:
    """Delete the weights, which are too large to keep; their checksum stays, and studies of them remain valid.

    Raises:
        RunError: it has none, or an ensemble needs them.
    """
    if run.weights_path is None:
        raise RunError(f"{run.name} has no weights here.")
    needed_by = [other.name for other in list_runs(run.path.parent.parent)[0] if run.name in other.members]
    if needed_by:
        raise RunError(
            f"{', '.join(needed_by)} needs the weights of {run.name}.", "Remove it first, or keep the weights."
        )
    path = run.weights_path
    stripped = update_run(run, {"weights_bytes": None})
    path.unlink()
    return stripped


def update_run(run: Run, changes: Mapping) -> Run:
    """Write ``run.json`` again with ``changes``; all else stays. Returns the run as it is now."""
    write_text(run.path / "run.json", to_json(run.run | dict(changes)))
    return read_run(run.path)


def list_runs(root: Path | None = None) -> tuple[list[Run], list[str]]:
    """Every readable run by name, and what is wrong with each directory that cannot be read. Never raises FerError."""
    folder = _base(root) / "runs"
    runs, problems = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or not path.is_dir():
            continue
        try:
            runs.append(read_run(path))
        except RunError as error:
            problems.append(str(error))
    return runs, problems


def find_run(name: str, root: Path | None = None) -> Run:
    """The run called ``name``; the beginning of a name will do if only one run has it.

    Raises:
        RunError: no run, or several, or a damaged one.
    """
    base = _base(root)
    if name and Path(name).name == name and (base / "runs" / name).is_dir():
        return read_run(base / "runs" / name)
    names = [run.name for run in list_runs(base)[0]]
    matches = [candidate for candidate in names if name and candidate.startswith(name)]
    if len(matches) == 1:
        return read_run(base / "runs" / matches[0])
    if matches:
        raise RunError(f"{name!r} is the beginning of several runs: {', '.join(matches)}.", "Give more of the name.")
    raise RunError(f"There is no run {name!r}.", f"Choose one of {', '.join(names)}." if names else "Train one first.")


def best_first(runs: Iterable[Run]) -> list[Run]:
    """The order of runs on every page and in every command: what is chosen by it is never chosen on test.

    Runs on photographs come before those on drawn faces, which are far easier; then the dataset with most runs, so that
    results on different pictures are not mixed; then the most accurate on val.
    """
    runs = list(runs)
    counts = Counter(run.dataset for run in runs)
    return sorted(
        runs,
        key=lambda run: (run.dataset == DRAWN, -counts[run.dataset], run.dataset, -run.val_accuracy, run.name),
    )


def runs_frame(runs: Iterable[Run], split: str = "test") -> pd.DataFrame:
    """One row per run that was evaluated on ``split``, in the order of :func:`best_first`.

    Columns: name, model, dataset, seed, date, n, every metric, ``accuracy_low`` and ``accuracy_high`` (and so on for
    each interval), ``f1_<class>``, param_count, weights_bytes, latency_ms, epochs, wall_time_s, altered
    (see :class:`Run`).
    """
    return pd.DataFrame([_row(run, split) for run in best_first(runs) if split in run.splits])


def _base(folder: Path | str | None) -> Path:
    return Path(folder) if folder else root()


def _complete(run: Mapping, predictions: Mapping[str, Predictions]) -> dict:
    missing = [field for field in ("model", "dataset") if not run.get(field)]
    if missing or not predictions:
        raise RunError(f"A run needs {', '.join(missing) or 'predictions of at least one split'}.")
    class_names = {of_split.class_names for of_split in predictions.values()}
    class_names |= {tuple(run["class_names"])} if run.get("class_names") else set()
    if len(class_names) > 1:
        raise RunError(f"Class names disagree between the splits of one run: {sorted(class_names)}.")
    record = dict.fromkeys(FIELDS) | environment() | {key: value for key, value in run.items() if value is not None}
    record |= {"schema_version": SCHEMA_VERSION, "class_names": list(class_names.pop())}
    record["date"] = record["date"] or date.today().isoformat()
    record["seed"] = 0 if record["seed"] is None else int(record["seed"])
    record["name"] = record["name"] or run_name(record["dataset"], record["model"], record["seed"], record["date"])
    return record


def _row(run: Run, split: str) -> dict:
    record = run.metrics(split)
    row = {field: run.run.get(field) for field in ("name", "model", "dataset", "seed", "date")}
    row["n"] = record.get("n")
    for metric in metrics.METRICS:
        row[metric] = _number(record.get(metric))
        low, high = (record.get("intervals") or {}).get(metric) or (math.nan, math.nan)
        row |= {f"{metric}_low": low, f"{metric}_high": high}
    row["discrepancy"] = _number(run.run["metrics"].get("val", {}).get("discrepancy"))
    row |= {f"f1_{name}": _number(values.get("f1")) for name, values in record.get("per_class", {}).items()}
    numbers = ("param_count", "weights_bytes", "latency_ms", "epochs", "wall_time_s")
    row |= {field: _number(run.run.get(field)) for field in numbers} | {"altered": run.altered}
    return row | ({"weights_bytes": None} if run.members else {})  # the list of its members is no measure of its size


def _number(value: object) -> float:
    return math.nan if value is None else float(value)


def _free_name(runs: Path, name: str) -> str:
    candidate, count = name, 1
    while (runs / candidate).exists():
        count += 1
        candidate = f"{name}-{count}"
    return candidate
