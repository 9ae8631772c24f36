"""The mask study on the Masks page: whole test set, every studied model under every mask."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from fer_core.charts import masks as charts
from fer_core.charts import occlusion as occlusion_charts
from fer_core.charts.results import other_colours, run_colours, short_names
from fer_core.explain import mask_numbers
from fer_core.explain.headline import headline
from fer_core.explain.mask_numbers import MaskSummary
from fer_core.explain.mask_study import KIND, REGIONS
from fer_core.explain.studies import Kind
from fer_core.models import views
from fer_core.pictures import answers_alike
from fer_core.wording import percent
from pages.ui import cache, cache_masks, masks_measures, state, widgets

VIEWS = ("Paper's tables", "Recall per class", "Flips", "Every measure")
MEASURES = {"accuracy and recall": "recall", "F1": "f1"}
GAIN = (
    " Gain: accuracy of the model trained with the mask minus that of the one trained on whole faces, on the same "
    "masked pictures; in p that of the mean probability of the true class, in calibration what the calibration error "
    "becomes smaller by."
)
CONDITIONS = ("dataset", "split", "fill")  # of studies that are shown together
MASK_NAMES = {"none": "no mask"}


def show() -> None:
    """The whole view."""
    records, problems = cache.mask_studies()
    for problem in problems:
        st.warning(widgets.plain(problem), icon=":material/warning:")
    if not records:
        widgets.empty_state(
            "No study of these models is stored. This command makes it (minutes per model):", KIND.command
        )
        return
    runs = cache.runs()  # networks that were trained with a mask as well come first
    order = list(dict.fromkeys(record["dataset"] for record in records))
    every = sorted(
        records,
        key=lambda record: (order.index(record["dataset"]), not mask_numbers.trained_runs(record, runs)),
    )
    records = choose(every)
    if not records:
        return
    names = {record["run"]: record["name"] for record in records}
    dataset, split, fill = (records[0][field] for field in CONDITIONS)
    found = {run: cache_masks.mask_summary(name) for run, name in names.items()}
    told = {run: mask_numbers.verdict(of_run) for run, of_run in found.items()}
    show_headline(told, [mask_numbers.leaders(of_run) for of_run in found.values()])
    slug = f"masks-{dataset}-{split}-{fill}"
    _show_chart(found, names, slug)
    show_each(told)
    _show_conditions(records, found)
    view = state.choice("Show", VIEWS, key="study-view", widget=st.segmented_control)
    if view == "Every measure":
        _show_measures(names, slug)
    else:
        draw = {"Paper's tables": _show_tables, "Recall per class": _show_recall, "Flips": _show_flips}
        draw[view](found, names, slug)
    show_not_studied(KIND, every, records[0])


def choose(records: list[dict]) -> list[dict]:
    """The studies to show: of one dataset, split and fill, and of one or more models; none where none is chosen."""
    with st.container(horizontal=True):
        for label, field, default in (
            ("Dataset", "dataset", None),
            ("Split", "split", "test"),
            ("Fill", "fill", "zero"),
        ):
            value = _pick(label, f"study-{field}", [record[field] for record in records], default)
            records = [record for record in records if record[field] == value]
        of_run = {record["run"]: record for record in records}
        runs = state.choices("Models", list(of_run), key="studied", default=state.first_studied(records))
    if not runs:
        st.info("Choose a model.")
    return [of_run[run] for run in runs]


def show_not_studied(kind: Kind, records: Sequence[Mapping], chosen: Mapping) -> None:
    """Which models have no study of the dataset, split and fill of ``chosen``, one of ``records``, and why not."""
    same = [record for record in records if all(record[field] == chosen[field] for field in CONDITIONS)]
    command = f"{kind.command} --split {chosen['split']} --fill {chosen['fill']}"
    what = f"on {chosen['split']} with fill {chosen['fill']}"
    studied = {record["run"] for record in same}
    for tell in (widgets.not_studied, widgets.weights_not_kept):
        tell(command, studied, what, lambda run: not answers_alike(run))


def show_headline(told: Mapping[str, Sequence[str]], leaders: Sequence[tuple[str, str | None]]) -> None:
    """What the studies say: of one model its own sentences, of several what they have in common.

    Args:
        told: run -> its sentences.
        leaders: per run the costliest part, and the costliest beyond its size.
    """
    if len(told) == 1:
        _show_sentences(told)
        return
    costliest, beyond = zip(*leaders, strict=True)
    st.markdown(f"**{headline(costliest, None if None in beyond else beyond)}**")


def show_each(told: Mapping[str, Sequence[str]]) -> None:
    """Of several models each one's sentences, folded away."""
    if len(told) > 1:
        with st.expander("Model by model"):
            _show_sentences(told)


def _show_sentences(told: Mapping[str, Sequence[str]]) -> None:
    for run, (first, *others) in told.items():
        st.markdown(f"**{widgets.plain(run)}**: **{first}** {' '.join(others)}")


def _pick(label: str, key: str, values: list[str], default: str | None = None) -> str:
    """A picker where there is something to pick."""
    options = list(dict.fromkeys(values))
    return options[0] if len(options) == 1 else state.choice(label, options, key=key, default=default, width=150)


def _show_chart(found: dict[str, MaskSummary], names: dict[str, str], slug: str) -> None:
    tables = [cache_masks.mask_overall(names[run]) for run in found]
    reported = cache.reported_masks(_classes(found), "recall")
    colours = run_colours([run.name for run in cache.runs()], names)
    colours |= other_colours([colours[run] for run in names], reported["model"])
    if len(reported) and state.toggle("Beside the paper's values", key="paper", default=True):
        tables.append(reported)
    frame = mask_numbers.chart_rows(tables, {run: of_run.accuracy for run, of_run in found.items()})
    widgets.show_figure(charts.accuracy_per_mask(frame, colours), slug, frame)


def _show_conditions(records: list[dict], found: dict[str, MaskSummary]) -> None:
    whole = {run: float(one.accuracy.set_index("mask").loc["none", "accuracy"]) for run, one in found.items()}
    pictures = ", ".join(dict.fromkeys(f"{record['n']:,}" for record in records))
    st.caption(
        f"Accuracy on {pictures} pictures with 95 % bootstrap intervals (over pictures, not over trainings). "
        f"Hidden: {mask_numbers.area_words(records[0])} of the picture. Random masks, {control_words(records)}: a "
        "rectangle of the same area at a random place, another one for each picture; it covers the middle of the face "
        f"more often than a band at the edge does. {views_words(records, whole)}"
    )


def views_words(records: Sequence[Mapping], whole: Mapping[str, float]) -> str:
    """What the answers are averaged over, and where Models has the same pictures averaged otherwise.

    Args:
        whole: run -> its accuracy on whole pictures in the study.
    """
    of_views: dict[str, list[str]] = {}
    for record in records:
        of_views.setdefault(views.words(record["tta"]), []).append(record["run"])
    several, short = len(of_views) > 1, short_names(record["run"] for record in records)
    told = [
        about + (f" for {widgets.plain(', '.join(short[run] for run in runs))}" if several else "")
        for about, runs in of_views.items()
    ]
    lines = [f"Averaged here: {'; '.join(told)}."]
    elsewhere: dict[str, list[str]] = {}
    for record in records:
        run = cache.run(record["run"])
        own = (run.run.get("config") or {}).get("tta", "none")
        if own != record["tta"] and record["split"] in run.splits:
            there, here = run.metrics(record["split"])["accuracy"], whole[run.name]
            line = f"{widgets.plain(short[run.name])} {percent(there)} there, {percent(here)} here"
            elsewhere.setdefault(views.words(own), []).append(line)
    for own, runs in elsewhere.items():
        lines.append(f"Averaged on Models: {own}. Accuracy on whole pictures: {'; '.join(runs)}.")
    return " ".join(lines)


def control_words(records: list[dict]) -> str:
    """How many random masks each picture has, per model where they differ."""
    counts = {record["run"]: len(record["control_seeds"]) for record in records}
    if len(set(counts.values())) == 1:
        return f"{len(records[0]['control_seeds'])} per picture and area"
    told = ", ".join(f"{count} for {widgets.plain(run)}" for run, count in counts.items())
    return f"per picture and area {told}"


def _show_tables(found: dict[str, MaskSummary], names: dict[str, str], slug: str) -> None:
    label = state.choice("Measure", list(MEASURES), key="study-measure", widget=st.segmented_control)
    tables = [cache_masks.mask_table(names[run], MEASURES[label]) for run in found]
    tables.append(cache.reported_masks(_classes(found), MEASURES[label]))
    table = pd.concat([part for part in tables if len(part)], ignore_index=True)
    trained = (table["trained"] == mask_numbers.TRAINED).any()
    table = table if trained else table.drop(columns=mask_numbers.GAIN_COLUMNS)
    cells = mask_numbers.with_cells(table, _classes(found))
    _table(cells, _columns(list(_classes(found)), "Accuracy" if label != "F1" else "Weighted F1"))
    widgets.download_table(table, f"{slug}-table-{MEASURES[label]}")
    st.caption(
        "As Tables 2 and 3 of Feeling It: over all pictures, then per class (recall, which the paper calls accuracy, "
        "or F1). The paper trains each model anew with the mask and tests on its own cleaned FER2013; what is trained "
        "on whole faces here meets the mask for the first time. Per class in percent, in brackets the 95 % bootstrap "
        "interval over the pictures; the paper prints none."
        + (GAIN if trained else " No stored run of these networks was trained with a mask.")
    )
    about = "Recall and flips of models trained with a mask against the same networks trained on whole faces."
    if trained and state.toggle("Gains of training with the mask, per class", key="study-gains", help=about):
        _show_gains(names, slug)


def _show_gains(names: dict[str, str], slug: str) -> None:
    """What training with a mask changes in each class."""
    table = pd.concat([cache_masks.mask_gains(name) for name in names.values()], ignore_index=True)
    columns = {"mask": "Mask", "model": "Model", "trained": "Trained with it", "class": "Class", "n": "Pictures"}
    for name, title in {"gain": "Gain in recall", "flip_rate": "Flips"}.items():
        for column, words in zip(mask_numbers.interval_columns(name), ("", ", low", ", high"), strict=True):
            columns[column] = st.column_config.NumberColumn(title + words, format="percent")
    _table(table, columns | {"to_right": "now right", "to_wrong": "now wrong"}, height=320)
    widgets.download_table(table, f"{slug}-gains-per-class")
    st.caption(
        "Gain in recall (of all classes: in accuracy) and flips, pictures to which the two give different classes, on "
        "the same masked pictures, with 95 % bootstrap intervals over the pictures. Now right, now wrong: flips by "
        "which training with the mask wins or loses a picture."
    )


def _show_recall(found: dict[str, MaskSummary], names: dict[str, str], slug: str) -> None:
    run = _one_run(found)
    frame = cache_masks.mask_numbers(names[run]).recall
    widgets.show_figure(charts.recall_changes(frame, found[run].class_names), f"{slug}-recall-{run}", frame)
    st.caption(
        "Change of recall against the whole picture, percentage points: orange where it falls (Every measure calls "
        "that recall lost, above 0), violet where it rises. In brackets: no more than chance (the 95 % "
        "interval holds 0)."
    )


def _show_flips(found: dict[str, MaskSummary], names: dict[str, str], slug: str) -> None:
    run = _one_run(found)
    _show_flip_rates(found[run].accuracy, f"{slug}-flip-rates-{run}")
    every = cache_masks.mask_numbers(names[run])
    if every.flips.empty:
        st.info("No mask changes a prediction of this model.")
        return
    costliest = found[run].by_drop.first
    mask = state.choice("Mask", list(REGIONS), key="study-mask", default=costliest, widget=st.segmented_control)
    flow, flips = (table[table["mask"] == mask] for table in (every.flows, every.flips))
    sankey = occlusion_charts.flow_sankey(flow, found[run].class_names)
    widgets.show_figure(sankey, f"{slug}-flow-{mask}-{run}", flow.assign(run=run))
    st.caption("Left the classes of the whole pictures, right those of the masked ones. Strong bands have changed.")
    titles = {
        "before": "Whole",
        "after": "Masked",
        "count": "Pictures",
        "to_right": "now right",
        "to_wrong": "now wrong",
    }
    share = st.column_config.NumberColumn("Of those predicted so", format="percent")
    shown = flips.drop(columns="mask")
    _table(shown, titles | {"share": share}, height=320)
    widgets.download_table(shown, f"{slug}-flips-{mask}-{run}")
    st.caption("Flips: pictures whose most probable class changes when the mask is put on, and where they go.")


def _show_flip_rates(accuracy: pd.DataFrame, name: str) -> None:
    """Flips and accuracy lost under each mask, with 95 % intervals."""
    rates = {"flip_rate": "Flips", "control_flip_rate": "Flips by random masks", "drop": "Accuracy lost"}
    ends = {"": "{}", "_low": "{}, low", "_high": "{}, high"}
    percent = {
        f"{rate}{end}": st.column_config.NumberColumn(words.format(title), format="percent")
        for rate, title in rates.items()
        for end, words in ends.items()
    }
    counts = {"only_whole": "Right only without the mask", "only_masked": "Right only with it", "mask": "Mask"}
    shown = accuracy[accuracy["mask"] != "none"][["mask", *percent, "only_whole", "only_masked", "mcnemar_p"]]
    _table(shown, percent | counts | {"mcnemar_p": st.column_config.NumberColumn("McNemar p", format="%.2g")})
    widgets.download_table(shown, name)


def _show_measures(names: dict[str, str], slug: str) -> None:
    tables = {run: cache_masks.band_table(name) for run, name in names.items()}
    masks_measures.show(tables, names, slug, {region: region.capitalize() for region in REGIONS})
    masks_measures.download(names, slug)


def _one_run(found: dict[str, MaskSummary]) -> str:
    return state.choice("Model", list(found), key="study-model") if len(found) > 1 else next(iter(found))


def _classes(found: dict[str, MaskSummary]) -> tuple[str, ...]:
    """The classes of these models, each once."""
    return tuple(dict.fromkeys(name for of_run in found.values() for name in of_run.class_names))


def _columns(class_names: list[str], overall: str) -> dict:
    percent = {"overall": overall, "low": "low", "high": "high"}
    titles = dict(zip(mask_numbers.GAINS, ("Gain", "Gain in p", "Gain in calibration"), strict=True))
    for gain, title in titles.items():
        percent |= {gain: title, f"{gain}_low": f"{title}, low", f"{gain}_high": f"{title}, high"}
    columns = {name: st.column_config.NumberColumn(title, format="percent") for name, title in percent.items()}
    cells = {name: st.column_config.TextColumn(name, alignment="right") for name in class_names}
    return {"mask": "Mask", "model": "Model", "trained": "Trained"} | columns | cells


def _table(frame: pd.DataFrame, columns: dict, **settings: int) -> None:
    if "mask" in frame:
        frame = frame.assign(mask=frame["mask"].replace(MASK_NAMES))
    widgets.show_table(frame, column_config=columns, **settings)
