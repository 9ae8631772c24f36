"""Sweeps on the Training page: those among the artifacts, and those of this machine as they go on."""

import pandas as pd
import streamlit as st

from fer_core import jobs
from fer_core.charts import training as charts
from fer_core.errors import FerError
from fer_core.training import sweep_export
from fer_core.wording import percent
from pages.ui import cache, state, widgets

LOOK_EVERY_S = 5.0
HERE = " (on this machine)"
COMMAND = (
    "python -m fer_core sweep run compact fer2013 --trials 20 --epochs 8 "
    "--space learning_rate=1e-3..3e-1:log --space batch_size=64,128,256"
)


def show() -> None:
    """Choose a sweep and see it; one that is not exported yet is read anew every few seconds."""
    exported, own = cache.sweep_names()
    here = {f"{name}{HERE}" if name in exported else name: name for name in own if _is_news(name, exported)}
    names = [*here, *(name for name in exported if name not in here)]
    if not names:
        widgets.empty_state("No sweep yet. This command varies two settings:", COMMAND)
        return
    name = state.choice("Sweep", names, key="sweep")
    if name in here:
        st.fragment(_show_own, run_every=LOOK_EVERY_S)(here[name])
    else:
        _show_exported(name)


def _is_news(name: str, exported: list[str]) -> bool:
    """Whether a sweep of this machine is another one than the exported one of its name, or has gone on since."""
    if name not in exported:
        return True
    try:
        frame, record = cache.own_sweep(name)
        kept, of_kept = cache.sweep(name)
    except FerError:  # shown where it is chosen
        return True
    return not sweep_export.same(record, of_kept) or int(frame["state"].isin(sweep_export.FINISHED).sum()) != len(kept)


def _show_exported(name: str) -> None:
    with widgets.page_errors():
        frame, record = cache.sweep(name)
        _show_trials(name, frame, record)


def _show_own(name: str) -> None:
    with widgets.page_errors():
        frame, record = cache.own_sweep(name)
        finished = int(frame["state"].isin(sweep_export.FINISHED).sum())
        st.progress(finished / record["trials"], f"{finished} of {record['trials']} trials have ended")
        if record["best_trial"] is None:
            st.info(f"No trial of {record['model']} on {record['dataset']} is complete yet; this page looks again.")
            widgets.show_table(frame)
            return
        _show_trials(name, frame, record)
        st.markdown("Keep it among the artifacts:")
        st.code(f"python -m fer_core sweep export {name}", language="bash")


def _show_trials(name: str, frame: pd.DataFrame, record: dict) -> None:
    number, model, settings = sweep_export.best_settings(frame, record)
    best = frame[frame["trial"] == number].iloc[0]
    counts = ", ".join(f"{count} {kind}" for kind, count in record["states"].items())
    st.markdown(
        f"**{record['model']}** on **{record['dataset']}**, sampler {record['sampler']}: {counts}. Best is trial "
        f"{number} with **{percent(best['val_accuracy'])}** on val (train {percent(best['train_accuracy'])}), judged "
        "on val alone; test was not looked at."
    )
    widgets.show_figure(charts.sweep_lines(frame, record["space"]), f"sweep-{name}", frame)
    st.subheader("Does a higher val accuracy come with a larger gap to train?")
    widgets.show_figure(charts.sweep_scatter(frame, list(record["space"]), number), f"sweep-gap-{name}", frame)
    st.caption("Discrepancy: train accuracy minus val accuracy of the kept weights, without augmentation.")
    st.markdown("Train the best trial's settings and measure them on test:")
    st.code(jobs.command_text(jobs.train_arguments(model, record["dataset"], settings)), language="bash")
    with st.expander("All trials"):
        widgets.show_table(frame)
