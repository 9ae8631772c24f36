"""Figures of one saliency map: what hiding and showing its pixels does, and its parts of the face beside FACS."""

import cv2
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fer_core import regions
from fer_core.charts.results import BELOW, GREY, MARGIN, PALETTE

OWN, HUMAN = PALETTE[0], PALETTE[1]
RANGE = "rgba(140, 140, 140, 0.25)"
TITLES = {"deletion": "Deletion: strongest hidden first", "insertion": "Insertion: strongest shown first"}
LINE = (230, 159, 0)
ROW_HEIGHT = 40
_UNDRAWN = {"line": {"width": 0}, "hoverinfo": "skip"}
_LINES = (  # column, legend, look
    ("low", None, _UNDRAWN),
    ("high", "range of random maps", _UNDRAWN | {"fill": "tonexty", "fillcolor": RANGE}),
    (
        "random",
        "random maps, mean",
        {"line": {"color": GREY, "dash": "dash"}, "hovertemplate": "%{x:.0%}: %{y:.1%}<extra>random</extra>"},
    ),
    (
        "map",
        "this map",
        {"line": {"color": OWN, "width": 3}, "hovertemplate": "%{x:.0%}: %{y:.1%}<extra>map</extra>"},
    ),
)
_BARS = (  # column, legend, colour, what a bar tells
    ("share", "this map", OWN, "of the map"),
    ("prototype", "FACS prototype", HUMAN, "of the action units"),
)


def pixel_curves(frame: pd.DataFrame) -> go.Figure:
    """Probability while pixels are hidden (should fall soon) and shown (should rise soon), beside random maps.

    Args:
        frame: columns curve (a key of :data:`TITLES`), share, map, random, low, high, as
            ``explain.faithfulness.curve_frame`` gives it.
    """
    names = [name for name in TITLES if name in set(frame["curve"])]
    figure = make_subplots(
        rows=len(names),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.14,
        subplot_titles=[TITLES[name] for name in names],
    )
    for row, name in enumerate(names, start=1):
        of_curve = frame[frame["curve"] == name]
        for column, legend, settings in _LINES:
            figure.add_scatter(
                x=of_curve["share"],
                y=of_curve[column],
                mode="lines",
                name=legend,
                legendgroup=legend or column,
                showlegend=row == 1 and bool(legend),
                row=row,
                col=1,
                **settings,
            )
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", title=None)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_xaxes(title="share of the pixels", row=len(names), col=1)
    figure.update_layout(height=90 + 210 * len(names), margin=MARGIN, legend=BELOW | {"y": -0.14})
    return figure


def region_bars(frame: pd.DataFrame) -> go.Figure:
    """Share of the map per part of the face beside the expression's prototype; a tick marks an even map.

    Args:
        frame: columns region (of ``regions.PLACES``), share, even and prototype (NaN where there is none).
    """
    titles = [regions.title(place) for place in frame["region"]]
    figure = go.Figure()
    for column, legend, colour, told in _BARS:
        if frame[column].notna().any():
            figure.add_bar(
                x=frame[column],
                y=titles,
                name=legend,
                orientation="h",
                marker={"color": colour},
                text=[f"{value:.0%}" if value > 0 else "" for value in frame[column]],
                textposition="outside",
                cliponaxis=False,
                hovertemplate=f"%{{y}}: %{{x:.1%}} {told}<extra></extra>",
            )
    figure.add_scatter(
        x=frame["even"],
        y=titles,
        mode="markers",
        name="an even map",
        marker={"symbol": "line-ns-open", "size": 18, "color": GREY, "line": {"width": 2}},
        hovertemplate="%{y}: %{x:.1%} of the picture<extra></extra>",
    )
    top = float(np.nanmax(frame[["share", "even", "prototype"]].to_numpy(float), initial=0.1))
    figure.update_xaxes(range=[0, 1.15 * top], tickformat=".0%", title=None)
    figure.update_yaxes(autorange="reversed", title=None)
    figure.update_layout(
        barmode="group", bargap=0.25, height=90 + ROW_HEIGHT * len(frame), margin=MARGIN | {"t": 8, "r": 32},
        legend=BELOW | {"y": -0.08},
    )  # fmt: skip
    return figure


def outlined(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A copy of ``picture`` uint8 (H, W, 3) with the edges of the parts of its face.

    Args:
        points: (5, 2), landmarks as shares of the picture.
    """
    drawn = picture.copy()
    height, width = drawn.shape[:2]
    thick = max(min(height, width) // 256, 1)
    for polygons in regions.outlines(points).values():
        for polygon in polygons:
            corners = np.rint(polygon * (width, height)).astype(np.int32)
            cv2.polylines(drawn, [corners], True, (20, 20, 20), thick + 2, cv2.LINE_AA)
            cv2.polylines(drawn, [corners], True, LINE, thick, cv2.LINE_AA)
    return drawn
