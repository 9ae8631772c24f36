"""Histograms of oriented gradients of many pictures at once; scikit-image's are the same, one picture after another."""

from functools import lru_cache

import numpy as np

BINS = 9  # orientations over 180 degrees, as Dalal & Triggs 2005, section 6.3
CLIP = 0.2  # L2-Hys, section 6.4
EPSILON = 1e-5
CHUNK = 256  # pictures at once: what lies between takes about 40 bytes per pixel
STEPS = 511  # differences of two pixels: -255..255


def blocks(images: np.ndarray, cell: int) -> np.ndarray:
    """L2-Hys normalised blocks of 2 x 2 cells with a stride of one cell (Dalal & Triggs 2005).

    Args:
        images: uint8 (N, H, W); H and W are multiples of ``cell``.
        cell: side of a cell in pixels.

    Returns:
        float32 (N, (H / cell - 1) * (W / cell - 1) * 4 * ``BINS``).
    """
    rows, columns = (side // cell for side in images.shape[1:])
    out = np.empty((len(images), (rows - 1) * (columns - 1) * 4 * BINS), np.float32)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = _normalised(_histograms(images[part], cell)).reshape(-1, out.shape[1])
    return out


def _histograms(images: np.ndarray, cell: int) -> np.ndarray:
    """Mean length of the gradients per cell and orientation: float64 (N, H / cell, W / cell, BINS)."""
    n, height, width = images.shape
    rows, columns = height // cell, width // cell
    down, right = np.zeros((2, n, height, width), np.int32)
    signed = images.astype(np.int32)
    down[:, 1:-1] = signed[:, 2:] - signed[:, :-2]
    right[:, :, 1:-1] = signed[:, :, 2:] - signed[:, :, :-2]
    step = (down + 255) * STEPS + right + 255
    lengths, bins = _polar()
    places = np.arange(height)[:, None] // cell * columns + np.arange(width) // cell
    votes = (np.arange(n)[:, None, None] * (rows * columns) + places) * BINS + bins[step]
    sums = np.bincount(votes.ravel(), lengths[step].ravel(), minlength=n * rows * columns * BINS)
    return sums.reshape(n, rows, columns, BINS) / cell**2


def _normalised(cells: np.ndarray) -> np.ndarray:
    """float64 (N, rows - 1, columns - 1, 2, 2, BINS): every block of 2 x 2 cells."""
    found = np.lib.stride_tricks.sliding_window_view(cells, (2, 2), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    found = np.minimum(found / _norm(found), CLIP)
    return found / _norm(found)


def _norm(found: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(found).sum(axis=(3, 4, 5), keepdims=True) + EPSILON**2)


@lru_cache(maxsize=1)
def _polar() -> tuple[np.ndarray, np.ndarray]:
    """Length (float64) and orientation bin (int64) of every gradient between 8-bit pixels, at (down, right) + 255."""
    down, right = np.mgrid[-255:256, -255:256].astype(np.float64)
    degrees = np.rad2deg(np.arctan2(down, right)) % 180
    return np.hypot(down, right).ravel(), (degrees // (180 / BINS)).astype(np.int64).ravel()
