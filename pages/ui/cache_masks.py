"""Cached reads of the Masks page, after the pattern of :mod:`pages.ui.cache`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from fer_core import artifacts, faces, masks, regions
from fer_core.explain import mask_gains as gains_by_masks
from fer_core.explain import mask_numbers as numbers_of_masks
from fer_core.explain import mask_study, occlusion, occlusion_batch, part_study
from fer_core.explain import part_numbers as numbers_of_parts
from fer_core.explain import shapley as explain_shapley
from fer_core.explain.conditions import WHOLE, flow
from fer_core.explain.mask_numbers import MaskNumbers, MaskSummary
from fer_core.explain.mask_study import MaskStudy
from fer_core.explain.occlusion_batch import BatchEffect
from fer_core.explain.part_numbers import PartNumbers
from fer_core.explain.shapley import Shapley
from fer_core.explain.studies import studies_folder
from fer_core.faces import FaceCrop
from fer_core.models import features
from pages.ui import cache
from pages.ui.stamps import MOST_STUDIES, Stamp, stamp

# Landmarks


def points(image: np.ndarray, *, quiet: bool = False) -> tuple[np.ndarray, bool]:
    """The five landmarks of a face crop, and whether they were found, see :func:`features.landmark_points`.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        quiet: the caller shows its own progress.

    Returns:
        float64 (5, 2), x and y as shares; those of ``faces.FRAME`` and False where no face is seen.

    Raises:
        ModelError: the face detector cannot start.
    """
    if quiet:
        return _points(image)
    with st.spinner("Looking for landmarks ...", show_time=False):
        return _points(image)


def crop_points(crop: FaceCrop, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """:func:`points` of a face found in a picture of ``size`` (width, height), without looking twice.

    Raises:
        ModelError: the face detector cannot start.
    """
    known = faces.crop_points(crop, size)
    return points(crop.image, quiet=True) if known is None else (known, True)


@st.cache_data(max_entries=2048, show_spinner=False)
def _points(image: np.ndarray) -> tuple[np.ndarray, bool]:
    places, found = features.landmark_points(image[None])
    return places[0].astype(np.float64), bool(found[0])


# One face


def shapley(
    run_name: str,
    image: np.ndarray,
    points: np.ndarray,
    fill: str,
    controls: int,
    report: Callable[[str, int, int], None],
) -> tuple[Shapley, list[Shapley]]:
    """What each region of a face is worth, and the same shapes at ``controls`` random places.

    The face as it is, not averaged over views. ``report`` is told what is asked, how many passes over all combinations
    are done, and how many there are; each is kept.
    """
    key = *cache.model_key(run_name), image, points, fill
    found = []
    for place in (None, *range(controls)):
        what = "in their places" if place is None else f"at random place {place + 1} of {controls}"
        report(f"Asking {run_name} about every combination of parts, {what} ...", len(found), 1 + controls)
        found.append(_shapley(*key, place))
    return found[0], found[1:]


def occlusion_map(
    run_name: str, image: np.ndarray, class_index: int, patch: float, fill: str
) -> tuple[np.ndarray, tuple[int, int]]:
    """Fall of a class's probability under a patch that slides: float32 (H, W); and the cells (rows, cols) of the map.

    The face as it is, not averaged over views.
    """
    return _occlusion_map(*cache.model_key(run_name), image, class_index, patch, fill)


def probabilities(run_name: str, image: np.ndarray) -> np.ndarray:
    """Class probabilities float32 (K,) of a face as it is, not averaged over views."""
    return _probabilities(*cache.model_key(run_name), image)


@st.cache_data(max_entries=256, show_spinner=False)
def _probabilities(base: str, run_name: str, stamp: Stamp, image: np.ndarray) -> np.ndarray:
    return cache.explained(run_name).predict_proba(image[None])[0]


@st.cache_data(max_entries=512, show_spinner=False)
def _shapley(
    base: str, run_name: str, stamp: Stamp, image: np.ndarray, points: np.ndarray, fill: str, place: int | None
) -> Shapley:
    """``place`` is the seed of where the shapes are moved to; None leaves them where they are."""
    parts = regions.region_masks(points, image.shape[:2])
    if place is not None:
        parts = explain_shapley.move(parts, image.shape[:2], place)
    return explain_shapley.explain(cache.explained(run_name), image, parts, fill=fill)


@st.cache_data(max_entries=128, show_spinner="Sliding the patch ...")
def _occlusion_map(
    base: str, run_name: str, stamp: Stamp, image: np.ndarray, class_index: int, patch: float, fill: str
) -> tuple[np.ndarray, tuple[int, int]]:
    target = np.array([class_index])
    maps, grid = occlusion.occlusion_map(cache.explained(run_name), image[None], target, patch=patch, fill=fill)
    return maps[0], grid


# Several faces


def batch_effect(
    run_name: str,
    images: list[np.ndarray],
    hidden: list[np.ndarray],
    fill: str,
    controls: int,
    first: int,
    draw: Callable[[], list[np.ndarray]],
) -> BatchEffect:
    """Effect of a mask on some of several faces, see :func:`occlusion_batch.batch_effect`.

    Args:
        controls, first: what ``draw`` depends on beside ``hidden``.
        draw: gives the random masks; only called where the answer is not kept.
    """
    return _batch_effect(*cache.model_key(run_name), images, hidden, fill, controls, first, draw)


@st.cache_data(max_entries=16, show_spinner=False)
def count_movable(hidden: list[np.ndarray]) -> int:
    """How many of several masks can lie elsewhere, see :func:`masks.movable`."""
    return sum(masks.movable(mask) for mask in hidden)


def batch_summary(effects: dict[str, BatchEffect], labels: list[str] | None) -> pd.DataFrame:
    """Flip rates with intervals, see :func:`occlusion_batch.summary_frame`."""
    return _batch_summary(effects, labels)


@st.cache_data(max_entries=1024, show_spinner=False)
def _batch_effect(
    base: str,
    run_name: str,
    stamp: Stamp,
    images: list[np.ndarray],
    hidden: list[np.ndarray],
    fill: str,
    controls: int,
    first: int,
    _draw: Callable[[], list[np.ndarray]],
) -> BatchEffect:
    return occlusion_batch.batch_effect(cache.answering(run_name), images, hidden, _draw(), fill)


@st.cache_data(max_entries=16, show_spinner=False)
def _batch_summary(effects: dict[str, BatchEffect], labels: list[str] | None) -> pd.DataFrame:
    return occlusion_batch.summary_frame(effects, labels)


# Studies of rows and of parts


def part_studies() -> tuple[list[dict], list[str]]:
    """Records of the studies of parts that speak of the runs as they are, and what is wrong with the others."""
    return _part_studies(str(artifacts.root()), cache.studies_stamp() + cache.runs_stamp())


def part_numbers(study_name: str) -> PartNumbers:
    """Numbers of a study of parts but for calibration, see :func:`fer_core.explain.part_numbers.numbers`.

    Raises:
        RunError: its files are damaged.
    """
    folder = studies_folder() / study_name
    return _part_numbers(str(folder), stamp(folder))


def part_flow(study_name: str, shape: str) -> pd.DataFrame:
    """Where predictions go when a shape is hidden, see :func:`fer_core.explain.conditions.flow`.

    Raises:
        RunError: its files are damaged.
    """
    folder = studies_folder() / study_name
    return _part_flow(str(folder), shape, stamp(folder))


def mask_summary(study_name: str) -> MaskSummary:
    """What a mask study says over all classes, see :func:`fer_core.explain.mask_numbers.summary`.

    Raises:
        RunError: its files are damaged.
    """
    folder = studies_folder() / study_name
    return _mask_summary(str(folder), stamp(folder))


def mask_numbers(study_name: str) -> MaskNumbers:
    """Every number of a mask study, see :func:`fer_core.explain.mask_numbers.numbers`.

    Raises:
        RunError: its files are damaged.
    """
    folder = studies_folder() / study_name
    return _mask_numbers(str(folder), stamp(folder))


def mask_overall(study_name: str) -> pd.DataFrame:
    """A mask study beside runs trained with each mask, over all classes, see ``mask_numbers.overall_rows``."""
    folder = studies_folder() / study_name
    return _mask_overall(str(folder), stamp(folder), cache.runs_stamp())


def mask_table(study_name: str, measure: str) -> pd.DataFrame:
    """The paper's table of a mask study beside runs trained with each mask, see ``mask_numbers.table_rows``."""
    folder = studies_folder() / study_name
    return _mask_table(str(folder), measure, stamp(folder), cache.runs_stamp())


def mask_gains(study_name: str) -> pd.DataFrame:
    """What training with each mask gains per class, see ``mask_gains.gain_rows``; empty where no run was trained so."""
    folder = studies_folder() / study_name
    return _mask_gains(str(folder), stamp(folder), cache.runs_stamp())


def band_table(study_name: str) -> pd.DataFrame:
    """The same table of a mask study, see :func:`fer_core.explain.part_numbers.table`.

    Raises:
        RunError: its files are damaged.
    """
    folder = studies_folder() / study_name
    return _band_table(str(folder), stamp(folder))


def full_table(study_name: str) -> pd.DataFrame:
    """Every number of a study of parts or of rows, calibration too, see :func:`fer_core.explain.part_numbers.table`.

    Raises:
        RunError: its files are damaged.
    """
    folder = studies_folder() / study_name
    return _full_table(str(folder), stamp(folder))


def every_number(study_name: str) -> pd.DataFrame:
    """:func:`full_table` without the cache, for a download, which is made outside of the page's run."""
    folder = studies_folder() / study_name
    return numbers_of_parts.table((part_study if _of_parts(folder) else mask_study).read_study(folder))


def _of_parts(folder: Path) -> bool:
    return folder.name.startswith(f"{part_study.KIND.name}-")


@st.cache_data(max_entries=4, show_spinner=False)
def _part_studies(base: str, stamp: Stamp) -> tuple[list[dict], list[str]]:
    return part_study.KIND.list_records(Path(base))


@st.cache_data(max_entries=MOST_STUDIES, show_spinner="Resampling ...")
def _part_numbers(folder: str, stamp: Stamp) -> PartNumbers:
    return numbers_of_parts.numbers(part_study.read_study(Path(folder)), calibration=False)


@st.cache_data(max_entries=8 * MOST_STUDIES, show_spinner=False)  # eight shapes each
def _part_flow(folder: str, shape: str, stamp: Stamp) -> pd.DataFrame:
    study = part_study.read_study(Path(folder))
    return flow(study.predictions[WHOLE], study.masked(shape))


@st.cache_resource(max_entries=MOST_STUDIES, show_spinner=False)  # read only: nobody changes the arrays
def _mask_study(folder: str, stamp: Stamp) -> MaskStudy:
    return mask_study.read_study(Path(folder))


@st.cache_data(max_entries=MOST_STUDIES, show_spinner="Resampling ...")
def _mask_summary(folder: str, stamp: Stamp) -> MaskSummary:
    return numbers_of_masks.summary(_mask_study(folder, stamp))


@st.cache_data(max_entries=MOST_STUDIES, show_spinner="Resampling ...")
def _mask_numbers(folder: str, stamp: Stamp) -> MaskNumbers:
    return numbers_of_masks.numbers(_mask_study(folder, stamp))


@st.cache_data(max_entries=MOST_STUDIES, show_spinner="Resampling ...")
def _mask_overall(folder: str, stamp: Stamp, runs_stamp: Stamp) -> pd.DataFrame:
    record = _mask_study(folder, stamp).record
    trained = numbers_of_masks.trained_runs(record, cache.runs())
    return numbers_of_masks.overall_rows(record, _mask_summary(folder, stamp).accuracy, trained)


@st.cache_data(max_entries=2 * MOST_STUDIES, show_spinner="Resampling ...")  # recall and F1
def _mask_table(folder: str, measure: str, stamp: Stamp, runs_stamp: Stamp) -> pd.DataFrame:
    study = _mask_study(folder, stamp)
    return numbers_of_masks.table_rows(study, numbers_of_masks.trained_runs(study.record, cache.runs()), measure)


@st.cache_data(max_entries=MOST_STUDIES, show_spinner="Resampling ...")
def _mask_gains(folder: str, stamp: Stamp, runs_stamp: Stamp) -> pd.DataFrame:
    study = _mask_study(folder, stamp)
    return gains_by_masks.gain_rows(study, numbers_of_masks.trained_runs(study.record, cache.runs()))


@st.cache_data(max_entries=MOST_STUDIES, show_spinner="Resampling ...")
def _band_table(folder: str, stamp: Stamp) -> pd.DataFrame:
    return numbers_of_parts.table(_mask_study(folder, stamp), calibration=False)


@st.cache_data(max_entries=MOST_STUDIES, show_spinner="Resampling ...")
def _full_table(folder: str, stamp: Stamp) -> pd.DataFrame:
    if _of_parts(Path(folder)):
        return numbers_of_parts.with_calibration(
            _part_numbers(folder, stamp).table, part_study.read_study(Path(folder))
        )
    return numbers_of_parts.with_calibration(_band_table(folder, stamp), _mask_study(folder, stamp))
