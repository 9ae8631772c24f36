"""What belongs to a map: can it be trusted, and which parts of the face does it lie in?"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from fer_core.charts import trust as charts
from fer_core.charts.saliency import SCORE_TITLES
from fer_core.explain import across_trainings, faithfulness
from fer_core.explain.action_units import EMFACS, words
from fer_core.explain.faithfulness import FAILED, NOT_APPLICABLE, PASSED, UNDECIDED, Trust, Verdict
from fer_core.pictures import has_gradients
from fer_core.reporting import duration_text
from fer_core.wording import percent
from pages.ui import cache, cache_explain, widgets
from pages.ui.cache_explain import Asked

NEUTRAL = "neutral"
COLUMNS = {"map": "This map", "even": "Even map"}
SLOW = 20.0  # seconds of checks that start only when asked for
ASKED = "checks-asked"
LOOKS = {
    PASSED: (":material/check:", "green"),
    UNDECIDED: (":material/question_mark:", "orange"),
    FAILED: (":material/close:", "red"),
    NOT_APPLICABLE: (":material/remove:", "gray"),
}
ABOUT = {
    "Deletion": "Does the probability fall when the strongest pixels are hidden first?",
    "Insertion": "Does the probability rise when the strongest pixels are shown first?",
    "Randomisation": "Does the map change when the model forgets what it has learnt?",
    "Stability": "Does the map stay when the picture moves by a pixel, or another seed is drawn?",
    across_trainings.NAME: "Does the same recipe trained from another seed give the same map?",
    "Grid": "Is the map fine enough?",
}


def show_strip(run_name: str, asked: Asked, stem: str) -> Callable[[], None]:
    """A badge per check, in words what did not pass, and the curves on demand; of a slow model only when asked for.

    Other trainings have to be loaded first, which takes longest: what is returned does that, when the rest of the page
    is there, and completes the strip.
    """
    queries, seconds, slow = cost(run_name, asked)
    if slow and not _wanted(stem, run_name, queries, seconds):
        return _nothing
    pieces = in_pieces(run_name, asked)
    strip, place = st.empty(), st.empty()

    def check(with_trainings: bool) -> Trust:
        with place:
            report = widgets.progress_bar()
        checked = cache_explain.trust(run_name, asked, report, pieces, with_trainings)
        place.empty()
        with strip.container():
            _show_verdicts(checked)
            if checked.trainings is not cache_explain.LATER:
                _show_numbers(checked, stem)
        return checked

    def complete() -> None:
        check(with_trainings=True)

    if check(with_trainings=False).trainings is not cache_explain.LATER:
        return _nothing
    return complete


def _nothing() -> None:
    """Nothing is left to be done."""


def _show_verdicts(checked: Trust) -> None:
    """A badge per check, and in words what did not pass."""
    found = faithfulness.verdicts(checked)
    with st.container(horizontal=True, gap="small"):
        for verdict in found:
            icon, colour = LOOKS[verdict.outcome]
            if checked.trainings is cache_explain.LATER and verdict.name == across_trainings.NAME:
                st.badge(
                    f"{verdict.name} ...", icon=":material/hourglass_empty:", color=colour, help=ABOUT[verdict.name]
                )
                continue
            st.badge(_label(verdict), icon=icon, color=colour, help=f"{ABOUT[verdict.name]} {verdict.sentence}")
    failed = [verdict for verdict in found if verdict.outcome == FAILED]
    if failed:
        names = ", ".join(verdict.name.lower() for verdict in failed)
        reasons = " ".join(dict.fromkeys(verdict.sentence for verdict in failed))
        count = f"{len(failed)} of {len(found)} checks"
        st.warning(f"**This map fails {count}: {names}.** {reasons}", icon=":material/warning:")
    undecided = [verdict for verdict in found if verdict.outcome == UNDECIDED]
    of_trainings = next(verdict for verdict in found if verdict.name == across_trainings.NAME)
    curves = [verdict for verdict in undecided if verdict is not of_trainings]
    if curves:
        names = " and ".join(verdict.name.lower() for verdict in curves)
        reasons = " ".join(verdict.sentence for verdict in curves)
        st.info(f"**Not shown to beat random maps: {names}.** {reasons}", icon=":material/help:")
    if of_trainings in undecided:
        st.info(f"**Undecided: trainings.** {of_trainings.sentence}", icon=":material/help:")
    if of_trainings.outcome == NOT_APPLICABLE and checked.trainings is not cache_explain.LATER:
        st.caption(of_trainings.sentence)


def _show_numbers(checked: Trust, stem: str) -> None:
    """The curves and all numbers, to unfold and to download."""
    found = faithfulness.verdicts(checked)
    with st.expander("Curves and numbers of the checks"):
        curves = faithfulness.curve_frame(checked)
        widgets.show_figure(charts.pixel_curves(curves), f"{stem}-curves", curves)
        widgets.show_table(
            faithfulness.verdict_frame(found),
            column_config={"check": "Check", "outcome": "Outcome", "value": "Value", "words": "In words"},
        )
        widgets.download_table(faithfulness.verdict_frame(found), f"{stem}-checks", "Checks (CSV)")
        randomised = faithfulness.randomisation_frame(checked)
        if len(randomised):
            st.caption(
                "Similarity to the map of the model with its upper layers drawn anew, or some of its coefficients in "
                "another order; 100 % are all of them."
            )
            titles = {"spearman": "Rank correlation", "pearson": "Linear correlation"}
            numbers = {name: st.column_config.NumberColumn(title, format="%.2f") for name, title in titles.items()}
            share = st.column_config.NumberColumn("Drawn anew", format="percent")
            widgets.show_table(randomised, column_config=numbers | {"randomised": share})
        trainings = across_trainings.frame(checked.trainings)
        if len(trainings):
            st.caption("Similarity to the map of the same recipe trained from another seed.")
            number = st.column_config.NumberColumn("Rank correlation", format="%.2f")
            widgets.show_table(trainings, column_config={"run": "Training", "spearman": number})


def cost(run_name: str, asked: Asked) -> tuple[int, float, bool]:
    """About how many predictions and seconds the checks of a map take, and whether that is long."""
    queries, seconds = cache_explain.check_cost(run_name, asked)
    return queries, seconds, seconds > SLOW


def in_pieces(run_name: str, asked: Asked) -> bool:
    """Whether the checks are made piece by piece, each kept as soon as it is there."""
    return not has_gradients(cache.run(run_name)) and cost(run_name, asked)[2]


def _wanted(stem: str, run_name: str, queries: int, seconds: float) -> bool:
    """Whether the visitor wants to wait for the checks of this map; else says how long, with a button."""
    asked = st.session_state.setdefault(ASKED, set())
    if stem not in asked:
        place = st.empty()
        with place.container():
            st.caption(
                f"The checks cost as much as {queries:,} predictions of {widgets.plain(run_name)}, about "
                f"{duration_text(seconds)} here; what is done is kept."
            )
            if not st.button("Check this map", key=f"check-{stem}", icon=":material/timer:"):
                return False
        place.empty()
        asked.add(stem)
    return True


def _label(verdict: Verdict) -> str:
    """What stands on the badge; all but a pass is told in words too, not by its colour alone."""
    if verdict.outcome == PASSED:
        return f"{verdict.name} {verdict.value}"
    return f"{verdict.name} {verdict.outcome}" + (f": {verdict.value}" if verdict.value else "")


def show_regions(values: np.ndarray, points: np.ndarray, expression: str, stem: str, note: str = "") -> None:
    """The map's share in each part of the face, beside where the expression's action units show.

    ``note`` is said first: how sure it is that the parts lie there.
    """
    if not values.any():
        return
    table = cache_explain.region_table(values, points, expression)
    with st.expander("Parts of the face, beside the action units", expanded=True):
        if note:
            st.caption(note)
        scores = cache_explain.agreement(values, points, expression)
        if scores is None:
            lacks = "action units" if expression == NEUTRAL else "prototype here"
            st.caption(f"{expression} has no {lacks} to compare with.")
        elif scores["map"].isna().any():
            st.caption(f"No pixel of the picture lies in the parts of the face where {expression} shows.")
        else:
            mass = scores.set_index("score").loc["relevance_mass"]
            st.markdown(
                f"**{percent(mass['map'])}** of the map lies where {expression} shows (action units "
                f"{words(expression)}); of an even map {percent(mass['even'])} would."
            )
            _show_scores(scores, stem)
        widgets.show_figure(charts.region_bars(table), f"{stem}-regions", table)
        st.caption(f"Prototypes: {EMFACS}. A model may be right for other reasons than people are.")


def _show_scores(scores: pd.DataFrame, stem: str) -> None:
    """All scores of agreement beside those of an even map, which a map without preference gets."""
    named = scores.assign(score=scores["score"].map(SCORE_TITLES))
    numbers = {name: st.column_config.NumberColumn(title, format="%.2f") for name, title in COLUMNS.items()}
    widgets.show_table(named, column_config=numbers | {"score": "Score", "about": "What it is"})
    widgets.download_table(named, f"{stem}-agreement", "Agreement (CSV)")
