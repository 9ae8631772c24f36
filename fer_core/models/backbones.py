"""Networks of keras.applications with a new head, as the transfer-learning papers use them.

Preprocessing is part of the network: it takes pixels in 0..255, RGB, and scales them as the ImageNet weights expect.
VGG16 and ResNet50 were trained on BGR; instead of turning every picture, :func:`load_imagenet` turns the input
channels of their first convolution.
"""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from fer_core.errors import ModelError
from fer_core.models.layers import FusedBatchNormalization

PRETRAINED_DIR = "FER_PRETRAINED_DIR"
VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
PIXEL_SPREAD = 64.0  # standard deviation of pixels in 0..255, rounded
# As torchvision's VGG has it. Pooled activations are all positive, so with Keras' default the untrained head is sure of
# itself and wrong, and unlearning that disturbs the convolutions.
HEAD_SPREAD = 0.01
MEAN_RGB = (123.68, 116.779, 103.939)  # of ImageNet, as keras.applications.imagenet_utils has it in "caffe" mode


def _vgg16(x, norm: str):
    """VGG16's convolutions under keras.applications' names; ``norm="conv"`` normalises after each of them."""
    for block, (filters, depth) in enumerate(VGG16_BLOCKS, start=1):
        for index in range(1, depth + 1):
            name = f"block{block}_conv{index}"
            if norm == "conv":
                x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal", name=name)(x)
                x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
                x = layers.ReLU(name=f"{name}_relu")(x)
            else:
                x = layers.Conv2D(
                    filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=name
                )(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return x


def _application(name: str) -> Callable:
    def build(x, norm: str):
        if norm == "conv":
            raise ModelError(f"{name} normalises after its convolutions already.", "Use norm head or none.")
        return getattr(keras.applications, name)(include_top=False, weights=None, input_tensor=x).output

    return build


# name -> (its class in keras.applications, how to build it on a tensor, scale, offset, whether trained on BGR)
BACKBONES: dict[str, tuple[str, Callable, float, object, bool]] = {
    "vgg16": ("VGG16", _vgg16, 1.0, [-mean for mean in MEAN_RGB], True),
    "resnet50": ("ResNet50", _application("ResNet50"), 1.0, [-mean for mean in MEAN_RGB], True),
    "mobilenetv2": ("MobileNetV2", _application("MobileNetV2"), 1 / 127.5, -1.0, False),
    "xception": ("Xception", _application("Xception"), 1 / 127.5, -1.0, False),
}
# Layers around the backbone; all others are the backbone's own.
AROUND = (
    "pixels",
    "scale",
    "input_bn",
    "input_unit",
    "input_noise",
    "input_pixels",
    "pool",
    "head_bn",
    "head_dropout",
    "probabilities",
)


def backbone_classifier(
    *,
    input_size: int | None,
    channels: int,
    num_classes: int,
    backbone: str,
    norm: str = "none",
    dropout: float = 0.0,
    input_norm: bool = False,
    noise: float = 0.0,
    noise_order: str = "bn_noise",
    fused: bool = False,
) -> keras.Model:
    """A backbone of ImageNet fame, global average pooling and a softmax (Kumar & Ukken, section 3.3).

    Args:
        input_size: side in pixels, or None for any.
        channels: 3.
        backbone: key of :data:`BACKBONES`.
        norm: where batch normalisation stands: ``none``, ``head`` (before the softmax), or ``conv`` (VGG16 only: after
            each convolution).
        dropout: before the softmax.
        input_norm: batch normalisation of the scaled input, which begins with the spread of pixels.
        noise: standard deviation of Gaussian noise on the scaled input while training, as a share of the spread of
            pixels, 64.
        noise_order: ``bn_noise`` or ``noise_bn``: which of noise and ``input_norm`` comes first.

    Raises:
        ModelError: a norm that the backbone does not take, or other than 3 channels.
    """
    if channels != 3:
        raise ModelError(f"{backbone} takes 3 channels. Received {channels}.")
    _, build, scale, offset, _ = BACKBONES[backbone]
    inputs = keras.Input((input_size, input_size, 3), name="pixels")
    x = layers.Rescaling(scale, offset=offset, name="scale")(inputs)
    spread = PIXEL_SPREAD * scale
    steps = [("input_bn", input_norm), ("input_noise", noise > 0)]
    for step, wanted in steps if noise_order == "bn_noise" else steps[::-1]:
        if wanted and step == "input_bn":  # what comes out has the spread of pixels: the backbone was trained on such
            x = layers.BatchNormalization(gamma_initializer=keras.initializers.Constant(spread), name=step)(x)
        elif wanted:  # Keras takes deviations up to 1 only
            x = layers.Rescaling(1 / spread, name="input_unit")(x)
            x = layers.GaussianNoise(noise, name=step)(x)
            x = layers.Rescaling(spread, name="input_pixels")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(build(x, norm))
    if norm == "head":
        x = layers.BatchNormalization(name="head_bn")(x)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    start = keras.initializers.RandomNormal(stddev=HEAD_SPREAD)
    outputs = layers.Dense(
        num_classes, activation="softmax", dtype="float32", kernel_initializer=start, name="probabilities"
    )(x)
    network = keras.Model(inputs, outputs)
    return _with_fused_normalization(network) if fused else network


def backbone_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers that belong to the backbone, from input to output; those we put after its convolutions too."""
    return [layer for layer in network.layers if layer.name not in AROUND]


def freeze(network: keras.Model, trainable_layers: int) -> None:
    """Train only the last ``trainable_layers`` of the backbone, and all that is around it; -1 trains everything.

    Frozen batch normalisation uses its stored statistics, as Keras does.
    """
    if trainable_layers < 0:
        return
    own = backbone_layers(network)
    for layer in own[: max(0, len(own) - trainable_layers)]:
        layer.trainable = False


def load_imagenet(network: keras.Model, backbone: str) -> None:
    """Set the backbone's ImageNet weights: from the folder ``FER_PRETRAINED_DIR``, or downloaded by Keras.

    The file is ``<backbone>_imagenet_notop.weights.h5`` or ``<backbone>.weights.h5``.

    Raises:
        ModelError: they are not to be had, or the file is damaged or holds another network.
    """
    class_name, _, _, _, turned = BACKBONES[backbone]
    source = _pretrained(class_name, backbone)
    convolutions = [layer for layer in backbone_layers(network) if layer.weights and not layer.name.endswith("_bn")]
    if backbone != "vgg16":
        convolutions = [layer for layer in backbone_layers(network) if layer.weights]
    given = [layer for layer in source.layers if layer.weights]
    if len(given) != len(convolutions):
        raise ModelError(f"{class_name} has {len(given)} layers with weights; {len(convolutions)} were expected.")
    for index, (layer, other) in enumerate(zip(convolutions, given, strict=True)):
        values = other.get_weights()
        if index == 0 and turned:
            values[0] = np.ascontiguousarray(values[0][:, :, ::-1])
        layer.set_weights(values)


def _pretrained(class_name: str, backbone: str) -> keras.Model:
    build = getattr(keras.applications, class_name)
    folder = os.environ.get(PRETRAINED_DIR)
    shape = (96, 96, 3)  # convolutions do not depend on it
    if folder:
        remedy = (
            f"Save keras.applications.{class_name}(include_top=False).save_weights(...) there from a machine "
            f"with a network, or unset {PRETRAINED_DIR} to let Keras download them."
        )
        names = (f"{backbone}_imagenet_notop.weights.h5", f"{backbone}.weights.h5")
        path = next((Path(folder) / name for name in names if (Path(folder) / name).is_file()), None)
        if path is None:
            raise ModelError(f"{PRETRAINED_DIR} names {folder}, which holds no {' or '.join(names)}.", remedy)
        source = build(include_top=False, weights=None, input_shape=shape)
        try:
            source.load_weights(path)
        except Exception as error:  # h5py and Keras raise many kinds
            raise ModelError(f"{path} does not hold {class_name}'s weights: {error}.", remedy) from error
        damage = _damage(source)
        if damage:
            raise ModelError(f"{path} does not hold {class_name}'s weights: {damage}.", remedy)
        return source
    try:
        return build(include_top=False, weights="imagenet", input_shape=shape)
    except Exception as error:
        raise ModelError(
            f"ImageNet weights of {class_name} cannot be downloaded: {error}.",
            f"Connect to the network and run the command again, or set {PRETRAINED_DIR} to a folder with "
            f"{backbone}.weights.h5.",
        ) from error


def _damage(network: keras.Model) -> str:
    """Which layer has numbers that no training gives: training on from them would blame the learning rate."""
    for layer in network.layers:
        if not all(np.isfinite(value).all() for value in layer.get_weights()):
            return f"{layer.name} has numbers that are not finite"
        if isinstance(layer, layers.BatchNormalization) and (np.asarray(layer.moving_variance) < 0).any():
            return f"{layer.name} has variances below 0"
    return ""


def _with_fused_normalization(network: keras.Model) -> keras.Model:
    def twin(layer):
        kind = FusedBatchNormalization if type(layer) is layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=twin)
