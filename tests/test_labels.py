"""Class names are mapped by name, never by position."""

import numpy as np
import pytest

from fer_core import labels
from fer_core.errors import DatasetError


def test_the_order_is_that_of_fer2013_codes():
    assert labels.CLASS_NAMES == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert [labels.FER2013_CODES[code] for code in range(7)] == list(labels.CLASS_NAMES)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Anger", "angry"), (" HAPPINESS ", "happy"), ("fearful", "fear"), ("Suprise", "surprise"), ("sad", "sad")],
)
def test_usual_variants(name, meant):
    assert labels.canonical_name(name) == meant
    assert labels.is_class_name(name)


@pytest.mark.parametrize("name", ["contempt", "", "happ", "3", None])
def test_unknown_names_are_errors_that_list_the_known_ones(name):
    assert not labels.is_class_name(name)
    with pytest.raises(DatasetError, match="Expected one of angry, disgust"):
        labels.canonical_name(name)


def test_every_alias_leads_to_a_class_and_hides_none():
    assert set(labels.ALIASES.values()) <= set(labels.CLASS_NAMES)
    assert not set(labels.ALIASES) & set(labels.CLASS_NAMES)


def test_indices_follow_the_given_order():
    order = ("neutral", "happy", "angry")
    found = labels.to_indices(["angry", "Happiness", "neutral", "anger"], order)
    assert found.dtype == np.int64
    assert found.tolist() == [2, 1, 0, 2]
    with pytest.raises(DatasetError, match=r"\['sad'\] are not among"):
        labels.to_indices(["sad"], order)
    assert labels.to_indices([]).shape == (0,)
