"""Where the papers contradict themselves: checks of ``reported_metrics.csv``, and of words in ``papers.json``.

Six kinds. ``values``: one number printed differently in different places. ``definition``: numbers that another
printed number fixes by its definition. ``claim``: a sentence of the paper against its numbers. ``naming``: two
systems called the same. ``wording``: one thing said in two ways. ``implausible``: a number that published results or
the data make hard to believe.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import fmean

import pandas as pd

from fer_core.errors import ConfigError
from fer_core.labels import CLASS_NAMES
from fer_core.reported.claims import check_claim
from fer_core.reported.printed import KINDS, Check, Printed, check, distinct, number, printed
from fer_core.reported.reading import CITED, DATASET, Naming, Wording, label, papers, read, references

# Numbers computed from rounded ones may be off by two units in the last printed place: rounding, and truncation.
SLACK = 2.0
# Per-class metric -> headline metrics that are its unweighted mean, and its mean weighted by support.
MEANS = {
    "recall": ("mean_tpr", "macro_recall"),
    "fpr": ("mean_fpr",),
    "f1": ("macro_f1",),
    "precision": ("macro_precision",),
}
WEIGHTED = {
    "recall": ("accuracy", "weighted_recall"),
    "f1": ("weighted_f1",),
    "precision": ("weighted_precision",),
}


def checks(paper: str, table: pd.DataFrame | None = None) -> list[Check]:
    """Everything that can be checked about the numbers of ``paper``.

    Args:
        paper: key.
        table: as :func:`fer_core.reported.read` returns it; read by default.

    Raises:
        ConfigError: unknown paper, or a claim about a number that is not in the table.
        RunError: the files are missing or damaged.
    """
    known = papers()
    if paper not in known:
        raise ConfigError(f"Unknown paper {paper!r}.", f"Expected one of {', '.join(known)}.")
    table = read() if table is None else table
    rows = printed(table[table["paper"] == paper])
    found = list(_same_values(rows))
    for of_system in _groups(rows, lambda row: row.system).values():
        found += [*_means(of_system), *_weighted_means(of_system, rows), *_f1_scores(of_system), *_sums(of_system)]
        found += [*_totals(of_system), *_discrepancies(of_system), *_ranges(of_system), *_mean_fprs(of_system, rows)]
        if of_system[0].system != DATASET:
            found += [*_above_majority(of_system, rows), *_against_references(of_system)]
    found += _beyond_selection(rows)
    if rows:
        found += [check_claim(claim, rows) for claim in known[paper].claims]
    found += [_naming(paper, naming) for naming in known[paper].namings]
    found += [_wording(paper, wording) for wording in known[paper].wordings]
    return found


def contradictions(paper: str, table: pd.DataFrame | None = None) -> list[Check]:
    """The :func:`checks` that do not hold, by kind in the order of :data:`KINDS`."""
    return failed(checks(paper, table))


def failed(found: Iterable[Check]) -> list[Check]:
    """Those of ``found`` that do not hold, by kind in the order of :data:`KINDS`."""
    return sorted((one for one in found if not one.holds), key=lambda one: KINDS.index(one.kind))


def _same_values(rows: list[Printed]) -> Iterator[Check]:
    groups = _groups(rows, lambda row: (row.system, row.dataset, row.metric, row.class_name))
    for (system, _, metric, class_name), of_quantity in groups.items():
        if len(of_quantity) > 1:
            values = distinct(of_quantity)
            told = "; ".join(f"{number(row.value)} in {places}" for row, places in values)
            name = f"{label(metric)} {class_name}".strip()
            yield check(of_quantity[0], "values", metric, len(values) == 1, f"{system}, {name}: {told}.")


def _means(rows: list[Printed]) -> Iterator[Check]:
    """Macro averages: the unweighted mean of a metric over the classes."""
    for metric, headlines in MEANS.items():
        classes = _per_class(rows, metric)
        mean = fmean(row.value for row in classes.values()) if classes else 0.0
        for row, places in _headlines(rows, headlines) if classes else ():
            same = [name for name, of_class in classes.items() if abs(of_class.value - row.value) <= row.unit]
            yield check(
                row,
                "definition",
                row.metric,
                abs(mean - row.value) <= _unit(classes) + SLACK * row.unit,
                f"{row.system}: {label(row.metric)} is {number(row.value)} in {places}; the mean of the "
                f"{len(classes)} per-class values of {label(metric)} in {_place(classes)} is {number(mean)}"
                + (f" ({number(row.value)} is that of {same[0]} alone)." if same else "."),
            )


def _weighted_means(rows: list[Printed], table: list[Printed]) -> Iterator[Check]:
    """Accuracy is recall averaged by support; weighted averages are too."""
    for metric, headlines in WEIGHTED.items():
        classes = _per_class(rows, metric)
        support = _support(rows, table) if classes else None
        if not support:
            continue
        mean = fmean((classes[name].value for name in CLASS_NAMES), (support[name].value for name in CLASS_NAMES))
        for row, places in _headlines(rows, headlines):
            yield check(
                row,
                "definition",
                row.metric,
                abs(mean - row.value) <= _unit(classes) + SLACK * row.unit,
                f"{row.system}: {label(row.metric)} is {number(row.value)} in {places}; {label(metric)} in "
                f"{_place(classes)}, weighted by the class counts of {_place(support)}, gives {number(mean)}.",
            )


def _f1_scores(rows: list[Printed]) -> Iterator[Check]:
    """F1 = 2 P R / (P + R), rising in both; so rounded precision and recall bound it."""
    parts = [_per_class(rows, metric) for metric in ("precision", "recall", "f1")]
    for name in CLASS_NAMES if all(parts) else ():
        p, r, f1 = (part[name] for part in parts)
        low, high = _harmonic(p.value - p.unit, r.value - r.unit), _harmonic(p.value + p.unit, r.value + r.unit)
        yield check(
            f1,
            "definition",
            "f1",
            low - f1.unit <= f1.value <= high + f1.unit,
            f"{f1.system}, {name}: F1 is {number(f1.value)} in {f1.where}; precision {number(p.value)} and recall "
            f"{number(r.value)} give {number(_harmonic(p.value, r.value))}.",
        )


def _sums(rows: list[Printed]) -> Iterator[Check]:
    """A printed total against the printed classes."""
    classes = [row for row in rows if row.metric in ("count", "support") and row.class_name]
    for (metric, dataset, _), of_place in _groups(classes, lambda row: (row.metric, row.dataset, row.where)).items():
        added = sum(row.value for row in of_place)
        for row, places in _headlines([row for row in rows if row.dataset == dataset], (metric,)):
            yield check(
                row,
                "definition",
                metric,
                added == row.value,
                f"{dataset}: {number(row.value)} pictures in all in {places}; the {len(of_place)} classes printed "
                f"there add up to {number(added)}.",
            )


def _totals(rows: list[Printed]) -> Iterator[Check]:
    metrics = ("param_count", "trainable_param_count", "non_trainable_param_count")
    for total, trainable, fixed in _together(rows, metrics):
        yield check(
            total,
            "definition",
            total.metric,
            total.value == trainable.value + fixed.value,
            f"{total.system}: {number(total.value)} parameters in {total.where}; {number(trainable.value)} trainable "
            f"and {number(fixed.value)} others.",
        )


def _discrepancies(rows: list[Printed]) -> Iterator[Check]:
    for gap, train, val in _together(rows, ("discrepancy", "train_accuracy", "val_accuracy")):
        yield check(
            gap,
            "definition",
            gap.metric,
            abs(train.value - val.value - gap.value) <= SLACK * gap.unit,
            f"{gap.system}: discrepancy is {number(gap.value)} in {gap.where}; {number(train.value)} in training minus "
            f"{number(val.value)} in validation is {number(train.value - val.value)}.",
        )


def _ranges(rows: list[Printed]) -> Iterator[Check]:
    for low, high in _together(rows, ("accuracy_min", "accuracy_max")):
        for row, places in _headlines(rows, ("accuracy",)):
            yield check(
                row,
                "definition",
                row.metric,
                low.value - row.unit <= row.value <= high.value + row.unit,
                f"{row.system}: accuracy is {number(row.value)} in {places}; it went from {number(low.value)} to "
                f"{number(high.value)} over all attempts in {low.where}.",
            )


def _mean_fprs(rows: list[Printed], table: list[Printed]) -> Iterator[Check]:
    """Accuracy and class counts bound the mean false positive rate.

    Every wrong answer is one false positive: together N (1 - accuracy). A class with S of the N pictures has N - S
    negatives, so the mean of FP / (N - S) over K classes lies between all errors falling to the rarest class and all
    falling to the most frequent one.
    """
    pairs = list(_together(rows, ("mean_fpr", "accuracy")))
    support = _support(rows, table, of_others=True) if pairs else None
    for fpr, accuracy in pairs if support else ():
        counts = [row.value for row in support.values()]
        errors = sum(counts) * (1 - accuracy.value) / len(counts)
        low, high = errors / (sum(counts) - min(counts)), errors / (sum(counts) - max(counts))
        yield check(
            fpr,
            "definition",
            fpr.metric,
            low - SLACK * fpr.unit <= fpr.value <= high + SLACK * fpr.unit,
            f"{fpr.system}: mean FPR is {number(fpr.value)} in {fpr.where}; with the accuracy "
            f"{number(accuracy.value)} printed beside it and the class counts of {_place(support)} it can only lie "
            f"between {number(low)} and {number(high)}.",
        )


def _beyond_selection(rows: list[Printed]) -> Iterator[Check]:
    """A system cannot be tested on more pictures, or classes, of a dataset than the paper says it has selected of it.

    A selection is a dataset that is named after another one, as ``fer2013_five_class_subset``.
    """
    tested = [row for row in rows if row.metric == "support" and not row.class_name and row.system != DATASET]
    for selected in (row for row in rows if row.metric == "count" and not row.class_name and row.system == DATASET):
        kept = _classes(rows, selected)
        for total in tested:
            classes = _classes(rows, total)
            if kept and classes and selected.dataset.startswith(f"{total.dataset}_"):
                yield check(
                    total,
                    "implausible",
                    total.metric,
                    total.value <= selected.value and len(classes) <= len(kept),
                    f"{total.system}: tested on {number(total.value)} pictures of {len(classes)} classes in "
                    f"{total.where}; in {selected.where}, {number(selected.value)} pictures of {len(kept)} classes "
                    f"were selected of {total.dataset}.",
                )


def _classes(rows: list[Printed], total: Printed) -> list[Printed]:
    """The printed numbers of single classes that ``total`` is the sum of."""
    same = (total.system, total.dataset, total.metric, total.where)
    return [row for row in rows if row.class_name and (row.system, row.dataset, row.metric, row.where) == same]


def _above_majority(rows: list[Printed], table: list[Printed]) -> Iterator[Check]:
    support = _support(rows, table)
    if not support:
        return
    largest = max(support.values(), key=lambda row: row.value)
    share = largest.value / sum(row.value for row in support.values())
    for row, places in _headlines(rows, ("accuracy",)):
        yield check(
            row,
            "implausible",
            row.metric,
            row.value > share,
            f"{row.system}: accuracy is {number(row.value)} in {places}; always answering {largest.class_name} would "
            f"get {number(share)} by the class counts of {_place(support)}.",
        )


def _against_references(rows: list[Printed]) -> Iterator[Check]:
    published = references()
    for row, places in _headlines(rows, ("accuracy",)):
        known = [record for record in published if record["dataset"] == row.dataset]
        if row.system.startswith(CITED):  # others' numbers: the highest will do
            known = sorted(known, key=lambda record: record["accuracy"] + record["spread"])[-1:]
        if known:
            yield check(
                row,
                "implausible",
                row.metric,
                row.value <= max(record["accuracy"] + record["spread"] for record in known),
                f"{_name(row.system)}: accuracy is {number(row.value)} on {row.dataset} in {places}; published: "
                f"{', '.join(map(_reference, known))}.",
            )


def _name(system: str) -> str:
    return f"{system.removeprefix(CITED)}, as cited" if system.startswith(CITED) else system


def _reference(record: Mapping) -> str:
    spread = f" \u00b1 {number(record['spread'])}" if record["spread"] else ""
    return f"{record['what']} {number(record['accuracy'])}{spread} ([{record['source']}]({record['link']}))"


def _naming(paper: str, naming: Naming) -> Check:
    systems = list(dict.fromkeys(system for system, _, _ in naming.named))
    told = "; ".join(f"{system} in {where} (\u201c{says}\u201d)" for system, where, says in naming.named)
    return Check(paper, "naming", systems[0], "", len(systems) == 1, f"{naming.about}: {told}.")


def _wording(paper: str, wording: Wording) -> Check:
    meant = _groups(wording.said, lambda one: one[0])
    told = [
        f"{means} in " + ", ".join(f"{where} (\u201c{says}\u201d)" for _, where, says in times)
        for means, times in meant.items()
    ]
    sentence = f"{wording.about}: {'; '.join(told)}. Our systems go by: {wording.follows}."
    return Check(paper, "wording", "", "", len(meant) == 1, sentence)


def _groups(rows: Iterable[Printed], key: Callable) -> dict:
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _headlines(rows: list[Printed], metrics: tuple[str, ...]) -> list[tuple[Printed, str]]:
    """:func:`distinct` headline numbers of each metric and dataset."""
    wanted = [row for row in rows if row.metric in metrics and not row.class_name]
    groups = _groups(wanted, lambda row: (row.metric, row.dataset))
    return [pair for group in groups.values() for pair in distinct(group)]


def _per_class(rows: list[Printed], metric: str) -> dict[str, Printed] | None:
    """Numbers of all seven classes from the place that prints most digits; None where some lack."""
    rows = [row for row in rows if row.metric == metric and row.class_name]
    places = _groups(rows, lambda row: (row.dataset, row.where)).values()
    whole = [of_place for of_place in places if len(of_place) == len(CLASS_NAMES)]
    return {row.class_name: row for row in min(whole, key=lambda of: of[0].unit)} if whole else None


def _support(rows: list[Printed], table: list[Printed], of_others: bool = False) -> dict[str, Printed] | None:
    """Class counts of the pictures that a system was measured on: its own, or the paper's validation pictures.

    With ``of_others`` also those of another system on the same dataset.
    """
    own = _per_class(rows, "support")
    if own:
        return own
    same = [row for row in table if row.dataset == rows[0].dataset]
    validation = _per_class([row for row in same if row.system == DATASET], "validation_count")
    return validation or (_per_class(same, "support") if of_others else None)


def _together(rows: list[Printed], metrics: tuple[str, ...]) -> Iterator[list[Printed]]:
    """Headline numbers of ``metrics`` from each place that prints all of them."""
    for of_place in _groups((row for row in rows if not row.class_name), lambda row: row.where).values():
        found = {row.metric: row for row in of_place}
        if set(metrics) <= set(found):
            yield [found[metric] for metric in metrics]


def _unit(classes: Mapping[str, Printed]) -> float:
    return max(row.unit for row in classes.values())


def _place(classes: Mapping[str, Printed]) -> str:
    return next(iter(classes.values())).where


def _harmonic(precision: float, recall: float) -> float:
    precision, recall = max(precision, 0.0), max(recall, 0.0)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
