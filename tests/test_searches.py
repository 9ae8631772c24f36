"""Stored searches: what is written is read, the best is told with the command that trains it, damage is named."""

import json

import pandas as pd
import pytest

from fer_core.charts.training import search_lines
from fer_core.errors import RunError
from fer_core.models.specs import spec
from fer_core.training import searches
from tests.conftest import PROJECT
from tests.test_pages import assert_healthy, home_runs_first, open_page, text_of  # noqa: F401

CONDITIONS = {"model": "svm_hog_rbf", "dataset": "drawn", "split": "train", "n": 90, "method": "grid", "folds": 3}
CONDITIONS |= {"folds_by": "picture", "date": "2026-01-31"}


def tried(**columns):
    """Nine settings, C of 1, 3 and 10 by gamma of 0.1, 0.2 and 0.4; the best is C 3 with gamma 0.4, sixth of them."""
    frame = pd.DataFrame({"C": [1.0, 3.0, 10.0] * 3, "gamma": [0.1] * 3 + [0.2] * 3 + [0.4] * 3})
    frame["accuracy"] = [0.3, 0.31, 0.32, 0.4, 0.49, 0.41, 0.42, 0.5, 0.43]
    return frame.assign(accuracy_std=0.02, fit_time_s=1.0, **columns)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    arguments = spec("svm_hog_rbf")["arguments"] | {"components": 5}
    return searches.write(tried(), CONDITIONS | {"arguments": arguments})


def test_what_is_written_is_read_best_first(stored):
    assert searches.names() == [stored.stem] == ["drawn-svm_hog_rbf-20260131"]
    frame, record = searches.read(stored.stem)
    assert frame["accuracy"].is_monotonic_decreasing and len(frame) == 9
    assert {name: record[name] for name in CONDITIONS} == CONDITIONS
    assert searches.best_arguments(frame, record) == {"components": 5, "C": 3.0, "gamma": 0.4}
    assert searches.edges(frame) == ["gamma"], "C 3 lies between 1 and 10"
    assert searches.as_good(frame) == 1, "0.49 lies within 0.02 of 0.5, 0.43 does not"
    again = searches.write(tried(), CONDITIONS | {"arguments": {}})
    assert again.stem == f"{stored.stem}-2" and searches.names() == [stored.stem, again.stem]


def test_a_degree_is_a_whole_number():
    frame = tried(degree=[2.0, 3.0, 2.0] * 3).sort_values("accuracy", ascending=False)
    arguments = searches.best_arguments(
        frame, {"model": "svm_hog_poly", "arguments": spec("svm_hog_poly")["arguments"]}
    )
    assert (arguments["degree"], type(arguments["degree"])) == (3, int)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_text("C,gamma\n1,0.1\n"), "lacks accuracy, accuracy_std, fit_time_s"),
        (lambda path: path.write_text("accuracy,accuracy_std,fit_time_s\n1,0,1\n"), "lacks settings that were tried"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (lambda path: path.with_suffix(".json").write_text("{}"), "lacks model, dataset, split"),
        (lambda path: path.with_suffix(".json").write_text("{"), "is no JSON"),
    ],
)
def test_a_damaged_search_is_named_with_a_remedy(stored, damage, told):
    damage(stored)
    with pytest.raises(RunError, match=told) as error:
        searches.read(stored.stem)
    assert stored.stem in str(error.value)
    app = open_page("training", {"view": "Searches"})
    assert_healthy(app)
    assert any(told in element.value.replace("\\", "") for element in app.error)


def test_a_line_per_gamma_or_points_where_they_are_many():
    figure = search_lines(tried())
    assert [trace.name for trace in figure.data] == ["gamma 0.1", "gamma 0.2", "gamma 0.4"]
    assert list(figure.data[2].y) == [0.42, 0.5, 0.43] and list(figure.data[2].error_y.array) == [0.02] * 3
    (points,) = search_lines(tried().assign(gamma=[0.1 * place for place in range(1, 10)])).data
    assert points.mode == "markers" and points.text[0] == "C 1, gamma 0.1" and len(points.x) == 9
    (line,) = search_lines(tried()[:3].drop(columns="gamma")).data
    assert line.mode == "lines+markers" and line.text == ("C 1", "C 3", "C 10")


def test_page_shows_the_best_and_how_to_train_it(stored):
    app = open_page("training", {"view": "Searches"})
    assert_healthy(app)
    assert not app.error
    text = text_of(app)
    assert "best of 9 settings is **C 3, gamma 0.4** with **50.0 %**" in text
    assert "3-fold cross-validation by picture on 90 pictures of the train split" in text
    assert "One other setting lies within one standard deviation" in text and "best gamma stands at the edge" in text
    (command,) = [element.value for element in app.code]
    assert (
        command
        == """python -m fer_core train svm_hog_rbf drawn --set 'arguments={"components": 5, "C": 3.0, "gamma": 0.4}'"""
    )


def test_page_without_a_search_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    app = open_page("training", {"view": "Searches"})
    assert_healthy(app)
    assert "python -m fer_core search svm_hog_rbf" in " ".join(element.value for element in app.code)


def test_committed_searches_are_whole(monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(PROJECT / "artifacts"))
    assert searches.names()
    for name in searches.names():
        frame, record = searches.read(name)
        assert record["split"] == "train" and json.dumps(searches.best_arguments(frame, record))
        folds = frame[[f"fold_{place}" for place in range(1, record["folds"] + 1)]]
        assert (folds.mean(axis=1) - frame["accuracy"]).abs().max() < 1e-9
