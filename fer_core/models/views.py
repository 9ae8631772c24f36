"""Test-time averaging: the views of a picture whose probabilities are averaged."""

from collections.abc import Callable

import numpy as np

from fer_core.errors import ConfigError

SHIFT = 2  # pixels of the network's input


def _shifted(images: np.ndarray, rows: int, cols: int) -> np.ndarray:
    height, width = images.shape[1:3]
    pad = SHIFT
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
    return padded[:, pad + rows : pad + rows + height, pad + cols : pad + cols + width]


def whole(images: np.ndarray) -> list[np.ndarray]:
    return [images]


def flip(images: np.ndarray) -> list[np.ndarray]:
    return [images, images[:, :, ::-1]]


def ten_view(images: np.ndarray) -> list[np.ndarray]:
    """The picture and its four diagonal shifts by 2 pixels, each with its mirror image."""
    shifts = [(0, 0), (-SHIFT, -SHIFT), (-SHIFT, SHIFT), (SHIFT, -SHIFT), (SHIFT, SHIFT)]
    return [view for shift in shifts for view in flip(_shifted(images, *shift))]


VIEWS: dict[str, Callable[[np.ndarray], list[np.ndarray]]] = {"none": whole, "flip": flip, "ten_view": ten_view}
WORDS = {  # of what is averaged, for people
    "none": "one view, the picture as it is",
    "flip": "two views, the picture and its mirror image",
    "ten_view": "ten views, the picture and four small shifts of it, each with its mirror image",
}


def words(tta: str) -> str:
    """The views that ``tta`` averages; several, as members of an ensemble have them, stand with ``+`` between them."""
    return ", or ".join(WORDS.get(one, one) for one in tta.split("+"))


def views(images: np.ndarray, tta: str) -> list[np.ndarray]:
    """The views of ``images`` (N, H, W, C) that ``tta`` averages, each of the same shape.

    Raises:
        ConfigError: ``tta`` is unknown.
    """
    try:
        return VIEWS[tta](images)
    except KeyError:
        raise ConfigError(f"tta must be one of {', '.join(VIEWS)}. Received {tta!r}.") from None
