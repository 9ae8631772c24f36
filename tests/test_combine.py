"""Ensembles as runs: means by hand, weights chosen on val, members that must be the ones meant, and the pages."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets
from fer_core.__main__ import app
from fer_core.commands import study
from fer_core.errors import ConfigError, FerError, ModelError, RunError
from fer_core.inference import Predictor
from fer_core.models.registry import load_classifier
from fer_core.pictures import default_run, has_gradients, is_network, usable_runs
from fer_core.predictions import Predictions
from fer_core.training.combine import ROUNDS, chosen_weights, combine
from fer_core.verification import verify_run
from tests.test_pages import assert_healthy, home_runs_first, open_page, text_of  # noqa: F401

CLASSES = ("angry", "happy", "sad")
IDS = np.array(["a", "b", "c", "d"])
TRUTH = np.array([0, 1, 2, 1])


def predictions(probs, ids=IDS, truth=TRUTH, class_names=CLASSES):
    return Predictions(ids, truth, np.asarray(probs, np.float32), class_names)


def sure_of(classes, sure=0.8):
    return np.where(np.eye(3)[np.asarray(classes)] > 0, sure, (1 - sure) / 2)


def store(root, tmp_path, probs, model="compact", **about):
    weights = tmp_path / "weights.npz"
    np.savez(weights, x=np.asarray(probs))
    both = dict.fromkeys(("val", "test"), about.pop("predictions", None) or predictions(probs))
    record = {"model": model, "dataset": "toy", "dataset_fingerprint": "f", "param_count": 10} | about
    shipped = weights if record.pop("shipped", True) else None
    return artifacts.read_run(artifacts.write_run(record, predictions=both, weights=shipped, root=root))


def test_mean_by_hand_whatever_the_order_of_samples_and_classes(tmp_path):
    one = store(tmp_path, tmp_path, sure_of([0, 1, 2, 0]))
    turned = predictions(
        sure_of([0, 2, 1, 1])[::-1][:, [2, 0, 1]],
        IDS[::-1],
        np.array([1, 2, 0])[TRUTH][::-1],
        ("sad", "angry", "happy"),
    )
    other = store(tmp_path, tmp_path, sure_of([0, 2, 1, 1]), predictions=turned)
    run = artifacts.read_run(combine([one, other], [3, 1], root=tmp_path))
    found = run.predictions("test")
    assert found.sample_ids.tolist() == IDS.tolist() and found.class_names == CLASSES
    np.testing.assert_allclose(found.pred_probs, 0.75 * sure_of([0, 1, 2, 0]) + 0.25 * sure_of([0, 2, 1, 1]), atol=1e-6)
    assert run.metrics("test")["accuracy"] == 0.75
    assert run.run["param_count"] == 20
    assert [(one["run"], one["weight"]) for one in run.run["config"]["members"]] == [
        (one.name, 0.75),
        (other.name, 0.25),
    ]
    assert run.run["retrain"] == f"python -m fer_core ensemble {one.name} {other.name} --weight 0.75 --weight 0.25"
    assert not verify_run(run)
    found.take(np.arange(4)[::-1]).save(run.path / "predictions_test.npz")
    assert not any("mean of the members'" in told for told in verify_run(run)), "in whatever order"
    swapped = predictions(found.pred_probs[:, [0, 2, 1]])
    swapped.save(run.path / "predictions_test.npz")
    assert any("not the mean of the members'" in told for told in verify_run(run))
    run.weights_path.write_text("{", encoding="utf-8")
    assert [told for told in verify_run(run) if "weights.json is no JSON" in told], "and does not raise"


def test_weights_are_chosen_on_val():
    right, wrong = predictions(sure_of(TRUTH)), predictions(sure_of([1, 2, 0, 0]))
    np.testing.assert_array_equal(chosen_weights([wrong, right]), [0, 1])
    np.testing.assert_array_equal(chosen_weights(halves()), [0.5, 0.5])
    assert ROUNDS > 2


def halves():
    """Each knows two of four, and is less sure where it is wrong: together they know all."""
    first, rest = [[True], [True], [False], [False]], [[False], [False], [True], [True]]
    return [
        predictions(np.where(first, sure_of(TRUTH, 0.9), sure_of([0, 0, 0, 0], 0.4))),
        predictions(np.where(rest, sure_of(TRUTH, 0.9), sure_of([1, 0, 0, 0], 0.4))),
    ]


def test_member_that_was_not_chosen_is_left_out(tmp_path):
    bad = store(tmp_path, tmp_path, sure_of([1, 2, 0, 0]))
    one, other = (store(tmp_path, tmp_path, [], predictions=half, notes="Leaky split.") for half in halves())
    run = artifacts.read_run(combine([bad, one, other], root=tmp_path))
    assert [member["run"] for member in run.run["config"]["members"]] == [one.name, other.name]
    assert "chosen on val" in run.run["notes"] and run.run["notes"].endswith("Leaky split.")
    assert run.run["retrain"] == f"python -m fer_core ensemble {bad.name} {one.name} {other.name}"


def test_a_run_that_does_best_alone_is_no_ensemble(tmp_path):
    good, bad = store(tmp_path, tmp_path, sure_of(TRUTH)), store(tmp_path, tmp_path, sure_of([1, 2, 0, 0]))
    with pytest.raises(ConfigError, match=f"{good.name} alone"):
        combine([bad, good], root=tmp_path)


@pytest.mark.parametrize(
    ("about", "weights", "error", "said"),
    [
        ({"dataset": "other"}, None, RunError, "other pictures"),
        ({"dataset_fingerprint": "g"}, None, RunError, "other pictures"),
        ({"shipped": False}, None, RunError, "no weights"),
        ({"config": {"mask": "mouth"}}, None, RunError, "mouth hidden"),
        ({"model": "ensemble", "config": {"members": [{"run": "a"}, {"run": "b"}]}}, None, RunError, "members: a b"),
        ({"predictions": predictions(sure_of(TRUTH), ids=np.array(list("abcx")))}, None, RunError, "other pictures"),
        (
            {"predictions": predictions(sure_of(TRUTH), class_names=("angry", "happy", "fear"))},
            None,
            RunError,
            "same classes",
        ),
        ({}, [1], ConfigError, "2 weights"),
        ({}, [1, -1], ConfigError, "negative"),
        ({}, [0, 0], ConfigError, "not all 0"),
    ],
)
def test_what_cannot_answer_together_is_refused(tmp_path, about, weights, error, said):
    one, other = store(tmp_path, tmp_path, sure_of(TRUTH)), store(tmp_path, tmp_path, sure_of(TRUTH), **about)
    with pytest.raises(error) as caught:
        combine([one, other], weights, root=tmp_path)
    assert said in f"{caught.value.problem} {caught.value.remedy}"


def test_one_run_is_no_ensemble(tmp_path):
    one = store(tmp_path, tmp_path, sure_of(TRUTH))
    with pytest.raises(ConfigError, match="two or more"):
        combine([one, one], root=tmp_path)


@pytest.mark.parametrize(
    ("of_members", "usual", "own"),
    [
        (["none"], "run", "run"),
        (["flip", "none"], "run", "run"),
        (["ten_view"], "flip", "run"),
        (["ten_view", "flip"], "flip", "run"),
    ],
)
def test_an_ensemble_averages_the_views_of_its_members(tmp_path, of_members, usual, own):
    runs = [store(tmp_path, tmp_path, sure_of(TRUTH), config={"tta": tta}) for tta in (*of_members, "none")]
    run = artifacts.read_run(combine(runs, [1] * len(runs), root=tmp_path))
    assert run.run["config"]["tta"] == ("+".join(sorted({*of_members} - {"none"})) or "none")
    assert (study.views(run, None), study.views(run, "run"), study.views(run, "none")) == (usual, own, "none")


@pytest.fixture
def twins(workshop, tmp_path, monkeypatch):
    """The workshop's network under two names, a model without gradients, and an ensemble of each kind."""
    from fer_core.training import run as training

    root = tmp_path / "artifacts"
    shutil.copytree(workshop.artifacts, root)
    monkeypatch.setenv("FER_DATA_DIR", str(workshop.data))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(root))
    twin = f"{workshop.run}-twin"
    shutil.copytree(root / "runs" / workshop.run, root / "runs" / twin)
    path = root / "runs" / twin / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": twin}))
    hog = training.train("hog_logistic", datasets.load("toy"), work_root=tmp_path, root=root).name
    found = CliRunner().invoke(app, ["ensemble", workshop.run, twin, "--weight", "1", "--weight", "3"])
    assert found.exit_code == 0 and "75.0%" in found.output, found.output
    mixed = combine([artifacts.find_run(workshop.run), artifacts.find_run(hog)], [1, 1])
    pair = next(run.name for run in artifacts.list_runs()[0] if run.model == "ensemble" and run.name != mixed.name)
    return workshop.run, pair, mixed.name


def test_stored_ensemble_answers_what_it_stored_and_comes_last(twins):
    _, pair, mixed = twins
    toy = datasets.load("toy")
    for name in (pair, mixed):
        run = artifacts.find_run(name)
        assert not verify_run(run, dataset=toy, classifier=Predictor(load_classifier(run)))
    assert has_gradients(artifacts.find_run(pair)) and not is_network(artifacts.find_run(pair))
    assert not has_gradients(artifacts.find_run(mixed))
    runs = artifacts.list_runs()[0]
    assert [run.model for run in usable_runs(runs)][-2:] == ["ensemble", "ensemble"]
    assert default_run(runs).model != "ensemble"


def test_members_must_be_the_ones_meant(twins):
    _, _, mixed = twins
    run = artifacts.find_run(mixed)
    network, hog = (member["run"] for member in run.run["config"]["members"])
    weights = artifacts.find_run(network).weights_path
    assert not verify_run(run)
    stripped = CliRunner().invoke(app, ["runs", "strip", network])
    assert isinstance(stripped.exception, RunError) and mixed in stripped.exception.problem
    assert weights.is_file()
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(ModelError, match="not the ones"):
        load_classifier(run)
    assert [f"the member {network} has other weights than it had."] == verify_run(run)
    timed = CliRunner().invoke(app, ["runs", "time"])
    assert timed.exit_code == 1 and f"{hog}: " in timed.output
    weights.unlink()
    with pytest.raises(FerError, match="does not ship"):
        load_classifier(run)
    assert run.name not in [usable.name for usable in usable_runs(artifacts.list_runs()[0])]
    assert f"the member {network} has no weights here." in verify_run(run)
    shutil.rmtree(artifacts.find_run(hog).path)
    shutil.rmtree(artifacts.find_run(network).path)
    with pytest.raises(ModelError, match="needs the run"):
        load_classifier(run)
    (run.path / "weights.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_classifier(run)


@pytest.mark.slow
def test_saliency_page_explains_an_ensemble(twins):
    """Two equal networks answer and look like one."""
    single, pair, _ = twins
    app = open_page("saliency", {"dataset": "toy", "check": "false"})
    next(widget for widget in app.multiselect if widget.label == "Models").set_value([single, pair])
    app.run()
    assert_healthy(app)
    assert not app.error
    told = [text.value for text in app.markdown if text.value.startswith("Predicted **")]
    assert len(told) == 2 and len({text.split(".")[0] for text in told}) == 1
    (of_one, of_pair) = [box for box in app.selectbox if box.label == "Layer"]
    assert of_pair.options == [f"each network's own: {of_one.value}, 5 × 5", *of_one.options]
    of_pair.select(of_one.options[0]).run()
    assert_healthy(app)
    layer = of_one.options[0].split(",")[0]
    told = [text.value for text in app.markdown if text.value.startswith("Predicted **")]
    assert [f" at {layer}, " in text for text in told] == [False, True]
    of_one.select(of_one.options[0]).run()
    first, second = [text.value for text in app.markdown if text.value.startswith("Predicted **")]
    assert f" at {layer}, " in first and first == second
