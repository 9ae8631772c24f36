"""Where does a model look? A map over one face, for any class, by several methods; two models side by side."""

from typing import NamedTuple

import streamlit as st

from fer_core.charts import explain as charts
from fer_core.explain.saliency import METHODS, map_frame
from pages.ui import cache, pick, state, widgets

PREDICTED, TRUE = "predicted", "true"
THUMBNAIL = 128


class Look(NamedTuple):
    """How maps are drawn."""

    opacity: float
    colormap: str


def choose_method() -> str:
    method = state.choice("Method", list(METHODS), key="method", format_func=lambda name: METHODS[name].title)
    st.caption(METHODS[method].about)
    return method


def choose_class(class_names: list[str], has_truth: bool) -> str:
    special = [PREDICTED, TRUE] if has_truth else [PREDICTED]
    titles = {PREDICTED: "predicted class", TRUE: "true class"}
    return state.choice(
        "Explain", [*special, *class_names], key="explain", format_func=lambda name: titles.get(name, name)
    )


def choose_layer(run_name: str, method: str, key: str) -> str | None:
    """A layer of the run's network, for methods that take one."""
    if not METHODS[method].takes_layer:
        return None
    layers, default = cache.cam_layers(run_name)
    grids = {choice.name: choice.grid for choice in layers}
    return state.choice(
        "Layer",
        list(grids),
        key=key,
        default=default,
        format_func=lambda name: f"{name}, {grids[name][0]} × {grids[name][1]}",
        help="Later layers know more about expressions, but their grid is coarser.",
    )


def show_model(run_name: str, face: pick.Face, method: str, wanted: str, look: Look, key: str, wide: bool) -> None:
    """One model's map, prediction and downloads."""
    st.subheader(run_name)
    names = list(cache.run(run_name).run["class_names"])
    with st.spinner("Looking ..."):
        probabilities = cache.probabilities(run_name, face.image)
    predicted = names[int(probabilities.argmax())]
    target = {PREDICTED: predicted, TRUE: face.label}.get(wanted, wanted)
    if target not in names:
        st.warning(f"This model does not know the class {target}.")
        return
    map_place, words_place = st.columns([3, 2], gap="medium") if wide else (st.container(), st.container())
    with words_place:
        layer = choose_layer(run_name, method, key)
    with map_place, st.spinner("Explaining ..."):
        found = cache.saliency(run_name, face.image, names.index(target), method, layer)
    picture = charts.overlay(face.image, found.values[0], look.opacity, look.colormap, charts.MIN_SIDE)
    with map_place:
        st.image(picture, width="stretch", alt=f"{METHODS[method].title} of {target} over the face")
        st.image(charts.colour_scale(look.colormap), width="stretch", caption="none → strongest", alt="Colour scale")
        if not found.values.any():
            st.info(f"The map is empty: in this layer nothing speaks for {target}.")
        stem = f"{face.slug}-{run_name}-{method}-{target}"
        with st.container(horizontal=True, gap="small"):
            widgets.download_picture(picture, stem)
            widgets.download_table(map_frame(found), stem, "Map (CSV)")
    with words_place:
        where = f" at {found.layer}" if found.layer else ""
        st.markdown(
            f"Predicted **{predicted}** with {probabilities.max():.0%}. The map explains **{target}** "
            f"({probabilities[names.index(target)]:.0%}): {METHODS[method].title}{where}, "
            f"{found.grid[0]} × {found.grid[1]} cells."
        )
        widgets.probability_bars(probabilities, names, key=f"bars-{key}")
        if cache.run(run_name).run.get("config", {}).get("tta", "none") != "none":
            st.caption(
                "These probabilities are averaged over shifted and mirrored views; the map explains the face as it is."
            )


def choose_look() -> Look:
    opacity = state.slider("Opacity", 0.0, 1.0, 0.5, key="opacity", step=0.05)
    colormap = state.choice("Colours", list(charts.COLORMAPS), key="colours", widget=st.segmented_control)
    return Look(opacity, colormap)


def body() -> None:
    st.title("Saliency")
    st.caption("Where a model looks when it sees a face: bright places matter most for the class explained.")
    left, right = st.columns([1, 2], gap="large")
    with left:
        face = pick.face()
        if face is not None:
            st.image(face.image, width=THUMBNAIL, caption=face.title, alt="The face, as the models get it")
        models = pick.models(most=2, networks_first=True)
        method = choose_method()
        if face is None or not models:
            return
        class_names = list(dict.fromkeys(name for model in models for name in cache.run(model).run["class_names"]))
        wanted = choose_class(class_names, face.label is not None)
        look = choose_look()
    with right:
        columns = st.columns(len(models), gap="medium")
        for place, (column, model) in enumerate(zip(columns, models, strict=True), start=1):
            with column, widgets.page_errors():
                show_model(model, face, method, wanted, look, f"layer{place}", wide=len(models) == 1)


with widgets.page_errors():
    body()
