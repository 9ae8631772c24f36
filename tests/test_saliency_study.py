"""The saliency study on readers whose only source is known: shares, scores, means, storage and disagreement."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets, metrics, regions
from fer_core.__main__ import app
from fer_core.datasets.split import Dataset, Split
from fer_core.errors import RunError
from fer_core.explain import action_units, saliency_study, studies
from fer_core.explain import saliency_numbers as numbers
from fer_core.explain import saliency_sentences as sentences
from fer_core.explain.gradients import cam_layers
from fer_core.models import features, registry
from fer_core.wording import percent
from tests.mask_readers import store_run

NAMES = ("happy", "surprise", "neutral")
N = 60


class Reader:
    """Says happy, the brighter one region of the face is; the remainder is split evenly."""

    class_names = NAMES

    def __init__(self, region="mouth"):
        self.region, self.asked = region, 0

    def predict_proba(self, images):
        self.asked += len(images)
        mask = regions.region_masks(regions.CANONICAL, images.shape[1:3])[self.region]
        light = images[:, mask].reshape(len(images), -1).mean(axis=1) / 255
        return np.column_stack([light, (1 - light) / 2, (1 - light) / 2]).astype(np.float32)


def pictures():
    """Grey faces; happy ones have all regions bright, so that hiding any but the one that is read changes nothing."""
    rng = np.random.default_rng(0)
    images = rng.integers(20, 60, (N, 48, 48), dtype=np.uint8)
    y_true = np.arange(N) % 3
    face = regions.region_index(regions.CANONICAL, (48, 48)) >= 0
    images[(y_true == 0)[:, None, None] & face] += 180
    return Split(np.array([f"p{index}" for index in range(N)]), images, y_true, NAMES, "abc")


def points(n=N):
    return np.repeat(regions.CANONICAL[None], n, axis=0)


def explained(reader, tmp_path=None, positions=None, **settings):
    positions = np.arange(N) if positions is None else positions
    return saliency_study.explain_split(
        reader, pictures(), points(len(positions)), "occlusion", positions=positions, work=tmp_path, **settings
    )


def made(tmp_path, reader=None, run=None):
    arrays, about = explained(reader or Reader())
    run = run or store_run(tmp_path)
    about |= {"options": {}, "n_found": 12}
    return saliency_study.make_study(run, arrays, about, pictures(), "test", "occlusion")


@pytest.fixture
def study(tmp_path):
    return made(tmp_path)


def test_the_map_lies_where_the_reader_reads(study):
    shares = numbers.share_rows(study)
    happy = shares[shares["class"] == "happy"].set_index("region")
    assert happy["lift"].idxmax() == "mouth"
    assert happy.loc["mouth", "n"] == N / 3
    assert happy["share"].sum() == pytest.approx(1.0, abs=2e-3)
    assert happy.loc["mouth", "low"] <= happy.loc["mouth", "share"] <= happy.loc["mouth", "high"]
    strongest = np.unravel_index(np.nanargmax(study.means[0, 0]), study.means.shape[2:])
    assert regions.region_masks(regions.CANONICAL, (48, 48))["mouth"][strongest]


def test_scores_beat_an_even_map_and_say_so(study):
    scores = numbers.score_rows(study)
    happy = scores[scores["class"] == "happy"].set_index("score")
    assert happy.loc["relevance_mass", "lift_low"] > 0
    assert happy.loc["pointing_game", "value"] == 1
    np.testing.assert_allclose(happy["value"] - happy["even"], happy["lift"])
    assert set(scores["class"]) == {"all", "happy", "surprise"}  # neutral has no prototype
    told = " ".join(sentences.verdict(numbers.share_rows(study), scores, numbers.lifts(study)))
    assert "mouth gets most of the map" in told


def test_shares_and_scores_are_of_the_map_before_it_is_capped_for_the_eye():
    """The gradient of a linear network are its weights; a mean map shows the strongest hundredth of them alike."""
    keras = pytest.importorskip("keras")
    inputs = keras.Input((48, 48, 1))
    scores = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    network = keras.Model(inputs, scores)
    kernel = 1e-3 * np.random.default_rng(0).standard_normal((48 * 48, 3)) ** 5  # few of them are much the largest
    network.set_weights([kernel, np.zeros(3)])
    split, face = pictures(), points()
    found, _ = saliency_study.explain_split(
        registry.NetworkClassifier(network, NAMES), split, face, "gradient", positions=np.arange(N)
    )
    maps = np.abs(kernel).T.reshape(3, 48, 48)[split.y_true]
    maps = (maps / maps.max(axis=(1, 2), keepdims=True)).astype(np.float32)
    owners = action_units.region_indices(face, (48, 48))
    named = [NAMES[label] for label in split.y_true]
    np.testing.assert_allclose(found["shares"], action_units.shares_in(maps, owners), atol=1e-3)
    np.testing.assert_allclose(found["scores"], action_units.scores_in(maps, owners, named), atol=1e-3)


def test_the_interval_of_a_lift_resamples_share_and_area_together(study):
    """Where each share is twice its area, there is nothing to be unsure of."""
    shares = study.areas.astype(float) * np.linspace(0.5, 1.5, N)[:, None]
    areas = study.areas.astype(float) * np.linspace(0.25, 0.75, N)[:, None]
    table = numbers.share_rows(dataclasses.replace(study, shares=shares, areas=areas), n_boot=50)
    assert table["high"].sub(table["low"]).gt(0.001).all()
    np.testing.assert_allclose(table[["lift", "lift_low", "lift_high"]], 2)


def test_intervals_are_those_of_the_bootstrap(study):
    of_class = study.y_true == 0
    n = int(of_class.sum())
    weights = metrics.resamples(n, 300, seed=0) / n
    shares, scores = (rows(study, n_boot=300) for rows in (numbers.share_rows, numbers.score_rows))
    gained = study.scores.astype(np.float64) - study.even_scores
    for table, values, ends in (
        (shares, study.shares.astype(np.float64), ("low", "high")),
        (scores, study.scores.astype(np.float64), ("low", "high")),
        (scores, gained, ("lift_low", "lift_high")),
    ):
        expected = np.percentile(values[of_class].T @ weights, [2.5, 97.5], axis=1).T
        np.testing.assert_allclose(table.loc[table["class"] == "happy", list(ends)], expected, atol=1e-12)


@pytest.mark.parametrize("only", ["all", "happy"])
def test_scores_of_one_class_are_those_among_all(study, only):
    table = numbers.score_rows(study, n_boot=100)
    expected = table[table["class"] == only].reset_index(drop=True)
    pd.testing.assert_frame_equal(numbers.score_rows(study, n_boot=100, only=only), expected)
    assert numbers.score_rows(study, n_boot=100, only="neutral").empty


def without(study, rows):
    """The study with empty maps in these rows."""
    scores = study.scores.copy()
    scores[rows] = np.nan
    return dataclasses.replace(study, scores=scores)


def test_models_that_stand_together_are_scored_on_the_pictures_that_all_have_a_map_of(study):
    """One lacks the maps on which both are bad, which made it look better."""
    bad = study.scores.copy()
    bad[:6] = 0
    both = dataclasses.replace(study, scores=bad)
    gaps = without(both, slice(0, 6))
    ids = numbers.scored_by_all([both, gaps])
    assert sorted(ids) == sorted(f"p{at}" for at in range(6, N) if at % 3 < 2)  # neutral has no prototype
    assert [len(numbers.scored(one)) for one in (both, gaps)] == [40, 36]
    assert len(numbers.scored(gaps, only="happy")) == 18
    alone, together = (
        [numbers.score_rows(one, n_boot=50, among=among) for one in (both, gaps)] for among in (None, ids)
    )
    assert (alone[0]["value"] < alone[1]["value"]).all()
    pd.testing.assert_frame_equal(*together)
    assert together[0]["n"].unique().tolist() == [36, 18]
    wrong = dataclasses.replace(gaps, y_pred=np.where(np.arange(N) < 9, 2, study.y_true))
    assert len(numbers.scored_by_all([both, wrong], numbers.RIGHT)) == 34


def test_a_study_of_empty_maps_takes_no_picture_from_the_others(study):
    """What a model that always says the same leaves by occlusion."""
    silent = without(study, slice(None))
    assert numbers.speaks(study) and not numbers.speaks(silent)
    assert set(numbers.scored_by_all([study, silent])) == set(numbers.scored(study))
    assert numbers.scored_by_all([silent, silent]).tolist() == []
    assert set(numbers.score_rows(silent, n_boot=10, among=numbers.scored(study))["n"]) == {0}


def test_methods_stand_side_by_side(study):
    rows = numbers.score_rows(study, n_boot=50, only="happy")
    none = numbers.score_rows(without(study, slice(None)), n_boot=50, only="happy")
    table = numbers.method_rows({("a", "Occlusion"): rows, ("b", "LIME"): rows, ("c", "LIME"): none}, "cosine")
    cosine = rows.set_index("score").loc["cosine"]
    assert table[["run", "method", "n"]].values.tolist() == [["a", "Occlusion", 20], ["b", "LIME", 20]]
    assert table["value"].tolist() == [cosine["value"]] * 2
    grid = sentences.method_grid(table)
    said = f"{percent(cosine['value'])} [{percent(cosine['low'])}, {percent(cosine['high'])}], n = 20"
    assert (grid.columns.tolist(), grid.index.tolist()) == (["Occlusion", "LIME"], ["a", "b"])
    assert grid.values.tolist() == [[said, ""], ["", said]]
    assert numbers.method_rows({("c", "LIME"): none}, "cosine").empty


def test_only_rightly_recognised_pictures_count_where_asked(study):
    wrong = dataclasses.replace(study, y_pred=np.where(np.arange(N) < 6, 2, study.y_true))
    counted = numbers.share_rows(wrong, numbers.RIGHT)
    assert counted.groupby("class")["n"].first().to_dict() == {"happy": 18, "surprise": 18, "neutral": 20}


def test_maps_without_evidence_are_counted_and_left_out(study):
    shares = study.shares.copy()
    shares[:3] = float("nan")  # the first picture of each class
    gaps = dataclasses.replace(study, shares=shares)
    assert numbers.empty_maps(gaps) == pytest.approx(dict.fromkeys(NAMES, 3 / N))
    assert set(numbers.empty_maps(study).values()) == {0.0}
    assert set(numbers.share_rows(gaps)["n"]) == {N // 3 - 1}


def test_means_add_up_and_follow_what_is_right(study):
    totals = study.means[0].sum(axis=(1, 2))
    assert totals[0] == pytest.approx(1.0, abs=0.02)
    arrays, _ = explained(Reader())
    assert arrays["means"].shape == (2, 3, 48, 48)
    dark = np.isnan(arrays["means"][1]).all(axis=(1, 2))
    assert not dark[0]  # happy is recognised
    assert dark[2]  # neutral never wins against surprise, which ties with it


def test_mean_maps_as_a_table_leave_out_classes_without_one(study):
    table = numbers.mean_rows(study)
    assert table["class"].unique().tolist() == list(NAMES)
    surprise = table[table["class"] == "surprise"].set_index(["row", "column"])["value"]
    assert surprise[20, 7] == pytest.approx(study.means[0, 1, 20, 7])
    assert len(surprise) == 48 * 48
    right = numbers.mean_rows(study, numbers.RIGHT)
    assert right["class"].unique().tolist() == ["happy", "surprise"]  # neutral is never recognised
    happy = right[right["class"] == "happy"]["value"].to_numpy().reshape(48, 48)
    np.testing.assert_allclose(happy, study.means[1, 0])
    assert not len(numbers.mean_rows(dataclasses.replace(study, means=np.full((2, 3, 48, 48), np.nan))))


def test_stored_and_read_again_it_is_the_same(study, tmp_path):
    path = saliency_study.write_study(study, tmp_path)
    again = saliency_study.read_study(path)
    assert again.record == study.record
    for name in saliency_study.ARRAYS[1:]:
        stored, own = getattr(again, name), getattr(study, name)
        if name == "means":
            np.testing.assert_allclose(stored, own, rtol=1e-3)
        else:
            np.testing.assert_array_equal(stored, own)
    (record,), problems = saliency_study.KIND.list_records(tmp_path)
    assert (record["name"], problems) == (study.name, [])


def test_a_killed_study_goes_on_where_it_was(tmp_path):
    whole = Reader()
    arrays, about = explained(whole, tmp_path)
    resumed = Reader()
    again, about_again = explained(resumed, tmp_path)
    assert resumed.asked == 0 < whole.asked
    np.testing.assert_array_equal(arrays["shares"], again["shares"])
    assert about == about_again


def test_a_study_of_other_weights_or_no_run_is_left_out_with_a_remedy(study, tmp_path):
    saliency_study.write_study(study, tmp_path)
    run = artifacts.find_run(study.record["run"], tmp_path)
    assert saliency_study.KIND.stale(study.record, run) == ""
    assert "other weights" in saliency_study.KIND.stale(study.record | {"weights_sha256": "0"}, run)
    assert "Remove the study" in saliency_study.KIND.stale(study.record, None)


def test_the_command_that_does_it_again_names_what_the_study_was_made_with(study, tmp_path):
    run = artifacts.find_run(study.record["run"], tmp_path)
    for used, expected in (
        ({}, ""),
        ({"n_split": 99}, f" --pictures {N}"),
        ({"method": "grad_cam", "layer": "conv_3"}, " --layer conv_3"),
        ({"method": "grad_cam", "layer": "conv_3", "model": "ensemble"}, " --layer conv_3"),
        ({"method": "grad_cam", "layer": "conv_3, conv_5", "model": "ensemble"}, ""),
        ({"method": "grad_cam", "layer": "conv_3", "n_split": 99}, f" --layer conv_3 --pictures {N}"),
        ({"options": {"patch": 0.25, "fill": "zero"}}, " --option patch=0.25 --option fill=zero"),
    ):
        record = study.record | {"weights_sha256": "0"} | used
        told = saliency_study.KIND.stale(record, run)
        again = f"study saliency {run.name} --split test --method {record['method']}{expected}"
        assert told.endswith(again), told
        assert CliRunner().invoke(app, [*again.split(), "--help"]).exit_code == 0


def test_a_damaged_file_is_named(study, tmp_path):
    path = saliency_study.write_study(study, tmp_path)
    (path / "maps.npz").write_bytes((path / "maps.npz").read_bytes()[:200])
    with pytest.raises(RunError, match=r"maps\.npz is damaged"):
        saliency_study.read_study(path)
    (path / "maps.npz").unlink()
    _, (problem,) = saliency_study.KIND.list_records(tmp_path)
    assert "maps.npz is missing" in problem


def test_the_study_that_leaves_out_most_pictures_is_found(tmp_path):
    run = store_run(tmp_path)
    whole = made(tmp_path, run=run)  # happy and surprise have a prototype: 40 of 60 pictures

    def part(kept):
        scores = np.where(np.isin(np.arange(N), kept)[:, None], whole.scores, np.nan)
        return dataclasses.replace(whole, scores=scores)

    happy, surprise = np.arange(0, N, 3), np.arange(1, N, 3)
    studies = {"all": whole, "few": part(happy[:4]), "happy": part(happy), "silent": part([])}
    rows = numbers.shared_rows(studies).set_index("study")
    assert rows["own"].to_dict() == {"few": 4, "happy": 20, "all": 40}  # the one that leaves out most comes first
    assert rows["without"].to_dict() == {"few": 20, "happy": 4, "all": 4}
    assert set(rows["shared"]) == {4} == {len(numbers.scored_by_all(studies.values()))}
    assert numbers.shared_rows({"all": whole, "other": part(surprise)}, only="happy")["shared"].tolist() == [0, 0]
    assert numbers.shared_rows({"silent": part([])}).empty


def test_two_readers_of_one_place_agree_and_of_two_places_do_not(tmp_path):
    run = store_run(tmp_path)
    mouth, again, brows = (made(tmp_path, Reader(region), run) for region in ("mouth", "mouth", "brows"))
    alike, other = numbers.disagreement(mouth, again), numbers.disagreement(mouth, brows)
    told = sentences.disagreement_words(numbers.Disagreement(alike.pictures, 0.6012, 0.59, 0.611, 0.58))
    assert told[0].endswith("their maps are 60.1 % alike [59.0 %, 61.1 %].")
    assert "are already 58.0 % alike: only the 2.1 points above that come from the picture itself" in told[1]
    told = sentences.disagreement_words(numbers.Disagreement(alike.pictures, 0.6, 0.59, 0.61, 0.62))
    assert "62.0 % alike: nothing above that comes from the picture itself" in told[1]
    assert alike.mean == pytest.approx(1.0)
    assert other.mean < 0.5
    assert other.low <= other.mean <= other.high
    assert (other.pictures["class"] == "happy").any()
    assert other.pictures["similarity"].is_monotonic_increasing


def test_pictures_that_both_take_for_the_same_wrong_expression_can_be_asked_for(tmp_path):
    run = store_run(tmp_path)
    one, other = (made(tmp_path, Reader(region), run) for region in ("mouth", "brows"))
    one = dataclasses.replace(one, y_pred=np.where(np.arange(N) == 0, 1, one.y_true))
    other = dataclasses.replace(other, y_pred=np.where(np.arange(N) == 0, 1, other.y_true))
    odd = dataclasses.replace(other, y_pred=np.where(np.arange(N) == 0, 2, other.y_true))
    right, every = (numbers.disagreement(one, other, which) for which in (numbers.RIGHT, numbers.EVERY))
    wrong = every.pictures[every.pictures["class"] != every.pictures["predicted"]]
    assert wrong[["sample_id", "class", "predicted"]].values.tolist() == [["p0", "happy", "surprise"]]
    assert len(every.pictures) == len(right.pictures) + 1 and "p0" not in set(right.pictures["sample_id"])
    assert "that both take for the same expression, their maps" in sentences.disagreement_words(every)[0]
    assert "p0" not in set(numbers.disagreement(one, odd, numbers.EVERY).pictures["sample_id"])


def test_a_picture_that_is_alone_in_its_class_is_not_compared_with_itself(tmp_path):
    run = store_run(tmp_path)
    one, other = (made(tmp_path, Reader(region), run) for region in ("mouth", "brows"))
    firsts = [int(np.flatnonzero(one.y_true == label)[0]) for label in range(len(NAMES))]
    rows = ("sample_ids", "y_true", "y_pred", "coarse", "probs")

    def of(study, places):
        return dataclasses.replace(study, **{name: getattr(study, name)[places] for name in rows})

    alone = numbers.disagreement(of(one, firsts), of(other, firsts), numbers.EVERY)
    assert np.isnan(alone.shuffled)
    assert len(sentences.disagreement_words(alone)) == 1
    happy = np.flatnonzero(one.y_true == 0)[:2].tolist()
    pair = numbers.disagreement(of(one, [*happy, *firsts[1:]]), of(other, [*happy, *firsts[1:]]), numbers.EVERY)
    two = numbers.disagreement(of(one, happy), of(other, happy), numbers.EVERY)
    assert pair.shuffled == pytest.approx(two.shuffled), "of the two that differ"


def test_studies_without_a_shared_picture_say_so(tmp_path):
    run = store_run(tmp_path)
    first, second = made(tmp_path, run=run), made(tmp_path, run=run)
    second = dataclasses.replace(second, sample_ids=np.array([f"q{index}" for index in range(N)]))
    with pytest.raises(RunError, match="share no picture"):
        numbers.disagreement(first, second)


def test_positions_are_spread_over_the_split():
    assert studies.spread(10, None).tolist() == list(range(10))
    assert studies.spread(10, 4).tolist() == [0, 2, 4, 8]
    assert studies.spread(3, 9).tolist() == [0, 1, 2]


@pytest.mark.parametrize("n", [7, 600, 3589])
def test_a_smaller_sample_is_part_of_a_larger_one_and_as_evenly_spread(n):
    sizes = sorted({size for size in (1, 5, 64, 100, 600, 1200, 2500, n) if size <= n})
    samples = [studies.spread(n, size) for size in sizes]
    for smaller, larger in itertools.pairwise(samples):
        assert set(smaller) < set(larger)
    labels = np.sort(np.arange(n) % 7)  # a dataset that lies in one folder per class
    for size, sample in zip(sizes, samples, strict=True):
        assert len(np.unique(sample)) == size
        assert np.abs(np.bincount(labels[sample], minlength=7) - size / 7).max() <= 4


def test_what_is_stored_of_slow_methods_is_what_is_taken_today():
    assert studies.spread(3589, 600).tolist() == np.unique(np.linspace(0, 3588, 600).astype(int)).tolist()


@pytest.mark.parametrize(("pools", "methods"), [((2, 8), {"grad_cam", "layer_cam"}), ((2,), {"grad_cam"})])
def test_networks_with_a_coarse_last_layer_are_studied_by_layer_cam_too(tmp_path, monkeypatch, pools, methods):
    keras = pytest.importorskip("keras")
    x = inputs = keras.Input((48, 48, 1))
    for pool in pools:
        x = keras.layers.Conv2D(2, 1, activation="relu")(keras.layers.AveragePooling2D(pool)(x))
    scores = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    classifier = registry.NetworkClassifier(keras.Model(inputs, scores), NAMES)
    prepared(tmp_path, monkeypatch, lambda run, tta="run": classifier)
    store_run(tmp_path, model="compact")
    result = CliRunner().invoke(app, ["study", "saliency", "--pictures", "6"])
    assert result.exit_code == 0, result.output
    assert {record["method"] for record in saliency_study.KIND.list_records()[0]} == methods
    assert ("fine enough" in result.stdout) == (len(methods) == 1)
    if len(methods) == 1:
        return
    (stored,) = (record for record in saliency_study.KIND.list_records()[0] if record["method"] == "layer_cam")
    asked = ["study", "saliency", "--method", "layer_cam", "--pictures", "6", "--layer"]
    assert "up to date" in CliRunner().invoke(app, [*asked, stored["layer"]]).stdout
    (other,) = {choice.name for choice in cam_layers(classifier)} - {stored["layer"]}
    assert "up to date" not in CliRunner().invoke(app, [*asked, other]).stdout
    (again,) = (record for record in saliency_study.KIND.list_records()[0] if record["method"] == "layer_cam")
    assert again["layer"] == other
    assert f"layer {other}" in CliRunner().invoke(app, asked[:-1]).stdout, "without a layer what is stored may stay"


def prepared(tmp_path, monkeypatch, load):
    """The pictures as a dataset, ``load`` in place of the stored classifier, landmarks that are found everywhere."""
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(datasets, "load", {"tiny": Dataset("tiny", {"test": pictures()}, "abc")}.__getitem__)
    monkeypatch.setattr(registry, "load_classifier", load)
    found = lambda images, *_: (points(len(images)), np.ones(len(images), bool))  # noqa: E731
    monkeypatch.setattr(features, "landmark_points", found)


@pytest.mark.parametrize("kind", ["saliency", "checks"])
def test_a_run_is_loaded_once_for_all_its_methods(kind, tmp_path, monkeypatch):
    loaded = []
    prepared(tmp_path, monkeypatch, lambda run, tta="run": loaded.append(run.name) or Reader())
    run = store_run(tmp_path)
    result = CliRunner().invoke(app, ["study", kind, "--method", "occlusion", "--method", "lime", "--pictures", "2"])
    assert result.exit_code == 0, result.output
    assert loaded == [run.name]
    assert sorted(path.name.split("-")[-1] for path in (tmp_path / "studies").iterdir()) == ["lime", "occlusion"]


def test_the_command_stores_a_study_and_does_nothing_twice(tmp_path, monkeypatch):
    loaded = []

    def load(run, tta="run"):
        loaded.append((Reader(), tta))
        return loaded[-1][0]

    prepared(tmp_path, monkeypatch, load)
    store_run(tmp_path)
    arguments = ["study", "saliency", "--method", "occlusion"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "mouth gets most of the map" in result.stdout
    assert loaded[0][1] == "none"
    (record,), problems = saliency_study.KIND.list_records(tmp_path)
    assert (record["n"], record["n_found"], problems) == (N, N, [])
    again = CliRunner().invoke(app, [*arguments, "--pictures", "3"])
    assert f"up to date ({N} of {N} pictures); --again does it again" in again.stdout
    assert len(loaded) == 1
    wide = [*arguments, "--option", "patch=0.25", "--option", "fill=mean"]
    result = CliRunner().invoke(app, wide)
    assert result.exit_code == 0, result.output
    (record,), problems = saliency_study.KIND.list_records(tmp_path)
    assert (record["options"], record["grid"], problems, len(loaded)) == ({"patch": 0.25}, [4, 4], [], 2)
    expected, _ = explained(Reader(), options={"patch": 0.25})
    stored = saliency_study.read_study(studies.studies_folder(tmp_path) / record["name"])
    np.testing.assert_array_equal(stored.shares, expected["shares"])
    for same in (wide, arguments):  # without options what is stored may stay
        assert f"({N} of {N} pictures, patch 0.25); --again" in CliRunner().invoke(app, same).stdout
    assert len(loaded) == 2
    result = CliRunner().invoke(app, [*arguments, "--option", "patch=0.2"])
    assert result.exit_code == 0 and len(loaded) == 3
    store_run(tmp_path, model="majority", date="2026-02-01")
    left_out = CliRunner().invoke(app, arguments)
    assert left_out.exit_code == 0 and "majority-s0-20260201 is left out: it says the same" in left_out.stdout
    assert len(loaded) == 3
    refused = CliRunner().invoke(app, [*arguments, "--option", "size=3"])
    assert refused.exit_code != 0 and len(loaded) == 3
