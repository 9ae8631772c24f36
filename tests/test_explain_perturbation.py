"""LIME and Kernel SHAP against scikit-learn, exact Shapley values and numbers worked out by hand."""

import tracemalloc

import numpy as np
import pytest

from fer_core import masks
from fer_core.errors import ConfigError
from fer_core.explain import perturbation, saliency, shapley

SIDE = 12
REGION = (slice(4, 8), slice(8, 12))  # cell 5 of a 3 x 3 grid


class Reader:
    """Probability of 'happy' is the mean grey of one region, of 'sad' what is left."""

    class_names = ("happy", "sad")

    def __init__(self):
        self.calls = []

    def predict_proba(self, images):
        self.calls.append(len(images))
        grey = images if images.ndim == 3 else images.mean(axis=3)
        first = grey[(slice(None), *REGION)].mean(axis=(1, 2)) / 255
        return np.stack([first, 1 - first], axis=1).astype(np.float32)


class Pair(Reader):
    """'happy' needs two corners to be bright, one of them counting more: no sum of parts."""

    def predict_proba(self, images):
        one, other = images[:, :4, :4].mean(axis=(1, 2)) / 255, images[:, 8:, 8:].mean(axis=(1, 2)) / 255
        first = 0.6 * one * other + 0.3 * one + 0.1 * (images.mean(axis=(1, 2)) / 255) ** 2
        return np.stack([first, 1 - first], axis=1).astype(np.float32)


class Steep(Pair):
    """The same squared: drawn coalitions come in pairs, with which games of two players at a time are exact."""

    def predict_proba(self, images):
        first = super().predict_proba(images)[:, 0] ** 2
        return np.stack([first, 1 - first], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(120, 256, (3, SIDE, SIDE), dtype=np.uint8)


def test_masked_probabilities_are_those_of_a_loop_in_bounded_calls(pictures):
    stack = np.random.default_rng(1).random((200, SIDE, SIDE)) < 0.5
    reader, classes = Reader(), np.array([0, 1, 0])
    found = perturbation.masked_probabilities(reader, pictures, stack, classes, "mean")
    assert reader.calls == [256, 256, 88]  # 3 x 200, masks and pictures together
    for index, (picture, target) in enumerate(zip(pictures, classes, strict=True)):
        alone = reader.predict_proba(masks.apply(picture, stack, "mean"))[:, target]
        np.testing.assert_array_equal(found[index], alone)


def test_large_pictures_go_in_smaller_calls(monkeypatch, pictures):
    monkeypatch.setattr(perturbation, "CHUNK_BYTES", 10 * SIDE * SIDE)
    reader = Reader()
    perturbation.masked_probabilities(reader, pictures, np.zeros((8, SIDE, SIDE), bool), np.zeros(3, int), "zero")
    assert reader.calls == [10, 10, 4]


def test_grid_tiles_the_picture():
    cuts = perturbation.grid_segments((7, 5), 2)
    assert cuts.tolist() == [[0, 0, 0, 1, 1]] * 4 + [[2, 2, 2, 3, 3]] * 3


@pytest.mark.parametrize("method", ["lime", "kernel_shap"])
def test_only_the_cell_that_is_read_counts(pictures, method):
    found = saliency.explain(Reader(), pictures, 0, method, cells=3, fill="zero")
    assert found.grid == (3, 3)
    assert found.raw.shape == (3, 3, 3)
    assert found.values.shape == pictures.shape
    others = found.raw.reshape(3, 9)[:, [0, 1, 2, 3, 4, 6, 7, 8]]
    assert np.abs(others).max() < (1e-6 if method == "kernel_shap" else 0.005)  # a ridge spreads a little
    read = pictures[(slice(None), *REGION)].mean(axis=(1, 2)) / 255
    if method == "kernel_shap":
        np.testing.assert_allclose(found.raw[:, 1, 2], read, atol=1e-5)
    assert (found.raw[:, 1, 2] > 0.9 * read).all()
    against = saliency.explain(Reader(), pictures, 1, method, cells=3, fill="zero")
    np.testing.assert_allclose(against.raw, -found.raw, atol=1e-5)
    assert not against.values.any() or method == "lime"  # nothing speaks for the other class


def test_kernel_shap_of_few_segments_is_the_exact_shapley_value(pictures):
    cuts = perturbation.grid_segments((SIDE, SIDE), 3)
    found = saliency.explain(Pair(), pictures[:1], 0, "kernel_shap", cells=3, fill="zero")
    exact = shapley.explain(Pair(), pictures[0], {str(n): cuts == n for n in range(9)}, fill="zero")
    np.testing.assert_allclose(found.raw[0].ravel(), exact.values[:, 0], atol=1e-5)


@pytest.mark.parametrize("fill", list(masks.FILLS))
def test_segments_that_are_not_read_are_worth_nothing_whatever_hides_them(pictures, fill):
    found = saliency.explain(Reader(), pictures, 0, "kernel_shap", cells=3, fill=fill).raw.reshape(3, 9)
    assert np.abs(np.delete(found, 5, axis=1)).max() < 1e-6
    cuts = perturbation.grid_segments((SIDE, SIDE), 3)
    exact = shapley.explain(Reader(), pictures[0], {str(n): cuts == n for n in range(9)}, fill=fill)
    np.testing.assert_allclose(found[0], exact.values[:, 0], atol=1e-5)


def test_masks_of_segments_are_drawn_for_one_call_at_a_time(monkeypatch):
    """400 masks of a picture of 96 x 96 are 3.7 MB; a call holds 20."""
    picture = np.full((1, 96, 96), 200, np.uint8)
    monkeypatch.setattr(perturbation, "CHUNK_BYTES", 20 * picture.nbytes)
    tracemalloc.start()
    try:
        saliency.explain(Reader(), picture, 0, "lime", samples=400)
        saliency.explain(Reader(), picture, 0, "kernel_shap", samples=400)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 * picture.nbytes


@pytest.mark.parametrize("cells", [3, 7])
def test_drawn_shapley_values_add_up_and_come_near_the_exact_ones(pictures, cells):
    found = saliency.explain(Pair(), pictures, 0, "kernel_shap", cells=cells, samples=400, fill="blur").raw
    everything = np.ones((SIDE, SIDE), bool)
    whole, hidden = Pair().predict_proba(pictures), Pair().predict_proba(masks.apply(pictures, everything, "blur"))
    np.testing.assert_allclose(found.sum(axis=(1, 2)), (whole - hidden)[:, 0], atol=1e-5)
    if cells == 3:  # 400 of 510
        exact = saliency.explain(Pair(), pictures, 0, "kernel_shap", cells=3, samples=510, fill="blur").raw
        assert 0 < np.abs(found - exact).max() < 0.02


def test_drawn_coalitions_come_with_their_complement_in_the_sizes_of_the_kernel():
    shown, weights = perturbation.coalitions(10, 1000, seed=0)
    assert shown.shape == (1000, 10)
    assert (shown[:500] == ~shown[500:]).all()
    assert set(weights) == {1.0}
    sizes = np.bincount(shown.sum(axis=1), minlength=11)
    assert sizes[0] == sizes[10] == 0
    odds = 1 / (np.arange(1, 10) * (10 - np.arange(1, 10)))
    np.testing.assert_allclose(sizes[1:10] / 1000, odds / odds.sum(), atol=0.03)


def test_lime_is_the_ridge_regression_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    shown = perturbation.lime_samples(6, 80, seed=3)
    scores = np.random.default_rng(4).random((2, 80))
    distance = 1 - shown.sum(axis=1) / np.sqrt(shown.sum(axis=1) * 6 + 1e-30)
    weights = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    found = perturbation.lime_weights(shown, scores, 0.25, ridge=2.0)
    for row, one in zip(scores, found, strict=True):
        expected = linear_model.Ridge(alpha=2.0).fit(shown.astype(float), row, sample_weight=weights)
        np.testing.assert_allclose(one, expected.coef_, atol=1e-8)


@pytest.mark.parametrize("method", ["lime", "kernel_shap"])
def test_draws_are_seeded_and_pictures_do_not_influence_each_other(pictures, method):
    settings = {"cells": 4, "samples": 60, "fill": "zero"}
    together = saliency.explain(Steep(), pictures, [0, 1, 0], method, **settings).raw
    again = saliency.explain(Steep(), pictures, [0, 1, 0], method, **settings).raw
    other = saliency.explain(Steep(), pictures, [0, 1, 0], method, **settings, seed=1).raw
    assert np.array_equal(together, again)
    assert np.abs(together - other).max() > 1e-4
    alone = saliency.explain(Steep(), pictures[1:2], 1, method, **settings).raw
    np.testing.assert_allclose(alone[0], together[1], atol=1e-6)


@pytest.mark.parametrize("method", ["lime", "kernel_shap"])
def test_segments_of_ones_own(pictures, method):
    own = np.full((SIDE, SIDE), -1, np.int8)
    own[REGION] = 40
    own[0] = 7
    found = saliency.explain(Reader(), pictures, 0, method, segments=own, fill="zero")
    assert found.raw.shape == (3, SIDE, SIDE)
    assert (found.raw[(slice(None), *REGION)] > 0.3).all()
    assert np.abs(found.raw[:, own != 40]).max() < (1e-6 if method == "kernel_shap" else 0.005)
    assert found.grid == (2, 2)  # three segments


@pytest.mark.parametrize("colour", [False, True])
def test_slic_follows_the_edges_of_the_picture(colour):
    picture = np.full((1, 48, 48), 60, np.uint8)
    picture[0, 10:30, 20:44] = 220
    picture = np.repeat(picture[..., None], 3, axis=3) if colour else picture
    cuts = perturbation.cut("slic", picture[0], 4)
    bright = picture[0].reshape(48, 48, -1)[..., 0] > 100
    assert 4 <= cuts.max() + 1 <= 30
    assert not set(cuts[bright]) & set(cuts[~bright])
    found = saliency.explain(Large(), picture, 0, "kernel_shap", segments="slic", cells=4, fill="zero")
    assert found.raw.shape == (1, 48, 48)
    assert bright.flat[found.values[0].argmax()]
    assert found.values[0][~bright].max() < 0.2


class OnePixel(Reader):
    def predict_proba(self, images):
        first = images[:, 5, 3] / 255
        return np.stack([first, 1 - first], axis=1).astype(np.float32)


@pytest.mark.parametrize("method", ["lime", "kernel_shap"])
@pytest.mark.parametrize("segments", ["grid", "slic"])
def test_pictures_smaller_than_the_default_grid_get_one_as_fine_as_their_shorter_side(method, segments):
    small = np.random.default_rng(0).integers(120, 256, (2, 6, 5), dtype=np.uint8)
    found = saliency.explain(OnePixel(), small, 0, method, segments=segments, fill="zero")
    assert max(found.grid) <= 5 and (segments == "slic" or found.grid == (5, 5))
    assert found.values[:, 5, 3] == pytest.approx(1)
    with pytest.raises(ConfigError, match=r"2\.\.5"):
        saliency.explain(OnePixel(), small, 0, method, cells=6)
    large = perturbation.cut(segments, np.tile(small[0], (3, 3)))
    np.testing.assert_array_equal(large, perturbation.cut(segments, np.tile(small[0], (3, 3)), cells=7))


class Large(Reader):
    def predict_proba(self, images):
        grey = images if images.ndim == 3 else images.mean(axis=3)
        first = grey[:, 10:30, 20:44].mean(axis=(1, 2)) / 255
        return np.stack([first, 1 - first], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lime", {"cells": 1}),
        ("lime", {"cells": SIDE + 1}),
        ("lime", {"segments": "hexagons"}),
        ("lime", {"segments": np.zeros((SIDE, SIDE), int)}),
        ("lime", {"segments": np.zeros((5, SIDE), int)}),
        ("lime", {"samples": 1}),
        ("lime", {"width": 0}),
        ("lime", {"ridge": -1}),
        ("lime", {"fill": "lava"}),
        ("kernel_shap", {"samples": 97}),
        ("kernel_shap", {"fill": "lava"}),
        ("kernel_shap", {"segments": "hexagons"}),
    ],
)
def test_bad_settings_are_refused(pictures, method, options):
    with pytest.raises(ConfigError):
        saliency.explain(Reader(), pictures, 0, method, **options)
