"""Classifiers without a network: scikit-learn estimators on features of the face. Saved with skops, never pickle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_core.datasets.split import Split
from fer_core.errors import ModelError
from fer_core.models.preprocess import preprocess
from fer_core.models.specs import spec

BINS = 9  # orientations over 180 degrees, as Dalal & Triggs 2005, section 6.3


def hog(images: np.ndarray, cell: int) -> np.ndarray:
    """Histograms of oriented gradients (Dalal & Triggs 2005): float32 (N, D) of uint8 (N, H, W).

    Blocks of 2 x 2 cells with a stride of one cell, L2-Hys normalised. H and W must be multiples of ``cell``.
    """
    from skimage.feature import hog as hog_of_one

    height, width = images.shape[1:]
    if height % cell or width % cell:
        raise ModelError(f"HOG cells of {cell} pixels do not tile pictures of {height} x {width}.")
    settings = {"orientations": BINS, "pixels_per_cell": (cell, cell), "cells_per_block": (2, 2)}
    return np.stack([hog_of_one(image, block_norm="L2-Hys", **settings) for image in images]).astype(np.float32)


def features(name: str, images: np.ndarray) -> np.ndarray:
    """What the estimator ``name`` is fitted on: float32 (N, D) of uint8 (N, H, W) or (N, H, W, 3)."""
    entry = spec(name)
    grey = preprocess(images, (entry["input_size"],) * 2, 1)[..., 0].astype(np.uint8)
    if entry["builder"] == "majority":
        return np.zeros((len(grey), 1), np.float32)
    cell = entry["arguments"]["cell"]
    empty = np.zeros((0, 1), np.float32)
    return hog(grey, cell) if len(grey) else empty


class EstimatorClassifier:
    """A fitted scikit-learn estimator as a :class:`~fer_core.predictions.Classifier`."""

    def __init__(self, name: str, estimator, class_names: tuple[str, ...]) -> None:
        self.name = name
        self.estimator = estimator
        self.class_names = tuple(class_names)
        self.input_size: tuple[int, int] = (spec(name)["input_size"],) * 2

    @property
    def param_count(self) -> int | None:
        """Coefficients of a linear model, 0 for the majority class."""
        last = self.estimator[-1] if hasattr(self.estimator, "__getitem__") else self.estimator
        if hasattr(last, "coef_"):
            return int(last.coef_.size + last.intercept_.size)
        return 0

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(images), len(self.class_names)), np.float32)
        if len(images):
            columns = self.estimator.classes_  # a class that training never saw keeps probability 0
            probabilities[:, columns] = self.estimator.predict_proba(features(self.name, images))
        return probabilities


def _majority(arguments: dict, seed: int):
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


def _hog_logistic(arguments: dict, seed: int):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=arguments["C"], max_iter=300, random_state=seed))


ESTIMATORS: dict[str, Callable] = {"majority": _majority, "hog_logistic": _hog_logistic}


def fit_estimator(name: str, train: Split, seed: int = 0) -> EstimatorClassifier:
    """Fit the estimator ``name`` of ``MODELS`` on ``train``.

    Raises:
        ModelError: ``name`` is a network.
    """
    entry = spec(name)
    if entry["family"] != "estimator":
        raise ModelError(f"{name} is a network.", "Train it with fer_core.training.run.train.")
    estimator = ESTIMATORS[entry["builder"]](entry["arguments"], seed)
    estimator.fit(features(name, np.asarray(train.images)), train.y_true)
    return EstimatorClassifier(name, estimator, train.class_names)


def save_estimator(classifier: EstimatorClassifier, path: Path) -> None:
    """Write the fitted estimator as ``.skops``."""
    from skops.io import dump

    dump(classifier.estimator, path)


def load_estimator(name: str, path: Path, class_names: tuple[str, ...]) -> EstimatorClassifier:
    """Read what :func:`save_estimator` wrote.

    Raises:
        ModelError: the file is damaged, or holds types beyond scikit-learn's own.
    """
    from skops.io import get_untrusted_types, load

    try:
        unknown = get_untrusted_types(file=path)
        estimator = load(path, trusted=[]) if not unknown else None
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing.", "Train the model again.") from error
    except Exception as error:
        raise ModelError(f"{path} is damaged: {error}.", "Restore it from git or train the model again.") from error
    if unknown:
        raise ModelError(f"{path} holds types that are not to be trusted: {', '.join(unknown)}.", "Do not load it.")
    return EstimatorClassifier(name, estimator, class_names)
