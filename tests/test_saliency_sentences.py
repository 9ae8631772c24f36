"""What a saliency study says in sentences."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fer_core import regions
from fer_core.explain import saliency_numbers as numbers
from fer_core.explain import saliency_sentences as sentences
from fer_core.explain.action_units import SCORES
from tests.test_saliency_study import N, made


@pytest.fixture
def study(tmp_path):
    return made(tmp_path)


LIFTS = {1: (0.1, 0.2), 0: (-0.1, 0.1), -1: (-0.3, -0.2)}


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        (
            (1, 1, 1, 1),
            "more than an even map (40.0 %). The other scores agree (in brackets an even map's): above an even map "
            "pointing game 50.0 % (40.0 %), IoU 50.0 % (40.0 %) and cosine 50.0 % (40.0 %).",
        ),
        (
            (1, -1, 0, -1),
            "more than an even map (40.0 %). The other scores do not all agree (in brackets an even map's): no "
            "different from one IoU 50.0 % (40.0 %); below one pointing game 50.0 % (40.0 %) and cosine 50.0 % "
            "(40.0 %).",
        ),
        ((0, 0, 0, 1), "no more than an even map (40.0 %). The other scores do not all agree"),
        ((-1, -1, -1, -1), "less than an even map (40.0 %). The other scores agree"),
    ],
)
def test_the_verdict_tells_all_four_scores(study, signs, said):
    rows = [
        {
            "class": "all",
            "score": score,
            "n": 29,
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "even": 0.4,
            "lift": sum(ends) / 2,
        }
        | dict(zip(("lift_low", "lift_high"), ends, strict=True))
        for score, ends in zip(SCORES, (LIFTS[sign] for sign in signs), strict=True)
    ]
    assert said in " ".join(sentences.verdict(numbers.share_rows(study), pd.DataFrame(rows), numbers.lifts(study)))


@pytest.mark.parametrize(
    ("region", "said"), [("brows", "For their size the brows get most"), ("chin", "For its size the chin gets most")]
)
def test_the_sentence_agrees_with_the_region(study, region, said):
    shares = np.zeros(study.shares.shape)
    shares[:, regions.PLACES.index(region)] = 1
    made = dataclasses.replace(study, shares=shares, areas=np.full(study.areas.shape, 1 / 9))
    first, *_ = sentences.verdict(numbers.share_rows(made), numbers.score_rows(made), numbers.lifts(made))
    assert first.startswith(f"{said} of the map: 100.0 % of it")
    assert (
        sentences.verdict(numbers.share_rows(made), numbers.score_rows(made), numbers.lifts(made), (3, 3))[0] == first
    )


def test_the_strongest_part_of_each_expression_is_told_where_it_is_more_than_chance():
    rows = [
        ("happy", "mouth", 29, 3.0, 2.5),
        ("happy", "nose", 29, 1.0, 0.9),
        ("sad", "mouth", 29, 1.2, 1.1),
        ("angry", "brows", 29, 1.3, 0.8),
        ("fear", "mouth", 0, np.nan, np.nan),
        ("disgust", "nose", 2, 4.0, np.nan),
        ("angry", regions.ELSEWHERE, 29, 9.0, 9.0),
        ("neutral", "chin", 29, 1.7, 0.9),
        ("neutral", "nose", 29, 1.5, 1.1),
        ("neutral", "eyes", 29, 1.3, 1.2),
    ]
    shares = pd.DataFrame(rows, columns=["class", "region", "n", "lift", "lift_low"]).assign(area=0.05)
    told = (
        "Strongest for its size: the mouth for happy and sad; the chin for neutral by no more than chance, the nose "
        "and the eyes by more; no part by more than chance for angry; too few maps to say for disgust."
    )
    assert sentences.strongest_sentence(shares) == sentences.strongest_sentence(shares, (5, 5)) == told
    assert sentences.strongest_sentence(shares, (3, 3)) == told.replace("mouth", "mouth and what lies beside it")
    none = shares[shares["n"] == 0]
    assert sentences.strongest_sentence(none) == "No map of this study has any evidence in it."
    assert sentences.strongest_sentence(none, which=numbers.RIGHT).startswith("No rightly recognised picture of this")


def test_agreement_is_told_of_one_model_and_counted_over_several():
    def rows(value, low):
        row = {"score": "relevance_mass", "n": 29, "value": value, "low": 0.4, "high": 0.5, "even": 0.3}
        return pd.DataFrame([row | {"lift_low": low, "lift_high": 0.2}])

    one, other = rows(0.45, 0.1), rows(0.31, -0.1)
    assert sentences.agreement_sentence({"a": one}) == (
        "45.0 % [40.0 %, 50.0 %] of the map lies in the parts of the face that carry the expression by FACS: more "
        "than an even map (30.0 %)."
    )
    told = sentences.agreement_sentence({"b": other, "a": one})
    assert (
        told.startswith("1 of 2 models have more of their map")
        and "the most has a with 45.0 % [40.0 %, 50.0 %]" in told
    )


def test_few_pictures_have_no_interval_and_prove_nothing(study):
    few = dataclasses.replace(
        study, **{name: getattr(study, name)[:12] for name in ("shares", "areas", "scores", "even_scores")}
    )
    few = dataclasses.replace(few, y_true=study.y_true[:12], y_pred=study.y_pred[:12], sample_ids=study.sample_ids[:12])
    shares, scores = numbers.share_rows(few), numbers.score_rows(few)
    assert shares[["low", "high", "lift_low", "lift_high"]].isna().all(axis=None) and shares["share"].notna().all()
    assert numbers.lifts(few) is None
    assert sentences.verdict(shares, scores, None) == [
        "Maps with evidence: of 12 pictures only, too few to say where they lie."
    ]
    assert sentences.strongest_sentence(shares) == (
        "Strongest for its size: too few maps to say for happy, surprise and neutral."
    )
    mass = scores.set_index(["class", "score"]).loc[("all", "relevance_mass"), "value"]
    assert sentences.agreement_sentence({"a": scores[scores["class"] == "all"]}).startswith(
        f"{100 * mass:.1f} % (8 pictures, no interval) of the map lies"
    )


def test_a_region_smaller_than_a_cell_stands_with_its_neighbours(study):
    shares = np.zeros(study.shares.shape)
    shares[:, regions.PLACES.index("brows")] = 1
    made = dataclasses.replace(study, shares=shares, areas=np.full(study.areas.shape, 0.02))
    first, *_ = sentences.verdict(numbers.share_rows(made), numbers.score_rows(made), numbers.lifts(made), (5, 5))
    assert first.startswith(
        "For their size the brows and what lies beside them get most of the map (5 × 5 cells, each 4.0 % of the "
        "picture, do not tell them from their neighbours): 100.0 % of it on 2.0 % of the picture"
    )


def test_a_region_ahead_by_chance_is_said_to_be(study):
    place = {region: at for at, region in enumerate(regions.PLACES)}
    shares = np.zeros(study.shares.shape)
    shares[:, place["mouth"]], shares[:, place["nose"]] = 0.5, np.where(np.arange(N) % 2, 0.30, 0.69)
    areas = np.full(study.areas.shape, 1 / 9)
    made = dataclasses.replace(study, shares=shares, areas=areas)
    lifts = numbers.lifts(made)
    assert list(lifts.values)[:2] == ["mouth", "nose"] and lifts.tied == ("nose",)
    assert [lifts.values["mouth"].value, lifts.values["mouth"].high] == pytest.approx([4.5, 4.5])
    first, *_ = sentences.verdict(numbers.share_rows(made), numbers.score_rows(made), lifts)
    said = (
        "For its size the mouth gets most of the map, ahead of the nose by no more than chance: 50.0 % of it on 11.1 %"
    )
    assert first.startswith(said)
    shares[:, place["nose"]] -= 0.2
    assert numbers.lifts(dataclasses.replace(made, shares=shares)).decided
    shares[:] = np.nan
    empty = dataclasses.replace(made, shares=shares)
    assert numbers.lifts(empty) is None
    assert sentences.verdict(numbers.share_rows(empty), numbers.score_rows(empty), None) == [
        "No map of this study has any evidence in it."
    ]


def test_a_study_of_which_nothing_is_recognised_does_not_say_that_its_maps_are_empty(study):
    wrong = dataclasses.replace(study, y_pred=(study.y_true + 1) % 3)
    rows = numbers.share_rows(wrong, numbers.RIGHT), numbers.score_rows(wrong, numbers.RIGHT)
    told = sentences.verdict(*rows, numbers.lifts(wrong, numbers.RIGHT), which=numbers.RIGHT)
    assert told == ["No rightly recognised picture of this study has a map with evidence in it."]
    assert np.isfinite(wrong.shares).all(), "as its maps are not"


def test_a_region_that_few_pictures_show_is_not_ranked(study):
    areas = np.full(study.areas.shape, 0.1)
    areas[2:, regions.PLACES.index("chin")] = 0  # many resamples hold neither of the two pictures
    found = numbers.lifts(dataclasses.replace(study, areas=areas))
    assert "chin" not in found.values and "mouth" in found.values
    assert all(np.isfinite([one.low, one.high]).all() for one in found.values.values())
