"""The same few pictures in every form that datasets come in, and damaged ones."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fer_core.datasets import synthetic
from fer_core.labels import CLASS_NAMES

USAGES = ("Training", "PublicTest", "PrivateTest")
SPLITS = dict(zip(USAGES, ("train", "val", "test"), strict=True))


class Row(NamedTuple):
    number: int
    usage: str
    label: int
    image: np.ndarray

    @property
    def file(self) -> str:
        return f"{CLASS_NAMES[self.label]}/{self.usage}_{self.number:05d}.png"

    def csv(self, usage: bool = True) -> str:
        pixels = " ".join(map(str, self.image.ravel().tolist()))
        return f"{self.label},{pixels}" + (f",{self.usage}" if usage else "")


def rows(per_class: int = 2, seed: int = 0) -> list[Row]:
    """Random 48x48 pictures, every class in every split, in FER2013's order."""
    rng = np.random.default_rng(seed)
    labels = [(usage, label) for usage in USAGES for _ in range(per_class) for label in rng.permutation(7)]
    return [
        Row(number, usage, int(label), rng.integers(0, 256, (48, 48), dtype=np.uint8))
        for number, (usage, label) in enumerate(labels)
    ]


def png(image: np.ndarray, form: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, form, **options)
    return out.getvalue()


def write_csv(path: Path, lines: list[str], header: str = "emotion,pixels,Usage", newline: str = "\n") -> Path:
    path.write_bytes((newline.join([header, *lines]) + newline).encode())
    return path


def files(of_rows: list[Row], folders: dict[str, str]) -> dict[str, bytes]:
    """Relative name -> content, with one folder per usage."""
    return {f"{folders[row.usage]}/{row.file}".lstrip("/"): png(row.image) for row in of_rows}


def write_folder(path: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


KAGGLE = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
OHEIX = {"Training": "images/train", "PublicTest": "images/validation", "PrivateTest": "images/validation"}
TOOL = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FLAT = dict.fromkeys(USAGES, "")


def every_form(folder: Path, of_rows: list[Row]) -> dict[str, Path]:
    """Write ``of_rows`` in each form that keeps their splits: name of the form -> path."""
    lines = [row.csv() for row in of_rows]
    spaced = [",".join([str(row.label), row.usage, row.csv(usage=False).split(",")[1]]) for row in of_rows]
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    plain = write_csv(folder / "fer2013.csv", lines)
    oheix = files(of_rows, OHEIX)
    twice = oheix | {f"images/{name}": content for name, content in oheix.items()}
    return {
        "csv": plain,
        "csv of the challenge": write_csv(folder / "icml_face_data.csv", spaced, "emotion, Usage, pixels"),
        "csv with quotes, CRLF and BOM": write_csv(folder / "q.csv", quoted, "\ufeffemotion,pixels,Usage", "\r\n"),
        "csv in a folder": write_csv(write_folder(folder / "csv", {"readme.md": b"x"}) / "fer2013.csv", lines).parent,
        "csv in a zip": write_zip(folder / "csv.zip", {"fer2013/fer2013.csv": plain.read_bytes()}),
        "train, test": write_folder(folder / "kaggle", files(of_rows, KAGGLE)),
        "train, test in a zip": write_zip(folder / "archive.zip", files(of_rows, KAGGLE)),
        "images/train, images/validation": write_folder(folder / "oheix", oheix),
        "images/images repeats images, in a zip": write_zip(folder / "oheix.zip", twice),
        "train, validation, test": write_folder(folder / "tool", files(of_rows, TOOL)),
        "train, validation, test in a zip": write_zip(folder / "tool.zip", files(of_rows, TOOL)),
        "below another folder": write_zip(
            folder / "deep.zip", {f"a/b/{name}": content for name, content in files(of_rows, TOOL).items()}
        ),
        "one folder per class": write_folder(folder / "flat", files(of_rows, FLAT)),
        "backslashes": write_zip(
            folder / "windows.zip",
            {name.replace("/", "\\"): content for name, content in files(of_rows, TOOL).items()},
        ),
    }


# Written out here anew, so that a wrong table in the library shows.
RAF_DB_NAMES = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
CK_PLUS_NAMES = {1: "angry", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise"}


class RafRow(NamedTuple):
    sample_id: str
    code: int
    image: np.ndarray

    @property
    def split(self) -> str:
        return self.sample_id.split("_")[0]


def raf_rows(train: int = 5, test: int = 2, size: int = 32) -> list[RafRow]:
    """Drawn faces in colour, ``train`` and ``test`` of each class."""
    rng = np.random.default_rng(0)
    codes = [("train_{:05d}", at + 1, at % 7 + 1) for at in range(7 * train)]
    codes += [("test_{:04d}", at + 1, at % 7 + 1) for at in range(7 * test)]
    return [
        RafRow(form.format(number), code, tinted(synthetic.face(RAF_DB_NAMES[code], rng=rng, size=size)))
        for form, number, code in codes
    ]


def tinted(grey: np.ndarray) -> np.ndarray:
    """A grey face in skin colours: uint8 (H, W, 3)."""
    return (grey[:, :, None] * np.array([1.0, 0.8, 0.7])).astype(np.uint8)


def raf_official(of_rows: list[RafRow], pictures: str = "Image/aligned", below: str = "EmoLabel/") -> dict[str, bytes]:
    """``list_patition_label.txt`` and the pictures, as RAF-DB's authors send them."""
    ending = "_aligned.jpg" if pictures.endswith("aligned") else ".jpg"
    members = {f"{pictures}/{row.sample_id}{ending}": png(row.image, "JPEG") for row in of_rows}
    lines = "".join(f"{row.sample_id}.jpg {row.code}\n" for row in of_rows)
    return {f"{below}list_patition_label.txt": lines.encode(), **members}


def raf_folders(of_rows: list[RafRow], tables: bool = True) -> dict[str, bytes]:
    """Folders 1 to 7 below train and test, as they are passed on."""
    members = {f"DATASET/{row.split}/{row.code}/{row.sample_id}_aligned.jpg": png(row.image, "JPEG") for row in of_rows}
    for split in ("train", "test") if tables else ():
        lines = "".join(f"{row.sample_id}_aligned.jpg,{row.code}\n" for row in of_rows if row.split == split)
        members[f"{split}_labels.csv"] = b"image,label\n" + lines.encode()
    return members


class CkSequence(NamedTuple):
    subject: str
    number: int
    code: int | None
    frames: list[np.ndarray]

    @property
    def stem(self) -> str:
        return f"{self.subject}_{self.number:03d}"

    def ids(self) -> list[str]:
        return [f"{self.stem}_{at:08d}" for at in range(1, len(self.frames) + 1)]


def ck_sequences(subjects: int = 12, length: int = 5, size: int = 24) -> list[CkSequence]:
    """Drawn sequences from neutral to the peak: each subject with five of the seven classes, and one without label."""
    found = []
    for person in range(subjects):
        look = synthetic.random_look(np.random.default_rng(person))
        for number in range(1, 7):
            code = (person + number) % 7 + 1 if number < 6 else None
            # No contempt is drawn elsewhere: half a smile stands for it.
            shown = {None: "neutral", 2: "happy"}.get(code) or CK_PLUS_NAMES[code]
            peak = 0.5 if code == 2 else 1.0
            neutral = synthetic.face(shown, look=look, strength=0, size=size)
            shares = (0.6, 0.8, 1.0) if code else ()
            frames = [synthetic.face(shown, look=look, strength=share * peak, size=size) for share in shares]
            frames = [neutral] * (length - len(frames)) + frames
            frames = [np.clip(frame.astype(int) + 3 * number, 0, 255).astype(np.uint8) for frame in frames]
            found.append(CkSequence(f"S{10 + person:03d}", number, code, frames))
    return found


def ck_official(sequences: list[CkSequence]) -> dict[str, bytes]:
    """``cohn-kanade-images`` and ``Emotion``."""
    members = {}
    for sequence in sequences:
        folder = f"{sequence.subject}/{sequence.number:03d}"
        for sample_id, frame in zip(sequence.ids(), sequence.frames, strict=True):
            members[f"cohn-kanade-images/{folder}/{sample_id}.png"] = png(frame)
        if sequence.code is not None:
            label = f"   {sequence.code:.7e}\n".encode()
            members[f"Emotion/{folder}/{sequence.ids()[-1]}_emotion.txt"] = label
    return members


CK48 = {
    1: "anger",
    2: "contempt",
    3: "disgust",
    4: "fear",
    5: "happy",
    6: "sadness",
    7: "surprise",
}


def ck_folders(sequences: list[CkSequence], root: str = "CK+48") -> dict[str, bytes]:
    """The last three frames of each labelled sequence in class folders, as Kaggle's CK+48."""
    return {
        f"{root}/{CK48[sequence.code]}/{sample_id}.png": png(frame)
        for sequence in sequences
        if sequence.code is not None
        for sample_id, frame in list(zip(sequence.ids(), sequence.frames, strict=True))[-3:]
    }
