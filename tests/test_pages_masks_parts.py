"""The study of parts on the Masks page: what it shows is what the library says."""

import json
import shutil

import numpy as np
import pytest

from fer_core import artifacts, datasets, regions
from fer_core.explain import part_numbers, part_study
from fer_core.explain.conditions import WHOLE, flip_matrix
from fer_core.explain.part_numbers import MEASURES
from tests.test_pages import assert_healthy, home_runs_first, open_page, text_of  # noqa: F401
from tests.test_pages_masks_study import HalfReader

PARTS = {"scope": "Whole test set", "hidden": "Parts, by landmarks"}


@pytest.fixture
def studied(workshop, tmp_path, monkeypatch):
    """The workshop's runs with a study of parts of the one that ships weights; gives the study."""
    base = tmp_path / "artifacts"
    shutil.copytree(workshop.artifacts, base)
    monkeypatch.setenv("FER_DATA_DIR", str(workshop.data))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(base))
    split = datasets.load(workshop.dataset)["test"]
    points = np.repeat(regions.CANONICAL[None], len(split), axis=0)
    predictions, areas, seconds = part_study.predict_conditions(HalfReader(), split, points)
    about = {"split": split, "split_name": "test", "fill": "zero", "tta": "none", "seeds": (0,), "seconds": seconds}
    found = np.arange(len(split)) >= 10
    study = part_study.make_study(artifacts.find_run(workshop.run), predictions, areas, found, **about)
    part_study.write_study(study)
    return study


def downloads(app):
    return [button.label for button in app.get("download_button")]


def test_says_what_the_library_computes(studied):
    app = open_page("masks", PARTS)
    assert_healthy(app)
    assert not app.error
    numbers = part_numbers.numbers(studied)
    found, said = numbers.table, text_of(app).replace("\\", "")
    for sentence in part_numbers.verdict(numbers):
        assert sentence in said
    assert "70 pictures; landmarks were found in 60" in said
    assert part_numbers.area_words(found) in said
    assert "Random masks, 1 per picture and area: the pieces of the shape itself, turned" in said
    assert not app.warning
    assert downloads(app).count("Data (CSV)") == 3
    assert f"Every number of {studied.record['run']} (CSV)" in downloads(app)


def test_shows_where_predictions_go(studied):
    first = part_numbers.numbers(studied).by_drop.first
    for address, shape in (({}, first), ({"study-part": "Chin"}, "chin")):
        app = open_page("masks", PARTS | address)
        assert_healthy(app)
        flow = json.loads(app.get("plotly_chart")[-1].proto.spec)["data"][0]
        counts = flip_matrix(studied.predictions[WHOLE], studied.masked(shape))
        assert flow["type"] == "sankey" and flow["link"]["value"] == counts[counts > 0].tolist()


def store_beside_rectangles(study, name, **changes):
    """Another run with the same answers, whose study was made beside rectangles."""
    other = artifacts.root() / "runs" / name
    shutil.copytree(artifacts.find_run(study.record["run"]).path, other)
    record = json.loads((other / "run.json").read_text("utf-8")) | {"name": other.name}
    (other / "run.json").write_text(json.dumps(record), "utf-8")
    old = {name.replace("moved-", "control-"): one for name, one in study.predictions.items()}
    changed = study.record | {"run": other.name, "conditions": list(old)} | changes
    changed["name"] = part_study.KIND.study_name(other.name, "test", changed["fill"])
    part_study.write_study(part_study.PartStudy(changed, old, study.areas, study.found))


def test_models_beside_random_masks_of_different_forms_say_so(studied):
    old, new = "another", studied.record["run"]
    store_beside_rectangles(studied, "third", fill="mean")
    app = open_page("masks", PARTS)
    assert_healthy(app)
    assert not app.warning  # what is not shown is not compared
    store_beside_rectangles(studied, old, tta="flip")
    app = open_page("masks", PARTS | {"studied": [old, new]})
    assert_healthy(app)
    (warning,) = app.warning
    told = warning.value.replace("\\", "")
    assert f"the shape itself, moved, for {new}, rectangles for {old}" in told
    command = f"python -m fer_core study parts {old} --split test --fill zero --controls 1 --tta flip --again"
    assert told.endswith(f"The same form for all: `{command}`")
    said = text_of(app).replace("\\", "")
    assert f"1 per picture and area: for {new} the pieces of the shape itself" in said
    assert f"; for {old} a rectangle of the same area" in said


@pytest.mark.parametrize("measure", list(MEASURES))
def test_every_measure_shows(studied, measure):
    app = open_page("masks", PARTS | {"part-measure": MEASURES[measure], "part-class": "happy"})
    assert_healthy(app)
    assert not app.error
    chosen = next(box for box in app.selectbox if box.label == "Measure")
    assert chosen.value == measure
    assert ("no more than chance (the 95" in text_of(app)) == (measure not in ("flip_rate", "ece"))


def test_stale_study_is_said_and_not_shown(studied):
    artifacts.update_run(artifacts.find_run(studied.record["run"]), {"weights_sha256": "another"})
    app = open_page("masks", PARTS)
    assert_healthy(app)
    assert "other weights by now" in app.warning[0].value
    assert "python -m fer_core study parts" in text_of(app)


def test_no_study_says_what_to_do(workshop, monkeypatch):
    for name, value in workshop.environment().items():
        monkeypatch.setenv(name, value)
    app = open_page("masks", PARTS)
    assert_healthy(app)
    assert "python -m fer_core study parts" in text_of(app)


def test_accuracy_of_whole_pictures_is_that_of_the_stored_answers(studied):
    whole = studied.predictions[WHOLE]
    expected = float((whole.pred_probs.argmax(axis=1) == whole.y_true).mean())
    assert part_numbers.whole_accuracy(part_numbers.numbers(studied).table) == pytest.approx(expected)
    said = text_of(open_page("masks", PARTS)).replace("\\", "")
    assert "Averaged here: one view, the picture as it is." in said
