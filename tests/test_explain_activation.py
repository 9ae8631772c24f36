"""Activation maximisation finds what a hand-built network looks for, and nothing else."""

import numpy as np
import pytest

from fer_core.errors import ConfigError, ModelError
from fer_core.explain import activation, gradients
from fer_core.models.ensemble import Ensemble
from fer_core.models.registry import NetworkClassifier

CLASSES = ("dark", "bright")
SIDE = 16
REGION = (slice(4, 10), slice(6, 14))


def _reader(keras, channels=1):
    """'bright' grows with the brightness of one region, 'dark' falls with it."""
    layers = keras.layers
    seen = np.zeros((SIDE, SIDE, 1), np.float32)
    seen[REGION] = 1 / 255
    inputs = keras.Input((SIDE, SIDE, channels))
    x = layers.Flatten()(layers.Rescaling(seen)(inputs))
    network = keras.Model(inputs, layers.Dense(2, activation="softmax", name="out")(x))
    size = SIDE * SIDE * channels
    network.get_layer("out").set_weights([np.tile([-20 / size, 20 / size], (size, 1)), np.array([2.0, -2.0])])
    return NetworkClassifier(network, CLASSES)


@pytest.fixture(scope="module")
def reader():
    return _reader(pytest.importorskip("keras"))


def _means(image):
    outside = np.ones((SIDE, SIDE), bool)
    outside[3:11, 5:15] = False  # smoothness lets the region fade into its surroundings
    return image[REGION].mean(), image[outside].mean()


def test_region_turns_bright_for_one_class_and_dark_for_the_other(reader):
    weights = [weight.copy() for weight in reader.network.get_weights()]
    bright, dark = (activation.maximise(reader, index, steps=60, smoothness=0.1) for index in (1, 0))
    assert bright.image.shape == (SIDE, SIDE)
    assert bright.image.dtype == np.uint8
    inside, outside = _means(bright.image)
    assert inside > 170
    assert abs(outside - 127.5) < 25
    inside, outside = _means(dark.image)
    assert inside < 85
    assert abs(outside - 127.5) < 25
    assert (bright.class_index, dark.class_index) == (1, 0)
    assert all(np.array_equal(a, b) for a, b in zip(weights, reader.network.get_weights(), strict=True))


def test_scores_rise_and_the_probability_is_that_of_the_picture(reader):
    found = activation.maximise(reader, 1, steps=40)
    assert found.logits.shape == (41,)
    assert found.logits[-1] > found.logits[0] + 0.8
    grey = np.full((1, SIDE, SIDE), 127, np.uint8)
    assert found.probability == pytest.approx(float(reader.predict_proba(found.image[None])[0, 1]), abs=1e-6)
    assert found.probability > reader.predict_proba(grey)[0, 1] + 0.2


def test_seeds_repeat_and_differ(reader):
    first, again, other = (activation.maximise(reader, 1, steps=5, seed=seed).image for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_penalties_do_what_they_say(reader):
    plain = {"steps": 60, "jitter": 0, "decay": 0.0, "smoothness": 0.0}
    free = activation.maximise(reader, 1, **plain).image.astype(float)
    smooth = activation.maximise(reader, 1, **plain | {"smoothness": 4.0}).image.astype(float)
    near = activation.maximise(reader, 1, **plain | {"decay": 4.0}).image.astype(float)
    assert free[REGION].min() == 255  # nothing holds it back

    def roughness(image):
        return (np.diff(image, axis=0) ** 2).sum() + (np.diff(image, axis=1) ** 2).sum()

    assert roughness(smooth) < 0.5 * roughness(free)
    assert np.abs(near - 127.5).mean() < 0.7 * np.abs(free - 127.5).mean()


def test_colour_network_gives_a_colour_picture():
    found = activation.maximise(_reader(pytest.importorskip("keras"), channels=3), 1, steps=30)
    assert found.image.shape == (SIDE, SIDE, 3)
    assert found.image[REGION].mean() > found.image[12:].mean() + 30


def test_one_graph_serves_all_classes_and_settings(reader):
    activation.maximise(reader, 1, steps=1)
    graphs = dict(gradients.explainer(reader.network)._graphs)
    activation.maximise(reader, 0, steps=3, seed=5, rate=1.0, decay=1.0, smoothness=0.0, jitter=1)
    assert gradients.explainer(reader.network)._graphs == graphs


class WithoutNetwork:
    class_names = CLASSES

    def predict_proba(self, images):
        return np.full((len(images), 2), 0.5, np.float32)


def test_models_without_one_network_are_refused(reader):
    for classifier in (WithoutNetwork(), Ensemble([reader, reader])):
        with pytest.raises(ModelError, match="Activation maximisation needs") as caught:
            activation.maximise(classifier, 0)
        assert "single network" in caught.value.remedy


@pytest.mark.parametrize(
    "settings",
    [
        {"class_index": 2},
        {"class_index": -1},
        {"steps": 0},
        {"steps": 10**6},
        {"rate": 0.0},
        {"decay": -1.0},
        {"smoothness": -1.0},
        {"jitter": -1},
    ],
)
def test_settings_out_of_range_are_refused(reader, settings):
    with pytest.raises(ConfigError):
        activation.maximise(reader, **{"class_index": 1} | settings)
