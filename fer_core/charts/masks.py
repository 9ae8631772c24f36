"""Figures of a mask study: accuracy under each mask beside random masks as large, and per-class recall lost to it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer_core.charts.results import DIVERGING, GREY, MARGIN, legend_below, short_names

# kind of a point, as explain.mask_numbers names them -> symbol; the first is a network under a mask it never saw
SYMBOLS = {
    "trained on whole faces": "circle",
    "random masks of the same area": "diamond-open",
    "trained with the mask": "square",
    "paper: trained under the same mask": "x-thin-open",
}
NAMES = {"none": "no mask"}
ROW_HEIGHT = 34


def accuracy_per_mask(frame: pd.DataFrame, colours: Mapping[str, str]) -> go.Figure:
    """Accuracy under each mask with 95 % intervals: a colour per model, a symbol per kind of measurement.

    Args:
        frame: columns mask, model, kind (a key of :data:`SYMBOLS`), value, low, high (NaN where there is no interval).
        colours: model -> colour; grey where it is missing.
    """
    names, masks = short_names(frame["model"]), list(dict.fromkeys(frame["mask"]))
    kinds = [kind for kind in SYMBOLS if kind in set(frame["kind"])]
    parts = dict(iter(frame.groupby(["model", "kind"], sort=False)))
    traces = []
    for model, name in names.items():
        own = [
            _points(parts[model, kind], name, kind, colours.get(model, GREY))
            for kind in kinds
            if (model, kind) in parts
        ]
        traces += [own[0] | {"showlegend": True}, *own[1:]]
    for kind in kinds:  # what the symbols mean, once
        look = {"x": [None], "y": [None], "mode": "markers", "marker": _marker(kind, GREY)}
        traces.append({"type": "scatter", "name": kind, "hoverinfo": "skip"} | look)
    slots = len(frame[["model", "kind"]].drop_duplicates())
    plot = len(masks) * max(60, 15 * slots)
    legend, legend_height = legend_below([*names.values(), *kinds], plot, 32)
    order = [NAMES.get(mask, mask) for mask in masks]
    layout = {
        "scattermode": "group",
        "height": 60 + plot + legend_height,
        "margin": MARGIN | {"t": 8},
        "legend": legend,
        "yaxis": {"autorange": "reversed", "title": None, "categoryorder": "array", "categoryarray": order},
        "xaxis": {"title": None, "tickformat": ".0%", "rangemode": "tozero"},
    }
    return go.Figure(traces, layout)  # at once: added one by one, every trace is made twice


def recall_changes(frame: pd.DataFrame, class_names: Sequence[str]) -> go.Figure:
    """Change of each class's recall under each mask, and under random masks as large, in percentage points.

    A value in brackets is no more than chance: its interval holds 0.

    Args:
        frame: as ``explain.mask_numbers.recall_rows`` gives it, of one model.
        class_names: order of the columns.
    """
    parts = {mask: rows.set_index("class").loc[list(class_names)] for mask, rows in frame.groupby("mask", sort=False)}
    rows, labels = list(parts.values()), [(mask, "change") for mask in parts]
    for alike in _same_controls(parts):
        rows.append(parts[alike[0]])
        labels.append((f"random, as {', '.join(alike)}", "control_change"))
    values = np.array([100 * part[column] for part, (_, column) in zip(rows, labels, strict=True)], dtype=float)
    low, high = (
        np.array([100 * part[f"{column}_{end}"] for part, (_, column) in zip(rows, labels, strict=True)], dtype=float)
        for end in ("low", "high")
    )
    texts = [
        [_cell(value, *edges) for value, *edges in zip(*line, strict=True)]
        for line in zip(values, low, high, strict=True)
    ]
    end = float(np.abs(values).max(initial=0.0)) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(class_names),
            y=[label for label, _ in labels],
            zmin=-end,
            zmax=end,
            colorscale=DIVERGING,
            showscale=False,
            xgap=1,
            ygap=1,
            text=texts,
            texttemplate="%{text}",
            customdata=np.stack([low, high], axis=-1),
            hovertemplate="%{y}, %{x}: %{z:+.1f} points [%{customdata[0]:+.1f}, %{customdata[1]:+.1f}]<extra></extra>",
        )
    )
    figure.update_layout(
        height=70 + ROW_HEIGHT * len(labels),
        margin=MARGIN | {"t": 8},
        yaxis={"autorange": "reversed", "title": None},
        xaxis={"title": None, "side": "bottom"},
    )
    return figure


def _points(rows: pd.DataFrame, name: str, kind: str, colour: str) -> dict:
    """A trace; ``name`` is what the legend would call its model."""
    model, (value, low, high) = rows["model"].iloc[0], rows[["value", "low", "high"]].to_numpy(float).T
    known = not np.isnan(low).all()
    interval = " [%{customdata[0]:.1%}, %{customdata[1]:.1%}]" if known else ""
    errors = {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": colour}
    errors |= {"array": high - value, "arrayminus": value - low}
    return {
        "type": "scatter",
        "x": value,
        "y": [NAMES.get(mask, mask) for mask in rows["mask"]],
        "error_x": errors if known else None,
        "name": name,
        "legendgroup": model,
        "showlegend": False,
        "mode": "markers",
        "marker": _marker(kind, colour),
        "offsetgroup": f"{model}-{kind}",
        "orientation": "h",
        "customdata": np.stack([low, high], axis=-1),
        "hovertemplate": f"%{{y}}: %{{x:.1%}}{interval}<extra>{model}, {kind}</extra>",
    }


def _same_controls(parts: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """Masks that stand beside the same random masks, as those of one area do; none where there are no controls."""
    groups: dict[bytes, list[str]] = {}
    for mask, rows in parts.items():
        if rows["control_change"].notna().any():
            groups.setdefault(rows["control_change"].to_numpy().tobytes(), []).append(mask)
    return list(groups.values())


def _marker(kind: str, colour: str) -> dict:
    thin = "thin" in SYMBOLS[kind]
    return {"color": colour, "symbol": SYMBOLS[kind], "size": 10, "line": {"width": 2 if thin else 1, "color": colour}}


def _cell(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return ""
    text = f"{value:+.0f}" if round(value) else "0"
    return text if low > 0 or high < 0 else f"({text})"
