"""The compiled predictor gives the network's own answers, in any batch and from any thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fer_core.errors import ModelError
from fer_core.faces import FaceCrop
from fer_core.inference import Predictor, classify, fold_batch_normalization
from fer_core.labels import CLASS_NAMES
from fer_core.predictions import Classifier

keras = pytest.importorskip("keras")
layers = keras.layers


def randomised(network):
    """Every weight drawn anew, so that no normalisation is the identity."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        values = [rng.normal(0, 0.5, value.shape) for value in layer.get_weights()]
        if isinstance(layer, layers.BatchNormalization):
            values[-1] = np.abs(values[-1]) + 0.5  # the variance
        layer.set_weights(values)
    return network


def small_network(size: int | None = 16):
    inputs = keras.Input((size, size, 1), name="pixels")
    x = layers.Rescaling(1 / 64, offset=-2.0)(inputs)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="first")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="first_norm")(x))
    y = layers.Conv2D(8, 3, padding="same", name="second")(x)
    y = layers.ReLU()(layers.BatchNormalization(scale=False, name="second_norm")(y))
    x = layers.Add(name="sum")([x, y])  # the first block's output is used twice
    x = layers.Conv2D(8, 1, activation="relu", name="not_linear")(x)
    x = layers.BatchNormalization(name="kept_norm")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(7, activation="softmax")(x)))


class NetworkClassifier:
    def __init__(self, network, tta="none"):
        self.network, self.tta, self.class_names = network, tta, CLASS_NAMES
        self.input_size, self.channels = (16, 16), 1

    def preprocess(self, images):
        return images[..., None].astype(np.float32) if images.ndim == 3 else images[..., :1].astype(np.float32)

    def predict_proba(self, images):
        return np.asarray(self.network(self.preprocess(images), training=False))


class BrightnessClassifier:
    """Without a network: the class is the mean grey."""

    class_names = CLASS_NAMES

    def __init__(self):
        self.batches = []

    def predict_proba(self, images):
        self.batches.append(len(images))
        classes = images.reshape(len(images), -1).mean(axis=1).astype(int) * 7 // 256
        return np.eye(7, dtype=np.float64)[classes]


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def predictor(network):
    return Predictor(NetworkClassifier(network))


@pytest.fixture(scope="module")
def images():
    blocks = np.random.default_rng(1).integers(0, 256, (300, 2, 2), dtype=np.uint8)
    return np.kron(blocks, np.ones((8, 8), np.uint8))


def test_predictor_is_a_classifier(predictor):
    assert isinstance(predictor, Classifier)
    assert predictor.class_names == CLASS_NAMES
    assert predictor.input_size == (16, 16)


def test_same_answers_as_the_network_in_any_batch(network, predictor, images):
    expected = np.asarray(network(images[..., None].astype(np.float32), training=False))
    answers = predictor.predict_proba(images)
    assert answers.dtype == np.float32
    assert np.ptp(expected, axis=0).max() > 0.05  # the network tells pictures apart, so agreement means something
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    np.testing.assert_allclose(predictor.predict_proba(images[:1]), expected[:1], atol=1e-5)
    np.testing.assert_allclose(predictor.predict_proba(images[7:20]), expected[7:20], atol=1e-5)
    assert predictor.predict_proba(images[:0]).shape == (0, 7)


def test_folding_removes_the_norms_it_can_and_leaves_the_network_alone(network, images):
    before = [value.copy() for value in network.get_weights()]
    folded = fold_batch_normalization(network)
    left = [layer.name for layer in folded.layers if isinstance(layer, layers.BatchNormalization)]
    assert left == ["kept_norm"]
    pixels = images[:20, ..., None].astype(np.float32)
    np.testing.assert_allclose(folded(pixels, training=False), network(pixels, training=False), atol=1e-5)
    for value, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_a_convolution_with_two_consumers_is_not_folded():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, name="shared")(inputs)
    y = layers.BatchNormalization(name="norm")(x)
    network = randomised(keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Add()([x, y]))))
    assert fold_batch_normalization(network) is network


def test_eight_threads_get_the_same_answers(predictor, images):
    expected = predictor.predict_proba(images[:64])
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda k: predictor.predict_proba(images[k % 64 : k % 64 + 1]), range(256)))
    np.testing.assert_allclose(np.concatenate(parts), np.tile(expected, (4, 1)), atol=1e-6)


def test_views_are_averaged_as_the_classifier_says(network, images):
    answers = Predictor(NetworkClassifier(network, tta="flip")).predict_proba(images[:10])
    pixels = images[:10, ..., None].astype(np.float32)
    both = [network(view, training=False) for view in (pixels, pixels[:, :, ::-1])]
    np.testing.assert_allclose(answers, np.mean(both, axis=0), atol=1e-5)


def test_a_network_of_any_size_is_compiled_once(images):
    classifier = NetworkClassifier(small_network(None))
    classifier.input_size = None
    predictor = Predictor(classifier)
    for side in (16, 12):
        shown = images[:4, :side, :side]
        np.testing.assert_allclose(predictor.predict_proba(shown), classifier.predict_proba(shown), atol=1e-5)


def test_a_classifier_without_network_is_asked_in_bounded_batches():
    classifier = BrightnessClassifier()
    predictor = Predictor(classifier)
    images = np.repeat(np.arange(0, 256, dtype=np.uint8), 3)[:, None, None] * np.ones((1, 16, 16), np.uint8)
    answers = predictor.predict_proba(images)
    assert answers.dtype == np.float32
    assert answers.argmax(axis=1).tolist() == [value * 7 // 256 for value in range(256) for _ in range(3)]
    assert max(classifier.batches) <= 256
    classifier.batches.clear()
    predictor.predict_proba(np.zeros((3, 1024, 1024), np.uint8))
    assert classifier.batches == [1, 1, 1]
    with pytest.raises(ModelError, match="no network"):
        predictor.preprocess(images)


def test_faces_of_different_sizes_are_classified_in_their_order():
    crops = [
        FaceCrop(number, np.full((side, side, 3), value, np.uint8), None)
        for number, (side, value) in enumerate([(48, 10), (96, 250), (48, 130), (96, 10)], start=1)
    ]
    assert classify(BrightnessClassifier(), crops).argmax(axis=1).tolist() == [0, 6, 3, 0]
    assert classify(BrightnessClassifier(), []).shape == (0, 7)


def test_wrong_pictures_are_refused(predictor):
    with pytest.raises(ModelError, match="float32"):
        predictor.predict_proba(np.zeros((2, 16, 16), np.float32))
    with pytest.raises(ModelError, match=r"\(16, 16\)"):
        predictor.predict_proba(np.zeros((16, 16), np.uint8))
