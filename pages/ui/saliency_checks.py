"""The checks of many maps as a strip under a model's mean maps. Stored results only."""

import re
from collections.abc import Mapping

import streamlit as st

from fer_core.explain import checks_numbers, checks_study
from fer_core.explain.check_basics import FAILED, NOT_APPLICABLE, PASSED, UNDECIDED
from fer_core.explain.checks_numbers import FEW_PASS, MOST_FAIL, MOST_PASS
from fer_core.explain.faithfulness import grid_verdict
from fer_core.explain.saliency import METHODS
from fer_core.explain.saliency_numbers import RIGHT
from fer_core.wording import percent
from pages.ui import cache_study, state, widgets
from pages.ui.saliency_trust import ABOUT, LOOKS

OUTCOMES = {MOST_PASS: PASSED, UNDECIDED: UNDECIDED, NOT_APPLICABLE: NOT_APPLICABLE}
OUTCOMES |= {MOST_FAIL: FAILED, FEW_PASS: FAILED}


def show_strip(maps: Mapping, which: str) -> None:
    """A badge per check and the verdict in words, of the maps whose study has the record ``maps``.

    Args:
        which: the pictures that count, see :func:`fer_core.explain.checks_numbers.check_table`.
    """
    records, problems = cache_study.checks_records()
    record = checks_study.of_maps(records, maps)
    if record is None:
        st.caption(_why_none(records, problems, maps))
        return
    table = cache_study.check_table(record["name"], which)
    with st.container(horizontal=True, gap="small"):
        for row in table.to_dict("records"):
            icon, colour = LOOKS[OUTCOMES[row["says"]]]
            st.badge(
                _label(row, record), icon=icon, color=colour, help=f"{ABOUT[row['check']]} {_sentence(row, record)}"
            )
    st.markdown(widgets.plain(cache_study.checks_verdict(record["name"], which)))
    empty = cache_study.empty_checked_maps(record["name"], which)
    st.caption(
        f"Checked on {record['n']:,} of {record['n_split']:,} faces, spread over the split"
        + (", of which those recognised count" if which == RIGHT else "")
        + (f"; {empty} of the maps are empty, which fails" if empty else "")
        + ". Green: more than half pass, red: more than half do not, both beyond chance (95 % intervals of Wilson)."
    )
    slug = f"{record['name']}-{which.split()[0]}"
    with st.container(horizontal=True, gap="small"):
        widgets.download_table(table, slug, "Checks (CSV)")
        widgets.download_table(
            lambda: checks_numbers.picture_rows(cache_study.checks(record["name"]), which),
            f"{slug}-faces",
            "Checks of each face (CSV)",
        )


def show_methods(maps: list[dict], which: str) -> None:
    """One model's checks by all methods, of the maps whose studies have the records ``maps``."""
    stored = cache_study.checks_records()[0]
    found = [record for record in (checks_study.of_maps(stored, one) for one in maps) if record is not None]
    runs = list(dict.fromkeys(record["run"] for record in found))
    if not runs:
        st.caption(f"None of these maps are checked yet. To check them: `{checks_study.KIND.command}`")
        return
    st.markdown("**Which methods stand the checks?**")
    most = max(runs, key=[record["run"] for record in found].count)
    run = runs[0] if len(runs) == 1 else state.choice("Checks of", runs, key="study-checked", default=most)
    of_run = [record for record in found if record["run"] == run]
    studies = {METHODS[record["method"]].title: cache_study.checks(record["name"]) for record in of_run}
    table = checks_numbers.method_grid(studies, which)
    columns = {name: st.column_config.Column(help=about, width="medium") for name, about in ABOUT.items()}
    columns |= {"method": st.column_config.Column("Method", pinned=True), "all": "Every check"}
    widgets.show_table(table, column_config=columns)
    st.caption(
        f"{widgets.plain(run)}: on how many faces each check passes, most of them unless something else is said (95 % "
        "intervals of Wilson). A cell is empty where the check does not apply."
    )
    slug = f"checks-{run}-{of_run[0]['split']}-all-methods-{which.split()[0]}"
    widgets.download_table(table, slug, "Checks by method (CSV)")


def _why_none(records: list[dict], problems: list[str], maps: Mapping) -> str:
    """Why no stored study checks these maps, and the command that makes it."""
    name = checks_study.KIND.study_name(maps["run"], maps["split"], maps["method"])
    problem = next((one for one in problems if name in re.split(r"[\\/ ]", one)), None)
    if problem:
        return widgets.plain(problem)
    command = checks_study.command_for(maps)
    if any(record["name"] == name for record in records):
        return f"The checks stored here are of another layer or other options. To check these maps: `{command} --again`"
    return f"These maps are not checked yet. To check them: `{command}`"


def _label(row: Mapping, record: Mapping) -> str:
    """What stands on the badge; all but a pass is told in words too, not by its colour alone."""
    if row["says"] == NOT_APPLICABLE:
        return f"{row['check']} {NOT_APPLICABLE}"
    grid = grid_verdict(record["grid"])
    if row["check"] == grid.name:
        return f"{grid.name} {grid.value}" + (": too coarse" if grid.outcome == FAILED else "")
    return f"{row['check']}: {checks_numbers.pass_words(row)}"


def _sentence(row: Mapping, record: Mapping) -> str:
    if row["says"] == NOT_APPLICABLE:
        return row["words"]
    grid = grid_verdict(record["grid"])
    if row["check"] == grid.name:
        return grid.sentence
    return (
        f"Passes on {percent(row['share'])} [{percent(row['low'])}, {percent(row['high'])}] of {row['n']} faces, "
        f"undecided on {row['undecided']}, fails on {row['failed']}."
    )
