"""Which pass of a training is kept."""

import pytest

from fer_core.passes import best_pass, kept_pass

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
