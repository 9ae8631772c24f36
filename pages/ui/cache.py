"""Every cached read of the pages.

A public function finds out which files its answer depends on and when they changed; the cached one below it has that
stamp among its arguments, so that new runs and new datasets appear at the next click. Every cache is bounded.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from fer_core import artifacts, comparison, datasets, images, pictures, reported
from fer_core.artifacts import Run
from fer_core.datasets.split import Dataset
from fer_core.errors import ModelError
from fer_core.explain import mask_numbers as numbers_of_masks
from fer_core.explain import mask_study, occlusion
from fer_core.explain import saliency as explain_saliency
from fer_core.explain.occlusion import MaskEffect
from fer_core.explain.saliency import LayerChoice, SaliencyMap
from fer_core.explain.studies import studies_folder
from fer_core.models.ensemble import ensemble_of
from fer_core.models.specs import spec
from fer_core.predictions import Predictions
from fer_core.reported import reading
from fer_core.training import recipes, sweep_export
from fer_core.training.sweeps import sweeps_dir
from pages.ui import upkeep
from pages.ui.stamps import MOST_RUNS, Stamp, digest, stamp

# Runs


def runs() -> list[Run]:
    """Every readable run, by name; ``artifacts.best_first`` has the order that pages offer them in."""
    return _listing()[0]


def run_problems() -> list[str]:
    """What is wrong with each run directory that cannot be read."""
    return _listing()[1]


def run(name: str) -> Run:
    """The run called ``name``.

    Raises:
        RunError: there is none.
    """
    return artifacts.find_run(name)


def runs_table(split: str = "test") -> pd.DataFrame:
    """``artifacts.runs_frame`` of every run: one row each, the most accurate on val first."""
    return _runs_table(str(artifacts.root()), runs_stamp(), split)


def run_settings() -> dict[str, str]:
    """By what settings each run was trained, see :func:`fer_core.training.recipes.short`."""
    return _run_settings(str(artifacts.root()), runs_stamp())


def predictions(run_name: str, split: str = "test") -> Predictions:
    """Stored predictions of a run.

    Raises:
        RunError: they are missing or damaged.
    """
    base = artifacts.root()
    return _predictions(str(base), run_name, split, stamp(base / "runs" / run_name, base / "datasets"))


def differences(run_a: str, run_b: str, split: str = "test") -> pd.DataFrame:
    """``comparison.differences`` of two runs: every metric, paired bootstrap.

    Raises:
        RunError: predictions are missing, or the runs share no pictures.
    """
    base = artifacts.root()
    return _differences(str(base), run_a, run_b, split, _predictions_stamp(run_a, run_b))


def pairs(run_names: list[str], split: str = "test", metric: str = "accuracy") -> pd.DataFrame:
    """``comparison.all_pairs`` of several runs.

    Raises:
        RunError: as :func:`differences`.
    """
    base = artifacts.root()
    return _pairs(str(base), tuple(run_names), split, metric, _predictions_stamp(*run_names))


def history(run_name: str) -> pd.DataFrame | None:
    """A row per epoch, or None for models that have no passes."""
    base = artifacts.root()
    return _history(str(base), run_name, stamp(base / "runs" / run_name))


def classifier(run_name: str):
    """The trained ``Classifier`` of a run with shipped weights. The first call imports TensorFlow (some 10 s).

    Raises:
        ModelError, RunError: no weights, or they do not fit.
    """
    base = artifacts.root()
    return _classifier(str(base), run_name, stamp(base / "runs" / run_name))


def load(run: Run, tta: str = "run"):
    """What :func:`fer_core.models.registry.load_classifier` makes of a run, not cached."""
    from fer_core.models import registry

    if run.model == artifacts.ENSEMBLE or spec(run.model)["family"] == "network":
        upkeep.spare("keras")
    return registry.load_classifier(run, tta)


def predictor(run_name: str):
    """The compiled ``inference.Predictor`` of a run; itself a ``Classifier``."""
    base = artifacts.root()
    return _predictor(str(base), run_name, stamp(base / "runs" / run_name))


def _listing() -> tuple[list[Run], list[str]]:
    return _runs(str(artifacts.root()), runs_stamp())


def runs_stamp() -> Stamp:
    """Every run directory, and its ``run.json``."""
    folder = artifacts.root() / "runs"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    found = []
    for path in paths:
        found.append((path.name, 0, 0))  # a directory that lacks its run.json counts too
        found += [(f"{path.name}/{name}", time, size) for name, time, size in stamp(path / "run.json")]
    return digest(found)


@st.cache_resource(max_entries=4, show_spinner=False)  # asked for many times a page and never changed, so not copied
def _runs(base: str, stamp: Stamp) -> tuple[list[Run], list[str]]:
    return artifacts.list_runs(Path(base))


@st.cache_data(max_entries=12, show_spinner=False)
def _runs_table(base: str, stamp: Stamp, split: str) -> pd.DataFrame:
    return artifacts.runs_frame(_runs(base, stamp)[0], split)


@st.cache_data(max_entries=4, show_spinner=False)
def _run_settings(base: str, stamp: Stamp) -> dict[str, str]:
    return {run.name: recipes.short(run.run) for run in _runs(base, stamp)[0]}


@st.cache_data(max_entries=MOST_RUNS, show_spinner=False)
def _predictions(base: str, run_name: str, split: str, stamp: Stamp) -> Predictions:
    return artifacts.find_run(run_name, Path(base)).predictions(split)


def _predictions_stamp(*run_names: str) -> Stamp:
    base = artifacts.root()
    return stamp(*(base / "runs" / name for name in run_names), base / "datasets")


@st.cache_data(max_entries=32, show_spinner="Comparing ...")
def _differences(base: str, run_a: str, run_b: str, split: str, stamp: Stamp) -> pd.DataFrame:
    return comparison.differences(predictions(run_a, split), predictions(run_b, split))


@st.cache_data(max_entries=16, show_spinner="Comparing ...")
def _pairs(base: str, run_names: tuple[str, ...], split: str, metric: str, stamp: Stamp) -> pd.DataFrame:
    return comparison.all_pairs({name: predictions(name, split) for name in run_names}, metric)


@st.cache_data(max_entries=MOST_RUNS, show_spinner=False)
def _history(base: str, run_name: str, stamp: Stamp) -> pd.DataFrame | None:
    return artifacts.find_run(run_name, Path(base)).history()


@st.cache_resource(max_entries=4, show_spinner="Loading the network ...")
def _classifier(base: str, run_name: str, stamp: Stamp):
    return load(artifacts.find_run(run_name, Path(base)))


@st.cache_resource(max_entries=4, show_spinner="Compiling the network ...")
def _predictor(base: str, run_name: str, stamp: Stamp):
    from fer_core.inference import Predictor

    return Predictor(_classifier(base, run_name, stamp))


# Datasets


def dataset_names() -> list[str]:
    """Datasets whose pictures can be shown: the registered ones, then ``drawn``."""
    return [*datasets.available(), datasets.DRAWN]


def registered_datasets() -> list[str]:
    """Datasets on this machine."""
    return datasets.available()


def known_datasets() -> list[str]:
    """Datasets of which at least the facts are known; ``drawn`` last."""
    return sorted(datasets.known(), key=lambda name: (name == datasets.DRAWN, name))


def dataset(name: str) -> Dataset:
    """A registered dataset, memory-mapped; or ``drawn``.

    Raises:
        DatasetError: it is not registered.
    """
    return _dataset(str(datasets.data_dir()), name, _data_stamp(name))


def dataset_facts(name: str) -> dict:
    """Counts, duplicates and leaks of a dataset, from committed facts or the registered data.

    Raises:
        DatasetError: nothing is known about it.
    """
    committed = artifacts.root() / "datasets"
    return _facts(str(datasets.data_dir()), str(committed), name, _data_stamp(name) + stamp(committed / f"{name}.json"))


def _data_stamp(name: str) -> Stamp:
    return stamp(datasets.data_dir() / name)


@st.cache_resource(max_entries=4, show_spinner="Opening the dataset ...")
def _dataset(folder: str, name: str, stamp: Stamp) -> Dataset:
    return datasets.load(name)


@st.cache_data(max_entries=16, show_spinner="Counting pictures ...")
def _facts(folder: str, committed: str, name: str, stamp: Stamp) -> dict:
    return datasets.facts(name)


# Faces


def sample_photo() -> bytes:
    """The public-domain photo that the app ships (``artifacts/samples/README.md``), as JPEG."""
    return (Path(__file__).resolve().parents[2] / "artifacts" / "samples" / "astronaut.jpg").read_bytes()


def sample(name: str) -> tuple[str, bytes]:
    """File name and content of a sample: ``astronaut``, or the name of a class for a drawn face."""
    if name == "astronaut":
        return "astronaut.jpg", sample_photo()
    return f"drawn-{name}.png", _drawn_face(name)


@st.cache_data(max_entries=16, show_spinner=False)
def _drawn_face(label: str) -> bytes:
    return images.encode_png(datasets.synthetic.face(label, rng=0, size=64))


def picture(content: bytes, name: str) -> pictures.Picture:
    """A picture in small, with its faces, see :func:`fer_core.pictures.read`. The first call imports TensorFlow.

    Raises:
        ImageError: it cannot be read.
        ModelError: the face detector cannot start.
    """
    return _picture(content, name)


def picture_result(run_name: str, content: bytes, name: str) -> pictures.PictureResult:
    """What a run says about the faces of a picture, see :func:`fer_core.pictures.classify`.

    Raises:
        ImageError: it cannot be read.
        ModelError, RunError: the run has no weights, or they do not fit.
    """
    return _picture_result(*model_key(run_name), content, name)


@st.cache_data(max_entries=64, show_spinner=False)
def _picture(content: bytes, name: str) -> pictures.Picture:
    return pictures.read(content, name=name)


@st.cache_data(max_entries=256, show_spinner=False)
def _picture_result(base: str, run_name: str, stamp: Stamp, content: bytes, name: str) -> pictures.PictureResult:
    return pictures.classify(_picture(content, name), predictor(run_name))


# Explanations


def answering(run_name: str):
    """What classifies for a run: the same answers as :func:`classifier`, sooner."""
    return predictor(run_name)


def explained(run_name: str):
    """What classifies a face as it is, not averaged over views: for maps and parts that must lie on the face."""
    return _explained(*model_key(run_name))


def probabilities(run_name: str, image: np.ndarray) -> np.ndarray:
    """Class probabilities float32 (K,) of one face, uint8 (H, W) or (H, W, 3)."""
    return _probabilities(*model_key(run_name), image)


def saliency(
    run_name: str, image: np.ndarray, class_index: int, method: str, layer: str | None, options: Mapping | None = None
) -> SaliencyMap:
    """Map of one face without test-time averaging, see :func:`fer_core.explain.saliency.explain`; N = 1.

    Raises:
        ModelError: the method needs a network and the model has none.
        ConfigError: an option that the method does not take, or out of range.
    """
    return _saliency(*model_key(run_name), image, (class_index, method, layer), dict(options or {}))


def cam_layers(run_name: str) -> tuple[list[LayerChoice], str]:
    """Layers to choose from, and the name of the default.

    Raises:
        ModelError: the model has no network, or its network no convolution.
    """
    model = _explained(*model_key(run_name))
    return explain_saliency.cam_layers(model), explain_saliency.default_layer(model).name


def shared_layers(run_name: str) -> tuple[list[LayerChoice], LayerChoice]:
    """Layers to choose from for all networks of an ensemble, and the default, see ``saliency.shared_layers``.

    Raises:
        ModelError: the model is no ensemble of networks.
    """
    ensemble = ensemble_of(_explained(*model_key(run_name)))
    if ensemble is None:
        raise ModelError(f"{run_name} is no ensemble.")
    return explain_saliency.shared_layers(ensemble)


def mask_effect(run_name: str, image: np.ndarray, mask: np.ndarray, fill: str, controls: int) -> MaskEffect:
    """Effect of a mask on one face beside ``controls`` random masks of the same area."""
    return _mask_effect(*model_key(run_name), image, mask, fill, controls)


def model_key(run_name: str) -> tuple[str, str, Stamp]:
    base = artifacts.root()
    return str(base), run_name, stamp(base / "runs" / run_name)


@st.cache_data(max_entries=256, show_spinner=False)
def _probabilities(base: str, run_name: str, stamp: Stamp, image: np.ndarray) -> np.ndarray:
    return answering(run_name).predict_proba(image[None])[0]


@st.cache_data(max_entries=128, show_spinner="Explaining ...")
def _saliency(
    base: str, run_name: str, stamp: Stamp, image: np.ndarray, asked: tuple[int, str, str | None], options: dict
) -> SaliencyMap:
    return explain_saliency.explain(_explained(base, run_name, stamp), image[None], *asked, **options)


@st.cache_resource(max_entries=6, show_spinner="Loading the network ...")  # two models, two more trainings of each
def _explained(base: str, run_name: str, stamp: Stamp):
    """The model on the face as it is: a map averaged over shifted and mirrored views would not lie on the face."""
    from fer_core.inference import Predictor

    return Predictor(load(artifacts.find_run(run_name, Path(base)), tta="none"))


@st.cache_data(max_entries=128, show_spinner="Masking ...")
def _mask_effect(
    base: str, run_name: str, stamp: Stamp, image: np.ndarray, mask: np.ndarray, fill: str, controls: int
) -> MaskEffect:
    return occlusion.mask_effect(answering(run_name), image, mask, fill, range(controls))


# Mask studies


def mask_studies() -> tuple[list[dict], list[str]]:
    """Records of the studies that speak of the runs as they are, and what is wrong with the others."""
    return _mask_studies(str(artifacts.root()), studies_stamp() + runs_stamp())


def reported_masks(class_names: tuple[str, ...], measure: str) -> pd.DataFrame:
    """What the paper prints about masks; empty where ``reported/`` is missing."""
    path = artifacts.root() / "reported" / "reported_metrics.csv"
    return _reported_masks(str(path), class_names, measure, stamp(path))


def studies_stamp() -> Stamp:
    """Every file of every stored study."""
    folder = studies_folder()
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return digest([(f"{path.name}/{name}", time, size) for path in paths for name, time, size in stamp(path)])


@st.cache_data(max_entries=4, show_spinner=False)
def _mask_studies(base: str, stamp: Stamp) -> tuple[list[dict], list[str]]:
    return mask_study.KIND.list_records(Path(base))


@st.cache_data(max_entries=8, show_spinner=False)
def _reported_masks(path: str, class_names: tuple[str, ...], measure: str, stamp: Stamp) -> pd.DataFrame:
    return numbers_of_masks.reported_rows(class_names, measure, Path(path))


# Papers


def papers() -> dict[str, reported.Paper]:
    """Every paper by its key.

    Raises:
        RunError: ``artifacts/reported`` is damaged.
    """
    return _papers(stamp(reading.folder()))


def paper_checks(paper: str) -> list[reported.Check]:
    """What can be checked about the printed numbers of a paper, see :func:`fer_core.reported.checks`."""
    return _paper_checks(paper, stamp(reading.folder()))


def paper_table(paper: str, split: str) -> pd.DataFrame:
    """``reported.comparison_table`` of a paper and every run."""
    return _paper_table(str(artifacts.root()), paper, split, runs_stamp() + stamp(reading.folder()))


@st.cache_data(max_entries=4, show_spinner=False)
def _papers(stamp: Stamp) -> dict[str, reported.Paper]:
    return reported.papers()


@st.cache_data(max_entries=8, show_spinner=False)
def _paper_checks(paper: str, stamp: Stamp) -> list[reported.Check]:
    return reported.checks(paper)


@st.cache_data(max_entries=16, show_spinner="Comparing ...")
def _paper_table(base: str, paper: str, split: str, stamp: Stamp) -> pd.DataFrame:
    return reported.comparison_table(paper, runs(), split)


# Sweeps


def sweep_names() -> tuple[list[str], list[str]]:
    """Exported sweeps, and those of this machine."""
    return sweep_export.exported(), sorted(path.parent.name for path in sweeps_dir().glob("*/sweep.json"))


def own_sweep(name: str) -> tuple[pd.DataFrame, dict]:
    """Trials and conditions of a sweep of this machine, see :func:`fer_core.training.sweep_export.current`."""
    folder = sweeps_dir() / name
    return _own_sweep(str(folder), name, stamp(folder / "journal.log", folder / "sweep.json"))


def sweep(name: str) -> tuple[pd.DataFrame, dict]:
    """Trials and conditions of an exported sweep, see :func:`fer_core.training.sweep_export.read_export`.

    Raises:
        RunError: a file is missing or damaged.
    """
    folder = artifacts.root() / "sweeps"
    return _sweep(str(folder), name, stamp(folder / f"{name}.csv", folder / f"{name}.json"))


@st.cache_data(max_entries=4, show_spinner=False)
def _own_sweep(folder: str, name: str, stamp: Stamp) -> tuple[pd.DataFrame, dict]:
    return sweep_export.current(name)


@st.cache_data(max_entries=8, show_spinner=False)
def _sweep(folder: str, name: str, stamp: Stamp) -> tuple[pd.DataFrame, dict]:
    return sweep_export.read_export(name)
