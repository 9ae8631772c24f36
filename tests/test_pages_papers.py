"""The Papers page, without a browser: every paper, with and without runs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fer_core import artifacts, datasets, reported
from fer_core.labels import CLASS_NAMES
from fer_core.models.specs import spec
from fer_core.predictions import Predictions
from fer_core.training.config import config_of_entry

PAGE = Path(__file__).resolve().parent.parent / "pages" / "papers.py"
PAPERS = ("kumar_ukken", "feeling_it", "ugwu_rafdb", "patil_thesis")
# A system of each paper, so that every page has something measured.
SYSTEMS = {
    "kumar_ukken": "VGG16_modified",
    "feeling_it": "VGG-16:forehead_mask",
    "ugwu_rafdb": "cnn:batch_size=128",
    "patil_thesis": "svm_fer2013",
}
FIGURES = [(paper, view) for paper, record in reported.papers().items() for view in record.figures]


def predictions(split, n_right):
    y_true = np.arange(140) % 7
    y_pred = np.where(np.arange(140) < n_right, y_true, (y_true + 1) % 7)
    probs = np.full((140, 7), 0.05)
    probs[np.arange(140), y_pred] = 0.7
    return Predictions([f"{split}_{i:05d}" for i in range(140)], y_true, probs, CLASS_NAMES)


def write_run(root, paper, system, n_right=84, **fields):
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [2.0, 1.0],
            "accuracy": [0.3, 0.7],
            "val_loss": [1.9, 1.5],
            "val_accuracy": [0.2, 0.5],
        }
    )
    record = {"dataset": "tiny", "model": "made", "paper": paper, "system": system, "date": "2026-01-31"}
    record |= {"initial_weights": "random", "spec": {"input_size": 48}, "train_accuracy": 0.7}
    return artifacts.write_run(
        record | fields,
        history=history,
        predictions={"val": predictions("val", 70), "test": predictions("test", n_right)},
        root=root,
    )


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture(scope="module")
def made_runs(tmp_path_factory):
    """A run of one system of each paper."""
    folder = tmp_path_factory.mktemp("papers")
    for paper, system in SYSTEMS.items():
        write_run(folder, paper, system, model=f"made-{paper}")
    return folder


@pytest.fixture
def folder(made_runs, nothing, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(made_runs))
    return made_runs


def open_page(**query):
    """The page with ``query`` in its address, where papers and metrics stand as on their buttons."""
    if query.get("paper") in PAPERS:
        query["paper"] = reported.papers()[query["paper"]].short
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, [error.value for error in app.exception]
    assert not app.error, [error.value for error in app.error]
    return app


def text(app):
    kinds = (app.markdown, app.caption, app.info, app.subheader, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def numbers(app):
    return app.dataframe[0].value


def measured(app, system):
    """Rows of ``system`` that have a run; models of it without one have open rows beside them."""
    shown = numbers(app)
    return shown[(shown["system"] == system) & ~shown["run"].str.startswith("open: ")]


@pytest.mark.parametrize("paper", PAPERS)
def test_without_runs_every_system_is_open(paper, nothing):
    app = open_page(paper=paper)
    record = reported.papers()[paper]
    assert record.title in text(app)
    assert record.did in text(app)
    assert "**0 of " in text(app)
    assert "python -m fer_core train" in app.code[0].value
    shown = numbers(app)
    assert shown["run"].str.startswith("open: ").all()
    assert shown["measured"].isna().all()


@pytest.mark.parametrize("paper", PAPERS)
def test_contradictions_are_the_librarys(paper, nothing):
    app = open_page(paper=paper)
    for check in reported.contradictions(paper):
        assert check.sentence in text(app)
    n = len(reported.checks(paper))
    assert f"Of {n} checks of what it prints, {len(reported.contradictions(paper))} fail" in text(app)


@pytest.mark.parametrize("paper", PAPERS)
def test_what_is_printed_and_what_we_chose_stand_together(paper, nothing):
    app, record = open_page(paper=paper), reported.papers()[paper]
    (protocol,) = [one for one in app.expander if one.label.startswith("How the paper measured")]
    assert protocol.table[0].value["as printed"].to_dict() == {"dataset": record.dataset, **record.protocol}
    lines = "\n".join(element.value for element in protocol.markdown)
    assert "Our choices where the paper is silent or where we differ" in lines
    assert record.choices and all(f"- {choice}" in lines for choice in record.choices)


@pytest.mark.parametrize("paper", PAPERS)
def test_a_run_stands_beside_its_system(paper, folder):
    app = open_page(paper=paper)
    assert "**1 of " in text(app)
    shown, rows = numbers(app), measured(app, SYSTEMS[paper])
    assert len(rows) > 0
    expected = {"kumar_ukken": 0.5, "ugwu_rafdb": 0.5}.get(paper, 0.6)  # val by default, and by the last epoch
    if paper == "patil_thesis":
        assert reported.label("accuracy") in app.selectbox(key="metric").options
        assert app.selectbox(key="metric").value == "accuracy"
    assert rows["measured"].tolist() == pytest.approx([expected] * len(rows))
    assert (rows["run"] == f"tiny-made-{paper}-s0-20260131").all()
    assert (rows["dataset"] == "tiny").all()
    assert shown.loc[shown["system"] != SYSTEMS[paper], "run"].str.startswith("open: ").all()


def test_the_backend_and_machine_of_a_run_stand_in_its_row(nothing):
    system = SYSTEMS["ugwu_rafdb"]
    write_run(nothing, "ugwu_rafdb", system, model="made", backend="jax", machine="16 cores, a GPU")
    assert set(measured(open_page(paper="ugwu_rafdb"), system)["trained_on"]) == {"jax, 16 cores, a GPU"}


def test_kumar_and_ukken_stand_beside_val_and_the_page_says_why(folder):
    app = open_page(paper="kumar_ukken")
    assert "Our val is PublicTest: the same pictures as theirs." in text(app)
    rows = measured(app, "VGG16_modified")
    assert set(rows["split"]) == {"val"}
    app = open_page(paper="kumar_ukken", **{"kumar_ukken-split": "test"})
    rows = measured(app, "VGG16_modified")
    assert set(rows["split"]) == {"test"}
    assert rows["measured"].tolist() == pytest.approx([0.6, 0.6])  # reported twice: 0.584 and 0.6163
    assert rows["difference"].tolist() == pytest.approx([0.6 - 0.584, 0.6 - 0.6163276678740597])


def test_the_split_is_asked_for_only_where_a_number_depends_on_it(folder):
    app = open_page(paper="ugwu_rafdb")
    assert "Measured on" not in [group.label for group in app.button_group]
    app = open_page(paper="ugwu_rafdb", figure="Predictions")
    assert "Measured on" in [group.label for group in app.button_group]
    assert "Measured on" in [group.label for group in open_page(paper="patil_thesis").button_group]


def test_commands_of_what_is_open_can_be_copied(folder):
    app = open_page(paper="kumar_ukken")
    rows = reported.of_metric(reported.comparison_table("kumar_ukken", artifacts.list_runs()[0]), "accuracy")
    commands = reported.open_commands("kumar_ukken", rows)
    assert commands and "\n".join(commands) in [code.value for code in app.code]


def test_the_page_says_why_a_difference_has_no_colour(folder):
    """The runs are of a made-up dataset."""
    app = open_page(paper="ugwu_rafdb")
    assert "Reported on raf-db, measured on tiny: other pictures" in text(app)
    assert "numbers were measured on other data than the paper's and are not judged" in text(app)
    assert set(measured(app, SYSTEMS["ugwu_rafdb"])["inside"]) == {""}


def test_runs_of_fewer_passes_than_printed_are_told_below_the_table(nothing):
    entry = spec("ugwu_depth_4")
    for epochs, expected in ((entry["recipe"]["epochs"], False), (30, True)):
        config = config_of_entry(entry, {"epochs": epochs}).to_dict()
        write_run(nothing, "ugwu_rafdb", entry["system"], model="ugwu_depth_4", config=config, seed=epochs)
        assert (
            "fewer passes here than in the paper (30 instead of 100)" in text(open_page(paper="ugwu_rafdb"))
        ) == expected


def test_numbers_of_a_relabelled_copy_are_judged_with_a_word_on_their_pictures(nothing):
    """Feeling It's dataset is called FER2013 and cleaned, but none of our splits holds its test pictures."""
    clause = "lie inside its 95 % interval (reported on a relabelled copy of FER2013: other test pictures)"
    for paper in ("feeling_it", "kumar_ukken"):
        write_run(nothing, paper, SYSTEMS[paper], dataset="fer2013", model=f"made-{paper}")
        shown = text(open_page(paper=paper))
        assert "that a run of their system can judge" in shown
        assert (clause in shown) == (paper == "feeling_it")
        assert ("other test pictures" in shown) == (paper == "feeling_it")


@pytest.mark.parametrize("metric", ["mean_fpr", "roc_auc", "weighted_f1"])
def test_the_metric_stands_in_the_address(metric, folder):
    rows = measured(open_page(paper="kumar_ukken", metric=reported.label(metric)), "VGG16_modified")
    run = artifacts.find_run("tiny-made-kumar_ukken")
    assert rows["measured"].tolist() == pytest.approx([run.metrics("val")[metric]] * len(rows))


@pytest.mark.parametrize(("paper", "view"), FIGURES)
def test_every_figure_draws_with_a_run(paper, view, folder):
    app = open_page(paper=paper, figure=view)
    assert reported.papers()[paper].figures[view] in text(app)
    assert "Open: no run" not in text(app)
    if view == "Masks":
        assert len(app.get("image")) + len(app.get("imgs")) == 4
        assert "tiny is not registered here" in text(app) and "a drawn face stands for a test picture" in text(app)
    elif view != "Predictions":
        assert len(app.get("plotly_chart")) == 2


@pytest.mark.parametrize(("paper", "view"), FIGURES)
def test_every_figure_is_open_or_draws_what_it_can_without_runs(paper, view, nothing):
    app = open_page(paper=paper, figure=view)
    assert ("Open: no run" in text(app)) == (view not in ("Per class", "Masks"))


def test_per_class_numbers_of_a_chosen_system(folder):
    app = open_page(paper="feeling_it", figure="Per class", **{"per-class": "recall", "system": "ResNet50:eye_mask"})
    assert "ResNet50:eye_mask is open" in text(app)
    app = open_page(paper="feeling_it", figure="Per class", **{"per-class": "recall", "system": "VGG-16:forehead_mask"})
    assert "is open" not in text(app)
    rows = app.dataframe[-1].value
    of_system = rows[(rows["system"] == "VGG-16:forehead_mask") & ~rows["run"].str.startswith("open: ")]
    happy = of_system[of_system["class"] == "happy"].iloc[0]
    assert happy["reported"] == 0.8602
    assert happy["measured"] == pytest.approx(12 / 20)  # 84 of 140 right, evenly over the classes


def test_predictions_are_ids_until_the_dataset_is_registered(folder):
    app = open_page(paper="kumar_ukken", figure="Predictions")
    assert "tiny is not registered here" in text(app)
    assert "70 pictures, the most confident first" in text(app)
    rows = app.dataframe[-1].value
    assert (rows["true"] != rows["predicted"]).all()


def test_predictions_of_a_registered_dataset_are_pictures(nothing, monkeypatch):
    drawn = datasets.synthetic.dataset(21, 21, 70)
    probs = np.eye(7, dtype=np.float32)[(drawn["val"].y_true + (np.arange(21) % 3 == 0)) % 7]
    made = Predictions(drawn["val"].sample_ids, drawn["val"].y_true, probs, CLASS_NAMES)
    record = {"dataset": drawn.name, "model": "half", "paper": "kumar_ukken", "system": "VGG16_modified"}
    artifacts.write_run(record, predictions={"val": made}, root=nothing)
    monkeypatch.setattr(datasets, "available", lambda: [drawn.name])
    monkeypatch.setattr(datasets, "load", lambda name: drawn)
    app = open_page(paper="kumar_ukken", figure="Predictions")
    assert "is not registered" not in text(app)
    assert len(app.get("image")) + len(app.get("imgs")) == 7


def test_masks_of_a_registered_dataset_are_on_a_test_picture_with_the_stored_answers(nothing, monkeypatch):
    drawn = datasets.synthetic.dataset(21, 21, 70)
    split = drawn["test"]
    for shift, mask in enumerate(("", "mouth", "eyes")):  # whole pictures are answered rightly, the others are not
        probs = np.full((70, 7), 0.05)
        probs[np.arange(70), (split.y_true + shift) % 7] = 0.7
        made = Predictions(split.sample_ids, split.y_true, probs, CLASS_NAMES)
        record = {"dataset": drawn.name, "model": f"made-{mask}", "paper": "feeling_it", "system": f"VGG-16:{mask}"}
        artifacts.write_run(record | {"config": {"mask": mask}}, predictions={"test": made}, root=nothing)
    monkeypatch.setattr(datasets, "available", lambda: [drawn.name])
    monkeypatch.setattr(datasets, "load", lambda name: drawn)
    app = open_page(paper="feeling_it", figure="Masks", masked="3")
    images = [one for kind in ("image", "imgs") for block in app.get(kind) for one in block.proto.imgs]
    true = CLASS_NAMES[split.y_true[2]]
    assert [image.caption.split("  \n") for image in images] == [
        [f"Whole, {true}", "1 of 1 right"],
        ["Top 1/4: forehead", "no run"],
        ["Middle 1/4: eyes", "0 of 1 right"],
        ["Bottom 1/2: nose and mouth", "0 of 1 right"],
    ]
    assert "drawn face stands" not in text(app)
    rows = app.dataframe[-1].value
    assert rows["mask"].tolist() == ["none", "eyes", "mouth"] and set(rows["true"]) == {true}
    assert rows["true_prob"].tolist() == pytest.approx([0.7, 0.05, 0.05]) and set(rows["confidence"].round(3)) == {0.7}
    assert f"{split.sample_ids[2]} of drawn, test" in text(app)


def test_a_run_that_was_not_evaluated_on_the_split_says_so(nothing):
    record = {"dataset": "tiny", "model": "valonly", "paper": "feeling_it", "system": "VGG-16:eye_mask"}
    artifacts.write_run(record, predictions={"val": predictions("val", 70)}, root=nothing)
    for view in ("Per class", "Masks"):
        (said,) = measured(open_page(paper="feeling_it", figure=view), "VGG-16:eye_mask")["run"]
        assert said.startswith("tiny-valonly")
        assert said.endswith(", not evaluated on test")


def test_nonsense_in_the_address_does_no_harm(folder):
    query = {"kumar_ukken-split": "never", "per-class": "joy", "right-answers": "perhaps"}
    open_page(paper="nobody", metric="luck", figure="Figure 99", run="x", system="y", curves="z", page="-3", **query)


def test_damaged_numbers_are_an_error_that_names_file_and_line(nothing):
    (nothing / "reported").mkdir()
    for name in ("papers.json", "references.json"):
        content = (PAGE.parent.parent / "artifacts" / "reported" / name).read_text(encoding="utf-8")
        (nothing / "reported" / name).write_text(content, encoding="utf-8")
    bad = "paper,system,dataset,metric,class_name,value,where,note\nugwu_rafdb,a,b,accuracy,,80.35,Table 4,\n"
    (nothing / "reported" / "reported_metrics.csv").write_text(bad, encoding="utf-8")
    app = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not app.exception
    assert "line 2" in app.error[0].value


@pytest.mark.slow
def test_the_page_needs_no_tensorflow(folder):
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(PAGE)!r}, default_timeout=120).run()\n"
        "bad = {'tensorflow', 'keras', 'jax', 'torch', 'tf_keras_vis'} & set(sys.modules)\n"
        "if bad or app.exception: sys.exit(f'imports {bad}, shows {app.exception}')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PAGE.parent.parent, env=dict(os.environ), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
