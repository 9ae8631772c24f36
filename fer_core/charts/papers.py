"""Figures about reported numbers beside measured ones. Tables in, plotly figures out; nothing here knows Streamlit."""

import textwrap

import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler

from fer_core.charts.results import BELOW, GREY, MARGIN, PALETTE

BLUE, ORANGE, GREEN = PALETTE[0], PALETTE[1], PALETTE[2]
# What a measured point says about the reported value -> name, colour, symbol; told apart without colour too.
VERDICTS: dict[str, tuple[str, str, str]] = {
    "inside": ("measured, reported value inside the interval", GREEN, "circle"),
    "better": ("measured, better", BLUE, "triangle-up"),
    "worse": ("measured, worse", ORANGE, "triangle-down"),
    "same": ("measured", GREY, "circle"),
    "other": ("measured on other data than the paper's", GREY, "square"),
}
# Light grounds under black text.
GROUNDS: dict[int, str] = {
    1: "background-color: #CFE3F2; color: #000000",
    -1: "background-color: #FBE0B0; color: #000000",
}


def reported_against_measured(frame: pd.DataFrame, label: str, whole: bool = False) -> go.Figure:
    """A line per system: reported values as open diamonds, measured ones with their 95 % intervals.

    Args:
        frame: rows of ``reported.comparison_table`` for one metric: system, run, model, reported, measured, low, high,
            inside, better, same_data, differs_from_recipe.
        label: of the value axis.
        whole: whether the values are counts.
    """
    form = ",.0f" if whole else ".4f"
    frame = frame.assign(line=[_line(row) for row in frame.itertuples()], verdict=[*map(_verdict, frame.itertuples())])
    lines = list(dict.fromkeys(frame["line"]))
    row_height = max(40, 10 + 16 * max((line.count("<br>") + 1 for line in lines), default=1))
    plot_height = row_height * max(len(lines), 1)
    figure = go.Figure()
    for row in frame[frame["measured"].notna()].itertuples():
        ends = {"x": [row.reported, row.measured], "y": [row.line, row.line]}
        figure.add_scatter(**ends, mode="lines", line={"color": GREY, "width": 1}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=frame["reported"],
        y=frame["line"],
        name="reported",
        mode="markers",
        marker={"symbol": "diamond-open", "size": 11, "color": GREY, "line": {"width": 2}},
        customdata=frame["where"],
        hovertemplate=f"%{{x:{form}}} in %{{customdata}}<extra>reported</extra>",
    )
    # A value reported twice gives a run two rows but one point: inside if any of the reported values is.
    points = frame[frame["measured"].notna()].sort_values("verdict", key=lambda of: of.map([*VERDICTS].index))
    points = points.drop_duplicates("run")
    for verdict, (name, colour, symbol) in VERDICTS.items():
        rows = points[points["verdict"] == verdict]
        if len(rows):
            figure.add_scatter(
                x=rows["measured"],
                y=rows["line"],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": (rows["high"] - rows["measured"]).fillna(0.0),
                    "arrayminus": (rows["measured"] - rows["low"]).fillna(0.0),
                    "thickness": 1.5,
                    "width": 4,
                },
                name=name,
                mode="markers",
                marker={"symbol": symbol, "size": 11, "color": colour},
                customdata=rows[["run", "difference"]].assign(differs=rows["differs_from_recipe"].map(_other_settings)),
                hovertemplate=f"%{{x:{form}}} (%{{customdata[1]:+{form}}})%{{customdata[2]}}"
                "<extra>%{customdata[0]}</extra>",
            )
    order = {"autorange": "reversed", "categoryorder": "array", "categoryarray": lines, "title": None}
    figure.update_layout(
        height=130 + plot_height,
        margin=MARGIN,
        legend=BELOW | {"y": -60 / plot_height},
        showlegend=True,
        xaxis={"title": label},
        yaxis=order | {"tickfont": {"size": 11}},
    )
    return figure


def style_differences(table: pd.DataFrame, whole: bool = False) -> Styler:
    """``reported.shown`` with every difference signed, and on a ground that says whether it is for the better.

    Blue is better, orange worse; a difference within the printed digits, between different data, or one that is neither
    for better nor worse, has none.

    Args:
        table: columns reported, measured, difference, better; the last is taken out.
        whole: numbers are counts.
    """
    digits = ",.0f" if whole else ".4f"
    grounds = [GROUNDS.get(0 if pd.isna(value) else int(value), "") for value in table["better"]]
    table = table.drop(columns="better")
    formats = {"reported": f"{{:{digits}}}", "measured": f"{{:{digits}}}", "difference": f"{{:+{digits}}}"}
    formats |= dict.fromkeys(("n", "input_size", "epochs"), "{:,.0f}")
    style = table.style.format({name: form for name, form in formats.items() if name in table}, na_rep="")
    return style.apply(lambda column: grounds, subset=["difference"])


def _line(row) -> str:
    """What stands at the axis: the system, and the model that was measured."""
    words = row.system.replace("_", " ").replace(":", ": ")
    return "<br>".join([*textwrap.wrap(words, 24), *([f"<i>{row.model}</i>"] if row.model else [])])


def _other_settings(differs: str) -> str:
    return f"<br>{'<br>'.join(textwrap.wrap(differs, 48))}" if differs else ""


def _verdict(row) -> str:
    if not pd.isna(row.same_data) and not row.same_data:
        return "other"
    if not pd.isna(row.inside) and row.inside:
        return "inside"
    return {1: "better", -1: "worse"}.get(0 if pd.isna(row.better) else int(row.better), "same")
