"""Which pictures a system sees: classes, duplicates, hold-out, oversampling and masks, each counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fer_core import caches, masks
from fer_core.datasets.split import Dataset, Split
from fer_core.errors import ConfigError
from fer_core.training.config import TrainConfig
from fer_core.training.preparation import held_out, only_classes, prepare

NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def split(labels: list[int], prefix: str, first: int) -> Split:
    """Pictures of one grey each, ``first`` and up, so that no two are equal."""
    images = np.stack([np.full((8, 8), first + index, np.uint8) for index in range(len(labels))])
    ids = np.array([f"{prefix}_{index:03d}" for index in range(len(labels))])
    return Split(ids, images, np.array(labels, np.int64), NAMES, "f")


def dataset(train: Split | None = None) -> Dataset:
    train = train or split([0] * 10 + [1] * 4 + [3] * 20, "train", 1)
    return Dataset(
        "made", {"train": train, "val": split([0, 1, 3], "val", 100), "test": split([3, 1, 0], "test", 110)}, "f"
    )


def test_nothing_asked_nothing_changed():
    made = dataset()
    prepared = prepare(made, TrainConfig())
    assert prepared.fitted is made["train"] and prepared.watched is made["val"]
    assert dict(prepared.evaluated) == {name: made[name] for name in ("train", "val", "test")}


def test_classes_are_renumbered_in_the_order_of_the_dataset():
    prepared = prepare(dataset(), TrainConfig(classes=["happy", "angry"]))
    assert prepared.fitted.class_names == ("angry", "happy")
    assert np.bincount(prepared.fitted.y_true).tolist() == [10, 20]
    assert prepared.evaluated["test"].sample_ids.tolist() == ["test_000", "test_002"]
    assert prepared.evaluated["test"].y_true.tolist() == [1, 0]


def test_contempt_can_be_one_of_the_classes():
    faces = replace(split([0, 1, 2], "test", 1), class_names=("happy", "contempt", "sad"))
    kept = only_classes(faces, ["contempt", "Happiness"])
    assert kept.class_names == ("happy", "contempt") and kept.y_true.tolist() == [0, 1]


@pytest.mark.parametrize("classes", [["happy"], ["happy", "happiness"]])
def test_one_class_is_no_classification(classes):
    with pytest.raises(ConfigError, match="at least two"):
        prepare(dataset(), TrainConfig(classes=classes))


def test_copies_stay_on_one_side_of_a_hold_out_whatever_their_labels():
    labels = [0] * 30 + [3] * 30
    train = split(labels, "train", 1)
    images = train.images.copy()
    images[1:30:2] = images[0:30:2]  # every picture of the first class twice
    images[31] = images[0]  # and one of them, once more, labelled otherwise
    train = replace(train, images=images)
    for seed in range(5):
        fitted, watched = held_out(train, 0.2, seed)
        assert len(fitted) + len(watched) == 60
        assert not set(fitted.images[:, 0, 0].tolist()) & set(watched.images[:, 0, 0].tolist())
        assert np.bincount(watched.y_true)[[0, 3]].tolist() == [6, 6]


def test_a_class_of_copies_alone_stays_with_the_fitted():
    train = split([0] * 4 + [3] * 10, "train", 1)
    images = train.images.copy()
    images[:4] = images[0]
    fitted, watched = held_out(replace(train, images=images), 0.25, 0)
    assert (fitted.y_true == 0).sum() == 4 and set(watched.y_true.tolist()) == {3}


def test_copies_leave_the_training_pictures_and_only_them():
    train = split([0] * 6, "train", 1)
    images = train.images.copy()
    images[1] = images[0]  # one repeats another
    images[2] = 100  # one is val's first picture
    images[3] = 111  # one is test's second
    made = dataset(Split(train.sample_ids, images, train.y_true, NAMES, "f"))
    prepared = prepare(made, TrainConfig(dedupe=True))
    assert prepared.fitted.sample_ids.tolist() == ["train_000", "train_004", "train_005"]
    assert len(prepared.evaluated["val"]) == 3 and len(prepared.evaluated["test"]) == 3


def test_hold_out_keeps_the_shares_of_the_classes():
    prepared = prepare(dataset(), TrainConfig(holdout=0.2))
    assert np.bincount(prepared.watched.y_true, minlength=7).tolist() == [2, 1, 0, 4, 0, 0, 0]
    assert np.bincount(prepared.fitted.y_true, minlength=7).tolist() == [8, 3, 0, 16, 0, 0, 0]
    ids = {*prepared.watched.sample_ids.tolist(), *prepared.fitted.sample_ids.tolist()}
    assert ids == set(dataset()["train"].sample_ids.tolist())
    assert prepared.evaluated["val"].sample_ids.tolist() == ["val_000", "val_001", "val_002"]
    assert prepared.evaluated["train"] is prepared.fitted, "what was held out was not trained on"
    again = prepare(dataset(), TrainConfig(holdout=0.2))
    np.testing.assert_array_equal(again.watched.sample_ids, prepared.watched.sample_ids)
    other = prepare(dataset(), TrainConfig(holdout=0.2, seed=1))
    assert other.watched.sample_ids.tolist() != prepared.watched.sample_ids.tolist()


def test_hold_out_of_pictures_with_subjects_keeps_each_subject_on_one_side():
    """CK+: frames of one sequence are nearly equal."""
    train = split([0, 0, 1, 1] * 10, "train", 1)
    ids = np.array([f"S{subject:03d}_001_{frame:08d}" for subject in range(10) for frame in range(4)])
    named = Split(ids, train.images, train.y_true, NAMES, "f")
    prepared = prepare(dataset(named), TrainConfig(holdout=0.2))
    sides = [{name[:4] for name in part.sample_ids.tolist()} for part in (prepared.fitted, prepared.watched)]
    assert not sides[0] & sides[1] and len(sides[1]) == 2
    assert np.bincount(prepared.watched.y_true).tolist() == [4, 4]


def test_oversampling_evens_the_classes_out_and_uses_every_picture():
    prepared = prepare(dataset(), TrainConfig(oversample=True))
    assert np.bincount(prepared.fitted.y_true, minlength=7).tolist() == [20, 20, 0, 20, 0, 0, 0]
    ids, times = np.unique(prepared.fitted.sample_ids, return_counts=True)
    label_of = dict(zip(prepared.fitted.sample_ids.tolist(), prepared.fitted.y_true.tolist(), strict=True))
    shown = {(label_of[name], count) for name, count in zip(ids.tolist(), times.tolist(), strict=True)}
    assert len(ids) == 34 and shown == {(0, 2), (1, 5), (3, 1)}
    assert len(prepared.evaluated["train"]) == 34


@pytest.mark.parametrize("region", masks.REGIONS)
def test_masks_hide_the_region_in_every_split(region):
    prepared = prepare(dataset(), TrainConfig(mask=region))
    hidden = masks.region_mask(region, (8, 8))
    for name, part in prepared.evaluated.items():
        assert (part.images[:, hidden] == 0).all()
        np.testing.assert_array_equal(part.images[:, ~hidden], dataset()[name].images[:, ~hidden])


def test_faces_are_aligned_once_and_pictures_without_one_stay(tmp_path, monkeypatch):
    from fer_core.training import face_crops

    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path))
    looked = []

    def stands_in(images):
        looked.extend(images)
        return [image if image[0, 0] == 1 else 255 - image for image in images]

    monkeypatch.setattr(face_crops, "aligned", stands_in)
    train = split([0, 1], "train", 1)
    cropped = face_crops.face_crops(train, "made", "train")
    np.testing.assert_array_equal(cropped.images, np.stack([train.images[0], 255 - train.images[1]]))
    assert cropped.sample_ids is train.sample_ids and len(looked) == 2
    reports = []
    again = face_crops.face_crops(train, "made", "train", lambda *told: reports.append(told))
    assert reports == [(0, 2)]
    assert len(looked) == 2 and np.array_equal(again.images, cropped.images)
    (stored,) = (tmp_path / "face_crops" / "made-train").iterdir()
    assert caches.kept("face_crops").files == (stored,)
    stored.write_bytes(stored.read_bytes()[:40])
    mended = face_crops.face_crops(train, "made", "train")
    assert len(looked) == 4 and np.array_equal(mended.images, cropped.images)


def test_what_a_run_was_measured_on(monkeypatch):
    """Ids and labels need no faces found; masks and classes are those of the training."""
    from fer_core.training import face_crops, preparation

    monkeypatch.setattr(face_crops, "face_crops", lambda *_: pytest.fail("looks for faces"))
    made = dataset()
    config = {"classes": ["happy", "angry"], "faces": True, "mask": "mouth"}
    bare = preparation.as_evaluated(made, "test", config, pixels=False)
    expected = prepare(made, TrainConfig(classes=config["classes"])).evaluated["test"]
    assert bare.sample_ids.tolist() == expected.sample_ids.tolist() and bare.class_names == ("angry", "happy")
    assert bare.y_true.tolist() == expected.y_true.tolist()
    monkeypatch.setattr(face_crops, "face_crops", lambda split, *_: split)
    shown = preparation.as_evaluated(made, "test", config)
    wanted = prepare(made, TrainConfig(**config)).evaluated["test"]
    np.testing.assert_array_equal(shown.images, wanted.images)


@pytest.mark.slow
def test_a_face_that_stands_askew_is_brought_upright():
    """The astronaut's face, cut askew: after alignment the eyes are where FER2013 has them."""
    import cv2
    from skimage.data import astronaut

    from fer_core import faces
    from fer_core.training.face_crops import aligned

    photo = astronaut()
    turned = cv2.warpAffine(photo, cv2.getRotationMatrix2D((220, 110), 20, 1.0), (512, 512))[20:210, 120:310]
    (upright,) = aligned([turned])
    assert upright.shape == turned.shape
    found = faces.detect(upright)[0]
    left, right = found.landmarks["left_eye"], found.landmarks["right_eye"]
    assert abs(left[1] - right[1]) < 0.04 * 190
    assert left[0] == pytest.approx(faces.FRAME["left_eye"][0] * 190, abs=0.06 * 190)
