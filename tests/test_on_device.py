"""Passes on an accelerator see what passes on the host see, train the same network, and go on after a break.

JAX's processor plays the accelerator: in this process for pictures and draws, in one of its own for trainings.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_core.datasets import synthetic
from fer_core.training.augmentation import augment
from fer_core.training.config import Augmentation, TrainConfig

PROJECT = Path(__file__).resolve().parent.parent
MOVED = Augmentation(crop=0.92, flip=0.5, rotation=10, zoom=0.1, shear=5, shift=0.1)
LIT = Augmentation(brightness=0.2, contrast=0.3, erase=0.5)
BATCH_OF = 20


@pytest.fixture(scope="module")
def faces():
    """Grey uint8 (20, 48, 48, 1) and coloured (20, 48, 48, 3)."""
    grey = synthetic.dataset(n_train=BATCH_OF, n_val=7, n_test=7, size=48, seed=1)["train"].images
    return {1: grey[..., None], 3: np.stack([grey, grey[::-1], 255 - grey], axis=3)}


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """What tests/device_passes.py found. Programs of XLA that run for moments only need not be fast."""
    result = tmp_path_factory.mktemp("device") / "facts.json"
    settings = {"KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-m", "tests.device_passes", str(result)]
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | settings, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(result.read_text(encoding="utf-8"))


def draws_of(pictures, size=48, epoch=0, steps=1, **settings):
    from fer_core.training.on_device import drawn

    config = TrainConfig(**({"batch_size": len(pictures), "epochs": 20} | settings))
    return drawn(pictures.shape, config, epoch, size, np.linspace(0.1, 0.2, steps))


def changed(pictures, matrices, light=None, boxes=None, size=48, smaller=False):
    import jax

    from fer_core.training.on_device import augmented

    compiled = jax.jit(augmented, static_argnums=(5, 6))  # sooner done than one operation after another
    return np.asarray(compiled(pictures, matrices, light, boxes, jax.random.key(0), size, smaller))


def still(n):
    return np.tile(np.float32([[1, 0, 0], [0, 1, 0]]), (n, 1, 1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("settings", [MOVED, Augmentation()], ids=["moved", "resized"])
@pytest.mark.parametrize(("size", "most"), [(32, 1.5), (44, 0.75), (96, 0.75)])
def test_pictures_are_those_of_opencv(faces, size, most, settings, channels):
    """OpenCV rounds to whole grey levels, at 32 pixels after its blur too."""
    draws = draws_of(faces[channels], size, augmentation=settings)
    rng = np.random.default_rng([0, 0])
    shown = faces[channels][rng.permutation(BATCH_OF)]
    np.testing.assert_array_equal(shown, faces[channels][draws.where[0]])
    expected = augment(shown, size, settings, rng)
    found = changed(shown, draws.matrices[0], size=size, smaller=size == 32)
    assert found.shape == expected.shape == (BATCH_OF, size, size, channels) and found.dtype == np.float32
    assert np.abs(found - expected).max() < most
    assert np.abs(found - expected).mean() < 0.4


def test_pictures_that_keep_their_size_stay_exactly_as_they_are(faces):
    for settings, expected in ((Augmentation(), faces[3]), (Augmentation(flip=1.0), faces[3][:, :, ::-1])):
        draws = draws_of(faces[3], augmentation=settings)
        np.testing.assert_array_equal(changed(faces[3], draws.matrices[0]), expected)


def test_light_by_hand():
    """Contrast about the mean of 100, then brightness, cut to 0..255."""
    pictures = np.uint8([[[100, 200], [0, 100]]] * 2)[..., None]
    light = np.float32([[1.5, 10], [0.5, -20]])
    found = changed(pictures, still(2), light, size=2)[..., 0]
    np.testing.assert_allclose(found, [[[110, 255], [0, 110]], [[80, 130], [30, 80]]], atol=1e-4)


def test_only_what_lies_in_a_box_is_erased(faces):
    boxes = np.int32([[10, 20, 18, 40], [0, 0, 0, 0]])
    pictures = faces[3][:2]
    found = changed(pictures, still(2), boxes=boxes)
    inside = np.zeros(pictures.shape, bool)
    inside[0, 10:18, 20:40] = True
    np.testing.assert_array_equal(found[~inside], pictures[~inside])
    noise = found[inside]
    assert (noise != pictures[inside]).mean() > 0.99
    assert noise.min() >= 0 and noise.max() <= 255 and abs(noise.mean() - 127.5) < 15 and noise.std() > 60


def test_an_epoch_shows_no_picture_twice(faces):
    draws = draws_of(faces[1], batch_size=6, steps=3)
    assert draws.where.shape == (3, 6)
    assert len(np.unique(draws.where)) == 18 and set(draws.where.flat) <= set(range(BATCH_OF))
    np.testing.assert_array_equal(draws.rates, np.float32([0.1, 0.15, 0.2]))
    assert draws.light is draws.boxes is draws.partners is draws.share is None


def test_draws_depend_on_seed_and_epoch_alone(faces):
    settings = {"batch_size": 6, "steps": 3, "augmentation": MOVED, "mixup": 0.4}
    first, again = (draws_of(faces[1], **settings, seed=2, epoch=1) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    quicker = draws_of(faces[1], **settings, seed=2, epoch=1, learning_rate=3.0, optimizer="adam")
    np.testing.assert_array_equal(first.where, quicker.where)
    np.testing.assert_array_equal(first.matrices, quicker.matrices)
    for changes in ({"seed": 3, "epoch": 1}, {"seed": 2, "epoch": 2}):
        other = draws_of(faces[1], **settings, **changes)
        for name in ("where", "matrices", "partners", "share"):
            assert (getattr(first, name) != getattr(other, name)).any(), name


def test_batches_are_numbered_through_the_training(faces):
    """Their noise hangs on it."""
    numbers = [draws_of(faces[1], batch_size=6, steps=3, epoch=epoch).number.tolist() for epoch in range(3)]
    assert numbers == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_light_and_boxes_are_drawn_as_settings_say(faces):
    pictures = np.tile(faces[1], (50, 1, 1, 1))
    draws = draws_of(pictures, size=44, augmentation=LIT)
    gain, shift = draws.light[0].T
    for values, centre, spread in ((gain, 1, 0.3), (shift, 0, 51)):
        assert np.abs(values - centre).max() <= spread * 1.0001
        np.testing.assert_allclose([values.mean(), values.std()], [centre, spread / 3**0.5], atol=0.08 * spread)
    top, left, bottom, right = draws.boxes[0].T
    erased = bottom > top
    np.testing.assert_array_equal(erased, right > left)
    assert 0.43 < erased.mean() < 0.57 and draws.boxes.min() >= 0 and draws.boxes.max() <= 44
    shares = ((bottom - top) * (right - left))[erased] / 44**2
    assert 0.015 < shares.min() < 0.03 and 0.17 < shares.max() < 0.22


def test_mixup_is_off_in_the_last_epochs(faces):
    drawn = [draws_of(faces[1], batch_size=6, steps=3, mixup=0.4, epoch=epoch) for epoch in range(20)]
    assert [bool((draws.share == 1).all()) for draws in drawn] == [False] * 17 + [True] * 3
    for draws in drawn:
        assert draws.share.min() >= 0 and draws.share.max() <= 1
        np.testing.assert_array_equal(np.sort(draws.partners, axis=1), [range(6)] * 3)


def test_a_processor_is_no_accelerator():
    import jax

    from fer_core.storage import environment

    assert jax.default_backend() == "cpu"
    assert environment()["machine"].endswith(f", {platform.system()}")


def rows(found):
    return [list(row.values()) for row in found["history"]]


def assert_same(found, expected, rtol, atol):
    """History, weights that are kept, and the whole state at the end: weights, statistics, momenta, learning rate."""
    assert [list(row) for row in found["history"]] == [list(row) for row in expected["history"]]
    np.testing.assert_allclose(rows(found), rows(expected), rtol=rtol)
    for part in ("weights", "state"):
        assert found[part].keys() == expected[part].keys()
        for name, values in expected[part].items():
            np.testing.assert_allclose(found[part][name], values, rtol=rtol, atol=atol, err_msg=f"{part} {name}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "weighted"])
def test_host_and_device_train_the_same_network(facts, name):
    host, device = (facts["agreement"][f"{name} {who}"] for who in ("host", "device"))
    assert len(host["history"]) == 3
    assert_same(device, host, rtol=1e-4, atol=1e-4)
    losses = [row["loss"] for row in host["history"]]
    assert max(losses) - min(losses) > 0.02, "it learns something, or agreement would mean nothing"
    assert len({row["learning_rate"] for row in host["history"]}) == 3


@pytest.mark.slow
def test_class_weights_count(facts):
    first = [facts["agreement"][f"{name} device"]["history"][0]["loss"] for name in ("plain", "weighted")]
    assert abs(first[0] - first[1]) > 0.005


@pytest.mark.slow
def test_calibration_is_that_of_the_host(facts):
    found = facts["calibration"]
    for given, host, device in zip(found["given"], found["host"], found["device"], strict=True):
        np.testing.assert_allclose(device, host, rtol=1e-4, atol=1e-5)
        assert given == device or np.shape(given) == (8,), "only statistics of the 8 filters change"
    assert sum(given != device for given, device in zip(found["given"], found["device"], strict=True)) == 2
    assert found["momenta"] == [0.9] and found["own_kept"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "saved", "left"), [("seldom", [3], [4, 5, 6, 7]), ("always", [1, 2, 3, 4, 5], [6, 7])]
)
def test_a_broken_training_goes_on_from_what_was_saved(facts, name, saved, left):
    """Pictures, light, noise, partners of mixup and dropout are those of the unbroken one."""
    found = facts["interruption"]
    assert (found[f"{name} killed"]["seen"], found[f"{name} killed"]["saved"]) == ([1, 2, 3, 4, 5], saved)
    assert found[f"{name} resumed"]["seen"] == left
    assert_same(found[f"{name} resumed"], found["whole"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_state_is_saved_every_twenty_seconds_and_at_the_end(facts):
    """By a clock on which a pass takes eight; no epoch is better than the first, so the end is not for its weights."""
    whole = facts["interruption"]["whole"]
    assert whole["saved"] == [3, 6, 7]
    assert {row["val_accuracy"] for row in whole["history"]} == {1 / 7}


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_training(facts):
    found = facts["breakdown"]
    assert "The loss became nan in epoch 2." in found["error"]
    assert found["told"] == [found["steps"]] == [3]


@pytest.mark.slow
def test_what_cannot_lie_in_the_accelerator_is_trained_from_the_host(facts):
    assert facts["who_trains"] == {
        "usual": "DevicePasses",
        "just fits": "DevicePasses",
        "too large": "HostPasses",
        "head": "HostPasses",
        "no accelerator": "HostPasses",
    }


@pytest.mark.slow
def test_grey_pictures_get_three_channels_and_noise_of_three_colours(facts):
    found = facts["colours"]
    pixels, pictures = np.array(found["pixels"]), np.array(found["pictures"])[..., None]
    rows, columns = np.arange(16)[None, :, None], np.arange(16)[None, None, :]
    top, left, bottom, right = np.array(found["boxes"]).T[..., None, None]
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    assert pixels.shape == (32, 16, 16, 3) and inside.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(pixels[~inside], np.broadcast_to(pictures, pixels.shape)[~inside])
    assert (np.ptp(pixels[inside], axis=1) > 0).mean() > 0.99
    np.testing.assert_allclose(np.max(found["targets"], axis=1), 0.9 + 0.1 / 7, rtol=1e-6)
    assert np.argmax(found["targets"], axis=1).tolist() == found["labels"]


@pytest.mark.slow
def test_nothing_stays_in_the_accelerator_when_a_training_is_over(facts):
    assert facts["leftovers"] == 0


@pytest.mark.slow
def test_answers_are_compiled_for_any_batch_and_thread(facts):
    found = facts["answers"]
    assert found["shape"] == [3, 7] and found["spread"] > 0.05, "answers that differ between the pictures"
    assert set(found["far"]) == {"1", "3", "32", "40"} and max(*found["far"].values(), found["threads"]) < 1e-5
