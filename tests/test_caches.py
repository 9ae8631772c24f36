"""What is kept of computations on pictures: found, told and deleted, and nothing that stands beside it."""

import os
import subprocess
import sys
from datetime import date

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_core import caches
from fer_core.commands import data
from fer_core.errors import ConfigError
from fer_core.models import features

CACHED = {
    "backbones": {
        "work/features/0123456789abcdef-fedcba9876543210.npy": 3_000_000,
        "work/features/0123456789abcdef-fedcba9876543210.json": 20,  # how long they took
        "sweeps/s/trials/features/0123456789abcdef-0123456789abcdef.npy": 500_000,
    },
    "landmarks": {"features/landmarks.npz": 200_000},
    "face_crops": {f"face_crops/fer2013-{split}/{'0a' * 16}.npy": 1_000 for split in ("train", "val")},
}
USED = 1_750_000_000
STATE = (
    "work/fer2013-compact-s0/state.npz",
    "work/fer2013-compact-s0/best.npz",
    "work/fer2013-compact-s0/lock",
    "work/features/settings.json",
    "work/studies/masks-0123456789abcdef/none.npz",
    "sweeps/s/sweep.json",
    "sweeps/s/journal.log",
    "sweeps/s/trials/0.lock",
    "sweeps/s/trials/0/state.npz",
    "jobs/compact-fer2013/job.json",
    "jobs/compact-fer2013/log.txt",
    "fer2013/dataset.json",
    "fer2013/train_images.npy",
    "features/dataset.json",  # of a dataset that somebody has called features
    "features/train_images.npy",
    "face_crops/train_images.npy",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder with all there may be in it."""
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    sizes = {name: size for of_kind in CACHED.values() for name, size in of_kind.items()}
    for name, size in (sizes | dict.fromkeys(STATE, 10)).items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        os.utime(path, (USED, 1_700_000_000))
    return tmp_path / "data"


def left(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def cache(*arguments, **more):
    return CliRunner().invoke(data.app, ["cache", *arguments], **more)


@pytest.mark.parametrize("kind", caches.KINDS)
def test_a_kind_is_found_with_size_and_last_use(folder, kind):
    found = caches.kept(kind)
    assert {str(path.relative_to(folder)) for path in found.files} == set(CACHED[kind])
    assert found.size == sum(CACHED[kind].values())
    assert found.used == USED


@pytest.mark.parametrize("kind", caches.KINDS)
def test_one_kind_is_cleared_and_nothing_else(folder, kind):
    before = left(folder)
    assert caches.clear(kind).size == sum(CACHED[kind].values())
    assert before - left(folder) == set(CACHED[kind])
    assert caches.kept(kind) == caches.Kept((), 0, None)
    assert caches.clear(kind).files == ()


def test_unknown_kind_is_refused(folder):
    before = left(folder)
    for call in (caches.kept, caches.clear):
        with pytest.raises(ConfigError, match=r"'work'.*backbones, landmarks, face_crops"):
            call("work")
    assert left(folder) == before


def test_what_a_killed_process_left_half_written_goes_and_what_is_being_written_stays(folder):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    half, being = (folder / "features" / f".landmarks.npz.{pid}" for pid in (ended.pid, os.getpid()))
    half.write_bytes(b"half")
    being.write_bytes(b"half")
    assert half in caches.clear("landmarks").files
    assert not half.exists() and being.exists()


def test_landmarks_are_where_they_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(features.faces, "detect", lambda image: [])
    pictures = np.zeros((2, 48, 48), np.uint8)
    features.extract(pictures, ["landmarks"], cache=tmp_path / "features")
    assert caches.clear("landmarks").files == (tmp_path / "features" / "landmarks.npz",)
    features.extract(pictures, ["landmarks"], cache=tmp_path / "features")  # computed again
    assert len(caches.kept("landmarks").files) == 1


def test_command_lists_and_deletes_nothing_unasked(folder):
    before = left(folder)
    shown = cache()
    assert shown.exit_code == 0, shown.output
    rows = {line.split()[1]: line for line in shown.output.splitlines() if line.startswith("│")}
    assert list(rows) == list(caches.KINDS)
    assert all(part in rows["backbones"] for part in (" 3 ", "3.5 MB", date.fromtimestamp(USED).isoformat()))
    assert "landmarks" not in cache("backbones").output
    refused = cache("--clear", input="n\n")
    assert refused.exit_code == 1 and "Delete 3.7 MB?" in refused.output
    assert left(folder) == before


def test_command_clears_what_was_named_or_everything(folder):
    assert "Freed 0.2 MB" in cache("landmarks", "--clear", input="y\n").output
    assert not set(CACHED["landmarks"]) & left(folder)
    assert set(CACHED["backbones"]) < left(folder)
    assert "Freed 3.5 MB" in cache("--clear", "--yes").output
    assert left(folder) == set(STATE)
    again = cache("--clear")  # nothing there: nothing to ask
    assert again.exit_code == 0 and "Delete" not in again.output
    assert isinstance(cache("nothing", "--clear", "--yes").exception, ConfigError)
