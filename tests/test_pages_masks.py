"""The Masks page on one face and on several: what it shows is what the library says."""

from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest

from fer_core import artifacts, datasets, masks, pictures, regions
from fer_core.datasets import overview
from fer_core.errors import ConfigError
from fer_core.explain import faithfulness, gradients, occlusion, occlusion_batch, shapley
from fer_core.models.features import landmark_points
from pages.ui import cache, cache_masks, masks_batch, masks_choice, state, widgets
from tests.bad_files import bad_files
from tests.test_pages import assert_healthy, home_runs_first, open_page, text_of  # noqa: F401

ASTRONAUT = Path(__file__).resolve().parent.parent / "artifacts" / "samples" / "astronaut.jpg"
SAMPLE = {"from": "Sample photo"}


@pytest.fixture
def working(workshop, monkeypatch):
    for name, value in workshop.environment().items():
        monkeypatch.setenv(name, value)
    return workshop


@pytest.fixture(scope="module")
def classifier(workshop):
    from fer_core.models.registry import load_classifier

    return load_classifier(artifacts.find_run(workshop.run, workshop.artifacts), tta="none")


@pytest.fixture(scope="module")
def crop():
    return pictures.read(ASTRONAUT).crops[0]


@pytest.fixture(scope="module")
def points(crop):
    from fer_core.faces import crop_points

    return crop_points(crop, (512, 512))


def frame_with(app, column) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if column in frame.value)


def widget(kind, label):
    return next(found for found in kind if found.label == label)


@pytest.fixture
def saved(monkeypatch):
    """File name without ending -> table that its button saves."""
    tables, button = {}, widgets.download_table

    def download_table(table, name, *label):
        tables[name] = table
        return button(table, name, *label)

    monkeypatch.setattr(widgets, "download_table", download_table)
    return tables


def told(table, *columns):
    """What the columns of a saved table say that are the same in every row."""
    assert (table[list(columns)].nunique() == 1).all()
    return table.iloc[0][list(columns)].tolist()


def downloads(app):
    return [button.label for button in app.get("download_button")]


# One face


def test_landmarks_of_the_sample_photo_are_those_its_crop_shows(crop, points):
    found, seen = landmark_points(crop.image[None])
    assert seen.all()
    assert found[0] == pytest.approx(points, abs=0.03)


def test_shapes_are_placed_by_the_landmarks_of_the_face(working, classifier, crop, points):
    app = open_page("masks", SAMPLE | {"hide": "", "shapes": "Face mask", "controls": "2"})
    assert_healthy(app)
    mask = regions.occluder_mask("face_mask", points, crop.image.shape[:2])
    expected = occlusion.mask_effect(classifier, crop.image, mask, "zero", range(2))
    found = frame_with(app, "beyond_control")
    assert np.allclose(found["after"], expected.after, atol=1e-3)
    assert np.allclose(found["control"], expected.control_mean, atol=1e-3)
    assert "Random masks: the same shapes, turned by quarter turns" in text_of(app)
    widget(app.button_group, "Hide rows, as in the paper").set_value(["eyes", "mouth"]).run()
    assert_healthy(app)
    assert "Random masks: random rectangles of the same area, for what is hidden is too large" in text_of(app)
    assert "the same shapes" not in text_of(app)


def test_rows_and_shapes_hide_together(working, classifier, crop, points, saved):
    chosen = {"hide": "Forehead", "shapes": "Chin", "rectangle": "true", "controls": "1", "fill": "Blur"}
    app = open_page("masks", SAMPLE | chosen)
    assert_healthy(app)
    mask = occlusion.hidden_parts(
        points, crop.image.shape[:2], bands=["forehead"], shapes=["chin"], box=(0.25, 0.25, 0.75, 0.5)
    )
    expected = occlusion.mask_effect(classifier, crop.image, mask, "blur", range(1))
    assert np.allclose(frame_with(app, "beyond_control")["after"], expected.after, atol=1e-3)
    assert "Hidden as well: Forehead, Chin. Take that away above" in text_of(app)
    hidden = "forehead-chin-rectangle-25-25-75-50"
    table = saved[f"astronaut-face1-{hidden}-blur-masked-probabilities"]
    assert told(table, "picture", "mask", "fill", "random_masks") == ["astronaut-face1", hidden, "blur", 1]
    assert "Draw with the mouse" in text_of(app)


def test_no_mask_stands_without_a_random_one(working):
    app = open_page("masks", SAMPLE | {"controls": "0"})
    assert_healthy(app)
    assert (widget(app.slider, "Random masks").min, widget(app.slider, "Random masks").value) == (1, 5)
    assert frame_with(app, "beyond_control")["control"].notna().all()


def test_a_face_without_landmarks_says_so(working):
    app = open_page("masks", {"from": "Upload"})
    blank = np.full((48, 48), 90, np.uint8)
    from fer_core.images import encode_png

    app.file_uploader[0].set_value(("blank.png", encode_png(blank), "image/png")).run()
    assert_healthy(app)
    assert "The landmarks of this face were not found, so its parts are taken to lie where" in text_of(app)
    assert not app.warning  # so small a picture is taken for a face crop


def test_a_picture_without_a_face_is_warned_of(working):
    from fer_core.images import encode_png

    app = open_page("masks", {"from": "Upload"})
    app.file_uploader[0].set_value(("blank.png", encode_png(np.full((300, 300), 90, np.uint8)), "image/png")).run()
    assert_healthy(app)
    assert ["No face was found" in warning.value for warning in app.warning] == [True]


def test_worth_of_the_parts_is_the_librarys(working, classifier, crop, points):
    app = open_page("masks", SAMPLE | {"ask": "Worth", "places": "1"})
    assert_healthy(app)
    assert not app.error
    parts = regions.region_masks(points, crop.image.shape[:2])
    expected = shapley.explain(classifier, crop.image, parts, fill="zero")
    titles = {name: part.title for name, part in regions.REGIONS.items()}
    said = text_of(app)
    assert f"**{working.run}**: {shapley.words(expected, expected.predicted, titles)[0][:40]}" in said
    assert downloads(app).count("Data (CSV)") == 2
    assert "Parts (PNG)" in downloads(app)
    shown = frame_with(app, "control_high")
    assert shown["region"].tolist() == list(titles.values())
    values = expected.values[:, expected.class_names.index(expected.predicted)]
    assert np.allclose(shown["value"], values, atol=2e-3)
    assert set(shown["class"]) == {expected.predicted}
    (moved,) = shapley.controls(classifier, crop.image, parts, range(1), fill="zero")
    assert np.allclose(shown["control"], moved.values[:, expected.class_names.index(expected.predicted)], atol=2e-3)


def test_worth_for_another_class_beside_the_same_shapes_elsewhere(working, saved):
    app = open_page("masks", SAMPLE | {"ask": "Worth", "explain": "fear", "places": "1"})
    assert_healthy(app)
    shown = frame_with(app, "control_high")
    assert set(shown["class"]) == {"fear"}
    assert shown["control"].notna().all()
    assert "**fear** has" in text_of(app)
    assert "round the edges of the picture" in text_of(app)
    for name in ("worth-fear", f"pairs-{working.run}-fear"):
        assert told(saved[f"astronaut-face1-zero-{name}"], "class", "fill", "random_places") == ["fear", "zero", 1]
        assert saved[f"astronaut-face1-zero-{name}"]["control"].notna().all()


class Mouth:
    """Says happy, the brighter the lower half is."""

    class_names = ("angry", "happy")

    def __init__(self):
        self.asked = 0

    def predict_proba(self, images):
        self.asked += len(images)
        light = images[:, images.shape[1] // 2 :].reshape(len(images), -1).mean(axis=1) / 255
        return np.stack([1 - light, light], axis=1).astype(np.float32)


def test_each_pass_over_the_parts_is_told_and_kept(monkeypatch):
    mouth, told = Mouth(), []
    monkeypatch.setattr(cache, "model_key", lambda name: ("toys", name, ()))
    monkeypatch.setattr(cache, "explained", lambda name: mouth)
    image = np.random.default_rng(1).integers(0, 256, (48, 48), np.uint8)
    parts = regions.region_masks(regions.CANONICAL, image.shape)
    found = {}
    for places, passes in ((2, 3), (4, 2), (1, 0), (4, 0)):
        asked = mouth.asked
        found[places] = cache_masks.shapley(
            "mouth", image, regions.CANONICAL, "blur", places, lambda *state: told.append(state)
        )
        assert mouth.asked - asked == passes * 256, places
    assert [state[1:] for state in told[:3]] == [(0, 3), (1, 3), (2, 3)]
    assert "in their places" in told[0][0] and "at random place 2 of 2" in told[2][0]
    own, moved = found[4]
    np.testing.assert_array_equal(own.values, shapley.explain(mouth, image, parts, fill="blur").values)
    for one, other in zip(moved, shapley.controls(mouth, image, parts, range(4), fill="blur"), strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert [len(moved) for _, moved in found.values()] == [2, 4, 1]


def test_patch_says_what_the_map_says(working, classifier, crop, saved):
    app = open_page("masks", SAMPLE | {"ask": "Patch", "explain": "sad", "patch": "A third"})
    assert_healthy(app)
    assert not app.error
    target = classifier.class_names.index("sad")
    maps, grid = occlusion.occlusion_map(classifier, crop.image[None], np.array([target]), patch=1 / 3, fill="zero")
    said = text_of(app)
    fine = "fine enough" if min(grid) >= gradients.MIN_GRID else "too coarse"
    assert f"Cells of the map: {grid[0]} × {grid[1]}, {fine} to tell eyes from mouth" in said
    assert f"{occlusion.change_words(maps[0])}.\n" in said
    assert {"Picture (PNG)", "Map (CSV)"} <= set(downloads(app))
    table = saved[f"astronaut-face1-patch-33-zero-{working.run}-sad"]
    assert told(table, "run", "class", "patch", "fill") == [working.run, "sad", 0.333, "zero"]


@pytest.mark.parametrize(
    ("origin", "patch", "fill"),
    [
        ("Upload", 0.25, "zero"),
        pytest.param("Sample photo", 0.25, "blur", marks=pytest.mark.slow),
        pytest.param("Dataset", 1 / 6, "mean", marks=pytest.mark.slow),
    ],
)
def test_the_map_of_a_patch_is_checked_on_saliency(working, classifier, crop, monkeypatch, origin, patch, fill):
    """Whatever Saliency showed before; it is the very same map that is checked."""
    checked, real = [], faithfulness.assemble
    monkeypatch.setattr(faithfulness, "assemble", lambda found, parts: checked.append(found) or real(found, parts))
    left = {"occlusion-patch": "1/3", "occlusion-stride": "1", "occlusion-fill": "Noise"}
    left |= {"method": "Occlusion", "check": "false", "picture": "2"}
    app = open_page("saliency", left | {"from": "Dataset", "dataset": working.dataset, "class": "angry"})
    assert_healthy(app)
    for name, value in {"ask": "Patch", "explain": "sad", "patch": patch, "fill": fill}.items():
        app.session_state[name] = value
    app.switch_page("pages/masks.py").run()
    widget(app.button_group, "Picture").set_value(origin.split()[0].lower()).run()
    if origin == "Upload":
        app.file_uploader[0].set_value(("astronaut.jpg", ASTRONAUT.read_bytes(), "image/jpeg")).run()
    assert_healthy(app)
    assert not checked
    (link,) = [link.proto for link in app.get("page_link") if link.proto.label == "Check this map"]
    assert link.page == "saliency"
    app.query_params.update(dict(parse_qsl(link.query_string)))
    app.switch_page("pages/saliency.py").run()
    assert_healthy(app)
    split, target = datasets.load(working.dataset)["test"], classifier.class_names.index("sad")
    angry = np.asarray(split.images[overview.positions_of_class(split, "angry")[1]])
    image = angry if origin == "Dataset" else crop.image
    maps, grid = occlusion.occlusion_map(classifier, image[None], np.array([target]), patch=patch, fill=fill)
    (found,) = checked
    assert (found.method, found.grid, found.class_index.tolist()) == ("occlusion", grid, [target])
    np.testing.assert_allclose(found.raw, maps, atol=1e-4)
    assert "The map explains **sad**" in text_of(app) and state.FOLLOWED not in app.query_params
    assert len(frame_with(app, "outcome")) == 6
    if origin == "Upload":
        assert "uploaded before on another page" in text_of(app)


# Several pictures

SEVERAL = {"scope": "Several pictures"}


def test_sample_of_a_dataset_flows_as_the_library_says(working, classifier, saved):
    address = SEVERAL | {"dataset": working.dataset, "split": "test", "sampled": "30", "sample-seed": "3"}
    app = open_page("masks", address | {"controls": "2"})
    assert_healthy(app)
    assert not app.error
    split = datasets.load(working.dataset)["test"]
    chosen = overview.positions_of_class(split, None, 3)[:30]
    images = [np.asarray(split.images[at]) for at in chosen]
    hidden = [occlusion.hidden_parts(regions.CANONICAL, images[0].shape, bands=["mouth"])] * 30
    drawn = occlusion_batch.draw_controls(hidden, range(2))
    expected = occlusion_batch.batch_effect(classifier, images, hidden, drawn)
    table = frame_with(app, "p_masked")
    assert table["picture"].tolist() == split.sample_ids[chosen].tolist()
    assert table["label"].tolist() == [split.class_names[split.y_true[at]] for at in chosen]
    names = np.array(classifier.class_names)
    top = expected.before.max(axis=1)
    assert np.allclose(table["p_whole"], top, atol=1e-3)
    assert (table["whole"] == names[expected.before.argmax(axis=1)]).mean() > 0.9  # near ties may turn by rounding
    alike = (table["whole"] == names[expected.before.argmax(axis=1)]).to_numpy()
    own = np.arange(30), expected.before.argmax(axis=1)
    assert np.allclose(table["p_masked"][alike], expected.after[own][alike], atol=2e-3)
    assert np.allclose(table["control_shift"][alike], (expected.controls.mean(axis=1)[own] - top)[alike], atol=2e-3)
    assert np.abs(expected.after[own] - top).max() > 0.01  # the mask does something
    assert np.allclose(table["hidden"], 0.5)
    flips = int(table["flipped"].sum())
    assert f"changes its answer on {flips} of 30 faces" in text_of(app)
    origin = f"{working.dataset}-test-seed3"
    for name in (f"flow-{working.run}", "faces", "flip-rates"):
        table = saved[f"masks-{origin}-30-faces-mouth-zero-{name}"]
        assert told(table, "run", "of", "mask", "fill", "random_masks") == [working.run, origin, "mouth", "zero", 2]
    assert {"Every face (CSV)", "Flip rates (CSV)", "Data (CSV)", "Figure (HTML)"} <= set(downloads(app))
    assert downloads(app).count("These faces (PNG)") == 1
    assert "Random masks: the same shapes, turned" in text_of(app)
    widget(app.button_group, "Hide rows, as in the paper").set_value(["eyes", "mouth"]).run()
    assert_healthy(app)
    assert "Random masks: random rectangles of the same area, for what is hidden is too large" in text_of(app)


class Toy:
    """Always says happy; or refuses."""

    class_names = ("angry", "happy")

    def __init__(self, refuses):
        self.refuses = refuses

    def predict_proba(self, images):
        if self.refuses:
            raise ConfigError("No memory is left.")
        return np.tile(np.array([0.3, 0.7], np.float32), (len(images), 1))


def test_random_masks_are_drawn_once_for_all_models_and_not_for_answers_that_are_kept(monkeypatch):
    drawn, real = [], occlusion_batch.draw_controls
    monkeypatch.setattr(occlusion_batch, "draw_controls", lambda *given: drawn.append(given) or real(*given))
    monkeypatch.setattr(cache, "model_key", lambda name: ("toys", name, ()))
    monkeypatch.setattr(cache, "answering", lambda name: Toy(name == "full"))
    n = masks_batch.CHUNK + 5
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 16, 16), np.uint8)
    hidden = [masks.region_mask("mouth", (16, 16))] * n
    faces = [masks_batch.BatchFace(image, {}) for image in images]
    told = []
    for models in (["one", "full", "two"], ["one", "two"], ["three"]):
        found = masks_batch._ask(models, faces, hidden, "zero", 3, lambda *state: told.append(state))
        assert list(found) == [model for model in models if model != "full"]
        assert all(effect.controls.shape == (n, 3, 2) for effect in found.values())
    assert [first for _, _, first in drawn] == [0, masks_batch.CHUNK] * 2  # for the first three, and for the last one
    assert [state for state in told if "full" in state[0]] == [
        ("full: masking and classifying", masks_batch.CHUNK, 3 * n)
    ]


def test_shapes_in_a_sample_follow_each_face(working):
    address = SEVERAL | {"dataset": working.dataset, "split": "test", "sampled": "4", "hide": "", "shapes": "Mouth"}
    app = open_page("masks", address | {"controls": "1"})
    assert_healthy(app)
    split = datasets.load(working.dataset)["test"]
    images = np.stack([split.images[at] for at in overview.positions_of_class(split, None, 0)[:4]])
    points, found = landmark_points(images)
    expected = [regions.occluder_mask("mouth", own, images.shape[1:3]).mean() for own in points]
    assert frame_with(app, "p_masked")["hidden"].tolist() == pytest.approx(expected)
    if not found.all():
        assert f"In {(~found).sum()} of 4 faces landmarks were not found" in text_of(app)


def test_one_bad_upload_is_named_and_the_rest_goes_on(working):
    app = open_page("masks", SEVERAL | {"batch-from": "Upload"})
    assert_healthy(app)
    assert "Drop some pictures" in text_of(app)
    truncated, _ = bad_files()["truncated.jpg"]
    files = [("astronaut.jpg", ASTRONAUT.read_bytes(), "image/jpeg"), ("truncated.jpg", truncated, "image/jpeg")]
    app.file_uploader[0].set_value(files).run()
    assert_healthy(app)
    assert [error.value.replace("\\", "").count("truncated.jpg") > 0 for error in app.error] == [True]
    table = frame_with(app, "p_masked")
    assert table[["picture", "face"]].to_numpy().tolist() == [["astronaut.jpg", 1]]


def test_a_picture_too_small_for_the_rectangle_is_named_and_the_rest_goes_on(working):
    from fer_core.images import encode_png

    address = SEVERAL | {"batch-from": "Upload", "hide": "", "rectangle": "true", "controls": "1"}
    app = open_page("masks", address)
    next(one for one in app.slider if one.label == "From left to right").set_value((0.25, 0.3)).run()
    tiny, large = (encode_png(np.full((side, side), 90, np.uint8)) for side in (6, 60))
    app.file_uploader[0].set_value([("tiny.png", tiny, "image/png"), ("large.png", large, "image/png")]).run()
    assert_healthy(app)
    assert not app.error
    assert ["tiny.png is left out" in warning.value.replace("\\", "") for warning in app.warning] == [True]
    assert frame_with(app, "p_masked")["picture"].tolist() == ["large.png"]
    app.file_uploader[0].set_value([(f"{name}.png", tiny, "image/png") for name in "abcdefg"]).run()
    assert_healthy(app)
    assert not app.dataframe
    (warning,) = app.warning
    assert warning.value.replace("\\", "").startswith("a.png, b.png, c.png, d.png, e.png and 2 more are left out")
    next(one for one in app.slider if one.label == "From left to right").set_value((0.3, 0.3)).run()
    assert_healthy(app)
    assert [warning.value for warning in app.warning] == [masks_choice.EMPTY_BOX]


def test_a_rectangle_is_drawn_on_the_first_of_several_faces(working):
    def canvases(app):
        return [one for one in app.get("plotly_chart") if "Draw with" in text_of(app) and one.proto.selection_mode]

    address = SEVERAL | {"hide": "", "sampled": "2", "controls": "1"}
    assert not canvases(open_page("masks", address))
    app = open_page("masks", address | {"rectangle": "true"})
    assert_healthy(app)
    assert len(canvases(app)) == 1
    assert "Draw with the mouse, or set the sliders." in text_of(app)


def test_nothing_hidden_in_several_says_what_to_do(working):
    app = open_page("masks", SEVERAL | {"hide": ""})
    assert_healthy(app)
    assert "Nothing is hidden yet" in text_of(app)
