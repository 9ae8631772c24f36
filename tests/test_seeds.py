"""Trainings that differ in the seed alone are found, and no others."""

import pytest

from fer_core import artifacts
from fer_core.artifacts import Run
from fer_core.training import seeds
from tests.conftest import PROJECT

CONFIG = {"epochs": 3, "learning_rate": 0.1}


def run(tmp_path, name="a", seed=0, weights=True, **changes):
    record = {
        "name": name, "model": "compact", "dataset": "toy", "dataset_fingerprint": "f", "class_names": ["x", "y"],
        "seed": seed, "date": "2026-01-01", "config": CONFIG | {"seed": seed}, "metrics": {},
        "retrain": "python -m fer_core train compact toy" + (f" --seed {seed}" if seed else ""),
    }  # fmt: skip
    folder = tmp_path / name
    folder.mkdir()
    if weights:
        (folder / "weights.npz").touch()
    return Run(folder, record | changes)


def names(runs):
    return [one.name for one in runs]


def test_sisters_differ_in_the_seed_alone(tmp_path):
    own = run(tmp_path)
    sister = run(tmp_path, "sister", 5)
    older = run(tmp_path, "older", 3, config={"learning_rate": 0.1, "epochs": 3, "tta": "none", "seed": 3})
    others = [
        run(tmp_path, "seed", 0),
        run(tmp_path, "model", 1, model="wide"),
        run(tmp_path, "pictures", 1, dataset_fingerprint="g"),
        run(tmp_path, "classes", 1, class_names=["y", "x"]),
        run(tmp_path, "setting", 1, config=CONFIG | {"seed": 1, "mixup": 0.2}),
        run(tmp_path, "start", 1, initial_weights="imagenet"),
    ]
    assert names(seeds.sisters(own, [*others, sister, own, older])) == ["older", "sister"]
    assert seeds.groups([*others, sister, own, older])[0][1:] == [older, sister]
    assert len(seeds.groups([*others, sister, own, older])) == 1


@pytest.mark.parametrize("changes", [{"dataset_fingerprint": None}, {"model": artifacts.ENSEMBLE}])
def test_what_was_not_shown_to_see_the_same_pictures_or_has_no_seed_has_no_sister(tmp_path, changes):
    runs = [run(tmp_path, str(seed), seed, **changes) for seed in range(2)]
    assert seeds.sisters(runs[0], runs) == [] and seeds.groups(runs) == []


def test_estimators_have_sisters_too(tmp_path):
    runs = [run(tmp_path, str(seed), seed, model="hog_logistic", config={"cell": 6, "C": 0.05}) for seed in range(2)]
    assert names(seeds.sisters(runs[0], runs)) == ["1"]


def test_of_each_seed_one_run_stays_the_one_with_weights_then_the_latest(tmp_path):
    own = run(tmp_path)
    kept = run(tmp_path, "kept", 1, date="2026-01-02")
    runs = [own, run(tmp_path, "early", 1), kept, run(tmp_path, "stripped", 1, weights=False, date="2026-01-03")]
    assert names(seeds.sisters(own, runs)) == ["kept"]
    assert [names(group) for group in seeds.groups(runs)] == [["a", "kept"]]


def test_command_trains_the_next_seed_or_one_whose_weights_are_missing(tmp_path):
    own, second = run(tmp_path, "own", 1), run(tmp_path, "second", 2)
    train = "python -m fer_core train compact toy"
    assert seeds.command_for_another(own, [own]) == train  # seed 0
    assert seeds.command_for_another(second, [own, second, run(tmp_path, "zero")]) == f"{train} --seed 3"
    stripped = run(tmp_path, "stripped", 7, weights=False)
    assert seeds.command_for_another(own, [own, second, stripped]) == f"{train} --seed 7"
    bare = run(tmp_path, "bare", 0, retrain=None)
    assert seeds.command_for_another(bare, [bare]) == f"{train} --seed 1"


@pytest.mark.parametrize("model", ["wide", "compact"])
def test_committed_trainings_are_sisters(model):
    runs = artifacts.list_runs(PROJECT / "artifacts")[0]
    (group,) = [group for group in seeds.groups(runs) if group[0].model == model]
    assert [one.run["seed"] for one in group] == [0, 1, 2]  # one of compact names fewer settings
    assert names(seeds.sisters(group[1], runs)) == [group[0].name, group[2].name]
