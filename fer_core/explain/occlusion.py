"""Hide parts of a face and see what the probabilities do: for any classifier, with or without gradients."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_core import masks, regions
from fer_core.errors import ConfigError
from fer_core.explain.perturbation import masked_probabilities
from fer_core.predictions import Classifier


@dataclass(frozen=True)
class MaskEffect:
    """What one mask does to one picture, beside random masks of the same area.

    Attributes:
        class_names: the K class names.
        before, after: probabilities float32 (K,) of the whole and of the masked picture.
        controls: probabilities float32 (S, K) under S random masks of the same area.
        area: hidden share of the picture, 0..1.
        masked: uint8, the masked picture; control_images: uint8 (S, ...), the controls.
    """

    class_names: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray
    controls: np.ndarray
    area: float
    masked: np.ndarray
    control_images: np.ndarray

    @property
    def shift(self) -> np.ndarray:
        """Change of each probability by the mask, -1..1, float32 (K,)."""
        return self.after - self.before

    @property
    def control_shifts(self) -> np.ndarray:
        """Change of each probability by each random mask, float32 (S, K)."""
        return self.controls - self.before

    @property
    def control_mean(self) -> np.ndarray:
        """Mean probability of each class under the random masks, float32 (K,); ``before`` without controls."""
        return self.controls.mean(axis=0) if len(self.controls) else self.before

    @property
    def control_shift(self) -> np.ndarray:
        """Mean over the random masks, float32 (K,); zeros without controls."""
        return self.control_mean - self.before

    @property
    def predicted(self) -> tuple[str, str]:
        """Most probable class before and after."""
        return self.class_names[int(self.before.argmax())], self.class_names[int(self.after.argmax())]

    @property
    def flipped(self) -> bool:
        """Whether the mask changes the most probable class."""
        return self.predicted[0] != self.predicted[1]

    @property
    def control_flips(self) -> int:
        """How many of the random masks change the most probable class."""
        return int(np.sum(self.controls.argmax(axis=1) != self.before.argmax()))


def hidden_parts(
    points: np.ndarray,
    shape: tuple[int, int],
    *,
    bands: Iterable[str] = (),
    shapes: Iterable[str] = (),
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """What several choices together hide of a face: bool (H, W).

    Args:
        points: its landmarks (5, 2), see :mod:`fer_core.regions`; only ``shapes`` depend on them.
        shape: (H, W).
        bands: of ``masks.REGIONS``, the papers' rows.
        shapes: of ``regions.OCCLUDERS``.
        box: a rectangle, see :func:`fer_core.masks.rectangle_mask`.

    Raises:
        ConfigError: no such band or shape, or a rectangle without a pixel.
    """
    chosen = [masks.regions_mask(list(bands), shape)]
    chosen += [regions.occluder_mask(name, points, shape) for name in shapes]
    return masks.combine(chosen if box is None else [*chosen, masks.rectangle_mask(box, shape)])


def mask_effect(
    classifier: Classifier,
    image: np.ndarray,
    mask: np.ndarray,
    fill: str = "zero",
    control_seeds: Sequence[int] = range(5),
) -> MaskEffect:
    """Classify a picture whole, masked, and under random masks of the same area, in one batch.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        mask: bool (H, W).
        fill: one of ``masks.FILLS``.
        control_seeds: a random mask for each, see :func:`fer_core.masks.moved_masks`; may be empty.

    Raises:
        ConfigError: unknown fill, or a mask of another size.
    """
    hidden = masks.apply(image, mask, fill)
    drawn = masks.moved_masks(mask, control_seeds)
    controls = masks.apply(image, drawn, fill)
    probabilities = classifier.predict_proba(np.concatenate([np.stack([image, hidden]), controls]))
    return MaskEffect(
        class_names=tuple(classifier.class_names),
        before=probabilities[0],
        after=probabilities[1],
        controls=probabilities[2:],
        area=float(mask.mean()),
        masked=hidden,
        control_images=controls,
    )


def shift_frame(effects: Mapping[str, MaskEffect]) -> pd.DataFrame:
    """Effects of one mask on several models as a table.

    Args:
        effects: run name -> its effect.

    Returns:
        A row per run and class: run, class, before, after, shift; control, control_low, control_high (mean, smallest
        and largest probability under the random masks), control_shift (mean change), and beyond_control
        (shift - control_shift: what the region does beyond hiding as much anywhere). NaN without controls.
    """
    columns = ["run", "class", "before", "after", "shift", "control", "control_low", "control_high", "control_shift"]
    rows = []
    for run, effect in effects.items():
        drawn = effect.controls if len(effect.controls) else np.full((1, len(effect.before)), np.nan)
        low, mean, high = drawn.min(axis=0), drawn.mean(axis=0), drawn.max(axis=0)
        numbers = (effect.before, effect.after, effect.shift, mean, low, high, mean - effect.before)
        rows += [
            (run, name, *values)
            for name, values in zip(effect.class_names, np.stack(numbers, axis=1).tolist(), strict=True)
        ]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(beyond_control=frame["shift"] - frame["control_shift"])


def patch_masks(
    shape: tuple[int, int], patch: float = 1 / 6, stride: float = 0.5
) -> tuple[np.ndarray, tuple[int, int]]:
    """Square patches that together cover a picture.

    Args:
        shape: (H, W).
        patch: side as a share of the shorter side of the picture, 0..1.
        stride: step as a share of the patch's side, 0..1.

    Returns:
        bool (rows * cols, H, W), row by row, and (rows, cols). Border patches are moved inside, never cut.

    Raises:
        ConfigError: a share outside 0..1.
    """
    if not 0 < patch <= 1 or not 0 < stride <= 1:
        raise ConfigError(f"patch and stride must lie in 0..1. Received {patch} and {stride}.")
    side = _side(shape, patch)
    step = max(round(stride * side), 1)
    tops, lefts = ([*range(0, length - side, step), length - side] for length in shape)
    stack = np.zeros((len(tops) * len(lefts), *shape), dtype=bool)
    for index, (top, left) in enumerate((top, left) for top in tops for left in lefts):
        stack[index, top : top + side, left : left + side] = True
    return stack, (len(tops), len(lefts))


def _side(shape: tuple[int, int], patch: float) -> int:
    return max(round(patch * min(shape)), 1)


def occlusion_map(
    classifier: Classifier,
    images: np.ndarray,
    classes: np.ndarray,
    *,
    patch: float = 1 / 6,
    stride: float = 0.5,
    fill: str = "mean",
) -> tuple[np.ndarray, tuple[int, int]]:
    """Fall of a class's probability when a patch slides over the picture (Zeiler & Fergus 2014, section 4.2).

    Each pixel has the mean fall over the patches that hide it. Many patches and pictures go through the classifier
    together.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        classes: int (N,), the class of each picture whose probability is watched.
        patch, stride: see :func:`patch_masks`.
        fill: one of ``masks.FILLS``.

    Returns:
        float32 (N, H, W), -1..1, positive where hiding lowers the probability; and the cells (rows, cols) that it
        resolves: how many patches fit beside each other. Places closer than a side overlap and hide much the same.
    """
    shape = images.shape[1:3]
    stack, _ = patch_masks(shape, patch, stride)
    grid = tuple(max(round(length / _side(shape, patch)), 1) for length in shape)
    if not len(images):
        return np.zeros(images.shape[:3], np.float32), grid
    whole = classifier.predict_proba(images)[np.arange(len(images)), classes]
    fall = whole[:, None] - masked_probabilities(classifier, images, stack, classes, fill)
    sums = [np.tensordot(row, stack, axes=1) for row in fall]  # one by one: a batch would round otherwise
    return (np.stack(sums) / stack.sum(axis=0)).astype(np.float32), grid


def map_frame(fall: np.ndarray) -> pd.DataFrame:
    """An occlusion map (H, W) as a table: columns row, column, fall, a row per pixel."""
    rows, columns = np.indices(fall.shape)
    return pd.DataFrame({"row": rows.ravel(), "column": columns.ravel(), "fall": fall.ravel()})


def common_end(maps: Iterable[np.ndarray], least: float = 0.01) -> float:
    """The largest change, up or down, in any of several maps, at least ``least``: the end of a scale for all."""
    return max([least, *(float(np.abs(fall).max(initial=0.0)) for fall in maps)])


def change_words(fall: np.ndarray) -> str:
    """What an occlusion map says in short: ``falls by up to 50 points and rises by up to 2 points``."""
    ends = {"falls": float(fall.max()), "rises": float(-fall.min())}
    told = [f"{verb} by up to {points(end)}" for verb, end in ends.items() if end >= 0.005]
    return " and ".join(told) or "hardly changes"


def control_words(movable: int, n: int = 1) -> str:
    """What the random masks of ``n`` faces look like, where what is hidden of ``movable`` of them can lie elsewhere."""
    moved = "the same shapes, turned by quarter turns, mirrored or not, at random places"
    rectangles, why = "random rectangles of the same area", "too large to be moved elsewhere"
    if movable == n:
        return moved
    if not movable:
        return f"{rectangles}, for what is hidden is {why}"
    return f"{moved}; in {n - movable:,} of {n:,} faces, where these are {why}, {rectangles}"


def points(change: float) -> str:
    """A change of probability, -1..1, in words: ``7 points``."""
    whole = round(100 * float(change))
    return f"{whole} point{'s' * (abs(whole) != 1)}"
