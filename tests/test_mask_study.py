"""The mask study: what it hides, and that it is stored whole, found out of date, and goes on after a kill."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from fer_core import artifacts, comparison, masks
from fer_core.errors import ConfigError, RunError
from fer_core.explain import conditions, mask_numbers, mask_study
from fer_core.explain.conditions import WHOLE
from fer_core.explain.studies import studies_folder
from tests.conftest import PROJECT
from tests.mask_readers import Blind, MouthReader, pictures, store_run, store_study


@pytest.fixture
def run(tmp_path):
    """A stored run on :func:`pictures` that ships weights."""
    return store_run(tmp_path)


# Conditions


@pytest.mark.parametrize("shape", [(48, 48), (16, 20), (10, 7)])
def test_controls_hide_exactly_the_area_of_their_region(shape):
    positions = np.arange(50)
    for region, area in mask_study.region_areas(shape).items():
        drawn = mask_study.condition_masks(f"control-{area}-1", shape, positions)
        assert (drawn.sum(axis=(1, 2)) == masks.region_mask(region, shape).sum()).all()
        assert len({mask.tobytes() for mask in drawn}) > 10  # each picture has its own


def test_controls_depend_on_seed_and_place_in_the_split_alone():
    one = mask_study.condition_masks("control-64-0", (16, 16), np.array([3, 7]))
    assert np.array_equal(one[1:], mask_study.condition_masks("control-64-0", (16, 16), np.array([7])))
    assert not np.array_equal(one, mask_study.condition_masks("control-64-1", (16, 16), np.array([3, 7])))
    assert mask_study.condition_names((16, 16), range(2)) == [
        "none", "forehead", "eyes", "mouth", "control-64-0", "control-64-1", "control-128-0", "control-128-1",
    ]  # fmt: skip


def test_a_part_of_the_split_gets_the_answers_it_gets_in_the_whole(monkeypatch):
    monkeypatch.setattr(conditions, "CHUNK", 7)
    split, where = pictures(), np.array([2, 3, 20, 39])
    whole, _ = mask_study.predict_conditions(MouthReader(), split, seeds=(0,))
    part, _ = mask_study.predict_conditions(MouthReader(), split, seeds=(0,), positions=where)
    for name, predictions in part.items():
        assert np.array_equal(predictions.pred_probs, whole[name].pred_probs[where]), name
        assert predictions.sample_ids.tolist() == split.sample_ids[where].tolist()


def test_labels_are_mapped_by_name():
    turned = type("Turned", (Blind,), {"class_names": ("sad", "happy", "angry")})()
    found, _ = mask_study.predict_conditions(turned, pictures(4), seeds=())
    assert found["none"].y_true.tolist() == [1, 0, 1, 0]


def test_unknown_fill_is_refused():
    with pytest.raises(ConfigError, match="Expected one of zero"):
        mask_study.predict_conditions(Blind(), pictures(4), fill="pink")


def test_half_precision_never_changes_the_predicted_class():
    rng = np.random.default_rng(0)
    probs = np.full((2000, 3), 1 / 3, np.float32) + rng.normal(0, 1e-4, (2000, 3)).astype(np.float32)
    probs /= probs.sum(axis=1, keepdims=True)
    small = conditions.compact_probs(probs)
    assert small.dtype == np.float16
    assert (probs.astype(np.float16).argmax(axis=1) != probs.argmax(axis=1)).sum() > 50  # plain rounding would
    assert np.array_equal(small.argmax(axis=1), probs.argmax(axis=1))
    assert np.abs(small.astype(float) - probs).max() < 1e-3
    assert np.array_equal(conditions.compact_probs(small.astype(np.float32)), small)


# Stored studies


def test_stored_study_comes_back_with_the_same_numbers(run, tmp_path):
    study, path = store_study(run, tmp_path)
    assert path == tmp_path / "studies" / f"masks-{run.name}-test-zero"
    assert sorted(file.name for file in path.iterdir()) == ["predictions.npz", "study.json"]
    back = mask_study.read_study(path)
    assert back.record == mask_study.KIND.read_record(path)
    assert set(back.record) == set(mask_study.KIND.fields)
    assert list(back.predictions) == back.record["conditions"] == list(study.predictions)
    pd.testing.assert_frame_equal(mask_numbers.numbers(back).accuracy, mask_numbers.numbers(study).accuracy)
    assert mask_study.KIND.list_records(tmp_path) == ([back.record], [])


def test_interrupted_study_leaves_no_artifact_and_goes_on(run, tmp_path):
    split, work = pictures(), tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        mask_study.predict_conditions(MouthReader(fail_after=100), split, seeds=(0,), work=work)
    assert not (tmp_path / "studies").exists()
    second = MouthReader()
    steps = []
    found, _ = mask_study.predict_conditions(
        second, split, seeds=(0,), work=work, report=lambda what, done, total: steps.append((done, total))
    )
    assert second.pictures == 3 * 40  # six conditions, three of them done before
    assert steps[-1] == (240, 240)
    assert steps == sorted(steps)
    fresh, _ = mask_study.predict_conditions(MouthReader(), split, seeds=(0,))
    assert all(np.array_equal(found[name].pred_probs, fresh[name].pred_probs) for name in fresh)


def test_failing_disk_keeps_the_old_study(run, tmp_path, monkeypatch):
    study, path = store_study(run, tmp_path)
    before = (path / "study.json").read_bytes()

    def refuse(file, **arrays):
        file.write_bytes(b"PK half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", refuse)
    with pytest.raises(RunError, match="No space left"):
        mask_study.write_study(study, tmp_path)
    assert (path / "study.json").read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert mask_study.read_study(path).name == study.name


@pytest.mark.slow
def test_killed_study_leaves_no_artifact(tmp_path):
    """SIGKILL in the middle; the next start does only what is left."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.mask_readers import MouthReader, mask_study, pictures, store_run, store_study\n"
        "base, pause = Path(sys.argv[1]), float(sys.argv[2])\n"
        "class Slow(MouthReader):\n"
        "    def predict_proba(self, images):\n"
        "        time.sleep(pause)\n"
        "        return super().predict_proba(images)\n"
        "reader = Slow()\n"
        "mask_study.predict_conditions(reader, pictures(), seeds=(0,), work=base / 'work')\n"
        "store_study(store_run(base), base)\n"
        "print(reader.pictures)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen([*command, "0.5"], cwd=PROJECT)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "work").glob("eyes.npz")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "studies").exists()
    done = len(list((tmp_path / "work").glob("[!.]*.npz")))
    result = subprocess.run([*command, "0"], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True)
    assert int(result.stdout) == (6 - done) * 40
    assert len(mask_study.KIND.list_records(tmp_path)[0]) == 1


def test_stale_studies_are_said_and_not_listed(run, tmp_path):
    store_study(run, tmp_path)
    artifacts.update_run(run, {"weights_sha256": "another"})
    records, problems = mask_study.KIND.list_records(tmp_path)
    assert records == []
    assert "other weights by now" in problems[0]
    assert f"python -m fer_core study masks {run.name} --split test --fill zero" in problems[0]
    artifacts.update_run(run, {"weights_sha256": run.run["weights_sha256"], "dataset_fingerprint": "def"})
    assert "other pictures" in mask_study.KIND.list_records(tmp_path)[1][0]
    (run.path / "run.json").unlink()
    assert f"{run.name} is not here" in mask_study.KIND.list_records(tmp_path)[1][0]


def test_damaged_studies_are_named_and_the_others_stay(run, tmp_path):
    _, path = store_study(run, tmp_path)
    (path.parent / "masks-broken-test-zero").mkdir()
    records, problems = mask_study.KIND.list_records(tmp_path)
    assert len(records) == 1
    assert "masks-broken-test-zero" in problems[0]
    content = (path / "predictions.npz").read_bytes()
    (path / "predictions.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"predictions\.npz is damaged"):
        mask_study.read_study(path)


# Committed studies


def test_committed_studies_are_of_the_committed_runs():
    records, problems = mask_study.KIND.list_records(PROJECT / "artifacts")
    assert records and not problems
    for record in records:
        study = mask_study.read_study(studies_folder(PROJECT / "artifacts") / record["name"])
        run = artifacts.find_run(record["run"], PROJECT / "artifacts")
        stored = run.predictions(record["split"])
        whole, stored = comparison.align(study.predictions[WHOLE], stored)
        assert len(whole) == len(stored) == record["n"]
        if record["tta"] == (run.run.get("config") or {}).get("tta", "none"):
            assert np.abs(whole.pred_probs - stored.pred_probs).max() < 0.02
        assert (whole.y_pred == stored.y_pred).mean() > 0.9
