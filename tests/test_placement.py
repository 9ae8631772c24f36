"""Cells of a layer's grid stand where their receptive fields do, found here by asking which pixels move a cell."""

import numpy as np
import pytest

from fer_core.explain import saliency
from fer_core.explain.placement import placed, placement, tiled
from fer_core.models.registry import NetworkClassifier, build_network


def _halved(layers, x):
    return layers.Conv2D(1, 3, strides=2, padding="same")(x)


LAYOUTS = {
    "same padding on an even side": _halved,
    "same padding on an odd side": lambda k, x: _halved(k, k.Cropping2D(((1, 0), (0, 3)))(x)),
    "no padding": lambda k, x: k.Conv2D(1, 5)(k.Conv2D(1, 3)(x)),
    "pooling that drops the last row": lambda k, x: k.AveragePooling2D(3)(k.AveragePooling2D(2)(x)),
    "pooling with padding": lambda k, x: k.AveragePooling2D(3, strides=2, padding="same")(x),
    "zeros around": lambda k, x: k.Conv2D(1, 7, strides=2)(k.ZeroPadding2D(((3, 3), (2, 4)))(x)),
    "a row of zeros on one side": lambda k, x: k.DepthwiseConv2D(3, strides=2)(k.ZeroPadding2D(((0, 1), (0, 1)))(x)),
    "holes in the kernel": lambda k, x: k.Conv2D(1, 3, dilation_rate=(2, 3))(x),
    "kernels of one column": lambda k, x: k.Conv2D(1, (1, 3))(k.Conv2D(1, (3, 1), strides=(2, 1), padding="same")(x)),
    "separable": lambda k, x: k.SeparableConv2D(1, 3, strides=2, padding="same")(x),
    "enlarged": lambda k, x: k.UpSampling2D(2)(k.AveragePooling2D(4)(x)),
    "two paths alike": lambda k, x: k.Add()([_halved(k, x), _halved(k, x)]),
}


def _middle_of_receptive_field(keras, network, cell):
    """Middle of the pixels (rows, columns) that move a cell, as shares of the picture."""
    import tensorflow as tf

    pixels = tf.Variable(tf.ones((1, *network.inputs[0].shape[1:])))
    with tf.GradientTape() as tape:
        value = network(pixels)[0, cell[0], cell[1], 0]
    moving = np.nonzero(np.abs(tape.gradient(value, pixels).numpy()[0, :, :, 0]) > 0)
    sides = network.inputs[0].shape[1:3]
    return [(axis.min() + axis.max() + 1) / 2 / side for axis, side in zip(moving, sides, strict=True)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cells_stand_in_the_middle_of_their_receptive_fields(layout):
    keras = pytest.importorskip("keras")
    inputs = keras.Input((32, 40, 1))
    outputs = LAYOUTS[layout](keras.layers, keras.layers.Activation("linear")(inputs))
    network = keras.Model(inputs, keras.layers.Activation("linear", name="last")(outputs))
    for weight in network.trainable_weights:
        weight.assign(np.ones(weight.shape))
    place = placement(network, "last")
    grid = network.outputs[0].shape[1:3]
    cell = [cells // 2 // 2 * 2 for cells in grid]  # even, as the first of the two that an enlarged cell becomes
    found = [axis.first + at * axis.step for at, axis in zip(cell, (place.rows, place.columns), strict=True)]
    expected = _middle_of_receptive_field(keras, network, cell)
    if layout == "enlarged":  # two cells share one receptive field: they lie a quarter of it to each side
        expected = [middle - 1 / side for middle, side in zip(expected, (32, 40), strict=True)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "layer", "middles"),
    [
        ("compact", "block4_2_relu", [4, 12, 20, 28, 36]),  # 44 rows pooled thrice, the last one dropped
        ("patil_cnn", "block4_relu", [4, 12, 20, 28, 36, 44]),
    ],
)
def test_cells_of_our_networks(name, layer, middles):
    pytest.importorskip("keras")
    network = build_network(name)
    side, place = network.inputs[0].shape[1], placement(network, layer)
    assert place.rows == place.columns
    assert [side * (place.rows.first + cell * place.rows.step) for cell in range(len(middles))] == pytest.approx(
        middles
    )


def test_what_weighs_whole_channels_moves_no_cell():
    """Squeeze and excitation: one number per channel, of the whole picture, multiplies all places."""
    keras = pytest.importorskip("keras")
    inputs = keras.Input((32, 32, 1))
    x = _halved(keras.layers, inputs)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    outputs = keras.layers.Multiply(name="gated")([gate, x])
    network = keras.Model(inputs, outputs)
    assert placement(network, "gated") == placement(network, network.layers[1].name) != tiled((16, 16))


def test_cells_that_share_the_picture_evenly_are_enlarged_as_opencv_does():
    import cv2

    maps = np.random.default_rng(0).random((2, 5, 7), np.float32)
    expected = [cv2.resize(one, (40, 44), interpolation=cv2.INTER_LINEAR) for one in maps]
    np.testing.assert_allclose(placed(maps, (44, 40)), expected, atol=1e-6)
    np.testing.assert_array_equal(placed(maps, (44, 40), tiled((5, 7))), placed(maps, (44, 40)))


@pytest.fixture(scope="module")
def dropping():
    """Reads the brightness of 8 x 8 pixels; of 44 rows and columns the last four are dropped."""
    keras = pytest.importorskip("keras")
    inputs = x = keras.Input((44, 44, 1))
    for _ in range(3):
        x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(1, 1, activation="relu", kernel_initializer="ones", name="last")(x)
    x = keras.layers.Dense(2, activation="softmax", name="out")(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, x)
    network.get_layer("out").set_weights([np.array([[-1.0, 1.0]]), np.zeros(2)])
    return NetworkClassifier(network, ("dark", "bright"))


@pytest.mark.parametrize("method", [name for name, one in saliency.METHODS.items() if one.family == "cam"])
def test_map_of_a_grid_that_does_not_cover_the_picture_is_strongest_where_the_evidence_is(dropping, method):
    picture = np.zeros((1, 44, 44), np.uint8)
    picture[0, 27:29, 19:21] = 255  # in the middle of cell (3, 2)
    found = saliency.explain(dropping, picture, 1, method, layer="last")
    np.testing.assert_array_equal(np.argwhere(found.values[0] == 1), [[27, 19], [27, 20], [28, 19], [28, 20]])
    larger = np.kron(picture[0], np.ones((3, 3), np.uint8))[None]
    found = saliency.explain(dropping, larger, 1, method, layer="last")
    np.testing.assert_array_equal(np.argwhere(found.values[0] == 1), [[83, 59], [83, 60], [84, 59], [84, 60]])
