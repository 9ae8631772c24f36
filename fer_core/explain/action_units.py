"""Where people look for an expression, and how far a saliency map agrees with it.

The Facial Action Coding System (Ekman, Friesen & Hager 2002, the FACS manual) takes expressions apart into action
units, movements of single muscles. EMFACS (Friesen & Ekman 1983) and the manual's Investigator's Guide name the units
that make up an expression: :data:`PROTOTYPES`, with their :data:`SOURCES`. Each unit shows in a part of the face:
:data:`ACTION_UNITS`. So every expression has parts that carry it, and "does the model look where the expression is?"
is a number instead of an impression.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_core.errors import ConfigError
from fer_core.regions import PLACES, REGIONS, region_index

MANUAL = "Ekman, Friesen & Hager 2002, FACS manual"
GUIDE = "Ekman, Friesen & Hager 2002, FACS Investigator's Guide, Table 10-1"
EMFACS = "Friesen & Ekman 1983, EMFACS-7"
SCORES: dict[str, str] = {
    "relevance_mass": "Share of the map that lies in the expression's parts of the face",
    "pointing_game": "Whether the map's strongest pixel lies in them (Zhang et al. 2018)",
    "iou": "Intersection over union of the parts and as many of the strongest pixels",
    "cosine": "Cosine between the map and the prototype drawn on the face, each pixel of a part as strong as the "
    "part's share of the units, so that large parts count for more",
}


@dataclass(frozen=True)
class ActionUnit:
    """One movement.

    Attributes:
        name: as the manual has it.
        regions: where it shows, keys of ``regions.REGIONS``.
    """

    name: str
    regions: tuple[str, ...]


# Where a unit's muscle moves the skin, by the manual's descriptions of appearance changes.
ACTION_UNITS: dict[int, ActionUnit] = {
    1: ActionUnit("inner brow raiser", ("forehead", "brows")),
    2: ActionUnit("outer brow raiser", ("forehead", "brows")),
    4: ActionUnit("brow lowerer", ("forehead", "brows")),
    5: ActionUnit("upper lid raiser", ("eyes",)),
    6: ActionUnit("cheek raiser and lid compressor", ("cheeks", "eyes")),
    7: ActionUnit("lid tightener", ("eyes",)),
    9: ActionUnit("nose wrinkler", ("nose",)),
    10: ActionUnit("upper lip raiser", ("upper_lip",)),
    12: ActionUnit("lip corner puller", ("mouth",)),
    15: ActionUnit("lip corner depressor", ("mouth",)),
    16: ActionUnit("lower lip depressor", ("mouth",)),
    17: ActionUnit("chin raiser", ("chin",)),
    20: ActionUnit("lip stretcher", ("mouth",)),
    23: ActionUnit("lip tightener", ("mouth",)),
    24: ActionUnit("lip pressor", ("mouth",)),
    25: ActionUnit("lips part", ("mouth",)),
    26: ActionUnit("jaw drop", ("chin",)),
    27: ActionUnit("mouth stretch", ("chin",)),
}

# A tuple within holds alternatives, which share one unit's weight. Neutral is no movement, so it has no prototype.
# Left out are units that only some variants have: lips that part (25) in happy and fear, a raised chin (17) in sad, and
# what else a mouth may open by (25, 27) where the jaw drops (26).
PROTOTYPES: dict[str, tuple[int | tuple[int, ...], ...]] = {
    "happy": (6, 12),
    "sad": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "fear": (1, 2, 4, 5, 20, 26),
    "angry": (4, 5, 7, (23, 24)),
    "disgust": ((9, 10), 15, (16, 17)),
}
SOURCES: dict[str, str] = {
    "happy": f"{EMFACS}; {GUIDE}: 6+12",
    "sad": f"{EMFACS}; {GUIDE}: 1+4+15, with 17 in some variants",
    "surprise": f"{EMFACS}; {GUIDE}: 1+2+5+26 or 27",
    "fear": f"{EMFACS}; {GUIDE}: 1+2+4+5+20 with 25, 26 or 27",
    "angry": f"{EMFACS}: 4+5+7+23; {GUIDE}: 4+5+7 with 23 or 24",
    "disgust": f"{EMFACS}: 9+15+16; {GUIDE}: 9 or 10, alone, with 16 (and 15) or with 17",
}


def prototype(expression: str) -> dict[str, float] | None:
    """Share of the expression's action units in each region, adding up to 1; None for one without units (neutral).

    Every unit has the same weight, shared evenly by the regions that it shows in.

    Source: :data:`SOURCES` for the units, :data:`MANUAL` for where they show.
    """
    units = PROTOTYPES.get(expression)
    if units is None:
        return None
    weights = dict.fromkeys(REGIONS, 0.0)
    for slot in units:
        alternatives = slot if isinstance(slot, tuple) else (slot,)
        for unit in alternatives:
            shows = ACTION_UNITS[unit].regions
            for region in shows:
                weights[region] += 1 / (len(units) * len(alternatives) * len(shows))
    return weights


def words(expression: str) -> str:
    """``"6 + 12"``, ``"4 + 5 + 7 + 23/24"``; empty for an expression without units."""
    slots = PROTOTYPES.get(expression, ())
    return " + ".join("/".join(map(str, slot)) if isinstance(slot, tuple) else str(slot) for slot in slots)


def region_indices(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """:func:`fer_core.regions.region_index` of N faces: int8 (N, H, W)."""
    return np.stack([region_index(one, shape) for one in points]) if len(points) else np.zeros((0, *shape), np.int8)


def shares(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Share of each map that lies in each region and outside of all: float32 (N, 9) in the order of ``regions.PLACES``.

    Args:
        values: float (N, H, W), not negative.
        points: (N, 5, 2), landmarks as shares of the picture.
    """
    return shares_in(values, region_indices(points, values.shape[1:]))


def shares_in(values: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """:func:`shares` from :func:`region_indices`; rows add up to 1, those of empty maps are NaN."""
    _check(values, owners)
    flat, places = values.reshape(len(values), -1), owners.reshape(len(owners), -1) % len(PLACES)  # -1 -> elsewhere
    sums = np.stack([np.bincount(place, one, len(PLACES)) for one, place in zip(flat, places, strict=True)])
    totals = sums.sum(axis=1, keepdims=True)
    return np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0).astype(np.float32)


def areas_in(owners: np.ndarray) -> np.ndarray:
    """Share of the picture that each region covers, which is what a map without preference has there: (N, 9)."""
    return shares_in(np.ones(owners.shape, np.float32), owners)


def scores_in(values: np.ndarray, owners: np.ndarray, expressions: Sequence[str]) -> np.ndarray:
    """How far maps agree with the prototypes of their expressions: float32 (N, 4) in the order of :data:`SCORES`.

    The cosine is that of pixels: in the drawn prototype each pixel of a region has the region's weight, whatever its
    size. Only a map of just these strengths scores 1; one whose *shares* are the prototype's weights, evenly inside the
    regions, is weaker per pixel where a region is large and scores 0.9 to 1.

    Args:
        values: float (N, H, W), not negative.
        owners: int8 (N, H, W) from :func:`region_indices`.
        expressions: N names; rows of those without a prototype, and of empty maps, are NaN.
    """
    _check(values, owners)
    found = np.full((len(values), len(SCORES)), np.nan, np.float32)
    for row, (one, owner, expression) in enumerate(zip(values, owners, expressions, strict=True)):
        weights = prototype(expression)
        if weights is not None and one.any():
            found[row] = _scores(one.astype(np.float64), np.array([*weights.values(), 0.0])[owner])
    return found


def _scores(values: np.ndarray, drawn: np.ndarray) -> tuple[float, ...]:
    inside = drawn > 0
    strongest = values == values.max()
    size = int(inside.sum())
    if not size:  # the face's parts lie outside of the picture
        return (np.nan,) * len(SCORES)
    least = np.partition(values, -size, axis=None)[-size]  # of the strongest pixels; those as strong share what is left
    above, level = values > least, values == least
    both = inside[above].sum() + inside[level].mean() * (size - above.sum())
    return (
        values[inside].sum() / values.sum(),
        inside[strongest].mean(),
        both / (2 * size - both),
        (values * drawn).sum() / np.sqrt((values**2).sum() * (drawn**2).sum()),
    )


def _check(values: np.ndarray, owners: np.ndarray) -> None:
    if values.shape != owners.shape or values.ndim != 3:
        raise ConfigError(f"Expected maps and regions of one shape (N, H, W). Received {values.shape}, {owners.shape}.")
    if len(values) and values.min() < 0:
        raise ConfigError("Expected maps without negative values.", "Use SaliencyMap.values.")
