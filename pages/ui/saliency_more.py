"""More about a face's models: every method's map in small, and a picture that each class would like best."""

from typing import NamedTuple

import pandas as pd
import streamlit as st

from fer_core.charts import explain as charts
from fer_core.charts.saliency import captioned_row
from fer_core.charts.trust import outlined
from fer_core.errors import FerError
from fer_core.explain.faithfulness import grid_words
from fer_core.explain.options import words
from fer_core.explain.saliency import METHODS, SaliencyMap, map_frame
from fer_core.pictures import has_gradients, is_network
from pages.ui import cache, cache_explain, pick, state, widgets
from pages.ui.cache_explain import Asked

SMALL = 120
ASKED = "class-pictures"
GRIDS = "Too coarse: too few cells to tell eyes from mouth. The other checks are made for the map above."


class Explained(NamedTuple):
    """A model, the class that it is explained for, and what the map above is of."""

    run_name: str
    target: str
    asked: Asked


def show(models: list[Explained], face: pick.Face, opacity: float, colormap: str, outlines: bool) -> None:
    """Both views, each on demand."""
    if not models:
        return
    st.divider()
    if state.toggle("Compare all methods", key="methods", help="The same face and class by every method."):
        for model in models:
            with widgets.page_errors():
                show_methods(model, face, opacity, colormap, outlines)
    networks = [model for model in models if is_network(cache.run(model.run_name))]
    if networks:
        with st.expander("Class pictures"):
            show_class_pictures(networks, face)


def show_methods(model: Explained, face: pick.Face, opacity: float, colormap: str, outlines: bool) -> None:
    """A row of small maps."""
    own = model.asked
    above = f"; {METHODS[own.method].title} as above" if own.layer or own.options else ""
    st.markdown(
        f"**{widgets.plain(model.run_name)}**, {model.target}, every method with its default layer and options{above}"
    )
    gradients = has_gradients(cache.run(model.run_name))
    names = [name for name, method in METHODS.items() if gradients or not method.needs_network]
    place = st.empty()
    with place:
        report = widgets.progress_bar()
    pictures, captions, problems, tables = [], [], [], []
    for done, name in enumerate(names):
        report(f"{METHODS[name].title} ...", done, len(names))
        try:
            found = cache.saliency(model.run_name, *_as_default(model, name))
        except FerError as error:
            problems.append(f"{METHODS[name].title}: {error.problem}")
            continue
        picture = charts.overlay(face.image, found.values[0], opacity, colormap, charts.MIN_SIDE)
        pictures.append(outlined(picture, face.points) if outlines else picture)
        captions.append(f"{METHODS[name].title}, {grid_words(found.grid)}")
        tables.append(labelled(found, face, model.run_name, model.target))
    place.empty()
    widgets.picture_grid(pictures, captions, width=SMALL)
    for problem in problems:
        st.caption(widgets.plain(problem))
    if pictures:
        stem = f"{face.slug}-{model.run_name}-all-methods-{model.target}"
        with st.container(horizontal=True, gap="small"):
            widgets.download_picture(captioned_row(pictures, captions), stem, "All maps (PNG)")
            widgets.download_table(pd.concat(tables, ignore_index=True), stem, "All maps (CSV)")
        st.caption(GRIDS)


def labelled(found: SaliencyMap, face: pick.Face, run_name: str, target: str) -> pd.DataFrame:
    """``map_frame`` with what the map is of: face, run, class, method, layer and options that are not the defaults."""
    options = {name: value for name, value in found.given.items() if name != "layer"}
    about = {"face": face.slug, "run": run_name, "class": target, "method": found.method, "layer": found.layer}
    return map_frame(found).assign(**about, options=words(options))


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
                captions.append(f"{name}, {probability:.0%}")
                rows.append((model.run_name, name, probability))
            place.empty()
            widgets.picture_grid(pictures, captions, width=SMALL)
            stem = f"{model.run_name}-class-pictures"
            with st.container(horizontal=True, gap="small"):
                widgets.download_picture(captioned_row(pictures, captions), stem, "Class pictures (PNG)")
                table = pd.DataFrame(rows, columns=["run", "class", "probability"])
                widgets.download_table(table, stem, "Probabilities (CSV)")
