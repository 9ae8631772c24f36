"""How long trainings that follow each other take: by stored runs of the same models, and by those that have ended."""

import os
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import NamedTuple

from fer_core.artifacts import Run
from fer_core.errors import FerError
from fer_core.models.specs import spec
from fer_core.storage import environment
from fer_core.training.config import TrainConfig, config_of_entry

UNKNOWN = "a machine that is not known"


class Expected(NamedTuple):
    """How long a training takes by the stored runs, and on which machine where that is another one than this."""

    seconds: float
    machine: str = ""


def cost(model: str, changes: Mapping | None = None) -> float:
    """Pixels that one training picture shows to the network in all passes: what trainings are ordered by.

    A head on frozen features sees each picture once; what is no network comes first.
    """
    entry = spec(model)
    if entry["family"] != "network":
        return 0.0
    config = config_of_entry(entry, changes)
    side = config.input_size or entry["input_size"]
    passes = 1 if head_alone(model, changes) else config.epochs
    return float(entry["channels"] * sum(config.size_at(epoch, side) ** 2 for epoch in range(passes)))


def head_alone(model: str, changes: Mapping | None = None) -> bool:
    """Whether only a head is trained, which takes no time beside the features that it is trained on."""
    return spec(model)["family"] == "network" and config_of_entry(spec(model), changes).trainable_layers == 0


def expected_time(models: Iterable[str], changes: Mapping, runs: Iterable[Run]) -> dict[str, Expected | None]:
    """How long each training takes if its pictures are as those of the stored ``runs``.

    The newest run of the same model on this machine tells, a network's in proportion to :func:`cost`; without one the
    median of all networks', or of all other models', on this machine; without these the newest of the same model
    elsewhere. None where no run tells.
    """
    own, elsewhere = {}, {}
    here = this_machine()
    for run in sorted(runs, key=lambda run: str(run.run.get("date"))):
        rate, machine = _rate(run), run.run.get("machine")
        if rate is not None and here(machine):
            own[run.model] = rate
        elif rate is not None:
            elsewhere[run.model] = Expected(rate, machine or UNKNOWN)
    expected = {}
    for model in models:
        family = spec(model)["family"]
        like_it = [rate for name, rate in own.items() if spec(name)["family"] == family]
        rate = own.get(model, median(like_it) if like_it else None)
        found = elsewhere.get(model) if rate is None else Expected(rate)
        times = cost(model, changes) if family == "network" else 1.0
        expected[model] = found and found._replace(seconds=found.seconds * times)
    return expected


def seconds_here(expected: Mapping[str, Expected | None]) -> dict[str, float | None]:
    """Seconds of each training on this machine, None where only others have trained it, or none."""
    return {model: None if found is None or found.machine else found.seconds for model, found in expected.items()}


def this_machine() -> Callable[[str | None], bool]:
    """Whether the ``machine`` of a run is this one."""
    own = environment()["machine"]
    # This process does not load JAX to ask for an accelerator, which would take its memory from the trainings.
    accelerated = os.environ.get("KERAS_BACKEND") == "jax"
    return lambda machine: machine == own or bool(machine and accelerated and machine.startswith(f"{own}, "))


class Pace:
    """Time left of several trainings: what is expected, corrected by how long those took that have ended.

    Args:
        expected: as :func:`seconds_here` returns it.
    """

    def __init__(self, expected: Mapping[str, float | None]) -> None:
        self._expected = dict(expected)
        self._spent = self._foreseen = 0.0

    def learn(self, expected: Mapping[str, float | None]) -> None:
        """Take what is ``expected`` by now of those trainings of which nothing was known."""
        unknown = [model for model, seconds in self._expected.items() if seconds is None]
        self._expected |= {model: expected.get(model) for model in unknown}

    def ended(self, model: str, seconds: float, share: float = 1.0) -> None:
        """``share`` of the training of ``model`` was done in ``seconds``."""
        if self._expected.get(model):
            self._spent += seconds
            self._foreseen += share * self._expected[model]

    def left(
        self, model: str, own_left: float | None, share: float, elapsed: float, rest: Iterable[str]
    ) -> float | None:
        """Seconds until ``model``, at work for ``elapsed`` seconds, and all of ``rest`` have ended; None if unknown.

        Args:
            own_left: what the training itself expects, if it does.
            share: of it that is done.
        """
        expected = self._expected.get(model)
        spent, foreseen = self._spent, self._foreseen
        if own_left is not None and share < 1 and expected:
            spent, foreseen = spent + own_left, foreseen + (1 - share) * expected
        factor = spent / foreseen if foreseen else 1.0
        if own_left is None and expected is not None:
            own_left = max(0.0, factor * expected - elapsed)
        others = [self._expected.get(other) for other in rest]
        if own_left is None or None in others:
            return None
        return own_left + factor * sum(others)


def _rate(run: Run) -> float | None:
    """Seconds that a run took, a network's per :func:`cost`; None where it does not say."""
    seconds, config = run.run.get("wall_time_s"), run.run.get("config")
    try:
        if spec(run.model)["family"] != "network":
            return seconds or None
        settings = TrainConfig.from_dict(config or {}).to_dict()
        done = (run.run.get("epochs") or settings["epochs"]) / settings["epochs"]  # patience may have ended it early
        if head_alone(run.model, settings):
            if run.run.get("features_s") is None:  # its time is that of the epochs alone
                return None
            done = 1.0
        return seconds / (cost(run.model, settings) * done) if seconds else None
    except FerError:  # a model or a setting that is no more
        return None
