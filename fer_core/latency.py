"""How long a classifier takes for one face, as the app asks it."""

import statistics
import time

import numpy as np

from fer_core.predictions import Classifier

WARM_UP, CALLS = 5, 50


def latency_ms(classifier: Classifier, side: int = 48, calls: int = CALLS) -> float:
    """Median time in milliseconds of ``predict_proba`` on one grey face of ``side`` pixels, after a warm-up."""
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (calls, 1, side, side), dtype=np.uint8)
    for face in faces[:WARM_UP]:
        classifier.predict_proba(face)
    times = []
    for face in faces:
        started = time.perf_counter()
        classifier.predict_proba(face)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
