"""Parts of a face as polygons placed by five landmarks, and shapes that hide them: sunglasses, a face mask.

The polygons are drawn once, in FER2013's frame (``faces.FRAME``: shares of the side, x to the right, y downwards). A
face's own polygons are these under the affine map that brings the frame's five landmarks to its own (least squares),
each then moved by what the map misses at the landmarks that the part hangs on: the nose of a turned head follows its
tip. The parts are those of the action units (Ekman, Friesen & Hager 2002), see :mod:`fer_core.explain.action_units`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from fer_core.errors import ConfigError
from fer_core.faces import FRAME, LANDMARKS

Polygon = tuple[tuple[float, float], ...]

CANONICAL = np.array([FRAME[name] for name in LANDMARKS])  # (5, 2)
EYES, NOSE, MOUTH = ("left_eye", "right_eye"), ("nose",), ("mouth_left", "mouth_right")


@dataclass(frozen=True)
class Part:
    """A part of the face, or a shape that covers some.

    Attributes:
        title: for people.
        polygons: in the frame's coordinates.
        anchors: the landmarks it follows, one tuple per polygon; () for none but the affine map.
        plural: whether the title is a plural word.
    """

    title: str
    polygons: tuple[Polygon, ...]
    anchors: tuple[tuple[str, ...], ...]
    plural: bool = False


def _mirrored(polygon: Polygon) -> Polygon:
    return tuple((round(1 - x, 4), y) for x, y in reversed(polygon))


def _pair(title: str, polygon: Polygon, left: tuple[str, ...] = (), right: tuple[str, ...] = ()) -> Part:
    """A part on the left of the picture and its mirror image."""
    return Part(title, (polygon, _mirrored(polygon)), (left, right), plural=True)


# From the top down. They do not overlap in the frame; where they do on a real face, the later one has the pixel.
REGIONS: dict[str, Part] = {
    "forehead": Part("Forehead", (((0.17, 0.02), (0.83, 0.02), (0.88, 0.2), (0.12, 0.2)),), (EYES,)),
    "brows": Part("Brows", (((0.12, 0.2), (0.88, 0.2), (0.9, 0.31), (0.1, 0.31)),), (EYES,), plural=True),
    "eyes": _pair("Eyes", ((0.12, 0.31), (0.46, 0.31), (0.44, 0.46), (0.16, 0.46)), ("left_eye",), ("right_eye",)),
    "cheeks": _pair("Cheeks", ((0.12, 0.46), (0.4, 0.46), (0.37, 0.68), (0.26, 0.76), (0.14, 0.7))),
    "nose": Part(
        "Nose", (((0.46, 0.31), (0.54, 0.31), (0.63, 0.6), (0.61, 0.67), (0.39, 0.67), (0.37, 0.6)),), (NOSE,)
    ),
    "upper_lip": Part("Upper lip", (((0.37, 0.67), (0.63, 0.67), (0.67, 0.745), (0.33, 0.745)),), (MOUTH,)),
    "mouth": Part(
        "Mouth",
        (((0.33, 0.745), (0.67, 0.745), (0.73, 0.785), (0.66, 0.88), (0.34, 0.88), (0.27, 0.785)),),
        (MOUTH,),
    ),
    "chin": Part("Chin", (((0.3, 0.88), (0.7, 0.88), (0.68, 0.99), (0.32, 0.99)),), (MOUTH,)),
}

ELSEWHERE = "elsewhere"
PLACES: tuple[str, ...] = (*REGIONS, ELSEWHERE)

# What hides a part, named after what people wear or do. The first six cover regions whole.
OCCLUDERS: dict[str, Part] = {
    "forehead_brows": Part(
        "Forehead and brows", (((0.08, 0.0), (0.92, 0.0), (0.92, 0.31), (0.08, 0.31)),), (EYES,), plural=True
    ),
    "eyes": Part("Eyes", (((0.08, 0.28), (0.92, 0.28), (0.92, 0.47), (0.08, 0.47)),), (EYES,), plural=True),
    "nose": REGIONS["nose"],
    "cheeks": REGIONS["cheeks"],
    "mouth": Part("Mouth", (((0.25, 0.67), (0.75, 0.67), (0.77, 0.89), (0.23, 0.89)),), (MOUTH,)),
    "chin": Part("Chin", (((0.2, 0.88), (0.8, 0.88), (0.76, 1.02), (0.24, 1.02)),), (MOUTH,)),
    "sunglasses": Part(
        "Sunglasses",
        (
            ((0.1, 0.3), (0.48, 0.3), (0.46, 0.43), (0.39, 0.49), (0.22, 0.49), (0.13, 0.43)),
            ((0.52, 0.3), (0.9, 0.3), (0.87, 0.43), (0.78, 0.49), (0.61, 0.49), (0.54, 0.43)),
            ((0.0, 0.31), (1.0, 0.31), (1.0, 0.35), (0.0, 0.35)),
        ),
        (("left_eye",), ("right_eye",), EYES),
        plural=True,
    ),
    "face_mask": Part(
        "Face mask",
        (
            (
                *((0.04, 0.5), (0.3, 0.51), (0.5, 0.47), (0.7, 0.51), (0.96, 0.5)),
                *((0.9, 0.82), (0.72, 1.0), (0.5, 1.04), (0.28, 1.0), (0.1, 0.82)),
            ),
        ),
        ((*NOSE, *MOUTH),),
    ),
}


def region_masks(points: np.ndarray, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """The regions of a face: name -> bool (H, W); no pixel is in two of them.

    Args:
        points: (5, 2), the landmarks' x and y as shares of width and height, in the order of ``faces.LANDMARKS``;
            ``CANONICAL`` for a face framed as FER2013's are.
        shape: (H, W) of the picture.
    """
    owner = region_index(points, shape)
    return {name: owner == place for place, name in enumerate(REGIONS)}


def region_index(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which region each pixel is in: int8 (H, W), the position in ``REGIONS``, -1 outside of all."""
    owner = np.full(shape, -1, np.int8)
    for place, part in enumerate(REGIONS.values()):
        owner[_drawn(part, points, shape)] = place
    return owner


def occluder_mask(name: str, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """What ``name`` of ``OCCLUDERS`` hides of a face: bool (H, W).

    Raises:
        ConfigError: no such shape.
    """
    if name not in OCCLUDERS:
        raise ConfigError(f"Unknown shape {name!r}.", f"Expected one of {', '.join(OCCLUDERS)}.")
    return _drawn(OCCLUDERS[name], points, shape)


def outlines(points: np.ndarray, parts: Mapping[str, Part] = REGIONS) -> dict[str, list[np.ndarray]]:
    """The polygons of each part on a face: float64 (M, 2) each, x and y as shares of width and height."""
    points = _checked(points)
    affine = np.linalg.lstsq(np.column_stack([CANONICAL, np.ones(len(CANONICAL))]), points, rcond=None)[0]  # (3, 2)
    missed = dict(zip(LANDMARKS, points - _mapped(CANONICAL, affine), strict=True))
    return {
        name: [
            _mapped(np.array(polygon), affine)
            + (np.mean([missed[anchor] for anchor in anchors], axis=0) if anchors else 0)
            for polygon, anchors in zip(part.polygons, part.anchors, strict=True)
        ]
        for name, part in parts.items()
    }


def upright(maps: np.ndarray, points: np.ndarray, side: int) -> np.ndarray:
    """Bring maps of faces into FER2013's frame, so that means over faces mean something.

    Args:
        maps: float32 (N, H, W).
        points: (N, 5, 2), landmarks as shares.
        side: of the result in pixels.

    Returns:
        float32 (N, side, side); what lies outside of a picture is 0.
    """
    height, width = maps.shape[1:]
    centres = CANONICAL * side - 0.5
    aligned = np.zeros((len(maps), side, side), np.float32)
    for place, (one, found) in enumerate(zip(maps, points, strict=True)):
        own = _checked(found) * (width, height) - 0.5
        affine = np.linalg.lstsq(np.column_stack([own, np.ones(len(own))]), centres, rcond=None)[0].T  # (2, 3)
        aligned[place] = cv2.warpAffine(np.asarray(one, np.float32), affine, (side, side), flags=cv2.INTER_LINEAR)
    return aligned


def title(place: str) -> str:
    """The name of one of ``PLACES`` for people."""
    return "Elsewhere" if place == ELSEWHERE else REGIONS[place].title


def agreeing(place: str, singular: str, plural: str) -> str:
    """The word that agrees with the :func:`title` of one of ``PLACES``: ``agreeing("brows", "is", "are")``."""
    return plural if place in REGIONS and REGIONS[place].plural else singular


def _drawn(part: Part, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A pixel belongs to a polygon that holds its centre."""
    height, width = shape
    mask = np.zeros(shape, bool)
    rows, columns = np.indices(shape)
    centres = np.column_stack([(columns.ravel() + 0.5) / width, (rows.ravel() + 0.5) / height])
    for polygon in outlines(points, {"": part})[""]:
        mask |= _inside(centres, polygon).reshape(shape)
    return mask


def _inside(centres: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Even-odd rule: bool (M,). Points on a shared edge are in exactly one of two neighbours."""
    x, y = centres.T
    inside = np.zeros(len(centres), bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y1 > y) != (y2 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside


def _mapped(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.column_stack([points, np.ones(len(points))]) @ affine


def _checked(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.shape != CANONICAL.shape:
        raise ConfigError(f"Expected five landmarks (5, 2) as shares of the picture. Received {points.shape}.")
    if not np.isfinite(points).all():
        raise ConfigError(f"Expected five landmarks as numbers. Received {points.tolist()}.")
    return points
