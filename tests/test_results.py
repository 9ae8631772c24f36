"""Tables behind the Models and Confusion pages, and the figures drawn from them."""

import numpy as np
import pandas as pd
import pytest

from fer_core import artifacts, metrics, results
from fer_core.charts import results as charts
from fer_core.errors import ConfigError
from fer_core.predictions import Predictions

NAMES = ("angry", "disgust", "fear")
A = Predictions(
    ["p0", "p1", "p2", "p3", "p4"],
    [0, 0, 0, 1, 2],
    [[0.8, 0.1, 0.1], [0.3, 0.7, 0.0], [0.1, 0.9, 0.0], [0.4, 0.6, 0.0], [0.5, 0.3, 0.2]],
    NAMES,
)
B = Predictions(
    A.sample_ids,
    A.y_true,
    [[0.1, 0.8, 0.1], [0.3, 0.7, 0.0], [0.6, 0.4, 0.0], [0.4, 0.6, 0.0], [0.1, 0.3, 0.6]],
    NAMES,
)


@pytest.fixture
def runs(tmp_path):
    history = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.5], "val_loss": [2.1, 1.6], "accuracy": [0.3, 0.4]})
    for model, made in (("one", A), ("two", B)):
        splits = {"test": made}
        artifacts.write_run({"dataset": "drawn", "model": model}, predictions=splits, history=history, root=tmp_path)
    return artifacts.list_runs(tmp_path)[0]


def test_metric_rows_are_what_the_runs_store(runs):
    frame = results.metric_rows(runs, "test", ("accuracy", "macro_f1"))
    assert len(frame) == 4
    first = frame.iloc[0]
    assert (first["run"], first["metric"], first["value"]) == (runs[0].name, "accuracy", metrics.accuracy(A))
    assert first["low"] <= first["value"] <= first["high"]


def test_class_rows_are_what_the_runs_store(runs):
    frame = results.class_rows(runs, "test")
    np.testing.assert_allclose(frame[frame["run"] == runs[1].name]["value"], metrics.f1(B))
    assert frame["support"].tolist() == [3, 1, 1] * 2
    assert results.class_rows(runs, "test", "recall")["low"].isna().all()
    with pytest.raises(ConfigError, match="support"):
        results.class_rows(runs, "test", "support")


def test_confusion_worked_by_hand():
    assert results.confusion(A).tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_allclose(results.confusion(A, "rows"), [[1 / 3, 2 / 3, 0], [0, 1, 0], [1, 0, 0]])
    assert results.confusion_difference(A, B).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, -1]]
    assert results.confusion(A.take(np.array([3])), "rows")[0].tolist() == [0, 0, 0]
    frame = results.confusion_frame(results.confusion(A), NAMES)
    assert frame.loc["angry", "disgust"] == 2
    with pytest.raises(ConfigError):
        results.confusion(A, "columns")


def test_a_cell_holds_its_pictures_most_confident_first():
    cell = results.cell_samples(A, 0, 1)
    assert cell["sample_id"].tolist() == ["p2", "p1"]
    np.testing.assert_allclose(cell["confidence"], [0.9, 0.7])
    np.testing.assert_allclose(cell["p_true"], [0.1, 0.3])
    assert results.cell_samples(A, 1, 0).empty


def test_every_cell_of_the_matrix_has_as_many_pictures_as_it_says():
    for true in range(3):
        for predicted in range(3):
            assert len(results.cell_samples(A, true, predicted)) == results.confusion(A)[true, predicted]


def test_the_difference_of_a_cell_names_who_put_the_picture_there():
    cell = results.cell_differences(A, B, 0, 1)
    assert cell["sample_id"].tolist() == ["p2", "p0"]
    assert cell["only"].tolist() == ["a", "b"]
    for true in range(3):
        for predicted in range(3):
            only = results.cell_differences(A, B, true, predicted)["only"]
            expected = results.confusion_difference(A, B)[true, predicted]
            assert (only == "a").sum() - (only == "b").sum() == expected


def test_every_run_keeps_its_colour_among_all_runs():
    colours = charts.run_colours(["b", "a", "c", "a"])
    assert list(colours) == ["a", "b", "c"]
    assert len(set(colours.values())) == 3
    assert len(charts.run_colours(str(i) for i in range(30))) == 30


def test_shown_runs_never_share_a_colour_while_there_are_enough():
    names = [f"run{at:02d}" for at in range(3 * len(charts.PALETTE))]
    alone = charts.run_colours(names)
    shown = [names[0], names[8], names[16], names[3]]
    colours = charts.run_colours(names, shown)
    assert len({colours[name] for name in shown}) == 4
    assert colours[names[0]] == alone[names[0]] and colours[names[3]] == alone[names[3]]
    assert all(colours[name] == alone[name] for name in names if name not in shown)
    assert set(charts.run_colours(names, names)) == set(names)


def test_what_is_no_run_has_a_colour_of_its_own_while_there_is_one():
    first, second, *others = charts.PALETTE
    assert charts.other_colours(others, ["a", "b", "a"]) == {"a": first, "b": second}
    assert charts.other_colours([first, *others], ["a", "b"]) == {"a": second, "b": charts.GREY}


@pytest.mark.parametrize(
    ("runs", "short"),
    [
        (["a-wide-s0-20260101", "a-wide-s1-20260101"], ["wide-s0", "wide-s1"]),
        (["a-net-s0-20260101", "a-net-s0-20260101-2", "VGG-16 (paper)"],
         ["net-s0-20260101", "net-s0-20260101-2", "VGG-16 (paper)"]),
        (["a-net-s0-20260101", "b-net-s0-20260101"], ["a-net-s0", "b-net-s0"]),
        (["one", "two"], ["one", "two"]),
    ],
)  # fmt: skip
def test_legends_leave_out_what_tells_no_run_apart(runs, short):
    assert charts.short_names([*runs, runs[0]]) == dict(zip(runs, short, strict=True))


def test_figures_draw_the_numbers_they_are_given(runs):
    colours = charts.run_colours(run.name for run in runs)
    frame = results.metric_rows(runs, "test", ("accuracy",))
    figure = charts.metric_intervals(frame, colours)
    assert [trace.name for trace in figure.data] == [run.name for run in runs]
    assert list(figure.data[0].x) == [metrics.accuracy(A)]
    assert figure.data[0].x[0] + figure.data[0].error_x.array[0] == pytest.approx(frame["high"][0])
    bars = charts.class_bars(results.class_rows(runs, "test"), colours)
    np.testing.assert_allclose(bars.data[1].y, metrics.f1(B))
    assert bars.data[1].marker.color == colours[runs[1].name]


def test_differences_are_drawn_in_the_colour_of_the_better_run():
    frame = pd.DataFrame(
        {
            "metric": ["accuracy", "log_loss", "ece"],
            "difference": [0.2, 0.3, 0.0],
            "low": [0.1, 0.2, -0.1],
            "high": [0.3, 0.4, 0.1],
            "better": ["a", "b", "neither"],
        }
    )
    figure = charts.metric_differences(frame, "one", "two", {"one": "#000001", "two": "#000002"})
    drawn = {trace.name: (list(trace.y), list(trace.x), trace.marker.color) for trace in figure.data}
    assert drawn["one is better"] == (["accuracy"], [0.2], "#000001")
    assert drawn["two is better"] == (["log loss ↓"], [0.3], "#000002")
    assert drawn["no telling"][0] == ["ECE ↓"]


def test_the_arrow_marks_exactly_the_metrics_where_lower_is_better():
    labels = dict(zip(metrics.METRICS, charts._labels(metrics.METRICS), strict=True))
    assert {name for name, label in labels.items() if "↓" in label} == metrics.LOWER_IS_BETTER


def test_the_leaderboard_keeps_numbers_and_writes_intervals(runs):
    masked = artifacts.runs_frame(runs).assign(altered="mouth hidden")
    assert results.leaderboard(masked)["altered"].eq("mouth hidden").all()
    board = results.leaderboard(artifacts.runs_frame(runs))
    assert "altered" not in board
    assert board["accuracy"].tolist() == [
        metrics.accuracy(run.predictions("test")) for run in artifacts.best_first(runs)
    ]
    assert board["interval"].str.fullmatch(r"\d+\.\d – \d+\.\d %").all()
    assert board["f1_angry"].dtype == float
    assert results.leaderboard(artifacts.runs_frame([])).empty


def test_without_a_choice_the_largest_confusion_is_looked_at():
    matrix = np.array([[9, -3, 1], [2, 9, 0], [0, 1, 9]])
    assert results.find_cell(matrix) == (0, 1)
    assert results.find_cell(matrix, true=1) == (1, 0)
    assert results.find_cell(matrix, true=2) == (2, 1)
    assert results.find_cell(matrix, predicted=2) == (0, 2)
    assert results.find_cell(matrix, true=2, predicted=2) == (2, 2)
    assert results.find_cell(np.zeros((3, 3)), predicted=0) == (1, 0)


def test_pictures_are_found_by_id_or_not_at_all():
    known = np.array(["b", "a", "c"])
    assert results.positions(known, np.array(["c", "b"])).tolist() == [2, 0]
    assert results.positions(known, np.array(["c", "d"])) is None
    assert results.positions(known, np.array([], dtype=str)).tolist() == []


def test_learning_curves_tell_train_from_validation(runs):
    histories = {run.name: run.history() for run in runs}
    figure = charts.learning_curves(histories, charts.run_colours(histories))
    drawn = {(trace.name, trace.yaxis): list(trace.y) for trace in figure.data}
    name = runs[0].name
    assert drawn[(f"{name}, train", "y")] == [2.0, 1.5]
    assert drawn[(f"{name}, val", "y")] == [2.1, 1.6]
    assert drawn[(f"{name}, train", "y2")] == [0.3, 0.4]
    assert (f"{name}, val", "y2") not in drawn
    assert (figure.layout.xaxis.dtick, figure.layout.xaxis2.dtick) == (1, 1)  # no tick between two epochs
    many = pd.DataFrame({"epoch": np.arange(1, 31), "loss": 1.0})
    assert charts.learning_curves({name: many}, {name: "#000000"}).layout.xaxis.dtick is None


def test_the_heatmap_shows_and_carries_every_cell():
    figure = charts.confusion_heatmap(results.confusion(A), NAMES, selected=(0, 1))
    heat, cells = figure.data
    assert heat.z.tolist() == results.confusion(A).tolist()
    assert list(cells.text) == ["1", "2", "0", "0", "1", "0", "1", "0", "0"]
    assert (cells.x[1], cells.y[1]) == (1, 0)
    frame = figure.layout.shapes[0]
    assert [shape.line.color for shape in figure.layout.shapes] == ["#000000", "#FFFFFF"]
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (0.5, 1.5, -0.5, 0.5)
    assert min(figure.layout.yaxis.range) < frame.y0  # so that its line is not cut at the edge


def test_shares_and_differences_are_written_as_such():
    rows = charts.confusion_heatmap(results.confusion(A, "rows"), NAMES, "rows", counts=results.confusion(A))
    assert rows.data[1].text[1] == "67 %"
    assert "2 pictures" in rows.data[1].hovertext[1]
    difference = charts.confusion_heatmap(results.confusion_difference(A, B), NAMES, "count difference")
    assert list(difference.data[1].text) == ["0", "0", "0", "0", "0", "0", "+1", "0", "-1"]
    assert difference.data[0].zmin == -difference.data[0].zmax


def contrast(text, ground):
    def luminance(colour):
        channels = np.array(colour) / 255
        return np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [
            0.2126,
            0.7152,
            0.0722,
        ]

    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scale", [charts.SEQUENTIAL, charts.DIVERGING])
def test_text_on_every_colour_of_a_cell_is_readable(scale):
    for place in np.linspace(0, 1, 41):
        text = charts._text_on(place, scale, 0.0, 1.0)
        ground = charts.unlabel_rgb(charts.sample_colorscale(scale, float(place))[0])
        assert contrast((0, 0, 0) if text == "#000000" else (255, 255, 255), ground) >= 4.5


def test_the_reliability_diagram_leaves_out_empty_bins():
    figure = charts.reliability_diagram({"a": metrics.reliability(A)}, {"a": "#000000"})
    assert sum(figure.data[1].customdata) == len(A)
    assert np.isfinite(np.array(figure.data[1].y, float)).all()


def test_figures_survive_having_nothing_to_draw():
    empty = results.metric_rows([], "test")
    assert not charts.metric_intervals(empty, {}).data
    assert not charts.class_bars(results.class_rows([], "test"), {}).data
    assert not charts.learning_curves({}, {}).data
    assert charts.confusion_heatmap(np.zeros((3, 3)), NAMES).data
