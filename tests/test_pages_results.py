"""The Models and Confusion pages on small runs, without a browser."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fer_core import artifacts, datasets, metrics, results, seed_spread
from fer_core.charts import results as charts
from fer_core.labels import CLASS_NAMES
from fer_core.predictions import Predictions
from tests import test_recipes

PAGES = Path(__file__).resolve().parent.parent / "pages"


def predictions(split, seed, skill):
    y_true = np.random.default_rng(0).integers(0, 7, 120)
    logits = np.random.default_rng(seed).normal(size=(120, 7)) + skill * np.eye(7)[y_true]
    probs = np.exp(logits)
    ids = [f"{split}_{i:05d}" for i in range(120)]
    return Predictions(ids, y_true, probs / probs.sum(1, keepdims=True), CLASS_NAMES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three runs: two trained in passes, one not."""
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    history = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "val_loss": [2.1, 1.2], "accuracy": [0.2, 0.5]})
    for seed, (model, skill) in enumerate((("best", 3.0), ("good", 2.0), ("plain", 0.5))):
        artifacts.write_run(
            {"dataset": "tiny", "model": model, "date": "2026-01-31"},
            history=None if model == "plain" else history,
            predictions={split: predictions(split, seed, skill) for split in ("val", "test")},
            root=tmp_path,
        )
    return tmp_path


def open_page(name, **query):
    app = AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def text(app):
    return "\n".join(element.value for kind in (app.markdown, app.caption, app.info, app.subheader) for element in kind)


@pytest.mark.parametrize("page", ["models", "confusion"])
def test_without_runs_the_page_says_how_to_get_one(page, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    app = open_page(page)
    assert "No run is stored yet" in text(app)
    assert app.code[0].value.startswith("python -m fer_core train")


@pytest.mark.parametrize("page", ["models", "confusion"])
def test_damaged_predictions_are_an_error_that_names_the_file(page, folder, monkeypatch):
    path = folder / "runs" / "tiny-best-s0-20260131" / "predictions_test.npz"
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)  # the archive's directory at its end stays, so that only reading finds out
    path.write_bytes(content)
    app = open_page(page)
    assert "predictions" in app.error[0].value
    assert "is damaged" in app.error[0].value


def test_the_two_best_runs_are_compared_at_first(folder):
    app = open_page("models")
    assert app.dataframe[0].value["run"].tolist() == [
        f"tiny-{model}-s0-20260131" for model in ("best", "good", "plain")
    ]
    assert "**A** tiny-best-s0-20260131 against **B** tiny-good-s0-20260131" in text(app)
    assert "on the same 120 pictures" in text(app)


def write_drawn(folder):
    """Runs that are right on drawn faces, which a model learns in a moment."""
    for model in ("easy", "easier"):
        made = {split: predictions(split, 5, 20.0) for split in ("val", "test")}
        artifacts.write_run({"dataset": "drawn", "model": model, "date": "2026-01-31"}, predictions=made, root=folder)


@pytest.mark.parametrize("page", ["models", "confusion"])
def test_val_decides_and_runs_on_drawn_faces_come_last(page, folder):
    made = {"val": predictions("val", 7, 5.0), "test": predictions("test", 7, 1.0)}  # worse on test than best
    artifacts.write_run({"dataset": "tiny", "model": "chosen", "date": "2026-01-31"}, predictions=made, root=folder)
    write_drawn(folder)
    names = [f"tiny-{model}-s0-20260131" for model in ("chosen", "best", "good", "plain")]
    app = open_page(page)
    if page == "confusion":
        offered = app.selectbox(key="model")
        assert offered.value == names[0] and offered.options[:4] == names and "drawn" in offered.options[4]
        return
    assert app.dataframe[0].value["run"].tolist() == names


def test_runs_of_one_name_are_told_apart_by_their_settings(folder):
    for changes in ({}, {"epochs": 8}):
        record = test_recipes.record("compact", changes) | {"dataset": "tiny", "date": "2026-01-31", "seed": 0}
        made = {split: predictions(split, 9, 4.0) for split in ("val", "test")}
        artifacts.write_run(record, predictions=made, root=folder)
    first, second = "tiny-compact-s0-20260131", "tiny-compact-s0-20260131-2"
    shown = open_page("models").dataframe[0].value.set_index("run")["settings"]
    assert (shown[first], shown[second]) == ("by the recipe", "8 epochs")
    assert (shown.drop([first, second]) == "").all()
    for query in ({"model": first}, {"minus": second}):
        assert f"{first}: by the recipe; {second}: 8 epochs" in text(open_page("confusion", **query)).replace("\\", "")
    assert "8 epochs" not in text(open_page("confusion", model="tiny-good-s0-20260131"))


def test_runs_in_the_address_are_the_chosen_ones(folder):
    app = open_page("models", runs="tiny-best-s0-20260131,tiny-plain-s0-20260131")
    assert "against **B** tiny-plain-s0-20260131" in text(app)
    assert "Select two or more rows" in text(open_page("models", runs=""))
    assert "Select a second row" in text(open_page("models", runs="tiny-good-s0-20260131"))
    assert "Select two or more rows" in text(open_page("models", runs="no-such-run"))


def test_a_link_to_runs_opens_on_their_dataset(folder):
    write_drawn(folder)
    both = "drawn-easy-s0-20260131,drawn-easier-s0-20260131"
    app = open_page("models", runs=both)
    assert app.selectbox(key="dataset").value == "drawn"
    assert "against **B** drawn-easy-s0-20260131" in text(app)
    assert not app.info
    app.segmented_control(key="split").set_value("val").run()
    assert app.selectbox(key="dataset").value == "drawn"
    assert "drawn" in app.query_params["dataset"], "even when the runs are left"
    app = open_page("models", runs="drawn-easy-s0-20260131")
    app.selectbox(key="dataset").set_value("tiny").run()
    assert "Select two or more rows" in text(app)
    assert not [box for box in app.info if "The link asks" in box.value], "the visitor changed it"


def test_a_link_to_runs_that_cannot_be_shown_says_so(folder):
    write_drawn(folder)
    names = ["tiny-good-s0-20260131", "gone-s0", "drawn-easy-s0-20260131"]
    app = open_page("models", runs=",".join(names))
    assert app.selectbox(key="dataset").value == "tiny"
    said = [box.value.replace("\\", "") for box in app.info]
    assert said[:2] == [
        "The link asks for gone-s0: there is no such run here.",
        "The link asks for drawn-easy-s0-20260131: it is of another dataset, drawn.",
    ]
    assert app.query_params["runs"] in ("tiny-good-s0-20260131", ["tiny-good-s0-20260131"])
    assert not [box for box in app.run().info if "The link asks" in box.value]


def test_three_runs_are_compared_pairwise_with_correction(folder):
    names = [f"tiny-{model}-s0-20260131" for model in ("best", "good", "plain")]
    app = open_page("models", runs=",".join(names))
    pairs = app.dataframe[1].value
    assert len(pairs) == 3
    assert (pairs["holm_p"] >= pairs["mcnemar_p"]).all()


def test_runs_that_differ_in_the_seed_alone_stand_together(folder):
    assert "Trained several times" not in [expander.label for expander in open_page("models").expander]
    record = {"dataset": "tiny", "model": "seeded", "date": "2026-01-31", "dataset_fingerprint": "f"}
    for seed in range(3):
        made = {split: predictions(split, 10 + seed, 3.5) for split in ("val", "test")}
        artifacts.write_run(record | {"seed": seed}, predictions=made, root=folder)
    names = [f"tiny-seeded-s{seed}-20260131" for seed in range(3)]
    app = open_page("models", runs=",".join(names[:2]), split="val")
    assert "Trained several times" in [expander.label for expander in app.expander]
    found = [[artifacts.find_run(name) for name in names]]
    table = seed_spread.seed_rows(found, "val")
    pd.testing.assert_frame_equal(app.dataframe[1].value.reset_index(drop=True), table.drop(columns="dataset"))
    assert table["n"].tolist() == [3]
    least = seed_spread.luck(found, "val")[0].least
    assert f"must exceed **{100 * least:.1f} points** of accuracy and " in text(app)
    assert "2 degrees of freedom from one recipe" in text(app)
    assert "seeds-tiny-val" in " ".join(button.proto.id for button in app.get("download_button"))
    assert "differ in the seed alone: whatever p says" in app.info[0].value
    other = open_page("models", runs=f"{names[0]},tiny-plain-s0-20260131")
    assert not [box for box in other.info if "seed alone" in box.value]


@pytest.mark.parametrize(
    "view", ["Differences", "Metrics", "Per class", "Learning curves", "Calibration", "Disagreements"]
)
def test_every_view_draws_and_any_choice_of_runs_suits_it(folder, view):
    for runs in ("tiny-best-s0-20260131,tiny-plain-s0-20260131", "tiny-plain-s0-20260131"):
        open_page("models", view=view, runs=runs)


def test_every_metric_stands_in_one_of_two_charts(folder):
    app = open_page("models", view="Metrics", runs="tiny-best-s0-20260131")
    shown = [json.loads(chart.proto.spec)["data"][0]["y"] for chart in app.get("plotly_chart")[-2:]]
    named = {charts.LABELS.get(name, name): name for name in metrics.METRICS}
    assert {named[label] for label in shown[0]} == set(metrics.METRICS) - metrics.LOWER_IS_BETTER
    assert {named[label] for label in shown[1]} == metrics.LOWER_IS_BETTER


def test_runs_without_passes_have_no_learning_curve_and_the_page_says_so(folder):
    app = open_page("models", view="Learning curves", runs="tiny-best-s0-20260131,tiny-plain-s0-20260131")
    assert "without a curve: tiny-plain-s0-20260131" in text(app)


def test_disagreements_are_listed_by_id_where_the_pictures_are_not_registered(folder):
    app = open_page("models", view="Disagreements", right="only B")
    assert "tiny is not registered here" in text(app)
    shown = app.dataframe[-1].value
    assert set(shown["right"]) == {"b"}
    assert (shown["true"] == shown["pred_b"]).all()


def test_the_largest_confusion_is_shown_until_a_cell_is_chosen(folder):
    app = open_page("confusion")
    made = artifacts.find_run("tiny-best").predictions("test")
    true, predicted = results.find_cell(results.confusion(made, "rows"))
    assert app.subheader[0].value == f"{CLASS_NAMES[true]} taken for {CLASS_NAMES[predicted]}"


def test_the_cell_in_the_address_shows_its_samples(folder):
    app = open_page("confusion", model="tiny-plain-s0-20260131", split="val", true="sad", predicted="fear")
    expected = results.cell_samples(artifacts.find_run("tiny-plain").predictions("val"), 4, 2)
    assert app.subheader[0].value == "sad taken for fear"
    assert f"{len(expected)} pictures" in text(app)
    assert app.dataframe[-1].value["sample_id"].tolist() == expected["sample_id"].tolist()


def test_the_difference_of_two_runs_tells_who_put_a_picture_there(folder):
    app = open_page("confusion", minus="tiny-plain-s0-20260131", true="sad", predicted="sad")
    a, b = (artifacts.find_run(name).predictions("test") for name in ("tiny-best", "tiny-plain"))
    expected = results.cell_differences(a, b, 4, 4)["only"].value_counts()
    assert f"{expected.get('a', 0)} pictures by A only, {expected.get('b', 0)} by B only." in text(app)


def test_nonsense_in_the_address_does_no_harm(folder):
    open_page("confusion", model="x", minus="y", split="z", true="1", predicted="?", page="-4", cells="no")
    open_page("models", runs="a,b", view="no", split="no", measure="1", page="999")


def test_pictures_of_a_registered_dataset_are_shown(folder, monkeypatch):
    drawn = datasets.synthetic.dataset(21, 21, 70)
    test = drawn["test"]
    probs = np.eye(7, dtype=np.float32)[(test.y_true + (np.arange(len(test)) % 2)) % 7]
    made = Predictions(test.sample_ids, test.y_true, probs, test.class_names)
    artifacts.write_run({"dataset": drawn.name, "model": "half"}, predictions={"test": made}, root=folder)
    monkeypatch.setattr(datasets, "available", lambda: [drawn.name])
    monkeypatch.setattr(datasets, "load", lambda name: drawn)
    name = artifacts.find_run(f"{drawn.name}-half").name
    app = open_page("confusion", model=name, true="angry", predicted="disgust")
    assert "is not registered" not in text(app)
    assert not app.dataframe
    shown = app.get("image")
    assert 0 < len(shown) == len(results.cell_samples(made, 0, 1))


def test_runs_whose_pictures_were_changed_are_marked_where_they_are_compared(folder):
    app = open_page("models")
    assert "altered" not in app.dataframe[0].value and not app.warning
    run = artifacts.find_run("tiny-good", folder)
    artifacts.update_run(run, {"config": {"mask": "mouth"}})
    app = open_page("models")
    assert (
        dict(zip(app.dataframe[0].value["run"], app.dataframe[0].value["altered"], strict=True))[run.name]
        == "mouth hidden"
    )
    assert "not shown alike" in app.warning[0].value and "mouth hidden" in app.warning[0].value
