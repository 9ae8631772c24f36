"""Several pictures on the Masks page: the same part hidden in each face, and where the predictions go."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from fer_core import masks
from fer_core.charts import explain as charts
from fer_core.charts import occlusion as occlusion_charts
from fer_core.datasets import overview
from fer_core.errors import ConfigError, FerError
from fer_core.explain import occlusion, occlusion_batch
from fer_core.explain.occlusion_batch import BatchEffect
from fer_core.images import MAX_BYTES
from fer_core.regions import CANONICAL
from fer_core.wording import percent
from pages.ui import cache, cache_masks, masks_choice, pick, state, widgets

SOURCES = {"dataset": "Dataset sample", "upload": "Upload"}
MOST_MODELS, MOST_PICTURES, MOST_SAMPLED, SAMPLED = 4, 50, 500, 20
CHUNK = 5  # faces between two steps of the progress bar
THUMBNAIL = 96
SHEET_COLUMNS = 8
MOST_NAMED = 5  # pictures that are left out


@dataclass(frozen=True)
class BatchFace:
    """One of several faces: ``image`` uint8, ``about`` its columns in the table, ``points`` unless not yet sought."""

    image: np.ndarray
    about: dict
    points: np.ndarray | None = None
    points_found: bool = True


def show() -> None:
    left, right = st.columns([1, 2], gap="large")
    with left:
        source = state.choice(
            "Pictures from", list(SOURCES), key="batch-from", widget=st.segmented_control, format_func=SOURCES.get
        )
        faces, origin = _of_dataset() if source == "dataset" else (_of_uploads(), "uploads")
        models = pick.models(MOST_MODELS)
        pick.say_not_cut_out(models, source == "dataset")
        if not models:
            return
        choice = masks_choice.choose(faces[0].image if faces else None)  # the rectangle lies alike on every face
        fill = masks_choice.choose_fill()
        controls = masks_choice.choose_controls()
    with right:
        if not faces:
            st.info("Drop some pictures: every face in them is masked.")
            return
        if choice.words == "nothing":
            st.info("Nothing is hidden yet: choose rows or parts, or a rectangle.")
            return
        if choice.problem:
            st.warning(choice.problem)
            return
        place = st.empty()
        with place.container():
            report = widgets.progress_bar()
        faces, hidden = _hide(faces, choice, report)
        if not faces:
            place.empty()
            return
        with place.container():
            report = widgets.progress_bar()  # its time left is not that of the landmarks
        effects = _ask(models, faces, hidden, fill, controls, report)
        place.empty()
        if effects:
            about = {"of": origin, "mask": choice.words, "fill": fill, "random_masks": controls}
            _show(faces, hidden, effects, choice, about)


def _of_dataset() -> tuple[list[BatchFace], str]:
    """Some pictures of a split, and where they come from, for file names."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = state.choice("Dataset", cache.dataset_names(), key="dataset", width=150)
        data = cache.dataset(name)
        splits = list(data.splits)
        default = "test" if "test" in splits else splits[0]
        chosen = state.choice("Split", splits, key="split", default=default, width=110)
        split = data[chosen]
        most = min(MOST_SAMPLED, len(split))
        n = state.number("Pictures", 1, most, min(SAMPLED, most), key="sampled", width=120)
        seed = state.number("Seed", 0, 9999, 0, key="sample-seed", width=100, help="Another seed, other pictures.")
    positions = overview.positions_of_class(split, None, seed)[:n]
    sampled = [
        BatchFace(
            np.asarray(split.images[at]),
            {"picture": str(split.sample_ids[at]), "label": data.class_names[split.y_true[at]]},
        )
        for at in positions
    ]
    return sampled, f"{name}-{chosen}-seed{seed}"


def _of_uploads() -> list[BatchFace]:
    """Every face of every upload; a picture that cannot be read is named, and the others go on."""
    files = st.file_uploader(
        "Drop several pictures",
        key="batch",
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 2**20,
        help=pick.UPLOAD_HELP,
    )
    if len(files) > MOST_PICTURES:
        st.warning(f"Only the first {MOST_PICTURES} of {len(files)} pictures are taken.")
    files = files[:MOST_PICTURES]
    found: list[BatchFace] = []
    place = st.empty()
    with place.container():
        report = widgets.progress_bar()
    for done, file in enumerate(files):
        report(f"{widgets.plain(file.name)}: looking for faces", done, len(files))
        try:
            picture = cache.picture(file.getvalue(), file.name)
            for crop in picture.crops:
                about = {"picture": file.name, "face": crop.number, "taken whole": crop.whole}
                points = cache_masks.crop_points(crop, picture.size)
                found.append(BatchFace(charts.shrink(crop.image), about, *points))
        except FerError as error:
            widgets.show_error(error)
    place.empty()
    return found


def _hide(
    faces: Sequence[BatchFace], choice: masks_choice.Choice, report: Callable[[str, int, int], None]
) -> tuple[list[BatchFace], list[np.ndarray]]:
    """The faces with their landmarks, where the choice needs them, and what it hides of each.

    Those too small for the rectangle are named and left out.
    """
    known, hidden, small = [], [], []
    for done, face in enumerate(faces):
        if choice.shapes and face.points is None:
            report("Looking for landmarks", done, len(faces))
            face = BatchFace(face.image, face.about, *cache_masks.points(face.image, quiet=True))
        try:
            hidden.append(choice.mask(CANONICAL if face.points is None else face.points, face.image.shape[:2]))
        except ConfigError:
            small.append(face.about["picture"])
            continue
        known.append(face)
    if small:
        named, more = ", ".join(map(widgets.plain, small[:MOST_NAMED])), len(small) - MOST_NAMED
        left = f"{named} and {more} more are" if more > 0 else f"{named} {'is' if len(small) == 1 else 'are'}"
        st.warning(f"{left} left out: too small for the rectangle to hold a whole pixel.")
    return known, hidden


def _ask(
    models: Sequence[str],
    faces: Sequence[BatchFace],
    hidden: Sequence[np.ndarray],
    fill: str,
    controls: int,
    report: Callable[[str, int, int], None],
) -> dict[str, BatchEffect]:
    """What each model says; one that fails is left out. All are shown the same random masks, drawn once."""
    parts: dict[str, list[BatchEffect]] = {model: [] for model in models}
    for first in range(0, len(faces), CHUNK):
        images, own = [face.image for face in faces[first : first + CHUNK]], list(hidden[first : first + CHUNK])
        draw = functools.cache(functools.partial(occlusion_batch.draw_controls, own, range(controls), first))
        for model in list(parts):
            done = first * len(models) + len(images) * models.index(model)
            report(f"{model}: masking and classifying", done, len(faces) * len(models))
            part = None
            with widgets.page_errors():
                part = cache_masks.batch_effect(model, images, own, fill, controls, first, draw)
            if part is None:
                del parts[model]
            else:
                parts[model].append(part)
    return {model: occlusion_batch.join(of_model) for model, of_model in parts.items()}


def _show(
    faces: Sequence[BatchFace],
    hidden: Sequence[np.ndarray],
    effects: Mapping[str, BatchEffect],
    choice: masks_choice.Choice,
    about: Mapping,
) -> None:
    """All views; ``about`` are columns of the saved tables that say what they are of."""
    labels = [face.about["label"] for face in faces] if all("label" in face.about for face in faces) else None
    summary = cache_masks.batch_summary(dict(effects), labels)
    for row in summary.to_dict("records"):
        st.markdown(_sentence(row))
    few = "; so few faces say little of others" if len(faces) < occlusion_batch.FEWEST else ""
    drawn = occlusion.control_words(cache_masks.count_movable(list(hidden)), len(hidden))
    random = f" Random masks: {drawn}." if about["random_masks"] else ""
    st.caption(f"In brackets: 95 % intervals over the faces (Wilson){few}.{random}")
    unseen = sum(not face.points_found for face in faces)
    if choice.shapes and unseen:
        st.caption(f"In {unseen} of {len(faces)} faces landmarks were not found: there the usual place is taken.")
    slug = f"masks-{about['of']}-{len(faces)}-faces-{choice.words}-{about['fill']}"
    run = (
        state.choice("Flow of the predictions of", list(effects), key="flow")
        if len(effects) > 1
        else next(iter(effects))
    )
    flow = occlusion_batch.flow_frame(effects[run])
    sankey = occlusion_charts.flow_sankey(flow, effects[run].class_names)
    widgets.show_figure(sankey, f"{slug}-flow-{run}", flow.assign(run=run, **about))
    st.caption("Left the classes of the whole faces, right those of the masked ones. Strong bands have changed class.")
    table = occlusion_batch.face_frame(effects, [face.about for face in faces])
    _show_faces(faces, hidden, table[table["run"] == run], about["fill"], slug)
    widgets.show_table(table, column_config=_columns())
    with st.container(horizontal=True, gap="small"):
        widgets.download_table(table.assign(**about), f"{slug}-faces", "Every face (CSV)")
        widgets.download_table(summary.assign(**about), f"{slug}-flip-rates", "Flip rates (CSV)")


def _sentence(row: Mapping) -> str:
    def rate(name: str) -> str:
        return f"{percent(row[name])} [{percent(row[f'{name}_low'])}, {percent(row[f'{name}_high'])}]"

    said = f"**{row['run']}** changes its answer on {row['flips']} of {row['n']} faces, {rate('flip_rate')}"
    if not pd.isna(row["control_flip_rate"]):
        said += f"; under random masks as large {rate('control_flip_rate')}"
    if "accuracy" in row:
        said += f". Right on {rate('accuracy')} of the whole faces, on {rate('masked_accuracy')} of the masked ones"
    return f"{said}."


def _show_faces(
    faces: Sequence[BatchFace], hidden: Sequence[np.ndarray], table: pd.DataFrame, fill: str, slug: str
) -> None:
    number = state.page_number(len(faces), widgets.PAGE_SIZE, key="page", of=(len(faces), faces[0].about["picture"]))
    window = widgets.page_window(number)
    rows = list(table.itertuples())[window]
    pictures = [
        charts.enlarge(masks.apply(face.image, mask, fill), THUMBNAIL)
        for face, mask in zip(faces[window], hidden[window], strict=True)
    ]
    words = [f"{row.whole} → {row.masked}" if row.flipped else row.whole for row in rows]
    widgets.picture_grid(pictures, words, width=THUMBNAIL)
    widgets.download_picture(charts.contact_sheet(pictures, SHEET_COLUMNS), f"{slug}-{number}", "These faces (PNG)")


def _columns() -> dict:
    percent = {
        "p_whole": "whole, p",
        "p_masked": "masked, p",
        "shift": "shift",
        "control_shift": "shift by random masks",
    }
    percent |= {"control_flips": "flips by random masks", "hidden": "hidden"}
    return {name: st.column_config.NumberColumn(title, format="percent") for name, title in percent.items()}
