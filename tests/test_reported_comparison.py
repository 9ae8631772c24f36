"""The papers' numbers beside those of runs made for the test."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from fer_core import artifacts, reported
from fer_core.labels import CLASS_NAMES
from fer_core.models.specs import MODELS, spec
from fer_core.predictions import Predictions
from fer_core.reported import comparison
from fer_core.training.config import config_of_entry
from tests.test_reported import PAPERS


def answers(n_right, n=100, split="test"):
    """Predictions of which the first ``n_right`` of ``n`` are right; the others take the next class."""
    y_true = np.arange(n) % 7
    y_pred = np.where(np.arange(n) < n_right, y_true, (y_true + 1) % 7)
    probs = np.full((n, 7), 0.05)
    probs[np.arange(n), y_pred] = 0.7
    return Predictions([f"{split}_{i:05d}" for i in range(n)], y_true, probs, CLASS_NAMES)


@pytest.fixture
def made(tmp_path):
    """Write a run and return it as read: 62 of 100 right on test, 50 of 100 on val."""

    def made(paper, system, *, history=None, n_right=62, **fields):
        model = next(name for name in reversed(MODELS) if MODELS[name].get("system") == system)
        record = {"model": model, "dataset": "fer2013", "paper": paper, "system": system, "date": "2026-01-31"}
        record |= {"initial_weights": "random", "spec": {"input_size": 64}, "train_accuracy": 0.75} | fields
        predictions = {"val": answers(50, split="val"), "test": answers(n_right)}
        return artifacts.read_run(
            artifacts.write_run(record, history=history, predictions=predictions, root=tmp_path / "made")
        )

    return made


def only(frame, **wanted):
    for name, it in wanted.items():
        frame = frame[frame[name] == it]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def test_backend_and_machine_of_each_run_stand_beside_it(made):
    gpu = {"backend": "jax", "machine": "16 cores, a GPU"}
    runs = [
        made("ugwu_rafdb", "cnn:batch_size=2048", **gpu),
        made("ugwu_rafdb", "cnn:batch_size=128", machine="2 cores"),
    ]
    frame = reported.comparison_table("ugwu_rafdb", runs)
    told = reported.shown(reported.of_metric(frame, "val_accuracy")).set_index("system")["trained_on"]
    assert told["cnn:batch_size=2048"] == "jax, 16 cores, a GPU"
    assert told["cnn:batch_size=128"] == "2 cores" and told["cnn:batch_size=256"] == ""


def test_a_run_stands_beside_its_system(made):
    run = made("kumar_ukken", "VGG16_modified")
    frame = reported.comparison_table("kumar_ukken", [run, made("patil_thesis", "cnn_fer2013")], "test")
    low, high = run.metrics("test")["intervals"]["accuracy"]
    row = only(frame, system="VGG16_modified", metric="accuracy", reported=0.584)
    assert row["where"] == "Figure 11, Figure 13, Figure 15, section 4.5"
    assert row["run"] == run.name
    assert row["measured"] == pytest.approx(0.62)
    assert (row["low"], row["high"]) == (low, high)
    assert row["difference"] == pytest.approx(0.036)
    assert row["inside"] == (low <= 0.584 <= high)
    assert row["better"] == 1
    assert (row["n"], row["split"], row["dataset"]) == (100, "test", "fer2013")
    assert (row["initial_weights"], row["input_size"]) == ("random", 64)
    assert row["source"] == "run.json, metrics.test"
    report = only(frame[frame["reported"].round(4) == 0.6163], metric="accuracy")
    assert report["difference"] == pytest.approx(0.62 - 0.6163276678740597)
    others = frame[frame["system"] != "VGG16_modified"]
    assert (others["run"] == "").all()
    assert others["open"].all()
    counts = reported.summary(frame)
    assert (counts["systems"], counts["measured"], counts["runs"]) == (8, 1, 1)


def test_the_split_is_the_papers_own_unless_asked_for(made):
    run = made("kumar_ukken", "VGG16_modified")
    row = only(reported.comparison_table("kumar_ukken", [run]), metric="accuracy", reported=0.584)
    assert (row["split"], row["measured"]) == ("val", pytest.approx(0.5))
    assert row["better"] == -1
    clean = reported.comparison_table("kumar_ukken", [run], "test_clean")
    row = only(clean[clean["run"] != ""], metric="accuracy", reported=0.584)
    if "test_clean" not in run.splits:
        assert row["open"] == "not evaluated on test_clean"
        assert math.isnan(row["measured"])


def test_what_a_reader_must_know_of_a_run_stands_beside_its_name(made):
    """A leaky split, for one."""
    frame = reported.comparison_table("patil_thesis", [made("patil_thesis", "svm_ckplus", notes="Split by frame.")])
    row = only(reported.shown(frame[frame["system"] == "svm_ckplus"]))
    assert row["run"].endswith(", Split by frame.")


@pytest.mark.parametrize(("epochs", "only_weights"), [(30, 1), (3, 0)])
def test_a_run_that_differs_in_its_initial_weights_alone_is_counted(made, epochs, only_weights):
    changes = {"initial_weights": "random", "epochs": epochs}
    config = config_of_entry(spec("vgg16_plain"), changes).to_dict()
    run = made("feeling_it", "VGG-16:no_mask_no_overfitting_control", config=config, spec=None)
    counts = reported.summary(reported.comparison_table("feeling_it", [run]))
    assert (counts["other_settings"], counts["only_weights"]) == (1, only_weights)


def test_a_number_counts_once_however_many_runs_judge_it_and_relatives_judge_none(made):
    """``vgg16``, a network of our own, stands beside Kumar & Ukken's best system."""
    system = "VGG16_modified"

    def counts(*runs):
        return reported.summary(reported.comparison_table("kumar_ukken", runs, "test"))

    own_runs = [
        made("kumar_ukken", system, model="vgg16_finetuned", seed=seed, n_right=n_right, spec=None, config=config)
        for seed, n_right, config in (
            (0, 10, config_of_entry(spec("vgg16_finetuned")).to_dict()),  # far off, by the recipe
            (1, 60, config_of_entry(spec("vgg16_finetuned"), {"epochs": 3}).to_dict()),
        )
    ]
    relative = made("kumar_ukken", system, model="vgg16", n_right=60)
    far, both, alone = counts(own_runs[0]), counts(*own_runs), counts(relative)
    rows = reported.comparison_table("kumar_ukken", own_runs, "test")
    judged = rows[(rows["class"] == "") & rows["inside"].notna()]
    assert both["judged"] == far["judged"] == len(judged.drop_duplicates(["metric", "reported"])) < len(judged)
    assert far["inside"] == 0
    assert both["inside"] == judged[judged["inside"]].drop_duplicates(["metric", "reported"]).shape[0] > 0
    assert counts(*own_runs, relative) == both
    assert (both["runs"], both["other_settings"]) == (2, 1)
    assert (alone["judged"], alone["inside"], alone["runs"], alone["by_relatives"]) == (0, 0, 0, 1)


def test_settings_that_are_not_the_recipes_stand_in_the_row(made):
    """``ugwu_depth_4`` takes 128 x 128 pixels and 100 passes."""
    config = config_of_entry(spec("ugwu_depth_4"), {"epochs": 30, "input_size": 48}).to_dict()
    runs = [made("ugwu_rafdb", "cnn:depth=4", config=config, spec=None)]
    runs += [made("ugwu_rafdb", "cnn:depth=3", config=spec("ugwu_depth_3")["recipe"], spec=None)]
    table = reported.comparison_table("ugwu_rafdb", runs)
    counts = reported.summary(table)
    assert (counts["other_settings"], counts["only_weights"], counts["runs"]) == (1, 0, 2)
    frame = reported.shown(table).set_index("system")["differs_from_recipe"]
    assert set(frame["cnn:depth=4"]) == {"epochs 30 instead of 100, input size 48 instead of 128"}
    assert set(frame["cnn:depth=3"]) == set(frame["cnn:depth=5"]) == {""}


def test_runs_of_fewer_passes_are_named_with_those_that_they_cannot_be_compared_with(made):
    """Only Ugwu prints discrepancies, and for networks that do not stop early."""

    def told(paper, *given):
        made_of = [
            made(
                paper,
                spec(model)["system"],
                model=model,
                seed=seed,
                config=config_of_entry(spec(model), changes).to_dict(),
            )
            for seed, (model, changes) in enumerate(given)
        ]
        return reported.fewer_passes(reported.comparison_table(paper, made_of), made_of)

    whole = [("ugwu_epochs_200", {}), ("ugwu_lr_0.01", {"input_size": 48})]
    assert told("ugwu_rafdb", *whole) == ""
    short = [("ugwu_depth_3", {"epochs": 30}), ("ugwu_depth_4", {"epochs": 30}), ("ugwu_batch_512", {"epochs": 20})]
    assert told("ugwu_rafdb", *short, *whole) == (
        "cnn:depth and cnn:batch_size had fewer passes here than in the paper (20 instead of 100, 30 instead of 100), "
        "so their discrepancy cannot be compared with the printed one, nor with that of cnn:learning_rate and "
        "cnn:epochs."
    )
    assert told("ugwu_rafdb", short[0], ("ugwu_depth_5", {})) == (
        "cnn:depth=3 had fewer passes here than in the paper (30 instead of 100), so their discrepancy cannot be "
        "compared with the printed one, nor with that of cnn:depth=5."
    )
    assert told("ugwu_rafdb", short[0]).endswith("with the printed one.")
    twice = told("ugwu_rafdb", short[0], ("ugwu_depth_3", {}))
    assert twice.startswith("fer2013-ugwu_depth_3-s0") and "that of fer2013-ugwu_depth_3-s1" in twice
    assert told("feeling_it", ("vgg16_plain", {"epochs": 3})) == ""


def test_several_runs_of_one_system_each_have_a_row(made):
    runs = [made("feeling_it", "VGG-16:forehead_mask", seed=seed, n_right=50 + seed) for seed in (0, 1)]
    frame = reported.comparison_table("feeling_it", runs)
    rows = frame[(frame["system"] == "VGG-16:forehead_mask") & (frame["metric"] == "accuracy")]
    assert rows["run"].tolist() == [run.name for run in runs]
    assert rows["measured"].tolist() == pytest.approx([0.50, 0.51])
    assert (rows["dataset"] == "fer2013").all()
    assert (rows["reported_on"] == "fer2013_oheix_cleaned").all()


def test_per_class_numbers_are_scikit_learns(made):
    run = made("kumar_ukken", "VGG16_modified")
    y_true, y_pred = answers(62).y_true, answers(62).y_pred
    frame = reported.comparison_table("kumar_ukken", [run], "test")
    rows = frame[(frame["run"] != "") & (frame["class"] == "happy")].set_index("metric")["measured"]
    at = CLASS_NAMES.index("happy")
    matrix = confusion_matrix(y_true, y_pred)
    assert rows["recall"] == rows["tpr"] == pytest.approx(recall_score(y_true, y_pred, average=None)[at])
    assert rows["precision"] == pytest.approx(precision_score(y_true, y_pred, average=None)[at])
    false_positives = matrix[:, at].sum() - matrix[at, at]
    assert rows["fpr"] == pytest.approx(false_positives / (100 - matrix[at].sum()))
    headline = frame[(frame["run"] != "") & (frame["class"] == "")].set_index("metric")["measured"]
    for kind in ("macro", "weighted"):
        assert headline[f"{kind}_precision"] == pytest.approx(precision_score(y_true, y_pred, average=kind))
        assert headline[f"{kind}_recall"] == pytest.approx(recall_score(y_true, y_pred, average=kind))


@pytest.mark.parametrize(
    ("metric", "share", "n", "low", "high"),
    [
        ("recall", 9 / 14, 14, 0.3876, 0.8366),
        ("tpr", 9 / 14, 14, 0.3876, 0.8366),
        ("precision", 9 / 15, 15, 0.3575, 0.8018),
        ("fpr", 6 / 86, 86, 0.0324, 0.1440),
        ("f1", 18 / 29, 20, None, None),
    ],
)
def test_numbers_of_a_class_rest_on_its_own_pictures(made, metric, share, n, low, high):
    """Fear: 14 pictures, 9 of them right, and 6 of disgust taken for it; Wilson as R's prop.test(correct = FALSE)."""
    run = made("kumar_ukken", "VGG16_modified")
    frame = reported.comparison_table("kumar_ukken", [run], "test")
    row = frame[(frame["run"] != "") & (frame["class"] == "fear") & (frame["metric"] == metric)].iloc[0]
    assert (row["measured"], row["n"]) == (pytest.approx(share), n)
    if low is None:
        low, high = run.metrics("test")["per_class"]["fear"]["f1_interval"]
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert row["inside"] == (row["low"] <= row["reported"] <= row["high"])


def test_lower_is_better_where_it_is(made):
    run = made("kumar_ukken", "VGG16_modified", n_right=100)
    frame = reported.comparison_table("kumar_ukken", [run], "test")
    rows = frame[(frame["run"] != "") & (frame["metric"] == "mean_fpr")]
    assert (rows["measured"] == 0).all()
    assert (rows["difference"] < 0).all()
    assert (rows["better"] == 1).all()


def test_ugwus_numbers_come_from_the_last_epoch(made):
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [1.5, 0.4],
            "accuracy": [0.4, 0.9],
            "val_loss": [1.4, 1.2],
            "val_accuracy": [0.3, 0.6],
        }
    )
    run = made("ugwu_rafdb", "cnn:depth=4", history=history, dataset="raf-db")
    frame = reported.comparison_table("ugwu_rafdb", [run])
    rows = frame[frame["run"] != ""].set_index("metric")
    measured = {"train_loss": 0.4, "train_accuracy": 0.9, "val_loss": 1.2, "val_accuracy": 0.6, "discrepancy": 0.3}
    assert rows["measured"].to_dict() == pytest.approx(measured)
    assert set(rows["source"]) == {"history.csv, last row"}
    assert rows.loc["val_accuracy", "split"] == "val"
    assert rows.loc["train_accuracy", "split"] == "train"
    assert (rows["epochs"] == 2).all()
    assert rows.loc["discrepancy", "better"] == -1  # 0.3 against 0.1705


@pytest.mark.parametrize(
    ("reported_on", "dataset", "same"),
    [
        ("fer2013", "fer2013", True),
        ("fer2013_oheix_cleaned", "fer2013", True),
        ("ck+", "ckplus-frames", True),
        ("raf-db", "rafdb", True),
        ("raf-db", "fer2013", False),
        ("ck+", "fer2013", False),
        ("fer2013", "drawn", False),
    ],
)
def test_names_of_the_same_data(reported_on, dataset, same):
    assert comparison.same_data(reported_on, dataset) is same


def test_numbers_on_other_data_are_not_judged(made):
    """Ugwu's are of RAF-DB: the same run is judged on its pictures, and not on those of FER2013."""
    frames = {}
    for dataset in ("rafdb", "fer2013"):
        frame = reported.comparison_table("ugwu_rafdb", [made("ugwu_rafdb", "cnn:depth=4", dataset=dataset)])
        frames[dataset] = frame[(frame["run"] != "") & (frame["metric"] == "val_accuracy")].iloc[0]
        counts = reported.summary(frame)
        assert (counts["judged"], counts["other_data"]) == ((1, 0) if dataset == "rafdb" else (0, 4))
    own, other = frames["rafdb"], frames["fer2013"]
    assert (own["same_data"], own["inside"], own["better"]) == (True, False, -1)
    assert not other["same_data"] and pd.isna(other["inside"]) and pd.isna(other["better"])
    assert other["difference"] == own["difference"] == pytest.approx(0.5 - other["reported"])


def test_without_a_history_ugwus_numbers_come_from_the_run(made):
    run = made("ugwu_rafdb", "cnn:depth=4")
    rows = reported.comparison_table("ugwu_rafdb", [run]).query("run != ''").set_index("metric")
    assert rows.loc["train_accuracy", ["measured", "source"]].tolist() == [0.75, "run.json, train_accuracy"]
    assert rows.loc["val_accuracy", "measured"] == pytest.approx(0.5)
    assert rows.loc["discrepancy", "measured"] == pytest.approx(0.25)
    assert math.isnan(rows.loc["train_loss", "measured"])


def test_a_network_of_our_own_leaves_the_papers_system_open(made):
    """``vgg16`` stands beside VGG16_modified, which is ``vgg16_finetuned``."""
    frame = reported.comparison_table("kumar_ukken", [made("kumar_ukken", "VGG16_modified", model="vgg16")])
    rows = frame[(frame["system"] == "VGG16_modified") & (frame["reported"] == 0.584)].set_index("model")
    assert list(rows.index) == ["vgg16", "vgg16_finetuned"]
    assert rows.loc["vgg16", "differs_from_recipe"].startswith("another network: VGG16 with batch normalisation")
    assert rows.loc["vgg16_finetuned", "open"] == (
        "needs ImageNet weights: run `python -m fer_core train vgg16_finetuned`"
    )
    counts = reported.summary(frame)
    assert (counts["measured"], counts["by_relatives"], counts["runs"], counts["other_settings"]) == (0, 1, 0, 0)


def test_models_of_a_system_without_a_run_are_open_beside_those_with_one(made):
    frame = reported.comparison_table("patil_thesis", [made("patil_thesis", "svm_fer2013", model="svm_hog_rbf")])
    rows = frame[(frame["system"] == "svm_fer2013") & (frame["metric"] == "accuracy")].set_index("model")
    models = [name for name, entry in MODELS.items() if entry.get("system") == "svm_fer2013"]
    assert sorted(rows.index) == sorted(models) and len(models) > 4
    assert (rows["run"] != "").sum() == 1 and rows.loc["svm_hog_rbf", "run"]
    assert rows.loc["svm_hog_poly", "open"] == "not trained yet: run `python -m fer_core train svm_hog_poly`"
    assert reported.summary(frame)["measured"] == 1


def test_parameter_counts_are_compared_without_a_verdict(made):
    frame = reported.comparison_table("patil_thesis", [made("patil_thesis", "cnn_fer2013", param_count=3_931_975)])
    row = only(frame, system="cnn_fer2013", metric="param_count")
    assert (row["difference"], row["better"]) == (0, 0)


def test_open_systems_say_why():
    models = {
        "frozen": {"paper": "p", "system": "a", "recipe": {"initial_weights": "imagenet", "trainable_layers": 0}},
        "whole": {"paper": "p", "system": "d", "recipe": {"initial_weights": "imagenet"}},
        "scratch": {"paper": "p", "system": "b", "recipe": {"initial_weights": "random"}},
        "plain": {"recipe": {}},
    }
    command = "`python -m fer_core train"
    assert reported.why_open("p", "a", models) == f"needs ImageNet weights: run {command} frozen`"
    assert reported.why_open("p", "b", models) == f"not trained yet: run {command} scratch`"
    assert reported.why_open("p", "c", models) == "not built yet"
    assert reported.why_open("p", "d", models) == (
        f"needs ImageNet weights: run {command} whole`, or without them {command} whole --set initial_weights=random`"
    )
    assert reported.train_commands("p", models) == [
        "python -m fer_core train scratch",
        "python -m fer_core train whole --set initial_weights=random",
        "python -m fer_core train frozen",
        "python -m fer_core train whole",
    ]
    assert reported.train_commands("q", models) == []
    rows = pd.DataFrame({"run": ["", "", "a-run"], "model": ["frozen", "frozen", "scratch"]})
    assert reported.open_commands("p", rows, models) == ["python -m fer_core train frozen"]


@pytest.mark.parametrize("paper", PAPERS)
def test_without_runs_everything_is_open(paper):
    table = reported.read()
    frame = reported.comparison_table(paper, [], table=table)
    assert frame["measured"].isna().all()
    assert frame["open"].all()
    assert set(frame["system"]) == set(reported.systems(table, paper))


def test_class_bars_put_the_reported_numbers_first(made):
    run = made("feeling_it", "VGG-16:forehead_mask")
    frame = reported.comparison_table("feeling_it", [run])
    rows = reported.class_bar_rows(frame, "VGG-16:forehead_mask", "f1")
    assert rows["run"].tolist() == ["reported"] * 7 + [run.name] * 7
    of = rows.set_index(["run", "class"])
    assert of.loc[("reported", "happy"), "value"] == 0.8192
    assert math.isnan(of.loc[("reported", "happy"), "low"])
    record = run.metrics("test")["per_class"]["happy"]
    assert of.loc[(run.name, "happy")].tolist() == [record["f1"], *record["f1_interval"]]
    open_system = reported.class_bar_rows(frame, "ResNet50:eye_mask", "f1")
    assert set(open_system["run"]) == {"reported"}


def test_shown_table_hides_what_says_nothing(made):
    frame = reported.comparison_table("kumar_ukken", [made("kumar_ukken", "VGG16_modified")])
    table = reported.shown(reported.of_metric(frame, "accuracy"))
    assert table.columns[:4].tolist() == ["system", "reported", "measured", "difference"]
    assert table["run"].str.startswith("open: ").sum() == 7
    assert table.loc[table["system"] == "VGG16_modified", "run"].tolist() == ["fer2013-vgg16_finetuned-s0-20260131"] * 2
    assert {"metric", "class", "low", "open"}.isdisjoint(table)
    assert {"metric", "class"} <= set(reported.shown(frame))


def test_example_predictions_are_the_most_confident():
    made = answers(90)
    probs = made.pred_probs.copy()
    probs[97] = np.eye(7)[made.y_pred[97]]
    made = Predictions(made.sample_ids, made.y_true, probs, CLASS_NAMES)
    wrong = reported.example_predictions(made)
    assert len(wrong) == 10
    assert wrong["sample_id"].iloc[0] == "test_00097"
    assert (wrong["true"] != wrong["predicted"]).all()
    assert len(reported.example_predictions(made, right=True)) == 90
