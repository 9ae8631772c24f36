"""Spread over seeds, worked by hand."""

import pytest

from fer_core import artifacts, seed_spread
from fer_core.artifacts import Run
from fer_core.training import seeds
from tests.conftest import PROJECT


def group(tmp_path, model, values, split="test"):
    return [
        Run(tmp_path, {"name": f"{model}-{seed}", "model": model, "dataset": "toy", "seed": seed,
                       "metrics": {split: {"accuracy": value, "macro_f1": value / 2}}})
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_rows_worked_by_hand(tmp_path):
    groups = [group(tmp_path, "low", [0.5, 0.6]), group(tmp_path, "high", [0.7, 0.8, 0.9])]
    table = seed_spread.seed_rows(groups, "test")
    assert table[["model", "dataset", "seeds", "n"]].to_numpy().tolist() == [
        ["high", "toy", "0, 1, 2", 3],
        ["low", "toy", "0, 1", 2],
    ]
    high = table.iloc[0]
    assert high[["accuracy_mean", "accuracy_sd", "accuracy_low", "accuracy_high"]].tolist() == pytest.approx(
        [0.8, 0.1, 0.7, 0.9]
    )
    assert high[["macro_f1_mean", "macro_f1_sd"]].tolist() == pytest.approx([0.4, 0.05])


def test_least_difference_worked_by_hand(tmp_path):
    groups = [group(tmp_path, "a", [0.70, 0.72]), group(tmp_path, "b", [0.5, 0.51, 0.52])]
    accuracy, macro_f1 = seed_spread.luck(groups, "test")
    # squares 1 * 0.0002 + 2 * 0.0001 over 3 degrees of freedom; t(0.975, 3) = 3.1824
    sd = (0.0004 / 3) ** 0.5
    assert accuracy == ("accuracy", pytest.approx(sd), 3, pytest.approx(3.182446 * sd * 2**0.5, rel=1e-5))
    assert macro_f1.least == pytest.approx(accuracy.least / 2)


def test_runs_without_results_on_the_split_do_not_count(tmp_path):
    groups = [group(tmp_path, "a", [0.7, 0.8], "val"), group(tmp_path, "b", [0.5, 0.6])]
    assert seed_spread.seed_rows(groups, "test")["model"].tolist() == ["b"]
    assert seed_spread.luck(groups, "test")[0].degrees == 1
    assert seed_spread.luck(groups[:1], "test") == [] and seed_spread.seed_rows([], "test").empty


def test_models_that_draw_nothing_do_not_make_luck_look_small(tmp_path):
    groups = [group(tmp_path, "a", [0.70, 0.72]), group(tmp_path, "hog_logistic", [0.4, 0.4, 0.4])]
    assert seed_spread.luck(groups, "test") == seed_spread.luck(groups[:1], "test")
    assert seed_spread.luck(groups[1:], "test") == []


def test_committed_trainings_are_the_groups():
    found = seeds.groups(artifacts.list_runs(PROJECT / "artifacts")[0])
    table = seed_spread.seed_rows(found, "test").set_index("model")
    assert table.loc[["wide", "compact"], "n"].tolist() == [3, 3]
    assert 0.001 < seed_spread.luck(found, "test")[0].least < 0.03
