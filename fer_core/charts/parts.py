"""Figures of a study of parts: a measure by shape and class, and one measure of several models by shape."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer_core.charts.results import DIVERGING, GREY, MARGIN, SEQUENTIAL, legend_below, short_names

ROW_HEIGHT = 34


def part_heatmap(frame: pd.DataFrame, class_names: Sequence[str], *, signed: bool, loss: bool = False) -> go.Figure:
    """A measure in hundredths, a row per shape and a column per class.

    Args:
        frame: columns shape, class, value, low, high, as ``explain.part_numbers.measure_rows`` gives them.
        class_names: order of the columns.
        signed: the measure is a change: colours are symmetric about 0, and brackets mark what is no more than chance.
        loss: more of it is worse. What gets worse is orange in every figure of masks, whatever its sign.
    """
    shapes = list(dict.fromkeys(frame["shape"]))
    cells = frame.set_index(["shape", "class"])
    wanted = pd.MultiIndex.from_product([shapes, class_names])
    value, low, high = (
        100 * cells[name].reindex(wanted).to_numpy(float).reshape(len(shapes), -1) for name in ("value", "low", "high")
    )
    end = float(np.nanmax(np.abs(value), initial=0.0)) or 1.0
    texts = [
        [_cell(*numbers, signed) for numbers in zip(*rows, strict=True)] for rows in zip(value, low, high, strict=True)
    ]
    form = "+.1f" if signed else ".1f"
    figure = go.Figure(
        go.Heatmap(
            z=value,
            x=list(class_names),
            y=shapes,
            zmin=-end if signed else 0,
            zmax=end,
            colorscale=DIVERGING if signed else SEQUENTIAL,
            reversescale=signed and loss,
            showscale=False,
            xgap=1,
            ygap=1,
            text=texts,
            texttemplate="%{text}",
            hoverongaps=False,
            customdata=np.stack([low, high], axis=-1),
            hovertemplate=f"%{{y}}, %{{x}}: %{{z:{form}}} [%{{customdata[0]:{form}}}, %{{customdata[1]:{form}}}]"
            "<extra></extra>",
        )
    )
    figure.update_layout(
        height=70 + ROW_HEIGHT * len(shapes),
        margin=MARGIN | {"t": 8},
        yaxis={"autorange": "reversed", "title": None},
        xaxis={"title": None},
    )
    return figure


def part_points(frame: pd.DataFrame, colours: Mapping[str, str], title: str) -> go.Figure:
    """One measure of several models in hundredths with 95 % intervals, a row per shape and a colour per model.

    Args:
        frame: columns run, shape, value, low, high, as ``explain.part_numbers.compare_rows`` gives them.
        colours: run -> colour.
        title: of the measure.
    """
    names, shapes = short_names(frame["run"]), list(dict.fromkeys(frame["shape"]))
    traces = []
    for run, short in names.items():
        rows = frame[frame["run"] == run]
        value, low, high = 100 * rows[["value", "low", "high"]].to_numpy(float).T
        errors = {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}
        about = f"%{{y}}: %{{x:.1f}} [%{{customdata[0]:.1f}}, %{{customdata[1]:.1f}}]<extra>{run}</extra>"
        trace = {"type": "scatter", "x": value, "y": rows["shape"].tolist(), "mode": "markers", "orientation": "h"}
        trace |= {"name": short, "offsetgroup": run, "marker": {"color": colours.get(run, GREY), "size": 10}}
        trace |= {"error_x": errors | {"thickness": 1.5, "width": 4}}
        traces.append(trace | {"customdata": np.stack([low, high], axis=-1), "hovertemplate": about})
    plot = len(shapes) * max(30, 14 * len(names))
    legend, legend_height = legend_below(names.values(), plot, 48)
    layout = {
        "scattermode": "group",
        "height": 80 + plot + legend_height,
        "margin": MARGIN | {"t": 8},
        "legend": legend,
        "yaxis": {"autorange": "reversed", "title": None, "categoryorder": "array", "categoryarray": shapes},
        "xaxis": {"title": f"{title}, points", "zeroline": True},
    }
    return go.Figure(traces, layout)  # at once: added one by one, every trace is made twice


def _cell(value: float, low: float, high: float, signed: bool) -> str:
    if not np.isfinite(value):
        return ""
    if not signed:
        return f"{value:.0f}"
    text = f"{value:+.0f}" if round(value) else "0"
    return text if low > 0 or high < 0 else f"({text})"
