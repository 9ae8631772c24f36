"""From pictures of any size and colour to what a model takes. Loads without TensorFlow."""

import cv2
import numpy as np

from fer_core.errors import ModelError
from fer_core.images import to_grey

EQUALIZERS = ("", "hist", "clahe")
CLIP_LIMIT, TILES = 2.0, (4, 4)  # tiles of 12 x 12 pixels at 48 x 48


def equalize(images: np.ndarray, method: str) -> np.ndarray:
    """Even out the brightness of each picture: uint8 (N, H, W) or (N, H, W, 3) RGB -> the same shape.

    Args:
        method: ``hist`` for histogram equalisation, ``clahe`` for its contrast-limited form on tiles (Zuiderveld
            1994), ``""`` to leave the pictures as they are. Of colour pictures only the lightness changes.

    Raises:
        ModelError: unknown method.
    """
    if method not in EQUALIZERS:
        raise ModelError(f"Unknown equalisation {method!r}.", f"Expected one of {', '.join(map(repr, EQUALIZERS))}.")
    images = np.asarray(images)
    if not method:
        return images
    of_grey = cv2.equalizeHist if method == "hist" else cv2.createCLAHE(CLIP_LIMIT, TILES).apply
    if images.ndim == 3:
        return np.array([of_grey(np.ascontiguousarray(image)) for image in images], np.uint8).reshape(images.shape)
    out = np.empty_like(images)
    for index, image in enumerate(images):
        lab = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2LAB)
        lab[..., 0] = of_grey(np.ascontiguousarray(lab[..., 0]))
        out[index] = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return out


def preprocess(images: np.ndarray, size: tuple[int, int], channels: int, equalization: str = "") -> np.ndarray:
    """Resize and convert pictures: uint8 (N, H, W) or (N, H, W, 3) RGB -> float32 (N, *size, channels) in 0..255.

    Args:
        equalization: see :func:`equalize`; done first, at the picture's own size.

    Raises:
        ModelError: another shape or type, or unknown equalisation.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise ModelError(f"Expected uint8 (N, H, W) or (N, H, W, 3). Received {images.dtype} {images.shape}.")
    images = equalize(images, equalization)
    out = np.empty((len(images), *size, channels), np.float32)
    for index, image in enumerate(images):
        if channels == 1 and image.ndim == 3:
            image = to_grey(image)
        elif channels == 3 and image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        if image.shape[:2] != tuple(size):
            smaller = size[0] < image.shape[0] or size[1] < image.shape[1]
            image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        out[index] = image.reshape(*size, channels)
    return out
