"""The numbers of the mask study: on classifiers whose answers are known, worked out by hand, in tables and figures."""

import numpy as np
import pandas as pd
import pytest

from fer_core import artifacts, comparison, masks, metrics
from fer_core.charts import masks as charts
from fer_core.charts import parts
from fer_core.errors import RunError
from fer_core.explain import mask_numbers, mask_study, ranking
from fer_core.explain.conditions import WHOLE, control_seed, flip_matrix
from fer_core.explain.mask_study import REGIONS, MaskStudy
from fer_core.predictions import Predictions
from tests.conftest import PROJECT
from tests.mask_readers import CLASSES, SHADES, Blind, MouthReader, pictures, store_run, store_study, study_of


def from_classes(y_true, **by_condition):
    """A study from predicted classes, without controls."""
    ids = [f"p{i}" for i in range(len(y_true))]
    predictions = {
        name: Predictions(ids, np.array(y_true), 0.1 + 0.7 * np.eye(3)[predicted], CLASSES)
        for name, predicted in by_condition.items()
    }
    record = {"name": "s", "run": "toy", "split": "test", "picture_size": [4, 4], "control_seeds": []}
    return MaskStudy(record | {"areas": mask_study.region_areas((4, 4)), "n": len(y_true)}, predictions)


BY_HAND = from_classes(
    [0, 0, 1, 1, 2, 2],
    none=[0, 0, 1, 2, 2, 0],  # 4 right
    forehead=[0, 0, 1, 2, 2, 0],  # nothing changes
    eyes=[0, 1, 1, 1, 2, 0],  # loses the second, wins the fourth
    mouth=[1, 1, 1, 0, 1, 1],  # keeps the third only
)


# What the classifiers see


def test_reader_of_the_mouth_loses_everything_under_the_mouth_mask_and_nothing_else():
    study = study_of(MouthReader(), pictures())
    found = mask_numbers.numbers(study)
    rows = found.accuracy.set_index("mask")
    assert rows["accuracy"].to_dict() == {"none": 1.0, "forehead": 1.0, "eyes": 1.0, "mouth": 0.0}
    assert rows.loc["mouth", ["drop", "drop_low", "drop_high", "flip_rate"]].tolist() == [1, 1, 1, 1]
    assert (
        rows.loc[["forehead", "eyes"], ["drop", "drop_low", "drop_high", "flip_rate"]].to_numpy().tolist()
        == [[0] * 4] * 2
    )
    assert rows.loc["mouth", "only_whole"] == 40
    expected = comparison.mcnemar(study.predictions["none"], study.predictions["mouth"])
    assert rows.loc["mouth", "mcnemar_p"] == expected.p_value < 1e-8
    changes = found.recall.set_index(["mask", "class"])["change"]
    assert changes["mouth"].to_dict() == {"angry": 0.0, "happy": -1.0, "sad": -1.0}
    assert not changes["forehead"].any()
    flips = found.flips[["mask", "before", "after", "count", "share", "to_wrong"]].to_numpy().tolist()
    assert flips == [["mouth", "happy", "angry", 20, 1.0, 20], ["mouth", "sad", "angry", 20, 1.0, 20]]
    assert found.by_drop.first == "mouth" and found.by_drop.decided
    said = mask_numbers.verdict(found)
    assert said[0].startswith(
        "The mouth mask costs most accuracy: 100.0 points [100.0, 100.0], 100.0 [100.0, 100.0] more"
    )
    assert said[1].endswith("found the same.")


def test_control_of_the_mouth_reader_counts_the_pictures_still_readable():
    split = pictures(60)
    study = study_of(MouthReader(), split, seeds=(0, 1, 2))
    right = np.zeros((3, 60))
    for seed in range(3):
        drawn = masks.random_masks(16 * 8, (16, 16), [control_seed(seed, i) for i in range(60)])
        hidden = drawn[:, 8:].mean(axis=(1, 2))  # share of the bottom half that is black
        shade = SHADES[split.y_true] * (1 - hidden)
        right[seed] = np.abs(shade[:, None] - SHADES).argmin(axis=1) == split.y_true
    row = mask_numbers.numbers(study).accuracy.set_index("mask").loc["mouth"]
    assert 0 < right.mean() < 1
    assert row["control"] == pytest.approx(right.mean())
    assert row["beyond"] == pytest.approx(right.mean())  # minus the accuracy under the mask, which is 0


def test_blind_classifier_loses_nothing():
    found = mask_numbers.numbers(study_of(Blind(), pictures()))
    rows = found.accuracy.set_index("mask").loc[list(REGIONS)]
    assert not rows[["drop", "drop_low", "drop_high", "flip_rate", "beyond", "control_flip_rate"]].to_numpy().any()
    assert (rows["mcnemar_p"] == 1).all()
    assert not found.recall["change"].any()
    assert found.flips.empty
    assert mask_numbers.verdict(found) == [
        "No mask costs accuracy beyond chance: this model does not need what they hide."
    ]


# Numbers by hand


def test_flips_recalls_and_drops_by_hand():
    found = mask_numbers.numbers(BY_HAND)
    rows = found.accuracy.set_index("mask")
    assert rows["accuracy"].to_dict() == pytest.approx(
        {"none": 4 / 6, "forehead": 4 / 6, "eyes": 4 / 6, "mouth": 1 / 6}
    )
    assert rows["flip_rate"].iloc[1:].tolist() == pytest.approx([0, 2 / 6, 5 / 6])
    assert rows.loc["eyes", ["only_whole", "only_masked"]].tolist() == [1, 1]
    assert rows.loc["mouth", "mcnemar_p"] == pytest.approx(0.25)  # exact: 3 against 0, 2 / 2**3
    assert rows["control"].isna().all() and found.beyond_control is None
    changes = found.recall.set_index(["mask", "class"])["change"]
    assert changes["eyes"].to_dict() == pytest.approx({"angry": -0.5, "happy": 0.5, "sad": 0.0})
    assert changes["mouth"].to_dict() == pytest.approx({"angry": -1.0, "happy": 0.0, "sad": -0.5})
    assert flip_matrix(BY_HAND.predictions[WHOLE], BY_HAND.predictions["mouth"]).tolist() == [
        [0, 3, 0],
        [0, 1, 0],
        [1, 1, 0],
    ]
    flows = found.flows[found.flows["mask"] == "mouth"][["before", "after", "count"]].to_numpy().tolist()
    assert flows == [["angry", "happy", 3], ["happy", "happy", 1], ["sad", "angry", 1], ["sad", "happy", 1]]
    eyes = found.flips[found.flips["mask"] == "eyes"].set_index(["before", "after"])
    assert eyes.loc[("angry", "happy"), ["count", "share", "to_right", "to_wrong"]].tolist() == pytest.approx(
        [1, 1 / 3, 0, 1]
    )
    assert eyes.loc[("sad", "happy"), ["count", "share", "to_right", "to_wrong"]].tolist() == pytest.approx(
        [1, 1 / 2, 1, 0]
    )


def test_intervals_are_those_of_the_library():
    study = study_of(MouthReader(), pictures(), seeds=(0,))
    found = mask_numbers.numbers(study)
    control, masked, whole = (study.predictions[name] for name in ("control-128-0", "mouth", "none"))
    rows = found.accuracy.set_index("mask")
    expected = comparison.paired_bootstrap(control, masked)
    assert rows.loc["mouth", ["beyond", "beyond_low", "beyond_high"]].tolist() == pytest.approx(
        [expected.difference, expected.low, expected.high]
    )
    assert found.beyond_control.values["mouth"].p_value == pytest.approx(expected.p_value)
    interval = metrics.evaluate(control)["intervals"]["accuracy"]
    assert rows.loc["mouth", ["control_low", "control_high"]].tolist() == pytest.approx(interval)
    weights = metrics.resamples(len(whole), 1000)
    gained = metrics.recall(control, weights) - metrics.recall(whole, weights)
    sad = found.recall.set_index(["mask", "class"]).loc[("mouth", "sad")]
    low, high = np.percentile(gained[:, 2], [2.5, 97.5])
    assert sad[["control_change_low", "control_change_high"]].tolist() == pytest.approx([low, high])


@pytest.mark.parametrize(
    ("drops", "beyond", "holds", "leaders"),
    [
        ({"mouth": 60, "eyes": 20}, {"mouth": 40, "eyes": 5}, "So it costs most by either count", ["mouth"] * 2),
        (
            {"mouth": 60, "eyes": 30}, {"mouth": 0, "eyes": 25}, "costs most as it is, the eyes mask for its area",
            ["mouth", "eyes"],
        ),
        (
            {"mouth": 60, "eyes": 30}, {"mouth": 21, "eyes": 20}, "only one statement holds: the mouth mask",
            ["mouth", "undecided"],
        ),
        ({"mouth": 60, "eyes": 20}, {"mouth": -9, "eyes": -3}, "due to its size alone", ["mouth", "nothing"]),
        ({"mouth": 41, "eyes": 40}, {"mouth": 21, "eyes": 20}, "Neither count tells", ["undecided"] * 2),
    ],
)  # fmt: skip
def test_sentence_says_which_statement_holds(drops, beyond, holds, leaders):
    """Of 100 pictures, all recognised whole, ``drops`` are lost to a mask and ``beyond`` fewer to random ones."""
    y_true = np.tile([1, 2], 50)

    def right(count):
        hit = np.random.default_rng(count).permutation(100) < count
        return Predictions(
            [f"p{i}" for i in range(100)], y_true, 0.1 + 0.7 * np.eye(3)[np.where(hit, y_true, 0)], CLASSES
        )

    predictions = {WHOLE: right(100), "forehead": right(98)}
    predictions |= {mask: right(100 - lost) for mask, lost in drops.items()}
    predictions |= {f"control-{i}-0": right(100 - drops[m] + beyond[m]) for i, m in enumerate(("mouth", "eyes"))}
    areas = {"mouth": 0, "eyes": 1, "forehead": 2}
    record = {"run": "toy", "picture_size": [2, 2], "areas": areas, "control_seeds": [0], "n": 100}
    study = MaskStudy(record, predictions | {"control-2-0": right(98)})
    found = mask_numbers.numbers(study)
    said = " ".join(mask_numbers.verdict(found))
    assert holds in said
    assert list(mask_numbers.leaders(found)) == leaders
    assert ("Which mask costs most accuracy is undecided" in said) == (leaders[0] == "undecided")
    assert ("found the same" in said) == (drops["mouth"] - drops["eyes"] > 5)


def test_another_costliest_mask_is_said():
    y_true = np.tile([1, 2], 30)
    lost = np.zeros(60, dtype=int)
    study = from_classes(y_true, none=y_true, forehead=y_true, mouth=y_true, eyes=lost)
    costs, paper = mask_numbers.verdict(mask_numbers.numbers(study))
    assert costs.startswith("The eyes mask costs most accuracy: 100.0 points")
    assert "found the mouth mask costliest, this study does not" in paper


def test_a_mask_that_surely_costs_is_not_hidden_by_one_that_may():
    """The mouth mask loses and wins many; the eyes mask loses few for certain."""
    y_true = np.tile([1, 2], 1500)
    wrong, at = 3 - y_true, np.arange(3000)
    whole = np.where(at < 440, wrong, y_true)
    mouth = np.where(at < 440, y_true, np.where(at < 936, wrong, y_true))
    eyes = np.where(at >= 2950, wrong, whole)
    found = mask_numbers.numbers(from_classes(y_true, none=whole, forehead=whole, eyes=eyes, mouth=mouth))
    first, eyes_cost = found.by_drop.values["mouth"], found.by_drop.values["eyes"]
    assert found.by_drop.first == "mouth" and first.low < 0 < first.high and eyes_cost.low > 0
    costs, *_ = mask_numbers.verdict(found)
    assert costs.startswith("Which mask costs most accuracy is undecided: the mouth mask leads")
    assert mask_numbers.leaders(found)[0] == "undecided"


def test_masks_whose_order_is_undecided_are_not_ranked_in_the_next_sentence():
    """Both masks cost much, about as much as each other and as random ones."""
    y_true = np.tile([1, 2], 200)
    at = np.arange(400)
    lost = {"mouth": np.where(at < 201, 0, y_true), "eyes": np.where(at >= 200, 0, y_true)}
    found = mask_numbers.numbers(from_classes(y_true, none=y_true, forehead=y_true, **lost))
    beyond = ranking.rank({"mouth": np.tile([-1.0, 1.0], 200)}, metrics.resamples(400, 200))
    told = ranking.beyond_sentence(found.by_drop, beyond, "mask")
    assert found.by_drop.tied == ("eyes",)
    assert told.endswith("That the mouth mask leads may be due to its size alone.")


def test_an_interval_that_is_not_known_is_not_beyond_chance():
    unknown = ranking.Estimate(0.5, np.nan, np.nan, 1.0)
    assert not unknown.beyond_chance
    assert not ranking.Ranking({"a": unknown}, {}).positive
    assert charts._cell(50.0, np.nan, np.nan) == parts._cell(50.0, np.nan, np.nan, signed=True) == "(+50)"


def test_classes_of_few_pictures_have_no_interval():
    y_true = np.repeat([0, 1, 2], [4, 30, 30])
    lost = np.where(y_true == 0, 1, y_true)
    study = from_classes(y_true, none=y_true, forehead=y_true, eyes=y_true, mouth=lost)
    rows = mask_numbers.recall_rows(study, metrics.resamples(64, 200)).set_index(["mask", "class"])
    few = rows.loc[("mouth", CLASSES[0])]
    assert few["change"] == -1 and np.isnan([few["change_low"], few["change_high"]]).all()
    assert rows.loc[("mouth", CLASSES[1]), ["change_low", "change_high"]].tolist() == [0, 0]


def test_the_papers_answer_is_open_only_where_the_mouth_may_cost_most():
    y_true = np.tile([1, 2], 30)
    lost, kept = np.zeros(60, dtype=int), np.where(np.arange(60) < 1, 0, y_true)
    study = from_classes(y_true, none=y_true, forehead=lost, eyes=lost, mouth=kept)
    costs, paper = mask_numbers.verdict(mask_numbers.numbers(study))
    assert costs.startswith("Which mask costs most accuracy is undecided: the forehead mask leads with 100.0 points")
    assert "this study does not" in paper
    study = from_classes(y_true, none=y_true, forehead=kept, eyes=lost, mouth=lost)
    assert "these data cannot tell" in mask_numbers.verdict(mask_numbers.numbers(study))[1]


# Tables


def test_table_sets_a_run_trained_with_the_mask_beside_the_study(tmp_path):
    study, _ = store_study(store_run(tmp_path), tmp_path)
    y_true = pictures().y_true
    half = np.where(np.arange(40) < 20, y_true, 0)
    other = np.where(np.arange(40) < 10, y_true, 0)
    best = store_run(tmp_path, half, config={"mask": "mouth"}, date="2026-02-01")
    store_run(tmp_path, other, config={"mask": "eyes"}, model="unlike", date="2026-02-02")  # another network
    runs, _ = artifacts.list_runs(tmp_path)
    shifted = {"config": {"mask": "mouth", "tta": "ten_view"}, "date": "2026-01-30"}
    store_run(tmp_path, y_true, model="net", **shifted)  # comes first, but by other views than the study's
    for config, changes in (
        ({}, {"dataset_fingerprint": "other pictures"}),
        ({"faces": True}, {}),
        ({"equalize": "clahe"}, {}),
    ):  # all of them right, and all of them asked something else
        store_run(tmp_path, y_true, config={"mask": "mouth"} | config, date="2026-02-03", **changes)
    runs, _ = artifacts.list_runs(tmp_path)
    trained = mask_numbers.trained_runs(study.record, runs)
    assert {region: run.name for region, run in trained.items()} == {"mouth": best.name}
    table = mask_numbers.table_rows(study, trained)
    assert table["mask"].tolist() == ["none", "forehead", "eyes", "mouth", "mouth"]
    with_mask = table[table["trained"] == mask_numbers.TRAINED].iloc[0]
    assert with_mask[["overall", "happy", "sad", "angry", "gain"]].tolist() == [0.5, 0.5, 0.5, 0, 0.5]
    assert with_mask["gain_low"] > 0.3
    gained = mask_numbers.gains(best.predictions("test"), study.predictions["mouth"])
    assert with_mask[mask_numbers.GAIN_COLUMNS].tolist() == pytest.approx(list(gained.values()))
    assert [with_mask["low"], with_mask["high"]] == pytest.approx(best.metrics("test")["intervals"]["accuracy"])
    f1 = mask_numbers.table_rows(study, trained, "f1").iloc[-1]
    assert f1["overall"] == pytest.approx(best.metrics("test")["weighted_f1"])
    assert f1["happy"] == pytest.approx(2 / 3)
    accuracy = mask_numbers.summary(study).accuracy
    short = mask_numbers.overall_rows(study.record, accuracy, trained)
    pd.testing.assert_frame_equal(short, table[mask_numbers.OVERALL_COLUMNS], check_exact=True)
    rows = mask_numbers.chart_rows([short], {study.run: accuracy})
    assert set(rows["model"]) == {study.run}  # one colour for both
    assert rows["kind"].value_counts().to_dict() == {
        mask_numbers.TESTED: 4,
        mask_numbers.CONTROL: 3,
        mask_numbers.TRAINED: 1,
    }


@pytest.mark.parametrize("measure", ["recall", "f1"])
def test_classes_of_the_table_have_the_intervals_of_their_resamples(measure):
    """Of 20 happy pictures 15 stay, of 20 sad ones 10; what is lost reads as angry, of which there is none."""
    y_true = pictures().y_true
    happy = (y_true == 1) & (np.cumsum(y_true == 1) <= 15)
    right = happy | ((y_true == 2) & (np.cumsum(y_true == 2) <= 10))
    answers = dict.fromkeys(("none", "forehead", "eyes"), y_true) | {"mouth": np.where(right, y_true, 0)}
    row = mask_numbers.table_rows(from_classes(y_true, **answers), {}, measure).set_index("mask").loc["mouth"]
    drawn = metrics.resamples(40, 1000)  # weights (40, 1000)
    kept, all_happy = happy @ drawn, (y_true == 1) @ drawn
    resampled = kept / all_happy if measure == "recall" else 2 * kept / (kept + all_happy)
    value = 0.75 if measure == "recall" else 2 * 15 / (15 + 20)
    assert row["happy"] == pytest.approx(value)
    assert [row["happy_low"], row["happy_high"]] == pytest.approx(np.percentile(resampled, [2.5, 97.5]).tolist())
    assert row["sad_low"] < row["sad"] < row["sad_high"]
    assert row[["angry", "angry_low", "angry_high"]].tolist() == [0, 0, 0]


def test_cells_of_a_class_hold_its_interval_in_percent():
    known = {"mask": "mouth", "sad": 0.5, "sad_low": 0.4004, "sad_high": 0.5996, "gain": 0.1}
    printed = {"mask": "eyes", "sad": 0.4743}
    table = pd.DataFrame([known, printed, {"mask": "none"}])
    cells = mask_numbers.with_cells(table, ["sad", "never measured"])
    assert cells["sad"].tolist() == ["50.0 [40.0, 60.0]", "47.4", ""]
    assert cells["never measured"].tolist() == ["", "", ""]
    assert list(cells.columns) == ["mask", "sad", "gain", "never measured"]
    assert table["sad_low"][0] == 0.4004


def test_gains_of_training_with_a_mask_by_hand():
    """Eight pictures of the second class; meeting the mask three are right, trained with it six."""
    ids, y_true = [f"p{i}" for i in range(8)], np.ones(8, int)

    def answers(right, p):
        probs = np.tile([p, 1 - p, 0.0], (8, 1))  # what is wrong reads as the first class
        probs[:right] = [1 - p, p, 0.0]
        return Predictions(ids, y_true, probs, CLASSES)

    trained, tested = answers(6, 0.75), answers(3, 0.875)
    found = mask_numbers.gains(trained, tested)
    assert list(found) == mask_numbers.GAIN_COLUMNS
    assert found["gain"] == pytest.approx(6 / 8 - 3 / 8)
    own, other = (6 * 0.75 + 2 * 0.25) / 8, (3 * 0.875 + 5 * 0.125) / 8
    assert found["p_gain"] == pytest.approx(own - other)
    assert found["ece_gain"] == pytest.approx((0.875 - 3 / 8) - 0)  # one bin each; 6 of 8 right is what 0.75 says
    paired = comparison.paired_bootstrap(trained, tested)
    assert [found["gain_low"], found["gain_high"]] == pytest.approx([paired.low, paired.high])
    weights = metrics.resamples(8, 1000)
    shares = [np.arange(8) < n for n in (6, 3)]
    ece = [np.abs(p - share @ weights / 8) for p, share in zip((0.75, 0.875), shares, strict=True)]
    high, low = np.percentile(ece[1] - ece[0], [2.5, 97.5])
    assert [found["ece_gain_low"], found["ece_gain_high"]] == pytest.approx([1 - low, 1 - high])
    moved = Predictions(ids[::-1], y_true, tested.pred_probs[::-1], CLASSES)
    assert mask_numbers.gains(trained, moved) == pytest.approx(found)
    assert not any(mask_numbers.gains(trained, trained).values())


def test_same_arguments_and_input_are_the_same_network():
    def run(**record):
        return artifacts.Run(PROJECT, {"model": "a"} | record)

    spec = {"builder": "vgg", "arguments": {"dropout": 0.3}, "channels": 1, "input_size": 44}
    same = run(model="b", spec=spec, config={"mask": "eyes", "input_size": 0})
    assert mask_numbers.architecture(run(spec=spec)) == mask_numbers.architecture(same)
    assert mask_numbers.architecture(run(spec=spec)) != mask_numbers.architecture(
        run(spec=spec, config={"input_size": 48})
    )
    assert mask_numbers.architecture(run(spec=spec)) != mask_numbers.architecture(run(spec=spec | {"arguments": {}}))


def test_reported_values_in_the_columns_of_the_table(tmp_path):
    path = tmp_path / "reported.csv"
    path.write_text(
        "paper,system,dataset,metric,class_name,value,where,note\n"
        "feeling_it,VGG-16:no_mask_overfitting_control,d,accuracy,,0.5825,Table 2,\n"
        "feeling_it,VGG-16:nose_and_mouth_mask,d,accuracy,,0.4334,Table 2,\n"
        "feeling_it,VGG-16:nose_and_mouth_mask,d,recall,happy,0.4743,Table 2,\n"
        "feeling_it,ResNet50:no_mask_no_overfitting_control,d,accuracy,,0.4735,Table 3,\n"
        "feeling_it,dataset,d,count,,7,,\n"
        "other,VGG-16:eye_mask,d,accuracy,,0.9,,\n"
    )
    rows = mask_numbers.reported_rows(CLASSES, path=path)
    assert rows["mask"].tolist() == ["none", "mouth", "none"]
    assert rows["model"].tolist() == ["VGG-16 (paper)", "VGG-16 (paper)", "ResNet50 (paper)"]
    assert rows["overall"].tolist() == [0.5825, 0.4334, 0.4735]
    assert rows["happy"].tolist()[1] == 0.4743 and np.isnan(rows["sad"][1])
    assert mask_numbers.reported_rows(CLASSES, path=tmp_path / "missing.csv").empty
    path.write_text("something else\n")
    with pytest.raises(RunError, match="no table of reported numbers"):
        mask_numbers.reported_rows(CLASSES, path=path)


def test_the_summary_is_that_of_all_numbers():
    study = study_of(MouthReader(), pictures(), seeds=(0,))
    found, short = mask_numbers.numbers(study, n_boot=50), mask_numbers.summary(study, n_boot=50)
    pd.testing.assert_frame_equal(short.accuracy, found.accuracy, check_exact=True)
    assert (short.class_names, short.by_drop, short.beyond_control) == (CLASSES, found.by_drop, found.beyond_control)
    assert mask_numbers.verdict(short) == mask_numbers.verdict(found)


# Figures


def test_figure_of_accuracy_has_a_point_per_mask_and_kind():
    found = mask_numbers.numbers(study_of(MouthReader(), pictures(), seeds=(0,)))
    table = mask_numbers.table_rows(study_of(MouthReader(), pictures(), seeds=()), {})
    frame = mask_numbers.chart_rows([table], {"toy": found.accuracy})
    figure = charts.accuracy_per_mask(frame, {"toy": "#123456"})
    drawn = {trace.offsetgroup: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data if trace.offsetgroup}
    assert drawn[f"toy-{mask_numbers.TESTED}"] == {"no mask": 1.0, "forehead": 1.0, "eyes": 1.0, "mouth": 0.0}
    control = found.accuracy.set_index("mask")["control"].dropna().to_dict()
    assert drawn[f"toy-{mask_numbers.CONTROL}"] == control
    assert set(charts.SYMBOLS) == {
        mask_numbers.TESTED, mask_numbers.TRAINED, mask_numbers.PRINTED, mask_numbers.CONTROL
    }  # fmt: skip


def test_legend_of_accuracy_is_short_and_the_hover_tells_the_run():
    runs = [f"tiny-net{at}-s0-20260101" for at in range(14)]
    frame = pd.DataFrame(
        {"mask": "none", "model": runs, "kind": mask_numbers.TESTED, "value": 0.5, "low": 0.4, "high": 0.6}
    )
    figure = charts.accuracy_per_mask(frame, {})
    assert figure.layout.legend.orientation == "h"
    shown = [trace for trace in figure.data if trace.showlegend]
    assert [trace.name for trace in shown] == [f"net{at}-s0" for at in range(14)]
    assert all(run in trace.hovertemplate for run, trace in zip(runs, shown, strict=True))
    assert figure.layout.height - 60 - 15 * 14 < 14 * 10  # lines, not a line per model


def test_figure_of_recall_brackets_what_may_be_chance_and_shares_rows_of_one_area():
    rows = [
        {"mask": mask, "class": name, "change": change, "change_low": change - 0.1, "change_high": change + 0.1}
        | {"control_change": control, "control_change_low": control, "control_change_high": control}
        for mask, control in (("forehead", -0.2), ("eyes", -0.2), ("mouth", -0.5))
        for name, change in (("angry", 0.05), ("happy", -0.3))
    ]
    heatmap = charts.recall_changes(pd.DataFrame(rows), ("angry", "happy")).data[0]
    assert list(heatmap.y) == ["forehead", "eyes", "mouth", "random, as forehead, eyes", "random, as mouth"]
    assert list(heatmap.text[0]) == ["(+5)", "-30"]
    assert list(heatmap.text[4]) == ["-50", "-50"]
