"""The same few pictures in every form that datasets come in, and damaged ones."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

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
