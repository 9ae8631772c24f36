"""Samples of a stored run: their pictures where the dataset is registered, else their ids."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from fer_core.artifacts import Run
from fer_core.errors import FerError
from fer_core.results import positions
from pages.ui import cache, state, widgets

PAGE_SIZE = 24


def show_samples(table: pd.DataFrame, captions: Sequence[str], *, run: Run, split: str, key: str) -> None:
    """One page of ``table`` (a row per sample, with ``sample_id``) as pictures, or as rows without the pictures.

    Args:
        table: samples in the order to show them.
        captions: one per row of ``table``.
        run: whose dataset the samples belong to.
        split: of the run; ``test_clean`` are pictures of ``test``.
        key: name of the page number in the address, and of the download.
    """
    if table.empty:
        st.info("No picture here.", icon=":material/check_circle:")
        return
    items = (run.name, split, len(table), table["sample_id"].iloc[0])
    number = state.page_number(len(table), PAGE_SIZE, key=key, of=items)
    window = slice((number - 1) * PAGE_SIZE, number * PAGE_SIZE)
    images, reason = pictures(run, split, table["sample_id"].to_numpy()[window])
    if reason:
        st.caption(reason)
    if images is None:
        widgets.show_table(table.iloc[window])
    else:
        widgets.picture_grid(images, list(captions)[window])
    widgets.download_table(table, f"{run.name}-{split}-{key}", "All of these (CSV)")


def pictures(run: Run, split: str, sample_ids: np.ndarray) -> tuple[list[np.ndarray] | None, str]:
    """Pictures of ``sample_ids``, or None; and what the reader should know about them."""
    remedy = "Ids only; to see the pictures: `python -m fer_core data add PATH`."
    if run.dataset not in cache.dataset_names():
        return None, f"{run.dataset} is not registered here. {remedy}"
    try:
        registered = cache.dataset(run.dataset)["test" if split == "test_clean" else split]
    except FerError as error:
        return None, f"{error} {remedy}"
    where = positions(registered.sample_ids, sample_ids)
    if where is None:
        return None, f"The registered {run.dataset} holds other pictures than this run was evaluated on. {remedy}"
    expected = run.run.get("dataset_fingerprint")
    other = expected and registered.fingerprint and expected != registered.fingerprint
    doubt = (
        f"The registered {run.dataset} is another copy than this run's; pictures are matched by id." if other else ""
    )
    return [np.asarray(registered.images[place]) for place in where], doubt
