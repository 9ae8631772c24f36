"""Choices that go with the visitor from one page to the next, in an app of two pages."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from fer_core import datasets
from pages.ui import cache, pick, state

APP = """
import streamlit as st

first, second = st.Page("first.py"), st.Page("second.py")
chosen = st.navigation([first, second], position="hidden")
if st.button("Go on"):
    st.switch_page(second)
chosen.run()
"""
PAGE = """
import streamlit as st
from pages.ui import state

found = state.choices("Models", {options}, key="models", default={default}, max_selections={most})
st.write(", ".join(found) + " are shown")
"""


def visited(tmp_path, chosen, **second):
    """The second page, after ``chosen`` of four models on the first, which allows as many."""
    given = {"options": list("abcd"), "most": 4, "default": ["a"]}
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "first.py").write_text(PAGE.format(**given))
    (tmp_path / "second.py").write_text(PAGE.format(**(given | second)))
    app = AppTest.from_file(str(tmp_path / "app.py"), default_timeout=60).run()
    app.multiselect[0].set_value(chosen).run()
    assert [element.value for element in app.markdown] == [f"{', '.join(chosen)} are shown"]
    app.button[0].click().run()
    assert not app.exception
    return app.markdown[0].value


def test_a_page_that_allows_fewer_keeps_the_first_of_them(tmp_path):
    assert visited(tmp_path, ["c", "a", "d"], most=2) == "c, a are shown"


def test_what_fits_is_kept_and_the_default_stands_in_where_nothing_does(tmp_path):
    assert visited(tmp_path, ["c", "d"], most=2) == "c, d are shown"
    assert visited(tmp_path, ["d", "c"], options=["a", "b", "c"]) == "c are shown"
    assert visited(tmp_path, ["c", "d"], options=["a", "b"]) == "a are shown"


def test_a_default_that_nobody_touched_gives_way_to_the_next_pages(tmp_path):
    assert visited(tmp_path, ["a"], default=["b", "a"]) == "b, a are shown"
    assert visited(tmp_path, ["a", "c"], default=["b", "a"]) == "a, c are shown"


def test_a_link_to_what_is_not_there_says_what_is_shown_instead(tmp_path):
    body = """
import streamlit as st
from pages.ui import state

state.choice("Model", ["a", "b"], key="model", widget=st.{widget}, format_func=str.upper)
state.choices("Models", ["a", "b"], key="models", default=["b"])
state.optional_choice("True", ["a", "b"], key="true", placeholder="most confused")
"""
    for widget in ("selectbox", "segmented_control", "select_slider"):
        (tmp_path / "app.py").write_text(body.format(widget=widget))
        app = AppTest.from_file(str(tmp_path / "app.py"), default_timeout=60)
        for key, value in {"model": ["x*y"], "models": ["a", "gone"], "true": ["?"]}.items():
            app.query_params[key] = value
        assert [box.value.replace("\\", "") for box in app.run().info] == [
            "Model: the link asks for x*y, not to be had here. Shown: A.",
            "Models: the link asks for gone, not to be had here. Shown: a.",
            "True: the link asks for ?, not to be had here. Shown: most confused.",
        ]
        assert not app.run().info, "said once"
        good = AppTest.from_file(str(tmp_path / "app.py"), default_timeout=60)
        for key, value in {"model": ["B"], "models": ["a", "b"], "true": ["a"]}.items():
            good.query_params[key] = value
        assert not good.run().info


def test_the_sample_photo_comes_first_where_no_dataset_is_registered(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(pick, "_of_picture", lambda content, name: None)  # it would look for faces
    (tmp_path / "app.py").write_text("from pages.ui import pick\npick.face()")

    def source(**query):
        app = AppTest.from_file(str(tmp_path / "app.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception and not app.info
        return app.segmented_control(key="from").value

    assert source() == "sample"
    assert source(picture="3") == source(dataset="drawn") == source(**{"from": "Dataset"}) == "dataset"
    (tmp_path / "data" / "faces").mkdir(parents=True)
    (tmp_path / "data" / "faces" / "dataset.json").touch()
    monkeypatch.setattr(cache, "dataset", lambda name: datasets.load("drawn"))
    assert source() == "dataset"
    assert source(**{"from": "Sample photo"}) == "sample"


def linked(address, left):
    """Values of a page that a link with ``address`` leads to, in a session that has ``left``."""

    def page():
        import streamlit as st

        from pages.ui import state

        state.follow_link({"letter", "on", "number"})
        letter, on = state.choice("Letter", list("abc"), key="letter"), state.toggle("On", key="on", default=True)
        st.session_state["shown"] = letter, on, state.number("Number", 1, 9, 1, key="number")

    app = AppTest.from_function(page, default_timeout=60)
    for name, value in left.items():
        app.session_state[name] = value
    app.query_params.update(address)
    app.run()
    assert not app.exception
    assert state.FOLLOWED not in app.query_params
    return app.session_state["shown"], app


def test_a_link_says_defaults_too_whatever_the_session_has():
    left = {"letter": "c", "on": False, "number": 7}
    assert linked({}, left)[0] == ("c", False, 7)
    shown, app = linked(state.link({"letter": "a", "on": True, "other": "x"}), left)
    assert shown == ("a", True, 7) and "other" not in app.session_state


def test_what_a_link_chose_stands_in_the_address():
    shown, app = linked(state.link({"letter": "c", "on": False}), {})
    assert shown == ("c", False, 1)
    assert [app.query_params[key] for key in ("letter", "on")] == ["c", "false"]


def test_a_link_of_nonsense_changes_nothing():
    of_wrong_types = state.link({"letter": ["a"], "on": "yes", "number": "2"})[state.FOLLOWED]
    for told in (of_wrong_types, '{"chosen": 1, "words": 2}', '{"letter": "c"}', "[1, 2]", "{", ""):
        assert linked({state.FOLLOWED: told}, {})[0] == ("a", True, 1), told


def test_a_page_of_studies_opens_with_one_run_of_each_model_first():
    wide = [{"run": f"wide-s{seed}", "model": "wide"} for seed in range(7)]
    vgg = {"run": "vgg16-s0", "model": "vgg16"}
    assert state.first_studied([*wide, vgg]) == ["wide-s0", "vgg16-s0", "wide-s1", "wide-s2", "wide-s3", "wide-s4"]
    assert state.first_studied([]) == []


@pytest.mark.parametrize(("from_dataset", "told"), [(True, True), (False, False)])
def test_models_of_faces_cut_out_say_that_a_datasets_picture_is_shown_whole(from_dataset, told, monkeypatch):
    configs = {"cut": {"faces": True}, "whole": {"faces": False}, "old": None}
    monkeypatch.setattr(cache, "run", lambda name: SimpleNamespace(run={"config": configs[name]}))
    app = AppTest.from_function(_say_not_cut_out, args=(from_dataset,), default_timeout=60).run()
    assert not app.exception
    assert [caption.value.startswith("cut: trained and measured on faces cut out") for caption in app.caption] == (
        [True] if told else []
    )


def _say_not_cut_out(from_dataset):
    from pages.ui import pick

    pick.say_not_cut_out(["cut", "whole", "old"], from_dataset)
