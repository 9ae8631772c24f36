"""Sweeps: what is drawn, and that processes which share a study lose no trial and train none twice."""

import collections
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets
from fer_core.errors import ConfigError, ModelError, RunError
from fer_core.models.specs import spec
from fer_core.training import sweep_export, sweep_trials, sweeps
from fer_core.training.sweeps import Parameter, Sweep

PROJECT = Path(__file__).resolve().parent.parent
RATES = {"learning_rate": Parameter(low=1e-4, high=1e-1, log=True)}
# Trains nothing: claims trials as a real worker does, and finishes each with a value that names it.
WORKER = """
import sys, time
from optuna.trial import TrialState
from fer_core.training import sweep_trials, sweeps
sweep = sweeps.read(sys.argv[1])
study = sweep_trials._study(sweep)
while (claimed := sweep_trials._claim(study, sweep)) is not None:
    trial, lock = claimed
    print(trial.number, flush=True)
    time.sleep(float(sys.argv[2]))
    trial.set_user_attr("result", {"val_accuracy": trial.number / 100})
    study.tell(trial, trial.number / 100, state=TrialState.COMPLETE)
    lock.close()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    return tmp_path


def sweep(**changes):
    given = {"name": "s", "model": "compact", "dataset": "drawn", "fingerprint": "f", "space": RATES, "trials": 4}
    return Sweep(**(given | changes))


def worker(name, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, name, str(seconds)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1e-4..1e-1:log", Parameter(low=1e-4, high=1e-1, log=True)),
        ("a=2..6", Parameter(low=2, high=6, integer=True)),
        ("a=.5..1", Parameter(low=0.5, high=1)),
        ("a=128,256,512", Parameter(choices=(128, 256, 512))),
        ("a=adam, sgd", Parameter(choices=("adam", "sgd"))),
        ("a=true,false", Parameter(choices=(True, False))),
    ],
)
def test_space_is_read(text, expected):
    assert sweeps.parse_space([text]) == {"a": expected}


def test_whole_bounds_draw_whole_numbers_only_where_the_setting_takes_them():
    space = sweeps.parse_space(["mixup=0..1", "augmentation.flip=0..1", "epochs=2..6", "learning_rate=1..2:log"])
    assert [name for name, parameter in space.items() if parameter.integer] == ["epochs"]


@pytest.mark.parametrize("text", ["a", "a=", "a=2..1", "a=0..1:log", "a=1..2:cubic", "a=x..y"])
def test_what_is_no_space_is_refused(text):
    with pytest.raises(ConfigError):
        sweeps.parse_space([text])


def test_grid_is_every_combination():
    space = sweeps.parse_space(["batch_size=64,128", "optimizer=adam,sgd"])
    assert sweeps.grid(space) == [
        {"batch_size": 64, "optimizer": "adam"},
        {"batch_size": 64, "optimizer": "sgd"},
        {"batch_size": 128, "optimizer": "adam"},
        {"batch_size": 128, "optimizer": "sgd"},
    ]
    with pytest.raises(ConfigError, match="learning_rate is a range"):
        sweeps.grid(RATES)


def test_a_trial_is_the_recipe_with_what_was_drawn():
    made = sweeps.config_of(
        sweep(settings={"epochs": 3, "mixup": 0.1}), {"learning_rate": 0.02, "augmentation.flip": 0}
    )
    recipe = spec("compact")["recipe"]
    assert (made.epochs, made.mixup, made.learning_rate) == (3, 0.1, 0.02)
    assert made.augmentation.flip == 0
    assert made.augmentation.rotation == recipe["augmentation"]["rotation"]
    for settings, rotation in (({"rotation": 3}, 3), ("none", 0)):
        made = sweeps.config_of(sweep(settings={"augmentation": settings}), {"augmentation.flip": 0.2})
        assert (made.augmentation.flip, made.augmentation.rotation) == (0.2, rotation)
    with pytest.raises(ConfigError, match="augmentation must be an object"):
        sweeps.config_of(sweep(settings={"augmentation": 3}), {"augmentation.flip": 0.2})
    assert sweeps.config_of(sweep(), {"arguments.width": 24}).arguments == {"width": 24}
    other = sweeps.config_of(sweep(), {"model": "patil_cnn"})
    assert other.epochs == spec("patil_cnn")["recipe"]["epochs"]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"space": {"colour": Parameter(choices=("blue",))}}, ConfigError, "colour"),
        ({"space": {"batch_size": Parameter(choices=(64, 0))}}, ConfigError, "batch_size"),
        ({"space": {"learning_rate": Parameter(low=1.0, high=1e9)}}, ConfigError, "learning_rate"),
        ({"space": {"model": Parameter(choices=("compact", "nothing"))}}, ModelError, "nothing"),
        ({"model": "majority"}, ConfigError, "no network"),
        ({"sampler": "grid"}, ConfigError, "is a range"),
        ({"sampler": "magic"}, ConfigError, "magic"),
        ({"trials": 0}, ConfigError, "one trial"),
        ({"name": "../up"}, ConfigError, "name"),
    ],
)
def test_nonsense_is_refused_before_the_first_trial(folder, changes, error, said):
    with pytest.raises(error, match=said):
        sweeps.open_sweep(sweep(**changes))
    assert not sweeps.sweeps_dir().exists()


def test_a_sweep_is_opened_again_with_more_trials_but_not_with_another_space(folder):
    sweeps.open_sweep(sweep())
    sweeps.open_sweep(sweep(trials=9))
    sweeps.open_sweep(sweep(trials=2))
    assert sweeps.read("s") == sweep(trials=9)
    with pytest.raises(ConfigError, match="with other settings, prune"):
        sweeps.open_sweep(sweep(settings={"epochs": 2}, prune=True))
    with pytest.raises(RunError, match=r"no sweep 't'.*one of s"):
        sweeps.read("t")
    (sweeps.sweeps_dir() / "s" / "sweep.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match="lacks something"):
        sweeps.read("s")


@pytest.mark.parametrize(
    "sampler", ["grid", pytest.param("tpe", marks=pytest.mark.slow), pytest.param("random", marks=pytest.mark.slow)]
)
def test_processes_that_share_a_sweep_lose_no_trial_and_train_none_twice(folder, sampler):
    space = {"batch_size": Parameter(choices=tuple(range(1, 13)))} if sampler == "grid" else RATES
    sweeps.open_sweep(sweep(space=space, sampler=sampler, trials=12))
    doomed = worker("s", 60)
    lost = int(doomed.stdout.readline())  # it has claimed a trial
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()
    workers = [worker("s", 0.05) for _ in range(2)]
    claimed = [int(line) for process in workers for line in process.communicate(timeout=100)[0].split()]
    assert [process.returncode for process in workers] == [0, 0]
    assert sorted(claimed) == list(range(12)), "each once, the abandoned one among them"
    assert lost in claimed
    frame = sweep_trials.trials_frame("s")
    assert frame["state"].tolist() == ["complete"] * 12
    drawn = frame[next(iter(space))]
    assert drawn.nunique() == 12, "processes do not draw the same"
    if sampler == "grid":
        assert sorted(drawn) == list(range(1, 13))
    else:
        assert drawn.between(1e-4, 1e-1).all()


def test_a_trial_that_ends_while_another_process_looks_for_one_is_not_taken_for_abandoned(folder, monkeypatch):
    from optuna.trial import TrialState

    sweeps.open_sweep(sweep(space={"batch_size": Parameter(choices=(1, 2))}, sampler="grid", trials=2))
    opened = sweeps.read("s")
    trainer, other = sweep_trials._study(opened), sweep_trials._study(opened)
    trained, held = sweep_trials._claim(trainer, opened)
    real = sweep_trials._try_lock

    def slow_try_lock(path):
        """The trial ends after the other process has read its state and before it tries its lock."""
        if path.name == "0.lock":
            trainer.tell(trained, 0.5, state=TrialState.COMPLETE)
            held.close()
        return real(path)

    monkeypatch.setattr(sweep_trials, "_try_lock", slow_try_lock)
    claimed, lock = sweep_trials._claim(other, opened)
    lock.close()
    assert claimed.number == 1
    assert [found.state for found in other.get_trials()] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_a_trial_whose_process_always_dies_in_the_same_epoch_fails_at_last(folder, monkeypatch):
    """So that a network too large for the memory does not keep all others waiting for ever."""
    space = {"batch_size": Parameter(choices=(1, 2))}
    sweeps.open_sweep(sweep(space=space, sampler="grid", trials=2))
    study = sweep_trials._study(sweeps.read("s"))

    def died(epochs):
        """The trial that was claimed by a process that ended after ``epochs`` epochs."""
        trial, lock = sweep_trials._claim(study, sweeps.read("s"))
        for epoch in range(1, epochs + 1):
            trial.report(0.5, epoch)
        lock.close()
        return trial.number

    assert [died(0), died(0), died(1), died(1), died(1)] == [0] * 5, "it got further, so it is counted anew"
    assert died(0) == 1

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_trials, "_fit", stop)
    assert sweep_trials.trials_frame("s")["state"].tolist() == ["fail", "running"]
    for _ in range(4):  # stopping it by hand is no death
        with pytest.raises(KeyboardInterrupt):
            sweep_trials.work("s", datasets.load("drawn"))
    assert sweep_trials.trials_frame("s")["state"].tolist() == ["running", "waiting"], "tried again after the others"
    error = study.get_trials()[0].user_attrs["result"]["error"]
    assert error == "Its process ended 3 times in epoch 2, perhaps for want of memory."


@pytest.fixture
def fits(monkeypatch):
    """Parameters of each trial that was tried; those for which ``fits.error(params)`` gives an error raise it."""

    def fit(of, params, dataset, directory, watch):
        fit.tried.append(dict(params))
        if (error := fit.error(params)) is not None:
            raise error
        return dict.fromkeys(sweeps.RESULTS, 0.25)

    fit.tried, fit.error = [], lambda params: None
    monkeypatch.setattr(sweep_trials, "_fit", fit)
    return fit


@pytest.mark.parametrize("sampler", sweeps.SAMPLERS)
def test_what_failed_is_tried_again_by_the_same_command(folder, fits, sampler):
    """ImageNet weights that were not there the first time, say; no setting is lost, and none is counted twice."""
    space = {"batch_size": Parameter(choices=(1, 2, 3))} if sampler == "grid" else RATES
    sweeps.open_sweep(sweep(space=space, sampler=sampler, trials=3))
    name = next(iter(space))
    fits.error = lambda params: ModelError("No weights.") if len(fits.tried) != 2 else None
    states = [trial.state for trial in sweep_trials.work("s", None)]
    assert states == ["fail", "complete", "fail"]
    values = [params[name] for params in fits.tried]
    fits.tried.clear()
    fits.error = lambda params: ModelError("No weights.") if len(fits.tried) == 1 else None
    assert [trial.state for trial in sweep_trials.work("s", None)] == ["fail", "complete"]
    assert [params[name] for params in fits.tried] == [values[0], values[2]]
    frame = sweep_trials.trials_frame("s")
    assert frame["state"].tolist() == ["complete", "fail", "complete"]
    assert frame[name].tolist() == [values[1], values[0], values[2]]
    sweeps.open_sweep(sweep(space=space, sampler=sampler, trials=3))
    sweep_trials.work("s", None)
    assert sweep_trials.trials_frame("s")["state"].tolist() == ["complete"] * 3
    assert sweep_trials.work("s", None) == []


def test_more_trials_are_drawn_as_if_none_had_failed(folder, fits):
    for name, fails in (("a", 0), ("b", 2)):
        sweeps.open_sweep(sweep(name=name, sampler="random", trials=2))
        fits.tried.clear()
        fits.error = lambda params, fails=fails: ModelError("No weights.") if len(fits.tried) <= fails else None
        sweep_trials.work(name, None)
        sweeps.open_sweep(sweep(name=name, sampler="random", trials=3))
        sweep_trials.work(name, None)
    a, b = (sweep_trials.trials_frame(name)["learning_rate"].tolist() for name in "ab")
    assert len(a) == 3 and a == b


def test_a_loss_that_became_no_number_is_a_result(folder, fits):
    from fer_core.training.task import check_loss

    def diverge(params):
        try:
            check_loss(float("nan"), 0)
        except ModelError as error:
            return error

    fits.error = diverge
    sweeps.open_sweep(sweep(trials=1))
    assert [trial.state for trial in sweep_trials.work("s", None)] == ["fail"]
    assert sweep_trials.work("s", None) == []


def test_the_command_tells_whether_any_trial_has_finished(folder, fits):
    from fer_core.__main__ import app

    def run(*more):
        words = ["sweep", "run", "compact", "drawn", "--sampler", "grid", "--space", "batch_size=1,2", *more]
        return CliRunner().invoke(app, words)

    fits.error = lambda params: ModelError("No weights.", "Download them.")
    failed = run()
    assert failed.exit_code == 1 and "0 trials finished here. All: 2 fail." in failed.output
    assert "Trial 0 failed: No weights. Download them." in failed.output
    assert "The same command tries failed trials again" in failed.output and "sweep export" not in failed.output
    fits.error = lambda params: ModelError("No weights.") if params["batch_size"] == 1 else None
    half = run()
    assert half.exit_code == 0 and "1 trials finished here. All: 1 fail, 1 complete." in half.output
    assert "The same command tries failed trials again" in half.output and "sweep export drawn-compact" in half.output
    assert run().exit_code == 1, "none of this run has finished"
    fits.error = lambda params: None
    mended = run()
    assert mended.exit_code == 0 and "All: 2 complete." in mended.output and "again" not in mended.output
    assert run().exit_code == 0, "nothing was left to do"
    more = run("--trials", "20")
    assert more.exit_code == 0 and sweeps.read("drawn-compact").trials == 2, "a grid has no more than it has"


@pytest.mark.slow
def test_what_is_drawn_depends_on_the_seed_alone(folder):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sweeps.open_sweep(sweep(name=name, seed=seed, sampler="random"))
        process = worker(name, 0)
        process.communicate(timeout=100)
    a, b, c = (sweep_trials.trials_frame(name)["learning_rate"].tolist() for name in "abc")
    assert a == b and not set(a) & set(c)


def test_export_holds_the_finished_trials_and_their_conditions(folder):
    sweeps.open_sweep(sweep(sampler="random"))
    with pytest.raises(RunError, match="No trial of s is complete"):
        sweep_export.export("s")
    worker("s", 0).communicate(timeout=100)
    table, _ = sweep_export.export("s")
    assert table == artifacts.root() / "sweeps" / "s.csv"
    assert sweep_export.exported() == ["s"]
    frame, record = sweep_export.read_export("s")
    assert frame["val_accuracy"].tolist() == [0.0, 0.01, 0.02, 0.03]
    pd.testing.assert_series_equal(frame["learning_rate"], sweep_trials.trials_frame("s")["learning_rate"])
    assert record["best_trial"] == 3
    assert record["states"] == {"complete": 4}
    assert record["space"]["learning_rate"]["log"] is True
    assert {"machine", "versions", "git_commit", "date", "fingerprint"} <= set(record)
    assert sweep_export.export("s")[0] == table, "once more, as it is the same sweep"
    conditions = table.with_suffix(".json")
    conditions.write_text(conditions.read_text().replace('"compact"', '"wide"'), encoding="utf-8")
    with pytest.raises(RunError, match="hold another sweep called s"):
        sweep_export.export("s")
    table.write_text("trial,state\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"s\.csv lacks discrepancy"):
        sweep_export.read_export("s")


def test_no_equalisation_is_a_choice_and_not_a_gap(folder):
    """An empty cell of the table."""
    from fer_core.charts.training import sweep_lines

    choices = Parameter(choices=("hist", ""))
    sweeps.open_sweep(sweep(space={"equalize": choices}, sampler="grid", trials=2))
    worker("s", 0).communicate(timeout=100)
    sweep_export.export("s")
    frame, record = sweep_export.read_export("s")
    axis = sweep_lines(frame, record["space"]).data[0].dimensions[0]
    assert list(axis["values"]) == [0, 1] and axis.ticktext == ("hist", "none")
    assert sweep_export.best_settings(frame, record) == (1, "compact", {})


def test_a_trial_says_what_it_does_before_its_first_epoch(folder, monkeypatch):
    """Finding faces takes an hour on FER2013."""
    from fer_core.commands import sweep as command
    from fer_core.training import preparation
    from fer_core.training.checkpoint import WorkDirectory
    from fer_core.training.task import reporter

    def prepare(dataset, config, on_progress):
        reporter("faces of train pictures", config.epochs, on_progress)(30, 120)
        raise ConfigError("enough")

    shown = []
    monkeypatch.setattr(preparation, "prepare", prepare)
    monkeypatch.setattr(command.Progress, "update", lambda bar, task, **fields: shown.append(fields))
    with command._bars("s") as (on_start, on_progress, _), pytest.raises(ConfigError, match="enough"):
        on_start(3, {"learning_rate": 0.1})
        sweep_trials._fit(sweep(), {}, datasets.load("drawn"), WorkDirectory(folder / "work"), on_progress)
    assert shown == [{"description": "s, trial 3: faces of train pictures", "completed": 30, "total": 120}]


def test_a_trial_below_the_median_of_the_others_is_pruned(folder, monkeypatch):
    """Four trials reach 0.5 in their first epoch, the fifth 0.1."""
    from fer_core.training.task import Progress

    reached = {}

    def fit(of, params, dataset, directory, watch):
        directory.path.mkdir()
        directory._lock = open(directory.path / "lock", "w")  # noqa: SIM115 -- closed by clear
        value = 0.5 if len(reached) < 4 else 0.1
        reached[len(reached)] = value
        watch(Progress(1, 2, 7, 7, {"epoch": 1, "val_accuracy": value, "seconds": 2.0}))
        return dict.fromkeys(sweeps.RESULTS, value)

    monkeypatch.setattr(sweep_trials, "_fit", fit)
    sweeps.open_sweep(sweep(trials=5, sampler="random", prune=True))
    ended = []
    assert sweep_trials.work("s", None, on_end=ended.append) == ended
    assert [trial.state for trial in ended] == ["complete"] * 4 + ["pruned"]
    frame = sweep_trials.trials_frame("s")
    assert frame[["epochs", "seconds"]].iloc[-1].tolist() == [1, 2.0] and pd.isna(frame["val_accuracy"].tolist()[-1])
    assert not [path for path in (sweeps.sweeps_dir() / "s" / "trials").iterdir() if path.is_dir()]


@pytest.mark.slow
@pytest.mark.parametrize("every_s", [0.0, 3600.0])
def test_a_real_trial_is_pruned_however_often_its_state_is_written(folder, monkeypatch, every_s):
    """An accelerator writes it every 20 s at most: ``history.csv`` is not there, or not of the last epochs."""
    from fer_core.training import engine

    monkeypatch.setattr(engine.HostPasses, "save_every_s", every_s)
    settings = {"epochs": 3, "input_size": 24, "batch_size": 28, "patience": 0}
    space = sweeps.parse_space(["learning_rate=0.003,0.004,0.005,0.006,1e-9"])
    given = {"model": "ugwu_lr_0.001", "settings": settings, "space": space, "sampler": "grid", "prune": True}
    sweeps.open_sweep(sweep(trials=5, **given))
    last = sweep_trials.work("s", datasets.load("drawn"))[-1]
    assert last.state == "pruned" and last.result["epochs"] < 3 and last.result["seconds"] > 0


def test_seconds_of_a_trial_that_was_gone_on_with_are_counted_once(folder, monkeypatch):
    """Three epochs were over, two were written; all of the third is trained again."""
    from fer_core.training.task import Progress

    def fit(of, params, dataset, directory, watch):
        for epoch in (3, 4):
            watch(Progress(epoch, 9, 1, 1, {"epoch": epoch, "val_accuracy": 0.5, "seconds": 10.0}))
        raise sweep_trials._Pruned

    monkeypatch.setattr(sweep_trials, "_fit", fit)
    sweeps.open_sweep(sweep(trials=1))
    study = sweep_trials._study(sweeps.read("s"))
    trial, lock = sweep_trials._claim(study, sweeps.read("s"))
    work = sweeps.sweeps_dir() / "s" / "trials" / str(trial.number)
    work.mkdir(parents=True)
    pd.DataFrame({"epoch": [1, 2], "seconds": [1.0, 2.0]}).to_csv(work / "history.csv", index=False)
    for epoch in (1, 2, 3):
        trial.report(0.5, epoch)
    lock.close()
    (ended,) = sweep_trials.work("s", None)
    assert ended.result == {"epochs": 4, "seconds": 23.0}


def test_sweep_with_a_model_is_sweep_run(folder):
    from fer_core.__main__ import app

    said = [
        CliRunner().invoke(app, ["sweep", *words, "majority", "drawn", "--space", "batch_size=1,2"]).exception
        for words in ([], ["run"])
    ]
    assert all(isinstance(error, ConfigError) and "no network" in str(error) for error in said)
    assert "No sweep yet" in CliRunner().invoke(app, ["sweep", "list"]).output


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_a_grid_and_one_is_killed(folder):
    """Real trainings. Measured on val without averaged views, which is what history.csv says of the best epoch too."""
    command = [sys.executable, "-m", "fer_core", "sweep", "ugwu_depth_3", "drawn", "--sampler", "grid", "--epochs", "6"]
    command += ["--space", "learning_rate=0.001,0.01", "--space", "batch_size=28,56", "--name", "grid"]
    command += ["--set", "input_size=24"]
    processes = [
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    trials = sweeps.sweeps_dir() / "grid" / "trials"
    deadline = time.monotonic() + 240
    while not list(trials.glob("*/state.npz")):
        assert all(process.poll() is None for process in processes) and time.monotonic() < deadline
        time.sleep(0.05)
    processes[0].send_signal(signal.SIGKILL)
    said = processes[1].communicate(timeout=600)[0]
    processes[0].communicate()
    assert processes[1].returncode == 0, said
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)  # takes over what is left, if anything
    frame = sweep_trials.trials_frame("grid")
    assert frame["state"].tolist() == ["complete"] * 4
    pairs = collections.Counter(zip(frame["learning_rate"], frame["batch_size"], strict=True))
    assert pairs == {(rate, size): 1 for rate in (0.001, 0.01) for size in (28, 56)}
    assert (frame["epochs"] == 6).all()
    assert (frame["discrepancy"] - (frame["train_accuracy"] - frame["val_accuracy"])).abs().max() < 1e-9
    n = {split: len(datasets.load("drawn")[split]) for split in ("train", "val")}
    for split, count in n.items():
        hits = frame[f"{split}_accuracy"] * count
        assert (hits - hits.round()).abs().max() < 1e-6, "a share of that split"
    journal = (sweeps.sweeps_dir() / "grid" / "journal.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in journal.splitlines()]
    last = {line["trial_id"]: line for line in lines if "intermediate_value" in line}
    for line in last.values():
        assert line["intermediate_value"] <= frame["val_accuracy"].astype(float)[line["trial_id"]] + 1e-9
    assert not artifacts.list_runs()[0], "a sweep stores no run"
    assert not [path for path in trials.iterdir() if path.is_dir() and path.name != "features"]
    assert os.listdir(trials)
