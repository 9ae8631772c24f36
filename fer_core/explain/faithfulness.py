"""Can a saliency map be trusted? Checks of one map, for any classifier and any method.

- Deletion and insertion (Petsiuk, Das & Saenko 2018, RISE, section 4.2): hide, or show, the pixels from the strongest
  down and watch the probability, beside random maps as smooth as this one.
- Randomisation (Adebayo et al. 2018, section 3): the same map of a model whose weights are drawn anew. A map that
  stays as it is does not depend on what the model has learnt.
- Stability: the map of the picture moved by one pixel, and of other seeds where the method draws.
- Trainings: the map by networks of the same recipe trained from other seeds (:mod:`fer_core.explain.across_trainings`).
- Grid: how many cells the method resolves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_core import masks
from fer_core.errors import ConfigError
from fer_core.explain import across_trainings
from fer_core.explain.across_trainings import NOT_COMPARED, Alone, Trainings
from fer_core.explain.check_basics import (
    EVEN,
    FAILED,
    MAX_SIMILARITY,
    MIN_BEATEN,
    NOT_APPLICABLE,
    PASSED,
    RANDOM_MAPS,
    UNDECIDED,
    Verdict,
    pearson,
    random_maps,
    spearman,
)
from fer_core.explain.gradients import MIN_GRID
from fer_core.explain.perturbation import distinct
from fer_core.explain.randomised import COPIES, MODEL_WITHOUT_WEIGHTS, can_be_randomised, randomised_copies
from fer_core.explain.saliency import METHODS, SaliencyMap, explain
from fer_core.predictions import Classifier

STEPS = 20  # of a curve
MIN_STABILITY = 0.7  # similarity under changes that nobody sees
SEEDS = (1, 2, 3)
SHIFTS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # rows and columns
EDGE = 2  # pixels left out of that comparison: what lies beyond the border is made up
CHUNK, CHUNK_PIXELS = 256, 2**22  # pictures per call of the classifier, fewer of large ones

Again = Callable[..., SaliencyMap]  # (classifier, images, **options): the same method, layer and class once more


@dataclass(frozen=True)
class Curves:
    """Probability of the class while pixels are hidden or shown, strongest first.

    Attributes:
        insertion: whether they are shown, from a blurred picture; else hidden.
        share: float64 (T,), 0..1 of the pixels hidden or shown.
        found: float32 (T,), by the map.
        random: float32 (S, T), by random maps as smooth.
    """

    insertion: bool
    share: np.ndarray
    found: np.ndarray
    random: np.ndarray

    @property
    def area(self) -> float:
        """Area under the curve of the map, 0..1, not normalised: low is good for deletion, high for insertion."""
        return float(np.trapezoid(self.found, self.share))

    @property
    def random_areas(self) -> np.ndarray:
        """The same of each random map: float64 (S,)."""
        return np.trapezoid(self.random, self.share, axis=1)

    @property
    def gains(self) -> np.ndarray:
        """By how much the map is better than each random one: float64 (S,)."""
        gain = self.area - self.random_areas
        return gain if self.insertion else -gain

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean gain over a random map with its 95 % interval (Student's t over the random maps): mean, low, high."""
        from scipy.special import stdtrit

        gains, n = self.gains, len(self.gains)
        error = float(gains.std(ddof=1) / np.sqrt(n))
        reach = float(stdtrit(n - 1, 0.975)) * error
        return float(gains.mean()), float(gains.mean()) - reach, float(gains.mean()) + reach

    @property
    def beaten(self) -> int:
        """How many random maps the map is better than."""
        return int(np.sum(self.gains > 0))


@dataclass(frozen=True)
class Randomisation:
    """How far a map stays the same when weights are drawn anew, of a network from the top downwards.

    Attributes:
        shares: share of the layers with weights, or of the coefficients, drawn anew, one per copy; 1 for all.
        spearman, pearson: float64 (C,), correlation with the map of each copy, -1..1; NaN where a copy's map is empty:
            it has no order that could be like another, and counted as unlike it would help to pass.
    """

    shares: tuple[float, ...]
    spearman: np.ndarray
    pearson: np.ndarray

    @property
    def similarity(self) -> float:
        """Mean rank correlation with the maps of wholly randomised copies that are not empty; NaN where all are."""
        found = self._whole[np.isfinite(self._whole)]
        return float(found.mean()) if len(found) else float("nan")

    @property
    def empty(self) -> int:
        """How many wholly randomised copies have an empty map."""
        return int(np.isnan(self._whole).sum())

    @property
    def _whole(self) -> np.ndarray:
        return self.spearman[np.array(self.shares) == 1]


@dataclass(frozen=True)
class Trust:
    """The checks of one map.

    Attributes:
        grid: (h, w), cells that the method resolves.
        even: whether the map is the same everywhere, so that it says nothing.
        deletion, insertion: see :class:`Curves`.
        randomisation: or why there is none.
        shifts: float64 (4,), rank correlation with the map of the picture moved by one pixel, moved back.
        seeds: float64 (S,), with the maps of other seeds; empty for methods that draw nothing.
        trainings: with the maps of other trainings, or why there are none.
    """

    grid: tuple[int, int]
    even: bool
    deletion: Curves
    insertion: Curves
    randomisation: Randomisation | str
    shifts: np.ndarray
    seeds: np.ndarray
    trainings: Trainings | Alone = NOT_COMPARED


def trust(
    classifier: Classifier,
    image: np.ndarray,
    found: SaliencyMap,
    explain_again: Again | None = None,
    trainings: Trainings | Alone = NOT_COMPARED,
) -> Trust:
    """Check one map.

    Args:
        image: uint8 (H, W) or (H, W, 3), the picture explained.
        found: its map, N = 1.
        explain_again: called as ``(classifier, images, **options)``; default :func:`once_more`.
        trainings: see :func:`fer_core.explain.across_trainings.compare`.

    Raises:
        ConfigError: map and picture do not fit.
        ModelError: as :func:`fer_core.explain.saliency.explain`.
    """
    again = explain_again or once_more(found)
    parts = {name: part(classifier, image, found, again) for name, part in PARTS.items()}
    return assemble(found, parts | {"trainings": trainings})


def assemble(found: SaliencyMap, parts: dict) -> Trust:
    """:class:`Trust` from the results of :data:`PARTS`, for callers that report progress or store them singly.

    ``trainings`` may be among them.
    """
    return Trust(found.grid, bool(np.ptp(found.values) == 0), **parts)


def once_more(found: SaliencyMap) -> Again:
    """Explain other pictures, or the same by another network, as ``found`` was: same layer and options."""

    def again(classifier: Classifier, images: np.ndarray, **options) -> SaliencyMap:
        return explain(classifier, images, int(found.class_index[0]), found.method, **{**found.given, **options})

    return again


def deletion(classifier: Classifier, image: np.ndarray, found: SaliencyMap, again: Again | None = None) -> Curves:
    """Hide the strongest pixels first, under the picture's mean colour."""
    return as_curves(curve_rows(classifier, image, found, insertion=False), insertion=False)


def insertion(classifier: Classifier, image: np.ndarray, found: SaliencyMap, again: Again | None = None) -> Curves:
    """Show the strongest pixels first, on the blurred picture."""
    return as_curves(curve_rows(classifier, image, found, insertion=True), insertion=True)


def curve_rows(
    classifier: Classifier, image: np.ndarray, found: SaliencyMap, some: slice = slice(None), *, insertion: bool
) -> np.ndarray:
    """Curves of the map (row 0) and of its random rivals, or of ``some`` of these rows: float32 (R, T).

    Raises:
        ConfigError: map and picture do not fit.
    """
    _check(image, found)
    values = found.values[0]
    maps = np.concatenate([values[None], random_maps(values, found.grid, RANDOM_MAPS, seed=0)])[some]
    pictures = np.broadcast_to(image, (len(maps), *image.shape))
    classes = np.full(len(maps), found.class_index[0])
    fill = "blur" if insertion else "mean"
    return pixel_curves(classifier, pictures, maps, classes, insertion=insertion, fill=fill, grid=found.grid)


def as_curves(rows: np.ndarray, insertion: bool) -> Curves:
    """:class:`Curves` of all :func:`curve_rows`."""
    return Curves(insertion, np.linspace(0, 1, rows.shape[1]), rows[0], rows[1:])


def pixel_curves(
    classifier: Classifier,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    *,
    insertion: bool = False,
    fill: str = "mean",
    steps: int = STEPS,
    grid: tuple[int, int] | None = None,
) -> np.ndarray:
    """Probability of each picture's class while its pixels are hidden or shown, strongest first.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        maps: float (N, H, W). Equal values are taken in the order of a random map as smooth as the map.
        classes: int (N,).
        insertion: start from the hidden picture and show pixels.
        fill: what hidden pixels look like: ``mean`` of the picture, ``zero`` or ``blur``.
        steps: of equally many pixels.
        grid: cells of the method, for maps that are the same everywhere.

    Returns:
        float32 (N, steps + 1).

    Raises:
        ConfigError: unknown fill, or no step.
    """
    if steps < 1:
        raise ConfigError(f"A curve needs at least one step. Received {steps}.")
    shape = images.shape[1:3]
    ranks = np.stack([_ranks(one, grid or shape) for one in maps])
    limits = np.rint(np.linspace(0, ranks[0].size, steps + 1))
    hidden = _hidden(images, fill)
    many = len(images) * (steps + 1)
    chunk = int(np.clip(CHUNK_PIXELS // ranks[0].size, 1, CHUNK))
    found = np.zeros(many, np.float32)
    for start in range(0, many, chunk):
        part = np.arange(start, min(start + chunk, many))
        which, step = np.divmod(part, steps + 1)
        seen = (ranks[which] < limits[step][:, None, None]) == insertion
        seen = seen[..., None] if images.ndim == 4 else seen
        asked = np.where(seen, images[which], hidden[which])
        first, once = distinct(asked)  # curves of one picture share their ends
        found[part] = classifier.predict_proba(asked[first])[once, classes[which]]
    return found.reshape(len(images), steps + 1)


def _ranks(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Place of each pixel from the strongest (0) down: int32 (H, W)."""
    among_equals = random_maps(values, grid, 1, seed=1)[0]
    ranks = np.empty(values.size, np.int32)
    ranks[np.lexsort((among_equals.ravel(), -values.ravel()))] = np.arange(values.size, dtype=np.int32)
    return ranks.reshape(values.shape)


def _hidden(images: np.ndarray, fill: str) -> np.ndarray:
    """The pictures with every pixel hidden."""
    if fill == "mean":
        means = images.mean(axis=(1, 2), keepdims=True)
        return np.broadcast_to(np.rint(means).astype(np.uint8), images.shape)
    if fill not in ("zero", "blur"):
        raise ConfigError(f"Unknown fill {fill!r}.", "Expected one of mean, zero, blur.")
    return masks.apply(images, np.ones(images.shape[1:3], bool), fill)


def randomisation(
    classifier: Classifier,
    image: np.ndarray,
    found: SaliencyMap,
    again: Again,
    copies: Sequence[Classifier] | None = None,
) -> "Randomisation | str":
    """Compare the map with those of copies whose weights are drawn anew; why not, for models without weights.

    Args:
        copies: these, for callers that hold them over many pictures; default ``randomised_copies``.
    """
    _check(image, found)
    if not can_be_randomised(classifier):
        return MODEL_WITHOUT_WEIGHTS
    maps = [again(copy, image[None]).values[0] for copy in copies or randomised_copies(classifier)]
    ranks = np.array([spearman(found.values[0], one) for one in maps])
    linear = np.array([pearson(found.values[0], one) for one in maps])
    return Randomisation(tuple(share for share, _ in COPIES), ranks, linear)


def shifts(
    classifier: Classifier, image: np.ndarray, found: SaliencyMap, again: Again, which: Sequence = SHIFTS
) -> np.ndarray:
    """Rank correlation with the maps of the picture moved by one pixel, moved back, borders left out: float64 (4,)."""
    _check(image, found)
    height, width = image.shape[:2]
    if min(height, width) <= 2 * EDGE:
        return np.zeros(len(which))
    wide = np.pad(image, ((1, 1), (1, 1), *((0, 0),) * (image.ndim - 2)), mode="edge")
    moved = np.stack([wide[1 - down : 1 - down + height, 1 - right : 1 - right + width] for down, right in which])
    maps = again(classifier, moved).values
    inner = found.values[0, EDGE:-EDGE, EDGE:-EDGE]
    back = [
        one[EDGE + down : height - EDGE + down, EDGE + right : width - EDGE + right]
        for one, (down, right) in zip(maps, which, strict=True)
    ]
    return np.nan_to_num([spearman(inner, one) for one in back])


def seeds(
    classifier: Classifier, image: np.ndarray, found: SaliencyMap, again: Again, which: Sequence = SEEDS
) -> np.ndarray:
    """Rank correlation with the maps of other seeds: float64 (S,); empty for methods that draw nothing."""
    if not is_seeded(found.method):
        return np.zeros(0)
    maps = [again(classifier, image[None], seed=seed).values[0] for seed in which]
    return np.nan_to_num([spearman(found.values[0], one) for one in maps])


def is_seeded(method: str) -> bool:
    """Whether the method draws random numbers."""
    return method in METHODS and METHODS[method].seeded


# Name of each field of Trust that takes time -> (classifier, image, found, again) -> its value.
PARTS: dict[str, Callable] = {
    "deletion": deletion,
    "insertion": insertion,
    "randomisation": randomisation,
    "shifts": shifts,
    "seeds": seeds,
}


def verdicts(checked: Trust) -> list[Verdict]:
    """What the checks say, in the order of the strip."""
    return [
        _curve_verdict("Deletion", checked.deletion, checked.even),
        _curve_verdict("Insertion", checked.insertion, checked.even),
        _randomisation_verdict(checked),
        _stability_verdict(checked),
        across_trainings.verdict(checked.trainings, checked.even),
        grid_verdict(checked.grid),
    ]


def _curve_verdict(name: str, curves: Curves, even: bool) -> Verdict:
    """Passed where the map beats nearly all random ones, failed where it is no better than their mean; else undecided.

    The interval is that of the mean. A map can be surely better than the mean of random maps, and yet be beaten by one
    in four of them: of the picture at hand that is what chance may give, so it is not enough to pass.
    """
    value = f"{curves.area:.2f}, random {curves.random_areas.mean():.2f}"
    if even:
        return Verdict(name, FAILED, EVEN, value)
    total, (mean, low, high) = len(curves.random), curves.interval
    asked = int(np.ceil(MIN_BEATEN * total))
    outcome = PASSED if curves.beaten >= asked else UNDECIDED if mean > 0 else FAILED
    why = {
        PASSED: "",
        UNDECIDED: f"; {asked} are asked for, so it is not shown to beat random maps",
        FAILED: f"; {asked} are asked for, and on average it does no better than they do",
    }[outcome]
    done, effect = ("Showing", "brings back") if curves.insertion else ("Hiding", "costs")
    than, ends = ("better", (low, high)) if mean >= 0 else ("worse", (-high, -low))
    shown = [round(value, 2) + 0.0 for value in (abs(mean), *ends)]  # no -0.00
    by = f"{than} by {shown[0]:.2f} [{shown[1]:.2f}, {shown[2]:.2f}]"
    sentence = (
        f"{done} its strongest pixels first {effect} more probability than with {curves.beaten} of {total} random maps "
        f"as smooth{why} (area under the curve on average {by})."
    )
    return Verdict(name, outcome, sentence, value)


def _randomisation_verdict(checked: Trust) -> Verdict:
    name, found = "Randomisation", checked.randomisation
    if isinstance(found, str):
        return Verdict(name, NOT_APPLICABLE, found, "")
    if checked.even:
        return Verdict(name, FAILED, EVEN, "")
    if np.isnan(found.similarity):
        sentence = f"The maps of all {found.empty} copies with weights drawn anew are empty: none to compare with."
        return Verdict(name, NOT_APPLICABLE, sentence, "")
    value, likeness = f"similarity {found.similarity:.2f}", f"{found.similarity:.2f} (rank correlation)"
    if found.empty:
        total = sum(share == 1 for share in found.shares)
        likeness += f", over {total - found.empty} of {total} copies, as the others' maps are empty"
    if found.similarity < MAX_SIMILARITY:
        sentence = f"With weights drawn anew the map changes: similarity {likeness}, below {MAX_SIMILARITY}."
        return Verdict(name, PASSED, sentence, value)
    sentence = f"With weights drawn anew the map stays alike: {likeness}, so much of it is not what the model learnt."
    return Verdict(name, FAILED, sentence, value)


def _stability_verdict(checked: Trust) -> Verdict:
    name, lowest = "Stability", float(checked.shifts.mean())
    if checked.even:
        return Verdict(name, FAILED, EVEN, "")
    said = f"moved by one pixel {lowest:.2f}"
    if len(checked.seeds):
        said += f", with other seeds {checked.seeds.mean():.2f}"
        lowest = min(lowest, float(checked.seeds.mean()))
    else:
        said += " (the method draws nothing at random, so there are no seeds to compare)"
    passed = lowest >= MIN_STABILITY
    sentence = f"Similarity of the maps (rank correlation): {said}; at least {MIN_STABILITY} is asked for."
    return Verdict(name, PASSED if passed else FAILED, sentence, f"{lowest:.2f}")


def grid_verdict(grid: tuple[int, int]) -> Verdict:
    """The check that needs nothing but the map's grid: can eyes be told from mouth?

    They are 0.40 of the height apart (``faces.FRAME``), which is two rows of five: so one lies between them wherever
    the edges of the cells fall.
    """
    value = f"{grid[0]} × {grid[1]}"
    if min(grid) >= MIN_GRID:
        return Verdict("Grid", PASSED, f"{value} cells are fine enough to tell eyes from mouth.", value)
    sentence = f"{value} cells are too coarse to tell eyes from mouth; {MIN_GRID} × {MIN_GRID} are asked for."
    return Verdict("Grid", FAILED, sentence, value)


def grid_words(grid: tuple[int, int]) -> str:
    """:func:`grid_verdict` in a caption: ``6 × 6, fine enough``."""
    verdict = grid_verdict(grid)
    return f"{verdict.value}, {'fine enough' if verdict.outcome == PASSED else 'too coarse'}"


def verdict_frame(found: Sequence[Verdict]) -> pd.DataFrame:
    """The strip as a table: check, outcome, value, words."""
    return pd.DataFrame(
        [(one.name, one.outcome, one.value, one.sentence) for one in found],
        columns=["check", "outcome", "value", "words"],
    )


def curve_frame(checked: Trust) -> pd.DataFrame:
    """Both curves as a table: curve, share, map, and mean, low and high of the random maps."""
    parts = []
    for name, curves in (("deletion", checked.deletion), ("insertion", checked.insertion)):
        drawn = curves.random
        columns = {"share": curves.share, "map": curves.found, "random": drawn.mean(axis=0, dtype=float)}
        parts.append(pd.DataFrame({"curve": name, **columns, "low": drawn.min(axis=0), "high": drawn.max(axis=0)}))
    return pd.concat(parts, ignore_index=True)


def randomisation_frame(checked: Trust) -> pd.DataFrame:
    """Similarity by how much was drawn anew: randomised (see ``Randomisation.shares``), spearman, pearson."""
    found = checked.randomisation
    if isinstance(found, str):
        return pd.DataFrame(columns=["randomised", "spearman", "pearson"])
    return pd.DataFrame({"randomised": found.shares, "spearman": found.spearman, "pearson": found.pearson})


def _check(image: np.ndarray, found: SaliencyMap) -> None:
    if found.values.shape != (1, *image.shape[:2]):
        raise ConfigError(f"Expected the map of one picture {image.shape[:2]}. Received {found.values.shape}.")
