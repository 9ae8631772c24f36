"""Files appear whole or not at all, and a disk that refuses is told as an error with a remedy."""

import pytest

from fer_core import storage
from fer_core.errors import RunError


def test_a_written_file_makes_its_folder_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "notes.txt"
    storage.write_text(path, "straße\n")
    assert path.read_bytes() == "straße\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "table.csv"
    storage.write_text(path, "old")

    def half(file):
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"table\.csv cannot be written.*No space left.*Free disk space"):
        storage.write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_comes_up_meanwhile_is_not_replaced_unless_asked(tmp_path):
    target = tmp_path / "run"

    def fill(folder):
        (folder / "mine").touch()
        target.mkdir(exist_ok=True)
        (target / "theirs").touch()  # another process was quicker

    with pytest.raises(FileExistsError):
        storage.write_directory(target, fill, replace=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run"] and (target / "theirs").is_file()
    storage.write_directory(target, fill)
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        storage.write_text(tmp_path / "file" / "below.txt", "x")
