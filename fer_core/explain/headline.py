"""What several studies of hidden parts say together."""

from collections import Counter
from collections.abc import Sequence


def headline(costliest: Sequence[str], beyond: Sequence[str] | None) -> str:
    """Which part most models need most, and which one beyond its size.

    Args:
        costliest: per model the part that costs most accuracy; empty where none costs any beyond chance.
        beyond: the same, compared with random masks as large; None where not every model has them.
    """
    said = f"What costs most accuracy when hidden: {_counted(costliest)}."
    return said if beyond is None else f"{said} Beyond what random masks as large cost: {_counted(beyond)}."


def _counted(parts: Sequence[str]) -> str:
    n = len(parts)
    return ", ".join(
        f"{part or 'nothing'} for {f'all {n} models' if count == n else f'{count} of {n} models'}"
        for part, count in Counter(parts).most_common()
    )
