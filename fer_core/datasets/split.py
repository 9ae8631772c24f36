"""``Split`` and ``Dataset``: labelled pictures, and a fingerprint that does not depend on how they were stored."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fer_core.errors import DatasetError

SPLIT_NAMES: tuple[str, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Labelled pictures of one split, sorted by ``sample_ids``.

    Attributes:
        sample_ids: str (N,), stable names such as ``Training_00012``.
        images: uint8 (N, H, W) or (N, H, W, 3) in RGB order; may be a read-only memory map.
        y_true: int64 (N,), positions in ``class_names``.
        class_names: the K class names.
        fingerprint: of the dataset this split belongs to.
    """

    sample_ids: np.ndarray
    images: np.ndarray
    y_true: np.ndarray
    class_names: tuple[str, ...]
    fingerprint: str = ""

    def __post_init__(self) -> None:
        n = len(self.sample_ids)
        if self.images.dtype != np.uint8 or self.images.ndim not in (3, 4) or len(self.images) != n:
            raise DatasetError(
                f"Expected uint8 images ({n}, H, W) or ({n}, H, W, 3). "
                f"Received {self.images.dtype} {self.images.shape}."
            )
        if self.y_true.shape != (n,):
            raise DatasetError(f"Expected y_true ({n},). Received {self.y_true.shape}.")

    def __len__(self) -> int:
        return len(self.sample_ids)

    def take(self, where: np.ndarray) -> "Split":
        """The samples that ``where`` selects: a boolean mask (N,) or positions."""
        return Split(self.sample_ids[where], self.images[where], self.y_true[where], self.class_names, self.fingerprint)


@dataclass(frozen=True)
class Dataset:
    """A registered dataset: its splits by name, and what is known about them.

    Attributes:
        name: short name, used in run directories, e.g. ``fer2013``.
        splits: any of ``train``, ``val``, ``test``.
        fingerprint: see :func:`fingerprint`.
        info: plain facts for people: source format, how splits were made, what was left out.
    """

    name: str
    splits: Mapping[str, Split]
    fingerprint: str
    info: Mapping[str, object] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        return next(iter(self.splits.values())).class_names

    def __getitem__(self, split: str) -> Split:
        try:
            return self.splits[split]
        except KeyError:
            raise DatasetError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}.") from None


def picture_digests(images: np.ndarray) -> np.ndarray:
    """SHA-256 of each picture's shape and pixels, hex, str (N,). Equal digests mean equal pictures."""
    shape = repr(images.shape[1:]).encode()
    return np.array(
        [hashlib.sha256(shape + np.ascontiguousarray(image).tobytes()).hexdigest() for image in images], dtype="U64"
    )


def fingerprint(splits: Mapping[str, tuple[np.ndarray, np.ndarray]], class_names: tuple[str, ...]) -> str:
    """Identify a dataset by its pictures, labels and splits, whatever files they came from.

    Args:
        splits: name -> (picture digests str (N,), y_true int64 (N,)).
        class_names: names that ``y_true`` points into.

    Returns:
        First 16 hex digits of the SHA-256 over the sorted lines "split, class, digest".
    """
    lines = sorted(
        f"{name}\t{class_names[label]}\t{digest}"
        for name, (digests, y_true) in splits.items()
        for digest, label in zip(digests.tolist(), y_true.tolist(), strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
