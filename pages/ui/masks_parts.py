"""The study of parts on the Masks page: whole test set, a part of each face hidden at its own place."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from fer_core.charts import parts as charts
from fer_core.charts.results import run_colours
from fer_core.explain import part_numbers
from fer_core.explain.part_numbers import ALL, MEASURES
from fer_core.explain.part_study import KIND
from pages.ui import cache, cache_masks, mask_study, state, widgets

UNSIGNED = ("flip_rate", "ece")
ABOUT = {
    "drop": "Recall of the whole pictures minus that of the masked ones; over all pictures that is accuracy.",
    "beyond": "Recall lost beyond what random masks as large in each picture cost.",
    "flip_rate": "Share of the pictures whose most probable class changes.",
    "flip_beyond": "Flips beyond those by random masks as large in each picture.",
    "p_shift": "Mean change of the true class's probability.",
    "p_beyond": "Mean change of the true class's probability, minus that by random masks as large in each picture.",
    "ece": "Expected calibration error (15 bins) of the masked pictures that truly are of the class.",
    "ece_change": "Calibration error of the masked pictures minus that of the whole ones.",
}


def show() -> None:
    """The whole view."""
    records, problems = cache_masks.part_studies()
    for problem in problems:
        st.warning(widgets.plain(problem), icon=":material/warning:")
    if not records:
        widgets.empty_state("No study of parts is stored. This command makes it (minutes per model):", KIND.command)
        return
    records = mask_study.choose(records)
    if not records:
        return
    tables = {record["run"]: cache_masks.part_table(record["name"]) for record in records}
    for run, table in tables.items():
        first, *others = part_numbers.verdict(table)
        st.markdown(f"**{widgets.plain(run)}**: **{first}** {' '.join(others)}")
    known = [name for name in MEASURES if any(table[name].notna().any() for table in tables.values())]
    measure = state.choice("Measure", known, key="part-measure", format_func=MEASURES.get)
    st.caption(f"{ABOUT[measure]} In hundredths, with 95 % bootstrap intervals over pictures, not over trainings.")
    slug = "-".join(
        ["parts", *(records[0][field] for field in ("dataset", "split", "fill")), measure.replace("_", "-")]
    )
    _show_models(tables, measure, slug)
    _show_classes(tables, measure, slug)
    _show_conditions(records, tables)
    for run, table in tables.items():
        widgets.download_table(table, f"parts-numbers-{run}", f"Every number of {run} (CSV)")


def _show_models(tables: Mapping[str, pd.DataFrame], measure: str, slug: str) -> None:
    names = list(dict.fromkeys(name for table in tables.values() for name in table["class"]))
    chosen = state.choice("Class", names, key="part-class", default=ALL)
    frame = part_numbers.compare_rows(tables, measure, chosen)
    colours = run_colours([run.name for run in cache.runs()])
    widgets.show_figure(charts.part_points(frame, colours, MEASURES[measure]), f"{slug}-{chosen}", frame)


def _show_classes(tables: Mapping[str, pd.DataFrame], measure: str, slug: str) -> None:
    run = state.choice("Model", list(tables), key="study-model") if len(tables) > 1 else next(iter(tables))
    frame = part_numbers.measure_rows(tables[run], measure)
    figure = charts.part_heatmap(frame, list(dict.fromkeys(frame["class"])), signed=measure not in UNSIGNED)
    widgets.show_figure(figure, f"{slug}-{run}", frame)
    if measure not in UNSIGNED:
        st.caption("In brackets: no more than chance (the 95 % interval holds 0).")


def _show_conditions(records: list[dict], tables: Mapping[str, pd.DataFrame]) -> None:
    first, *_ = records
    areas = part_numbers.area_words(tables[first["run"]])
    views = "; ".join(f"{record['run']} {record['tta']}" for record in records)
    st.caption(
        f"{first['n']:,} pictures; landmarks were found in {first['n_found']:,}, elsewhere the usual place is taken. "
        f"Hidden on average: {areas}. Random masks: a rectangle of the same area in each picture, at a random "
        f"place. Views averaged: {widgets.plain(views)}."
    )
