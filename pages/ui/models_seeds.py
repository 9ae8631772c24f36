"""Recipes trained from several seeds: how far their results differ by luck."""

import streamlit as st

from fer_core import seed_spread
from fer_core.artifacts import Run
from fer_core.training import seeds
from pages.ui import widgets

TITLES = {"accuracy": "accuracy", "macro_f1": "macro F1"}
HEADINGS = {"mean": "mean", "sd": "SD", "low": "lowest", "high": "highest"}
HELP = {"sd": "Standard deviation over the trainings, divided by n - 1"}


def show(runs: list[Run], split: str, dataset: str) -> None:
    """A row per recipe that was trained from several seeds, and what that says about single trainings."""
    groups = seeds.groups(run for run in runs if run.dataset == dataset)
    table = seed_spread.seed_rows(groups, split)
    if table.empty:
        return
    with st.expander("Trained several times", expanded=True):
        widgets.show_table(table.drop(columns="dataset"), column_config=_columns())
        st.markdown(_sentence(seed_spread.luck(groups, split), len(table)))
        st.caption(
            "Runs that differ in the seed alone. The bound is t (97.5 %) × pooled SD × √2; it takes results of all "
            "recipes to spread alike from seed to seed (Bouthillier et al. 2021)."
        )
        widgets.download_table(table, f"seeds-{dataset}-{split}")


def same_recipe(a: Run, b: Run) -> str:
    """What must be said beside a comparison of two runs of one recipe; empty for others."""
    if not seeds.in_seed_alone(a, b):
        return ""
    return (
        "A and B are trainings of one recipe that differ in the seed alone: whatever p says, their difference is the "
        "luck of a seed."
    )


def _sentence(found: list[seed_spread.Luck], recipes: int) -> str:
    bounds = " and ".join(f"**{100 * one.least:.1f} points** of {TITLES[one.measure]}" for one in found)
    spread = " and ".join(f"{100 * one.sd:.2f}" for one in found)
    count = "one recipe" if recipes == 1 else f"{recipes} recipes"
    return (
        f"A difference between two single trainings must exceed {bounds} to be more than the luck of a seed "
        f"(pooled SD {spread} points, {found[0].degrees} degrees of freedom from {count})."
    )


def _columns() -> dict:
    number, plain = st.column_config.NumberColumn, st.column_config.Column
    columns = {"model": plain("Model", pinned=True), "seeds": plain("Seeds"), "n": number("Trainings")}
    for measure, title in TITLES.items():
        for name, heading in HEADINGS.items():
            shown = "percent" if measure == "accuracy" else "%.4f" if name == "sd" else "%.3f"
            columns[f"{measure}_{name}"] = number(
                f"{title[0].upper()}{title[1:]}, {heading}", format=shown, help=HELP.get(name)
            )
    return columns
