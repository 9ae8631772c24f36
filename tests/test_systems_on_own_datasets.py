"""Ugwu's and Patil's systems on what they are made for: RAF-DB and CK+ as they are passed on, but with drawn faces."""

import pytest

from fer_core import artifacts, datasets, reported
from fer_core.labels import CLASS_NAMES
from fer_core.models.specs import spec
from fer_core.training import run as training
from fer_core.verification import verify_run
from tests import dataset_forms as forms

NETWORK = {"epochs": 1, "batch_size": 16, "precision": "float32"}
RAF_DB, SEQUENCES, FOLDERS = "RAF-DB, official", "CK+, official", "CK+, class folders"


def members(layout: str) -> dict[str, bytes]:
    if layout == RAF_DB:
        return forms.raf_official(forms.raf_rows())
    drawn = forms.ck_sequences(size=48)
    return forms.ck_official(drawn) if layout == SEQUENCES else forms.ck_folders(drawn)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "layout", "changes"),
    [
        ("ugwu_depth_4", RAF_DB, NETWORK | {"input_size": 64}),
        ("patil_cnn_ckplus", SEQUENCES, NETWORK),
        ("svm_ckplus", FOLDERS, {}),
        ("svm_ckplus", SEQUENCES, {}),
    ],
)
def test_a_system_trains_on_its_papers_dataset(system, layout, changes, tmp_path, monkeypatch):
    from fer_core.models.registry import load_classifier

    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    name = datasets.add(forms.write_folder(tmp_path / "given", members(layout))).name
    dataset, config = datasets.load(name), training.recipe(system, changes)
    path = training.train(system, dataset, config=config, work_root=tmp_path / "work")
    run = artifacts.find_run(path.name)
    assert run.dataset == name == ("rafdb" if layout == RAF_DB else "ckplus")
    assert run.run["dataset_fingerprint"] == dataset.fingerprint
    assert set(run.class_names) ^ set(CLASS_NAMES) == ({"neutral", "contempt"} if name == "ckplus" else set())
    assert verify_run(run, dataset=dataset, classifier=load_classifier(run)) == []

    rows = reported.comparison_table(spec(system)["paper"], [run], "test")
    rows = rows[rows["run"] == run.name]
    assert set(rows["system"]) == {spec(system)["system"]} and set(rows["dataset"]) == {name}
    assert rows["same_data"].all(), "these numbers are judged: they are of the data that the paper's are of"
