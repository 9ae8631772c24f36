"""``python -m fer_core data``."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_core import datasets
from fer_core.commands import data
from tests import dataset_forms as forms

PIXELS = " ".join(["7"] * 2304)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))


@pytest.fixture
def damaged(tmp_path):
    """42 good rows and 12 bad ones."""
    lines = [row.csv() for row in forms.rows()]
    lines += [f"9,{PIXELS},Training"] * 11 + ["3,1 2 3,Training"]
    return forms.write_csv(tmp_path / "toy.csv", lines)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(data.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_add_shows_counts_and_what_was_left_out(damaged):
    shown = run("add", str(damaged))
    assert "toy: fer2013.csv, fingerprint" in shown
    assert shown.count("14.3") == 21  # seven classes in three splits
    assert "Left out: 12" in shown
    assert "toy.csv row 42 (line 44): unknown label '9'" in shown
    assert "and 2 more, such as 1 x unknown label '9', 1 x 3 pixels" in shown
    assert "row 53 (line 55): 3 pixels; expected 2,304" in run("inspect", "toy", "--all")


def test_inspect_list_facts_and_remove(damaged):
    run("add", str(damaged), "--name", "toy")
    inspected = run("inspect", "toy")
    assert "extra exact copies" in inspected
    assert "test pictures in no other split" in inspected
    listed = run("list")
    assert "48 x 48, grey" in listed
    assert "drawn when needed" in listed
    printed = json.loads(run("facts", "toy"))
    assert printed["totals"] == {"train": 14, "val": 14, "test": 14}
    written = run("facts", "toy", "--write").split("to ", 1)[1].strip()
    assert json.loads(Path(written).read_text(encoding="utf-8"))["fingerprint"] == printed["fingerprint"]

    refused = CliRunner().invoke(data.app, ["remove", "toy"], input="n\n")
    assert refused.exit_code == 1
    assert datasets.available() == ["toy"]
    run("remove", "toy", "--yes")
    assert datasets.available() == []
    assert "no" in run("list")  # its facts are still told


def test_inspect_of_the_drawn_set():
    assert "drawn by FERscope" in run("inspect", "drawn")
