"""Which of several things has the largest value, and whether its lead over the others is more than chance.

Intervals are 95 % percentile bootstrap intervals over the pictures. All things are resampled together, so that leads
are paired; they say nothing about training the network again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer_core import metrics


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval and the two-sided p of its being 0."""

    value: float
    low: float
    high: float
    p_value: float

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval leaves out 0; one that is not known does not."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class Ranking:
    """Which of several things has the largest value, by one way of counting.

    Attributes:
        values: name -> value, the largest first; at least one.
        leads: name of each other one -> the first minus that one, paired, in the same order.
    """

    values: dict[str, Estimate]
    leads: dict[str, Estimate]

    @property
    def first(self) -> str:
        return next(iter(self.values))

    @property
    def positive(self) -> bool:
        """Whether any is above 0 by more than chance: one may be where the first, whose interval is wider, is not."""
        return any(found.low > 0 for found in self.values.values())

    @property
    def tied(self) -> tuple[str, ...]:
        """Those over which the lead of the first is no more than chance."""
        return tuple(name for name, lead in self.leads.items() if not lead.beyond_chance)

    @property
    def decided(self) -> bool:
        """Whether the first is above 0, and above every other one, by more than chance."""
        return self.values[self.first].low > 0 and not self.tied


@lru_cache(maxsize=1)
def resamples(n: int, n_boot: int, seed: int) -> np.ndarray:
    """:func:`fer_core.metrics.resamples`, kept: every study of a split asks for the same."""
    weights = metrics.resamples(n, n_boot, seed)
    weights.flags.writeable = False
    return weights


def estimates(values: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Estimate]:
    """Mean of each of ``values`` (N,) with interval and p from bootstrap ``weights`` (N, B), as
    :func:`fer_core.comparison.paired_bootstrap` computes them.
    """
    return _estimates(*_means(values, weights))


def rank(values: Mapping[str, np.ndarray], weights: np.ndarray) -> Ranking:
    """:func:`rank_resampled` of the means of ``values`` (N,), by bootstrap ``weights`` (N, B)."""
    return rank_resampled(*_means(values, weights))


def rank_resampled(values: Mapping[str, float], resampled: Mapping[str, np.ndarray]) -> Ranking:
    """Things by their ``values``, the largest first; equal ones stay in order.

    Args:
        values: at least one.
        resampled: the same of B bootstrap resamples, (B,) each, of which b is the same resample for all.
    """
    order = sorted(values, key=lambda name: -values[name])
    first, *others = order
    leads = {name: values[first] - values[name] for name in others}
    leads_resampled = {name: resampled[first] - resampled[name] for name in others}
    found = _estimates({name: values[name] for name in order}, resampled)
    return Ranking(found, _estimates(leads, leads_resampled))


def points(found: Estimate, unit: str = " points") -> str:
    """A share in hundredths with its interval: ``26.9 points [24.9, 28.7]``."""
    return f"{100 * found.value:.1f}{unit} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def lead_sentence(ranking: Ranking, noun: str, does: str, opening: str = "", title: Callable[[str], str] = str) -> str:
    """Which one comes first and by how much, or that this is undecided.

    Args:
        noun: what the things are: ``mask``.
        does: what the first of them does: ``costs most accuracy``.
        opening: what the sentence starts with.
        title: name -> what people call it.
    """

    def called(name: str) -> str:
        return f"the {title(name)} {noun}"

    first, value = called(ranking.first), points(ranking.values[ranking.first])
    leads = {name: points(lead, "") for name, lead in ranking.leads.items()}
    if ranking.tied:
        over = " and ".join(f"over {called(name)} ({leads[name]})" for name in ranking.tied)
        told = f"which {noun} {does} is undecided: {first} leads with {value}, but by no more than chance {over}."
    elif leads:
        second = next(iter(leads))
        told = f"{first} {does}: {value}, {leads[second]} more than {called(second)}."
    else:
        told = f"{first} {does}: {value}."
    said = f"{opening}{told}"
    return said[0].upper() + said[1:]


def beyond_sentence(by_drop: Ranking, beyond: Ranking, noun: str, title: Callable[[str], str] = str) -> str:
    """What is left of a ranking of costs when random masks of the same area are taken off.

    Args:
        by_drop: ranking of what each thing costs.
        beyond: ranking of what it costs beyond random masks as large.
        noun, title: see :func:`lead_sentence`.
    """
    opening = "Compared with random masks of the same area, "
    if not beyond.positive:
        nearest = f"the {title(beyond.first)} {noun} comes nearest, {points(beyond.values[beyond.first])}"
        does = "leads" if by_drop.tied else "costs most"
        return (
            f"{opening}no {noun} costs more beyond chance; {nearest}. "
            f"That the {title(by_drop.first)} {noun} {does} may be due to its size alone."
        )
    told = lead_sentence(beyond, noun, "costs most", opening, title)
    first, of_area = (f"the {title(one.first)} {noun}" for one in (by_drop, beyond))
    if by_drop.decided and beyond.decided:
        if first == of_area:
            return f"{told} So it costs most by either count, not just by its size."
        return f"{told} So {first} costs most as it is, {of_area} for its area."
    if by_drop.decided:
        return f"{told} So only one statement holds: {first} costs most as it is."
    if beyond.decided:
        return f"{told} So only one statement holds: {of_area} costs most for its area."
    return f"{told} Neither count tells the costliest {noun}s apart."


def _means(values: Mapping[str, np.ndarray], weights: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Means of ``values`` (N,), and those of the resamples (B,) each."""
    if not values:
        return {}, {}
    stack = np.stack(list(values.values()))
    resampled = (stack @ weights) / len(weights)  # each resample has N draws
    return (
        dict(zip(values, stack.mean(axis=1).tolist(), strict=True)),
        dict(zip(values, resampled, strict=True)),
    )


def _estimates(values: Mapping[str, float], resampled: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    if not values:
        return {}
    drawn = np.stack([resampled[name] for name in values])
    edges = np.percentile(drawn, [2.5, 97.5], axis=1).T
    rarer = np.minimum((drawn <= 0).sum(axis=1), (drawn >= 0).sum(axis=1))
    p_values = np.minimum(1.0, 2.0 * (1.0 + rarer) / (drawn.shape[1] + 1.0))
    found = zip(values.values(), *edges.T.tolist(), p_values.tolist(), strict=True)
    return {name: Estimate(*numbers) for name, numbers in zip(values, found, strict=True)}
