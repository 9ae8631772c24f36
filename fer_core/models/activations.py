"""How many numbers a network keeps of each picture until it has learnt from it. Loads without TensorFlow.

A function per builder of ``fer_core.models.builders`` names, map by map, what the gradient needs again: what goes into
a convolution or a batch norm, what a ReLU gives, and both sides of a pooling. What a layer may write over its own
input, or need not keep, is left out, so that the sum is a lower bound.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from fer_core.models.arguments import DEEPENING

Maps = list[int]  # numbers in each map (a layer's output) of one picture

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
RESNET50_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # width inside, blocks; four times as wide outside
# MobileNetV2: times as wide inside, width outside, blocks, stride of the first (Sandler et al. 2018, table 2).
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def kept(builder: str, side: int, channels: int, arguments: Mapping) -> Maps:
    """Numbers in each map that is kept of one picture while all layers are trained, the pixels themselves left out.

    Args:
        builder: key of ``fer_core.models.builders.BUILDERS``.
        side: of the picture in pixels.
        arguments: of the builder.
    """
    scaled = channels * side**2
    return [scaled, *KEPT[builder](side, **arguments)]


def _stacked(blocks: Iterable[tuple[int, int]], side: int, normalized: bool = True, last_pool: bool = False) -> Maps:
    """Blocks of (filters, 3x3 convolutions) with 2x2 pooling between them."""
    blocks, maps = list(blocks), []
    for number, (filters, depth) in enumerate(blocks, start=1):
        maps += [filters * side**2] * (depth * (2 if normalized else 1))
        side //= 2
        maps += [filters * side**2] * (last_pool or number < len(blocks))
    return maps


def _plain_cnn(side: int, width: int = 32, stages: Sequence[int] = (2, 2, 2, 2), **_) -> Maps:
    return _stacked([(width * 2**stage, depth) for stage, depth in enumerate(stages)], side)


def _vgg(side: int, stages: Sequence[tuple[int, int]], **_) -> Maps:
    return _stacked(stages, side)


def _asymmetric_cnn(side: int, **_) -> Maps:
    maps = []
    for filters in (64, 128, 256, 512):
        maps += [filters * side**2] * 3  # 3x1, 1x3, ReLU
        side //= 2
        maps += [filters * side**2] * 2  # pooled, dropped out
    return maps


def _deepening_cnn(side: int, depth: int = 2, **_) -> Maps:
    maps = []
    for number, filters in enumerate(DEEPENING[:depth], start=1):
        side -= 2 if number <= 2 else 0
        maps.append(filters * side**2)
        if side > 1:
            side //= 2
            maps.append(filters * side**2)
    return maps


def _resnet50(side: int) -> Maps:
    side = _half(side)
    maps = [64 * side**2] * 2
    side = _half(side)
    maps.append(64 * side**2)
    for stage, (width, blocks) in enumerate(RESNET50_STAGES):
        side = _half(side) if stage else side
        maps.append(4 * width * side**2)  # the first block's shortcut
        maps += ([width * side**2] * 4 + [4 * width * side**2] * 2) * blocks
    return maps


def _mobilenetv2(side: int) -> Maps:
    side, width = _half(side), 32
    maps = [width * side**2] * 2
    for times, outside, blocks, stride in INVERTED:
        for block in range(blocks):
            inside = times * width
            maps += [inside * side**2] * (2 if times > 1 else 0)
            side = _half(side) if stride == 2 and block == 0 else side
            maps += [inside * side**2] * 2 + [outside * side**2]
            width = outside
    return maps + [1280 * side**2] * 2


def _xception(side: int) -> Maps:
    side = (side - 3) // 2 + 1
    maps = [32 * side**2] * 2
    side -= 2
    maps += [64 * side**2] * 2
    before: Maps = []  # the first block follows a ReLU that is counted
    for width in (128, 256, 728):
        maps += before + _separable(width, width, side)
        side = _half(side)
        before = [width * side**2]
    maps += [728 * side**2] * 2 * 3 * 8  # ReLU and convolution, three times in each of eight blocks
    maps += before + _separable(728, 1024, side)
    side = _half(side)
    return maps + [1536 * side**2] * 2 + [2048 * side**2] * 2


def _separable(inside: int, outside: int, side: int) -> Maps:
    """Two separable convolutions with a ReLU between them, pooled; and the shortcut beside them."""
    return [inside * side**2] * 2 + [outside * side**2] * 2 + [outside * _half(side) ** 2] * 2


def _half(side: int) -> int:
    return (side + 1) // 2


BACKBONES: dict[str, Callable[[int], Maps]] = {
    "resnet50": _resnet50,
    "mobilenetv2": _mobilenetv2,
    "xception": _xception,
}


def _backbone_classifier(
    side: int, backbone: str, norm: str = "none", input_norm: bool = False, noise: float = 0.0, **_
) -> Maps:
    before = [3 * side**2] * (bool(input_norm) + bool(noise))
    if backbone == "vgg16":
        return before + _stacked(VGG16_BLOCKS, side, norm == "conv", last_pool=True)
    return before + BACKBONES[backbone](side)


KEPT: dict[str, Callable[..., Maps]] = {
    "plain_cnn": _plain_cnn,
    "vgg": _vgg,
    "asymmetric_cnn": _asymmetric_cnn,
    "deepening_cnn": _deepening_cnn,
    "backbone_classifier": _backbone_classifier,
}
