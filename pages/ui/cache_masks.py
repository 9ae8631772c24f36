"""Cached reads of the Masks page, after the pattern of :mod:`pages.ui.cache`."""

import numpy as np
import streamlit as st

from fer_core import faces
from fer_core.faces import FaceCrop
from fer_core.models import features

# Landmarks


def points(image: np.ndarray) -> tuple[np.ndarray, bool]:
    """The five landmarks of a face crop, and whether they were found, see :func:`features.landmark_points`.

    Args:
        image: uint8 (H, W) or (H, W, 3).

    Returns:
        float64 (5, 2), x and y as shares; those of ``faces.FRAME`` and False where no face is seen.

    Raises:
        ModelError: the face detector cannot start.
    """
    return _points(image)


def crop_points(crop: FaceCrop, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """:func:`points` of a face found in a picture of ``size`` (width, height), without looking twice.

    Raises:
        ModelError: the face detector cannot start.
    """
    known = faces.crop_points(crop, size)
    return _points(crop.image) if known is None else (known, True)


@st.cache_data(max_entries=2048, show_spinner="Looking for landmarks ...")
def _points(image: np.ndarray) -> tuple[np.ndarray, bool]:
    places, found = features.landmark_points(image[None])
    return places[0].astype(np.float64), bool(found[0])
