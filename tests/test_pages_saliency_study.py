"""The study on the Saliency page: what it shows is what the library says of the stored maps, without TensorFlow."""

import dataclasses
import itertools
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fer_core import artifacts
from fer_core.datasets.split import Dataset, Split
from fer_core.explain import (
    checks_numbers,
    checks_study,
    faithfulness,
    saliency_numbers,
    saliency_sentences,
    saliency_study,
)
from fer_core.explain.action_units import PROTOTYPES, SCORES
from fer_core.explain.mask_study import trained_mask
from fer_core.explain.saliency import METHODS
from fer_core.explain.saliency_numbers import ALL_CLASSES
from fer_core.explain.studies import studies_folder
from fer_core.wording import percent
from pages.ui import cache, cache_study
from pages.ui.saliency_study import VIEWS
from tests.test_checks_study import by_hand
from tests.test_pages import HOME, PROJECT, assert_healthy, home_runs_first, open_page, text_of  # noqa: F401

STUDY = {"scope": "Whole test set"}


@pytest.fixture
def stored(monkeypatch):
    """The committed studies by occlusion, of which there are several; run -> study."""
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(PROJECT / "artifacts"))
    records, problems = saliency_study.KIND.list_records()
    assert not problems
    names = {record["run"]: record["name"] for record in records if record["method"] == "occlusion"}
    return {run: saliency_study.read_study(studies_folder() / name) for run, name in names.items()}


def plain(app):
    return text_of(app).replace("\\", "")


def query(stored, view, *runs):
    return STUDY | {"study-method": "Occlusion", "study-show": view, "studied": list(runs or [next(iter(stored))])}


def test_every_committed_study_has_each_class_and_says_which_maps_are_empty(stored):
    complete, lacking = [], []
    for record in saliency_study.KIND.list_records()[0]:
        study = saliency_study.read_study(studies_folder() / record["name"])
        assert set(study.y_true) == set(range(7))
        drawn = study.coarse.any(axis=(1, 2))
        assert (drawn == np.isfinite(study.shares[:, 0])).mean() > 0.99, "a map may lie beside the aligned face"
        many = {name: share for name, share in saliency_numbers.empty_maps(study).items() if share >= 0.05}
        if many:
            lacking.append((max(many.values()), study, many))
        else:
            complete.append(study)
    lacking.sort(key=lambda one: one[0])
    for _, study, many in [*lacking[:2], *lacking[-2:]]:  # each opens a page
        warned = _warnings_of(study)
        assert "without any evidence" in warned and all(name in warned for name in many)
    for study in complete[:2]:
        assert "without any evidence" not in _warnings_of(study)


def test_six_models_have_stored_mean_maps_and_a_facs_table_of_the_whole_test_split(stored):
    whole = {
        record["model"]: record["name"]
        for record in saliency_study.KIND.list_records()[0]
        if (record["dataset"], record["split"]) == ("fer2013", "test") and record["n"] == record["n_split"] == 3589
    }
    assert len(whole) >= 6, sorted(whole)
    for name in whole.values():
        study = saliency_study.read_study(studies_folder() / name)
        assert np.isfinite(study.means[0]).all() and study.means[0].any(axis=(1, 2)).all()
        recognised = np.isin(np.arange(len(study.class_names)), study.y_true[study.right])
        assert (np.isfinite(study.means[1]).all(axis=(1, 2)) == recognised).all(), "no mean of no pictures"
        table = saliency_numbers.score_rows(study, n_boot=50).set_index(["class", "score"])
        assert set(table.index) == set(itertools.product([ALL_CLASSES, *PROTOTYPES], SCORES))
        assert (table["n"] > 0).all() and (table["low"] <= table["value"]).all(), name
        assert (table["value"] <= table["high"]).all() and (table["low"] < table["high"]).all(), name


def _warnings_of(study) -> str:
    method = {"study-method": METHODS[study.record["method"]].title}
    app = open_page("saliency", query({study.record["run"]: study}, "Mean maps") | method)
    assert_healthy(app)
    return " ".join(element.value for element in app.warning)


def test_mean_maps_stand_per_class(stored):
    study = next(iter(stored.values()))
    app = open_page("saliency", query(stored, "Mean maps", study.record["run"]))
    assert_healthy(app)
    assert f"{study.record['n']:,} of {study.record['n_split']:,} pictures" in plain(app)
    assert f"cells: {faithfulness.grid_words(study.record['grid'])} to tell eyes from mouth" in plain(app)
    able = [run for run in artifacts.list_runs()[0] if run.can_answer and trained_mask(run) is None]
    names = [run.name for run in able if run.name not in stored and run.model != "majority"]
    said = f"Not studied by Occlusion: {', '.join(names)}. To study them: `{saliency_study.KIND.command} --method occ"
    assert (said in plain(app)) if names else ("Not studied" not in plain(app))
    assert saliency_sentences.strongest_sentence(saliency_numbers.share_rows(study), study.record["grid"]) in plain(app)
    labels = [button.label for button in app.get("download_button")]
    assert labels.count("Maps (PNG)") == labels.count("Maps (CSV)") == 1


def test_a_class_without_a_map_is_said_to_have_none(stored, tmp_path, monkeypatch):
    study = next(iter(stored.values()))
    kept = artifacts.root() / "runs" / study.record["run"]
    shutil.copytree(kept, tmp_path / "runs" / kept.name)
    means = study.means.copy()
    means[:, study.class_names.index("disgust")] = np.nan
    saliency_study.write_study(dataclasses.replace(study, means=means), tmp_path)
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    app = open_page("saliency", query(stored, "Mean maps"))
    assert_healthy(app)
    assert f"These maps are not checked yet. To check them: `{checks_study.command_for(study.record)}`" in plain(app)
    by_gradients = dataclasses.replace(study, record=study.record | {"method": "gradient", "name": "saliency-g"})
    saliency_study.write_study(by_gradients, tmp_path)
    checked = _checked(study, tmp_path)
    app = open_page("saliency", query(stored, "Mean maps"))
    assert_healthy(app)
    assert checks_numbers.verdict(checked) in plain(app)
    badges = [element.value for element in app.markdown if "-badge[" in element.value]
    assert [badge.split("-badge")[0] for badge in badges] == [":green", ":orange", ":red", ":green", ":gray", ":green"]
    said = ["18 of 20 pass]", "9 of 20 pass, undecided", "1 of 20 pass, most fail", "20 of 20 pass]", "not applicable"]
    assert all(words in badge for words, badge in zip(said, badges[:-1], strict=True))
    assert faithfulness.grid_verdict(checked.record["grid"]).value in badges[-1]
    labels = [button.label for button in app.get("download_button")]
    assert labels.count("Checks (CSV)") == labels.count("Checks of each face (CSV)") == 1
    app_of_methods = open_page("saliency", query(stored, "Agreement with FACS") | {"study-methods": "true"})
    assert_healthy(app_of_methods)
    grid = next(frame.value for frame in app_of_methods.dataframe if "Trainings" in frame.value)
    assert grid["Randomisation"].tolist() == ["1 of 20 pass, most fail"] and grid["all"].tolist() == ["1 of 20"]
    assert "Not studied" not in plain(app)  # its run is the only one there
    captions = [picture.caption for element in app.get("image") for picture in element.proto.imgs]
    assert [caption for caption in captions if "no map" in caption] == ["disgust: no map"]
    assert "happy" in captions


def _checked(study, root):
    """Checks by hand of the maps of ``study``, stored: of each check other shares pass."""
    passed = [18, 9, 1, 20, None, 20]
    faces = ["".join("n" if n is None else "p" if face < n else "f" for n in passed) for face in range(20)]
    checked = by_hand(faces)
    name = checks_study.KIND.study_name(study.record["run"], study.record["split"], study.record["method"])
    record = study.record | checked.record | {name: study.record[name] for name in ("run", "method", "grid")}
    checked = dataclasses.replace(checked, record=record | {"name": name})
    checks_study.write_study(checked, root)
    return checked


def test_regions_stand_beside_facs_with_the_verdict(stored):
    app = open_page("saliency", query(stored, "Facial regions"))
    assert_healthy(app)
    study = next(iter(stored.values()))
    shares, scores = saliency_numbers.share_rows(study), saliency_numbers.score_rows(study)
    for sentence in saliency_sentences.verdict(shares, scores, saliency_numbers.lifts(study), study.record["grid"]):
        assert sentence in plain(app)
    assert "happy 6 + 12; sad 1 + 4 + 15" in plain(app)


def test_agreement_with_facs_counts_only_what_is_right_where_asked(stored):
    app = open_page("saliency", query(stored, "Agreement with FACS") | {"study-which": saliency_numbers.RIGHT})
    assert_healthy(app)
    assert "what a map reaches that is the same everywhere" in plain(app)
    scores = saliency_numbers.score_rows(next(iter(stored.values())), saliency_numbers.RIGHT, only=ALL_CLASSES)
    assert saliency_sentences.agreement_sentence({"one": scores}) in plain(app)
    assert len(app.get("plotly_chart")) == 1
    alone = len(saliency_numbers.scored(next(iter(stored.values())), saliency_numbers.RIGHT))
    assert f"On the {alone:,} pictures that this model recognises and has a map with evidence of. Cross" in plain(app)
    first, second, *_ = stored
    app = open_page("saliency", query(stored, "Agreement with FACS", first, second) | {"study-methods": "true"})
    assert_healthy(app)
    grid = next(frame.value for frame in app.dataframe if "Grad-CAM" in frame.value)
    assert set(grid["run"]) == {first, second}
    (n,) = {int(cell.split("n = ")[1].replace(",", "")) for cell in grid.drop(columns="run").to_numpy().ravel() if cell}
    by_any = {
        record["name"]: saliency_study.read_study(studies_folder() / record["name"])
        for record in saliency_study.KIND.list_records()[0]
        if record["run"] in (first, second)
    }
    costliest = saliency_numbers.shared_rows(by_any).iloc[0]
    assert n == costliest["shared"]
    record = by_any[costliest["study"]].record
    told = f"{record['run']} by {METHODS[record['method']].title} ({costliest['own']:,} of its own)"
    assert f"All {len(by_any)} studies share {n:,} pictures: " in plain(app) and told in plain(app)
    app.multiselect(key="study-by").set_value(["Occlusion", "Grad-CAM"]).run()
    assert_healthy(app)
    grid = next(frame.value for frame in app.dataframe if "Grad-CAM" in frame.value)
    assert set(grid) == {"run", "Occlusion", "Grad-CAM"}
    ids = saliency_numbers.scored_by_all([stored[first], stored[second]])
    each = [len(saliency_numbers.scored(stored[run])) for run in (first, second)]
    said = f"On the {len(ids):,} pictures that all 2 models have a map with evidence of (alone: {first} {each[0]:,}"
    assert said in plain(app)


def test_a_model_whose_maps_are_all_empty_takes_no_picture_from_the_others(stored, tmp_path, monkeypatch):
    first, second, *_ = stored
    for run in (first, second):
        shutil.copytree(artifacts.root() / "runs" / run, tmp_path / "runs" / run)
    study, other = stored[first], stored[second]
    nothing = {name: np.full_like(getattr(other, name), np.nan) for name in ("shares", "scores", "means")}
    for one in (study, dataclasses.replace(other, **nothing, coarse=np.zeros_like(other.coarse))):
        saliency_study.write_study(one, tmp_path)
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    for view, said in {
        "Agreement with FACS": f"{second}: no map speaks for anything; left out.",
        "Facial regions": "No map of this study has any evidence in it.",
        "Mean maps": f"{second}: maps without any evidence, left out here: angry 100.0 %",
    }.items():
        app = open_page("saliency", query(stored, view, first, second))
        assert_healthy(app)
        assert said in plain(app)
        if view == VIEWS[2]:
            assert f"On the {len(saliency_numbers.scored(study)):,} pictures that this model has" in plain(app)


def test_disagreement_shows_the_least_alike_first(stored):
    first, second = list(stored)[:2]
    chosen = STUDY | {"study-method": "Occlusion", "study-show": "Disagreement", "study-a": first, "study-b": second}
    app = open_page("saliency", chosen)
    assert_healthy(app)
    found = saliency_numbers.disagreement(stored[first], stored[second])
    for sentence in saliency_sentences.disagreement_words(found):
        assert sentence in plain(app)
    assert "Beside the maps stands the probability of the expression for the picture as it is" in plain(app)
    averaged = [run for run in (first, second) if artifacts.find_run(run).run["config"].get("tta", "none") != "none"]
    assert ("; Look closer averages shifted and mirrored views for" in plain(app)) == bool(averaged)
    assert "Maps are of the true expression" in plain(app)
    least = found.pictures.iloc[0]
    shown = [element.value.replace("\\", "") for element in app.markdown if " alike" in element.value][1]
    assert shown == f"{least['sample_id']}, {least['class']}: {percent(least['similarity'])} alike"
    labels = [button.label for button in app.get("download_button")]
    assert labels.count("These pictures (PNG)") == labels.count("All of these (CSV)") == 1
    app = open_page("saliency", chosen | {"study-agreed": "Same label, right or wrong"})
    assert_healthy(app)
    every = saliency_numbers.disagreement(stored[first], stored[second], saliency_numbers.EVERY)
    assert saliency_sentences.disagreement_words(every)[0] in plain(app) and len(every.pictures) > len(found.pictures)


def test_a_pair_opens_as_one_face_with_both_models(stored, monkeypatch):
    """Where the pictures are registered, here grey ones under the names of the real ones."""
    first, second = (run for run in stored if "-svm_hog_linear-" in run or "-hog_logistic-" in run)
    study = stored[first]
    grey = np.broadcast_to(
        np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8), (study.record["n"], 48, 48)
    )
    order = np.argsort(study.sample_ids)
    test = Split(study.sample_ids[order], grey, study.y_true[order], study.class_names)
    monkeypatch.setattr(cache, "dataset_names", lambda: ["fer2013"])
    monkeypatch.setattr(cache, "dataset", lambda name: Dataset(name, {"test": test}, "grey"))
    chosen = STUDY | {"study-method": "Occlusion", "study-show": "Disagreement", "study-a": first, "study-b": second}
    app = open_page("saliency", chosen | {"check": "false"})
    assert_healthy(app)
    app.session_state["occlusion-fill"] = "blur"  # chosen before, for another face
    button = next(button for button in app.button if button.label == "Look closer")
    button.click().run()
    assert_healthy(app)
    sample_id = saliency_numbers.disagreement(stored[first], stored[second]).pictures["sample_id"].iloc[0]
    number = next(one.value for one in app.number_input if one.label.startswith("Picture"))
    assert test.sample_ids[number - 1] == sample_id
    assert app.multiselect(key="models").value == [first, second]
    assert [app.selectbox(key=key).value for key in ("dataset", "split", "class")] == ["fer2013", "test", "all"]
    assert (app.selectbox(key="method").value, app.selectbox(key="explain").value) == ("occlusion", "true")
    assert app.selectbox(key="occlusion-fill").value == (METHODS["occlusion"].options | study.record["options"])["fill"]
    copied = {key: value if isinstance(value, list) else [value] for key, value in app.query_params.items()}
    assert copied["picture"] == [str(number)]
    assert copied["models"] == [first, second]
    assert copied["explain"] == ["true class"]
    again = open_page("saliency", copied)
    assert_healthy(again)
    assert number == next(one.value for one in again.number_input if one.label.startswith("Picture"))
    assert again.multiselect(key="models").value == [first, second]
    for key in ("dataset", "split", "class", "method", "explain"):
        assert again.selectbox(key=key).value == app.selectbox(key=key).value, key


def test_without_a_study_the_command_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    app = open_page("saliency", STUDY)
    assert_healthy(app)
    assert saliency_study.KIND.command in plain(app)


@pytest.mark.slow
def test_no_view_imports_tensorflow(stored):
    says = dict(zip(VIEWS, ("into one frame", "most of the map", "the same in all cells", "Same label,"), strict=True))
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"for view, says in {says!r}.items():\n"
        f"    app = AppTest.from_file({str(HOME)!r}, default_timeout=120)\n"
        "    asked = {'scope': 'Whole test set', 'study-show': view, 'study-methods': 'true'}\n"
        "    for name, value in asked.items(): app.query_params[name] = value\n"
        "    app.switch_page('pages/saliency.py').run()\n"
        "    bad = {'tensorflow', 'keras', 'jax', 'tf_keras_vis'} & set(sys.modules)\n"
        "    said = ' '.join(element.value for element in [*app.markdown, *app.caption])\n"
        "    if bad or app.exception or says not in said: sys.exit(f'{view}: {bad}, {app.exception}, {said}')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=os.environ.copy(), capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_the_files_of_studies_that_stand_together_are_looked_at_once(monkeypatch):
    looked = []
    monkeypatch.setattr(cache_study, "stamp", lambda *paths: looked.append(paths) or (("maps.npz", len(looked), 1),))
    monkeypatch.setattr(cache_study, "_scores", lambda name, *key: (name, key))
    names = [f"saliency-{number:02}" for number in range(30)]
    found = cache_study.scores_together(reversed(names), "every picture")
    assert len(looked) == len(names)
    assert [name for name, _ in found.values()] == list(found) == names
    assert len({key for _, key in found.values()}) == 1
    assert cache_study.scores(names[0], "every picture")[0] == names[0]
