"""Entry of FERscope: ``streamlit run Home.py``. Lists the pages; each answers one question."""

import sys
from pathlib import Path

import streamlit as st

PROJECT = Path(__file__).resolve().parent
if str(PROJECT) not in sys.path:  # started from another folder
    sys.path.insert(0, str(PROJECT))

# file, title, icon
PAGES: tuple[tuple[str, str, str], ...] = (
    ("home", "Home", ":material/add_a_photo:"),
    ("dataset", "Dataset", ":material/photo_library:"),
    ("models", "Models", ":material/leaderboard:"),
    ("confusion", "Confusion", ":material/grid_on:"),
    ("saliency", "Saliency", ":material/visibility:"),
    ("masks", "Masks", ":material/masks:"),
    ("papers", "Papers", ":material/article:"),
    ("training", "Training", ":material/model_training:"),
)


def pages() -> list[st.Page]:
    """The pages there are, Home first."""
    found = [(PROJECT / "pages" / f"{name}.py", title, icon) for name, title, icon in PAGES]
    return [
        st.Page(path, title=title, icon=icon, default=index == 0)
        for index, (path, title, icon) in enumerate(found)
        if path.is_file()
    ]


st.set_page_config(
    page_title="FERscope",
    page_icon=str(PROJECT / "pages" / "ui" / "icon.png"),  # browsers fetch a material icon from the network
    layout="wide",
    menu_items={
        "About": "**FERscope**: train, measure and explain facial-expression recognition models. "
        "README.md beside Home.py is the manual; `python -m fer_core --help` lists the commands."
    },
)
page = st.navigation({"FERscope": pages()})

# The menu is drawn before these imports, which take a second or two in a new process.
from pages.ui import upkeep, widgets  # noqa: E402

upkeep.spare("pages.ui.cache")
widgets.sidebar()
with widgets.page_errors():
    page.run()
