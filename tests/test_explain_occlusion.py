"""Hiding parts of faces on classifiers whose needs are known, and the figures of it."""

import numpy as np
import pandas as pd
import pytest

from fer_core import masks, metrics, regions
from fer_core.charts import occlusion as charts
from fer_core.errors import ConfigError
from fer_core.explain import occlusion, occlusion_batch
from fer_core.explain.conditions import control_seed
from fer_core.explain.faithfulness import PASSED, grid_verdict

REGION = (slice(24, 40), slice(8, 24))


class Reader:
    """Three classes: probability of the first is the mean grey of one region / 255, the others share the rest."""

    class_names = ("angry", "happy", "sad")

    def __init__(self):
        self.calls = []

    def predict_proba(self, images):
        self.calls.append(len(images))
        pixels = images if images.ndim == 3 else images.mean(axis=3)
        first = pixels[(slice(None), *REGION)].mean(axis=(1, 2)) / 255
        return np.stack([first, (1 - first) / 2, (1 - first) / 2], axis=1).astype(np.float32)


@pytest.fixture
def picture():
    return np.full((48, 48), 204, np.uint8)  # first class: 0.8


def test_mask_effect_numbers_by_hand(picture):
    mask = np.zeros((48, 48), bool)
    mask[24:32] = True  # upper half of the region
    effect = occlusion.mask_effect(Reader(), picture, mask, "zero", control_seeds=range(8))
    assert np.allclose(effect.before, [0.8, 0.1, 0.1])
    assert np.allclose(effect.after, [0.4, 0.3, 0.3])
    assert np.allclose(effect.shift, [-0.4, 0.2, 0.2])
    assert effect.area == pytest.approx(8 / 48)
    assert effect.predicted == ("angry", "angry")
    assert not effect.flipped
    drawn = masks.moved_masks(mask, range(8))
    overlap = drawn[:, REGION[0], REGION[1]].mean(axis=(1, 2))
    assert np.allclose(effect.control_shifts[:, 0], -0.8 * overlap, atol=1e-6)
    assert np.allclose(effect.control_shift[0], -0.8 * overlap.mean(), atol=1e-6)
    assert effect.control_flips == int(np.sum(0.8 * (1 - overlap) < (1 - 0.8 * (1 - overlap)) / 2))


def test_mask_over_the_region_flips_the_class_and_elsewhere_changes_nothing(picture):
    over = occlusion.mask_effect(Reader(), picture, masks.region_mask("mouth", (48, 48)), control_seeds=())
    assert over.flipped
    assert over.control_shift.tolist() == [0, 0, 0]
    assert over.control_flips == 0
    away = occlusion.mask_effect(Reader(), picture, masks.region_mask("forehead", (48, 48)))
    assert np.allclose(away.shift, 0)
    assert away.controls.shape == (5, 3)


def test_mask_effect_is_one_batch_and_leaves_colour_input_alone(picture):
    reader, colour = Reader(), np.repeat(picture[..., None], 3, axis=2)
    before = colour.copy()
    effect = occlusion.mask_effect(reader, colour, masks.region_mask("eyes", (48, 48)), "noise", range(3))
    assert reader.calls == [5]
    assert np.array_equal(colour, before)
    assert effect.masked.shape == (48, 48, 3)
    assert effect.control_images.shape == (3, 48, 48, 3)


def test_shift_frame_by_hand(picture):
    mask = np.zeros((48, 48), bool)
    mask[24:32] = True
    effects = {
        "a": occlusion.mask_effect(Reader(), picture, mask, control_seeds=range(4)),
        "b": occlusion.mask_effect(Reader(), picture, mask, control_seeds=()),
    }
    frame = occlusion.shift_frame(effects)
    assert frame[["run", "class"]].agg(" ".join, axis=1).tolist() == [
        f"{run} {name}" for run in "ab" for name in Reader.class_names
    ]
    first = frame.iloc[0]
    assert first["before"] == pytest.approx(0.8)
    assert first["shift"] == pytest.approx(-0.4)
    assert first["control"] == pytest.approx(effects["a"].controls[:, 0].mean())
    assert first["control_low"] == pytest.approx(effects["a"].controls[:, 0].min())
    assert first["control_high"] == pytest.approx(effects["a"].controls[:, 0].max())
    assert first["beyond_control"] == pytest.approx(-0.4 - effects["a"].control_shift[0])
    assert frame[frame["run"] == "b"]["control"].isna().all()
    assert frame[frame["run"] == "b"]["beyond_control"].isna().all()
    assert frame[frame["run"] == "b"]["shift"].tolist() == pytest.approx([-0.4, 0.2, 0.2])


@pytest.mark.parametrize("shape", [(48, 48), (50, 37), (5, 9), (3, 3)])
@pytest.mark.parametrize("patch", [1 / 6, 0.5, 1.0])
def test_patches_cover_the_picture_evenly_sized(shape, patch):
    stack, (rows, columns) = occlusion.patch_masks(shape, patch)
    assert len(stack) == rows * columns
    assert stack.any(axis=0).all()
    assert len(set(stack.sum(axis=(1, 2)).tolist())) == 1
    assert len({mask.tobytes() for mask in stack}) == len(stack)


def test_patches_by_hand():
    stack, grid = occlusion.patch_masks((4, 4), patch=0.5, stride=1.0)
    assert grid == (2, 2)
    assert [tuple(np.argwhere(mask)[0]) for mask in stack] == [(0, 0), (0, 2), (2, 0), (2, 2)]


def test_patch_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="patch"):
        occlusion.patch_masks((4, 4), patch=0)


def test_occlusion_map_is_high_inside_the_region_and_zero_away(picture):
    maps, grid = occlusion.occlusion_map(Reader(), picture[None], np.array([0]), fill="zero")
    assert grid == (6, 6)  # 11 x 11 places, which overlap
    inside = np.zeros((48, 48), bool)
    inside[REGION] = True
    assert inside.flat[maps[0].argmax()]
    assert np.allclose(maps[0, :16], 0, atol=1e-6)
    # a patch of 8 x 8 inside the region of 16 x 16 hides a quarter of it: 0.8 / 4
    assert maps[0, 31, 15] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(
    ("shape", "patch", "grid", "fine"),
    [
        ((48, 48), 1 / 6, (6, 6), True),
        ((48, 48), 0.25, (4, 4), False),
        ((48, 48), 1 / 3, (3, 3), False),
        ((48, 48), 0.2, (5, 5), True),  # a side of 10 pixels
        ((48, 96), 0.25, (4, 8), False),
        ((3, 3), 1 / 6, (3, 3), False),
    ],
)
def test_cells_are_as_many_as_patches_fit_however_they_overlap(shape, patch, grid, fine):
    for stride in (0.25, 1.0):
        _, found = occlusion.occlusion_map(Reader(), np.zeros((0, *shape), np.uint8), np.zeros(0, int), patch=patch,
                                           stride=stride)  # fmt: skip
        assert found == grid
    assert (grid_verdict(grid).outcome == PASSED) == fine


def test_occlusion_map_is_negative_for_a_class_that_gains(picture):
    maps, _ = occlusion.occlusion_map(Reader(), picture[None], np.array([1]), fill="zero")
    assert maps[0, 31, 15] == pytest.approx(-0.1, abs=1e-3)


def test_occlusion_answers_do_not_depend_on_the_batch(picture):
    images = np.stack([picture, picture // 2, picture.T])
    together, _ = occlusion.occlusion_map(Reader(), images, np.array([0, 1, 2]))
    for index in range(3):
        alone, _ = occlusion.occlusion_map(Reader(), images[index : index + 1], np.array([index]))
        assert np.array_equal(alone[0], together[index])


def test_bands_shapes_and_rectangle_hide_together():
    points = regions.CANONICAL
    found = occlusion.hidden_parts(points, (48, 48), bands=["forehead"], shapes=["mouth"], box=(0, 0.5, 0.25, 0.75))
    expected = masks.region_mask("forehead", (48, 48)) | regions.occluder_mask("mouth", points, (48, 48))
    expected[24:36, :12] = True
    assert np.array_equal(found, expected)
    assert not occlusion.hidden_parts(points, (48, 48)).any()
    moved = occlusion.hidden_parts(points * 0.5, (48, 48), shapes=["eyes"])
    assert not moved[24:].any() and moved.any()


def test_occlusion_map_as_a_table_and_in_words():
    fall = np.array([[0.5, 0.0], [-0.02, 0.25]], np.float32)
    table = occlusion.map_frame(fall)
    assert table[(table["row"] == 1) & (table["column"] == 0)]["fall"].tolist() == pytest.approx([-0.02])
    assert occlusion.change_words(fall) == "falls by up to 50 points and rises by up to 2 points"
    assert occlusion.change_words(-fall) == "falls by up to 2 points and rises by up to 50 points"
    assert occlusion.change_words(0 * fall) == "hardly changes"
    assert occlusion.points(0.01) == "1 point" and occlusion.points(-0.01) == "-1 point"


def test_scale_of_several_maps_holds_the_largest_change_and_is_never_empty():
    assert occlusion.common_end([np.array([[0.1, -0.7]]), np.array([[0.3]])]) == pytest.approx(0.7)
    assert occlusion.common_end([np.zeros((2, 2))]) == 0.01


def test_random_masks_are_told_as_they_are():
    moved, rectangles = "the same shapes, turned", "random rectangles of the same area"
    assert occlusion.control_words(True).startswith(moved) and rectangles not in occlusion.control_words(3, 3)
    assert occlusion.control_words(False) == f"{rectangles}, for what is hidden is too large to be moved elsewhere"
    some = occlusion.control_words(38, 50)
    assert some.startswith(moved)
    assert some.endswith(f"; in 12 of 50 faces, where these are too large to be moved elsewhere, {rectangles}")


# Several faces


@pytest.fixture
def faces(picture):
    """Three faces of two sizes, the second in colour, with the region, its upper half and nothing of it hidden."""
    colour = np.full((96, 96, 3), 51, np.uint8)
    large = np.zeros((96, 96), bool)
    small = np.zeros((2, 48, 48), bool)
    small[0][REGION] = True
    small[1, :8] = True
    return [picture, colour, picture], [small[0], large, small[1]]


class LooseReader(Reader):
    """Reads its region in pictures of any size that is a multiple of 48."""

    def predict_proba(self, images):
        step = images.shape[1] // 48
        return super().predict_proba(images[:, ::step, ::step])


def test_batch_by_hand(faces):
    images, hidden = faces
    hidden[1][:48] = True  # the upper half; the region lies below
    drawn = occlusion_batch.draw_controls(hidden, range(3))
    effect = occlusion_batch.batch_effect(LooseReader(), images, hidden, drawn)
    assert effect.before[:, 0] == pytest.approx([0.8, 0.2, 0.8])
    assert effect.after[:, 0] == pytest.approx([0.0, 0.2, 0.8])
    assert effect.flipped.tolist() == [True, False, False]
    assert effect.areas == pytest.approx([256 / 48**2, 0.5, 8 / 48])
    for place in (0, 2):
        alone = occlusion.mask_effect(
            LooseReader(), images[place], hidden[place], control_seeds=[control_seed(seed, place) for seed in range(3)]
        )
        assert np.array_equal(effect.controls[place], alone.controls)
        assert effect.control_flips[place] == pytest.approx(alone.control_flips / 3)


def test_parts_of_a_batch_give_the_whole(faces):
    images, hidden = faces
    drawn = occlusion_batch.draw_controls(hidden, range(2))
    whole = occlusion_batch.batch_effect(LooseReader(), images, hidden, drawn, "mean")
    parts = []
    for part in (slice(0, 1), slice(1, 3)):
        own = occlusion_batch.draw_controls(hidden[part], range(2), part.start)
        parts.append(occlusion_batch.batch_effect(LooseReader(), images[part], hidden[part], own, "mean"))
    joined = occlusion_batch.join(parts)
    for name in ("before", "after", "controls", "areas"):
        assert np.array_equal(getattr(whole, name), getattr(joined, name)), name


def test_batch_asks_in_bounded_batches(picture):
    reader = Reader()
    many = [picture] * 100
    hidden = [masks.region_mask("mouth", (48, 48))] * 100
    drawn = occlusion_batch.draw_controls(hidden, range(6))
    occlusion_batch.batch_effect(reader, many, hidden, drawn)
    assert sum(reader.calls) == 800
    assert max(reader.calls) <= 256
    for masked, random in ((hidden[1:], drawn), (hidden, drawn[1:]), (hidden, [*drawn[1:], drawn[0][1:]])):
        with pytest.raises(ConfigError, match="a mask per face"):
            occlusion_batch.batch_effect(reader, many, masked, random)


def effect_of(before, after, controls=()):
    """Probabilities that say the given classes of three."""
    say = 0.1 + 0.7 * np.eye(3, dtype=np.float32)
    drawn = (
        np.stack([say[list(control)] for control in controls], axis=1) if controls else np.zeros((len(before), 0, 3))
    )
    n = len(before)
    return occlusion_batch.BatchEffect(Reader.class_names, say[before], say[after], drawn, np.full(n, 0.25))


def test_tables_of_a_batch_by_hand():
    effect = effect_of([0, 0, 0, 1], [0, 1, 2, 1], controls=[[0, 0, 1, 1], [0, 1, 1, 1]])
    assert occlusion_batch.flow_frame(effect).to_numpy().tolist() == [
        ["angry", "angry", 1, 1 / 3],
        ["angry", "happy", 1, 1 / 3],
        ["angry", "sad", 1, 1 / 3],
        ["happy", "happy", 1, 1.0],
    ]
    rows = occlusion_batch.face_frame({"net": effect}, [{"picture": name} for name in "abcd"])
    assert rows["picture"].tolist() == list("abcd")
    assert rows["flipped"].tolist() == [False, True, True, False]
    assert rows["control_flips"].tolist() == [0, 0.5, 1, 0]
    assert rows.iloc[1][["run", "whole", "masked"]].tolist() == ["net", "angry", "happy"]
    assert rows.iloc[1][["p_whole", "p_masked", "shift"]].tolist() == pytest.approx([0.8, 0.1, -0.7])
    assert rows.iloc[1]["control_shift"] == pytest.approx(-0.35)
    summary = occlusion_batch.summary_frame({"net": effect}, ["angry", "happy", "sad", "happy"]).iloc[0]
    assert summary[["n", "flips"]].tolist() == [4, 2]
    means = ["flip_rate", "control_flip_rate", "beyond", "accuracy", "masked_accuracy"]
    assert summary[means].tolist() == pytest.approx([0.5, 0.375, 0.125, 0.5, 1.0])
    ends = [summary[f"{name}{end}"] for name in means if name != "beyond" for end in ("_low", "_high")]
    expected = [edge for rate in (0.5, 0.375, 0.5, 1.0) for edge in metrics.wilson(rate, 4)]
    assert ends == pytest.approx(expected)
    assert summary["masked_accuracy_low"] < 0.52  # 4 of 4 is no certainty


@pytest.mark.parametrize(
    ("n", "controls", "known"), [(19, [0, 1], False), (20, [0, 1], True), (40, [1, 1], False), (40, [0, 1], True)]
)
def test_flips_beyond_random_have_an_interval_only_where_enough_faces_differ(n, controls, known):
    after = np.tile([1, 1], n)[:n]  # the mask flips all; the random one some, or all
    effect = effect_of(np.zeros(n, int), after, controls=[np.tile(controls, n)[:n]])
    row = occlusion_batch.summary_frame({"net": effect}).iloc[0]
    assert row["beyond"] == pytest.approx(1 - effect.control_flips.mean())
    assert row[["beyond_low", "beyond_high"]].notna().all() == known
    if known:
        assert 0.2 < row["beyond_low"] < 0.5 < row["beyond_high"] < 0.8


def test_batch_without_random_masks_and_labels_has_no_numbers_of_them():
    effect = effect_of([0, 1], [1, 1])
    summary = occlusion_batch.summary_frame({"net": effect})
    assert "accuracy" not in summary
    assert summary[["control_flip_rate", "beyond"]].isna().all(axis=None)
    assert occlusion_batch.face_frame({"net": effect}, [{}, {}])["control_flips"].isna().all()


# Figures


def test_drawn_box_becomes_shares_whatever_way_it_was_drawn():
    def box(*xy):
        return charts.drawn_box({"box": [{"x": list(xy[:2]), "y": list(xy[2:])}]}, (48, 96))

    assert box(0.2, 0.8, 0.6, 0.9) == (0.2, 0.6, 0.8, 0.9)
    assert box(0.8, 0.2, 0.9, 0.6) == (0.2, 0.6, 0.8, 0.9)
    assert box(-0.3, 1.2, 0.123, 0.987) == (0.0, 0.12, 1.0, 0.99)
    assert box(0.5, 0.504, 0.1, 0.9) is None  # a click
    assert box(0.5, 0.9, 0.1, 0.11) is None  # less than a row of 48
    assert charts.drawn_box({"box": []}, (48, 48)) is None
    last = charts.drawn_box({"box": [{"x": [0, 1], "y": [0, 1]}, {"x": [0, 0.5], "y": [0, 0.5]}]}, (48, 48))
    assert last == (0, 0, 0.5, 0.5)


def test_drawable_shows_the_rectangle_and_keeps_the_form_of_the_picture():
    figure = charts.drawable(np.zeros((30, 60), np.uint8), (0.1, 0.2, 0.5, 0.6))
    (shape,) = figure.layout.shapes
    assert (shape.x0, shape.y0, shape.x1, shape.y1) == (0.1, 0.2, 0.5, 0.6)
    assert figure.layout.yaxis.scaleratio == 0.5
    assert figure.layout.yaxis.range == (1, 0)
    grid = figure.data[0]
    assert min(grid.x) > 0 and max(grid.y) < 1 and len(grid.x) == charts.GRID**2
    assert not charts.drawable(np.zeros((30, 60, 3), np.uint8)).layout.shapes


def test_worth_bars_have_a_bar_per_run_and_part_and_a_diamond_where_there_are_controls():
    rows = [("a", "happy", "eyes", 0.1, 0.3, 0.1, 0.0, 0.2), ("a", "happy", "chin", 0.1, -0.1, 0.0, 0.0, 0.0)]
    rows += [("b", "sad", part, 0.1, 0.0, np.nan, np.nan, np.nan) for part in ("eyes", "chin")]
    columns = ["run", "class", "region", "area", "value", "control", "control_low", "control_high"]
    figure = charts.worth_bars(pd.DataFrame(rows, columns=columns), {"a": "#0072B2"}, {"eyes": "Eyes"})
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    assert bars["a: happy"].y == ("Eyes", "chin")
    assert list(bars["a: happy"].x) == pytest.approx([30, -10])
    assert "b: sad" in bars
    scatters = [trace for trace in figure.data if trace.type == "scatter"]
    (diamonds,) = [trace for trace in scatters if trace.mode == "markers"]
    assert list(diamonds.x) == pytest.approx([10, 0])
    assert list(diamonds.error_x.array) == pytest.approx([10, 0])
    numbers = [trace.text for trace in scatters if trace.mode == "text"]
    assert numbers == [("+30", "-10"), ("0", "0")]


def test_pair_heatmap_has_each_pair_once_below_the_diagonal():
    rows = [("a", "b", 0.1, 0.02), ("a", "c", -0.3, np.nan), ("b", "c", 0.0, -0.151)]
    columns = ["region", "other", "interaction", "control"]
    figure = charts.pair_heatmap(pd.DataFrame(rows, columns=columns), {"a": "Eyes"})
    (cells,) = figure.data
    assert cells.x == ("Eyes", "b") and cells.y == ("b", "c")
    assert np.allclose(cells.z, [[10, np.nan], [-30, 0]], equal_nan=True)
    assert (cells.zmin, cells.zmax) == (-30, 30)
    said = "<br>the same shapes elsewhere: {} on average"
    assert [list(row) for row in cells.customdata] == [[said.format("+2.0"), ""], ["", said.format("-15.1")]]


def test_fall_overlay_is_the_picture_where_nothing_changes_orange_where_it_falls_and_violet_where_it_rises(picture):
    fall = np.zeros((48, 48), np.float32)
    fall[:, :16], fall[:, 32:] = 0.4, -0.4
    shown = charts.fall_overlay(picture, fall, 0.4, min_side=48).astype(int)
    assert (shown[:, 24] == 204).all()
    red, _, blue = shown[0, 0]
    assert red > blue + 60
    red, _, blue = shown[0, 47]
    assert blue > red + 20
    half = charts.fall_overlay(picture, fall, 0.8, min_side=48).astype(int)
    assert abs(half[0, 0] - 204).sum() < abs(shown[0, 0] - 204).sum()


def test_sankey_flows_add_up_and_keep_the_order_of_the_classes():
    flow = occlusion_batch.flow_frame(effect_of([0, 0, 0, 1], [0, 1, 2, 1]))
    (trace,) = charts.flow_sankey(flow, Reader.class_names).data
    assert list(trace.node.label) == ["angry 3", "happy 1", "", "angry 1", "happy 2", "sad 1"]
    assert list(trace.link.source) == [0, 0, 0, 1]
    assert list(trace.link.target) == [3, 4, 5, 4]
    assert sum(trace.link.value) == 4
    left = list(trace.node.y)[:3]
    assert left == sorted(left)


def test_parts_picture_draws_outlines_only():
    grey = np.full((48, 48), 100, np.uint8)
    shown = charts.parts_picture(grey, regions.outlines(regions.CANONICAL))
    assert shown.shape == (384, 384, 3)
    changed = (shown != 100).any(axis=2)
    assert 0.02 < changed.mean() < 0.3
    assert (grey == 100).all()
