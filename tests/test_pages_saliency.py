"""The Saliency page for one face: checks, parts of the face, all methods, class pictures, models without a network."""

import dataclasses
import functools
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from fer_core import artifacts, datasets, regions
from fer_core.charts import trust as charts
from fer_core.charts.saliency import SCORE_TITLES
from fer_core.errors import ModelError
from fer_core.explain import across_trainings, action_units, check_pieces, faithfulness, gradients, saliency
from fer_core.models import features
from fer_core.wording import percent
from pages.ui import cache_explain, saliency_more
from tests.test_pages import assert_healthy, home_runs_first, open_page, text_of  # noqa: F401


@pytest.fixture(scope="module")
def classifier(workshop):
    from fer_core.inference import Predictor
    from fer_core.models.registry import load_classifier

    return Predictor(load_classifier(artifacts.find_run(workshop.run, workshop.artifacts), tta="none"))


@pytest.fixture
def working(workshop, monkeypatch):
    for name, value in workshop.environment().items():
        monkeypatch.setenv(name, value)
    return workshop


@pytest.fixture
def first_test_picture(working):
    return np.asarray(datasets.load(working.dataset)["test"].images[0])


@pytest.fixture
def with_hog(working, tmp_path, monkeypatch):
    """A second run that has no network."""
    from fer_core.training import run as training

    shutil.copytree(working.artifacts, tmp_path / "artifacts")
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    toy = datasets.load(working.dataset)
    return training.train("hog_logistic", toy, work_root=tmp_path, root=tmp_path / "artifacts").name


def widget(kind, label):
    return next(found for found in kind if found.label == label)


def once():
    """What the strip says of the only training there is."""
    runs = artifacts.list_runs()[0]
    return across_trainings.others(next(run for run in runs if run.model == "compact"), runs)


def captions(app):
    return [picture.caption for element in app.get("image") for picture in element.proto.imgs]


@pytest.mark.slow
def test_strip_says_what_the_library_says(working, classifier, first_test_picture):
    app = open_page("saliency", {"dataset": working.dataset, "method": "Grad-CAM", "explain": "happy"})
    assert_healthy(app)
    assert not app.error
    happy = list(classifier.class_names).index("happy")
    found = saliency.explain(classifier, first_test_picture[None], happy, "grad_cam")
    verdicts = faithfulness.verdicts(faithfulness.trust(classifier, first_test_picture, found, trainings=once()))
    (told,) = [caption.value for caption in app.caption if "Trained once" in caption.value]
    assert "Train another seed: `python -m fer_core train compact toy " in told and told.endswith(" --seed 1`")
    said = text_of(app)
    for verdict in verdicts:
        told = "" if verdict.outcome == faithfulness.PASSED else f"{verdict.outcome}: "
        assert f"{verdict.name} {told}{verdict.value}" in said
        for boxes, outcome in ((app.warning, faithfulness.FAILED), (app.info, faithfulness.UNDECIDED)):
            assert any(verdict.sentence in box.value for box in boxes) == (verdict.outcome == outcome)
    shown = next(frame.value for frame in app.dataframe if "outcome" in frame.value)
    pd.testing.assert_frame_equal(shown.reset_index(drop=True), faithfulness.verdict_frame(verdicts))


@pytest.mark.slow
def test_strip_compares_with_other_trainings_that_have_weights_here(working, tmp_path, monkeypatch):
    shutil.copytree(working.artifacts, tmp_path / "artifacts")
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    own = artifacts.find_run(working.run)
    for seed in (1, 2):
        name = own.name.replace("-s0-", f"-s{seed}-")
        shutil.copytree(own.path, own.path.with_name(name))
        again = own.run["retrain"] + f" --seed {seed}"
        changes = {"name": name, "seed": seed, "config": own.run["config"] | {"seed": seed}, "retrain": again}
        record = artifacts.Run(own.path.with_name(name), own.run)
        record.path.joinpath("run.json").write_text(json.dumps(record.run | changes))
    order = []
    for module, name in ((saliency_more, "show"), (cache_explain, "_map_of_other")):
        real = getattr(module, name)

        def noted(*asked, real=real, name=name):
            order.append(name)
            return real(*asked)

        monkeypatch.setattr(module, name, noted)
    app = open_page("saliency", {"dataset": working.dataset, "models": own.name, "method": "Grad-CAM"})
    assert order == ["show", "_map_of_other", "_map_of_other"]  # the rest of the page stands before they are loaded
    assert_healthy(app)
    assert not app.error
    assert "Trainings 1.00, lowest 1.00, random " in text_of(app)  # they have the same weights
    (table,) = [frame.value for frame in app.dataframe if list(frame.value) == ["run", "spearman"]]
    assert table["run"].tolist() == [own.name.replace("-s0-", f"-s{seed}-") for seed in (1, 2)]
    assert np.allclose(table["spearman"], 1)
    for seed in (1, 2):
        artifacts.strip_run(artifacts.find_run(own.name.replace("-s0-", f"-s{seed}-")))
    app = open_page("saliency", {"dataset": working.dataset, "models": own.name, "method": "Grad-CAM"})
    (told,) = [caption.value for caption in app.caption if "Other trainings have no weights here" in caption.value]
    assert told.endswith(" --seed 1`")


def curves_better_than_most(insertion):
    """Curves of area 0.5 beside twenty random ones: twelve are worse by 0.1 and eight as much better."""
    worse, better = ((0.8, 0.0), (1.0, 0.2)) if insertion else ((1.0, 0.2), (0.8, 0.0))
    return faithfulness.Curves(
        insertion, np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array(12 * [worse] + 8 * [better])
    )


def test_map_that_fails_or_is_undecided_says_so_in_words(working, monkeypatch):
    real = cache_explain.trust

    def trust(*asked):
        curves = {name: curves_better_than_most(name == "insertion") for name in ("deletion", "insertion")}
        return dataclasses.replace(real(*asked), **curves)

    monkeypatch.setattr(cache_explain, "trust", trust)
    monkeypatch.setattr(faithfulness, "MIN_GRID", 99)
    app = open_page("saliency", {"dataset": working.dataset, "method": "Grad-CAM", "explain": "happy"})
    assert_healthy(app)
    assert "Grid failed: 5 × 5" in text_of(app)
    assert any("This map fails" in said.value and "too coarse to tell eyes" in said.value for said in app.warning)
    assert ":orange-badge[:material/question_mark: Deletion undecided: 0.50, random 0.52]" in text_of(app)
    assert ":orange-badge[:material/question_mark: Insertion undecided: 0.50, random 0.48]" in text_of(app)
    (told,) = [box.value for box in app.info if "random maps" in box.value]
    assert told.startswith("**Not shown to beat random maps: deletion and insertion.** Hiding its")
    for effect in ("Hiding its strongest pixels first costs", "Showing its strongest pixels first brings back"):
        assert f"{effect} more probability than with 12 of 20 random maps as smooth; 19 are asked for" in told
    assert told.count("on average better by 0.02 [") == 2
    assert not any("deletion" in box.value for box in app.warning)


@pytest.mark.slow
def test_empty_grad_cam_offers_layer_cam_which_comes_first_before_the_last_layer(
    working, classifier, first_test_picture, monkeypatch
):
    empty = {
        index: layer.name
        for layer in saliency.cam_layers(classifier)
        for index in range(len(classifier.class_names))
        if not saliency.explain(classifier, first_test_picture[None], index, "grad_cam", layer.name).values.any()
    }
    index, layer = next(iter(empty.items()))
    target = classifier.class_names[index]
    address = {"dataset": working.dataset, "explain": target, "check": "false"}
    app = open_page("saliency", address)
    assert_healthy(app)
    assert widget(app.selectbox, "Method").value == "grad_cam"
    layer_title = next(option for option in widget(app.selectbox, "Layer").options if option.startswith(f"{layer},"))
    widget(app.selectbox, "Layer").select(layer_title)
    app.run()
    assert f"The map is empty: in this layer nothing speaks for {target}" in text_of(app)
    widget(app.button, "Show LayerCAM").click().run()
    assert_healthy(app)
    assert widget(app.selectbox, "Method").value == "layer_cam"
    assert f"LayerCAM at {layer}" in text_of(app)
    assert "The map is empty" not in text_of(app)
    monkeypatch.setattr(saliency, "default_layer", lambda model: saliency.cam_layers(model)[0])
    app = open_page("saliency", address)
    assert_healthy(app)
    assert widget(app.selectbox, "Method").value == "layer_cam"
    assert "Show LayerCAM" not in [button.label for button in app.button]


def downloads(app):
    return " ".join(button.proto.id for button in app.get("download_button"))


@pytest.mark.slow
def test_options_in_the_address_reach_map_checks_and_downloads(working, classifier, first_test_picture):
    index = int(classifier.predict_proba(first_test_picture[None]).argmax())
    target = classifier.class_names[index]
    address = {"dataset": working.dataset, "method": "Occlusion", "explain": target}
    app = open_page("saliency", address | {"occlusion-patch": "1/4", "occlusion-fill": "Black"})
    assert_healthy(app)
    assert not app.error
    assert widget(app.selectbox, "Side of the patch").value == 0.25
    said = text_of(app)
    assert "Occlusion (patch 0.25, fill zero), 4 × 4 cells" in said
    given = {"patch": 0.25, "fill": "zero"}
    found = saliency.explain(classifier, first_test_picture[None], index, "occlusion", **given)
    verdicts = faithfulness.verdicts(faithfulness.trust(classifier, first_test_picture, found, trainings=once()))
    shown = next(frame.value for frame in app.dataframe if "outcome" in frame.value)
    pd.testing.assert_frame_equal(shown.reset_index(drop=True), faithfulness.verdict_frame(verdicts))
    stem = f"{working.run}-occlusion-patch-0.25-fill-zero-{target}"
    assert downloads(app).count(stem) >= 5  # map as picture and table, curves, checks, parts
    widget(app.selectbox, "Side of the patch").select("1/6")
    widget(app.selectbox, "Hidden parts show").select("Mean").run()
    assert_healthy(app)
    assert "Occlusion, 6 × 6 cells" in text_of(app)
    assert f"{working.run}-occlusion-{target}" in downloads(app)


def test_integrated_gradients_say_how_well_they_add_up(working, classifier, first_test_picture):
    address = {"dataset": working.dataset, "method": "Integrated gradients", "explain": "happy", "check": "false"}
    happy = list(classifier.class_names).index("happy")
    for steps, kind in ((64, "caption"), (1, "warning")):
        raw = saliency.explain(classifier, first_test_picture[None], happy, "integrated_gradients", steps=steps).raw
        (gap,) = np.abs(gradients.completeness_gap(classifier, first_test_picture[None], happy, raw))
        assert (gap > 0.05) == (kind == "warning")
        app = open_page("saliency", address | ({} if steps == 64 else {"integrated-gradients-steps": str(steps)}))
        assert_healthy(app)
        assert not app.error
        (told,) = [one.value for one in app.get(kind) if one.value.startswith("Completeness")]
        assert f"off by {percent(gap)} of what it should be" in told
        assert "-probabilities" in downloads(app)


def test_checks_can_be_left_out_by_the_address(working):
    app = open_page("saliency", {"dataset": working.dataset, "check": "false"})
    assert_healthy(app)
    assert "Deletion" not in text_of(app)
    assert not [frame for frame in app.dataframe if "outcome" in frame.value]


@pytest.mark.parametrize("method", ["grad_cam", "gradient"])
def test_parts_of_the_face_are_those_of_the_library(working, classifier, first_test_picture, method):
    address = {"dataset": working.dataset, "method": saliency.METHODS[method].title, "check": "false"}
    app = open_page("saliency", address | {"explain": "happy", "outlines": "true"})
    assert_healthy(app)
    happy = list(classifier.class_names).index("happy")
    found = saliency.explain(classifier, first_test_picture[None], happy, method)
    values = found.uncapped
    assert np.array_equal(values, found.values) == (method == "grad_cam")  # gradients are capped for the eye alone
    points, _ = features.landmark_points(first_test_picture[None])
    owners = action_units.region_indices(points.astype(np.float64), values.shape[1:])
    score = dict(zip(action_units.SCORES, action_units.scores_in(values, owners, ["happy"])[0], strict=True))
    even = action_units.scores_in(np.ones_like(values), owners, ["happy"])[0]
    table = next(frame.value for frame in app.dataframe if "about" in frame.value)
    assert table["score"].tolist() == list(SCORE_TITLES.values())
    np.testing.assert_allclose(table[["map", "even"]], np.stack([list(score.values()), even], axis=1), atol=1e-6)
    assert "Agreement (CSV)" in [button.label for button in app.get("download_button")]
    assert f"**{percent(score['relevance_mass'])}** of the map lies where happy shows (action units 6 + 12)" in text_of(
        app
    )
    app = open_page("saliency", address | {"explain": "neutral"})
    assert_healthy(app)
    assert "neutral has no action units to compare with" in text_of(app) or "The map is empty" in text_of(app)


def test_a_picture_without_a_face_is_not_compared_with_facs(working):
    from fer_core.images import encode_png

    app = open_page("saliency", {"from": "Upload", "check": "false"})
    app.file_uploader[0].set_value(("blank.png", encode_png(np.full((300, 300), 90, np.uint8)), "image/png")).run()
    assert_healthy(app)
    assert ["No face was found" in warning.value for warning in app.warning] == [True]
    assert "there are no parts of a face to compare with FACS" in text_of(app)
    assert "Agreement (CSV)" not in [button.label for button in app.get("download_button")]


def test_parts_beyond_the_picture_and_classes_without_prototype_are_told_and_not_shown_as_numbers():
    from streamlit.testing.v1 import AppTest

    def page(expression, shape):
        import numpy as np

        from fer_core.regions import CANONICAL
        from pages.ui import saliency_trust

        saliency_trust.show_regions(np.ones(shape, np.float32), CANONICAL, expression, "stem")

    for expression, shape, told in (
        ("happy", (1, 1), "No pixel of the picture lies in the parts of the face where happy shows"),
        ("contempt", (48, 48), "contempt has no prototype here to compare with"),
        ("neutral", (48, 48), "neutral has no action units to compare with"),
    ):
        app = AppTest.from_function(page, args=(expression, shape), default_timeout=60).run()
        assert not app.exception
        assert told in text_of(app) and "nan" not in text_of(app)


COLOURS = {"✓": "green", "?": "orange", "✗": "red", "–": "gray"}


def in_cell(verdict):
    """What a verdict is in the table of all methods."""
    signs = {"passed": "✓", "undecided": "?", "failed": "✗", "not applicable": "–"}
    return f"{signs[verdict.outcome]} {verdict.outcome}" + (f": {verdict.value}" if verdict.value else "")


def checks_by_method(app):
    """Table of all methods: title -> check -> what is told."""
    table = next(frame.value for frame in app.dataframe if "method" in frame.value)
    return table.set_index("method").to_dict("index")


@pytest.mark.slow
def test_all_methods_side_by_side(working, classifier, first_test_picture):
    own = {"method": "Occlusion", "occlusion-patch": "1/4", "explain": "happy", "check-methods": "true"}
    app = open_page("saliency", {"dataset": working.dataset, "methods": "true"} | own)
    assert_healthy(app)
    assert not app.error
    shown = " ".join(captions(app))
    for method in saliency.METHODS.values():
        assert method.title in shown
    assert "Occlusion, 4 × 4, too coarse" in shown  # as in the map above
    assert "LIME, 7 × 7, fine enough" in shown
    coarse = min(saliency.default_layer(classifier).grid) < gradients.MIN_GRID
    assert f"Grad-CAM, 5 × 5, {'too coarse' if coarse else 'fine enough'}" in shown
    assert "default layer and options; Occlusion as above" in text_of(app)
    labels = [button.label for button in app.get("download_button")]
    assert labels.count("All maps (PNG)") == labels.count("All maps (CSV)") == labels.count("All checks (CSV)") == 1
    told = checks_by_method(app)
    assert list(told) == [method.title for method in saliency.METHODS.values()]
    above = next(frame.value for frame in app.dataframe if "outcome" in frame.value)
    assert told["Occlusion"] == {row.check: in_cell(row) for row in above.itertuples()}
    happy = list(classifier.class_names).index("happy")
    found = saliency.explain(classifier, first_test_picture[None], happy, "gradient")
    verdicts = faithfulness.verdicts(faithfulness.trust(classifier, first_test_picture, found, trainings=once()))
    assert told["Vanilla gradient"] == {one.name: in_cell(one) for one in verdicts}
    failed = ", ".join(check.lower() for check, cell in told["Occlusion"].items() if cell[0] == "✗")
    assert "grid" in failed and f":red[**Fails {failed}.**]" in [caption.value for caption in app.caption]


@pytest.mark.slow
def test_maps_are_checked_when_asked_for_once_and_each_on_its_own(with_hog, working, monkeypatch):
    asked = []
    for part, real in dict(faithfulness.PARTS).items():

        def counted(classifier, image, found, again, *, part=part, real=real, **which):
            if not which and not isinstance(classifier, check_pieces._Counter):  # which only estimates the time
                asked.append((found.method, part))
            return real(classifier, image, found, again, **which)

        monkeypatch.setitem(faithfulness.PARTS, part, counted)
    address = {"dataset": working.dataset, "models": with_hog, "explain": "happy", "methods": "true"}
    app = open_page("saliency", address)
    assert_healthy(app)
    above = next(frame.value for frame in app.dataframe if "outcome" in frame.value)
    assert {method for method, _ in asked} == {"occlusion"}
    assert not [frame for frame in app.dataframe if "method" in frame.value]
    widget(app.toggle, "Check every map").set_value(True).run()
    assert_healthy(app)
    told = checks_by_method(app)
    assert list(told) == ["Occlusion", "LIME", "Kernel SHAP"]
    assert told["Occlusion"] == {row.check: in_cell(row) for row in above.itertuples()}
    assert "similarity" in told["LIME"]["Randomisation"]
    signs = "".join(f":{COLOURS[told['LIME'][name][0]]}[{name[0]}{told['LIME'][name][0]}] " for name in told["LIME"])
    assert signs.strip() in [one.value for one in app.markdown]
    assert len(asked) == len(set(asked)) == 3 * len(faithfulness.PARTS)  # the map above was not checked again
    widget(app.slider, "Opacity").set_value(0.3).run()
    assert_healthy(app)
    assert checks_by_method(app) == told
    assert len(asked) == 3 * len(faithfulness.PARTS)

    real_trust = cache_explain.trust

    def trust(run_name, of, *more):
        if of.method == "lime":
            raise ModelError("No tiles left.")
        if of.method == "kernel_shap":
            raise ValueError("a bug")
        return real_trust(run_name, of, *more)

    monkeypatch.setattr(cache_explain, "trust", trust)
    app.run()
    assert checks_by_method(app) == {"Occlusion": told["Occlusion"]}
    assert "LIME was not checked: No tiles left." in text_of(app).replace("\\", "")
    assert [one.message for one in app.exception] == ["a bug"]
    assert {"All maps (CSV)", "All checks (CSV)"} <= {button.label for button in app.get("download_button")}


def test_model_without_network_is_offered_what_works_and_told_why(with_hog, working):
    app = open_page("saliency", {"dataset": working.dataset, "models": with_hog})
    assert_healthy(app)
    assert not app.error
    assert widget(app.multiselect, "Models").value == [with_hog]
    offered = [method.title for method in saliency.METHODS.values() if not method.needs_network]
    assert widget(app.selectbox, "Method").options == offered
    said = text_of(app)
    assert "Not offered: Grad-CAM" in said
    assert "need a neural network" in said
    assert "Randomisation similarity" in said or "Randomisation failed" in said
    assert "Class pictures" not in [expander.label for expander in app.expander]


@pytest.mark.slow
def test_checks_of_a_slow_model_say_how_long_and_wait_to_be_asked(with_hog, working, monkeypatch):
    address = {"dataset": working.dataset, "models": with_hog, "explain": "happy"}
    fast = open_page("saliency", address)
    expected = next(frame.value for frame in fast.dataframe if "outcome" in frame.value)
    assert "Check this map" not in [button.label for button in fast.button]
    st.cache_data.clear()
    monkeypatch.setattr(check_pieces, "seconds_per_query", lambda classifier, image: 0.15)
    app = open_page("saliency", address | {"methods": "true"})
    assert_healthy(app)
    assert not [frame for frame in app.dataframe if "outcome" in frame.value]
    (of_all,) = [caption.value for caption in app.caption if caption.value.startswith("To check every map")]
    (told,) = [caption.value for caption in app.caption if "what is done is kept" in caption.value]
    queries = int(re.search(r"as much as ([\d,]+) predictions", told)[1].replace(",", ""))
    assert queries > 882  # two curves of 21 maps in 21 steps, and maps of shifted pictures
    assert f"about {round(queries * 0.15 / 60)} min here" in told
    widget(app.button, "Check this map").click().run()
    assert_healthy(app)
    found = next(frame.value for frame in app.dataframe if "outcome" in frame.value)
    pd.testing.assert_frame_equal(found, expected)
    assert "Check this map" not in [button.label for button in app.button]
    assert (
        int(re.search(r"as much as ([\d,]+) predictions", of_all)[1].replace(",", "")) > 3 * queries
    )  # LIME and SHAP ask more
    widget(app.toggle, "Check every map").set_value(True).run()
    assert_healthy(app)
    assert checks_by_method(app)["Occlusion"] == {row.check: in_cell(row) for row in expected.itertuples()}


@pytest.mark.slow
def test_two_models_have_a_strip_each(with_hog, working):
    address = {"dataset": working.dataset, "models": f"{working.run},{with_hog}", "method": "Occlusion"}
    app = open_page("saliency", address)
    widget(app.multiselect, "Models").set_value([working.run, with_hog])
    app.run()
    assert_healthy(app)
    assert not app.error
    assert len([frame for frame in app.dataframe if "outcome" in frame.value]) == 2


def test_class_pictures_are_drawn_when_asked_for(working, monkeypatch):
    from fer_core.explain import activation

    monkeypatch.setattr(activation, "maximise", functools.partial(activation.maximise, steps=2))
    app = open_page("saliency", {"dataset": working.dataset, "check": "false"})
    before = len(captions(app))
    next(button for button in app.button if button.label.startswith("Draw them")).click()
    app.run()
    assert_healthy(app)
    drawn = captions(app)[before:]
    assert [caption.split(",")[0] for caption in drawn] == list(datasets.load(working.dataset).class_names)
    assert "Probabilities (CSV)" in [button.label for button in app.get("download_button")]


# Figures


def test_outlines_are_drawn_on_a_copy():
    picture = np.full((96, 96, 3), 128, np.uint8)
    drawn = charts.outlined(picture, regions.CANONICAL)
    assert (picture == 128).all()
    changed = (drawn != picture).any(axis=2)
    assert 0.05 < changed.mean() < 0.6
    corner = np.rint(regions.outlines(regions.CANONICAL)["mouth"][0][0] * 96).astype(int)
    assert changed[corner[1], corner[0]]


def test_curves_and_bars_show_every_number():
    share = np.linspace(0, 1, 3)
    columns = {"share": share, "map": [1, 0.5, 0], "random": [1, 0.8, 0], "low": [1, 0.7, 0], "high": [1, 0.9, 0]}
    frame = pd.concat([pd.DataFrame({"curve": name, **columns}) for name in ("deletion", "insertion")])
    figure = charts.pixel_curves(frame)
    assert [trace.name for trace in figure.data] == 2 * [None, "range of random maps", "random maps, mean", "this map"]
    assert list(figure.data[3].y) == [1, 0.5, 0]
    assert sum(bool(trace.showlegend) for trace in figure.data) == 3
    table = pd.DataFrame({"region": regions.PLACES, "share": 1 / 9, "even": 0.1, "prototype": 8 * [0.125] + [np.nan]})
    bars = charts.region_bars(table)
    assert [trace.name for trace in bars.data] == ["this map", "FACS prototype", "an even map"]
    assert list(bars.data[0].y)[-1] == "Elsewhere"
    without = charts.region_bars(table.assign(prototype=np.nan))
    assert [trace.name for trace in without.data] == ["this map", "an even map"]
