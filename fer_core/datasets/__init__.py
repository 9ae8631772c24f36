"""Datasets of labelled faces: registered once from any common form, then loaded in a moment; and drawn ones."""

from fer_core.datasets import synthetic
from fer_core.datasets.registry import (
    DRAWN,
    AddReport,
    add,
    available,
    data_dir,
    facts,
    known,
    load,
    remove,
    write_facts,
)
from fer_core.datasets.split import SPLIT_NAMES, Dataset, Split, fingerprint, picture_digests
from fer_core.datasets.tree import LeftOut

__all__ = [
    "DRAWN",
    "SPLIT_NAMES",
    "AddReport",
    "Dataset",
    "LeftOut",
    "Split",
    "add",
    "available",
    "data_dir",
    "facts",
    "fingerprint",
    "known",
    "load",
    "picture_digests",
    "remove",
    "synthetic",
    "write_facts",
]
