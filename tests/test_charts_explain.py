import numpy as np
import pandas as pd
import pytest

from fer_core.charts import explain as charts
from fer_core.errors import ConfigError

PICTURE = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
MAP = np.zeros((48, 48), np.float32)
MAP[30:40, 10:20] = 1


def test_overlay_ends_are_the_picture_and_the_map():
    alone = charts.overlay(PICTURE, MAP, 0.0)
    assert alone.dtype == np.uint8
    assert np.array_equal(alone, np.repeat(PICTURE[..., None], 3, axis=2))
    assert np.array_equal(charts.overlay(PICTURE, MAP, 1.0), charts.colour(MAP))


def test_overlay_half_is_the_mean_of_both():
    half = charts.overlay(PICTURE, MAP, 0.5).astype(int)
    expected = (PICTURE[..., None].astype(float) + charts.colour(MAP)) / 2
    assert np.abs(half - expected).max() <= 0.5


def test_colours_are_rgb_and_grow_brighter():
    strip = charts.colour_scale("inferno", width=64)
    luminance = strip[0].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= -0.5).all()
    assert luminance[0] < 5
    red, _, blue = charts.colour(np.full((1, 1), 0.6), "inferno")[0, 0].astype(int)
    assert red > blue + 100  # inferno's upper middle is orange, not blue


def test_overlay_leaves_its_inputs_alone_and_takes_colour():
    colour, values = np.repeat(PICTURE[..., None], 3, axis=2), MAP.copy()
    before = colour.copy()
    charts.overlay(colour, values, 0.0)[:] = 7
    assert np.array_equal(colour, before)
    assert np.array_equal(values, MAP)


def test_enlarging_keeps_pixels_square_and_places():
    large = charts.overlay(PICTURE, MAP, 1.0, min_side=100)
    assert large.shape == (144, 144, 3)
    bright = large.astype(int).sum(axis=2)
    row, column = np.unravel_index(bright.argmax(), bright.shape)
    assert 90 <= row < 120
    assert 30 <= column < 60
    assert charts.overlay(PICTURE, MAP, 1.0, min_side=48).shape == (48, 48, 3)
    assert charts.enlarge(np.zeros((10, 20, 3), np.uint8), 25).shape == (30, 60, 3)


def test_a_narrow_strip_is_not_enlarged_without_bound():
    strip, fall = np.full((1, 384), 9, np.uint8), np.zeros((1, 384), np.float32)
    assert charts.enlarge(strip, 384).shape == (5, 1920)
    assert charts.overlay(strip, fall, 0.5, min_side=384).shape == (5, 1920, 3)
    assert charts.mask_outline(strip, fall > 0).shape == (5, 1920, 3)
    assert charts.enlarge(np.zeros((3000, 2), np.uint8), 384).shape == (3000, 2)  # longer already


def test_shrinking_keeps_form_and_small_pictures():
    assert charts.shrink(np.zeros((3000, 4000, 3), np.uint8), 400).shape == (300, 400, 3)
    assert charts.shrink(np.zeros((9000, 2), np.uint8), 300).shape == (300, 1)
    assert charts.shrink(PICTURE, 400) is PICTURE


def test_contact_sheet_lays_pictures_in_rows_without_stretching_them():
    pictures = [np.full((48, 24), 10, np.uint8), np.full((300, 300, 3), 20, np.uint8), np.full((96, 96), 30, np.uint8)]
    sheet = charts.contact_sheet(pictures, columns=2, side=96, gap=4)
    assert sheet.shape == (196, 196, 3)
    assert (sheet[:96, :48] == 10).all() and (sheet[:96, 48:96] == 255).all()  # twice as high as wide
    assert (sheet[:96, 100:] == 20).all()
    assert (sheet[100:, :96] == 30).all() and (sheet[100:, 100:] == 255).all()
    assert charts.contact_sheet(pictures[2:], columns=8).shape == (96, 96, 3)
    for empty in (([], 2), (pictures, 0)):
        with pytest.raises(ConfigError):
            charts.contact_sheet(*empty)


def test_outline_draws_on_the_edge_only():
    mask = MAP.astype(bool)
    drawn = charts.mask_outline(PICTURE, mask, min_side=48)
    changed = (drawn != PICTURE[..., None]).any(axis=2)
    assert changed[30, 10:20].all()
    assert not changed[33:37, 13:17].any()
    assert not changed[:25].any()


@pytest.mark.parametrize("change", [{"opacity": 1.1}, {"opacity": -0.1}, {"colormap": "jetlag"}, {"values": MAP[:-1]}])
def test_nonsense_is_refused(change):
    with pytest.raises(ConfigError):
        charts.overlay(**({"image": PICTURE, "values": MAP} | change))


def _frame(runs, control=True):
    rows = [
        {
            "run": run,
            "class": name,
            "before": before,
            "after": after,
            "shift": after - before,
            "control": before - 0.05 if control else np.nan,
            "control_low": before - 0.08 if control else np.nan,
            "control_high": before if control else np.nan,
        }
        for run in runs
        for name, before, after in [("happy", 0.9, 0.25), ("sad", 0.1, 0.748), ("fear", 0.0, 0.002)]
    ]
    return pd.DataFrame(rows)


def test_shift_bars_carry_the_numbers():
    figure = charts.probability_shifts(_frame(["a"]))
    before, after, control = figure.data
    assert list(before.y) == [0.9, 0.1, 0.0]
    assert list(after.y) == [0.25, 0.748, 0.002]
    assert list(after.text) == ["-65", "+65", ""]
    assert np.allclose(control.y, [0.85, 0.05, -0.05])
    assert np.allclose(control.error_y.array, [0.05, 0.05, 0.05])
    assert np.allclose(control.error_y.arrayminus, [0.03, 0.03, 0.03])


def test_each_run_has_its_panel_and_the_legend_stands_once():
    figure = charts.probability_shifts(_frame(["a", "b", "c"]))
    assert len(figure.data) == 9
    assert [trace.showlegend for trace in figure.data].count(True) == 3
    assert {trace.yaxis for trace in figure.data} == {"y", "y2", "y3"}
    assert {note.text for note in figure.layout.annotations} == {"a", "b", "c"}


def test_without_controls_there_are_only_bars():
    assert len(charts.probability_shifts(_frame(["a"], control=False)).data) == 2
