"""Is a map about the recipe, or about one training of it? The same map by networks trained from other seeds.

Networks of one recipe reach about the same accuracy by different weights, so a map that only one of them gives tells
how that one came out, not what such a network looks at. Compared are this map and that of each sister
(:func:`fer_core.training.seeds.sisters`): same face, class, method and options. What chance gives is the same statistic
with random maps as smooth as this one. These lie anywhere, so agreement on what all faces share, such as that they are
in the middle, counts as agreement too.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_core.artifacts import ENSEMBLE, Run
from fer_core.errors import ConfigError, FerError
from fer_core.explain.check_basics import (
    EVEN,
    FAILED,
    MAX_SIMILARITY,
    MIN_BEATEN,
    NOT_APPLICABLE,
    PASSED,
    RANDOM_MAPS,
    UNDECIDED,
    Verdict,
    random_maps,
    spearman,
)
from fer_core.explain.saliency import SaliencyMap
from fer_core.training import seeds

NAME = "Trainings"


@dataclass(frozen=True)
class Trainings:
    """How far a map is that of other trainings.

    Attributes:
        names: of the runs compared with, S of them.
        spearman: float64 (S,), rank correlation with the map of each, -1..1; 0 where that map is the same everywhere.
        empty: how many of those are.
        chance: float64 (R,), 0..1, absolute rank correlation with random maps as smooth as this one.
    """

    names: tuple[str, ...]
    spearman: np.ndarray
    empty: int
    chance: np.ndarray

    @property
    def beaten(self) -> int:
        """How many random maps are less like the map than every other training's."""
        return int(np.sum(self.chance < self.spearman.min()))


class Alone(NamedTuple):
    """Why a map is not compared: in few words, and the command that would change it, if there is one."""

    words: str
    command: str = ""


NOT_COMPARED = Alone("not compared")
OF_ENSEMBLES = Alone("an ensemble has no seed of its own")
ONCE = "trained once"
WITHOUT_WEIGHTS = "other trainings have no weights here"


def others(run: Run, runs: Iterable[Run]) -> list[Run] | Alone:
    """Trainings of the run's recipe from other seeds that have weights here; why not, where there are none."""
    if run.model == ENSEMBLE:
        return OF_ENSEMBLES
    runs = list(runs)
    found = seeds.sisters(run, runs)
    return [one for one in found if one.can_answer] or Alone(
        WITHOUT_WEIGHTS if found else ONCE, seeds.command_for_another(run, runs)
    )


def compare(found: SaliencyMap, maps: Mapping[str, SaliencyMap]) -> Trainings:
    """Compare a map with those of other trainings.

    Args:
        found: the map, N = 1.
        maps: name of the run -> its map of the same face, class, method and options; at least one.

    Raises:
        ConfigError: no map, or one of something else.
    """
    values = found.values[0]
    alike = [
        other.values.shape == found.values.shape
        and other.method == found.method
        and np.array_equal(other.class_index, found.class_index)
        for other in maps.values()
    ]
    if len(found.values) != 1 or not alike or not all(alike):
        raise ConfigError("Expected maps of one picture, class and method, by one training or more.")
    own = np.array([spearman(values, other.values[0]) for other in maps.values()])
    drawn = [spearman(values, one) for one in random_maps(values, found.grid, RANDOM_MAPS, seed=0)]
    empty = sum(bool(np.ptp(other.values) == 0) for other in maps.values())
    return Trainings(tuple(maps), np.nan_to_num(own), empty, np.abs(np.nan_to_num(drawn)))


def ask(found: SaliencyMap, names: Iterable[str], map_of: Callable[[str], SaliencyMap]) -> Trainings | Alone:
    """:func:`compare` with the map of each of the runs called ``names``; where one gives none, which one and why.

    So it does not cost the other checks.
    """
    maps = {}
    for name in names:
        try:
            maps[name] = map_of(name)
        except FerError as error:
            return Alone(f"{name} gives no map: {error.problem.rstrip('.')}")
    return compare(found, maps)


def verdict(checked: Trainings | Alone, even: bool = False) -> Verdict:
    """Passed where all maps are more alike than chance, and alike; failed where they are no more alike than chance.

    Args:
        even: whether the map is the same everywhere.
    """
    if isinstance(checked, Alone):
        told = checked.words[0].upper() + checked.words[1:]
        why = f"{told}, so nothing says whether another training would give the same map."
        command = f" Train another seed: `{checked.command}`" if checked.command else ""
        return Verdict(NAME, NOT_APPLICABLE, why + command, checked.words)
    if even:
        return Verdict(NAME, FAILED, EVEN, "")
    mean, lowest, chance = checked.spearman.mean(), checked.spearman.min(), checked.chance.mean()
    total, asked = len(checked.chance), int(np.ceil(MIN_BEATEN * len(checked.chance)))
    beyond, alike = checked.beaten >= asked, mean >= MAX_SIMILARITY
    outcome = FAILED if mean <= chance else PASSED if beyond and alike else UNDECIDED
    numbers = f"rank correlation {mean:.2f} on average, {lowest:.2f} at the least"
    numbers += f", over {len(checked.names)} with other seeds" if len(checked.names) > 1 else ", one with another seed"
    numbers += f", {checked.empty} with an empty map, counted as 0" if checked.empty else ""
    why = {
        PASSED: f"Other trainings give a map alike ({numbers}); random maps as smooth reach {chance:.2f}.",
        FAILED: f"Other trainings give another map ({numbers}), no more alike than random maps as smooth "
        f"({chance:.2f}), so it is about this training, not about the recipe.",
        UNDECIDED: f"Other trainings give a map that is in part another ({numbers}; random maps as smooth reach "
        f"{chance:.2f})" + _lacking(beyond, alike, f"{checked.beaten} of {total}", asked),
    }[outcome]
    return Verdict(NAME, outcome, why, f"{mean:.2f}, lowest {lowest:.2f}, random {chance:.2f}")


def _lacking(beyond: bool, alike: bool, beaten: str, asked: int) -> str:
    told = [] if alike else [f"at least {MAX_SIMILARITY} on average is asked for"]
    told += [] if beyond else [f"the least is above {beaten} random maps, and {asked} are asked for"]
    return f": {'; '.join(told)}."


def frame(checked: Trainings | Alone) -> pd.DataFrame:
    """A row per other training: run, spearman."""
    if isinstance(checked, Alone):
        return pd.DataFrame(columns=["run", "spearman"])
    return pd.DataFrame({"run": checked.names, "spearman": checked.spearman})
