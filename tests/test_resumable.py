"""Parts of work that was interrupted."""

import numpy as np
import pytest

from fer_core.resumable import clear_work, read_part, work_folder, write_part

ARRAYS = {"scores": np.array([0.25, 0.75]), "names": np.array(["a", "b"])}


def test_a_part_is_read_as_it_was_written_until_the_work_is_done(tmp_path):
    write_part(tmp_path / "work", "3", ARRAYS)
    found = read_part(tmp_path / "work", "3")
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert read_part(tmp_path / "work", "4") is None
    clear_work(tmp_path / "work")
    assert read_part(tmp_path / "work", "3") is None


def test_without_a_folder_nothing_is_kept():
    write_part(None, "3", ARRAYS)
    assert read_part(None, "3") is None


@pytest.mark.parametrize("kept", [0, 10, 100, -30])
def test_a_damaged_part_is_made_again(kept, tmp_path):
    write_part(tmp_path, "3", ARRAYS)
    file = tmp_path / "3.npz"
    file.write_bytes(file.read_bytes()[:kept])
    assert read_part(tmp_path, "3") is None
    write_part(tmp_path, "3", ARRAYS)
    assert np.array_equal(read_part(tmp_path, "3")["scores"], ARRAYS["scores"])


def test_a_part_with_flipped_bytes_is_made_again(tmp_path):
    write_part(tmp_path, "3", {"scores": np.zeros(500)})
    file = tmp_path / "3.npz"
    damaged = bytearray(file.read_bytes())
    damaged[2000:2100] = b"\xff" * 100
    file.write_bytes(damaged)
    assert read_part(tmp_path, "3") is None


def test_other_settings_have_another_folder(tmp_path):
    first = work_folder(tmp_path, {"folds": 3, "draws": None})
    assert first == work_folder(tmp_path, {"draws": None, "folds": 3})
    assert first != work_folder(tmp_path, {"folds": 4, "draws": None})
    assert first.parent == tmp_path
