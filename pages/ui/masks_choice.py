"""What to hide, and what to show instead: the choices that the views of the Masks page share."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from fer_core.charts import occlusion as charts
from fer_core.explain import occlusion
from fer_core.regions import OCCLUDERS
from pages.ui import state

BANDS = {"forehead": "Forehead", "eyes": "Eyes", "mouth": "Mouth"}
SHAPES = {name: part.title for name, part in OCCLUDERS.items()}
FILLS = {"zero": "Black", "mean": "Mean", "blur": "Blur", "noise": "Noise"}
FILL_HELP = (
    "Black is what the paper used. Mean is the mean of what stays visible, and of the whole picture where parts are "
    "weighed against each other. Blur leaves coarse shades. Noise is random grey."
)
SHARE = {"step": 0.01, "format": "percent"}
MOST_CONTROLS = 20
EMPTY_BOX = "The rectangle is empty: move the ends of its sliders apart."
DRAWING, CANVAS = "drawing", "drawing-canvas"

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Choice:
    """Bands of ``masks.REGIONS``, shapes of ``regions.OCCLUDERS``, and a rectangle as shares or None."""

    bands: tuple[str, ...]
    shapes: tuple[str, ...]
    box: Box | None

    @property
    def words(self) -> str:
        """What is hidden, for file names and tables; a rectangle by left, top, right, bottom in hundredths."""
        box = () if self.box is None else ("-".join(["rectangle", *(f"{100 * edge:.0f}" for edge in self.box)]),)
        return "-".join([*self.bands, *self.shapes, *box]).replace("_", "-") or "nothing"

    @property
    def problem(self) -> str:
        """Why no face can be masked so; empty where it can."""
        left, top, right, bottom = self.box or (0, 0, 1, 1)
        return "" if left < right and top < bottom else EMPTY_BOX

    def mask(self, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """What it hides of a face with these landmarks: bool (H, W)."""
        return occlusion.hidden_parts(points, shape, bands=self.bands, shapes=self.shapes, box=self.box)


def choose(image: np.ndarray | None = None) -> Choice:
    """Let the user choose; on a face, uint8 (H, W) or (H, W, 3), the rectangle can be drawn too."""
    bands = state.choices(
        "Hide rows, as in the paper",
        list(BANDS),
        key="hide",
        default=["mouth"],
        widget=st.pills,
        format_func=BANDS.get,
    )
    shapes = state.choices(
        "Hide parts, placed by landmarks",
        list(SHAPES),
        key="shapes",
        widget=st.pills,
        format_func=SHAPES.get,
        wrap=True,
    )
    box = None
    if state.toggle("A rectangle of my own", key="rectangle"):
        beside = [*(BANDS[name] for name in bands), *(SHAPES[name] for name in shapes)]
        if beside:
            st.caption(f"Hidden as well: {', '.join(beside)}. Take that away above to hide the rectangle alone.")
        box = _box(image)
    return Choice(tuple(bands), tuple(shapes), box)


def choose_fill() -> str:
    return state.choice(
        "Fill", list(FILLS), key="fill", widget=st.segmented_control, format_func=FILLS.get, help=FILL_HELP
    )


def choose_controls(
    label: str = "Random masks", key: str = "controls", most: int = MOST_CONTROLS, default: int = 5
) -> int:
    """How many random masks stand beside: at least one, since a larger mask does more wherever it lies."""
    return int(state.slider(label, 1, most, default, key=key))


def _box(image: np.ndarray | None) -> Box:
    """The rectangle of the sliders; drawing one on the face sets them."""
    canvas = st.empty()
    left, right = state.span("From left to right", 0.0, 1.0, (0.25, 0.75), key="across", **SHARE)
    top, bottom = state.span("From top to bottom", 0.0, 1.0, (0.25, 0.5), key="down", **SHARE)
    box = left, top, right, bottom
    if image is not None:
        st.session_state[CANVAS] = image.shape[:2]
        with canvas.container():
            st.caption("Draw with the mouse, or set the sliders.")
            st.plotly_chart(
                charts.drawable(image, box),
                key=DRAWING,
                on_select=_take_box,
                selection_mode="box",
                config={"displayModeBar": False},
                alt="The face to draw a rectangle on",
            )
    return box


def _take_box() -> None:
    """A drawn box becomes the sliders' value."""
    box = charts.drawn_box(st.session_state[DRAWING].selection, st.session_state[CANVAS])
    if box is not None:
        left, top, right, bottom = box
        st.session_state["across"], st.session_state["down"] = (left, right), (top, bottom)
