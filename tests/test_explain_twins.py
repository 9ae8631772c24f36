"""Networks that take turns on one set of graphs say what each says by its own; what is the same is asked once."""

import gc

import numpy as np
import pytest

from fer_core.explain import faithfulness, gradients, perturbation, randomised, saliency, twins
from tests.test_faithfulness import CLASSES, SIDE, ReadsRegion, as_map, keras, picture, region_map  # noqa: F401


def model(keras, seed, filters=4, norm=True):  # noqa: F811
    from fer_core.models.registry import NetworkClassifier

    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 1), name="face")
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name="low")(inputs)
    x = layers.BatchNormalization(name="norm")(x) if norm else x
    x = layers.Activation("relu", name="relu")(x)
    x = layers.Flatten(name="flat")(x)
    network = keras.Model(inputs, layers.Dense(3, "softmax", name="top")(x))
    rng = np.random.default_rng(seed)
    network.set_weights([np.abs(rng.normal(0.02, 0.02, weight.shape)) + 1e-3 for weight in network.get_weights()])
    return NetworkClassifier(network, CLASSES)


def answers(classifier, image):
    low = saliency.explain(classifier, image[None], 1, "grad_cam", "low")  # of a convolution that is folded elsewhere
    methods = ("layer_cam", "gradient", "integrated_gradients", "score_cam", "occlusion")
    maps = [saliency.explain(classifier, image[None], 1, method).raw for method in methods]
    return [classifier.predict_proba(image[None]), low.raw, *maps]


def test_networks_that_take_turns_answer_as_by_themselves(keras, picture, monkeypatch):  # noqa: F811
    expected = [answers(model(keras, seed), picture) for seed in range(3)]
    like = model(keras, 0)
    sharing = [twins.taking_turns(model(keras, seed), like) for seed in range(3)]
    assert all(isinstance(one, twins.ByTwin) for one in sharing)
    made, real = [], gradients._compiled

    def counted(kind, network, layer):
        made.append((kind, layer))
        return real(kind, network, layer)

    monkeypatch.setattr(gradients, "_compiled", counted)
    for seed in (0, 1, 2, 1, 0):
        for found, known in zip(answers(sharing[seed], picture), expected[seed], strict=True):
            np.testing.assert_allclose(found, known, atol=1e-4 * np.abs(known).max())
    assert len(made) == len(set(made)) == 4, "one for each CAM and one for both gradients, whoever asks"
    assert not np.allclose(expected[0][0], expected[1][0], atol=1e-3)


def test_without_normalisation_the_first_to_ask_is_answered_by_its_own_weights_too(keras, picture):  # noqa: F811
    expected = [model(keras, seed, norm=False).predict_proba(picture[None]) for seed in range(2)]
    assert not np.allclose(*expected, atol=1e-3)
    like = model(keras, 0, norm=False)
    sharing = [twins.taking_turns(model(keras, seed, norm=False), like) for seed in range(2)]
    for seed in (1, 0, 1):
        np.testing.assert_allclose(sharing[seed].predict_proba(picture[None]), expected[seed], atol=1e-5)


@pytest.mark.slow
def test_randomised_copies_answer_as_by_themselves(keras, picture):  # noqa: F811
    own = model(keras, 0)
    for copy in randomised.randomised_copies(own):
        alone = type(own)(keras.models.clone_model(copy.network), CLASSES)
        alone.network.set_weights(copy.network.get_weights())
        for found, known in zip(answers(copy, picture), answers(alone, picture), strict=True):
            np.testing.assert_allclose(found, known, atol=1e-4 * np.abs(known).max())


def test_other_layers_do_not_take_turns_and_graphs_go_with_their_networks(keras, picture):  # noqa: F811
    like, other, reader = model(keras, 0, filters=5), model(keras, 0, filters=2), ReadsRegion()
    assert twins.taking_turns(other, like) is other
    assert twins.taking_turns(reader, like) is reader and twins.taking_turns(like, reader) is like
    twins.taking_turns(model(keras, 1, filters=5), like).predict_proba(picture[None])
    twin = twins._twins[like.network]
    gc.collect()
    assert twin() is None


class Counting(ReadsRegion):
    def __init__(self):
        self.asked = []

    def predict_proba(self, images):
        self.asked += [image.tobytes() for image in images]
        return super().predict_proba(images)


@pytest.mark.parametrize("insertion", [False, True])
def test_curves_of_one_picture_ask_about_their_ends_once(picture, insertion):  # noqa: F811
    reader = Counting()
    rows = faithfulness.curve_rows(reader, picture, as_map(region_map()), insertion=insertion)
    chunks = -(-rows.size // faithfulness.CHUNK)  # in each of which the two ends are asked about once
    assert len(reader.asked) <= rows.shape[0] * (rows.shape[1] - 2) + 2 * chunks
    np.testing.assert_array_equal(rows[:, [0, -1]], np.broadcast_to(rows[0, [0, -1]], (len(rows), 2)))
    each = [
        faithfulness.curve_rows(ReadsRegion(), picture, as_map(region_map()), slice(row, row + 1), insertion=insertion)
        for row in range(len(rows))
    ]
    np.testing.assert_allclose(rows, np.concatenate(each), atol=1e-6)


def test_masks_that_come_again_are_asked_about_once(picture):  # noqa: F811
    cuts = perturbation.grid_segments(picture.shape, 3)
    stack = np.random.default_rng(0).random((6, 9)) < 0.5
    often = stack[[0, 1, 0, 2, 3, 3, 4, 5, 0]]
    reader, two = Counting(), np.stack([picture, picture[::-1]])
    found = perturbation.masked_probabilities(reader, two, often, np.array([1, 1]), "zero", cuts)
    assert len(reader.asked) == 12
    for column, mask in enumerate(often):
        alone = perturbation.masked_probabilities(ReadsRegion(), two, mask[None], np.array([1, 1]), "zero", cuts)
        np.testing.assert_array_equal(found[:, column], alone[:, 0])
    assert perturbation.distinct(often) == ([0, 1, 3, 4, 6, 7], [0, 1, 0, 2, 3, 3, 4, 5, 0])
