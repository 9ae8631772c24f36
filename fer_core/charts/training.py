"""Figures about sweeps: what was drawn, and what came of it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer_core.charts.results import GREY, MARGIN, PALETTE, SEQUENTIAL


def sweep_lines(frame: pd.DataFrame, space: Mapping[str, Mapping], measure: str = "val_accuracy") -> go.Figure:
    """Parallel coordinates: a line per complete trial through what it drew and reached, coloured by ``measure``.

    Args:
        frame: a row per trial, see ``fer_core.training.sweep_trials.trials_frame``.
        space: parameter -> ``choices``, or ``log`` for a logarithmic axis.
    """
    complete = _complete(frame, measure)
    axes = [_axis(complete[name], name, settings) for name, settings in space.items()]
    results = ("train_accuracy", "discrepancy", measure)
    axes += [{"label": column.replace("_", " "), "values": complete[column], "tickformat": ".3f"} for column in results]
    line = {"color": complete[measure], "colorscale": SEQUENTIAL, "showscale": True}
    line["colorbar"] = {"title": {"text": measure.replace("_", " "), "side": "right"}, "thickness": 12}
    figure = go.Figure(go.Parcoords(dimensions=axes, line=line, labelangle=-12, labelside="bottom"))
    figure.update_layout(height=440, margin={"l": 48, "r": 24, "t": 24, "b": 72})
    return figure


def sweep_scatter(frame: pd.DataFrame, parameters: Sequence[str], best: int | None = None) -> go.Figure:
    """Discrepancy (train minus val accuracy) against val accuracy, a point per complete trial; ``best`` is ringed."""
    complete = _complete(frame, "val_accuracy")
    said = [
        "<br>".join([f"trial {row['trial']}", *(f"{name} {_text(row[name])}" for name in parameters)])
        for row in complete.to_dict("records")
    ]
    points = {"x": complete["val_accuracy"], "y": complete["discrepancy"], "text": said, "mode": "markers"}
    hover = "%{text}<br>val %{x:.4f}, discrepancy %{y:.4f}<extra></extra>"
    figure = go.Figure()
    marker = {"color": PALETTE[0], "size": 9}
    figure.add_scatter(**points, marker=marker, hovertemplate=hover, name="trial", showlegend=False)
    chosen = complete[complete["trial"] == best]
    if len(chosen):
        ring = {"color": PALETTE[5], "size": 17, "symbol": "circle-open", "line": {"width": 3}}
        place = {"x": chosen["val_accuracy"], "y": chosen["discrepancy"]}
        figure.add_scatter(**place, mode="markers", marker=ring, name="best trial", hoverinfo="skip")
    figure.add_hline(y=0, line={"color": GREY, "dash": "dot", "width": 1})
    figure.update_xaxes(title="val accuracy", tickformat=".0%")
    figure.update_yaxes(title="discrepancy")
    figure.update_layout(height=420, margin=MARGIN, legend={"x": 0, "y": 1.1, "orientation": "h"})
    return figure


def search_lines(frame: pd.DataFrame) -> go.Figure:
    """Accuracy in cross-validation against C, a line per gamma (and degree), with the standard deviation over folds.

    Args:
        frame: as ``fer_core.training.searches.read`` returns it; what was drawn at random stands as points.
    """
    others = [name for name in ("gamma", "degree") if name in frame]
    groups, mode = list(frame.groupby(others)) if others else [((), frame)], "lines+markers"
    if len(groups) > len(PALETTE):
        groups, others, mode = [((), frame)], [], "markers"
    figure = go.Figure()
    for place, (values, rows) in enumerate(groups):
        rows = rows.sort_values("C")
        varied = rows[[name for name in ("C", "gamma", "degree") if name in rows]]
        said = [", ".join(f"{name} {value:.3g}" for name, value in row.items()) for row in varied.to_dict("records")]
        figure.add_scatter(
            x=rows["C"],
            y=rows["accuracy"],
            error_y={"array": rows["accuracy_std"], "thickness": 1, "width": 4},
            text=said,
            hovertemplate="%{text}<br>%{y:.2%}, standard deviation %{error_y.array:.2%}<extra></extra>",
            mode=mode,
            marker={"color": PALETTE[place], "size": 8},
            name=", ".join(f"{name} {value:.3g}" for name, value in zip(others, values, strict=True)),
            showlegend=bool(others),
        )
    ticks = sorted(set(frame["C"]))
    named = {"tickvals": ticks, "ticktext": [_text(tick) for tick in ticks]} if len(ticks) <= len(PALETTE) else {}
    figure.update_xaxes(title="C", type="log", **named)
    figure.update_yaxes(title="accuracy over folds", tickformat=".0%")
    figure.update_layout(height=420, margin=MARGIN, legend={"x": 0, "y": 1.1, "orientation": "h"})
    return figure


def _complete(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    return frame[(frame["state"] == "complete") & frame[measure].notna()]


def _axis(values: pd.Series, name: str, settings: Mapping) -> dict:
    """One axis: choices as evenly spaced names, logarithms with ticks at powers of ten."""
    if settings.get("choices"):
        names = [_text(choice) for choice in settings["choices"]]
        places = [names.index(_text(value)) for value in values]
        return {"label": name, "values": places, "tickvals": list(range(len(names))), "ticktext": names}
    if settings.get("log"):
        low, high = math.log10(settings["low"]), math.log10(settings["high"])
        inner = [float(power) for power in range(math.ceil(low), math.floor(high) + 1)]
        ticks = sorted({round(low, 9), round(high, 9), *inner})
        text = [f"{10**tick:.3g}" for tick in ticks]
        shown = {"values": np.log10(values.astype(float)), "range": [low, high]}
        return {"label": name, "tickvals": ticks, "ticktext": text} | shown
    return {"label": name, "values": values, "range": [settings["low"], settings["high"]]}


def _text(value) -> str:
    """``128``, ``128.0`` and their numpy kin alike, whatever a CSV has made of them."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return f"{value:.6g}" if isinstance(value, int | float | np.number) else str(value) or "none"
