"""Saliency and Masks on a trained run: what they show is what the library says, for any picture and any choice."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core import artifacts, datasets, masks
from fer_core.explain import occlusion, saliency
from fer_core.images import encode_png
from tests.bad_files import bad_files
from tests.test_pages import assert_healthy, home_runs_first, open_page, text_of  # noqa: F401

ASTRONAUT = Path(__file__).resolve().parent.parent / "artifacts" / "samples" / "astronaut.jpg"


@pytest.fixture
def working(workshop, monkeypatch):
    for name, value in workshop.environment().items():
        monkeypatch.setenv(name, value)
    return workshop


@pytest.fixture
def first_test_picture(working):
    return np.asarray(datasets.load(working.dataset)["test"].images[0])


@pytest.fixture(scope="module")
def classifier(workshop):
    from fer_core.models.registry import load_classifier

    return load_classifier(artifacts.find_run(workshop.run, workshop.artifacts))


def shifts(app):
    return next(frame.value for frame in app.dataframe if "beyond_control" in frame.value)


def widget(kind, label):
    return next(found for found in kind if found.label == label)


def test_mouth_mask_changes_the_probabilities_as_the_library_says(working, classifier, first_test_picture):
    app = open_page("masks", {"dataset": working.dataset, "controls": "3"})
    assert_healthy(app)
    mask = masks.region_mask("mouth", first_test_picture.shape)
    expected = occlusion.mask_effect(classifier, first_test_picture, mask, "zero", range(3))
    assert "Random masks (PNG)" in [button.label for button in app.get("download_button")]
    frame = shifts(app)
    assert np.abs(frame["shift"]).max() > 1e-3
    assert np.allclose(frame["before"], expected.before, atol=1e-3)
    assert np.allclose(frame["after"], expected.after, atol=1e-3)
    assert np.allclose(frame["control"], expected.control_mean, atol=1e-3)
    assert expected.predicted[0] in text_of(app)


def test_regions_rectangle_and_fill_reach_the_mask(working, classifier, first_test_picture):
    address = {"dataset": working.dataset, "hide": "Forehead", "fill": "Mean", "rectangle": "true", "controls": "1"}
    app = open_page("masks", address)
    assert_healthy(app)
    shape = first_test_picture.shape
    mask = masks.combine([masks.region_mask("forehead", shape), masks.rectangle_mask((0.25, 0.25, 0.75, 0.5), shape)])
    expected = occlusion.mask_effect(classifier, first_test_picture, mask, "mean", range(1))
    assert np.allclose(shifts(app)["after"], expected.after, atol=1e-3)
    assert np.allclose(shifts(app)["control"], expected.control_mean, atol=1e-3)


def test_nothing_hidden_says_what_to_do(working):
    app = open_page("masks", {"dataset": working.dataset})
    widget(app.button_group, "Hide rows, as in the paper").set_value([])
    app.run()
    assert_healthy(app)
    assert "Nothing is hidden yet" in text_of(app)


def test_uploaded_photo_with_two_faces_lets_choose_one(working):
    left = np.asarray(Image.open(ASTRONAUT).convert("RGB"))
    photo = encode_png(np.concatenate([left, 255 - (255 - left) // 2], axis=1))
    app = open_page("masks", {"from": "Upload"})
    assert_healthy(app)
    app.file_uploader[0].set_value(("two.png", photo, "image/png"))
    app.run()
    assert_healthy(app)
    assert "two.png, face 1 of 2" in text_of(app)
    first = shifts(app)
    widget(app.button_group, "Face").set_value("2")
    app.run()
    assert_healthy(app)
    assert "two.png, face 2 of 2" in text_of(app)
    assert not np.allclose(first["before"], shifts(app)["before"])


@pytest.mark.parametrize("page", ["saliency", "masks"])
def test_bad_uploads_are_errors_that_name_the_file_and_the_page_lives_on(page, working):
    app = open_page(page, {"from": "Upload", "check": "false"})
    bad = bad_files()
    for name in ("truncated.jpg", "text.png", "empty.jpg", "huge_header.png"):
        content, _ = bad[name]
        app.file_uploader[0].set_value((name, content, "image/png")).run()
        assert_healthy(app)
        assert any(name in error.value.replace("\\", "") for error in app.error), name
    app.file_uploader[0].set_value(("astronaut.jpg", ASTRONAUT.read_bytes(), "image/jpeg")).run()
    assert_healthy(app)
    assert not app.error
    assert {"saliency": "The map explains", "masks": "astronaut.jpg, face 1 of 1"}[page] in text_of(app)


@pytest.mark.parametrize("page", ["saliency", "masks"])
def test_runs_without_weights_are_not_offered(page, working):
    options = widget(open_page(page).multiselect, "Models").options
    assert options == [working.run]


@pytest.mark.parametrize("method", list(saliency.METHODS))
def test_every_method_draws_a_map(method, working, classifier, first_test_picture):
    title = saliency.METHODS[method].title
    address = {"dataset": working.dataset, "method": title, "explain": "happy", "check": "false"}
    app = open_page("saliency", address)
    assert_healthy(app)
    assert not app.error
    found = saliency.explain(classifier, first_test_picture[None], list(classifier.class_names).index("happy"), method)
    said = text_of(app)
    assert "explains **happy**" in said
    assert f"{title}{f' at {found.layer}' if found.layer else ''}, {found.grid[0]} × {found.grid[1]} cells" in said


def test_class_and_layer_can_be_chosen(working):
    address = {"dataset": working.dataset, "class": "surprise", "explain": "true class", "check": "false"}
    app = open_page("saliency", address)
    assert_healthy(app)
    assert "explains **surprise**" in text_of(app)
    layer = widget(app.selectbox, "Layer")
    assert layer.value == "block4_2_relu"
    layer.set_value("block3_2_relu")
    app.run()
    assert_healthy(app)
    assert "block3_2_relu, 11 × 11 cells" in text_of(app)


def test_no_class_called_true_for_an_upload(working):
    app = open_page("saliency", {"from": "Sample photo", "explain": "true class", "check": "false"})
    assert_healthy(app)
    assert widget(app.selectbox, "Explain").options[:2] == ["predicted class", "angry"]


def test_saliency_offers_a_network_first_even_where_another_model_is_better(working, tmp_path, monkeypatch):
    import shutil

    from fer_core.training import run as training

    shutil.copytree(working.artifacts, tmp_path / "artifacts")
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    toy = datasets.load(working.dataset)
    better = artifacts.read_run(training.train("majority", toy, work_root=tmp_path, root=tmp_path / "artifacts"))
    metrics = better.run["metrics"] | {"val": better.metrics("val") | {"accuracy": 1.0}}
    artifacts.update_run(better, {"metrics": metrics})
    app = open_page("saliency", {"dataset": working.dataset, "method": "gradient", "check": "false"})
    assert_healthy(app)
    assert widget(app.multiselect, "Models").value == [working.run]
    assert not app.error
