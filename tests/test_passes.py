"""Which pass of a training is kept, and when patience ends it."""

import itertools

import numpy as np
import pytest

from fer_core.passes import best_pass, kept_pass
from fer_core.training.config import TrainConfig
from fer_core.training.engine import _out_of_patience

ROWS = [
    {"size": size, "val_accuracy": accuracy, "val_loss": loss}
    for size, accuracy, loss in [(24, 0.9, 0.1), (48, 0.3, 0.7), (48, 0.4, 0.9), (48, 0.4, 0.6), (48, 0.2, 0.8)]
]


def test_the_pass_that_is_kept_is_one_of_the_size_that_is_served():
    assert [best_pass(ROWS[:n], "val_accuracy") for n in range(1, 6)] == [0, 1, 2, 2, 2], "the first of equals"


@pytest.mark.parametrize(
    ("select", "monitor", "kept"), [("best", "val_accuracy", 2), ("best", "val_loss", 3), ("last", "val_loss", 4)]
)
def test_the_last_pass_is_kept_where_that_is_asked_for(select, monitor, kept):
    assert kept_pass(ROWS, select, monitor) == kept


@pytest.mark.parametrize(
    ("scores", "small", "ended"),
    [([0.5, 0.4, 0.4], 0, True), ([0.5, 0.5, 0.4], 0, True), ([0.5, 0.4, 0.6], 0, False), ([0.5, 0.4, 0.3], 1, False)],
)
def test_patience_counts_from_the_epoch_that_is_kept(scores, small, ended):
    """Of equal epochs the first one is kept, and none of the ``small`` ones that were trained at another size."""
    rows = [{"val_accuracy": score, "val_loss": 1 - score} for score in scores]
    rows = [row | {"size": 32 if at < small else 48} for at, row in enumerate(rows)]
    for monitor in ("val_accuracy", "val_loss"):
        assert _out_of_patience(rows, TrainConfig(patience=2, monitor=monitor)) is ended


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_loss"])
def test_min_delta_is_that_of_keras_early_stopping(monitor):
    """Slow climbs too, which count as improvement only once they add up to it."""
    import keras

    rng = np.random.default_rng(0)
    ended = set()
    for climb in (0.0, 0.004, 0.008, 0.02):
        scores = np.round(0.4 + climb * np.arange(14) + rng.normal(0, 0.004, 14), 3)
        rows = [{"val_accuracy": score, "val_loss": 1 - score, "size": 48} for score in scores]
        for min_delta, patience in itertools.product((0.0, 0.01, 0.03), (1, 3)):
            mode = {"val_accuracy": "max", "val_loss": "min"}[monitor]
            callback = keras.callbacks.EarlyStopping(monitor, min_delta, patience, mode=mode)
            callback.set_model(keras.Model())
            callback.model.stop_training = False  # as fit does
            callback.on_train_begin()
            config = TrainConfig(patience=patience, min_delta=min_delta, monitor=monitor)
            for epoch, row in enumerate(rows):
                callback.on_epoch_end(epoch, row)
                stops = _out_of_patience(rows[: epoch + 1], config)
                assert stops == callback.model.stop_training, (climb, min_delta, patience, epoch)
                if stops:
                    break
            ended.add(epoch)
    assert len(ended) > 4, "some stop early, some late, some never"


def test_patience_waits_for_the_last_size():
    """Weights that never saw it would be served at it."""
    config = TrainConfig(epochs=10, patience=2, sizes=[[32, 6], [44, 4]])
    rows = [{"size": 32, "val_accuracy": value, "val_loss": 1.0} for value in (0.4, 0.3, 0.3, 0.3, 0.3, 0.3)]
    assert not any(_out_of_patience(rows[:count], config) for count in range(1, 7))
    rows += [{"size": 44, "val_accuracy": value, "val_loss": 1.0} for value in (0.35, 0.3, 0.3)]
    assert [_out_of_patience(rows[:count], config) for count in (7, 8, 9)] == [False, False, True]
