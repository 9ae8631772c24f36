"""The trials of a sweep: an Optuna study on a file that several processes share. Loads without TensorFlow.

Beside its ``sweep.json`` the folder of a sweep holds ``journal.log`` (the study) and ``trials/<number>/``, the work
folders of unfinished trials. A trial is trained by the process that holds ``trials/<number>.lock``; the system drops
the lock when that process ends, however it ends, and the next one that looks for work goes on with that trial after the
last epoch whose state was written. So no trial is lost and none is trained twice. A trial that failed for a reason
that can be cured takes its turn again, under a new number, the next time that somebody works on the sweep. Trials see
train and val, never test.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer_core import metrics
from fer_core.datasets.split import Dataset
from fer_core.errors import FerError, WriteError
from fer_core.training.sweeps import MODEL, RESULTS, Sweep, config_of, grid, locked, read, sweeps_dir
from fer_core.training.task import LossError

JOURNAL = "journal.log"
DEATHS = "deaths"  # of a trial: the epochs it had when its process was last found dead, and how often in a row
MOST_DEATHS = 3
AGAIN = "again"  # of a trial: the number of the failed one whose settings it tries again


@dataclass(frozen=True)
class Trial:
    """One trial as it ended: ``state`` is complete, pruned or fail; ``result`` has :data:`RESULTS`, or ``error``."""

    number: int
    params: dict
    state: str
    result: dict


def work(
    name: str,
    dataset: Dataset,
    on_start: Callable[[int, dict], None] = lambda number, params: None,
    on_progress: Callable = lambda progress: None,
    on_end: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Train trials of the sweep ``name`` until none is left that nobody works on; other processes may do the same.

    Those that have failed before are tried once more, but for those whose loss has become no number.

    Args:
        on_start: called with the number and the parameters of a trial.
        on_progress: called with ``engine.Progress`` after every step.
        on_end: called with each finished trial.

    Returns:
        The trials that this process has ended, failed ones too.

    Raises:
        WriteError: the disk refuses; the trial at work goes on after its last epoch the next time.
        RunError: there is no such sweep, or its study is damaged.
    """
    import keras

    sweep, ended = read(name), []
    study = _study(sweep)
    _try_again(study, sweep)
    while (claimed := _claim(study, sweep)) is not None:
        trial, lock = claimed
        with lock:
            on_start(trial.number, trial.params)
            ended.append(_train(study, sweep, trial, dataset, on_progress))
            on_end(ended[-1])
        keras.utils.clear_session()
    return ended


def trials_frame(name: str) -> pd.DataFrame:
    """A row per trial: trial, state, each parameter, :data:`RESULTS`, started; waiting and running ones too.

    Failed ones that have been tried again, or are about to be, are left out.

    Raises:
        RunError: there is no such sweep, or its study is damaged.
    """
    from fer_core.training.sweep_journal import stored

    sweep = read(name)
    study = stored(sweep.name, sweeps_dir() / sweep.name / JOURNAL)
    rows, trials = [], study.get_trials(deepcopy=False) if study else []
    replaced = _tried_again(trials)
    for trial in trials:
        if trial.number in replaced:
            continue
        row = {"trial": trial.number, "state": trial.state.name.lower()}
        row |= {key: trial.params.get(key) for key in sweep.space}
        result = trial.user_attrs.get("result", {})
        row |= {key: result.get(key) for key in RESULTS}
        rows.append(row | {"started": trial.datetime_start and trial.datetime_start.isoformat(timespec="seconds")})
    return pd.DataFrame(rows, columns=["trial", "state", *sweep.space, *RESULTS, "started"])


def _study(sweep: Sweep):
    import optuna

    from fer_core.training.sweep_journal import opened

    pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if sweep.prune else optuna.pruners.NopPruner()
    with locked(sweeps_dir() / sweep.name / "lock"):
        return opened(sweep.name, sweeps_dir() / sweep.name / JOURNAL, pruner)


def _try_again(study, sweep: Sweep) -> None:
    """Queue what has failed and has not been tried again; a loss that became no number would do so again."""
    import optuna

    with locked(sweeps_dir() / sweep.name / "lock"):
        trials = study.get_trials(deepcopy=False)
        replaced = _tried_again(trials)
        for found in trials:
            diverged = found.user_attrs.get("result", {}).get("diverged")
            if found.state == optuna.trial.TrialState.FAIL and found.number not in replaced and not diverged:
                study.enqueue_trial(found.params, user_attrs={AGAIN: found.number})


def _tried_again(trials) -> set[int]:
    """Numbers of the failed trials that another one takes the place of."""
    return {trial.user_attrs[AGAIN] for trial in trials if AGAIN in trial.user_attrs}


def _claim(study, sweep: Sweep):
    """A trial for this process and the lock on it: one whose process has gone, else the next one; None at the end."""
    import optuna

    folder = sweeps_dir() / sweep.name
    with locked(folder / "lock"):
        trials = study.get_trials(deepcopy=False)
        drawn = sum(AGAIN not in found.user_attrs for found in trials)
        study.sampler = _sampler(sweep, drawn)
        for found in trials:
            if found.state == optuna.trial.TrialState.RUNNING:
                lock = _try_lock(folder / "trials" / f"{found.number}.lock")
                if lock is None:
                    continue
                found = study.get_trials(deepcopy=False)[found.number]  # it may have ended before it was locked
                if found.state == optuna.trial.TrialState.RUNNING and not _given_up(study, found):
                    return _drawn(optuna.trial.Trial(study, found._trial_id), sweep), lock
                lock.close()
        if sweep.sampler == "grid":
            for params in grid(sweep.space)[drawn : sweep.trials]:
                study.enqueue_trial(params)
            trials = study.get_trials(deepcopy=False)
        waiting = any(found.state == optuna.trial.TrialState.WAITING for found in trials)
        if not waiting and (sweep.sampler == "grid" or drawn >= sweep.trials):
            return None
        trial = study.ask()
        lock = _try_lock(folder / "trials" / f"{trial.number}.lock")
        return _drawn(trial, sweep), lock


def _given_up(study, found) -> bool:
    """Whether the process of this trial ended :data:`MOST_DEATHS` times in the same epoch; it has failed then."""
    import optuna

    trial = optuna.trial.Trial(study, found._trial_id)
    before, epochs = found.user_attrs.get(DEATHS, {}), len(found.intermediate_values)
    times = before["times"] + 1 if before.get("epochs") == epochs else 1
    trial.set_user_attr(DEATHS, {"epochs": epochs, "times": times})
    if times < MOST_DEATHS:
        return False
    error = f"Its process ended {times} times in epoch {epochs + 1}, perhaps for want of memory."
    trial.set_user_attr("result", {"error": error})
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return True


def _sampler(sweep: Sweep, number: int):
    import optuna

    seed = (sweep.seed * 1_000_003 + number) % 2**32  # processes that share a study must not draw the same
    if sweep.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return optuna.samplers.RandomSampler(seed=seed)  # a grid's trials are queued with their values


def _drawn(trial, sweep: Sweep):
    """``trial`` with a value for every parameter."""
    for name, parameter in sweep.space.items():
        if parameter.choices:
            trial.suggest_categorical(name, list(parameter.choices))
        elif parameter.integer:
            trial.suggest_int(name, int(parameter.low), int(parameter.high), log=parameter.log)
        else:
            trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
    return trial


class _Pruned(Exception):
    """Ends a training from inside its callback."""


def _train(study, sweep: Sweep, trial, dataset: Dataset, on_progress: Callable) -> Trial:
    from optuna.trial import TrialState

    from fer_core.training.checkpoint import WorkDirectory

    directory = WorkDirectory(sweeps_dir() / sweep.name / "trials" / str(trial.number))
    reported = set(study.get_trials(deepcopy=False)[trial.number].intermediate_values)
    seconds = _seconds_before(directory.path)

    def watch(progress) -> None:
        on_progress(progress)
        epoch = None if progress.what else progress.logs.get("epoch")
        if epoch != progress.epoch:  # no row of this very epoch: it goes on
            return
        seconds[int(epoch)] = float(progress.logs["seconds"])
        if epoch not in reported:
            reported.add(epoch)
            trial.report(progress.logs["val_accuracy"], int(epoch))
            if trial.should_prune():
                raise _Pruned

    try:
        result, state = _fit(sweep, trial.params, dataset, directory, watch), TrialState.COMPLETE
    except _Pruned:
        result = {"epochs": len(seconds), "seconds": round(sum(seconds.values()), 1)}
        state = TrialState.PRUNED
    except (KeyboardInterrupt, WriteError):
        with suppress(WriteError):
            trial.set_user_attr(DEATHS, {})  # it would have gone on, and does so the next time
        raise
    except FerError as error:
        result, state = {"error": str(error), "diverged": isinstance(error, LossError)}, TrialState.FAIL
    trial.set_user_attr("result", result)
    study.tell(trial, result["val_accuracy"] if state == TrialState.COMPLETE else None, state=state)
    directory.clear()
    return Trial(trial.number, dict(trial.params), state.name.lower(), result)


def _seconds_before(path: Path) -> dict[int, float]:
    """Epoch (from 1) -> seconds, of the epochs that another process has left in the work folder ``path``.

    The last ones may not be there: an accelerator does not write after every epoch. Those are trained again.
    """
    try:
        history = pd.read_csv(path / "history.csv")
        return dict(zip(history["epoch"].astype(int), history["seconds"].astype(float), strict=True))
    except (OSError, ValueError, KeyError):
        return {}


def _fit(sweep: Sweep, params: Mapping, dataset: Dataset, directory, watch: Callable) -> dict:
    """Train, and measure the kept weights on train and val, without averaged views."""
    from fer_core.models.registry import NetworkClassifier, build_network
    from fer_core.training.engine import train_network
    from fer_core.training.preparation import prepare
    from fer_core.training.run import answers_to, predict
    from fer_core.training.task import reporter
    from fer_core.training.unfinished import what_is_trained

    model, config = params.get(MODEL, sweep.model), config_of(sweep, params)
    directory.claim(what_is_trained(model, dataset.name, dataset.fingerprint, config))
    prepared = prepare(dataset, config, watch)
    trained = train_network(model, prepared.fitted, prepared.watched, config, directory, watch)
    class_names = prepared.fitted.class_names
    network = build_network(
        model, input_size=config.input_size or "spec", num_classes=len(class_names), arguments=config.arguments
    )
    network.set_weights(trained.weights)
    classifier = NetworkClassifier(network, class_names, equalization=config.equalize)
    train, val = (
        predict(
            classifier,
            prepared.evaluated[name],
            reporter(answers_to(name), config.epochs, watch, trained.history[-1]),
        )
        for name in ("train", "val")
    )
    accuracies = float(metrics.accuracy(train)), float(metrics.accuracy(val))
    return {
        "train_accuracy": accuracies[0],
        "val_accuracy": accuracies[1],
        "discrepancy": metrics.discrepancy(*accuracies),
        "train_loss": float(metrics.log_loss(train)),
        "val_loss": float(metrics.log_loss(val)),
        "seconds": round(trained.wall_time_s, 1),
        "epochs": len(trained.history),
    }


def _try_lock(path: Path):
    """The open file whose lock this process now holds until it is closed, or None where another one holds it."""
    import fcntl

    file = open(path, "w", encoding="ascii")  # noqa: SIM115 -- open as long as the trial is trained
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    os.set_inheritable(file.fileno(), False)
    return file
