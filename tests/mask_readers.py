"""Classifiers whose answers under a mask are known, pictures for them, and runs and studies made of both."""

import numpy as np

from fer_core import artifacts
from fer_core.datasets.split import Split
from fer_core.explain import mask_study
from fer_core.explain.mask_study import MaskStudy
from fer_core.predictions import Predictions

CLASSES = ("angry", "happy", "sad")
SHADES = np.array([0, 100, 200])


class MouthReader:
    """The class is the shade, black, grey or bright, of the bottom half: what is hidden there reads as angry."""

    class_names = CLASSES

    def __init__(self, fail_after=None):
        self.pictures, self.fail_after = 0, fail_after

    def predict_proba(self, images):
        if self.fail_after is not None and self.pictures >= self.fail_after:
            raise KeyboardInterrupt
        self.pictures += len(images)
        mean = images[:, images.shape[1] // 2 :].mean(axis=(1, 2))
        return 0.05 + 0.85 * np.eye(3, dtype=np.float32)[np.abs(mean[:, None] - SHADES).argmin(axis=1)]


class Blind:
    """Always says happy."""

    class_names = CLASSES

    def predict_proba(self, images):
        return np.tile(np.array([0.2, 0.5, 0.3], np.float32), (len(images), 1))


def pictures(n=40, labels=(1, 2), side=16):
    """Pictures of one shade each, that of their class."""
    y_true = np.array([labels[i % len(labels)] for i in range(n)], dtype=np.int64)
    images = np.repeat(SHADES[y_true], side * side).reshape(n, side, side).astype(np.uint8)
    return Split(np.array([f"test_{i:03d}" for i in range(n)]), images, y_true, CLASSES, "abc")


def study_of(classifier, split, seeds=(0, 1), **changes):
    predictions, _ = mask_study.predict_conditions(classifier, split, seeds=seeds)
    height, width = split.images.shape[1:3]
    record = {"name": "masks-toy-test-zero", "run": "toy", "split": "test", "picture_size": [height, width]}
    record |= {"areas": mask_study.region_areas((height, width)), "control_seeds": list(seeds), "n": len(split)}
    return MaskStudy(record | changes, predictions)


def store_run(root, predicted=None, **record):
    split = pictures()
    weights = root / "w.npz"
    np.savez(weights, nothing=np.zeros(1))
    probs = MouthReader().predict_proba(split.images) if predicted is None else 0.1 + 0.7 * np.eye(3)[predicted]
    given = {"dataset": "tiny", "model": "net", "dataset_fingerprint": "abc", "date": "2026-01-31"} | record
    path = artifacts.write_run(
        given, predictions={"test": Predictions(split.sample_ids, split.y_true, probs, CLASSES)}, weights=weights,
        root=root,
    )  # fmt: skip
    return artifacts.read_run(path)


def store_study(run, root, classifier=None, seeds=(0,)):
    split = pictures()
    predictions, seconds = mask_study.predict_conditions(classifier or MouthReader(), split, seeds=seeds)
    study = mask_study.make_study(
        run, predictions, split=split, split_name="test", fill="zero", tta="none", seeds=seeds, seconds=seconds
    )
    return study, mask_study.write_study(study, root)
