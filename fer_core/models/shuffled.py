"""Fitted estimators that have forgotten what they learnt: their coefficients in another order, features as before."""

import copy

import numpy as np

from fer_core.models import svm
from fer_core.models.estimators import EstimatorClassifier
from fer_core.predictions import Classifier


def estimator_of(classifier: Classifier) -> EstimatorClassifier | None:
    """The estimator with coefficients that ``classifier`` is, or answers for as a ``Predictor`` does; else None."""
    inner = getattr(classifier, "classifier", classifier)
    known = isinstance(inner, EstimatorClassifier) and hasattr(inner.estimator, "__getitem__")
    return inner if known and _coefficients(svm.machine_of(inner.estimator)) else None


def shuffled(classifier: EstimatorClassifier, share: float, seed: int) -> EstimatorClassifier:
    """A copy with some of its coefficients in another order; those of a linear model, or of the support vectors.

    Args:
        classifier: one that :func:`estimator_of` gives.
        share: of the coefficients that are shuffled, 0..1.
    """
    machine = copy.copy(svm.machine_of(classifier.estimator))
    for name in _coefficients(machine):
        setattr(machine, name, _in_another_order(getattr(machine, name), share, np.random.default_rng(seed)))
    pipeline = svm.with_machine(classifier.estimator, machine)
    return EstimatorClassifier(
        classifier.name, pipeline, classifier.class_names, classifier.arguments, classifier.cache
    )


def _coefficients(machine) -> tuple[str, ...]:
    """Names of the arrays that hold them; libsvm answers by its own copy of the public one."""
    if hasattr(machine, "support_vectors_"):
        return ("dual_coef_", "_dual_coef_")
    return ("coef_",) if hasattr(machine, "coef_") else ()


def _in_another_order(values: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    out = np.array(values)
    chosen = rng.permutation(out.size)[: round(share * out.size)]
    out.flat[chosen] = out.flat[rng.permutation(chosen)]
    return out
