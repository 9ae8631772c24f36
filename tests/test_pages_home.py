"""Home: pictures in, numbered faces out; what cannot be read gets its message, and the page lives on."""

from pathlib import Path

import pytest

from fer_core import artifacts, pictures
from fer_core.images import encode_png
from tests import test_pages_results
from tests.bad_files import bad_files, gradient
from tests.test_pages import assert_healthy, clone, home_runs_first, nothing, open_page, text_of  # noqa: F401

ASTRONAUT = Path(__file__).resolve().parent.parent / "artifacts" / "samples" / "astronaut.jpg"


@pytest.fixture
def working(workshop, monkeypatch):
    for name, value in workshop.environment().items():
        monkeypatch.setenv(name, value)
    return workshop


def faces_of(app):
    return next(frame.value for frame in app.dataframe if "expression" in frame.value)


def test_home_without_a_model_says_what_trains_one(nothing):  # noqa: F811
    app = open_page("home")
    assert_healthy(app)
    assert pictures.TRAIN_COMMAND in [code.value for code in app.code]
    assert "Barrett" in text_of(app)


def test_sample_is_classified_as_the_library_does(working):
    from fer_core.models.registry import load_classifier

    app = open_page("home", {"source": "Samples"})
    assert_healthy(app)
    assert not app.error
    frame = faces_of(app)
    classifier = load_classifier(artifacts.find_run(working.run, working.artifacts))
    expected = pictures.to_frame([pictures.classify(pictures.read(ASTRONAUT, name="astronaut.jpg"), classifier)])
    assert frame["expression"].tolist() == expected["expression"].tolist()
    assert frame["probability"].tolist() == pytest.approx(expected["probability"].tolist(), abs=1e-4)
    assert f"Face 1: {frame['expression'][0]}" in text_of(app)


def test_bad_files_get_their_messages_and_the_good_one_is_classified(working):
    app = open_page("home")
    files = [(name, content, "image/png") for name, (content, _) in bad_files().items()]
    app.file_uploader[0].set_value([*files, ("good.png", encode_png(gradient(48, 48)), "image/png")]).run()
    assert_healthy(app)
    assert faces_of(app)["file"].tolist() == ["good.png"]
    assert "Taken whole" in text_of(app)
    messages = [error.value.replace("\\", "") for error in app.error]
    assert len(messages) == len(files)
    for (name, (_, words)), message in zip(bad_files().items(), messages, strict=True):
        assert name in message
        assert words in message


def test_results_in_brief_are_of_one_dataset(nothing, tmp_path):  # noqa: F811
    root = tmp_path / "artifacts"
    made = {split: test_pages_results.predictions(split, 1, 3.0) for split in ("val", "test")}
    artifacts.write_run({"dataset": "tiny", "model": "good", "date": "2026-01-31"}, predictions=made, root=root)
    test_pages_results.write_drawn(root)
    app = open_page("home")
    assert_healthy(app)
    assert app.dataframe[0].value["name"].tolist() == ["tiny-good-s0-20260131"]
    assert "Of models trained on tiny, on its 120 test pictures" in text_of(app)
    assert "for drawn see Models" in text_of(app)


def test_two_trainings_of_one_system_are_told_apart(clone):  # noqa: F811
    table = open_page("home").dataframe[0].value.set_index("name")["settings"]
    assert table["fer2013-vgg16_bn_dropout-s0-20261126"].startswith("12 epochs, 32 px, ")
    assert table["fer2013-vgg16_bn_dropout-s0-20261126-2"] == "by the recipe, random weights"


def test_every_other_page_is_linked(working):
    app = open_page("home")
    linked = {element.proto.page.rsplit("/", 1)[-1] for element in app.get("page_link")}
    others = {path.stem for path in (ASTRONAUT.parents[2] / "pages").glob("*.py")} - {"home", "__init__"}
    assert others <= linked
