"""``python -m fer_core study``: what stored runs do on whole splits when something about the pictures changes."""

from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import artifacts, datasets
from fer_core.artifacts import Run
from fer_core.commands.tables import number, percent, print_table, with_interval
from fer_core.datasets.split import Split
from fer_core.errors import ConfigError, DatasetError, FerError, RunError
from fer_core.explain import mask_numbers, mask_study
from fer_core.storage import sha256

app = typer.Typer(help="Studies on whole splits: masks, parts, saliency.", no_args_is_help=True)


@app.callback()
def studies() -> None:
    """Studies on whole splits."""


@app.command()
def masks(
    names: Annotated[list[str] | None, typer.Argument(help="Runs with weights; all of them by default.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    fill: Annotated[str, typer.Option(help="What hidden pixels show: zero, mean, blur or noise.")] = "zero",
    controls: Annotated[int, typer.Option(min=0, help="Random masks per picture and area.")] = 5,
    tta: Annotated[
        str | None,
        typer.Option(help="Views averaged: none, flip, ten_view or run; the run's own by default, flip for ten_view."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many pictures, spread over the split; nothing is stored.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also where a study of these weights is stored.")] = False,
) -> None:
    """Accuracy, recall and flips under forehead, eyes and mouth masks, beside random masks of the same area.

    The same command after a kill goes on with the condition that was interrupted.
    """
    runs = [artifacts.find_run(name) for name in names] if names else _eligible(artifacts.list_runs()[0])
    if not runs:
        raise RunError("No run has weights here.", "Train one: python -m fer_core train compact")
    failed = []
    for run in runs:
        stored = _stored(mask_study.study_name(run.name, split, fill)) if limit is None and not again else None
        if stored:
            made = f"views {stored['tta']}, {len(stored['control_seeds'])} random masks"
            typer.echo(f"{stored['name']} is stored and up to date ({made}); --again does it again.")
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
    """Runs with weights; those trained with a mask have their masked predictions already."""
    return [run for run in runs if run.weights_path is not None and mask_study.trained_mask(run) is None]


def _stored(name: str) -> dict | None:
    return next((record for record in mask_study.list_records()[0] if record["name"] == name), None)


def views(run: Run, tta: str | None) -> str:
    """The run's own, so that it can be held against one that was trained with the mask; ten_view would take long."""
    own = (run.run.get("config") or {}).get("tta", "none")
    return {None: "flip" if own == "ten_view" else own, "run": own}.get(tta, tta)


def _study(run: Run, split_name: str, fill: str, seeds: list[int], tta: str | None, limit: int | None) -> None:
    from fer_core.inference import Predictor
    from fer_core.models.registry import load_classifier

    split = evaluated_split(run, split_name)
    classifier = load_classifier(run, tta=views(run, tta))
    tta = getattr(classifier, "tta", "none")  # models without a network have one view
    positions = None if limit is None else np.unique(np.linspace(0, len(split) - 1, min(limit, len(split))).astype(int))
    settings = {"run": run.name, "weights": sha256(run.weights_path), "fingerprint": split.fingerprint}
    settings |= {"split": split_name, "fill": fill, "tta": tta}
    work = None if limit else mask_study.work_folder(datasets.data_dir() / "work" / "studies", settings)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(run.name, total=None)

        def report(what: str, done: int, total: int) -> None:
            progress.update(task, description=f"{run.name}: {what}", completed=done, total=total)

        predictions, seconds = mask_study.predict_conditions(
            Predictor(classifier), split, fill=fill, seeds=seeds, positions=positions, work=work, report=report
        )
    about = {"split": split, "split_name": split_name, "fill": fill, "tta": tta, "seeds": seeds, "seconds": seconds}
    study = mask_study.MaskStudy(mask_study.make_record(run, predictions, **about), predictions)
    _print(study)
    if work is None:
        typer.echo("A part of the split: nothing is stored.")
        return
    typer.echo(f"Stored in {mask_study.write_study(study)}")
    mask_study.clear_work(work)


def evaluated_split(run: Run, name: str) -> Split:
    """The split of the run's dataset, with the classes and the face crops that the run was measured on.

    Raises:
        ConfigError: the run was trained with a mask.
        DatasetError: the dataset is not registered, or other pictures are registered under its name.
    """
    region = mask_study.trained_mask(run)
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


def _print(study: mask_study.MaskStudy) -> None:
    found = mask_numbers.numbers(study)
    about = f"{study.run} on {study.record['dataset']} {study.record['split']}, n = {study.record['n']}"
    table = Table(title=f"{about}, fill {study.record['fill']}, views {study.record['tta']}", title_justify="left")
    for column in ("mask", "accuracy [95 %]", "drop", "McNemar p", "random mask", "drop beyond random", "flips"):
        table.add_column(column, justify="left" if column == "mask" else "right")
    for row in found.accuracy.to_dict("records"):
        cells = [_interval(row, name) for name in ("accuracy", "drop")]
        cells.append("-" if pd.isna(row["mcnemar_p"]) else f"{row['mcnemar_p']:.2g}")
        cells += [_interval(row, name) for name in ("control", "beyond", "flip_rate")]
        table.add_row(row["mask"], *cells)
    print_table(table)
    for line in mask_numbers.verdict(found):
        typer.echo(line)


def _interval(row: dict, name: str) -> str:
    if pd.isna(row[name]):
        return number(None)
    return with_interval(row[name], (row[f"{name}_low"], row[f"{name}_high"]), percent)
