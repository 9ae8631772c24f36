"""Detected and aligned faces of a whole split, once: what ``vgg16_finetuned_faces`` is trained on.

Kumar & Ukken (section 3.4.4) detect and crop the face in each picture. That takes a while for a whole split, so crops
are kept in chunks beside the datasets; a killed run goes on with the next chunk.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_core import detector, faces
from fer_core.datasets import data_dir
from fer_core.datasets.split import Split, picture_digests
from fer_core.images import resize, to_grey
from fer_core.storage import write_atomically

CHUNK = 256
SEARCH_SIDE = 192  # FER2013's 48 pixels are too few for the detector; enlarged to this it finds nine of ten faces


def face_crops(
    split: Split, dataset: str, name: str, report: Callable[[int, int], None] = lambda done, total: None
) -> Split:
    """``split`` with every picture replaced by its aligned face, of the same size and colour.

    Where no face is found the whole picture stays. Crops are stored under ``data/face_crops`` and read from there the
    next time, whatever else has changed but the pictures. ``report`` is called with pictures done and pictures in all.

    Raises:
        RunError: the crops cannot be stored.
    """
    folder = data_dir() / "face_crops" / f"{dataset}-{name}"
    parts = []
    for start in range(0, len(split), CHUNK):
        report(start, len(split))
        parts.append(_chunk(split.images[start : start + CHUNK], folder))
    return replace(split, images=np.concatenate(parts) if parts else split.images)


def aligned(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The aligned face of each picture, all of one size, uint8 of its shape; the picture where no face is found."""
    height, width = images[0].shape[:2]
    scale = max(1.0, SEARCH_SIDE / min(height, width))
    enlarged = [resize(image, (round(width * scale), round(height * scale))) for image in images]
    detected = faces.detect_each(enlarged)
    return [_aligned(*one) for one in zip(images, enlarged, detected, strict=True)]


def _aligned(image: np.ndarray, enlarged: np.ndarray, found: list[faces.Face]) -> np.ndarray:
    if not found:
        return image
    height, width = image.shape[:2]
    largest = max(found, key=lambda face: face.box[2] * face.box[3])
    crop = resize(faces.crop(enlarged, largest, size=max(height, width)), (height, width))
    return to_grey(crop) if image.ndim == 2 else crop


def _chunk(images: np.ndarray, folder: Path) -> np.ndarray:
    settings = repr((SEARCH_SIDE, faces.FRAME, detector.MIN_FACE, detector.THRESHOLDS))
    key = hashlib.sha256("".join([*picture_digests(images).tolist(), settings]).encode()).hexdigest()[:32]
    path = folder / f"{key}.npy"
    if path.is_file():
        with suppress(OSError, ValueError, EOFError):  # damaged: cut again
            return np.load(path, allow_pickle=False)
    crops = np.stack(aligned(np.asarray(images)))
    write_atomically(path, lambda file: np.save(file, crops))  # another training may cut the same faces
    return crops
