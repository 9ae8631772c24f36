"""The checks of a map in pieces ask and answer what the whole checks do."""

import dataclasses
import time

import numpy as np
import pytest

from fer_core.explain import check_pieces, faithfulness, randomised, saliency
from tests.test_faithfulness import ReadsRegion, picture  # noqa: F401


class Counting(ReadsRegion):
    def __init__(self, delay=0.0):
        self.asked, self.delay = 0, delay

    def predict_proba(self, images):
        self.asked += len(images)
        time.sleep(self.delay * len(images))
        return super().predict_proba(images)


@pytest.mark.parametrize(("method", "options"), [("occlusion", {}), ("kernel_shap", {"samples": 40, "cells": 4})])
def test_pieces_together_are_the_whole(picture, method, options):  # noqa: F811
    found = saliency.explain(ReadsRegion(), picture[None], 1, method, **options)
    whole = Counting()
    expected = faithfulness.trust(whole, picture, found)
    pieces = check_pieces.pieces(picture, found, ReadsRegion.class_names)
    shared = 2 * 2 * sum(piece.check == "deletion" for piece in pieces)  # ends of curves, which each piece asks anew
    assert whole.asked <= sum(piece.queries for piece in pieces) <= whole.asked + shared
    reader, answers = Counting(), []
    for piece in pieces:
        before = reader.asked
        answers.append((piece, check_pieces.ask(piece, reader, picture, found)))
        assert reader.asked - before == piece.queries
    joined = faithfulness.assemble(found, check_pieces.join(answers))
    for name in ("deletion", "insertion"):
        own, other = getattr(joined, name), getattr(expected, name)
        assert own.insertion == other.insertion
        np.testing.assert_allclose(own.found, other.found, atol=1e-6)
        np.testing.assert_allclose(own.random, other.random, atol=1e-6)
        np.testing.assert_allclose(own.share, other.share)
    np.testing.assert_allclose(joined.shifts, expected.shifts, atol=1e-6)
    np.testing.assert_allclose(joined.seeds, expected.seeds, atol=1e-6)
    assert joined.seeds.shape == ((3,) if method == "kernel_shap" else (0,))
    assert joined.randomisation == expected.randomisation
    curves = [piece for piece in pieces if piece.check == "deletion"]
    assert max(piece.queries for piece in curves) <= 0.1 * sum(piece.queries for piece in curves)


def test_what_the_checks_cost_counts_copies_and_other_trainings(picture):  # noqa: F811
    found = saliency.explain(ReadsRegion(), picture[None], 1, "occlusion")
    asked = check_pieces.pieces(picture, found, ReadsRegion.class_names)
    one_map = Counting()
    saliency.explain(one_map, picture[None], 1, "occlusion")
    alone = check_pieces.queries(picture, found, ReadsRegion.class_names, copies=False, trainings=0)
    assert alone == sum(piece.queries for piece in asked)
    both = check_pieces.queries(picture, found, ReadsRegion.class_names, copies=True, trainings=2)
    assert both == alone + (len(randomised.COPIES) + 2) * one_map.asked


@pytest.mark.parametrize(
    ("method", "given", "maps", "each"),
    [("grad_cam", {}, 9, 3), ("smoothgrad", {"samples": 5}, 12, 15), ("score_cam", {"channels": 8}, 9, 8)],
)
def test_what_the_checks_of_a_network_cost(picture, method, given, maps, each):  # noqa: F811
    """Maps of five copies, four shifts and, where numbers are drawn, three seeds, beside the two curves."""
    found = dataclasses.replace(
        saliency.explain(ReadsRegion(), picture[None], 1, "occlusion"), method=method, given=given
    )
    curves = Counting()
    for insertion in (False, True):
        faithfulness.curve_rows(curves, picture, found, slice(None), insertion=insertion)
    names = ReadsRegion.class_names
    assert check_pieces.queries(picture, found, names, copies=True, trainings=0) == curves.asked + maps * each


def test_a_query_is_timed(picture):  # noqa: F811
    assert 0.02 <= check_pieces.seconds_per_query(Counting(delay=0.02), picture) < 0.2
