"""``reproduce``: killed at any moment and started again, it trains what is missing and nothing twice."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets, job_log, jobs
from fer_core.commands import pace, reproduce
from fer_core.errors import ConfigError
from fer_core.models.specs import MODELS, spec
from fer_core.predictions import Predictions
from fer_core.storage import environment
from fer_core.training import unfinished
from fer_core.training.config import TrainConfig, config_of_entry
from fer_core.training.recipes import network_of

PROJECT = Path(__file__).resolve().parent.parent
PAIR = ("patil_cnn", "patil_cnn_ckplus")
ONLY_PAIR = [word for model in PAIR for word in ("--only", model)]
SMALL = ("ugwu_depth_3", "ugwu_depth_4")  # at 24 pixels a pass takes a moment
WAIT_S = 240
GPU = "Some processor, 16 cores, Linux, NVIDIA H100"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.delenv("FER_MAX_TRAININGS", raising=False)
    yield tmp_path
    for job in jobs.live_jobs():
        jobs.stop(job, grace_s=1)


def store(model, changes=None, **fields):
    """A run of ``model`` on the drawn faces, as if it had been trained with ``changes``."""
    drawn = datasets.load("drawn")
    test = drawn["test"]
    uniform = np.full((len(test), 7), 1 / 7, np.float32)
    entry = spec(model)
    config = TrainConfig.from_dict(entry["recipe"] | (changes or {})).to_dict()
    record = {"model": model, "dataset": "drawn", "dataset_fingerprint": drawn.fingerprint, "seed": config["seed"]}
    record["config"] = config if entry["family"] == "network" else entry["arguments"]
    made = {"test": Predictions(test.sample_ids, test.y_true, uniform, test.class_names)}
    return artifacts.write_run(record | fields, predictions=made)


def leave_unfinished(model, **settings):
    """An epoch of ``model`` on the drawn faces, as a training with ``settings`` leaves it."""
    config = config_of_entry(spec(model), settings)
    claimed = unfinished.what_is_trained(model, "drawn", datasets.load("drawn").fingerprint, config)
    work = unfinished.folder(model, "drawn", config.seed)
    work.mkdir(parents=True)
    (work / "settings.json").write_text(json.dumps(claimed), encoding="utf-8")
    (work / "history.csv").write_text("epoch,val_accuracy\n1,0.2\n", encoding="utf-8")


def run(*arguments):
    from fer_core.__main__ import app

    return CliRunner().invoke(app, ["reproduce", *arguments])


def test_systems_of_a_paper_are_those_of_the_models():
    papers = {entry["paper"] for entry in MODELS.values() if entry.get("paper")}
    by_paper = {paper: reproduce.systems(paper) for paper in papers}
    assert set(PAIR) <= set(by_paper["patil_thesis"])
    assert all(MODELS[name]["paper"] == paper for paper, names in by_paper.items() for name in names)
    assert sorted(reproduce.systems("all")) == sorted(name for names in by_paper.values() for name in names)
    assert "compact" not in reproduce.systems("all")
    assert reproduce.systems("patil_thesis", ["patil_cnn"]) == ["patil_cnn"]
    with pytest.raises(ConfigError, match=r"no paper 'patil'.*patil_thesis"):
        reproduce.systems("patil")
    with pytest.raises(ConfigError, match="no system compact"):
        reproduce.systems("patil_thesis", ["compact"])


def test_cost_counts_pixels_in_all_passes():
    assert reproduce.cost("patil_cnn") == 48 * 48 * spec("patil_cnn")["recipe"]["epochs"]
    assert reproduce.cost("patil_cnn", {"epochs": 2}) == 48 * 48 * 2
    assert reproduce.cost("compact", {"epochs": 3, "sizes": [[32, 2], [44, 1]]}) == 2 * 32 * 32 + 44 * 44
    assert reproduce.cost("hog_logistic") == 0
    frozen = {"input_size": 96, "trainable_layers": 0}
    assert reproduce.cost("vgg16_frozen", frozen) == 3 * 96 * 96


def test_time_is_expected_by_the_runs_there_are(folder):
    """A fifth of the passes takes a fifth as long; a fit takes what it took; without a run it is as for the others."""
    assert pace.expected_time([*PAIR, "svm_hog_rbf"], {}, []) == dict.fromkeys([*PAIR, "svm_hog_rbf"])
    epochs = spec("patil_cnn")["recipe"]["epochs"]
    store("patil_cnn", wall_time_s=9.0, date="2020-01-01")
    store("patil_cnn", wall_time_s=200.0, epochs=epochs)
    store("svm_hog_rbf", wall_time_s=3600.0)
    store("patil_cnn_ckplus", wall_time_s=7.0, config={"no": "such setting"})
    runs = artifacts.list_runs()[0]
    found = pace.expected_time([*PAIR, "svm_hog_rbf", "svm_ckplus"], {"epochs": epochs // 5}, runs)
    assert pace.seconds_here(found) == {
        "patil_cnn": pytest.approx(40),
        "patil_cnn_ckplus": pytest.approx(40),
        "svm_hog_rbf": 3600,
        "svm_ckplus": 3600,
    }


def test_a_head_takes_as_long_as_its_features(folder):
    """Its epochs take seconds, whose number hardly counts; runs that tell nothing else tell nothing."""
    store("mobilenetv2_frozen", wall_time_s=30.0)
    models = ["mobilenetv2_frozen", "patil_cnn"]
    runs = artifacts.list_runs()[0]
    assert pace.seconds_here(pace.expected_time(models, {}, runs)) == dict.fromkeys(models)
    epochs = spec("mobilenetv2_frozen")["recipe"]["epochs"]
    store("mobilenetv2_frozen", {"seed": 1}, wall_time_s=1230.0, features_s=1200.0, epochs=epochs // 2)
    for changes in ({}, {"epochs": 2 * epochs}):
        found = pace.expected_time(models[:1], changes, artifacts.list_runs()[0])
        assert pace.seconds_here(found) == {"mobilenetv2_frozen": pytest.approx(1230.0)}


def test_runs_of_this_machine_tell_the_time_before_those_of_others(folder, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    own = environment()["machine"]
    recipe = spec("patil_cnn")["recipe"]["epochs"]
    store("patil_cnn", wall_time_s=100.0, epochs=recipe, machine=own, date="2020-01-01")
    store("patil_cnn", wall_time_s=5.0, epochs=recipe, machine=GPU)
    store("svm_hog_rbf", wall_time_s=7.0, machine=GPU)
    store("svm_ckplus", wall_time_s=8.0, machine="")
    runs, models = artifacts.list_runs()[0], [*PAIR, "svm_hog_rbf", "svm_ckplus", "svm_pixels_rbf"]
    found = pace.expected_time(models, {}, runs)
    assert found["patil_cnn"] == (pytest.approx(100.0), "")
    assert found["patil_cnn_ckplus"].machine == "", "as another network here, rather than as itself elsewhere"
    assert found["svm_hog_rbf"] == (7.0, GPU) and found["svm_ckplus"] == (8.0, pace.UNKNOWN)
    assert found["svm_pixels_rbf"] is None
    here = pace.seconds_here(found)
    assert [here[model] for model in models[2:]] == [None] * 3
    left = pace.Pace(here)
    assert left.left("patil_cnn", None, 0.0, 0.0, ["svm_hog_rbf"]) is None
    left.learn({"svm_hog_rbf": 50.0, "patil_cnn": 3.0})
    assert left.left("patil_cnn", None, 0.0, 0.0, ["svm_hog_rbf"]) == pytest.approx(150.0), "what was known stays"


@pytest.mark.parametrize(("backend", "same"), [("jax", True), ("tensorflow", False)])
def test_an_accelerator_that_trainings_use_is_of_this_machine(monkeypatch, backend, same):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    here, own = pace.this_machine(), environment()["machine"]
    assert here(own) and here(f"{own}, NVIDIA H100") == same
    assert not here(GPU) and not here(None)


def test_the_plan_says_that_times_are_of_another_machine(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    store("patil_cnn", {"seed": 1}, wall_time_s=120.0, machine=GPU)
    store("svm_hog_rbf", seed=1, wall_time_s=60.0)
    store("patil_cnn_ckplus", wall_time_s=60.0, dataset_fingerprint="other pictures")
    arguments = ["patil_thesis", "--dataset", "drawn", "--dry-run", "--set", "patience=0", "--only", "patil_cnn"]
    output = run(*arguments).output
    assert "on another machine: 2 min" in output
    assert f"1 of 1 are open: about 2 min, by the time that stored runs took on another machine ({GPU})." in output
    output = run(*arguments, "--only", "svm_hog_rbf").output
    assert "2 of 2 are open: about 60 s for 1, by the time that stored runs took on this machine; about 2 min" in output
    output = run(*arguments, "--only", "patil_cnn_ckplus").output
    assert f"for 1, by the time that stored runs took on another machine ({GPU}); of 1 no run tells." in output


def test_time_left_counts_fits_and_follows_what_was_measured():
    expected = {"svm": 100.0, "first": 200.0, "second": 400.0, "new": None}
    left = pace.Pace(expected)
    assert left.left("svm", None, 0.0, 30.0, ["first", "second"]) == pytest.approx(70 + 200 + 400)
    assert left.left("svm", None, 0.0, 300.0, ["first"]) == pytest.approx(200), "late, not negative"
    assert left.left("svm", None, 0.0, 0.0, ["new"]) is None, "nobody knows"
    left.ended("svm", 50.0)  # twice as fast as expected
    assert left.left("first", None, 0.0, 10.0, ["second"]) == pytest.approx(90 + 200)
    # A resumed training at three quarters, 25 s before its end: 75 s for what 150 were expected for in all.
    assert left.left("first", 25.0, 0.75, 5.0, ["second"]) == pytest.approx(25 + 400 * 75 / 150)
    left.ended("first", 25.0, 0.25)
    assert left.left("second", None, 0.0, 0.0, []) == pytest.approx(200)


@pytest.mark.parametrize(("model", "counted"), [("patil_cnn", [("patil_cnn", 20.0, 0.25)]), ("vgg16_frozen", [])])
def test_what_was_done_before_this_began_to_look_is_no_time_of_its_own(folder, monkeypatch, model, counted):
    """Joined at three quarters after 100 s, it took 20 s for the rest; of a head that is not all the time it took."""
    told = []
    looks = iter([("running", 90.0), ("running", 100.0), ("running", 110.0), ("finished", 120.0)])
    shown = iter([{"what": "faces"}, {"share": 0.75, "time_left_s": 20.0}, {"share": 0.8, "time_left_s": 10.0}])

    def read(job_id):
        state, elapsed_s = next(looks)
        return SimpleNamespace(id=job_id, state=state, elapsed_s=elapsed_s, run="stored")

    monkeypatch.setattr(jobs, "read", read)
    monkeypatch.setattr(jobs, "progress", lambda job: next(shown, {"share": 1.0}))
    monkeypatch.setattr(reproduce, "_job", lambda *_: SimpleNamespace(id="joined"))
    monkeypatch.setattr(reproduce, "_left", lambda *_: "")
    monkeypatch.setattr(reproduce, "POLL_S", 0.0)
    monkeypatch.setattr(pace.Pace, "ended", lambda self, *ended: told.append(ended))
    assert reproduce._train_all([model], "drawn", {}, {}, "") == {}
    assert told == counted


def test_time_left_of_a_stage_is_not_taken_for_that_of_the_training():
    epochs = {"epoch": 2, "epochs": 4, "time_left_s": 30.0}
    assert reproduce._left(epochs, "running") == "epoch 2/4 30 s left"
    stage = {"what": "features", "stage": 2, "stages": 8, "time_left_s": 30.0}
    assert reproduce._left(stage, "running") == "stage 2 of 8: features 30 s left of this stage"
    assert reproduce._left(stage | {"time_left_s": None}, "running").strip() == "stage 2 of 8: features"


def test_a_run_counts_only_with_the_same_settings_on_the_same_pictures(folder):
    fingerprint = datasets.load("drawn").fingerprint
    path = store("patil_cnn", {"epochs": 2})
    assert reproduce.finished_run("patil_cnn", fingerprint, {"epochs": 2}).path == path
    assert reproduce.finished_run("patil_cnn", fingerprint) is None
    assert reproduce.finished_run("patil_cnn", fingerprint, {"epochs": 2, "seed": 1}) is None
    assert reproduce.finished_run("patil_cnn", "other pictures", {"epochs": 2}) is None
    assert reproduce.finished_run("patil_cnn_ckplus", fingerprint, {"epochs": 2}) is None


def test_runs_of_estimators_count_with_the_pictures_they_were_fitted_on(folder):
    fingerprint = datasets.load("drawn").fingerprint
    path = store("svm_hog_rbf")
    assert reproduce.finished_run("svm_hog_rbf", fingerprint).path == path
    assert reproduce.finished_run("svm_hog_rbf", fingerprint, {"epochs": 3}).path == path, "it knows no epochs"
    assert reproduce.finished_run("svm_hog_rbf", fingerprint, {"dedupe": True}) is None
    without = store("svm_hog_rbf", config=spec("svm_hog_rbf")["arguments"] | {"dedupe": True})
    assert reproduce.finished_run("svm_hog_rbf", fingerprint, {"dedupe": True}).path == without


def test_a_run_older_than_a_setting_still_counts(folder):
    config = TrainConfig.from_dict(spec("patil_cnn")["recipe"]).to_dict()
    config.pop("mixup")
    store("patil_cnn", config=config)
    assert reproduce.finished_run("patil_cnn", datasets.load("drawn").fingerprint)
    store("patil_cnn_ckplus", config={"no": "such setting"})
    assert reproduce.finished_run("patil_cnn_ckplus", datasets.load("drawn").fingerprint) is None


def test_a_run_of_another_network_of_that_name_does_not_count(folder):
    """MODELS may say another input size or depth by now."""
    fingerprint = datasets.load("drawn").fingerprint
    own = network_of("patil_cnn", TrainConfig())
    store("patil_cnn", spec=own | {"input_size": 96})
    store("patil_cnn", spec=own | {"arguments": {"dense": [64]}})
    assert reproduce.finished_run("patil_cnn", fingerprint) is None
    path = store("patil_cnn", spec=own)
    assert reproduce.finished_run("patil_cnn", fingerprint).path == path


def test_a_system_that_cannot_be_started_does_not_keep_the_others(folder, monkeypatch):
    def no_room(model, *_):
        raise ConfigError(f"Training {model} takes 99.0 GB of memory.")

    monkeypatch.setattr(reproduce, "_job", no_room)
    failures = reproduce._train_all(list(PAIR), "drawn", {}, {}, "")
    assert list(failures) == list(PAIR) and "99.0 GB" in failures["patil_cnn"]


def test_two_that_start_the_same_system_at_once_share_its_job(folder, monkeypatch):
    datasets.load("drawn")
    looked, real = [], jobs.list_jobs

    def none_at_first():
        looked.append(1)
        return ([], []) if len(looked) == 1 else real()

    job = jobs.start("patil_cnn", "drawn", {"epochs": 2})
    monkeypatch.setattr(jobs, "list_jobs", none_at_first)
    assert reproduce._job("patil_cnn", "drawn", {"epochs": 2}, "").id == job.id
    looked.clear()
    with pytest.raises(ConfigError):
        reproduce._job("patil_cnn", "drawn", {"epochs": 3}, "")


def test_a_job_that_was_to_discard_an_unfinished_training_goes_on_with_it(folder):
    """``reproduce`` was never told to discard anything."""
    leave_unfinished("patil_cnn")
    path = jobs.jobs_dir() / "old"
    path.mkdir(parents=True)
    command = jobs.train_arguments("patil_cnn", "drawn")
    discards = unfinished.stamp("patil_cnn", "drawn", 0)
    jobs._write(jobs.Job(path, "patil_cnn", "drawn", {}, command, "", fresh=True, discards=discards))
    job = reproduce._job("patil_cnn", "drawn", {}, "")
    jobs.stop(job)
    assert job.id == "old" and not job.fresh


def test_a_training_that_ended_since_the_plan_is_not_done_again(folder):
    fingerprint = datasets.load("drawn").fingerprint
    store("patil_cnn")
    assert reproduce._job("patil_cnn", "drawn", {}, fingerprint) is None
    assert reproduce._train_all(["patil_cnn"], "drawn", {}, {"patil_cnn": None}, fingerprint) == {}
    assert not jobs.list_jobs()[0]


def test_what_another_has_stored_while_it_waited_is_not_trained_again(folder):
    """A terminal trains the same; asking before queueing is too early."""
    work = folder / "data" / "work" / "drawn-majority-s0"
    work.mkdir(parents=True)

    def store_and_end(lock):
        deadline = time.monotonic() + WAIT_S
        while [job.state for job in jobs.list_jobs()[0]] != ["waiting"] and time.monotonic() < deadline:
            time.sleep(0.1)
        store("majority")
        lock.close()

    with open(work / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = threading.Thread(target=store_and_end, args=(lock,))
        other.start()
        failures = reproduce._train_all(["majority"], "drawn", {}, {}, datasets.load("drawn").fingerprint)
        other.join()
    assert failures == {}
    (stored,), (job,) = artifacts.list_runs()[0], jobs.list_jobs()[0]
    assert (job.state, job.run) == ("finished", stored.name)
    assert f"{stored.name} has been stored in the meantime." in job_log.tail(job.path)


@pytest.mark.slow
def test_a_training_that_was_asked_for_is_done_again(folder):
    store("majority", date="2020-01-01")
    job = jobs.start("majority", "drawn")
    deadline = time.monotonic() + WAIT_S
    while jobs.read(job.id).state in jobs.LIVE and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(artifacts.list_runs()[0]) == 2, job_log.tail(job.path)


def test_dry_run_lists_and_trains_nothing(folder):
    path = store("patil_cnn", {"epochs": 2})
    leave_unfinished("patil_cnn_ckplus", epochs=2)
    result = run("patil_thesis", "--dataset", "drawn", "--epochs", "2", "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"{path.name}: " in result.output and "14.3 % on test" in result.output
    assert "unfinished, 1 epochs are done" in result.output
    assert not jobs.list_jobs()[0]


def test_the_plan_says_what_is_measured_otherwise_what_is_in_the_way_and_how_long_it_takes(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    epochs = spec("patil_cnn")["recipe"]["epochs"]
    path = store("patil_cnn", {"epochs": epochs // 5}, wall_time_s=120.0, epochs=epochs // 5)
    leave_unfinished("patil_cnn_ckplus", epochs=4)
    result = run("patil_thesis", "--dataset", "drawn", *ONLY_PAIR, "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"measured with other settings: {path.name} (epochs {epochs // 5} instead of {epochs})" in result.output
    assert f"an unfinished training is in the way: epochs 4 instead of {epochs}" in result.output
    assert result.output.count("10 min") == 2, "five times two minutes, each"
    assert result.output.count("at most 10 min") == 2, "patience may end it before the last epoch"
    assert "2 of 2 are open: at most about 20 min, by the time that stored runs took on this machine." in result.output
    result = run("patil_thesis", "--dataset", "drawn", *ONLY_PAIR, "--set", "patience=0", "--dry-run")
    assert result.output.count("10 min") == 2 and "at most" not in result.output
    assert "2 of 2 are open: about 20 min, by the time that stored runs took on this machine." in result.output
    store("patil_cnn", wall_time_s=600.0)
    result = run("patil_thesis", "--dataset", "drawn", "--only", "patil_cnn", "--only", "svm_hog_rbf", "--dry-run")
    assert "1 of 2 are open. No stored run tells how long." in result.output
    assert "measured with other settings" not in result.output


def test_an_unfinished_training_takes_what_is_left_of_it(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    epochs = spec("patil_cnn")["recipe"]["epochs"]
    store("patil_cnn", {"seed": 1}, wall_time_s=60.0 * epochs, epochs=epochs)
    leave_unfinished("patil_cnn")
    result = run("patil_thesis", "--dataset", "drawn", "--only", "patil_cnn", "--dry-run")
    assert f"1 of 1 are open: at most about {epochs - 1} min" in result.output
    assert (
        "unfinished, 1 epochs are done; measured with other settings" in result.output and "(seed 1)" in result.output
    )


def test_nothing_is_left_to_do(folder):
    for model in PAIR:
        store(model)
    result = run("patil_thesis", "--dataset", "drawn", *ONLY_PAIR)
    assert result.exit_code == 0, result.output
    assert "2 of 2 systems have a run on drawn" in result.output
    assert not jobs.list_jobs()[0]


def test_a_training_in_the_way_is_told_with_its_remedy_and_none_is_started(folder):
    leave_unfinished("patil_cnn", epochs=2)
    result = run("patil_thesis", "--dataset", "drawn", "--epochs", "1", "--only", "patil_cnn")
    assert result.exit_code == 1
    assert "unfinished training with other settings of patil_cnn on drawn: epochs 2 instead of 1" in result.output
    assert "`python -m fer_core train patil_cnn drawn --epochs 1 --fresh`" in result.output
    assert not jobs.list_jobs()[0]


def test_a_training_that_was_refused_before_its_first_epoch_is_not_in_the_way(folder):
    """As one with a typo in its settings leaves it, or one without ImageNet weights."""
    leave_unfinished("patil_cnn", classes=["happi"], epochs=2)
    (unfinished.folder("patil_cnn", "drawn", 0) / "history.csv").unlink()
    result = run("patil_thesis", "--dataset", "drawn", "--epochs", "1", "--only", "patil_cnn", "--dry-run")
    assert result.exit_code == 0 and "unfinished" not in result.output
    assert unfinished.epochs_done("patil_cnn", "drawn", 0) == 0
    assert reproduce._job("patil_cnn", "drawn", {"epochs": 1}, "").state in jobs.LIVE


@pytest.mark.slow
def test_a_failure_does_not_keep_the_others_and_is_told_at_the_end(folder):
    """The work folder of the first system holds an unfinished training with other settings."""
    leave_unfinished(SMALL[0], epochs=2)
    only = [word for model in SMALL for word in ("--only", model)]
    result = run("ugwu_rafdb", "--dataset", "drawn", "--epochs", "1", "--set", "input_size=24", *only)
    assert result.exit_code == 1
    assert "1 of 2 systems have a run on drawn" in result.output
    assert f"{SMALL[0]}: " in result.output and "unfinished training with other" in result.output
    assert "--fresh" in result.output
    assert [stored.model for stored in artifacts.list_runs()[0]] == [SMALL[1]]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_and_started_again_it_finishes_and_redoes_nothing(folder):
    command = [sys.executable, "-m", "fer_core", "reproduce", "ugwu_rafdb", "--dataset", "drawn"]
    command += [word for model in SMALL for word in ("--only", model)]
    command += ["--epochs", "8", "--set", "input_size=24", "--set", "precision=float32"]

    def start_and_kill_when(reached):
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + WAIT_S
        while not reached():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def epoch_of(model):
        return lambda: unfinished.epochs_done(model, "drawn", 0) >= 1

    start_and_kill_when(epoch_of(SMALL[0]))  # its training goes on by itself and is joined
    (first,) = jobs.list_jobs()[0]
    start_and_kill_when(epoch_of(SMALL[1]))
    second = jobs.list_jobs()[0][0]
    assert second.model == SMALL[1]
    if jobs.is_alive(second):
        os.killpg(second.pid, signal.SIGKILL)  # this one dies with it
    while jobs.is_alive(second):
        time.sleep(0.05)
    runs = artifacts.list_runs()[0]
    assert [stored.model for stored in runs if stored.model == SMALL[0]] == [SMALL[0]]
    before = {path: path.stat().st_mtime_ns for path in runs[0].path.iterdir()}

    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    runs, problems = artifacts.list_runs()
    assert not problems
    assert sorted(stored.model for stored in runs) == sorted(SMALL), "none is missing, none twice"
    assert all(stored.history()["epoch"].tolist() == list(range(1, 9)) for stored in runs)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert len(jobs.list_jobs()[0]) == 2 and jobs.read(first.id).state == "finished"
