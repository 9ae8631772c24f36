"""How long the checks of a map take; and the checks in pieces, for models that answer slowly: progress in between.

The pieces together ask what :func:`fer_core.explain.faithfulness.trust` asks, and give its answer; only the ends that
curves share are asked about in each piece.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fer_core.explain import faithfulness
from fer_core.explain.faithfulness import RANDOM_MAPS, SEEDS, SHIFTS
from fer_core.explain.randomised import COPIES
from fer_core.explain.saliency import METHODS, SaliencyMap
from fer_core.predictions import Classifier

MAPS_AT_ONCE = 2  # curves in a piece
TIMED = 16  # pictures: a network needs less for each of many
GRADIENT = 3  # predictions that a gradient costs as much as, about


class Piece(NamedTuple):
    """Part of a check: ``check`` of ``faithfulness.PARTS``, ``which`` part of it, and its number of ``queries``.

    ``which`` holds the first and last row of the curves, the shift or the seed; nothing for a check in one piece.
    """

    check: str
    which: tuple[int, ...]
    queries: int


class _Counter:
    """Counts the pictures that it is asked about, and says nothing of them."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names, self.asked = tuple(class_names), 0

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        self.asked += len(images)
        return np.full((len(images), len(self.class_names)), 1 / len(self.class_names), np.float32)


def pieces(image: np.ndarray, found: SaliencyMap, class_names: Sequence[str], copies: bool = False) -> list[Piece]:
    """All pieces of the checks of ``found``, whose method must need no network, check by check.

    Args:
        copies: whether the map is made again for copies with weights drawn anew.
    """
    rows = [(first, min(first + MAPS_AT_ONCE, 1 + RANDOM_MAPS)) for first in range(0, 1 + RANDOM_MAPS, MAPS_AT_ONCE)]
    cuts = {"deletion": rows, "insertion": rows, "shifts": SHIFTS, "seeds": [(seed,) for seed in SEEDS]}
    cuts |= {} if faithfulness.is_seeded(found.method) else {"seeds": [()]}
    made = []
    for check in faithfulness.PARTS:
        for which in cuts.get(check, [()]):
            counter = _Counter(class_names)
            ask(Piece(check, which, 0), counter, image, found)
            made.append(Piece(check, which, counter.asked))
    if not copies:
        return made
    anew = len(COPIES) * queries_per_map(made)
    return [piece._replace(queries=anew) if piece.check == "randomisation" else piece for piece in made]


def queries_per_map(made: Sequence[Piece]) -> int:
    """How many pictures one map asks about."""
    return next(piece.queries for piece in made if piece.check == "shifts")  # one map for each shift


def queries(image: np.ndarray, found: SaliencyMap, class_names: Sequence[str], copies: bool, trainings: int) -> int:
    """About how many predictions the checks of ``found`` cost.

    Args:
        copies: whether the map is made again for copies with weights drawn anew.
        trainings: number of other trainings that it is made again for.
    """
    method = METHODS[found.method]
    if not method.needs_network:
        asked = pieces(image, found, class_names, copies)
        return sum(piece.queries for piece in asked) + trainings * queries_per_map(asked)
    counter = _Counter(class_names)
    for check in ("deletion", "insertion"):
        ask(Piece(check, (0, 1 + RANDOM_MAPS), 0), counter, image, found)
    again = trainings + len(SHIFTS) + (len(COPIES) if copies else 0) + (len(SEEDS) if method.seeded else 0)
    given = method.options | dict(found.given)
    gradients = given.get("samples", given.get("steps", 1))
    return counter.asked + again * given.get("channels", GRADIENT * gradients)


def ask(piece: Piece, classifier: Classifier, image: np.ndarray, found: SaliencyMap) -> Any:
    """The answer of one piece, for :func:`join`."""
    check, which, _ = piece
    if check in ("deletion", "insertion"):
        return faithfulness.curve_rows(classifier, image, found, slice(*which), insertion=check == "insertion")
    some = {"shifts": {"which": [which]}, "seeds": {"which": which}}.get(check, {})
    return faithfulness.PARTS[check](classifier, image, found, faithfulness.once_more(found), **some)


def join(answers: Sequence[tuple[Piece, Any]]) -> dict[str, Any]:
    """What :func:`faithfulness.assemble` takes, of all pieces and their answers."""
    parts = {}
    for check in faithfulness.PARTS:
        of_check = [answer for piece, answer in answers if piece.check == check]
        if check in ("deletion", "insertion"):
            parts[check] = faithfulness.as_curves(np.concatenate(of_check), check == "insertion")
        else:
            parts[check] = np.concatenate(of_check) if check in ("shifts", "seeds") else of_check[0]
    return parts


def seconds_per_query(classifier: Classifier, image: np.ndarray) -> float:
    """Seconds that ``classifier`` needs for one picture, timed on a few that it has not seen, when it is warm."""
    images = np.stack([np.roll(image, step + 1, axis=1) for step in range(TIMED)])
    classifier.predict_proba(images[:, ::-1])
    started = time.perf_counter()
    classifier.predict_proba(images)
    return (time.perf_counter() - started) / TIMED
