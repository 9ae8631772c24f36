"""Every number of a mask study, computed from its predictions: drops, recalls, flips, and what a mask does beyond area.

A mask that hides more costs more whatever it hides. So each region stands beside random masks of its own area, and the
two questions are kept apart: which mask costs most accuracy, and which costs most beyond hiding as much anywhere.

Intervals are 95 % percentile bootstrap intervals over the pictures; all conditions are resampled together, so that
differences are paired. They say nothing about training the network again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core import comparison, metrics
from fer_core.artifacts import Run
from fer_core.artifacts import root as artifacts_root
from fer_core.errors import RunError
from fer_core.explain import ranking
from fer_core.explain.conditions import WHOLE, flip_matrix, flow
from fer_core.explain.headline import leader
from fer_core.explain.mask_study import REGIONS, MaskStudy, trained_mask
from fer_core.explain.part_numbers import true_probs
from fer_core.explain.ranking import Ranking, estimates, rank, resamples
from fer_core.models.specs import MODELS
from fer_core.predictions import Predictions
from fer_core.storage import to_json

PAPER = "feeling_it"
# Ours -> what the paper's systems are called after the network.
REPORTED = {"forehead": "forehead_mask", "eyes": "eye_mask", "mouth": "nose_and_mouth_mask"}
# What its masked models build on, by the text of sections "VGG-16" and "ResNet-50" (Table 3 contradicts, see Papers).
REPORTED_WHOLE = {"VGG-16": "no_mask_overfitting_control", "ResNet50": "no_mask_no_overfitting_control"}
TESTED, TRAINED, PRINTED = "trained on whole faces", "trained with the mask", "paper: trained under the same mask"
CONTROL = "random masks of the same area"
ACCURACY_COLUMNS = [
    *("mask", "area", "n", "accuracy", "accuracy_low", "accuracy_high"),
    *("drop", "drop_low", "drop_high", "mcnemar_p", "only_whole", "only_masked"),
    *("control", "control_low", "control_high", "beyond", "beyond_low", "beyond_high"),
    *("flip_rate", "flip_rate_low", "flip_rate_high"),
    *("control_flip_rate", "control_flip_rate_low", "control_flip_rate_high"),
]
OVERALL_COLUMNS = ["mask", "model", "trained", "overall", "low", "high"]
GAINS = ("gain", "p_gain", "ece_gain")
GAIN_COLUMNS = [f"{name}{end}" for name in GAINS for end in ("", "_low", "_high")]
MEASURES = {"recall": "accuracy", "f1": "weighted_f1"}  # per class -> over all, as in the paper's tables


@dataclass(frozen=True)
class MaskSummary:
    """What :func:`summary` computes: a table with a row per mask, and both rankings; None without random masks."""

    class_names: tuple[str, ...]
    accuracy: pd.DataFrame
    by_drop: Ranking
    beyond_control: Ranking | None


@dataclass(frozen=True)
class MaskNumbers(MaskSummary):
    """What :func:`numbers` computes: also tables with a row per mask and class, and per mask and kind of flip."""

    recall: pd.DataFrame
    flips: pd.DataFrame
    flows: pd.DataFrame


def numbers(study: MaskStudy, *, n_boot: int = 1000, seed: int = 0) -> MaskNumbers:
    """All tables and both rankings of a study, on one set of resamples.

    Those of :func:`summary`; ``recall``: :func:`recall_rows`; ``flips``: :func:`flip_rows`; ``flows``:
    :func:`flow_rows`.
    """
    weights = resamples(len(study.predictions[WHOLE]), n_boot, seed)
    return MaskNumbers(
        **vars(summary(study, n_boot=n_boot, seed=seed)),
        recall=recall_rows(study, weights),
        flips=flip_rows(study),
        flows=flow_rows(study),
    )


def summary(study: MaskStudy, *, n_boot: int = 1000, seed: int = 0) -> MaskSummary:
    """What a study says over all classes.

    ``accuracy`` has a row for the whole picture and for each region: mask, area (hidden share), n, accuracy, drop
    (whole minus masked), mcnemar_p, only_whole and only_masked (pictures that only one of the two got right), control
    (mean accuracy under the random masks), beyond (control minus masked), flip_rate (share of pictures whose most
    probable class changes), control_flip_rate; with ``_low`` and ``_high`` for accuracy, drop, control, beyond and
    both flip rates. Without controls their columns are NaN.
    """
    weights = resamples(len(study.predictions[WHOLE]), n_boot, seed)
    drops = {region: _drop(study, region) for region in REGIONS}
    beyond = {region: _beyond(study, region) for region in REGIONS} if study.record["control_seeds"] else {}
    return MaskSummary(
        class_names=tuple(study.class_names),
        accuracy=_accuracy_table(study, drops, beyond, weights),
        by_drop=rank(drops, weights),
        beyond_control=rank(beyond, weights) if beyond else None,
    )


def recall_rows(study: MaskStudy, weights: np.ndarray) -> pd.DataFrame:
    """Per-class recall under each mask, and its change against the whole picture.

    Columns: mask, class, support, recall, change, change_low, change_high, control_change (mean over the random masks
    of the same area), control_change_low, control_change_high. A class that does not occur has recall 0. Classes of
    fewer than ``metrics.FEWEST`` pictures have no interval: resamples of so few hardly differ.
    """
    whole = study.predictions[WHOLE]
    of_class = np.eye(len(whole.class_names))[whole.y_true].T  # (K, N)
    shifts = {("change", region): -_drop(study, region) for region in REGIONS}
    if study.record["control_seeds"]:
        hits = _hits(whole)
        shifts |= {("control_change", region): _control_hits(study, region) - hits for region in REGIONS}
    gained = np.stack(list(shifts.values()))[:, None, :] * of_class  # (shifts, K, N)
    resampled = (gained.reshape(-1, len(whole)) @ weights).reshape(*gained.shape[:2], -1)
    low, high = np.percentile(resampled / np.maximum(of_class @ weights, 1), [2.5, 97.5], axis=2)
    support = of_class.sum(axis=1)
    low[:, support < metrics.FEWEST] = high[:, support < metrics.FEWEST] = np.nan
    mean = gained.sum(axis=2) / np.maximum(support, 1)
    rows = []
    for region in REGIONS:
        recall = metrics.recall(study.predictions[region])
        for index, name in enumerate(whole.class_names):
            row = {"mask": region, "class": name, "support": int(support[index]), "recall": recall[index]}
            for column in ("change", "control_change"):
                place = list(shifts).index((column, region)) if (column, region) in shifts else None
                edges = (np.nan,) * 3 if place is None else (part[place, index] for part in (mean, low, high))
                row |= dict(zip((column, f"{column}_low", f"{column}_high"), edges, strict=True))
            rows.append(row)
    return pd.DataFrame(rows)


def flip_rows(study: MaskStudy) -> pd.DataFrame:
    """Where predictions go when a mask changes them, the commonest first within each mask.

    Columns: mask, before, after (predicted classes), count, share (of the pictures predicted as ``before``),
    to_right, to_wrong (of ``count``: wrong before and right after, and the other way round).
    """
    whole = study.predictions[WHOLE]
    names = whole.class_names
    rows = []
    for region in REGIONS:
        masked = study.predictions[region]
        gained = (masked.y_pred == masked.y_true) & (whole.y_pred != whole.y_true)
        lost = (masked.y_pred != masked.y_true) & (whole.y_pred == whole.y_true)
        counts = flip_matrix(study.predictions[WHOLE], study.predictions[region])
        predicted = counts.sum(axis=1)
        found = []
        for before, after in zip(*np.nonzero(counts), strict=True):
            if before == after:
                continue
            here = (whole.y_pred == before) & (masked.y_pred == after)
            row = {"mask": region, "before": names[before], "after": names[after], "count": int(counts[before, after])}
            row |= {"share": counts[before, after] / predicted[before]}
            found.append(row | {"to_right": int((here & gained).sum()), "to_wrong": int((here & lost).sum())})
        rows += sorted(found, key=lambda row: -row["count"])
    return pd.DataFrame(rows, columns=["mask", "before", "after", "count", "share", "to_right", "to_wrong"])


def flow_rows(study: MaskStudy) -> pd.DataFrame:
    """Where all predictions go under each mask: columns mask, before, after (predicted classes), count (1 or more)."""
    whole = study.predictions[WHOLE]
    flows = [flow(whole, study.predictions[region]).assign(mask=region) for region in REGIONS]
    return pd.concat(flows, ignore_index=True)[["mask", "before", "after", "count"]]


def verdict(found: MaskSummary) -> list[str]:
    """The answer in sentences: which mask costs most accuracy, or that this is undecided; whether that is the paper's
    answer; and what is left of it against random masks as large.
    """
    by_drop, beyond = found.by_drop, found.beyond_control
    if not by_drop.positive:
        return ["No mask costs accuracy beyond chance: this model does not need what they hide."]
    lines = [ranking.lead_sentence(by_drop, "mask", "costs most accuracy")]
    if "mouth" in by_drop.tied or (by_drop.tied and by_drop.first == "mouth"):
        lines.append("The paper (Feeling It, Tables 2 and 3) found the mouth costliest; these data cannot tell.")
    elif by_drop.first == "mouth":
        lines.append("The paper (Feeling It, Tables 2 and 3) found the same.")
    else:
        lines.append("The paper (Feeling It, Tables 2 and 3) found the mouth mask costliest, this study does not.")
    return lines + ([] if beyond is None else [ranking.beyond_sentence(by_drop, beyond, "mask")])


def leaders(found: MaskSummary) -> tuple[str, str | None]:
    """The mask that costs most, and the one that costs most beyond its size, see :func:`fer_core.explain.headline`."""
    return leader(found.by_drop), None if found.beyond_control is None else leader(found.beyond_control)


def area_words(record: Mapping) -> str:
    """How much of the picture each mask of a study hides: ``forehead 25 %, eyes 25 %, mouth 50 %``."""
    height, width = record["picture_size"]
    return ", ".join(f"{region} {100 * area / (height * width):.0f} %" for region, area in record["areas"].items())


def trained_runs(record: Mapping, runs: Iterable[Run]) -> dict[str, Run]:
    """Region -> a run of the same architecture, pictures and split that was trained and measured with it hidden.

    Its predictions must average the views that the study's do. Where there are several, the most accurate on val.

    Args:
        record: of a study, see :mod:`fer_core.explain.mask_study`.
    """
    runs = list(runs)
    own = next((run for run in runs if run.name == record["run"]), None)
    found: dict[str, Run] = {}
    if own is None:
        return found
    for run in runs:
        region = trained_mask(run)  # few have one: the rest takes longer to compare
        if not region or run.dataset != own.dataset or record["split"] not in run.splits:
            continue
        views = (run.run.get("config") or {}).get("tta", "none")
        if views != record["tta"] or architecture(run) != architecture(own) or _asked(run) != _asked(own):
            continue
        if region not in found or _val_accuracy(run) > _val_accuracy(found[region]):
            found[region] = run
    return found


def _asked(run: Run) -> tuple:
    """What a run was asked, but for its mask: which pictures, made into what, and for which classes."""
    config = run.run.get("config") or {}
    made = bool(config.get("faces")), config.get("equalize") or ""
    return run.run["dataset_fingerprint"], *made, frozenset(run.run["class_names"])


def architecture(run: Run) -> tuple:
    """What makes two runs the same network: builder, arguments, channels and side of the input."""
    spec = run.run.get("spec") or MODELS.get(run.model)
    if not spec:
        return (run.model,)
    size = (run.run.get("config") or {}).get("input_size") or spec.get("input_size")
    return spec.get("builder"), to_json(spec.get("arguments") or {}), spec.get("channels"), size


def table_rows(
    study: MaskStudy, trained: Mapping[str, Run], measure: str = "recall", *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """A model under each mask as the paper's tables show it, trained without the mask and with it.

    Args:
        trained: see :func:`trained_runs`.
        measure: ``recall`` (the paper's "accuracy" of a class; over all classes, accuracy) or ``f1`` (weighted F1).

    Returns:
        Columns: mask, model, trained, overall, low, high; a column per class, with ``_low`` and ``_high``; and
        :data:`GAINS` with ``_low`` and ``_high``, what training with the mask gains on the same masked pictures, see
        :func:`gains`.
    """
    rows = []
    for mask in (WHOLE, *REGIONS):
        rows.append(_table_row(study.predictions[mask], mask, study.run, TESTED, measure, n_boot, seed))
        if mask in trained:
            predictions = trained[mask].predictions(study.record["split"])
            row = _table_row(predictions, mask, trained[mask].name, TRAINED, measure, n_boot, seed)
            rows.append(row | gains(predictions, study.predictions[mask], n_boot=n_boot, seed=seed))
    of_classes = [column for name in study.class_names for column in interval_columns(name)]
    columns = [*OVERALL_COLUMNS, *of_classes, *GAIN_COLUMNS]
    return pd.DataFrame(rows, columns=columns)


def interval_columns(name: str) -> list[str]:
    """Columns of a number and of its interval."""
    return [f"{name}{end}" for end in ("", "_low", "_high")]


def with_cells(table: pd.DataFrame, class_names: Iterable[str]) -> pd.DataFrame:
    """Rows of :func:`table_rows` and :func:`reported_rows` to be read: each class in one column, as words in percent.

    ``62.1 [58.0, 66.2]``; ``62.1`` where there is no interval, as of printed values; nothing where there is no value.
    """
    cells = {}
    for name in class_names:
        numbers = table.reindex(columns=interval_columns(name)).to_numpy(float)
        cells[name] = [_cell(*(100 * row).tolist()) for row in numbers]
    edges = [column for name in cells for column in interval_columns(name)[1:]]
    return table.drop(columns=edges, errors="ignore").assign(**cells)


def _cell(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.1f}" + ("" if np.isnan(low) else f" [{low:.1f}, {high:.1f}]")


def gains(trained: Predictions, tested: Predictions, *, n_boot: int = 1000, seed: int = 0) -> dict[str, float]:
    """What training with a mask gains over meeting it for the first time, on the pictures that both were shown.

    ``gain`` in accuracy and ``p_gain`` in the true class's probability (mean), of ``trained`` minus ``tested``;
    ``ece_gain`` is the calibration error of ``tested`` minus that of ``trained``: above 0 training helps in all three.
    Each with ``_low`` and ``_high``: resampled together, percentile intervals and for ``ece_gain`` basic ones, see
    :mod:`fer_core.explain.part_numbers`.

    Raises:
        RunError: they share no pictures or differ in their classes.
    """
    own, other = comparison.align(trained, tested)
    weights = resamples(len(own), n_boot, seed)
    values = {"gain": _hits(own) - _hits(other), "p_gain": true_probs(own) - true_probs(other)}
    found: dict[str, float] = {}
    for name, one in estimates(values, weights).items():
        found |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    value = metrics.ece(other) - metrics.ece(own)
    low, high = metrics.basic_interval(value, metrics.ece(other, weights) - metrics.ece(own, weights), least=-1.0)
    return found | {"ece_gain": value, "ece_gain_low": low, "ece_gain_high": high}


def reported_rows(class_names: Iterable[str], measure: str = "recall", path: Path | None = None) -> pd.DataFrame:
    """What the paper prints, in the columns of :func:`table_rows` but for intervals per class, of which it has none.

    Empty where the file of reported numbers is missing.

    Args:
        path: CSV with the columns paper, system, metric, class_name, value; ``reported/reported_metrics.csv`` of the
            artifacts folder by default.

    Raises:
        RunError: the file is something else.
    """
    class_names = list(class_names)
    columns = [*OVERALL_COLUMNS, *class_names]
    path = path or artifacts_root() / "reported" / "reported_metrics.csv"
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    try:
        table = pd.read_csv(path, keep_default_na=False)
        table = table[table["paper"] == PAPER]
        values = table.set_index(["system", "metric", "class_name"])["value"].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{path} is no table of reported numbers: {error}.", "Restore it from git.") from error
    rows = []
    for network, whole in REPORTED_WHOLE.items():
        for mask, system in {WHOLE: whole, **REPORTED}.items():
            overall = values.get((f"{network}:{system}", MEASURES[measure], ""), np.nan)
            row = {"mask": mask, "model": f"{network} (paper)", "trained": PRINTED, "overall": overall}
            row |= {name: values.get((f"{network}:{system}", measure, name), np.nan) for name in class_names}
            rows.append(row)
    return pd.DataFrame(rows, columns=columns).dropna(subset=["overall"], ignore_index=True)


def overall_rows(
    record: Mapping, accuracy: pd.DataFrame, trained: Mapping[str, Run], *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """:func:`table_rows` of recall but for the classes and the gains, which take most of the time: accuracy only.

    Args:
        record: of the study.
        accuracy: of its :class:`MaskSummary`, with as many resamples.
        trained: see :func:`trained_runs`.
    """
    rows = []
    for one in accuracy.to_dict("records"):
        mask, overall = one["mask"], [one[name] for name in interval_columns("accuracy")]
        rows.append((mask, record["run"], TESTED, *overall))
        if mask in trained:
            predictions = trained[mask].predictions(record["split"])
            rows.append((mask, trained[mask].name, TRAINED, *_accuracy(predictions, n_boot, seed)))
    return pd.DataFrame(rows, columns=OVERALL_COLUMNS)


def chart_rows(tables: Iterable[pd.DataFrame], accuracies: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Accuracy of several models under each mask, for one chart.

    Args:
        tables: of :func:`overall_rows` and :func:`reported_rows`.
        accuracies: run -> ``accuracy`` of its :class:`MaskSummary`, for the random masks.

    Returns:
        Columns mask, model, kind (TESTED, TRAINED, PRINTED or CONTROL), value, low, high. A model trained with a mask
        stands under the name of the one trained without it.
    """
    rows = []
    for table in tables:
        own = table.loc[table["trained"] == TESTED, "model"]
        for row in table.to_dict("records"):
            model = own.iloc[0] if row["trained"] == TRAINED else row["model"]
            found = {"value": row["overall"], "low": row["low"], "high": row["high"]}
            rows.append({"mask": row["mask"], "model": model, "kind": row["trained"]} | found)
    for run, accuracy in accuracies.items():
        for row in accuracy[accuracy["control"].notna()].to_dict("records"):
            found = {"value": row["control"], "low": row["control_low"], "high": row["control_high"]}
            rows.append({"mask": row["mask"], "model": run, "kind": CONTROL} | found)
    frame = pd.DataFrame(rows, columns=["mask", "model", "kind", "value", "low", "high"])
    return frame.astype({"value": float, "low": float, "high": float})


def _accuracy_table(
    study: MaskStudy, drops: Mapping[str, np.ndarray], beyond: Mapping[str, np.ndarray], weights: np.ndarray
) -> pd.DataFrame:
    whole = study.predictions[WHOLE]
    values = {("accuracy", mask): _hits(study.predictions[mask]) for mask in (WHOLE, *REGIONS)}
    for region in REGIONS:
        values |= {("drop", region): drops[region], ("flip_rate", region): _flipped(whole, study.predictions[region])}
        if beyond:
            flipped = np.mean([_flipped(whole, control) for control in study.controls(region)], axis=0)
            values |= {("control", region): _control_hits(study, region), ("beyond", region): beyond[region]}
            values |= {("control_flip_rate", region): flipped}
    rows = {mask: {"mask": mask, "area": study.area(mask), "n": len(whole)} for mask in (WHOLE, *REGIONS)}
    for (column, mask), found in estimates(values, weights).items():
        rows[mask] |= {column: found.value, f"{column}_low": found.low, f"{column}_high": found.high}
    for region in REGIONS:
        test = comparison.mcnemar(whole, study.predictions[region])
        rows[region] |= {"mcnemar_p": test.p_value, "only_whole": test.only_a, "only_masked": test.only_b}
    return pd.DataFrame(list(rows.values()), columns=ACCURACY_COLUMNS)


def _table_row(
    predictions: Predictions, mask: str, model: str, trained: str, measure: str, n_boot: int, seed: int
) -> dict:
    weights = resamples(len(predictions), n_boot, seed)
    row = {"mask": mask, "model": model, "trained": trained}
    if measure == "recall":
        row |= dict(zip(("overall", "low", "high"), _accuracy(predictions, n_boot, seed), strict=True))
        of_class = metrics.recall
    else:
        low, high = metrics.interval(metrics.weighted_f1(predictions, weights))
        row |= {"overall": metrics.weighted_f1(predictions), "low": low, "high": high}
        of_class = metrics.f1
    resampled = of_class(predictions, weights).T
    for name, value, drawn in zip(predictions.class_names, of_class(predictions).tolist(), resampled, strict=True):
        row |= dict(zip(interval_columns(name), (value, *metrics.interval(drawn)), strict=True))
    return row


def _accuracy(predictions: Predictions, n_boot: int, seed: int) -> tuple[float, float, float]:
    """With its interval."""
    found = estimates({"": _hits(predictions)}, resamples(len(predictions), n_boot, seed))[""]
    return found.value, found.low, found.high


def _hits(predictions: Predictions) -> np.ndarray:
    return (predictions.y_pred == predictions.y_true).astype(np.float64)


def _control_hits(study: MaskStudy, region: str) -> np.ndarray:
    """Of each picture, the share of its random masks under which it is still recognised."""
    return np.mean([_hits(control) for control in study.controls(region)], axis=0)


def _drop(study: MaskStudy, region: str) -> np.ndarray:
    return _hits(study.predictions[WHOLE]) - _hits(study.predictions[region])


def _beyond(study: MaskStudy, region: str) -> np.ndarray:
    return _control_hits(study, region) - _hits(study.predictions[region])


def _flipped(whole: Predictions, masked: Predictions) -> np.ndarray:
    return (whole.y_pred != masked.y_pred).astype(np.float64)


def _val_accuracy(run: Run) -> float:
    return float(run.run["metrics"].get("val", {}).get("accuracy") or 0.0)
