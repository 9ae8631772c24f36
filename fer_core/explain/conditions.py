"""What a classifier says of the same pictures under several conditions, each of which hides something else of them.

A condition has a name; :data:`WHOLE` hides nothing. Its answers are :class:`fer_core.predictions.Predictions`.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core import masks
from fer_core.datasets.split import Split
from fer_core.labels import to_indices
from fer_core.predictions import Classifier, Predictions
from fer_core.resumable import read_part, write_part

WHOLE = "none"
CHUNK = 256  # pictures per call of the classifier
ARRAYS = ("sample_ids", "y_true", "pred_probs", "class_names")
Report = Callable[[str, int, int], None]


def control_seed(seed: int, position: int) -> int:
    """Seed of the random mask of the picture at ``position`` in its split."""
    return (int(seed) << 32) + int(position)


def options_of(record: Mapping) -> str:
    """Options of the command that makes a study of hidden pixels as ``record`` says it was made.

    At least one random mask: studies without any are still read, but no longer made.
    """
    tta = "run" if "+" in record["tta"] else record["tta"]  # members of an ensemble may have different ones
    return f"--controls {max(len(record['control_seeds']), 1)} --tta {tta}"


def ask(
    classifier: Classifier,
    split: Split,
    names: Sequence[str],
    hidden: Callable[[str, slice], np.ndarray],
    *,
    fill: str,
    positions: np.ndarray,
    work: Path | None = None,
    report: Report = lambda what, done, total: None,
) -> tuple[dict[str, Predictions], float]:
    """Ask ``classifier`` about the pictures of ``split`` under every condition, a bounded batch at a time.

    Args:
        classifier: its classes are matched to the split's by name.
        names: of the conditions.
        hidden: condition and which of ``positions`` -> what it hides of these pictures, a mask of ``masks.apply``.
        fill: a key of ``masks.FILLS``.
        positions: of the pictures to take, int64 (M,).
        work: folder for finished conditions: the same call after a kill goes on there. The caller names it after all
            that the answers depend on, and removes it.
        report: called with the condition, pictures done and pictures in all.

    Returns:
        Condition -> predictions, with probabilities as :func:`compact_probs` leaves them; and the seconds it took,
        earlier sittings included.

    Raises:
        DatasetError: the split has a class that the classifier does not know.
    """
    known = to_indices(split.class_names, classifier.class_names)
    sample_ids, y_true = split.sample_ids[positions], known[split.y_true[positions]]
    n, k = len(positions), len(classifier.class_names)
    found, seconds = {}, 0.0
    for place, name in enumerate(names):
        stored = read_part(work, name)
        if stored is None or stored["pred_probs"].shape != (n, k):
            started, probs = time.monotonic(), np.empty((n, k), np.float32)
            for start in range(0, n, CHUNK):
                some = slice(start, start + CHUNK)
                images = np.asarray(split.images[positions[some]])
                if name != WHOLE:
                    images = masks.apply(images, hidden(name, some), fill)
                probs[some] = classifier.predict_proba(images)
                report(name, place * n + min(start + CHUNK, n), len(names) * n)
            stored = {"pred_probs": compact_probs(probs), "seconds": np.float64(time.monotonic() - started)}
            write_part(work, name, stored)
        found[name] = Predictions(sample_ids, y_true, stored["pred_probs"], tuple(classifier.class_names))
        seconds += float(stored["seconds"])
        report(name, (place + 1) * n, len(names) * n)
    return found, seconds


def flow(whole: Predictions, masked: Predictions) -> pd.DataFrame:
    """Where all predictions go, changed or not: columns before, after (predicted classes), count (1 or more)."""
    names, counts = whole.class_names, flip_matrix(whole, masked)
    rows = [(names[a], names[b], int(counts[a, b])) for a, b in zip(*np.nonzero(counts), strict=True)]
    return pd.DataFrame(rows, columns=["before", "after", "count"])


def flip_matrix(whole: Predictions, masked: Predictions) -> np.ndarray:
    """Pictures by predicted class of the whole picture (rows) and of the masked one (columns): int64 (K, K)."""
    k = len(whole.class_names)
    return np.bincount(whole.y_pred * k + masked.y_pred, minlength=k * k).reshape(k, k)


def compact_probs(probs: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) in half precision, float16; rounding never changes which class is the most probable."""
    small = probs.astype(np.float16)
    rows, best = np.arange(len(probs)), probs.argmax(axis=1)
    tied = small.argmax(axis=1) != best
    small[rows[tied], best[tied]] = np.nextafter(small[tied].max(axis=1, initial=0), np.float16(2))
    return small


def to_arrays(predictions: Mapping[str, Predictions]) -> dict[str, np.ndarray]:
    """:data:`ARRAYS` of all conditions: ``pred_probs`` is float16 (conditions, N, K)."""
    whole = predictions[WHOLE]
    probs = np.stack([compact_probs(of_condition.pred_probs) for of_condition in predictions.values()])
    values = whole.sample_ids, whole.y_true, probs, np.array(whole.class_names)
    return dict(zip(ARRAYS, values, strict=True))


def from_arrays(names: Iterable[str], arrays: Mapping[str, np.ndarray]) -> dict[str, Predictions]:
    """Condition -> predictions: the way back of :func:`to_arrays`."""
    shared, classes = (arrays["sample_ids"], arrays["y_true"]), tuple(arrays["class_names"])
    answers = zip(names, arrays["pred_probs"], strict=True)
    return {name: Predictions(*shared, probs, classes) for name, probs in answers}
