"""CK+: both layouts, eight known classes, splits that keep a subject together, and the leaky split labelled as such."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets, faces, images, metrics
from fer_core.commands import data, evaluate
from fer_core.datasets import overview, subjects, synthetic
from fer_core.errors import DatasetError
from fer_core.labels import CLASS_NAMES, KNOWN_NAMES
from fer_core.predictions import Predictions
from tests import dataset_forms as forms
from tests.conftest import PROJECT
from tests.test_faces import ASTRONAUT

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "contempt")
LEAKS = "97-99 %"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))


@pytest.fixture(scope="module")
def sequences():
    return forms.ck_sequences()


@pytest.fixture
def folders(sequences, tmp_path):
    return forms.write_zip(tmp_path / "CK+48.zip", forms.ck_folders(sequences))


def meant(sequences) -> dict[str, tuple[str, np.ndarray]]:
    """Id -> class and pixels of the frames that are to be used."""
    return {
        sample_id: (forms.CK_PLUS_NAMES[sequence.code], frame)
        for sequence in sequences
        if sequence.code is not None
        for sample_id, frame in list(zip(sequence.ids(), sequence.frames, strict=True))[-3:]
    }


def split_of(dataset) -> dict[str, str]:
    return {sample_id: name for name, split in dataset.splits.items() for sample_id in split.sample_ids.tolist()}


@pytest.mark.parametrize("layout", ["folders", "official", "official in a zip"])
def test_every_layout_gives_the_last_three_frames_with_their_names(layout, sequences, tmp_path):
    members = forms.ck_folders(sequences) if layout == "folders" else forms.ck_official(sequences)
    path = forms.write_zip(tmp_path / "a.zip", members) if "zip" in layout else forms.write_folder(tmp_path, members)
    report = datasets.add(path)

    assert report.name == "ckplus"
    assert report.left_out == []
    loaded, wanted = datasets.load("ckplus"), meant(sequences)
    assert loaded.class_names == CLASSES
    assert split_of(loaded).keys() == wanted.keys()
    for split in loaded.splits.values():
        assert split.images.shape[1:] == (24, 24)
        for sample_id, image, label in zip(split.sample_ids.tolist(), split.images, split.y_true, strict=True):
            assert split.class_names[label] == wanted[sample_id][0]
            assert np.array_equal(image, wanted[sample_id][1])


def test_both_layouts_of_the_same_frames_are_one_dataset(sequences, folders, tmp_path):
    first = datasets.add(folders, name="a")
    second = datasets.add(forms.write_folder(tmp_path / "b", forms.ck_official(sequences)), name="b")
    assert first.fingerprint == second.fingerprint
    assert "The last 3 frames of each of the 60 labelled sequences were used." in second.notes
    assert "12 of 72 sequences have no label and were left out." in second.notes


def test_no_subject_stands_in_two_splits(folders):
    report = datasets.add(folders)
    seen: dict[str, set[str]] = {}
    for sample_id, split in split_of(datasets.load("ckplus")).items():
        seen.setdefault(sample_id[:4], set()).add(split)
    assert len(seen) == 12
    assert all(len(splits) == 1 for splits in seen.values())
    facts = datasets.facts("ckplus")
    assert facts["subjects"]["protocol"] == "subjects"
    assert facts["subjects"]["n"] == 12
    assert facts["subjects"]["shared"] == 0
    assert sum(facts["subjects"]["per_split"].values()) == 12
    assert any("by subject" in note and "none in two splits" in note for note in report.notes)
    assert not any(LEAKS in note for note in report.notes)


def test_the_split_by_frame_shares_subjects_and_says_what_that_means(folders):
    datasets.add(folders)
    report = datasets.add(folders, protocol="frames")
    assert report.name == "ckplus-frames"
    assert report.format.endswith("split by frame")
    assert report.fingerprint != datasets.load("ckplus").fingerprint
    loaded = datasets.load("ckplus-frames")
    seen: dict[str, set[str]] = {}
    sequences: dict[str, set[str]] = {}
    for sample_id, split in split_of(loaded).items():
        seen.setdefault(sample_id[:4], set()).add(split)
        sequences.setdefault(sample_id[:8], set()).add(split)
    shared = sum(len(splits) > 1 for splits in seen.values())
    assert datasets.facts("ckplus-frames")["subjects"]["shared"] == shared > 8
    assert sum(len(splits) > 1 for splits in sequences.values()) > 15
    (note,) = (note for note in report.notes if LEAKS in note)
    assert "frames of one sequence stand in several splits" in note
    assert f"{shared} of 12 subjects" in note
    total = np.bincount(np.concatenate([split.y_true for split in loaded.splits.values()]))
    for name, share in subjects.SHARES.items():
        assert np.abs(np.bincount(loaded[name].y_true, minlength=7) - share * total).max() <= 1
    assert datasets.load("ckplus").info["protocol"] == "subjects"
    assert loaded.info["protocol"] == "frames"


def test_contempt_survives_to_facts_tables_predictions_and_metrics(folders, tmp_path):
    datasets.add(folders)
    loaded, facts = datasets.load("ckplus"), datasets.facts("ckplus")
    assert facts["class_names"] == list(CLASSES)
    assert sum(of_split["contempt"] for of_split in facts["counts"].values()) == 24  # 8 sequences
    assert "neutral" not in facts["counts"]["train"]
    assert facts["mean_faces"].keys() == set(CLASSES)
    assert overview.balance_table(facts)["class"].tolist() == [*CLASSES, "all"]
    datasets.add(forms.write_csv(tmp_path / "seven.csv", [row.csv() for row in forms.rows()]))
    assert set(overview.shares([facts, datasets.facts("seven")])["class"]) == set(KNOWN_NAMES)

    test = loaded["test"]
    at = test.class_names.index("contempt")
    probs = np.full((len(test), 7), 0.05)
    probs[:, at] = 0.7  # everything is taken for contempt
    predictions = Predictions(test.sample_ids, test.y_true, probs, test.class_names)
    found = metrics.evaluate(predictions, n_boot=10)
    true = int((test.y_true == at).sum())
    assert true > 0
    assert found["per_class"]["contempt"]["recall"] == 1
    assert found["per_class"]["contempt"]["precision"] == pytest.approx(true / len(test))
    assert found["accuracy"] == pytest.approx(true / len(test))

    record = {"model": "always", "dataset": "ckplus", "dataset_fingerprint": loaded.fingerprint}
    path = artifacts.write_run(record, predictions={"test": predictions}, root=tmp_path / "artifacts")
    assert artifacts.read_run(path).class_names == CLASSES
    assert artifacts.read_run(path).predictions("test").class_names == CLASSES


def test_neutral_is_a_class_where_the_source_has_it(sequences, tmp_path):
    members = forms.ck_folders(sequences)
    members["CK+48/neutral/S999_001_00000001.png"] = forms.png(np.zeros((24, 24), np.uint8))
    datasets.add(forms.write_zip(tmp_path / "a.zip", members), name="folders")
    official = forms.ck_official(sequences)
    official["cohn-kanade-images/S999/001/S999_001_00000001.png"] = forms.png(np.zeros((24, 24), np.uint8))
    official["Emotion/S999/001/S999_001_00000001_emotion.txt"] = b"   0.0000000e+00\n"
    datasets.add(forms.write_zip(tmp_path / "b.zip", official), name="official")
    for name in ("folders", "official"):
        assert datasets.load(name).class_names == KNOWN_NAMES == (*CLASS_NAMES, "contempt")
        assert sum(of_split["neutral"] for of_split in datasets.facts(name)["counts"].values()) == 1


def test_split_folders_of_the_source_are_not_followed_and_it_is_said(sequences, folders, tmp_path):
    members = {
        f"{'train' if at % 2 else 'test'}/{name.removeprefix('CK+48/')}": content
        for at, (name, content) in enumerate(forms.ck_folders(sequences).items())
    }
    report = datasets.add(forms.write_folder(tmp_path / "a", members), name="a")
    assert report.fingerprint == datasets.add(folders, name="b").fingerprint
    assert any("split folders of the source were not followed" in note for note in report.notes)


BAD_LABELS = {b"": "''", b"8.0": "'8.0'", b"-1": "'-1'", b"1.5": "'1.5'", b"nan": "'nan'", b"happy": "'happy'"}


@pytest.mark.parametrize("content", BAD_LABELS)
def test_a_bad_label_file_costs_its_sequence_alone_and_is_named(content, sequences, tmp_path):
    members = forms.ck_official(sequences)
    name = "Emotion/S010/001/S010_001_00000005_emotion.txt"
    assert name in members
    report = datasets.add(forms.write_zip(tmp_path / "a.zip", members | {name: content}))
    assert report.left_out == [(f"{name} line 1", f"unknown label {BAD_LABELS[content]}; expected 0 to 7")]
    assert split_of(datasets.load("ckplus")).keys() == {
        sample_id for sample_id in meant(sequences) if not sample_id.startswith("S010_001")
    }


def test_other_oddities_of_the_official_layout_are_named(sequences, tmp_path):
    members = forms.ck_official(sequences)
    members["Emotion/S999/001/S999_001_00000005_emotion.txt"] = b"1.0"
    members["Emotion/S010/001/S010_001_00000006_emotion.txt"] = b"2.0"
    members["Emotion/S010/notes_emotion.txt"] = b"1.0"
    members["cohn-kanade-images/S010/002/S010_002_00000005.png"] = b"no picture"
    members["copy/S010_003_00000005.png"] = forms.png(sequences[0].frames[0])
    reasons = dict(datasets.add(forms.write_folder(tmp_path / "a", members)).left_out)
    nowhere = reasons.pop("Emotion/S999/001/S999_001_00000005_emotion.txt")
    assert nowhere == "there are no pictures of the sequence S999_001"
    assert "S010_001_00000005_emotion.txt labels" in reasons.pop("Emotion/S010/001/S010_001_00000006_emotion.txt")
    assert "tells no sequence" in reasons.pop("Emotion/S010/notes_emotion.txt")
    assert "cannot be read" in reasons.pop("cohn-kanade-images/S010/002/S010_002_00000005.png")
    assert "is S010_003_00000005 already" in reasons.pop("copy/S010_003_00000005.png")
    assert reasons == {}


def test_sequences_without_any_label_file_are_an_error_that_says_what_is_missing(sequences, tmp_path):
    frames = {name: content for name, content in forms.ck_official(sequences).items() if name.endswith(".png")}
    with pytest.raises(DatasetError, match="without their labels") as caught:
        datasets.add(forms.write_folder(tmp_path / "a", frames))
    assert "Emotion_labels.zip" in caught.value.remedy


def test_oddities_of_class_folders_are_named(sequences, tmp_path):
    members = forms.ck_folders(sequences)
    picture = forms.png(sequences[0].frames[0])
    odd = {
        "CK+48/happy/selfie.png": "its name tells no subject (S010_006_00000013)",
        "CK+48/boredom/S900_001_00000001.png": "unknown class 'boredom'",
    }
    report = datasets.add(forms.write_zip(tmp_path / "a.zip", members | dict.fromkeys(odd, picture)))
    assert dict(report.left_out) == odd


def test_a_few_frames_of_ckplus_among_others_do_not_make_it_ckplus(tmp_path):
    picture = forms.png(np.zeros((8, 8), np.uint8))
    names = ("happy/S010_006_00000013.png", "happy/1.png", "sad/2.png")
    report = datasets.add(forms.write_folder(tmp_path / "a", dict.fromkeys(names, picture)))
    assert report.format == "class folders"
    assert datasets.load("a").class_names == CLASS_NAMES


@pytest.mark.slow
def test_faces_are_cut_out_of_official_photographs_or_it_is_said_that_they_are_not(tmp_path):
    photo = images.to_grey(images.resize(images.decode(ASTRONAUT), (490, 490)))
    frame = np.zeros((490, 640), np.uint8)
    frame[:, 75:565] = photo
    sequence = forms.CkSequence("S010", 1, 5, [np.zeros_like(frame), frame])
    path = forms.write_zip(tmp_path / "a.zip", forms.ck_official([sequence]))

    whole = datasets.add(path, name="whole")
    assert datasets.facts("whole")["image_shape"] == [392, 512]
    (note,) = (note for note in whole.notes if "no face was cut out" in note)
    assert "data add PATH" in note

    result = CliRunner().invoke(data.app, ["add", str(path), "--name", "cut"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "S010_001_00000001.png: no face was found in it" in result.output
    assert datasets.facts("cut")["image_shape"] == [96, 96]
    expected = images.to_grey(faces.largest_face(np.repeat(frame[:, :, None], 3, axis=2)))
    assert np.array_equal(datasets.load("cut")["train"].images, [expected])
    CliRunner().invoke(data.app, ["add", str(path), "--name", "kept", "--whole"], catch_exceptions=False)
    assert datasets.load("kept").fingerprint == whole.fingerprint


def test_the_command_registers_both_protocols_and_shows_shared_subjects(folders):
    for arguments, name in (([], "ckplus"), (["--protocol", "frames"], "ckplus-frames")):
        result = CliRunner().invoke(data.app, ["add", str(folders), *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert f"Registered as {name} in" in result.output
        assert (LEAKS in result.output) == bool(arguments)
        inspected = CliRunner().invoke(data.app, ["inspect", name], catch_exceptions=False).output
        shared = datasets.facts(name)["subjects"]["shared"]
        (line,) = (line for line in inspected.splitlines() if "subjects in several splits" in line)
        assert str(shared) in line
        assert "contempt" in inspected


def test_registering_class_folders_needs_no_tensorflow(folders):
    code = (
        "import sys\nfrom fer_core.commands import data\n"
        f"data.app(['add', {str(folders)!r}], standalone_mode=False)\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr[-2000:]


# How many of CK+'s 327 labelled sequences show each class (Lucey et al. 2010, table 1).
PUBLISHED = {"angry": 45, "disgust": 59, "fear": 25, "happy": 69, "sad": 28, "surprise": 83, "contempt": 18}


@pytest.fixture(scope="module")
def like_ckplus():
    """Subjects and labels: the published number of sequences per class, spread over 118 subjects, three frames each."""
    rng = np.random.default_rng(0)
    who = [f"S{at:03d}" for n in PUBLISHED.values() for at in rng.choice(118, n, replace=False) for _ in range(3)]
    return np.array(who), np.repeat(np.arange(7), [3 * n for n in PUBLISHED.values()])


@pytest.mark.parametrize("seed", range(5))
def test_splits_by_subject_hold_about_70_15_15_of_every_class(like_ckplus, seed):
    who, labels = like_ckplus
    made = subjects.assign(who, labels, seed)
    for subject in np.unique(who):
        assert len(set(made[who == subject])) == 1
    for split, share in subjects.SHARES.items():
        assert (made == split).mean() == pytest.approx(share, abs=0.02)
        of_class = np.bincount(labels[made == split], minlength=7) / np.bincount(labels)
        assert np.abs(of_class - share).max() < 0.05


def test_splits_by_subject_depend_on_names_classes_and_seed_alone(like_ckplus):
    who, labels = like_ckplus
    made = subjects.assign(who, labels)
    order = np.random.default_rng(1).permutation(len(who))
    assert (subjects.assign(who[order], labels[order]) == made[order]).all()
    assert (subjects.assign(who, labels, seed=1) != made).any()
    renumbered = np.array([3, 0, 6, 1, 5, 2, 4])[labels]  # the same classes in another order
    assert (subjects.assign(who, renumbered) == made).all()


@pytest.mark.parametrize(("n", "expected"), [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "val", "test"})])
def test_few_subjects_fill_as_many_splits_as_they_can(n, expected):
    who = [f"S{at:03d}" for at in range(n) for _ in range(3)]
    assert set(subjects.assign(who, np.zeros(3 * n, dtype=int))) == expected


def test_sharing_counted_by_hand():
    found = subjects.sharing({"train": ["A", "A", "B", "C"], "val": ["B"], "test": ["B", "C", "D"]})
    assert found == {
        "n": 4,
        "shared": 2,
        "per_split": {"train": 3, "val": 1, "test": 3},
        "across": {"train": {"val": 1, "test": 2}, "val": {"train": 1, "test": 1}, "test": {"train": 2, "val": 1}},
    }


@pytest.mark.parametrize(
    ("sample_id", "subject"),
    [("S010_006_00000013", "S010"), ("s506_001_00000002", "S506"), ("S10_006_00000013", ""), ("Training_00001", "")],
)
def test_subjects_are_read_from_names(sample_id, subject):
    assert subjects.subject_of(sample_id) == subject


def test_contempt_is_not_among_the_seven_that_are_drawn():
    with pytest.raises(DatasetError, match="Unknown class name 'contempt'"):
        synthetic.face("contempt")


def test_a_run_that_does_not_know_contempt_is_evaluated_on_the_other_classes(folders):
    datasets.add(folders)
    train = datasets.load("ckplus")["train"]
    contempt = train.y_true == CLASSES.index("contempt")
    rest, unknown = evaluate.with_known_classes(train, CLASS_NAMES)
    assert unknown == {"contempt": int(contempt.sum())}
    assert rest.sample_ids.tolist() == train.sample_ids[~contempt].tolist()
    assert np.array_equal(rest.images, train.images[~contempt])
    assert [rest.class_names[label] for label in rest.y_true] == [CLASSES[at] for at in train.y_true[~contempt]]
    assert evaluate.with_known_classes(train, CLASSES[::-1]) == (train, {})
    with pytest.raises(DatasetError, match="No picture shows a class"):
        evaluate.with_known_classes(train.take(contempt), CLASS_NAMES)
