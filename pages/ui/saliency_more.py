"""More about a face's models: each method's small map with its checks, and a picture that a class would like best."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fer_core.charts import explain as charts
from fer_core.charts.saliency import captioned_row
from fer_core.charts.trust import outlined
from fer_core.errors import FerError
from fer_core.explain import faithfulness
from fer_core.explain.check_rows import COLUMNS, check_rows
from fer_core.explain.faithfulness import FAILED, NOT_APPLICABLE, PASSED, UNDECIDED, Verdict, grid_words
from fer_core.explain.options import words
from fer_core.explain.saliency import METHODS, SaliencyMap, map_frame
from fer_core.pictures import has_gradients, is_network
from fer_core.reporting import duration_text
from fer_core.wording import percent
from pages.ui import cache, cache_explain, pick, saliency_trust, state, widgets
from pages.ui.cache_explain import Asked
from pages.ui.saliency_trust import LOOKS

logger = logging.getLogger(__name__)
SMALL = 120
ASKED = "class-pictures"
GRIDS = "Too coarse: too few cells to tell eyes from mouth."
SYMBOLS = {PASSED: "✓", UNDECIDED: "?", FAILED: "✗", NOT_APPLICABLE: "–"}


class Explained(NamedTuple):
    """A model, the class that it is explained for, and what the map above is of."""

    run_name: str
    target: str
    asked: Asked


class Cell(NamedTuple):
    """A method's map on the page: what it is of, the map, and the place below it."""

    asked: Asked
    found: SaliencyMap
    place: DeltaGenerator


class Row(NamedTuple):
    """A model's maps on the page by method, the place below them, and whether they are to be checked."""

    model: Explained
    cells: dict[str, Cell]
    place: DeltaGenerator
    checked: bool


def show(models: list[Explained], face: pick.Face, opacity: float, colormap: str, outlines: bool) -> list[Row]:
    """Both views, each on demand, without the checks, which may take long: see :func:`show_all_checks`."""
    if not models:
        return []
    st.divider()
    rows, checked = [], False
    if state.toggle("Compare all methods", key="methods", help="The same face and class by every method."):
        checked = state.toggle(
            "Check every map",
            key="check-methods",
            help="The checks of the map above, for each of these: seconds for a small network, minutes for a large one "
            "or an SVM. What is done is kept.",
        )
        for model in models:
            with widgets.page_errors():
                rows.append(show_methods(model, face, opacity, colormap, outlines, checked))
    networks = [model for model in models if is_network(cache.run(model.run_name))]
    if networks:
        with st.expander("Class pictures"):
            show_class_pictures(networks, face)
    return rows


def show_all_checks(rows: Sequence[Row], face: pick.Face) -> None:
    """Below the rows of :func:`show` the checks of their maps, or how long these take."""
    for row in rows:
        with row.place, widgets.page_errors():
            if row.checked:
                show_checks(row, face)
            else:
                show_cost(row)


def show_methods(
    model: Explained, face: pick.Face, opacity: float, colormap: str, outlines: bool, checked: bool
) -> Row:
    """A row of small maps; ``checked`` is kept in it."""
    own = model.asked
    above = f"; {METHODS[own.method].title} as above" if own.layer or own.options else ""
    st.markdown(
        f"**{widgets.plain(model.run_name)}**, {model.target}, every method with its default layer and options{above}"
    )
    gradients = has_gradients(cache.run(model.run_name))
    names = [name for name, method in METHODS.items() if gradients or not method.needs_network]
    bar, maps, problems = st.empty(), st.container(horizontal=True, gap="small"), st.container()
    with bar:
        report = widgets.progress_bar()
    pictures, captions, tables, cells = [], [], [], {}
    for done, name in enumerate(names):
        title = METHODS[name].title
        report(f"{title} ...", done, len(names))
        with _alone(title, problems):
            asked = _as_default(model, name)
            found = cache.saliency(model.run_name, *asked)
            picture = charts.overlay(face.image, found.values[0], opacity, colormap, charts.MIN_SIDE)
            pictures.append(outlined(picture, face.points) if outlines else picture)
            captions.append(f"{title}, {grid_words(found.grid)}")
            tables.append(labelled(found, face, model.run_name, model.target))
            with maps, st.container(width=SMALL, gap="xsmall"):
                st.image(pictures[-1], caption=captions[-1], width=SMALL)
                cells[name] = Cell(asked, found, st.empty())
    bar.empty()
    if pictures:
        stem = _stem(model, face, "all-methods")
        with st.container(horizontal=True, gap="small"):
            widgets.download_picture(captioned_row(pictures, captions), stem, "All maps (PNG)")
            widgets.download_table(pd.concat(tables, ignore_index=True), stem, "All maps (CSV)")
        st.caption(GRIDS)
    return Row(model, cells, st.container(), checked)


def show_cost(row: Row) -> None:
    """How long the checks of a row would take, where that is known to be long."""
    run_name = row.model.run_name
    costs = [saliency_trust.cost(run_name, cell.asked) for cell in row.cells.values()]
    if any(slow for _, _, slow in costs):
        queries, seconds = sum(cost[0] for cost in costs), sum(cost[1] for cost in costs)
        st.caption(
            f"To check every map costs as much as {queries:,} predictions of {widgets.plain(run_name)}, about "
            f"{duration_text(seconds)} here."
        )


def show_checks(row: Row, face: pick.Face) -> None:
    """Below each map a mark per check, and in words what it fails; below all of them the numbers.

    Each is shown as soon as it is known, by the same cached answers as the strip of the map above. Other trainings have
    to be loaded first, so they are compared when all other checks of all maps are there.
    """
    bar, numbers, legend = st.empty(), st.empty(), {}
    with bar:
        report = widgets.progress_bar()
    shown, tables, unfinished = {}, {}, list(row.cells)
    for with_trainings in (False, True):
        methods, unfinished = unfinished, []
        for done, method in enumerate(methods):
            title, cell = METHODS[method].title, row.cells[method]
            tell = partial(_tell, report, f"{title} ({done + 1} of {len(methods)})", done, len(methods))
            with _alone(f"{title} was not checked", cell.place):
                in_pieces = saliency_trust.in_pieces(row.model.run_name, cell.asked)
                checked = cache_explain.trust(row.model.run_name, cell.asked, tell, in_pieces, with_trainings)
                unfinished += [method] if checked.trainings is cache_explain.LATER else []
                verdicts = faithfulness.verdicts(checked)
                with cell.place.container():
                    show_marks(verdicts)
                legend |= {verdict.name[0]: verdict.name for verdict in verdicts}
                shown[method] = {"method": title} | {verdict.name: _in_words(verdict) for verdict in verdicts}
                about = _about(cell.found, face, row.model.run_name, row.model.target)
                tables[method] = check_rows(checked).assign(**about)[[*about, *COLUMNS]]
                with numbers:
                    _show_table(list(shown.values()))
    bar.empty()
    if tables:
        names = ", ".join(f"{letter} {name.lower()}" for letter, name in legend.items())
        st.caption(f"{names}; {', '.join(f'{symbol} {outcome}' for outcome, symbol in SYMBOLS.items())}.")
        stem = _stem(row.model, face, "all-checks")
        table = pd.concat(tables.values(), ignore_index=True)
        widgets.download_table(table, stem, "All checks (CSV)")


def show_marks(verdicts: Sequence[Verdict]) -> None:
    """A letter and a symbol per check, with the words as their tooltip; below them the checks that the map fails."""
    marks = " ".join(f":{LOOKS[one.outcome][1]}[{one.name[0]}{SYMBOLS[one.outcome]}]" for one in verdicts)
    st.markdown(marks, help="\n".join(f"- {one.name} {_in_words(one)}" for one in verdicts))
    failed = ", ".join(one.name.lower() for one in verdicts if one.outcome == FAILED)
    if failed:
        st.caption(f":red[**Fails {failed}.**]")


def _show_table(rows: Sequence[Mapping[str, str]]) -> None:
    columns = {name: st.column_config.TextColumn(name, help=about) for name, about in saliency_trust.ABOUT.items()}
    widgets.show_table(pd.DataFrame(rows), column_config=columns | {"method": "Method"})


def _in_words(verdict: Verdict) -> str:
    """``✗ failed: 0.31, random 0.29``."""
    return f"{SYMBOLS[verdict.outcome]} {verdict.outcome}" + (f": {verdict.value}" if verdict.value else "")


def _tell(report: Callable[[str, int, int], None], title: str, before: int, of: int, *part: str | int) -> None:
    """Progress of one of several maps, as a share of all."""
    what, done, total = part
    report(f"{title}: {what[0].lower()}{what[1:]}", before * total + done, of * total)


@contextmanager
def _alone(title: str, place: DeltaGenerator) -> Iterator[None]:
    """Tell at ``place`` what goes wrong inside, so that it takes nothing else down; a bug is logged as well."""
    try:
        yield
    except FerError as error:
        place.caption(widgets.plain(f"{title}: {error.problem}"))
    except Exception as error:
        logger.exception("%s", title)
        place.exception(error)


def labelled(found: SaliencyMap, face: pick.Face, run_name: str, target: str) -> pd.DataFrame:
    """``map_frame`` with what the map is of: face, run, class, method, layer and options that are not the defaults."""
    return map_frame(found).assign(**_about(found, face, run_name, target))


def _about(found: SaliencyMap, face: pick.Face, run_name: str, target: str) -> dict[str, str | None]:
    options = {name: value for name, value in found.given.items() if name != "layer"}
    about = {"face": face.slug, "run": run_name, "class": target, "method": found.method, "layer": found.layer}
    return about | {"options": words(options)}


def _stem(model: Explained, face: pick.Face, what: str) -> str:
    return f"{face.slug}-{model.run_name}-{what}-{model.target}"


def _as_default(model: Explained, method: str) -> Asked:
    """What another method's map is of; of the one above, as it is there."""
    if method == model.asked.method:
        return model.asked
    takes_layer = METHODS[method].takes_layer and is_network(cache.run(model.run_name))
    layer = cache.cam_layers(model.run_name)[1] if takes_layer else None
    return model.asked._replace(method=method, layer=layer, options={})


def show_class_pictures(models: list[Explained], face: pick.Face) -> None:
    """For each class, a picture that the model takes for its clearest example."""
    st.caption(
        "From grey, pixels are changed until the class has as high a score as a smooth picture can give it: "
        "what the model looks for, which need not look like a face to people. The same for every face."
    )
    for model in models:
        names = list(cache.run(model.run_name).run["class_names"])
        asked = st.session_state.setdefault(ASKED, set())
        if model.run_name not in asked:
            button = st.empty()
            if not button.button(f"Draw them for {model.run_name}", key=f"draw-{model.run_name}"):
                continue
            button.empty()
            asked.add(model.run_name)
        with widgets.page_errors():
            st.markdown(f"**{widgets.plain(model.run_name)}**")
            place = st.empty()
            with place:
                report = widgets.progress_bar()
            pictures, captions, rows = [], [], []
            for index, name in enumerate(names):
                report(f"{name} ...", index, len(names))
                picture, probability = cache_explain.class_picture(model.run_name, index)
                pictures.append(charts.enlarge(picture, 2 * SMALL))
                captions.append(f"{name}, {percent(probability)}")
                rows.append((model.run_name, name, probability))
            place.empty()
            widgets.picture_grid(pictures, captions, width=SMALL)
            stem = f"{model.run_name}-class-pictures"
            with st.container(horizontal=True, gap="small"):
                widgets.download_picture(captioned_row(pictures, captions), stem, "Class pictures (PNG)")
                table = pd.DataFrame(rows, columns=["run", "class", "probability"])
                widgets.download_table(table, stem, "Probabilities (CSV)")
