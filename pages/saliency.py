"""Where does a model look? Maps over one face, with what can be said for them, or over the whole test set."""

import streamlit as st

from pages.ui import saliency_one, state, widgets
from pages.ui.pick import ONE_FACE

STUDY = "Whole test set"


def body() -> None:
    st.title("Saliency")
    st.caption("Where a model looks when it sees a face: bright places matter most for the class explained.")
    if state.choice("Show", (ONE_FACE, STUDY), key="scope", widget=st.segmented_control) == STUDY:
        from pages.ui import saliency_study

        saliency_study.show()
    else:
        saliency_one.show()


with widgets.page_errors():
    body()
