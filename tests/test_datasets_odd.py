"""Odd sources: folders that only look like copies, names that are no UTF-8, blanks of another kind, long lists."""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core import datasets
from fer_core.commands import study
from fer_core.datasets import registry
from tests import dataset_forms as forms
from tests.test_datasets_command import run


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))


def pictures(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize("write", [forms.write_folder, forms.write_zip])
def test_a_folder_per_person_with_numbered_bitmaps_is_no_copy_of_another(write, tmp_path):
    drawn = iter(pictures(36))
    members = {
        f"{person}/{label}/{at}.bmp": forms.png(next(drawn), "BMP")
        for person in ("KA", "KL", "KM")
        for label in ("happy", "sad", "fear")
        for at in range(4)
    }
    assert len({len(content) for content in members.values()}) == 1, "all are of one size"
    report = datasets.add(write(tmp_path / "people.zip", members), name="people")
    assert sum(sum(split.values()) for split in report.counts.values()) == 36
    assert not [note for note in report.notes if "repeats" in note]
    again = members | {name.replace("KA/", "copy/KA/"): content for name, content in members.items() if "KA/" in name}
    repeated = datasets.add(write(tmp_path / "again.zip", again), name="again")
    assert sum(sum(split.values()) for split in repeated.counts.values()) == 36
    assert any("copy/KA repeats files of KA" in note for note in repeated.notes)


@pytest.mark.parametrize(
    "content", [b"damaged", forms.png(np.full((16, 16), 7, np.uint8))], ids=["damaged", "one grey"]
)
def test_a_name_that_is_no_utf8_is_stored_and_shown_with_escapes(content, tmp_path):
    folder = forms.write_folder(
        tmp_path / "old", {f"happy/{at}.png": forms.png(one) for at, one in enumerate(pictures(12))}
    )
    try:
        (folder / "happy" / os.fsdecode(b"f\xfcr.png")).write_bytes(content)
    except OSError:
        pytest.skip("This file system takes no such name.")
    report = datasets.add(folder)
    names = [where for where, _ in report.left_out] + [
        sample_id for split in datasets.load("old").splits.values() for sample_id in split.sample_ids.tolist()
    ]
    assert sum(r"happy/f\udcfcr" in name for name in names) == 1
    assert all(name.encode() for name in names)
    assert "12" in run("inspect", "old") or "13" in run("inspect", "old")


@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\x1c"])
def test_a_blank_of_another_kind_costs_no_row(blank, tmp_path):
    rows = forms.rows(per_class=2)
    lines = [row.csv() for row in rows]
    label, pixels, usage = lines[5].split(",")
    lines[5] = f"{label},{pixels.replace(' ', blank, 3)}{blank},{usage}"
    report = datasets.add(forms.write_csv(tmp_path / "toy.csv", lines))
    assert report.left_out == []
    assert sum(sum(split.values()) for split in report.counts.values()) == len(rows)


def test_inspect_counts_what_was_left_out_and_not_only_what_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "KEPT_LEFT_OUT", 15)
    lines = [row.csv() for row in forms.rows()] + ["3,1 2 3,Training"] * 40
    run("add", str(forms.write_csv(tmp_path / "toy.csv", lines)))
    assert "and 30 more, such as 5 x 3 pixels (--all lists the first 15 of all)" in run("inspect", "toy")
    every = run("inspect", "toy", "--all")
    assert every.count("3 pixels; expected 2,304") == 15
    assert "and 25 more, which are counted but not kept" in every


def test_comparing_pictures_ends_at_all_of_them(tmp_path):
    told = []
    path = forms.write_csv(tmp_path / "toy.csv", [row.csv() for row in forms.rows()])
    datasets.add(path, progress=lambda what, done, total: told.append((what, done, total)))
    assert [(done, total) for what, done, total in told if what == "Comparing pictures"][-1] == (42, 42)


def test_parts_of_a_study_are_not_those_of_the_same_pictures_in_another_order(tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(b"w")
    split = datasets.load("drawn")["test"]
    renamed = replace(split, sample_ids=np.array([f"other-{name}" for name in split.sample_ids]))
    asked = SimpleNamespace(name="run", weights_path=weights)
    assert study.work_of(asked, split, {"a": 1}) == study.work_of(asked, split, {"a": 1})
    assert study.work_of(asked, split, {"a": 1}) != study.work_of(asked, renamed, {"a": 1})
