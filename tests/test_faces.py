"""Faces are found, numbered and framed as FER2013 frames them; face crops are taken whole and bit by bit."""

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from fer_core import detector, faces
from fer_core.detector import suppress
from fer_core.errors import ImageError
from fer_core.faces import FRAME, LANDMARKS, Face, crop, detect, detect_each, find_faces, frame_corners
from fer_core.images import decode, resize

ASTRONAUT = Path(__file__).parent.parent / "artifacts" / "samples" / "astronaut.jpg"
# Measured by hand on a six-fold enlargement.
BY_HAND = {
    "left_eye": (203.3, 101.0),
    "right_eye": (246.3, 103.3),
    "mouth_left": (204.7, 140.7),
    "mouth_right": (243.3, 141.7),
}


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return decode(ASTRONAUT)


def face_at(centre=(100.0, 80.0), side=60.0, degrees=0.0) -> Face:
    """A face whose landmarks lie exactly as in FER2013's frame, turned and scaled."""
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = {name: rotation @ (np.array(FRAME[name]) - 0.5) * side + centre for name in LANDMARKS}
    return Face((0, 0, 10, 10), 1.0, {name: tuple(point) for name, point in points.items()})


def test_astronaut_has_one_face_with_both_eyes(astronaut):
    before = astronaut.copy()
    (face,) = detect(astronaut)
    for name, position in BY_HAND.items():
        assert np.hypot(*(np.array(face.landmarks[name]) - position)) < 3, name
    left, top, width, height = face.box
    assert left < 203 < 246 < left + width
    assert top < 101 < 142 < top + height
    assert face.score > 0.99
    np.testing.assert_array_equal(astronaut, before)
    assert detect(astronaut) == [face]


def test_pictures_searched_together_have_the_faces_they_have_alone(astronaut, monkeypatch):
    """Pictures without, with one and with two faces; with room for all of them at once, and for two."""
    none = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    one = resize(astronaut, (256, 256))
    two = np.concatenate([np.concatenate([astronaut[:256, 96:352]] * 2, axis=1), astronaut[256:]])
    pictures = [none, one, resize(two, (256, 256)), one[:, ::-1].copy(), none]
    alone = [detect(picture) for picture in pictures]
    assert [len(found) for found in alone] == [0, 1, 2, 1, 0]
    for room in (len(pictures), 2):
        monkeypatch.setattr(detector, "TOGETHER", room * 256 * 256)
        together = list(detect_each(pictures))
        assert [len(found) for found in together] == [0, 1, 2, 1, 0]
        for ours, theirs in zip(chain(*together), chain(*alone), strict=True):
            assert ours.box == theirs.box and ours.score == pytest.approx(theirs.score, abs=1e-4)
            points = [list(face.landmarks.values()) for face in (ours, theirs)]
            np.testing.assert_allclose(*points, atol=0.01)
    assert list(detect_each([])) == []


def test_two_astronauts_are_two_faces_from_left_to_right(astronaut):
    both = np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)
    crops = find_faces(both)
    assert [found.number for found in crops] == [1, 2]
    assert not any(found.whole for found in crops)
    first, second = (found.face for found in crops)
    assert first.box[0] + first.box[2] < second.box[0]
    assert abs(first.landmarks["left_eye"][0] + second.landmarks["right_eye"][0] - 1023) < 6
    difference = crops[0].image.astype(int) - crops[1].image[:, ::-1].astype(int)
    assert np.abs(difference).mean() < 12


def test_large_photo_is_searched_smaller_and_mapped_back(astronaut):
    (face,) = detect(resize(astronaut, (2048, 2048)))
    for name, position in BY_HAND.items():
        assert np.hypot(*(np.array(face.landmarks[name]) / 4 - position)) < 3, name


def test_crop_puts_the_eyes_where_fer2013_has_them(astronaut):
    (found,) = find_faces(astronaut, size=96)
    assert found.image.shape == (96, 96, 3)
    corners = frame_corners(found.face)
    origin, right, down = corners[0], corners[1] - corners[0], corners[3] - corners[0]
    for name in LANDMARKS:
        share = np.linalg.solve(np.column_stack([right, down]), np.array(found.face.landmarks[name]) - origin)
        assert np.abs(share - FRAME[name]).max() < 0.06, name


def test_picture_without_a_face_is_taken_whole_and_says_so():
    rows, cols = np.mgrid[0:200, 0:300]
    (found,) = find_faces(np.repeat(((rows + cols) // 2).astype(np.uint8)[:, :, None], 3, axis=2))
    assert (found.whole, found.face, found.reason) == (True, None, faces.NOTHING)
    assert "No face" in found.note


def test_face_crop_is_taken_whole_bit_by_bit(astronaut):
    small = resize(astronaut[40:190, 150:300], (48, 48))
    (found,) = find_faces(small)
    assert (found.whole, found.reason) == (True, faces.SMALL)
    np.testing.assert_array_equal(found.image, small)
    close = np.ascontiguousarray(astronaut[64:166, 174:276])
    (found,) = find_faces(close)
    assert found.whole
    assert found.reason in (faces.FILLED, faces.NOTHING)
    np.testing.assert_array_equal(found.image, close)


@pytest.mark.parametrize("degrees", [0, 20, -35, 90])
def test_frame_undoes_turn_and_scale(degrees):
    corners = frame_corners(face_at((100, 80), 60, degrees))
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    np.testing.assert_allclose(corners, square @ rotation.T * 60 + [100, 80], atol=1e-9)


def test_margin_widens_the_frame_about_its_centre():
    plain, wide = frame_corners(face_at()), frame_corners(face_at(), margin=0.25)
    np.testing.assert_allclose(plain.mean(axis=0), wide.mean(axis=0))
    assert np.isclose(wide[1, 0] - wide[0, 0], 1.5 * (plain[1, 0] - plain[0, 0]))


def test_crop_of_an_exact_frame_is_the_picture_itself():
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    face = face_at((48, 48), 96)
    assert np.abs(crop(picture, face, size=96).astype(int) - picture).max() <= 1
    half = resize(picture, (48, 48)).astype(int)
    assert np.abs(crop(picture, face, size=48).astype(int) - half).max() <= 1


def test_crop_beyond_the_border_repeats_it():
    picture = np.full((50, 50, 3), 200, np.uint8)
    assert (crop(picture, face_at((0, 0), 80)) == 200).all()


def test_suppression_keeps_the_most_certain_of_overlapping_boxes():
    boxes = np.array([[0, 0, 10, 10, 0.8], [1, 0, 11, 10, 0.9], [20, 0, 30, 10, 0.7], [22, 2, 26, 6, 0.95]])
    assert suppress(boxes, 0.5)[:, 4].tolist() == [0.95, 0.9, 0.7]
    assert suppress(boxes, 0.5, by_smaller=True)[:, 4].tolist() == [0.95, 0.9]
    assert suppress(boxes[:0], 0.5).shape == (0, 5)


def test_wrong_arrays_are_refused():
    with pytest.raises(ImageError, match="float64"):
        detect(np.zeros((100, 100, 3)))
    with pytest.raises(ImageError, match="uint8"):
        crop(np.zeros((10, 10, 4), np.uint8), face_at())


def test_frame_is_the_measured_one():
    measured = json.loads((ASTRONAUT.parents[2] / "benchmarks" / "results" / "faces.json").read_text(encoding="utf-8"))
    assert measured["conditions"]["dataset"] == "fer2013"
    for name, position in measured["framing"]["median_landmarks"].items():
        assert FRAME[name] == pytest.approx(position, abs=0.002), name
