"""Prototypes of expressions and how far maps agree with them, on values worked out by hand."""

import numpy as np
import pytest

from fer_core import regions
from fer_core.errors import ConfigError
from fer_core.explain import action_units as au
from fer_core.labels import CLASS_NAMES

SHAPE = (48, 48)
POINTS = regions.CANONICAL[None]


def only(*names):
    """A map that is 1 in the named regions and 0 elsewhere."""
    masks = regions.region_masks(regions.CANONICAL, SHAPE)
    return np.logical_or.reduce([masks[name] for name in names]).astype(np.float32)[None]


def test_prototypes_name_known_expressions_units_and_regions():
    assert set(au.PROTOTYPES) == set(CLASS_NAMES) - {"neutral"}
    units = {unit for slots in au.PROTOTYPES.values() for slot in slots for unit in np.atleast_1d(slot).tolist()}
    assert units <= set(au.ACTION_UNITS)
    assert {region for unit in au.ACTION_UNITS.values() for region in unit.regions} == set(regions.REGIONS)


def test_prototype_of_happy_is_half_mouth_and_a_quarter_each_of_cheeks_and_eyes():
    weights = au.prototype("happy")
    assert {name: weight for name, weight in weights.items() if weight} == {"mouth": 0.5, "cheeks": 0.25, "eyes": 0.25}


def test_alternatives_share_one_unit():
    weights = au.prototype("disgust")  # 9/10 + 15 + 16/17
    expected = {"nose": 1 / 6, "upper_lip": 1 / 6, "mouth": 1 / 3 + 1 / 6, "chin": 1 / 6}
    assert {name: weight for name, weight in weights.items() if weight} == pytest.approx(expected)


@pytest.mark.parametrize("expression", au.PROTOTYPES)
def test_prototypes_add_up_to_one(expression):
    assert sum(au.prototype(expression).values()) == pytest.approx(1.0)


def test_neutral_has_no_prototype():
    assert au.prototype("neutral") is None
    assert au.words("neutral") == ""
    assert au.words("angry") == "4 + 5 + 7 + 23/24"


def test_shares_follow_the_regions():
    both = only("mouth") + 0.5 * only("chin")
    areas = {name: mask.sum() for name, mask in regions.region_masks(regions.CANONICAL, SHAPE).items()}
    total = areas["mouth"] + 0.5 * areas["chin"]
    found = dict(zip(regions.PLACES, au.shares(both, POINTS)[0], strict=True))
    assert found["mouth"] == pytest.approx(areas["mouth"] / total)
    assert found["chin"] == pytest.approx(0.5 * areas["chin"] / total)
    assert found["eyes"] == found["elsewhere"] == 0


def test_shares_follow_the_face_not_the_frame():
    moved = regions.CANONICAL * 0.5 + [0.5, 0.0]  # a face of half the size in the upper right quarter
    corner = np.zeros((1, *SHAPE), np.float32)
    corner[0, :24, :24] = 1.0
    assert dict(zip(regions.PLACES, au.shares(corner, moved[None])[0], strict=True))["elsewhere"] > 0.99


def test_an_even_map_has_each_region_by_its_area():
    owners = au.region_indices(POINTS, SHAPE)
    areas = au.areas_in(owners)[0]
    expected = [mask.mean() for mask in regions.region_masks(regions.CANONICAL, SHAPE).values()]
    assert areas[:-1] == pytest.approx(expected)
    assert areas.sum() == pytest.approx(1.0)


def test_a_map_equal_to_the_prototype_scores_one():
    weights = au.prototype("surprise")
    masks = regions.region_masks(regions.CANONICAL, SHAPE)
    drawn = sum(weight * masks[name] for name, weight in weights.items())[None]
    scores = au.scores_in(drawn, au.region_indices(POINTS, SHAPE), ["surprise"])[0]
    assert scores == pytest.approx(np.ones(len(au.SCORES)))


def test_a_map_beside_the_prototype_scores_zero():
    beside = 1 - only("mouth", "cheeks", "eyes")
    scores = au.scores_in(beside, au.region_indices(POINTS, SHAPE), ["happy"])[0]
    assert scores == pytest.approx(np.zeros(len(au.SCORES)))


def test_scores_of_a_half_right_map_by_hand():
    """One strongest pixel in the mouth, as strong elsewhere: half the mass, half the pointing game."""
    owners = au.region_indices(POINTS, SHAPE)
    inside, outside = np.argwhere(owners[0] == regions.PLACES.index("mouth"))[0], np.argwhere(owners[0] == -1)[0]
    values = np.zeros((1, *SHAPE), np.float32)
    values[0, *inside] = values[0, *outside] = 1.0
    mass, pointing, _, cosine = au.scores_in(values, owners, ["happy"])[0]
    drawn = np.array([*au.prototype("happy").values(), 0.0])[owners[0]]
    assert (mass, pointing) == (0.5, 0.5)
    assert cosine == pytest.approx(0.5 / np.sqrt(2 * (drawn**2).sum()))


def test_an_even_map_scores_what_the_parts_cover():
    owners = au.region_indices(POINTS, SHAPE)
    covered = only("mouth", "cheeks", "eyes").mean()
    mass, pointing, iou, _ = au.scores_in(np.ones((1, *SHAPE), np.float32), owners, ["happy"])[0]
    assert (mass, pointing, iou) == pytest.approx((covered, covered, covered / (2 - covered)))


def test_neutral_and_empty_maps_have_no_score():
    owners = au.region_indices(np.repeat(POINTS, 2, axis=0), SHAPE)
    values = np.concatenate([only("mouth"), np.zeros((1, *SHAPE), np.float32)])
    assert np.isnan(au.scores_in(values, owners, ["neutral", "happy"])).all()
    assert np.isnan(au.shares_in(values, owners)[1]).all()


def test_maps_with_negative_values_are_refused():
    with pytest.raises(ConfigError, match="negative"):
        au.shares(-only("mouth"), POINTS)
