"""``python -m fer_core study parts``: what stored runs do when a part of every face is hidden, by its landmarks."""

from typing import Annotated

import numpy as np
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import artifacts, datasets
from fer_core.artifacts import Run
from fer_core.commands.study import evaluated_split, views
from fer_core.commands.tables import percent, print_table, with_interval
from fer_core.errors import FerError, RunError
from fer_core.explain import mask_study, part_numbers, part_study
from fer_core.explain.part_numbers import ALL, MEASURES
from fer_core.storage import sha256


def parts(
    names: Annotated[list[str] | None, typer.Argument(help="Runs with weights; all of them by default.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    fill: Annotated[str, typer.Option(help="What hidden pixels show: zero, mean, blur or noise.")] = "zero",
    controls: Annotated[int, typer.Option(min=0, help="Random masks per picture and shape.")] = 1,
    tta: Annotated[
        str | None,
        typer.Option(help="Views averaged: none, flip, ten_view or run; the run's own by default, flip for ten_view."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many pictures, spread over the split; nothing is stored.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also where a study of these weights is stored.")] = False,
) -> None:
    """Recall, flips, probabilities and calibration with eyes, mouth, sunglasses and others hidden, by landmarks.

    The same command after a kill goes on with the condition that was interrupted.
    """
    runs = [artifacts.find_run(name) for name in names] if names else _eligible(artifacts.list_runs()[0])
    if not runs:
        raise RunError("No run has weights here.", "Train one: python -m fer_core train compact")
    failed, stored = [], {record["name"] for record in part_study.list_records()[0]}
    for run in runs:
        name = part_study.study_name(run.name, split, fill)
        if name in stored and limit is None and not again:
            typer.echo(f"{name} is stored and up to date; --again does it again.")
            continue
        try:
            _study(run, split, fill, list(range(controls)), tta, limit)
        except FerError as error:
            if len(runs) == 1:
                raise
            failed.append(run.name)
            typer.echo(f"{run.name} is left out: {error}", err=True)
    if failed:
        raise typer.Exit(1)


def _eligible(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.weights_path is not None and mask_study.trained_mask(run) is None]


def _study(run: Run, split_name: str, fill: str, seeds: list[int], tta: str | None, limit: int | None) -> None:
    from fer_core.inference import Predictor
    from fer_core.models.features import landmark_points
    from fer_core.models.registry import load_classifier

    split = evaluated_split(run, split_name)
    classifier = load_classifier(run, tta=views(run, tta))
    tta = getattr(classifier, "tta", "none")  # models without a network have one view
    n = len(split) if limit is None else min(limit, len(split))
    positions = np.unique(np.linspace(0, len(split) - 1, n).astype(int))
    settings = {"run": run.name, "weights": sha256(run.weights_path), "fingerprint": split.fingerprint}
    settings |= {"split": split_name, "fill": fill, "tta": tta, "study": "parts"}
    work = None if limit else mask_study.work_folder(datasets.data_dir() / "work" / "studies", settings)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(run.name, total=None)

        def report(what: str, done: int, total: int) -> None:
            progress.update(task, description=f"{run.name}: {what}", completed=done, total=total)

        cache = datasets.data_dir() / "features" / "landmarks.npz"
        points, found = landmark_points(
            np.asarray(split.images[positions]), cache, lambda done, total: report("finding landmarks", done, total)
        )
        predictions, areas, seconds = part_study.predict_conditions(
            Predictor(classifier), split, points, fill=fill, seeds=seeds, positions=positions, work=work, report=report
        )
    about = {"split": split, "split_name": split_name, "fill": fill, "tta": tta, "seeds": seeds, "seconds": seconds}
    study = part_study.make_study(run, predictions, areas, found, **about)
    _print(study)
    if work is None:
        typer.echo("A part of the split: nothing is stored.")
        return
    typer.echo(f"Stored in {part_study.write_study(study)}")
    mask_study.clear_work(work)


def _print(study: part_study.PartStudy) -> None:
    found, record = part_numbers.table(study), study.record
    about = f"{record['run']} on {record['dataset']} {record['split']}, n = {record['n']}"
    seen = f"landmarks found in {record['n_found']}"
    title = f"{about}, {seen}, fill {record['fill']}, views {record['tta']}"
    shown = ("recall", "drop", "beyond", "flip_rate", "p_shift", "ece")
    table = Table(title=title, title_justify="left")
    table.add_column("shape")
    for column in shown:
        table.add_column("accuracy [95 %]" if column == "recall" else MEASURES[column], justify="right")
    for row in found[found["class"] == ALL].to_dict("records"):
        cells = [with_interval(row[name], (row[f"{name}_low"], row[f"{name}_high"]), percent) for name in shown]
        table.add_row(row["shape"], *cells)
    print_table(table)
    for line in part_numbers.verdict(found):
        typer.echo(line)
