"""Our compiled gradient methods against tf-keras-vis, and against what their papers promise."""

import gc
import re
import tracemalloc

import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.explain import gradients, saliency
from fer_core.models.registry import NetworkClassifier

CLASSES = ("angry", "happy", "sad")
SIDE = 12


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def _random_network(keras):
    """Convolutions, batch normalisation that is not the identity, pooling, and a softmax; random weights."""
    layers, rng = keras.layers, np.random.default_rng(0)
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 64, offset=-2.0)(inputs)
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv1")(x)
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.Conv2D(8, 3, padding="same", name="conv3")(x)
    x = layers.BatchNormalization(name="bn3")(x)
    x = layers.Activation("relu", name="relu3")(x)
    x = layers.Flatten()(x)
    network = keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x))
    for layer in network.layers:
        shapes = [np.shape(weight) for weight in layer.get_weights()]
        layer.set_weights([rng.normal(0, 0.35, shape) for shape in shapes])
    for name in ("bn1", "bn3"):
        norm = network.get_layer(name)
        size = norm.moving_mean.shape[0]
        norm.set_weights([rng.uniform(0.5, 1.5, size), *rng.normal(0, 0.3, (2, size)), rng.uniform(0.5, 2, size)])
    return network


@pytest.fixture(scope="module")
def classifier(keras):
    return NetworkClassifier(_random_network(keras), CLASSES)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE), dtype=np.uint8)


TARGETS = np.array([0, 1, 2, 1, 0])


@pytest.fixture(scope="module")
def oracle(keras, classifier):
    """tf-keras-vis on a linear clone, as its manual says; the score is shifted so that exp(score) is 1."""
    import tensorflow as tf
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.saliency import Saliency

    model = saliency.linear_clone(classifier.network)
    kinds = {"grad_cam": Gradcam, "grad_cam_pp": GradcamPlusPlus, "layer_cam": Layercam}

    def score(output):
        picked = tf.gather(output, tf.constant(TARGETS, tf.int32), axis=1, batch_dims=1)
        return picked - tf.stop_gradient(picked)

    def answer(method, images, layer=None):
        pixels = classifier.preprocess(images)
        if method == "gradient":
            return np.asarray(Saliency(model)(score, pixels, normalize_map=False))
        settings = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}
        return np.asarray(kinds[method](model)(score, pixels, penultimate_layer=layer, **settings))

    return answer


def test_gradient_is_that_of_tf_keras_vis(classifier, pictures, oracle):
    expected = oracle("gradient", pictures)
    found = saliency.explain(classifier, pictures, TARGETS, "gradient").raw
    assert expected.max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


def test_grad_cam_pp_is_equation_19_with_alphas_that_add_up_to_one():
    rng = np.random.default_rng(4)
    features, slopes = rng.random((2, 3, 4, 5)), rng.normal(0, 0.3, (2, 3, 4, 5))
    slopes[0, :, :, 1] = 0.0
    expected = np.zeros((2, 3, 4))
    for n, k in np.ndindex(2, 5):
        slope, feature = slopes[n, :, :, k], features[n, :, :, k]
        if slope.any():
            alphas = slope**2 / (2 * slope**2 + feature.sum() * slope**3)
            expected[n] += feature * (alphas / alphas.sum() * np.maximum(slope, 0)).sum()
    found = gradients.CAMS["grad_cam_pp"](features, slopes).numpy()
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-6)
    assert (found > 0).any()


@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "conv3", "relu3"])
@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_pp", "layer_cam"])
def test_cams_are_those_of_tf_keras_vis(classifier, pictures, oracle, method, layer):
    """conv1 and conv3 are folded into the normalisation after them, and must still be explained as they are."""
    expected = oracle(method, pictures, layer)
    found = saliency.explain(classifier, pictures, TARGETS, method, layer).raw
    assert expected.max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


def test_the_clone_is_folded_and_the_network_is_not(keras, classifier, pictures):
    saliency.explain(classifier, pictures, 0, "gradient")
    clone = gradients.explainer(classifier.network).model
    assert isinstance(clone.get_layer("bn1"), keras.layers.Identity)
    assert isinstance(classifier.network.get_layer("bn1"), keras.layers.BatchNormalization)
    assert classifier.network.get_layer("out").activation is keras.activations.softmax


@pytest.mark.parametrize("signed", [False, True])
def test_smoothgrad_is_the_mean_over_seeded_noise(classifier, pictures, signed):
    settings = {"samples": 3, "noise": 0.2, "seed": 7, "signed": signed}
    found = saliency.explain(classifier, pictures, TARGETS, "smoothgrad", **settings).raw
    explainer, pixels = gradients.explainer(classifier.network), classifier.preprocess(pictures)
    draws = np.random.default_rng(7).standard_normal((3, SIDE, SIDE, 1), dtype=np.float32)
    noisy = [pixels + 0.2 * np.ptp(pixels, axis=(1, 2, 3), keepdims=True) * draw for draw in draws]
    slopes = np.stack([explainer.gradients(one, TARGETS) for one in noisy])
    expected = (np.abs(slopes.mean(axis=0)) if signed else np.abs(slopes).mean(axis=0)).max(axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("baseline", gradients.BASELINES)
def test_integrated_gradients_add_up_to_the_difference_of_the_scores(classifier, pictures, baseline):
    score, pixels = gradients.explainer(classifier.network).logits, classifier.preprocess(pictures)
    start = np.zeros_like(pixels) if baseline == "black" else np.zeros_like(pixels) + pixels.mean((1, 2), keepdims=True)
    difference = (score(pixels) - score(start))[np.arange(5), TARGETS]
    off = {}
    for steps in (1, 1024):
        found = saliency.explain(
            classifier, pictures, TARGETS, "integrated_gradients", steps=steps, baseline=baseline
        ).raw
        off[steps] = found.sum(axis=(1, 2)) - difference
        gap = gradients.completeness_gap(classifier, pictures, TARGETS, found, baseline)
        np.testing.assert_allclose(gap, off[steps] / np.abs(difference), rtol=1e-2, atol=1e-3)
    assert np.abs(off[1024]).max() < 0.05 < 1 < np.abs(off[1]).max()


def test_integrated_gradients_of_a_linear_network_are_weight_times_input(keras, pictures):
    inputs = keras.Input((SIDE, SIDE, 1))
    network = keras.Model(inputs, keras.layers.Dense(3, "softmax", name="out")(keras.layers.Flatten()(inputs)))
    weights = np.random.default_rng(2).normal(0, 0.01, (SIDE * SIDE, 3)).astype(np.float32)
    network.get_layer("out").set_weights([weights, np.ones(3)])
    found = saliency.explain(NetworkClassifier(network, CLASSES), pictures, 1, "integrated_gradients", steps=1)
    expected = weights[:, 1].reshape(SIDE, SIDE) * pictures.astype(np.float32)
    np.testing.assert_allclose(found.raw, expected, atol=1e-4)


def test_score_cam_worked_out_by_hand(classifier, pictures):
    """Weights are the probability through each of the two maps that vary most, less the least of them and black."""
    import cv2
    import keras

    found = saliency.explain(classifier, pictures[:2], [1, 2], "score_cam", "relu3", channels=2).raw
    network = classifier.network
    layer = keras.Model(network.inputs, network.get_layer("relu3").output)
    pixels = classifier.preprocess(pictures[:2])
    features = np.asarray(layer(pixels))
    black = np.asarray(network(np.zeros_like(pixels[:1])))[0]
    for index, target in enumerate([1, 2]):
        spread = features[index].std(axis=(0, 1))
        chosen = [features[index, ..., channel] for channel in np.argsort(-spread)[:2]]
        through = []
        for feature in chosen:
            window = cv2.resize(feature, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
            window = (window - window.min()) / np.ptp(window)
            through.append(np.asarray(network(pixels[index : index + 1] * window[None, ..., None]))[0, target])
        least = min(*through, black[target])
        expected = sum((one - least) * feature for one, feature in zip(through, chosen, strict=True))
        np.testing.assert_allclose(found[index], np.maximum(expected, 0), atol=2e-4)
    assert found.max() > 1e-3


def test_score_cam_of_the_class_that_black_is_taken_for(keras):
    """Whoever takes a black picture for angry has an angry map all the same: it shows what is dark."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(2, 1, activation="relu", name="bright_and_dark")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(3, "softmax", name="out")(keras.layers.GlobalMaxPooling2D()(x)))
    network.get_layer("bright_and_dark").set_weights([np.array([[[[1, -1]]]], np.float32), np.array([0.0, 100])])
    network.get_layer("out").set_weights([np.array([[-0.01, 0, 0], [0, 0, 0]], np.float32), np.array([4.0, 0, 0])])
    classifier = NetworkClassifier(network, CLASSES)
    picture = np.zeros((1, SIDE, SIDE), np.uint8)
    picture[:, 2:7, 2:7] = 200
    black, bright = classifier.predict_proba(np.concatenate([np.zeros_like(picture), picture]))
    assert black.argmax() == 0 and black[0] > bright[0]
    shown = saliency.explain(classifier, picture, 0, "score_cam", "bright_and_dark").values[0]
    assert shown[8:, 8:].min() == 1 and not shown[2:7, 2:7].any()


def test_more_channels_than_there_are_means_all(classifier, pictures):
    all_of_them = saliency.explain(classifier, pictures, 1, "score_cam", "relu3", channels=8).raw
    assert np.allclose(saliency.explain(classifier, pictures, 1, "score_cam", "relu3", channels=99).raw, all_of_them)


def test_large_networks_go_in_smaller_passes(keras):
    def side(size):
        inputs = keras.Input((size, size, 1))
        return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs)))

    assert gradients.explainer(side(48)).chunk() == 64
    assert gradients.explainer(side(224)).chunk() == 5
    assert gradients.explainer(side(1024)).chunk() == 1


def test_200_calls_leave_no_more_than_one(keras, classifier, pictures):
    methods = [name for name, method in saliency.METHODS.items() if method.needs_network]
    few = {"smoothgrad": {"samples": 2}, "integrated_gradients": {"steps": 2}, "score_cam": {"channels": 2}}

    def call(times):
        for turn in range(times):
            name, n = methods[turn % len(methods)], 1 + turn % 5  # batches of any size
            saliency.explain(classifier, pictures[:n], 1, name, **few.get(name, {}))
        gc.collect()

    def models():
        return sum(isinstance(thing, keras.Model) for thing in gc.get_objects())

    call(5 * len(methods))
    living = models()
    graphs = dict(gradients.explainer(classifier.network)._graphs)
    tracemalloc.start()
    try:
        call(len(methods))
        before = tracemalloc.get_traced_memory()[0]
        call(200)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert gradients.explainer(classifier.network)._graphs == graphs  # no graph was compiled again
    assert models() <= living
    assert grown < 100_000  # bytes; a graph or a clone is more


def test_graphs_of_one_network_are_bounded(keras, monkeypatch, pictures):
    monkeypatch.setattr(gradients, "MOST_GRAPHS", 2)
    classifier = NetworkClassifier(_random_network(keras), CLASSES)
    expected = saliency.explain(classifier, pictures, 1, "grad_cam", "relu1").raw
    for layer in ("conv2", "relu3", "relu1"):
        again = saliency.explain(classifier, pictures, 1, "grad_cam", layer).raw
        assert len(gradients.explainer(classifier.network)._graphs) <= 2
    assert np.array_equal(again, expected)


def test_every_method_says_what_it_is_and_what_it_takes(classifier):
    for name, method in saliency.METHODS.items():
        assert method.title and method.about.endswith("."), name
        assert method.family in ("gradient", "cam", "perturbation")
        assert method.needs_network == (method.family != "perturbation")
        assert method.takes_layer == (method.family == "cam")
        assert method.seeded == ("seed" in method.options), name
        told = set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", method.about).lower()))
        assert not told & {str(default).lower() for default in method.options.values()}, "options can be others"
    assert saliency.METHODS["smoothgrad"].options == {"samples": 20, "noise": 0.15, "seed": 0, "signed": False}
    with pytest.raises(ConfigError, match="takes samples, noise, seed, signed"):
        saliency.explain(classifier, np.zeros((1, SIDE, SIDE), np.uint8), 0, "smoothgrad", steps=3)
