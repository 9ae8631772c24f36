"""Recall, flips, probability and calibration with something hidden: of both kinds of study on the Masks page."""

from collections.abc import Mapping
from functools import partial

import pandas as pd
import streamlit as st

from fer_core.charts import parts as charts
from fer_core.charts.results import run_colours
from fer_core.explain import part_numbers
from fer_core.explain.part_numbers import ALL, MEASURES, OVER_ALL, TITLES
from pages.ui import cache, cache_masks, state, widgets

UNSIGNED = ("flip_rate", "ece")
LOSSES = ("drop", "beyond", "flip_beyond", "ece_change")  # more of them is worse
CALIBRATION = (
    "Expected calibration error, 15 bins: over all pictures that of the most probable class's probability, for a class "
    "that of the probability given to it, on all pictures (class-wise, Kull et al. 2019)."
)
ABOUT = {
    "drop": "Recall of the whole pictures minus that of the masked ones; over all pictures that is accuracy.",
    "beyond": "Recall lost beyond what random masks as large in each picture cost.",
    "flip_rate": "Share of the pictures whose most probable class changes.",
    "flip_beyond": "Flips beyond those by random masks as large in each picture.",
    "p_shift": "Mean change of the true class's probability.",
    "p_beyond": "Mean change of the true class's probability, minus that by random masks as large in each picture.",
    "ece": f"{CALIBRATION} Of the masked pictures.",
    "ece_change": f"{CALIBRATION} That of the masked pictures minus that of the whole ones.",
}


def show(
    tables: Mapping[str, pd.DataFrame], studies: Mapping[str, str], slug: str, titles: Mapping[str, str] = TITLES
) -> None:
    """One measure of several models for a class, and of one model for every class.

    Args:
        tables: run -> ``part_numbers.table`` of its study, which need not have calibration errors.
        studies: run -> name of its study.
        slug: first part of file names.
        titles: shape -> what people call it.
    """
    measured = [name for name in MEASURES if any(table[name].notna().any() for table in tables.values())]
    known = [name for name in MEASURES if name in measured or name in OVER_ALL]
    measure = state.choice("Measure", known, key="part-measure", format_func=MEASURES.get)
    if measure in OVER_ALL:
        tables = {run: cache_masks.full_table(studies[run]) for run in tables}
    st.caption(f"{ABOUT[measure]} In hundredths, with 95 % bootstrap intervals over pictures, not over trainings.")
    slug = f"{slug}-{measure.replace('_', '-')}"
    _show_models(tables, measure, slug, titles)
    _show_classes(tables, measure, slug, titles)


def download(studies: Mapping[str, str], slug: str) -> None:
    """A button per model that saves every number of its study (run -> name); file names start with ``slug``."""
    for run, name in studies.items():
        every = partial(cache_masks.every_number, name)
        widgets.download_table(every, f"{slug}-numbers-{run}", f"Every number of {run} (CSV)")


def _show_models(tables: Mapping[str, pd.DataFrame], measure: str, slug: str, titles: Mapping[str, str]) -> None:
    names = list(dict.fromkeys(name for table in tables.values() for name in table["class"]))
    chosen = state.choice("Class", names, key="part-class", default=ALL)
    frame = part_numbers.compare_rows(tables, measure, chosen, titles)
    colours = run_colours([run.name for run in cache.runs()], tables)
    widgets.show_figure(charts.part_points(frame, colours, MEASURES[measure]), f"{slug}-{chosen}", frame)


def _show_classes(tables: Mapping[str, pd.DataFrame], measure: str, slug: str, titles: Mapping[str, str]) -> None:
    run = state.choice("Model", list(tables), key="study-model") if len(tables) > 1 else next(iter(tables))
    frame = part_numbers.measure_rows(tables[run], measure, titles)
    signed, loss = measure not in UNSIGNED, measure in LOSSES
    figure = charts.part_heatmap(frame, list(dict.fromkeys(frame["class"])), signed=signed, loss=loss)
    widgets.show_figure(figure, f"{slug}-{run}", frame)
    if signed:
        st.caption(
            f"Orange: worse under the mask ({'above' if loss else 'below'} 0); violet: better. In brackets: no more "
            "than chance (the 95 % interval holds 0)."
        )
