"""Datasets: every form gives the same pictures, damage costs the damaged row alone, storing is all or nothing."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fer_core import datasets
from fer_core.datasets import cache, registry
from fer_core.errors import DatasetError
from fer_core.labels import CLASS_NAMES
from tests import dataset_forms as forms

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))


@pytest.fixture(scope="module")
def rows():
    return forms.rows()


@pytest.fixture(scope="module")
def every_form(rows, tmp_path_factory):
    return forms.every_form(tmp_path_factory.mktemp("forms"), rows)


FORMS = (
    "csv",
    "csv of the challenge",
    "csv with quotes, CRLF and BOM",
    "csv in a folder",
    "csv in a zip",
    "train, test",
    "train, test in a zip",
    "images/train, images/validation",
    "images/images repeats images, in a zip",
    "train, validation, test",
    "train, validation, test in a zip",
    "below another folder",
    "one folder per class",
    "backslashes",
)


def test_the_list_of_forms_is_whole(every_form):
    assert set(FORMS) == set(every_form)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pictures_labels_splits_and_ids(form, every_form, rows):
    report = datasets.add(every_form[form], name="toy")
    loaded = datasets.load("toy")

    assert report.left_out == []
    assert list(loaded.splits) == ["train", "val", "test"]
    for usage, name in forms.SPLITS.items():
        wanted = [row for row in rows if row.usage == usage]
        split = loaded[name]
        assert split.sample_ids.tolist() == [f"{usage}_{row.number:05d}" for row in wanted]
        assert split.y_true.dtype == np.int64
        assert split.y_true.tolist() == [row.label for row in wanted]
        assert np.array_equal(split.images, np.stack([row.image for row in wanted]))
    expected = datasets.fingerprint(
        {name: (datasets.picture_digests(split.images), split.y_true) for name, split in loaded.splits.items()},
        CLASS_NAMES,
    )
    assert report.fingerprint == loaded.fingerprint == loaded["val"].fingerprint == expected


def test_all_forms_have_one_fingerprint(every_form):
    found = {
        form: datasets.add(path, name=f"toy{at}").fingerprint for at, (form, path) in enumerate(every_form.items())
    }
    assert len(set(found.values())) == 1, found


def test_what_was_decided_is_said(every_form):
    assert (
        "14 pictures in test folders belong to val by their file names."
        in datasets.add(every_form["train, test"]).notes
    )
    twice = datasets.add(every_form["images/images repeats images, in a zip"], name="twice")
    assert "images/images repeats files of images and was not read twice." in twice.notes
    assert twice.format == "class folders with FER2013's file names in a zip archive"


def test_pictures_stay_on_disk_until_looked_at(every_form):
    datasets.add(every_form["csv"], name="toy")
    start = time.perf_counter()
    split = datasets.load("toy")["train"]
    assert time.perf_counter() - start < 1
    assert isinstance(split.images, np.memmap)
    assert not split.images.flags.writeable


BAD_ROWS = {
    "2,303 pixels; expected 2,304": lambda row: f"3,{' '.join(['7'] * 2303)},Training",
    "2,305 pixels": lambda row: f"3,{' '.join(['7'] * 2305)},Training",
    "0 pixels": lambda row: "3,,Training",
    "unknown label '7'": lambda row: row.csv().replace(f"{row.label},", "7,", 1),
    "unknown label '-1'": lambda row: row.csv().replace(f"{row.label},", "-1,", 1),
    "unknown label '²'": lambda row: row.csv().replace(f"{row.label},", "²,", 1),
    "unknown label 'contempt'": lambda row: row.csv().replace(f"{row.label},", "contempt,", 1),
    "pixel 2 is 'x'": lambda row: f"3,1 2 x {' '.join(['7'] * 2301)},Training",
    "pixel 0 is '-3'": lambda row: f"3,-3 {' '.join(['7'] * 2303)},Training",
    "pixel 1 is '0.5'": lambda row: f"3,1 0.5 {' '.join(['7'] * 2302)},Training",
    "pixel 3 is 256": lambda row: f"3,1 2 3 256 {' '.join(['7'] * 2300)},Training",
    "pixel 0 is 99999999999999999999; expected 0 to 255": lambda row: f"3,{'9' * 20} {' '.join(['7'] * 2303)},Training",
    "unknown Usage 'Train'": lambda row: row.csv().replace("Training", "Train"),
    "2 columns; expected 3": lambda row: row.csv(usage=False),
    "columns; expected 3": lambda row: '"' + row.csv(),
    "1 columns; expected 3": lambda row: "7" * 300_000,
    "no readable text": lambda row: "\udcff" + row.csv(),
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_a_bad_row_costs_that_row_alone_and_is_named(reason, rows, tmp_path):
    lines = [row.csv() for row in rows]
    lines[5] = BAD_ROWS[reason](rows[5])
    path = tmp_path / "fer2013.csv"
    path.write_bytes("\n".join(["emotion,pixels,Usage", *lines]).encode("utf-8", "surrogateescape"))

    report = datasets.add(path)

    assert [where for where, _ in report.left_out] == ["fer2013.csv row 5 (line 7)"]
    assert reason in report.left_out[0].reason
    kept = datasets.load("fer2013")["train"]
    assert kept.sample_ids.tolist() == [f"Training_{at:05d}" for at in range(14) if at != 5]
    assert datasets.load("fer2013").info["left_out"] == 1


def test_class_names_instead_of_codes_and_blank_lines_are_read(rows, tmp_path):
    lines = [row.csv().replace(f"{row.label},", f"{CLASS_NAMES[row.label].upper()},", 1) for row in rows]
    report = datasets.add(forms.write_csv(tmp_path / "named.csv", [lines[0], "", "  ", *lines[1:]]))
    assert report.left_out == []
    assert datasets.load("named")["test"].y_true.tolist() == [row.label for row in rows if row.usage == "PrivateTest"]


def test_a_csv_without_usage_is_split_and_says_so(tmp_path):
    rows = forms.rows(per_class=10)
    path = forms.write_csv(tmp_path / "train.csv", [row.csv(usage=False) for row in rows], "emotion,pixels")
    report = datasets.add(path)
    assert report.counts["train"]["happy"] == 24
    assert report.counts["val"]["happy"] == report.counts["test"]["happy"] == 3
    assert any("stratified" in note for note in report.notes)


def test_with_several_csv_files_the_one_with_usage_is_read_and_it_is_said(rows, tmp_path):
    bundle = forms.write_zip(
        tmp_path / "challenge.zip",
        {
            "train.csv": "\n".join(["emotion,pixels", *(row.csv(usage=False) for row in rows * 2)]).encode(),
            "icml_face_data.csv": "\n".join(["emotion,pixels,Usage", *(row.csv() for row in rows)]).encode(),
            "example_submission.csv": b"usage,emotion\nx,1\n",
            "fer2013.tar.gz": b"\x1f\x8b",
        },
    )
    report = datasets.add(bundle)
    assert sum(sum(of_split.values()) for of_split in report.counts.values()) == len(rows)
    assert "Read from icml_face_data.csv; not read: example_submission.csv, train.csv." in report.notes
    assert report.left_out == [("fer2013.tar.gz", "an archive inside; unpack it and add what comes out")]


def test_bad_files_in_a_zip_are_named_and_the_rest_loads(rows, tmp_path):
    good = forms.files(rows, forms.TOOL)
    bad = {
        "train/happy/truncated.png": forms.png(rows[0].image)[:200],
        "train/happy/empty.png": b"",
        "train/happy/text.png": b"no picture",
        "train/contempt/a.png": forms.png(rows[0].image),
        "../outside/happy/a.png": forms.png(rows[0].image),
        "/absolute/happy/a.png": forms.png(rows[0].image),
        "more.zip": b"PK\x03\x04",
    }
    ignored = {"__MACOSX/train/happy/._a.png": b"x", "train/happy/.DS_Store": b"x", "train/happy/Thumbs.db": b"x"}
    report = datasets.add(forms.write_zip(tmp_path / "a.zip", good | bad | ignored))

    assert {where for where, _ in report.left_out} == set(bad)
    reasons = dict(report.left_out)
    assert reasons["train/contempt/a.png"] == "unknown class 'contempt'"
    assert "empty" in reasons["train/happy/empty.png"]
    assert "outside" in reasons["../outside/happy/a.png"]
    assert "archive inside" in reasons["more.zip"]
    assert sum(sum(of_split.values()) for of_split in report.counts.values()) == len(rows)


def test_a_member_with_damaged_bytes_is_left_out(rows, tmp_path):
    path = forms.write_zip(tmp_path / "a.zip", forms.files(rows, forms.TOOL))
    content = bytearray(path.read_bytes())
    at = content.index(b"Training_00003.png") + 200  # amid its packed pixels
    content[at : at + 20] = bytes(20)
    path.write_bytes(content)
    report = datasets.add(path)
    assert len(report.left_out) == 1
    assert report.left_out[0].where.endswith("Training_00003.png")


def test_links_to_nowhere_and_pipes_are_left_out(rows, tmp_path):
    folder = forms.write_folder(tmp_path / "a", forms.files(rows, forms.TOOL))
    (folder / "train" / "sad" / "link.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "train" / "sad" / "pipe.png")
    report = datasets.add(folder)
    assert dict(report.left_out).keys() == {"train/sad/link.png", "train/sad/pipe.png"}
    assert "not a regular file" in dict(report.left_out)["train/sad/pipe.png"]


def test_a_locked_zip_says_so(rows, tmp_path):
    path = forms.write_zip(tmp_path / "a.zip", {"happy/a.png": forms.png(rows[0].image)})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag "encrypted", in both headers
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"happy/a\.png.*password"):
        datasets.add(path)


UNUSABLE = {
    "does not exist": lambda folder, rows: folder / "nowhere.csv",
    "is empty": lambda folder, rows: forms.write_folder(folder, {"a.csv": b""}) / "a.csv",
    "holds no dataset": lambda folder, rows: forms.write_folder(folder / "none", {"a/b.png": b"x"}),
    "has the columns pixel_string, usage": lambda folder, rows: forms.write_csv(
        folder / "a.csv", ["1,2"], "pixel_string, Usage"
    ),
    "no usable picture": lambda folder, rows: forms.write_csv(folder / "a.csv", ["3,1 2 3,Training"]),
    "holds no usable picture (no rows)": lambda folder, rows: forms.write_csv(folder / "a.csv", []),
    "incomplete zip": lambda folder, rows: (
        forms.write_folder(
            folder, {"a.zip": forms.write_zip(folder / "b.zip", {"happy/a.png": b"x" * 500}).read_bytes()[:100]}
        )
        / "a.zip"
    ),
    "nothing but archives": lambda folder, rows: forms.write_zip(
        folder / "a.zip", {"inner.zip": forms.write_zip(folder / "b.zip", {"happy/a.png": b"x"}).read_bytes()}
    ),
    "claims to unpack": lambda folder, rows: _bomb(folder / "a.zip"),
    "not read in place": lambda folder, rows: forms.write_folder(folder, {"a.tar.gz": b"\x1f\x8b\x08x"}) / "a.tar.gz",
}


def _bomb(path: Path) -> Path:
    """An archive whose directory claims 4 GB for a few bytes."""
    forms.write_zip(path, {"happy/a.png": b"x"})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("problem", UNUSABLE)
def test_nothing_usable_is_an_error_with_a_remedy_and_leaves_nothing_behind(problem, rows, tmp_path):
    with pytest.raises(DatasetError) as caught:
        datasets.add(UNUSABLE[problem](tmp_path, rows))
    assert problem in caught.value.problem
    assert caught.value.remedy
    assert datasets.available() == []
    assert list(datasets.data_dir().glob("*")) == []


def test_folders_are_told_by_name_whatever_their_case_and_spelling(tmp_path):
    members = {f"{name}/{at}.png": forms.png(np.full((8, 8), at, np.uint8)) for at, name in enumerate(CLASS_NAMES)}
    renamed = {
        name.replace("angry", "Anger").replace("surprise", "SURPRISED").replace("neutral", "Normal"): content
        for name, content in members.items()
    }
    datasets.add(forms.write_folder(tmp_path / "a", renamed))
    for split in datasets.load("a").splits.values():
        for image, label in zip(split.images, split.y_true, strict=True):
            assert image[0, 0] == label


def test_ids_are_relative_paths_and_stay_unique(tmp_path):
    members = {
        name: forms.png(np.full((8, 8), at, np.uint8))
        for at, name in enumerate(["test/sad/1.png", "test/sad/deep/1.png", "test/sad/2.png", "test/sad/2.bmp"])
    }
    report = datasets.add(forms.write_folder(tmp_path / "a", members))
    ids = datasets.load("a")["test"].sample_ids.tolist()
    assert ids == ["test/sad/1", "test/sad/2.bmp", "test/sad/2.png", "test/sad/deep/1"]
    assert any("only test" in note for note in report.notes)


def test_pictures_outside_of_the_split_folders_are_left_out(tmp_path):
    picture = forms.png(np.zeros((8, 8), np.uint8))
    members = {"train/sad/1.png": picture, "test/sad/1.png": picture, "sad/1.png": picture}
    report = datasets.add(forms.write_folder(tmp_path / "a", members))
    assert report.left_out == [("sad/1.png", "lies in no split folder, while other pictures do")]


def test_mixed_sizes_and_colours_become_the_commonest_and_it_is_said(tmp_path):
    grey, colour = np.full((20, 20), 90, np.uint8), np.full((20, 20, 3), (200, 10, 10), np.uint8)
    members = {f"test/sad/{at}.png": forms.png(grey) for at in range(3)}
    members["test/sad/big.png"] = forms.png(np.full((40, 30), 90, np.uint8))
    members["test/sad/red.png"] = forms.png(colour)
    report = datasets.add(forms.write_folder(tmp_path / "a", members))
    split = datasets.load("a")["test"]
    assert split.images.shape == (5, 20, 20)
    assert (split.images[split.sample_ids == "test/sad/big"] == 90).all()
    assert (split.images[split.sample_ids == "test/sad/red"] == 67).all()  # .299 * 200 + .587 * 10 + .114 * 10
    assert "1 of 5 pictures had another size than the commonest and were resized to 20 x 20." in report.notes
    assert "1 of 5 pictures were turned grey, like the majority." in report.notes


def test_colour_is_kept_as_rgb(tmp_path):
    red = np.zeros((10, 12, 3), np.uint8)
    red[..., 0] = 255
    datasets.add(forms.write_folder(tmp_path / "a", {"test/sad/1.png": forms.png(red)}))
    assert np.array_equal(datasets.load("a")["test"].images, red[None])


def test_large_pictures_are_shrunk_on_the_way_in(tmp_path):
    report = datasets.add(
        forms.write_folder(tmp_path / "a", {"test/sad/1.png": forms.png(np.zeros((1024, 700), np.uint8))})
    )
    assert datasets.load("a")["test"].images.shape == (1, 512, 350)
    assert "1 pictures larger than 512 pixels were shrunk to that." in report.notes


def test_a_full_disk_leaves_no_half_dataset(every_form, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "save", full)
    with pytest.raises(DatasetError, match="disk is full"):
        datasets.add(every_form["csv"])
    assert datasets.available() == []
    assert list(datasets.data_dir().iterdir()) == []


def test_a_killed_add_leaves_no_half_dataset_and_is_swept_by_the_next(every_form, tmp_path):
    script = (
        "import os, sys, time\n"
        "from fer_core import datasets\n"
        "def progress(step, done, total):\n"
        "    if step == 'Storing pictures':\n"
        "        print('storing', flush=True); time.sleep(60)\n"
        "datasets.add(sys.argv[1], progress=progress)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(every_form["csv"])], cwd=PROJECT, stdout=subprocess.PIPE, env=os.environ
    )
    assert process.stdout.readline() == b"storing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(datasets.data_dir().iterdir())) == 1
    assert datasets.available() == []
    datasets.add(every_form["csv"], name="toy")
    assert [path.name for path in datasets.data_dir().iterdir()] == ["toy"]


def test_progress_runs_to_the_end_of_every_step(every_form):
    seen = {}
    for form in ("csv", "train, test"):
        datasets.add(
            every_form[form], name="toy", progress=lambda step, done, total: seen.update({step: (done, total)})
        )
    assert {"Reading rows", "Reading pictures", "Storing pictures"} <= set(seen)
    assert all(0 <= done <= total for done, total in seen.values())
    assert all(seen[step][0] == seen[step][1] for step in ("Reading rows", "Reading pictures", "Storing pictures"))


def test_other_pictures_cannot_take_a_name_but_the_same_ones_can_again(every_form, rows, tmp_path):
    first = datasets.add(every_form["csv"], name="toy")
    again = datasets.add(every_form["train, test in a zip"], name="toy")
    assert again.fingerprint == first.fingerprint
    other = forms.write_csv(tmp_path / "other.csv", [row.csv() for row in rows[:-1]])
    with pytest.raises(DatasetError, match="already registered"):
        datasets.add(other, name="toy")
    assert datasets.load("toy").fingerprint == first.fingerprint


def test_known_pictures_get_their_known_name(every_form):
    datasets.add(every_form["csv"], name="mine")
    assert datasets.add(every_form["train, test in a zip"]).name == "mine"
    datasets.remove("mine")
    assert datasets.add(every_form["backslashes"]).name == "mine"  # the artifacts still tell


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "Ä", "a" * 65, *registry.RESERVED])
def test_names_that_are_no_folder_names_are_refused(name, every_form):
    with pytest.raises(DatasetError, match="cannot be the name"):
        datasets.add(every_form["csv"], name=name)


@pytest.mark.parametrize("name", registry.RESERVED)
def test_a_file_named_as_a_folder_of_the_app_replaces_none(name, rows, tmp_path):
    other = datasets.data_dir() / name / "state.npz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"kept")
    path = forms.write_csv(tmp_path / f"{name}.csv", [row.csv() for row in rows])
    assert datasets.add(path).name == "dataset"
    assert other.read_bytes() == b"kept"


def test_remove_forgets_the_stored_form_alone(every_form):
    datasets.add(every_form["csv"], name="toy")
    datasets.remove("toy")
    assert datasets.available() == []
    assert list(datasets.data_dir().iterdir()) == []
    assert every_form["csv"].exists()
    for forget in (datasets.remove, datasets.load):
        with pytest.raises(DatasetError, match="no registered dataset 'toy'"):
            forget("toy")


@pytest.mark.parametrize("name", ["..", "../data/toy", "../../toy", "toy/../toy", "/etc", ""])
def test_names_from_outside_never_leave_the_data_folder(name, every_form):
    datasets.add(every_form["csv"], name="toy")
    datasets.data_dir().with_name("toy.json").write_text("{}")
    for use in (datasets.load, datasets.remove, datasets.facts):
        with pytest.raises(DatasetError):
            use(name)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dataset.json", b"{"),
        ("dataset.json", b"{}"),
        ("dataset.json", b"[]"),
        ("train_images.npy", b"\x93NUMPY"),
        ("train_labels.npy", None),
        ("val_ids.npy", b"PK\x03\x04"),
    ],
)
def test_a_damaged_dataset_says_how_to_mend_it(file, content, every_form):
    folder = datasets.add(every_form["csv"], name="toy").path
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        datasets.load("toy")
    assert "data remove toy" in caught.value.remedy
    datasets.add(every_form["csv"], name="toy")
    assert len(datasets.load("toy")["train"]) == 14


def test_the_drawn_dataset_is_always_there_and_never_registered():
    assert datasets.available() == []
    drawn = datasets.load("drawn")
    assert drawn.info["drawn"]
    assert datasets.facts("drawn")["drawn"]
    assert "drawn" in datasets.known()
    assert all(Counter(split.y_true.tolist()).keys() == set(range(7)) for split in drawn.splits.values())
