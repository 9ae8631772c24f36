"""Which model is best, and is the difference more than chance? Results table, and runs side by side."""

import zlib

import pandas as pd
import streamlit as st

from fer_core import comparison, metrics, results
from fer_core.artifacts import Run, best_first
from fer_core.charts import results as charts
from fer_core.pictures import datasets_of
from fer_core.wording import percent
from pages.ui import cache, models_seeds, samples, state, widgets

SPLITS = ("test", "test_clean", "val")
SPLIT_HELP = (
    "**test**: pictures used for nothing else. **test_clean**: test without the pictures that train or val repeat "
    "pixel by pixel. **val**: validation, on which all choices were made."
)
VIEWS = ("Differences", "Metrics", "Per class", "Learning curves", "Calibration", "Disagreements")
MEASURES = {"F1": "f1", "precision": "precision", "recall": "recall", "ROC AUC": "roc_auc"}
RIGHT = {"only A": "a", "only B": "b", "neither": "neither"}


def table_columns(class_names: list[str]) -> dict:
    """Headings, formats and explanations of the results table."""
    number, plain = st.column_config.NumberColumn, st.column_config.Column
    columns = {
        "run": plain("Run", pinned=True),
        "accuracy": number("Accuracy", format="percent"),
        "interval": plain("95 % interval", help="Percentile bootstrap, 1,000 resamples"),
        "settings": plain("Trained", width="medium", help="What differs from its model's recipe; all of it: Papers"),
        "altered": plain("Pictures with", help="What was changed in the pictures it was trained and measured on"),
        "macro_f1": number("Macro F1", format="%.3f"),
        "roc_auc": number("ROC AUC", format="%.3f", help="Macro mean, one class against the rest"),
        "mean_tpr": number("Mean TPR", format="%.3f"),
        "mean_fpr": number("Mean FPR", format="%.3f", help="Lower is better"),
        "parameters": number("Parameters", format="compact"),
        "size_mb": number("Size", format="%.1f MB", help="Shipped weights"),
        "latency_ms": number("Latency", format="%.1f ms", help="One picture"),
        "discrepancy": number(
            "Discrepancy",
            format="%.3f",
            help="Train accuracy minus val accuracy, both without averaged views; empty where one of them is not known",
        ),
        "model": plain("Model"),
        "n": number("Pictures", format="localized"),
        "dataset": plain("Dataset"),
        "date": plain("Date"),
    }
    return columns | {f"f1_{name}": number(f"F1 {name}", format="%.3f") for name in class_names}


def asked_runs() -> list[str] | None:
    """Names that the address has under ``runs``; None where it does not say."""
    asked = st.query_params.get("runs")
    return None if asked is None else [name for name in asked.split(",") if name]


def choose_dataset(runs: list[Run]) -> str:
    """One that has runs; where the address asks for runs and not for a dataset, theirs."""
    datasets = datasets_of(best_first(runs))
    if len(datasets) == 1:
        return datasets[0]
    of_run = {run.name: run.dataset for run in runs}
    asked = next((of_run[name] for name in asked_runs() or () if name in of_run), None)
    state.begin_with("dataset", asked)
    return state.choice("Dataset", datasets, key="dataset")


def say_missing(missing: list[str], runs: list[Run], split: str) -> None:
    """Which runs a link asks for that cannot be shown, and why; not again for what the visitor has changed since."""
    of_run = {run.name: run for run in runs}
    for name in missing:
        run = of_run.get(name)
        if run is None:
            why = "there is no such run here"
        elif split not in run.splits:
            why = f"it was not evaluated on {split}"
        else:
            why = f"it is of another dataset, {run.dataset}"
        st.info(widgets.plain(f"The link asks for {name}: {why}."), icon=":material/link_off:")


def pick_runs(board: pd.DataFrame, runs: list[Run], split: str, dataset: str) -> list[str]:
    """The results table; the rows chosen in it stand in the address as ``runs``."""
    names, asked = board["run"].tolist(), asked_runs()
    wanted = names[:2] if asked is None else [name for name in dict.fromkeys(asked) if name in names]
    if asked != st.session_state.get("runs-seen"):
        say_missing([name for name in asked or () if name not in names], runs, split)
    event = widgets.show_table(
        board,
        column_config=table_columns([column[3:] for column in board if column.startswith("f1_")]),
        key=f"results-{dataset}-{split}-{zlib.crc32(','.join(names).encode()):08x}",  # rows go by number in this list
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [names.index(name) for name in wanted]}},
        alt="Results of every run; select rows to compare them",
    )
    chosen = [names[row] for row in sorted(event.selection.rows)]
    usual = None if state.has_begun("dataset") else ",".join(names[:2])  # the address tells the dataset by its runs
    state.set_query("runs", ",".join(chosen), default=usual)
    st.session_state["runs-seen"] = asked_runs()
    return chosen


def choose_pair(names: list[str]) -> tuple[str, str]:
    """Two of the chosen runs."""
    if len(names) == 2:
        return names[0], names[1]
    left, right = st.columns(2)
    with left:
        a = state.choice("A", names, key="a")
    with right:
        b = state.choice("B", [name for name in names if name != a], key="b")
    return a, b


def show_differences(chosen: list[Run], split: str, colours: dict[str, str]) -> None:
    names = [run.name for run in chosen]
    pairs = cache.pairs(names, split)
    a, b = choose_pair(names)
    pair = pairs[(pairs["a"].isin([a, b])) & (pairs["b"].isin([a, b]))].iloc[0]
    right = {pair["a"]: pair["only_a"], pair["b"]: pair["only_b"]}
    frame = cache.differences(a, b, split)
    st.markdown(
        f"**A** {a} against **B** {b}, on the same {pair['n']:,} pictures: only A is right on **{right[a]}**, only "
        f"B on **{right[b]}**. McNemar's p = **{pair['mcnemar_p']:.2g}** ({pair['method']})."
    )
    by_name = {run.name: run for run in chosen}
    told = models_seeds.same_recipe(by_name[a], by_name[b])
    if told:
        st.info(told, icon=":material/casino:")
    altered = {run.name: run.altered for run in chosen}
    if altered[a] != altered[b]:
        told = "; ".join(f"{name}: {altered[name] or 'as they are'}" for name in (a, b))
        st.warning(f"The pictures are the same, but not shown alike. {widgets.plain(told)}.", icon=":material/warning:")
    figure = charts.metric_differences(frame, a, b, colours)
    widgets.show_figure(figure, f"difference-{a}-{b}-{split}", frame)
    st.caption(
        "A minus B with 95 % paired bootstrap intervals (of ECE a basic one); an interval that leaves out 0 is more "
        "than chance. ↓ marks metrics where lower is better."
    )
    if len(names) > 2:
        st.subheader("All pairs, accuracy")
        widgets.show_table(pairs)
        st.caption("holm_p is McNemar's p corrected for the number of pairs (Holm 1979).")
        widgets.download_table(pairs, f"pairs-{split}")


def show_metrics(chosen: list[Run], split: str, colours: dict[str, str]) -> None:
    frame = results.metric_rows(chosen, split)
    lower = frame["metric"].isin(metrics.LOWER_IS_BETTER)
    for rows, name in (
        (frame[~lower], "metrics"),
        (frame[lower], "errors"),
    ):  # an axis each: log loss may be far above 1
        widgets.show_figure(charts.metric_intervals(rows, colours), f"{name}-{split}", rows)
    st.caption(
        "95 % bootstrap intervals of each run by itself (of ECE basic ones); for pairs look at Differences. ↓ marks "
        "metrics where lower is better."
    )


def show_classes(chosen: list[Run], split: str, colours: dict[str, str]) -> None:
    label = state.choice("Measure", list(MEASURES), key="measure", widget=st.segmented_control)
    frame = results.class_rows(chosen, split, MEASURES[label])
    widgets.show_figure(charts.class_bars(frame, colours, label), f"{MEASURES[label]}-per-class-{split}", frame)


def show_curves(chosen: list[Run], split: str, colours: dict[str, str]) -> None:
    histories = {run.name: cache.history(run.name) for run in chosen}
    missing = [name for name, history in histories.items() if history is None]
    histories = {name: history for name, history in histories.items() if history is not None}
    if histories:
        table = pd.concat([history.assign(run=name) for name, history in histories.items()])
        widgets.show_figure(charts.learning_curves(histories, colours), "learning-curves", table)
    if missing:
        st.info(f"Not trained in passes, so without a curve: {', '.join(missing)}.")


def show_calibration(chosen: list[Run], split: str, colours: dict[str, str]) -> None:
    bins = {run.name: metrics.reliability(cache.predictions(run.name, split)) for run in chosen}
    table = pd.concat([pd.DataFrame(of_run).assign(run=name) for name, of_run in bins.items()])
    widgets.show_figure(charts.reliability_diagram(bins, colours), f"calibration-{split}", table)
    st.caption("Below the diagonal a model is surer than it is right. Larger points stand for more pictures.")


def show_disagreements(chosen: list[Run], split: str, colours: dict[str, str]) -> None:
    a, b = choose_pair([run.name for run in chosen])
    table = comparison.disagreements(cache.predictions(a, split), cache.predictions(b, split))
    which = state.choice("Who is right", ["all", *RIGHT], key="right", widget=st.segmented_control)
    shown = table if which == "all" else table[table["right"] == RIGHT[which]]
    st.caption(
        f"**A** {a}, **B** {b}: {len(shown):,} of {len(table):,} pictures on which they disagree, the most confident "
        "contradictions first. Each caption names the true class first."
    )
    captions = [
        f"{row.true}  \nA {row.pred_a} {percent(row.confidence_a)}  \nB {row.pred_b} {percent(row.confidence_b)}"
        for row in shown.itertuples()
    ]
    run = next(run for run in chosen if run.name == a)
    samples.show_samples(shown, captions, run=run, split=split, key="page")


DRAW = dict(
    zip(
        VIEWS,
        (show_differences, show_metrics, show_classes, show_curves, show_calibration, show_disagreements),
        strict=True,
    )
)


def body() -> None:
    st.title("Models")
    st.caption("Which model is best, by how much, and is it more than chance? The best on val stand first.")
    runs = cache.runs()
    if not runs:
        widgets.empty_state("No run is stored yet. Train one:", "python -m fer_core train compact")
        return
    with st.container(horizontal=True):
        splits = [split for split in SPLITS if any(split in run.splits for run in runs)]
        split = state.choice("Measured on", splits, key="split", widget=st.segmented_control, help=SPLIT_HELP)
        dataset = choose_dataset(runs)
    frame = cache.runs_table(split)
    board = results.leaderboard(frame[frame["dataset"] == dataset] if len(frame) else frame)
    board = board if board.empty else widgets.with_settings(board, "run", after="interval")
    if board.empty:
        st.info(f"No run has been evaluated on {split} of {dataset}.")
        return
    names = pick_runs(board.reset_index(drop=True), runs, split, dataset)
    widgets.download_table(board, f"results-{dataset}-{split}")
    models_seeds.show(runs, split, dataset)
    chosen = [next(run for run in runs if run.name == name) for name in names]
    if not chosen:
        st.info("Select two or more rows to compare them.", icon=":material/touch_app:")
        return
    views = VIEWS if len(chosen) > 1 else [view for view in VIEWS if view not in ("Differences", "Disagreements")]
    view = state.choice("Side by side", views, key="view", widget=st.segmented_control)
    if len(chosen) == 1:
        st.caption("Select a second row to see differences and disagreements.")
    with widgets.page_errors():
        DRAW[view](chosen, split, charts.run_colours((run.name for run in runs), (run.name for run in chosen)))


body()
