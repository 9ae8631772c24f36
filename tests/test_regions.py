"""Parts of a face where they must lie: in the frame, and on faces turned, scaled and moved from it."""

import cv2
import numpy as np
import pytest

from fer_core import faces, regions
from fer_core.errors import ConfigError
from fer_core.faces import FRAME, LANDMARKS, Face, FaceCrop
from fer_core.regions import CANONICAL, OCCLUDERS, REGIONS

SHAPE = (96, 96)


def moved(scale=1.0, degrees=0.0, shift=(0.0, 0.0)):
    """The frame's landmarks turned about the middle, scaled and moved, and the map that does it."""
    turn = np.radians(degrees)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def place(points):
        return (np.asarray(points) - 0.5) @ matrix.T + 0.5 + shift

    return place(CANONICAL), place


def centre_of(mask):
    """x and y as shares."""
    rows, columns = np.nonzero(mask)
    return np.array([(columns.mean() + 0.5) / mask.shape[1], (rows.mean() + 0.5) / mask.shape[0]])


@pytest.mark.parametrize("parts", [REGIONS, OCCLUDERS])
def test_plural_words_are_marked_as_such(parts):
    plural = {"brows", "eyes", "cheeks", "forehead_brows", "sunglasses"}
    assert {name for name, part in parts.items() if part.plural} == plural & set(parts)
    assert all(part.title.endswith("s") == part.plural for part in parts.values())


def test_words_agree_with_places():
    found = {place: regions.agreeing(place, "gets", "get") for place in regions.PLACES}
    assert {place for place, word in found.items() if word == "get"} == {"brows", "eyes", "cheeks"}


def test_no_pixel_is_in_two_regions_and_every_region_has_some():
    masks = regions.region_masks(CANONICAL, SHAPE)
    assert list(masks) == list(REGIONS)
    assert np.stack(list(masks.values())).sum(axis=0).max() == 1
    assert all(mask.sum() > 100 for mask in masks.values())
    index = regions.region_index(CANONICAL, SHAPE)
    assert index.dtype == np.int8
    assert set(np.unique(index)) == set(range(-1, len(REGIONS)))


def test_regions_lie_where_the_frame_has_their_landmarks():
    masks = regions.region_masks(CANONICAL, SHAPE)
    at = {name: masks["eyes"][tuple(int(share * 96) for share in reversed(FRAME[name]))] for name in LANDMARKS[:2]}
    assert at == {"left_eye": True, "right_eye": True}
    x, y = FRAME["nose"]
    assert masks["nose"][int(y * 96), int(x * 96)]
    heights = {name: centre_of(mask)[1] for name, mask in masks.items()}
    order = ["forehead", "brows", "eyes", "nose", "upper_lip", "mouth", "chin"]
    assert [heights[name] for name in order] == sorted(heights[name] for name in order)
    for name, mask in masks.items():
        assert np.array_equal(mask, mask[:, ::-1]), name  # the frame is symmetric


@pytest.mark.parametrize(
    "how",
    [{"scale": 0.6}, {"degrees": 25}, {"shift": (0.07, -0.08)}, {"scale": 0.5, "degrees": -40, "shift": (0.1, 0)}],
)
def test_regions_and_shapes_follow_a_moved_face(how):
    points, place = moved(**how)
    here, there = regions.region_masks(CANONICAL, (200, 200)), regions.region_masks(points, (200, 200))
    for name in REGIONS:
        if there[name].sum() > 0.95 * here[name].sum() * how.get("scale", 1) ** 2:  # not cut off by the edge
            assert centre_of(there[name]) == pytest.approx(place(centre_of(here[name])), abs=0.01), name
    eyes = regions.occluder_mask("eyes", CANONICAL, (200, 200)), regions.occluder_mask("eyes", points, (200, 200))
    assert centre_of(eyes[1]) == pytest.approx(place(centre_of(eyes[0])), abs=0.01)
    area = how.get("scale", 1) ** 2
    assert eyes[1].sum() == pytest.approx(eyes[0].sum() * area, rel=0.05)


def test_nose_follows_its_tip_when_the_head_turns():
    turned = CANONICAL.copy()
    turned[2, 0] += 0.1
    straight, sideways = (regions.occluder_mask("nose", points, (200, 200)) for points in (CANONICAL, turned))
    assert centre_of(sideways)[0] - centre_of(straight)[0] == pytest.approx(0.1, abs=0.005)
    mouths = [regions.occluder_mask("mouth", points, (200, 200)) for points in (CANONICAL, turned)]
    assert centre_of(mouths[1]) == pytest.approx(centre_of(mouths[0]), abs=0.005)


@pytest.mark.parametrize("name", OCCLUDERS)
@pytest.mark.parametrize("shape", [(48, 48), (96, 64), (200, 200)])
def test_every_shape_hides_something_but_not_everything(name, shape):
    share = regions.occluder_mask(name, CANONICAL, shape).mean()
    assert 0.02 < share < 0.5


@pytest.mark.parametrize(
    ("shape", "covered"),
    [
        ("forehead_brows", ("forehead", "brows")),
        ("eyes", ("eyes",)),
        ("nose", ("nose",)),
        ("cheeks", ("cheeks",)),
        ("mouth", ("upper_lip", "mouth")),
        ("chin", ("chin",)),
        ("face_mask", ("upper_lip", "mouth")),
    ],
)
def test_shape_covers_the_regions_it_is_named_after(shape, covered):
    hidden = regions.occluder_mask(shape, CANONICAL, (192, 192))
    masks = regions.region_masks(CANONICAL, (192, 192))
    for name in covered:
        assert hidden[masks[name]].mean() > 0.99, name
    rest = set(REGIONS) - set(covered) - {"nose", "cheeks", "chin"} if shape == "face_mask" else ()
    for name in rest:
        assert not hidden[masks[name]].any(), name


def test_sunglasses_cover_the_eyes_and_leave_the_mouth():
    hidden = regions.occluder_mask("sunglasses", CANONICAL, (192, 192))
    masks = regions.region_masks(CANONICAL, (192, 192))
    for x, y in CANONICAL[:2]:
        assert hidden[int(y * 192), int(x * 192)]
    assert hidden[masks["eyes"]].mean() > 0.8
    assert not hidden[masks["mouth"] | masks["upper_lip"] | masks["chin"] | masks["forehead"]].any()


def test_outlines_are_the_polygons_themselves_in_the_frame():
    found = regions.outlines(CANONICAL)
    for name, part in REGIONS.items():
        for outline, polygon in zip(found[name], part.polygons, strict=True):
            assert outline == pytest.approx(np.array(polygon), abs=1e-9)


def test_upright_brings_a_spot_to_its_place_in_the_frame():
    points, place = moved(scale=0.6, degrees=20, shift=(0.05, 0.1))
    spot = np.array([0.5, 0.785])
    x, y = place(spot)
    maps = np.zeros((1, 80, 120), np.float32)
    maps[0] = cv2.GaussianBlur(_dot((80, 120), x, y), (0, 0), 2)
    found = regions.upright(maps, points[None], 64)
    assert found.shape == (1, 64, 64) and found.dtype == np.float32
    row, column = np.unravel_index(found[0].argmax(), (64, 64))
    assert ((column + 0.5) / 64, (row + 0.5) / 64) == pytest.approx(tuple(spot), abs=0.025)


def test_upright_leaves_a_map_in_the_frame_as_it_is_and_is_zero_outside():
    maps = np.random.default_rng(0).random((2, 48, 48)).astype(np.float32)
    found = regions.upright(maps, np.stack([CANONICAL, np.add(CANONICAL, (0.5, 0))]), 48)
    assert found[0] == pytest.approx(maps[0], abs=1e-3)
    assert found[1, :, 24:].max() == 0
    assert found[1, :, :23] == pytest.approx(maps[1, :, 24:47], abs=1e-3)


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.zeros(10), np.full((5, 2), np.nan)])
def test_landmarks_that_are_none_are_refused(points):
    for ask in (
        lambda: regions.region_masks(points, SHAPE),
        lambda: regions.occluder_mask("eyes", points, SHAPE),
        lambda: regions.outlines(points),
        lambda: regions.upright(np.zeros((1, 8, 8), np.float32), points[None], 8),
    ):
        with pytest.raises(ConfigError, match="five landmarks"):
            ask()


def test_unknown_shape_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="sunglasses"):
        regions.occluder_mask("hat", CANONICAL, SHAPE)


def _dot(shape, x, y):
    dot = np.zeros(shape, np.float32)
    dot[int(y * shape[0]), int(x * shape[1])] = 1
    return dot


# Landmarks in the picture that classifiers are handed


def face_at(centre, side, degrees):
    """A face whose frame is a square of ``side`` pixels about ``centre``, turned."""
    _, place = moved(degrees=degrees)
    points = (place(CANONICAL) - 0.5) * side + centre
    return Face((0, 0, 1, 1), 1.0, {name: tuple(point) for name, point in zip(LANDMARKS, points, strict=True)})


@pytest.mark.parametrize("degrees", [0, 30, -60])
def test_an_aligned_crop_has_its_landmarks_in_the_frame(degrees):
    crop = FaceCrop(1, np.zeros((96, 96, 3), np.uint8), face_at((300, 200), 150, degrees))
    assert faces.crop_points(crop, (640, 480)) == pytest.approx(CANONICAL, abs=1e-9)


def test_landmarks_of_a_crop_lie_on_what_it_shows():
    """A dot painted at the nose of the photo is found where the landmark says."""
    face = face_at((300, 200), 150, 20)
    face.landmarks["nose"] = (face.landmarks["nose"][0] + 9, face.landmarks["nose"][1] - 5)
    photo = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(photo, tuple(round(value) for value in face.landmarks["nose"]), 4, (255, 255, 255), -1)
    crop = FaceCrop(1, faces.crop(photo, face, size=120), face)
    assert faces.crop_points(crop, (640, 480))[2] == pytest.approx(centre_of(crop.image[..., 0] > 127), abs=0.01)


def test_a_picture_taken_whole_keeps_its_landmarks_as_shares():
    face = face_at((50, 50), 100, 0)
    crop = FaceCrop(1, np.zeros((64, 128, 3), np.uint8), face, whole=True, reason=faces.FILLED)
    assert faces.crop_points(crop, (200, 100)) == pytest.approx(CANONICAL * (0.5, 1.0))
    assert faces.crop_points(FaceCrop(1, np.zeros((64, 64, 3), np.uint8), None, whole=True), (64, 64)) is None
