"""Pictures and figures of what is hidden: drawing a rectangle, parts and their worth, a patch that slides, flows."""

import base64
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

from fer_core.charts.explain import MIN_SIDE, enlarge
from fer_core.charts.results import BELOW, DIVERGING, GREY, MARGIN, PALETTE
from fer_core.images import encode_png

DRAWN = "#E69F00"
GRID = 32  # invisible markers a side: a box selection must hold some to be reported
DIGITS = 2  # a drawn rectangle snaps to hundredths of the picture, as its sliders do
PIXELS = 280  # height of the picture to draw on: about as wide as its column
BAR, ROW = 14, 26
LEGEND_ROW = 22


def drawable(image: np.ndarray, box: tuple[float, float, float, float] | None = None) -> go.Figure:
    """The picture as a figure on which a box can be selected; both axes run from 0 to 1, y downwards.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        box: left, top, right, bottom of the rectangle to show, 0..1.
    """
    height, width = image.shape[:2]
    source = base64.b64encode(encode_png(enlarge(image))).decode()
    steps = (np.arange(GRID) + 0.5) / GRID
    across, down = np.meshgrid(steps, steps)
    invisible = {"marker": {"opacity": 0}}
    figure = go.Figure(
        go.Scatter(
            x=across.ravel(),
            y=down.ravel(),
            mode="markers",
            marker={"opacity": 0, "size": 4},
            selected=invisible,
            unselected=invisible,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_layout_image(
        source=f"data:image/png;base64,{source}",
        x=0,
        y=0,
        sizex=1,
        sizey=1,
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )
    if box is not None:
        left, top, right, bottom = box
        look = {"line": {"color": DRAWN, "width": 3}, "fillcolor": DRAWN, "opacity": 0.35}
        figure.add_shape(type="rect", x0=left, x1=right, y0=top, y1=bottom, **look)
    hidden = {"visible": False, "fixedrange": True, "constrain": "domain"}
    figure.update_xaxes(range=[0, 1], **hidden)
    figure.update_yaxes(range=[1, 0], scaleanchor="x", scaleratio=height / width, **hidden)
    figure.update_layout(
        height=PIXELS, margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode="select", plot_bgcolor="rgba(0,0,0,0)"
    )
    return figure


def drawn_box(selection: Mapping, shape: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The rectangle that was drawn last on :func:`drawable`: left, top, right, bottom, 0..1; None for none.

    Args:
        selection: of the chart, with ``box``: a list of ranges ``x`` and ``y``.
        shape: (H, W) of the picture; what holds no whole pixel of it is none.
    """
    boxes = selection.get("box") or []
    if not boxes:
        return None
    across, down = ([round(min(max(edge, 0.0), 1.0), DIGITS) for edge in sorted(boxes[-1][axis])] for axis in "xy")
    for edges, length in ((across, shape[1]), (down, shape[0])):
        if len(edges) != 2 or round(edges[0] * length) >= round(edges[1] * length):
            return None
    return across[0], down[0], across[1], down[1]


def parts_picture(image: np.ndarray, outlines: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """The picture with the outlines of its parts: uint8 (h, w, 3) RGB.

    Args:
        outlines: name -> polygons (M, 2), x and y as shares, see :func:`fer_core.regions.outlines`.
    """
    picture = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    picture = np.ascontiguousarray(enlarge(picture))
    height, width = picture.shape[:2]
    thick = max(min(height, width) // 192, 1)
    for place, polygons in enumerate(outlines.values()):
        colour = unlabel_hex(PALETTE[place % len(PALETTE)])
        for polygon in polygons:
            corners = np.rint(polygon * (width, height)).astype(np.int32)
            cv2.polylines(picture, [corners], True, (20, 20, 20), thick + 2, cv2.LINE_AA)
            cv2.polylines(picture, [corners], True, colour, thick, cv2.LINE_AA)
    return picture


def unlabel_hex(colour: str) -> tuple[int, int, int]:
    """``#0072B2`` -> (0, 114, 178)."""
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def worth_bars(frame: pd.DataFrame, colours: Mapping[str, str], titles: Mapping[str, str]) -> go.Figure:
    """Shapley values of parts as bars, a colour per run; a diamond is the mean of the same shape elsewhere.

    Args:
        frame: rows of ``explain.shapley.frame``, one class per run.
        colours: run -> colour.
        titles: part -> what people call it.
    """
    figure = go.Figure()
    runs = list(dict.fromkeys(frame["run"]))
    parts = list(dict.fromkeys(frame["region"]))
    beyond = 100 * max(0.01, float(np.nanmax(frame[["value", "control_high"]].to_numpy(), initial=0.0)))
    for run in runs:
        rows = frame[frame["run"] == run]
        target = rows["class"].iloc[0]
        names = [titles.get(part, part) for part in rows["region"]]
        colour = colours.get(run, GREY)
        figure.add_bar(
            x=100 * rows["value"],
            y=names,
            orientation="h",
            name=f"{run}: {target}",
            marker={"color": colour},
            offsetgroup=run,
            customdata=100 * rows["area"],
            hovertemplate=f"%{{y}}: %{{x:+.1f}} points, %{{customdata:.0f}} % of the picture<extra>{run}</extra>",
        )
        if rows["control"].notna().any():
            _elsewhere(figure, rows, names, run, colour, first=run == runs[0])
        figure.add_scatter(  # the numbers in a column of their own, where no bar ends
            x=[1.05 * beyond] * len(names),
            y=names,
            mode="text",
            text=[f"{100 * value:+.0f}" if round(100 * value) else "0" for value in rows["value"]],
            textposition="middle right",
            orientation="h",
            offsetgroup=run,
            showlegend=False,
            hoverinfo="skip",
            cliponaxis=False,
        )
    legend = LEGEND_ROW * (len(runs) + 1)
    height = 70 + len(parts) * max(ROW, BAR * len(runs) + 10) + legend
    figure.update_layout(
        barmode="group",
        scattermode="group",
        bargap=0.25,
        height=height,
        margin=MARGIN | {"t": 8, "r": 40},
        legend=BELOW | {"orientation": "v", "y": -60 / max(height - legend, 1)},
        yaxis={"autorange": "reversed", "title": None, "categoryorder": "array"}
        | {"categoryarray": [titles.get(part, part) for part in parts]},
        xaxis={"title": "worth, percentage points of probability", "zeroline": True},
    )
    return figure


def pair_heatmap(frame: pd.DataFrame, titles: Mapping[str, str]) -> go.Figure:
    """Interactions of pairs of parts in percentage points, below the diagonal; the hover says those elsewhere too.

    Args:
        frame: rows of ``explain.shapley.pair_frame`` of one run and class.
        titles: part -> what people call it.
    """
    parts = list(dict.fromkeys([*frame["region"], *frame["other"]]))
    values, elsewhere = np.full((len(parts), len(parts)), np.nan), np.full((len(parts), len(parts)), "", object)
    for row in frame.itertuples():
        place = parts.index(row.other), parts.index(row.region)
        values[place] = 100 * row.interaction
        if not np.isnan(row.control):
            elsewhere[place] = f"<br>the same shapes elsewhere: {100 * row.control:+.1f} on average"
    end = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    names = [titles.get(part, part) for part in parts]
    texts = [["" if np.isnan(value) else f"{value:+.0f}" if round(value) else "0" for value in row] for row in values]
    figure = go.Figure(
        go.Heatmap(
            z=values[1:, :-1],
            x=names[:-1],
            y=names[1:],
            zmin=-end,
            zmax=end,
            colorscale=DIVERGING,
            showscale=False,
            xgap=1,
            ygap=1,
            text=[row[:-1] for row in texts[1:]],
            texttemplate="%{text}",
            hoverongaps=False,
            customdata=elsewhere[1:, :-1].tolist(),
            hovertemplate="%{y} and %{x}: %{z:+.1f} points%{customdata}<extra></extra>",
        )
    )
    figure.update_layout(
        height=90 + 30 * (len(parts) - 1),
        margin=MARGIN | {"t": 8},
        yaxis={"autorange": "reversed", "title": None, "showgrid": False},
        xaxis={"title": None, "showgrid": False},
    )
    return figure


def fall_overlay(image: np.ndarray, fall: np.ndarray, end: float, min_side: int = MIN_SIDE) -> np.ndarray:
    """An occlusion map over its picture: uint8 (h, w, 3) RGB. The larger a change, the more the colour covers.

    Orange where hiding lowers the probability, violet where it raises it.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        fall: float (H, W), fall of the probability.
        end: the fall that gets the full colour, more than 0; the same for pictures that are to be compared.
    """
    picture = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    picture = enlarge(picture, min_side).astype(np.float32)
    share = np.clip(enlarge(np.asarray(fall, np.float32), min_side, smooth=True) / end, -1, 1)[..., None]
    opacity = 0.75 * np.abs(share)
    return np.rint((1 - opacity) * picture + opacity * _signed_colours(share[..., 0])).astype(np.uint8)


def fall_scale(width: int = 256, height: int = 10) -> np.ndarray:
    """A strip from the largest rise (left) over none to the largest fall (right): uint8 (height, width, 3) RGB."""
    strip = _signed_colours(np.repeat(np.linspace(-1, 1, width)[None], height, axis=0))
    share = np.abs(np.linspace(-1, 1, width))[None, :, None]
    return np.rint((1 - share) * 247 + share * strip).astype(np.uint8)


def flow_sankey(frame: pd.DataFrame, class_names: Sequence[str]) -> go.Figure:
    """Where predictions go when the pictures are masked: classes of the whole pictures left, of the masked right.

    Args:
        frame: columns before, after, count.
        class_names: order and colours of the classes.
    """
    k, place = len(class_names), {name: index for index, name in enumerate(class_names)}
    colours = [PALETTE[index % len(PALETTE)] for index in range(k)]
    left = frame.groupby("before")["count"].sum().reindex(class_names, fill_value=0)
    right = frame.groupby("after")["count"].sum().reindex(class_names, fill_value=0)
    labels = [f"{name} {count}" if count else "" for side in (left, right) for name, count in side.items()]
    figure = go.Figure(
        go.Sankey(
            arrangement="snap",
            node={
                "label": labels,
                "color": colours * 2,
                "x": [0.001] * k + [0.999] * k,
                "y": [*_middles(left.to_numpy()), *_middles(right.to_numpy())],
                "pad": 14,
                "thickness": 16,
                "hovertemplate": "%{label}<extra></extra>",
            },
            link={
                "source": [place[name] for name in frame["before"]],
                "target": [k + place[name] for name in frame["after"]],
                "value": frame["count"].tolist(),
                "color": [
                    _faded(colours[place[row.before]], 0.25 if row.before == row.after else 0.6)
                    for row in frame.itertuples()
                ],
                "hovertemplate": "%{source.label} → %{target.label}: %{value}<extra></extra>",
            },
        )
    )
    figure.update_layout(height=420, margin=MARGIN | {"t": 8}, font={"size": 13})
    return figure


def _elsewhere(figure: go.Figure, rows: pd.DataFrame, names: list[str], run: str, colour: str, *, first: bool) -> None:
    value, low, high = (100 * rows[column] for column in ("control", "control_low", "control_high"))
    figure.add_scatter(
        x=value,
        y=names,
        error_x={"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}
        | {"thickness": 1.5, "width": 4, "color": GREY},
        mode="markers",
        orientation="h",
        offsetgroup=run,
        name="the same shapes elsewhere: mean, least and most",
        legendgroup="control",
        legendrank=2000,
        showlegend=first,
        marker={"symbol": "diamond", "size": 9, "color": "#FFFFFF", "line": {"color": colour, "width": 2}},
        hovertemplate=f"%{{y}}: %{{x:+.1f}} points<extra>{run}, the same shape elsewhere</extra>",
    )


def _signed_colours(share: np.ndarray) -> np.ndarray:
    """-1 (rise, violet) to 1 (fall, orange) as float32 (..., 3) RGB."""
    ends = np.array([unlabel_rgb(sample_colorscale(DIVERGING, place)[0]) for place in (0.95, 0.1)], np.float32)
    return np.where(share[..., None] < 0, ends[0], ends[1])


def _middles(counts: np.ndarray) -> list[float]:
    """Middle of each node from the top down, so that plotly keeps the order of the classes."""
    share = counts / max(counts.sum(), 1)
    return np.clip(np.cumsum(share) - share / 2, 0.001, 0.999).tolist()


def _faded(colour: str, opacity: float) -> str:
    red, green, blue = unlabel_hex(colour)
    return f"rgba({red},{green},{blue},{opacity})"
