"""Tables for people from the facts of datasets, and the samples of a class."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from fer_core.datasets.split import Split


def balance(facts: Mapping) -> pd.DataFrame:
    """One row per split and class: columns split, class, count, share (of the split, 0..1)."""
    rows = [
        {"split": split, "class": name, "count": count, "share": count / max(sum(counts.values()), 1)}
        for split, counts in facts["counts"].items()
        for name, count in counts.items()
    ]
    return pd.DataFrame(rows, columns=["split", "class", "count", "share"])


def balance_table(facts: Mapping) -> pd.DataFrame:
    """One row per class, then all: column class, and per split ``<split>`` (count) and ``<split> share`` (0..1)."""
    frame = balance(facts)
    table = pd.DataFrame({"class": [*facts["class_names"], "all"]})
    for split, rows in frame.groupby("split", sort=False):
        by_class = rows.set_index("class").reindex(facts["class_names"])
        table[str(split)] = [*by_class["count"], by_class["count"].sum()]
        table[f"{split} share"] = [*by_class["share"], by_class["share"].sum()]
    return table


def compare(several: Iterable[Mapping]) -> pd.DataFrame:
    """One row per dataset: dataset, pictures, train, val, test, size, imbalance, distinct, extra_copies, conflicting,
    test_seen (test pictures that stand in train or val too), constant, drawn."""
    rows = []
    for facts in several:
        totals, copies = facts["totals"], facts["duplicates"]
        rows.append(
            {
                "dataset": facts["name"],
                "pictures": facts["n"],
                **{split: totals.get(split) for split in ("train", "val", "test")},
                "size": " x ".join(str(side) for side in reversed(facts["image_shape"][:2])),
                "imbalance": facts["imbalance_ratio"]["all"],
                "distinct": copies["distinct"],
                "extra_copies": copies["extra_copies"],
                "conflicting": copies["conflicting_groups"],
                "test_seen": len(facts["test_not_clean"]),
                "constant": sum(len(ids) for ids in facts["constant"].values()),
                "drawn": facts["drawn"],
            }
        )
    return pd.DataFrame(rows)


def shares(several: Iterable[Mapping]) -> pd.DataFrame:
    """One row per dataset and class over all splits: columns dataset, class, count, share."""
    frames = []
    for facts in several:
        counts = balance(facts).groupby("class", sort=False)["count"].sum().reset_index()
        frames.append(counts.assign(dataset=facts["name"], share=counts["count"] / max(facts["n"], 1)))
    return pd.concat(frames, ignore_index=True)[["dataset", "class", "count", "share"]]


def leaks(facts: Mapping) -> pd.DataFrame:
    """One row per ordered pair of splits: columns split, also_in, pictures, share (of the split, 0..1)."""
    rows = [
        {"split": split, "also_in": other, "pictures": count, "share": count / max(facts["totals"][split], 1)}
        for split, others in facts["duplicates"]["across"].items()
        for other, count in others.items()
    ]
    return pd.DataFrame(rows, columns=["split", "also_in", "pictures", "share"])


def conflicts(facts: Mapping) -> pd.DataFrame:
    """Labels under which equal pictures stand, most frequent first: columns labels, groups."""
    return pd.DataFrame(list(facts["duplicates"]["conflicts"].items()), columns=["labels", "groups"])


def left_out_table(left_out: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Rows and files that were not used: columns where, reason."""
    return pd.DataFrame([tuple(item) for item in left_out], columns=["where", "reason"])


def positions_of_class(split: Split, name: str | None, seed: int | None = None) -> np.ndarray:
    """Positions int64 (M,) in ``split`` of the pictures of class ``name`` (of all for None), shuffled with a seed."""
    everything = np.arange(len(split))
    found = everything if name is None else everything[split.y_true == split.class_names.index(name)]
    return found if seed is None else np.random.default_rng(seed).permutation(found)
