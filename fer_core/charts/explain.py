"""Pictures and figures of explanations: a map laid over its face, and probabilities before and after a mask."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fer_core.errors import ConfigError

# Perceptually even, readable in grey and by colour-blind people; turbo is none of it, but many papers use it.
COLORMAPS: dict[str, int] = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "turbo": cv2.COLORMAP_TURBO,
}
MIN_SIDE = 384  # FER2013's 48 pixels are too few to look at
MAX_SIDE = 2048  # of a picture that was enlarged: a narrow strip would fill the memory
BEFORE, AFTER, CONTROL = "#8C8C8C", "#0072B2", "#E69F00"
MARGIN = {"l": 8, "r": 8, "t": 40, "b": 8}


def colour(values: np.ndarray, colormap: str = "inferno") -> np.ndarray:
    """Values 0..1 (H, W) as colours: uint8 (H, W, 3) RGB.

    Raises:
        ConfigError: unknown colormap.
    """
    if colormap not in COLORMAPS:
        raise ConfigError(f"Unknown colormap {colormap!r}.", f"Expected one of {', '.join(COLORMAPS)}.")
    levels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, COLORMAPS[colormap]), cv2.COLOR_BGR2RGB)


def enlarge(image: np.ndarray, min_side: int = MIN_SIDE, smooth: bool = False) -> np.ndarray:
    """The picture a whole number of times larger, so that its shorter side has at least ``min_side`` pixels.

    The longer side gets no more than ``MAX_SIDE``, so that of a long and narrow picture the shorter one may have fewer.
    """
    factor = min(-(-min_side // min(image.shape[:2])), MAX_SIDE // max(image.shape[:2]))
    if factor <= 1:
        return image.copy()
    size = image.shape[1] * factor, image.shape[0] * factor
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST)


def shrink(image: np.ndarray, max_side: int = MIN_SIDE) -> np.ndarray:
    """The picture so small that its longer side has at most ``max_side`` pixels; a smaller one as it is."""
    factor = max_side / max(image.shape[:2])
    if factor >= 1:
        return image
    size = max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def contact_sheet(pictures: Sequence[np.ndarray], columns: int, side: int = 96, gap: int = 4) -> np.ndarray:
    """Pictures of any size in one, row by row on white, none stretched: uint8 (H, W, 3) RGB.

    Raises:
        ConfigError: there is no picture or no column.
    """
    if not len(pictures) or columns < 1:
        raise ConfigError(f"Expected pictures and columns. Received {len(pictures)} and {columns}.")
    columns = min(columns, len(pictures))
    cell, rows = side + gap, -(-len(pictures) // columns)
    sheet = np.full((rows * cell - gap, columns * cell - gap, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        fitting = shrink(enlarge(picture, side), side)
        top, left = cell * (place // columns), cell * (place % columns)
        height, width = fitting.shape[:2]
        sheet[top : top + height, left : left + width] = fitting if fitting.ndim == 3 else fitting[..., None]
    return sheet


def overlay(
    image: np.ndarray,
    values: np.ndarray,
    opacity: float = 0.5,
    colormap: str = "inferno",
    min_side: int = 0,
) -> np.ndarray:
    """A saliency map laid over its picture.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        values: float (H, W), 0..1.
        opacity: 0 shows the picture alone, 1 the map alone.
        colormap: name in ``COLORMAPS``.
        min_side: enlarge until the shorter side has as many pixels; the picture keeps square pixels.

    Returns:
        uint8 (h, w, 3) RGB.

    Raises:
        ConfigError: opacity or colormap make no sense, or the shapes differ.
    """
    if not 0 <= opacity <= 1:
        raise ConfigError(f"opacity must lie in 0..1. Received {opacity}.")
    if image.shape[:2] != values.shape:
        raise ConfigError(f"Map {values.shape} and picture {image.shape} differ in size.")
    picture = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    picture = enlarge(picture, min_side)
    shown = enlarge(np.asarray(values, np.float32), min_side, smooth=True)
    mixed = (1 - opacity) * picture.astype(np.float32) + opacity * colour(shown, colormap).astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def colour_scale(colormap: str = "inferno", width: int = 256, height: int = 10) -> np.ndarray:
    """A strip from 0 (left) to 1 (right): uint8 (height, width, 3) RGB."""
    return colour(np.repeat(np.linspace(0, 1, width)[None], height, axis=0), colormap)


def mask_outline(image: np.ndarray, mask: np.ndarray, min_side: int = MIN_SIDE) -> np.ndarray:
    """The picture with the edge of a mask drawn on it, for masks whose fill is hard to see: uint8 (h, w, 3) RGB."""
    picture = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    picture = np.ascontiguousarray(enlarge(picture, min_side))
    edge = np.ascontiguousarray(enlarge(mask.astype(np.uint8), min_side))
    outlines, _ = cv2.findContours(edge, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(min(picture.shape[:2]) // 128, 1)
    return cv2.drawContours(picture, outlines, -1, (230, 159, 0), thickness)


def probability_shifts(frame: pd.DataFrame) -> go.Figure:
    """Probabilities before and after a mask, one panel per run; the change in points stands above the bars.

    A diamond is the mean under random masks of the same area, its whiskers their smallest and largest.

    Args:
        frame: columns run, class, before, after, shift, and control, control_low, control_high (NaN without controls),
            as ``explain.occlusion.shift_frame`` gives them.
    """
    runs = list(dict.fromkeys(frame["run"]))
    titles = runs if len(runs) > 1 else None
    figure = make_subplots(
        rows=max(len(runs), 1),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.25 / max(len(runs), 2),
        subplot_titles=titles,
    )
    for place, run in enumerate(runs, start=1):
        rows = frame[frame["run"] == run]
        _panel(figure, rows, place)
    figure.update_yaxes(range=[0, 1.12], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1], title=None)
    figure.update_layout(
        barmode="group",
        bargap=0.25,
        height=100 + 230 * max(len(runs), 1),
        margin=MARGIN,
        legend={"orientation": "h", "yanchor": "top", "y": -0.14 / max(len(runs), 1), "x": 0},
    )
    return figure


def _panel(figure: go.Figure, rows: pd.DataFrame, place: int) -> None:
    shared = {"row": place, "col": 1}
    look = {"showlegend": place == 1}
    figure.add_bar(
        x=rows["class"],
        y=rows["before"],
        name="whole picture",
        legendgroup="before",
        marker={"color": BEFORE},
        offsetgroup="before",
        hovertemplate="%{x}: %{y:.1%}<extra>whole picture</extra>",
        **look,
        **shared,
    )
    figure.add_bar(
        x=rows["class"],
        y=rows["after"],
        name="masked",
        legendgroup="after",
        marker={"color": AFTER},
        offsetgroup="after",
        text=[_points(value) for value in rows["shift"]],
        textposition="outside",
        cliponaxis=False,
        customdata=rows["shift"],
        hovertemplate="%{x}: %{y:.1%} (%{customdata:+.1%})<extra>masked</extra>",
        **look,
        **shared,
    )
    drawn = rows[rows["control"].notna()]
    if drawn.empty:
        return
    figure.add_scatter(
        x=drawn["class"],
        y=drawn["control"],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": drawn["control_high"] - drawn["control"],
            "arrayminus": drawn["control"] - drawn["control_low"],
            "thickness": 1.5,
            "width": 4,
        },
        name="random masks of the same area",
        legendgroup="control",
        mode="markers",
        marker={"color": CONTROL, "symbol": "diamond", "size": 10, "line": {"color": "#333333", "width": 1}},
        hovertemplate="%{x}: %{y:.1%}<extra>random masks, mean</extra>",
        **look,
        **shared,
    )


def _points(shift: float) -> str:
    """A change of probability in percentage points; nothing where it rounds to zero."""
    points = round(100 * float(shift))
    return f"{points:+d}" if points else ""
