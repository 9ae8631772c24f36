"""In what a training differs from its model's recipe."""

import json

import pytest

from fer_core.artifacts import Run
from fer_core.errors import ConfigError
from fer_core.models.specs import spec
from fer_core.training import recipes
from fer_core.training.config import config_of_entry


def record(model, changes=None, **fields):
    """What ``run.json`` says of a network that was trained with ``changes``."""
    config = config_of_entry(spec(model), changes)
    found = {"model": model, "config": config.to_dict(), "spec": recipes.network_of(model, config)}
    return json.loads(json.dumps(found | fields))


@pytest.mark.parametrize(
    ("model", "changes", "found"),
    [
        ("patil_cnn", {}, {}),
        ("patil_cnn", {"seed": 3}, {}),
        ("patil_cnn", {"epochs": 16, "schedule": "cosine"}, {"epochs": (16, 25), "schedule": ("cosine", "constant")}),
        ("patil_cnn", {"augmentation": {"crop": 0.92, "flip": 0.5}}, {"crop": (0.92, 1.0), "flip": (0.5, 0.0)}),
        ("patil_cnn", {"arguments": {"dropout": 0.5}}, {"dropout": (0.5, 0.25)}),
        ("patil_cnn", {"input_size": 48}, {}),  # said, but the same
        ("ugwu_depth_4", {"input_size": 48}, {"input_size": (48, 128)}),
        ("vgg16_plain", {"initial_weights": "random"}, {"initial_weights": ("random", "imagenet")}),
        ("compact", {"epochs": 8}, {"epochs": (8, 40)}),  # sizes only follow
        ("compact", {"sizes": []}, {"sizes": ([], [[32, 26], [44, 14]])}),
    ],
)
def test_settings_that_differ_from_the_recipe(model, changes, found):
    assert recipes.from_recipe(record(model, changes)) == found


@pytest.mark.parametrize(
    ("model", "changes", "told"),
    [
        ("patil_cnn", {"seed": 3}, "by the recipe"),
        ("vgg16_plain", {"initial_weights": "random"}, "by the recipe, random weights"),
        ("vgg16_plain", {"initial_weights": "random", "epochs": 12, "input_size": 32}, "12 epochs, 32 px"),
        ("patil_cnn", {"epochs": 16, "schedule": "cosine", "mixup": 0.2}, "16 epochs, 2 more"),
        ("patil_cnn", {"schedule": "cosine", "mixup": 0.2}, "schedule cosine, 1 more"),
        ("svm_hog_rbf", {}, ""),
    ],
)
def test_settings_in_few_words(model, changes, told):
    assert recipes.short(record(model, changes) if changes else {"model": model}) == told


def test_runs_that_only_day_or_number_tells_apart_are_twins():
    names = [("fer2013", "compact", 0), ("fer2013", "compact", 1), ("drawn", "compact", 0), ("fer2013", "compact", 0)]
    runs = [Run(None, dict(zip(("dataset", "model", "seed"), name, strict=True))) for name in names]
    assert recipes.twins(runs) == [[runs[0], runs[3]]]


def test_a_run_older_than_shifts_has_none():
    old = record("vgg16_finetuned")
    del old["config"]["augmentation"]["shift"]
    assert recipes.from_recipe(old) == {} and recipes.told_of_run(old) == ""
    shifted = record("vgg16_finetuned", {"augmentation": {"zoom": 0.0, "shift": 0.1}})
    assert recipes.told_of_run(shifted) == "zoom 0 instead of 0.1, shift 0.1 instead of 0"


def test_a_run_older_than_min_delta_stopped_at_any_improvement():
    """Patil's printed 0.0001 is not what such a run was trained with."""
    old = record("patil_cnn", {"min_delta": 0.0})
    del old["config"]["min_delta"]
    assert recipes.from_recipe(old) == {"min_delta": (0.0, 0.0001)}
    assert recipes.told_of_run(old) == "min delta 0 instead of 0.0001"


def test_estimators_differ_in_arguments_and_pictures():
    arguments = spec("svm_hog_rbf")["arguments"]
    assert recipes.from_recipe({"model": "svm_hog_rbf", "config": json.loads(json.dumps(arguments))}) == {}
    given = arguments | {"C": 1.0, "dedupe": True}
    assert recipes.from_recipe({"model": "svm_hog_rbf", "config": given}) == {"C": (1.0, 3.0), "dedupe": (True, None)}


def test_differences_from_a_changed_recipe():
    short = record("ugwu_depth_4", {"epochs": 30, "input_size": 48})
    assert recipes.from_recipe(short, {"epochs": 30}) == {"input_size": (48, 128)}
    assert recipes.from_recipe(short, {"epochs": 30, "input_size": 48}) == {}
    assert recipes.from_recipe(record("compact", {"epochs": 8}), {"epochs": 4}) == {"epochs": (8, 4)}
    svm = {"model": "svm_hog_rbf", "config": spec("svm_hog_rbf")["arguments"] | {"C": 1.0}}
    changes = {"arguments": {"C": 1.0}, "dedupe": True, "epochs": 3}
    assert recipes.from_recipe(svm, changes) == {"dedupe": (None, True)}


def test_a_network_that_models_describe_otherwise_by_now_differs():
    old = recipes.network_of("patil_cnn", config_of_entry(spec("patil_cnn"))) | {"input_size": 96, "builder": "older"}
    found = recipes.from_recipe(record("patil_cnn", spec=old))
    assert found == {"input_size": (96, 48), "builder": ("older", "asymmetric_cnn")}


def test_differences_as_people_read_them():
    assert recipes.told({}) == ""
    found = {"learning_rate": (0.003, 0.01), "dedupe": (True, None), "mask": ("mouth", ""), "dense": ([64], [512])}
    assert recipes.told(found) == (
        "learning rate 0.003 instead of 0.01, dedupe true instead of none, mask mouth instead of none, "
        "dense [64] instead of [512]"
    )


def test_what_cannot_be_told_is_said_or_left_out():
    with pytest.raises(ConfigError, match="such"):
        recipes.from_recipe({"model": "patil_cnn", "config": {"no such": 1}})
    assert recipes.told_of_run({"model": "patil_cnn", "config": {"no such": 1}}) == "settings that are no more"
    assert recipes.told_of_run({"model": "a model that is no more", "config": {"epochs": 3}}) == ""
    assert recipes.told_of_run({"model": "patil_cnn", "config": None}) == ""
