"""Random changes of training pictures: one affine warp, then light, then erasing. NumPy and OpenCV, any backend."""

import cv2
import numpy as np

from fer_core.training.config import Augmentation

SHRUNK = 0.9  # below this scale a warp skips pixels that it should average
BLUR = 0.6  # pixels, standard deviation of the blur that averages them before
TOO_LARGE, ENOUGH = 2.0, 1.1  # pixels of a picture per pixel of the result; a small blur cannot average more


def augment(images: np.ndarray, size: int, settings: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Warp pictures to ``size`` with random crop, rotation, zoom, shear, shift, flip and light.

    All that moves pixels, and resizing, are one bilinear warp, so that pixels are interpolated once; borders
    are reflected. With default settings it only resizes. A zoom keeps the shape of a face: both axes are drawn
    together, where Keras' ``zoom_range`` draws each on its own and repeats the nearest pixel beyond the border.

    Args:
        images: uint8 (N, H, W) or (N, H, W, C).
        size: side of the result in pixels.

    Returns:
        float32 (N, size, size, C) in 0..255; C is 1 for grey pictures.
    """
    if images.ndim == 3:
        images = images[..., None]
    images = reduced(images, size, settings)
    n, height, width, channels = images.shape
    matrices = warps(n, height, width, size, settings, rng)
    out = np.empty((n, size, size, channels), np.float32)
    smaller = size < SHRUNK * min(height, width) * settings.crop
    for index in range(n):
        source = images[index]
        if smaller:  # warpAffine does not average over the pixels it skips
            source = cv2.GaussianBlur(source, (3, 3), BLUR)
        warped = cv2.warpAffine(
            source, matrices[index], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        out[index] = warped.reshape(size, size, channels)
    _light(out, settings, rng)
    if settings.erase:
        _erase(out, settings.erase, rng)
    return out


def reduced(images: np.ndarray, size: int, settings: Augmentation) -> np.ndarray:
    """uint8 (N, H, W, C) that are much larger than ``size``, averaged to little more than a warp needs of them.

    As pictures are made smaller in prediction, so that a network is trained on what it is asked about. Others are
    returned as they are.
    """
    height, width, channels = images.shape[1:]
    ratio = min(height, width) * settings.crop / size
    if ratio <= TOO_LARGE:
        return images
    height, width = (max(1, round(side * ENOUGH / ratio)) for side in (height, width))
    found = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(found).reshape(len(images), height, width, channels)


def warps(n: int, height: int, width: int, size: int, settings: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Affine matrices float64 (n, 2, 3) from source to target pixels."""
    angle = np.deg2rad(rng.uniform(-settings.rotation, settings.rotation, n))
    zoom = 1 + rng.uniform(-settings.zoom, settings.zoom, n)
    slack = (1 - settings.crop) / 2
    shift_x = rng.uniform(-slack, slack, n) * width
    shift_y = rng.uniform(-slack, slack, n) * height
    mirror = np.where(rng.random(n) < settings.flip, -1.0, 1.0)
    scale_x = zoom * size / (width * settings.crop)
    scale_y = zoom * size / (height * settings.crop)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.empty((n, 2, 2))
    linear[:, 0, 0] = scale_x * cos * mirror
    linear[:, 0, 1] = -scale_y * sin
    linear[:, 1, 0] = scale_x * sin * mirror
    linear[:, 1, 1] = scale_y * cos
    if settings.shear:
        tangent = np.tan(np.deg2rad(rng.uniform(-settings.shear, settings.shear, n)))
        linear[:, :, 1] += linear[:, :, 0] * tangent[:, None]
    centre = np.stack([(width - 1) / 2 + shift_x, (height - 1) / 2 + shift_y], axis=1)
    target = np.array([(size - 1) / 2, (size - 1) / 2])
    offset = target - np.einsum("nij,nj->ni", linear, centre)
    if settings.shift:  # drawn only then: other settings see the numbers that they saw before there were shifts
        offset += size * rng.uniform(-settings.shift, settings.shift, (n, 2))
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def _light(images: np.ndarray, settings: Augmentation, rng: np.random.Generator) -> None:
    if not settings.brightness and not settings.contrast:
        return
    n = len(images)
    gain = 1 + rng.uniform(-settings.contrast, settings.contrast, (n, 1, 1, 1)).astype(np.float32)
    shift = 255 * rng.uniform(-settings.brightness, settings.brightness, (n, 1, 1, 1)).astype(np.float32)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    images -= mean
    images *= gain
    images += mean + shift
    np.clip(images, 0, 255, out=images)


def _erase(images: np.ndarray, probability: float, rng: np.random.Generator) -> None:
    """Fill a rectangle with noise (Zhong et al. 2017, algorithm 1)."""
    n, height, width, channels = images.shape
    for index in np.flatnonzero(rng.random(n) < probability):
        top, left, bottom, right = _box(height, width, rng)
        images[index, top:bottom, left:right] = rng.uniform(0, 255, (bottom - top, right - left, channels))


def erased_boxes(n: int, height: int, width: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """What is erased of ``n`` pictures: int32 (n, 4), top, left, bottom, right; all 0 for the others."""
    boxes = np.zeros((n, 4), np.int32)
    for index in np.flatnonzero(rng.random(n) < probability):
        boxes[index] = _box(height, width, rng)
    return boxes


def _box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A rectangle of 2 to 20 % of the area, aspect 0.3 to 3.3."""
    area = rng.uniform(0.02, 0.2) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
    rows = int(np.clip(round(np.sqrt(area * aspect)), 1, height))
    cols = int(np.clip(round(np.sqrt(area / aspect)), 1, width))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - cols + 1))
    return top, left, top + rows, left + cols
