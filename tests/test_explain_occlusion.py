import numpy as np
import pytest

from fer_core import masks
from fer_core.errors import ConfigError
from fer_core.explain import occlusion

REGION = (slice(24, 40), slice(8, 24))


class Reader:
    """Three classes: probability of the first is the mean grey of one region / 255, the others share the rest."""

    class_names = ("angry", "happy", "sad")

    def __init__(self):
        self.calls = []

    def predict_proba(self, images):
        self.calls.append(len(images))
        pixels = images if images.ndim == 3 else images.mean(axis=3)
        first = pixels[(slice(None), *REGION)].mean(axis=(1, 2)) / 255
        return np.stack([first, (1 - first) / 2, (1 - first) / 2], axis=1).astype(np.float32)


@pytest.fixture
def picture():
    return np.full((48, 48), 204, np.uint8)  # first class: 0.8


def test_mask_effect_numbers_by_hand(picture):
    mask = np.zeros((48, 48), bool)
    mask[24:32] = True  # upper half of the region
    effect = occlusion.mask_effect(Reader(), picture, mask, "zero", control_seeds=range(8))
    assert np.allclose(effect.before, [0.8, 0.1, 0.1])
    assert np.allclose(effect.after, [0.4, 0.3, 0.3])
    assert np.allclose(effect.shift, [-0.4, 0.2, 0.2])
    assert effect.area == pytest.approx(8 / 48)
    assert effect.predicted == ("angry", "angry")
    assert not effect.flipped
    drawn = masks.random_masks(int(mask.sum()), mask.shape, range(8))
    overlap = drawn[:, REGION[0], REGION[1]].mean(axis=(1, 2))
    assert np.allclose(effect.control_shifts[:, 0], -0.8 * overlap, atol=1e-6)
    assert np.allclose(effect.control_shift[0], -0.8 * overlap.mean(), atol=1e-6)
    assert effect.control_flips == int(np.sum(0.8 * (1 - overlap) < (1 - 0.8 * (1 - overlap)) / 2))


def test_mask_over_the_region_flips_the_class_and_elsewhere_changes_nothing(picture):
    over = occlusion.mask_effect(Reader(), picture, masks.region_mask("mouth", (48, 48)), control_seeds=())
    assert over.flipped
    assert over.control_shift.tolist() == [0, 0, 0]
    assert over.control_flips == 0
    away = occlusion.mask_effect(Reader(), picture, masks.region_mask("forehead", (48, 48)))
    assert np.allclose(away.shift, 0)
    assert away.controls.shape == (5, 3)


def test_mask_effect_is_one_batch_and_leaves_colour_input_alone(picture):
    reader, colour = Reader(), np.repeat(picture[..., None], 3, axis=2)
    before = colour.copy()
    effect = occlusion.mask_effect(reader, colour, masks.region_mask("eyes", (48, 48)), "noise", range(3))
    assert reader.calls == [5]
    assert np.array_equal(colour, before)
    assert effect.masked.shape == (48, 48, 3)
    assert effect.control_images.shape == (3, 48, 48, 3)


def test_shift_frame_by_hand(picture):
    mask = np.zeros((48, 48), bool)
    mask[24:32] = True
    effects = {
        "a": occlusion.mask_effect(Reader(), picture, mask, control_seeds=range(4)),
        "b": occlusion.mask_effect(Reader(), picture, mask, control_seeds=()),
    }
    frame = occlusion.shift_frame(effects)
    assert frame[["run", "class"]].agg(" ".join, axis=1).tolist() == [
        f"{run} {name}" for run in "ab" for name in Reader.class_names
    ]
    first = frame.iloc[0]
    assert first["before"] == pytest.approx(0.8)
    assert first["shift"] == pytest.approx(-0.4)
    assert first["control"] == pytest.approx(effects["a"].controls[:, 0].mean())
    assert first["control_low"] == pytest.approx(effects["a"].controls[:, 0].min())
    assert first["control_high"] == pytest.approx(effects["a"].controls[:, 0].max())
    assert first["beyond_control"] == pytest.approx(-0.4 - effects["a"].control_shift[0])
    assert frame[frame["run"] == "b"]["control"].isna().all()
    assert frame[frame["run"] == "b"]["beyond_control"].isna().all()
    assert frame[frame["run"] == "b"]["shift"].tolist() == pytest.approx([-0.4, 0.2, 0.2])


@pytest.mark.parametrize("shape", [(48, 48), (50, 37), (5, 9), (3, 3)])
@pytest.mark.parametrize("patch", [1 / 6, 0.5, 1.0])
def test_patches_cover_the_picture_evenly_sized(shape, patch):
    stack, (rows, columns) = occlusion.patch_masks(shape, patch)
    assert len(stack) == rows * columns
    assert stack.any(axis=0).all()
    assert len(set(stack.sum(axis=(1, 2)).tolist())) == 1
    assert len({mask.tobytes() for mask in stack}) == len(stack)


def test_patches_by_hand():
    stack, grid = occlusion.patch_masks((4, 4), patch=0.5, stride=1.0)
    assert grid == (2, 2)
    assert [tuple(np.argwhere(mask)[0]) for mask in stack] == [(0, 0), (0, 2), (2, 0), (2, 2)]


def test_patch_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="patch"):
        occlusion.patch_masks((4, 4), patch=0)


def test_occlusion_map_is_high_inside_the_region_and_zero_away(picture):
    maps, grid = occlusion.occlusion_map(Reader(), picture[None], np.array([0]), fill="zero")
    assert grid == (11, 11)
    inside = np.zeros((48, 48), bool)
    inside[REGION] = True
    assert inside.flat[maps[0].argmax()]
    assert np.allclose(maps[0, :16], 0, atol=1e-6)
    # a patch of 8 x 8 inside the region of 16 x 16 hides a quarter of it: 0.8 / 4
    assert maps[0, 31, 15] == pytest.approx(0.2, abs=1e-3)


def test_occlusion_map_is_negative_for_a_class_that_gains(picture):
    maps, _ = occlusion.occlusion_map(Reader(), picture[None], np.array([1]), fill="zero")
    assert maps[0, 31, 15] == pytest.approx(-0.1, abs=1e-3)


def test_occlusion_answers_do_not_depend_on_the_batch(picture):
    images = np.stack([picture, picture // 2, picture.T])
    together, _ = occlusion.occlusion_map(Reader(), images, np.array([0, 1, 2]))
    for index in range(3):
        alone, _ = occlusion.occlusion_map(Reader(), images[index : index + 1], np.array([index]))
        assert np.array_equal(alone[0], together[index])
