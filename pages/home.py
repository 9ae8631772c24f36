"""Which expression does a network see in a face? Pictures in, numbered faces with probabilities out."""

import json

import streamlit as st

from fer_core import pictures
from fer_core.charts import faces as charts
from fer_core.errors import FerError
from fer_core.images import MAX_BYTES
from fer_core.labels import CLASS_NAMES
from fer_core.pictures import Picture, PictureResult
from fer_core.wording import percent
from pages.ui import cache, pick, state, widgets

SOURCES = {"upload": "Upload", "camera": "Camera", "sample": "Samples"}
SAMPLES = {"astronaut": "Astronaut", **{name: f"Drawn: {name}" for name in CLASS_NAMES}}
MOST_PICTURES, PICTURES_SHOWN, FACES_SHOWN = 50, 5, 8
FACES_BESIDE, SMALL_PICTURE, CROP_WIDTH = 2, 200, 112
PAGES = {
    "dataset": ("Dataset", "How many pictures of each expression, and which stand in two splits?"),
    "models": ("Models", "Which model is better, by how much, and is the difference more than chance?"),
    "confusion": ("Confusion", "Which expressions are taken for which, and in which pictures?"),
    "saliency": ("Saliency", "Where does a model look?"),
    "masks": ("Masks", "What changes when forehead, eyes or mouth are hidden?"),
    "papers": ("Papers", "Do the numbers of four papers hold, and what do their systems reach here?"),
    "training": ("Training", "How is a training going? Start, watch, stop and resume it."),
}
LIMITS = (
    "**An expression is not a feeling.** These are probabilities of how annotators would label a face, learned from "
    "posed and found pictures. They cannot tell what a person feels: people scowl when they concentrate and smile when "
    "they are sad, and the same face means different things in different situations and cultures "
    "([Barrett et al. 2019](https://doi.org/10.1177/1529100619832930))."
)


def choose_model() -> str | None:
    """Name of a run that can classify here, by default ``pictures.default_run``."""
    names = [run.name for run in pictures.usable_runs(cache.runs())]
    if not names:
        widgets.empty_state("No trained model has weights here yet. This command trains one:", pictures.TRAIN_COMMAND)
        return None
    about = "Runs that have weights: of each dataset the most accurate on val first, then ensembles."
    chosen = state.choice("Model", names, key="model", help=about)
    widgets.say_settings([chosen], names)
    return chosen


def choose_pictures() -> list[tuple[str, bytes]]:
    """File names and contents."""
    source = state.choice(
        "Pictures from", list(SOURCES), key="source", widget=st.segmented_control, format_func=SOURCES.get
    )
    if source == "camera":
        shot = st.camera_input("Take a picture")
        return [("camera.jpg", shot.getvalue())] if shot else []
    if source == "sample":
        chosen = state.choices(
            "Samples",
            list(SAMPLES),
            key="sample",
            default=["astronaut"],
            widget=st.pills,
            format_func=SAMPLES.get,
            wrap=True,
        )
        return [cache.sample(name) for name in chosen]
    files = st.file_uploader(
        "Drop one or more pictures",
        key="pictures",
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 2**20,
        help=pick.UPLOAD_HELP,
    )
    if len(files) > MOST_PICTURES:
        st.warning(f"Only the first {MOST_PICTURES} of {len(files)} pictures are taken. For more: "
                   "`python -m fer_core predict FOLDER --output faces.csv`")  # fmt: skip
    return [(file.name, file.getvalue()) for file in files[:MOST_PICTURES]]


def classify(chosen: list[tuple[str, bytes]], run_name: str) -> list[tuple[PictureResult, Picture | None]]:
    """Results in order, with a progress bar; a bad picture gives a result with an error, and the others go on."""
    found: list[tuple[PictureResult, Picture | None]] = []
    place = st.empty()
    with place.container():
        report = widgets.progress_bar()
    for done, (name, content) in enumerate(chosen):
        report(f"{name}: finding and classifying faces", done, len(chosen))
        try:
            found.append((cache.picture_result(run_name, content, name), cache.picture(content, name)))
        except FerError as error:
            found.append((pictures.failure(name, error), None))
    place.empty()
    return found


def show_picture(result: PictureResult, picture: Picture, place: int) -> None:
    """Picture with boxes first; beside it its faces, or below it where they are many."""
    key = f"{place}-{result.name}"
    few = len(result.crops) <= FACES_BESIDE
    left, right = st.columns([2, 3], gap="large") if few else (st.container(), st.container())
    with left:
        boxed = charts.annotate(picture.preview, picture.crops, picture.preview.shape[1] / picture.size[0])
        small = max(picture.size) <= SMALL_PICTURE
        st.image(boxed, caption=_caption(result), width=SMALL_PICTURE if small else "stretch" if few else "content")
        widgets.download_picture(boxed, f"{key}-boxes", "Boxes (PNG)")
        number = state.page_number(len(result.crops), FACES_SHOWN, key=f"faces{place}")
    with right:
        shown = list(range(len(result.crops)))[widgets.page_window(number, FACES_SHOWN)]
        columns = [st.container()] if few else st.columns(2)
        for count, index in enumerate(shown):
            with columns[count % len(columns)]:
                show_face(result, index, key)


def show_face(result: PictureResult, index: int, key: str) -> None:
    crop, probabilities = result.crops[index], result.probabilities[index]
    best = int(probabilities.argmax())
    with st.container(border=True):
        st.markdown(f"**Face {crop.number}: {result.class_names[best]}**, {percent(probabilities[best])}")
        if crop.note:
            st.info(crop.note, icon=":material/crop_free:")
        seen, bars = st.columns([1, 3])
        with seen:
            st.image(result.seen[index], caption="As the network sees it", width=CROP_WIDTH)
        with bars:
            figure = charts.probability_bars(probabilities, result.class_names)
            st.plotly_chart(figure, key=f"bars-{key}-{index}", config={"displayModeBar": False})


def _caption(result: PictureResult) -> str:
    boxes = sum(crop.face is not None for crop in result.crops)
    faces = f"{boxes} face{'s' * (boxes != 1)} found" if boxes else "taken whole"
    return f"{result.name}, {result.size[0]} x {result.size[1]}, {faces}"


def show_results(found: list[tuple[PictureResult, Picture | None]], run_name: str) -> None:
    for result, _ in found:
        if result.error is not None:
            widgets.show_error(result.error)
    good = [(result, picture) for result, picture in found if picture is not None]
    number = state.page_number(len(good), PICTURES_SHOWN, key="page")
    for place, (result, picture) in list(enumerate(good))[widgets.page_window(number, PICTURES_SHOWN)]:
        show_picture(result, picture, place)
    if good:
        show_downloads([result for result, _ in found], run_name)


def show_downloads(results: list[PictureResult], run_name: str) -> None:
    frame = pictures.to_frame(results)
    with st.expander(f"Table of {len(frame)} face{'s' * (len(frame) != 1)}"):
        shares = {
            name: st.column_config.NumberColumn(name.removeprefix("p_"), format="percent")
            for name in frame.columns
            if name.startswith("p_") or name == "probability"
        }
        widgets.show_table(frame, column_config=shares)
    with st.container(horizontal=True, gap="small"):
        widgets.download_table(frame, "faces")
        st.download_button(
            "Everything (JSON)",
            lambda: json.dumps(pictures.to_records(results, run_name), indent=1, ensure_ascii=False).encode(),
            "faces.json",
            "application/json",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )


def show_models() -> None:
    st.header("Results in brief")
    table = cache.runs_table("test")
    if table.empty:
        widgets.empty_state("No run has been evaluated yet. This command trains a first one:", pictures.TRAIN_COMMAND)
        return
    first = table["dataset"].iloc[0]
    others = [name for name in dict.fromkeys(table["dataset"]) if name != first]
    shown = table[table["dataset"] == first]
    told = f" Other pictures, other numbers: for {' and '.join(others)} see Models." if others else ""
    counts = shown["n"].unique()
    n = f"{counts[0]:,} " if len(counts) == 1 else ""
    told = f"Of models trained on {first}, on its {n}test pictures; the most accurate on val first.{told}"
    st.caption(widgets.plain(told))
    percent = {"format": "percent", "width": "small"}
    columns = {
        "name": st.column_config.TextColumn("run"),
        "accuracy": st.column_config.NumberColumn("accuracy", **percent),
        "accuracy_low": st.column_config.NumberColumn("95 % from", **percent),
        "accuracy_high": st.column_config.NumberColumn("to", **percent),
        "macro_f1": st.column_config.NumberColumn("macro F1", format="%.3f"),
        "param_count": st.column_config.NumberColumn("parameters", format="localized"),
        "n": st.column_config.NumberColumn("test pictures"),
    }
    if n:
        columns.pop("n")
    shown = widgets.with_settings(shown[list(columns)], "name", after="accuracy_high")
    columns |= {"settings": st.column_config.TextColumn("trained", width="medium")}  # or cells are cut off
    widgets.show_table(shown, column_config=columns)
    widgets.download_table(table, "runs-test", "All metrics (CSV)")


def show_pages() -> None:
    st.header("What each page answers")
    for name, (title, question) in PAGES.items():
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
            st.page_link(f"pages/{name}.py", label=f"**{title}**", width=120)
            st.markdown(question)


def body() -> None:
    st.title("Which expression is it?")
    st.caption(f"Drop a photo: FERscope finds the faces and asks a trained network which of {len(CLASS_NAMES)} "
               "expressions each one shows.")  # fmt: skip
    left, right = st.columns([3, 2], gap="large")
    with right:
        run_name = choose_model()
    with left:
        chosen = choose_pictures()
    if chosen and run_name:
        show_results(classify(chosen, run_name), run_name)
    st.markdown(LIMITS)
    show_models()
    show_pages()


with widgets.page_errors():
    body()
