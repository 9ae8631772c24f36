"""RAF-DB: both layouts are one dataset, numbers are mapped by name, and every oddity is named with file and line."""

import numpy as np
import pytest

from fer_core import datasets, faces, images
from fer_core.datasets.split import picture_digests
from fer_core.errors import DatasetError
from tests import dataset_forms as forms
from tests.test_faces import ASTRONAUT


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))


@pytest.fixture(scope="module")
def rows():
    return forms.raf_rows()


def layouts(rows) -> dict[str, dict[str, bytes]]:
    return {
        "official": forms.raf_official(rows),
        "official, list at the top, below a folder": {
            f"RAF-DB/basic/{name}": content for name, content in forms.raf_official(rows, below="").items()
        },
        "folders": forms.raf_folders(rows),
        "folders without tables": forms.raf_folders(rows, tables=False),
    }


def meant(rows) -> dict[str, tuple[str, np.ndarray]]:
    """Id -> class and pixels, by the mapping that the tests write out themselves."""
    return {row.sample_id: (forms.RAF_DB_NAMES[row.code], images.decode(forms.png(row.image, "JPEG"))) for row in rows}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", list(layouts([])))
def test_every_layout_gives_the_same_ids_names_and_colours(layout, packed, rows, tmp_path):
    members = layouts(rows)[layout]
    path = forms.write_zip(tmp_path / "a.zip", members) if packed else forms.write_folder(tmp_path / "a", members)
    report = datasets.add(path)

    assert report.name == "rafdb"
    assert report.left_out == []
    assert "The aligned faces were read." in report.notes
    wanted, seen = meant(rows), set()
    for split in datasets.load("rafdb").splits.values():
        assert split.images.shape[1:] == (32, 32, 3)
        for sample_id, image, label in zip(split.sample_ids.tolist(), split.images, split.y_true, strict=True):
            assert split.class_names[label] == wanted[sample_id][0]
            assert np.array_equal(image, wanted[sample_id][1])
            seen.add(sample_id)
    assert seen == set(wanted)


def test_all_layouts_are_one_dataset(rows, tmp_path):
    found = {
        layout: datasets.add(forms.write_folder(tmp_path / str(at), members), name=f"raf{at}").fingerprint
        for at, (layout, members) in enumerate(layouts(rows).items())
    }
    assert len(set(found.values())) == 1, found


def test_labels_are_mapped_by_name_not_by_position(tmp_path):
    surprised = forms.RafRow("train_00001", 1, forms.tinted(np.full((32, 32), 200, np.uint8)))
    afraid = forms.RafRow("test_0001", 2, forms.tinted(np.full((32, 32), 100, np.uint8)))
    for at, members in enumerate((forms.raf_official([surprised, afraid]), forms.raf_folders([surprised, afraid]))):
        datasets.add(forms.write_folder(tmp_path / str(at), members), name=f"raf{at}")
        loaded = datasets.load(f"raf{at}")
        assert loaded["train"].class_names[loaded["train"].y_true[0]] == "surprise"
        assert loaded["test"].class_names[loaded["test"].y_true[0]] == "fear"


def test_test_stays_test_and_val_comes_from_train_by_class(rows, tmp_path):
    report = datasets.add(forms.write_zip(tmp_path / "a.zip", forms.raf_official(rows)))
    loaded = datasets.load("rafdb")
    assert loaded["test"].sample_ids.tolist() == [f"test_{at:04d}" for at in range(1, 15)]
    assert np.bincount(loaded["val"].y_true).tolist() == [1] * 7
    assert np.bincount(loaded["train"].y_true).tolist() == [4] * 7
    assert all(sample_id.startswith("train_") for sample_id in loaded["val"].sample_ids)
    assert any("no validation split" in note and "seed 0" in note for note in report.notes)
    assert "subjects" not in datasets.facts("rafdb")


def test_a_picture_that_is_grey_is_kept_in_three_channels(rows, tmp_path):
    grey = [row._replace(image=np.repeat(row.image[:, :, :1], 3, axis=2)) for row in rows]
    datasets.add(forms.write_zip(tmp_path / "a.zip", forms.raf_official(grey)))
    assert datasets.load("rafdb")["test"].images.shape == (14, 32, 32, 3)


BAD_LINES = {
    "train_00003.jpg": "1 fields; expected a name and a label",
    "train_00003.jpg 1 2": "3 fields; expected a name and a label",
    "train_00003.jpg 0": "unknown label '0'; expected 1 to 7",
    "train_00003.jpg 8": "unknown label '8'; expected 1 to 7",
    "train_00003.jpg ²": "unknown label '²'; expected 1 to 7",
    "train_00003.jpg sad": "unknown label 'sad'; expected 1 to 7",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_costs_its_picture_alone_and_is_named(line, rows, tmp_path):
    members = forms.raf_official(rows)
    lines = members["EmoLabel/list_patition_label.txt"].decode().splitlines()
    assert lines[2] == "train_00003.jpg 3"
    lines[2] = line
    members["EmoLabel/list_patition_label.txt"] = "\r\n".join(["", *lines]).encode()
    report = datasets.add(forms.write_zip(tmp_path / "a.zip", members))
    assert report.left_out == [("list_patition_label.txt line 4", BAD_LINES[line])]
    assert sum(map(len, datasets.load("rafdb").splits.values())) == len(rows) - 1


def test_lines_without_picture_pictures_without_line_and_strange_names_are_named(rows, tmp_path):
    members = forms.raf_official(rows)
    del members["Image/aligned/train_00002_aligned.jpg"]
    members["Image/aligned/train_99999_aligned.jpg"] = forms.png(rows[0].image, "JPEG")
    members["Image/aligned/selfie.jpg"] = forms.png(rows[0].image, "JPEG")
    members["Image/aligned/test_0002_aligned.jpg"] = b"no picture"
    members["EmoLabel/list_patition_label.txt"] += b"train_00001.jpg 5\nportrait.jpg 5\n"
    report = datasets.add(forms.write_folder(tmp_path / "a", members))

    reasons = dict(report.left_out)
    last = len(rows)
    assert reasons.pop("list_patition_label.txt line 2") == "there is no aligned face of train_00002"
    assert reasons.pop("Image/aligned/train_99999_aligned.jpg") == "is not listed in list_patition_label.txt"
    assert "is not named as in RAF-DB" in reasons.pop("Image/aligned/selfie.jpg")
    assert "cannot be read as a picture" in reasons.pop("Image/aligned/test_0002_aligned.jpg")
    assert (
        reasons.pop(f"list_patition_label.txt line {last + 1}")
        == "train_00001 is listed already in list_patition_label.txt line 1"
    )
    assert "unknown name 'portrait.jpg'" in reasons.pop(f"list_patition_label.txt line {last + 2}")
    assert reasons == {}
    assert sum(map(len, datasets.load("rafdb").splits.values())) == len(rows) - 2


def compound(below=""):
    """RAF-DB's second subset: the same names, other pictures, labels 1 to 11."""
    compound_rows = [
        forms.RafRow(f"train_{at:05d}", at % 11 + 1, forms.tinted(np.full((32, 32), 9 * at, np.uint8)))
        for at in range(1, 23)
    ]
    return {f"{below}{name}": content for name, content in forms.raf_official(compound_rows).items()}


@pytest.mark.parametrize("below", ["", "RAF-DB/compound/"])
def test_compound_emotions_alone_are_refused_by_name(below, tmp_path):
    with pytest.raises(
        DatasetError, match=r"compound emotions: \S*list_patition_label\.txt has labels 1 to 11\. Add .*basic/"
    ):
        datasets.add(forms.write_zip(tmp_path / "a.zip", compound(below)))
    assert datasets.available() == []


@pytest.mark.parametrize(
    ("basic_in", "compound_in"),
    [("basic/", "compound/"), ("RAF-DB/basic/", "RAF-DB/b/"), ("", "compound/"), ("z/", "")],
)
def test_of_the_whole_download_basic_emotions_alone_are_read(basic_in, compound_in, rows, tmp_path):
    basic = {f"{basic_in}{name}": content for name, content in forms.raf_official(rows).items()}
    report = datasets.add(forms.write_folder(tmp_path / "both", basic | compound(compound_in)))
    alone = datasets.add(forms.write_folder(tmp_path / "alone", forms.raf_official(rows)), name="alone")
    assert report.fingerprint == alone.fingerprint
    assert report.left_out == []
    place = compound_in.rstrip("/") or "its top folder"
    told = f"Only basic emotions were read; not read: 22 pictures of compound emotions in {place}."
    assert [note for note in report.notes if "compound" in note] == [told]
    assert "The aligned faces were read." in report.notes


def test_folders_and_tables_that_disagree_are_named(rows, tmp_path):
    members = forms.raf_folders(rows)
    table = members["train_labels.csv"].decode().splitlines()
    assert table[1:4] == ["train_00001_aligned.jpg,1", "train_00002_aligned.jpg,2", "train_00003_aligned.jpg,3"]
    table[1:4] = ["train_00001_aligned.jpg,7", "train_00002_aligned.jpg,x"]  # and no line for 3
    members["train_labels.csv"] = "\n".join(table).encode()
    members["DATASET/test/4/test_0001_aligned.jpg"] = forms.png(rows[0].image, "JPEG")
    members["DATASET/train/5/again.jpg"] = forms.png(rows[0].image, "JPEG")
    report = datasets.add(forms.write_zip(tmp_path / "a.zip", members))
    assert dict(report.left_out) == {
        "DATASET/train/1/train_00001_aligned.jpg": "lies in folder 1, but train_labels.csv line 2 says 7",
        "train_labels.csv line 3": "unknown label 'x'; expected 1 to 7",
        "DATASET/train/3/train_00003_aligned.jpg": "is not listed in train_labels.csv",
        "DATASET/test/4/test_0001_aligned.jpg": "DATASET/test/1/test_0001_aligned.jpg is test_0001 already",
        "DATASET/train/5/again.jpg": "is not named as in RAF-DB (train_00001, test_0001)",
    }


def test_aligned_faces_are_preferred_and_it_is_said(rows, tmp_path):
    other = [row._replace(image=255 - row.image) for row in rows]
    both = forms.raf_official(rows) | forms.raf_official(other, "Image/original")
    report = datasets.add(forms.write_zip(tmp_path / "a.zip", both))
    alone = datasets.add(forms.write_zip(tmp_path / "b.zip", forms.raf_official(rows)), name="alone")
    assert report.fingerprint == alone.fingerprint
    assert "The aligned faces were read; not read: the original photographs in Image/original." in report.notes


def test_originals_stay_whole_or_have_the_largest_face_cut_out(tmp_path):
    photo = images.decode(ASTRONAUT)
    small = images.resize(photo, (128, 128))
    two = np.zeros((512, 640, 3), np.uint8)
    two[:, :512], two[:128, 512:] = photo, small  # a second, smaller face beside
    originals = [forms.RafRow("train_00001", 4, two), forms.RafRow("test_0001", 4, np.full((99, 99, 3), 7, np.uint8))]
    path = forms.write_zip(tmp_path / "a.zip", forms.raf_official(originals, "Image/original"))

    whole = datasets.add(path, name="whole")
    assert any("original photographs were read" in note for note in whole.notes)
    assert any("no face was cut out" in note for note in whole.notes)
    assert whole.left_out == []

    cut = datasets.add(path, name="cut", cut=faces.largest_face)
    (face,) = datasets.load("cut")["train"].images
    decoded = images.decode(forms.png(two, "JPEG"))
    large, _ = faces.detect(decoded)  # from left to right
    expected = faces.crop(decoded, large)
    assert np.array_equal(face, expected)
    assert cut.left_out == [("Image/original/test_0001.jpg", "no face was found in it")]
    assert any("largest face" in note for note in cut.notes)


def test_aligned_faces_are_never_cut_again(rows, tmp_path):
    def cut(image):
        raise AssertionError("these are faces already")

    datasets.add(forms.write_zip(tmp_path / "a.zip", forms.raf_official(rows)), cut=cut)


def test_folders_named_1_to_7_alone_are_not_rafdb(tmp_path):
    picture = forms.png(np.zeros((8, 8), np.uint8))
    members = {f"train/{code}/img_{code:05d}.png": picture for code in range(1, 8)}
    with pytest.raises(DatasetError, match="holds no dataset"):
        datasets.add(forms.write_folder(tmp_path / "a", members))


def test_class_folders_with_rafdb_names_are_read_by_their_names(rows, tmp_path):
    row = rows[0]
    members = {f"{row.split}/sad/{row.sample_id}.png": forms.png(row.image)}
    report = datasets.add(forms.write_folder(tmp_path / "a", members))
    assert report.format == "class folders"
    assert report.counts["train"]["sad"] == 1


def test_the_zips_that_rafdb_comes_with_have_to_be_unpacked_and_it_is_said(tmp_path):
    inner = forms.write_zip(tmp_path / "inner.zip", {"a.jpg": b"x"}).read_bytes()
    members = {"EmoLabel/list_patition_label.txt": b"train_00001.jpg 5\n", "Image/aligned.zip": inner}
    with pytest.raises(DatasetError, match=r"aligned\.zip: an archive inside; unpack it"):
        datasets.add(forms.write_folder(tmp_path / "a", members))


def test_a_protocol_needs_subjects(rows, tmp_path):
    path = forms.write_zip(tmp_path / "a.zip", forms.raf_official(rows))
    with pytest.raises(DatasetError, match="names no subjects"):
        datasets.add(path, protocol="frames")
    with pytest.raises(DatasetError, match="Unknown protocol 'frame'"):
        datasets.add(path, protocol="frame")
    assert datasets.available() == []


def test_digests_are_of_the_colours(rows, tmp_path):
    datasets.add(forms.write_zip(tmp_path / "a.zip", forms.raf_official(rows)))
    test = datasets.load("rafdb")["test"]
    assert len(set(picture_digests(test.images))) == 14
    assert (np.asarray(test.images)[:, :, :, 0] != np.asarray(test.images)[:, :, :, 2]).any()
