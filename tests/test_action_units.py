"""Prototypes of expressions and how far maps agree with them, on values worked out by hand."""

import re

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


# Units, and what each part of the face has of them; by hand from FACS, see action_units.SOURCES.
PROTOTYPES = {
    "happy": ("6 + 12", {"mouth": 1 / 2, "cheeks": 1 / 4, "eyes": 1 / 4}),
    "sad": ("1 + 4 + 15", {"forehead": 1 / 3, "brows": 1 / 3, "mouth": 1 / 3}),
    "surprise": ("1 + 2 + 5 + 26", {"forehead": 1 / 4, "brows": 1 / 4, "eyes": 1 / 4, "chin": 1 / 4}),
    "fear": (
        "1 + 2 + 4 + 5 + 20 + 26",
        {"forehead": 1 / 4, "brows": 1 / 4, "eyes": 1 / 6, "mouth": 1 / 6, "chin": 1 / 6},
    ),
    "angry": ("4 + 5 + 7 + 23/24", {"forehead": 1 / 8, "brows": 1 / 8, "eyes": 1 / 2, "mouth": 1 / 4}),
    "disgust": ("9/10 + 15 + 16/17", {"nose": 1 / 6, "upper_lip": 1 / 6, "mouth": 1 / 2, "chin": 1 / 6}),
}
UNITS = {
    "forehead": {1, 2, 4},
    "brows": {1, 2, 4},
    "eyes": {5, 6, 7},
    "cheeks": {6},
    "nose": {9},
    "upper_lip": {10},
    "mouth": {12, 15, 16, 20, 23, 24, 25},
    "chin": {17, 26, 27},
}


@pytest.mark.parametrize("expression", PROTOTYPES)
def test_units_of_an_expression_share_its_weight(expression):
    units, expected = PROTOTYPES[expression]
    weights = au.prototype(expression)
    assert au.words(expression) == units
    assert {name: weight for name, weight in weights.items() if weight} == pytest.approx(expected)


def test_each_expression_has_a_source():
    assert list(au.SOURCES) == list(au.PROTOTYPES) == list(PROTOTYPES)
    for expression, slots in au.PROTOTYPES.items():
        named = set(re.findall(r"\b\d{1,2}\b", au.SOURCES[expression]))
        assert {str(unit) for slot in slots for unit in np.atleast_1d(slot)} <= named


@pytest.mark.parametrize("region", regions.REGIONS)
def test_each_part_shows_its_units(region):
    assert {unit for unit, one in au.ACTION_UNITS.items() if region in one.regions} == UNITS[region]


@pytest.mark.parametrize("expression", au.PROTOTYPES)
def test_prototypes_add_up_to_one(expression):
    assert sum(au.prototype(expression).values()) == pytest.approx(1.0)


def test_neutral_has_no_prototype():
    assert au.prototype("neutral") is None
    assert au.words("neutral") == ""


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


@pytest.mark.parametrize("expression", au.PROTOTYPES)
def test_a_map_with_the_prototypes_shares_is_weaker_where_a_part_is_large(expression):
    """Shares w spread over areas a: w / a per pixel against w, so 1 only where all parts are equally large."""
    owners = au.region_indices(POINTS, SHAPE)
    weights, sizes = np.array([*au.prototype(expression).values()]), np.bincount(owners[owners >= 0], minlength=8)
    values = np.array([*weights / sizes, 0.0])[owners]
    assert au.shares_in(values, owners)[0, :8] == pytest.approx(weights)
    cosine = au.scores_in(values, owners, [expression])[0, list(au.SCORES).index("cosine")]
    assert cosine == pytest.approx(
        1 / np.sqrt((weights**2 / sizes).sum() * (weights**2 * sizes).sum()) * (weights**2).sum()
    )
    assert 0.9 < cosine < 1
    assert "large parts count for more" in au.SCORES["cosine"]


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
