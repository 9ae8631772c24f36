"""Which pictures are there? Class balance, mean faces, samples, copies and leaks; several datasets side by side."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from fer_core import datasets, faces
from fer_core.charts import dataset as charts
from fer_core.datasets import overview
from pages.ui import cache, state, widgets

MEASURES = {"share": "Shares", "count": "Counts"}
EVERY_CLASS = "all"
REPORT = "registration-report"


def show_numbers(facts: Mapping) -> None:
    row = overview.compare([facts]).iloc[0]
    ratio = facts["imbalance_ratio"]["all"]
    with st.container(horizontal=True, gap="small"):
        st.metric("Pictures", f"{row['pictures']:,}", border=True, help=facts["format"])
        st.metric("Size", row["size"], border=True, help="Width x height in pixels")
        st.metric(
            "Imbalance",
            "a class is empty" if ratio is None else f"{ratio:.1f} : 1",
            border=True,
            help="Pictures in the largest class over those in the smallest, all splits together",
        )
        st.metric("Extra copies", f"{row['extra_copies']:,}", border=True, help="Equal to another in every pixel")
        st.metric(
            "Test pictures seen",
            f"{row['test_seen']:,}",
            border=True,
            help="Test pictures that stand in the train or validation split too",
        )
        if who := facts.get("subjects"):
            st.metric(
                "Subjects shared",
                f"{who['shared']:,} of {who['n']:,}",
                border=True,
                help="People who stand in several splits: above 0, results tell nothing about people not seen",
            )
    for note in facts["notes"]:
        st.caption(note)


def show_balance(facts: Mapping) -> None:
    st.subheader("Class balance")
    measure = state.choice(
        "Bars show", list(MEASURES), key="bars", widget=st.segmented_control, format_func=MEASURES.get
    )
    widgets.show_figure(
        charts.class_balance(overview.balance(facts), measure),
        f"{facts['name']}-class-balance",
        overview.balance(facts),
    )
    table = overview.balance_table(facts)
    percent = {name: st.column_config.NumberColumn(format="percent") for name in table if name.endswith("share")}
    with st.expander("Counts and shares as a table"):
        widgets.show_table(table, column_config=percent)
        ratios = [f"{split} {ratio:.1f} : 1" for split, ratio in facts["imbalance_ratio"].items() if ratio is not None]
        st.caption(f"Largest over smallest class: {', '.join(ratios)}.")


def show_mean_faces(facts: Mapping) -> None:
    st.subheader("Mean faces")
    faces = facts["mean_faces"]
    widgets.picture_grid(list(faces.values()), list(faces), width=100)
    st.caption("Mean of every training picture of a class, pixel by pixel.")


def show_samples(name: str) -> None:
    st.subheader("Samples")
    if name not in cache.dataset_names():
        widgets.empty_state(
            f"The pictures of {name} are not on this machine: the numbers above come from stored facts. "
            "Register your copy to see them, below or with",
            f"python -m fer_core data add PATH --name {name}",
        )
        return
    data = cache.dataset(name)
    split_name = state.choice("Split", list(data.splits), key="split", widget=st.segmented_control)
    label = state.choice("Class", [EVERY_CLASS, *data.class_names], key="class", widget=st.segmented_control)
    split = data[split_name]
    found = overview.positions_of_class(split, None if label == EVERY_CLASS else label)
    if not len(found):
        st.info(f"No {label} picture in {split_name}.")
        return
    number = state.page_number(len(found), widgets.PAGE_SIZE, key="page", of=("dataset", name, split_name, label))
    shown = found[widgets.page_window(number)]
    captions = [f"{split.class_names[split.y_true[at]]}  \n{split.sample_ids[at]}" for at in shown]
    widgets.picture_grid([split.images[at] for at in shown], captions, width=112)
    st.caption(f"{len(found):,} pictures.")


def show_copies(facts: Mapping) -> None:
    st.subheader("Copies and leaks")
    copies = facts["duplicates"]
    name = facts["name"]
    st.markdown(
        f"**{copies['distinct']:,}** of {facts['n']:,} pictures are distinct. **{copies['extra_copies']:,}** are extra "
        f"copies, in {copies['groups']:,} groups of up to {copies['largest_group']}. In "
        f"**{copies['conflicting_groups']:,}** groups equal pictures carry different labels."
    )
    leaks = overview.leaks(facts)
    percent = {"share": st.column_config.NumberColumn("share of the split", format="percent")}
    left, right = st.columns(2)
    with left:
        st.markdown("Pictures of one split that stand in another too")
        widgets.show_table(leaks, column_config=percent)
        widgets.download_table(leaks, f"{name}-leaks")
    with right:
        conflicts = overview.conflicts(facts)
        if not conflicts.empty:
            st.markdown("Labels under which equal pictures stand")
            widgets.show_table(conflicts, height=250)
            widgets.download_table(conflicts, f"{name}-conflicts")
    constant = ", ".join(f"{len(ids)} in {split}" for split, ids in facts["constant"].items() if ids)
    st.caption(
        f"Test pictures that stand in no other split: {facts['test_clean']:,}; the results table has accuracy on "
        f"these as well. Pictures of a single grey: {constant or 'none'}."
    )


def show_beside(names: list[str]) -> None:
    st.subheader("Side by side")
    several = [cache.dataset_facts(name) for name in names]
    measure = st.session_state.get("bars") or "share"
    shares = overview.shares(several)
    widgets.show_figure(charts.dataset_shares(shares, measure), "dataset-shares", shares)
    table = overview.compare(several)
    widgets.show_table(
        table,
        column_config={
            "imbalance": st.column_config.NumberColumn("largest : smallest", format="%.1f"),
            "conflicting": st.column_config.Column("conflicting groups"),
            "extra_copies": st.column_config.Column("extra copies"),
            "test_seen": st.column_config.Column("test seen", help="Test pictures that stand in another split too"),
        },
    )
    widgets.download_table(table, "datasets")


def register() -> None:
    """Form that registers a dataset from a path or an upload."""
    report = st.session_state.pop(REPORT, None)
    with st.expander("Register a dataset", icon=":material/add:", expanded=report is not None):
        if report is not None:
            show_report(report)
        st.markdown(
            "FER2013 as `fer2013.csv`, as class folders or in its zip; RAF-DB; CK+, split by subject; or any folder of "
            "class folders. The same from the command line: `python -m fer_core data add PATH`, which with "
            "`--protocol frames` also makes the leaky split of CK+."
        )
        with st.form("register", border=False):
            path = st.text_input(
                "Path on this machine", placeholder="CSV file, zip archive or folder", key="register-path"
            )
            upload = st.file_uploader("Or upload", type=["csv", "zip"])
            name = st.text_input("Name", placeholder="taken from the pictures or the file", key="register-name")
            asked = st.form_submit_button("Register", type="primary")
        if asked and not path and upload is None:
            st.warning("Give a path, or upload a CSV or zip file.")
        elif asked:
            with widgets.page_errors():
                st.session_state[REPORT] = add(path, upload, name or None)
                st.rerun()


def add(path: str, upload, name: str | None) -> datasets.AddReport:
    progress = widgets.progress_bar()
    if upload is None:
        return datasets.add(Path(path).expanduser(), name=name, cut=faces.largest_face, progress=progress)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(upload.name).name
        copy.write_bytes(upload.getbuffer())
        return datasets.add(copy, name=name, cut=faces.largest_face, progress=progress)


def show_report(report: datasets.AddReport) -> None:
    st.success(f"{report.name} is registered ({report.format}).", icon=":material/check_circle:")
    if report.left_out:
        st.warning(f"{len(report.left_out):,} rows or files were left out; the rest is there.")
        table = overview.left_out_table(report.left_out)
        widgets.show_table(table, height=200)
        widgets.download_table(table, f"{report.name}-left-out")


def body() -> None:
    st.title("Dataset")
    st.caption("How many pictures of each expression there are, how they are split, and which leak into the test.")
    names = cache.known_datasets()
    with st.container(horizontal=True):
        name = state.choice("Dataset", names, key="dataset", widget=st.segmented_control)
        others = [other for other in names if other != name]
        beside = state.choices("Side by side with", others, key="beside", widget=st.pills)
    facts = cache.dataset_facts(name)
    if facts["drawn"]:
        st.info("Drawn by FERscope, not photographed: for trying things out before a dataset is registered.")
    show_numbers(facts)
    if beside:
        show_beside([name, *beside])
    show_balance(facts)
    show_mean_faces(facts)
    show_samples(name)
    show_copies(facts)


with widgets.page_errors():
    body()
register()
