"""What does a model need to see? Hide parts of a face, of several, or of every test picture, beside random masks."""

import streamlit as st

from pages.ui import mask_study, masks_batch, masks_one, state, widgets

ONE_FACE, SEVERAL, STUDY = "One face", "Several pictures", "Whole test set"
VIEWS = {ONE_FACE: masks_one.show, SEVERAL: masks_batch.show, STUDY: mask_study.show}


def body() -> None:
    st.title("Masks")
    st.caption("Hide a part of a face and see what the prediction needs. A larger mask changes more whatever it hides, "
               "so every mask stands beside random ones of the same area.")  # fmt: skip
    VIEWS[state.choice("Pictures", list(VIEWS), key="scope", widget=st.segmented_control)]()


with widgets.page_errors():
    body()
