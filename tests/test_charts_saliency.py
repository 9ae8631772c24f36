"""Figures of a saliency study: numbers of the table appear where they belong."""

import numpy as np
import pandas as pd
import pytest

from fer_core import regions
from fer_core.charts import saliency as charts


def share_frame():
    rows = []
    for index, name in enumerate(("happy", "neutral")):
        for place, region in enumerate(regions.PLACES):
            weight = np.nan if name == "neutral" or region == regions.ELSEWHERE else place / 28
            lift = place / 4, place / 8, place / 2
            rows.append((name, region, 5, (place + index) / 50, 0.0, 1.0, 0.1, *lift, weight))
    lifts = ["lift", "lift_low", "lift_high"]
    return pd.DataFrame(rows, columns=["class", "region", "n", "share", "low", "high", "area", *lifts, "prototype"])


def score_frame(value):
    scores = list(charts.SCORE_TITLES)
    ends = {"low": value - 0.1, "high": value + 0.2, "even": 0.3}
    return pd.DataFrame({"score": scores, "n": 7, "value": value} | ends)


def test_model_and_facs_stand_side_by_side_in_one_order():
    figure = charts.region_shares(share_frame())
    model, human = figure.data
    assert list(model.x) == [regions.title(place) for place in regions.PLACES]
    assert list(human.x) == list(model.x[:-1])
    assert list(model.y) == list(human.y) == ["happy", "neutral"]
    np.testing.assert_allclose(model.z[1], (np.arange(9) + 1) / 50)
    np.testing.assert_allclose(human.z[0], np.arange(8) / 28)
    assert np.isnan(human.z[1]).all()


def test_lift_has_no_place_outside_of_the_face():
    model = charts.region_shares(share_frame(), "lift").data[0]
    assert len(model.x) == 8
    np.testing.assert_allclose(model.z[0], np.arange(8) / 4)
    assert list(model.text[0][:3]) == [" [0.00, 0.00]", " [0.12, 0.50]", " [0.25, 1.00]"]
    assert "%{text}" in model.hovertemplate
    few = charts.region_shares(share_frame().assign(lift_low=np.nan, lift_high=np.nan), "lift").data[0]
    assert not any("".join(row) for row in few.text)


def test_agreement_draws_intervals_and_the_even_map():
    figure = charts.agreement({"a": score_frame(0.5), "b": score_frame(0.4)}, {"a": "#111111", "b": "#222222"})
    points = {trace.name: trace for trace in figure.data if trace.name in ("a", "b")}
    assert list(points["a"].x) == [0.5] * 4
    assert points["a"].customdata[0].tolist() == pytest.approx([0.3, 7])
    assert points["a"].text[0] == " [40.0%, 70.0%]"
    assert points["a"].error_x.array == pytest.approx([0.2] * 4)
    assert points["a"].error_x.arrayminus == pytest.approx([0.1] * 4)
    crosses = [trace for trace in figure.data if trace.name == charts.EVEN_MAP and trace.x[0] is not None]
    assert [list(trace.x) for trace in crosses] == [[0.3] * 4] * 2


def test_mean_maps_share_a_scale_and_carry_the_outlines():
    even = np.full((48, 48), 0.5)
    bright, dim = charts.mean_map(even, 0.5), charts.mean_map(even, 1.0)
    assert bright.shape == dim.shape == (192, 192, 3)
    assert bright[0, 0].sum() > dim[0, 0].sum()
    assert len(np.unique(bright.reshape(-1, 3), axis=0)) > 1  # lines on an even ground
    missing = charts.mean_map(np.full((48, 48), np.nan), 1.0)
    assert (missing[0, 0] == charts.mean_map(np.zeros((48, 48)), 1.0)[0, 0]).all()


def test_a_row_of_pictures_carries_a_caption_under_each_of_them():
    pictures = [np.full((40, 96), 100, np.uint8), np.full((30, 60, 3), 7, np.uint8)]
    row = charts.captioned_row(pictures, ["happy", "Integrated gradients, 48 × 48"], gap=8)
    assert (row.dtype, row.shape[1:]) == (np.uint8, (96 + 8 + 60, 3))
    assert (row[:40, :96] == 100).all() and (row[:30, 104:] == 7).all()
    assert (row[:, 96:104] == 255).all(), "no text runs into the gap"
    dark = (row[40:] < 128).any(axis=2)
    assert dark[:20, :96].any() and not dark[24:, :96].any(), "one short line under the first"
    assert dark[24:, 104:].any(), "the longer caption is broken into lines"


@pytest.mark.parametrize(("caption", "told"), [("6 × 6", "6 x 6"), ("gêné", "gene"), ("快樂", "")])
def test_captions_are_drawn_in_letters_that_the_font_has(caption, told):
    drawn = [charts.captioned_row([np.zeros((9, 90), np.uint8)], [text]) for text in (caption, told)]
    np.testing.assert_array_equal(*drawn)
