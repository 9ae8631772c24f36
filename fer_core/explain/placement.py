"""Where the cells of a layer's grid lie on the picture.

A cell stands for the pixels around the middle of its receptive field. Pooling that drops a last row, and convolutions
without padding, leave a grid that does not cover the picture evenly: 44 rows pooled three times give five cells of 8
rows, whose middles are 4, 12, 20, 28 and 36, not the 4.4 to 39.6 of a grid stretched over the picture.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Axis:
    """Cells along one side of a picture, whose length is 1: the middle of cell i is ``first + i * step``."""

    first: float
    step: float


@dataclass(frozen=True)
class Placement:
    """Where the rows and the columns of a grid lie."""

    rows: Axis
    columns: Axis


def tiled(grid: tuple[int, int]) -> Placement:
    """A grid whose cells share the picture evenly."""
    return Placement(*(Axis(0.5 / cells, 1 / cells) for cells in grid))


def placement(network: "keras.Model", layer: str) -> Placement:
    """Where the grid of ``layer`` lies on the input of ``network``, a flat functional model.

    The middles of receptive fields, followed through the layers as Araujo, Norris & Sim (2019, Distill, "Computing
    receptive fields of convolutional neural networks") do; where paths meet, the mean of theirs.
    A layer that changes the grid in a way of its own is taken to share the picture evenly.
    """
    sides = tuple(network.inputs[0].shape[1:3])
    axes = zip(_followed(network.get_layer(layer).output, sides, {}), sides, strict=True)
    return Placement(*(Axis((axis.first + 0.5) / side, axis.step / side) for axis, side in axes))


def placed(maps: np.ndarray, shape: tuple[int, int], place: Placement | None = None) -> np.ndarray:
    """Bilinear maps of pictures, each cell's value at its place: float32 (N, h, w) -> float32 (N, *shape).

    Beyond the middles of the outer cells their values go on.

    Args:
        place: of the cells; they share the picture evenly unless given.
    """
    if place is None and maps.shape[1:] == tuple(shape):
        return maps
    down, across = shares(maps.shape[1:], shape, place)
    return down @ maps.astype(np.float32) @ across.T


def shares(
    grid: tuple[int, int], shape: tuple[int, int], place: Placement | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What each cell adds to each row and to each column of a picture, see :func:`placed`: rows add up to 1.

    Returns:
        float32 (H, h) and float32 (W, w).
    """
    place = place or tiled(grid)
    return _shares(grid[0], shape[0], place.rows), _shares(grid[1], shape[1], place.columns)


def _shares(cells: int, side: int, axis: Axis) -> np.ndarray:
    middles = (np.arange(side) + 0.5) / side
    at = np.clip((middles - axis.first) / axis.step, 0, cells - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(cells)), 0).astype(np.float32)


def _followed(tensor, sides: tuple[int, int], known: dict) -> tuple[Axis, Axis]:
    """Middles of the cells of ``tensor`` in pixels of the input, the first pixel's middle at 0."""
    if id(tensor) not in known:
        operation, node, _ = tensor._keras_history
        above = [one for one in operation._inbound_nodes[node].input_tensors if len(one.shape) == 4]
        if len(above) > 1:  # one number for all places, as in squeeze and excitation, moves no cell
            above = [one for one in above if one.shape[1:3] == tensor.shape[1:3]] or above
        if not above:
            known[id(tensor)] = (Axis(0.0, 1.0), Axis(0.0, 1.0))
        else:
            paths = zip(*(_followed(one, sides, known) for one in above), strict=True)
            axes = [Axis(float(np.mean([one.first for one in path])), path[0].step) for path in paths]
            known[id(tensor)] = _through(operation, above[0].shape[1:3], tensor.shape[1:3], axes, sides)
    return known[id(tensor)]


def _through(layer, before, after, axes: list[Axis], sides: tuple[int, int]) -> tuple[Axis, Axis]:
    """What ``layer`` makes of the middles ``axes`` of its input's cells."""
    moves = [_move(layer, side, before[side], after[side]) for side in range(2)]
    return tuple(
        Axis(axis.first + axis.step * offset, axis.step * stride) if stride else _even(cells, length)
        for axis, (offset, stride), cells, length in zip(axes, moves, after, sides, strict=True)
    )


def _even(cells: int, side: int) -> Axis:
    return Axis(side / cells / 2 - 0.5, side / cells)


def _move(layer, side: int, before: int, after: int) -> tuple[float, float]:
    """Middle of the first output cell and distance of the next, in input cells; distance 0 where it is not known."""
    import keras

    if isinstance(layer, keras.layers.ZeroPadding2D):
        return -float(layer.padding[side][0]), 1.0
    if isinstance(layer, keras.layers.Cropping2D):
        return float(layer.cropping[side][0]), 1.0
    if isinstance(layer, keras.layers.UpSampling2D):
        return 0.5 / layer.size[side] - 0.5, 1 / layer.size[side]
    window = getattr(layer, "pool_size", None) or getattr(layer, "kernel_size", None)
    if window is None or isinstance(layer, keras.layers.Conv2DTranspose):
        return (0.0, 1.0) if before == after else (0.0, 0.0)
    stride = layer.strides[side]
    reach = (window[side] - 1) * getattr(layer, "dilation_rate", (1, 1))[side]
    missing = max((after - 1) * stride + reach + 1 - before, 0) if layer.padding == "same" else 0
    return reach / 2 - missing // 2, float(stride)
