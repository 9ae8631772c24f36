"""Run directories: whole or not at all, damage reported and never raised while listing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_core import artifacts, storage
from fer_core.errors import RunError
from fer_core.labels import CLASS_NAMES
from fer_core.predictions import Predictions

PROJECT = Path(__file__).resolve().parent.parent


def predictions(split="test", n=40, seed=0, class_names=CLASS_NAMES):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(len(class_names)), n)
    ids = [f"{split}_{i:05d}" for i in range(n)]
    return Predictions(ids, rng.integers(0, len(class_names), n), probs, class_names)


def history(epochs=3):
    return pd.DataFrame({"epoch": range(1, epochs + 1), "loss": 1.0, "accuracy": 0.5, "val_loss": 1.1})


def write(root, **fields):
    run = {"dataset": "drawn", "model": "compact", "seed": 3, "date": "2026-01-31"} | fields
    splits = {"val": predictions("val", seed=1), "test": predictions("test")}
    return artifacts.write_run(run, history=history(), predictions=splits, root=root)


def state_facts(root, dataset="drawn", **facts):
    (root / "datasets").mkdir(parents=True, exist_ok=True)
    (root / "datasets" / f"{dataset}.json").write_text(json.dumps(facts))


def test_names_follow_the_pattern():
    assert artifacts.run_name("fer2013", "compact", 0, "2026-01-31") == "fer2013-compact-s0-20260131"


def test_what_is_written_is_read_again(tmp_path):
    weights = tmp_path / "some.npz"
    np.savez(weights, kernel=np.ones(3, np.float16))
    splits = {"val": predictions("val", seed=1), "test": predictions("test")}
    path = artifacts.write_run(
        {"dataset": "drawn", "model": "compact", "seed": 3, "date": "2026-01-31", "param_count": np.int64(12)},
        history=history(),
        predictions=splits,
        weights=weights,
        root=tmp_path,
    )
    assert path == tmp_path / "runs" / "drawn-compact-s3-20260131"
    run = artifacts.read_run(path)
    assert (run.name, run.model, run.dataset) == (path.name, "compact", "drawn")
    assert run.class_names == CLASS_NAMES
    assert run.run["schema_version"] == artifacts.SCHEMA_VERSION
    assert run.run["epochs"] == 3
    assert run.run["param_count"] == 12
    assert run.run["weights_sha256"] == storage.sha256(weights) == storage.sha256(run.weights_path)
    assert set(artifacts.FIELDS) <= set(run.run)
    pd.testing.assert_frame_equal(run.history(), history())
    for split, written in splits.items():
        np.testing.assert_array_equal(run.predictions(split).pred_probs, written.pred_probs)
        np.testing.assert_array_equal(run.predictions(split).sample_ids, written.sample_ids)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name]


def test_the_artifacts_folder_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    path = write(None)
    assert path.parent == tmp_path / "runs"
    assert [run.name for run in artifacts.list_runs()[0]] == [path.name]


def test_no_run_is_ever_overwritten_unless_told_so(tmp_path):
    first, second = write(tmp_path), write(tmp_path)
    assert second.name == first.name + "-2"
    assert artifacts.read_run(second).name == second.name
    changed = artifacts.write_run(
        {"dataset": "drawn", "model": "compact", "seed": 3, "date": "2026-01-31"},
        predictions={"test": predictions(seed=9)},
        root=tmp_path,
        replace=True,
    )
    assert changed == first
    assert artifacts.read_run(first).splits == ("test",)
    assert not (first / "history.csv").exists()


def test_test_clean_leaves_out_the_pictures_of_other_splits(tmp_path):
    state_facts(tmp_path, test_not_clean=["test_00001", "test_00005"], fingerprint="abc")
    run = artifacts.read_run(write(tmp_path, dataset_fingerprint="abc"))
    assert run.metrics("test_clean")["n"] == 38
    assert "test_00005" not in run.predictions("test_clean").sample_ids
    assert run.metrics("test_clean")["accuracy"] == artifacts.metrics.accuracy(run.predictions("test_clean"))


def test_test_clean_is_unknown_without_facts_or_with_facts_about_other_pictures(tmp_path):
    run = artifacts.read_run(write(tmp_path))
    assert run.splits == ("val", "test")
    with pytest.raises(RunError, match="not known which test pictures of drawn"):
        run.predictions("test_clean")
    state_facts(tmp_path, test_not_clean=["test_00001"], fingerprint="abc")
    assert "test_clean" not in artifacts.read_run(write(tmp_path, dataset_fingerprint="other")).splits


def test_discrepancy_needs_the_train_accuracy(tmp_path):
    val = artifacts.metrics.accuracy(predictions("val", seed=1))
    known = artifacts.read_run(write(tmp_path, train_accuracy=0.9))
    assert known.metrics("val")["discrepancy"] == pytest.approx(0.9 - val)
    assert artifacts.read_run(write(tmp_path)).metrics("val")["discrepancy"] is None
    splits = {"train": predictions("train", seed=4), "val": predictions("val", seed=1)}
    path = artifacts.write_run({"dataset": "drawn", "model": "m"}, predictions=splits, root=tmp_path)
    from_train = artifacts.metrics.accuracy(splits["train"]) - val
    assert artifacts.read_run(path).metrics("val")["discrepancy"] == pytest.approx(from_train)


PASSES = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "size": [24, 48, 48, 48],
        "accuracy": [0.2, 0.4, 0.5, 0.6],
        "val_loss": [0.5, 1.5, 1.1, 1.4],
        "val_accuracy": [0.9, 0.42, 0.55, 0.51],
    }
)


@pytest.mark.parametrize(
    ("settings", "val_accuracy"),
    [
        ({"tta": "ten_view", "select": "best", "monitor": "val_accuracy"}, 0.55),
        ({"tta": "flip", "select": "best", "monitor": "val_loss", "holdout": 0.0}, 0.55),
        ({"tta": "flip", "select": "last", "monitor": "val_accuracy"}, 0.51),
        ({"tta": "flip"}, 0.55),
        ({"tta": "flip", "select": "best", "monitor": "val_accuracy", "holdout": 0.2}, None),  # watched other pictures
        ({"tta": "none", "select": "best", "monitor": "val_accuracy"}, "predicted"),
        ({"tta": "none", "holdout": 0.2}, "predicted"),
        ({"C": 1.0}, "predicted"),
        (None, "predicted"),
    ],
)
def test_discrepancy_is_of_single_views_of_train_and_val(tmp_path, settings, val_accuracy):
    """Averaged views lift the accuracy on val, and train is measured without them."""
    splits = {"val": predictions("val", seed=1)}
    record = {"dataset": "drawn", "model": "compact", "train_accuracy": 0.8, "config": settings}
    run = artifacts.read_run(artifacts.write_run(record, history=PASSES, predictions=splits, root=tmp_path))
    if val_accuracy == "predicted":
        val_accuracy = run.metrics("val")["accuracy"]
    expected = None if val_accuracy is None else pytest.approx(0.8 - val_accuracy)
    assert run.metrics("val")["discrepancy"] == expected
    assert np.isnan(artifacts.runs_frame([run], "val")["discrepancy"].iloc[0]) == (val_accuracy is None)


@pytest.mark.parametrize("history", [None, PASSES[:0], PASSES.drop(columns="val_accuracy")])
def test_discrepancy_of_averaged_views_needs_the_passes(tmp_path, history):
    record = {"dataset": "drawn", "model": "compact", "train_accuracy": 0.8, "config": {"tta": "flip"}}
    splits = {"val": predictions("val", seed=1)}
    run = artifacts.read_run(artifacts.write_run(record, history=history, predictions=splits, root=tmp_path))
    assert run.metrics("val")["discrepancy"] is None


def test_files_hold_no_nan(tmp_path):
    path = write(tmp_path, latency_ms=float("nan"), config={"peak": np.float32(0.5), "decay": float("inf")})
    text = (path / "run.json").read_text()
    record = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    assert record["latency_ms"] is None
    assert record["config"] == {"peak": 0.5, "decay": None}


@pytest.mark.parametrize("fields", [{"model": ""}, {"dataset": None}, {"class_names": ["a", "b"]}])
def test_incomplete_runs_are_refused_before_anything_is_written(tmp_path, fields):
    with pytest.raises(RunError):
        write(tmp_path, **fields)
    assert not (tmp_path / "runs").exists()


def test_splits_with_different_classes_are_refused(tmp_path):
    splits = {"val": predictions("val", class_names=CLASS_NAMES[::-1]), "test": predictions("test")}
    with pytest.raises(RunError, match="disagree"):
        artifacts.write_run({"dataset": "drawn", "model": "m"}, predictions=splits, root=tmp_path)


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def fail(self, path):
        written.append(path)
        if len(written) == 2:
            raise OSError("No space left on device")
        Path(path).write_bytes(b"half")

    monkeypatch.setattr(Predictions, "save", fail)
    with pytest.raises(RunError, match="No space left"):
        write(tmp_path)
    assert len(written) == 2
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_failed_replacement_keeps_the_old_run(tmp_path, monkeypatch):
    path = write(tmp_path)
    before = artifacts.read_run(path).run

    def interrupted(self, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictions, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        artifacts.write_run(before, predictions={"test": predictions()}, root=tmp_path, replace=True)
    assert artifacts.read_run(path).run == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from fer_core.predictions import Predictions
from tests.test_artifacts import write
save = Predictions.save
def die(self, path):
    save(self, path)
    os.kill(os.getpid(), signal.SIGKILL)
Predictions.save = die
write(Path(sys.argv[1]))
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to know which processes live")
def test_a_killed_process_leaves_no_run_and_the_next_one_cleans_up(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert artifacts.list_runs(tmp_path) == ([], [])
    assert len(list((tmp_path / "runs").iterdir())) == 1
    path = write(tmp_path)
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == [path.name]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(path, **changes):
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in (record | changes).items() if value != "drop"}))


DAMAGE = {
    "truncated predictions": (lambda run: truncate(run / "predictions_val.npz"), "predictions_val.npz is damaged"),
    "empty predictions": (lambda run: (run / "predictions_test.npz").write_bytes(b""), "test.npz is damaged"),
    "missing predictions": (lambda run: (run / "predictions_test.npz").unlink(), "predictions_test.npz is missing"),
    "missing run.json": (lambda run: (run / "run.json").unlink(), "run.json is missing"),
    "bad json": (lambda run: truncate(run / "run.json"), "run.json is no JSON"),
    "binary json": (lambda run: (run / "run.json").write_bytes(b"\xff\xfe\x00"), "run.json is no JSON"),
    "json list": (lambda run: (run / "run.json").write_text("[1]"), "holds no JSON object"),
    "nan": (lambda run: (run / "run.json").write_text('{"schema_version": NaN}'), "NaN is no JSON number"),
    "later schema": (lambda run: edit(run / "run.json", schema_version=99), "schema_version 99; expected 1"),
    "missing field": (lambda run: edit(run / "run.json", model="drop"), "lacks model"),
    "metrics no mapping": (lambda run: edit(run / "run.json", metrics=[1]), "metrics must map"),
    "renamed": (lambda run: edit(run / "run.json", name="other"), "calls itself 'other'"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_directory_is_a_problem_and_the_others_are_listed(tmp_path, damage, message):
    broken, sound = write(tmp_path), write(tmp_path, seed=4)
    damage(broken)
    runs, problems = artifacts.list_runs(tmp_path)
    assert [run.name for run in runs] == [sound.name]
    assert len(problems) == 1
    assert message in problems[0]
    assert broken.name in problems[0]
    with pytest.raises(RunError, match=r"Restore|Update|Rename|Evaluate|write it again"):
        artifacts.read_run(broken)


def test_an_empty_or_absent_folder_has_no_runs(tmp_path):
    assert artifacts.list_runs(tmp_path) == ([], [])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "README.md").write_text("no run")
    assert artifacts.list_runs(tmp_path) == ([], [])


def test_a_history_that_is_no_table_is_an_error_with_a_remedy(tmp_path):
    path = write(tmp_path)
    (path / "history.csv").write_bytes(b"")
    with pytest.raises(RunError, match=r"history\.csv cannot be read"):
        artifacts.read_run(path).history()


def test_runs_are_found_by_the_beginning_of_their_name(tmp_path):
    first, second = write(tmp_path, model="compact"), write(tmp_path, model="vgg16")
    assert artifacts.find_run(first.name, tmp_path).path == first
    assert artifacts.find_run("drawn-v", tmp_path).path == second
    with pytest.raises(RunError, match="beginning of several"):
        artifacts.find_run("drawn", tmp_path)
    with pytest.raises(RunError, match="no run 'nothing'"):
        artifacts.find_run("nothing", tmp_path)
    for outside in ("../runs", "..", "", "/"):
        with pytest.raises(RunError):
            artifacts.find_run(outside, tmp_path)


def as_run(dataset, model, **accuracies):
    name = artifacts.run_name(dataset, model, 0, "2026-01-31")
    measured = {split: {"accuracy": value} for split, value in accuracies.items()}
    return artifacts.Run(Path(name), {"name": name, "dataset": dataset, "model": model, "metrics": measured})


def test_val_decides_the_order_and_drawn_faces_never_come_before_photographs():
    runs = [as_run("drawn", f"easy{number}", val=0.9, test=0.97) for number in range(4)]
    runs += [as_run("ckplus", "compact", val=0.8, test=0.8), as_run("fer2013", "unknown", test=0.9)]
    runs += [as_run("fer2013", "lucky", val=0.5, test=0.8), as_run("fer2013", "good", val=0.6, test=0.5)]
    order = [(run.dataset, run.model) for run in artifacts.best_first(runs)]
    assert order[:4] == [("fer2013", "good"), ("fer2013", "lucky"), ("fer2013", "unknown"), ("ckplus", "compact")]
    assert order[4:] == [("drawn", f"easy{number}") for number in range(4)]


def test_the_frame_has_a_row_per_run_best_first(tmp_path):
    write(tmp_path, param_count=10)
    oracle = predictions(n=20)
    oracle = Predictions(oracle.sample_ids, oracle.y_true, np.eye(7)[oracle.y_true], CLASS_NAMES)
    both = {"val": Predictions([f"v{i}" for i in range(20)], *(oracle.y_true, oracle.pred_probs, CLASS_NAMES))}
    artifacts.write_run({"dataset": "drawn", "model": "oracle"}, predictions={"test": oracle} | both, root=tmp_path)
    runs, _ = artifacts.list_runs(tmp_path)
    assert runs[0].altered == "" and not artifacts.runs_frame(runs)["altered"].any()
    shown = {"mask": "mouth", "faces": True, "classes": ["happy", "sad"]}
    assert artifacts.Run(runs[0].path, {"config": shown}).altered == "mouth hidden, faces cut out, 2 classes only"
    frame = artifacts.runs_frame(runs)
    assert frame["model"].tolist() == ["oracle", "compact"]
    assert frame["accuracy"].tolist() == [1.0, artifacts.metrics.accuracy(predictions())]
    assert (frame["accuracy_low"] <= frame["accuracy"]).all()
    assert frame["param_count"].tolist()[1] == 10
    assert np.isnan(frame["param_count"][0])
    assert {f"f1_{name}" for name in CLASS_NAMES} < set(frame)
    assert artifacts.runs_frame([run for run in runs if run.model == "compact"], "val")["model"].tolist() == ["compact"]
    assert artifacts.runs_frame([]).empty


def test_where_we_run_is_recorded():
    where = storage.environment()
    assert where["versions"]["numpy"] == np.__version__
    assert f"{os.cpu_count()} cores" in where["machine"]
