import numpy as np
import pytest

from fer_core.errors import ConfigError, ModelError
from fer_core.explain import faithfulness, saliency
from fer_core.inference import Predictor
from fer_core.models.ensemble import Ensemble
from fer_core.models.registry import NetworkClassifier
from fer_core.predictions import Classifier

CLASSES = ("angry", "happy", "sad")
SIDE = 12
TOP, BOTTOM = (slice(0, 4), slice(0, 4)), (slice(8, 12), slice(8, 12))


class Fixed:
    """Always answers the same."""

    def __init__(self, names, probabilities):
        self.class_names, self.probabilities = names, probabilities

    def predict_proba(self, images):
        return np.tile(np.array(self.probabilities, np.float32), (len(images), 1))


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(60, 256, (2, SIDE, SIDE), dtype=np.uint8)


def test_probabilities_are_the_weighted_mean_by_class_name(pictures):
    one = Fixed(CLASSES, [0.7, 0.2, 0.1])
    other = Fixed(("sad", "angry", "happy"), [0.5, 0.1, 0.4])  # angry 0.1, happy 0.4, sad 0.5
    equal = Ensemble([one, other])
    assert isinstance(equal, Classifier)
    assert equal.class_names == CLASSES
    np.testing.assert_allclose(equal.predict_proba(pictures), [[0.4, 0.3, 0.3]] * 2, atol=1e-6)
    weighted = Ensemble([one, other], weights=[3, 1])
    assert weighted.weights.tolist() == [0.75, 0.25]
    answer = weighted.predict_proba(pictures)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, [[0.55, 0.25, 0.2]] * 2, atol=1e-6)
    np.testing.assert_allclose(Ensemble([equal, other]).predict_proba(pictures), [[0.25, 0.35, 0.4]] * 2, atol=1e-6)
    np.testing.assert_allclose(Predictor(equal).predict_proba(pictures), equal.predict_proba(pictures))
    assert equal.predict_proba(pictures[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("members", "settings", "said"),
    [
        ([], {}, "needs members"),
        ([Fixed(CLASSES, [1, 0, 0]), Fixed(("angry", "happy"), [1, 0])], {"names": ["a", "b"]}, "b knows angry, happy"),
        ([Fixed(CLASSES, [1, 0, 0]), Fixed(("angry", "happy", "fear"), [1, 0, 0])], {}, "member 2"),
        ([Fixed(CLASSES, [1, 0, 0])], {"weights": [1, 1]}, "1 weights"),
        ([Fixed(CLASSES, [1, 0, 0])], {"weights": [-1]}, "negative"),
        ([Fixed(CLASSES, [1, 0, 0])], {"weights": [0]}, "not all 0"),
        ([Fixed(CLASSES, [1, 0, 0])], {"weights": [np.nan]}, "weights"),
        ([Fixed(CLASSES, [1, 0, 0])], {"names": ["a", "b"]}, "1 names"),
    ],
)
def test_what_does_not_fit_is_refused(members, settings, said):
    with pytest.raises(ModelError, match=said):
        Ensemble(members, **settings)


def _reader(keras, region, names=CLASSES, conv="conv"):
    """A network whose 'happy' grows with the brightness of one region; nothing else is read."""
    layers = keras.layers
    seen = np.zeros((SIDE, SIDE, 1), np.float32)
    seen[region] = 1 / 255
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(2, 1, activation="relu", name=conv)(layers.Rescaling(seen)(inputs))
    x = layers.Dense(3, activation="softmax", name="out")(layers.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, x)
    network.get_layer(conv).set_weights([np.ones((1, 1, 1, 2)), np.zeros(2)])
    rise = {"angry": 0.0, "happy": 8.0, "sad": -8.0}
    network.get_layer("out").set_weights([np.tile([rise[name] for name in names], (2, 1)), np.zeros(3)])
    return NetworkClassifier(network, names)


@pytest.fixture(scope="module")
def readers():
    keras = pytest.importorskip("keras")
    return [_reader(keras, TOP), _reader(keras, BOTTOM, ("sad", "happy", "angry"))]


@pytest.mark.parametrize("method", list(saliency.METHODS))
def test_an_ensemble_of_two_readers_shows_both_regions(readers, pictures, method):
    few = {"cells": 3} if method in ("lime", "kernel_shap") else {}
    both = Ensemble([Predictor(member) for member in readers])
    found = saliency.explain(both, pictures, 1, method, **few)
    assert found.values.shape == pictures.shape
    for value in found.values:
        assert value.max() == 1
        assert value[TOP].max() > 0.5
        assert value[BOTTOM].max() > 0.5
        assert value[5:7, 5:7].max() < 0.35  # between them
    if saliency.METHODS[method].family == "cam":  # nothing speaks for 'sad', which the members have in other places
        assert not saliency.explain(both, pictures, 2, method).values.any()


def test_members_count_as_they_are_weighted(readers, pictures):
    found = saliency.explain(Ensemble(readers, weights=[3, 1]), pictures, 1, "gradient")
    assert found.raw[0][TOP].max() == pytest.approx(0.75)
    assert found.raw[0][BOTTOM].max() == pytest.approx(0.25)
    assert found.layer is None
    alone = saliency.explain(Ensemble(readers, weights=[1, 0]), pictures, 1, "gradient")
    single = saliency.explain(readers[0], pictures, 1, "gradient")
    np.testing.assert_allclose(alone.uncapped, single.uncapped, atol=1e-6)  # the few strongest pixels keep their weight
    np.testing.assert_allclose(alone.values, saliency.explain(readers[0], pictures, 1, "gradient").values)


def test_layers_and_grids_of_the_members_are_reported(readers, pictures):
    found = saliency.explain(Ensemble(readers), pictures, 1, "grad_cam")
    assert (found.layer, found.grid) == ("conv", (SIDE, SIDE))
    with pytest.raises(ConfigError, match="member 1 of the ensemble: Unknown layer"):
        saliency.explain(Ensemble(readers), pictures, 1, "grad_cam", layer="nowhere")


def test_layers_that_all_members_have_can_be_chosen_for_all(pictures):
    keras = pytest.importorskip("keras")

    def network(names, sides):
        x = inputs = keras.Input((SIDE, SIDE, 1))
        for name, side in zip(names, sides, strict=True):
            x = keras.layers.AveragePooling2D(x.shape[1] // side)(x)
            x = keras.layers.Conv2D(2, 1, activation="relu", kernel_initializer="ones", name=name)(x)
        scores = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
        return NetworkClassifier(keras.Model(inputs, scores), CLASSES)

    one = network(("first", "second", "last"), (SIDE, SIDE // 2, 1))
    other = network(("first", "last", "extra"), (SIDE // 2, 2, 1))
    unlike = network(("nobody",), (SIDE,))
    ensemble = Ensemble([one, unlike, other], weights=[1, 0, 3])
    layers, default = saliency.shared_layers(ensemble)
    assert layers == [saliency.LayerChoice("first", (SIDE // 2,) * 2), saliency.LayerChoice("last", (1, 1))]
    assert default == saliency.LayerChoice("second, first", (SIDE // 2,) * 2)
    assert saliency.shared_layers(Ensemble([one, unlike]))[0] == []
    for layer, used in ((None, default), *((choice.name, choice) for choice in layers)):
        found = saliency.explain(ensemble, pictures, 1, "layer_cam", layer)
        assert saliency.LayerChoice(found.layer, found.grid) == used
        maps = [saliency.explain(member, pictures, 1, "layer_cam", layer).values for member in (one, other)]
        np.testing.assert_allclose(found.raw, 0.25 * maps[0] + 0.75 * maps[1], atol=1e-6)


def test_a_member_without_gradients_is_named(readers, pictures):
    mixed = Ensemble([readers[0], Fixed(CLASSES, [0.2, 0.3, 0.5])], names=["a network", "an SVM"])
    with pytest.raises(ModelError, match="an SVM of the ensemble"):
        saliency.explain(mixed, pictures, 1, "gradient")
    assert saliency.explain(mixed, pictures, 1, "occlusion", fill="zero").values[0][TOP].max() == 1


def test_the_predictor_of_an_ensemble_is_explained_like_it(readers, pictures):
    ensemble = Ensemble(readers)
    expected = saliency.explain(ensemble, pictures, 1, "gradient").values
    fast = Ensemble([Predictor(member) for member in readers])
    np.testing.assert_allclose(saliency.explain(Predictor(ensemble), pictures, 1, "gradient").values, expected)
    np.testing.assert_allclose(saliency.explain(fast, pictures, 1, "gradient").values, expected)


def test_a_map_of_unlike_networks_is_checked_and_so_is_that_of_their_predictor(pictures):
    keras = pytest.importorskip("keras")
    ensemble = Ensemble([_reader(keras, TOP, conv="own"), _reader(keras, BOTTOM, conv="another")])
    for classifier in (ensemble, Predictor(ensemble)):
        found = saliency.explain(classifier, pictures[:1], 1, "grad_cam")
        assert found.layer == "own, another"
        trust = faithfulness.trust(classifier, pictures[0], found)
        assert len(trust.randomisation.spearman) == len(faithfulness.COPIES)
        assert np.isfinite(trust.shifts).all()
