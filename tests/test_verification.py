"""`runs verify` notices whatever was changed behind its back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets
from fer_core.__main__ import app
from fer_core.datasets.split import Dataset, Split
from fer_core.errors import RunError
from fer_core.labels import CLASS_NAMES
from fer_core.predictions import Predictions
from fer_core.verification import refresh_run, verify_run


class Brightness:
    """Probabilities that depend on the mean grey value alone; ``shift`` stands for changed weights."""

    class_names = CLASS_NAMES

    def __init__(self, shift=0.0):
        self.shift = shift

    def predict_proba(self, images):
        logits = np.cos(images.mean(axis=(1, 2))[:, None] + self.shift + np.arange(7))
        return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def pictures(split, n=30, seed=0):
    rng = np.random.default_rng(seed)
    images = np.repeat(rng.integers(0, 255, (n, 1, 1), dtype=np.uint8), 4, axis=1).repeat(4, axis=2)
    ids = np.array([f"{split}_{i:03d}" for i in range(n)])
    return Split(ids, images, rng.integers(0, 7, n), CLASS_NAMES, "abc")


@pytest.fixture
def dataset():
    return Dataset("drawn", {"val": pictures("val"), "test": pictures("test", seed=1)}, "abc")


@pytest.fixture
def run(tmp_path, dataset):
    weights = tmp_path / "w.npz"
    np.savez(weights, shift=np.zeros(1))
    (tmp_path / "datasets").mkdir()
    facts = {"fingerprint": "abc", "test_not_clean": ["test_003"]}
    (tmp_path / "datasets" / "drawn.json").write_text(json.dumps(facts))
    splits = {
        name: Predictions(split.sample_ids, split.y_true, Brightness().predict_proba(split.images), CLASS_NAMES)
        for name, split in dataset.splits.items()
    }
    path = artifacts.write_run(
        {"dataset": "drawn", "model": "compact", "dataset_fingerprint": "abc", "train_accuracy": 0.5},
        history=pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0]}),
        predictions=splits,
        weights=weights,
        root=tmp_path,
    )
    return artifacts.read_run(path)


def change(run, edit):
    record = json.loads((run.path / "run.json").read_text())
    edit(record)
    (run.path / "run.json").write_text(json.dumps(record))
    return artifacts.read_run(run.path)


def resave(run, split, **arrays):
    old = run.predictions(split)
    fields = {name: getattr(old, name) for name in ("sample_ids", "y_true", "pred_probs", "class_names")}
    Predictions(**(fields | arrays)).save(run.path / f"predictions_{split}.npz")


def test_an_untouched_run_is_clean(run, dataset):
    assert verify_run(run) == []
    assert verify_run(run, dataset=dataset) == []
    assert verify_run(run, dataset=dataset, classifier=Brightness()) == []
    assert set(run.splits) == {"val", "test", "test_clean"}


def test_a_changed_digit_is_named(run):
    def nudge(record):
        record["metrics"]["test"]["macro_f1"] += 1e-4

    differences = verify_run(change(run, nudge))
    assert len(differences) == 1
    assert differences[0].startswith("metrics.test.macro_f1: stored ")


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        (("val", "intervals", "accuracy", 1), "metrics.val.intervals.accuracy[1]"),
        (("test", "confusion_matrix", 2, 3), "metrics.test.confusion_matrix[2][3]"),
        (("test_clean", "per_class", "fear", "recall"), "metrics.test_clean.per_class.fear.recall"),
        (("val", "discrepancy"), "metrics.val.discrepancy"),
    ],
)
def test_any_number_of_the_record_is_checked(run, keys, where):
    def nudge(record):
        inner = record["metrics"]
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] += 1

    differences = verify_run(change(run, nudge))
    assert len(differences) == 1
    assert differences[0].startswith(where + ":")


def test_a_discrepancy_between_views_is_named_and_refreshed(run):
    """As runs older than this definition have it: val with averaged views, train without them."""
    record = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    (run.path / "run.json").write_text(json.dumps(record | {"config": {"tta": "flip"}}), encoding="utf-8")
    history = pd.DataFrame({"epoch": [1, 2], "size": 48, "val_accuracy": [0.25, 0.2]})
    history.to_csv(run.path / "history.csv", index=False)
    run = artifacts.read_run(run.path)
    (difference,) = verify_run(run)
    assert difference.startswith("metrics.val.discrepancy: stored ")
    fresh = refresh_run(run)
    assert fresh.metrics("val")["discrepancy"] == pytest.approx(0.5 - 0.25)
    assert verify_run(fresh) == []
    assert fresh.run | {"metrics": None} == run.run | {"metrics": None}


def test_missing_and_invented_metrics_are_named(run):
    def swap(record):
        record["metrics"]["val"]["nicer_accuracy"] = record["metrics"]["val"].pop("accuracy")

    assert verify_run(change(run, swap)) == [
        "metrics.val.accuracy is not stored.",
        "metrics.val.nicer_accuracy is stored but cannot be recomputed.",
    ]


def test_a_changed_prediction_is_noticed(run):
    probs = run.predictions("test").pred_probs.copy()
    wrong = np.flatnonzero(run.predictions("test").y_pred != run.predictions("test").y_true)[0]
    probs[wrong] = np.eye(7)[run.predictions("test").y_true[wrong]]
    resave(run, "test", pred_probs=probs)
    differences = verify_run(run)
    assert any(line.startswith("metrics.test.accuracy:") for line in differences)
    assert not any(line.startswith("metrics.val.") for line in differences)


def test_predictions_with_other_classes_are_noticed(run):
    resave(run, "val", class_names=CLASS_NAMES[::-1])
    assert any("predictions_val.npz has the classes" in line for line in verify_run(run))


def test_damaged_predictions_are_a_difference_and_do_not_raise(run):
    path = run.path / "predictions_val.npz"
    path.write_bytes(path.read_bytes()[:200])
    assert any("predictions_val.npz is" in line for line in verify_run(run))


def test_changed_missing_and_unlisted_weights_are_noticed(run):
    np.savez(run.weights_path, shift=np.ones(1))
    assert "SHA-256" in verify_run(run)[0]
    run.weights_path.unlink()
    assert verify_run(run) == ["weights are missing, though run.json has their size."]

    def forget(record):
        record["weights_sha256"] = None

    np.savez(run.path / "weights.npz", shift=np.zeros(1))
    assert "no weights_sha256" in verify_run(change(run, forget))[0]


def test_one_run_that_cannot_be_checked_does_not_keep_the_others_from_it(run, monkeypatch):
    from fer_core.commands import runs as command

    def broken(run, weights):
        raise RunError("weights.json is no JSON.", "Restore it.")

    monkeypatch.setattr(command, "_verify", broken)
    monkeypatch.setattr(artifacts, "list_runs", lambda: ([run, run], []))
    result = CliRunner().invoke(app, ["runs", "verify"])
    assert result.exit_code == 1
    assert "2 runs verified, 2 differences." in result.output and result.output.count("Restore it.") == 2


def test_weights_that_were_stripped_are_no_difference(run):
    checksum = run.run["weights_sha256"]
    result = CliRunner().invoke(
        app, ["runs", "strip", run.name], env={"FER_ARTIFACTS_DIR": str(run.path.parent.parent)}
    )
    assert result.exit_code == 0 and "Deleted" in result.output
    stripped = artifacts.read_run(run.path)
    assert stripped.weights_path is None and stripped.run["weights_sha256"] == checksum
    assert verify_run(stripped) == []
    with pytest.raises(RunError, match="no weights here"):
        artifacts.strip_run(stripped)


def test_a_history_of_another_length_is_noticed(run):
    (run.path / "history.csv").write_text("epoch,loss\n1,2.0\n")
    assert verify_run(run) == ["history.csv has 1 rows; run.json says 2 epochs."]
    (run.path / "history.csv").unlink()
    assert verify_run(run) == ["history.csv is missing, though run.json says 2 epochs."]


def test_metrics_on_clean_pictures_need_the_facts(run):
    (run.path.parent.parent / "datasets" / "drawn.json").unlink()
    assert "metrics.test_clean cannot be recomputed" in verify_run(run)[0]


def test_other_pictures_or_labels_than_the_registered_ones_are_noticed(run, dataset):
    resave(run, "test", y_true=(run.predictions("test").y_true + (np.arange(30) == 4)) % 7)
    differences = verify_run(run, dataset=dataset)
    assert "predictions_test.npz has another true class for 1 pictures." in differences
    resave(run, "val", sample_ids=np.array([f"val_{i:03d}" for i in range(1, 31)]))
    assert any("lacks 1 pictures of drawn and has 1 it" in line for line in verify_run(run, dataset=dataset))
    without = Dataset("drawn", {"test": dataset["test"]}, "abc")
    assert any("drawn has no split 'val'" in line for line in verify_run(run, dataset=without))


def test_weights_that_predict_something_else_are_noticed(run, dataset):
    differences = verify_run(run, dataset=dataset, classifier=Brightness(shift=0.5))
    assert len(differences) == 2
    assert "of 30 val pictures" in differences[0]
    assert "of 30 test pictures" in differences[1]


def test_a_classifier_with_the_classes_in_another_order_is_mapped_by_name(run, dataset):
    class Turned(Brightness):
        class_names = CLASS_NAMES[::-1]

        def predict_proba(self, images):
            return super().predict_proba(images)[:, ::-1]

    assert verify_run(run, dataset=dataset, classifier=Turned()) == []


def test_refreshing_computes_the_metrics_again(run):
    def nudge(record):
        record["metrics"]["test"]["accuracy"] = 0.99
        record["config"] = {"kept": True}

    changed = change(run, nudge)
    assert verify_run(changed) != []
    refreshed = refresh_run(changed)
    assert verify_run(refreshed) == []
    assert refreshed.run["config"] == {"kept": True}
    (run.path / "predictions_val.npz").write_bytes(b"")
    with pytest.raises(RunError):
        refresh_run(changed)


COMMITTED, PROBLEMS = artifacts.list_runs(Path(__file__).resolve().parent.parent / "artifacts")


def test_every_committed_directory_can_be_read():
    assert PROBLEMS == []


def some_quickly(runs):
    """Every sixth in the quick tests, the others with the slow ones: there will be many."""
    return [pytest.param(run, marks=[pytest.mark.slow] if at % 6 else [], id=run.name) for at, run in enumerate(runs)]


@pytest.mark.parametrize("committed", some_quickly(COMMITTED))
def test_every_committed_run_is_what_it_says(committed):
    assert verify_run(committed) == []


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize(
    "committed",
    [run for run in COMMITTED if run.weights_path and not run.members],  # an ensemble is held against its members'
    ids=lambda run: run.name,
)
def test_committed_weights_give_the_committed_predictions(committed):
    if committed.dataset not in datasets.available():
        pytest.skip(f"{committed.dataset} is not registered")
    pictures = datasets.load(committed.dataset)
    if pictures.fingerprint != committed.run["dataset_fingerprint"]:
        pytest.skip(f"the registered {committed.dataset} is another copy")
    from fer_core.models.registry import load_classifier

    assert verify_run(committed, dataset=pictures, classifier=load_classifier(committed)) == []
