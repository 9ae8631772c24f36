"""Sweeps over training settings: what is varied, and where it is kept. Loads without TensorFlow.

``data/sweeps/<name>/`` holds ``sweep.json`` (:class:`Sweep`) and what :mod:`fer_core.training.sweep_trials` keeps there
of the trials; :mod:`fer_core.training.sweep_export` puts the finished ones among the artifacts.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fer_core import datasets
from fer_core.errors import ConfigError, RunError
from fer_core.models.specs import spec
from fer_core.storage import read_json, to_json, write_text
from fer_core.training.config import Augmentation, TrainConfig, config_of_entry, merged_augmentation

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
        parameter = _parameter(text, values.strip())
        if _type_of(name.strip()) is float:  # 0..1 means all that lies between
            parameter = dataclasses.replace(parameter, integer=False)
        space[name.strip()] = parameter
    if not space:
        raise ConfigError("A sweep needs a setting to vary.", "For example --space learning_rate=1e-4..1e-1:log")
    return space


def config_of(sweep: Sweep, params: Mapping) -> TrainConfig:
    """Settings of the trial that has drawn ``params``.

    Raises:
        ModelError, ConfigError: an unknown name, or a value out of range.
    """
    drawn = {name: value for name, value in params.items() if name != MODEL}
    entry, changes = spec(params.get(MODEL, sweep.model)), dict(sweep.settings)
    config_of_entry(entry, changes)  # says what is wrong with those that all trials share
    for name, value in drawn.items():
        group, dot, inner = name.partition(".")
        before = changes.get(group, {})
        if group == "augmentation":
            before = merged_augmentation({}, before)
        changes[group] = dict(before) | {inner: value} if dot else value
    return config_of_entry(entry, changes)


def open_sweep(sweep: Sweep) -> None:
    """Write ``sweep.json``, or check that the one there says the same; more trials than before are allowed.

    Raises:
        ModelError, ConfigError: a setting makes no sense, or another sweep has this name.
    """
    _check(sweep)
    folder = sweeps_dir() / sweep.name
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    file = folder / "sweep.json"
    with locked(folder / "lock"):
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


def grid(space: Mapping[str, Parameter]) -> list[dict]:
    """Every combination of the choices.

    Raises:
        ConfigError: a parameter is a range.
    """
    for name, parameter in space.items():
        if not parameter.choices:
            raise ConfigError(f"A grid needs values, and {name} is a range.", f"For example --space {name}=A,B,C")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*(p.choices for p in space.values()))]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock on ``path`` and hold it."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _type_of(name: str) -> object:
    """Type of the setting ``name``, None where there is none of that name."""
    group, dot, inner = name.partition(".")
    holder = Augmentation if dot and group == "augmentation" else TrainConfig
    return {field.name: field.type for field in dataclasses.fields(holder)}.get(inner or group)


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
