"""Where does a model look? Maps over one face, with what can be said for them, or over the whole test set."""

import streamlit as st

from fer_core.explain.saliency import METHODS
from pages.ui import saliency_one, saliency_options, state, widgets
from pages.ui.pick import FACE_KEYS, ONE_FACE

STUDY = "Whole test set"
LINKED = {"scope", "models", "method", "explain", "check", *FACE_KEYS}
LINKED |= {key for name, method in METHODS.items() for key in saliency_options.by_key(name, method.options)}


def body() -> None:
    state.follow_link(LINKED)
    st.title("Saliency")
    st.caption("Where a model looks when it sees a face: bright places matter most for the class explained.")
    if state.choice("Show", (ONE_FACE, STUDY), key="scope", widget=st.segmented_control) == STUDY:
        from pages.ui import saliency_study

        saliency_study.show()
    else:
        saliency_one.show()


with widgets.page_errors():
    body()
