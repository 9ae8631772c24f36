"""Trainings as processes of their own: start, watch, stop and resume them, from the app or a command.

``data/jobs/<id>/`` holds ``job.json`` (:class:`Job`), ``log.txt`` (what the process prints), ``progress.json``
(written by the ``train`` command, see ``fer_core.reporting``), of a queued job ``turn.json`` (the process that had its
turn) and, once the run is stored, ``result.json``. A job has a session of its own: it goes on when the app that started
it ends. Its state is found out anew each time, from the files and from whether the process still lives.
"""

import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from fer_core import artifacts, datasets, machine
from fer_core.errors import ConfigError, FerError, RunError
from fer_core.models.specs import spec
from fer_core.storage import read_json, to_json, write_text
from fer_core.training import memory, unfinished
from fer_core.training.config import config_of_entry, needed_changes

STATES: tuple[str, ...] = ("waiting", "starting", "running", "stopped", "failed", "finished")
LIVE: tuple[str, ...] = STATES[:3]
FOLDER_VARIABLE = "FER_JOB_DIR"
LAUNCH_S = 5.0  # between writing job.json and knowing the process
OPTIONS = ("epochs", "batch_size", "learning_rate", "seed")  # settings that `train` has an option for
_PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Job:
    """A training and where it lives.

    Attributes:
        path: its folder; the folder's name is its ``id``.
        model, dataset: what is trained, on what.
        settings: what differs from the model's recipe.
        command: arguments of ``python -m fer_core``; the same again goes on with an interrupted training.
        created: local time, ISO.
        started: seconds since the epoch when the process was last started.
        pid, process: the process, and what tells it from a later one with the same number.
        queued: the process waits for its turn before it trains.
        stopped: somebody asked it to stop.
        fresh: it was to discard an unfinished training of the model before it begins.
        discards: what tells that training, see ``unfinished.stamp``.
        unless_stored: it ends without training where, once its turn comes, another has stored just such a run.
    """

    path: Path
    model: str
    dataset: str
    settings: dict
    command: tuple[str, ...]
    created: str
    started: float = 0.0
    pid: int | None = None
    process: str | None = None
    queued: bool = False
    stopped: bool = False
    fresh: bool = False
    discards: str = ""
    unless_stored: bool = False

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def state(self) -> str:
        """One of :data:`STATES`."""
        alive = is_alive(self)
        if (self.path / "result.json").is_file():
            return "finished"
        if not alive and self.pid is None and time.time() - self.started < LAUNCH_S:
            return "starting"
        if not alive:
            return "stopped" if self.stopped else "failed"
        if (self.path / "progress.json").is_file():
            return "running"
        return "waiting" if self.queued and not _has_turn(self) else "starting"

    @property
    def seed(self) -> int:
        return int(self.settings.get("seed", spec(self.model)["recipe"].get("seed", 0)))

    @property
    def run(self) -> str | None:
        """Name of the run it has stored, once it is finished."""
        return _read_or_none(self.path / "result.json").get("run")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the process was last started, or had its turn where it waited for that, until it ended."""
        files = [self.path / name for name in ("result.json", "progress.json", "log.txt")]
        end = time.time() if is_alive(self) else max((f.stat().st_mtime for f in files if f.exists()), default=0.0)
        begun = (self.path / "turn.json").stat().st_mtime if _has_turn(self) else self.started
        return max(0.0, end - begun)


def jobs_dir() -> Path:
    """Folder of all jobs."""
    return datasets.data_dir() / "jobs"


def train_arguments(model: str, dataset: str, settings: Mapping | None = None) -> tuple[str, ...]:
    """``train MODEL DATASET ...`` with ``settings``, as arguments of ``python -m fer_core``."""
    arguments = ["train", model, dataset]
    for name, value in (settings or {}).items():
        if name in OPTIONS:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        else:
            arguments += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return tuple(arguments)


def command_text(arguments: Sequence[str]) -> str:
    """The command as people type it."""
    return f"python -m fer_core {shlex.join(arguments)}"


def settings_changed(model: str, values: Mapping) -> dict:
    """Those of ``values`` that differ from the recipe of ``model``, checked.

    Raises:
        ModelError, ConfigError: unknown model or setting, or a value out of range.
    """
    return needed_changes(spec(model), values)


def start(
    model: str,
    dataset: str,
    settings: Mapping | None = None,
    *,
    fresh: bool = False,
    queue: bool = False,
    unless_stored: bool = False,
) -> Job:
    """Train ``model`` in a process of its own.

    Args:
        settings: what differs from the recipe; names of ``TrainConfig``.
        fresh: discard an unfinished training of this model first.
        queue: where another training runs, wait for its end instead of refusing.
        unless_stored: do nothing where such a run is stored by the time that it begins.

    Raises:
        ModelError, DatasetError, ConfigError: unknown model or dataset, a bad setting, no room for it, or an unfinished
            training with other settings is in the way.
    """
    settings = settings_changed(model, settings or {})
    if dataset != datasets.DRAWN and dataset not in datasets.available():
        datasets.load(dataset)  # says what is wrong
    command = train_arguments(model, dataset, settings)
    created = datetime.now().isoformat(timespec="seconds")
    with _exclusive():
        _refuse_double(model, dataset, settings)
        _refuse_other_settings(model, dataset, settings, fresh)
        _refuse_without_room(model, dataset, settings, queue)
        path = _new_folder(f"{created.replace('-', '').replace(':', '').replace('T', '-')}-{model}")
        options = {"queued": queue, "fresh": fresh, "unless_stored": unless_stored}
        job = Job(path, model, dataset, settings, command, created, **options)
        return _launch(dataclasses.replace(job, discards=_to_discard(job) if fresh else ""))


def stop(job: Job, grace_s: float = 5.0) -> Job:
    """End the process and its children: SIGTERM, and SIGKILL after ``grace_s`` seconds.

    Epochs whose state was written are kept: all that are over, but an accelerator does not write it after each of them.
    """
    if not is_alive(job):
        return job
    job = _write(dataclasses.replace(job, stopped=True))
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_alive(job):
            with suppress(ProcessLookupError):
                os.killpg(job.pid, number)
        deadline = time.monotonic() + grace_s
        while is_alive(job) and time.monotonic() < deadline:
            time.sleep(0.05)
    return job


def resume(job: Job, *, queue: bool = False, unless_stored: bool = False, keep: bool = False) -> Job:
    """Start the process of a stopped or failed job again; it goes on after the last epoch that was kept.

    A training that it was to discard is discarded only if it still is as it was then.

    Args:
        queue, unless_stored: as for :func:`start`.
        keep: discard nothing.

    Raises:
        ConfigError: it is running or finished, there is no room for it, or an unfinished training with other settings
            lies where its own did.
    """
    with _exclusive():
        job = read(job.id)
        if job.state in LIVE:
            raise ConfigError(f"{job.id} is {job.state} already.")
        if job.state == "finished":
            raise ConfigError(f"{job.id} is finished.", "Start a new training.")
        _refuse_double(job.model, job.dataset, job.settings)
        _refuse_without_room(job.model, job.dataset, job.settings, queue)
        fresh = job.fresh and not keep and not _has_trained(job) and job.discards == _to_discard(job)
        _refuse_other_settings(job.model, job.dataset, job.settings, fresh)
        (job.path / "progress.json").unlink(missing_ok=True)
        options = {"queued": queue, "fresh": fresh, "unless_stored": unless_stored}
        return _launch(dataclasses.replace(job, stopped=False, **options))


def read(job_id: str) -> Job:
    """The job called ``job_id``.

    Raises:
        RunError: there is none, its ``job.json`` is damaged, or its model is no more.
    """
    path = jobs_dir() / job_id
    if Path(job_id).name != job_id or job_id in ("", "..") or not path.is_dir():
        raise RunError(f"There is no training job {job_id!r}.", "The Training page lists those there are.")
    try:
        record = read_json(path / "job.json")
        known = {f.name for f in dataclasses.fields(Job)} - {"path"}
        values = {name: value for name, value in record.items() if name in known}
        job = Job(path, **(values | {"command": tuple(values["command"])}))
        spec(job.model)
        if not isinstance(job.settings, dict):
            raise TypeError("settings are no object")
    except (FerError, KeyError, TypeError) as error:
        problem = error.problem if isinstance(error, FerError) else f"{path / 'job.json'} lacks something: {error}."
        raise RunError(problem, f"Delete the folder {path.name} in data/jobs to be rid of it.") from error
    return job


def list_jobs() -> tuple[list[Job], list[str]]:
    """Every readable job, the newest first, and what is wrong with the others. Never raises FerError."""
    folder = jobs_dir()
    found, problems = [], []
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []:
        if path.is_dir() and not path.name.startswith("."):
            try:
                found.append(read(path.name))
            except FerError as error:
                problems.append(str(error))
    return found, problems


def live_jobs() -> list[Job]:
    """Jobs whose process lives, the newest first."""
    return [job for job in list_jobs()[0] if job.state in LIVE]


def jobs_frame(jobs: Sequence[Job]) -> pd.DataFrame:
    """One row per job: job, model, dataset, state, epoch, epochs, val_accuracy, minutes, created, run."""
    rows = []
    for job in jobs:
        shown = progress(job)
        row = {"job": job.id, "model": job.model, "dataset": job.dataset, "state": job.state}
        row |= {"epoch": shown.get("epoch"), "epochs": shown.get("epochs")}
        row |= {"val_accuracy": (shown.get("logs") or {}).get("val_accuracy"), "minutes": job.elapsed_s / 60}
        rows.append(row | {"created": job.created, "run": job.run})
    return pd.DataFrame(rows)


def progress(job: Job) -> dict:
    """What ``fer_core.reporting.Reporter`` last wrote, {} before that; ``share`` of it that is done, 0..1, if known.

    Of a training with stages that is the share of these, however long each of them takes.
    """
    record = _read_or_none(job.path / "progress.json")
    done, total, stages = record.get("steps_done"), record.get("steps_total"), record.get("stages")
    share = min(1.0, done / total) if done is not None and total else None
    if stages:
        share = (record["stage"] - 1 + (share or 0.0)) / stages
    return record | ({} if share is None else {"share": share})


def history(job: Job) -> pd.DataFrame | None:
    """A row per finished epoch, or None before the first one and for models without passes.

    None too where what lies in the folder of its unfinished training is another's: a later job's or a terminal's.
    """
    try:
        if job.run is not None:
            return artifacts.find_run(job.run).history()
        return unfinished.history(job.model, job.dataset, job.seed) if _has_work_dir(job) else None
    except FerError:
        return None


def is_alive(job: Job) -> bool:
    """Whether the very process of ``job`` runs; a later one with the same number does not count."""
    return job.pid is not None and job.process is not None and machine.process_identity(job.pid) == job.process


def finish(folder: Path, run_name: str) -> None:
    """The run is stored: the job in ``folder`` is finished."""
    write_text(Path(folder) / "result.json", to_json({"run": run_name}))


def wait_for_turn(folder: Path, poll_s: float = 2.0) -> None:
    """Inside the process of a queued job: return when there is room for its training, which is taken from then on."""
    job_id = Path(folder).name
    while not _takes_turn(job_id):
        time.sleep(poll_s)


def trainings_elsewhere() -> list[str]:
    """Unfinished trainings, trials of sweeps among them, that a process outside of all jobs works on (Linux)."""
    return unfinished.at_work(apart_from={job.pid for job in live_jobs()})


def most_at_once() -> int:
    """Trainings that may run at the same time: ``FER_MAX_TRAININGS``, 1 by default, since one uses all cores."""
    text = os.environ.get("FER_MAX_TRAININGS") or "1"
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"FER_MAX_TRAININGS must be a whole number from 1. Received {text!r}.")
    return int(text)


def memory_needed(model: str, dataset: str, settings: Mapping | None = None) -> int:
    """Bytes that training ``model`` takes at the least, see ``fer_core.training.memory``; the drawn faces are few."""
    splits = {} if dataset == datasets.DRAWN else datasets.load(dataset).splits
    return memory.needed(spec(model), config_of_entry(spec(model), settings), splits)


def _launch(job: Job) -> Job:
    places = {"FER_DATA_DIR": datasets.data_dir().resolve(), "FER_ARTIFACTS_DIR": artifacts.root().resolve()}
    environment = os.environ | {name: str(path) for name, path in places.items()}
    environment |= {FOLDER_VARIABLE: str(job.path.resolve()), "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    job = _write(dataclasses.replace(job, pid=None, process=None, started=time.time()))
    nice = ["nice", "-n", "5"] if shutil.which("nice") else []  # the app stays responsive
    with open(job.path / "log.txt", "ab") as log:
        process = subprocess.Popen(
            [*nice, sys.executable, "-m", "fer_core", *job.command, *(["--fresh"] if job.fresh else [])],
            cwd=_PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    job = _write(dataclasses.replace(job, pid=process.pid, process=machine.process_identity(process.pid)))
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay behind as a zombie
    return job


def _write(job: Job) -> Job:
    record = {f.name: getattr(job, f.name) for f in dataclasses.fields(job) if f.name != "path"}
    write_text(job.path / "job.json", to_json(record))
    return job


def _new_folder(name: str) -> Path:
    for number in range(1, 1000):
        path = jobs_dir() / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise ConfigError(f"There are too many jobs called {name}.", "Delete some of the folders in data/jobs.")


def _refuse_double(model: str, dataset: str, settings: Mapping) -> None:
    seed = settings.get("seed", spec(model)["recipe"].get("seed", 0))
    for job in live_jobs():
        if (job.model, job.dataset, job.seed) == (model, dataset, seed):
            raise ConfigError(
                f"{model} with seed {seed} is being trained on {dataset} already.", "Choose another seed, or stop it."
            )


def _refuse_other_settings(model: str, dataset: str, settings: Mapping, fresh: bool) -> None:
    differs = "" if fresh else unfinished.other_settings(model, dataset, settings)
    if differs:
        again = command_text([*train_arguments(model, dataset, settings), "--fresh"])
        raise ConfigError(
            f"There is an unfinished training with other settings of {model} on {dataset}: {differs}.",
            f"Train with those to finish it, or discard it: on the Training page, or by `{again}`.",
        )


def _has_work_dir(job: Job) -> bool:
    """Whether the unfinished training in the work folder is that of ``job``: it was the last to begin there."""
    if job.fresh and not _has_trained(job):
        return False
    same = (job.model, job.dataset, job.seed)
    later = [other for other in list_jobs()[0] if other.started > job.started]
    if any((other.model, other.dataset, other.seed) == same and _has_trained(other) for other in later):
        return False
    return not unfinished.other_settings(job.model, job.dataset, job.settings, pictures=False)


def _to_discard(job: Job) -> str:
    return unfinished.stamp(job.model, job.dataset, job.seed)


def _has_trained(job: Job) -> bool:
    """Whether it has got as far as its pictures: by then it has taken the work folder."""
    return "steps_done" in progress(job)


def _refuse_without_room(model: str, dataset: str, settings: Mapping, queue: bool) -> None:
    running = [f"{job.model} on {job.dataset}" for job in live_jobs()] + trainings_elsewhere()
    if len(running) >= most_at_once() and not queue:
        raise ConfigError(
            f"There is no room for another training: {', '.join(running)} is running, and one uses all cores.",
            "Stop it, wait for its end, or queue this one behind it; FER_MAX_TRAININGS=2 allows two at once.",
        )
    needed, there = (
        memory_needed(model, dataset, settings),
        machine.memory_total() if queue else machine.memory_available(),
    )
    if there is not None and needed > there:
        raise ConfigError(
            f"Training {model} takes {needed / 2**30:.1f} GB of memory or more, and {there / 2**30:.1f} GB are free.",
            "Choose a smaller batch size, or end other programs.",
        )


def _takes_turn(job_id: str) -> bool:
    """Whether the job trains from now on. Looking and taking are one step, so that no two take the same room."""
    with _exclusive():
        job = read(job_id)
        if job.queued and _before(job):
            return False
        if job.queued:
            write_text(job.path / "turn.json", to_json({"pid": job.pid, "process": job.process}))
        return True


def _has_turn(job: Job) -> bool:
    """Whether the very process of a queued ``job`` has been let in, though it may still load libraries and pictures."""
    told = _read_or_none(job.path / "turn.json")
    return job.process is not None and (told.get("pid"), told.get("process")) == (job.pid, job.process)


def _before(job: Job) -> bool:
    """Whether other trainings come before this queued one."""
    others = [other for other in live_jobs() if other.id != job.id]
    training = [other for other in others if other.state != "waiting"]
    earlier = [other for other in others if other.state == "waiting" and other.id < job.id]
    return bool(earlier) or len(training) + len(trainings_elsewhere()) >= most_at_once()


@contextmanager
def _exclusive() -> Iterator[None]:
    """One process, or thread, at a time looks for room and starts a job."""
    jobs_dir().mkdir(parents=True, exist_ok=True)
    with open(jobs_dir() / ".lock", "w", encoding="ascii") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except ImportError:
            pass
        yield


def _read_or_none(path: Path) -> dict:
    try:
        return read_json(path)
    except RunError:
        return {}
