"""Figures of reported against measured numbers, looked at as plotly data."""

import numpy as np
import pandas as pd
import pytest

from fer_core.charts import papers as charts


@pytest.fixture
def frame():
    """Three systems: one better with its interval holding the reported value, one worse, one open."""
    rows = pd.DataFrame(
        {
            "system": ["CNN:plain_net", "svm", "open_one"],
            "run": ["run-a", "run-b", ""],
            "model": ["a", "b", ""],
            "where": ["Table 1", "Table 1", "Figure 2"],
            "reported": [0.60, 0.50, 0.40],
            "measured": [0.61, 0.45, np.nan],
            "low": [0.59, 0.44, np.nan],
            "high": [0.63, np.nan, np.nan],
            "difference": [0.01, -0.05, np.nan],
            "differs_from_recipe": ["", "epochs 3 instead of 30", ""],
        }
    )
    inside = pd.array([True, False, None], dtype="boolean")
    same = pd.array([True, True, None], dtype="boolean")
    return rows.assign(inside=inside, better=pd.array([1, -1, None], dtype="Int64"), same_data=same)


def test_every_reported_value_is_a_diamond_and_every_measured_one_a_point(frame):
    figure = charts.reported_against_measured(frame, "accuracy")
    points = {trace.name: trace for trace in figure.data if trace.mode == "markers"}
    assert list(points["reported"].x) == [0.60, 0.50, 0.40]
    assert points["reported"].marker.symbol == "diamond-open"
    inside = points["measured, reported value inside the interval"]
    assert list(inside.x) == [0.61]
    assert list(inside.error_x.array) == pytest.approx([0.02])
    assert list(inside.error_x.arrayminus) == pytest.approx([0.02])
    worse = points["measured, worse"]
    assert list(worse.x) == [0.45]
    assert list(worse.error_x.array) == [0.0]  # no upper end known
    assert worse.customdata[0][2] == "<br>epochs 3 instead of 30" and inside.customdata[0][2] == ""
    assert "measured, better" not in points
    symbols = [symbol for _, _, symbol in charts.VERDICTS.values()]
    assert len({(colour, symbol) for _, colour, symbol in charts.VERDICTS.values()}) == len(symbols)


def test_lines_are_named_by_system_and_model_and_keep_their_order(frame):
    figure = charts.reported_against_measured(frame, "accuracy")
    lines = list(figure.layout.yaxis.categoryarray)
    assert lines == ["CNN: plain net<br><i>a</i>", "svm<br><i>b</i>", "open one"]
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.xaxis.title.text == "accuracy"


def test_a_value_reported_twice_gives_one_point(frame):
    twice = pd.concat([frame, frame.iloc[[0]].assign(reported=0.50, inside=False)], ignore_index=True)
    figure = charts.reported_against_measured(twice, "accuracy")
    points = {trace.name: list(trace.x) for trace in figure.data if trace.mode == "markers"}
    assert points["reported"] == [0.60, 0.50, 0.40, 0.50]
    assert points["measured, reported value inside the interval"] == [0.61]
    assert "measured, better" not in points


def test_a_paper_without_runs_is_drawn_too(frame):
    nothing = frame.assign(measured=np.nan, low=np.nan, high=np.nan, difference=np.nan)
    figure = charts.reported_against_measured(nothing.assign(inside=pd.NA, better=pd.NA), "accuracy")
    assert [trace.name for trace in figure.data] == ["reported"]


def test_what_was_measured_on_other_data_is_grey_and_says_so(frame):
    other = frame.assign(same_data=pd.array([False, True, None], dtype="boolean"), inside=pd.NA)
    points = {trace.name: trace for trace in charts.reported_against_measured(other, "accuracy").data}
    trace = points["measured on other data than the paper's"]
    assert list(trace.x) == [0.61] and trace.marker.color == charts.GREY
    assert list(points["measured, worse"].x) == [0.45]


def test_differences_have_a_sign_and_a_ground(frame):
    html = charts.style_differences(frame[["system", "reported", "measured", "difference", "better"]]).to_html()
    assert "+0.0100" in html
    assert "-0.0500" in html
    assert "nan" not in html
    assert "better" not in html
    assert html.count(charts.GROUNDS[1].split(";")[0].split(": ")[1]) == 1
    assert html.count(charts.GROUNDS[-1].split(";")[0].split(": ")[1]) == 1


def test_counts_have_no_decimals():
    table = pd.DataFrame({"reported": [3931975.0], "measured": [3931975.0], "difference": [0.0], "better": [0]})
    html = charts.style_differences(table, whole=True).to_html()
    assert html.count("3,931,975<") == 2
    assert "background-color" not in html


def test_counts_are_whole_in_the_hover(frame):
    for whole, form in ((True, ",.0f"), (False, ".4f")):
        figure = charts.reported_against_measured(frame, "parameters", whole)
        templates = [trace.hovertemplate for trace in figure.data if trace.hovertemplate]
        assert len(templates) > 1 and all(f"%{{x:{form}}}" in template for template in templates)
