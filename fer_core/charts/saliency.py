"""Figures of a saliency study: mean maps on the frame of a face, and shares per facial region beside FACS."""

import unicodedata
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fer_core import regions
from fer_core.charts.explain import colour, enlarge
from fer_core.charts.results import GREY, MARGIN, SEQUENTIAL, legend_below, short_names
from fer_core.regions import ELSEWHERE, PLACES

LINE = (190, 190, 190)
ROW_HEIGHT = 34
SCORE_TITLES = {
    "relevance_mass": "Relevance mass",
    "pointing_game": "Pointing game",
    "iou": "IoU at equal area",
    "cosine": "Cosine",
}
EVEN_MAP = "even map"
FONT, TEXT_SIZE, TEXT_HEIGHT = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 18
INK = (40, 40, 40)


def mean_map(values: np.ndarray, top: float, colormap: str = "inferno", side: int = 192) -> np.ndarray:
    """A mean map with the outlines of the facial regions: uint8 (side, side, 3) RGB.

    Args:
        values: float (H, W) in FER2013's frame, not negative; NaN for none, drawn as 0.
        top: the value shown as the strongest, so that maps that are drawn together share a scale.
    """
    shown = np.nan_to_num(values) / top if top > 0 else np.zeros_like(values)
    picture = np.ascontiguousarray(colour(enlarge(shown.astype(np.float32), side, smooth=True), colormap))
    size = picture.shape[0]
    for polygons in regions.outlines(regions.CANONICAL).values():
        for polygon in polygons:
            corners = np.rint(polygon * size).astype(np.int32)
            cv2.polylines(picture, [corners], True, LINE, 1, cv2.LINE_AA)
    return picture


def captioned_row(pictures: Sequence[np.ndarray], captions: Sequence[str], gap: int = 8) -> np.ndarray:
    """Pictures side by side on white, each with its caption below it, in lines no wider than the picture: uint8 RGB.

    Args:
        pictures: uint8 (H, W) or (H, W, 3), of any sizes; at least one.
        captions: one each. Letters that the font lacks are drawn as their plain form or left out.
    """
    lines = [_lines(caption, picture.shape[1]) for picture, caption in zip(pictures, captions, strict=True)]
    below = max(picture.shape[0] for picture in pictures)
    height = below + TEXT_HEIGHT * max(map(len, lines)) + gap
    sheet = np.full((height, sum(one.shape[1] + gap for one in pictures) - gap, 3), 255, np.uint8)
    left = 0
    for picture, told in zip(pictures, lines, strict=True):
        high, wide = picture.shape[:2]
        sheet[:high, left : left + wide] = picture if picture.ndim == 3 else picture[..., None]
        for row, text in enumerate(told, start=1):
            size = TEXT_SIZE * min(1.0, wide / max(_width(text), 1))
            place = (left, below + TEXT_HEIGHT * row)
            cv2.putText(sheet, text, place, FONT, size, INK, 1, cv2.LINE_AA)
        left += wide + gap
    return sheet


def _lines(caption: str, width: int) -> list[str]:
    """``caption`` in the font's letters, broken between words where a line would get wider than ``width`` pixels."""
    plain = unicodedata.normalize("NFKD", caption.replace("\u00d7", "x")).encode("ascii", "ignore").decode()
    lines = [""]
    for word in plain.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _width(text: str) -> int:
    return cv2.getTextSize(text, FONT, TEXT_SIZE, 1)[0][0]


def region_shares(frame: pd.DataFrame, measure: str = "share") -> go.Figure:
    """Expression by facial region, model beside FACS: two heatmaps of one layout.

    Args:
        frame: as ``saliency_numbers.share_rows`` gives it, of one study.
        measure: ``share`` of the map, or ``lift``: share over the region's share of the picture.
    """
    places = [place for place in PLACES if measure == "share" or place != ELSEWHERE]
    classes = list(dict.fromkeys(frame["class"]))
    model = _grid(frame, measure, classes, places)
    human = _grid(frame, "prototype", classes, places[: len(regions.REGIONS)])
    ends = ("low", "high") if measure == "share" else ("lift_low", "lift_high")
    low, high = (_grid(frame, end, classes, places) for end in ends)
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        column_widths=[len(places), len(regions.REGIONS)],
        horizontal_spacing=0.03,
        subplot_titles=("Model", "FACS prototype"),
    )
    form = ".0%" if measure == "share" else ".1f"
    told = "%{z:.1%} of the map" if measure == "share" else "%{z:.2f} times an even map"
    fine = ".1%" if measure == "share" else ".2f"
    titles = [regions.title(place) for place in places]
    common = {"colorscale": SEQUENTIAL, "showscale": False, "xgap": 1, "ygap": 1, "zmin": 0, "hoverongaps": False}
    figure.add_heatmap(
        z=model,
        x=titles,
        y=classes,
        zmax=float(np.nanmax(model[:, : len(regions.REGIONS)], initial=0.01)),  # elsewhere would leave the face pale
        text=_intervals(low, high, fine),
        texttemplate=f"%{{z:{form}}}",
        hovertemplate=f"%{{y}}, %{{x}}: {told}%{{text}}<extra></extra>",
        row=1,
        col=1,
        **common,
    )
    figure.add_heatmap(
        z=human,
        x=titles[: len(regions.REGIONS)],
        y=classes,
        zmax=float(np.nanmax(human, initial=0.01)),
        texttemplate="%{z:.0%}",
        hovertemplate="%{y}, %{x}: %{z:.1%} of the action units<extra></extra>",
        row=1,
        col=2,
        **common,
    )
    figure.update_yaxes(autorange="reversed", title=None)
    figure.update_xaxes(tickangle=-40, title=None)
    figure.update_layout(height=150 + ROW_HEIGHT * len(classes), margin=MARGIN)
    return figure


def _intervals(low: np.ndarray, high: np.ndarray, form: str) -> np.ndarray:
    """``" [3.1 %, 4.2 %]"`` for each pair, empty where there is none: object, of their shape."""
    told = [
        "" if np.isnan(a) else f" [{format(a, form)}, {format(b, form)}]"
        for a, b in zip(low.ravel(), high.ravel(), strict=True)
    ]
    return np.array(told, dtype=object).reshape(low.shape)


def agreement(frames: Mapping[str, pd.DataFrame], colours: Mapping[str, str]) -> go.Figure:
    """Scores against FACS with 95 % intervals: a row per score, a colour per study, a cross for an even map.

    Args:
        frames: label -> rows of one class of ``saliency_numbers.score_rows``.
        colours: label -> colour.
    """
    figure, short = go.Figure(), short_names(frames)
    for label, rows in frames.items():
        look = {"offsetgroup": label, "legendgroup": label, "orientation": "h", "mode": "markers"}
        names = [SCORE_TITLES[score] for score in rows["score"]]
        figure.add_scatter(
            x=rows["value"],
            y=names,
            name=short[label],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": rows["high"] - rows["value"],
                "arrayminus": rows["value"] - rows["low"],
                "thickness": 1.5,
                "width": 4,
            },
            marker={"color": colours.get(label, GREY), "size": 10},
            text=_intervals(*rows[["low", "high"]].to_numpy(float).T, ".1%"),
            customdata=rows[["even", "n"]],
            hovertemplate="%{y}: %{x:.1%}%{text}, even map %{customdata[0]:.1%}, n = %{customdata[1]:,}"
            f"<extra>{label}</extra>",
            **look,
        )
        figure.add_scatter(
            x=rows["even"],
            y=names,
            name=EVEN_MAP,
            showlegend=False,
            hoverinfo="skip",
            marker={"color": colours.get(label, GREY), "size": 9, "symbol": "x-thin-open", "line": {"width": 2}},
            **look,
        )
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name=EVEN_MAP,
        hoverinfo="skip",
        marker={"symbol": "x-thin-open", "color": GREY, "line": {"width": 2}},
    )
    plot = len(SCORE_TITLES) * max(44, 16 * len(frames))
    legend, legend_height = legend_below([*short.values(), EVEN_MAP], plot, 32)
    figure.update_layout(
        scattermode="group",
        height=60 + plot + legend_height,
        margin=MARGIN | {"t": 8},
        legend=legend,
        xaxis={"title": None, "tickformat": ".0%", "rangemode": "tozero"},
        yaxis={"autorange": "reversed", "title": None},
    )
    return figure


def _grid(frame: pd.DataFrame, column: str, classes: Sequence[str], places: Sequence[str]) -> np.ndarray:
    table = frame.pivot(index="class", columns="region", values=column)
    return table.loc[list(classes), list(places)].to_numpy(float)
