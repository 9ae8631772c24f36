"""Whether runs beside a paper's numbers were given the passes that it trained for."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import pandas as pd

from fer_core.artifacts import Run
from fer_core.models.specs import MODELS
from fer_core.reported.comparison import relative
from fer_core.training.config import config_of_entry

OF_LAST_PASS = "discrepancy"  # of the papers' metrics, the one that passes alone can make small


def fewer_passes(frame: pd.DataFrame, runs: Iterable[Run]) -> str:
    """A sentence on runs whose discrepancy says little because they were trained shorter; empty where there are none.

    Systems stand in it in the paper's order. Recipes that stop early are not asked: their number of passes is a bound.

    Args:
        frame: as :func:`fer_core.reported.comparison_table` returns it.
        runs: those in ``frame`` count.
    """
    by_name = {run.name: run for run in runs}
    named = frame.loc[(frame["metric"] == OF_LAST_PASS) & (frame["run"] != ""), "run"].unique()
    of_table = {name: by_name[name] for name in named if name in by_name}
    passes = {name: both for name, run in of_table.items() if (both := _passes(run))}
    short = {name: both for name, both in passes.items() if both[0] < both[1]}
    if not short:
        return ""
    systems = _names({name: of_table[name].run["system"] for name in passes}, short)
    told = ", ".join(f"{had} instead of {wanted}" for had, wanted in sorted(set(short.values())))
    others = [system for name, system in systems.items() if name not in short]
    beside = f", nor with that of {_listed(others)}" if others else ""
    return (
        f"{_listed(systems[name] for name in short)} had fewer passes here than in the paper ({told}), so their "
        f"{OF_LAST_PASS} cannot be compared with the printed one{beside}."
    )


def _passes(run: Run) -> tuple[int, int] | None:
    """Passes that a run was given, and those of its recipe; None where there is no telling."""
    entry = MODELS.get(run.model)
    had = (run.run.get("config") or {}).get("epochs")
    if entry is None or entry["family"] != "network" or relative(run.model) or not had:
        return None
    recipe = config_of_entry(entry)
    return None if recipe.patience else (had, recipe.epochs)


def _names(systems: Mapping[str, str], short: Mapping) -> dict[str, str]:
    """Run -> what its system varies, ``cnn:depth`` of ``cnn:depth=4``; as much more as tells short ones from others."""
    for name in (lambda run: systems[run].partition("=")[0], lambda run: systems[run]):
        sides = defaultdict(set)
        for run in systems:
            sides[name(run)].add(run in short)
        if all(len(of_name) == 1 for of_name in sides.values()):
            return {run: name(run) for run in systems}
    return {run: run for run in systems}


def _listed(names: Iterable[str]) -> str:
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last
