"""Registered datasets: add once, load in a moment, list, remove; and their facts with or without the pictures."""

import errno
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fer_core.datasets import cache, ck_plus, class_folders, fer2013_csv, raf_db, summary, synthetic
from fer_core.datasets.reading import Cut, Progress, Reader
from fer_core.datasets.split import Dataset, picture_digests
from fer_core.datasets.subjects import FRAMES, PROTOCOLS, SUBJECTS
from fer_core.datasets.tree import ARCHIVES, LeftOut, Tree, open_tree
from fer_core.errors import DatasetError, FerError
from fer_core.storage import read_json, to_json, write_directory, write_text

FORMATS = (raf_db, ck_plus, fer2013_csv, class_folders)  # those that look most closely come first
DRAWN = "drawn"
# Folders beside the registered datasets, and the dataset that needs no registering.
RESERVED = (DRAWN, "work", "jobs", "sweeps", "features", "face_crops")
KEPT_LEFT_OUT = 1000
_PROJECT = Path(__file__).resolve().parent.parent.parent
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_EXPECTED = (
    "Expected Kaggle's fer2013.csv (columns emotion, pixels, Usage), a folder of folders named after the classes "
    "(angry, disgust, fear, happy, sad, surprise, neutral), RAF-DB (list_patition_label.txt and Image/aligned, or "
    "train/1 to 7 and test/1 to 7), CK+ (CK+48, or cohn-kanade-images and Emotion), or a zip archive of one of these."
)


@dataclass(frozen=True)
class AddReport:
    """What :func:`add` found.

    Attributes:
        name: what the dataset is called from now on.
        format: the recognised format, for people.
        fingerprint: see :func:`fer_core.datasets.split.fingerprint`.
        counts: split -> class -> pictures.
        left_out: every row or file that was not used, and why.
        notes: decisions people should know: splits made, pictures resized, ...
        path: the folder it was stored in.
    """

    name: str
    format: str
    fingerprint: str
    counts: Mapping[str, Mapping[str, int]]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    path: Path | None = None


def data_dir() -> Path:
    """Folder of registered datasets: ``FER_DATA_DIR``, or ``data`` of the project."""
    return Path(os.environ.get("FER_DATA_DIR") or _PROJECT / "data")


def add(
    path: Path | str,
    *,
    name: str | None = None,
    protocol: str = SUBJECTS,
    cut: Cut | None = None,
    progress: Progress | None = None,
) -> AddReport:
    """Register a dataset: recognise its format, read it once, and store it whole or not at all.

    Args:
        path: a CSV file, a folder or a zip archive; it is not needed afterwards.
        name: what to call it; by default the known name of these very pictures (``fer2013``), else the name of the
            format (``rafdb``, ``ckplus``), else the file's.
        protocol: how pictures of known subjects (CK+) are split: ``subjects`` keeps each in one split, ``frames`` is
            the leaky split picture by picture and adds ``-frames`` to the default name.
        cut: cuts faces out of formats that hold whole photographs (:func:`fer_core.faces.largest_face`); those stay
            whole without it.
        progress: called with (what is being done, how much is done, out of how much).

    Raises:
        DatasetError: nothing usable in there, the name is taken by other pictures, there are no subjects to split by
            frame, or the disk refuses.
    """
    progress = progress or (lambda step, done, total: None)
    if name is not None:
        _check_name(name)
    if protocol not in PROTOCOLS:
        raise DatasetError(f"Unknown protocol {protocol!r}.", f"Expected one of {', '.join(PROTOCOLS)}.")
    tree = open_tree(path)
    reader = recognise(tree)
    if protocol == FRAMES and reader.subject_of is None:
        raise DatasetError(
            f"{tree.source} ({reader.format}) names no subjects, so there is no protocol to choose.",
            "Leave --protocol out: its own splits are kept, or made picture by picture.",
        )
    reader.cut = cut if reader.photographs else None
    base = data_dir()
    with _disk_errors(base):
        base.mkdir(parents=True, exist_ok=True)
        _sweep(base)
        with tempfile.TemporaryDirectory(prefix=f".adding-{os.getpid()}-", dir=base) as folder:
            return _store(Path(folder), tree, reader, name, protocol, progress)


def recognise(tree: Tree) -> Reader:
    """The reader for what is in ``tree``.

    Raises:
        DatasetError: no format fits.
    """
    for module in FORMATS:
        reader = module.find(tree)
        if reader is not None:
            return reader
    inner = [problem.where for problem in tree.problems]
    if inner and not tree.names:
        raise DatasetError(f"{tree.source} holds nothing but archives: {', '.join(inner[:3])}.", "Unpack it first.")
    if tree.source.lower().endswith(ARCHIVES) and not tree.source.lower().endswith(".zip"):
        raise DatasetError(f"{tree.source} is an archive that is not read in place.", "Unpack it and add the folder.")
    raise DatasetError(f"{tree.source} holds no dataset that FERscope knows.", _EXPECTED)


def available() -> list[str]:
    """Names of the registered datasets, sorted; :data:`DRAWN` is always to be had and not among them."""
    base = data_dir()
    if not base.is_dir():
        return []
    return sorted(path.parent.name for path in base.glob("*/dataset.json") if not path.parent.name.startswith("."))


def load(name: str) -> Dataset:
    """Open a registered dataset, or :data:`DRAWN`; its pictures stay on disk until they are looked at.

    Raises:
        DatasetError: there is none of this name, or its files are damaged.
    """
    if name == DRAWN:
        return _drawn()
    return cache.read(_folder(name))


def remove(name: str) -> None:
    """Forget a registered dataset and delete its stored form (never the files it was added from).

    Raises:
        DatasetError: there is none of this name.
    """
    folder = _folder(name)
    hidden = folder.with_name(f".removed-{os.getpid()}-{name}")
    with _disk_errors(folder):
        folder.rename(hidden)  # gone at once, even if deleting is interrupted
        shutil.rmtree(hidden)


def facts(name: str) -> dict:
    """Facts of a dataset (:func:`fer_core.datasets.summary.compute`), with or without its pictures on this machine.

    Raises:
        DatasetError: nothing is known about ``name``.
    """
    if name == DRAWN:
        return _drawn_facts()
    places = [data_dir() / name / "facts.json"] if name in available() else []
    if _NAME.fullmatch(name):
        places += [folder / f"{name}.json" for folder in _facts_folders()]
    for place in places:
        if place.is_file():
            return summary.from_record(_read(place), str(place))
    raise DatasetError(f"Nothing is known about the dataset {name!r}.", _choose())


def known() -> list[str]:
    """Names of datasets that :func:`facts` has something to say about, registered or not, sorted."""
    told = {path.stem for folder in _facts_folders() for path in folder.glob("*.json")}
    return sorted(told | set(available()) | {DRAWN})


def write_facts(name: str) -> Path:
    """Write the facts of ``name`` to ``datasets/<name>.json`` of the artifacts, to be committed.

    Raises:
        DatasetError: nothing is known about it, or the disk refuses.
    """
    path = _facts_folders()[0] / f"{name}.json"
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, to_json(summary.to_record(facts(name))))
    return path


def _store(folder: Path, tree: Tree, reader: Reader, name: str | None, protocol: str, progress: Progress) -> AddReport:
    spool = cache.Spool(folder)
    spool.fill(reader.samples(progress))
    left_out = [*tree.problems, *spool.left_out]
    if not spool.ids:
        shown = "; ".join(f"{where}: {reason}" for where, reason in left_out[:3])
        raise DatasetError(f"{tree.source} holds no usable picture ({shown or 'no rows'}).", _EXPECTED)
    by_frame = protocol == FRAMES
    format_ = reader.format + (" in a zip archive" if hasattr(tree, "archive") else "")
    info = {
        "format": format_ + (", split by frame" if by_frame else ""),
        "source": Path(tree.source).name,
        "protocol": protocol if reader.subject_of else None,
        "left_out": len(left_out),
        "left_out_list": [list(item) for item in left_out[:KEPT_LEFT_OUT]],
    }
    ready = folder / "ready"
    ready.mkdir()
    record = cache.write(ready, spool, reader, info, progress)
    suggested = (reader.suggested_name or _slug(Path(tree.source))) + (f"-{FRAMES}" if by_frame else "")
    name = name or _known_name(record["fingerprint"]) or suggested
    _refuse_taken(name, record["fingerprint"])
    (ready / "dataset.json").write_text(to_json(record), encoding="utf-8")
    dataset = _renamed(cache.read(ready), name)
    digests = {split: cache.digests(ready, split) for split in dataset.splits}
    found = summary.compute(dataset, digests, reader.subject_of)
    (ready / "facts.json").write_text(to_json(summary.to_record(found)), encoding="utf-8")
    target = write_directory(data_dir() / name, lambda new: _move_all(ready, new))
    notes = [*record["notes"], *_publish(name, record["fingerprint"])]
    return AddReport(name, record["format"], record["fingerprint"], found["counts"], left_out, notes, target)


def _move_all(source: Path, target: Path) -> None:
    for path in source.iterdir():
        path.rename(target / path.name)


def _publish(name: str, fingerprint: str) -> list[str]:
    """Tell the artifacts about a new dataset, so that runs on it know its clean test pictures; keep what they know."""
    try:
        old = _told(name)
        if old is None:
            write_facts(name)
        elif old.get("fingerprint") != fingerprint:
            return [f"The results in artifacts/ call other pictures {name}; register these under another name."]
    except FerError as error:
        return [f"Its facts were not written to the artifacts: {error.problem}"]
    return []


def _told(name: str) -> dict | None:
    """The committed facts about ``name``, as they are stored."""
    paths = [folder / f"{name}.json" for folder in _facts_folders()]
    return next((_read(path) for path in paths if path.is_file()), None)


def _known_name(fingerprint: str) -> str | None:
    """What the registered datasets or the artifacts call pictures with this fingerprint."""
    for name in [*available(), *known()]:
        try:
            if name != DRAWN and facts(name)["fingerprint"] == fingerprint:
                return name
        except FerError:
            continue
    return None


def _refuse_taken(name: str, fingerprint: str) -> None:
    if name in available():
        try:
            registered = cache.read(_folder(name)).fingerprint
        except DatasetError:
            return  # a damaged one is replaced
        if registered != fingerprint:
            raise DatasetError(
                f"Other pictures are already registered as {name!r}.",
                f"Choose another --name, or remove the old ones: python -m fer_core data remove {name}",
            )


def _renamed(dataset: Dataset, name: str) -> Dataset:
    return Dataset(name, dataset.splits, dataset.fingerprint, dataset.info)


def _folder(name: str) -> Path:
    if name not in available():
        raise DatasetError(f"There is no registered dataset {name!r}.", _choose())
    return data_dir() / name


def _choose() -> str:
    names = available()
    if not names:
        return "Register one with `python -m fer_core data add PATH`."
    return f"Choose one of {', '.join([*names, DRAWN])}, or register one with `python -m fer_core data add PATH`."


def _facts_folders() -> list[Path]:
    committed = _PROJECT / "artifacts"
    return [Path(os.environ.get("FER_ARTIFACTS_DIR") or committed) / "datasets", committed / "datasets"]


def _read(path: Path) -> dict:
    try:
        return read_json(path)
    except FerError as error:
        raise DatasetError(error.problem, error.remedy) from error


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise DatasetError(
            f"{name!r} cannot be the name of a dataset.",
            f"Use up to 64 small letters, digits, dots, dashes and underscores, and none of {', '.join(RESERVED)}.",
        )


def _slug(path: Path) -> str:
    stem = path.resolve().name if path.is_dir() else path.stem
    slug = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")[:64]
    return slug if slug and slug not in RESERVED else "dataset"


def _sweep(base: Path) -> None:
    """Remove what killed processes left behind."""
    for leftover in base.glob(".*-*-*"):
        kind, pid = leftover.name[1:].split("-")[:2]
        if kind in ("adding", "removed") and pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)


def _alive(pid: int) -> bool:
    return pid == os.getpid() or not Path("/proc/self").exists() or Path(f"/proc/{pid}").exists()


@contextmanager
def _disk_errors(where: Path):
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DatasetError(
            f"{where} cannot be written: {'the disk is full' if full else error}.",
            "Free some space, or set FER_DATA_DIR to a folder on a larger disk."
            if full
            else "Mend its permissions, or set FER_DATA_DIR to another folder.",
        ) from error


@functools.lru_cache(maxsize=1)
def _drawn() -> Dataset:
    return synthetic.dataset()


@functools.lru_cache(maxsize=1)
def _drawn_facts() -> dict:
    drawn = _drawn()
    return summary.compute(drawn, {name: picture_digests(split.images) for name, split in drawn.splits.items()})
