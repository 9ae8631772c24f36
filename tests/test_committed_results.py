"""What the committed runs and studies show, recomputed by scikit-learn from nothing but their stored predictions."""

import itertools
import shlex
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from fer_core import artifacts
from fer_core.artifacts import Run
from fer_core.commands.train import parse_settings
from fer_core.models.specs import MODELS, spec
from fer_core.storage import read_json
from fer_core.training.config import TrainConfig, config_of_entry
from tests.conftest import PROJECT

PAPERS = {"kumar_ukken", "feeling_it", "ugwu_rafdb", "patil_thesis"}
PRIVATE_TEST = 3589
REGIONS = ("forehead", "eyes", "mouth")
RUNS, PROBLEMS = artifacts.list_runs(PROJECT / "artifacts")
STUDIES = sorted((PROJECT / "artifacts" / "studies").glob("masks-*"))
# Model, initial weights -> the least accuracy on test that its best run must have.
FLOORS = {
    ("vgg16_bn_dropout", "random"): 0.60,
    ("vgg16_finetuned", "random"): 0.63,
    ("mobilenetv2_frozen", "imagenet"): 0.48,
    ("svm_hog_poly", None): 0.50,
    ("svm_hog_rbf", None): 0.55,
    ("patil_cnn", "random"): 0.62,
}


class Measured(NamedTuple):
    run: Run
    accuracy: float
    n: int


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    """Every committed run on FER2013, by its predictions for test."""
    found = []
    for run in RUNS:
        if run.dataset == "fer2013":
            with np.load(run.path / "predictions_test.npz") as stored:
                y_true, y_pred = stored["y_true"], stored["pred_probs"].argmax(axis=1)
            found.append(Measured(run, accuracy_score(y_true, y_pred), len(y_true)))
    return found


def test_every_paper_has_measured_rows_on_all_of_fer2013s_test(measured):
    assert not PROBLEMS
    rows = {(one.run.run["paper"], one.run.run["system"]) for one in measured if one.n == PRIVATE_TEST}
    rows = {row for row in rows if row[0]}
    assert len(rows) >= 20 and {paper for paper, _ in rows} == PAPERS


@pytest.mark.parametrize(("model", "weights"), FLOORS)
def test_systems_reach_what_they_should(model, weights, measured):
    of_model = [one for one in measured if one.run.model == model and one.run.run.get("initial_weights") == weights]
    whole = [one.accuracy for one in of_model if one.n == PRIVATE_TEST and not one.run.altered]
    assert max(whole, default=0) >= FLOORS[model, weights]


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_hiding_the_mouth_costs_most(study):
    """By more than two standard errors of the paired difference."""
    conditions = read_json(study / "study.json")["conditions"]
    with np.load(study / "predictions.npz") as stored:
        right = stored["pred_probs"].argmax(axis=2) == stored["y_true"]
    right = dict(zip(conditions, right.astype(float), strict=True))
    for other in ("none", "forehead", "eyes"):
        difference = right[other] - right["mouth"]
        assert difference.mean() > 2 * difference.std() / np.sqrt(len(difference)), other


@pytest.mark.parametrize("network", ["vgg16", "resnet50"])
def test_training_without_the_mouth_costs_most(network, measured):
    found = {
        region: [one.accuracy for one in measured if one.run.model == f"{network}_masked_{region}"]
        for region in REGIONS
    }
    assert max(found["mouth"]) < min(found["forehead"] + found["eyes"])


NETWORKS = [run for run in RUNS if run.model in MODELS and spec(run.model)["family"] == "network"]


@pytest.mark.parametrize("run", NETWORKS, ids=lambda run: run.name)
def test_the_stored_command_trains_the_same_by_todays_recipes(run):
    """A recipe that changes must not change what the commands of older runs mean."""
    words = shlex.split(run.run["retrain"])
    changes = parse_settings([value for word, value in itertools.pairwise(words) if word == "--set"])
    if "--seed" in words:
        changes["seed"] = int(words[words.index("--seed") + 1])
    assert config_of_entry(spec(run.model), changes) == TrainConfig.from_dict(run.run["config"])
