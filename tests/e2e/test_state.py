"""What the browser shows of a widget whose options changed under it is what the page works with."""

import os

import pytest
from playwright.sync_api import expect

from tests.e2e import server
from tests.e2e.visits import settle, visit

APP = """
import streamlit as st
from pages.ui import state

st.title("Widgets")
few = st.toggle("Few")
options = ["ant", "bee"] if few else ["ant", "bee", "cow", "dog"]
found = {
    "many": state.choices("Many", options, key="many", default=["ant"]),
    "pills": state.choices("Pills", options, key="pills", default=["ant"], widget=st.pills),
    "box": state.choice("Box", options, key="box"),
    "radio": state.choice("Radio", options, key="radio", widget=st.radio),
    "segments": state.choice("Segments", options, key="segments", widget=st.segmented_control),
    "steps": state.choice("Steps", options, key="steps", widget=st.select_slider),
    "maybe": state.optional_choice("Maybe", options, key="maybe", placeholder="none"),
    "number": state.number("Number", 1, len(options), 1, key="number"),
    "page": state.page_number(len(options) * 2, 2, key="page", of=few),
}
for name, value in found.items():
    st.text(f"{name}={value}")
"""
CHOSEN = "many=bee&many=dog&pills=cow&pills=bee&box=dog&radio=dog&segments=dog&steps=dog&maybe=dog&number=4&page=3"
SHOWN = """() => {
    const of = (key, inside) => [...document.querySelectorAll(`.st-key-${key} ${inside}`)];
    const said = (nodes) => nodes.map((node) => node.innerText.trim()).join(", ");
    const filled = (key) => of(key, "input").map((input) => input.value).join();
    return {
        many: said(of("many", "[data-testid=stMultiSelect] > :not(template) [data-tag]")),
        pills: said(of("pills", "[aria-pressed=true]")),
        box: filled("box"),
        radio: said(of("radio", "label:has(input:checked)")),
        segments: said(of("segments", "[aria-checked=true]")),
        steps: said(of("steps", "[data-testid=stSliderThumbValue]")),
        maybe: filled("maybe"),
        number: filled("number"),
        page: filled("page"),
    };
}"""
DOGS = {"box": "dog", "radio": "dog", "segments": "dog", "steps": "dog", "maybe": "dog", "number": "4", "page": "3"}
ANTS = {"box": "ant", "radio": "ant", "segments": "ant", "steps": "ant", "maybe": "", "number": "1", "page": "1"}


@pytest.fixture(scope="module")
def widgets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("widgets")
    (folder / "app.py").write_text(APP)
    path = os.pathsep.join([str(server.PROJECT), os.environ.get("PYTHONPATH", "")])
    with server.running_app({"PYTHONPATH": path}, folder, folder / "app.py") as address:
        yield address


@pytest.mark.e2e
def test_widgets_show_what_is_used_after_their_options_changed(widgets, tab):
    visit(tab, widgets, f"?{CHOSEN}")
    assert tab.evaluate(SHOWN) == DOGS | {"many": "bee, dog", "pills": "bee, cow"}
    tab.get_by_text("Few").click()
    settle(tab)
    expect(tab.get_by_text("box=ant")).to_be_visible()
    used = dict(said.split("=") for said in tab.get_by_test_id("stText").all_inner_texts())
    assert used == ANTS | {"maybe": "None", "many": "['bee']", "pills": "['bee']"}
    assert tab.evaluate(SHOWN) == ANTS | {"many": "bee", "pills": "bee"}
    assert tab.url.partition("?")[2] == "many=bee&pills=bee"
