"""Figures about datasets. Tables in, plotly figures out; nothing here knows Streamlit."""

import pandas as pd
import plotly.graph_objects as go

from fer_core.charts.results import BELOW, MARGIN, PALETTE

SPLIT_COLOURS: dict[str, str] = {"train": PALETTE[0], "val": PALETTE[1], "test": PALETTE[2]}


def class_balance(frame: pd.DataFrame, measure: str = "share") -> go.Figure:
    """Bars by class, one colour per split; counts and shares on each bar.

    Args:
        frame: columns split, class, count, share, as :func:`fer_core.datasets.overview.balance` returns them.
        measure: ``share`` or ``count``, the height of the bars.
    """
    return _bars(frame, "split", measure, {name: SPLIT_COLOURS.get(name, PALETTE[6]) for name in frame["split"]})


def dataset_shares(frame: pd.DataFrame, measure: str = "share") -> go.Figure:
    """Bars by class, one colour per dataset.

    Args:
        frame: columns dataset, class, count, share, as :func:`fer_core.datasets.overview.shares` returns them.
        measure: ``share`` or ``count``, the height of the bars.
    """
    names = list(dict.fromkeys(frame["dataset"]))
    return _bars(frame, "dataset", measure, {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(names)})


def _bars(frame: pd.DataFrame, by: str, measure: str, colours: dict[str, str]) -> go.Figure:
    figure = go.Figure()
    for name, rows in frame.groupby(by, sort=False):
        share = measure == "share"
        figure.add_bar(
            x=rows["class"],
            y=rows[measure],
            name=str(name),
            marker={"color": colours[str(name)]},
            customdata=rows[["count", "share"]],
            texttemplate="%{customdata[1]:.1%}" if share else "%{customdata[0]:,}",
            textposition="outside",
            textfont={"size": 11},
            cliponaxis=False,
            hovertemplate="%{x}: %{customdata[0]:,} pictures, %{customdata[1]:.1%}<extra>" + str(name) + "</extra>",
        )
    figure.update_layout(
        barmode="group",
        height=380,
        margin=MARGIN,
        legend=BELOW,
        uniformtext={"minsize": 9, "mode": "hide"},
        yaxis={"title": "share of the split" if by == "split" and measure == "share" else measure},
    )
    if measure == "share":
        figure.update_yaxes(tickformat=".0%")
    return figure
