"""What does a model need to see? Hide parts of a face, or of every test picture, beside random masks as large."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from fer_core import masks
from fer_core.charts import explain as charts
from fer_core.explain.occlusion import MaskEffect, shift_frame
from pages.ui import cache, mask_study, pick, state, widgets

ONE_FACE, STUDY = "One face", "Whole test set"
PARTS = {"forehead": "Forehead", "eyes": "Eyes", "mouth": "Mouth"}
FILLS = {"zero": "Black", "mean": "Mean", "blur": "Blur", "noise": "Noise"}
FILL_HELP = (
    "Black is what the paper used. Mean is the mean of what stays visible. Blur leaves coarse shades. "
    "Noise is random grey."
)
MOST_MODELS, MOST_CONTROLS = 4, 20
THUMBNAIL = 72
SHARE = {"step": 0.01, "format": "percent"}


def choose_mask(shape: tuple[int, int]) -> np.ndarray:
    """Regions and the user's own rectangle together: bool (H, W)."""
    regions = state.choices("Hide", list(PARTS), key="hide", default=["mouth"], widget=st.pills, format_func=PARTS.get)
    parts = [masks.regions_mask(regions, shape)]
    if state.toggle("A rectangle of my own", key="rectangle"):
        left, right = state.span("From left to right", 0.0, 1.0, (0.25, 0.75), key="across", **SHARE)
        top, bottom = state.span("From top to bottom", 0.0, 1.0, (0.25, 0.5), key="down", **SHARE)
        parts.append(masks.rectangle_mask((left, top, right, bottom), shape))
    return masks.combine(parts)


def show_pictures(face: pick.Face, effect: MaskEffect) -> None:
    """Before, after, and the random masks."""
    before, after = st.columns(2, gap="small")
    with before:
        st.image(charts.enlarge(face.image), caption="Whole", width="stretch", alt="The whole face")
    with after:
        masked = charts.enlarge(effect.masked)
        st.image(masked, caption=f"Masked, {effect.area:.0%} hidden", width="stretch", alt="The masked face")
        widgets.download_picture(masked, f"{face.slug}-masked", "Masked picture (PNG)")
    if len(effect.control_images):
        st.caption("Random masks of the same area")
        widgets.picture_grid(
            [charts.enlarge(image, THUMBNAIL) for image in effect.control_images],
            [str(number) for number in range(1, len(effect.control_images) + 1)],
            width=THUMBNAIL,
        )


def show_words(effects: Mapping[str, MaskEffect]) -> None:
    """What happened, a line per model."""
    for run_name, effect in effects.items():
        before, after = effect.predicted
        top = effect.class_names.index(before)
        change = f"turns from **{before}** to **{after}**" if effect.flipped else f"stays **{before}**"
        line = f"**{run_name}** {change}: {before} had {effect.before[top]:.0%}, masked {effect.after[top]:.0%}"
        if len(effect.controls):
            line += (
                f", under random masks as large {effect.control_mean[top]:.0%} on average; these change the class "
                f"in {effect.control_flips} of {len(effect.controls)}"
            )
        st.markdown(f"{line}.")


def show_numbers(effects: Mapping[str, MaskEffect], slug: str) -> None:
    frame = shift_frame(effects)
    widgets.show_figure(charts.probability_shifts(frame), f"{slug}-masked-probabilities", frame)
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
        st.dataframe(frame, hide_index=True, column_config=percent | hidden)


def body() -> None:
    st.title("Masks")
    st.caption("Hide a part of a face and see what the prediction needs. A larger mask changes more whatever it hides, "
               "so every mask stands beside random ones of the same area.")  # fmt: skip
    if state.choice("Pictures", (ONE_FACE, STUDY), key="scope", widget=st.segmented_control) == STUDY:
        mask_study.show()
    else:
        show_one_face()


def show_one_face() -> None:
    left, right = st.columns([1, 2], gap="large")
    with left:
        face = pick.face()
        models = pick.models(MOST_MODELS)
        if face is None or not models:
            return
        mask = choose_mask(face.image.shape[:2])
        fill = state.choice(
            "Fill", list(FILLS), key="fill", widget=st.segmented_control, format_func=FILLS.get, help=FILL_HELP
        )
        controls = int(state.slider("Random masks", 0, MOST_CONTROLS, 5, key="controls"))
    with right:
        st.markdown(f"**{face.title}**")
        if not mask.any():
            st.image(charts.enlarge(face.image), width=charts.MIN_SIDE, alt="The whole face")
            st.info("Nothing is hidden yet: choose a region or draw a rectangle.")
            return
        effects = {}
        for model in models:
            with widgets.page_errors(), st.spinner(f"Asking {model} ..."):
                effects[model] = cache.mask_effect(model, face.image, mask, fill, controls)
        if effects:
            show_pictures(face, next(iter(effects.values())))
            show_words(effects)
            show_numbers(effects, face.slug)


with widgets.page_errors():
    body()
