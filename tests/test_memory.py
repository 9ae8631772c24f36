"""Memory that a training takes at the least: maps counted by hand, and never more of them than the network has."""

import json

import numpy as np
import pytest

from fer_core.datasets.split import Dataset, Split
from fer_core.models.activations import kept
from fer_core.models.specs import MODELS, spec
from fer_core.training import memory
from fer_core.training.config import config_of_entry
from fer_core.training.preparation import prepare

MB = 2**20
NETWORKS = {
    json.dumps([entry["builder"], entry["input_size"], entry["arguments"]]): name
    for name, entry in MODELS.items()
    if entry["family"] == "network"
}
# Building the deep ones takes seconds.
DEEP = [
    pytest.param(n, marks=pytest.mark.slow if "backbone" in spec(n)["arguments"] else ()) for n in NETWORKS.values()
]


def split(n, side=10, where=None):
    pictures = np.zeros((n, side, side), np.uint8)
    if where is not None:
        np.save(where, pictures)
        pictures = np.load(where, mmap_mode="r")
    return Split(np.array([str(at) for at in range(n)]), pictures, np.zeros(n, np.int64), ("a",))


def needed(model, train=1000, val=1, **settings):
    settings = {"precision": "float32", "sizes": [], "dedupe": False} | settings  # all pictures here are the same
    return memory.needed(
        spec(model), config_of_entry(spec(model), settings), {"train": split(train), "val": split(val)}
    )


def step(model, train=1000, **settings):
    """Bytes beside Python and the pictures."""
    return needed(model, train, **settings) - 800 * MB - 100 * (train + 1)


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("side", [0, 75])
def test_maps_are_some_of_those_that_the_network_has(name, side):
    """Between half and all of what its layers give; each as large as one of these."""
    from fer_core.models.registry import build_network

    entry = spec(name)
    side = side or entry["input_size"]
    network = build_network(name, input_size=side)
    outputs = [int(np.prod(layer.output.shape[1:])) for layer in network.layers]
    found = kept(entry["builder"], side, entry["channels"], entry["arguments"])
    assert sum(outputs) / 2 < sum(found) <= sum(outputs)
    assert set(found) <= set(outputs)


def test_arguments_of_the_builder_count():
    small = kept("plain_cnn", 8, 1, {"width": 2, "stages": (1, 1)})
    assert small == [64, 128, 128, 2 * 16, 4 * 16, 4 * 16], "pixels, then convolution and ReLU; pooled between blocks"
    deeper = kept("deepening_cnn", 20, 3, {"depth": 3})
    assert deeper == [3 * 400, 16 * 18**2, 16 * 9**2, 32 * 7**2, 32 * 3**2, 64 * 3**2, 64]


def test_a_step_has_the_pixels_and_maps_of_its_batch():
    side, maps = 48, sum(kept("asymmetric_cnn", 48, 1, {}))
    assert step("patil_cnn", batch_size=64) == 64 * 4 * (side**2 + maps)
    assert step("patil_cnn", batch_size=64, precision="mixed_bfloat16") == 64 * (4 * side**2 + 2 * maps)
    assert step("patil_cnn", 50, batch_size=64) == 50 * 4 * (side**2 + maps), "no more than there are"


def toys(ids=str, classes=20):
    """Fifty training pictures, the last nine of them like the first; two of them in test too."""
    pictures = np.zeros((50, 10, 10), np.uint8)
    pictures[:41, 0, 0] = np.arange(41)
    names = tuple(f"class {label}" for label in range(classes))
    train = Split(np.array([ids(at) for at in range(50)]), pictures, np.arange(50) % classes, names)
    return {"train": train, "test": train.take(np.array([3, 4]))}


def counted(splits, settings):
    """Pictures of the largest batch, by the bytes of a step."""
    config = config_of_entry(spec("patil_cnn"), {"batch_size": 64, "precision": "float32"} | settings)
    beside = 800 * MB + sum(one.images.nbytes for one in splits.values())
    of_each = 4 * (48**2 + sum(kept("asymmetric_cnn", 48, 1, {})))
    return (memory.needed(spec("patil_cnn"), config, splits) - beside) / of_each


@pytest.mark.parametrize(
    ("settings", "fitted"),
    [
        ({}, 50),
        ({"batch_size": 32}, 32),
        ({"holdout": 0.2}, 40 - 20),  # a fifth, and of small classes up to a picture more
        ({"classes": ["class 0", "class 19"]}, 3 + 2),
        ({"dedupe": True}, 41 - 2),
        ({"dedupe": True, "classes": ["class 3", "class 5"]}, 4),  # 23, 43, 5 and 25; 3 is in test, 45 is like 43
        ({"dedupe": True, "holdout": 0.1}, 35 - 20),
        ({"dedupe": True, "faces": True}, 0),
    ],
)
def test_a_batch_has_no_more_pictures_than_are_left_to_fit_to(settings, fitted):
    assert counted(toys(), settings) == fitted


def test_of_whole_subjects_that_are_held_out_nobody_knows_how_many_pictures_they_have():
    assert counted(toys(lambda at: f"S{at // 25:03d}_001_{at:08d}"), {"holdout": 0.1}) == 0


@pytest.mark.parametrize("holdout", [0, 0.02, 0.1, 0.34, 0.5])
@pytest.mark.parametrize("dedupe", [False, True])
def test_no_more_are_counted_than_the_training_has(holdout, dedupe):
    settings, splits = {"holdout": holdout, "dedupe": dedupe}, toys(classes=8)
    dataset = Dataset("toys", splits | {"val": splits["test"]}, "")
    fitted = prepare(dataset, config_of_entry(spec("patil_cnn"), settings)).fitted
    assert 0 <= counted(splits, settings) <= len(fitted)
    assert holdout or counted(splits, settings) == len(fitted)


def test_auto_is_half_precision_where_the_processor_has_units(monkeypatch):
    sizes = {}
    for units in (True, False):
        monkeypatch.setattr(memory, "processor_has_bfloat16_units", lambda units=units: units)
        sizes[units] = step("patil_cnn", precision="auto")
    assert sizes[True] == step("patil_cnn", precision="mixed_bfloat16") and sizes[False] == step("patil_cnn")


def test_the_largest_pictures_of_progressive_sizes_count():
    assert step("compact", epochs=4, sizes=[[32, 3], [44, 1]]) == step("compact", input_size=44)
    assert step("compact", epochs=4, sizes=[[44, 3], [32, 1]]) == step("compact", input_size=44)


def test_frozen_layers_keep_nothing_unless_the_gradient_goes_through_them():
    settings = {"input_size": 64, "batch_size": 64}
    maps = kept("backbone_classifier", 64, 3, {"backbone": "vgg16"})
    below = {"trainable_layers": 6, "initial_weights": "imagenet"}
    assert step("vgg16_plain", **settings, **below) == 64 * 4 * (3 * 64**2 + max(maps))
    assert step("vgg16_plain", **settings) == 64 * 4 * (3 * 64**2 + sum(maps))
    maps = kept("backbone_classifier", 64, 3, spec("vgg16_finetuned")["arguments"])
    assert step("vgg16_finetuned", **settings) == 64 * 4 * (3 * 64**2 + sum(maps)), "to the batch norm of the input"
    assert step("vgg16_frozen", **settings) == 4 * (3 * 64**2 + 64**3), "judging a picture; its batches are of features"


def test_judging_val_may_take_more_than_a_step():
    """VGG16 at 128 pixels with batches of 4: a batch of val is 256."""
    beside = 800 * MB + 100 * 2010
    maps = sum(kept("backbone_classifier", 128, 3, {"backbone": "vgg16"}))
    whole = needed("vgg16_plain", 10, 2000, batch_size=4, holdout=0.0)
    assert whole == beside + 1024 * 4 * 3 * 128**2 + 256 * 4 * 64 * 128**2
    some = needed("vgg16_plain", 10, 2000, batch_size=4, holdout=0.2)
    assert some == beside + 4 * 4 * (3 * 128**2 + maps), "other pictures are judged, and nobody counts them"


def test_pictures_on_disk_are_not_held(tmp_path):
    config = config_of_entry(spec("svm_hog_rbf"))
    splits = {"train": split(30), "val": split(5, where=tmp_path / "val.npy")}
    assert memory.needed(spec("svm_hog_rbf"), config, splits) == 400 * MB + 3000


def test_bad_arguments_are_left_to_the_builder():
    for model, wrong in (("ugwu_depth_3", {"depth": "x"}), ("vgg16_plain", {"backbone": "vgg99"})):
        assert needed(model, arguments=wrong) > 800 * MB
