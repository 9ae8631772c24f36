"""What training with a mask gains per class, against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from fer_core import metrics
from fer_core.explain import mask_gains, mask_numbers
from fer_core.predictions import Predictions

CLASSES = ("angry", "happy", "sad")
Y_TRUE = np.array([0] * 10 + [1] * 20)  # nobody is sad
TESTED = np.where(np.arange(30) < 14, Y_TRUE, 2)  # all angry ones and 4 of the happy ones are right, others read as sad
TRAINED = TESTED.copy()
TRAINED[:2] = 1  # two angry ones are lost
TRAINED[14:24] = 1  # ten happy ones are won
TRAINED[24:26] = 0  # two change from wrong to wrong


def answers(y_pred, order=slice(None)):
    ids = np.array([f"p{index:02}" for index in range(30)])
    return Predictions(ids[order], Y_TRUE[order], np.eye(3)[y_pred][order] * 0.7 + 0.1, CLASSES)


@pytest.fixture
def found():
    return mask_gains.class_gains(answers(TRAINED), answers(TESTED, slice(None, None, -1))).set_index("class")


def test_gains_and_flips_of_each_class(found):
    assert found["n"].to_dict() == {"all": 30, "angry": 10, "happy": 20, "sad": 0}
    expected = {"all": 8 / 30, "angry": -0.2, "happy": 0.5, "sad": np.nan}
    assert found["gain"].to_dict() == pytest.approx(expected, nan_ok=True)
    assert found["flip_rate"].to_dict() == pytest.approx(
        {"all": 14 / 30, "angry": 0.2, "happy": 12 / 20, "sad": np.nan}, nan_ok=True
    )
    assert found["to_right"].to_dict() == {"all": 10, "angry": 0, "happy": 10, "sad": 0}
    assert found["to_wrong"].to_dict() == {"all": 2, "angry": 2, "happy": 0, "sad": 0}
    for one in ("angry", "happy"):
        recalls = [metrics.recall(answers(y_pred))[CLASSES.index(one)] for y_pred in (TRAINED, TESTED)]
        assert found.loc[one, "gain"] == pytest.approx(recalls[0] - recalls[1])


def test_intervals_are_those_of_paired_resamples(found):
    over_all = mask_numbers.gains(answers(TRAINED), answers(TESTED))
    assert found.loc["all", ["gain", "gain_low", "gain_high"]].tolist() == pytest.approx(list(over_all.values())[:3])
    drawn = metrics.resamples(30, 1000)  # weights (30, 1000)
    happy = Y_TRUE == 1
    for column, change in {"gain": happy & (np.arange(30) < 24) & (np.arange(30) >= 14), "flip_rate": None}.items():
        change = happy & (TRAINED != TESTED) if change is None else change
        low, high = np.percentile(change @ drawn / (happy @ drawn), [2.5, 97.5])
        assert found.loc["happy", [f"{column}_low", f"{column}_high"]].tolist() == pytest.approx([low, high])
    assert found.loc["sad", mask_numbers.interval_columns("gain")].isna().all()


def test_the_same_answers_change_nothing():
    same = mask_gains.class_gains(answers(TESTED), answers(TESTED)).set_index("class").drop(columns="n")
    assert not same.loc[["all", "happy"]].to_numpy().any()
    assert same.loc["angry"].isna().to_dict() == {column: column.endswith(("_low", "_high")) for column in same}, "few"


def test_only_masks_that_a_run_was_trained_with_have_rows():
    assert mask_gains.gain_rows(None, {}).empty
    assert isinstance(mask_gains.gain_rows(None, {}), pd.DataFrame)
