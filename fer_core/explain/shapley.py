"""What each part of a face is worth for a prediction: exact Shapley values of regions, and which pairs interact.

The regions are the players of a game. What a coalition of them is worth is the probability of a class with all other
regions hidden. All 2^n coalitions are asked, so nothing is sampled (Shapley 1953, "A value for n-person games"):

- the values add up to the probability with all regions visible minus that with all hidden (efficiency);
- a region that never changes the probability is worth 0 (dummy);
- regions that change it alike are worth the same (symmetry).

Pairs are judged by the Shapley interaction index (Grabisch & Roubens 1999, "An axiomatic approach to the concept of
interaction among players in cooperative games", section 3): positive where two regions are worth more together than
apart, negative where one can stand in for the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
import pandas as pd

from fer_core import masks
from fer_core.errors import ConfigError
from fer_core.explain.occlusion import points
from fer_core.predictions import Classifier
from fer_core.wording import percent

MOST_PLAYERS = 10  # 1024 coalitions
REST = "rest"
CHUNK = 256  # pictures per call of the classifier
CHUNK_VALUES = 2**25  # and their bytes: bounds the memory of large pictures


@dataclass(frozen=True)
class Shapley:
    """What the regions of one picture are worth to one classifier.

    Attributes:
        players: names of the n regions.
        class_names: the K classes.
        values: float64 (n, K), -1..1, the Shapley value of each region for the probability of each class.
        interactions: float64 (n, n, K), symmetric, 0 on the diagonal.
        full, empty: float64 (K,), probabilities with every region visible, and with every region hidden.
        areas: float64 (n,), share of the picture that each region covers.
    """

    players: tuple[str, ...]
    class_names: tuple[str, ...]
    values: np.ndarray
    interactions: np.ndarray
    full: np.ndarray
    empty: np.ndarray
    areas: np.ndarray

    @property
    def predicted(self) -> str:
        """The most probable class of the picture as it is."""
        return self.class_names[int(self.full.argmax())]


def explain(
    classifier: Classifier,
    image: np.ndarray,
    regions: Mapping[str, np.ndarray],
    *,
    fill: str = "mean",
    rest: bool = False,
) -> Shapley:
    """Exact Shapley values of regions of one picture, for all classes at once.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        regions: name -> bool (H, W), at most ``MOST_PLAYERS`` (one less with ``rest``), no pixel in two of them. A
            region without pixels is a dummy. Pixels in none of them are always visible, unless
        rest: makes a player called ``rest`` of them.
        fill: what hidden regions show, one of ``masks.FILLS``; ``mean`` is that of the whole picture, since with the
            mean of what stays visible, hiding one region would change what the others show.

    Raises:
        ConfigError: no region, too many, overlapping ones, masks of another size, or an unknown fill.
    """
    players = _players(image, regions, rest)
    stack = np.stack(list(players.values()))
    worths = _worths(classifier, image, stack, fill)
    return Shapley(
        players=tuple(players),
        class_names=tuple(classifier.class_names),
        values=shapley_values(worths),
        interactions=interaction_index(worths),
        full=worths[-1],
        empty=worths[0],
        areas=stack.mean(axis=(1, 2)),
    )


def controls(
    classifier: Classifier,
    image: np.ndarray,
    regions: Mapping[str, np.ndarray],
    seeds: Iterable[int],
    *,
    fill: str = "mean",
) -> list[Shapley]:
    """:func:`explain` of the same regions moved together to a random place, round the edges: a control per seed.

    A region that is larger is worth more wherever it lies. Moved ones have the same shapes and areas.

    Raises:
        ConfigError: as :func:`explain`.
    """
    return [explain(classifier, image, move(regions, image.shape[:2], seed), fill=fill) for seed in seeds]


def move(regions: Mapping[str, np.ndarray], shape: tuple[int, int], seed: int) -> dict[str, np.ndarray]:
    """Regions of a picture ``shape`` (H, W) moved together to a random place, round the edges."""
    shift = np.random.default_rng(seed).integers(0, shape)
    return {name: np.roll(mask, shift, axis=(0, 1)) for name, mask in regions.items()}


def coalitions(n: int) -> np.ndarray:
    """All coalitions of ``n`` players: bool (2^n, n); player i is in coalition s where bit i of s is set."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 > 0


def shapley_values(worths: np.ndarray) -> np.ndarray:
    """Shapley values of a game.

    Args:
        worths: float (2^n, ...), what each of :func:`coalitions` is worth; several games side by side.

    Returns:
        float64 (n, ...).
    """
    worths, n = _game(worths)
    values = np.empty((n, *worths.shape[1:]))
    for player in range(n):
        others, size = _without(n, player)
        weights = np.array([factorial(k) * factorial(n - k - 1) / factorial(n) for k in range(n)])
        values[player] = np.tensordot(weights[size], worths[others | 1 << player] - worths[others], axes=1)
    return values


def interaction_index(worths: np.ndarray) -> np.ndarray:
    """Shapley interaction index of every pair of players: float64 (n, n, ...); ``worths`` as for the values."""
    worths, n = _game(worths)
    index = np.zeros((n, n, *worths.shape[1:]))
    weights = np.array([factorial(k) * factorial(n - k - 2) / factorial(n - 1) for k in range(n - 1)])
    for i in range(n):
        for j in range(i):
            others, size = _without(n, i, j)
            both, one, other = others | 1 << i | 1 << j, others | 1 << i, others | 1 << j
            gained = worths[both] - worths[one] - worths[other] + worths[others]
            index[i, j] = index[j, i] = np.tensordot(weights[size], gained, axes=1)
    return index


def frame(found: Mapping[str, Shapley], moved: Mapping[str, Sequence[Shapley]] | None = None) -> pd.DataFrame:
    """Shapley values of several models as a table: a row per run, class and region.

    Args:
        found: run -> its values.
        moved: run -> its :func:`controls`.

    Returns:
        Columns run, class, region, area (share of the picture), value; control, control_low, control_high (mean,
        smallest and largest value of the same shape elsewhere; NaN without controls); full, empty (probabilities with
        every region visible and with every one hidden).
    """
    columns = ["run", "class", "region", "area", "value", "control", "control_low", "control_high", "full", "empty"]
    rows = []
    for run, one in found.items():
        numbers = [one.values, *_elsewhere(one, "values", (moved or {}).get(run, ()))]  # (n, K) each
        rows += [
            (run, name, region, one.areas[i], *(values[i, k] for values in numbers), one.full[k], one.empty[k])
            for k, name in enumerate(one.class_names)
            for i, region in enumerate(one.players)
        ]
    return pd.DataFrame(rows, columns=columns)


def pair_frame(found: Mapping[str, Shapley], moved: Mapping[str, Sequence[Shapley]] | None = None) -> pd.DataFrame:
    """Interactions of several models: a row per run, class and pair of regions, each pair once.

    Args:
        found, moved: as for :func:`frame`.

    Returns:
        Columns run, class, region, other, interaction; control, control_low, control_high (mean, smallest and largest
        interaction of the same two shapes elsewhere; NaN without controls).
    """
    columns = ["run", "class", "region", "other", "interaction", "control", "control_low", "control_high"]
    rows = []
    for run, one in found.items():
        numbers = [one.interactions, *_elsewhere(one, "interactions", (moved or {}).get(run, ()))]  # (n, n, K) each
        rows += [
            (run, name, one.players[i], one.players[j], *(values[i, j, k] for values in numbers))
            for k, name in enumerate(one.class_names)
            for i, j in zip(*np.triu_indices(len(one.players), 1), strict=True)
        ]
    return pd.DataFrame(rows, columns=columns)


def words(found: Shapley, class_name: str, titles: Mapping[str, str]) -> list[str]:
    """What the values say, in sentences of Markdown: what is shared out, among whom, and which pairs interact.

    Args:
        class_name: whose probability is shared out.
        titles: name of a region -> what people call it; others stand as they are.
    """
    k = found.class_names.index(class_name)
    named = [titles.get(name, name).lower() for name in found.players]
    total = found.full[k] - found.empty[k]
    lines = [
        f"**{class_name}** has {percent(found.full[k])}, and {percent(found.empty[k])} with all {len(named)} parts "
        f"hidden: together they are worth {points(total)}."
    ]
    order = np.argsort(-np.abs(found.values[:, k]), kind="stable")[:3]
    if not any(found.values[:, k]):
        return [f"{lines[0]} Hiding them changes nothing: no part is worth anything to this model."]
    lines[0] += f" The largest shares: {_listed([f'{named[i]} ({points(found.values[i, k])})' for i in order])}."
    for one, other, value in strongest_pairs(found, class_name):
        pair = f"{titles.get(one, one)} and {titles.get(other, other).lower()}"
        if value > 0:
            lines.append(f"{pair} are worth {points(abs(value))} more together than apart.")
        else:
            lines.append(f"{pair} stand in for each other: {points(abs(value))} less together than apart.")
    return lines


def strongest_pairs(
    found: Shapley, class_name: str, most: int = 3, least: float = 0.01
) -> list[tuple[str, str, float]]:
    """The pairs that interact most for a class: region, other region and interaction, the strongest first.

    Args:
        most: how many.
        least: weaker ones are left out.
    """
    index = found.interactions[..., found.class_names.index(class_name)]
    pairs = [(*pair, float(index[pair])) for pair in zip(*np.triu_indices(len(index), 1), strict=True)]
    pairs = sorted((pair for pair in pairs if abs(pair[2]) >= least), key=lambda pair: -abs(pair[2]))
    return [(found.players[i], found.players[j], value) for i, j, value in pairs[:most]]


def _elsewhere(one: Shapley, name: str, moved: Sequence[Shapley]) -> list[np.ndarray]:
    """Mean, smallest and largest of the array called ``name`` over the controls; NaN where there are none."""
    others = [getattr(other, name) for other in moved] or [np.full(getattr(one, name).shape, np.nan)]
    return [fold(others, axis=0) for fold in (np.mean, np.min, np.max)]


def _players(image: np.ndarray, regions: Mapping[str, np.ndarray], rest: bool) -> dict[str, np.ndarray]:
    players = {name: np.asarray(mask, bool) for name, mask in regions.items()}
    if any(mask.shape != image.shape[:2] for mask in players.values()):
        shapes = sorted({mask.shape for mask in players.values()})
        raise ConfigError(f"Regions {shapes} do not fit a picture {image.shape}.", "Make them of its size.")
    if not 1 <= len(players) + rest <= MOST_PLAYERS:
        raise ConfigError(f"Expected 1 to {MOST_PLAYERS} regions. Received {len(players) + rest}.")
    owners = np.sum([np.zeros(image.shape[:2], int), *players.values()], axis=0)
    if owners.max() > 1:
        raise ConfigError("Regions overlap: what both hide cannot be shared out.", "Give each pixel to one region.")
    return players | ({REST: owners == 0} if rest else {})


def _worths(classifier: Classifier, image: np.ndarray, players: np.ndarray, fill: str) -> np.ndarray:
    """Probabilities float64 (2^n, K) with the players outside of each coalition hidden."""
    hidden = ~coalitions(len(players))
    owner = np.where(players.any(axis=0), players.argmax(axis=0), -1)
    step = int(np.clip(CHUNK_VALUES // image.size, 1, CHUNK))
    answers = []
    for start in range(0, len(hidden), step):
        chunk = np.column_stack([hidden[start : start + step], np.zeros(len(hidden[start : start + step]), bool)])
        answers.append(classifier.predict_proba(masks.apply(image, chunk[:, owner], fill, whole=True)))
    return np.concatenate(answers).astype(np.float64)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _game(worths: np.ndarray) -> tuple[np.ndarray, int]:
    worths = np.asarray(worths, np.float64)
    n = len(worths).bit_length() - 1
    if n < 1 or len(worths) != 2**n:
        raise ConfigError(f"Expected what 2, 4, 8, ... coalitions are worth. Received {len(worths)}.")
    return worths, n


def _without(n: int, *players: int) -> tuple[np.ndarray, np.ndarray]:
    """Coalitions without ``players``, and how many are in each: int (M,) both."""
    members = coalitions(n)
    where = np.flatnonzero(~members[:, list(players)].any(axis=1))
    return where, members[where].sum(axis=1)
