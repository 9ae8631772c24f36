"""Cached reads of the Saliency page, after the pattern of :mod:`pages.ui.cache`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from fer_core import artifacts
from fer_core.artifacts import Run
from fer_core.explain import (
    across_trainings,
    action_units,
    activation,
    check_pieces,
    faithfulness,
    gradients,
    saliency,
    twins,
)
from fer_core.explain.across_trainings import Alone, Trainings
from fer_core.explain.check_pieces import Piece
from fer_core.explain.faithfulness import Trust
from fer_core.explain.randomised import can_be_randomised
from fer_core.explain.saliency import METHODS, SaliencyMap
from fer_core.models.ensemble import ensemble_of
from fer_core.regions import PLACES, REGIONS
from pages.ui import cache
from pages.ui.stamps import Stamp

WORDS = {
    "deletion": "Hiding pixels",
    "insertion": "Showing pixels",
    "randomisation": "Drawing weights anew",
    "shifts": "Moving the picture",
    "seeds": "Drawing other seeds",
    "trainings": "Asking other trainings",
}
LATER = Alone("not compared yet")


class Asked(NamedTuple):
    """What a map is asked of, but for the run: the arguments of :func:`cache.saliency`.

    Attributes:
        image: uint8 (H, W) or (H, W, 3), one face.
        class_index: position of the class explained.
        method: key of ``METHODS``.
        layer: of a CAM, or None.
        options: of the method that are not its defaults.
    """

    image: np.ndarray
    class_index: int
    method: str
    layer: str | None
    options: Mapping[str, object]


def trust(
    run_name: str,
    asked: Asked,
    report: Callable[[str, int, int], None],
    slow: bool = False,
    with_trainings: bool = True,
) -> Trust:
    """Checks of the map that :func:`cache.saliency` gives, see :func:`fer_core.explain.faithfulness.trust`.

    Other trainings have to be loaded first, so a caller may leave them for later: then ``trainings`` is ``LATER`` where
    there are any. What has been done is kept, and not done again when they are asked for.

    ``report`` is told what is being done, how much of it is done, and how much there is: checks, or queries where
    ``slow``.

    Raises:
        ModelError: as :func:`cache.saliency`.
    """
    key = *cache.model_key(run_name), asked
    found = cache.saliency(run_name, *asked)
    others = _others(run_name)
    if not with_trainings and not isinstance(others, Alone):
        others = LATER
    done, parts = 0, {}
    if slow:
        answers = []
        pieces = _pieces(*key)
        per_map = check_pieces.queries_per_map(pieces)
        total = sum(piece.queries for piece in pieces) + per_map * _count(others)
        for piece in pieces:
            report(f"{WORDS[piece.check]} ...", done, total)
            answers.append((piece, _trust_piece(*key, piece)))
            done += piece.queries
        parts = check_pieces.join(answers)
    else:
        per_map, total = 1, len(faithfulness.PARTS) + _count(others)
        for name in faithfulness.PARTS:
            report(f"{WORDS[name]} ...", done, total)
            parts[name] = _trust_part(*key, name)
            done += 1

    def tell(number: int) -> None:
        which = f" ({number + 1} of {_count(others)})"
        report(f"{WORDS['trainings']}{which} ...", done + per_map * number, total)

    trainings = _trainings(run_name, others, asked, found, tell)
    return faithfulness.assemble(found, parts | {"trainings": trainings})


def check_cost(run_name: str, asked: Asked) -> tuple[int, float]:
    """About how many predictions :func:`trust` costs, and how many seconds they take here.

    Raises:
        ModelError: as :func:`cache.saliency`.
    """
    key = cache.model_key(run_name)
    queries = _queries(*key, asked, _count(_others(run_name)))
    return queries, queries * _seconds_per_query(*key, asked.image.shape, asked.image)


def completeness_gap(run_name: str, asked: Asked) -> float | None:
    """How far a map is from adding up, see :func:`fer_core.explain.gradients.completeness_gap`.

    None for a map that need not: by another method than integrated gradients, or a mean over an ensemble.
    """
    if asked.method != "integrated_gradients":
        return None
    return _completeness_gap(*cache.model_key(run_name), asked)


def region_table(values: np.ndarray, points: np.ndarray, expression: str) -> pd.DataFrame:
    """Where a map lies: a row per place with region, share (of the map), even (of the picture) and prototype.

    Args:
        values: float32 (H, W), 0..1.
        points: (5, 2), landmarks as shares.
        expression: its prototype stands beside; NaN for one without.
    """
    owners = action_units.region_indices(points[None], values.shape)
    weights = action_units.prototype(expression) or {}
    return pd.DataFrame(
        {
            "region": PLACES,
            "share": action_units.shares_in(values[None], owners)[0],
            "even": action_units.areas_in(owners)[0],
            "prototype": [weights.get(place, 0.0 if weights and place in REGIONS else np.nan) for place in PLACES],
        }
    )


def agreement(values: np.ndarray, points: np.ndarray, expression: str) -> pd.DataFrame | None:
    """How far a map agrees with its expression's prototype: None without prototype or map.

    Returns:
        A row per key of ``action_units.SCORES``: score, map, even (of a map that is the same everywhere) and about.
        NaN where no part of the prototype lies in the picture.
    """
    if action_units.prototype(expression) is None or not values.any():
        return None
    owners = action_units.region_indices(points[None], values.shape)
    maps = (values, np.ones_like(values))
    own, even = (action_units.scores_in(one[None], owners, [expression])[0] for one in maps)
    scores = action_units.SCORES
    return pd.DataFrame({"score": list(scores), "map": own, "even": even, "about": list(scores.values())})


def class_picture(run_name: str, class_index: int) -> tuple[np.ndarray, float]:
    """What a class looks like to a network, see :func:`fer_core.explain.activation.maximise`.

    Returns:
        uint8 (H, W) or (H, W, 3), and the probability 0..1 that the network gives it.

    Raises:
        ModelError: the model has no network.
    """
    return _class_picture(*cache.model_key(run_name), class_index)


def _others(run_name: str) -> list[Run] | Alone:
    return across_trainings.others(cache.run(run_name), cache.runs())


def _count(others: list[Run] | Alone) -> int:
    return 0 if isinstance(others, Alone) else len(others)


def _trainings(
    run_name: str, others: list[Run] | Alone, asked: Asked, found: SaliencyMap, tell: Callable[[int], None]
) -> Trainings | Alone:
    """The map beside those of other trainings; that one gives none is told, and does not cost the other checks."""
    if isinstance(others, Alone):
        return others
    names = [other.name for other in others]

    def map_of(name: str) -> SaliencyMap:
        tell(names.index(name))
        return _map_of_other(*cache.model_key(name), cache.model_key(run_name), asked)

    return across_trainings.ask(found, names, map_of)


@st.cache_data(max_entries=128, show_spinner=False)
def _map_of_other(base: str, other: str, stamp: Stamp, of: tuple[str, str, Stamp], asked: Asked) -> SaliencyMap:
    model = _other(base, other, stamp, of)
    image, class_index, method, layer, options = asked
    return saliency.explain(model, image[None], class_index, method, layer, **options)


@st.cache_resource(max_entries=4, show_spinner=False)  # two more trainings of two models
def _other(base: str, other: str, stamp: Stamp, of: tuple[str, str, Stamp]):
    """Another training, a network by the graphs of the model ``of``: nothing is compiled for it."""
    loaded = cache.load(artifacts.find_run(other, Path(base)), tta="none")
    return twins.other_training(loaded, cache.explained(of[1]))


@st.cache_data(max_entries=64, show_spinner=False)
def _class_picture(base: str, run_name: str, stamp: Stamp, class_index: int) -> tuple[np.ndarray, float]:
    found = activation.maximise(cache.explained(run_name), class_index)
    return found.image, found.probability


@st.cache_data(max_entries=64, show_spinner=False)
def _completeness_gap(base: str, run_name: str, stamp: Stamp, asked: Asked) -> float | None:
    model = cache.explained(run_name)
    if ensemble_of(model) is not None:
        return None
    raw = cache.saliency(run_name, *asked).raw
    baseline = asked.options.get("baseline", METHODS[asked.method].options["baseline"])
    return float(gradients.completeness_gap(model, asked.image[None], asked.class_index, raw, baseline)[0])


@st.cache_data(max_entries=512, show_spinner=False)
def _trust_part(base: str, run_name: str, stamp: Stamp, asked: Asked, part: str):
    found = cache.saliency(run_name, *asked)
    again = faithfulness.once_more(found)
    return faithfulness.PARTS[part](cache.explained(run_name), asked.image, found, again)


@st.cache_data(max_entries=64, show_spinner=False)
def _pieces(base: str, run_name: str, stamp: Stamp, asked: Asked) -> list[Piece]:
    found, model = cache.saliency(run_name, *asked), cache.explained(run_name)
    return check_pieces.pieces(asked.image, found, model.class_names, can_be_randomised(model))


@st.cache_data(max_entries=512, show_spinner=False)
def _queries(base: str, run_name: str, stamp: Stamp, asked: Asked, trainings: int) -> int:
    found, model = cache.saliency(run_name, *asked), cache.explained(run_name)
    return check_pieces.queries(asked.image, found, model.class_names, can_be_randomised(model), trainings)


@st.cache_data(max_entries=1024, show_spinner=False)
def _trust_piece(base: str, run_name: str, stamp: Stamp, asked: Asked, piece: Piece):
    found = cache.saliency(run_name, *asked)
    return check_pieces.ask(piece, cache.explained(run_name), asked.image, found)


@st.cache_data(max_entries=64, show_spinner="Timing the model ...")
def _seconds_per_query(base: str, run_name: str, stamp: Stamp, shape: tuple, _image: np.ndarray) -> float:
    return check_pieces.seconds_per_query(cache.explained(run_name), _image)
