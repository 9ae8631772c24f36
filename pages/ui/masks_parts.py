"""The study of parts on the Masks page: whole test set, a part of each face hidden at its own place."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from fer_core.explain import part_numbers
from fer_core.explain.part_study import KIND
from pages.ui import cache_masks, mask_study, masks_measures, widgets


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
    found = {record["run"]: cache_masks.part_numbers(record["name"]) for record in records}
    tables = {run: of_run.table for run, of_run in found.items()}
    told = {run: part_numbers.verdict(of_run) for run, of_run in found.items()}
    mask_study.show_headline(told, [part_numbers.leaders(of_run) for of_run in found.values()])
    slug = "-".join(["parts", *(records[0][field] for field in ("dataset", "split", "fill"))])
    masks_measures.show(tables, slug)
    mask_study.show_each(told)
    _show_conditions(records, tables)
    masks_measures.download(tables, slug)


def _show_conditions(records: list[dict], tables: Mapping[str, pd.DataFrame]) -> None:
    first, *_ = records
    areas = part_numbers.area_words(tables[first["run"]])
    views = "; ".join(f"{record['run']} {record['tta']}" for record in records)
    st.caption(
        f"{first['n']:,} pictures; landmarks were found in {first['n_found']:,}, elsewhere the usual place is taken. "
        f"Hidden on average: {areas}. Random masks, {mask_study.control_words(records)}: a rectangle of the same area "
        "in each picture, at a random place, in one piece where cheeks and sunglasses are in two. "
        f"Views averaged: {widgets.plain(views)}."
    )
