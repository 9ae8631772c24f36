"""Drawn faces: seeded, different from each other, and with expressions that can be learnt and move the right parts."""

import numpy as np
import pytest

from fer_core import datasets
from fer_core.datasets import synthetic
from fer_core.datasets.drawing import Look
from fer_core.errors import DatasetError
from fer_core.labels import CLASS_NAMES

STILL = Look()  # no noise, no blur, straight ahead


def test_faces_are_seeded_and_a_prefix_of_more_faces():
    few, many = synthetic.faces(9, size=48, seed=4), synthetic.faces(14, size=48, seed=4)
    assert np.array_equal(few.images, many.images[:9])
    assert few.y_true.tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert few.sample_ids[8] == "Drawn_00008"
    assert not np.array_equal(few.images, synthetic.faces(9, size=48, seed=5).images)


@pytest.mark.parametrize("size", [16, 48, 96, 224])
def test_any_size(size):
    face = synthetic.face("happy", rng=1, size=size)
    assert face.shape == (size, size)
    assert face.dtype == np.uint8
    assert face.max() - int(face.min()) > 60


def test_labels_are_taken_by_name():
    assert np.array_equal(synthetic.face("Anger", rng=3), synthetic.face("angry", rng=3))
    with pytest.raises(DatasetError, match="Unknown class name 'smug'"):
        synthetic.face("smug")
    with pytest.raises(DatasetError, match="8 pixels"):
        synthetic.face("sad", size=8)
    two = synthetic.faces(4, size=16, class_names=("neutral", "happy"))
    assert two.class_names == ("neutral", "happy")
    assert two.y_true.tolist() == [0, 1, 0, 1]


# Shares of the height: where brows and forehead, eyes, nose and cheeks, mouth and chin are.
BANDS = {"brows": (0, 0.36), "eyes": (0.36, 0.5), "nose": (0.5, 0.66), "mouth": (0.66, 1)}


def _change(label: str, strength: float = 1) -> dict[str, float]:
    """How much an expression changes each band of the face at rest."""
    rest = synthetic.face("neutral", look=STILL, size=96).astype(float)
    shown = synthetic.face(label, look=STILL, strength=strength, size=96).astype(float)
    rows = np.abs(shown - rest).sum(axis=1)
    return {band: rows[int(top * 96) : int(bottom * 96)].sum() for band, (top, bottom) in BANDS.items()}


@pytest.mark.parametrize("label", ["angry", "fear", "sad", "surprise"])
def test_brows_show_these_most_and_the_nose_keeps_still(label):
    change = _change(label)
    assert change["brows"] > 0.5 * sum(change.values())
    assert change["nose"] < 0.02 * sum(change.values())
    assert change["mouth"] > 0.1 * sum(change.values())


def test_happy_shows_in_mouth_and_cheeks_and_not_in_the_brows():
    change = _change("happy")
    assert change["mouth"] > change["nose"] > change["eyes"]
    assert change["brows"] < 0.02 * sum(change.values())


def test_disgust_shows_everywhere_and_in_the_nose():
    change = _change("disgust")
    assert min(change.values()) > 0.15 * sum(change.values())


@pytest.mark.parametrize("label", [label for label in CLASS_NAMES if label != "neutral"])
def test_a_weaker_expression_changes_less(label):
    assert 0 < sum(_change(label, 0.3).values()) < sum(_change(label).values())


def test_strength_zero_is_neutral():
    neutral = synthetic.face("neutral", look=STILL)
    for label in CLASS_NAMES:
        assert np.array_equal(synthetic.face(label, look=STILL, strength=0), neutral)


def test_no_face_stands_in_two_splits_and_the_set_says_it_is_drawn():
    drawn = synthetic.dataset(n_train=14, n_val=7, n_test=7)
    pictures = np.concatenate([split.images for split in drawn.splits.values()]).reshape(28, -1)
    ids = np.concatenate([split.sample_ids for split in drawn.splits.values()])
    assert len(np.unique(pictures, axis=0)) == len(np.unique(ids)) == 28
    assert drawn.info["drawn"] is True
    assert drawn.fingerprint == drawn["test"].fingerprint == synthetic.dataset(14, 7, 7).fingerprint
    assert set(synthetic.dataset(7, 0, 0).splits) == {"train"}


def test_expressions_can_be_learnt_from_the_pixels():
    """Ridge regression on oriented gradients of 280 faces tells at least three in four of 70 others."""
    drawn = datasets.load("drawn")
    seen, new = _gradients(drawn["train"].images), _gradients(drawn["test"].images)
    targets = np.eye(7)[drawn["train"].y_true] - 1 / 7
    weights = np.linalg.solve(seen.T @ seen + 0.3 * np.eye(seen.shape[1]), seen.T @ targets)
    assert ((new @ weights).argmax(axis=1) == drawn["test"].y_true).mean() > 0.75


def _gradients(images: np.ndarray) -> np.ndarray:
    """Gradient magnitude by eight orientations and 6 x 6 pixel cells."""
    dy, dx = np.gradient(images.astype(float), axis=(1, 2))
    strength, direction = np.hypot(dx, dy), (np.arctan2(dy, dx) % np.pi / np.pi * 8).astype(int) % 8
    layers = [np.where(direction == k, strength, 0).reshape(-1, 8, 6, 8, 6).sum(axis=(2, 4)) for k in range(8)]
    features = np.stack(layers, axis=-1).reshape(len(images), -1)
    return features / np.linalg.norm(features, axis=1, keepdims=True)
