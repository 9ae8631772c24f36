"""``python -m fer_core search``: settings of an SVM, judged by cross-validation on the training split."""

import hashlib
import sys
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import Annotated

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import datasets, jobs, resumable
from fer_core.commands.tables import number, percent, print_table
from fer_core.commands.train import parse_settings
from fer_core.datasets.subjects import known_subjects
from fer_core.errors import ConfigError
from fer_core.models.specs import spec
from fer_core.training import searches

SHOWN = 10


def search(
    model: Annotated[str, typer.Argument(help="An SVM.")],
    dataset: Annotated[str, typer.Argument(help="A registered dataset; only its training split is used.")] = "fer2013",
    grid: Annotated[bool, typer.Option("--grid", help="Try every setting of the kernel's grid (the default).")] = False,
    random: Annotated[int | None, typer.Option("--random", help="Try this many settings drawn at random.")] = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 3,
    limit: Annotated[int | None, typer.Option(help="Use this many training pictures, with the split's shares.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the pictures, the folds and the settings drawn.")] = 0,
    argument: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another kernel, scaling or features as NAME=JSON, e.g. --set kernel=poly."),
    ] = None,
) -> None:
    """Search C, gamma and degree of a support vector machine; the table is stored as CSV, its conditions beside it.

    The same command after a kill goes on with the settings that are not tried yet.
    """
    entry = spec(model)
    if entry["builder"] != "svm":
        raise ConfigError(f"{model} is no support vector machine.", "Choose one of the svm_ models of `train`.")
    changed = parse_settings(argument or [])
    arguments = entry["arguments"] | changed
    if grid and random is not None:
        raise ConfigError("--grid and --random were both given.", "Give one of them.")
    import sklearn

    from fer_core.models.estimators import features
    from fer_core.models.svm import GRID
    from fer_core.models.svm import search as search_settings
    from fer_core.models.svm import settings as checked

    checked(arguments)
    data = datasets.load(dataset)
    train = data["train"]
    train = train.take(stratified(train.y_true, limit, seed)) if limit is not None else train
    subjects = known_subjects(train.sample_ids)
    with _bars() if sys.stdout.isatty() else _lines(model, folds) as (on_pictures, on_fits):
        on_pictures(0, len(train))
        cache = datasets.data_dir() / "features"
        values = features(model, np.asarray(train.images), arguments, cache, on_pictures)
        on_pictures(len(train), len(train))
        asked = {"arguments": arguments, "draws": random, "folds": folds, "seed": seed}
        digest = hashlib.sha256(np.ascontiguousarray(values)).hexdigest()
        about = asked | {"dataset": data.fingerprint, "features": digest, "grid": GRID}
        about |= {"scikit-learn": sklearn.__version__}
        work = resumable.work_folder(datasets.data_dir() / "work" / "searches", about)
        frame = search_settings(
            **asked, values=values, y_true=train.y_true, subjects=subjects, work=work, on_progress=on_fits
        )
    conditions = {
        "model": model,
        "dataset": dataset,
        "dataset_fingerprint": data.fingerprint,
        "split": "train",
        "n": len(train),
        "features": values.shape[1],
        "method": "grid" if random is None else "random",
        "settings": len(frame),
        "folds": folds,
        "folds_by": "picture" if subjects is None else "subject",
        "seed": seed,
        "arguments": arguments,
        "date": date.today().isoformat(),
    }
    path = searches.write(frame, conditions)
    resumable.clear_work(work)
    print_table(best_table(frame, f"{model} on {dataset}: n = {len(train)}, {folds} folds"))
    typer.echo(f"Stored in {path}. To train the best of them:")
    best = searches.best_arguments(frame, conditions)
    typer.echo(jobs.command_text(jobs.train_arguments(model, dataset, {"arguments": best})))


@contextmanager
def _bars():
    """A bar for the pictures and one for the fits: what is called with how many are done of how many."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        tasks = {name: progress.add_task(name, total=None, visible=name == "features") for name in ("features", "fits")}

        def tell(name: str, done: int, total: int) -> None:
            progress.update(tasks[name], completed=done, total=total, visible=True)

        yield partial(tell, "features"), partial(tell, "fits")


@contextmanager
def _lines(model: str, folds: int):
    """The same for logs: a line per settings tried."""

    def on_pictures(done: int, total: int) -> None:
        if not done:
            typer.echo(f"{model}: features of {total} pictures")

    def on_fits(done: int, total: int) -> None:
        if done % folds == 0:
            typer.echo(f"{model}: {done // folds} of {total // folds} settings tried, {done} of {total} fits")

    yield on_pictures, on_fits


def stratified(y_true: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Positions of ``limit`` samples, sorted, each class with its share of them.

    Raises:
        ConfigError: ``limit`` leaves a class, or the rest, without a sample.
    """
    from sklearn.model_selection import train_test_split

    if limit >= len(y_true):
        return np.arange(len(y_true))
    try:
        kept = train_test_split(np.arange(len(y_true)), train_size=limit, stratify=y_true, random_state=seed)[0]
    except ValueError as error:
        raise ConfigError(f"--limit {limit} is too small: {error}", "Use more pictures.") from error
    return np.sort(kept)


def best_table(frame, title: str) -> Table:
    """The best settings of a search, best first."""
    table = Table(title=title, title_justify="left")
    varied = searches.varied(frame)
    for name in (*varied, "accuracy", "std over folds", "seconds per fit"):
        table.add_column(name, justify="right")
    for row in frame.head(SHOWN).to_dict("records"):
        scores = percent(row["accuracy"]), percent(row["accuracy_std"]), number(row["fit_time_s"], 1)
        table.add_row(*(f"{row[name]:.4g}" for name in varied), *scores)
    return table
