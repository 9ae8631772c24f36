"""Estimators whose coefficients change places: the randomisation check of support vector machines and linear models."""

import numpy as np
import pytest

from fer_core.datasets import synthetic
from fer_core.explain import faithfulness, randomised, saliency
from fer_core.explain.check_basics import FAILED
from fer_core.inference import Predictor
from fer_core.models import svm
from fer_core.models.ensemble import Ensemble
from fer_core.models.estimators import fit_estimator
from fer_core.models.shuffled import estimator_of, shuffled
from tests.test_faithfulness import as_map

NAMES = ("hog_logistic", "svm_hog_linear", "svm_hog_rbf", "svm_hog_poly")


@pytest.fixture(scope="module")
def train():
    return synthetic.faces(140, size=48, seed=5)


@pytest.fixture(scope="module")
def fitted(train):
    return {name: fit_estimator(name, train, seed=0) for name in NAMES}


def coefficients(classifier):
    machine = svm.machine_of(classifier.estimator)
    return getattr(machine, "_dual_coef_", getattr(machine, "coef_", None))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_coefficients_in_another_order(fitted, train, name):
    own = fitted[name]
    before, answers = coefficients(own).copy(), own.predict_proba(train.images[:20])
    copies = {share: shuffled(own, share, seed=1) for share in (0.0, 0.5, 1.0)}
    moved = {share: float((coefficients(copy) != before).mean()) for share, copy in copies.items()}
    assert moved[0.0] == 0 and moved[0.5] < 0.6 and moved[0.5] < moved[1.0]
    for copy in copies.values():
        assert np.array_equal(np.sort(coefficients(copy), axis=None), np.sort(before, axis=None))
    np.testing.assert_array_equal(copies[0.0].predict_proba(train.images[:20]), answers)
    assert np.abs(copies[1.0].predict_proba(train.images[:20]) - answers).max() > 0.05
    assert np.array_equal(coefficients(own), before)
    np.testing.assert_array_equal(own.predict_proba(train.images[:20]), answers)


def test_models_without_coefficients_cannot_be_shuffled(fitted, train):
    majority = fit_estimator("majority", train, seed=0)
    assert estimator_of(majority) is None and not randomised.can_be_randomised(majority)
    assert estimator_of(Predictor(fitted["svm_hog_rbf"])) is fitted["svm_hog_rbf"]
    assert not randomised.can_be_randomised(Ensemble([fitted["hog_logistic"], majority]))


def test_an_edge_map_fails_and_the_machines_own_does_better(fitted, train):
    """What does not ask the model says the same of a model that has forgotten everything."""
    model, image = Ensemble([fitted["svm_hog_rbf"], fitted["hog_logistic"]]), train.images[3]
    edges = as_map(np.abs(np.gradient(image.astype(np.float32))[0]) / 255)
    checked = faithfulness.randomisation(model, image, edges, lambda copy, images, **options: edges)
    assert checked.similarity == pytest.approx(1) and len(checked.spearman) == len(randomised.COPIES)
    found = saliency.explain(model, image[None], int(train.y_true[3]), "occlusion")
    own = faithfulness.randomisation(model, image, found, faithfulness.once_more(found))
    assert own.similarity < 0.9
    curve = faithfulness.deletion(model, image, found)
    trust = faithfulness.Trust((9, 9), False, curve, curve, checked, np.ones(4), np.zeros(0))
    assert faithfulness.verdicts(trust)[2].outcome == FAILED
