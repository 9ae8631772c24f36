"""Explanations that only ask for probabilities, with parts of the picture hidden: for any classifier.

The picture is cut into segments; which of them are hidden is drawn once, the same for every picture, so that a map
does not depend on its neighbours and all pictures share one least-squares solution. Hidden segments are black unless
told otherwise; ``mean`` is that of the whole picture, so that a segment shows the same whatever else is hidden.
Loads without TensorFlow.
"""

import hashlib
from math import comb

import numpy as np

from fer_core import masks
from fer_core.errors import ConfigError
from fer_core.predictions import Classifier

CHUNK = 256  # pictures per call of the classifier
CHUNK_BYTES = 2**24  # and their size, which bounds the memory of large pictures
CUTS = ("grid", "slic")
CELLS = 7  # a side of the grid; fewer where the picture has fewer pixels
Segments = str | np.ndarray


def masked_probabilities(
    classifier: Classifier,
    images: np.ndarray,
    stack: np.ndarray,
    classes: np.ndarray,
    fill: str,
    cuts: np.ndarray | None = None,
) -> np.ndarray:
    """The probability of each picture's class under every mask, in calls of many masks and pictures.

    With ``cuts``, masks are drawn for one call at a time, which bounds the memory, and one that comes several times is
    asked about once: Kernel SHAP draws single segments again and again.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        stack: bool (S, H, W), True where hidden; with ``cuts`` (S, d), True for hidden segments.
        classes: int (N,).
        fill: one of ``masks.FILLS``; ``mean`` of what a mask leaves visible, with ``cuts`` of the whole picture.
        cuts: int (H, W), the segment of each pixel, 0..d - 1.

    Returns:
        float32 (N, S).
    """
    first, once = distinct(stack) if cuts is not None else (slice(None), slice(None))
    stack = stack[first]
    n, s = len(images), len(stack)
    step = int(np.clip(CHUNK_BYTES // max(images[:1].nbytes, 1), 1, CHUNK))
    answers = np.zeros(n * s, np.float32)
    for start in range(0, n * s, step):
        picture, mask = np.divmod(np.arange(start, min(start + step, n * s)), s)
        hidden = stack[mask] if cuts is None else stack[mask][:, cuts]
        asked = masks.apply(images[picture], hidden, fill, whole=cuts is not None)
        probabilities = classifier.predict_proba(asked)
        answers[start : start + len(picture)] = probabilities[np.arange(len(picture)), classes[picture]]
    return answers.reshape(n, s)[:, once]


def distinct(arrays: np.ndarray) -> tuple[list[int], list[int]]:
    """Where the arrays of a stack (N, ...) come for the first time, and for each of the N which of these it is."""
    known: dict[bytes, int] = {}
    first, once = [], []
    for place, array in enumerate(arrays):
        which = known.setdefault(hashlib.blake2b(np.ascontiguousarray(array)).digest(), len(first))
        if which == len(first):
            first.append(place)
        once.append(which)
    return first, once


def cut(segments: Segments, image: np.ndarray, cells: int = CELLS) -> np.ndarray:
    """Cut a picture into segments: int64 (H, W), numbered from 0 without gaps.

    Args:
        segments: ``grid`` (``cells`` x ``cells`` rectangles), ``slic`` (about as many patches along the picture's own
            edges, Achanta et al. 2012), or int (H, W) of one's own: each value is a segment.
        image: uint8 (H, W) or (H, W, 3).
        cells: at most the pixels of the shorter side; the default gives way to that.

    Raises:
        ConfigError: another name, a grid finer than the picture, an array of another size, or one segment only.
    """
    shape = image.shape[:2]
    if isinstance(segments, str):
        cells = fitting(cells, shape)
        if segments not in CUTS:
            raise ConfigError(f"Unknown segments {segments!r}.", f"Expected one of {', '.join(CUTS)}, or an array.")
        if min(shape) < 2:
            raise ConfigError(f"A picture {shape} has no parts to hide.", "Give a picture of 2 x 2 pixels or more.")
        if not 2 <= cells <= min(shape):
            raise ConfigError(f"cells must lie in 2..{min(shape)} for a picture {shape}. Received {cells}.")
        found = grid_segments(shape, cells) if segments == "grid" else _slic(image, cells * cells)
    else:
        found = np.asarray(segments)
    if found.shape != shape:
        raise ConfigError(f"Segments {found.shape} do not fit a picture {shape}.", "Make them of its size.")
    values, numbers = np.unique(found, return_inverse=True)
    if len(values) < 2:
        raise ConfigError("The picture is one segment, so there is nothing to compare.", "Cut it into more.")
    return numbers.reshape(shape)


def fitting(cells: int, shape: tuple[int, int]) -> int:
    """``cells``, but where that is the default at most the pixels of the shorter side of a picture ``shape``."""
    return min(cells, *shape) if cells == CELLS else cells


def grid_segments(shape: tuple[int, int], cells: int) -> np.ndarray:
    """``cells`` x ``cells`` rectangles that tile a picture, row by row: int64 (H, W)."""
    rows, columns = (np.arange(side) * cells // side for side in shape)
    return rows[:, None] * cells + columns


def _slic(image: np.ndarray, wanted: int) -> np.ndarray:
    from skimage.segmentation import slic

    settings = {"compactness": 10 if image.ndim == 3 else 0.1, "start_label": 0}
    return slic(image, n_segments=wanted, channel_axis=-1 if image.ndim == 3 else None, **settings)


def lime(
    classifier,
    images,
    classes,
    layer=None,
    *,
    segments: Segments = "grid",
    cells: int = CELLS,
    samples: int = 500,
    width: float = 0.25,
    ridge: float = 1.0,
    fill: str = "zero",
    seed: int = 0,
):
    """Weights of a linear model of the class's probability near the picture (Ribeiro, Singh & Guestrin 2016).

    Each segment is hidden in about half of the samples; the first sample is the whole picture. A sample counts
    sqrt(exp(-d^2 / width^2)) with d its cosine distance to the whole picture, and the linear model is a ridge
    regression, as in the authors' program.

    Args:
        segments, cells: see :func:`cut`.
        samples: how many pictures with hidden segments.
        width: of the kernel.
        ridge: penalty of the squared weights.
        fill: one of ``masks.FILLS``.
        seed: of the samples.

    Returns:
        Raw maps float32 (N, rows, columns) of the grid, or of the picture's size for other segments; positive where
        a segment raises the probability. Then the grid, and None for the layer.

    Raises:
        ConfigError: a setting out of range.
    """
    if samples < 2 or width <= 0 or ridge < 0:
        raise ConfigError(f"Expected samples > 1, width > 0 and ridge >= 0. Received {samples}, {width} and {ridge}.")

    def fit(cuts, pictures, targets):
        shown = lime_samples(int(cuts.max()) + 1, samples, seed)
        scores = masked_probabilities(classifier, pictures, ~shown, targets, fill, cuts)
        return lime_weights(shown, scores, width, ridge)

    return _maps(fit, images, classes, segments, cells)


def lime_samples(d: int, samples: int, seed: int) -> np.ndarray:
    """Which of ``d`` segments are shown: bool (samples, d), all in the first."""
    shown = np.random.default_rng(seed).random((samples, d)) < 0.5
    shown[0] = True
    return shown


def lime_weights(shown: np.ndarray, scores: np.ndarray, width: float, ridge: float) -> np.ndarray:
    """Weighted ridge regression with a free intercept.

    Args:
        shown: bool (S, d).
        scores: float (N, S).

    Returns:
        float64 (N, d).
    """
    design = shown.astype(np.float64)
    distance = 1 - np.sqrt(design.mean(axis=1))  # cosine distance of 0/1 vectors to the vector of ones
    weights = np.sqrt(np.exp(-(distance**2) / width**2))
    shares = weights / weights.sum()
    centred = design - shares @ design  # takes the intercept out, which is not penalised
    answers = scores.astype(np.float64) - (scores @ shares)[:, None]
    weighted = centred * weights[:, None]
    gram = weighted.T @ centred + ridge * np.eye(design.shape[1])
    return np.linalg.lstsq(gram, weighted.T @ answers.T, rcond=None)[0].T


def kernel_shap(
    classifier,
    images,
    classes,
    layer=None,
    *,
    segments: Segments = "grid",
    cells: int = CELLS,
    samples: int = 1000,
    fill: str = "zero",
    seed: int = 0,
):
    """Shapley values of segments by weighted least squares (Lundberg & Lee 2017, theorem 2).

    Exact where ``samples`` suffice for every coalition. Otherwise coalitions are drawn as the kernel weighs them, each
    with its complement (Covert & Lee 2021, section 4). Either way the values add up to the probability of the whole
    picture minus that with everything hidden.

    Args:
        segments, cells: see :func:`cut`.
        samples: the most coalitions asked for, at least two per segment unless fewer exist.
        fill: one of ``masks.FILLS``.
        seed: of the samples.

    Returns:
        Like :func:`lime`; a segment's pixels all have its value.

    Raises:
        ConfigError: too few samples, or a setting out of range.
    """

    def fit(cuts, pictures, targets):
        shown, weights = coalitions(int(cuts.max()) + 1, samples, seed)
        ends = np.stack([np.zeros_like(shown[0]), np.ones_like(shown[0])])
        asked = np.concatenate([ends, shown])
        scores = masked_probabilities(classifier, pictures, ~asked, targets, fill, cuts).astype(np.float64)
        return shapley_regression(shown, weights, scores[:, 2:], scores[:, 0], scores[:, 1])

    return _maps(fit, images, classes, segments, cells)


def coalitions(d: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coalitions of ``d`` segments, without the empty and the full one.

    Returns:
        bool (S, d), True where shown; and how much each counts, float64 (S,).

    Raises:
        ConfigError: fewer samples than two per segment.
    """
    sizes = np.arange(1, d)
    if 2**d - 2 <= samples:
        shown = (np.arange(1, 2**d - 1)[:, None] >> np.arange(d)) & 1 > 0
        kernel = np.array([(d - 1) / (comb(d, size) * size * (d - size)) for size in sizes])
        return shown, kernel[shown.sum(axis=1) - 1]
    if samples < 2 * d:
        raise ConfigError(f"{d} segments need at least {2 * d} samples. Received {samples}.", "Ask for more samples.")
    rng = np.random.default_rng(seed)
    odds = 1 / (sizes * (d - sizes))
    drawn = rng.choice(sizes, samples // 2, p=odds / odds.sum())
    half = rng.random((len(drawn), d)).argsort(axis=1).argsort(axis=1) < drawn[:, None]
    return np.concatenate([half, ~half]), np.ones(2 * len(drawn))


def shapley_regression(
    shown: np.ndarray, weights: np.ndarray, scores: np.ndarray, empty: np.ndarray, full: np.ndarray
) -> np.ndarray:
    """Values that fit ``scores`` best under the condition that they add up to ``full - empty``.

    Args:
        shown: bool (S, d); weights: float (S,); scores: float (N, S); empty, full: float (N,).

    Returns:
        float64 (N, d), by the method of Lagrange (Covert & Lee 2021, equation 7).
    """
    design = shown.astype(np.float64)
    weighted = design * weights[:, None]
    inverse = np.linalg.pinv(weighted.T @ design, hermitian=True)
    free = (scores - empty[:, None]) @ weighted @ inverse
    direction = inverse.sum(axis=0)
    missing = (full - empty) - free.sum(axis=1)
    return free + missing[:, None] * direction / direction.sum()


def _maps(fit, images: np.ndarray, classes: np.ndarray, segments: Segments, cells: int):
    """Values per segment as maps; pictures are asked about together where they are cut alike."""
    shape = images.shape[1:3]
    cells = fitting(cells, shape)
    if not (isinstance(segments, str) and segments == "slic"):
        cuts = cut(segments, images[0], cells)
        values = fit(cuts, images, classes).astype(np.float32)
        if isinstance(segments, str):
            return values.reshape(-1, cells, cells), (cells, cells), None
        return values[:, cuts], _side(cuts), None
    maps, found = np.zeros((len(images), *shape), np.float32), (cells, cells)
    for index, image in enumerate(images):
        cuts = cut(segments, image, cells)
        maps[index] = fit(cuts, images[index : index + 1], classes[index : index + 1])[0, cuts]
        found = min(found, _side(cuts))
    return maps, found, None


def _side(cuts: np.ndarray) -> tuple[int, int]:
    """Rows and columns of a square grid of as many cells as there are segments."""
    side = max(1, round(float(np.sqrt(cuts.max() + 1))))
    return side, side
