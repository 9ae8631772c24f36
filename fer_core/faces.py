"""Faces in a picture: found, numbered from left to right, and cropped the way FER2013's pictures are framed.

A network trained on FER2013 knows faces that stand in their 48 x 48 frame in one certain way. ``FRAME`` holds where
the five landmarks lie in that frame (medians, measured by ``benchmarks/faces.py``), and :func:`crop` brings a face of a
photo there by a similarity transform: the eyes level, size and place by least squares over the five points.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fer_core import detector
from fer_core.errors import ImageError
from fer_core.images import resize

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")

# Landmarks in FER2013's frame as shares of its side, x to the right and y downwards, made symmetric.
FRAME: dict[str, tuple[float, float]] = {
    "left_eye": (0.311, 0.383),
    "right_eye": (0.689, 0.383),
    "nose": (0.500, 0.603),
    "mouth_left": (0.342, 0.785),
    "mouth_right": (0.658, 0.785),
}

SEARCH_SIDE = 1024  # longer pictures are searched in a smaller copy: bounds time, and ends at faces of 2 % of the width
SMALL_SIDE = 64  # pictures of no more pixels a side are taken for face crops
FILLING_SHARE = 0.5  # a face whose frame covers this share of the picture: the picture is a face crop
CROP_SIDE = 96
WHOLE_SIDE = 512  # a picture taken whole is shrunk to this: no network looks closer

SMALL, FILLED, NOTHING = "small picture", "face fills the picture", "no face found"
NOTES = {
    "": "",
    SMALL: f"Taken whole as a face crop: it is at most {SMALL_SIDE} pixels wide or high.",
    FILLED: "Taken whole as a face crop: one face fills it.",
    NOTHING: "No face was found. It was taken whole, as if it were a face crop; without a face, this says nothing.",
}


@dataclass(frozen=True)
class Face:
    """A face in a picture; all positions in the picture's pixels, x to the right and y downwards.

    Attributes:
        box: left, top, width, height: whole pixels inside the picture.
        score: how certain the detector is, 0..1.
        landmarks: x, y by the names of ``LANDMARKS``; left and right as the viewer sees them.
    """

    box: tuple[int, int, int, int]
    score: float
    landmarks: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class FaceCrop:
    """What is handed to a classifier.

    Attributes:
        number: 1, 2, ... from left to right within the picture.
        image: uint8 (S, S, 3), an aligned crop, or (H, W, 3), the picture itself.
        face: where it was found; None if none was.
        whole: the picture was taken whole instead of being cropped.
        reason: why it was taken whole, a key of ``NOTES``; "" for a crop.
    """

    number: int
    image: np.ndarray
    face: Face | None
    whole: bool = False
    reason: str = ""

    @property
    def note(self) -> str:
        """One sentence for people on how the picture was taken; empty for a crop."""
        return NOTES[self.reason]


def detect(image: np.ndarray) -> list[Face]:
    """Faces in ``image`` uint8 (H, W, 3) RGB, without overlaps, sorted from left to right.

    The same picture gives the same faces. Faces smaller than 20 pixels, or 2 % of the longer side, are not looked for.

    Raises:
        ModelError: the detector's packages are missing.
    """
    return next(detect_each([image]))


def detect_each(images: Sequence[np.ndarray]) -> Iterator[list[Face]]:
    """:func:`detect` for many pictures of one size, several at once, which takes less time for small pictures."""
    searched = [_bounded(_rgb(image), SEARCH_SIDE) for image in images]
    for image, small, found in zip(images, searched, detector.detect_each(searched), strict=True):
        scale = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
        rows = detector.suppress(detector.suppress(found, 0.3), 0.6, by_smaller=True)
        seen = [face for row in rows if (face := _to_face(row, scale, image.shape[:2]))]
        yield sorted(seen, key=lambda face: (face.box[0] + face.box[2] / 2, face.box[1]))


def crop(
    image: np.ndarray, face: Face, *, size: int = CROP_SIDE, margin: float = 0.0, level_eyes: bool = True
) -> np.ndarray:
    """Cut a face out as FER2013 frames it: uint8 (size, size, 3).

    Args:
        margin: widens the frame on each side by this share of it; 0 is FER2013's framing.
        level_eyes: turn the face so that the eyes are level; else only move and scale.

    Pixels beyond the picture repeat its border. ``image`` is not changed.
    """
    image = _rgb(image)
    corners = frame_corners(face, margin=margin, level_eyes=level_eyes)
    side = float(np.linalg.norm(corners[1] - corners[0]))
    finer = int(np.clip(np.ceil(side / size), 1, 32))  # sampled finely, then averaged, lest large faces alias
    right, down = (corners[1] - corners[0]) / (size * finer), (corners[3] - corners[0]) / (size * finer)
    origin = corners[0] + (right + down) / 2 - 0.5  # from pixel edges to pixel centres
    matrix = np.column_stack([right, down, origin])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(image, matrix, (size * finer,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return resize(fine, (size, size))


def frame_corners(face: Face, *, margin: float = 0.0, level_eyes: bool = True) -> np.ndarray:
    """Corners of the square that :func:`crop` cuts out: float64 (4, 2), x and y in pixels.

    In the order top left, top right, bottom right, bottom left of the crop. The transform is the least-squares
    similarity from ``FRAME`` to the face's landmarks (Umeyama 1991) with its angle given by the eyes.
    """
    target = np.array([face.landmarks[name] for name in LANDMARKS])
    source = np.array([FRAME[name] for name in LANDMARKS])
    target_centre, source_centre = target.mean(axis=0), source.mean(axis=0)
    eyes = target[1] - target[0]
    length = float(np.hypot(*eyes))
    cos, sin = (eyes / length) if level_eyes and length > 0 else (1.0, 0.0)
    rotation = np.array([[cos, -sin], [sin, cos]])
    spread = (source - source_centre) @ rotation.T
    scale = float((spread * (target - target_centre)).sum() / (spread**2).sum())
    if scale <= 0:  # landmarks in disorder: fall back on how far they spread
        scale = float(np.sqrt(((target - target_centre) ** 2).sum() / (spread**2).sum()))
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) * (1 + 2 * margin) - margin
    return (square - source_centre) @ rotation.T * scale + target_centre


def crop_points(crop: FaceCrop, size: tuple[int, int]) -> np.ndarray | None:
    """Where a face's five landmarks lie in the picture that classifiers are handed; None where no face was found.

    Args:
        crop: one of :func:`find_faces`.
        size: width and height in pixels of the picture that it was found in.

    Returns:
        float64 (5, 2): x and y as shares of width and height of ``crop.image``, in the order of ``LANDMARKS``.
    """
    if crop.face is None:
        return None
    points = np.array([crop.face.landmarks[name] for name in LANDMARKS])
    if crop.whole:
        return points / size
    corners = frame_corners(crop.face)
    sides = np.column_stack([corners[1] - corners[0], corners[3] - corners[0]])
    return np.linalg.solve(sides, (points - corners[0]).T).T


def find_faces(image: np.ndarray, *, size: int = CROP_SIDE) -> list[FaceCrop]:
    """All that a classifier should look at in ``image`` uint8 (H, W, 3): aligned crops, or the picture itself.

    A picture that is small, is filled by its one face, or shows no face at all is taken whole, and
    ``FaceCrop.whole`` and ``reason`` say so; up to 512 pixels a side it then keeps its own pixels, bit by bit. Never
    empty.
    """
    image = _rgb(image)
    height, width = image.shape[:2]
    if min(height, width) <= SMALL_SIDE:
        return [FaceCrop(1, _bounded(image), None, whole=True, reason=SMALL)]
    found = detect(image)
    if not found:
        return [FaceCrop(1, _bounded(image), None, whole=True, reason=NOTHING)]
    if len(found) == 1 and _share(found[0], (height, width)) >= FILLING_SHARE:
        return [FaceCrop(1, _bounded(image), found[0], whole=True, reason=FILLED)]
    return [FaceCrop(number, crop(image, face, size=size), face) for number, face in enumerate(found, start=1)]


def largest_face(image: np.ndarray, *, size: int = CROP_SIDE) -> np.ndarray | None:
    """The largest face in a photograph uint8 (H, W, 3), cut out by :func:`crop`; None where no face is found."""
    found = detect(image)
    if not found:
        return None
    return crop(image, max(found, key=lambda face: face.box[2] * face.box[3]), size=size)


def _share(face: Face, size: tuple[int, int]) -> float:
    """Share of a picture of ``size`` (H, W) that the face's frame covers."""
    corners = frame_corners(face)
    low, high = np.maximum(corners.min(axis=0), 0), np.minimum(corners.max(axis=0), size[::-1])
    return float(np.prod(np.maximum(high - low, 0)) / (size[0] * size[1]))


def _to_face(row: np.ndarray, scale: np.ndarray, size: tuple[int, int]) -> Face | None:
    low = np.clip(np.rint(row[:2] * scale), 0, np.array(size[::-1]) - 1).astype(int)
    high = np.clip(np.rint(row[2:4] * scale), 1, size[::-1]).astype(int)
    if (high <= low).any():
        return None
    points = row[5:].reshape(5, 2) * scale
    landmarks = {name: (float(x), float(y)) for name, (x, y) in zip(LANDMARKS, points, strict=True)}
    return Face((*low.tolist(), *(high - low).tolist()), float(row[4]), landmarks)


def _bounded(image: np.ndarray, side: int = WHOLE_SIDE) -> np.ndarray:
    shrink = side / max(image.shape[:2])
    return image if shrink >= 1 else resize(image, tuple(max(1, round(length * shrink)) for length in image.shape[:2]))


def _rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f"Expected a uint8 picture (H, W) or (H, W, 3). Received {image.dtype} {image.shape}.")
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else np.ascontiguousarray(image)
