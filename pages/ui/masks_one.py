"""One face on the Masks page: hide parts of it, share its probability out among its parts, slide a patch over it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from fer_core import masks, regions
from fer_core.charts import explain as charts
from fer_core.charts import occlusion as occlusion_charts
from fer_core.charts.results import run_colours
from fer_core.explain import occlusion, shapley
from fer_core.explain.faithfulness import grid_words
from fer_core.explain.occlusion import MaskEffect
from fer_core.explain.saliency import METHODS
from fer_core.explain.shapley import Shapley
from fer_core.wording import percent
from pages.ui import cache, cache_masks, masks_choice, pick, saliency_options, state, widgets

MOST_MODELS = 4
MOST_PLACES = 5
THUMBNAIL = 72
SHEET_COLUMNS = 10
HIDE, WORTH, PATCH = "Hide parts", "Worth", "Patch"  # one line of the narrow column
ASK_HELP = (
    "**Hide parts**: how the prediction shifts. **Worth**: what each part is worth to a class. **Patch**: slid over "
    "the face, it shows where the class is lost."
)
PREDICTED = "predicted class"
TITLES = {name: part.title for name, part in regions.REGIONS.items()}
PATCHES = {0.125: "An eighth", 1 / 6: "A sixth", 0.25: "A quarter", 1 / 3: "A third"}


def show() -> None:
    left, right = st.columns([1, 2], gap="large")
    with left:
        face = pick.face()
        models = pick.models(MOST_MODELS)
        pick.say_not_cut_out(models, face is not None and face.label is not None)
        if face is None or not models:
            return
        view = state.choice("Ask", (HIDE, WORTH, PATCH), key="ask", widget=st.segmented_control, help=ASK_HELP)
    with right:
        st.markdown(f"**{widgets.plain(face.title)}**")
    {HIDE: _show_hidden, WORTH: _show_worth, PATCH: _show_patch}[view](face, models, left, right)


# Hide parts


def _show_hidden(face: pick.Face, models: list[str], left, right) -> None:
    with left:
        choice = masks_choice.choose(face.image)
        fill = masks_choice.choose_fill()
        controls = masks_choice.choose_controls()
    with right:
        if choice.problem:
            st.warning(choice.problem)
            return
        mask = choice.mask(face.points, face.image.shape[:2])
        if not mask.any():
            st.image(charts.enlarge(face.image), width=charts.MIN_SIDE, alt="The whole face")
            st.info("Nothing is hidden yet: choose rows or parts, or draw a rectangle.")
            return
        effects = {}
        for model in models:
            with widgets.page_errors(), st.spinner(f"Asking {model} ..."):
                effects[model] = cache.mask_effect(model, face.image, mask, fill, controls)
        if effects:
            slug = f"{face.slug}-{choice.words}-{fill}"
            _show_words(effects)
            _show_pictures(face, mask, next(iter(effects.values())), slug)
            about = {"picture": face.slug, "mask": choice.words, "fill": fill, "random_masks": controls}
            _show_numbers(effects, slug, about)


def _show_pictures(face: pick.Face, mask: np.ndarray, effect: MaskEffect, slug: str) -> None:
    """Before, after, and the random masks."""
    before, after = st.columns(2, gap="small")
    with before:
        outlined = charts.mask_outline(face.image, mask)
        st.image(outlined, caption="Whole, what will be hidden outlined", width="stretch", alt="The whole face")
    with after:
        masked = charts.enlarge(effect.masked)
        st.image(masked, caption=f"Masked, {percent(effect.area)} hidden", width="stretch", alt="The masked face")
        widgets.download_picture(masked, slug, "Masked picture (PNG)")
    if len(effect.control_images):
        st.caption(f"Random masks: {occlusion.control_words(masks.movable(mask))}")
        widgets.picture_grid(
            [charts.enlarge(image, THUMBNAIL) for image in effect.control_images],
            [str(number) for number in range(1, len(effect.control_images) + 1)],
            width=THUMBNAIL,
        )
        sheet = charts.contact_sheet(effect.control_images, SHEET_COLUMNS)
        widgets.download_picture(sheet, f"{slug}-random", "Random masks (PNG)")


def _show_words(effects: Mapping[str, MaskEffect]) -> None:
    """What happened, a line per model."""
    for run_name, effect in effects.items():
        before, after = effect.predicted
        top = effect.class_names.index(before)
        change = f"turns from **{before}** to **{after}**" if effect.flipped else f"stays **{before}**"
        line = (
            f"**{run_name}** {change}: {before} had {percent(effect.before[top])}, masked {percent(effect.after[top])}"
        )
        if len(effect.controls):
            line += (
                f", under random masks as large {percent(effect.control_mean[top])} on average; these change the class "
                f"in {effect.control_flips} of {len(effect.controls)}"
            )
        st.markdown(f"{line}.")


def _show_numbers(effects: Mapping[str, MaskEffect], slug: str, about: Mapping) -> None:
    """Probabilities; ``about`` are columns of the saved table that say what it is of."""
    frame = occlusion.shift_frame(effects)
    widgets.show_figure(charts.probability_shifts(frame), f"{slug}-masked-probabilities", frame.assign(**about))
    st.caption("Above the bars: change in percentage points. Diamonds: mean of the random masks, whiskers their range.")
    percent = {
        name: st.column_config.NumberColumn(title, format="percent")
        for name, title in {
            "before": "whole",
            "after": "masked",
            "shift": "shift",
            "control_shift": "shift by random masks",
            "beyond_control": "shift beyond random",
        }.items()
    }
    hidden = dict.fromkeys(("control", "control_low", "control_high"))
    with st.expander("Shifts as a table"):
        widgets.show_table(frame, column_config=percent | hidden)


# What each part is worth


def _show_worth(face: pick.Face, models: list[str], left, right) -> None:
    with left:
        wanted = _choose_class(models)
        fill = masks_choice.choose_fill()
        places = masks_choice.choose_controls("Same shapes at random places", "places", MOST_PLACES, 2)
        st.caption(
            "Every combination of the eight parts is hidden once, 256 pictures; a part's worth is its fair share of "
            "the probability (its Shapley value). A large part is worth more wherever it lies: so the same shapes "
            "are tried elsewhere too, all moved alike and round the edges of the picture: one that lies on an edge "
            "is in two pieces."
        )
    with right:
        found: dict[str, Shapley] = {}
        moved: dict[str, list[Shapley]] = {}
        for model in models:
            bar = st.empty()
            with widgets.page_errors():
                with bar:
                    report = widgets.progress_bar()
                found[model], moved[model] = cache_masks.shapley(model, face.image, face.points, fill, places, report)
            bar.empty()
        known = {run: one for run, one in found.items() if wanted in (PREDICTED, *one.class_names)}
        for run in found.keys() - known.keys():
            st.warning(f"{run} does not know the class {wanted}.")
        if known:
            about = {"picture": face.slug, "fill": fill, "random_places": places}
            _show_parts(face, known, moved, wanted, about)


def _show_parts(
    face: pick.Face, found: dict[str, Shapley], moved: dict[str, list[Shapley]], wanted: str, about: Mapping
) -> None:
    """The worth of each part and of pairs; ``about`` are columns of the saved tables that say what they are of."""
    slug = f"{face.slug}-{about['fill']}"
    targets = {run: one.predicted if wanted == PREDICTED else wanted for run, one in found.items()}
    table = _of_targets(shapley.frame(found, moved), targets)
    picture, chart = st.columns([1, 2], gap="medium")
    with picture:
        parts = occlusion_charts.parts_picture(face.image, regions.outlines(face.points))
        st.image(parts, caption="The parts", width="stretch", alt="The parts of the face, outlined")
        if not face.points_found:
            st.caption(pick.NO_POINTS)
        widgets.download_picture(parts, f"{face.slug}-parts", "Parts (PNG)")
    with chart:
        colours = run_colours([run.name for run in cache.runs()], found)
        bars = occlusion_charts.worth_bars(table, colours, TITLES)
        widgets.show_figure(bars, f"{slug}-worth-{wanted.replace(' ', '-')}", table.assign(**about))
    for run, one in found.items():
        first, *others = shapley.words(one, targets[run], TITLES)
        st.markdown(f"**{run}**: {first}" + "".join(f"\n- {line}" for line in others))
    with st.expander("Worth as a table"):
        percent = {"area": "of the picture", "full": "p, all visible", "empty": "p, all hidden"}
        points = {"value": "worth", "control": "elsewhere", "control_low": "least", "control_high": "most"}
        columns = {
            name: st.column_config.NumberColumn(title, format="percent") for name, title in (points | percent).items()
        }
        widgets.show_table(table.assign(region=table["region"].replace(TITLES)), column_config=columns)
    run = state.choice("Pairs of parts, for", list(found), key="pairs") if len(found) > 1 else next(iter(found))
    pairs = _of_targets(shapley.pair_frame({run: found[run]}, moved), targets)
    heatmap = occlusion_charts.pair_heatmap(pairs, TITLES)
    widgets.show_figure(heatmap, f"{slug}-pairs-{run}-{targets[run]}", pairs.assign(**about))
    st.caption(
        "Percentage points that two parts are worth more together than apart (violet), or less, because one can stand "
        "in for the other (orange). Point at a pair for the same two shapes elsewhere. " + _views_note(found)
    )


def _of_targets(table: pd.DataFrame, targets: Mapping[str, str]) -> pd.DataFrame:
    """The rows of each run's own class."""
    return table[table["class"] == table["run"].map(targets)].reset_index(drop=True)


# Slide a patch


def _show_patch(face: pick.Face, models: list[str], left, right) -> None:
    with left:
        wanted = _choose_class(models)
        sizes = list(PATCHES)
        patch = state.choice(
            "Side of the patch", sizes, key="patch", default=sizes[1], format_func=PATCHES.get, help="Of the picture's."
        )
        fill = masks_choice.choose_fill()
    with right:
        maps = {}
        for model in models:
            with widgets.page_errors(), st.spinner(f"Sliding the patch for {model} ..."):
                names = list(cache.run(model).run["class_names"])
                before = cache_masks.probabilities(model, face.image)
                target = names[int(before.argmax())] if wanted == PREDICTED else wanted
                if target not in names:
                    st.warning(f"{model} does not know the class {target}.")
                    continue
                fall, grid = cache_masks.occlusion_map(model, face.image, names.index(target), patch, fill)
                maps[model] = (fall, grid, target, float(before[names.index(target)]))
        if maps:
            _show_maps(face, maps, patch, fill)


def _show_maps(
    face: pick.Face, maps: Mapping[str, tuple[np.ndarray, tuple[int, int], str, float]], patch: float, fill: str
) -> None:
    """A map per model."""
    slug = f"{face.slug}-patch-{100 * patch:.0f}-{fill}"
    about = {"picture": face.slug, "patch": round(patch, 3), "fill": fill}  # columns of the saved tables
    end = occlusion.common_end([fall for fall, *_ in maps.values()])
    columns = st.columns(min(len(maps), 2), gap="small")
    for place, (model, (fall, grid, target, before)) in enumerate(maps.items()):
        with columns[place % len(columns)]:
            overlay = occlusion_charts.fall_overlay(face.image, fall, end)
            st.image(overlay, width="stretch", alt=f"Fall of {target} under the patch, over the face")
            said = f"**{target}** ({percent(before)}) {occlusion.change_words(fall)}"
            st.markdown(f"**{model}**: {said}.")
            st.caption(f"Cells of the map: {grid_words(grid)} to tell eyes from mouth.")
            with st.container(horizontal=True, gap="small"):
                widgets.download_picture(overlay, f"{slug}-{model}-{target}")
                table = occlusion.map_frame(fall).assign(run=model, **{"class": target}, **about)
                widgets.download_table(table, f"{slug}-{model}-{target}", "Map (CSV)")
                _link_checks(model, target, patch, fill)
    st.image(occlusion_charts.fall_scale(), width="stretch", alt="Colour scale")
    st.caption(
        f"From a rise of {occlusion.points(end)} (violet) over none to a fall of as many (orange), the same for all "
        f"models. Every place hides as much, so no random control is needed. {_views_note(maps)}"
    )


def _link_checks(model: str, target: str, patch: float, fill: str) -> None:
    """A link that opens Saliency at a map of this page, where its checks stand below it."""
    options = METHODS["occlusion"].options | {"patch": patch, "fill": fill}
    chosen = {"scope": pick.ONE_FACE, "models": [model], "method": "occlusion", "explain": target, "check": True}
    chosen |= pick.chosen_face() | saliency_options.by_key("occlusion", options)
    words = {"from": pick.SOURCES[chosen["from"]], "method": METHODS["occlusion"].title}
    words |= saliency_options.words("occlusion", options)
    st.page_link(
        "pages/saliency.py",
        label="Check this map",
        icon=":material/fact_check:",
        help="Can it be trusted? Saliency shows the same map with its checks.",
        query_params=state.link(chosen, words),
    )


def _choose_class(models: list[str]) -> str:
    names = list(dict.fromkeys(name for model in models for name in cache.run(model).run["class_names"]))
    return state.choice("Probability of", [PREDICTED, *names], key="explain", widget=st.selectbox)


def _views_note(models: Mapping[str, object]) -> str:
    """Where the probabilities here are not those of the page's other views."""
    averaged = [model for model in models if (cache.run(model).run.get("config") or {}).get("tta", "none") != "none"]
    if not averaged:
        return ""
    return f"Of the face as it is, not averaged over views as elsewhere: {', '.join(averaged)}."
