"""Which models, and which face: the pickers that Saliency and Masks share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from fer_core.charts import explain as charts
from fer_core.charts.faces import annotate
from fer_core.datasets import DRAWN, overview
from fer_core.faces import NOTHING
from fer_core.images import MAX_BYTES, SUFFIXES
from fer_core.pictures import TRAIN_COMMAND, datasets_of, has_gradients, usable_runs
from pages.ui import cache, cache_masks, state, widgets

ONE_FACE = "One face"  # what pages show at first
EVERY_CLASS = "all"
FEW = 8  # faces that get a button each
NO_POINTS = "The landmarks of this face were not found, so its parts are taken to lie where they usually do."
NO_FACE = "No face was found in this picture, so there are no parts of a face to compare with FACS."
UPLOAD_HELP = (
    f"{', '.join(suffix.lstrip('.') for suffix in SUFFIXES)}; the type is told by content, not by name. Pictures stay "
    "on the machine that runs FERscope and are not stored."
)
SOURCES = {"dataset": "Dataset", "upload": "Upload", "sample": "Sample photo"}
OF_DATASETS = ("dataset", "split", "class", "picture")  # keys that only a face of a dataset has
FACE_KEYS = ("from", *OF_DATASETS, "face")
KEPT = "kept-upload"  # name and content: an uploader forgets its picture when the page changes


@dataclass(frozen=True)
class Face:
    """One face to look into.

    Attributes:
        image: uint8 (H, W) or (H, W, 3), as the models get it.
        label: its class where it comes from a dataset, else None.
        title: where it comes from, for people; ``slug``: the same for file names.
        points: its landmarks, float64 (5, 2), x and y as shares of ``image``; the usual place where none were found.
        points_found: whether they were.
        face_found: False where a face was looked for and none found: the picture is taken whole and says nothing.
    """

    image: np.ndarray
    label: str | None
    title: str
    slug: str
    points: np.ndarray
    points_found: bool
    face_found: bool = True


def models(most: int, *, networks_first: bool = False) -> list[str]:
    """Names of one to ``most`` runs that can classify here, or none.

    They are offered in the order of ``usable_runs``; ``networks_first``: of a dataset's, those with gradients first.
    """
    usable = usable_runs(cache.runs())
    if networks_first:
        order = datasets_of(usable)
        usable = sorted(usable, key=lambda run: (order.index(run.dataset), not has_gradients(run)))
    names = [run.name for run in usable]
    if not names:
        widgets.empty_state("No trained model has weights here yet. This command trains one:", TRAIN_COMMAND)
        return []
    chosen = state.choices("Models", names, key="models", default=names[:1], max_selections=most)
    if not chosen:
        st.info("Choose a model.")
    widgets.say_settings(chosen, names)
    return chosen


def say_not_cut_out(models: Sequence[str], from_dataset: bool) -> None:
    """Of which ``models`` a dataset's picture is not what they were trained and measured on: faces cut out of them."""
    cut = [name for name in models if (cache.run(name).run.get("config") or {}).get("faces")]
    if from_dataset and cut:
        st.caption(
            f"{widgets.plain(', '.join(cut))}: trained and measured on faces cut out of the pictures. Here the picture "
            "is shown as it is, so answers differ from the stored ones. An uploaded photo's faces are cut out."
        )


def face() -> Face | None:
    """Let the user pick a face: of a dataset, of an uploaded picture, or of the sample photo.

    Where no dataset is registered the sample photo comes first: a drawn face tells nobody what a model does.
    """
    asked = "dataset" if any(key in st.query_params for key in OF_DATASETS) else None
    state.begin_with("from", asked)
    source = state.choice(
        "Picture",
        list(SOURCES),
        key="from",
        default="dataset" if cache.registered_datasets() else "sample",
        widget=st.segmented_control,
        format_func=SOURCES.get,
    )
    if source == "dataset":
        found = _of_dataset()
    elif source == "sample":
        found = _of_picture(cache.sample_photo(), "astronaut.jpg")
    else:
        found = _of_upload()
    if found is not None and not found.points_found and found.face_found:
        st.caption(NO_POINTS)
    return found


def _of_dataset() -> Face | None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = state.choice("Dataset", cache.dataset_names(), key="dataset", width=150)
        data = cache.dataset(name)
        splits = list(data.splits)
        default = "test" if "test" in splits else splits[0]
        split = data[state.choice("Split", splits, key="split", default=default, width=110)]
        label = state.choice("Class", [EVERY_CLASS, *data.class_names], key="class", width=120)
        found = overview.positions_of_class(split, None if label == EVERY_CLASS else label)
        if not len(found):
            st.info("No such picture; choose another class or split.")
            return None
        number = state.number(f"Picture (of {len(found):,})", 1, len(found), 1, key="picture", width=150)
    if name == DRAWN:
        st.caption("Drawn by FERscope, not photographed.")
    at = found[number - 1]
    sample_id = str(split.sample_ids[at])
    true = data.class_names[split.y_true[at]]
    image = np.asarray(split.images[at])
    title, slug = f"{sample_id}, labelled {true}", f"{name}-{sample_id}"
    return Face(image, true, title, slug, *cache_masks.points(image))


def chosen_face() -> dict[str, object]:
    """What leads to the face that is shown, for links to other pages; an upload is kept in the session."""
    return {key: st.session_state[key] for key in FACE_KEYS if key in st.session_state}


def _of_upload() -> Face | None:
    upload = st.file_uploader(
        "A photo with a face, or a face crop",
        key="upload",
        max_upload_size=MAX_BYTES // 2**20,
        help=UPLOAD_HELP,
        on_change=_forget_upload,
    )
    if upload is not None:
        st.session_state[KEPT] = upload.name, upload.getvalue()
    if KEPT not in st.session_state:
        return None
    name, content = st.session_state[KEPT]
    if upload is None:
        st.caption(f"{widgets.plain(name)}, uploaded before on another page.")
    return _of_picture(content, name)


def _forget_upload() -> None:
    """When another picture is chosen, or none; not when the page changes, which empties the uploader too."""
    st.session_state.pop(KEPT, None)


def _of_picture(content: bytes, name: str) -> Face:
    with st.spinner("Looking for faces ..."):
        picture = cache.picture(content, name)
    found = picture.crops
    number = 1
    if len(found) > 1:
        scale = picture.preview.shape[1] / picture.size[0]
        st.image(annotate(picture.preview, found, scale), width="stretch", alt="The picture, its faces numbered")
        numbers = [str(crop.number) for crop in found]
        widget = st.segmented_control if len(found) <= FEW else st.selectbox
        number = int(state.choice("Face", numbers, key="face", widget=widget))
    chosen = found[number - 1]
    unseen = chosen.reason == NOTHING
    if unseen:
        st.warning(chosen.note, icon=":material/crop_free:")
    elif chosen.note:
        st.caption(chosen.note)
    stem = name.rsplit(".", 1)[0]
    title, slug = f"{name}, face {number} of {len(found)}", f"{stem}-face{number}"
    points = cache_masks.crop_points(chosen, picture.size)
    return Face(charts.shrink(chosen.image), None, title, slug, *points, face_found=not unseen)
