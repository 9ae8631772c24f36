"""What tells a file from the same one changed: keys of the caches."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

Stamp = tuple[tuple[str, int, int], ...]
# Runs, and studies of one kind, that a cache holds: with fewer than a view shows together, each would be pushed out
# just before it is read again. Predictions of a run and a saliency study take up to 1 MB, a mask study 3 MB.
MOST_RUNS = MOST_STUDIES = 256


def stamp(*paths: Path) -> Stamp:
    """Name, time of change (ns) and size of each file: of a folder, the files right in it."""
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:  # missing, or gone since
            continue
        found.append((file.name, status.st_mtime_ns, status.st_size))
    return tuple(found)


def digest(found: Sequence[tuple[str, int, int]]) -> Stamp:
    """One entry for many files: Streamlit hashes arguments item by item, at every question."""
    return ((hashlib.sha256(repr(found).encode()).hexdigest(), 0, len(found)),)
