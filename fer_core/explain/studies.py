"""Studies: what a run does on every picture of a split, stored once. What all kinds of them share.

``artifacts/studies/<kind>-<run>-<split>-<choice>/`` holds ``study.json`` (:attr:`Kind.fields`) and one file of arrays.
No number is stored beside them: the ``*_numbers`` modules compute them all.

A study that was interrupted goes on from its parts, see :mod:`fer_core.resumable`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from fer_core import artifacts
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.errors import RunError
from fer_core.storage import environment, read_json, sha256, to_json, write_directory

SCHEMA_VERSION = 1
CORE = 600  # pictures that slow methods are studied on
REMEDY = "Restore it from git, or remove it and run the study again."
_FIRST: dict[str, str] = {
    "schema_version": "layout of this file",
    "name": "name of the directory",
    "run": "the run that was asked",
    "model": "its key of models.specs.MODELS",
    "weights_sha256": "of the weights that predicted",
    "dataset": "name of the dataset",
    "dataset_fingerprint": "of its pictures, labels and splits",
    "split": "train, val or test",
    "n": "number of pictures",
}
_LAST: dict[str, str] = {
    "seconds": "time of all answers",
    "date": "day the study ended, YYYY-MM-DD",
    "machine": "where",
    "versions": "library versions",
    "git_commit": "commit of the code, or null",
}


@dataclass(frozen=True)
class Kind:
    """One kind of study: its files, and what is done with them.

    Attributes:
        name: first part of the directory's name, and the command of ``python -m fer_core study``.
        choice: field whose value is the last part of that name, and option of that command.
        file: name of the file of arrays, ``.npz``.
        arrays: their names; ``class_names`` is one of them.
        shapes: the record and the number of classes -> shapes that some of the arrays must have.
        own_fields: fields of ``study.json`` beside those of every study.
        options: the record -> what else the command was given, beside split and choice.
        others: the record -> other runs that the study also speaks of, and the sha256 of their weights.
    """

    name: str
    choice: str
    file: str
    arrays: tuple[str, ...]
    shapes: Callable[[Mapping, int], dict[str, tuple[int, ...]]]
    own_fields: Mapping[str, str]
    options: Callable[[Mapping], str]
    others: Callable[[Mapping], Mapping[str, str]] = lambda record: {}

    @property
    def fields(self) -> dict[str, str]:
        """All fields of ``study.json``, in its order, and what they say."""
        return {**_FIRST, **self.own_fields, **_LAST}

    @property
    def command(self) -> str:
        """What makes studies of this kind."""
        return f"python -m fer_core study {self.name}"

    def study_name(self, run: str, split: str, choice: str) -> str:
        """``<kind>-<run>-<split>-<choice>``."""
        return f"{self.name}-{run}-{split}-{choice}"

    def make_record(self, run: Run, split: Split, split_name: str, *, n: int, seconds: float, **own: object) -> dict:
        """:attr:`fields` of a study of ``n`` pictures of ``split`` that was made now; ``own`` are the kind's own ones.

        Raises:
            RunError: the run has no weights.
        """
        if run.weights_path is None:
            raise RunError(f"{run.name} has no weights here.", f"Train it again: {run.run.get('retrain') or run.model}")
        record = environment() | {
            "schema_version": SCHEMA_VERSION,
            "name": self.study_name(run.name, split_name, str(own[self.choice])),
            "run": run.name,
            "model": run.model,
            "weights_sha256": sha256(run.weights_path),
            "dataset": run.dataset,
            "dataset_fingerprint": split.fingerprint,
            "split": split_name,
            "n": n,
            "seconds": round(seconds, 1),
            "date": date.today().isoformat(),
        }
        return {field: (record | own)[field] for field in self.fields}

    def write(self, record: Mapping, arrays: Mapping[str, np.ndarray], root: Path | None = None) -> Path:
        """Write the study directory, whole or not at all; one of the same name is replaced.

        Raises:
            RunError: the disk refuses.
        """

        def fill(folder: Path) -> None:
            np.savez_compressed(folder / self.file, **{name: arrays[name] for name in self.arrays})
            (folder / "study.json").write_text(to_json({field: record[field] for field in self.fields}), "utf-8")

        folder = studies_folder(root)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return write_directory(folder / record["name"], fill)
        except OSError as error:
            remedy = "Free disk space or mend its permissions."
            raise RunError(f"{folder} cannot be written: {error}.", remedy) from error

    def read_record(self, path: Path) -> dict:
        """``study.json`` of the study directory ``path``.

        Raises:
            RunError: it is missing, incomplete or of another version, or the arrays are not beside it.
        """
        file = path / "study.json"
        record = read_json(file)
        version = record.get("schema_version")
        if version != SCHEMA_VERSION:
            raise RunError(f"{file} has schema_version {version!r}; expected {SCHEMA_VERSION}.", REMEDY)
        missing = [field for field in self.fields if field not in record]
        if missing or record["name"] != path.name:
            what = f"lacks {', '.join(missing)}" if missing else f"calls itself {record['name']!r}"
            raise RunError(f"{file} {what}.", REMEDY)
        if not (path / self.file).is_file():
            raise RunError(f"{path / self.file} is missing.", REMEDY)
        return record

    def read(self, path: Path) -> tuple[dict, dict[str, np.ndarray]]:
        """Record and arrays of the study directory ``path``.

        Raises:
            RunError: a file is missing or damaged, or they contradict each other.
        """
        record, file = self.read_record(path), path / self.file
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in self.arrays}
        except Exception as error:  # zipfile.BadZipFile, zlib.error, KeyError, ValueError: truncated or something else
            raise RunError(f"{file} is damaged: {error}.", REMEDY) from error
        for name, shape in self.shapes(record, len(arrays["class_names"])).items():
            if arrays[name].shape != shape:
                raise RunError(f"{file} has {name} {arrays[name].shape}; expected {shape}.", REMEDY)
        return record, arrays

    def list_records(self, root: Path | None = None) -> tuple[list[dict], list[str]]:
        """Records of all studies that still speak of the runs as they are, and what is wrong with the others.

        They come in the order of their runs, see ``artifacts.best_first``. A study is left out where its run is gone,
        has other weights by now, or is of other pictures.
        """
        folder = studies_folder(root)
        runs = {run.name: run for run in artifacts.best_first(artifacts.list_runs(root)[0])}
        places = {name: place for place, name in enumerate(runs)}
        records, problems = [], []
        for path in sorted(folder.glob(f"{self.name}-*")) if folder.is_dir() else []:
            try:
                record = self.read_record(path)
            except RunError as error:
                problems.append(str(error))
                continue
            problem = self.stale(record, runs.get(record["run"])) or self._stale_others(record, runs)
            if problem:
                problems.append(problem)
            else:
                records.append(record)
        return sorted(records, key=lambda record: places[record["run"]]), problems

    def remake(self, records: Iterable[Mapping]) -> list[str]:
        """Commands that make the studies of ``records`` anew: one for all runs whose studies have the same options."""
        runs: dict[str, list[str]] = {}
        for record in records:
            options = f"--split {record['split']} --{self.choice} {record[self.choice]} {self.options(record)}".strip()
            runs.setdefault(options, []).append(record["run"])
        return [f"{self.command} {' '.join(names)} {options}" for options, names in runs.items()]

    def stale(self, record: Mapping, run: Run | None) -> str:
        """Why a study no longer speaks of ``run`` as it is, and what to do; empty where it does."""
        if run is None:
            return f"{record['name']} is left out: the run {record['run']} is not here. Remove the study."
        again = f"Do it again: {self.remake([record])[0]}"
        if run.run.get("weights_sha256") != record["weights_sha256"]:
            return f"{record['name']} is left out: the run has other weights by now. {again}"
        fingerprint = run.run.get("dataset_fingerprint")
        if fingerprint and fingerprint != record["dataset_fingerprint"]:
            return f"{record['name']} is left out: it is of other pictures than the run. {again}"
        return ""

    def _stale_others(self, record: Mapping, runs: Mapping[str, Run]) -> str:
        for name, weights in self.others(record).items():
            if name not in runs or runs[name].run.get("weights_sha256") != weights:
                why = "has other weights by now" if name in runs else "is not here"
                again = f"Do it again: {self.remake([record])[0]}"
                return f"{record['name']} is left out: {name}, which it compares with, {why}. {again}"
        return ""


def studies_folder(root: Path | None = None) -> Path:
    """``studies`` of the artifacts folder ``root`` (:func:`fer_core.artifacts.root` by default)."""
    return (Path(root) if root else artifacts.root()) / "studies"


class OfRun:
    """What a stored study, a dataclass with ``record``, says of itself."""

    record: dict

    @property
    def name(self) -> str:
        return self.record["name"]


class OfPictures(OfRun):
    """A study whose rows are pictures: ``y_true`` and ``y_pred``, int64 (N,)."""

    y_true: np.ndarray
    y_pred: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Whether the model recognises each picture: bool (N,)."""
        return self.y_true == self.y_pred


def spread(n: int, wanted: int | None) -> np.ndarray:
    """``wanted`` positions spread evenly over ``n``, or all, in ascending order: int64.

    A smaller sample is part of every larger one, so that studies of different sizes share the pictures of the smallest:
    the first :data:`CORE` lie at equal distances, smaller samples are taken of those, and larger ones add to them.
    """
    if wanted is None or wanted >= n:
        return np.arange(n)
    core = np.unique(np.linspace(0, n - 1, min(n, CORE)).astype(np.int64))
    others = np.setdiff1d(np.arange(n), core)
    order = np.concatenate([core[_coarse_to_fine(len(core))], others[_coarse_to_fine(len(others))]])
    return np.sort(order[:wanted])


def _coarse_to_fine(n: int) -> np.ndarray:
    """0..n-1 in an order whose every beginning is spread evenly: int64 (n,).

    Source: van der Corput 1935, "Verteilungsfunktionen" (bits of the counter reversed).
    """
    reverse = np.zeros(1, np.int64)
    while len(reverse) < n:
        reverse = np.concatenate([2 * reverse, 2 * reverse + 1])
    return reverse[reverse < n]
