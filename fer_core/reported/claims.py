"""Sentences of the papers against their numbers."""

from collections.abc import Callable

from fer_core.errors import ConfigError
from fer_core.reported.printed import Check, Printed, check, number
from fer_core.reported.reading import Claim, label


def check_claim(claim: Claim, rows: list[Printed]) -> Check:
    """Whether a sentence of a paper holds by the paper's numbers ``rows``.

    Raises:
        ConfigError: it is about a number that is not printed, or expects what nobody can tell.
    """
    if claim.expects in OF_CLASSES:
        return OF_CLASSES[claim.expects](claim, rows)
    chosen = _claimed(claim, claim.chosen, rows)
    others = [_claimed(claim, other, rows) for other in claim.others]
    against = [row for row in others if _contradicts(claim.expects, chosen, row)]
    if claim.expects == "exceeded" and len(against) < len(others):
        against = []  # one that is above will do
    shown = against or others
    told = ", ".join(f"{number(row.value)} for {row.system}" for row in shown)
    name = f"{label(claim.metric)} {claim.class_name}".strip()
    places = ", ".join(dict.fromkeys(row.where for row in [chosen, *shown]))
    sentence = f"{_quoted(claim)}: {name} is {number(chosen.value)} for {chosen.system}, and {told} ({places})."
    return check(chosen, "claim", claim.metric, not against, sentence)


def _quoted(claim: Claim) -> str:
    return f"\u201c{claim.says}\u201d ({claim.where})"


def _over_half(claim: Claim, rows: list[Printed]) -> Check:
    classes = [row for row in _classes(claim, claim.metric, rows) if row.class_name != claim.apart_from]
    under = [f"{number(row.value)} for {row.class_name}" for row in classes if row.value <= 0.5]
    over = len(classes) - len(under)
    others = f"{len(classes)} classes" + (f" but {claim.apart_from}" if claim.apart_from else "")
    told = ", and ".join(filter(None, (f"above one half in {over} of the {others}", ", ".join(under))))
    sentence = f"{_quoted(claim)}: {label(claim.metric)} is {told} ({claim.chosen[1]})."
    return check(classes[0], "claim", claim.metric, over > len(under), sentence)


def _stratified(claim: Claim, rows: list[Printed]) -> Check:
    """Whether validation pictures are the same share of every class, to the picture."""
    validation = _classes(claim, claim.metric, rows)
    training = {row.class_name: row.value for row in _classes(claim, "train_count", rows)}
    totals = {row.class_name: row.value + training[row.class_name] for row in validation}
    overall = sum(row.value for row in validation) / sum(totals.values())
    holds = all(abs(row.value - overall * totals[row.class_name]) <= 1 for row in validation)
    shares = sorted((row.value / totals[row.class_name], row.class_name) for row in validation)
    told = " to ".join(f"{number(share)} of {name}" for share, name in (shares[0], shares[-1]))
    sentence = f"{_quoted(claim)}: validation images are from {told} in {claim.chosen[1]}; no other split is printed."
    return check(validation[0], "claim", claim.metric, holds, sentence)


OF_CLASSES: dict[str, Callable[[Claim, list[Printed]], Check]] = {"over_half": _over_half, "stratified": _stratified}


def _classes(claim: Claim, metric: str, rows: list[Printed]) -> list[Printed]:
    """The numbers of single classes where the claim looks for them."""
    found = [row for row in rows if (row.system, row.where) == claim.chosen and row.metric == metric and row.class_name]
    if not found:
        raise ConfigError(f"A claim is about {metric} per class of {', '.join(claim.chosen)}, which is not printed.")
    return found


def _contradicts(expects: str, chosen: Printed, other: Printed) -> bool:
    if expects == "equal":
        return abs(chosen.value - other.value) > chosen.unit + other.unit
    if expects == "highest":
        return other.value > chosen.value
    if expects == "lowest":
        return other.value < chosen.value
    if expects == "exceeded":
        return other.value <= chosen.value
    raise ConfigError(
        f"Unknown expectation {expects!r}.",
        f"Expected one of equal, exceeded, highest, lowest, {', '.join(OF_CLASSES)}.",
    )


def _claimed(claim: Claim, at: tuple[str, str], rows: list[Printed]) -> Printed:
    wanted = (*at, claim.metric, claim.class_name)
    for row in rows:
        if (row.system, row.where, row.metric, row.class_name) == wanted:
            return row
    raise ConfigError(f"A claim is about {', '.join(filter(None, wanted))}, which is not among the printed numbers.")
