import gc
import threading

import numpy as np
import pytest

from fer_core.errors import ConfigError, ModelError
from fer_core.explain import gradients, placement, saliency
from fer_core.inference import Predictor
from fer_core.models import backbones
from fer_core.models.registry import NetworkClassifier

REGION = (slice(24, 40), slice(8, 24))
DISTRACTOR = (slice(4, 16), slice(28, 44))
CLASSES = ("angry", "happy", "sad")
FEW = {
    "lime": {"samples": 120},
    "kernel_shap": {"samples": 120},
    "smoothgrad": {"samples": 4},
}  # enough where none counts


def _region_network(keras, channels=1, separate_softmax=False):
    """Sees one region only: everything else is multiplied by zero. 'happy' grows with its brightness, 'sad' falls."""
    layers = keras.layers
    seen = np.zeros((48, 48, 1), np.float32)
    seen[REGION] = 1 / 255
    inputs = keras.Input((48, 48, channels))
    x = layers.Rescaling(seen)(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(4, 1, activation="relu", name="second")(x)
    x = layers.AveragePooling2D(8)(x)
    x = layers.Conv2D(4, 1, activation="relu", name="coarse")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(3, activation=None if separate_softmax else "softmax", name="out")(x)
    network = keras.Model(inputs, layers.Softmax()(x) if separate_softmax else x)
    for name in ("first", "second", "coarse"):
        kernel, bias = network.get_layer(name).get_weights()
        network.get_layer(name).set_weights([np.full_like(kernel, 1 / kernel[..., 0].size), bias])
    network.get_layer("out").set_weights([np.tile([0.0, 3.0, -3.0], (4, 1)), np.zeros(3)])
    return network


def _distracted_network(keras):
    """Reads the region, and in channels of their own a place four times as bright that no class takes any notice of."""
    layers = keras.layers
    seen = np.zeros((48, 48, 2), np.float32)
    seen[(*REGION, 0)], seen[(*DISTRACTOR, 1)] = 1 / 255, 4 / 255
    inputs = keras.Input((48, 48, 1))
    x = layers.Rescaling(seen)(layers.Conv2D(2, 1, use_bias=False, name="twice")(inputs))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", use_bias=False, name="first")(x)
    x = layers.Conv2D(4, 1, activation="relu", use_bias=False, name="second")(layers.AveragePooling2D(2)(x))
    x = layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, layers.Dense(3, "softmax", use_bias=False, name="out")(x))
    owners = {"twice": ([0], [0, 1]), "first": ([0, 1], [0, 0, 1, 1]), "second": ([0, 0, 1, 1], [0, 0, 1, 1])}
    for name, (sources, targets) in owners.items():
        (kernel,) = network.get_layer(name).get_weights()
        own = np.ones((1, 2)) if name == "twice" else np.equal.outer(sources, targets)
        network.get_layer(name).set_weights([np.broadcast_to(own, kernel.shape) / kernel[..., 0].size])
    network.get_layer("out").set_weights([np.outer([1, 1, 0, 0], [0.0, 60.0, -60.0])])
    return network


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def classifier(keras):
    return NetworkClassifier(_region_network(keras), CLASSES)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(60, 256, (3, 48, 48), dtype=np.uint8)


def _inside(value):
    region = np.zeros((48, 48), bool)
    region[REGION] = True
    return region.flat[value.argmax()]


@pytest.mark.parametrize("method", list(saliency.METHODS))
def test_maximum_lies_in_the_only_region_the_network_reads(classifier, pictures, method):
    before, weights = pictures.copy(), [weight.copy() for weight in classifier.network.get_weights()]
    found = saliency.explain(Predictor(classifier), pictures, 1, method)
    assert found.values.shape == (3, 48, 48)
    assert found.values.dtype == np.float32
    assert found.method == method
    assert found.class_index.tolist() == [1, 1, 1]
    for value in found.values:
        assert _inside(value)
        assert value.max() == 1
        assert value.min() == 0
        # rows far above the region, patch and grid cell counted in; fitted methods leave a little everywhere
        assert value[:12].max() <= (0.3 if method in ("lime", "kernel_shap") else 0)
    assert np.array_equal(pictures, before)
    assert all(np.array_equal(a, b) for a, b in zip(weights, classifier.network.get_weights(), strict=True))


@pytest.fixture(scope="module")
def distracted(keras):
    return NetworkClassifier(_distracted_network(keras), CLASSES)


@pytest.mark.parametrize("method", list(saliency.METHODS))
def test_a_brighter_place_whose_channels_no_class_counts_is_not_shown(keras, distracted, pictures, method):
    """A CAM that weighs its feature maps alike would show it, since their maxima lie there."""
    layer = distracted.network.get_layer("second")
    features = keras.Model(distracted.network.inputs, layer.output).predict(distracted.preprocess(pictures), verbose=0)
    half = tuple(slice(side.start // 2, side.stop // 2) for side in DISTRACTOR)
    assert (features[(slice(None), *half)].max(axis=(1, 2, 3)) == features.max(axis=(1, 2, 3))).all()
    found = saliency.explain(Predictor(distracted), pictures, 1, method)
    for value in found.values:
        assert _inside(value)
        assert value[DISTRACTOR].max() <= (0.3 if method in ("lime", "kernel_shap") else 0)


@pytest.mark.parametrize("method", ["gradient", "smoothgrad"])
def test_gradients_are_zero_outside_the_region(classifier, pictures, method):
    raw = saliency.explain(classifier, pictures, 1, method).raw.copy()
    assert raw[(slice(None), *REGION)].min() > 0
    raw[(slice(None), *REGION)] = 0
    assert not raw.any()


def test_cam_is_empty_for_the_class_the_region_speaks_against(classifier, pictures):
    assert not saliency.explain(classifier, pictures, 2, "grad_cam").values.any()


def test_classes_per_picture_and_batches_agree(classifier, pictures):
    classifier = Predictor(classifier)
    for method in saliency.METHODS:
        few = FEW.get(method, {})
        together = saliency.explain(classifier, pictures, np.array([1, 2, 1]), method, **few)
        for index, target in enumerate([1, 2, 1]):
            alone = saliency.explain(classifier, pictures[index : index + 1], target, method, **few)
            assert np.allclose(alone.values[0], together.values[index], atol=1e-5), method


def test_gradient_is_that_of_the_logit_and_not_of_the_softmax(keras, pictures):
    """With a saturated softmax the probability's gradient is zero; the map must still be there."""
    network = _region_network(keras)
    network.get_layer("out").set_weights([np.tile([0.0, 500.0, -500.0], (4, 1)), np.zeros(3)])
    classifier = NetworkClassifier(network, CLASSES)
    assert classifier.predict_proba(pictures)[:, 1].min() > 0.999
    for method in ("gradient", "smoothgrad", "grad_cam", "grad_cam_pp"):
        values = saliency.explain(classifier, pictures, 1, method).values
        assert np.isfinite(values).all(), method
        assert _inside(values[0]), method


def test_gradient_equals_the_difference_quotient(classifier, pictures):
    clone = saliency.linear_clone(classifier.network)
    pixels = classifier.preprocess(pictures[:1])
    raw = saliency.explain(classifier, pictures[:1], 1, "gradient").raw[0]

    def logit(x):
        return float(np.asarray(clone([x])).reshape(3)[1])

    for row, column in [(30, 16), (24, 8), (5, 5)]:
        moved = pixels.copy()
        moved[0, row, column] += 50
        assert (logit(moved) - logit(pixels)) / 50 == pytest.approx(raw[row, column], rel=0.02, abs=1e-7)


def test_softmax_as_its_own_layer(keras, pictures):
    classifier = NetworkClassifier(_region_network(keras, separate_softmax=True), CLASSES)
    for method in ("gradient", "grad_cam"):
        assert _inside(saliency.explain(classifier, pictures, 1, method).values[0])
    logits = np.asarray(saliency.linear_clone(classifier.network)([classifier.preprocess(pictures)])).reshape(3, 3)
    assert abs(logits.sum(axis=1) - 1).max() > 0.1


def test_colour_network_and_colour_pictures_of_another_size(keras):
    classifier = Predictor(NetworkClassifier(_region_network(keras, channels=3), CLASSES))
    pictures = np.random.default_rng(1).integers(60, 256, (2, 96, 72, 3), dtype=np.uint8)
    for method in saliency.METHODS:
        values = saliency.explain(classifier, pictures, 1, method, **FEW.get(method, {})).values
        assert values.shape == (2, 96, 72)
        row, column = np.unravel_index(values[0].argmax(), (96, 72))
        assert 48 <= row < 80, method
        assert 12 <= column < 36, method


def test_default_layer_is_the_last_with_five_by_five_cells(classifier):
    assert [(choice.name, choice.grid) for choice in saliency.cam_layers(classifier)] == [
        ("first", (48, 48)),
        ("second", (24, 24)),
        ("coarse", (3, 3)),
    ]
    assert saliency.default_layer(classifier) == saliency.LayerChoice("second", (24, 24))
    assert saliency.default_layer(classifier, min_grid=3).name == "coarse"
    assert saliency.default_layer(classifier, min_grid=99).name == "first"


def test_layer_and_grid_are_reported(classifier, pictures):
    found = saliency.explain(classifier, pictures, 1, "grad_cam")
    assert (found.layer, found.grid, found.raw.shape) == ("second", (24, 24), (3, 24, 24))
    coarse = saliency.explain(classifier, pictures, 1, "grad_cam", layer="coarse")
    assert (coarse.layer, coarse.grid) == ("coarse", (3, 3))
    assert saliency.explain(classifier, pictures, 1, "gradient").layer is None
    assert saliency.explain(classifier, pictures, 1, "occlusion").grid == (6, 6)


def test_map_frame_lists_every_pixel():
    values = np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 5
    frame = saliency.map_frame(saliency.SaliencyMap(values, values, (2, 3), None, "gradient", np.array([0])))
    assert frame.values.tolist()[4] == pytest.approx([1, 1, 0.8])
    assert len(frame) == 6


def test_scores_see_the_strongest_pixel_where_the_picture_is_capped(classifier, pictures):
    found = saliency.explain(classifier, pictures, 1, "gradient")
    assert all((one == 1).sum() > 1 for one in found.values)
    np.testing.assert_allclose(found.uncapped, found.raw / found.raw.max(axis=(1, 2), keepdims=True), rtol=1e-5)
    signed = saliency.explain(classifier, pictures, 1, "integrated_gradients")
    assert (signed.uncapped >= 0).all() and (signed.uncapped.max(axis=(1, 2)) == 1).all()
    for method in ("grad_cam", "occlusion"):
        whole = saliency.explain(classifier, pictures, 1, method)
        assert whole.uncapped is whole.values


def test_grid_cells_keep_their_place_when_enlarged():
    raw = np.zeros((1, 6, 6), np.float32)
    raw[0, 1, 4] = 1
    large = placement.placed(raw, (48, 48))[0]
    rows, columns = np.nonzero(large == large.max())
    assert (rows.mean(), columns.mean()) == (11.5, 35.5)  # the middle of cell (1, 4), 8 pixels wide


def test_specs_of_this_project_get_a_layer_fine_enough():
    pytest.importorskip("keras")
    from fer_core.models.registry import build_network

    for name, layer, grid in [("compact", "block4_2_relu", (5, 5)), ("vgg16", "block4_3_relu", (5, 5))]:
        choice = saliency.default_layer(NetworkClassifier(build_network(name)))
        assert (choice.name, choice.grid) == (layer, grid)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", backbones.BACKBONES)
def test_every_backbone_gets_a_fine_layer_that_is_not_linear_before_its_normalisation(keras, backbone):
    network = backbones.backbone_classifier(input_size=96, channels=3, num_classes=7, backbone=backbone)
    choice = saliency.default_layer(NetworkClassifier(network))
    layer = network.get_layer(choice.name)
    assert min(choice.grid) >= 4
    activations = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)
    linear = getattr(layer, "activation", None) is keras.activations.linear
    assert isinstance(layer, (*activations, keras.layers.Add)) or (
        isinstance(layer, keras.layers.Conv2D) and not linear
    )


@pytest.mark.parametrize(
    ("activation", "normalised", "expected"), [(None, True, "relu"), (None, False, "last"), ("relu", True, "last")]
)
def test_a_linear_convolution_before_its_normalisation_is_passed_over(keras, activation, normalised, expected):
    layers = keras.layers
    inputs = keras.Input((12, 12, 1))
    x = layers.ReLU(name="relu")(layers.Conv2D(2, 3, padding="same", name="first")(inputs))
    x = layers.SeparableConv2D(2, 3, padding="same", activation=activation, name="last")(x)
    x = layers.BatchNormalization()(x) if normalised else x
    network = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    assert saliency.default_layer(NetworkClassifier(network, CLASSES)).name == expected
    alone = keras.Model(inputs, layers.BatchNormalization()(network.get_layer("first").output))
    assert saliency.default_layer(NetworkClassifier(alone, CLASSES)).name == "first"  # there is nothing else


def test_half_precision_network_is_explained_in_float32(keras, pictures):
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        classifier = NetworkClassifier(_region_network(keras), CLASSES)
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    assert saliency.linear_clone(classifier.network).get_layer("first").compute_dtype == "float32"
    for method in ("gradient", "grad_cam", "grad_cam_pp"):
        assert _inside(saliency.explain(classifier, pictures, 1, method).values[0])


def test_smoothgrad_is_seeded(classifier, pictures):
    first, again, other = (
        saliency.explain(classifier, pictures, 1, "smoothgrad", samples=2, noise=2.0, seed=seed).raw
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_clone_dies_with_its_network(keras, pictures):
    classifier = NetworkClassifier(_region_network(keras), CLASSES)
    saliency.explain(classifier, pictures, 1, "grad_cam")
    gc.collect()  # networks of earlier tests
    known = len(gradients._explainers)
    del classifier
    gc.collect()
    assert len(gradients._explainers) == known - 1


def test_forget_takes_up_changed_weights(keras, pictures):
    classifier = NetworkClassifier(_region_network(keras), CLASSES)
    assert saliency.explain(classifier, pictures, 1, "grad_cam").values.any()
    classifier.network.get_layer("out").set_weights([np.tile([0.0, -3.0, 3.0], (4, 1)), np.zeros(3)])
    saliency.forget(classifier)
    assert not saliency.explain(classifier, pictures, 1, "grad_cam").values.any()


def test_threads_get_the_answer_of_one_thread(classifier, pictures):
    expected = {name: saliency.explain(classifier, pictures, 1, name).values for name in ("grad_cam", "gradient")}
    wrong = []

    def work(name):
        for _ in range(3):
            if not np.allclose(saliency.explain(classifier, pictures, 1, name).values, expected[name], atol=1e-6):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in expected for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class WithoutNetwork:
    class_names = CLASSES

    def predict_proba(self, images):
        first = images[(slice(None), *REGION)].mean(axis=(1, 2)) / 255
        return np.stack([1 - first, first, 0 * first], axis=1).astype(np.float32)


def test_model_without_network_is_told_what_works(pictures):
    for method in (name for name, method in saliency.METHODS.items() if method.needs_network):
        with pytest.raises(ModelError, match="occlusion"):
            saliency.explain(WithoutNetwork(), pictures, 1, method)
    with pytest.raises(ModelError, match="occlusion"):
        saliency.cam_layers(WithoutNetwork())
    for method in (name for name, method in saliency.METHODS.items() if not method.needs_network):
        assert _inside(saliency.explain(WithoutNetwork(), pictures, 1, method, fill="zero").values[0]), method


class Wavering(WithoutNetwork):
    """Answers change by rounding, as they do with the size of a batch."""

    def predict_proba(self, images):
        return (
            np.array([[0.2, 0.3, 0.5]]) + 1e-7 * np.random.default_rng(len(images)).random((len(images), 3))
        ).astype(np.float32)


def test_rounding_is_no_evidence(pictures):
    for method in (name for name, method in saliency.METHODS.items() if not method.needs_network):
        assert not saliency.explain(Wavering(), pictures, 1, method).values.any(), method


def test_network_without_convolutions_has_no_cam(keras, pictures):
    layers = keras.layers
    inputs = keras.Input((48, 48, 1))
    dense = NetworkClassifier(keras.Model(inputs, layers.Dense(3, "softmax")(layers.Flatten()(inputs))), CLASSES)
    with pytest.raises(ModelError, match="gradient"):
        saliency.explain(dense, pictures, 1, "grad_cam")
    assert saliency.explain(dense, pictures, 1, "gradient").values.any()
    inside = keras.Sequential([layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()], name="inside")
    nested = NetworkClassifier(keras.Model(inputs, layers.Dense(3, "softmax")(inside(inputs))), CLASSES)
    with pytest.raises(ModelError, match="no convolution to take a CAM at outside of inside"):
        saliency.explain(nested, pictures, 1, "grad_cam")


@pytest.mark.parametrize("method", [name for name, method in saliency.METHODS.items() if method.needs_network])
def test_a_sequential_network_is_refused_in_words(keras, pictures, method):
    layers = keras.layers
    stack = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, "softmax")]
    )
    with pytest.raises(ModelError, match="Received a Sequential model"):
        saliency.explain(NetworkClassifier(stack, CLASSES), pictures, 1, method)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"method": "unheard_of"}, ConfigError),
        ({"method": "smoothgrad", "samples": 0}, ConfigError),
        ({"method": "smoothgrad", "patch": 0.5}, ConfigError),
        ({"method": "integrated_gradients", "steps": 0}, ConfigError),
        ({"method": "integrated_gradients", "baseline": "pink"}, ConfigError),
        ({"method": "score_cam", "channels": 0}, ConfigError),
        ({"layer": "nowhere"}, ConfigError),
        ({"class_index": 3}, ConfigError),
        ({"class_index": -1}, ConfigError),
        ({"class_index": 1.7}, ConfigError),
        ({"class_index": "happy"}, ConfigError),
        ({"class_index": [1, 2]}, ConfigError),
        ({"method": "occlusion", "layer": "second"}, ConfigError),
        ({"method": "occlusion", "patch": "a"}, ConfigError),
        ({"method": "occlusion", "fill": 3}, ConfigError),
        ({"method": "smoothgrad", "samples": 10.5}, ConfigError),
        ({"method": "smoothgrad", "samples": True}, ConfigError),
        ({"method": "smoothgrad", "signed": 1}, ConfigError),
        ({"method": "lime", "seed": -1}, ConfigError),
        ({"images": np.zeros((48, 48), np.uint8)}, ModelError),
        ({"images": np.zeros((1, 48, 48), np.float32)}, ModelError),
        ({"images": np.zeros((0, 48, 48), np.uint8)}, ModelError),
    ],
)
def test_bad_arguments_are_refused(classifier, pictures, change, error):
    with pytest.raises(error):
        saliency.explain(**({"classifier": classifier, "images": pictures, "class_index": 1} | change))
