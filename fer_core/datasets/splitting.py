"""Splits for sources that have none or lack one: stratified, seeded, and with exact copies kept together.

Where subjects are known, a subject stands in one split only, unless the leaky split by frame is asked for.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from fer_core.datasets.subjects import FRAMES, SHARES, SUBJECTS, assign, sharing

SEED = 0
HELD_OUT = 0.1


def complete(
    splits: Sequence[str | None], labels: np.ndarray, digests: np.ndarray, seed: int = SEED
) -> tuple[np.ndarray, list[str]]:
    """Give every sample a split.

    A sample's place depends on its pixels, class and ``seed`` alone, so that every form of the same pictures is split
    in the same way, and pictures that are equal pixel by pixel never part.

    Args:
        splits: train, val, test, or None for every sample where the source has no splits.
        labels: int (N,).
        digests: str (N,) of :func:`fer_core.datasets.split.picture_digests`.
        seed: another seed makes other splits.

    Returns:
        Split names str (N,), and notes that say what was made.
    """
    out = np.array([split or "train" for split in splits], dtype="U8")
    present = {split for split in splits if split}
    made = f"stratified by class, seed {seed}, equal pictures kept together"
    if present <= {"train"}:
        _move(out, "train", "test", HELD_OUT, labels, digests, seed)
        _move(out, "train", "val", HELD_OUT / (1 - HELD_OUT), labels, digests, seed + 1)
        found = "only a train split" if present else "no splits"
        return out, [f"The source has {found}: 80 % train, 10 % val and 10 % test were made, {made}."]
    if present == {"train", "val"}:
        _move(out, "val", "test", 0.5, labels, digests, seed)
        return out, [f"The source has no test split: half of its validation pictures became test, {made}."]
    if present == {"train", "test"}:
        _move(out, "train", "val", HELD_OUT, labels, digests, seed)
        return out, [f"The source has no validation split: 10 % of its train pictures became val, {made}."]
    if present != {"train", "val", "test"}:
        return out, [f"The source has only {' and '.join(sorted(present))}: good for evaluating, not for training."]
    return out, []


def by_subject(
    sample_subjects: Sequence[str], labels: np.ndarray, digests: np.ndarray, protocol: str = SUBJECTS, seed: int = SEED
) -> tuple[np.ndarray, list[str]]:
    """Give every sample of a source with known subjects a split: about 70 % train, 15 % val and 15 % test.

    Args:
        sample_subjects: who is seen in each of the N samples.
        labels: int (N,).
        digests: str (N,) of :func:`fer_core.datasets.split.picture_digests`.
        protocol: ``subjects`` keeps each subject in one split; ``frames`` draws picture by picture, as papers with
            97 to 99 % on CK+ did, and so shares subjects and sequences between the splits.
        seed: another seed makes other splits.

    Returns:
        Split names str (N,), and notes that say what was made.
    """
    if protocol != FRAMES:
        out = assign(sample_subjects, labels, seed)
        per_split = sharing(_by_split(sample_subjects, out))["per_split"]
        counted = ", ".join(f"{count} in {split}" for split, count in per_split.items())
        return out, [
            f"Split by subject, about 70/15/15, stratified by class as far as subjects permit, seed {seed}: "
            f"{counted}, none in two splits."
        ]
    out = np.full(len(labels), "train", dtype="U8")
    _move(out, "train", "test", SHARES["test"], labels, digests, seed)
    _move(out, "train", "val", SHARES["val"] / (1 - SHARES["test"]), labels, digests, seed + 1)
    found = sharing(_by_split(sample_subjects, out))
    return out, [
        f"Split by frame, 70/15/15, stratified by class, seed {seed}. This leaks: frames of one sequence stand in "
        f"several splits, and {found['shared']} of {found['n']} subjects do. Accuracies of 97-99 % on CK+ come from "
        "that; they say nothing about a person whom the model has not seen."
    ]


def _by_split(sample_subjects: Sequence[str], splits: np.ndarray) -> dict[str, np.ndarray]:
    who = np.asarray(sample_subjects, dtype=str)
    return {split: who[splits == split] for split in SHARES if (splits == split).any()}


def _move(
    splits: np.ndarray, source: str, target: str, share: float, labels: np.ndarray, digests: np.ndarray, seed: int
) -> None:
    """Move ``share`` of each class from ``source`` to ``target``, in place; at least one where one stays."""
    at = np.flatnonzero(splits == source)
    groups: dict[str, list[int]] = {}
    for position in at.tolist():
        groups.setdefault(str(digests[position]), []).append(position)
    # Copies under several labels count for their smallest label.
    strata: dict[int, list[str]] = {}
    for digest, positions in groups.items():
        strata.setdefault(min(int(labels[position]) for position in positions), []).append(digest)
    for members in strata.values():
        wanted = round(share * sum(len(groups[digest]) for digest in members))
        wanted = max(wanted, 1) if len(members) >= 2 else wanted
        moved = 0
        for digest in sorted(members, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest()):
            if moved + len(groups[digest]) > wanted:
                continue
            splits[groups[digest]] = target
            moved += len(groups[digest])
