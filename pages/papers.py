"""Do the numbers of four papers hold? Printed beside measured, where they contradict each other, figures redrawn."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from fer_core import datasets, masks, reported, results
from fer_core.artifacts import Run
from fer_core.charts import papers as charts
from fer_core.charts import results as result_charts
from fer_core.charts.explain import enlarge
from fer_core.wording import percent
from pages.ui import cache, samples, state, widgets

SPLITS = ("test", "test_clean", "val")
SPLIT_HELP = (
    "**val** is FER2013's PublicTest, on which our choices were made. **test** is PrivateTest, used for nothing else. "
    "**test_clean** leaves out its pictures that train or val hold too."
)
KINDS = {
    "values": "printed twice",
    "definition": "by definition",
    "claim": "claim",
    "naming": "two called the same",
    "wording": "said in two ways",
    "implausible": "implausible",
}
FEW_CURVES, FEW_COMMANDS = 3, 6
FACE_SIDE = 128  # Feeling It masks pictures of 128x128
MASKED = {"forehead": "Top 1/4: forehead", "eyes": "Middle 1/4: eyes", "mouth": "Bottom 1/2: nose and mouth"}
NUMBERS = {
    "system": st.column_config.Column("System", pinned=True, width=150),
    "reported": st.column_config.Column("Reported", width=72),
    "measured": st.column_config.Column("Measured", width=76),
    "difference": st.column_config.Column("Difference", width=80),
    "interval": st.column_config.Column("95 % interval", width=125),
    "inside": st.column_config.Column(
        "Inside", width=60, help="Whether the reported value lies in the measured interval"
    ),
    "run": st.column_config.Column("Run, or why it is open", width=280),
    "differs_from_recipe": st.column_config.Column(
        "Differs from the recipe",
        width=150,
        help="Settings of the run that are not its model's recipe's, which are the paper's where it prints them",
    ),
    "reported_on": st.column_config.Column("reported on"),
    "dataset": st.column_config.Column("measured on"),
    "initial_weights": st.column_config.Column("initial weights"),
    "input_size": st.column_config.Column("input size"),
    "trained_on": st.column_config.Column(
        "trained by, on", width=200, help="The Keras backend, of networks, and the machine"
    ),
    "where": st.column_config.Column("printed in"),
    "source": st.column_config.Column("measured value from"),
}
ANSWERS = {
    "mask": st.column_config.Column("Hidden"),
    "predicted": st.column_config.Column("answer"),
    "confidence": st.column_config.NumberColumn("its probability", format="percent"),
    "true_prob": st.column_config.NumberColumn("probability of the true class", format="percent"),
}


def choose_paper() -> reported.Paper:
    """The paper in the address, with what it did."""
    known = cache.papers()
    key = state.choice(
        "Paper", list(known), key="paper", widget=st.segmented_control, format_func=lambda name: known[name].short
    )
    paper = known[key]
    year = f", {paper.year}" if paper.year else ""
    links = "".join(f" [{link}]({link})" for link in paper.links)
    st.markdown(f"*{paper.title}*, {', '.join(paper.authors)}{year}.{links} {paper.did}")
    return paper


def choose_split(paper: reported.Paper, splits: Sequence[str]) -> str:
    return state.choice(
        "Measured on",
        splits,
        key=f"{paper.key}-split",
        default=paper.split if paper.split in splits else splits[0],
        widget=st.segmented_control,
        help=SPLIT_HELP,
    )


def show_numbers(paper: reported.Paper) -> pd.DataFrame:
    """Reported against measured: a chart of one metric, and the table."""
    frame = cache.paper_table(paper.key, paper.split)
    with st.container(horizontal=True):
        split = paper.split
        if reported.depends_on_split(frame):
            split = choose_split(paper, SPLITS)
            frame = cache.paper_table(paper.key, split)
        names = reported.metric_names(frame)
        default = next((name for name in ("accuracy", "val_accuracy") if name in names), None)
        metric = state.choice("Metric", names, key="metric", default=default, format_func=reported.label)
    rows = reported.of_metric(frame, metric)
    name = f"{paper.key}-{metric}-{split}"
    figure = charts.reported_against_measured(rows, reported.label(metric), whole=metric == "param_count")
    widgets.show_figure(figure, name, rows)
    show_summary(paper, frame)
    st.caption(paper.split_reason)
    widgets.show_table(
        charts.style_differences(reported.shown(rows), whole=metric == "param_count"),
        column_config=NUMBERS,
        alt=f"{reported.label(metric)} of every system of the paper, reported and measured",
    )
    with st.container(horizontal=True, gap="small"):
        widgets.download_table(frame, f"{paper.key}-{split}", "Every number, reported and measured (CSV)")
    st.caption("Difference is measured minus reported: blue where measured is better, orange where it is worse.")
    show_commands(paper, rows)
    show_other_data(rows)
    shorter = reported.fewer_passes(frame, cache.runs())
    if shorter:
        st.caption(shorter)
    return frame


def show_commands(paper: reported.Paper, rows: pd.DataFrame) -> None:
    """How to train what is open, to copy."""
    commands = reported.open_commands(paper.key, rows)
    if commands:
        one = len(commands) == 1
        told = f"{len(commands)} command{'' if one else 's'} that train{'s' if one else ''} what is open"
        with st.expander(told, expanded=len(commands) <= FEW_COMMANDS):
            st.code("\n".join(commands), language="bash")


def show_other_data(rows: pd.DataFrame) -> None:
    """Why some differences have no colour."""
    other = rows[~rows["same_data"].fillna(True)]
    if len(other):
        theirs, ours = (", ".join(dict.fromkeys(other[name])) for name in ("reported_on", "dataset"))
        st.caption(
            f"Reported on {theirs}, measured on {ours}: other pictures, so a difference is no verdict on the system. "
            "It has no colour, and no reported number counts as inside."
        )


def show_summary(paper: reported.Paper, frame: pd.DataFrame) -> None:
    counts = reported.summary(frame)
    line = f"**{counts['measured']} of {counts['systems']} systems** have been trained here"
    if counts["by_relatives"]:
        line += f", and beside {counts['by_relatives']} more stands a relative, a network of our own"
    if counts["judged"]:
        line += (
            f"; of {counts['judged']} reported numbers over all classes that a run of their system can judge, "
            f"{counts['inside']} lie inside its 95 % interval"
        )
        line += f" (reported on {paper.other_pictures}: other test pictures)" if paper.other_pictures else ""
    if counts["other_data"]:
        line += f"; {counts['other_data']} numbers were measured on other data than the paper's and are not judged"
    others = " The others are open." if counts["measured"] < counts["systems"] else ""
    only = f", {counts['only_weights']} of them in nothing but random initial weights" if counts["only_weights"] else ""
    changed = f" {counts['other_settings']} of {counts['runs']} runs differ from the recipe{only}: see the table."
    st.markdown(f"{line}.{others}{changed if counts['other_settings'] else ''}")
    if not counts["measured"]:
        commands = reported.train_commands(paper.key) or ["python -m fer_core train"]
        widgets.empty_state(
            "None of these systems has a stored run, so nothing stands beside them. Train one:", commands[0]
        )


def show_protocol(paper: reported.Paper) -> None:
    with st.expander("How the paper measured, as it says itself, and what we chose"):
        st.table(pd.DataFrame({"as printed": {"dataset": paper.dataset, **paper.protocol}}))
        if not paper.links:
            st.caption("The paper prints no DOI and no arXiv number of itself.")
        if paper.choices:
            st.markdown("Our choices where the paper is silent or where we differ:")
            st.markdown("\n".join(f"- {choice}" for choice in paper.choices))


def show_contradictions(paper: reported.Paper) -> None:
    """What does not hold of all that can be checked."""
    checks = cache.paper_checks(paper.key)
    failed = reported.failed(checks)
    st.subheader("Where the paper contradicts itself")
    st.caption(
        f"Of {len(checks)} checks of what it prints, {len(failed)} fail. Every sentence is computed from its numbers "
        "and words in artifacts/reported."
    )
    if failed:
        st.markdown("\n".join(f"- **{KINDS[check.kind]}**: {check.sentence}" for check in failed))
    widgets.download_table(pd.DataFrame(checks), f"{paper.key}-checks", "Every check (CSV)")


def choose_run(runs: list[Run], key: str) -> Run:
    names = [run.name for run in runs]
    return runs[names.index(state.choice("Run", names, key=key))]


def usable_split(run: Run, paper: reported.Paper, frame: pd.DataFrame) -> str:
    """The split chosen above where the run was measured on it; chosen here where nothing above depends on it."""
    if not reported.depends_on_split(frame):
        return choose_split(paper, [split for split in SPLITS if split in run.splits])
    wanted = st.session_state.get(f"{paper.key}-split") or paper.split
    return wanted if wanted in run.splits else run.splits[0]


def show_curves(paper: reported.Paper, frame: pd.DataFrame, runs: list[Run]) -> None:
    histories = {run.name: cache.history(run.name) for run in runs}
    names = [name for name, history in histories.items() if history is not None]
    if not names:
        st.info("No run of these systems has passes, so there is no curve yet.", icon=":material/show_chart:")
        return
    most = len(result_charts.PALETTE)
    chosen = state.choices("Runs", names, key="curves", default=names[:FEW_CURVES], max_selections=most) or names[:1]
    table = pd.concat([histories[name].assign(run=name) for name in chosen])
    colours = result_charts.run_colours(names, chosen)
    figure = result_charts.learning_curves({name: histories[name] for name in chosen}, colours)
    widgets.show_figure(figure, f"{paper.key}-learning-curves", table)


def show_confusion(paper: reported.Paper, frame: pd.DataFrame, runs: list[Run]) -> None:
    run = choose_run(runs, "run")
    split = usable_split(run, paper, frame)
    predictions = cache.predictions(run.name, split)
    matrix = results.confusion(predictions, "rows")
    figure = result_charts.confusion_heatmap(
        matrix, predictions.class_names, "rows", counts=results.confusion(predictions)
    )
    table = results.confusion_frame(matrix, predictions.class_names).reset_index()
    widgets.show_figure(figure, f"confusion-{run.name}-{split}", table)
    st.caption(
        f"{run.run['system']}, {len(predictions):,} pictures of {run.dataset}, {split}. Rows are true classes and add "
        "up to 100 %. The paper's matrices are pictures, so only ours is drawn."
    )


def show_classes(paper: reported.Paper, frame: pd.DataFrame, runs: list[Run]) -> None:
    names = reported.metric_names(frame, per_class=True)
    with st.container(horizontal=True):
        measure = state.choice(
            "Measure", names, key="per-class", default="f1", widget=st.segmented_control, format_func=reported.label
        )
        per_class = reported.of_metric(frame, measure, per_class=True)
        trained = next(iter(per_class.loc[per_class["run"] != "", "system"]), None)
        names = list(dict.fromkeys(per_class["system"]))
        system = state.choice("System", names, key="system", default=trained)
    rows = reported.class_bar_rows(frame, system, measure)
    measured = [name for name in dict.fromkeys(rows["run"]) if name != "reported"]
    colours = result_charts.run_colours(measured) | {"reported": result_charts.GREY}
    figure = result_charts.class_bars(rows, colours, reported.label(measure))
    widgets.show_figure(figure, f"{paper.key}-{system.replace(':', '-')}-{measure}", rows)
    if not measured:
        st.caption(f"{system} is open: {reported.why_open(paper.key, system)}.")
    with st.expander("As a table, every system"):
        widgets.show_table(charts.style_differences(reported.shown(per_class)), column_config=NUMBERS)
        widgets.download_table(per_class, f"{paper.key}-{measure}-per-class")


def show_predictions(paper: reported.Paper, frame: pd.DataFrame, runs: list[Run]) -> None:
    run = choose_run(runs, "run")
    split = usable_split(run, paper, frame)
    right = state.toggle("Right answers instead of wrong ones", key="right-answers")
    table = reported.example_predictions(cache.predictions(run.name, split), right)
    captions = [
        f"{row.predicted} {percent(row.confidence)}  \nactually {row.true}" for row in table.itertuples(index=False)
    ]
    st.caption(f"{run.run['system']}, {split}: {len(table):,} pictures, the most confident first.")
    samples.show_samples(table, captions, run=run, split=split, key="page")


def show_masks(paper: reported.Paper, frame: pd.DataFrame, runs: list[Run]) -> None:
    """The masks on a test picture of a registered dataset, with what runs answered; else on a drawn face."""
    known = cache.dataset_names()
    tested = [run for run in runs if "test" in run.splits and run.dataset in known]
    if tested:
        show_answers_under_masks(tested)
    else:
        face = datasets.synthetic.face("angry", rng=0, size=FACE_SIDE)
        pictures = under_masks(face)
        widgets.picture_grid(pictures, ["Whole (a drawn face)", *MASKED.values()], width=160)
        widgets.download_picture(np.hstack(pictures), "feeling-it-masks", "All four (PNG)")
        lacking = ", ".join(dict.fromkeys(run.dataset for run in runs))
        why = (
            f"{lacking} is not registered here: `python -m fer_core data add PATH`" if runs else "No run is stored yet"
        )
        st.caption(f"{why}. So a drawn face stands for a test picture, and nobody has answered for it.")
    st.caption("The Masks page hides parts of any face, and holds the study on the whole test set.")


def under_masks(face: np.ndarray) -> list[np.ndarray]:
    """``face`` whole and under each of the paper's masks, large enough to be looked at."""
    hidden = [masks.apply(face, masks.region_mask(name, face.shape[:2])) for name in MASKED]
    return [enlarge(picture, FACE_SIDE) for picture in (face, *hidden)]


def show_answers_under_masks(runs: list[Run]) -> None:
    """One test picture of the dataset that most ``runs`` were measured on, and the stored answer of each of them."""
    (name, _), *_ = Counter(run.dataset for run in runs).most_common(1)
    answers = [(run, cache.predictions(run.name, "test")) for run in runs if run.dataset == name]
    sample_ids = answers[0][1].sample_ids
    number = state.number(f"Test picture (of {len(sample_ids):,})", 1, len(sample_ids), 1, key="masked", width=200)
    sample_id = sample_ids[number - 1]
    table = reported.masked_answers(answers, sample_id, MASKED)
    found, reason = samples.pictures(answers[0][0], "test", [sample_id])
    if reason:
        st.caption(reason)
    if found is not None:
        right = [table.loc[table["mask"] == mask, ["true", "predicted"]] for mask in ("", *MASKED)]
        told = [f"{(of['true'] == of['predicted']).sum()} of {len(of)} right" if len(of) else "no run" for of in right]
        titles = [f"Whole, {table['true'].iloc[0]}", *MASKED.values()]
        captions = [f"{title}  \n{count}" for title, count in zip(titles, told, strict=True)]
        widgets.picture_grid(under_masks(found[0]), captions, width=160)
    st.caption(f"{sample_id} of {name}, test: what each run, trained and measured under its mask, answered for it.")
    widgets.show_table(table.assign(mask=table["mask"].replace("", "none")), column_config=ANSWERS)
    widgets.download_table(table, f"feeling-it-answers-{sample_id}")


DRAW = {
    "Learning curves": show_curves,
    "Confusion": show_confusion,
    "Per class": show_classes,
    "Predictions": show_predictions,
    "Masks": show_masks,
}
WITHOUT_RUNS = ("Per class", "Masks")


def show_figures(paper: reported.Paper, frame: pd.DataFrame) -> None:
    """The paper's figures, redrawn from our runs."""
    figures: Mapping[str, str] = paper.figures
    st.subheader("Its figures, from our runs")
    view = state.choice("Figure", list(figures), key="figure", widget=st.segmented_control)
    st.caption(f"The paper's {figures[view]}.")
    runs = reported.runs_of(paper.key, cache.runs())
    if not runs and view not in WITHOUT_RUNS:
        st.info("Open: no run of these systems is stored yet.", icon=":material/hourglass_empty:")
        return
    with widgets.page_errors():
        DRAW[view](paper, frame, runs)


def body() -> None:
    st.title("Papers")
    st.caption("Do the numbers of four papers hold? Each stands beside what the same system measures here.")
    paper = choose_paper()
    frame = show_numbers(paper)
    show_protocol(paper)
    show_contradictions(paper)
    show_figures(paper, frame)


with widgets.page_errors():
    body()
