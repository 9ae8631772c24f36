"""The benchmark of training chooses real faces where it can, and trains the same head both ways."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fer_core import datasets
from fer_core.datasets import synthetic

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def training(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    import training

    yield training
    for name in ("training", "training_ways", "timing"):
        sys.modules.pop(name, None)


def test_faces_are_real_only_with_weights_and_pictures(training, tmp_path, monkeypatch):
    real = synthetic.dataset(n_train=14, n_val=7, n_test=0, seed=4)
    monkeypatch.setattr(datasets, "load", lambda name: real)

    def chosen(registered):
        monkeypatch.setattr(datasets, "available", lambda: registered)
        train, val, kind = training.frozen_faces(8, 5)
        assert (len(train), len(val)) == (8, 5)
        ids = set(real["train"].sample_ids)
        return kind, set(train.sample_ids) <= ids

    monkeypatch.delenv("FER_PRETRAINED_DIR", raising=False)
    assert chosen(["fer2013"])[0] == "random"
    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path))
    assert chosen(["fer2013"])[0] == "random"
    (tmp_path / "mobilenetv2_imagenet_notop.weights.h5").touch()
    assert chosen(["rafdb"])[0] == "random"
    assert chosen(["fer2013"]) == ("imagenet", True)


@pytest.mark.slow
def test_the_head_learns_the_same_both_ways(training):
    found = training.frozen_epochs(*training.frozen_faces(140, 70), epochs=4)
    assert (found["weights"], found["faces"], found["pictures"]) == ("random", "drawn", {"train": 140, "val": 70})
    assert found["same_val_answers"] > 0.95
    assert abs(found["val_accuracy_difference"]) <= 0.05 and np.isfinite(found["ratio"])


@pytest.mark.slow
def test_every_way_trains_in_a_process_of_its_own(training):
    rates = training.images_per_second("ugwu_depth_3", 48, steps=1, rounds=2)
    assert tuple(rates) == training.WAYS and min(rates.values()) > 0
