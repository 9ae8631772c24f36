"""Hide a part of a face: regions, rectangles and equal-area random controls as boolean masks, and what fills them.

Controls are of the mask's own form, elsewhere (:func:`moved_mask`), or rectangles of its area (:func:`random_mask`), as
for masks too large to lie elsewhere.

Row bands follow Kroening, Liu, Miftah and Shen, "Feeling It: Emotion Classification with Machine Learning", section
"Models with Masking Layers": the top quarter hides the forehead, the middle quarter below it eyes and eyebrows, the
bottom half nose and mouth. Their fill is black (the pixels are blocked).

A mask is bool (H, W), True where the picture is hidden.
"""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from fer_core.errors import ConfigError

# Quarters of the height, from (inclusive) and to (exclusive). Together they tile the picture.
REGIONS: dict[str, tuple[int, int]] = {"forehead": (0, 1), "eyes": (1, 2), "mouth": (2, 4)}

NOT_EMPTY = "Make it at least one pixel wide and high."
MOVES = 40  # tries to place all pieces of a mask elsewhere
DIFFERENT = 5  # masks elsewhere that there must be, or chance has nothing to choose from
PLACES = 10  # tries to place one of them beside those that are placed already
SAME_PLACE = 0.5  # intersection over union with the mask itself, beyond which a moved one is no control


def region_mask(name: str, shape: tuple[int, int]) -> np.ndarray:
    """The row band ``name`` of a picture of ``shape`` (H, W): bool (H, W).

    Quarter q ends at row ``q * H // 4``. So bands never overlap and leave no gap; where 4 does not divide H, the
    lower bands have the extra rows (H = 10: forehead 0-1, eyes 2-4, mouth 5-9).

    Raises:
        ConfigError: no such region.
    """
    if name not in REGIONS:
        raise ConfigError(f"Unknown region {name!r}.", f"Expected one of {', '.join(REGIONS)}.")
    height, _ = shape
    first, last = REGIONS[name]
    mask = np.zeros(shape, dtype=bool)
    mask[first * height // 4 : last * height // 4] = True
    return mask


def combine(masks: Iterable[np.ndarray]) -> np.ndarray:
    """The union of masks of one shape: bool (H, W).

    Raises:
        ConfigError: no mask given, or shapes differ.
    """
    masks = list(masks)
    if not masks or len({mask.shape for mask in masks}) != 1:
        raise ConfigError(
            f"Expected masks of one shape. Received {[mask.shape for mask in masks]}.", "Give at least one mask."
        )
    return np.logical_or.reduce(masks)


def regions_mask(names: Sequence[str], shape: tuple[int, int]) -> np.ndarray:
    """The union of several regions, bool (H, W); of none, the empty mask."""
    return combine([np.zeros(shape, dtype=bool), *(region_mask(name, shape) for name in names)])


def rectangle_mask(box: tuple[float, float, float, float], shape: tuple[int, int]) -> np.ndarray:
    """The user's own rectangle.

    Args:
        box: left, top, right, bottom as fractions 0..1 of width and height; rounded to whole pixels.
        shape: (H, W).

    Returns:
        bool (H, W).

    Raises:
        ConfigError: the box leaves the picture, or not one whole pixel is inside it.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ConfigError(f"Rectangle {box} must have 0 <= left < right <= 1 and 0 <= top < bottom <= 1.", NOT_EMPTY)
    height, width = shape
    mask = np.zeros(shape, dtype=bool)
    mask[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
    if not mask.any():
        raise ConfigError(f"Rectangle {box} holds no whole pixel of a picture {width} x {height}.", NOT_EMPTY)
    return mask


def random_mask(area: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    """A control: one connected rectangle of exactly ``area`` pixels, of random form, at a random place.

    A mask that hides more changes more, so a region's effect only means something beside masks of the same area.
    Heights are drawn evenly among those that fit. Where ``area`` is no multiple of the height, the last column is
    left short, so that the count is exact.

    Args:
        area: number of hidden pixels, 0..H*W.
        shape: (H, W).
        seed: same seed, same mask.

    Returns:
        bool (H, W) with ``area`` True.

    Raises:
        ConfigError: the area does not fit.
    """
    height, width = shape
    if not 0 <= area <= height * width:
        raise ConfigError(f"A mask of {area} pixels does not fit a picture of {width} x {height}.")
    mask = np.zeros(shape, dtype=bool)
    if area == 0:
        return mask
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(-(-area // width), min(height, area) + 1))
    columns = -(-area // rows)
    top = int(rng.integers(0, height - rows + 1))
    left = int(rng.integers(0, width - columns + 1))
    block = np.ones((rows, columns), dtype=bool)
    missing = rows * columns - area
    block[rows - missing :, 0 if rng.random() < 0.5 else -1] = False
    mask[top : top + rows, left : left + columns] = block
    return mask


def random_masks(area: int, shape: tuple[int, int], seeds: Iterable[int]) -> np.ndarray:
    """:func:`random_mask` for each seed: bool (S, H, W)."""
    return np.array([random_mask(area, shape, seed) for seed in seeds], dtype=bool).reshape(-1, *shape)


def moved_mask(mask: np.ndarray, seed: int) -> np.ndarray:
    """A control of the form of ``mask``: its pieces turned by random quarter turns, mirrored or not, and elsewhere.

    One rectangle would be another kind of mask than two cheeks, or than sunglasses from side to side. Pieces (pixels
    connected by 8 neighbours) lie wholly inside the picture and not over one another. Their turns and places are drawn
    evenly, and drawn again where they hide much of the same: intersection over union with ``mask`` above
    :data:`SAME_PLACE`. Where :data:`MOVES` tries all do, the one that hides the least of ``mask`` is taken.

    A mask that is not :func:`movable` has a :func:`random_mask` of its area: moved, it would hardly ever lie elsewhere.

    Args:
        mask: bool (H, W).
        seed: same seed, same control.

    Returns:
        bool (H, W) of exactly as many pixels as ``mask``.
    """
    return moved_masks(mask, [seed])[0]


def moved_masks(mask: np.ndarray, seeds: Iterable[int]) -> np.ndarray:
    """:func:`moved_mask` for each seed: bool (S, H, W)."""
    mask = np.asarray(mask, dtype=bool)
    pieces = _pieces(mask)
    if not _movable(mask, pieces):
        return random_masks(int(mask.sum()), mask.shape, seeds)
    return np.array([_moved(mask, pieces, seed) for seed in seeds], dtype=bool).reshape(-1, *mask.shape)


def movable(mask: np.ndarray) -> bool:
    """Whether the controls of ``mask``, bool (H, W), are its own pieces elsewhere, see :func:`moved_mask`.

    One piece has to have at least :data:`DIFFERENT` turns and places elsewhere, and one in :data:`MOVES` of all; they
    are counted. Of several pieces so many of :data:`MOVES` tries have to lie elsewhere; their seed is fixed, so that
    the mask alone decides.
    """
    mask = np.asarray(mask, dtype=bool)
    return _movable(mask, _pieces(mask))


def _movable(mask: np.ndarray, pieces: Sequence[np.ndarray]) -> bool:
    return not pieces or (_one_movable(mask, pieces[0]) if len(pieces) == 1 else _all_movable(mask, pieces))


def _one_movable(mask: np.ndarray, piece: np.ndarray) -> bool:
    picture, area, share = mask.astype(np.uint8), int(mask.sum()), 0.0
    different: dict[tuple, int] = {}
    for turn, mirrored in np.ndindex(4, 2):
        turned = _turned(piece, mask.shape, turn, mirrored)
        shared = np.rint(cv2.matchTemplate(picture, turned.astype(np.uint8), cv2.TM_CCORR))
        elsewhere = _elsewhere(shared, area)
        share += elsewhere.mean() / 8
        different[turned.shape, turned.tobytes()] = int(elsewhere.sum())
        if share >= 1 / MOVES and sum(different.values()) >= DIFFERENT:
            return True
    return False


def _all_movable(mask: np.ndarray, pieces: Sequence[np.ndarray]) -> bool:
    rng, area, different = np.random.default_rng(0), int(mask.sum()), set()
    for _ in range(MOVES):
        moved = _placed(pieces, mask.shape, rng)
        if moved is not None and _elsewhere(np.count_nonzero(mask & moved), area):
            different.add(moved.tobytes())
        if len(different) >= DIFFERENT:
            return True
    return False


def _moved(mask: np.ndarray, pieces: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """The control of a mask that is movable."""
    rng, area = np.random.default_rng(seed), int(mask.sum())
    nearest, least = None, area + 1
    for _ in range(MOVES):
        moved = _placed(pieces, mask.shape, rng)
        if moved is None:
            continue
        shared = int(np.count_nonzero(mask & moved))
        if _elsewhere(shared, area):
            return moved
        if shared < least:
            nearest, least = moved, shared
    return random_mask(area, mask.shape, seed) if nearest is None else nearest


def _elsewhere(shared: np.ndarray | int, area: int) -> np.ndarray | bool:
    """Whether a mask and another one, of ``area`` pixels each, are no more alike than :data:`SAME_PLACE`."""
    return shared <= SAME_PLACE * (2 * area - shared)


def _pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The connected pieces of ``mask``, each cut out: bool (h, w), the largest first."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest_first = sorted(range(1, count), key=lambda label: -boxes[label, cv2.CC_STAT_AREA])
    cut = []
    for label in largest_first:
        left, top, width, height, _ = boxes[label].tolist()
        cut.append(labels[top : top + height, left : left + width] == label)
    return cut


def _placed(pieces: Sequence[np.ndarray], shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray | None:
    """All pieces, each turned and at a random place: bool (H, W); None where one finds no room beside the others."""
    height, width = shape
    placed = np.zeros(shape, dtype=bool)
    for piece in pieces:
        turn, mirrored = rng.integers(0, (4, 2)).tolist()
        turned = _turned(piece, shape, turn, mirrored)
        rows, columns = turned.shape
        for down, right in rng.random((PLACES, 2)).tolist():
            top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
            room = placed[top : top + rows, left : left + columns]
            if not (room & turned).any():
                room |= turned
                break
        else:
            return None
    return placed


def _turned(piece: np.ndarray, shape: tuple[int, int], turn: int, mirrored: int) -> np.ndarray:
    """A piece turned by quarter turns; upright where it is too long to lie on its side in an oblong picture."""
    too_long = piece.shape[0] > shape[1] or piece.shape[1] > shape[0]
    return np.rot90(piece[:, ::-1] if mirrored else piece, turn - turn % 2 if too_long else turn)


def _zero(images: np.ndarray, masks: np.ndarray, seed: int) -> np.ndarray:
    return np.zeros(1, dtype=np.uint8)


def _mean(images: np.ndarray, masks: np.ndarray, seed: int) -> np.ndarray:
    """Mean colour of what stays visible, so that the hidden part cannot leak into it; black where nothing stays."""
    visible = ~masks
    total = np.sum(images * visible, axis=(1, 2), keepdims=True, dtype=np.float64)
    count = visible.sum(axis=(1, 2), keepdims=True)
    return np.rint(total / np.maximum(count, 1)).astype(np.uint8)


def _blur(images: np.ndarray, masks: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian blur of the whole picture; sigma is a tenth of the shorter side."""
    sigma = max(min(images.shape[1:3]) / 10, 0.5)
    blurred = [cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for image in images]
    return np.array(blurred, dtype=np.uint8).reshape(images.shape)


def _noise(images: np.ndarray, masks: np.ndarray, seed: int) -> np.ndarray:
    """Uniform grey noise, the same for every picture, so that an answer does not depend on its neighbours."""
    return np.random.default_rng(seed).integers(0, 256, (1, *images.shape[1:3], 1), dtype=np.uint8)


FILLS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "zero": _zero,
    "mean": _mean,
    "blur": _blur,
    "noise": _noise,
}


def check_fill(fill: str) -> None:
    """Raise ConfigError where ``fill`` is no key of :data:`FILLS`."""
    if fill not in FILLS:
        raise ConfigError(f"Unknown fill {fill!r}.", f"Expected one of {', '.join(FILLS)}.")


def apply(
    images: np.ndarray, masks: np.ndarray, fill: str = "zero", *, seed: int = 0, whole: bool = False
) -> np.ndarray:
    """Hide the masked pixels. The inputs stay as they are.

    Args:
        images: uint8 (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3).
        masks: bool (H, W), one for all; or (N, H, W), one per picture. One picture with M masks gives M pictures.
        fill: ``zero`` (black, the paper's), ``mean`` (mean colour of the visible rest), ``blur`` (Gaussian, sigma a
            tenth of the shorter side: coarse shades stay visible) or ``noise`` (uniform grey, seeded).
        seed: for ``noise``.
        whole: ``mean`` is that of the whole picture. Then a hidden pixel shows the same whatever else is hidden, as
            games between parts of a picture need it; but a part leaks into what hides it.

    Returns:
        uint8: shape of ``images``, or (M, ...) for one picture with M masks.

    Raises:
        ConfigError: unknown fill, or shapes that do not fit.
    """
    check_fill(fill)
    images, masks = np.asarray(images), np.asarray(masks, dtype=bool)
    size = masks.shape[-2:]
    colour = images.ndim == 4 or (images.ndim == 3 and images.shape[-1] == 3 and images.shape[:2] == size)
    single = images.ndim - colour == 2
    batch = images.reshape((1, *images.shape) if single else images.shape)
    batch = batch if colour else batch[..., None]
    stack = masks.reshape(-1, *size, 1)
    fits = batch.ndim == 4 and masks.ndim in (2, 3) and batch.shape[1:3] == size
    if not fits or (len(stack) != len(batch) and 1 not in (len(stack), len(batch))):
        raise ConfigError(f"Masks {masks.shape} do not fit pictures {images.shape}.", "Make masks of the same size.")
    n = max(len(batch), len(stack)) if len(batch) and len(stack) else 0
    everything = batch
    batch = np.broadcast_to(batch, (n, *batch.shape[1:]))
    stack = np.broadcast_to(stack, (n, *stack.shape[1:]))
    if n == 0:
        return np.zeros((0, *images.shape[1 - single :]), dtype=np.uint8)
    seen_whole = (everything, np.zeros((1, *size, 1), dtype=bool))
    filling = FILLS[fill](*(seen_whole if whole else (batch, stack)), seed)
    hidden = np.where(stack, filling, batch).astype(np.uint8)
    hidden = hidden if colour else hidden[..., 0]
    return hidden[0] if single and masks.ndim == 2 else hidden
