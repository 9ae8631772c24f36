"""What the training loop works on, whether it trains a whole network or a head on features computed once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fer_core.datasets.split import Split
from fer_core.errors import ModelError
from fer_core.training.batches import Batch

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Progress:
    """Where a training stands: ``epoch`` (from 1) of ``epochs``, ``step`` of ``steps``, and the last history row.

    ``what`` names what is done before the first epoch or after the last one, else it is empty; ``steps`` is 0 where
    nobody knows how much of that there is. A training without epochs is done in ``stages``, of which this is ``stage``
    (from 1); both are 0 elsewhere.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    logs: dict
    what: str = ""
    stage: int = 0
    stages: int = 0


def staged(stages: Sequence[str], on_progress: Callable[[Progress], None]) -> Callable[[str, int, int], None]:
    """(one of ``stages``, done, total) of a training without epochs told to ``on_progress``; 0 of 0 is not counted."""

    def tell(stage: str, done: int, total: int) -> None:
        on_progress(Progress(1, 1, done, total, {}, stage, stages.index(stage) + 1, len(stages)))

    return tell


def reporter(
    what: str, epochs: int, on_progress: Callable[[Progress], None], last: dict | None = None
) -> Callable[[int, int], None]:
    """(done, total) of ``what`` told to ``on_progress``: before the first epoch, or after that of the row ``last``."""
    epoch, logs = (int(last["epoch"]), last) if last else (1, {})
    return lambda done, total: on_progress(Progress(epoch, epochs, done, total, logs, what))


@dataclass(frozen=True)
class Task:
    """A network and what it is fitted to and judged on.

    Attributes:
        network: what is trained.
        batches: epoch (from 0) -> its batches.
        watched: epoch -> inputs float32 (N, ...), part after part, and labels int64 (N,) that it is judged on.
        size_at: epoch -> side of its pictures in pixels.
        serving_weights: weights of ``network`` -> weights of the network that is kept.
        seen: inputs of all training pictures, in parts, and their labels, where they are at hand, to measure what was
            learnt.
        features_s: seconds that features took that are computed once, whoever computed them; None where nobody knows.
        pictures: the training split that ``batches`` are made of, and their channels; None for features.
    """

    network: "keras.Model"
    batches: Callable[[int], Iterator[Batch]]
    watched: Callable[[int], tuple[Iterable[np.ndarray], np.ndarray]]
    size_at: Callable[[int], int]
    serving_weights: Callable[[list[np.ndarray]], list[np.ndarray]]
    seen: tuple[Iterable[np.ndarray], np.ndarray] | None = None
    features_s: float | None = None
    pictures: tuple[Split, int] | None = None


class LossError(ModelError):
    """The loss became no number: the same training would end there again."""


def check_loss(loss: float, epoch: int) -> None:
    """Raise LossError where ``loss`` of ``epoch`` (from 0) is no number."""
    if not np.isfinite(loss):
        raise LossError(
            f"The loss became {loss} in epoch {epoch + 1}.",
            "Train again with --fresh and a lower --learning-rate, or more warm-up.",
        )
