"""Figures about stored results. Tables and arrays in, plotly figures out; nothing here knows Streamlit.

Colours are those of Okabe and Ito (2008), told apart by colour-blind people and readable on light and dark ground.
Backgrounds and text colours are left to the theme; only text on coloured cells is set.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb
from plotly.subplots import make_subplots

PALETTE: tuple[str, ...] = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#B5A300")
SEQUENTIAL = [[0.0, "#EAF1F8"], [0.5, "#5B9BD0"], [1.0, "#08306B"]]
DIVERGING = [[0.0, "#B35806"], [0.25, "#F1A340"], [0.5, "#F7F7F7"], [0.75, "#998EC3"], [1.0, "#542788"]]
GREY = "#8C8C8C"
FEW_EPOCHS = 10
FRAME_ROOM = 0.06  # of a cell, round a matrix: the frame of a cell at its edge is not cut
SYMBOLS = {"a": "circle", "b": "diamond", "neither": "circle-open"}
LABELS = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "roc_auc": "ROC AUC",
    "mean_tpr": "mean TPR",
    "mean_fpr": "mean FPR ↓",
    "log_loss": "log loss ↓",
    "brier_score": "Brier score ↓",
    "ece": "ECE ↓",
    "top2_accuracy": "top-2 accuracy",
}
MARGIN = {"l": 8, "r": 8, "t": 36, "b": 8}
BELOW = {"orientation": "h", "yanchor": "top", "y": -0.16, "x": 0, "title": None}
LEGEND_LINE, LEGEND_MARK, LEGEND_LETTER = 22, 50, 6  # pixels of a line, of an entry's symbol, of a letter
LEGEND_WIDTH, LEGEND_MOST = 700, 240  # pixels: of a line in a wide window, and of all lines before they scroll
RUN_NAME = re.compile(r"([^-]+)-(.+-s\d+)-(\d{8}(?:-\d+)?)")


def run_colours(names: Iterable[str], shown: Iterable[str] = ()) -> dict[str, str]:
    """One colour per run, by place in the sorted ``names``: give all runs, so that a choice among them keeps it.

    Of several ``shown`` ones with one colour, all but the first get others that none of them has, while there are any.
    """
    colours = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(sorted(set(names)))}
    shown = sorted(set(shown) & set(colours))
    own = {colours[name]: name for name in reversed(shown)}
    free = [colour for colour in PALETTE if colour not in own]
    moved = [name for name in shown if own[colours[name]] != name]
    return colours | dict(zip(moved, free, strict=False))


def other_colours(taken: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Colours for ``names`` that are no runs: none of those ``taken`` by runs, grey where no more is left."""
    names, taken = list(dict.fromkeys(names)), set(taken)
    free = [colour for colour in PALETTE if colour not in taken]
    return dict.fromkeys(names, GREY) | dict(zip(names, free, strict=False))


def short_names(runs: Iterable[str]) -> dict[str, str]:
    """Run -> a name for a legend, without what tells none of ``runs`` apart: the dataset, and the day of the training.

    Names that are not made as those of runs are (``dataset-model-s0-20261126``) stay as they are.
    """
    runs = list(dict.fromkeys(runs))
    parts = {run: found.groups() for run in runs if (found := RUN_NAME.fullmatch(run))}
    one_dataset = len({dataset for dataset, _, _ in parts.values()}) == 1
    counts = Counter((dataset, recipe) for dataset, recipe, _ in parts.values())
    short = {run: run for run in runs}
    for run, (dataset, recipe, day) in parts.items():
        before, after = "" if one_dataset else f"{dataset}-", f"-{day}" if counts[dataset, recipe] > 1 else ""
        short[run] = f"{before}{recipe}{after}"
    return short


def legend_below(names: Iterable[str], plot_height: int, gap: int) -> tuple[dict, int]:
    """A legend in lines below a plot, and the height in pixels to leave for it in a wide window.

    A narrow window has more lines of it, which plotly takes from the plot; a long one scrolls.

    Args:
        names: of its entries.
        plot_height: in pixels, without the legend.
        gap: pixels between the plot and the legend, for the axis.
    """
    widths = sum(LEGEND_MARK + LEGEND_LETTER * len(name) for name in names)
    height = LEGEND_LINE * max(1, -(-widths // LEGEND_WIDTH))
    look = {"y": -gap / max(plot_height, 1), "font": {"size": 11}, "maxheight": LEGEND_MOST, "tracegroupgap": 0}
    return BELOW | look, height


def metric_intervals(frame: pd.DataFrame, colours: Mapping[str, str]) -> go.Figure:
    """Points with 95 % intervals, one row per metric and one colour per run.

    Args:
        frame: columns run, metric, value, low, high.
        colours: see :func:`run_colours`.
    """
    figure = go.Figure()
    for run, rows in frame.groupby("run", sort=False):
        figure.add_scatter(
            x=rows["value"],
            y=_labels(rows["metric"]),
            error_x=_errors(rows),
            name=run,
            mode="markers",
            marker={"color": colours[run], "size": 10},
            offsetgroup=run,
            orientation="h",
            hovertemplate="%{y}: %{x:.4f} [%{customdata[0]:.4f}, %{customdata[1]:.4f}]<extra>" + str(run) + "</extra>",
            customdata=rows[["low", "high"]],
        )
    runs, metrics = max(frame["run"].nunique(), 1), max(frame["metric"].nunique(), 1)
    figure.update_layout(
        scattermode="group",
        height=90 + metrics * (26 + 14 * runs),
        margin=MARGIN,
        legend=BELOW,
        yaxis={"autorange": "reversed", "title": None},
        xaxis={"title": None, "rangemode": "normal"},
    )
    return figure


def metric_differences(frame: pd.DataFrame, a: str, b: str, colours: Mapping[str, str]) -> go.Figure:
    """Differences of two runs with 95 % intervals around a line at zero, coloured by the run that is better.

    Args:
        frame: columns metric, difference, low, high, better, as :func:`fer_core.comparison.differences` returns them.
        a, b: names of the runs.
        colours: see :func:`run_colours`.
    """
    figure = go.Figure()
    groups = {"a": (f"{a} is better", colours[a]), "b": (f"{b} is better", colours[b]), "neither": ("no telling", GREY)}
    for better, (name, colour) in groups.items():
        rows = frame[frame["better"] == better].assign(value=frame["difference"])
        if len(rows):
            figure.add_scatter(
                x=rows["value"],
                y=_labels(rows["metric"]),
                error_x=_errors(rows),
                name=name,
                mode="markers",
                marker={"color": colour, "size": 10, "symbol": SYMBOLS[better]},
                customdata=rows[["low", "high"]],
                hovertemplate="%{y}: %{x:+.4f} [%{customdata[0]:+.4f}, %{customdata[1]:+.4f}]<extra></extra>",
            )
    figure.add_vline(x=0, line={"width": 1, "color": GREY})
    order = {"autorange": "reversed", "categoryorder": "array", "categoryarray": _labels(frame["metric"])}
    figure.update_layout(
        height=110 + 34 * max(len(frame), 1), margin=MARGIN, yaxis=order, legend=BELOW | {"y": -0.1}, showlegend=True
    )
    return figure


def class_bars(frame: pd.DataFrame, colours: Mapping[str, str], label: str = "F1") -> go.Figure:
    """Grouped bars: classes along the axis, a colour per run.

    Args:
        frame: columns run, class, value, and low and high where there are intervals (else NaN).
        label: of the value axis.
    """
    figure = go.Figure()
    for run, rows in frame.groupby("run", sort=False):
        figure.add_bar(
            x=rows["class"],
            y=rows["value"],
            error_y=_errors(rows) if rows["low"].notna().any() else None,
            name=run,
            marker={"color": colours[run]},
            hovertemplate="%{x}: %{y:.3f}<extra>" + str(run) + "</extra>",
        )
    figure.update_layout(
        barmode="group", height=380, margin=MARGIN, legend=BELOW, yaxis={"title": label, "range": [0, 1]}
    )
    return figure


def learning_curves(histories: Mapping[str, pd.DataFrame], colours: Mapping[str, str]) -> go.Figure:
    """Loss above accuracy by epoch; validation drawn through, training dotted.

    Args:
        histories: run -> columns epoch and any of loss, val_loss, accuracy, val_accuracy.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    for run, history in histories.items():
        epochs = history["epoch"] if "epoch" in history else np.arange(1, len(history) + 1)
        for row, quantity in enumerate(("loss", "accuracy"), start=1):
            for column, part, dash in ((quantity, "train", "dot"), (f"val_{quantity}", "val", "solid")):
                if column in history:
                    figure.add_scatter(
                        x=epochs,
                        y=history[column],
                        name=f"{run}, {part}",
                        legendgroup=f"{run}, {part}",
                        showlegend=row == 1,
                        mode="lines" if len(history) > 1 else "markers",
                        line={"color": colours[run], "dash": dash, "width": 2},
                        hovertemplate="epoch %{x}: %{y:.4f}<extra>" + f"{run}, {part}" + "</extra>",
                        row=row,
                        col=1,
                    )
    figure.update_yaxes(title="loss", row=1, col=1)
    figure.update_yaxes(title="accuracy", row=2, col=1)
    figure.update_xaxes(title="epoch", row=2, col=1)
    if max((len(history) for history in histories.values()), default=0) <= FEW_EPOCHS:
        figure.update_xaxes(tick0=1, dtick=1)  # plotly would put ticks between epochs
    figure.update_layout(height=560, margin=MARGIN, legend=BELOW | {"y": -0.12})
    return figure


def confusion_heatmap(
    matrix: np.ndarray,
    class_names: Sequence[str],
    kind: str = "counts",
    selected: tuple[int, int] | None = None,
    counts: np.ndarray | None = None,
) -> go.Figure:
    """A confusion matrix, rows true and columns predicted, whose cells can be clicked.

    Streamlit reports no selection on heatmaps; an invisible marker in each cell takes the click. Its ``x`` is the
    predicted class and its ``y`` the true one, as positions in ``class_names``.

    Args:
        matrix: (K, K), counts, shares of a row, or a difference of either.
        kind: ``counts``, ``rows`` (shares, shown in per cent), ``count difference`` or ``row difference``.
        selected: cell to frame, (true, predicted).
        counts: counts to show on hover beside shares.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    k = len(class_names)
    shares, difference = kind in ("rows", "row difference"), "difference" in kind
    scale, low, high = _scale(matrix, shares, difference)
    rows, columns = np.divmod(np.arange(k * k), k)
    figure = go.Figure(
        go.Heatmap(z=matrix, zmin=low, zmax=high, colorscale=scale, showscale=False, xgap=1, ygap=1, hoverinfo="skip")
    )
    texts = [_cell_text(value, shares, difference) for value in matrix.ravel()]
    hover = [
        f"true {class_names[i]}<br>predicted {class_names[j]}<br>{text}"
        + ("" if counts is None else f"<br>{int(counts[i][j])} pictures")
        for i, j, text in zip(rows, columns, texts, strict=True)
    ]
    invisible = {"marker": {"opacity": 0}}
    figure.add_scatter(
        x=columns.tolist(),
        y=rows.tolist(),
        mode="markers+text",
        text=texts,
        textfont={"color": [_text_on(value, scale, low, high) for value in matrix.ravel()], "size": 13},
        marker={"symbol": "square", "size": 34, "opacity": 0},
        selected=invisible,
        unselected=invisible,
        hovertext=hover,
        hoverinfo="text",
        showlegend=False,
    )
    if selected is not None:
        true, predicted = selected
        corners = {"x0": predicted - 0.5, "x1": predicted + 0.5, "y0": true - 0.5, "y1": true + 0.5}
        for colour, width in (("#000000", 6), ("#FFFFFF", 2)):  # seen on every colour of a cell
            figure.add_shape(type="rect", **corners, line={"color": colour, "width": width})
    low, high = -0.5 - FRAME_ROOM, k - 0.5 + FRAME_ROOM
    ticks = {"tickvals": list(range(k)), "ticktext": list(class_names), "showgrid": False, "zeroline": False}
    figure.update_layout(
        height=90 + 62 * k,
        margin=MARGIN,
        xaxis=ticks | {"title": "predicted", "range": [low, high], "fixedrange": True},
        yaxis=ticks | {"title": "true", "range": [high, low], "fixedrange": True},
        hovermode="closest",
        hoverdistance=60,
        clickmode="event+select",
        dragmode=False,
    )
    return figure


def reliability_diagram(bins: Mapping[str, Mapping[str, np.ndarray]], colours: Mapping[str, str]) -> go.Figure:
    """Accuracy against mean confidence per bin; on the diagonal a confidence is what it says.

    Args:
        bins: run -> what :func:`fer_core.metrics.reliability` returns. Markers grow with the number of samples.
    """
    figure = go.Figure()
    diagonal = {"color": GREY, "dash": "dash", "width": 1}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="perfectly calibrated", hoverinfo="skip")
    for run, of_run in bins.items():
        filled = of_run["count"] > 0
        count = of_run["count"][filled]
        figure.add_scatter(
            x=of_run["confidence"][filled],
            y=of_run["accuracy"][filled],
            name=run,
            mode="lines+markers",
            line={"color": colours[run], "width": 2},
            marker={"size": 6 + 18 * np.sqrt(count / max(count.sum(), 1)), "opacity": 0.8},
            customdata=count,
            cliponaxis=False,
            hovertemplate="confidence %{x:.3f}, accuracy %{y:.3f}, %{customdata} pictures<extra>"
            + str(run)
            + "</extra>",
        )
    figure.update_layout(
        height=420,
        margin=MARGIN,
        legend=BELOW,
        xaxis={"title": "confidence", "range": [0, 1]},
        yaxis={"title": "accuracy", "range": [0, 1]},
    )
    return figure


def _labels(names: Iterable[str]) -> list[str]:
    """Metric names for people; an arrow marks those where lower is better."""
    return [LABELS.get(name, name) for name in names]


def _errors(rows: pd.DataFrame) -> dict:
    return {
        "type": "data",
        "symmetric": False,
        "array": rows["high"] - rows["value"],
        "arrayminus": rows["value"] - rows["low"],
        "thickness": 1.5,
        "width": 4,
    }


def _scale(matrix: np.ndarray, shares: bool, difference: bool) -> tuple[list, float, float]:
    """Colour scale and its ends: shares run to 1, counts to their maximum, differences are symmetric about 0."""
    if difference:
        end = float(np.abs(matrix).max(initial=0.0)) or 1.0
        return DIVERGING, -end, end
    return SEQUENTIAL, 0.0, 1.0 if shares else float(matrix.max(initial=0.0)) or 1.0


def _cell_text(value: float, shares: bool, difference: bool) -> str:
    if not difference:
        return f"{100 * value:.0f} %" if shares else f"{value:.0f}"
    text = f"{100 * value:+.1f}" if shares else f"{value:+.0f}"
    return text if float(text) else text[1:]  # no sign on zero


def _text_on(value: float, scale: list, low: float, high: float) -> str:
    """Black or white, whichever reads better on the cell (relative luminance, WCAG 2.1)."""
    place = float(np.clip((value - low) / (high - low), 0.0, 1.0))
    channels = np.array(unlabel_rgb(sample_colorscale(scale, place)[0])) / 255.0
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#FFFFFF"
