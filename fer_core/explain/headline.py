"""What several studies of hidden parts say together."""

from collections import Counter
from collections.abc import Callable, Sequence

from fer_core.explain.ranking import Ranking

NOTHING, UNDECIDED = "nothing", "undecided"


def leader(ranking: Ranking, title: Callable[[str], str] = str) -> str:
    """What costs most by a ranking of costs; :data:`NOTHING` where none costs any beyond chance, and
    :data:`UNDECIDED` where the lead over the next is no more than chance.
    """
    if not ranking.positive:
        return NOTHING
    return title(ranking.first) if ranking.decided else UNDECIDED


def headline(costliest: Sequence[str], beyond: Sequence[str] | None) -> str:
    """Which part most models need most, and which one beyond its size.

    Args:
        costliest: per model what costs most accuracy, as :func:`leader` gives it.
        beyond: the same, compared with random masks as large; None where not every model has them.
    """
    said = f"What costs most accuracy when hidden: {_counted(costliest)}."
    return said if beyond is None else f"{said} Beyond what random masks as large cost: {_counted(beyond)}."


def _counted(parts: Sequence[str]) -> str:
    n = len(parts)
    return ", ".join(
        f"{part} for {f'all {n} models' if count == n else f'{count} of {n} models'}"
        for part, count in Counter(parts).most_common()
    )
