"""What the checks of a saliency map share: how alike two maps are, what chance gives, and the form of a verdict."""

from typing import NamedTuple

import cv2
import numpy as np

RANDOM_MAPS = 20
MIN_BEATEN = 0.95  # share of the random maps that a faithful map beats; a random one does in 2 of 21 cases
MAX_SIMILARITY = 0.5  # rank correlation from which on maps of different networks count as alike
EVEN = "The map is the same everywhere, so it says nothing about places."


class Verdict(NamedTuple):
    """Outcome of one check: ``PASSED``, ``UNDECIDED``, ``FAILED`` or ``NOT_APPLICABLE``; why; its number in short."""

    name: str
    outcome: str
    sentence: str
    value: str


PASSED, UNDECIDED, FAILED, NOT_APPLICABLE = "passed", "undecided", "failed", "not applicable"


def random_maps(values: np.ndarray, grid: tuple[int, int], n: int, seed: int = 0) -> np.ndarray:
    """Maps that are as smooth as one, with their strong places anywhere: float32 (n, H, W).

    They have the map's power spectrum and random phases (Theiler et al. 1992, Physica D 58, section 2.4.1), so a
    coarse map is compared with coarse ones and a speckled one with speckled ones: many small holes cost a network more
    than one as large. The map is mirrored at its edges first, because a jump there would make its rivals rough. A map
    that is the same everywhere gets noise of ``grid`` cells.
    """
    rng, (height, width) = np.random.default_rng(seed), values.shape
    if np.ptp(values) == 0:
        cells = rng.random((n, *grid), dtype=np.float32)
        return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in cells])
    mirrored = np.pad(values - values.mean(), ((0, height), (0, width)), mode="symmetric")
    strength = np.abs(np.fft.rfft2(mirrored))
    drawn = np.empty((n, height, width), np.float32)
    for place in range(n):
        noise = np.fft.rfft2(rng.standard_normal(mirrored.shape))
        phases = noise / np.maximum(np.abs(noise), np.finfo(float).tiny)
        drawn[place] = np.fft.irfft2(strength * phases, mirrored.shape)[:height, :width]
    return drawn


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two maps, equal values sharing their mean rank: -1..1; NaN where one is constant."""
    return pearson(_mean_ranks(a), _mean_ranks(b))


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Linear correlation of two maps: -1..1; NaN where one is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
