"""Classifiers without a network: scikit-learn estimators on features of the face. Saved with skops, never pickle."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from zipfile import ZIP_DEFLATED

import numpy as np

from fer_core.datasets.split import Split
from fer_core.datasets.subjects import known_subjects
from fer_core.errors import ModelError
from fer_core.models import svm
from fer_core.models.arguments import check_estimator
from fer_core.models.features import Progress, extract
from fer_core.models.preprocess import preprocess
from fer_core.models.specs import spec

FEATURES_STAGE = "features of training pictures"
FITTING_STAGE = "fitting"
CHUNK = 2048  # pictures that features are drawn from at once
Stage = Callable[[str, int, int], None]

# Private, hence unknown to skops; plain holders of a fitted machine and of two numbers per class.
TRUSTED = ("sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration")


def features(
    name: str,
    images: np.ndarray,
    arguments: dict | None = None,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> np.ndarray:
    """What the estimator ``name`` is fitted on: float32 (N, D) of uint8 (N, H, W) or (N, H, W, 3).

    Args:
        arguments: of the estimator, those in ``MODELS`` by default.
        cache: folder that keeps what is slow to compute.
        on_progress: called with pictures done and pictures in all.
    """
    entry = spec(name)
    arguments = entry["arguments"] if arguments is None else arguments
    size = (entry["input_size"],) * 2
    if entry["builder"] == "majority":
        return np.zeros((len(images), 1), np.float32)
    if entry["builder"] == "hog_logistic":
        arguments = {"features": ("hog",), "hog": {"cells": (arguments["cell"],)}}

    def of(part: np.ndarray, on_progress: Progress | None = None) -> np.ndarray:
        grey = preprocess(part, size, 1, arguments.get("equalize", ""))[..., 0].astype(np.uint8)
        return extract(grey, arguments["features"], arguments, cache, on_progress)

    if len(images) <= CHUNK or "landmarks" in arguments["features"]:  # they count themselves, and write their cache
        return of(images, on_progress)
    found = []
    for start in range(0, len(images), CHUNK):
        found.append(of(images[start : start + CHUNK]))
        if on_progress:
            on_progress(min(start + CHUNK, len(images)), len(images))
    return np.concatenate(found)


class EstimatorClassifier:
    """A fitted scikit-learn estimator as a :class:`~fer_core.predictions.Classifier`.

    Args:
        arguments: those it was fitted with, where ``MODELS`` may say something else today.
        cache: folder for slow features of pictures that will come again; nothing is kept without one.
    """

    def __init__(
        self,
        name: str,
        estimator,
        class_names: tuple[str, ...],
        arguments: dict | None = None,
        cache: Path | None = None,
    ) -> None:
        self.name = name
        self.estimator = estimator
        self.class_names = tuple(class_names)
        self.arguments = spec(name)["arguments"] if arguments is None else arguments
        self.cache = cache
        self.input_size: tuple[int, int] = (spec(name)["input_size"],) * 2

    @property
    def param_count(self) -> int | None:
        """Coefficients of a linear model; support vectors with their weights; 0 for the majority class."""
        machine = svm.machine_of(self.estimator) if hasattr(self.estimator, "__getitem__") else self.estimator
        parts = ("support_vectors_", "dual_coef_") if hasattr(machine, "support_vectors_") else ("coef_",)
        found = [getattr(machine, part) for part in (*parts, "intercept_") if hasattr(machine, part)]
        return sum(int(part.size) for part in found)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(images), len(self.class_names)), np.float32)
        if len(images):
            columns = self.estimator.classes_  # a class that training never saw keeps probability 0
            values = features(self.name, images, self.arguments, self.cache)
            probabilities[:, columns] = self.serving.predict_proba(values)
        return probabilities

    @cached_property
    def serving(self):
        """The estimator, in a form that answers many pictures quickly."""
        if spec(self.name)["builder"] != "svm":
            return self.estimator
        from fer_core.models.batched_svc import batched

        return batched(self.estimator)


def _majority(arguments: dict, values: np.ndarray, y_true: np.ndarray, seed: int, subjects, on_stage):
    from sklearn.dummy import DummyClassifier

    on_stage(0)
    return DummyClassifier(strategy="prior").fit(values, y_true)


def _hog_logistic(arguments: dict, values: np.ndarray, y_true: np.ndarray, seed: int, subjects, on_stage):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    on_stage(0)
    logistic = LogisticRegression(C=arguments["C"], max_iter=300, random_state=seed)
    return make_pipeline(StandardScaler(), logistic).fit(values, y_true)


def _svm(arguments: dict, values: np.ndarray, y_true: np.ndarray, seed: int, subjects: np.ndarray | None, on_stage):
    return svm.fit_svm(svm.svm_pipeline(arguments, values.shape, seed), values, y_true, subjects, on_stage)


ESTIMATORS: dict[str, Callable] = {"majority": _majority, "hog_logistic": _hog_logistic, "svm": _svm}


def fit_stages(name: str, arguments: dict | None = None) -> list[str]:
    """What :func:`fit_estimator` does one after another, as it tells ``on_stage``.

    Raises:
        ConfigError: an argument is unknown or out of range.
    """
    entry = spec(name)
    arguments = entry["arguments"] if arguments is None else arguments
    check_estimator(entry["builder"], arguments)
    fitting = svm.fit_stages(arguments) if entry["builder"] == "svm" else [FITTING_STAGE]
    return [FEATURES_STAGE, *fitting]


def fit_estimator(
    name: str,
    train: Split,
    seed: int = 0,
    cache: Path | None = None,
    on_stage: Stage = lambda stage, done, total: None,
    arguments: dict | None = None,
) -> EstimatorClassifier:
    """Fit the estimator ``name`` of ``MODELS`` on ``train``.

    Args:
        cache: folder that keeps what is slow to compute.
        on_stage: called with what is done, one of :func:`fit_stages`, and how many pictures of how many are, 0 of 0
            where that is not counted.
        arguments: in place of those in ``MODELS``.

    Raises:
        ModelError: ``name`` is a network, or there is too little to fit it on.
        ConfigError: an argument is unknown or out of range.
    """
    entry = spec(name)
    if entry["family"] != "estimator":
        raise ModelError(f"{name} is a network.", "Train it with fer_core.training.run.train.")
    arguments = entry["arguments"] if arguments is None else arguments
    drawing, *fitting = fit_stages(name, arguments)  # refuses wrong arguments before features that may take long
    on_stage(drawing, 0, len(train))
    values = features(
        name, np.asarray(train.images), arguments, cache, lambda done, total: on_stage(drawing, done, total)
    )
    subjects = known_subjects(train.sample_ids)
    fit = ESTIMATORS[entry["builder"]]
    estimator = fit(arguments, values, train.y_true, seed, subjects, lambda place: on_stage(fitting[place], 0, 0))
    return EstimatorClassifier(name, estimator, train.class_names, arguments, cache)


def save_estimator(classifier: EstimatorClassifier, path: Path) -> None:
    """Write the fitted estimator as ``.skops``, compressed."""
    from skops.io import dump

    dump(classifier.estimator, path, compression=ZIP_DEFLATED)


def load_estimator(
    name: str, path: Path, class_names: tuple[str, ...], arguments: dict | None = None
) -> EstimatorClassifier:
    """Read what :func:`save_estimator` wrote.

    Args:
        arguments: those it was fitted with, if ``MODELS`` may say something else today.

    Raises:
        ModelError: the file is damaged, or holds types beyond scikit-learn's own.
    """
    from skops.io import get_untrusted_types, load

    try:
        unknown = [kind for kind in get_untrusted_types(file=path) if kind not in TRUSTED]
        estimator = load(path, trusted=list(TRUSTED)) if not unknown else None
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing.", "Train the model again.") from error
    except Exception as error:
        raise ModelError(f"{path} is damaged: {error}.", "Restore it from git or train the model again.") from error
    if unknown:
        raise ModelError(f"{path} holds types that are not to be trusted: {', '.join(unknown)}.", "Do not load it.")
    return EstimatorClassifier(name, estimator, class_names, arguments)
