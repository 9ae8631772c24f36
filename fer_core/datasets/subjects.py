"""Who is seen in a picture: subjects read from CK+'s file names, splits that keep a subject together, what is shared.

Frames of one sequence are nearly equal, so a split by frame tests a model on pictures that it has all but seen.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

SUBJECTS, FRAMES = "subjects", "frames"
PROTOCOLS: tuple[str, ...] = (SUBJECTS, FRAMES)
SHARES: dict[str, float] = {"train": 0.70, "val": 0.15, "test": 0.15}
_FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})", re.IGNORECASE)
_SWEEPS = 20  # passes over all subjects; three or four are enough until none moves any more


class Frame(NamedTuple):
    """A frame of a sequence of CK+: ``S010``, ``006``, 13."""

    subject: str
    sequence: str
    number: int


def parse_frame(stem: str) -> Frame | None:
    """What CK+ calls the frame of this name without suffix, else None.

    >>> parse_frame("S010_006_00000013")
    Frame(subject='S010', sequence='006', number=13)
    """
    match = _FRAME.fullmatch(stem)
    return Frame(match[1].upper(), match[2], int(match[3])) if match else None


def frame_id(frame: Frame) -> str:
    """The official name: ``S010_006_00000013``."""
    return f"{frame.subject}_{frame.sequence}_{frame.number:08d}"


def subject_of(sample_id: str) -> str:
    """Subject of a sample of CK+; "" where its id names none.

    >>> subject_of("S010_006_00000013")
    'S010'
    """
    frame = parse_frame(PurePosixPath(sample_id).name)
    return frame.subject if frame else ""


def known_subjects(sample_ids: Sequence[str]) -> np.ndarray | None:
    """Who is seen in each sample, str (N,); None unless every id names a subject."""
    found = np.array([subject_of(str(sample_id)) for sample_id in sample_ids], dtype=str)
    return found if len(found) and (found != "").all() else None


def assign(
    subjects: Sequence[str], labels: np.ndarray, seed: int = 0, shares: Mapping[str, float] = SHARES
) -> np.ndarray:
    """Split names str (N,): each subject in one split, and of every class about the wanted share in each split.

    Subjects come one by one, in an order that ``seed`` decides, to the split where they fit best, and move until none
    fits better elsewhere. How well it fits is Pearson's chi-squared of pictures per split and class against the shares.
    Subject names, class counts and ``seed`` decide alone. No split stays empty while another has two subjects or more.

    Args:
        subjects: who is seen in each of the N samples.
        labels: int (N,), the class of each.
        shares: split -> wanted share; they sum to 1.
    """
    names, member_of = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    labels = np.asarray(labels)
    counts = np.zeros((len(names), int(labels.max(initial=0)) + 1))
    np.add.at(counts, (member_of, labels), 1)
    wanted = np.outer(list(shares.values()), counts.sum(axis=0))
    place = _places(counts[:, wanted.any(axis=0)], wanted[:, wanted.any(axis=0)], _shuffled(names.tolist(), seed))
    return np.array(list(shares), dtype="U8")[place][member_of]


def sharing(sample_subjects: Mapping[str, Sequence[str]]) -> dict:
    """Subjects of each split and those that stand in several.

    Args:
        sample_subjects: split -> who is seen in each of its samples.

    Returns:
        ``n`` subjects, ``shared`` (how many of them stand in several splits), ``per_split`` (split -> subjects),
        ``across`` (split -> other split -> subjects of both).
    """
    found = {split: set(who) for split, who in sample_subjects.items()}
    everyone = set().union(*found.values())
    return {
        "n": len(everyone),
        "shared": sum(sum(name in who for who in found.values()) > 1 for name in everyone),
        "per_split": {split: len(who) for split, who in found.items()},
        "across": {
            split: {other: len(who & found[other]) for other in found if other != split} for split, who in found.items()
        },
    }


def _shuffled(names: list[str], seed: int) -> list[int]:
    """Positions in an order that depends on each name and ``seed`` alone."""
    keys = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)


def _places(counts: np.ndarray, wanted: np.ndarray, order: list[int]) -> np.ndarray:
    """Split of each subject, int64 (S,): ``counts`` (S, K) pictures per class, ``wanted`` (splits, K)."""
    place = np.full(len(counts), -1, dtype=np.int64)
    have = np.zeros_like(wanted)
    for _ in range(_SWEEPS):
        moved = False
        for at in order:
            before = place[at]
            if before >= 0:
                have[before] -= counts[at]
            # By how much chi-squared grows where the subject comes in; ties go to the first split.
            cost = (counts[at] * (counts[at] + 2 * (have - wanted)) / wanted).sum(axis=1)
            place[at] = before if before >= 0 and cost[before] <= cost.min() + 1e-9 else int(cost.argmin())
            have[place[at]] += counts[at]
            moved |= place[at] != before
        if not moved:
            break
    return _without_empty(place, counts, len(wanted), order)


def _without_empty(place: np.ndarray, counts: np.ndarray, splits: int, order: list[int]) -> np.ndarray:
    """Give every empty split, the last first, the smallest subject of the split with most subjects."""
    for split in reversed(range(splits)):
        size = np.bincount(place, minlength=splits)
        if size[split] == 0 and size.max() > 1:
            candidates = [at for at in order if place[at] == size.argmax()]
            place[min(candidates, key=lambda at: counts[at].sum())] = split
    return place
