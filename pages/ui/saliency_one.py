"""The maps of one face: any class, by several methods, two models side by side, each with its checks below."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from fer_core.charts import explain as charts
from fer_core.charts.trust import outlined
from fer_core.errors import FerError
from fer_core.explain.gradients import is_earlier
from fer_core.explain.options import slug, words
from fer_core.explain.saliency import METHODS, LayerChoice, SaliencyMap
from fer_core.pictures import has_gradients, is_network
from fer_core.wording import percent
from pages.ui import cache, cache_explain, pick, saliency_more, saliency_options, saliency_trust, state, widgets
from pages.ui.cache_explain import Asked

PREDICTED, TRUE = "predicted", "true"
EXPLAINED = {PREDICTED: "predicted class", TRUE: "true class"}
THUMBNAIL = 128
WORDS = 264  # pixels beside a map; below it where there is no room for both
MAX_GAP = 0.05  # as Sundararajan et al. 2017, section 5, ask
OWN = "own"  # layers of an ensemble's networks
GRAD_CAM, LAYER_CAM = "grad_cam", "layer_cam"
WHOLE_MAPS = (GRAD_CAM, "grad_cam_pp", "score_cam")
OFTEN_EMPTY = (
    "This method weighs each feature map as a whole, so that nothing is left where maps that speak against the class "
    "win everywhere: this happens most in layers before the last. LayerCAM weighs each place by itself."
)


class Look(NamedTuple):
    """How maps are drawn."""

    opacity: float
    colormap: str
    outlines: bool


@dataclass(frozen=True)
class Shown:
    """A model's map that is on the page.

    Attributes:
        run_name: of the model.
        target: the class explained.
        asked: what the map is of.
        found: the map, N = 1.
        stem: of file names.
        place: where what belongs to it goes, below the map.
    """

    run_name: str
    target: str
    asked: Asked
    found: SaliencyMap
    stem: str
    place: st.delta_generator.DeltaGenerator


def show() -> None:
    """The whole view."""
    left, right = st.columns([1, 2], gap="large")
    with left:
        face = pick.face()
        if face is not None:
            st.image(face.image, width=THUMBNAIL, caption=face.title, alt="The face, as the models get it")
        models = pick.models(most=2, networks_first=True)
        pick.say_not_cut_out(models, face is not None and face.label is not None)
        method = choose_method(models)
        options = saliency_options.choose(method)
        if face is None or not models:
            return
        class_names = list(dict.fromkeys(name for model in models for name in cache.run(model).run["class_names"]))
        wanted = choose_class(class_names, face.label is not None)
        look = choose_look()
        checked = state.toggle(
            "Check the map",
            key="check",
            default=True,
            help="Can it be trusted? The checks ask the model some thousand times, which takes a few seconds; where "
            "they need longer they start when asked for.",
        )
    with right:
        columns = st.columns(len(models), gap="medium")
        shown = []
        for number, (column, model) in enumerate(zip(columns, models, strict=True), start=1):
            with column, widgets.page_errors():
                shown.append(
                    show_model(model, face, (method, options), wanted, look, layer_key(number), wide=len(models) == 1)
                )
        found = [one for one in shown if one is not None]
        unfinished = []
        for one in found:
            with one.place, widgets.page_errors():
                unfinished.append((one, show_below(one, face, checked)))
        models_explained = [saliency_more.Explained(one.run_name, one.target, one.asked) for one in found]
        rows = saliency_more.show(models_explained, face, *look)
        for one, complete in unfinished:
            with one.place, widgets.page_errors():
                complete()
        saliency_more.show_all_checks(rows, face)


def choose_method(models: list[str]) -> str:
    """A method that works for at least one of the models."""
    gradients = any(has_gradients(cache.run(model)) for model in models)
    offered = [name for name, one in METHODS.items() if gradients or not models or not one.needs_network]
    default = default_method([model for model in models if is_network(cache.run(model))])
    method = state.choice(
        "Method", offered, key="method", default=default, format_func=lambda name: METHODS[name].title
    )
    st.caption(METHODS[method].about)
    if default == LAYER_CAM and method == GRAD_CAM:
        st.caption(f"The last layer of this network is too coarse, so an earlier one is taken. {OFTEN_EMPTY}")
    if len(offered) < len(METHODS):
        others = ", ".join(one.title for one in METHODS.values() if one.needs_network)
        st.caption(f"Not offered: {others}. They need a neural network, or an ensemble of nothing else.")
    return method


def default_method(networks: list[str]) -> str:
    """Grad-CAM; LayerCAM where the last layer is too coarse to show: in earlier ones Grad-CAM is often empty."""
    for network in networks:
        try:
            layers, default = cache.cam_layers(network)
        except FerError:  # told where the model is shown
            continue
        if is_earlier(layers, default):
            return LAYER_CAM
    return GRAD_CAM


def choose_class(class_names: list[str], has_truth: bool) -> str:
    special = [PREDICTED, TRUE] if has_truth else [PREDICTED]
    return state.choice(
        "Explain", [*special, *class_names], key="explain", format_func=lambda name: EXPLAINED.get(name, name)
    )


def choose_look() -> Look:
    opacity = state.slider("Opacity", 0.0, 1.0, 0.5, key="opacity", step=0.05)
    colormap = state.choice("Colours", list(charts.COLORMAPS), key="colours", widget=st.segmented_control)
    return Look(opacity, colormap, state.toggle("Outline the parts", key="outlines"))


def choose_layer(run_name: str, method: str, key: str) -> str | None:
    """A layer of the run's network, or of all networks of an ensemble, for methods that take one; None: the default."""
    run = cache.run(run_name)
    if not METHODS[method].takes_layer or not has_gradients(run):
        return None
    if is_network(run):
        layers, default = cache.cam_layers(run_name)
        titles = {}
    else:
        layers, own = cache.shared_layers(run_name)
        if not layers:
            return None
        default = OWN
        titles = {OWN: f"each network's own: {layer_words(own)}"}
    titles |= {choice.name: layer_words(choice) for choice in layers}
    chosen = state.choice(
        "Layer",
        list(titles),
        key=key,
        default=default,
        format_func=titles.__getitem__,
        help="Later layers know more about expressions, but their grid is coarser.",
    )
    return None if chosen == OWN else chosen


def layer_key(number: int) -> str:
    """Key of the widget for the layer of the first or second model."""
    return f"layer{number}"


def layer_words(layer: LayerChoice) -> str:
    return f"{layer.name}, {layer.grid[0]} × {layer.grid[1]}"


def show_model(
    run_name: str, face: pick.Face, way: tuple[str, dict], wanted: str, look: Look, key: str, wide: bool
) -> Shown | None:
    """One model's map, prediction and downloads; None where there is nothing to explain.

    ``way`` is the method and its options; ``key`` that of the widget for the layer.
    """
    method, options = way
    st.subheader(run_name)
    names = list(cache.run(run_name).run["class_names"])
    with st.spinner("Looking ..."):
        probabilities = cache.probabilities(run_name, face.image)
    predicted = names[int(probabilities.argmax())]
    target = {PREDICTED: predicted, TRUE: face.label}.get(wanted, wanted)
    if target not in names:
        st.warning(f"This model does not know the class {target}.")
        return None
    with st.container(horizontal=wide, gap="medium"):
        map_place, words_place = st.container(), st.container(width=WORDS if wide else "stretch")
    with words_place:
        layer = choose_layer(run_name, method, key)
    with st.spinner("Explaining ..."):  # below: an empty place beside the words has no width to show it in
        asked = Asked(face.image, names.index(target), method, layer, options)
        found = cache.saliency(run_name, *asked)
    stem = "-".join(filter(None, (face.slug, run_name, method, layer, slug(options), target)))
    with map_place:
        show_map(face, found, target, look, stem, saliency_more.labelled(found, face, run_name, target))
    with words_place:
        show_words(run_name, found, target, names, probabilities, f"{face.slug}-{run_name}-probabilities")
        show_completeness(run_name, asked)
    return Shown(run_name, target, asked, found, stem, st.container())


def show_map(face: pick.Face, found: SaliencyMap, target: str, look: Look, stem: str, table: pd.DataFrame) -> None:
    """The map over the face, and its downloads; ``table`` has its numbers."""
    picture = charts.overlay(face.image, found.values[0], look.opacity, look.colormap, charts.MIN_SIDE)
    if look.outlines:
        picture = outlined(picture, face.points)
    st.image(picture, width="stretch", alt=f"{METHODS[found.method].title} of {target} over the face")
    st.image(charts.colour_scale(look.colormap), width="stretch", caption="none → strongest", alt="Colour scale")
    if not found.values.any():
        where = "in this layer nothing" if found.layer else "nothing"
        st.info(f"The map is empty: {where} speaks for {target}.")
        if found.method in WHOLE_MAPS:
            st.caption(OFTEN_EMPTY)
            st.button("Show LayerCAM", key=f"layer-cam-{stem}", on_click=show_layer_cam)
    with st.container(horizontal=True, gap="small"):
        widgets.download_picture(picture, stem)
        widgets.download_table(table, stem, "Map (CSV)")


def show_layer_cam() -> None:
    """Change the method; for a button, whose callback runs before the widget is drawn."""
    st.session_state["method"] = LAYER_CAM


def show_words(
    run_name: str, found: SaliencyMap, target: str, names: list[str], probabilities: np.ndarray, name: str
) -> None:
    """What is predicted and explained; ``name`` is of the probabilities' files."""
    where = f" at {found.layer}" if found.layer else ""
    options = words({option: value for option, value in found.given.items() if option != "layer"})
    st.markdown(
        f"Predicted **{names[int(probabilities.argmax())]}** with {percent(probabilities.max())}. The map explains "
        f"**{target}** ({percent(probabilities[names.index(target)])}): {METHODS[found.method].title}{where}"
        f"{f' ({options})' if options else ''}, "
        f"{found.grid[0]} × {found.grid[1]} cells."
    )
    widgets.probability_bars(probabilities, names, name)
    if cache.run(run_name).run.get("config", {}).get("tta", "none") != "none":
        st.caption(
            "These probabilities are averaged over shifted and mirrored views; the map explains the face as it is."
        )


def show_completeness(run_name: str, asked: Asked) -> None:
    """Whether integrated gradients add up; nothing for other methods."""
    gap = cache_explain.completeness_gap(run_name, asked)
    if gap is None:
        return
    told = (
        f"Completeness: the map's sum is off by {percent(abs(gap))} of what it should be, the class score of this face "
        "minus that of the baseline"
    )
    if abs(gap) > MAX_GAP:
        st.warning(f"{told}; at most {percent(MAX_GAP)} is asked for. More steps (see Options) bring it nearer.")
    else:
        st.caption(f"{told} (Sundararajan et al. 2017; at most {percent(MAX_GAP)} is asked for).")


def show_below(one: Shown, face: pick.Face, checked: bool) -> Callable[[], None]:
    """What belongs to a map: its parts of the face, and its checks, which what is returned completes."""
    strip, parts = st.container(), st.container()
    with parts:
        if face.face_found:
            note = "" if face.points_found else pick.NO_POINTS
            saliency_trust.show_regions(one.found.uncapped[0], face.points, one.target, one.stem, note)
        else:
            st.caption(pick.NO_FACE)
    if not checked:
        return lambda: None
    with strip:
        return saliency_trust.show_strip(one.run_name, one.asked, one.stem)
