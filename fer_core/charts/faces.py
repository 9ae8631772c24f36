"""Figures about classified faces: numbered boxes on a picture, and the probabilities of one face."""

from collections.abc import Sequence

import cv2
import numpy as np
import plotly.graph_objects as go

from fer_core.charts.results import GREY, PALETTE
from fer_core.faces import FaceCrop

BOX_RGB, TAG_RGB = (255, 176, 0), (20, 20, 20)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(image: np.ndarray, crops: Sequence[FaceCrop], scale: float = 1.0) -> np.ndarray:
    """A copy of ``image`` uint8 (H, W, 3) with a numbered box about each face that was found.

    Args:
        scale: pixels of ``image`` per pixel of the picture that the positions refer to.
    """
    drawn = image.copy()
    side = max(image.shape[:2])
    thick = max(1, round(side / 320))
    for crop in crops:
        if crop.face is None:
            continue
        left, top, width, height = (round(value * scale) for value in crop.face.box)
        cv2.rectangle(drawn, (left, top), (left + width - 1, top + height - 1), TAG_RGB, thick + 2)
        cv2.rectangle(drawn, (left, top), (left + width - 1, top + height - 1), BOX_RGB, thick)
        _tag(drawn, str(crop.number), (left, top), np.clip(height / 90, 0.45, side / 700 + 0.45), thick)
    return drawn


def _tag(drawn: np.ndarray, text: str, corner: tuple[int, int], size: float, thick: int) -> None:
    """The number on a filled ground at the upper left corner, pushed inside of the picture."""
    (width, height), below = cv2.getTextSize(text, FONT, size, thick)
    pad = max(2, below // 2)
    left = int(np.clip(corner[0], 0, max(0, drawn.shape[1] - width - 2 * pad)))
    bottom = int(np.clip(corner[1], height + 2 * pad, max(height + 2 * pad, drawn.shape[0])))
    cv2.rectangle(drawn, (left, bottom - height - 2 * pad), (left + width + 2 * pad, bottom), BOX_RGB, cv2.FILLED)
    cv2.putText(drawn, text, (left + pad, bottom - pad), FONT, size, TAG_RGB, thick, cv2.LINE_AA)


def probability_bars(probabilities: np.ndarray, class_names: Sequence[str]) -> go.Figure:
    """Class probabilities (K,) of one face as bars, always in the order of ``class_names``; the highest in colour."""
    best = int(np.argmax(probabilities))
    colours = [PALETTE[0] if index == best else GREY for index in range(len(class_names))]
    figure = go.Figure(
        go.Bar(
            x=np.asarray(probabilities, float),
            y=list(class_names),
            orientation="h",
            marker={"color": colours},
            texttemplate="%{x:.1%}",
            textposition="outside",
            textfont={"size": 13},
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.2%}<extra></extra>",
        )
    )
    figure.update_layout(height=30 * len(class_names) + 16, margin={"l": 8, "r": 8, "t": 8, "b": 8}, bargap=0.25)
    figure.update_xaxes(range=[0, 1.25], visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", fixedrange=True, tickfont={"size": 13})
    return figure
