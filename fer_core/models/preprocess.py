"""From pictures of any size and colour to what a model takes. Loads without TensorFlow."""

import cv2
import numpy as np

from fer_core.errors import ModelError
from fer_core.images import to_grey


def preprocess(images: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    """Resize and convert pictures: uint8 (N, H, W) or (N, H, W, 3) RGB -> float32 (N, *size, channels) in 0..255.

    Raises:
        ModelError: another shape or type.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise ModelError(f"Expected uint8 (N, H, W) or (N, H, W, 3). Received {images.dtype} {images.shape}.")
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
