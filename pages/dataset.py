"""Which pictures are there: class balance, splits, samples, duplicates."""

import streamlit as st

from pages.ui import cache, widgets

st.title("Dataset")
if not cache.dataset_names():
    widgets.empty_state("No pictures are registered yet.", "python -m fer_core data add PATH")
