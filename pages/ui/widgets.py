"""Pieces that several pages show: errors, empty states, downloads, picture grids, the sidebar."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure

from fer_core.artifacts import Run
from fer_core.charts import faces
from fer_core.errors import FerError
from fer_core.explain.mask_study import trained_mask
from fer_core.images import encode_png
from fer_core.training import recipes
from fer_core.wording import percent
from pages.ui import cache

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

PAGE_SIZE = 24  # pictures on one page of a gallery
PNG_SCALE = 2
AT_ONCE_S = 0.5
MOST_STYLED = 5000  # rows of a table whose cells are written one by one
TOOLBAR_HEIGHT, TITLE_HEIGHT = 36, 24  # pixels
TOOLS_LEFT_OUT = ("lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d")  # zooming by drag, reset and PNG stay


def show_error(error: FerError) -> None:
    """What went wrong, and how to mend it."""
    st.error(f"{plain(error.problem)}\n\n{plain(error.remedy)}".strip(), icon=":material/error:")


@contextmanager
def page_errors() -> Iterator[None]:
    """Show a ``FerError`` raised inside instead of a traceback; anything else is a bug and stays one."""
    try:
        yield
    except FerError as error:
        show_error(error)


def empty_state(text: str, command: str = "") -> None:
    """Say what is missing and the command that mends it."""
    with st.container(border=True):
        st.markdown(f":material/info: {text}")
        if command:
            st.code(command, language="bash")


def not_studied(
    kind_command: str, studied: Collection[str], what: str = "", suits: Callable[[Run], bool] = lambda run: True
) -> None:
    """Which runs on the same data have no such study, and the command that makes it; nothing where none is missing.

    Args:
        kind_command: command with its options, to which the names of the missing runs are added.
        studied: names of the runs that have one.
        what: how it is studied, as in ``by Occlusion``.
        suits: whether a run can have such a study; runs without weights or trained with a mask never do.
    """
    names = [run.name for run in _without_study(studied, suits) if run.can_answer]
    if names:
        told = plain(", ".join(names))
        st.caption(f"{f'Not studied {what}'.strip()}: {told}. To study them: `{kind_command} {' '.join(names)}`")


def weights_not_kept(
    kind_command: str, studied: Collection[str], what: str = "", suits: Callable[[Run], bool] = lambda run: True
) -> None:
    """Which of the runs that :func:`not_studied` cannot ask for lack their weights, and how each is trained again.

    Args:
        kind_command, studied, what, suits: as in :func:`not_studied`.
    """
    lost = [run for run in _without_study(studied, suits) if not run.can_answer]
    if not lost:
        return
    many = f"{len(lost)} runs are" if len(lost) > 1 else "1 run is"
    with st.expander(f"{f'{many} not studied {what}'.strip()}: their weights are not kept here"):
        st.caption(f"Train one again, then `{kind_command}` with the name that it gets:")
        commands = [run.run.get("retrain") or f"python -m fer_core train {run.model} {run.dataset}" for run in lost]
        st.code("\n".join(f"# {run.name}\n{command}" for run, command in zip(lost, commands, strict=True)), "bash")


def _without_study(studied: Collection[str], suits: Callable[[Run], bool]) -> list[Run]:
    """Runs on the same data that have no study, and could have one if their weights are here."""
    runs = cache.runs()
    data = {run.dataset for run in runs if run.name in studied}
    missing = [run for run in runs if run.dataset in data and run.name not in studied]
    return [run for run in missing if trained_mask(run) is None and suits(run)]


def say_settings(chosen: Iterable[str], options: Collection[str]) -> None:
    """What tells a chosen run from another of the same model and seed; nothing where there is none to choose."""
    chosen, settings = set(chosen), cache.run_settings()
    for group in recipes.twins(run for run in cache.runs() if run.name in options):
        names = [run.name for run in group]
        if chosen.intersection(names):
            st.caption(plain("; ".join(f"{name}: {settings[name] or 'settings unknown'}" for name in names)))


def with_settings(table: pd.DataFrame, name: str, after: str) -> pd.DataFrame:
    """``table`` of runs with a column ``settings`` beside ``after``; as it is where no run's settings are known.

    Args:
        name: column with the names of the runs.
    """
    told = table[name].map(cache.run_settings()).fillna("")
    if not told.any():
        return table
    table = table.copy()
    table.insert(table.columns.get_loc(after) + 1, "settings", told)
    return table


def download_table(table: pd.DataFrame | Callable[[], pd.DataFrame], name: str, label: str = "Table (CSV)") -> None:
    """A button that saves ``table``, or what it returns when the button is pressed, as ``<name>.csv``."""
    st.download_button(
        label,
        lambda: (table() if callable(table) else table).to_csv(index=False).encode(),
        f"{name}.csv",
        "text/csv",
        key=f"csv-{name}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def download_figure(figure: Figure, name: str, label: str = "Figure (HTML)") -> None:
    """A button that saves ``figure`` as ``<name>.html``, interactive and complete in one file."""
    st.download_button(
        label,
        lambda: figure.to_html(include_plotlyjs=True).encode(),
        f"{name}.html",
        "text/html",
        key=f"html-{name}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def download_picture(image: np.ndarray, name: str, label: str = "Picture (PNG)") -> None:
    """A button that saves ``image`` uint8 as ``<name>.png``."""
    st.download_button(
        label,
        lambda: encode_png(image),
        f"{name}.png",
        "image/png",
        key=f"png-{name}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def show_figure(figure: Figure, name: str, table: pd.DataFrame) -> None:
    """Draw ``figure`` with its downloads, all called ``name``: PNG by its toolbar, ``table`` as CSV, and HTML.

    Args:
        table: the numbers that are drawn.
    """
    make_room_for_toolbar(figure)
    st.plotly_chart(figure, key=f"figure-{name}", config=figure_config(name))
    with st.container(horizontal=True, gap="small"):
        download_table(table, name, "Data (CSV)")
        download_figure(figure, name)


def figure_config(name: str) -> dict:
    """Plotly's settings of a figure whose toolbar saves ``<name>.png``, shown always: touch screens cannot hover."""
    image = {"format": "png", "filename": name, "scale": PNG_SCALE}
    return {
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtonsToRemove": list(TOOLS_LEFT_OUT),
        "toImageButtonOptions": image,
    }


def make_room_for_toolbar(figure: Figure) -> None:
    """Keep the top of ``figure`` free for its toolbar; what is drawn stays as high as it was."""
    titled = any(one.yref == "paper" and one.y >= 1 for one in figure.layout.annotations)  # titles of panels
    needed = TOOLBAR_HEIGHT + titled * TITLE_HEIGHT
    missing = needed - (figure.layout.margin.t or 0)
    if missing > 0:
        figure.update_layout(margin={"t": needed})
        if figure.layout.height:
            figure.update_layout(height=figure.layout.height + missing)


def show_table(table: "pd.DataFrame | Styler", **settings: Any) -> Any:
    """``st.dataframe`` of ``table`` without its index; cells without a value are empty.

    Columns with the format ``percent`` are written as in sentences; what they are sorted and saved by stays a share.

    Args:
        settings: passed on; with ``on_select`` it returns what is selected.
    """
    config = settings.get("column_config") or {}
    names = table if isinstance(table, pd.DataFrame) else ()  # a Styler writes its cells itself
    shares = [name for name, column in config.items() if name in names and _format(column) == "percent"]
    if shares and len(table) <= MOST_STYLED:
        table = table.reset_index(drop=True).style.format(dict.fromkeys(shares, percent), na_rep="")
        plain_numbers = {
            name: config[name] | {"type_config": config[name]["type_config"] | {"format": None}} for name in shares
        }
        settings = settings | {"column_config": config | plain_numbers}
    return st.dataframe(table, hide_index=True, placeholder="", **settings)


def _format(column: Any) -> str | None:
    """How Streamlit is to write the numbers of a column."""
    return (column.get("type_config") or {}).get("format") if isinstance(column, dict) else None


def probability_bars(probabilities: np.ndarray, class_names: Sequence[str], name: str) -> None:
    """Class probabilities (K,) of one face as bars, with the downloads of :func:`show_figure`."""
    table = pd.DataFrame({"class": list(class_names), "probability": np.asarray(probabilities, float)})
    show_figure(faces.probability_bars(probabilities, class_names), name, table)


def picture_grid(images: Sequence[np.ndarray], captions: Sequence[str], *, width: int = 96) -> None:
    """Pictures with captions in rows that wrap; the captions are what is read to those who cannot see the pictures."""
    with st.container(horizontal=True, gap="small"):
        for image, caption in zip(images, captions, strict=True):
            st.image(image, caption=caption, width=width, alt=", ".join(map(str.strip, caption.splitlines())))


def page_window(number: int, page_size: int = PAGE_SIZE) -> slice:
    """Where the items of page ``number`` (from 1) stand."""
    return slice((number - 1) * page_size, number * page_size)


def progress_bar() -> Callable[[str, int, int], None]:
    """A bar that a long task of the library reports to: what is done, how much of it, out of how much."""
    bar, started = st.progress(0.0, "Starting ..."), time.monotonic()
    begun = started, 0.0  # time and share from which on work takes time: what comes at once was done before

    def report(what: str, done: int, total: int) -> None:
        nonlocal begun
        share, now = min(max(done / total, 0.0), 1.0) if total else 0.0, time.monotonic()
        if now - started < AT_ONCE_S:
            begun = now, share
        here = share - begun[1]
        left = f", {(now - begun[0]) / here * (1 - share):.0f} s left" if here > 0.02 else ""
        bar.progress(share, f"{what}{left}")

    return report


def sidebar() -> None:
    """What data and results this app sees."""
    with st.sidebar:
        names = cache.registered_datasets()
        st.caption(f"Pictures: {', '.join(names) or 'none registered'}  \nStored runs: {len(cache.runs())}")
        for problem in cache.run_problems():
            st.warning(plain(problem), icon=":material/warning:")


def plain(text: str) -> str:
    """``text`` with Markdown's and Streamlit's signs made harmless: it may quote a file name."""
    for sign in "\\`*_[]<>$:~#":
        text = text.replace(sign, f"\\{sign}")
    return text
