"""Tables and figures as every page shows them."""

import ast
import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import widgets

PAGES = Path(__file__).resolve().parent.parent / "pages"
# Who calls Streamlit's own: the widgets, and those whose figures are controls.
DIRECT = {
    "dataframe": {"widgets"},
    "plotly_chart": {"widgets", "confusion", "home", "masks_choice"},
}


def _page():
    import numpy as np
    import pandas as pd
    import plotly.graph_objects as go
    import streamlit as st

    from pages.ui import widgets

    table = pd.DataFrame({"word": ["a", None], "number": [0.5, None], "whole": pd.array([1, None], dtype="Int64")})
    widgets.show_table(table)
    shares = st.column_config.NumberColumn("Share", format="percent")
    widgets.show_table(pd.DataFrame({"share": [0.7283, None]}, index=[3, 3]), column_config={"share": shares})
    widgets.show_table(pd.DataFrame({"share": [0.5]}).style.format("{:.2f}"), column_config={"share": shares})
    widgets.picture_grid([np.zeros((4, 4), np.uint8)], ["happy  \nactually sad"])
    for name, layout in {
        "low": {"height": 100, "margin": {"t": 8}},
        "roomy": {"height": 100, "margin": {"t": 50}},
        "titled": {"height": 100, "margin": {"t": 8}, "annotations": [{"text": "panel", "yref": "paper", "y": 1.0}]},
    }.items():
        widgets.show_figure(go.Figure(layout=layout), name, table)


@pytest.fixture(scope="module")
def app():
    app = AppTest.from_function(_page, default_timeout=60).run()
    assert not app.exception
    return app


def test_cells_without_a_value_are_shown_empty_and_stay_missing_in_the_data(app):
    table, *_ = app.dataframe
    assert table.proto.HasField("placeholder") and table.proto.placeholder == ""
    assert table.value["number"].isna().tolist() == [False, True]


def test_shares_are_written_as_in_sentences_and_stay_shares(app):
    _, table, styled = app.dataframe
    assert table.value["share"].iloc[0] == 0.7283
    shown = pa.ipc.open_stream(table.proto.arrow_data.styler.display_values).read_pandas()
    assert shown.iloc[:, 0].tolist() == ["72.8 %", ""]
    assert "percent" not in table.proto.columns
    own = pa.ipc.open_stream(styled.proto.arrow_data.styler.display_values).read_pandas()
    assert own.iloc[0, 0] == "0.50"


def test_pictures_are_read_out_by_their_captions(app):
    (picture,) = app.get("image")
    assert picture.proto.imgs[0].alt == "happy, actually sad"


def test_figures_save_a_named_png_by_a_toolbar_that_is_always_there(app):
    for figure, name in zip(app.get("plotly_chart"), ("low", "roomy", "titled"), strict=True):
        config = json.loads(figure.proto.config)
        assert config["displayModeBar"] is True
        assert config["toImageButtonOptions"] == {"format": "png", "filename": name, "scale": 2}
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels == ["Data (CSV)", "Figure (HTML)"] * 3


def test_a_toolbar_has_room_of_its_own(app):
    layouts = [json.loads(figure.proto.spec)["layout"] for figure in app.get("plotly_chart")]
    sizes = [(layout["height"], layout["margin"]["t"]) for layout in layouts]
    assert sizes == [(128, 36), (100, 50), (152, 60)]


@pytest.mark.parametrize("name", DIRECT)
def test_pages_show_tables_and_figures_by_the_shared_widgets(name):
    callers = {
        path.stem
        for path in PAGES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == name and getattr(node.value, "id", "") == "st"
    }
    assert callers <= DIRECT[name]


def test_time_left_goes_by_work_that_takes_time(monkeypatch):
    """What was done before comes at once, and says nothing of how long the remainder takes."""
    now, told = [100.0], []
    bar = SimpleNamespace(progress=lambda share, text: told.append(text))
    monkeypatch.setattr(widgets, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(widgets, "st", SimpleNamespace(progress=lambda share, text: bar))
    report = widgets.progress_bar()
    for done in range(5):
        now[0] += 0.01
        report("kept", done, 10)
    now[0] += 20
    report("asking", 5, 10)
    now[0] += 20
    report("asking", 6, 10)
    assert told == ["kept"] * 5 + ["asking, 100 s left", "asking, 80 s left"]
