"""What several test modules share: settings of the environment, and a workshop with a real dataset and a real run."""

import functools
import gc
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" in os.environ:  # each has a core: more threads would wait for one another
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

PROJECT = Path(__file__).resolve().parent.parent
NARROW = {"width": 12}  # of 32 channels: the same layers and grids, and maps checked three times as fast


spared = {"modules": 0}


def pytest_runtest_setup(item):
    """Streamlit and Keras collect garbage after every run of a page: libraries are spared, see pages/ui/upkeep.py."""
    if len(sys.modules) > spared["modules"] + 200:
        spared["modules"] = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def components_searched_once():
    """AppTest searches all installed packages for components each time it opens a page, which takes a while."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


class Workshop(NamedTuple):
    """Folders that FERscope is pointed at, with what is in them."""

    data: Path
    artifacts: Path
    dataset: str
    run: str

    def environment(self) -> dict[str, str]:
        return {"FER_DATA_DIR": str(self.data), "FER_ARTIFACTS_DIR": str(self.artifacts)}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Workshop:
    """A registered dataset of drawn faces, and two runs on it: a network trained for a moment, and a baseline."""
    return build_workshop(tmp_path_factory.mktemp("workshop"))


def build_workshop(folder: Path) -> Workshop:
    from PIL import Image

    from fer_core import datasets
    from fer_core.datasets import synthetic
    from fer_core.training import run as training
    from fer_core.training.config import TrainConfig

    drawn = synthetic.dataset(n_train=140, n_val=35, n_test=70, size=48, seed=3)
    for split_name, split in drawn.splits.items():
        for sample_id, image, label in zip(split.sample_ids, split.images, split.y_true, strict=True):
            path = folder / "pictures" / split_name / split.class_names[label] / f"{sample_id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    kept = {name: os.environ.get(name) for name in ("FER_DATA_DIR", "FER_ARTIFACTS_DIR")}
    os.environ |= {"FER_DATA_DIR": str(folder / "data"), "FER_ARTIFACTS_DIR": str(folder / "artifacts")}
    try:
        datasets.add(folder / "pictures", name="toy")
        toy = datasets.load("toy")
        config = TrainConfig(
            epochs=1, batch_size=35, optimizer="adam", learning_rate=2e-3, precision="float32", arguments=NARROW
        )
        path = training.train("compact", toy, config=config, work_root=folder / "work", root=folder / "artifacts")
        _write_majority_run(toy, folder / "artifacts")
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    return Workshop(folder / "data", folder / "artifacts", "toy", path.name)


def _write_majority_run(dataset, root: Path) -> None:
    """A second run, without weights: what always answering with the training shares gets."""
    import numpy as np

    from fer_core import artifacts
    from fer_core.predictions import Predictions

    train = dataset["train"]
    shares = np.bincount(train.y_true, minlength=len(train.class_names)) / len(train)
    predictions = {
        name: Predictions(split.sample_ids, split.y_true, np.tile(shares, (len(split), 1)), split.class_names)
        for name, split in dataset.splits.items()
        if name != "train"
    }
    record = {"model": "majority", "dataset": dataset.name, "dataset_fingerprint": dataset.fingerprint}
    artifacts.write_run(record, predictions=predictions, root=root)
