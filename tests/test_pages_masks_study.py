"""The study on the Masks page: what it shows is what the library says, and it never needs TensorFlow."""

import base64
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fer_core import artifacts, datasets
from fer_core.explain import mask_gains, mask_numbers, mask_study, part_numbers
from fer_core.explain.conditions import WHOLE, flip_matrix
from fer_core.labels import CLASS_NAMES
from tests.test_pages import HOME, PROJECT, assert_healthy, home_runs_first, open_page, text_of  # noqa: F401

STUDY = {"scope": "Whole test set"}


class HalfReader:
    """Says happy where the bottom half is brighter than the picture as a whole, else by the top half's brightness."""

    class_names = CLASS_NAMES

    def predict_proba(self, images):
        bottom = images[:, images.shape[1] // 2 :].mean(axis=(1, 2))
        shade = (images.mean(axis=(1, 2)) / 256 * 7).astype(int)
        guess = np.where(bottom > images.mean(axis=(1, 2)), CLASS_NAMES.index("happy"), shade)
        return 0.02 + 0.86 * np.eye(7, dtype=np.float32)[guess]


@pytest.fixture
def studied(workshop, tmp_path, monkeypatch):
    """The workshop's runs with a study of the one that ships weights; gives the study."""
    base = tmp_path / "artifacts"
    shutil.copytree(workshop.artifacts, base)
    monkeypatch.setenv("FER_DATA_DIR", str(workshop.data))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(base))
    split = datasets.load(workshop.dataset)["test"]
    predictions, seconds = mask_study.predict_conditions(HalfReader(), split, seeds=(0, 1))
    about = {"split": split, "split_name": "test", "fill": "zero", "tta": "none", "seeds": (0, 1), "seconds": seconds}
    run = artifacts.find_run(workshop.run)
    study = mask_study.make_study(run, predictions, **about)
    mask_study.write_study(study)
    return study


def frame_with(app, column):
    return next(frame.value for frame in app.dataframe if column in frame.value)


def test_says_and_shows_what_the_library_computes(studied):
    app = open_page("masks", STUDY)
    assert_healthy(app)
    assert not app.error
    found = mask_numbers.numbers(studied)
    said = text_of(app).replace("\\", "")
    for sentence in mask_numbers.verdict(found):
        assert sentence in said
    assert "on 70 pictures" in said
    assert "forehead 25 %, eyes 25 %, mouth 50 %" in said
    table = frame_with(app, "trained")
    assert table["mask"].tolist() == ["no mask", "forehead", "eyes", "mouth"]
    assert table["overall"].tolist() == pytest.approx(found.accuracy["accuracy"].tolist())
    assert "No stored run of these networks was trained with a mask" in said
    assert [button.label for button in app.get("download_button")].count("Data (CSV)") == 1


def test_random_masks_are_counted_per_model_where_they_differ(studied):
    said = text_of(open_page("masks", STUDY))
    assert "Random masks, 2 per picture and area: a rectangle" in said
    assert "Not studied" not in said
    other = artifacts.root() / "runs" / "another"
    shutil.copytree(artifacts.find_run(studied.run).path, other)
    record = json.loads((other / "run.json").read_text("utf-8")) | {"name": other.name}
    (other / "run.json").write_text(json.dumps(record), "utf-8")
    fewer = {name: one for name, one in studied.predictions.items() if not name.endswith("-1")}
    changed = studied.record | {"run": other.name, "control_seeds": [0], "conditions": list(fewer)}
    changed["name"] = mask_study.KIND.study_name(other.name, "test", "zero")
    mask_study.write_study(mask_study.MaskStudy(changed, fewer))
    third = artifacts.root() / "runs" / "third"
    shutil.copytree(other, third)
    (third / "run.json").write_text(json.dumps(record | {"name": third.name}), "utf-8")
    app = open_page("masks", STUDY | {"studied": studied.run})
    said = text_of(app).replace("\\", "")  # another is studied, though not chosen
    assert "Not studied on test with fill zero: third. To study them: " in said
    assert "`python -m fer_core study masks --split test --fill zero third`" in said
    app = open_page("masks", STUDY | {"studied": [other.name, studied.run]})
    assert_healthy(app)
    said = text_of(app).replace("\\", "")
    assert f"Random masks, per picture and area 1 for {other.name}, 2 for {studied.run}: a rectangle" in said


def test_runs_whose_weights_are_not_kept_are_named_with_what_trains_them_again(studied):
    assert not [one for one in open_page("masks", STUDY).expander if "weights are not kept" in one.label]
    base = artifacts.find_run(studied.run)
    retrain = "python -m fer_core train compact toy --seed 7"
    changes = {"lost": {"retrain": retrain}, "bare": {"retrain": None}, "with_mask": {"config": {"mask": "mouth"}}}
    for name, changed in changes.items():
        folder = base.path.parent / name
        shutil.copytree(base.path, folder, ignore=shutil.ignore_patterns("weights.*"))
        (folder / "run.json").write_text(json.dumps(base.run | {"name": name} | changed), "utf-8")
    app = open_page("masks", STUDY)
    assert_healthy(app)
    assert "To study them" not in text_of(app)
    label = "2 runs are not studied on test with fill zero: their weights are not kept here"
    (told,) = [one for one in app.expander if one.label == label]
    again = {f"# lost\n{retrain}", f"# bare\npython -m fer_core train compact {base.dataset}"}
    assert set(told.code[0].value.replace("\n#", "\n\n#").split("\n\n")) == again
    assert "`python -m fer_core study masks --split test --fill zero`" in told.caption[0].value


def test_f1_instead_of_recall(studied):
    app = open_page("masks", STUDY | {"study-measure": "F1"})
    assert_healthy(app)
    shown, expected = frame_with(app, "trained"), mask_numbers.table_rows(studied, {}, "f1")
    assert shown["overall"].tolist() == pytest.approx(expected["overall"].tolist())
    for name in CLASS_NAMES:
        edges = (100 * expected[f"{name}{end}"] for end in ("", "_low", "_high"))
        told = [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in zip(*edges, strict=True)]
        assert shown[name].tolist() == told
    assert "in brackets the 95 % bootstrap interval" in text_of(app)


def test_recall_and_flips(studied):
    app = open_page("masks", STUDY | {"study-view": "Recall per class"})
    assert_healthy(app)
    assert "Change of recall" in text_of(app)
    app = open_page("masks", STUDY | {"study-view": "Flips"})
    assert_healthy(app)
    found = mask_numbers.numbers(studied)
    rates = frame_with(app, "flip_rate")
    assert rates["flip_rate"].tolist() == pytest.approx(found.accuracy["flip_rate"].dropna().tolist())
    flips = found.flips[found.flips["mask"] == found.by_drop.first]
    assert frame_with(app, "before")["count"].tolist() == flips["count"].tolist()
    for name in ("drop", "control_flip_rate", "control_flip_rate_low", "control_flip_rate_high", "drop_low"):
        assert rates[name].tolist() == pytest.approx(found.accuracy[name].dropna().tolist())
    flow = json.loads(app.get("plotly_chart")[-1].proto.spec)["data"][0]
    counts = flip_matrix(studied.predictions[WHOLE], studied.predictions[found.by_drop.first])
    assert flow["type"] == "sankey"
    assert flow["link"]["value"] == counts[counts > 0].tolist()


def test_every_measure_of_the_rows(studied):
    chosen = {"study-view": "Every measure", "part-measure": "Shift of the true class", "part-class": "happy"}
    app = open_page("masks", STUDY | chosen)
    assert_healthy(app)
    assert not app.error
    assert "Mean change of the true class's probability. In hundredths" in text_of(app)
    masks, points, cells = (json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart"))
    assert masks[0]["marker"]["color"] == points[0]["marker"]["color"]
    expected = part_numbers.table(studied).set_index(["shape", "class"])["p_shift"]
    assert points[0]["y"] == cells[0]["y"] == ["Forehead", "Eyes", "Mouth"]
    shown = np.frombuffer(base64.b64decode(points[0]["x"]["bdata"]), points[0]["x"]["dtype"])
    assert shown == pytest.approx([100 * expected[region, "happy"] for region in mask_study.REGIONS])
    labels = [button.label for button in app.get("download_button")]
    assert f"Every number of {studied.run} (CSV)" in labels


def test_run_trained_with_the_mask_stands_beside(studied):
    own = artifacts.find_run(studied.run)
    predictions = own.predictions("test")
    given = {field: own.run[field] for field in ("model", "dataset", "dataset_fingerprint", "class_names", "spec")}
    given |= {"config": own.run["config"] | {"mask": "mouth"}, "date": "2026-02-01"}
    path = artifacts.write_run(given, predictions={"test": predictions})
    app = open_page("masks", STUDY)
    assert_healthy(app)
    row = frame_with(app, "trained").set_index("model").loc[path.name]
    assert row["mask"] == "mouth"
    assert row["overall"] == pytest.approx(own.metrics("test")["accuracy"])
    gained = mask_numbers.gains(predictions, studied.predictions["mouth"])
    assert row[list(gained)].tolist() == pytest.approx(list(gained.values()))
    assert "Gain: accuracy of the model trained with the mask" in text_of(app)
    app.toggle(key="study-gains").set_value(True).run()
    assert_healthy(app)
    per_class = frame_with(app, "to_right")
    expected = mask_gains.class_gains(predictions, studied.predictions["mouth"])
    assert per_class["class"].tolist() == ["all", *CLASS_NAMES]
    assert set(per_class["trained"]) == {path.name}
    pd.testing.assert_frame_equal(per_class[mask_gains.CLASS_COLUMNS], expected)


def test_networks_trained_with_a_mask_too_are_shown_at_first(monkeypatch):
    """More models are studied than are shown at first."""
    monkeypatch.delenv("FER_ARTIFACTS_DIR", raising=False)
    app = open_page("masks", STUDY)
    assert_healthy(app)
    assert app.multiselect(key="studied").value[0].startswith("fer2013-vgg16_bn_dropout")
    assert "fer2013-vgg16_masked_mouth" in str(frame_with(app, "trained")["model"].tolist())


def test_reported_values_stand_beside_where_there_are_any(studied):
    folder = artifacts.root() / "reported"
    folder.mkdir()
    (folder / "reported_metrics.csv").write_text(
        "paper,system,dataset,metric,class_name,value,where,note\n"
        "feeling_it,VGG-16:nose_and_mouth_mask,d,accuracy,,0.4334,Table 2,\n"
    )
    app = open_page("masks", STUDY)
    assert_healthy(app)
    assert frame_with(app, "trained").set_index("model").loc["VGG-16 (paper)", "overall"] == 0.4334
    assert any(toggle.label == "Beside the paper's values" for toggle in app.toggle)


def test_stale_study_is_said_and_not_shown(studied):
    run = artifacts.find_run(studied.run)
    artifacts.update_run(run, {"weights_sha256": "another"})
    app = open_page("masks", STUDY)
    assert_healthy(app)
    assert "other weights by now" in app.warning[0].value
    assert "python -m fer_core study masks" in text_of(app)
    assert not app.dataframe


def test_no_study_says_what_to_do(workshop, monkeypatch):
    for name, value in workshop.environment().items():
        monkeypatch.setenv(name, value)
    app = open_page("masks", STUDY)
    assert_healthy(app)
    assert "python -m fer_core study masks" in text_of(app)


def test_one_face_comes_first_and_the_study_is_a_click_away(studied):
    app = open_page("masks")
    scope = next(group for group in app.button_group if group.label == "Pictures")
    assert scope.value == "One face"
    scope.set_value("Whole test set").run()
    assert_healthy(app)
    assert "mask costs" in text_of(app)


@pytest.mark.slow
def test_study_shows_without_tensorflow(studied):
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(HOME)!r}, default_timeout=120)\n"
        "app.query_params['scope'] = 'Whole test set'\n"
        "app.switch_page('pages/masks.py').run()\n"
        "bad = {'tensorflow', 'keras', 'jax', 'tf_keras_vis'} & set(sys.modules)\n"
        "said = ' '.join(element.value for element in app.markdown)\n"
        "if bad or app.exception or 'mask costs' not in said: sys.exit(f'{bad}, {app.exception}, {said}')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=os.environ.copy(), capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_accuracy_that_models_shows_otherwise_is_told_with_the_views_of_both(studied):
    said = text_of(open_page("masks", STUDY)).replace("\\", "")
    assert "Averaged here: one view, the picture as it is." in said
    assert "Averaged on Models" not in said  # which has the same views
    path = artifacts.root() / "studies" / studied.name / "study.json"
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(record | {"tta": "flip"}), "utf-8")
    said = text_of(open_page("masks", STUDY)).replace("\\", "")
    there = artifacts.find_run(studied.record["run"]).metrics("test")["accuracy"]
    here = mask_numbers.numbers(studied).accuracy["accuracy"].iloc[0]
    assert "Averaged here: two views, the picture and its mirror image." in said
    assert "Averaged on Models: one view, the picture as it is." in said
    assert f"{100 * there:.1f} % there, {100 * here:.1f} % here" in said
