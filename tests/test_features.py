"""Features against scikit-image, OpenCV and numbers worked out by hand."""

import os

import cv2
import numpy as np
import pytest

from fer_core import artifacts, faces
from fer_core.datasets import synthetic
from fer_core.errors import ModelError
from fer_core.models import features
from fer_core.models import hog as hog_module
from fer_core.models.features import (
    CANONICAL,
    FEATURES,
    PAIRS,
    embedding,
    extract,
    hog,
    landmark_geometry,
    landmark_points,
    landmarks,
    pixels,
)
from fer_core.models.hog import BINS
from fer_core.models.preprocess import equalize
from fer_core.models.registry import load_classifier
from fer_core.models.specs import MODELS
from tests.conftest import PROJECT

SIZES = {"pixels": 48 * 48, "hog": 7 * 7 * 4 * BINS, "landmarks": 21}


def test_every_feature_but_that_of_a_run_has_its_size_here():
    assert {*SIZES, "embedding"} == set(FEATURES)


@pytest.fixture(scope="module")
def drawn():
    return synthetic.faces(4, size=48, seed=5).images


@pytest.mark.parametrize("name", SIZES)
def test_feature_is_float32_with_a_row_per_picture(name, drawn):
    kept = drawn.copy()
    values = FEATURES[name](drawn)
    assert values.dtype == np.float32 and values.shape == (4, SIZES[name])
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(drawn, kept)
    np.testing.assert_allclose(FEATURES[name](drawn[2:3])[0], values[2], atol=1e-6)  # no picture depends on another
    assert FEATURES[name](drawn[:0]).shape == (0, SIZES[name])


def test_pixels_go_row_by_row():
    np.testing.assert_allclose(pixels(np.array([[[0, 51], [102, 255]]], np.uint8)), [[0, 0.2, 0.4, 1]], atol=1e-7)


def test_hog_is_that_of_scikit_image_for_each_cell(drawn, monkeypatch):
    from skimage.feature import hog as reference

    monkeypatch.setattr(hog_module, "CHUNK", 3)
    any_pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    corners = np.full((1, 48, 48), 9, np.uint8)
    corners[0, 20:28, 12:30] = 255  # gradients of 0, 45, 90 and 135 degrees, and none at all
    images = np.concatenate([drawn, any_pixels, corners])
    expected = [
        np.concatenate(
            [reference(image, orientations=9, pixels_per_cell=(cell,) * 2, cells_per_block=(2, 2)) for cell in (6, 8)]
        )
        for image in images
    ]
    np.testing.assert_allclose(hog(images, cells=(6, 8)), expected, atol=1e-6)


def test_hog_sees_the_direction_of_an_edge():
    image = np.zeros((48, 48), np.uint8)
    image[:, 24:] = 255
    of_vertical, of_horizontal = hog(np.stack([image, image.T]))
    assert of_vertical.size == 7 * 7 * 4 * BINS
    assert of_vertical.reshape(-1, BINS).sum(axis=0).argmax() in (0, BINS - 1)
    assert of_horizontal.reshape(-1, BINS).sum(axis=0).argmax() == BINS // 2
    with pytest.raises(ModelError, match="7 pixels do not tile"):
        hog(image[None], cells=(6, 7))


def test_landmark_geometry_worked_out_by_hand():
    # eyes 4 apart, nose 2 right of and 3 below the left eye, mouth corners straight below the eyes by 6
    points = np.array([[[0, 0], [4, 0], [2, 3], [0, 6], [4, 6]]], float)
    row = landmark_geometry(points, np.array([True]))[0]
    across = 13**0.5 / 4  # from the nose to an eye or a corner, in eye distances
    long = 52**0.5 / 4  # from an eye to the other side's corner
    assert PAIRS == ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))
    np.testing.assert_allclose(row[:10], [1, across, 1.5, long, across, long, 1.5, across, across, 1], atol=1e-6)
    half = np.pi / 2
    steep, steeper = np.arctan(3 / 2), np.arctan(6 / 4)
    expected = [0, steep, half, steeper, np.pi - steep, np.pi - steeper, half, np.pi - steep, steep, 0]
    np.testing.assert_allclose(row[10:20], expected, atol=1e-6)
    assert row[20] == 1


def test_landmark_geometry_ignores_place_size_and_tilt():
    points = CANONICAL[None] + np.random.default_rng(0).normal(0, 0.02, (1, 5, 2))
    tilt = np.radians(25)
    rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    moved = 3.7 * points @ rotation.T + [10, -4]
    seen = np.array([True])
    np.testing.assert_allclose(landmark_geometry(moved, seen), landmark_geometry(points, seen), atol=1e-5)


def test_landmarks_are_those_of_the_detector():
    photo = cv2.imread(str(PROJECT / "artifacts" / "samples" / "astronaut.jpg"), cv2.IMREAD_GRAYSCALE)
    found = faces.detect(photo)[0]
    left, top, width, height = found.box
    cut = photo[top - 40 : top + height + 40, left - 40 : left + width + 40]
    cut = cv2.resize(cut, (96, 96), interpolation=cv2.INTER_AREA)
    points, seen = landmark_points(np.stack([cut, np.zeros_like(cut)]))
    assert seen.tolist() == [True, False]
    expected = np.array([found.landmarks[name] for name in faces.LANDMARKS]) - [left - 40, top - 40]
    np.testing.assert_allclose(points[0], expected / [width + 80, height + 80], atol=0.03)
    np.testing.assert_allclose(points[1], CANONICAL, atol=1e-6)
    without = landmarks(np.zeros((1, 48, 48), np.uint8))[0]
    assert without[20] == 0 and np.isfinite(without).all()


def test_landmarks_are_looked_for_once(drawn, tmp_path, monkeypatch):
    cache = tmp_path / "features"
    steps = []
    monkeypatch.setattr(features, "TOGETHER", 2)
    first = extract(drawn, ["landmarks"], cache=cache, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(2, 4), (4, 4)]
    looked = []
    monkeypatch.setattr(features.faces, "detect_each", lambda images: [looked.append(image) or [] for image in images])
    np.testing.assert_array_equal(extract(drawn[::-1], ["landmarks"], cache=cache), first[::-1])
    assert not looked
    extract(np.concatenate([drawn[:1] + 1] * 2), ["landmarks"], cache=cache)
    assert len(looked) == 1
    extract(drawn, ["landmarks"], cache=cache, on_progress=lambda done, total: steps.append((done, total)))
    assert steps[2:] == [(4, 4)] and len(looked) == 1
    (cache / "landmarks.npz").write_bytes(b"no archive")
    with pytest.raises(ModelError, match=r"landmarks\.npz is damaged"):
        extract(drawn, ["landmarks"], cache=cache)


def test_features_stand_side_by_side_in_the_order_named(drawn):
    both = extract(drawn, ["pixels", "hog"], {"hog": {"cells": (8,)}})
    np.testing.assert_array_equal(both, np.hstack([pixels(drawn), hog(drawn, (8,))]))
    with pytest.raises(ModelError, match="Unknown features wavelets"):
        extract(drawn, ["hog", "wavelets"])
    with pytest.raises(ModelError, match="No features"):
        extract(drawn, [])


@pytest.mark.slow
def test_embedding_is_what_the_last_layer_classifies(workshop, drawn, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(workshop.artifacts))
    run = artifacts.find_run(workshop.run)
    values = embedding(drawn, run.name, run.run["weights_sha256"])
    classifier = load_classifier(run, tta="none")
    kernel, bias = (np.asarray(weight) for weight in classifier.network.get_layer("probabilities").get_weights())
    logits = values @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(drawn), expected, atol=1e-4)
    assert embedding(drawn[:0], run.name, run.run["weights_sha256"]).shape == (0, values.shape[1])


def test_embedding_refuses_other_weights_and_missing_runs(workshop, drawn, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(workshop.artifacts))
    with pytest.raises(ModelError, match="not the ones the embeddings were made with"):
        embedding(drawn, workshop.run, "0" * 64)
    with pytest.raises(ModelError, match="fer2013-none, which is not there"):
        embedding(drawn, "fer2013-none", "0" * 64)
    with pytest.raises(ModelError, match="does not ship"):
        embedding(drawn, next(run.name for run in artifacts.list_runs()[0] if run.model == "majority"), "0" * 64)


@pytest.mark.skipif("FER_ARTIFACTS_DIR" in os.environ, reason="speaks of the project's own artifacts")
def test_the_run_that_embeddings_need_is_shipped():
    meant = MODELS["svm_embedding_rbf"]["arguments"]["embedding"]
    run = artifacts.find_run(meant["run"])
    assert run.run["weights_sha256"] == meant["weights_sha256"] and run.weights_path is not None


@pytest.mark.parametrize("method", ["hist", "clahe"])
def test_equalize_is_opencvs(method, drawn):
    of_one = cv2.equalizeHist if method == "hist" else cv2.createCLAHE(2.0, (4, 4)).apply
    kept = drawn.copy()
    np.testing.assert_array_equal(equalize(drawn, method), [of_one(image) for image in drawn])
    np.testing.assert_array_equal(drawn, kept)


def test_equalize_worked_out_by_hand():
    # four grey values, 4 pixels each: (cumulative count - first count) / (16 - first count) * 255
    image = np.repeat(np.array([10, 20, 30, 200], np.uint8), 4).reshape(1, 4, 4)
    np.testing.assert_array_equal(np.unique(equalize(image, "hist")), [0, 85, 170, 255])
    np.testing.assert_array_equal(equalize(image, ""), image)


def test_equalize_keeps_the_hue_of_colours_and_refuses_unknown_methods(drawn):
    grey = np.repeat(drawn[..., None], 3, axis=3)
    evened = equalize(grey, "hist")
    assert evened.shape == grey.shape
    assert np.ptp(evened.astype(int), axis=3).max() <= 2  # grey stays grey
    assert equalize(drawn[:0], "clahe").shape == (0, 48, 48)
    with pytest.raises(ModelError, match="gamma"):
        equalize(drawn, "gamma")
