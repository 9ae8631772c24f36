"""What a saliency study says in sentences: where maps lie, whether they agree with FACS, how alike two models' are."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fer_core.explain.ranking import Ranking
from fer_core.explain.saliency_numbers import ALL_CLASSES, EVERY, RIGHT, SAME, Disagreement
from fer_core.metrics import FEWEST
from fer_core.regions import ELSEWHERE, agreeing, title
from fer_core.wording import percent

NO_EVIDENCE = {
    EVERY: "No map of this study has any evidence in it.",
    RIGHT: "No rightly recognised picture of this study has a map with evidence in it.",
}
OTHER_SCORES = {"pointing_game": "pointing game", "iou": "IoU", "cosine": "cosine"}
JUDGED = {1: "more than an even map", 0: "no more than an even map", -1: "less than an even map"}
PLACED = {1: "above an even map", 0: "no different from one", -1: "below one"}


def verdict(
    shares: pd.DataFrame,
    scores: pd.DataFrame,
    lifts: Ranking | None,
    grid: Sequence[int] | None = None,
    which: str = EVERY,
) -> list[str]:
    """What a study says, in sentences: where the model looks more than chance, and whether it agrees with FACS.

    Args:
        shares, scores, lifts: of :func:`share_rows`, :func:`score_rows` and :func:`lifts`.
        grid: rows and columns of cells that the maps have, where they may be larger than a region.
        which: pictures that the numbers are of.
    """
    if lifts is None:
        n = int(shares.groupby("class")["n"].first().sum())
        if n:
            return [f"Maps with evidence: of {_pictures(n)} only, too few to say where they lie."]
        return [NO_EVIDENCE[which]]
    told = [_lift_sentence(shares, lifts, grid)]
    over_all = scores[scores["class"] == ALL_CLASSES].set_index("score")
    mass = over_all.loc["relevance_mass"]
    if not mass["n"]:
        return told
    told.append(
        f"{_told(mass)} of the map lies in the parts of the face that carry the expression by FACS: "
        f"{_judged(mass)} ({percent(mass['even'])})."
    )
    return [*told, _scores_sentence(over_all)] if mass["n"] >= FEWEST else told


def strongest_sentence(shares: pd.DataFrame, grid: Sequence[int] | None = None, which: str = EVERY) -> str:
    """Where the mean map of each expression is strongest for the size of the place, where that is more than chance.

    Where the strongest place is so by no more than chance, others may be stronger than their size beyond it: a small
    place has a wide interval.

    Args:
        shares: of :func:`share_rows`.
        grid: rows and columns of cells that the maps have, where they may be larger than a region.
        which: pictures that the shares are of.
    """
    cell = 0.0 if grid is None else 1 / (grid[0] * grid[1])
    known = shares[(shares["region"] != ELSEWHERE) & (shares["n"] > 0) & shares["lift"].notna()]
    if known.empty:
        return NO_EVIDENCE[which]
    first = known.loc[known.groupby("class", sort=False)["lift"].idxmax()]
    beyond = first[first["lift_low"] > 1]
    places = []
    for region, rows in sorted(beyond.groupby("region", sort=False), key=lambda one: -len(one[1])):
        beside = _beside(region, rows["area"].mean() < cell)
        places.append(f"the {title(region).lower()}{beside} for {_listed(rows['class'].tolist())}")
    few = first.loc[first["n"] < FEWEST, "class"].tolist()
    unsure = first[~first["class"].isin([*beyond["class"], *few])]
    sure = known[(known["lift_low"] > 1) & known["class"].isin(unsure["class"])]
    for name, region in unsure.loc[unsure["class"].isin(sure["class"]), ["class", "region"]].itertuples(index=False):
        others = [f"the {title(one).lower()}" for one in sure.loc[sure["class"] == name, "region"]]
        places.append(f"the {title(region).lower()} for {name} by no more than chance, {_listed(others)} by more")
    rest = unsure.loc[~unsure["class"].isin(sure["class"]), "class"].tolist()
    places += [f"no part by more than chance for {_listed(rest)}"] if rest else []
    places += [f"too few maps to say for {_listed(few)}"] if few else []
    return f"Strongest for its size: {'; '.join(places)}."


def agreement_sentence(frames: Mapping[str, pd.DataFrame]) -> str:
    """Whether models put more of their maps where FACS places the expression than an even map would.

    Args:
        frames: model -> rows of :func:`score_rows` of one class, or of all.
    """
    mass = {run: rows.set_index("score").loc["relevance_mass"] for run, rows in frames.items()}
    first = max(mass, key=lambda run: mass[run]["value"])
    row = mass[first]
    told = _told(row)
    where = "in the parts of the face that carry the expression by FACS"
    if len(mass) == 1:
        return f"{told} of the map lies {where}: {_judged(row)} ({percent(row['even'])})."
    above = sum(_against_even(of_run) > 0 for of_run in mass.values())
    return (
        f"{above} of {len(mass)} models have more of their map {where} than an even map would, beyond chance; the most "
        f"has {first} with {told}, an even map {percent(row['even'])}."
    )


def method_grid(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`method_rows` as text, a row per run and a column per method: ``41.2 % [40.1 %, 42.3 %], n = 412``."""
    told = [_told(row) + (f", n = {row['n']:,}" if row["n"] >= FEWEST else "") for row in table.to_dict("records")]
    grid = table.assign(told=told).pivot(index="run", columns="method", values="told")
    return grid.loc[table["run"].unique(), table["method"].unique()].fillna("")


def disagreement_words(found: Disagreement) -> list[str]:
    """How alike the maps are, and how much of that comes from the picture itself."""
    told = (
        f"On {len(found.pictures):,} pictures that both {SAME[found.which]}, their maps are {percent(found.mean)} "
        f"alike {_bracket(found.low, found.high, len(found.pictures))}."
    )
    if np.isnan(found.shuffled):
        return [told]
    beyond = round(100 * found.mean, 1) - round(100 * found.shuffled, 1)
    own = f"only the {beyond:.1f} points above that come" if beyond >= 0.1 else "nothing above that comes"
    return [
        told,
        f"Maps of two different pictures of one expression are already {percent(found.shuffled)} alike: {own} "
        "from the picture itself.",
    ]


def _beside(region: str, coarse: bool) -> str:
    """What a region is named with where cells cannot tell it from its neighbours."""
    return f" and what lies beside {agreeing(region, 'it', 'them')}" if coarse else ""


def _lift_sentence(shares: pd.DataFrame, lifts: Ranking, grid: Sequence[int] | None) -> str:
    first, last = lifts.first, list(lifts.values)[-1]
    rows = shares[(shares["region"] == first) & (shares["n"] > 0)]
    share, area = (float((rows[column] * rows["n"]).sum() / rows["n"].sum()) for column in ("share", "area"))
    tied = [f"the {title(region).lower()}" for region in lifts.tied]
    ahead = f", ahead of {_listed(tied)} by no more than chance" if tied else ""
    most, least = (lifts.values[region] for region in (first, last))
    its, gets, it = agreeing(first, "its", "their"), agreeing(first, "gets", "get"), agreeing(first, "it", "them")
    cell = 0.0 if grid is None else 1 / (grid[0] * grid[1])
    gets = "get" if area < cell else gets
    coarse = (
        f" ({grid[0]} × {grid[1]} cells, each {percent(cell)} of the picture, do not tell {it} from {its} neighbours)"
        if grid is not None and area < cell
        else ""
    )
    return (
        f"For {its} size the {title(first).lower()}{_beside(first, area < cell)} {gets} most of the map{coarse}"
        f"{ahead}: {percent(share)} of it on {percent(area)} of the picture, "
        f"{most.value:.2f} [{most.low:.2f}, {most.high:.2f}] times an even map; the {title(last).lower()} least "
        f"({least.value:.2f} [{least.low:.2f}, {least.high:.2f}] times)."
    )


def _scores_sentence(over_all: pd.DataFrame) -> str:
    """Whether the other scores say the same of the map as the relevance mass does."""
    judged: dict[int, list[str]] = {1: [], 0: [], -1: []}
    for score, name in OTHER_SCORES.items():
        row = over_all.loc[score]
        judged[_against_even(row)].append(f"{name} {percent(row['value'])} ({percent(row['even'])})")
    said = "; ".join(f"{PLACED[sign]} {_listed(names)}" for sign, names in judged.items() if names)
    one = len(judged[_against_even(over_all.loc["relevance_mass"])]) == len(OTHER_SCORES)
    return f"The other scores {'agree' if one else 'do not all agree'} (in brackets an even map's): {said}."


def _told(row: Mapping) -> str:
    """A score with its interval."""
    return f"{percent(row['value'])} {_bracket(row['low'], row['high'], row['n'])}"


def _bracket(low: float, high: float, n: int) -> str:
    """An interval over ``n`` pictures, or that there is none."""
    return f"({_pictures(n)}, no interval)" if n < FEWEST else f"[{percent(low)}, {percent(high)}]"


def _pictures(n: int) -> str:
    return f"{n:,} picture{'' if n == 1 else 's'}"


def _judged(row: Mapping) -> str:
    return "too few to compare with an even map" if row["n"] < FEWEST else JUDGED[_against_even(row)]


def _against_even(row: Mapping) -> int:
    """1 where a score is above that of an even map by more than chance, -1 where it is below, else 0."""
    return int(row["lift_low"] > 0) - int(row["lift_high"] < 0)


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
