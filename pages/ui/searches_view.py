"""Searches for an SVM's settings on the Training page, as they are stored among the artifacts."""

import streamlit as st

from fer_core import jobs
from fer_core.charts import training as charts
from fer_core.training import searches
from fer_core.wording import percent
from pages.ui import state, widgets

COMMAND = "python -m fer_core search svm_hog_rbf fer2013 --limit 6000"


def show() -> None:
    names = searches.names()
    if not names:
        widgets.empty_state("No search yet. This command tries C and gamma of a support vector machine:", COMMAND)
        return
    name = state.choice("Search", names, key="search")
    with widgets.page_errors():
        _show(name)


def _show(name: str) -> None:
    frame, record = searches.read(name)
    best, tried = frame.iloc[0], searches.varied(frame)
    found = ", ".join(f"{setting} {best[setting]:.3g}" for setting in tried)
    st.markdown(
        f"**{record['model']}** on **{record['dataset']}**: best of {len(frame)} settings is **{found}** with "
        f"**{percent(best['accuracy'])}** (standard deviation over folds {100 * best['accuracy_std']:.1f} points)."
    )
    how = "on a grid" if record["method"] == "grid" else "drawn at random"
    st.caption(
        f"Settings {how}, {record['folds']}-fold cross-validation by {record['folds_by']} on {record['n']:,} pictures "
        f"of the {record['split']} split; val and test were not looked at."
    )
    widgets.show_figure(charts.search_lines(frame), f"search-{name}", frame)
    st.markdown(_advice(frame))
    arguments = searches.best_arguments(frame, record)
    st.code(
        jobs.command_text(jobs.train_arguments(record["model"], record["dataset"], {"arguments": arguments})),
        language="bash",
    )
    with st.expander("All settings"):
        widgets.show_table(frame)


def _advice(frame) -> str:
    as_good, edges = searches.as_good(frame), searches.edges(frame)
    others = {0: "No other setting lies", 1: "One other setting lies"}.get(as_good, f"{as_good} other settings lie")
    said = f"{others} within one standard deviation of the best."
    if edges:
        said += f" The best {' and '.join(edges)} stand{'s' * (len(edges) == 1)} at the edge of what was tried."
    return f"{said} Train the best:"
