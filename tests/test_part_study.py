"""The study of parts on classifiers whose needs are known, its numbers worked out by hand, and its command."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets, masks, metrics, regions, resumable
from fer_core.charts import parts as charts
from fer_core.datasets.split import Dataset, Split
from fer_core.errors import ConfigError, RunError
from fer_core.explain import conditions, mask_numbers, mask_study, part_numbers, part_study
from fer_core.explain.part_study import SHAPES, PartStudy
from fer_core.explain.studies import studies_folder
from fer_core.models import features, registry
from fer_core.predictions import Predictions
from tests.mask_readers import CLASSES, SHADES, MouthReader, store_run
from tests.mask_readers import pictures as mask_pictures
from tests.mask_readers import study_of as mask_study_of

SIZE = (24, 24)
N = 12


def places(n=N):
    """Landmarks: every second face is smaller and lower."""
    points = np.repeat(regions.CANONICAL[None], n, axis=0)
    points[1::2] = 0.5 * points[1::2] + (0.25, 0.4)
    return points


class EyeReader:
    """The class is the shade, black, grey or bright, where either face has its eyes; hidden eyes read as angry."""

    class_names = CLASSES

    def __init__(self, fail_after=None):
        self.pictures, self.fail_after = 0, fail_after
        self.eyes = [regions.region_masks(own, SIZE)["eyes"] for own in places(2)]

    def predict_proba(self, images):
        if self.fail_after is not None and self.pictures >= self.fail_after:
            raise KeyboardInterrupt
        self.pictures += len(images)
        mean = np.max([images[:, eyes].mean(axis=1) for eyes in self.eyes], axis=0)
        return 0.05 + 0.85 * np.eye(3, dtype=np.float32)[np.abs(mean[:, None] - SHADES).argmin(axis=1)]


def pictures(n=N):
    """Black pictures whose eyes, and nothing else, have the shade of their class."""
    y_true = np.array([1 + i % 4 // 2 for i in range(n)], dtype=np.int64)
    images = np.zeros((n, *SIZE), np.uint8)
    for image, label, own in zip(images, y_true, places(n), strict=True):
        image[regions.region_masks(own, SIZE)["eyes"]] = SHADES[label]
    return Split(np.array([f"test_{i:03d}" for i in range(n)]), images, y_true, CLASSES, "abc")


def study_of(classifier, seeds=(0,), **changes):
    split = pictures()
    predictions, areas, _ = part_study.predict_conditions(classifier, split, places(), seeds=seeds)
    record = {"name": "parts-toy-test-zero", "run": "toy", "picture_size": list(SIZE), "shapes": list(SHAPES)}
    record |= {"control_seeds": list(seeds), "n": N}
    return PartStudy(record | changes, predictions, areas, np.ones(N, bool))


def test_reader_of_the_eyes_loses_everything_under_what_covers_them_and_nothing_else():
    numbers = part_numbers.numbers(study_of(EyeReader()), n_boot=50)
    found = numbers.table
    over_all = found[found["class"] == "all"].set_index("shape")
    assert over_all.loc["eyes", ["recall", "drop", "drop_low", "drop_high", "flip_rate"]].tolist() == [0, 1, 1, 1, 1]
    for shape in ("nose", "mouth", "chin", "cheeks", "face_mask"):
        assert over_all.loc[shape, ["recall", "drop", "flip_rate", "p_shift"]].tolist() == [1, 0, 0, 0], shape
    assert over_all.loc["eyes", "p_shift"] == pytest.approx(-0.85, abs=1e-3)
    assert over_all.loc["eyes", "ece"] == pytest.approx(0.9, abs=1e-3)  # sure and wrong
    assert over_all.loc["chin", "ece_change"] == 0
    per_class = found[found["shape"] == "eyes"].set_index("class")
    assert list(per_class.index) == ["all", "happy", "sad"]  # no picture is angry
    assert per_class["n"].to_dict() == {"all": 12, "happy": 6, "sad": 6}
    undecided, *_ = part_numbers.verdict(numbers)
    assert undecided.startswith("Which shape costs most accuracy is undecided: the eyes shape leads with 100.0 points")
    assert undecided.endswith("but by no more than chance over the sunglasses shape (0.0 [0.0, 0.0]).")


@pytest.mark.parametrize("word", ["moved", "control"])
def test_shapes_and_controls_have_each_pictures_own_area(word):
    points = places()
    areas = part_study.shape_areas(points, SIZE)
    assert areas.shape == (N, len(SHAPES))
    assert (areas[0] > 1.5 * areas[1]).all()
    for shape in SHAPES:
        hidden = part_study.condition_masks(f"part-{shape}", points, SIZE, np.arange(N))
        assert np.array_equal(hidden[3], regions.occluder_mask(shape, points[3], SIZE))
        assert hidden.sum(axis=(1, 2)).tolist() == areas[:, SHAPES.index(shape)].tolist()
        drawn = part_study.condition_masks(f"{word}-{shape}-7", points, SIZE, np.arange(N))
        assert drawn.sum(axis=(1, 2)).tolist() == hidden.sum(axis=(1, 2)).tolist()
        assert len({one.tobytes() for one in drawn[::2]}) > 1  # of the same shape and landmarks, by position
    some = part_study.condition_masks(f"{word}-nose-7", points[4:6], SIZE, np.array([4, 5]))
    whole = part_study.condition_masks(f"{word}-nose-7", points, SIZE, np.arange(N))
    assert np.array_equal(some, whole[4:6])
    assert not part_study.condition_masks("none", points, SIZE, np.arange(N)).any()
    with pytest.raises(ConfigError, match="part-hat"):
        part_study.condition_masks("part-hat", points, SIZE, np.arange(N))


def test_controls_of_new_studies_are_the_shape_moved_and_those_of_old_ones_rectangles():
    points, seed = places(), conditions.control_seed(7, 4)
    cheeks = regions.occluder_mask("cheeks", points[4], SIZE)
    moved, rectangle = (
        part_study.condition_masks(f"{word}-cheeks-7", points[4:5], SIZE, np.array([4]))[0]
        for word in ("moved", "control")
    )
    assert np.array_equal(moved, masks.moved_mask(cheeks, seed))
    assert np.array_equal(rectangle, masks.random_mask(int(cheeks.sum()), SIZE, seed))
    assert part_study.control_kind(part_study.condition_names([0])) == part_study.MOVED
    assert part_study.control_kind(["none", "part-eyes", "control-eyes-0"]) == part_study.RECTANGLE
    assert part_study.control_kind(part_study.condition_names([])) is None


def test_studies_are_made_anew_with_the_options_they_have():
    first = {"run": "a", "split": "val", "fill": "mean", "control_seeds": [0, 1], "tta": "flip"}
    second, third = first | {"run": "b"}, first | {"run": "c", "tta": "flip+none"}
    assert part_study.KIND.remake([first, third, second]) == [
        "python -m fer_core study parts a b --split val --fill mean --controls 2 --tta flip",
        "python -m fer_core study parts c --split val --fill mean --controls 2 --tta run",
    ]
    (command,) = part_study.KIND.remake([first | {"control_seeds": []}])  # one beside no random masks
    assert "--controls 1 " in command


def test_conditions_are_whole_shapes_and_a_control_per_shape_and_seed():
    names = part_study.condition_names((0, 3))
    assert len(names) == 1 + 8 + 16
    assert names[:2] == ["none", "part-forehead_brows"]
    assert names[-1] == "moved-face_mask-3"


def test_numbers_by_hand():
    """Six pictures; the eyes shape loses the second and wins the fourth, its control loses the first."""
    y_true = np.array([0, 0, 1, 1, 2, 2])
    says = {"none": [0, 0, 1, 2, 2, 0], "eyes": [0, 1, 1, 1, 2, 0], "control": [1, 0, 1, 2, 2, 0]}
    ids = [f"p{i}" for i in range(6)]
    found = {name: Predictions(ids, y_true, 0.1 + 0.7 * np.eye(3)[says[name]], CLASSES) for name in says}
    record = {"picture_size": [4, 4], "shapes": ["eyes"], "control_seeds": [0]}
    predictions = {"none": found["none"], "part-eyes": found["eyes"], "control-eyes-0": found["control"]}
    areas = np.array([[4], [4], [8], [8], [4], [4]])
    study = PartStudy(record, predictions, areas, np.ones(6, bool))
    numbers = part_numbers.numbers(study, n_boot=200)
    table = numbers.table
    rows = table.set_index("class")
    assert rows.loc["all", "area"] == pytest.approx(32 / 6 / 16)
    assert rows["recall"].tolist() == pytest.approx([4 / 6, 1 / 2, 1, 1 / 2])
    assert rows["drop"].tolist() == pytest.approx([0, 1 / 2, -1 / 2, 0])
    assert rows["flip_rate"].tolist() == pytest.approx([2 / 6, 1 / 2, 1 / 2, 0])
    assert rows["beyond"].tolist() == pytest.approx([-1 / 6, 0, -1 / 2, 0])
    assert rows["flip_beyond"].tolist() == pytest.approx([1 / 6, 0, 1 / 2, 0])
    assert rows["p_shift"].tolist() == pytest.approx([0, -0.35, 0.35, 0])
    assert rows["p_beyond"].tolist() == pytest.approx([0.7 / 6, 0, 0.35, 0], abs=1e-6)
    # p(happy) is 0.8 on three pictures, two of them happy, and 0.1 on the three others, none of them happy; whole it is
    # 0.8 on one, which is happy, and 0.1 on the five others, one of them happy
    masked, whole = (abs(2 - 3 * 0.8) + 3 * 0.1) / 6, (abs(1 - 0.8) + abs(1 - 5 * 0.1)) / 6
    assert rows.loc["happy", ["ece", "ece_change"]].tolist() == pytest.approx([masked, masked - whole], abs=1e-6)
    assert rows.loc["all", "ece"] == pytest.approx(metrics.ece(found["eyes"]))
    without = part_numbers.table(study, calibration=False, n_boot=200)
    assert without[["ece", "ece_change"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(part_numbers.with_calibration(without, study, n_boot=200), table)
    assert rows.loc["all", "drop_low"] < 0 < rows.loc["all", "drop_high"]
    assert part_numbers.verdict(numbers) == [
        "No shape costs accuracy beyond chance: this model does not need what they hide."
    ]


def test_a_perfectly_calibrated_model_has_no_calibration_error_in_any_class():
    """Of ten pictures with probabilities 0.7, 0.2 and 0.1, seven are of the first class, two of the next, one of the
    last: sixty of them, and sixty the other way round."""
    often, seldom = np.repeat([0, 1, 2], [42, 12, 6]), np.repeat([2, 1, 0], [42, 12, 6])
    probs = np.repeat([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], 60, axis=0)
    told = Predictions([f"p{i}" for i in range(120)], np.concatenate([often, seldom]), probs, CLASSES)
    record = {"picture_size": [4, 4], "shapes": ["eyes"], "control_seeds": []}
    study = PartStudy(record, {"none": told, "part-eyes": told}, np.full((120, 1), 4), np.ones(120, bool))
    table = part_numbers.table(study, n_boot=50).set_index("class")
    assert table["ece"].to_dict() == pytest.approx(dict.fromkeys(("all", *CLASSES), 0.0), abs=1e-7)
    assert table["ece_change"].abs().max() == 0
    shown = part_numbers.measure_rows(table.reset_index(), "ece").set_index("class")["n"]
    assert shown.to_dict() == dict.fromkeys(("all", *CLASSES), 120)
    assert table["n"].to_dict() == {"all": 120, "angry": 48, "happy": 24, "sad": 48}


def test_intervals_of_calibration_errors_are_not_shifted_by_the_resampling():
    """Right as often as it is sure: of 300 answers with 0.6 to 0.9, errors of resamples are larger than its own."""
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.6, 0.9, 300)
    probs = np.column_stack([sure, 1 - sure, np.zeros(300)])
    told = Predictions([f"p{i}" for i in range(300)], (rng.random(300) > sure).astype(int), probs, CLASSES)
    record = {"picture_size": [4, 4], "shapes": ["eyes"], "control_seeds": []}
    study = PartStudy(record, {"none": told, "part-eyes": told}, np.full((300, 1), 4), np.ones(300, bool))
    row = part_numbers.table(study, n_boot=400).set_index("class").loc["all"]
    value, drawn = metrics.ece(told), metrics.ece(told, metrics.resamples(300, 400))
    assert drawn.mean() > value + 0.01
    edges = np.clip(2 * value - np.percentile(drawn, [97.5, 2.5]), [0, value], [value, 1])
    assert row[["ece", "ece_low", "ece_high"]].tolist() == pytest.approx([value, *edges])
    assert row["ece_low"] < 0.02 < np.percentile(drawn, 2.5)
    assert row[["ece_change", "ece_change_low", "ece_change_high"]].tolist() == [0, 0, 0]


def test_a_study_of_rows_has_the_same_numbers():
    split = mask_pictures()  # happy and sad; what is hidden below reads as angry
    study = mask_study_of(MouthReader(), split)
    rows = part_numbers.table(study, n_boot=50).set_index(["shape", "class"])
    assert rows.index.get_level_values("shape").unique().tolist() == list(mask_study.REGIONS)
    assert rows.loc[("mouth", "all"), ["recall", "drop", "flip_rate", "area"]].tolist() == [0, 1, 1, 0.5]
    assert rows.loc[("mouth", "sad"), "p_shift"] == pytest.approx(-0.85, abs=1e-3)
    assert rows.loc[("mouth", "all"), "ece"] == pytest.approx(0.9, abs=1e-3)
    assert rows.loc[("eyes", "happy"), ["drop", "flip_rate", "p_shift", "ece_change"]].tolist() == [0, 0, 0, 0]
    numbers = mask_numbers.numbers(study, n_boot=50)
    by_mask, over_all = numbers.accuracy.set_index("mask"), rows.xs("all", level="class")
    for own, theirs in (("recall", "accuracy"), ("drop", "drop"), ("beyond", "beyond"), ("flip_rate", "flip_rate")):
        for end in ("", "_low", "_high"):
            same = by_mask.loc[list(mask_study.REGIONS), f"{theirs}{end}"]
            assert over_all[f"{own}{end}"].tolist() == pytest.approx(same.tolist()), (own, end)


def test_without_controls_nothing_is_said_of_them():
    found = part_numbers.numbers(study_of(EyeReader(), seeds=()), n_boot=20)
    assert found.table[["beyond", "flip_beyond", "p_beyond", "beyond_low"]].isna().all(axis=None)
    assert found.beyond_control is None and part_numbers.leaders(found) == ("undecided", None)
    assert not any("random masks" in line for line in part_numbers.verdict(found))


def counted_study(lost, random=None, n=100):
    """All of ``n`` pictures are recognised whole; each shape loses so many of them, its random masks so many."""
    y_true, ids = np.tile([1, 2], n // 2), [f"p{i}" for i in range(n)]

    def right(count):
        hit = np.random.default_rng(count).permutation(n) < count
        return Predictions(ids, y_true, 0.1 + 0.7 * np.eye(3)[np.where(hit, y_true, 0)], CLASSES)

    predictions = {"none": right(n)} | {f"part-{shape}": right(n - count) for shape, count in lost.items()}
    predictions |= {f"control-{shape}-0": right(n - count) for shape, count in (random or {}).items()}
    record = {"picture_size": [4, 4], "shapes": list(lost), "control_seeds": [0] if random else []}
    return PartStudy(record, predictions, np.full((n, len(lost)), 4), np.ones(n, bool))


@pytest.mark.parametrize(
    ("lost", "random", "first", "beyond", "leaders"),
    [
        (
            {"eyes": 60, "mouth": 20, "nose": 5}, {"eyes": 20, "mouth": 18, "nose": 2},
            "The eyes shape costs most accuracy: 60.0 points", "So it costs most by either count",
            ("eyes", "eyes"),
        ),
        (
            {"eyes": 60, "mouth": 20, "nose": 5}, {"eyes": 37, "mouth": 0, "nose": 2},
            "The eyes shape costs most accuracy: 60.0 points",
            "which shape costs most is undecided: the eyes shape leads with 23.0 points",
            ("eyes", "undecided"),
        ),
        (
            {"eyes": 42, "mouth": 40, "nose": 5}, {"eyes": 41, "mouth": 2, "nose": 3},
            "Which shape costs most accuracy is undecided: the eyes shape leads with 42.0 points",
            "So only one statement holds: the mouth shape costs most for its area",
            ("undecided", "mouth"),
        ),
        (
            {"eyes": 60, "mouth": 20, "nose": 5}, {"eyes": 70, "mouth": 30, "nose": 9},
            "The eyes shape costs most accuracy", "no shape costs more",
            ("eyes", "nothing"),
        ),
    ],
)  # fmt: skip
def test_a_shape_whose_lead_is_chance_is_not_named_the_costliest(lost, random, first, beyond, leaders):
    found = part_numbers.numbers(counted_study(lost, random))
    said = part_numbers.verdict(found)
    assert said[0].startswith(first)
    assert beyond in said[-1]
    assert part_numbers.leaders(found) == leaders
    assert ("over the mouth shape (" in said[0]) == (leaders[0] == "undecided")


def test_the_class_that_loses_most_is_named_only_where_that_is_more_than_chance():
    study = counted_study({"eyes": 60})
    assert any("which class loses most recall is undecided" in line for line in part_numbers.verdict(
        part_numbers.numbers(study)))  # fmt: skip
    whole, happy = study.predictions["none"], study.predictions["none"].y_true == 1
    probs = 0.1 + 0.7 * np.eye(3)[np.where(happy, 0, whole.y_true)]
    hidden = Predictions(whole.sample_ids, whole.y_true, probs, CLASSES)
    found = part_numbers.numbers(
        PartStudy(study.record, {"none": whole, "part-eyes": hidden}, study.areas, study.found)
    )
    line = "With the eyes shape hidden, the happy class loses most recall: 100.0 points [100.0, 100.0], 100.0 [100.0"
    assert part_numbers.verdict(found)[1].startswith(line)


def test_interrupted_study_goes_on_and_gives_the_same(tmp_path):
    split, expected = pictures(), EyeReader()
    whole, _, _ = part_study.predict_conditions(expected, split, places())
    with pytest.raises(KeyboardInterrupt):
        part_study.predict_conditions(EyeReader(fail_after=3 * N), split, places(), work=tmp_path / "work")
    reader = EyeReader()
    found, _, _ = part_study.predict_conditions(reader, split, places(), work=tmp_path / "work")
    assert reader.pictures == expected.pictures - 3 * N
    assert all(np.array_equal(whole[name].pred_probs, found[name].pred_probs) for name in whole)


def test_unfinished_work_beside_rectangles_is_not_taken_for_moved_controls(tmp_path):
    split, work = pictures(), tmp_path / "work"
    whole, _, _ = part_study.predict_conditions(EyeReader(), split, places())
    for name in part_study.condition_names((0,)):
        old = name.replace("moved-", "control-")
        probs = whole[name].pred_probs if old == name else np.full((N, 3), 1 / 3)
        resumable.write_part(work, old, {"pred_probs": probs, "seconds": np.float64(0)})
    reader = EyeReader()
    found, _, _ = part_study.predict_conditions(reader, split, places(), work=work)
    assert reader.pictures == len(SHAPES) * N
    assert all(np.array_equal(whole[name].pred_probs, found[name].pred_probs) for name in whole)


@pytest.mark.parametrize(
    ("settings", "words"), [({"fill": "grey"}, "Unknown fill"), ({"points": places(3)}, "12 pictu")]
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        part_study.predict_conditions(EyeReader(), pictures(), **({"points": places()} | settings))


# Stored


@pytest.fixture
def stored(tmp_path):
    run, split = store_run(tmp_path), pictures()
    predictions, areas, seconds = part_study.predict_conditions(EyeReader(), split, places())
    found = np.arange(N) > 2
    about = {"split": split, "split_name": "test", "fill": "zero", "tta": "none", "seeds": (0,), "seconds": seconds}
    study = part_study.make_study(run, predictions, areas, found, **about)
    return study, part_study.write_study(study, tmp_path), tmp_path


def test_what_is_written_is_read_again(stored):
    study, path, root = stored
    assert path.name == "parts-tiny-net-s0-20260131-test-zero"
    found = part_study.read_study(path)
    assert found.record == study.record
    assert found.record["n_found"] == 9
    assert np.array_equal(found.areas, study.areas) and np.array_equal(found.found, study.found)
    for name, own in study.predictions.items():
        assert np.array_equal(found.predictions[name].pred_probs, own.pred_probs), name
    assert [record["name"] for record in part_study.KIND.list_records(root)[0]] == [path.name]
    assert mask_study.KIND.list_records(root) == ([], [])  # the other kind of study leaves it alone


def test_a_study_made_beside_rectangles_is_read_with_its_numbers(stored):
    study, _, root = stored
    old = {name.replace("moved-", "control-"): own for name, own in study.predictions.items()}
    record = study.record | {"conditions": list(old)}
    path = part_study.write_study(PartStudy(record, old, study.areas, study.found), root)
    found = part_study.read_study(path)
    assert part_study.control_kind(study.record["conditions"]) == part_study.MOVED
    assert part_study.control_kind(found.record["conditions"]) == part_study.RECTANGLE
    assert [len(found.controls(shape)) for shape in SHAPES] == [1] * len(SHAPES)
    own, same = part_numbers.table(study, n_boot=20), part_numbers.table(found, n_boot=20)
    pd.testing.assert_frame_equal(own, same)


def test_stale_and_damaged_studies_are_said_and_left_out(stored):
    _, path, root = stored
    artifacts.update_run(artifacts.find_run("tiny", root), {"weights_sha256": "another"})
    records, (problem,) = part_study.KIND.list_records(root)
    assert records == [] and "study parts tiny-net" in problem
    (path / "predictions.npz").write_bytes(b"no archive")
    with pytest.raises(RunError, match="damaged"):
        part_study.read_study(path)
    (path / "study.json").write_text("{}")
    assert "schema_version" in part_study.KIND.list_records(root)[1][0]


def test_the_committed_mask_studies_stay_readable():
    records, problems = mask_study.KIND.list_records(artifacts.root())
    assert records and not [problem for problem in problems if "schema" in problem or "lacks" in problem]
    study = mask_study.read_study(studies_folder(artifacts.root()) / records[0]["name"])
    assert set(mask_study.REGIONS) < set(study.predictions)


# Figures


def test_heatmap_says_value_and_whether_it_is_chance():
    rows = [("Eyes", "all", 5, 0.2, 0.1, 0.3), ("Eyes", "happy", 3, 0.1, -0.1, 0.2), ("Chin", "all", 5, 0.0, 0.0, 0.0)]
    frame = pd.DataFrame(rows, columns=["shape", "class", "n", "value", "low", "high"])
    figure = charts.part_heatmap(frame, ("all", "happy"), signed=True)
    (cells,) = figure.data
    assert cells.x == ("all", "happy") and cells.y == ("Eyes", "Chin")
    assert [list(row) for row in cells.text] == [["+20", "(+10)"], ["(0)", ""]]
    assert (cells.zmin, cells.zmax) == (-20, 20)
    assert not cells.reversescale  # a fall is orange,
    assert charts.part_heatmap(frame, ("all", "happy"), signed=True, loss=True).data[0].reversescale  # and so is a loss
    rates = charts.part_heatmap(frame, ("all", "happy"), signed=False).data[0]
    assert list(rates.text[0]) == ["20", "10"] and rates.zmin == 0


def test_comparison_has_a_point_per_run_and_shape():
    rows = [(run, shape, 0.1, 0.0, 0.2) for run in "ab" for shape in ("Eyes", "Chin")]
    frame = pd.DataFrame(rows, columns=["run", "shape", "value", "low", "high"])
    figure = charts.part_points(frame, {"a": "#0072B2"}, "Recall lost")
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert list(figure.data[0].y) == ["Eyes", "Chin"]
    assert list(figure.data[0].x) == list(figure.data[0].error_x.array) == [10, 10]


# Command


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A stored run on a registered ``tiny`` whose faces lie at :func:`places`; gives a caller and what was loaded."""
    from fer_core.__main__ import app

    loaded = []
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(datasets, "load", {"tiny": Dataset("tiny", {"test": pictures()}, "abc")}.__getitem__)
    monkeypatch.setattr(registry, "load_classifier", lambda run, tta: loaded.append(EyeReader()) or loaded[-1])
    monkeypatch.setattr(features, "landmark_points", _found)
    store_run(tmp_path)
    return lambda *given: CliRunner().invoke(app, ["study", "parts", *given]), loaded


def _found(images, cache=None, on_progress=None):
    by_picture = {image.tobytes(): own for image, own in zip(pictures().images, places(), strict=True)}
    return np.array([by_picture[image.tobytes()] for image in images]), np.ones(len(images), bool)


def test_command_stores_the_study_and_says_what_it_found(command, tmp_path):
    call, loaded = command
    result = call()
    assert result.exit_code == 0, result.output
    assert "the eyes shape leads with 100.0 points" in result.stdout
    assert "landmarks found in 12" in result.stdout
    (record,), _ = part_study.KIND.list_records()
    assert record["control_seeds"] == [0] and record["n"] == N
    assert "is stored and up to date (views none, 1 random masks)" in call("--controls", "3").stdout
    assert len(loaded) == 1
    assert call("tiny", "--again", "--controls", "2").exit_code == 0
    assert part_study.KIND.list_records()[0][0]["control_seeds"] == [0, 1]
    assert not list((tmp_path / "data" / "work" / "studies").iterdir())


def test_a_limited_study_is_printed_and_not_stored(command, tmp_path):
    call, loaded = command
    result = call("--limit", "4")
    assert result.exit_code == 0, result.output
    assert "n = 4" in result.stdout and "nothing is stored" in result.stdout
    assert loaded[0].pictures == (1 + 2 * 8) * 4
    assert not (tmp_path / "studies").exists()
