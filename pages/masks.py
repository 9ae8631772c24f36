"""What does a model need to see? Hide parts of a face, of several, or of every test picture, beside random masks."""

import streamlit as st

from pages.ui import mask_study, masks_batch, masks_one, masks_parts, state, widgets

STUDIES = {"Rows, as in the paper": mask_study.show, "Parts, by landmarks": masks_parts.show}


def show_study() -> None:
    STUDIES[state.choice("Hidden", list(STUDIES), key="hidden", widget=st.segmented_control)]()


VIEWS = {"One face": masks_one.show, "Several pictures": masks_batch.show, "Whole test set": show_study}


def body() -> None:
    st.title("Masks")
    st.caption("Hide a part of a face and see what the prediction needs. A larger mask changes more whatever it hides, "
               "so every mask stands beside random ones of the same area.")  # fmt: skip
    VIEWS[state.choice("Pictures", list(VIEWS), key="scope", widget=st.segmented_control)]()


with widgets.page_errors():
    body()
