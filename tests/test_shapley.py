"""Shapley values against games worked out by hand, and on classifiers whose needs are known."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest

from fer_core import masks, regions
from fer_core.errors import ConfigError
from fer_core.explain import shapley

CORNERS = {
    name: np.kron(np.eye(4, dtype=bool)[place].reshape(2, 2), np.ones((8, 8), bool))
    for place, name in enumerate(("nw", "ne", "sw", "se"))
}


class CornerReader:
    """Three classes. ``angry`` = 0.1 + 0.4 nw + 0.3 (ne and sw) of black or white corners, ``happy`` the rest."""

    class_names = ("angry", "happy", "sad")

    def __init__(self):
        self.calls = []

    def predict_proba(self, images):
        self.calls.append(len(images))
        pixels = images if images.ndim == 3 else images.mean(axis=3)
        nw, ne, sw = (pixels[:, CORNERS[name]].mean(axis=1) / 255 for name in ("nw", "ne", "sw"))
        angry = 0.1 + 0.4 * nw + 0.3 * np.minimum(ne, sw)
        return np.stack([angry, 1 - angry, 0 * angry], axis=1).astype(np.float32)


@pytest.fixture
def white():
    return np.full((16, 16), 255, np.uint8)


def game(n, worth):
    """Worths of all coalitions, in the library's order."""
    return np.array([worth({i for i in range(n) if s >> i & 1}) for s in range(2**n)], float)


# Games


def test_coalitions_of_two_in_order():
    assert shapley.coalitions(2).tolist() == [[False, False], [True, False], [False, True], [True, True]]


def test_glove_game():
    """Player 0 has a left glove, 1 and 2 a right one each: 4/6, 1/6, 1/6 (the textbook's answer)."""
    worths = game(3, lambda who: float(0 in who and len(who) > 1))
    assert shapley.shapley_values(worths) == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    index = shapley.interaction_index(worths)
    # by hand: I(0,1) = 1/2 ([v01 - v0 - v1 + v] + [v012 - v02 - v12 + v2]) = 1/2 (1 + 0)
    assert index[0, 1] == index[1, 0] == index[0, 2] == pytest.approx(0.5)
    # I(1,2) = 1/2 ([v12 - v1 - v2 + v] + [v012 - v01 - v02 + v0]) = 1/2 (0 - 1): one glove stands in for the other
    assert index[1, 2] == pytest.approx(-0.5)
    assert not index.diagonal().any()


def test_airport_game_shares_each_stretch_of_runway_among_those_who_need_it():
    """Costs 1, 2, 3 (Littlechild & Owen 1973): 1/3, 1/3 + 1/2, 1/3 + 1/2 + 1."""
    worths = game(3, lambda who: float(max([0, *(i + 1 for i in who)])))
    assert shapley.shapley_values(worths) == pytest.approx([1 / 3, 5 / 6, 11 / 6])


def test_majority_and_unanimity():
    majority = game(5, lambda who: float(len(who) >= 3))
    assert shapley.shapley_values(majority) == pytest.approx([0.2] * 5)
    pair = game(4, lambda who: float({1, 3} <= who))
    assert shapley.shapley_values(pair) == pytest.approx([0, 0.5, 0, 0.5])
    index = shapley.interaction_index(pair)
    expected = np.zeros((4, 4))
    expected[1, 3] = expected[3, 1] = 1
    assert index == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_axioms_on_a_random_game_and_the_definition_over_orders(n):
    worths = np.random.default_rng(n).random((2**n, 3))
    values = shapley.shapley_values(worths)
    assert values.shape == (n, 3)
    assert values.sum(axis=0) == pytest.approx(worths[-1] - worths[0], abs=1e-12)
    if n == 5:
        for player in range(n):
            others = [i for i in range(n) if i != player]
            mean = np.mean(
                [
                    np.mean(
                        [
                            worths[sum(1 << i for i in who) | 1 << player] - worths[sum(1 << i for i in who)]
                            for who in combinations(others, k)
                        ],
                        axis=0,
                    )
                    for k in range(n)
                ],
                axis=0,
            )  # each size of coalition counts alike
            assert values[player] == pytest.approx(mean)


def test_an_additive_game_has_no_interactions():
    own = np.array([0.3, -0.2, 0.0, 0.7])
    worths = shapley.coalitions(4) @ own + 0.1
    assert shapley.shapley_values(worths) == pytest.approx(own)
    assert shapley.interaction_index(worths) == pytest.approx(np.zeros((4, 4)), abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 3, 12])
def test_worths_of_no_full_set_of_coalitions_are_refused(n):
    with pytest.raises(ConfigError, match="coalitions"):
        shapley.shapley_values(np.zeros(n))


# Pictures


def test_corner_reader_by_hand(white):
    found = shapley.explain(CornerReader(), white, CORNERS, fill="zero")
    assert found.players == ("nw", "ne", "sw", "se")
    assert found.full == pytest.approx([0.8, 0.2, 0])
    assert found.empty == pytest.approx([0.1, 0.9, 0])
    assert found.values[:, 0] == pytest.approx([0.4, 0.15, 0.15, 0], abs=1e-6)
    assert found.values[:, 1] == pytest.approx(-found.values[:, 0], abs=1e-6)
    assert found.values[3].tolist() == [0, 0, 0]  # the dummy, exactly
    assert found.values[1].tolist() == found.values[2].tolist()  # symmetry, exactly
    assert found.values.sum(axis=0) == pytest.approx(found.full - found.empty, abs=1e-12)
    assert found.interactions[1, 2, 0] == pytest.approx(0.3, abs=1e-6)
    others = found.interactions[..., 0].copy()
    others[[1, 2], [2, 1]] = 0
    assert others == pytest.approx(np.zeros((4, 4)), abs=1e-6)
    assert found.areas.tolist() == [0.25] * 4
    assert found.predicted == "angry"


@pytest.mark.parametrize("fill", list(masks.FILLS))
def test_axioms_hold_for_every_fill(fill):
    """What hides a corner must not depend on which others are hidden, or hiding one that is not read would count."""
    rng, image = np.random.default_rng(3), np.zeros((16, 16), np.uint8)
    for name, top in {"nw": 250, "ne": 120, "se": 30}.items():
        image[CORNERS[name]] = rng.integers(top // 2, top, 64)
    image[CORNERS["sw"]] = image[CORNERS["ne"]]
    found = shapley.explain(CornerReader(), image, CORNERS, fill=fill)
    assert found.values[3].tolist() == [0, 0, 0]  # the dummy, exactly
    assert not found.interactions[3].any()
    assert found.values.sum(axis=0) == pytest.approx(found.full - found.empty, abs=1e-12)
    hidden = masks.apply(image, np.ones((16, 16), bool), fill, whole=True)
    lost = 0.4 * (image[CORNERS["nw"]].mean() - hidden[CORNERS["nw"]].mean()) / 255
    assert found.values[0, 0] == pytest.approx(lost, abs=1e-6)  # nw counts by itself, whatever else is hidden
    if fill in ("zero", "mean"):  # the others hide ne and sw differently
        assert found.values[1].tolist() == found.values[2].tolist()  # symmetry, exactly


def test_the_region_that_is_read_is_worth_everything(white):
    """A hand-built reader of one region of a face: the others are worth exactly nothing."""
    parts = regions.region_masks(regions.CANONICAL, (48, 48))

    class Mouth:
        class_names = ("a", "b")

        def predict_proba(self, images):
            share = images[:, parts["mouth"]].mean(axis=1) / 255
            return np.stack([share, 1 - share], axis=1).astype(np.float32)

    found = shapley.explain(Mouth(), np.full((48, 48), 255, np.uint8), parts, fill="zero")
    assert found.values[list(parts).index("mouth"), 0] == pytest.approx(1)
    assert np.delete(found.values, list(parts).index("mouth"), axis=0).tolist() == [[0, 0]] * 7
    assert not found.interactions.any()


def test_all_coalitions_in_one_call_and_large_pictures_in_several(white, monkeypatch):
    reader = CornerReader()
    whole = shapley.explain(reader, white, CORNERS, fill="zero")
    assert reader.calls == [16]
    monkeypatch.setattr(shapley, "CHUNK_VALUES", 5 * white.size)
    reader.calls.clear()
    parts = shapley.explain(reader, white, CORNERS, fill="zero")
    assert reader.calls == [5, 5, 5, 1]
    assert np.array_equal(whole.values, parts.values)


def test_hidden_players_show_the_fill_and_visible_ones_the_picture():
    seen = []

    class Spy(CornerReader):
        def predict_proba(self, images):
            seen.append(images.copy())
            return super().predict_proba(images)

    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    before = image.copy()
    shapley.explain(Spy(), image, {name: CORNERS[name] for name in ("nw", "se")}, fill="noise")
    hidden = [masks.combine([CORNERS["nw"], CORNERS["se"]]), CORNERS["se"], CORNERS["nw"], CORNERS["nw"] & False]
    assert np.array_equal(np.concatenate(seen), masks.apply(image, np.stack(hidden), "noise"))
    assert np.array_equal(image, before)


def test_rest_can_play_too(white):
    some = {name: CORNERS[name] for name in ("ne", "se")}
    without = shapley.explain(CornerReader(), white, some, fill="zero")
    assert without.empty[0] == pytest.approx(0.5)  # nw stays visible
    found = shapley.explain(CornerReader(), white, some, fill="zero", rest=True)
    assert found.players == ("ne", "se", "rest")
    assert found.values[:, 0] == pytest.approx([0.15, 0, 0.55], abs=1e-6)
    assert found.empty[0] == pytest.approx(0.1)
    assert found.areas.tolist() == [0.25, 0.25, 0.5]


def test_region_out_of_the_picture_is_a_dummy(white):
    found = shapley.explain(CornerReader(), white, CORNERS | {"gone": np.zeros((16, 16), bool)}, fill="zero")
    assert found.values[4].tolist() == [0, 0, 0]
    assert found.values[:4, 0] == pytest.approx([0.4, 0.15, 0.15, 0], abs=1e-6)
    assert (shapley.frame({"a": found}).set_index("region").loc["gone", ["area", "value"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "1 to 10"),
        ({str(i): np.eye(16, dtype=bool) & (np.arange(16) == i) for i in range(11)}, "1 to 10"),
        ({"nw": CORNERS["nw"], "all": np.ones((16, 16), bool)}, "overlap"),
        ({"nw": np.ones((8, 8), bool)}, "do not fit"),
    ],
)
def test_what_is_no_set_of_players_is_refused(given, words, white):
    with pytest.raises(ConfigError, match=words):
        shapley.explain(CornerReader(), white, given)


def test_tables_by_hand(white):
    found = {"net": shapley.explain(CornerReader(), white, CORNERS, fill="zero")}
    table = shapley.frame(found)
    assert len(table) == 12
    row = table[(table["class"] == "angry") & (table["region"] == "nw")].iloc[0]
    assert row[["value", "full", "empty", "area"]].tolist() == pytest.approx([0.4, 0.8, 0.1, 0.25])
    assert row[["control", "control_low", "control_high"]].isna().all()
    pairs = shapley.pair_frame(found)
    assert len(pairs) == 18
    assert pairs["control"].isna().all()
    strongest = pairs[pairs["class"] == "angry"].set_index(["region", "other"])["interaction"]
    assert strongest["ne", "sw"] == pytest.approx(0.3)
    assert shapley.strongest_pairs(found["net"], "angry") == [("ne", "sw", pytest.approx(0.3))]
    assert shapley.strongest_pairs(found["net"], "sad") == []


def test_controls_are_the_same_shapes_elsewhere(white):
    """The reader's three corners lie in a picture of 16 x 16; whatever is hidden of them counts by its share."""
    reader, seeds = CornerReader(), range(4)
    moved = shapley.controls(reader, white, CORNERS, seeds, fill="zero")
    assert len(moved) == 4
    for seed, found in zip(seeds, moved, strict=True):
        down, right = np.random.default_rng(seed).integers(0, (16, 16))
        rolled = {name: np.roll(np.roll(mask, down, 0), right, 1) for name, mask in CORNERS.items()}
        assert found.areas.tolist() == [0.25] * 4
        assert np.array_equal(found.values, shapley.explain(reader, white, rolled, fill="zero").values)
    table = shapley.frame({"net": shapley.explain(reader, white, CORNERS, fill="zero")}, {"net": moved})
    row = table[(table["class"] == "angry") & (table["region"] == "nw")].iloc[0]
    values = [found.values[0, 0] for found in moved]
    expected = [np.mean(values), min(values), max(values)]
    assert row[["control", "control_low", "control_high"]].tolist() == pytest.approx(expected)
    pairs = shapley.pair_frame({"net": shapley.explain(reader, white, CORNERS, fill="zero")}, {"net": moved})
    row = pairs[pairs["class"] == "angry"].set_index(["region", "other"]).loc[("ne", "sw")]
    places = list(CORNERS).index("ne"), list(CORNERS).index("sw")
    values = [found.interactions[*places, 0] for found in moved]
    assert row.tolist()[2:] == pytest.approx([0.3, np.mean(values), min(values), max(values)])


def test_words_by_hand(white):
    found = shapley.explain(CornerReader(), white, CORNERS, fill="zero")
    first, second = shapley.words(found, "angry", {"nw": "Brow", "ne": "Left eye"})
    assert first == (
        "**angry** has 80.0 %, and 10.0 % with all 4 parts hidden: together they are worth 70 points. "
        "The largest shares: brow (40 points), left eye (15 points) and sw (15 points)."
    )
    assert second == "Left eye and sw are worth 30 points more together than apart."
    same = dataclasses.replace(found, values=np.zeros_like(found.values), interactions=0 * found.interactions)
    (said,) = shapley.words(same, "angry", {})
    assert said.endswith("Hiding them changes nothing: no part is worth anything to this model.")
    other = shapley.words(found, "happy", {})
    assert "worth -70 points" in other[0]
    assert other[1] == "ne and sw stand in for each other: 30 points less together than apart."
