"""Sweeps over training settings: an Optuna study on a file that several processes share. Loads without TensorFlow.

``data/sweeps/<name>/`` holds ``sweep.json`` (:class:`Sweep`), ``journal.log`` (the study) and ``trials/<number>/``, the
work folders of unfinished trials. A trial is trained by the process that holds ``trials/<number>.lock``; the system
drops the lock when that process ends, however it ends, and the next one that looks for work goes on with that trial at
its last finished epoch. So no trial is lost and none is trained twice. Trials see train and val, never test.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd

from fer_core import artifacts, datasets, metrics
from fer_core.datasets.split import Dataset
from fer_core.errors import ConfigError, FerError, RunError
from fer_core.models.specs import spec
from fer_core.storage import environment, read_json, to_json, write_text
from fer_core.training.config import TrainConfig

SAMPLERS: tuple[str, ...] = ("grid", "tpe", "random")
RESULTS: tuple[str, ...] = (
    "train_accuracy",
    "val_accuracy",
    "discrepancy",
    "train_loss",
    "val_loss",
    "seconds",
    "epochs",
)
MODEL = "model"  # a parameter of this name chooses the network itself


@dataclass(frozen=True)
class Parameter:
    """What one setting is drawn from: ``choices``, or the numbers from ``low`` to ``high``.

    Attributes:
        log: evenly on a logarithmic scale.
        integer: whole numbers only.
    """

    choices: tuple = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False


@dataclass(frozen=True)
class Sweep:
    """What is varied and what is kept.

    Attributes:
        name: of its folder.
        model, dataset, fingerprint: what is trained, on which pictures.
        space: setting (a name of ``TrainConfig``, ``augmentation.<name>`` or ``model``) -> what it is drawn from.
        trials: in all, whoever trains them.
        sampler: one of :data:`SAMPLERS`.
        settings: changes of the recipe that all trials share.
        prune: end trials whose val accuracy stays below the median of the others at the same epoch.
        seed: of the sampler; trial ``n`` is drawn by (seed, n) and the trials before.
    """

    name: str
    model: str
    dataset: str
    fingerprint: str
    space: dict[str, Parameter]
    trials: int
    sampler: str = "tpe"
    settings: dict = field(default_factory=dict)
    prune: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """One trial as it ended: ``state`` is complete, pruned or fail; ``result`` has :data:`RESULTS`, or ``error``."""

    number: int
    params: dict
    state: str
    result: dict


def sweeps_dir() -> Path:
    """Folder of the studies."""
    return datasets.data_dir() / "sweeps"


def parse_space(texts: Sequence[str]) -> dict[str, Parameter]:
    """``["learning_rate=1e-4..1e-1:log", "batch_size=128,256,512"]`` as parameters.

    Raises:
        ConfigError: one of them cannot be read.
    """
    space = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not values.strip():
            raise ConfigError(
                f"Expected NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=A,B,C. Received {text!r}.",
                "For example --space learning_rate=1e-4..1e-1:log --space batch_size=128,256,512",
            )
        space[name.strip()] = _parameter(text, values.strip())
    if not space:
        raise ConfigError("A sweep needs a setting to vary.", "For example --space learning_rate=1e-4..1e-1:log")
    return space


def config_of(sweep: Sweep, params: Mapping) -> TrainConfig:
    """Settings of the trial that has drawn ``params``.

    Raises:
        ModelError, ConfigError: an unknown name, or a value out of range.
    """
    drawn = {name: value for name, value in params.items() if name != MODEL}
    values = dict(spec(params.get(MODEL, sweep.model))["recipe"]) | sweep.settings
    for name, value in drawn.items():
        group, dot, inner = name.partition(".")
        values[group] = dict(values.get(group) or {}) | {inner: value} if dot else value
    return TrainConfig.from_dict(values)


def open_sweep(sweep: Sweep) -> None:
    """Write ``sweep.json``, or check that the one there says the same; more trials than before are allowed.

    Raises:
        ModelError, ConfigError: a setting makes no sense, or another sweep has this name.
    """
    _check(sweep)
    folder = sweeps_dir() / sweep.name
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    file = folder / "sweep.json"
    with _locked(folder / "lock"):
        if file.exists():
            old = read(sweep.name)
            changed = [key for key, value in dataclasses.asdict(old).items() if value != dataclasses.asdict(sweep)[key]]
            changed = [key for key in changed if key != "trials"]
            if changed:
                raise ConfigError(
                    f"There is a sweep {sweep.name} with other {', '.join(changed)}.", "Give this one another --name."
                )
            sweep = dataclasses.replace(sweep, trials=max(sweep.trials, old.trials))
        write_text(file, to_json(dataclasses.asdict(sweep)))


def read(name: str) -> Sweep:
    """The sweep called ``name``.

    Raises:
        RunError: there is none, or its file is damaged.
    """
    path = sweeps_dir() / name / "sweep.json"
    if Path(name).name != name or not path.is_file():
        known = sorted(found.parent.name for found in sweeps_dir().glob("*/sweep.json"))
        raise RunError(f"There is no sweep {name!r}.", f"Choose one of {', '.join(known)}." if known else "")
    record = read_json(path)
    try:
        space = {key: Parameter(**(value | {"choices": _tuple(value)})) for key, value in record.pop("space").items()}
        return Sweep(space=space, **record)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} lacks something: {error}.", "Delete its folder and sweep again.") from error


def work(
    name: str,
    dataset: Dataset,
    on_start: Callable[[int, dict], None] = lambda number, params: None,
    on_progress: Callable = lambda progress: None,
    on_end: Callable[[Trial], None] = lambda trial: None,
) -> int:
    """Train trials of the sweep ``name`` until none is left that nobody works on; other processes may do the same.

    Args:
        on_start: called with the number and the parameters of a trial.
        on_progress: called with ``engine.Progress`` after every step.
        on_end: called with each finished trial.

    Returns:
        How many trials this process has finished.
    """
    import keras

    sweep, finished = read(name), 0
    study = _study(sweep)
    while (claimed := _claim(study, sweep)) is not None:
        trial, lock = claimed
        with lock:
            on_start(trial.number, trial.params)
            on_end(_train(study, sweep, trial, dataset, on_progress))
        finished += 1
        keras.utils.clear_session()
    return finished


def trials_frame(name: str) -> pd.DataFrame:
    """A row per trial: trial, state, each parameter, :data:`RESULTS`, started; waiting and running ones too.

    Raises:
        RunError: there is no such sweep.
    """
    sweep = read(name)
    rows = []
    for trial in _study(sweep).get_trials(deepcopy=False):
        row = {"trial": trial.number, "state": trial.state.name.lower()}
        row |= {key: trial.params.get(key) for key in sweep.space}
        result = trial.user_attrs.get("result", {})
        row |= {key: result.get(key) for key in RESULTS}
        rows.append(row | {"started": trial.datetime_start and trial.datetime_start.isoformat(timespec="seconds")})
    return pd.DataFrame(rows, columns=["trial", "state", *sweep.space, *RESULTS, "started"])


def export(name: str) -> tuple[Path, Path]:
    """Write the finished trials of a sweep as ``sweeps/<name>.csv`` of the artifacts, and its conditions as ``.json``.

    Raises:
        RunError: there is no such sweep, or no trial of it is complete.
    """
    sweep, frame = read(name), trials_frame(name)
    complete = frame[frame["state"] == "complete"]
    if complete.empty:
        raise RunError(f"No trial of {name} is complete yet.", "Let the sweep run first.")
    kept = frame[frame["state"].isin(["complete", "pruned", "fail"])]
    best = complete.loc[complete["val_accuracy"].astype(float).idxmax()]
    record = dataclasses.asdict(sweep) | {"date": date.today().isoformat(), "best_trial": int(best["trial"])}
    record |= {"states": kept["state"].value_counts().to_dict(), "split": "val"} | environment()
    folder = artifacts.root() / "sweeps"
    folder.mkdir(parents=True, exist_ok=True)
    table, conditions = folder / f"{name}.csv", folder / f"{name}.json"
    write_text(table, kept.round(dict.fromkeys(RESULTS, 6)).to_csv(index=False))
    write_text(conditions, to_json(record))
    return table, conditions


def exported() -> list[str]:
    """Names of the exported sweeps."""
    folder = artifacts.root() / "sweeps"
    return sorted(path.stem for path in folder.glob("*.json") if path.with_suffix(".csv").is_file())


def read_export(name: str) -> tuple[pd.DataFrame, dict]:
    """Trials and conditions of an exported sweep.

    Raises:
        RunError: a file is missing or damaged.
    """
    path = artifacts.root() / "sweeps" / f"{name}.csv"
    record = read_json(path.with_suffix(".json"))
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.", f"Write it again: sweep export {name}.") from error
    needed = {"trial", "state", *record.get("space", {}), *RESULTS}
    if not needed <= set(frame.columns):
        missing = ", ".join(sorted(needed - set(frame.columns)))
        raise RunError(f"{path} lacks {missing}.", f"Write it again: sweep export {name}.")
    return frame, record


def best_settings(frame: pd.DataFrame, record: Mapping) -> tuple[int, str, dict]:
    """Number of the best trial of an exported sweep, its model, and its settings where they differ from the recipe.

    Raises:
        RunError: the table does not hold the trial that the conditions call the best.
    """
    chosen = frame[frame["trial"] == record.get("best_trial")]
    if chosen.empty:
        raise RunError(f"The table of {record.get('name')} lacks its best trial.", "Export the sweep again.")
    row = chosen.iloc[0]
    params = {name: getattr(row[name], "item", lambda value=row[name]: value)() for name in record["space"]}
    params = {name: int(value) if _whole(record["space"][name]) else value for name, value in params.items()}
    model = params.get(MODEL, record["model"])
    sweep = Sweep(record["name"], model, record["dataset"], record["fingerprint"], {}, 1, settings=record["settings"])
    recipe = spec(model)["recipe"]
    made, own = config_of(sweep, params).to_dict(), TrainConfig.from_dict(recipe).to_dict()
    settings = {name: value for name, value in made.items() if value != own[name]}
    without_sizes = {name: value for name, value in settings.items() if name != "sizes"}
    implied = TrainConfig.from_dict(recipe | without_sizes).to_dict() == made  # they follow the number of epochs
    return int(row["trial"]), model, without_sizes if implied else settings


def grid(space: Mapping[str, Parameter]) -> list[dict]:
    """Every combination of the choices.

    Raises:
        ConfigError: a parameter is a range.
    """
    for name, parameter in space.items():
        if not parameter.choices:
            raise ConfigError(f"A grid needs values, and {name} is a range.", f"For example --space {name}=A,B,C")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*(p.choices for p in space.values()))]


def _parameter(text: str, values: str) -> Parameter:
    numbers, colon, scale = values.partition(":")
    low, dots, high = numbers.partition("..")
    if not dots:
        return Parameter(choices=tuple(_value(part) for part in values.split(",")))
    bounds = _value(low), _value(high)
    if not all(type(bound) in (int, float) for bound in bounds) or (colon and scale != "log"):
        raise ConfigError(f"Expected NAME=LOW..HIGH or NAME=LOW..HIGH:log. Received {text!r}.")
    if bounds[0] >= bounds[1] or (colon and bounds[0] <= 0):
        raise ConfigError(f"{text!r} is no range: LOW must be less than HIGH{', and above 0' if colon else ''}.")
    return Parameter((), *bounds, log=bool(colon), integer=all(type(bound) is int for bound in bounds))


def _value(text: str):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        try:
            return float(text)  # 1e-4 is JSON, 1.e-4 and .1 are not
        except ValueError:
            return text.strip()


def _whole(parameter: Mapping) -> bool:
    """Whether a stored parameter takes whole numbers only; a column with gaps comes back from CSV as floats."""
    choices = parameter.get("choices")
    return bool(parameter.get("integer") or (choices and all(type(choice) is int for choice in choices)))


def _tuple(value: Mapping) -> tuple:
    return tuple(value.get("choices", ()))


def _check(sweep: Sweep) -> None:
    if sweep.sampler not in SAMPLERS:
        raise ConfigError(f"sampler must be one of {', '.join(SAMPLERS)}. Received {sweep.sampler!r}.")
    if not sweep.name or Path(sweep.name).name != sweep.name or sweep.name.startswith("."):
        raise ConfigError(f"{sweep.name!r} cannot be the name of a sweep.", "Use letters, digits and dashes.")
    if sweep.trials < 1:
        raise ConfigError(f"A sweep has one trial or more. Received {sweep.trials}.")
    if sweep.sampler == "grid":
        grid(sweep.space)
    for name, parameter in sweep.space.items():
        for value in parameter.choices or (parameter.low, parameter.high):
            config_of(sweep, {name: value})
            model = value if name == MODEL else sweep.model
            if spec(model)["family"] != "network":
                raise ConfigError(f"{model} is no network and has no settings to sweep.", "Choose a network.")


def _study(sweep: Sweep):
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = str(sweeps_dir() / sweep.name / "journal.log")
    storage = optuna.storages.JournalStorage(JournalFileBackend(file, lock_obj=JournalFileOpenLock(file)))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if sweep.prune else optuna.pruners.NopPruner()
    with _locked(sweeps_dir() / sweep.name / "lock"):
        return optuna.create_study(
            study_name=sweep.name, storage=storage, direction="maximize", load_if_exists=True, pruner=pruner
        )


def _claim(study, sweep: Sweep):
    """A trial for this process and the lock on it: one whose process has gone, else the next one; None at the end."""
    import optuna

    folder = sweeps_dir() / sweep.name
    with _locked(folder / "lock"):
        trials = study.get_trials(deepcopy=False)
        study.sampler = _sampler(sweep, len(trials))
        for found in trials:
            if found.state == optuna.trial.TrialState.RUNNING:
                lock = _try_lock(folder / "trials" / f"{found.number}.lock")
                if lock is not None:
                    return _drawn(optuna.trial.Trial(study, found._trial_id), sweep), lock
        if sweep.sampler == "grid":
            for params in grid(sweep.space)[len(trials) : sweep.trials]:
                study.enqueue_trial(params)
            trials = study.get_trials(deepcopy=False)
        waiting = any(found.state == optuna.trial.TrialState.WAITING for found in trials)
        if not waiting and (sweep.sampler == "grid" or len(trials) >= sweep.trials):
            return None
        trial = study.ask()
        lock = _try_lock(folder / "trials" / f"{trial.number}.lock")
        return _drawn(trial, sweep), lock


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

    def watch(progress) -> None:
        on_progress(progress)
        epoch = progress.logs.get("epoch")
        if epoch == progress.epoch and epoch not in reported:  # the row of this very epoch: it is over
            reported.add(epoch)
            trial.report(progress.logs["val_accuracy"], int(epoch))
            if trial.should_prune():
                raise _Pruned

    try:
        result, state = _fit(sweep, trial.params, dataset, directory, watch), TrialState.COMPLETE
    except _Pruned:
        history = pd.read_csv(directory.path / "history.csv")
        result = {"epochs": len(history), "seconds": round(float(history["seconds"].sum()), 1)}
        state = TrialState.PRUNED
    except FerError as error:
        result, state = {"error": str(error)}, TrialState.FAIL
    trial.set_user_attr("result", result)
    study.tell(trial, result["val_accuracy"] if state == TrialState.COMPLETE else None, state=state)
    directory.clear()
    return Trial(trial.number, dict(trial.params), state.name.lower(), result)


def _fit(sweep: Sweep, params: Mapping, dataset: Dataset, directory, watch: Callable) -> dict:
    """Train, and measure the kept weights on train and val, without averaged views."""
    from fer_core.models.registry import NetworkClassifier, build_network
    from fer_core.training.engine import train_network
    from fer_core.training.preparation import prepare
    from fer_core.training.run import predict, what_is_trained

    model, config = params.get(MODEL, sweep.model), config_of(sweep, params)
    directory.claim(what_is_trained(model, dataset, config))
    prepared = prepare(dataset, config)
    trained = train_network(model, prepared.fitted, prepared.watched, config, directory, watch)
    class_names = prepared.fitted.class_names
    network = build_network(model, input_size=config.input_size or "spec", num_classes=len(class_names))
    network.set_weights(trained.weights)
    classifier = NetworkClassifier(network, class_names, equalization=config.equalize)
    train, val = (predict(classifier, prepared.evaluated[name]) for name in ("train", "val"))
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


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock on ``path`` and hold it."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
