"""`runs` and `evaluate` on the command line: right numbers, clear words, exit codes that scripts can trust."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from fer_core import artifacts, datasets, metrics
from fer_core.commands import evaluate as evaluate_command
from fer_core.commands import runs as runs_command
from fer_core.datasets.split import Dataset, Split
from fer_core.errors import ConfigError, DatasetError, RunError
from fer_core.labels import CLASS_NAMES
from fer_core.models import registry
from fer_core.predictions import Predictions


class FromBrightness:
    """Stands in for a trained network: the class is the picture's grey value; ``shift`` turns all classes by one."""

    def __init__(self, shift=0, class_names=CLASS_NAMES):
        self.shift, self.class_names = shift, class_names

    def predict_proba(self, images):
        guess = (images[:, 0, 0].astype(int) + self.shift) % len(self.class_names)
        return np.full((len(images), 7), 0.05, np.float32) + 0.65 * np.eye(7, dtype=np.float32)[guess]


def pictures(name, n=21):
    """Every third picture is labelled as another class than its grey value says."""
    shades = np.arange(n, dtype=np.uint8) % 7
    y_true = (shades + (np.arange(n) % 3 == 0)) % 7
    ids = np.array([f"{name}_{i:03d}" for i in range(n)])
    return Split(ids, np.repeat(shades[:, None, None], 4, 1).repeat(4, 2), y_true.astype(np.int64), CLASS_NAMES, "abc")


DATASET = Dataset("tiny", {"val": pictures("val"), "test": pictures("test")}, "abc")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Artifacts with a run that ships weights and one that does not; ``tiny`` is registered."""
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setattr(datasets, "available", lambda: ["tiny"])
    monkeypatch.setattr(datasets, "load", {"tiny": DATASET}.__getitem__)
    monkeypatch.setattr(registry, "load_classifier", lambda run: FromBrightness())
    weights = tmp_path / "w.npz"
    np.savez(weights, nothing=np.zeros(1))
    for model, shift in (("net", 0), ("other", 1)):
        splits = {
            name: Predictions(
                split.sample_ids, split.y_true, FromBrightness(shift).predict_proba(split.images), CLASS_NAMES
            )
            for name, split in DATASET.splits.items()
        }
        artifacts.write_run(
            {"dataset": "tiny", "model": model, "dataset_fingerprint": "abc", "date": "2026-01-31"},
            predictions=splits,
            weights=weights if model == "net" else None,
            root=tmp_path,
        )
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(runs_command.app, list(arguments))


def call_evaluate(*arguments):
    app = typer.Typer()
    app.command()(evaluate_command.evaluate)
    return CliRunner().invoke(app, list(arguments))


def test_list_shows_every_run_with_its_interval(folder):
    result = call("list")
    assert result.exit_code == 0
    low, high = artifacts.find_run("tiny-net").metrics("test")["intervals"]["accuracy"]
    assert f"66.67 % [{100 * low:.2f} %, {100 * high:.2f} %]" in result.stdout
    assert "tiny-other-s0-20260131" in result.stdout


def test_list_goes_on_past_a_damaged_directory_and_names_it(folder):
    (folder / "runs" / "tiny-net-s0-20260131" / "run.json").write_text("{")
    result = call("list")
    assert result.exit_code == 0
    assert "tiny-other-s0-20260131" in result.stdout
    assert re.search(r"Left out: .*tiny-net-s0-20260131.*run\.json is no JSON", result.stderr)


def test_list_as_csv_is_a_table(folder):
    lines = call("list", "--csv").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("name,model,dataset,seed,date,n,accuracy,")


def test_list_without_runs_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    assert "Train one" in call("list").stdout


def test_show_prints_the_record(folder):
    result = call("show", "tiny-net", "--split", "val")
    assert "tiny-net-s0-20260131 on val, n = 21" in result.stdout
    assert re.search(r"accuracy +│ 0\.6667 \[", result.stdout)
    assert json.loads(call("show", "tiny-net", "--json").stdout)["model"] == "net"
    assert isinstance(call("show", "nothing").exception, RunError)


def test_verify_is_silent_about_sound_runs(folder):
    result = call("verify")
    assert result.exit_code == 0
    assert "2 runs verified, 0 differences." in result.stdout
    assert result.stderr == ""


def test_verify_exits_with_1_and_names_the_changed_number(folder):
    path = folder / "runs" / "tiny-net-s0-20260131" / "run.json"
    record = json.loads(path.read_text())
    record["metrics"]["test"]["accuracy"] = 0.95
    path.write_text(json.dumps(record))
    result = call("verify")
    assert result.exit_code == 1
    assert "tiny-net-s0-20260131: metrics.test.accuracy: stored 0.95, recomputed 0.66" in result.stderr
    assert call("verify", "tiny-other").exit_code == 0
    assert call("refresh", "tiny-net").exit_code == 0
    assert call("verify").exit_code == 0


def test_verify_exits_with_1_for_a_directory_it_cannot_read(folder):
    (folder / "runs" / "tiny-net-s0-20260131" / "predictions_val.npz").unlink()
    result = call("verify")
    assert result.exit_code == 1
    assert "predictions_val.npz is missing" in result.stderr


def test_verify_predicts_again_with_the_shipped_weights(folder, monkeypatch):
    result = call("verify", "--weights")
    assert result.exit_code == 0
    assert "tiny-other-s0-20260131 (no weights shipped)" in result.stdout
    monkeypatch.setattr(registry, "load_classifier", lambda run: FromBrightness(shift=1))
    result = call("verify", "--weights")
    assert result.exit_code == 1
    assert "the shipped weights give other probabilities for 21 of 21 test pictures" in result.stderr


def test_weights_that_were_to_be_checked_and_could_not_are_a_difference(folder, monkeypatch):
    monkeypatch.setattr(datasets, "available", list)
    assert call("verify").exit_code == 0
    result = call("verify", "--weights")
    assert result.exit_code == 1
    assert "the weights cannot be checked: tiny is not registered" in result.stderr


def test_another_dataset_of_the_same_name_is_not_compared(folder, monkeypatch):
    other = Dataset("tiny", {"val": pictures("val", 14), "test": pictures("test", 14)}, "xyz")
    monkeypatch.setattr(datasets, "load", lambda name: other)
    result = call("verify")
    assert result.exit_code == 0
    assert "holds other pictures: xyz, not abc" in result.stdout
    assert call("verify", "--weights").exit_code == 1


def test_compare_prints_pairs_and_every_metric(folder):
    result = call("compare", "tiny-net", "tiny-other")
    a, b = (artifacts.find_run(name).predictions("test") for name in ("tiny-net", "tiny-other"))
    difference = metrics.accuracy(a) - metrics.accuracy(b)
    assert f"{difference:+.4f} [" in result.stdout
    assert "brier_score (lower is better)" in result.stdout
    assert isinstance(call("compare", "tiny-net").exception, RunError)
    assert isinstance(call("compare", "tiny-net", "tiny-net").exception, RunError)


def test_evaluate_predicts_and_measures(folder, tmp_path):
    saved = tmp_path / "out.csv"
    result = call_evaluate("tiny-net", "--split", "val", "--save", str(saved))
    assert result.exit_code == 0
    assert "tiny-net-s0-20260131 on tiny val, n = 21" in result.stdout
    assert re.search(r"accuracy +│ 0\.6667 \[", result.stdout)
    frame = pd.read_csv(saved)
    assert (frame["true"] == frame["predicted"]).mean() == pytest.approx(14 / 21)
    np.testing.assert_allclose(frame.filter(like="p_").sum(axis=1), 1.0, atol=1e-6)


def test_evaluate_refuses_a_file_that_cannot_be_written_before_the_work(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_command, "predict", lambda *_: pytest.fail("predicted all the same"))
    for save in (tmp_path / "nowhere" / "saved.csv", tmp_path):
        result = call_evaluate("tiny-net", "--split", "val", "--save", str(save))
        assert isinstance(result.exception, ConfigError) and f"{save} cannot be written" in str(result.exception)


def test_a_disk_that_fills_during_evaluate_is_told_in_words(folder, tmp_path, monkeypatch):
    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    result = call_evaluate("tiny-net", "--split", "val", "--save", str(tmp_path / "saved.csv"))
    assert isinstance(result.exception, ConfigError) and "No space left" in str(result.exception)
    assert not (tmp_path / "saved.csv").exists(), "looking whether it can be written left nothing behind"


def test_evaluate_maps_classes_by_name(folder):
    split = pictures("test")
    turned = Split(split.sample_ids, split.images, 6 - split.y_true, CLASS_NAMES[::-1], "abc")
    predictions = evaluate_command.predict(FromBrightness(), turned)
    assert predictions.class_names == CLASS_NAMES
    np.testing.assert_array_equal(predictions.y_true, split.y_true)
    unknown = FromBrightness(class_names=(*CLASS_NAMES[:6], "contempt"))
    with pytest.raises(DatasetError, match="neutral"):
        evaluate_command.predict(unknown, split)
