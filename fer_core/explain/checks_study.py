"""The study of the checks: can the maps of a run be trusted, on many pictures of a split?

``artifacts/studies/checks-<run>-<split>-<method>/`` is a study of :mod:`fer_core.explain.studies`, of the :data:`KIND`
here; :mod:`fer_core.explain.checks_numbers` computes its numbers. The checks are those of one map
(:mod:`fer_core.explain.faithfulness`), and each picture's *true* class is explained, as in the saliency study.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.explain import across_trainings
from fer_core.explain.across_trainings import NOT_COMPARED, Alone, Trainings
from fer_core.explain.check_basics import FAILED, NOT_APPLICABLE, PASSED, RANDOM_MAPS, UNDECIDED
from fer_core.explain.saliency_study import method_options
from fer_core.explain.studies import Kind, OfPictures
from fer_core.labels import to_indices
from fer_core.predictions import Classifier
from fer_core.resumable import read_part, write_part

PICTURES = 40  # unless more are asked for
OUTCOMES = (PASSED, UNDECIDED, FAILED, NOT_APPLICABLE)
AREAS = 1 + RANDOM_MAPS
ROWS = (
    "y_pred", "outcomes", "numbers", "even", "deletion", "insertion", "randomised", "shifts", "seeds", "trainings",
    "chance",
)  # fmt: skip
ARRAYS = ("class_names", "sample_ids", "y_true", *ROWS)
Report = Callable[[str, int, int], None]


def _shapes(record: Mapping, k: int) -> dict[str, tuple[int, ...]]:
    n, checks = record["n"], len(record["checks"])
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("sample_ids", "y_true", "y_pred", "even"), (n,))
    shapes |= dict.fromkeys(("outcomes", "numbers"), (n, checks)) | dict.fromkeys(("deletion", "insertion"), (n, AREAS))
    return shapes | {"trainings": (n, len(record["trainings"]))}


def _options(record: Mapping) -> str:
    usual = record["n"] == min(PICTURES, record["n_split"])
    return " ".join(part for part in (method_options(record), "" if usual else f"--pictures {record['n']}") if part)


KIND = Kind(
    name="checks",
    choice="method",
    file="checks.npz",
    arrays=ARRAYS,
    shapes=_shapes,
    own_fields={
        "n_split": "number of pictures in the split; those checked are spread evenly over it",
        "method": "key of explain.saliency.METHODS",
        "options": "of METHODS[method].options, those that are not its defaults",
        "layer": "layer of a CAM, or null",
        "grid": "rows and columns that the method resolves",
        "checks": "names of the checks, in the order of the arrays",
        "left_out": "check that applies to no picture -> why",
        "trainings": "other trainings whose maps are compared -> sha256 of their weights",
    },
    options=_options,
    others=lambda record: record["trainings"],
)


@dataclass(frozen=True)
class ChecksStudy(OfPictures):
    """Checks of the maps of one run on one split; C checks, R random maps per map.

    Attributes:
        record: the fields of :data:`KIND`.
        class_names: the K classes.
        sample_ids: str (N,).
        y_true: int64 (N,), the class explained.
        y_pred: int64 (N,), the most probable one.
        outcomes: int8 (N, C), positions in :data:`OUTCOMES`.
        numbers: float32 (N, C), what each outcome is about, see :func:`fer_core.explain.check_rows.check_rows`.
        even: bool (N,), whether the map is the same everywhere.
        deletion, insertion: float32 (N, 1 + R), 0..1, area under the curve of the map, then of its random maps.
        randomised: float32 (N, X), rank correlation with the maps of ``randomised.COPIES``, NaN where one is empty;
            X = 0 for models without weights.
        shifts: float32 (N, 4), rank correlation with the maps of the picture moved by one pixel.
        seeds: float32 (N, S), with those of other seeds; S = 0 for methods that draw nothing.
        trainings: float32 (N, T), with those of the record's ``trainings``; NaN where one gave no map.
        chance: float32 (N, R), absolute rank correlation with random maps; NaN likewise; R = 0 without trainings.
    """

    record: dict
    class_names: tuple[str, ...]
    sample_ids: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray
    outcomes: np.ndarray
    numbers: np.ndarray
    even: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    randomised: np.ndarray
    shifts: np.ndarray
    seeds: np.ndarray
    trainings: np.ndarray
    chance: np.ndarray


def check_split(
    classifier: Classifier,
    split: Split,
    method: str,
    *,
    positions: np.ndarray,
    layer: str | None = None,
    options: Mapping | None = None,
    others: Mapping[str, Classifier] | Alone = NOT_COMPARED,
    work: Path | None = None,
    report: Report = lambda what, done, total: None,
) -> tuple[dict[str, np.ndarray], dict]:
    """Check the maps of the true class of pictures of ``split``, one picture after the other.

    Args:
        classifier: without test-time averaging; its classes are matched to the split's by name.
        positions: int64 (N,), which pictures, N > 0.
        layer, options: of the method, see :func:`fer_core.explain.saliency.explain`.
        others: trainings of the same recipe from other seeds, or why there are none.
        work: folder for finished pictures: the same call after a kill goes on there. The caller names it after all that
            the checks depend on, and removes it.
        report: called with the check, checks done and checks in all.

    Returns:
        The arrays of :class:`ChecksStudy`; and ``layer``, ``grid``, ``checks``, ``left_out`` and ``seconds`` (earlier
        sittings included).

    Raises:
        DatasetError: the split has a class that the classifier does not know.
        ConfigError, ModelError: the method does not exist or does not suit the classifier.
    """
    from fer_core.explain.randomised import can_be_randomised, randomised_copies

    y_true = to_indices(split.class_names, classifier.class_names)[split.y_true[positions]]
    copies, parts = None, []
    for place, position in enumerate(positions):
        part = read_part(work, str(position))
        if part is None:
            started = time.monotonic()
            if copies is None and can_be_randomised(classifier):
                copies = randomised_copies(classifier)  # held here: others may use what is kept
            image = np.asarray(split.images[position])
            tell = partial(_tell, report, place, len(positions))
            part = _checked(classifier, image, int(y_true[place]), method, layer, options or {}, others, copies, tell)
            part["seconds"] = np.float64(time.monotonic() - started)
            write_part(work, str(position), part)
        parts.append(part)
    report("done", len(positions), len(positions))
    found = {name: np.stack([part[name] for part in parts]) for name in ROWS}
    found |= {"class_names": np.array(classifier.class_names), "y_true": y_true}
    found |= {"sample_ids": np.asarray(split.sample_ids[positions], dtype=str)}
    first = parts[0]
    checks = [str(name) for name in first["checks"]]
    silent = (found["outcomes"] == OUTCOMES.index(NOT_APPLICABLE)).all(axis=0)
    about = {
        "layer": str(first["layer"]) or None,
        "grid": [int(side) for side in first["grid"]],
        "checks": checks,
        "left_out": {name: str(why) for name, why, none in zip(checks, first["words"], silent, strict=True) if none},
        "seconds": float(sum(part["seconds"] for part in parts)),
    }
    return found, about


def make_study(
    run: Run, arrays: Mapping[str, np.ndarray], about: Mapping, split: Split, split_name: str, method: str
) -> ChecksStudy:
    """A study of what :func:`check_split` returns; ``about`` also needs ``options`` and ``trainings``.

    Raises:
        RunError: the run has no weights.
    """
    own = {name: about[name] for name in ("options", "layer", "grid", "checks", "left_out", "trainings")}
    own |= {"n_split": len(split), "method": method}
    n, seconds = len(arrays["y_true"]), about["seconds"]
    return _study(KIND.make_record(run, split, split_name, n=n, seconds=seconds, **own), arrays)


def write_study(study: ChecksStudy, root: Path | None = None) -> Path:
    """Write the study directory, see :meth:`Kind.write`."""
    arrays = {name: getattr(study, name) for name in ARRAYS} | {"class_names": np.array(study.class_names)}
    return KIND.write(study.record, arrays, root)


def read_study(path: Path) -> ChecksStudy:
    """Read a study directory, see :meth:`Kind.read`."""
    return _study(*KIND.read(path))


def of_maps(records: Iterable[Mapping], maps: Mapping) -> Mapping | None:
    """Which of the ``records`` checks the maps of a saliency study, of which ``maps`` is the record; None without."""
    same = ("run", "split", "method", "options", "layer")
    return next((record for record in records if all(record[field] == maps[field] for field in same)), None)


def command_for(maps: Mapping) -> str:
    """The command that checks the maps of a saliency study, of which ``maps`` is the record."""
    return KIND.remake([{**maps, "n": min(PICTURES, maps["n_split"])}])[0]


def _study(record: dict, arrays: Mapping[str, np.ndarray]) -> ChecksStudy:
    names = tuple(str(name) for name in arrays["class_names"])
    return ChecksStudy(record, names, **{name: arrays[name] for name in ARRAYS if name != "class_names"})


def _tell(report: Report, place: int, n: int, what: str, done: int, total: int) -> None:
    report(what, place * total + done, n * total)


def _checked(classifier, image, label, method, layer, options, others, copies, tell) -> dict[str, np.ndarray]:
    """All checks of one map, as arrays without the first axis of :class:`ChecksStudy`."""
    from fer_core.explain import faithfulness
    from fer_core.explain.check_rows import check_rows
    from fer_core.explain.saliency import explain

    found = explain(classifier, image[None], label, method, layer, **options)
    again, parts, total = faithfulness.once_more(found), {}, len(faithfulness.PARTS) + 1
    for done, (name, part) in enumerate(faithfulness.PARTS.items()):
        tell(name, done, total)
        some = {"copies": copies} if name == "randomisation" else {}
        parts[name] = part(classifier, image, found, again, **some)
    tell("trainings", total - 1, total)
    compared = others
    if not isinstance(others, Alone):
        compared = across_trainings.ask(found, others, lambda name: again(others[name], image[None]))
    checked = faithfulness.assemble(found, parts | {"trainings": compared})
    told = check_rows(checked)
    drawn = np.zeros(0) if isinstance(checked.randomisation, str) else checked.randomisation.spearman
    own, chance = _trainings(compared, others)
    numbers = {
        "numbers": told["number"].to_numpy(),
        "deletion": np.array([checked.deletion.area, *checked.deletion.random_areas]),
        "insertion": np.array([checked.insertion.area, *checked.insertion.random_areas]),
        "randomised": drawn,
        "shifts": checked.shifts,
        "seeds": checked.seeds,
        "trainings": own,
        "chance": chance,
    }
    return {name: np.asarray(values, np.float32) for name, values in numbers.items()} | {
        "y_pred": np.int64(classifier.predict_proba(image[None])[0].argmax()),
        "outcomes": np.array([OUTCOMES.index(outcome) for outcome in told["outcome"]], np.int8),
        "even": np.array(checked.even),
        "checks": told["check"].to_numpy(str),
        "words": told["words"].to_numpy(str),
        "layer": np.array(found.layer or ""),
        "grid": np.array(found.grid),
    }


def _trainings(compared: Trainings | Alone, others: Mapping | Alone) -> tuple[np.ndarray, np.ndarray]:
    """Similarities to other trainings and to random maps; NaN where one of several gave no map."""
    if isinstance(compared, Trainings):
        return compared.spearman, compared.chance
    n = 0 if isinstance(others, Alone) else len(others)
    return np.full(n, np.nan), np.full(RANDOM_MAPS if n else 0, np.nan)
