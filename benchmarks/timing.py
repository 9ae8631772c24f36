"""What the benchmarks share: two ways of doing the same timed in turn, goals, and the stored run that they ask."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from fer_core import artifacts  # noqa: E402

Way = Callable[[int], np.ndarray]


def stored_run(model: str) -> artifacts.Run | None:
    """The run of ``model`` on fer2013 whose weights are here."""
    runs = artifacts.list_runs(PROJECT / "artifacts")[0]
    return next((run for run in runs if run.model == model and run.dataset == "fer2013" and run.weights_path), None)


def compare(ours: Way, theirs: Way, n_ours: int, n_theirs: int, rounds: int) -> dict:
    """Median seconds per picture of both, in turn after a warm-up, their ratio, and the largest difference.

    The difference is that of the pictures that both did, as a share of the largest answer of theirs.
    """
    theirs(1)
    for n in (1, n_ours):  # kernels for its batches
        ours(n)
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    answers: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, way, n in (("ours", ours, n_ours), ("theirs", theirs, n_theirs)):
            started = time.perf_counter()
            answers[name] = way(n)
            times[name].append((time.perf_counter() - started) / n)
            print(f"{name}: {1000 * times[name][-1]:.1f} ms per picture", file=sys.stderr, flush=True)
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    own, other = (answers[name][: min(n_ours, n_theirs)] for name in ("ours", "theirs"))
    return {
        "pictures": {"ours": n_ours, "theirs": n_theirs},
        "ms_per_picture": {name: 1000 * value for name, value in seconds.items()},
        "ratio": seconds["theirs"] / seconds["ours"],
        "ratio_of_each_round": [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)],
        "largest_difference": float(np.abs(own - other).max() / np.abs(other).max()),
    }


def judge(goals: Mapping[str, float], compared: Mapping[str, Mapping]) -> dict[str, dict]:
    """Whether each goal, a ratio of :func:`compare` to reach, is met: name -> goal, ratio, met."""
    ratios = {name: compared[name]["ratio"] for name in goals}
    return {name: {"goal": goal, "ratio": ratios[name], "met": ratios[name] >= goal} for name, goal in goals.items()}


def judge_growth(most_kib: int, grown_kib: int) -> dict:
    """Whether memory grew by no more than it may."""
    return {"most_kib": most_kib, "grown_kib": grown_kib, "met": grown_kib <= most_kib}


def missed(judged: Mapping[str, Mapping]) -> str:
    """The goals that are not met in words; empty where all are."""
    short = {name: one for name, one in judged.items() if not one["met"]}
    return f"Goals missed: {'; '.join(_short_of(*one) for one in short.items())}." if short else ""


def _short_of(name: str, one: Mapping) -> str:
    if "grown_kib" in one:
        return f"{name} {one['grown_kib']:,} KiB more, not {one['most_kib']:,} at most"
    return f"{name} {one['ratio']:.3g} times as fast, not {one['goal']:g}"
