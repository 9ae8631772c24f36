"""Known answers: maps that all trainings share, and maps that one training alone gives."""

import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.explain import across_trainings, saliency
from fer_core.explain.across_trainings import Alone, Trainings
from fer_core.explain.check_basics import FAILED, NOT_APPLICABLE, PASSED, UNDECIDED
from tests.test_faithfulness import CLASSES, SIDE, as_map, edges, picture, region_map  # noqa: F401
from tests.test_seeds import run


class Reads:
    """A training whose 'happy' is the mean brightness of one region, times a gain."""

    class_names = CLASSES

    def __init__(self, region, gain=1.0):
        self.region, self.gain = region, gain

    def predict_proba(self, images):
        happy = self.gain * images[(slice(None), *self.region)].mean(axis=(1, 2)) / 255
        return np.stack([1 - happy, happy, 0 * happy], axis=1).astype(np.float32)


TOP, BOTTOM = (slice(0, 4), slice(0, 6)), (slice(8, 12), slice(6, 12))


def compared(picture, *models):  # noqa: F811
    maps = [saliency.explain(model, picture[None], 1, "occlusion", patch=1 / 6, fill="zero") for model in models]
    return across_trainings.compare(maps[0], {f"run {place}": one for place, one in enumerate(maps[1:])})


def test_a_map_of_the_picture_alone_agrees_across_trainings(picture):  # noqa: F811
    maps = {name: edges(Reads(region), picture[None]) for name, region in (("b", TOP), ("c", BOTTOM))}
    found = across_trainings.compare(edges(Reads(TOP), picture[None]), maps)
    assert found.names == ("b", "c") and np.allclose(found.spearman, 1) and found.beaten == 20
    verdict = across_trainings.verdict(found)
    assert verdict.outcome == PASSED
    assert verdict.value.startswith("1.00, lowest 1.00, random 0.")
    assert across_trainings.frame(found)["run"].tolist() == ["b", "c"]


def test_trainings_that_read_the_same_region_agree_and_others_fail(picture):  # noqa: F811
    same = compared(picture, Reads(TOP), Reads(TOP, 0.5))
    assert same.spearman[0] > 0.95
    assert across_trainings.verdict(same).outcome == PASSED
    other = compared(picture, Reads(TOP), Reads(BOTTOM), Reads(BOTTOM, 0.5))
    assert other.spearman.max() < 0
    verdict = across_trainings.verdict(other)
    assert verdict.outcome == FAILED
    assert "about this training, not about the recipe" in verdict.sentence
    mixed = across_trainings.verdict(compared(picture, Reads(TOP), Reads(TOP), Reads(BOTTOM)))
    assert mixed.outcome == UNDECIDED


@pytest.mark.parametrize(
    ("spearman", "chance", "outcome", "words"),
    [
        ([0.6, 0.5], 19 * [0.2] + [0.6], PASSED, "0.55 on average, 0.50 at the least, over 2 with other seeds)"),
        ([0.5], 20 * [0.25], PASSED, "0.50 at the least, one with another seed); random maps as smooth reach 0.25."),
        ([0.3, 0.1], 20 * [0.25], FAILED, "no more alike than random maps as smooth (0.25)"),
        ([0.45, 0.45], 20 * [0.25], UNDECIDED, "at least 0.5 on average is asked for."),
        (
            [0.9, 0.3],
            18 * [0.2] + 2 * [0.4],
            UNDECIDED,
            "the least is above 18 of 20 random maps, and 19 are asked for.",
        ),
    ],
)
def test_verdicts_worked_by_hand(spearman, chance, outcome, words):
    names = tuple("abc"[: len(spearman)])
    verdict = across_trainings.verdict(Trainings(names, np.array(spearman), 0, np.array(chance)))
    assert verdict.outcome == outcome
    assert words in verdict.sentence


def test_an_empty_map_counts_as_unlike_and_is_told(picture):  # noqa: F811
    own = as_map(region_map())
    found = across_trainings.compare(own, {"b": own, "c": as_map(0 * region_map())})
    assert found.spearman.tolist() == [pytest.approx(1), 0] and found.empty == 1
    verdict = across_trainings.verdict(found)
    assert verdict.outcome != PASSED
    assert "1 with an empty map, counted as 0" in verdict.sentence
    assert across_trainings.verdict(found, even=True).outcome == FAILED


@pytest.mark.parametrize(
    "maps",
    [{}, {"b": as_map(np.zeros((5, 5)))}, {"b": as_map(region_map(), method="other")}],
)
def test_maps_of_something_else_are_refused(maps):
    with pytest.raises(ConfigError):
        across_trainings.compare(as_map(region_map()), maps)


def test_where_nothing_can_be_compared_the_verdict_says_why(tmp_path):
    own, stripped = run(tmp_path, "own"), run(tmp_path, "stripped", 1, weights=False)
    sister, whole = run(tmp_path, "sister", 2), run(tmp_path, "whole", model="ensemble")
    assert across_trainings.others(own, [own, stripped, sister]) == [sister]
    train = "python -m fer_core train compact toy --seed 1"
    assert across_trainings.others(own, [own, stripped]) == Alone(across_trainings.WITHOUT_WEIGHTS, train)
    assert across_trainings.others(own, [own]) == Alone("trained once", train)
    assert across_trainings.others(whole, [whole]) == across_trainings.OF_ENSEMBLES
    verdict = across_trainings.verdict(across_trainings.others(own, [own]))
    assert (verdict.outcome, verdict.value) == (NOT_APPLICABLE, "trained once")
    assert verdict.sentence.endswith(f"Train another seed: `{train}`")
    assert len(across_trainings.frame(across_trainings.NOT_COMPARED)) == 0
