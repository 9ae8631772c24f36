"""The compact form of a registered dataset: one folder of plain arrays, memory-mapped when read.

``<name>/dataset.json`` says what it is; ``<split>_images.npy`` uint8 (N, H, W) or (N, H, W, 3), ``<split>_labels.npy``
int64 (N,), ``<split>_ids.npy`` str (N,) and ``<split>_digests.npy`` uint8 (N, 32), each sorted by id; ``facts.json``.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fer_core import images
from fer_core.datasets import splitting
from fer_core.datasets.reading import Progress, Reader, Sample
from fer_core.datasets.split import SPLIT_NAMES, Dataset, Split, fingerprint, picture_digests
from fer_core.datasets.tree import LeftOut
from fer_core.errors import DatasetError

SCHEMA_VERSION = 1
_REPORT_EVERY = 500
_CHUNK = 256


class Spool:
    """Pictures of any size on their way into the cache: their pixels on disk, the rest in memory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pixels"
        self.ids: list[str] = []
        self.splits: list[str | None] = []
        self.labels: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        self.offsets: list[int] = []
        self.left_out: list[LeftOut] = []

    def fill(self, samples: Iterable[Sample | LeftOut]) -> None:
        """Take in everything a reader yields."""
        end = 0
        with open(self.path, "wb") as file:
            for sample in samples:
                if isinstance(sample, LeftOut):
                    self.left_out.append(sample)
                    continue
                self.ids.append(sample.sample_id)
                self.splits.append(sample.split)
                self.labels.append(sample.label)
                self.shapes.append(sample.image.shape)
                self.offsets.append(end)
                end += file.write(np.ascontiguousarray(sample.image).data)

    def common_shape(self) -> tuple[tuple[int, ...], list[str]]:
        """The commonest size with the commonest colour, and notes on what has to be changed to get there."""
        sizes = Counter(shape[:2] for shape in self.shapes)
        coloured = sum(len(shape) == 3 for shape in self.shapes)
        height, width = max(sizes, key=lambda size: (sizes[size], size))
        total, notes = len(self.shapes), []
        if others := total - sizes[height, width]:
            notes.append(
                f"{others:,} of {total:,} pictures had another size than the commonest and were resized to "
                f"{width} x {height}."
            )
        colour = coloured * 2 > total
        if 0 < coloured < total:
            changed, to = (total - coloured, "stored as RGB") if colour else (coloured, "turned grey")
            notes.append(f"{changed:,} of {total:,} pictures were {to}, like the majority.")
        return (height, width, 3) if colour else (height, width), notes

    def picture(self, file: BinaryIO, at: int, shape: tuple[int, ...]) -> np.ndarray:
        """Picture ``at``, read back and brought to ``shape``."""
        stored = self.shapes[at]
        file.seek(self.offsets[at])
        image = np.frombuffer(file.read(int(np.prod(stored))), np.uint8).reshape(stored)
        if stored == shape:
            return image
        if len(shape) == 2:
            image = images.to_grey(image)
        elif image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        return images.resize(image, shape[:2])


def write(folder: Path, spool: Spool, reader: Reader, info: dict, progress: Progress) -> dict:
    """Write the arrays of everything in ``spool`` into ``folder``; returns the record for ``dataset.json``.

    ``reader`` says what the labels mean and who is seen; ``info["protocol"]`` how known subjects are split.

    Plain writes rather than memory maps: on a full disk they raise instead of killing the process.
    """
    shape, notes = spool.common_shape()
    order = sorted(range(len(spool.ids)), key=spool.ids.__getitem__)
    labels = np.array(spool.labels, dtype=np.int64)
    digests = np.empty(len(order), dtype="U64")
    with open(spool.path, "rb") as pixels:
        for start in range(0, len(order), _CHUNK):
            chunk = order[start : start + _CHUNK]
            digests[chunk] = picture_digests(np.stack([spool.picture(pixels, at, shape) for at in chunk]))
            progress("Comparing pictures", start + len(chunk), len(order))
        if reader.subject_of is None:
            splits, made = splitting.complete(spool.splits, labels, digests)
        else:
            who = [reader.subject_of(sample_id) for sample_id in spool.ids]
            splits, made = splitting.by_subject(who, labels, digests, info["protocol"])
        members = {name: [at for at in order if splits[at] == name] for name in SPLIT_NAMES}
        members = {name: at for name, at in members.items() if at}
        done = 0
        for name, at in members.items():
            with open(folder / f"{name}_images.npy", "wb") as out:
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(at), *shape)}
                np.lib.format.write_array_header_1_0(out, header)
                for position in at:
                    out.write(spool.picture(pixels, position, shape).tobytes())
                    done += 1
                    if done % _REPORT_EVERY == 0:
                        progress("Storing pictures", done, len(order))
            np.save(folder / f"{name}_labels.npy", labels[at])
            np.save(folder / f"{name}_ids.npy", np.array([spool.ids[position] for position in at], dtype=str))
            raw = np.frombuffer(bytes.fromhex("".join(digests[at].tolist())), np.uint8).reshape(-1, 32)
            np.save(folder / f"{name}_digests.npy", raw)
    progress("Storing pictures", len(order), len(order))
    found = fingerprint({name: (digests[at], labels[at]) for name, at in members.items()}, reader.class_names)
    return {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": found,
        "class_names": list(reader.class_names),
        "splits": {name: len(at) for name, at in members.items()},
        **info,
        "notes": [*reader.notes, *notes, *made],
    }


def read(folder: Path) -> Dataset:
    """Open a folder that :func:`write` filled; the pictures stay on disk until they are looked at.

    Raises:
        DatasetError: a file is missing, damaged or does not fit the others.
    """
    remedy = f"Remove it (`python -m fer_core data remove {folder.name}`) and add the dataset again."
    try:
        record = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        if record["schema_version"] != SCHEMA_VERSION:
            raise DatasetError(f"{folder} was written by another version of FERscope.", remedy)
        class_names, found = tuple(record["class_names"]), record["fingerprint"]
        splits = {}
        for name, n in record["splits"].items():
            ids, pictures, labels = (_array(folder, name, part) for part in ("ids", "images", "labels"))
            if len(pictures) != n or (n and not 0 <= labels.min() <= labels.max() < len(class_names)):
                raise DatasetError(f"{folder}: the arrays of {name} do not fit dataset.json.", remedy)
            splits[name] = Split(ids, pictures, labels, class_names, found)
        info = {key: record.get(key) for key in ("format", "source", "protocol", "notes", "left_out", "left_out_list")}
        return Dataset(folder.name, splits, found, {**info, "drawn": False})
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DatasetError(f"{folder} is damaged: {error}.", remedy) from error


def digests(folder: Path, split: str) -> np.ndarray:
    """Picture digests of a split: bytes (N,), 32 each."""
    return np.ascontiguousarray(_array(folder, split, "digests")).view("V32").ravel()


def _array(folder: Path, split: str, part: str) -> np.ndarray:
    path = folder / f"{split}_{part}.npy"
    if part == "images":
        return np.lib.format.open_memmap(path, mode="r")
    with open(path, "rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
