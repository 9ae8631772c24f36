"""Support vector machines on scaled features: built from plain settings, calibrated, made small, and searched over.

Patil's thesis, section 3.2: linear, polynomial and RBF kernels, z-score or min-max scaling, grid and random search.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fer_core.errors import ConfigError, ModelError
from fer_core.models.arguments import check_estimator
from fer_core.resumable import read_part, write_part

# What an entry's arguments may say beside its features, and what they say unless told otherwise.
DEFAULTS: dict[str, object] = {
    "features": ("hog",),
    "equalize": "",
    "scaling": "zscore",
    "components": 0,
    "kernel": "rbf",
    "C": 1.0,
    "gamma": "scale",
    "degree": 3,
    "class_weight": "",
    "folds": 3,
}
KERNEL_CACHE = 1000  # MB that libsvm may hold of the kernel matrix
MANTISSA_BITS = 11  # kept of support vectors, as in half precision

# Values tried by a grid search; gamma in units of 1 / (summed variance of the features), scikit-learn's "scale".
GRID: dict[str, dict[str, list]] = {
    "linear": {"C": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]},
    "poly": {"C": [0.03, 0.1, 0.3, 1.0], "gamma": [0.5, 1.0, 2.0], "degree": [2, 3]},
    "rbf": {"C": [1.0, 3.0, 10.0, 30.0], "gamma": [0.5, 1.0, 2.0, 4.0]},
}


def svm_pipeline(arguments: dict, shape: tuple[int, int], seed: int = 0, calibrated: bool = True):
    """Scaling, PCA if wanted, and a support vector machine: an unfitted scikit-learn pipeline.

    Args:
        arguments: any of ``DEFAULTS``. ``components``: of the PCA, 0 for none. ``gamma``: of poly and rbf, a number or
            scikit-learn's ``scale``. ``folds``: of the calibration.
        shape: samples and features it will be fitted on; the PCA keeps no more components than either.
        seed: of the PCA and the linear machine.
        calibrated: turn decision values into probabilities by one sigmoid per class (Platt 1999), fitted on
            cross-validated decision values; the machine itself is fitted on everything.

    The linear machine is liblinear's (squared hinge loss, one class against the rest), because libsvm's linear kernel
    takes hours on FER2013; the other kernels are libsvm's, one class against another.

    Raises:
        ConfigError: an argument is unknown or out of range.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline

    chosen = settings(arguments)
    steps = [("scale", _scaler(chosen["scaling"]))]
    if chosen["components"]:
        kept = min(chosen["components"], *shape)
        steps.append(("pca", PCA(kept, svd_solver="randomized", random_state=seed)))
    machine = _machine(chosen, seed)
    if calibrated:
        machine = CalibratedClassifierCV(machine, method="sigmoid", cv=chosen["folds"], ensemble=False)
    return Pipeline([*steps, ("svm", machine)])


def settings(arguments: dict) -> dict:
    """``arguments`` of an entry with ``DEFAULTS`` for what they do not say.

    Raises:
        ConfigError: an argument is unknown or out of range.
    """
    check_estimator("svm", arguments)
    return DEFAULTS | arguments


def machine_of(pipeline):
    """The fitted machine inside a fitted pipeline, without its calibration."""
    last = pipeline[-1]
    return last.calibrated_classifiers_[0].estimator if hasattr(last, "calibrated_classifiers_") else last


def with_machine(pipeline, machine):
    """A copy of a fitted pipeline with another machine inside, which shares all else."""
    last = machine
    if hasattr(pipeline[-1], "calibrated_classifiers_"):
        last = copy.copy(pipeline[-1])
        one = copy.copy(last.calibrated_classifiers_[0])
        one.estimator = machine
        last.calibrated_classifiers_ = [one]
    changed = copy.copy(pipeline)
    changed.steps = [*pipeline.steps[:-1], (pipeline.steps[-1][0], last)]
    return changed


def fit_stages(arguments: dict) -> list[str]:
    """What :func:`fit_svm` does one after another, as it tells ``on_stage``.

    The machines of the pairs of classes are not told apart: libsvm fits them in one call that says nothing.

    Raises:
        ConfigError: an argument is unknown or out of range.
    """
    chosen = settings(arguments)
    scaling = "scaling and principal components" if chosen["components"] else "scaling"
    folds = [f"calibration, fold {fold} of {chosen['folds']}" for fold in range(1, chosen["folds"] + 1)]
    return [scaling, *folds, "the machine on all pictures"]


def fit_svm(
    pipeline,
    values: np.ndarray,
    y_true: np.ndarray,
    subjects: np.ndarray | None = None,
    on_stage: Callable[[int], None] = lambda place: None,
):
    """Fit a calibrated pipeline, then keep no more digits of its support vectors than they need.

    Args:
        subjects: who is seen in each sample, where that is known: a subject is then in one fold of the calibration
            only, if that leaves pictures of every class to fit each fold's machine on.
        on_stage: called with the place in :func:`fit_stages` of what begins.

    Raises:
        ModelError: a class has fewer pictures than the calibration has folds.
    """
    folds, fewest = pipeline[-1].cv, int(np.bincount(y_true)[np.unique(y_true)].min())
    if fewest < folds:
        raise ModelError(
            f"A class has {fewest} training pictures; calibration in {folds} folds needs {folds}.", "Add pictures."
        )
    if len(np.unique(y_true)) < 2:
        raise ModelError("All training pictures are of one class.", "Add pictures of another class.")
    pipeline[-1].cv = _folds_by_subject(values, y_true, subjects, folds) or folds
    on_stage(0)
    with _telling(pipeline[-1], on_stage):
        pipeline.fit(values, y_true)
    pipeline[-1].cv = folds
    machine = machine_of(pipeline)
    if hasattr(machine, "support_vectors_"):
        machine.support_vectors_ = rounded(machine.support_vectors_)
    return pipeline


@contextmanager
def _telling(calibrated, on_fit: Callable[[int], None]) -> Iterator[None]:
    """Inside, whenever a machine of ``calibrated`` is about to be fitted, ``on_fit`` is called with how many that are.

    scikit-learn has no other place to hear of it: it clones the machine, and what is cloned keeps its class.
    """
    plain, fits = type(calibrated.estimator), 0

    class Telling(plain):
        def fit(self, X, y, sample_weight=None):
            nonlocal fits
            fits += 1
            on_fit(fits)
            return super().fit(X, y, sample_weight)

    calibrated.estimator.__class__ = Telling
    try:
        yield
    finally:
        fitted = [one.estimator for one in getattr(calibrated, "calibrated_classifiers_", [])]
        for machine in (calibrated.estimator, *fitted):
            machine.__class__ = plain


def _folds_by_subject(values: np.ndarray, y_true: np.ndarray, subjects: np.ndarray | None, folds: int) -> list:
    """Positions of (the others, the fold), fold after fold; [] where subjects are unknown or too few."""
    from sklearn.model_selection import StratifiedGroupKFold

    if subjects is None or len(np.unique(subjects)) < folds:
        return []
    found = list(StratifiedGroupKFold(folds).split(values, y_true, subjects))
    present = len(np.unique(y_true))
    return found if all(len(np.unique(y_true[others])) == present for others, _ in found) else []


def rounded(values: np.ndarray, bits: int = MANTISSA_BITS) -> np.ndarray:
    """``values`` with ``bits`` binary digits each, in the same type: files of them compress to a quarter."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(values.dtype)


def unit_gamma(pipeline, values: np.ndarray) -> float:
    """1 / (summed variance of what reaches the machine), scikit-learn's ``gamma="scale"``, as a number."""
    from sklearn.base import clone

    reached = clone(pipeline[:-1]).fit_transform(values)
    return 1.0 / max(float(reached.shape[1] * reached.var()), 1e-12)


def search(
    arguments: dict,
    values: np.ndarray,
    y_true: np.ndarray,
    *,
    draws: int | None = None,
    folds: int = 3,
    seed: int = 0,
    subjects: np.ndarray | None = None,
    work: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
):
    """Accuracy in cross-validation of many settings of one kernel, without calibration.

    Args:
        arguments: of ``svm_pipeline``; C, gamma and degree are replaced.
        values, y_true: float32 (N, D) features and int64 (N,) classes; folds are stratified and drawn by ``seed``.
        subjects: who is seen in each sample, where that is known: a subject is then in one fold only.
        draws: settings drawn at random, C and gamma log-uniformly over the grid's range; None for the whole ``GRID``.
        work: folder for settings that were tried: the same call after a kill goes on there. The caller names it after
            all arguments, and removes it.
        on_progress: called with fits done and fits in all, ``folds`` for each of the settings; first with 0.

    Returns:
        DataFrame, best first: ``C``, ``gamma``, ``degree`` (where the kernel has them), ``accuracy`` (mean over the
        folds), ``accuracy_std``, one ``fold_<k>`` each, ``fit_time_s``.

    Raises:
        ConfigError: fewer than two folds, or more than a class has pictures or than there are subjects; no draws.
    """
    import pandas as pd
    from sklearn.model_selection import ParameterGrid, ParameterSampler, StratifiedGroupKFold, StratifiedKFold

    fewest = int(np.bincount(y_true)[np.unique(y_true)].min())
    if not 2 <= folds <= fewest:
        raise ConfigError(f"{folds} folds do not fit: the rarest class has {fewest} pictures.", "Use 2 or more.")
    if subjects is not None and len(np.unique(subjects)) < folds:
        raise ConfigError(f"{folds} folds do not fit: there are {len(np.unique(subjects))} subjects.", "Use fewer.")
    if draws is not None and draws < 1:
        raise ConfigError(f"Cannot draw {draws} settings.", "Draw 1 or more.")
    kernel = settings(arguments)["kernel"]
    kind = StratifiedKFold if subjects is None else StratifiedGroupKFold
    cut = list(kind(folds, shuffle=True, random_state=seed).split(values, y_true, subjects))
    smallest = min(len(fitted) for fitted, _ in cut)  # subjects have different numbers of pictures
    pipeline = svm_pipeline(arguments, (smallest, values.shape[1]), seed, calibrated=False)
    space = _space(kernel, unit_gamma(pipeline, values), at_random=draws is not None)
    tried = list(ParameterGrid(space) if draws is None else ParameterSampler(space, draws, random_state=seed))
    rows, total = [], len(tried) * folds
    for place, setting in enumerate(tried):
        done = place * folds
        on_progress(done, total)
        part = read_part(work, str(place))
        if part is None:
            part = _judged(
                pipeline, setting, values, y_true, cut, lambda fits, done=done: on_progress(done + fits, total)
            )
            write_part(work, str(place), part)
        scores = part["scores"]
        row = {name.removeprefix("svm__"): float(setting[name]) for name in space}
        row |= {"accuracy": scores.mean(), "accuracy_std": scores.std()}
        row |= {f"fold_{fold}": score for fold, score in enumerate(scores, start=1)}
        rows.append(row | {"fit_time_s": float(part["seconds"])})
    on_progress(total, total)
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, ignore_index=True, kind="stable")


def _judged(
    pipeline, setting: dict, values: np.ndarray, y_true: np.ndarray, cut: list, on_fit: Callable[[int], None]
) -> dict[str, np.ndarray]:
    """Accuracy of one setting on each fold, and the mean time of a fit; ``on_fit`` hears of all but the last."""
    from sklearn.base import clone
    from sklearn.model_selection import cross_validate

    fits = 0

    def accuracy(fitted, held_out, truth) -> float:  # called once per fit, which is what tells the progress
        nonlocal fits
        fits += 1
        if fits < len(cut):
            on_fit(fits)
        return float((fitted.predict(held_out) == truth).mean())

    asked = clone(pipeline).set_params(**setting)
    found = cross_validate(asked, values, y_true, cv=cut, scoring=accuracy, error_score="raise")
    return {"scores": found["test_score"], "seconds": found["fit_time"].mean()}


def _scaler(scaling: str):
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    return {"none": "passthrough", "zscore": StandardScaler(), "minmax": MinMaxScaler()}[scaling]


def _machine(chosen: dict, seed: int):
    from sklearn.svm import SVC, LinearSVC

    common = {"C": chosen["C"], "class_weight": chosen["class_weight"] or None}
    if chosen["kernel"] == "linear":
        return LinearSVC(**common, dual=False, random_state=seed)
    # coef0 is 1 so that a polynomial has all its lower powers
    return SVC(
        **common,
        kernel=chosen["kernel"],
        gamma=chosen["gamma"],
        degree=chosen["degree"],
        coef0=1.0,
        cache_size=KERNEL_CACHE,
    )


def _space(kernel: str, unit: float, at_random: bool) -> dict:
    from scipy.stats import loguniform

    grid = GRID[kernel] | ({"gamma": [unit * times for times in GRID[kernel]["gamma"]]} if kernel != "linear" else {})
    space = {f"svm__{name}": tried for name, tried in grid.items()}
    if at_random:
        continuous = [name for name in ("C", "gamma") if name in grid]
        space |= {f"svm__{name}": loguniform(grid[name][0], grid[name][-1]) for name in continuous}
    return space
