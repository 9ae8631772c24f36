"""Cached reads of saliency studies and of the checks of their maps; like ``cache``, and without TensorFlow."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from fer_core import artifacts
from fer_core.explain import checks_numbers, checks_study, saliency_numbers, saliency_study
from fer_core.explain.checks_study import ChecksStudy
from fer_core.explain.ranking import Ranking
from fer_core.explain.saliency_numbers import ALL_CLASSES, Disagreement
from fer_core.explain.saliency_study import SaliencyStudy
from fer_core.explain.studies import studies_folder
from pages.ui.cache import runs_stamp
from pages.ui.stamps import MOST_STUDIES, Stamp, digest, stamp

BETWEEN = "\n"  # names of studies: Streamlit hashes one text sooner than many


def records() -> tuple[list[dict], list[str]]:
    """Records of the studies that speak of the runs as they are, and what is wrong with the others."""
    return _records(str(artifacts.root()), _studies_stamp() + runs_stamp())


def study(name: str) -> SaliencyStudy:
    """A stored study.

    Raises:
        RunError: its files are damaged.
    """
    return _study(str(artifacts.root()), name, _stamp(name))


def shares(name: str, which: str) -> pd.DataFrame:
    """``saliency_numbers.share_rows`` of a study."""
    return _shares(str(artifacts.root()), name, which, _stamp(name))


def lifts(name: str, which: str) -> Ranking | None:
    """``saliency_numbers.lifts`` of a study."""
    return _lifts(str(artifacts.root()), name, which, _stamp(name))


def scores(name: str, which: str, only: str = ALL_CLASSES) -> pd.DataFrame:
    """``saliency_numbers.score_rows`` of one class of a study."""
    return scores_together([name], which, only)[name]


def scores_together(names: Iterable[str], which: str, only: str = ALL_CLASSES) -> dict[str, pd.DataFrame]:
    """:func:`scores` of each of several studies, of the pictures that all of them have scores of.

    The files of all are looked at once, not for each study.
    """
    together = sorted(set(names))
    key = str(artifacts.root()), which, only, BETWEEN.join(together), _stamps(together)
    return {name: _scores(name, *key) for name in together}


def shared(names: Iterable[str], which: str, only: str) -> pd.DataFrame:
    """``saliency_numbers.shared_rows`` of studies."""
    together = tuple(sorted(names))
    return _shared(str(artifacts.root()), which, only, together, _stamps(together))


def disagreement(name_a: str, name_b: str, which: str) -> Disagreement:
    """``saliency_numbers.disagreement`` of two studies.

    Raises:
        RunError: they share no such picture.
    """
    return _disagreement(str(artifacts.root()), name_a, name_b, which, _stamp(name_a) + _stamp(name_b))


def checks_records() -> tuple[list[dict], list[str]]:
    """Records of the studies of the checks that speak of the runs as they are, and what is wrong with the others."""
    return _checks_records(str(artifacts.root()), _studies_stamp("checks") + runs_stamp())


def checks(name: str) -> ChecksStudy:
    """A stored study of the checks.

    Raises:
        RunError: its files are damaged.
    """
    return _checks(str(artifacts.root()), name, _stamp(name))


def check_table(name: str, which: str) -> pd.DataFrame:
    """``checks_numbers.check_table`` of a study of the checks."""
    return _check_numbers(str(artifacts.root()), name, which, _stamp(name))[0]


def checks_verdict(name: str, which: str) -> str:
    """``checks_numbers.verdict`` of a study of the checks."""
    return _check_numbers(str(artifacts.root()), name, which, _stamp(name))[1]


def empty_checked_maps(name: str, which: str) -> int:
    """``checks_numbers.empty_maps`` of a study of the checks."""
    return _check_numbers(str(artifacts.root()), name, which, _stamp(name))[2]


def _stamp(name: str) -> Stamp:
    return stamp(studies_folder() / name)


def _stamps(names: Iterable[str]) -> Stamp:
    return digest([one for name in names for one in _stamp(name)])


def _studies_stamp(kind: str = "saliency") -> Stamp:
    folder = studies_folder()
    paths = sorted(folder.glob(f"{kind}-*")) if folder.is_dir() else []
    return digest([(f"{path.name}/{name}", time, size) for path in paths for name, time, size in stamp(path)])


@st.cache_data(max_entries=4, show_spinner=False)
def _records(base: str, stamp: Stamp) -> tuple[list[dict], list[str]]:
    return saliency_study.KIND.list_records(Path(base))


@st.cache_data(max_entries=4, show_spinner=False)
def _checks_records(base: str, stamp: Stamp) -> tuple[list[dict], list[str]]:
    return checks_study.KIND.list_records(Path(base))


@st.cache_resource(max_entries=MOST_STUDIES, show_spinner=False)  # read only: nobody changes the arrays
def _checks(base: str, name: str, stamp: Stamp) -> ChecksStudy:
    return checks_study.read_study(studies_folder(Path(base)) / name)


@st.cache_data(max_entries=2 * MOST_STUDIES, show_spinner=False)
def _check_numbers(base: str, name: str, which: str, stamp: Stamp) -> tuple[pd.DataFrame, str, int]:
    study = _checks(base, name, stamp)
    numbers = checks_numbers
    return numbers.check_table(study, which), numbers.verdict(study, which), numbers.empty_maps(study, which)


@st.cache_resource(max_entries=MOST_STUDIES, show_spinner=False)  # read only: nobody changes the arrays
def _study(base: str, name: str, stamp: Stamp) -> SaliencyStudy:
    return saliency_study.read_study(studies_folder(Path(base)) / name)


@st.cache_data(max_entries=MOST_STUDIES, show_spinner=False)
def _shares(base: str, name: str, which: str, stamp: Stamp) -> pd.DataFrame:
    return saliency_numbers.share_rows(_study(base, name, stamp), which)


@st.cache_data(max_entries=MOST_STUDIES, show_spinner=False)
def _lifts(base: str, name: str, which: str, stamp: Stamp) -> Ranking | None:
    return saliency_numbers.lifts(_study(base, name, stamp), which)


@st.cache_data(max_entries=8 * MOST_STUDIES, show_spinner=False)  # four rows each; all classes and each of six
def _scores(name: str, base: str, which: str, only: str, together: str, stamp: Stamp) -> pd.DataFrame:
    among = _scored_by_all(base, which, together, stamp) if BETWEEN in together else None
    return saliency_numbers.score_rows(study(name), which, only=only, among=among)


@st.cache_data(max_entries=16, show_spinner=False)  # asked once for each of the studies
def _scored_by_all(base: str, which: str, together: str, stamp: Stamp) -> np.ndarray:
    return saliency_numbers.scored_by_all([study(one) for one in together.split(BETWEEN)], which)


@st.cache_data(max_entries=64, show_spinner=False)
def _shared(base: str, which: str, only: str, together: tuple[str, ...], stamp: Stamp) -> pd.DataFrame:
    return saliency_numbers.shared_rows({name: study(name) for name in together}, which, only)


@st.cache_data(max_entries=16, show_spinner="Comparing ...")
def _disagreement(base: str, name_a: str, name_b: str, which: str, stamp: Stamp) -> Disagreement:
    return saliency_numbers.disagreement(study(name_a), study(name_b), which)
