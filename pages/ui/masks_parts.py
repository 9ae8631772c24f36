"""The study of parts on the Masks page: whole test set, a part of each face hidden at its own place."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from fer_core.charts.occlusion import flow_sankey
from fer_core.explain import part_numbers
from fer_core.explain.part_numbers import PartNumbers
from fer_core.explain.part_study import KIND, MOVED, RECTANGLE, control_kind
from pages.ui import cache, cache_masks, mask_study, masks_measures, state, widgets

FORMS = {
    MOVED: "the pieces of the shape itself, turned by quarter turns, mirrored or not, at random places in each picture",
    RECTANGLE: "a rectangle of the same area in each picture, at a random place, in one piece where cheeks are in two",
}
SHORT = {MOVED: "the shape itself, moved,", RECTANGLE: "rectangles"}


def show() -> None:
    """The whole view."""
    records, problems = cache_masks.part_studies()
    for problem in problems:
        st.warning(widgets.plain(problem), icon=":material/warning:")
    if not records:
        widgets.empty_state("No study of parts is stored. This command makes it (minutes per model):", KIND.command)
        return
    every, records = records, mask_study.choose(records)
    if not records:
        return
    _warn_of_other_controls(records)
    found = {record["run"]: cache_masks.part_numbers(record["name"]) for record in records}
    tables = {run: of_run.table for run, of_run in found.items()}
    told = {run: part_numbers.verdict(of_run) for run, of_run in found.items()}
    mask_study.show_headline(told, [part_numbers.leaders(of_run) for of_run in found.values()])
    slug = "-".join(["parts", *(records[0][field] for field in mask_study.CONDITIONS)])
    studies = {record["run"]: record["name"] for record in records}
    masks_measures.show(tables, studies, slug)
    mask_study.show_each(told)
    _show_flow(found, studies, slug)
    _show_conditions(records, tables)
    masks_measures.download(studies, slug)
    mask_study.show_not_studied(KIND, every, records[0])


def _show_flow(found: Mapping[str, PartNumbers], studies: Mapping[str, str], slug: str) -> None:
    """What one model takes the faces for when a part is hidden: at first the part that costs it most."""
    st.markdown("**Where predictions go**")
    with st.container(horizontal=True):
        run = state.choice("Model", list(found), key="flow-model") if len(found) > 1 else next(iter(found))
        shapes = list(found[run].by_drop.values)
        shape = state.choice("Part", shapes, key="study-part", format_func=part_numbers.TITLES.get)
    flow = cache_masks.part_flow(studies[run], shape)
    sankey = flow_sankey(flow, cache.run(run).run["class_names"])
    widgets.show_figure(sankey, f"{slug}-flow-{shape}-{run}", flow.assign(run=run, shape=shape))
    st.caption("Left the classes of the whole pictures, right those of the masked ones. Strong bands have changed.")


def _warn_of_other_controls(records: list[dict]) -> None:
    """Models beside random masks of different forms: what they lose beyond these is not one measure."""
    runs = _runs_by_control(records)
    if len(runs) > 1:
        forms = ", ".join(f"{SHORT[kind]} for {widgets.plain(', '.join(of_kind))}" for kind, of_kind in runs.items())
        old = KIND.remake(record for record in records if record["run"] in runs[RECTANGLE])
        commands = " and ".join(f"`{command} --again`" for command in old)
        st.warning(
            f"Random masks differ in form: {forms}. So what models lose beyond random compares only among those of one "
            f"form. The same form for all: {commands}",
            icon=":material/warning:",
        )


def _show_conditions(records: list[dict], tables: Mapping[str, pd.DataFrame]) -> None:
    first, *_ = records
    areas = part_numbers.area_words(tables[first["run"]])
    whole = {run: part_numbers.whole_accuracy(table) for run, table in tables.items()}
    st.caption(
        f"{first['n']:,} pictures; landmarks were found in {first['n_found']:,}, elsewhere the usual place is taken. "
        f"Hidden on average: {areas}. Random masks, {mask_study.control_words(records)}{_form_words(records)}. "
        f"{mask_study.views_words(records, whole)}"
    )


def _form_words(records: list[dict]) -> str:
    """What the random masks look like, for which models where they differ; nothing where there are none."""
    runs = _runs_by_control(records)
    if len(runs) < 2:
        return "".join(f": {FORMS[kind]}" for kind in runs)
    told = (f"for {widgets.plain(', '.join(of_kind))} {FORMS[kind]}" for kind, of_kind in runs.items())
    return f": {'; '.join(told)}"


def _runs_by_control(records: list[dict]) -> dict[str, list[str]]:
    """Form of the random masks -> the runs whose studies have such; runs without any are in none."""
    kinds = {record["run"]: control_kind(record["conditions"]) for record in records}
    return {kind: [run for run, own in kinds.items() if own == kind] for kind in FORMS if kind in kinds.values()}
