"""``python -m fer_core study``: what stored runs do on whole splits. What its commands share."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fer_core import artifacts, datasets, resumable
from fer_core.artifacts import Run
from fer_core.datasets.split import Split
from fer_core.errors import ConfigError, DatasetError, FerError, RunError
from fer_core.explain import studies
from fer_core.explain.conditions import Report
from fer_core.explain.mask_study import trained_mask
from fer_core.explain.options import words
from fer_core.explain.saliency import METHODS
from fer_core.explain.studies import Kind
from fer_core.predictions import Classifier
from fer_core.storage import sha256

app = typer.Typer(help="Studies on whole splits: masks, parts, saliency, checks of maps.", no_args_is_help=True)
RunNames = Annotated[list[str] | None, typer.Argument(help="Runs with weights; all of them by default.")]
SplitName = Annotated[str, typer.Option(help="train, val or test.")]
Fill = Annotated[str, typer.Option(help="What hidden pixels show: zero, mean, blur or noise.")]
Views = Annotated[
    str | None,
    typer.Option(help="Views averaged: none, flip, ten_view or run; the run's own by default, flip for ten_view."),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Only so many pictures, spread over the split; nothing is stored.")
]
Layer = Annotated[
    str | None,
    typer.Option(help="Layer of a CAM; the last one that is fine enough. A study of another one is made again."),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", help="Option of the method as name=value, may be repeated; a study with others is made again."
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Also where a study of these weights is stored.")]


def is_other(record: Mapping | None, layer: str | None, options: Mapping | None) -> bool:
    """Whether a stored study of maps, if any, is of another layer or other options than asked for (None: any)."""
    if record is None:
        return False
    by_layer = METHODS[record["method"]].takes_layer
    return (options is not None and record["options"] != options) or (
        layer is not None and by_layer and record["layer"] != layer
    )


def about_maps(record: Mapping) -> str:
    """How many pictures a study of maps is of, at which layer, with which options."""
    where = f", layer {record['layer']}" if record["layer"] else ""
    given = f", {words(record['options'])}" if record["options"] else ""
    return f" ({record['n']:,} of {record['n_split']:,} pictures{where}{given})"


class Task(NamedTuple):
    """One study to make.

    Attributes:
        label: who is left out where it fails.
        name: of the study.
        make: makes the study and stores it.
        again: also where a study of this name is stored.
    """

    label: str
    name: str
    make: Callable[[], None]
    again: bool = False


@app.callback()
def whole_splits() -> None:
    """Studies on whole splits."""


def chosen_runs(names: list[str] | None) -> list[Run]:
    """The runs called ``names``; by default all with weights, but for those trained with a mask.

    Raises:
        RunError: there is none.
    """
    if names:
        return [artifacts.find_run(name) for name in names]
    runs = [run for run in artifacts.list_runs()[0] if run.can_answer and trained_mask(run) is None]
    if not runs:
        raise RunError("No run has weights here.", "Train one: python -m fer_core train compact")
    return runs


def make_all(
    kind: Kind, tasks: Sequence[Task], *, again: bool, about: Callable[[dict], str] = lambda record: ""
) -> None:
    """Make one study after the other; one that fails does not stop the others.

    Args:
        again: also make all those that are stored and up to date.
        about: the record of a stored study -> what is said of it.

    Raises:
        FerError: of the only task.
        typer.Exit: some of several failed.
    """
    failed = False
    for task in tasks:
        stored = next((one for one in kind.list_records()[0] if one["name"] == task.name), None)
        if stored and not (again or task.again):
            typer.echo(f"{task.name} is stored and up to date{about(stored)}; --again does it again.")
            continue
        try:
            task.make()
        except FerError as error:
            if len(tasks) == 1:
                raise
            failed = True
            typer.echo(f"{task.label} is left out: {error}", err=True)
    if failed:
        raise typer.Exit(1)


def make_hidden(
    kind: Kind, names: list[str] | None, split: str, fill: str, make: Callable[[Run], None], *, again: bool
) -> None:
    """Make the studies of hidden parts of the runs called ``names``, see :func:`make_all`."""
    tasks = [Task(run.name, kind.study_name(run.name, split, fill), partial(make, run)) for run in chosen_runs(names)]
    make_all(kind, tasks, again=again, about=views_and_controls)


def asked(run: Run, split_name: str, tta: str | None, limit: int | None) -> tuple[Split, Classifier, str, np.ndarray]:
    """What is asked on which pictures: the split, a predictor of the run, the views it averages, and the positions."""
    from fer_core.inference import Predictor
    from fer_core.models.registry import load_classifier

    split = evaluated_split(run, split_name)
    classifier = load_classifier(run, tta=views(run, tta))
    members = getattr(classifier, "members", (classifier,))
    kinds = {getattr(one, "tta", "none") for one in members} - {"none"}  # models without a network have one view
    averaged = "+".join(sorted(kinds)) or "none"
    return split, Predictor(classifier), averaged, studies.spread(len(split), limit)


def loader() -> Callable[[Run], Classifier]:
    """What loads a run's predictor without views: a mean over shifted ones would not lie on the face.

    It keeps the last one, with all that is compiled for it, for the run's next method.
    """

    @lru_cache(maxsize=1)
    def load(path: Path) -> Classifier:
        from fer_core.inference import Predictor
        from fer_core.models.registry import load_classifier

        return Predictor(load_classifier(artifacts.read_run(path), tta="none"))

    return lambda run: load(run.path)


def views_and_controls(record: Mapping) -> str:
    """What a stored study of hidden parts was made with."""
    return f" (views {record['tta']}, {len(record['control_seeds'])} random masks)"


def views(run: Run, tta: str | None) -> str:
    """The run's own, so that it can be held against one that was trained with the mask; ten_view would take long."""
    tta_of_run = (run.run.get("config") or {}).get("tta", "none")
    own = "run" if run.members else tta_of_run  # each member's
    return {None: "flip" if "ten_view" in tta_of_run else own, "run": own}.get(tta, tta)


def evaluated_split(run: Run, name: str) -> Split:
    """The split of the run's dataset, with the classes and the face crops that the run was measured on.

    Raises:
        ConfigError: the run was trained with a mask.
        DatasetError: the dataset is not registered, or other pictures are registered under its name.
    """
    region = trained_mask(run)
    if region:
        raise ConfigError(
            f"{run.name} was trained with the {region} mask: its stored predictions are of masked pictures already.",
            "Study the run of the same network without a mask; the Masks page sets the two side by side.",
        )
    dataset = datasets.load(run.dataset)
    expected = run.run.get("dataset_fingerprint")
    if expected and dataset.fingerprint != expected:
        raise DatasetError(
            f"The registered {run.dataset} holds other pictures than {run.name} was measured on "
            f"({dataset.fingerprint}, not {expected}).",
            f"Register that release: python -m fer_core data add PATH --name {run.dataset}",
        )
    from fer_core.training.preparation import as_evaluated

    return as_evaluated(dataset, name, run.run.get("config") or {})


def work_of(run: Run, split: Split, settings: Mapping) -> Path:
    """The folder for the parts of an unfinished study of ``run``; ``settings`` are what its answers also depend on."""
    about = {"run": run.name, "weights": sha256(run.weights_path), "fingerprint": split.fingerprint}
    about |= {"ids": hashlib.sha256("\n".join(split.sample_ids.tolist()).encode()).hexdigest()}  # parts go by position
    return resumable.work_folder(datasets.data_dir() / "work" / "studies", {**about, **settings})


def landmarks_of(split: Split, positions: np.ndarray, report: Report) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (M, 5, 2) of the pictures at ``positions``, and whether they were found: bool (M,)."""
    from fer_core.models.features import landmark_points

    cache = datasets.data_dir() / "features" / "landmarks.npz"
    images = np.asarray(split.images[positions])
    return landmark_points(images, cache, lambda done, total: report("finding landmarks", done, total))


@contextmanager
def progress_of(run: Run) -> Iterator[Report]:
    """A bar of what is done for ``run``."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(run.name, total=None)

        def report(what: str, done: int, total: int) -> None:
            progress.update(task, description=f"{run.name}: {what}", completed=done, total=total)

        yield report


def keep(write: Callable[[], Path], work: Path | None) -> None:
    """Store a finished study with ``write`` and drop the parts in ``work``; without that, of a part of the split, not.

    Raises:
        RunError: the disk refuses.
    """
    if work is None:
        typer.echo("A part of the split: nothing is stored.")
        return
    typer.echo(f"Stored in {write()}")
    resumable.clear_work(work)
