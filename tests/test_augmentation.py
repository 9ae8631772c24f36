"""Random changes of training pictures are what their settings say, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from fer_core.models.preprocess import preprocess
from fer_core.training.augmentation import augment, reduced, warps
from fer_core.training.config import Augmentation


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)


def test_augmentation_off_is_the_identity(pictures):
    kept = pictures.copy()
    out = augment(pictures, 48, Augmentation(), np.random.default_rng(0))
    np.testing.assert_array_equal(out[..., 0], pictures)
    np.testing.assert_array_equal(pictures, kept)
    assert out.dtype == np.float32


def test_augmentation_flips_exactly(pictures):
    out = augment(pictures, 48, Augmentation(flip=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(out[..., 0], pictures[:, :, ::-1])


def test_augmentation_stays_in_range_and_depends_on_its_seed_alone(pictures):
    settings = Augmentation(crop=0.9, flip=0.5, rotation=15, zoom=0.2, brightness=0.5, contrast=0.5, erase=0.5)
    first, again, other = (augment(pictures, 44, settings, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (6, 44, 44, 1) and first.min() >= 0 and first.max() <= 255
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_augmentation_keeps_the_centre_where_it_is():
    image = np.zeros((1, 48, 48), np.uint8)
    image[0, 22:26, 22:26] = 255
    for seed in range(5):
        out = augment(image, 48, Augmentation(rotation=30, zoom=0.1, flip=0.5), np.random.default_rng(seed))[0, :, :, 0]
        rows, cols = np.indices(out.shape)
        centre = (rows * out).sum() / out.sum(), (cols * out).sum() / out.sum()
        np.testing.assert_allclose(centre, (23.5, 23.5), atol=0.3)


def test_only_pictures_that_shrink_much_are_smoothed(pictures):
    settings = Augmentation(crop=0.92)
    still = np.zeros_like(pictures)
    still[:, ::2] = 255  # the finest stripes there are
    kept = augment(still, 44, settings, np.random.default_rng(0))
    smoothed = augment(still, 32, settings, np.random.default_rng(0))
    assert kept[:, 10:30].std() > 1.5 * smoothed[:, 10:22].std()


def test_shifts_move_the_whole_picture_both_ways():
    """Its colours tell where a pixel was: five times the column, five times the row."""
    columns, rows = np.meshgrid(np.arange(48), np.arange(48))
    picture = np.stack([5 * columns, 5 * rows, 0 * rows], axis=2).astype(np.uint8)
    out = augment(np.tile(picture, (400, 1, 1, 1)), 48, Augmentation(shift=0.25), np.random.default_rng(0))
    inside = slice(12, 36)  # what is nearer to the border may be reflected
    moved = np.stack([columns - out[..., 0] / 5, rows - out[..., 1] / 5])[:, :, inside, inside]
    shifts = moved.mean(axis=(2, 3))
    np.testing.assert_allclose(moved, np.broadcast_to(shifts[..., None, None], moved.shape), atol=0.15)
    assert 11.5 < np.abs(shifts).max() < 12.1, "a quarter of 48 pixels"
    np.testing.assert_allclose(shifts.mean(axis=1), 0, atol=1)
    np.testing.assert_allclose(shifts.std(axis=1), 12 / 3**0.5, atol=0.5)  # of a uniform distribution
    assert abs(np.corrcoef(shifts)[0, 1]) < 0.1


def test_shifts_are_shares_of_the_side_at_any_size():
    drawn = [warps(5, 40, 60, size, Augmentation(shift=0.2), np.random.default_rng(1)) for size in (32, 64)]
    still = [warps(5, 40, 60, size, Augmentation(), np.random.default_rng(1)) for size in (32, 64)]
    shares = [(a - b)[:, :, 2] / size for a, b, size in zip(drawn, still, (32, 64), strict=True)]
    np.testing.assert_allclose(*shares)
    assert np.abs(shares[0]).max() <= 0.2


def test_shifts_leave_the_other_changes_as_they_were():
    """A training that was begun before there were shifts goes on with the pictures it would have seen."""
    settings = Augmentation(rotation=10, zoom=0.1, shear=5)
    drawn = [warps(6, 48, 48, 48, each, np.random.default_rng(3)) for each in (settings, replace(settings, shift=0.2))]
    np.testing.assert_array_equal(drawn[0][:, :, :2], drawn[1][:, :, :2])
    assert (np.abs(drawn[0][:, :, 2] - drawn[1][:, :, 2]) > 0).all()
    rng = np.random.default_rng(3)
    warps(6, 48, 48, 48, Augmentation(), rng)
    other = np.random.default_rng(3)
    for low, high in ((0, 0), (0, 0), (0, 0), (0, 0)):  # angle, zoom, and where it is cropped
        other.uniform(low, high, 6)
    other.random(6)  # flips
    assert rng.random() == other.random()


@pytest.mark.parametrize(("side", "size"), [(224, 44), (512, 48), (100, 48), (110, 96)])
def test_large_pictures_are_averaged_as_in_prediction(side, size):
    """Noise of single pixels and a slope: what is skipped instead of averaged would leave all of the noise."""
    rng = np.random.default_rng(0)
    slope = np.linspace(60, 180, side)[None, :, None]
    images = np.clip(slope + rng.normal(0, 30, (6, side, side)), 0, 255).astype(np.uint8)
    trained = augment(images, size, Augmentation(), rng)[..., 0]
    asked = preprocess(images, (size, size), 1)[..., 0]

    def noise(found):
        return (found - found.mean(axis=(0, 1))).std()

    assert noise(trained) == pytest.approx(noise(asked), rel=0.35)
    np.testing.assert_allclose(trained.mean(axis=(0, 1)), asked.mean(axis=(0, 1)), atol=3)


def test_only_much_larger_pictures_are_reduced_first(pictures):
    assert reduced(pictures[..., None], 32, Augmentation()).shape == (*pictures.shape, 1)
    wide = np.zeros((2, 480, 640, 3), np.uint8)
    assert reduced(wide, 48, Augmentation()).shape == (2, 53, 70, 3)
