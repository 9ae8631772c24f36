"""Facts and splits, against what was counted by hand and what is known of the real FER2013."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_core import datasets
from fer_core.datasets import splitting, summary
from fer_core.errors import DatasetError
from fer_core.labels import CLASS_NAMES
from tests import dataset_forms as forms

PROJECT = Path(__file__).resolve().parent.parent
TOOL = PROJECT.parent / "shared" / "tools" / "fer2013.py"
COMMITTED = PROJECT / "artifacts" / "datasets" / "fer2013.json"
ANGRY, DISGUST, FEAR, HAPPY, SAD, SURPRISE, NEUTRAL = range(7)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))


def _picture(tone: int) -> np.ndarray:
    """A picture that differs from others by its tone; tones of 100 and more are constant."""
    image = np.full((48, 48), tone, np.uint8)
    if tone < 100:
        image[0, 0] = 255
    return image


@pytest.fixture
def counted(tmp_path):
    """Ten pictures. A: copies in train, train, val. B: train as happy and sad. C: val and test. D, E, F: single."""
    rows = [
        ("Training", HAPPY, 1),  # 0 A
        ("Training", HAPPY, 1),  # 1 A
        ("Training", HAPPY, 2),  # 2 B
        ("Training", SAD, 2),  # 3 B under another label
        ("Training", FEAR, 200),  # 4 D, constant
        ("PublicTest", HAPPY, 1),  # 5 A
        ("PublicTest", SAD, 3),  # 6 C
        ("PrivateTest", SAD, 3),  # 7 C
        ("PrivateTest", SAD, 4),  # 8 E
        ("PrivateTest", FEAR, 201),  # 9 F, constant
    ]
    lines = [forms.Row(at, usage, label, _picture(tone)).csv() for at, (usage, label, tone) in enumerate(rows)]
    datasets.add(forms.write_csv(tmp_path / "counted.csv", lines))
    return datasets.facts("counted")


def test_counts(counted):
    assert counted["totals"] == {"train": 5, "val": 2, "test": 3}
    assert counted["n"] == 10
    assert counted["counts"]["train"] == {**dict.fromkeys(CLASS_NAMES, 0), "happy": 3, "sad": 1, "fear": 1}
    assert counted["imbalance_ratio"] == dict.fromkeys(("train", "val", "test", "all"))  # no angry picture at all
    assert counted["image_shape"] == [48, 48]


def test_copies_and_leaks(counted):
    assert counted["duplicates"] == {
        "distinct": 6,
        "groups": 3,
        "extra_copies": 4,
        "largest_group": 3,
        "conflicting_groups": 1,
        "conflicting_pictures": 2,
        "conflicts": {"happy / sad": 1},
        "across": {"train": {"val": 2, "test": 0}, "val": {"train": 1, "test": 1}, "test": {"train": 0, "val": 1}},
    }
    assert counted["test_not_clean"] == ["PrivateTest_00007"]
    assert counted["test_clean"] == 2
    assert counted["constant"] == {"train": ["Training_00004"], "val": [], "test": ["PrivateTest_00009"]}


def test_mean_faces_are_of_the_train_split_and_survive_json(counted):
    faces = counted["mean_faces"]
    assert set(faces) == {"happy", "sad", "fear"}
    assert faces["happy"].shape == (48, 48)
    assert faces["happy"][0, 0] == 255
    assert faces["happy"][1, 1] == 1  # mean of 1, 1 and 2
    assert (faces["fear"] == 200).all()
    record = json.loads(json.dumps(summary.to_record(counted)))
    assert np.array_equal(summary.from_record(record, "here")["mean_faces"]["happy"], faces["happy"])


def test_imbalance_ratio_is_largest_over_smallest(tmp_path):
    rows = forms.rows(per_class=1)
    extra = [row._replace(image=row.image ^ 1) for row in rows if row.label == HAPPY]
    datasets.add(forms.write_csv(tmp_path / "a.csv", [row.csv() for row in rows + extra]))
    assert datasets.facts("a")["imbalance_ratio"] == {"train": 2.0, "val": 2.0, "test": 2.0, "all": 2.0}


def test_adding_tells_the_artifacts_once_and_never_overwrites_what_they_know(tmp_path):
    rows = forms.rows()
    datasets.add(forms.write_csv(tmp_path / "a.csv", [row.csv() for row in rows]))
    told = tmp_path / "artifacts" / "datasets" / "a.json"
    before = told.read_text()
    assert json.loads(before)["fingerprint"] == datasets.load("a").fingerprint

    datasets.remove("a")
    assert datasets.facts("a")["totals"] == {"train": 14, "val": 14, "test": 14}  # known without the pictures
    report = datasets.add(forms.write_csv(tmp_path / "b.csv", [row.csv() for row in rows[:-1]]), name="a")
    assert told.read_text() == before
    assert any("other pictures a" in note for note in report.notes)
    assert datasets.facts("a")["totals"]["test"] == 13  # those that are here


def test_damaged_facts_are_an_error(tmp_path):
    folder = tmp_path / "artifacts" / "datasets"
    folder.mkdir(parents=True)
    for content in ("{", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 1, "mean_faces": {"sad": "@"}}'):
        (folder / "bad.json").write_text(content)
        with pytest.raises(DatasetError):
            datasets.facts("bad")
    with pytest.raises(DatasetError, match="Nothing is known"):
        datasets.facts("nowhere")


def _digests(n: int) -> np.ndarray:
    return datasets.picture_digests(np.arange(n, dtype=np.uint32).view(np.uint8).reshape(n, 2, 2))


@pytest.mark.parametrize(
    ("present", "shares"),
    [
        ({None: 1000}, {"train": 800, "val": 100, "test": 100}),
        ({"train": 1000}, {"train": 800, "val": 100, "test": 100}),
        ({"train": 800, "val": 200}, {"train": 800, "val": 100, "test": 100}),
        ({"train": 900, "test": 100}, {"train": 810, "val": 90, "test": 100}),
        ({"train": 800, "val": 100, "test": 100}, {"train": 800, "val": 100, "test": 100}),
        ({"test": 1000}, {"test": 1000}),
    ],
)
def test_lacking_splits_are_made_by_class(present, shares):
    given = np.repeat(np.array(list(present), dtype=object), list(present.values()))
    labels = np.arange(1000) % 5
    digests = _digests(1000)
    made, notes = splitting.complete(given.tolist(), labels, digests)

    for split, n in shares.items():
        assert np.bincount(labels[made == split]).tolist() == [n // 5] * 5
    assert bool(notes) == (set(present) != {"train", "val", "test"})
    # What the source calls train or test is never evaluated on, or trained on.
    assert not (made[given == "test"] != "test").any()
    if "val" in present:
        assert (made[given == "train"] == "train").all()


def test_made_splits_do_not_depend_on_order_and_keep_copies_together():
    labels = np.arange(300) % 3
    digests = _digests(300)
    digests[:150] = digests[150:]  # every picture twice, often under two labels
    made, _ = splitting.complete([None] * 300, labels, digests)
    assert (made[:150] == made[150:]).all()
    assert set(made) == {"train", "val", "test"}

    order = np.random.default_rng(0).permutation(300)
    again, _ = splitting.complete([None] * 300, labels[order], digests[order])
    assert (again == made[order]).all()
    other, _ = splitting.complete([None] * 300, labels, digests, seed=7)
    assert (other != made).any()


def test_small_classes_stand_in_every_split():
    made, _ = splitting.complete([None] * 12, np.repeat([0, 1, 2, 3], 3), _digests(12))
    for label in range(4):
        assert set(made[3 * label : 3 * label + 3]) == {"train", "val", "test"}


def test_committed_facts_agree_with_what_is_known_of_fer2013():
    record = summary.from_record(json.loads(COMMITTED.read_text()), "fer2013.json")
    copies = record["duplicates"]
    assert record["totals"] == {"train": 28709, "val": 3589, "test": 3589}
    assert list(record["counts"]["train"].values()) == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert list(record["counts"]["val"].values()) == [467, 56, 496, 895, 653, 415, 607]
    assert list(record["counts"]["test"].values()) == [491, 55, 528, 879, 594, 416, 626]
    assert (copies["distinct"], copies["extra_copies"], copies["groups"]) == (34036, 1851, 1514)
    assert (copies["largest_group"], copies["conflicting_groups"]) == (12, 57)
    assert copies["across"]["test"] == {"train": 288, "val": 44}
    assert copies["across"]["val"]["train"] == 280
    assert record["test_clean"] == 3275 == 3589 - len(record["test_not_clean"])
    assert {split: len(ids) for split, ids in record["constant"].items()} == {"train": 11, "val": 1, "test": 0}
    assert set(record["mean_faces"]) == set(CLASS_NAMES)


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.skipif(not TOOL.exists(), reason="real FER2013 is not beside the checkout")
def test_real_pictures_come_out_the_same_from_csv_folders_and_zip(tmp_path):
    paths = {form: tmp_path / f"real.{form}" for form in ("csv", "zip", "folders")}
    options = [part for form, path in paths.items() for part in (f"--{form}", str(path))]
    subprocess.run([sys.executable, str(TOOL), "--limit", "10", *options], check=True)
    reports = {form: datasets.add(path, name=form) for form, path in paths.items()}
    assert len({report.fingerprint for report in reports.values()}) == 1
    assert all(not report.left_out for report in reports.values())
    assert set(reports["csv"].counts["train"].values()) == {10}
    # Ids of the folders are rows of the whole file, those of the cut CSV its own.
    assert np.array_equal(datasets.load("csv")["test"].images, datasets.load("zip")["test"].images)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.skipif(not TOOL.exists(), reason="real FER2013 is not beside the checkout")
@pytest.mark.parametrize("form", ["csv", "zip"])
def test_the_whole_of_fer2013_gives_the_committed_facts(form, tmp_path):
    path = tmp_path / f"real.{form}"
    subprocess.run([sys.executable, str(TOOL), f"--{form}", str(path)], check=True)
    report = datasets.add(path)
    assert report.name == "fer2013"  # recognised by its fingerprint
    committed = json.loads(COMMITTED.read_text())
    found = summary.to_record(datasets.facts("fer2013"))
    assert {**found, "format": ""} == {**committed, "format": ""}
