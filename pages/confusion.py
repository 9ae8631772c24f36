"""Which expressions are taken for which? Confusion matrices whose cells open their pictures."""

import streamlit as st

from fer_core import metrics, results
from fer_core.artifacts import Run, best_first
from fer_core.charts import results as charts
from fer_core.predictions import Predictions
from fer_core.wording import percent
from pages.ui import cache, samples, state, widgets

SPLITS = ("test", "test_clean", "val")
KINDS = {"row shares": "rows", "counts": "counts"}
DIFFERENCES = {"rows": "row difference", "counts": "count difference"}
LEGENDS = {
    "rows": "Rows are true classes, columns predicted ones; each row adds up to 100 %.",
    "counts": "Rows are true classes, columns predicted ones; numbers of pictures.",
    "row difference": "Percentage points of the true class, A minus B: violet where A has more, orange where B has.",
    "count difference": "Pictures, A minus B: violet where A has more, orange where B has.",
}
NOBODY = "nothing"
CELL = "confusion-cell"


def choose() -> tuple[Run, Run | None, str, str] | None:
    """Run, run to subtract, split and kind; None where no run is stored."""
    runs = {run.name: run for run in best_first(cache.runs())}
    if not runs:
        widgets.empty_state("No run is stored yet. Train one:", "python -m fer_core train compact")
        return None
    names = list(runs)
    left, right = st.columns(2)
    with left:
        run = runs[state.choice("Model (A)", names, key="model")]
    with right:
        others = [name for name in names if name != run.name and runs[name].dataset == run.dataset]
        minus = runs.get(state.choice("Minus (B)", [NOBODY, *others], key="minus"))
    widgets.say_settings([run.name, *([minus.name] if minus else [])], names)
    with st.container(horizontal=True):
        splits = [split for split in SPLITS if split in run.splits and (minus is None or split in minus.splits)]
        split = state.choice("Measured on", splits, key="split", widget=st.segmented_control)
        kind = KINDS[state.choice("Cells show", list(KINDS), key="cells", widget=st.segmented_control)]
    if split is None:
        st.info("These two runs were evaluated on no split in common.")
        return None
    return run, minus, split, kind


def take_click() -> None:
    """A click on a cell becomes the chosen pair of classes."""
    points = st.session_state[CELL].selection.points
    if points:
        class_names = st.session_state[f"{CELL}-classes"]
        st.session_state["true"] = class_names[int(points[0]["y"])]
        st.session_state["predicted"] = class_names[int(points[0]["x"])]


def draw(matrix, class_names: tuple[str, ...], kind: str, selected: tuple[int, int], counts, name: str) -> None:
    figure = charts.confusion_heatmap(matrix, class_names, kind, selected, counts)
    st.session_state[f"{CELL}-classes"] = class_names
    st.plotly_chart(
        figure,
        key=CELL,
        on_select=take_click,
        selection_mode="points",
        config=widgets.figure_config(f"confusion-{name}"),
        alt="Confusion matrix: rows are true classes, columns predicted ones",
    )
    with st.container(horizontal=True, gap="small"):
        table = results.confusion_frame(matrix, class_names).reset_index()
        widgets.download_table(table, f"confusion-{name}", "Matrix (CSV)")
        widgets.download_figure(figure, f"confusion-{name}")


def show_cell(
    run: Run, a: Predictions, b: Predictions | None, cell: tuple[int, int], split: str, class_names: tuple[str, ...]
) -> None:
    true, predicted = class_names[cell[0]], class_names[cell[1]]
    if b is None:
        table = results.cell_samples(a, *cell)
        st.subheader(f"{true} taken for {predicted}" if true != predicted else f"{true}, recognised")
        st.caption(f"{len(table)} pictures, the most confident first.")
        captions = [f"{percent(confidence)}" for confidence in table["confidence"]]
    else:
        table = results.cell_differences(a, b, *cell)
        only = table["only"].value_counts()
        st.subheader(f"{true} taken for {predicted} by one of the two")
        st.caption(f"{only.get('a', 0)} pictures by A only, {only.get('b', 0)} by B only.")
        captions = [
            f"{row.only.upper()} only  \nA {row.pred_a} {percent(row.confidence_a)}  \n"
            f"B {row.pred_b} {percent(row.confidence_b)}"
            for row in table.itertuples()
        ]
    samples.show_samples(table, captions, run=run, split=split, key="page")


def body() -> None:
    st.title("Confusion")
    st.caption("Which expressions are taken for which: a click on a cell opens its pictures.")
    chosen = choose()
    if chosen is None:
        return
    run, minus, split, kind = chosen
    a = cache.predictions(run.name, split)
    b = cache.predictions(minus.name, split) if minus else None
    matrix = results.confusion(a, kind) if b is None else results.confusion_difference(a, b, kind)
    kind = kind if b is None else DIFFERENCES[kind]
    names = a.class_names
    left, right = st.columns([3, 2], gap="large")
    with right, st.container(horizontal=True):
        unchosen = "most confused" if b is None else "largest difference"
        true = state.optional_choice("True", names, key="true", placeholder=unchosen)
        predicted = state.optional_choice("Predicted", names, key="predicted", placeholder=unchosen)
        cell = results.find_cell(matrix, *(None if name is None else names.index(name) for name in (true, predicted)))
    with left:
        counts = metrics.confusion_matrix(a) if b is None and kind == "rows" else None
        draw(matrix, names, kind, cell, counts, f"{run.name}{f'-minus-{minus.name}' if minus else ''}-{split}")
        st.caption(f"{LEGENDS[kind]} Click a cell to see its pictures.")
    with right:
        show_cell(run, a, b, cell, split, names)


with widgets.page_errors():
    body()
