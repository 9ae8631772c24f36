"""More about a face's models: every method's map in small, and a picture that each class would like best."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from fer_core.charts import explain as charts
from fer_core.charts.trust import outlined
from fer_core.errors import FerError
from fer_core.explain.faithfulness import grid_words
from fer_core.explain.saliency import METHODS, map_frame
from fer_core.pictures import is_network
from pages.ui import cache, cache_explain, pick, state, widgets

SMALL = 120
ASKED = "class-pictures"
GRIDS = "Too coarse: too few cells to tell eyes from mouth. The other checks are made for the map above."


class Explained(NamedTuple):
    """A model and the class that it is explained for."""

    run_name: str
    target: str
    index: int


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
    st.markdown(f"**{widgets.plain(model.run_name)}**, {model.target}, every method with its default layer")
    network = is_network(cache.run(model.run_name))
    names = [name for name, method in METHODS.items() if network or not method.needs_network]
    place = st.empty()
    with place:
        report = widgets.progress_bar()
    pictures, captions, problems, tables = [], [], [], []
    for done, name in enumerate(names):
        report(f"{METHODS[name].title} ...", done, len(names))
        try:
            layer = cache.cam_layers(model.run_name)[1] if METHODS[name].takes_layer else None
            found = cache.saliency(model.run_name, face.image, model.index, name, layer)
        except FerError as error:
            problems.append(f"{METHODS[name].title}: {error.problem}")
            continue
        picture = charts.overlay(face.image, found.values[0], opacity, colormap, charts.MIN_SIDE)
        pictures.append(outlined(picture, face.points) if outlines else picture)
        captions.append(f"{METHODS[name].title}, {grid_words(found.grid)}")
        tables.append(map_frame(found).assign(method=name, layer=found.layer))
    place.empty()
    widgets.picture_grid(pictures, captions, width=SMALL)
    for problem in problems:
        st.caption(widgets.plain(problem))
    if pictures:
        stem = f"{face.slug}-{model.run_name}-all-methods-{model.target}"
        with st.container(horizontal=True, gap="small"):
            widgets.download_picture(np.hstack(pictures), stem, "All maps (PNG)")
            widgets.download_table(pd.concat(tables, ignore_index=True), stem, "All maps (CSV)")
        st.caption(GRIDS)


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
            pictures, captions = [], []
            for index, name in enumerate(names):
                report(f"{name} ...", index, len(names))
                picture, probability = cache_explain.class_picture(model.run_name, index)
                pictures.append(charts.enlarge(picture, 2 * SMALL))
                captions.append(f"{name}, {probability:.0%}")
            place.empty()
            widgets.picture_grid(pictures, captions, width=SMALL)
            stem = f"{model.run_name}-class-pictures"
            widgets.download_picture(np.hstack(pictures), stem, "Class pictures (PNG)")
