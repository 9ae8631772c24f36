"""What is kept of a sweep outlives a full disk and a kill, and looking at it writes nothing."""

import errno
import os
import resource
from contextlib import contextmanager

import pandas as pd
import pytest
from optuna.trial import TrialState

from fer_core.errors import RunError, WriteError
from fer_core.training import sweep_trials, sweeps
from fer_core.training.checkpoint import WorkDirectory
from fer_core.training.sweeps import Parameter
from tests.test_sweeps import sweep

TWO = {"batch_size": Parameter(choices=(1, 2))}


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """The file of a sweep of two trials, of which the first is complete."""
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    sweeps.open_sweep(sweep(space=TWO, sampler="grid", trials=2))
    complete_next()
    return sweeps.sweeps_dir() / "s" / "journal.log"


def complete_next():
    opened = sweeps.read("s")
    study = sweep_trials._study(opened)
    trial, lock = sweep_trials._claim(study, opened)
    study.tell(trial, 0.5, state=TrialState.COMPLETE)
    lock.close()


@contextmanager
def disk_is_full_at(size):
    """No file gets longer than ``size`` bytes; what fits of a line is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def states():
    return sweep_trials.trials_frame("s")["state"].tolist()


def test_a_full_disk_costs_a_sweep_no_trial(journal):
    before = journal.read_bytes()
    with (
        disk_is_full_at(len(before) + 10),
        pytest.raises(WriteError, match=r"journal\.log cannot be written.*Free disk"),
    ):
        complete_next()
    assert journal.read_bytes() == before, "no half of a line"
    assert states() == ["complete", "waiting"]
    complete_next()
    assert states() == ["complete", "complete"]


def test_half_a_line_that_a_killed_process_left_is_cut_off(journal):
    with open(journal, "ab") as file:
        file.write(b'{"op_code":8,"wor')
    assert states() == ["complete", "waiting"]
    complete_next()
    assert states() == ["complete", "complete"]
    assert b"wor{" not in journal.read_bytes()


def test_a_damaged_study_is_told_with_its_remedy(journal):
    journal.write_bytes(b'{"op_code":8,"wor' + journal.read_bytes())
    for look in (sweep_trials.trials_frame, lambda name: sweep_trials.work(name, None)):
        with pytest.raises(RunError, match=r"journal\.log cannot be read.*Delete the folder s in data/sweeps"):
            look("s")


def test_looking_at_a_sweep_writes_nothing(journal):
    before = journal.read_bytes(), journal.stat().st_mtime_ns
    assert states() == ["complete", "waiting"]
    sweep_trials._study(sweeps.read("s"))  # nor does opening it once more
    assert (journal.read_bytes(), journal.stat().st_mtime_ns) == before
    sweeps.open_sweep(sweep(name="new"))
    frame = sweep_trials.trials_frame("new")
    assert frame.empty and list(frame)[:3] == ["trial", "state", "learning_rate"]
    assert not (sweeps.sweeps_dir() / "new" / "journal.log").exists()


def test_a_trial_that_cannot_write_its_state_keeps_its_epochs_and_stops_the_sweep(journal, monkeypatch):
    """Its epochs before that are not trained again, and the other trials do not end in the same way."""
    began_with = []

    def fit(of, params, dataset, directory, watch):
        began_with.append(sweep_trials._seconds_before(directory.path))
        directory.claim({})
        if len(began_with) == 1:
            rows = pd.DataFrame({"epoch": [1, 2], "seconds": [1.0, 2.0]})
            directory._replace(directory.path / "history.csv", lambda file: rows.to_csv(file, index=False))
            directory._replace(directory.path / "state.npz", refuse)
        return dict.fromkeys(sweeps.RESULTS, 0.25)

    def refuse(file):
        directories.append(file.parent)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    directories = []
    monkeypatch.setattr(sweep_trials, "_fit", fit)
    monkeypatch.setattr(WorkDirectory, "claim", lambda directory, settings: directory.path.mkdir(exist_ok=True))
    with pytest.raises(WriteError, match=r"state\.npz cannot be written.*No space left.*Free disk space"):
        sweep_trials.work("s", None)
    assert states() == ["complete", "running"] and directories[0].is_dir()
    assert [trial.state for trial in sweep_trials.work("s", None)] == ["complete"]
    assert began_with == [{}, {1: 1.0, 2: 2.0}]


def test_a_full_disk_is_no_reason_to_give_a_trial_up(journal, monkeypatch):
    def refuse(*_):
        raise WriteError("Full.")

    monkeypatch.setattr(sweep_trials, "_fit", refuse)
    for _ in range(sweep_trials.MOST_DEATHS + 2):
        with pytest.raises(WriteError):
            sweep_trials.work("s", None)
    assert states() == ["complete", "running"]


def test_a_damaged_state_ends_its_trial(journal, monkeypatch):
    """It would not get better; the trial is tried again from its beginning."""

    def damaged(*_):
        raise RunError("state.npz is damaged.")

    monkeypatch.setattr(sweep_trials, "_fit", damaged)
    assert [trial.state for trial in sweep_trials.work("s", None)] == ["fail"]
