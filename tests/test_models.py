"""Every entry of MODELS is what it says; weights and estimators survive a round trip and nothing else gets in."""

import itertools
import json
import re

import numpy as np
import pytest

from fer_core.datasets import synthetic
from fer_core.errors import ConfigError, ModelError
from fer_core.labels import CLASS_NAMES
from fer_core.models.preprocess import preprocess
from fer_core.models.specs import MODELS, spec
from fer_core.models.views import VIEWS, views
from fer_core.training.run import recipe

NETWORKS = [name for name, entry in MODELS.items() if entry["family"] == "network" and entry["channels"] == 1]
ESTIMATORS = [name for name, entry in MODELS.items() if entry["builder"] in ("majority", "hog_logistic")]


@pytest.fixture(scope="module")
def faces():
    return synthetic.faces(70, size=48, seed=5)


@pytest.mark.parametrize("name", MODELS)
def test_spec_is_complete_and_its_recipe_valid(name):
    entry = spec(name)
    assert entry["title"] and entry["family"] in ("network", "estimator")
    assert recipe(name).to_dict()["seed"] == 0


def test_unknown_model_names_the_known_ones():
    with pytest.raises(ModelError, match="compact"):
        spec("resnet9000")


@pytest.mark.parametrize("name", NETWORKS)
def test_network_gives_probabilities_at_its_size_and_at_any(name):
    from fer_core.models.registry import build_network

    size = spec(name)["input_size"]
    fixed = spec(name).get("fixed_size", False)
    network = build_network(name)
    flexible = build_network(name, input_size=size if fixed else None, fused=True)
    flexible.set_weights(network.get_weights())
    pixels = np.random.default_rng(0).uniform(0, 255, (2, size, size, 1)).astype(np.float32)
    expected = np.asarray(network(pixels, training=False))
    assert network.output_shape == (None, len(CLASS_NAMES))
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.asarray(flexible(pixels, training=False)), expected, atol=1e-5)
    if not fixed:
        assert np.asarray(flexible(pixels[:, :32, :32], training=False)).shape == (2, len(CLASS_NAMES))


WRONG_ARGUMENTS = [
    ("vgg16_plain", "noise", 2, "a number from 0 to 1"),
    ("vgg16_plain", "noise", -1, "a number from 0 to 1"),
    ("vgg16_plain", "dropout", 1.5, "a number from 0 to below 1"),
    ("vgg16_plain", "dropout", float("nan"), "a number from 0 to below 1"),
    ("compact", "dropout", 1, "a number from 0 to below 1"),
    ("compact", "width", 0, "a whole number of at least 1"),
    ("compact", "width", True, "a whole number of at least 1"),
    ("compact", "stages", [], r"a list of whole numbers of at least 1, such as \[2, 2, 2\]"),
    ("vgg16", "stages", [], r"such as \[\[64, 2\]"),
    ("vgg16", "stages", [[64, 2, 1]], r"such as \[\[64, 2\]"),
    ("patil_cnn", "dense", ["a"], r"such as \[512, 256\]"),
    ("patil_cnn", "dense", 512, r"such as \[512, 256\]"),
    ("patil_cnn", "dropout", 2, "a number from 0 to below 1"),
    ("ugwu_depth_3", "depth", "3", "a whole number, 2 to 6"),
    ("ugwu_depth_3", "depth", 2.5, "a whole number, 2 to 6"),
    ("ugwu_depth_3", "depth", 7, "a whole number, 2 to 6"),
    ("vgg16_plain", "backbone", "vgg99", "one of vgg16, resnet50, mobilenetv2, xception"),
    ("vgg16_plain", "norm", ["head"], "one of none, head, conv"),
    ("vgg16_plain", "noise_order", "bn", "one of bn_noise, noise_bn"),
    ("vgg16_plain", "input_norm", "yes", "true or false"),
]


@pytest.mark.parametrize(("name", "argument", "value", "said"), WRONG_ARGUMENTS)
def test_wrong_arguments_are_named_with_what_they_may_be(name, argument, value, said):
    from fer_core.models.registry import build_network

    expected = f"The argument {argument} of {name} must be .*{said}.*Received {re.escape(repr(value))}"
    with pytest.raises(ModelError, match=expected) as raised:
        build_network(name, arguments={argument: value})
    assert "leave it out" in raised.value.remedy


def test_what_a_builder_refuses_itself_names_the_model_and_the_argument(monkeypatch):
    from fer_core.models import builders
    from fer_core.models.registry import build_network

    for error in (ValueError("no such thing."), TypeError("no such thing.")):

        def refuse(*, error=error, **given):
            raise error

        monkeypatch.setitem(builders.BUILDERS, "plain_cnn", refuse)
        with pytest.raises(ModelError, match=r"compact cannot be built with width 8 .*no such thing") as raised:
            build_network("compact", arguments={"width": 8})
        assert "leave them out" in raised.value.remedy


def test_every_argument_of_a_builder_says_what_it_may_be():
    from inspect import signature

    from fer_core.models.arguments import ARGUMENTS, BACKBONE_NAMES, check_arguments
    from fer_core.models.backbones import BACKBONES
    from fer_core.models.builders import BUILDERS

    own = {name: set(signature(builder).parameters) for name, builder in BUILDERS.items()}
    told = {"input_size", "channels", "num_classes", "fused"}
    assert {name: set(allowed) for name, allowed in ARGUMENTS.items()} == {
        name: parameters - told for name, parameters in own.items()
    }
    assert set(BACKBONE_NAMES) == set(BACKBONES)
    for name, entry in MODELS.items():
        if entry["family"] == "network":
            check_arguments(name, entry["builder"], json.loads(json.dumps(entry["arguments"])))


def test_parameter_counts_worked_out_by_hand():
    from fer_core.models.registry import build_network

    widths = [1, 32, 32, 64, 64, 128, 128, 256, 256]
    convolutions = sum(9 * a * b for a, b in itertools.pairwise(widths))
    assert build_network("compact").count_params() == convolutions + 4 * sum(widths[1:]) + 256 * 7 + 7
    # keras.applications' VGG16 without top has 14,714,688 with 4,224 biases and a stem for three colours
    vgg16 = 14_714_688 - 4_224 - 2 * 9 * 64 + 4 * 4_224 + 512 * 7 + 7
    assert build_network("vgg16").count_params() == vgg16


# Patil's figures 3.7 and 3.8 as printed: per block the parameters of both convolutions and the normalisation.
PRINTED_BLOCKS = {
    64: (256, 12352, 256),
    128: (24704, 49280, 512),
    256: (98560, 196864, 1024),
    512: (393728, 786944, 2048),
}
PRINTED_DENSE = {
    "patil_cnn": [(512, 2359808, 2048), (7, 3591)],
    "patil_cnn_ckplus": [(512, 2359808, 2048), (256, 131328, 1024), (7, 1799)],
}
PRINTED_TOTALS = {"patil_cnn": (3_931_975, 3_929_031, 2_944), "patil_cnn_ckplus": (4_062_535, 4_059_079, 3_456)}


def printed_table(name):
    """(kind of layer, output shape, parameters) of each line, the last activation aside, which is in the last layer."""
    side, lines = 48, []
    for filters, (rows, columns, norm) in PRINTED_BLOCKS.items():
        wide, halved = (None, side, side, filters), (None, side // 2, side // 2, filters)
        lines += [("Conv2D", wide, rows), ("Conv2D", wide, columns), ("BatchNormalization", wide, norm)]
        lines += [("ReLU", wide, 0), ("MaxPooling2D", halved, 0), ("Dropout", halved, 0)]
        side //= 2
    lines.append(("Flatten", (None, 4608), 0))
    for width, weights, *norm in PRINTED_DENSE[name]:
        lines.append(("Dense", (None, width), weights))
        if norm:
            lines += [("BatchNormalization", (None, width), *norm), ("ReLU", (None, width), 0)]
            lines.append(("Dropout", (None, width), 0))
    return lines


@pytest.mark.parametrize("name", PRINTED_TOTALS)
def test_layers_and_parameters_printed_in_the_thesis(name):
    from fer_core.models.registry import build_network

    network = build_network(name)
    first, scale, *layers = network.layers  # pixels and their scale, which the thesis leaves out
    assert first.count_params() == scale.count_params() == 0
    assert [(type(layer).__name__, layer.output.shape, layer.count_params()) for layer in layers] == printed_table(name)
    assert layers[-1].activation.__name__ == "softmax"
    trained, kept = (
        sum(int(np.prod(weight.shape)) for weight in weights)
        for weights in (network.trainable_weights, network.non_trainable_weights)
    )
    assert (network.count_params(), trained, kept) == PRINTED_TOTALS[name]


@pytest.mark.parametrize("name", ["compact", "wide"])
def test_saved_weights_give_the_same_probabilities_again(name, tmp_path, faces):
    from fer_core.models.registry import NetworkClassifier, build_network
    from fer_core.models.weights import half_precision, load_weights, save_weights

    first, second = build_network(name), build_network(name)
    first.set_weights(half_precision(first.get_weights()))
    save_weights(first, tmp_path / "weights.npz")
    load_weights(second, tmp_path / "weights.npz")
    images = faces.images[:4]
    before, after = (NetworkClassifier(net).predict_proba(images) for net in (first, second))
    np.testing.assert_array_equal(before, after)


def test_a_run_is_loaded_at_the_size_it_was_trained_at(tmp_path, faces):
    """MODELS may have another size by now."""
    from fer_core import artifacts
    from fer_core.models.registry import build_network, load_classifier
    from fer_core.models.weights import save_weights
    from fer_core.predictions import Predictions

    save_weights(build_network("compact"), tmp_path / "weights.npz")
    uniform = np.full((len(faces), 7), 1 / 7, np.float32)
    made = {"test": Predictions(faces.sample_ids, faces.y_true, uniform, faces.class_names)}
    fields = {
        "model": "compact",
        "dataset": "drawn",
        "seed": 0,
        "spec": {"input_size": 32},
        "config": {"input_size": 0},
    }
    path = artifacts.write_run(fields, predictions=made, weights=tmp_path / "weights.npz", root=tmp_path)
    assert load_classifier(artifacts.read_run(path)).input_size == (32, 32)


def test_values_beyond_half_precision_are_kept(tmp_path):
    import keras

    from fer_core.models.weights import half_precision, load_weights, save_weights

    network = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    variance = network.layers[-1].moving_variance
    variance.assign([90_000.0, 1 / 3])
    save_weights(network, tmp_path / "weights.npz")
    rounded = half_precision(network.get_weights())[3]
    load_weights(network, tmp_path / "weights.npz")
    np.testing.assert_array_equal(np.asarray(variance), rounded)
    np.testing.assert_allclose(rounded, [90_000.0, 1 / 3], rtol=1e-3)


def test_foreign_and_damaged_weights_are_refused(tmp_path):
    from fer_core.models.registry import build_network
    from fer_core.models.weights import load_weights, save_weights

    save_weights(build_network("wide"), tmp_path / "wide.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "wide.npz").read_bytes()[:5000])
    compact = build_network("compact")
    with pytest.raises(ModelError, match="another network"):
        load_weights(compact, tmp_path / "wide.npz")
    with pytest.raises(ModelError, match=r"cut\.npz is damaged"):
        load_weights(compact, tmp_path / "cut.npz")
    with pytest.raises(ModelError, match="missing"):
        load_weights(compact, tmp_path / "none.npz")


def test_fused_batch_normalization_trains_like_keras_own():
    import keras
    import tensorflow as tf

    from fer_core.models.layers import FusedBatchNormalization

    pixels = tf.constant(np.random.default_rng(1).normal(3, 2, (16, 6, 6, 5)), tf.float32)
    results = []
    for layer in (keras.layers.BatchNormalization(momentum=0.5), FusedBatchNormalization(momentum=0.5)):
        layer.build(pixels.shape)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            outputs = layer(pixels, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradient = tape.gradient(loss, pixels)
        results.append([outputs, gradient, layer.moving_mean, layer(pixels, training=False)])
    for own, fused in zip(*results, strict=True):
        # the fused kernel's moving variance is the unbiased one: n / (n - 1) for n = 16 * 36
        np.testing.assert_allclose(np.asarray(own), np.asarray(fused), rtol=5e-3, atol=5e-3)


def test_views_are_flips_and_small_shifts():
    images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 1)).astype(np.float32)
    assert [len(VIEWS[name](images)) for name in ("none", "flip", "ten_view")] == [1, 2, 10]
    ten = views(images, "ten_view")
    np.testing.assert_array_equal(ten[0], images)
    np.testing.assert_array_equal(ten[1], images[:, :, ::-1])
    np.testing.assert_array_equal(ten[2][:, 2:, 2:], images[:, :-2, :-2])
    flat = np.full((1, 48, 48, 1), 7, np.float32)
    assert all((view == 7).all() and view.shape == flat.shape for view in views(flat, "ten_view"))
    with pytest.raises(ConfigError, match="ten_view"):
        views(images, "hundred")


def test_classifier_averages_its_views(faces):
    from fer_core.models.registry import NetworkClassifier, build_network

    network = build_network("compact")
    plain, averaged = NetworkClassifier(network), NetworkClassifier(network, tta="flip")
    images = faces.images[:3]
    expected = (plain.predict_proba(images) + plain.predict_proba(images[:, :, ::-1])) / 2
    np.testing.assert_allclose(averaged.predict_proba(images), expected, atol=1e-5)
    assert plain.predict_proba(images[:0]).shape == (0, 7)


def test_preprocess_converts_size_and_colour_without_touching_its_input():
    grey = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(preprocess(grey, (48, 48), 1)[..., 0], grey)
    colour = np.repeat(grey[..., None], 3, axis=3)
    np.testing.assert_array_equal(preprocess(colour, (48, 48), 1)[..., 0], grey)
    assert preprocess(grey, (96, 64), 3).shape == (2, 96, 64, 3)
    with pytest.raises(ModelError, match="uint8"):
        preprocess(grey.astype(float), (48, 48), 1)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimator_fits_and_survives_a_round_trip(name, tmp_path, faces):
    from fer_core.models.estimators import fit_estimator, load_estimator, save_estimator

    classifier = fit_estimator(name, faces)
    save_estimator(classifier, tmp_path / "weights.skops")
    again = load_estimator(name, tmp_path / "weights.skops", CLASS_NAMES)
    probabilities = classifier.predict_proba(faces.images)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(again.predict_proba(faces.images), probabilities)
    if name == "majority":
        shares = np.bincount(faces.y_true, minlength=7) / len(faces)
        np.testing.assert_allclose(probabilities[0], shares, atol=1e-6)
    else:
        assert (probabilities.argmax(axis=1) == faces.y_true).mean() > 0.9


def test_estimator_without_a_class_gives_it_probability_zero(faces):
    from fer_core.models.estimators import fit_estimator

    known = fit_estimator("hog_logistic", faces.take(faces.y_true != 1))
    assert (known.predict_proba(faces.images)[:, 1] == 0).all()


def test_files_that_are_no_estimators_are_refused(tmp_path):
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dump

    from fer_core.models.estimators import load_estimator

    (tmp_path / "text.skops").write_text("no archive")
    dump(FunctionTransformer(func=preprocess), tmp_path / "code.skops")
    with pytest.raises(ModelError, match="damaged"):
        load_estimator("majority", tmp_path / "text.skops", CLASS_NAMES)
    with pytest.raises(ModelError, match="not to be trusted"):
        load_estimator("majority", tmp_path / "code.skops", CLASS_NAMES)
