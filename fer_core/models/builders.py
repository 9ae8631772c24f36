"""Network builders: arguments in, a flat functional Keras model out.

Every network takes float32 (N, H, W, C) in 0..255 and gives class probabilities float32 (N, K). Flat, because
tf-keras-vis cannot see into nested models; functional, because it fails on ``Sequential``. What arguments may be
stands in ``fer_core.models.arguments``.
"""

from collections.abc import Callable

import keras
from keras import layers

from fer_core.models.arguments import DEEPENING
from fer_core.models.backbones import backbone_classifier
from fer_core.models.layers import FusedBatchNormalization

Builder = Callable[..., keras.Model]


def _conv_bn_relu(x, filters: int, name: str, normalization):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv")(
        x
    )
    x = normalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _head(x, num_classes: int, dropout: float):
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    # float32 here, so that half-precision training does not round the probabilities
    return layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)


def _stacked(widths, input_size, channels, num_classes, dropout, fused, last_pool) -> keras.Model:
    normalization = FusedBatchNormalization if fused else layers.BatchNormalization
    inputs = keras.Input((input_size, input_size, channels), name="pixels")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="scale")(inputs)
    for stage, (filters, depth) in enumerate(widths, start=1):
        for index in range(1, depth + 1):
            x = _conv_bn_relu(x, filters, f"block{stage}_{index}", normalization)
        if stage < len(widths) or last_pool:
            x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return keras.Model(inputs, _head(x, num_classes, dropout))


def plain_cnn(
    *,
    input_size: int | None,
    channels: int,
    num_classes: int,
    width: int = 32,
    stages: tuple[int, ...] = (2, 2, 2, 2),
    dropout: float = 0.0,
    fused: bool = False,
) -> keras.Model:
    """3x3 convolutions with batch norm and ReLU, doubling the width at each halving of the grid, then global pooling.

    Args:
        input_size: side in pixels, or None for any size.
        stages: number of convolutions at each grid size.
        fused: use the fused batch normalisation for training.
    """
    widths = [(width * 2**stage, depth) for stage, depth in enumerate(stages)]
    return _stacked(widths, input_size, channels, num_classes, dropout, fused, last_pool=False)


def vgg(
    *,
    input_size: int | None,
    channels: int,
    num_classes: int,
    stages: tuple[tuple[int, int], ...],
    dropout: float = 0.0,
    fused: bool = False,
) -> keras.Model:
    """VGG's convolutions (Simonyan & Zisserman 2015, table 1) with batch norm and global average pooling.

    Args:
        stages: (filters, number of 3x3 convolutions) of each block; 2x2 max pooling between them.
    """
    return _stacked(stages, input_size, channels, num_classes, dropout, fused, last_pool=False)


def asymmetric_cnn(
    *,
    input_size: int,
    channels: int,
    num_classes: int,
    dense: tuple[int, ...] = (512,),
    dropout: float = 0.25,
    fused: bool = False,
) -> keras.Model:
    """Patil's CNNs (thesis, figures 3.7 and 3.8): each 3x3 convolution split into 3x1 and 1x3, then dense layers.

    Four blocks of 64 to 512 filters, each convolved, normalised, rectified, pooled and dropped out.

    Args:
        input_size: side in pixels; 48 in the thesis.
        dense: widths of the hidden dense layers, (512,) for FER2013 and (512, 256) for CK+.
    """
    normalization = FusedBatchNormalization if fused else layers.BatchNormalization
    inputs = keras.Input((input_size, input_size, channels), name="pixels")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    for block, filters in enumerate((64, 128, 256, 512), start=1):
        x = layers.Conv2D(filters, (3, 1), padding="same", name=f"block{block}_rows_conv")(x)
        x = layers.Conv2D(filters, (1, 3), padding="same", name=f"block{block}_columns_conv")(x)
        x = normalization(name=f"block{block}_bn")(x)
        x = layers.ReLU(name=f"block{block}_relu")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
        x = layers.Dropout(dropout, name=f"block{block}_dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    for index, width in enumerate(dense, start=1):
        x = layers.Dense(width, name=f"dense{index}")(x)
        x = layers.BatchNormalization(name=f"dense{index}_bn")(x)
        x = layers.ReLU(name=f"dense{index}_relu")(x)
        x = layers.Dropout(dropout, name=f"dense{index}_dropout")(x)
    outputs = layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs)


def deepening_cnn(
    *,
    input_size: int,
    channels: int,
    num_classes: int,
    depth: int = 2,
    fused: bool = False,
) -> keras.Model:
    """Ugwu's CNN (figure 4): convolutions of 16 and 32 filters, up to four more of 64 to 512, and a dense layer of 128.

    Each convolution is followed by 2x2 max pooling, the first two are not padded. Pooling a grid of one cell is left
    out, which only happens to pictures smaller than the paper's 128 pixels.

    Args:
        input_size: side in pixels; 128 in the paper.
        depth: number of convolutions, 2 to 6.
    """
    inputs = keras.Input((input_size, input_size, channels), name="pixels")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    for index, filters in enumerate(DEEPENING[:depth], start=1):
        padding = "valid" if index <= 2 else "same"
        x = layers.Conv2D(filters, 3, padding=padding, activation="relu", name=f"block{index}_conv")(x)
        if x.shape[1] > 1:
            x = layers.MaxPooling2D(name=f"block{index}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="dense1")(x)
    outputs = layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs)


BUILDERS: dict[str, Builder] = {
    "plain_cnn": plain_cnn,
    "vgg": vgg,
    "asymmetric_cnn": asymmetric_cnn,
    "deepening_cnn": deepening_cnn,
    "backbone_classifier": backbone_classifier,
}
