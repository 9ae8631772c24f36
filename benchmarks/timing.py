"""What the benchmarks share: two ways of doing the same timed in turn, and the stored run that they ask."""

import sys
import time
from collections.abc import Callable
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
    """Median seconds per picture of both, in turn after a warm-up, their ratio, and the largest difference."""
    first, other = ours(1), theirs(1)
    ours(n_ours)  # kernels for its batches
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for name, way, n in (("ours", ours, n_ours), ("theirs", theirs, n_theirs)):
            started = time.perf_counter()
            way(n)
            times[name].append((time.perf_counter() - started) / n)
            print(f"{name}: {1000 * times[name][-1]:.1f} ms per picture", file=sys.stderr, flush=True)
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    return {
        "pictures": {"ours": n_ours, "theirs": n_theirs},
        "ms_per_picture": {name: 1000 * value for name, value in seconds.items()},
        "ratio": seconds["theirs"] / seconds["ours"],
        "ratio_of_each_round": [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)],
        "largest_difference": float(np.abs(first - other).max() / np.abs(other).max()),
    }
