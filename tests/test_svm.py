"""Support vector machines: kernels, scalings, calibration, small files, and the search for their settings."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.svm import SVC, LinearSVC
from typer.testing import CliRunner

from fer_core import artifacts, datasets
from fer_core.datasets import synthetic
from fer_core.errors import ConfigError, ModelError
from fer_core.labels import CLASS_NAMES
from fer_core.models import batched_svc, svm
from fer_core.models.arguments import ESTIMATOR_ARGUMENTS, FEATURE_SETTINGS, KERNELS, SCALINGS, check_estimator
from fer_core.models.estimators import EstimatorClassifier, fit_estimator, load_estimator, save_estimator
from fer_core.models.features import FEATURES, hog
from fer_core.models.specs import MODELS

SVMS = [name for name, entry in MODELS.items() if entry["builder"] == "svm"]
ENTRIES = [pytest.param(name, marks=pytest.mark.slow) if "landmarks" in name else name for name in SVMS]  # detection
CHANCE = 1 / 7


@pytest.fixture(scope="module")
def train():
    return synthetic.faces(140, size=48, seed=5)


@pytest.fixture(scope="module")
def unseen():
    return synthetic.faces(70, size=48, seed=6)


@pytest.fixture(scope="module")
def values(train, unseen):
    return hog(train.images, (8,)), hog(unseen.images, (8,))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_kernel_and_scaling_learns_drawn_faces(kernel, scaling, train, unseen, values):
    pipeline = svm.svm_pipeline({"kernel": kernel, "scaling": scaling, "components": 60, "C": 1.0}, values[0].shape)
    svm.fit_svm(pipeline, values[0], train.y_true)
    probabilities = pipeline.predict_proba(values[1])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities.argmax(axis=1) == unseen.y_true).mean() > 3 * CHANCE
    machine = svm.machine_of(pipeline)
    assert isinstance(machine, LinearSVC if kernel == "linear" else SVC)
    decided = pipeline[:-1].transform(values[1])
    assert (machine.predict(decided) == probabilities.argmax(axis=1)).mean() > 0.75


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("kernel", ["poly", "rbf"])
def test_answers_in_batches_are_libsvms(kernel, classes, train, unseen, values, monkeypatch):
    monkeypatch.setattr(batched_svc, "CHUNK_BYTES", 8 * 120 * 9)  # nine pictures or so at once
    kept = train.y_true < classes
    pipeline = svm.svm_pipeline({"kernel": kernel, "components": 30, "C": 1.0, "gamma": 0.02}, values[0].shape)
    svm.fit_svm(pipeline, values[0][kept], train.y_true[kept])
    faster = batched_svc.batched(pipeline)
    assert isinstance(svm.machine_of(faster), batched_svc.BatchedSVC)
    assert type(svm.machine_of(pipeline)) is SVC
    np.testing.assert_allclose(faster.predict_proba(values[1]), pipeline.predict_proba(values[1]), atol=1e-9)
    reached = pipeline[:-1].transform(values[1])
    found, wanted = (svm.machine_of(one).decision_function(reached) for one in (faster, pipeline))
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_array_equal(*(svm.machine_of(one).predict(reached) for one in (faster, pipeline)))


def test_a_linear_machine_needs_no_batches(train, values):
    pipeline = svm.svm_pipeline({"kernel": "linear", "components": 20, "C": 0.01}, values[0].shape)
    assert batched_svc.batched(svm.fit_svm(pipeline, values[0], train.y_true)) is pipeline


def test_scalings_are_what_they_are_called():
    values = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    scaled = {name: svm.svm_pipeline({"scaling": name}, values.shape)[:1] for name in SCALINGS}
    zscore = scaled["zscore"].fit_transform(values)
    np.testing.assert_allclose([zscore.mean(axis=0), zscore.std(axis=0)], [[0] * 4, [1] * 4], atol=1e-5)
    minmax = scaled["minmax"].fit_transform(values)
    np.testing.assert_allclose([minmax.min(axis=0), minmax.max(axis=0)], [[0] * 4, [1] * 4], atol=1e-5)
    np.testing.assert_array_equal(scaled["none"].fit_transform(values), values)


def test_probabilities_are_calibrated_on_held_out_decisions(train, values):
    """A machine that knows every training picture by heart may not be sure of itself elsewhere."""
    pipeline = svm.svm_pipeline({"C": 100.0, "scaling": "none", "gamma": 1.0}, values[0].shape)
    shuffled = np.random.default_rng(0).permutation(train.y_true)  # nothing to be learnt
    svm.fit_svm(pipeline, values[0], shuffled)
    assert (svm.machine_of(pipeline).predict(values[0]) == shuffled).mean() > 0.95
    assert pipeline.predict_proba(values[1]).max(axis=1).mean() < 0.35


@pytest.mark.parametrize("kernel", KERNELS)
def test_balanced_classes_weigh_the_same(kernel):
    """Two classes that overlap, one ten times as frequent: unweighted, nearly all answers are the frequent one."""
    rng = np.random.default_rng(0)
    y_true = np.repeat([0, 1], [300, 30])
    points = rng.normal(y_true[:, None] * 0.7, 1.0, (330, 2))
    found = {}
    for weight in ("", "balanced"):
        arguments = {"class_weight": weight, "kernel": kernel, "C": 0.1, "gamma": 0.5}
        pipeline = svm.fit_svm(svm.svm_pipeline(arguments, points.shape), points, y_true)
        found[weight] = (svm.machine_of(pipeline).predict(pipeline[:-1].transform(points[y_true == 1])) == 1).mean()
    assert found["balanced"] > found[""] + 0.3


def test_components_never_exceed_what_there_is(values):
    assert svm.svm_pipeline({"components": 500}, (40, 900))["pca"].n_components == 40
    assert "pca" not in svm.svm_pipeline({}, (40, 900)).named_steps


def test_gamma_unit_is_scikit_learns_scale(values, train):
    pipeline = svm.svm_pipeline({"components": 30, "scaling": "minmax"}, values[0].shape, calibrated=False)
    unit = svm.unit_gamma(pipeline, values[0])
    assert unit == pytest.approx(pipeline.fit(values[0], train.y_true)[-1]._gamma, rel=1e-3)


def test_rounding_keeps_eleven_binary_digits():
    numbers = np.array([1.0, -1 / 3, 1e-9, 12345.678, 0.0])
    kept = svm.rounded(numbers)
    np.testing.assert_allclose(kept, numbers, rtol=2.0**-11)
    mantissa = np.frexp(kept)[0] * 2**11
    np.testing.assert_array_equal(mantissa, np.round(mantissa))
    assert svm.rounded(numbers.astype(np.float32)).dtype == np.float32


WRONG_ARGUMENTS = [
    ("svm_hog_rbf", {"kernel": "sigmoid"}, "kernel must be one of linear, poly, rbf. Received 'sigmoid'"),
    ("svm_hog_rbf", {"kernel": ["rbf"]}, "kernel must be one of linear, poly, rbf. Received ['rbf']"),
    ("svm_hog_rbf", {"scaling": "robust"}, "scaling must be one of none, zscore, minmax. Received 'robust'"),
    ("svm_hog_rbf", {"equalize": "gamma"}, "equalize must be one of '', hist, clahe. Received 'gamma'"),
    ("svm_hog_rbf", {"class_weight": None}, "class_weight must be one of '', balanced. Received None"),
    ("svm_hog_rbf", {"C": 0}, "C must be a number above 0. Received 0"),
    ("svm_hog_rbf", {"C": "scale"}, "C must be a number above 0. Received 'scale'"),
    ("svm_hog_rbf", {"C": True}, "C must be a number above 0. Received True"),
    ("svm_hog_rbf", {"C": float("inf")}, "C must be a number above 0. Received inf"),
    ("svm_hog_rbf", {"gamma": "auto"}, "gamma must be a number above 0, or scale. Received 'auto'"),
    ("svm_hog_rbf", {"components": -1}, "components must be a whole number of at least 0. Received -1"),
    ("svm_hog_rbf", {"components": True}, "components must be a whole number of at least 0. Received True"),
    ("svm_hog_rbf", {"folds": 1}, "folds must be a whole number of at least 2. Received 1"),
    ("svm_hog_rbf", {"nu": 0.5}, "There is no argument nu. Received 0.5. Expected some of C, class_weight, components"),
    ("svm_hog_rbf", {"features": "hog"}, "features must be a list of some of pixels, hog, landmarks, embedding. Rec"),
    ("svm_hog_rbf", {"features": []}, "features must be a list of some of pixels, hog, landmarks, embedding. Rec"),
    ("svm_hog_rbf", {"features": ["lbp"]}, "features must be a list of some of pixels, hog, landmarks, embedding. Rec"),
    ("svm_hog_rbf", {"hog": {"cell": 7}}, "There is no argument hog.cell. Received 7. Expected some of hog.cells"),
    ("svm_hog_rbf", {"hog": {"cells": 7}}, "hog.cells must be a list of sides in pixels of at least 1, such as [6, 8]"),
    ("svm_hog_rbf", {"hog": {"cells": [0]}}, "hog.cells must be a list of sides in pixels of at least 1"),
    ("svm_hog_rbf", {"pixels": {"step": 2}}, "There is no argument pixels.step. Received 2. Leave it out"),
    ("svm_hog_rbf", {"embedding": 3, "features": ["embedding"]}, "embedding must be an object of settings. Received 3"),
    ("svm_hog_rbf", {"features": ["embedding"]}, "embedding lacks run and weights_sha256. Received {}"),
    (
        "svm_hog_rbf",
        {"features": ["embedding"], "embedding": {"run": "x"}},
        "embedding lacks weights_sha256. Received {'run': 'x'}. Expected both of run and weights_sha256",
    ),
    ("hog_logistic", {"C": -1}, "C must be a number above 0. Received -1"),
    ("hog_logistic", {"cell": 2.5}, "cell must be a whole number of at least 1. Received 2.5"),
    ("hog_logistic", {"kernel": "rbf"}, "There is no argument kernel. Received 'rbf'. Expected some of C, cell"),
    ("majority", {"C": 1}, "There is no argument C. Received 1. Leave it out: there is nothing to set"),
]


@pytest.mark.parametrize(("name", "arguments", "problem"), WRONG_ARGUMENTS)
def test_wrong_arguments_are_refused_with_what_they_may_be(name, arguments, problem, train):
    with pytest.raises(ConfigError, match=re.escape(problem)):
        fit_estimator(name, train, arguments=MODELS[name]["arguments"] | arguments)
    if MODELS[name]["builder"] == "svm":
        with pytest.raises(ConfigError, match=re.escape(problem)):
            svm.svm_pipeline(arguments, (10, 10))


def test_every_argument_and_feature_says_what_it_may_be():
    assert list(FEATURE_SETTINGS) == list(FEATURES)
    assert set(ESTIMATOR_ARGUMENTS["svm"]) == {*svm.DEFAULTS, *FEATURES}
    for entry in MODELS.values():
        if entry["family"] == "estimator":
            check_estimator(entry["builder"], json.loads(json.dumps(entry["arguments"])))


def test_cells_too_large_for_a_block_are_refused(train):
    with pytest.raises(ModelError, match="cells of 48 pixels do not tile pictures of 48 x 48 by two"):
        fit_estimator("hog_logistic", train, arguments={"cell": 48, "C": 1.0})


def test_too_few_pictures_are_said(values, train):
    pipeline = svm.svm_pipeline({}, values[0].shape)
    few = [*np.flatnonzero(train.y_true != 1).tolist(), 1, 8]
    with pytest.raises(ModelError, match="A class has 2 training pictures; calibration in 3 folds needs 3"):
        svm.fit_svm(pipeline, values[0][few], train.y_true[few])
    with pytest.raises(ModelError, match="one class"):
        svm.fit_svm(pipeline, values[0][:9], np.zeros(9, np.int64))


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_fits_and_survives_a_round_trip(name, tmp_path, train):
    svm.settings(MODELS[name]["arguments"])
    faces = train.take(np.arange(42))
    classifier = fit_estimator(name, faces, cache=tmp_path)
    save_estimator(classifier, tmp_path / "weights.skops")
    again = load_estimator(name, tmp_path / "weights.skops", CLASS_NAMES)
    probabilities = classifier.predict_proba(faces.images)
    assert probabilities.shape == (42, 7) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(again.predict_proba(faces.images), probabilities)
    assert classifier.predict_proba(faces.images[:0]).shape == (0, 7)
    machine = svm.machine_of(classifier.estimator)
    held = (machine.coef_,) if isinstance(machine, LinearSVC) else (machine.support_vectors_, machine.dual_coef_)
    assert classifier.param_count == sum(part.size for part in held) + machine.intercept_.size


def test_small_files_hold_many_support_vectors(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(700, 100)).astype(np.float32)
    pipeline = svm.fit_svm(svm.svm_pipeline({"scaling": "none"}, noise.shape), noise, np.arange(700) % 7)
    count = svm.machine_of(pipeline).support_vectors_.size
    assert count > 50_000
    save_estimator(EstimatorClassifier("svm_hog_rbf", pipeline, CLASS_NAMES), tmp_path / "weights.skops")
    assert (tmp_path / "weights.skops").stat().st_size < 3 * count  # 8 bytes each before


@pytest.mark.slow
def test_a_run_is_loaded_with_the_arguments_it_was_trained_with(tmp_path, train, monkeypatch):
    from fer_core.models.registry import load_classifier
    from fer_core.training.run import train as train_model

    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    drawn = synthetic.dataset(n_train=70, n_val=35, n_test=35, seed=3)
    run = artifacts.read_run(train_model("svm_hog_linear", drawn, work_root=tmp_path, root=tmp_path))
    assert run.run["config"]["hog"] == {"cells": [6, 8]}
    monkeypatch.setitem(MODELS["svm_hog_linear"], "arguments", {"features": ("pixels",)})
    probabilities = load_classifier(run).predict_proba(drawn["test"].images)
    np.testing.assert_allclose(probabilities, run.predictions("test").pred_probs, atol=1e-6)


def test_weights_that_are_not_to_be_shipped_are_not(tmp_path, monkeypatch):
    from fer_core.training.run import train as train_model

    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setitem(MODELS["svm_hog_linear"], "ship_weights", False)
    drawn = synthetic.dataset(n_train=70, n_val=35, n_test=35, seed=3)
    run = artifacts.read_run(train_model("svm_hog_linear", drawn, work_root=tmp_path, root=tmp_path))
    assert run.weights_path is None and run.run["retrain"].endswith("train svm_hog_linear drawn")


def test_folds_keep_subjects_together(train, values, monkeypatch):
    """In the search, and in the calibration, whose folds do not stay with the machine."""
    from sklearn import model_selection

    who = np.array([f"S{at // 14:03d}" for at in range(140)])  # ten subjects, all of them with several classes
    seen = []

    class Watched(model_selection.StratifiedGroupKFold):
        def split(self, X, y=None, groups=None):
            for others, fold in super().split(X, y, groups):
                seen.append(set(groups[others]) & set(groups[fold]))
                yield others, fold

    monkeypatch.setattr(model_selection, "StratifiedGroupKFold", Watched)
    monkeypatch.setitem(svm.GRID, "linear", {"C": [0.01]})
    arguments = {"kernel": "linear", "components": 20}
    svm.search(arguments, values[0], train.y_true, subjects=who, folds=2)
    assert seen == [set(), set()]
    pipeline = svm.svm_pipeline(arguments, values[0].shape)
    svm.fit_svm(pipeline, values[0], train.y_true, who)
    assert seen == [set()] * 5 and pipeline[-1].cv == 3
    with pytest.raises(ConfigError, match="there are 2 subjects"):
        svm.search(arguments, values[0], train.y_true, subjects=np.array(["S001", "S002"] * 70))


def test_components_fit_the_smallest_training_part(monkeypatch):
    """A subject with most of the pictures leaves few to fit on where it is held out."""
    monkeypatch.setitem(svm.GRID, "linear", {"C": [0.01]})
    points = np.random.default_rng(0).normal(size=(30, 18))
    who = np.repeat(["S001", "S002", "S003"], [20, 5, 5])
    found = svm.search({"kernel": "linear", "components": 15}, points, np.arange(30) % 2, subjects=who)
    assert found["accuracy"].between(0, 1).all() and len(found) == 1


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_fits_are_told_before_each_of_them_and_change_nothing(kernel, train, values):
    """scikit-learn's own pipeline is the oracle; what is kept is its own machine."""
    from sklearn.base import clone

    arguments = {"kernel": kernel, "components": 5, "C": 0.01, "folds": 4}
    some, y_true = values[0][:56, :100], train.y_true[:56]
    pipeline, told = svm.svm_pipeline(arguments, some.shape), []
    silent = clone(pipeline).fit(some, y_true)
    svm.fit_svm(pipeline, some, y_true, on_stage=told.append)
    assert told == list(range(6))
    assert svm.fit_stages(arguments) == [
        "scaling and principal components",
        *(f"calibration, fold {fold} of 4" for fold in (1, 2, 3, 4)),
        "the machine on all pictures",
    ]
    for machine in (svm.machine_of(pipeline), pipeline[-1].estimator):
        assert type(machine) is type(silent[-1].estimator)
    np.testing.assert_allclose(pipeline.predict_proba(some), silent.predict_proba(some), atol=2e-3)


def test_a_machine_that_fails_is_still_scikit_learns(values):
    pipeline = svm.svm_pipeline({"kernel": "rbf"}, values[0].shape)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        svm.fit_svm(pipeline, values[0][:30], np.arange(70) % 7)
    assert type(pipeline[-1].estimator) is SVC


def test_features_of_many_pictures_are_counted_and_are_those_of_few(train, monkeypatch):
    from fer_core.models import estimators

    whole, counted = estimators.features("svm_hog_rbf", train.images), []
    monkeypatch.setattr(estimators, "CHUNK", 60)
    parts = estimators.features("svm_hog_rbf", train.images, on_progress=lambda *step: counted.append(step))
    np.testing.assert_array_equal(parts, whole)
    assert counted == [(60, 140), (120, 140), (140, 140)]


def test_subjects_are_known_only_where_every_id_names_one():
    from fer_core.datasets.subjects import known_subjects

    frames = ["S010_006_00000013", "S011_001_00000002"]
    assert known_subjects(frames).tolist() == ["S010", "S011"]
    assert known_subjects([*frames, "train_00001"]) is None and known_subjects([]) is None


@pytest.mark.slow
def test_search_judges_as_scikit_learns_cross_validation(values, train):
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    steps = []
    arguments = {"components": 30, "scaling": "none", "kernel": "rbf"}
    frame = svm.search(arguments, values[0], train.y_true, on_progress=lambda *step: steps.append(step))
    count = len(svm.GRID["rbf"]["C"]) * len(svm.GRID["rbf"]["gamma"])
    assert len(frame) == count and steps == [(fit, 3 * count) for fit in range(3 * count + 1)]
    assert frame["accuracy"].is_monotonic_decreasing
    best = frame.iloc[0]
    pipeline = svm.svm_pipeline(arguments | {"C": best["C"], "gamma": best["gamma"]}, (93, 900), calibrated=False)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    expected = cross_val_score(pipeline, values[0], train.y_true, cv=folds)
    np.testing.assert_allclose(best[["fold_1", "fold_2", "fold_3"]].astype(float), expected)
    assert best["accuracy"] == pytest.approx(expected.mean())


@pytest.mark.parametrize("draws", [None, 3])
def test_a_search_that_was_killed_goes_on_with_the_settings_not_tried_yet(draws, values, train, tmp_path, monkeypatch):
    fitted, told = [], []
    monkeypatch.setitem(svm.GRID, "linear", {"C": [0.003, 0.01, 0.03]})
    monkeypatch.setattr(LinearSVC, "fit", _counting(fitted, LinearSVC.fit))
    given = ({"kernel": "linear", "components": 10}, values[0], train.y_true)

    def killed(done: int, total: int) -> None:
        if done == 5:  # in the second setting
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        svm.search(*given, draws=draws, work=tmp_path, on_progress=killed)
    assert len(fitted) == 5
    fitted.clear()
    again = svm.search(*given, draws=draws, work=tmp_path, on_progress=lambda done, total: told.append(done))
    assert len(fitted) == 6 and told == [0, *range(3, 10)]
    at_once = svm.search(*given, draws=draws)
    pd.testing.assert_frame_equal(again.drop(columns="fit_time_s"), at_once.drop(columns="fit_time_s"))
    assert (again["fit_time_s"] > 0).all()


def _counting(calls: list, fit):
    def counted(self, *given, **named):
        calls.append(self.C)
        return fit(self, *given, **named)

    return counted


@pytest.mark.slow
def test_random_search_draws_inside_the_grid_and_by_its_seed(values, train):
    arguments = {"components": 20, "kernel": "poly"}
    first, again = (svm.search(arguments, values[0], train.y_true, draws=4, folds=2, seed=3) for _ in range(2))
    columns = ["C", "gamma", "degree", "accuracy"]
    pd.testing.assert_frame_equal(first[columns], again[columns])
    assert len(first) == 4 and first["C"].between(svm.GRID["poly"]["C"][0], svm.GRID["poly"]["C"][-1]).all()
    assert first["C"].nunique() == 4 and set(first["degree"]) <= {2, 3}
    with pytest.raises(ConfigError, match="rarest class"):
        svm.search(arguments, values[0], train.y_true, folds=30)


@pytest.mark.slow
def test_search_command_stores_its_table_and_conditions(tmp_path, monkeypatch):
    from fer_core.__main__ import app

    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    call = ["search", "svm_hog_linear", datasets.DRAWN, "--folds", "2", "--limit", "70"]
    result = CliRunner().invoke(app, [*call, "--grid"])
    assert result.exit_code == 0, result.output
    (table,) = (tmp_path / "searches").glob("*.csv")
    assert table.name.startswith("drawn-svm_hog_linear-")
    frame = pd.read_csv(table)
    assert len(frame) == len(svm.GRID["linear"]["C"])
    assert frame["accuracy"].iloc[0] > 2 * CHANCE
    assert f"{100 * frame['accuracy'].iloc[0]:.2f} %" in result.output
    assert "svm_hog_linear: features of 70 pictures" in result.output
    assert "svm_hog_linear: 6 of 6 settings tried, 12 of 12 fits" in result.output
    conditions = json.loads(table.with_suffix(".json").read_text())
    stated = {key: conditions[key] for key in ("n", "folds", "seed", "method", "split")}
    assert stated == {"n": 70, "folds": 2, "seed": 0, "method": "grid", "split": "train"}
    assert "scikit-learn" in conditions["versions"] and conditions["folds_by"] == "picture"
    best = json.dumps({"C": float(frame["C"].iloc[0])})
    assert f"train svm_hog_linear drawn --set 'arguments={best}'" in result.output
    assert CliRunner().invoke(app, [*call, "--random", "2"]).exit_code == 0
    assert len(list((tmp_path / "searches").glob("*.csv"))) == 2  # nothing was written over
    other = ["--set", "kernel=poly", "--set", 'features=["pixels"]', "--set", "components=5", "--random", "1"]
    result = CliRunner().invoke(app, [*call, *other])
    (record,) = [json.loads(p.read_text()) for p in (tmp_path / "searches").glob("*-3.json")]
    assert (record["features"], record["arguments"]["kernel"]) == (48 * 48, "poly")
    assert '"features": ["pixels"], "components": 5, "kernel": "poly", "C"' in " ".join(result.output.split())


def test_search_command_refuses_what_is_no_svm(monkeypatch, tmp_path):
    from fer_core.__main__ import app

    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    call = CliRunner().invoke
    assert "no support vector machine" in str(call(app, ["search", "majority", datasets.DRAWN]).exception)
    both = call(app, ["search", "svm_hog_rbf", datasets.DRAWN, "--grid", "--random", "3"])
    assert "Give one of them" in str(both.exception)
    unknown = call(app, ["search", "svm_hog_rbf", datasets.DRAWN, "--set", "colour=1"])
    assert "There is no argument colour. Received 1." in str(unknown.exception)
    nested = call(app, ["search", "svm_hog_rbf", datasets.DRAWN, "--random", "2", "--set", 'hog={"cell":3}'])
    assert "There is no argument hog.cell. Received 3." in str(nested.exception)
    assert not os.listdir(tmp_path)


def test_limit_keeps_the_shares_of_the_classes():
    from fer_core.commands.search import stratified

    y_true = np.repeat([0, 1, 2], [60, 30, 10])
    np.testing.assert_array_equal(np.bincount(y_true[stratified(y_true, 50, 0)]), [30, 15, 5])
    assert len(stratified(y_true, 1000, 0)) == 100
    with pytest.raises(ConfigError, match="--limit 2 is too small"):
        stratified(y_true, 2, 0)


def test_class_averages_are_those_of_the_classification_report():
    from sklearn.metrics import classification_report

    from fer_core import metrics
    from fer_core.commands.tables import class_averages
    from fer_core.predictions import Predictions

    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(7), 90).astype(np.float32)
    y_true = rng.integers(0, 6, 90)  # one class never occurs
    predictions = Predictions(np.arange(90).astype(str), y_true, probabilities, CLASS_NAMES)
    report = classification_report(
        y_true, predictions.y_pred, labels=range(7), target_names=CLASS_NAMES, output_dict=True, zero_division=0
    )
    averages = class_averages(metrics.evaluate(predictions, n_boot=0)["per_class"])
    for name in ("macro avg", "weighted avg"):
        expected = {key.removesuffix("-score"): value for key, value in report[name].items()}
        assert {key: averages[name][key] for key in expected} == pytest.approx(expected)
