"""Jobs: a training of its own process survives its parent, is stopped and resumed, and nobody else's is ever killed."""

import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fer_core import artifacts, datasets, job_log, jobs, machine
from fer_core.datasets.split import Dataset, Split
from fer_core.errors import ConfigError, DatasetError, ModelError, RunError
from fer_core.models.specs import spec
from fer_core.training import unfinished
from fer_core.training.config import config_of_entry

PROJECT = Path(__file__).resolve().parent.parent
WAIT_S = 240


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty machine; jobs that still run at the end are stopped."""
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.delenv("FER_MAX_TRAININGS", raising=False)
    yield tmp_path
    for job in jobs.live_jobs():
        jobs.stop(job, grace_s=1)


@pytest.fixture
def busy(folder):
    """A training that this very process seems to do; call it to end that. Queued jobs wait meanwhile."""
    work = folder / "data" / "work" / "drawn-wide-s0"
    work.mkdir(parents=True)
    file = open(work / "lock", "w")  # noqa: SIM115 -- held until the test ends
    fcntl.flock(file, fcntl.LOCK_EX)
    yield file.close
    file.close()


def wait_until(job, *states):
    deadline = time.monotonic() + WAIT_S
    while jobs.read(job.id).state not in states:
        assert time.monotonic() < deadline, f"{jobs.read(job.id).state}:\n{job_log.tail(job.path)}"
        time.sleep(0.1)
    return jobs.read(job.id)


def command_of(job):
    """Arguments of the process of ``job``, once it is Python."""
    deadline = time.monotonic() + WAIT_S
    while "fer_core" not in (words := Path(f"/proc/{job.pid}/cmdline").read_bytes().decode().split("\0")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return words


def test_settings_become_the_command_that_trains_so():
    settings = {"epochs": 3, "learning_rate": 0.01, "mixup": 0.2, "schedule": "linear", "class_weight": True}
    arguments = jobs.train_arguments("compact", "drawn", settings)
    assert jobs.command_text(arguments) == (
        "python -m fer_core train compact drawn --epochs 3 --learning-rate 0.01 "
        "--set mixup=0.2 --set schedule=linear --set class_weight=true"
    )
    from fer_core.commands.train import parse_settings

    given = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--set"]
    assert parse_settings(given) == {name: settings[name] for name in ("mixup", "schedule", "class_weight")}


def test_only_what_differs_from_the_recipe_is_a_setting():
    recipe = spec("compact")["recipe"]
    values = {"epochs": recipe["epochs"], "batch_size": 64, "seed": 0, "mixup": 0.0}
    assert recipe["batch_size"] != 64
    assert jobs.settings_changed("compact", values) == {"batch_size": 64}
    with pytest.raises(ConfigError, match="batch_size"):
        jobs.settings_changed("compact", {"batch_size": 0})
    with pytest.raises(ModelError, match="Unknown model"):
        jobs.settings_changed("no-such-model", {})


@pytest.mark.slow
def test_a_job_trains_and_names_its_run(folder):
    job = jobs.start("majority", "drawn")
    assert job.state in jobs.LIVE
    job = wait_until(job, "finished")
    run = artifacts.find_run(job.run)
    assert (run.model, run.dataset) == ("majority", "drawn")
    assert "Stored in" in job_log.tail(job.path)
    assert jobs.history(job) is None
    frame = jobs.jobs_frame(jobs.list_jobs()[0])
    assert frame[["job", "state", "run"]].to_dict("records") == [{"job": job.id, "state": "finished", "run": run.name}]
    with pytest.raises(ConfigError, match="is finished"):
        jobs.resume(job)


@pytest.mark.slow
def test_a_second_training_is_refused_or_waits_for_its_turn(busy):
    with pytest.raises(ConfigError, match=r"no room.*drawn-wide-s0 is running.*FER_MAX_TRAININGS"):
        jobs.start("majority", "drawn")
    assert not jobs.list_jobs()[0], "a refused job leaves nothing behind"
    first = jobs.start("majority", "drawn", queue=True)
    second = jobs.start("majority", "drawn", {"seed": 1}, queue=True)
    with pytest.raises(ConfigError, match="being trained on drawn already"):
        jobs.start("majority", "drawn", queue=True)
    time.sleep(6)
    assert [job.state for job in jobs.list_jobs()[0]] == ["waiting", "waiting"]
    busy()
    ended = [wait_until(job, "finished") for job in (first, second)]
    stored = [(job.path / "result.json").stat().st_mtime for job in ended]
    assert stored[0] < stored[1]


def test_a_sweep_from_a_terminal_counts_as_a_training(folder):
    """It uses all cores too."""
    trials = folder / "data" / "sweeps" / "rates" / "trials"
    trials.mkdir(parents=True)
    (trials / "1.lock").touch()  # of a trial that has ended
    with open(trials / "2.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert jobs.trainings_elsewhere() == ["rates, trial 2"]
        with pytest.raises(ConfigError, match=r"no room.*rates, trial 2 is running"):
            jobs.start("majority", "drawn")
    assert jobs.trainings_elsewhere() == []


def test_more_than_one_at_once_where_that_is_allowed(busy, monkeypatch):
    monkeypatch.setenv("FER_MAX_TRAININGS", "2")
    jobs.start("majority", "drawn")
    with pytest.raises(ConfigError, match="no room"):
        jobs.start("majority", "drawn", {"seed": 1})
    monkeypatch.setenv("FER_MAX_TRAININGS", "many")
    with pytest.raises(ConfigError, match=r"FER_MAX_TRAININGS must be.*'many'"):
        jobs.start("majority", "drawn", {"seed": 1})


def test_a_training_that_surely_does_not_fit_is_refused(folder, monkeypatch):
    """On 16 GB Ugwu's batch of 2048 pictures at 128 x 128 is not."""

    def split(n, side=100):
        pictures = np.zeros((n, side, side, 3), np.uint8)
        return Split(np.array([str(at) for at in range(n)]), pictures, np.zeros(n, np.int64), ("a",))

    faces = Dataset("faces", {"train": split(2100, 4), "val": split(5, 4), "test": split(5, 4)}, "")
    monkeypatch.setattr(datasets, "load", lambda name: faces)
    needed = jobs.memory_needed("ugwu_batch_2048", "faces", {"precision": "float32"})
    first, second = 16 * (126**2 + 63**2), 32 * (61**2 + 30**2)  # convolved and pooled
    third, fourth = 64 * (30**2 + 15**2), 128 * (15**2 + 7**2)
    pixels = 2 * 3 * 128**2  # and scaled
    assert needed == 800 * 2**20 + 2110 * 48 + 4 * 2048 * (pixels + first + second + third + fourth)
    monkeypatch.setattr(machine, "memory_available", lambda: 16 * 2**30)
    jobs._refuse_without_room("ugwu_batch_2048", "faces", {}, queue=False)
    monkeypatch.setattr(machine, "memory_available", lambda: 3 * 2**29)
    with pytest.raises(ConfigError, match=r"takes 5\.9 GB of memory or more, and 1\.5 GB are free.*batch size"):
        jobs.start("ugwu_batch_2048", "faces", {"precision": "float32"})
    monkeypatch.setattr(machine, "memory_available", lambda: None)  # a machine that does not tell
    jobs._refuse_without_room("ugwu_batch_2048", "faces", {}, queue=False)


def test_memory_of_this_machine_is_told():
    assert 0 < machine.memory_available() <= machine.memory_total()


@pytest.mark.parametrize(
    ("limit", "stat", "available"),
    [
        (
            "8589934592",
            "anon 1073741824\nfile 6442450944\ninactive_file 5368709120\nactive_file 1073741824\n",
            6 * 2**30,
        ),
        ("8589934592", "inactive_anon 5368709120\n", 2**30),
        ("8589934592", "inactive_file 9663676416\n", 8 * 2**30),  # the files are not read at one instant
        ("8589934592", None, 2**30),
        ("5368709120", "inactive_file 0\n", 0),
        ("max", "inactive_file 5368709120\n", 64 * 2**30),
    ],
)
def test_pages_that_only_cache_files_are_memory_to_be_had(tmp_path, monkeypatch, limit, stat, available):
    """A container that has read its pictures once would look full for ever."""
    (tmp_path / "meminfo").write_text(f"MemTotal: {128 * 2**20} kB\nMemAvailable: {64 * 2**20} kB\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{7 * 2**30}\n")
    if stat is not None:
        (tmp_path / "memory.stat").write_text(stat)
    monkeypatch.setattr(machine, "_PROC", tmp_path)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert machine.memory_available() == available


@pytest.mark.slow
def test_a_failed_job_says_what_its_log_ends_with(busy, folder):
    from PIL import Image

    for name in ("train", "val", "test"):
        for label in ("happy", "sad"):
            path = folder / "pictures" / name / label / f"{name}.png"
            path.parent.mkdir(parents=True)
            noise = np.random.default_rng(len(name + label)).integers(0, 256, (48, 48), dtype=np.uint8)
            Image.fromarray(noise).save(path)
    datasets.add(folder / "pictures", name="few")
    job = jobs.start("majority", "few", queue=True)
    datasets.remove("few")
    busy()
    job = wait_until(job, "failed")
    assert job_log.failure(job.path).startswith("There is no registered dataset 'few'. Register one")


def test_unknown_datasets_are_refused_before_anything_starts(folder):
    with pytest.raises(DatasetError, match="no registered dataset"):
        jobs.start("majority", "nowhere")
    assert not jobs.jobs_dir().exists()


def test_failures_are_read_from_the_end_of_the_log(tmp_path):
    job = jobs.Job(tmp_path, "compact", "drawn", {}, (), "")
    assert "killed" in job_log.failure(job.path)
    (tmp_path / "log.txt").write_text(
        "epoch 1\nTraceback (most recent call last):\n  File x\nValueError: no\n", encoding="utf-8"
    )
    assert job_log.failure(job.path) == "ValueError: no"
    (tmp_path / "log.txt").write_text(
        "Error: old.\nanew\n\x1b[31mError: The loss became nan.\x1b[0m\nLower it.\n", encoding="utf-8"
    )
    assert job_log.failure(job.path) == "The loss became nan. Lower it."
    (tmp_path / "log.txt").write_bytes(b"10 %\r50 %\r\xff 100 %\nlast\n")
    assert job_log.tail(job.path, 5) == "\ufffd 100 %\nlast"
    (tmp_path / "log.txt").write_text(
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "E0000 00:00:1764231021.406183   12034 cuda_platform.cc:51] failed call to cuInit: CUDA error 303\n"
        "2026-11-27 08:00:01.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] rebuild TensorFlow\n"
        "Epoch 1\nF0000 00:00:1764231021.4 12034 x.cc:1] Check failed\n",
        encoding="utf-8",
    )
    assert job_log.tail(job.path) == "Epoch 1\nF0000 00:00:1764231021.4 12034 x.cc:1] Check failed"


def test_a_job_survives_its_parent(busy, folder):
    code = "import signal; from fer_core import jobs\n"
    code += "print(jobs.start('majority', 'drawn', queue=True).id, flush=True); signal.pause()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    job = jobs.read(parent.stdout.readline().strip())
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert jobs.is_alive(job)
    assert os.getsid(job.pid) == job.pid, "a session of its own"
    time.sleep(1)
    assert jobs.read(job.id).state == "waiting"


def test_stop_ends_the_process_and_resume_starts_it_again(busy):
    job = jobs.start("majority", "drawn", queue=True, fresh=True)
    pid = job.pid
    with pytest.raises(ConfigError, match="already"):
        jobs.resume(job)
    job = jobs.stop(job)
    assert job.state == jobs.read(job.id).state == "stopped"
    assert machine.process_identity(pid) is None
    job = jobs.resume(job, queue=True)
    assert job.pid != pid and job.state == jobs.read(job.id).state == "waiting"
    assert "--fresh" in command_of(job), "it has not begun, so what it was to discard is still there"
    jobs.stop(job)
    (job.path / "progress.json").write_text('{"logs": {}}')  # it had its turn, no more
    job = jobs.resume(job, queue=True)
    assert "--fresh" in command_of(job)
    jobs.stop(job)
    (job.path / "progress.json").write_text('{"steps_done": 0, "steps_total": 9}')  # it began
    assert "--fresh" not in command_of(jobs.resume(job, queue=True))


@pytest.fixture
def queued(folder):
    """Make a queued job out of a process that does nothing, as it is between its start and its first progress."""
    processes = []

    def queued(name):
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        processes.append(process)
        path = jobs.jobs_dir() / name
        path.mkdir(parents=True, exist_ok=True)
        identity = machine.process_identity(process.pid)
        job = jobs.Job(path, "majority", "drawn", {}, (), "", time.time(), process.pid, identity, queued=True)
        return jobs._write(job)

    yield queued
    for process in processes:
        process.kill()
        process.wait()


def test_a_job_that_had_its_turn_takes_the_room_before_it_tells_its_progress(queued, monkeypatch):
    """Loading libraries and pictures takes a minute, in which an older job may be resumed."""

    def no_turn(seconds):
        raise TimeoutError

    monkeypatch.setattr(jobs.time, "sleep", no_turn)
    younger = queued("2-younger")
    assert younger.state == "waiting"
    jobs.wait_for_turn(younger.path)
    assert younger.state == "starting"
    older = queued("1-older")
    with pytest.raises(TimeoutError):
        jobs.wait_for_turn(older.path)
    assert older.state == "waiting"
    os.kill(younger.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while jobs.is_alive(younger) and time.monotonic() < deadline:
        pass
    jobs.wait_for_turn(older.path)
    assert older.state == "starting"
    again = queued("2-younger")
    assert again.state == "waiting", "its last process had a turn, this one has not"
    with pytest.raises(TimeoutError):
        jobs.wait_for_turn(again.path)


def test_the_time_of_a_job_begins_with_its_turn(queued):
    job = jobs._write(dataclasses.replace(queued("1-waited"), started=time.time() - 3600))
    assert job.elapsed_s >= 3600
    jobs.wait_for_turn(job.path)
    assert job.elapsed_s < 60
    again = jobs._write(dataclasses.replace(queued("1-waited"), started=time.time() - 3600))
    assert again.elapsed_s >= 3600, "that turn was another process's"


def test_a_process_that_ignores_the_request_is_killed(folder):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
    stubborn = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    stubborn.stdout.readline()
    path = jobs.jobs_dir() / "stubborn"
    path.mkdir(parents=True)
    job = jobs.Job(path, "majority", "drawn", {}, (), "", time.time(), stubborn.pid)
    job = dataclasses.replace(job, process=machine.process_identity(stubborn.pid))
    assert jobs.stop(job, grace_s=0.3).state == "stopped"
    assert stubborn.wait(10) == -signal.SIGKILL
    stubborn.stdout.close()


def test_a_process_with_a_recycled_number_is_left_alone(folder):
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        path = jobs.jobs_dir() / "old"
        path.mkdir(parents=True)
        job = jobs.Job(path, "majority", "drawn", {}, (), "", time.time(), bystander.pid, "boot-12345")
        assert job.state == "failed"
        jobs.stop(job, grace_s=0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_zombie_does_not_live():
    ended = subprocess.Popen(["true"])
    deadline = time.monotonic() + 10
    while machine.process_identity(ended.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert machine.process_identity(ended.pid) is None
    assert Path(f"/proc/{ended.pid}").exists() or not Path("/proc/self").exists(), "nobody has waited for it yet"
    ended.wait()


def leave_unfinished(seed=0, **settings):
    """An epoch of ``compact`` on the drawn faces, as a training with ``settings`` leaves it."""
    config = config_of_entry(spec("compact"), settings | {"seed": seed})
    claimed = unfinished.what_is_trained("compact", "drawn", datasets.load("drawn").fingerprint, config)
    work = unfinished.folder("compact", "drawn", seed)
    work.mkdir(parents=True, exist_ok=True)
    (work / "settings.json").write_text(json.dumps(claimed), encoding="utf-8")
    (work / "history.csv").write_text("epoch,val_accuracy\n1,0.2\n", encoding="utf-8")


def write_job(name, started, trained=True, **fields):
    """A job whose process has ended."""
    path = jobs.jobs_dir() / name
    path.mkdir(parents=True)
    record = {"model": "compact", "dataset": "drawn", "settings": {}, "command": [], "created": "", "started": started}
    (path / "job.json").write_text(json.dumps(record | fields), encoding="utf-8")
    (path / "progress.json").write_text('{"steps_done": 3, "steps_total": 9}' if trained else '{"logs": {}}')
    return jobs.read(name)


def test_an_unfinished_training_goes_on_with_its_own_settings_only(folder):
    assert unfinished.other_settings("compact", "drawn") == "" and unfinished.epochs_done("compact", "drawn", 0) == 0
    leave_unfinished(learning_rate=0.5)
    assert unfinished.epochs_done("compact", "drawn", 0) == 1
    assert unfinished.other_settings("compact", "drawn", {"learning_rate": 0.5}) == ""
    assert unfinished.other_settings("compact", "drawn", {"seed": 1}) == "", "another folder"
    assert unfinished.other_settings("compact", "drawn") == "learning rate 0.5 instead of 0.1"
    refused = (
        r"unfinished training with other settings of compact on drawn: learning rate 0\.5 instead of 0\.1.*--fresh"
    )
    with pytest.raises(ConfigError, match=refused):
        jobs.start("compact", "drawn")
    assert not jobs.list_jobs()[0], "a refused job leaves nothing behind"
    with pytest.raises(ConfigError, match=refused):
        jobs.resume(write_job("a", 1.0))
    file = unfinished.folder("compact", "drawn", 0) / "settings.json"
    assert "shift" not in file.read_text(encoding="utf-8"), "those older than this setting can be gone on with"
    moved = {"learning_rate": 0.5, "augmentation": spec("compact")["recipe"]["augmentation"] | {"shift": 0.1}}
    assert unfinished.other_settings("compact", "drawn", moved) == "shift none instead of 0.1"
    assert "min_delta" not in file.read_text(encoding="utf-8")
    strict = {"learning_rate": 0.5, "min_delta": 0.1}
    assert unfinished.other_settings("compact", "drawn", strict) == "min delta none instead of 0.1"
    stored = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(stored | {"fingerprint": "others"}), encoding="utf-8")
    assert unfinished.other_settings("compact", "drawn", {"learning_rate": 0.5}) == "other pictures"
    assert unfinished.other_settings("compact", "drawn", {"learning_rate": 0.5}, pictures=False) == ""
    for damaged in ("{", "{}"):
        file.write_text(damaged, encoding="utf-8")
        assert unfinished.other_settings("compact", "drawn") == "settings that cannot be read"


def test_resumed_it_discards_only_what_it_was_to_discard(busy):
    """Somebody may have gone on with that from a terminal since."""
    leave_unfinished()
    job = jobs.stop(jobs.start("compact", "drawn", queue=True, fresh=True))
    job = jobs.stop(jobs.resume(job, queue=True))
    assert job.fresh, "it is as it was"
    file = unfinished.folder("compact", "drawn", 0) / "history.csv"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))  # as after one more epoch
    job = jobs.resume(job, queue=True)
    assert not job.fresh and "--fresh" not in command_of(job)


def test_a_job_shows_no_other_jobs_curve(folder):
    leave_unfinished()
    first = write_job("a", 1.0)
    assert len(jobs.history(first)) == 1
    waiting = write_job("b", 2.0, trained=False, fresh=True)
    assert len(jobs.history(first)) == 1 and jobs.history(waiting) is None, "it has not discarded it yet"
    second = write_job("c", 3.0, fresh=True)
    assert jobs.history(first) is None and len(jobs.history(second)) == 1
    write_job("d", 4.0, settings={"seed": 1})
    assert len(jobs.history(second)) == 1, "that one has a folder of its own"
    leave_unfinished(learning_rate=0.5)  # from a terminal
    assert jobs.history(second) is None


def test_damaged_jobs_are_named_and_the_others_listed(busy):
    job = jobs.start("majority", "drawn", queue=True)
    gone = (job.path / "job.json").read_text(encoding="utf-8").replace('"majority"', '"no-more"')
    for name, text in {"a-broken": "{", "b-empty": "{}", "c-listless": "[]", "e-gone": gone}.items():
        (jobs.jobs_dir() / name).mkdir()
        (jobs.jobs_dir() / name / "job.json").write_text(text, encoding="utf-8")
    (jobs.jobs_dir() / "d-nothing").mkdir()
    (job.path / "progress.json").write_text("{", encoding="utf-8")
    found, problems = jobs.list_jobs()
    assert [other.id for other in found] == [job.id]
    assert len(problems) == 5
    assert any("Unknown model 'no-more'" in problem for problem in problems)
    assert all("Delete the folder" in problem for problem in problems)
    assert "a-broken" in "".join(problems)
    assert jobs.progress(job) == {}
    for name in ("no-such-job", "..", ""):
        with pytest.raises(RunError, match="no training job"):
            jobs.read(name)


@pytest.mark.slow
def test_a_network_is_stopped_and_goes_on_where_it_was(folder):
    settings = {"epochs": 12, "batch_size": 28, "input_size": 24}
    job = jobs.start("ugwu_depth_3", "drawn", settings)
    deadline = time.monotonic() + 200
    while (jobs.history(job) is None or len(jobs.history(job)) < 2) and time.monotonic() < deadline:
        assert jobs.read(job.id).state in jobs.LIVE, job_log.tail(job.path)
        time.sleep(0.05)
    shown = jobs.progress(jobs.read(job.id))
    assert jobs.read(job.id).state == "running"
    assert 0 < shown["share"] < 1 and shown["epochs"] == 12
    job = jobs.stop(job)
    assert job.state == "stopped"
    before = jobs.history(job)
    assert 2 <= len(before) < 12
    job = wait_until(jobs.resume(job), "finished")
    after = jobs.history(job)
    assert after["epoch"].tolist() == list(range(1, 13))
    certain = len(before) - 1  # stopped between its row and its weights, the last epoch is done again
    np.testing.assert_allclose(after["seconds"][:certain], before["seconds"][:certain], atol=1e-5)
    assert jobs.progress(job)["share"] == 1.0
