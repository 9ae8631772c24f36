"""`study masks` on the command line: right numbers, nothing done twice, clear words where it cannot be done."""

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_core import artifacts, datasets
from fer_core.__main__ import app
from fer_core.commands import study
from fer_core.datasets.split import Dataset
from fer_core.errors import ConfigError, DatasetError, RunError
from fer_core.explain import mask_study
from fer_core.explain.studies import studies_folder
from fer_core.models import registry
from fer_core.storage import sha256
from tests.mask_readers import MouthReader, pictures, store_run

DATASET = Dataset("tiny", {"test": pictures()}, "abc")


@pytest.fixture
def readers(tmp_path, monkeypatch):
    """A run with weights on the registered ``tiny``; gives the list of classifiers that were loaded."""
    loaded = []

    def load(run, tta="run"):
        loaded.append(MouthReader())
        loaded[-1].tta = tta
        return loaded[-1]

    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(datasets, "load", {"tiny": DATASET}.__getitem__)
    monkeypatch.setattr(registry, "load_classifier", load)
    store_run(tmp_path)
    return loaded


def call(*arguments):
    return CliRunner().invoke(app, ["study", "masks", *arguments])


def test_stores_the_study_of_every_run_and_says_what_it_found(readers, tmp_path):
    result = call("--controls", "2")
    assert result.exit_code == 0, result.output
    assert "The mouth mask costs most accuracy: 100.0 points [100.0, 100.0]" in result.stdout
    assert "tiny-net-s0-20260131 on tiny test, n = 40, fill zero, views none" in result.stdout
    (record,), problems = mask_study.KIND.list_records()
    assert not problems
    assert record["name"] == "masks-tiny-net-s0-20260131-test-zero"
    assert (record["tta"], record["control_seeds"], record["dataset_fingerprint"]) == ("none", [0, 1], "abc")
    study = mask_study.read_study(tmp_path / "studies" / record["name"])
    assert (study.predictions["mouth"].y_pred == 0).all()
    assert not list((tmp_path / "data" / "work" / "studies").iterdir())


@pytest.mark.parametrize(
    ("own", "asked", "averaged"),
    [("none", None, "none"), ("flip", None, "flip"), ("ten_view", None, "flip"), ("ten_view", "run", "ten_view")],
)
def test_views_are_those_of_the_run_unless_they_take_long(readers, own, asked, averaged):
    artifacts.update_run(artifacts.find_run("tiny"), {"config": {"tta": own}})
    call("--controls", "1", *(["--tta", asked] if asked else []))
    assert readers[0].tta == averaged


def test_nothing_is_done_twice_unless_asked(readers):
    call("--controls", "1")
    assert "is stored and up to date (views none, 1 random masks)" in call("--controls", "2").stdout
    assert len(readers) == 1
    assert call("tiny", "--again", "--controls", "1", "--tta", "flip").exit_code == 0
    assert mask_study.KIND.list_records()[0][0]["tta"] == "flip"


@pytest.mark.parametrize("kind", ["masks", "parts"])
def test_no_study_without_random_masks(readers, kind):
    result = CliRunner().invoke(app, ["study", kind, "--controls", "0"])
    assert result.exit_code == 2
    assert not readers


def test_other_weights_make_it_anew(readers):
    call("--controls", "1")
    run = artifacts.find_run("tiny")
    np.savez(run.weights_path, other=np.ones(1))
    artifacts.update_run(run, {"weights_sha256": sha256(run.weights_path)})
    assert mask_study.KIND.list_records()[0] == []
    assert call("--controls", "1").exit_code == 0
    assert len(mask_study.KIND.list_records()[0]) == 1


def test_interrupted_study_goes_on(readers, monkeypatch):
    monkeypatch.setattr(registry, "load_classifier", lambda run, tta: MouthReader(fail_after=80))
    assert call("--controls", "1").exit_code != 0
    assert mask_study.KIND.list_records() == ([], [])
    reader = MouthReader()
    monkeypatch.setattr(registry, "load_classifier", lambda run, tta: reader)
    assert call("--controls", "1").exit_code == 0
    assert reader.pictures == 4 * 40  # of six conditions two were done
    assert call("--again", "--controls", "1").exit_code == 0
    assert reader.pictures == 10 * 40  # finished parts are gone


def test_a_limited_study_is_printed_and_not_stored(readers, tmp_path):
    result = call("--limit", "10", "--controls", "1")
    assert result.exit_code == 0
    assert "n = 10" in result.stdout
    assert "nothing is stored" in result.stdout
    assert readers[0].pictures == 60
    assert not (tmp_path / "studies").exists()


def test_run_trained_with_a_mask_is_not_studied(readers, tmp_path):
    store_run(tmp_path, config={"mask": "eyes"}, model="masked")
    call("--controls", "1")
    assert [record["model"] for record in mask_study.KIND.list_records()[0]] == ["net"]
    error = call("tiny-masked").exception
    assert isinstance(error, ConfigError)
    assert "trained with the eyes mask" in error.problem


def test_other_pictures_under_the_name_of_the_dataset_are_refused(readers):
    artifacts.update_run(artifacts.find_run("tiny"), {"dataset_fingerprint": "def"})
    error = call("tiny").exception
    assert isinstance(error, DatasetError)
    assert "abc, not def" in error.problem
    assert mask_study.KIND.list_records()[0] == []


def test_one_run_that_fails_does_not_stop_the_others(readers, tmp_path):
    store_run(tmp_path, model="aa", dataset_fingerprint="def")
    result = call("--controls", "1")
    assert result.exit_code == 1
    assert "tiny-aa-s0-20260131 is left out: The registered tiny holds other pictures" in result.stderr
    assert [record["model"] for record in mask_study.KIND.list_records()[0]] == ["net"]


def test_run_of_some_classes_is_studied_on_these(readers, tmp_path, monkeypatch):
    class Two(MouthReader):
        class_names = ("happy", "sad")

        def predict_proba(self, images):
            return np.tile(np.array([0.7, 0.3], np.float32), (len(images), 1))

    mixed = pictures(30, labels=(0, 1, 2))
    monkeypatch.setattr(datasets, "load", {"tiny": Dataset("tiny", {"test": mixed}, "abc")}.__getitem__)
    monkeypatch.setattr(registry, "load_classifier", lambda run, tta: Two())
    artifacts.update_run(artifacts.find_run("tiny"), {"config": {"classes": ["happy", "sad"]}})
    assert call("--controls", "1").exit_code == 0
    study = mask_study.read_study(studies_folder() / mask_study.KIND.list_records()[0][0]["name"])
    assert study.record["n"] == 20
    assert study.class_names == ("happy", "sad")
    assert study.predictions["none"].y_true.tolist() == [0, 1] * 10


def test_no_run_with_weights_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    error = call().exception
    assert isinstance(error, RunError)
    assert "python -m fer_core train" in error.remedy


@pytest.mark.parametrize(
    ("stored", "layer", "options", "other"),
    [
        ({"method": "grad_cam", "model": "compact"}, "conv", None, False),
        ({"method": "grad_cam", "model": "compact"}, "another", None, True),
        ({"method": "grad_cam", "model": "ensemble"}, "conv", None, False),
        ({"method": "grad_cam", "model": "ensemble", "layer": "conv, last"}, "conv", None, True),
        ({"method": "grad_cam", "model": "ensemble", "layer": "conv, last"}, None, None, False),
        ({"method": "occlusion", "model": "compact", "layer": None}, "another", None, False),
        ({"method": "lime", "model": "compact", "layer": None}, None, {"samples": 9}, True),
        ({"method": "lime", "model": "compact", "layer": None}, None, {}, False),
        (None, "another", {"samples": 9}, False),
    ],
)
def test_studies_of_maps_are_other_ones_by_layer_and_options(stored, layer, options, other):
    record = stored and {"layer": "conv", "options": {}} | stored
    assert study.is_other(record, layer, options) is other
