"""Training: settings are checked, batches are what they should be, and a killed run ends as the unbroken one."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from fer_core import artifacts
from fer_core.datasets import synthetic
from fer_core.errors import ConfigError, DatasetError, RunError
from fer_core.models.specs import MODELS, spec
from fer_core.training.batches import class_weights, epoch_batches, mixed, steps_per_epoch
from fer_core.training.config import TrainConfig, rescale_sizes
from fer_core.training.run import recipe, train, without_effect
from tests.conftest import NARROW

PROJECT = Path(__file__).resolve().parent.parent
QUICK = TrainConfig(
    epochs=3,
    batch_size=28,
    optimizer="adam",
    learning_rate=2e-3,
    ema=0.5,
    precision="float32",
    sizes=[[24, 2], [48, 1]],
)


@pytest.fixture(scope="module")
def drawn():
    return synthetic.dataset(n_train=56, n_val=21, n_test=21, size=48, seed=1)


def test_settings_survive_a_round_trip_through_plain_data():
    config = recipe("compact", {"seed": 3, "mixup": 0.2})
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_sizes_follow_the_number_of_epochs():
    assert rescale_sizes([[32, 20], [44, 10]], 6) == [[32, 4], [44, 2]]
    assert rescale_sizes([[32, 20], [44, 10]], 1) == [[32, 1]]
    config = recipe("compact", {"epochs": 9})
    sides = [config.size_at(epoch, 48) for epoch in range(9)]
    assert sides == sorted(sides) and set(sides) == {32, 44}
    assert TrainConfig(epochs=2).size_at(1, 48) == 48
    with pytest.raises(ConfigError, match="add up"):
        TrainConfig(epochs=3, sizes=[[32, 1]])


@pytest.mark.parametrize(("schedule", "middle"), [("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)])
def test_learning_rate_warms_up_and_falls(schedule, middle):
    from fer_core.training.engine import learning_rate_at

    config = TrainConfig(learning_rate=0.2, schedule=schedule)
    rates = [learning_rate_at(step, total=110, warmup=10, config=config) for step in range(110)]
    np.testing.assert_allclose(rates[:10], 0.02 * np.arange(1, 11))
    assert rates[60] == pytest.approx(0.2 * middle)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))


def test_class_weights_are_scikit_learns():
    y_true = np.array([0, 0, 0, 0, 1, 1, 3])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=y_true)
    np.testing.assert_allclose(class_weights(y_true, 5)[[0, 1, 3]], expected, rtol=1e-6)
    assert class_weights(y_true, 5)[2] == 0


def test_an_epoch_shows_every_picture_once_with_its_own_label(drawn):
    split = drawn["train"]
    config = TrainConfig(batch_size=8, label_smoothing=0.1)
    batches = list(epoch_batches(split, config, epoch=0, size=48, channels=1))
    seen = np.concatenate([pixels[..., 0] for pixels, _, _ in batches]).astype(np.uint8)
    targets = np.concatenate([target for _, target, _ in batches])
    known = {image.tobytes(): label for image, label in zip(split.images, split.y_true, strict=True)}
    assert len(batches) == steps_per_epoch(len(split), 8) == 7
    assert {image.tobytes() for image in seen} == set(known)
    assert [known[image.tobytes()] for image in seen] == targets.argmax(axis=1).tolist()
    np.testing.assert_allclose(targets.max(axis=1), 0.9 + 0.1 / 7, rtol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)


def test_mixed_pictures_count_by_the_weight_of_each_class():
    """Mixed are the weighted losses: of a pair at one half, half of either weight, whatever the other one's is."""
    targets, weights = np.eye(2, dtype=np.float32), np.array([0.5, 5.0], np.float32)
    found, of_pair = mixed(targets, weights, np.float32(0.5), np.array([1, 0]))
    np.testing.assert_allclose(found * of_pair[:, None], [[0.25, 2.5], [0.25, 2.5]], rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    unweighted, none = mixed(targets, None, np.float32(0.25), np.array([1, 0]))
    np.testing.assert_allclose(unweighted, [[0.25, 0.75], [0.75, 0.25]])
    assert none is None


def test_mixup_blends_pictures_and_targets_until_the_last_epochs(drawn):
    config = TrainConfig(epochs=10, batch_size=56, mixup=1.0)
    early = next(iter(epoch_batches(drawn["train"], config, epoch=0, size=24, channels=1)))[1]
    late = next(iter(epoch_batches(drawn["train"], config, epoch=9, size=24, channels=1)))[1]
    assert ((early > 0) & (early < 1)).any()
    assert set(np.unique(late)) == {0.0, 1.0}
    np.testing.assert_allclose(early.sum(axis=1), 1, rtol=1e-5)


def test_networks_of_one_size_refuse_progressive_resizing(drawn, tmp_path):
    config = TrainConfig(epochs=2, sizes=[[32, 1], [48, 1]])
    with pytest.raises(ConfigError, match="one size only"):
        train("patil_cnn", drawn, config=config, work_root=tmp_path, root=tmp_path)


NETWORKS = [name for name, entry in MODELS.items() if entry["family"] == "network" and entry["channels"] == 1]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_a_training_step(name, drawn):
    from fer_core.training.engine import _compile, _training_network

    config = recipe(name, {"precision": "float32", "learning_rate": 1e-4})
    network = _training_network(name, 7, config)
    _compile(network, config)
    size = spec(name)["input_size"]
    pixels, targets, _ = next(iter(epoch_batches(drawn["train"].take(np.arange(8)), config, 0, size, 1)))
    before = [value.copy() for value in network.get_weights()]
    losses = [float(network.train_on_batch(pixels, targets, return_dict=True)["loss"]) for _ in range(2)]
    assert np.isfinite(losses).all()
    assert any((old != new).any() for old, new in zip(before, network.get_weights(), strict=True))


def test_calibration_finds_the_statistics_of_its_batches():
    import keras

    from fer_core.models.layers import FusedBatchNormalization
    from fer_core.training.engine import _calibrated

    inputs = keras.Input((4, 4, 3))
    network = keras.Model(inputs, FusedBatchNormalization(momentum=0.9)(inputs))
    batches = [np.random.default_rng(seed).normal(seed, 2, (64, 4, 4, 3)).astype(np.float32) for seed in range(5)]
    before = network.get_weights()
    found = _calibrated(network, before, [(pixels, None, None) for pixels in batches])
    np.testing.assert_allclose(
        found[2], np.mean([pixels.mean(axis=(0, 1, 2)) for pixels in batches], axis=0), rtol=1e-4
    )
    np.testing.assert_allclose(found[3], np.mean([pixels.var(axis=(0, 1, 2)) for pixels in batches], axis=0), rtol=5e-3)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert network.layers[1].momentum == 0.9


class Killed(Exception):
    """Stands for what ends a process between two epochs."""


@pytest.mark.slow
def test_a_broken_training_ends_as_the_unbroken_one(drawn, tmp_path):
    def kill_in_second_epoch(progress):
        if progress.epoch == 2 and progress.step == 1:
            raise Killed

    whole = train("compact", drawn, config=QUICK, work_root=tmp_path / "a", root=tmp_path / "whole")
    with pytest.raises(Killed):
        train("compact", drawn, config=QUICK, work_root=tmp_path / "b", root=tmp_path, on_progress=kill_in_second_epoch)
    other = dataclasses.replace(QUICK, learning_rate=0.01)
    with pytest.raises(ConfigError, match="config"):
        train("compact", drawn, config=other, work_root=tmp_path / "b", root=tmp_path)
    assert not (tmp_path / "runs").exists()

    epochs_seen = set()
    resumed = train(
        "compact",
        drawn,
        config=QUICK,
        work_root=tmp_path / "b",
        root=tmp_path / "resumed",
        on_progress=lambda progress: epochs_seen.add(progress.epoch),
    )
    assert epochs_seen == {2, 3}
    assert not list((tmp_path / "b").iterdir())
    runs = [artifacts.read_run(path) for path in (whole, resumed)]
    histories = [run.history().drop(columns="seconds") for run in runs]
    assert histories[0]["epoch"].tolist() == [1, 2, 3] and histories[0]["size"].tolist() == [24, 24, 48]
    np.testing.assert_allclose(*histories, atol=2e-2)
    np.testing.assert_allclose(*(run.predictions("test").pred_probs for run in runs), atol=2e-2)
    assert runs[0].run["config"] == QUICK.to_dict()
    assert runs[0].run["initial_weights"] == "random"


@pytest.mark.slow
def test_a_damaged_state_is_named(drawn, tmp_path):
    def stop(progress):
        if progress.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        train("compact", drawn, config=QUICK, work_root=tmp_path, root=tmp_path, on_progress=stop)
    state = next(tmp_path.glob("*/state.npz"))
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"state\.npz is damaged.*--fresh"):
        train("compact", drawn, config=QUICK, work_root=tmp_path, root=tmp_path)


def test_one_training_at_a_time_in_a_folder_and_fresh_discards_it(tmp_path):
    from fer_core.training.checkpoint import WorkDirectory

    first = WorkDirectory(tmp_path / "work")
    first.claim({"seed": 1})
    (tmp_path / "work" / "state.npz").write_bytes(b"old")
    refused = WorkDirectory(tmp_path / "work")
    with pytest.raises(ConfigError, match="Another process"):
        refused.claim({"seed": 1}, fresh=True)
    refused.clear()  # what was never claimed is another's
    assert (tmp_path / "work" / "state.npz").exists()
    first._lock.close()
    with pytest.raises(ConfigError, match=r"other seed.*--fresh"):
        WorkDirectory(tmp_path / "work").claim({"seed": 2})
    (tmp_path / "work" / "state.npz").rename(tmp_path / "work" / "history.csv")
    with pytest.raises(ConfigError, match=r"other seed.*--fresh"):
        WorkDirectory(tmp_path / "work").claim({"seed": 2})
    again = WorkDirectory(tmp_path / "work")
    again.claim({"seed": 2}, fresh=True)
    assert not (tmp_path / "work" / "history.csv").exists()
    again._lock.close()
    once_more = WorkDirectory(tmp_path / "work")
    once_more.claim({"seed": 3})  # what has finished no epoch is nothing to go on with
    again = WorkDirectory(tmp_path / "work")
    with pytest.raises(ConfigError, match="Another process"):
        again.claim({"seed": 4})
    assert "3" in (tmp_path / "work" / "settings.json").read_text(), "not even before its first epoch is over"
    once_more.clear()
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_a_refused_training_is_not_in_the_way_of_the_next(drawn, tmp_path):
    refused = dataclasses.replace(QUICK, classes=["happi", "sad"])
    with pytest.raises(DatasetError, match="happi"):
        train("compact", drawn, config=refused, work_root=tmp_path, root=tmp_path)
    corrected = dataclasses.replace(QUICK, epochs=1, sizes=[], classes=["happy", "sad"])
    path = train("compact", drawn, config=corrected, work_root=tmp_path, root=tmp_path)
    assert artifacts.read_run(path).class_names == ("happy", "sad")


def test_estimators_refuse_settings_that_they_would_not_follow(drawn, tmp_path):
    for change in ({"holdout": 0.2}, {"class_weight": True}, {"equalize": "hist"}):
        with pytest.raises(ConfigError, match=f"majority is no network.*{next(iter(change))}"):
            train("majority", drawn, config=recipe("majority", change), work_root=tmp_path, root=tmp_path)
    said = {
        (
            "svm_hog_rbf",
            "equalize",
            "clahe",
        ): """Say equalize in its arguments: --set 'arguments={"equalize": "clahe"}'""",
        ("svm_hog_rbf", "class_weight", True): """--set 'arguments={"class_weight": "balanced"}'""",
        ("hog_logistic", "equalize", "clahe"): "Leave equalize out.",
        ("svm_hog_rbf", "tta", "flip"): "Leave tta out.",
    }
    for (name, setting, value), remedy in said.items():
        with pytest.raises(ConfigError) as raised:
            train(name, drawn, config=recipe(name, {setting: value}), work_root=tmp_path, root=tmp_path)
        assert raised.value.remedy.endswith(remedy)
    both = recipe("svm_hog_rbf", {"equalize": "hist", "holdout": 0.2, "arguments": {"C": 2}})
    with pytest.raises(ConfigError) as raised:
        train("svm_hog_rbf", drawn, config=both, work_root=tmp_path, root=tmp_path)
    assert "Leave holdout out. Say equalize in" in raised.value.remedy
    assert """'arguments={"C": 2, "equalize": "hist"}'""" in raised.value.remedy, "with those that were given"
    path = train("majority", drawn, config=recipe("majority", {"epochs": 2}), work_root=tmp_path, root=tmp_path)
    assert artifacts.read_run(path).model == "majority"


def test_sizes_follow_the_size_of_the_input():
    assert recipe("vgg16").sizes == [[32, 8], [44, 4]]
    assert recipe("vgg16", {"input_size": 88, "epochs": 6}).sizes == [[64, 4], [88, 2]]
    assert recipe("vgg16", {"input_size": 48, "sizes": [[32, 12]]}).sizes == [[32, 12]], "unless they are given too"


def test_settings_that_a_fit_in_one_piece_never_looks_at_are_named():
    given = ["epochs", "learning_rate", "seed", "mask", "arguments", "mixup"]
    assert without_effect("svm_hog_rbf", given) == ["epochs", "learning_rate", "mixup"]
    assert without_effect("compact", given) == []


def test_a_setting_of_nothing_is_refused_and_not_ignored():
    with pytest.raises(ConfigError, match="mixup must be a number"):
        recipe("compact", {"mixup": None})


def test_arguments_of_estimators_can_be_changed_and_are_remembered(drawn, tmp_path):
    """What `search` has found can be trained without a change of MODELS."""
    from fer_core.models.registry import load_classifier

    change = {"arguments": {"kernel": "poly", "scaling": "minmax", "features": ["pixels"], "C": 0.5}}
    config = recipe("svm_hog_linear", change)
    run = artifacts.read_run(train("svm_hog_linear", drawn, config=config, work_root=tmp_path, root=tmp_path))
    assert run.run["config"]["kernel"] == run.run["spec"]["arguments"]["kernel"] == "poly"
    assert """--set arguments='{"kernel":"poly",""" in run.run["retrain"]
    again = load_classifier(run)
    np.testing.assert_allclose(again.predict_proba(drawn["test"].images), run.predictions("test").pred_probs, atol=1e-6)
    assert again.estimator[-1].calibrated_classifiers_[0].estimator.kernel == "poly"
    with pytest.raises(ConfigError, match="There is no argument colour"):
        config = recipe("svm_hog_linear", {"arguments": {"colour": 1}})
        train("svm_hog_linear", drawn, config=config, work_root=tmp_path, root=tmp_path)


def test_arguments_of_networks_can_be_changed_and_are_remembered(drawn, tmp_path):
    from fer_core.errors import ModelError
    from fer_core.models.registry import load_classifier
    from fer_core.training.unfinished import what_is_trained

    change = {"arguments": {"depth": 3}, "input_size": 24, "epochs": 1, "batch_size": 28, "precision": "float32"}
    config = recipe("ugwu_lr_0.001", change)
    run = artifacts.read_run(train("ugwu_lr_0.001", drawn, config=config, work_root=tmp_path, root=tmp_path))
    assert run.run["spec"]["arguments"] == {"depth": 3}
    network = load_classifier(run).network
    assert len([layer for layer in network.layers if layer.name.endswith("_conv")]) == 3
    plain = what_is_trained("ugwu_lr_0.001", "drawn", drawn.fingerprint, recipe("ugwu_lr_0.001"))
    assert "arguments" not in plain["config"] and plain["spec"]["arguments"] == {"depth": 2}
    assert what_is_trained("ugwu_lr_0.001", "drawn", drawn.fingerprint, config)["spec"]["arguments"] == {"depth": 3}
    with pytest.raises(ModelError, match=r"no argument colour.*Expected some of depth"):
        config = recipe("ugwu_lr_0.001", {"arguments": {"colour": 1}, "seed": 1})
        train("ugwu_lr_0.001", drawn, config=config, work_root=tmp_path, root=tmp_path)


def test_a_leaky_split_stands_in_the_run(drawn, tmp_path):
    """97 to 99 % on CK+ come from it."""
    frames = dataclasses.replace(drawn, info={"protocol": "frames"})
    notes = [
        artifacts.read_run(train("majority", dataset, work_root=tmp_path, root=tmp_path)).run["notes"]
        for dataset in (drawn, frames)
    ]
    assert notes[0] is None and "Split by frame" in notes[1]


def test_estimators_say_what_they_do(drawn, tmp_path, monkeypatch):
    """One stage after another, each of them named before it begins, and counted where it can be."""
    from fer_core.models import features

    def points(images, cache=None, on_progress=None):
        for done in (1, len(images)):
            on_progress and on_progress(done, len(images))
        return np.random.default_rng(0).random((len(images), 5, 2)), np.ones(len(images), bool)

    monkeypatch.setattr(features, "landmark_points", points)
    told = []
    train("svm_landmarks_rbf", drawn, work_root=tmp_path, root=tmp_path, on_progress=told.append)
    folds = [f"calibration, fold {fold} of 3" for fold in (1, 2, 3)]
    stages = ["features of training pictures", "scaling", *folds, "the machine on all pictures"]
    stages += [f"answers to {name} pictures" for name in ("train", "val", "test")]
    assert list(dict.fromkeys(state.what for state in told)) == stages
    assert {(state.what, state.stage, state.stages) for state in told} == {
        (stage, place, 9) for place, stage in enumerate(stages, start=1)
    }
    steps = [(state.step, state.steps) for state in told]
    assert steps == [(0, 56), (1, 56), (56, 56), *[(0, 0)] * 5, (0, 56), (56, 56), (0, 21), (21, 21), (0, 21), (21, 21)]


def test_faces_cut_for_an_estimator_are_stages_too(drawn, tmp_path, monkeypatch):
    from fer_core.training import face_crops

    def whole(split, dataset, name, report):
        report(len(split), len(split))
        return split

    monkeypatch.setattr(face_crops, "face_crops", whole)
    told = []
    config = recipe("majority", {"faces": True})
    train("majority", drawn, config=config, work_root=tmp_path, root=tmp_path, on_progress=told.append)
    assert list(dict.fromkeys((state.what, state.stage) for state in told))[:5] == [
        *(("faces of train pictures", 1), ("faces of val pictures", 2), ("faces of test pictures", 3)),
        *(("features of training pictures", 4), ("fitting", 5)),
    ]
    assert {state.stages for state in told} == {8}


def test_estimators_follow_settings_of_pictures(drawn, tmp_path):
    """Of the thesis's five classes only, with the mouth hidden, in training and in evaluation."""
    from fer_core import masks
    from fer_core.models.registry import load_classifier

    five = ["angry", "fear", "happy", "neutral", "sad"]
    config = recipe("hog_logistic", {"classes": five, "mask": "mouth"})
    path = train("hog_logistic", drawn, config=config, work_root=tmp_path, root=tmp_path)
    run = artifacts.read_run(path)
    assert run.class_names == ("angry", "fear", "happy", "sad", "neutral")
    assert run.run["config"]["mask"] == "mouth" and "--set mask=" in run.run["retrain"]
    kept = [name in five for name in np.array(drawn["test"].class_names)[drawn["test"].y_true]]
    stored = run.predictions("test")
    assert stored.sample_ids.tolist() == drawn["test"].sample_ids[kept].tolist()
    hidden = masks.apply(drawn["test"].images[kept], masks.region_mask("mouth", drawn["test"].images.shape[1:3]))
    np.testing.assert_allclose(load_classifier(run).predict_proba(hidden), stored.pred_probs, atol=1e-6)


def test_an_unfinished_training_of_another_network_of_that_name_is_not_gone_on_with(drawn, tmp_path, monkeypatch):
    """What a name stands for may change between two sittings."""
    from fer_core.training import engine

    config = recipe("compact", {"epochs": 1, "batch_size": 28})
    monkeypatch.setattr(engine, "train_network", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train("compact", drawn, config=config, work_root=tmp_path, root=tmp_path)
    next(tmp_path.glob("*/settings.json")).with_name("history.csv").write_text("epoch,val_accuracy\n1,0.2\n")
    monkeypatch.setitem(MODELS, "compact", MODELS["compact"] | {"input_size": 40})
    with pytest.raises(ConfigError, match="other spec"):
        train("compact", drawn, config=config, work_root=tmp_path, root=tmp_path)


@pytest.mark.slow
def test_patience_stops_a_training_that_no_longer_improves(drawn, tmp_path):
    config = dataclasses.replace(QUICK, epochs=30, sizes=[], patience=1, learning_rate=1e-12, ema=0.0)
    run = artifacts.read_run(train("compact", drawn, config=config, work_root=tmp_path, root=tmp_path))
    assert len(run.history()) < 30


@pytest.mark.slow
def test_compact_learns_drawn_faces(tmp_path):
    dataset = synthetic.dataset(n_train=420, n_val=70, n_test=140, size=48, seed=2)
    config = TrainConfig(
        epochs=10, batch_size=28, optimizer="adam", learning_rate=2e-3, precision="float32", arguments=NARROW
    )
    run = artifacts.read_run(train("compact", dataset, config=config, work_root=tmp_path, root=tmp_path))
    assert run.metrics("test")["accuracy"] > 0.7


@pytest.mark.slow
def test_a_training_killed_by_the_system_goes_on_with_the_same_command(tmp_path):
    environment = os.environ | {"FER_DATA_DIR": str(tmp_path / "data"), "FER_ARTIFACTS_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "fer_core", "train", "ugwu_depth_3", "drawn", "--epochs", "8"]
    command += ["--batch-size", "28", "--set", "input_size=24"]
    state = tmp_path / "data" / "work" / "drawn-ugwu_depth_3-s0" / "state.npz"
    first = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not state.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert state.exists()
    assert not artifacts.list_runs(tmp_path)[0]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)
    runs, problems = artifacts.list_runs(tmp_path)
    assert len(runs) == 1 and not problems
    assert runs[0].history()["epoch"].tolist() == list(range(1, 9))


@pytest.mark.parametrize("name", ["majority", "hog_logistic"])
def test_estimators_leave_a_run_that_verifies(name, drawn, tmp_path):
    from fer_core.models.registry import load_classifier
    from fer_core.verification import verify_run

    run = artifacts.read_run(train(name, drawn, work_root=tmp_path, root=tmp_path))
    assert verify_run(run) == []
    probabilities = load_classifier(run).predict_proba(drawn["test"].images)
    np.testing.assert_allclose(probabilities, run.predictions("test").pred_probs, atol=1e-6)


def test_help_names_every_command():
    from typer.testing import CliRunner

    from fer_core.__main__ import app

    output = CliRunner().invoke(app, ["--help"]).output
    assert all(command in output for command in ("data", "train", "evaluate", "predict", "runs"))


def test_settings_on_the_command_line_are_json_or_words():
    from fer_core.commands.train import parse_settings

    parsed = {"mixup": 0.2, "schedule": "linear", "sizes": [[32, 1]]}
    assert parse_settings(["mixup=0.2", "schedule=linear", "sizes=[[32, 1]]"]) == parsed
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        parse_settings(["mixup"])


def test_latency_is_measured_and_stored_without_a_difference(drawn, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from fer_core.__main__ import app

    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    run = artifacts.read_run(train("majority", drawn, work_root=tmp_path, root=tmp_path))
    assert run.run["latency_ms"] is None
    result = CliRunner().invoke(app, ["runs", "time"])
    assert result.exit_code == 0 and run.name in result.output
    assert 0 < artifacts.read_run(run.path).run["latency_ms"] < 1000
    assert CliRunner().invoke(app, ["runs", "verify"]).exit_code == 0
