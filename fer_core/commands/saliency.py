"""``python -m fer_core study saliency``: where runs look on every picture of a split."""

from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import artifacts, datasets
from fer_core.artifacts import Run
from fer_core.commands.study import evaluated_split
from fer_core.commands.tables import number, percent, print_table, with_interval
from fer_core.errors import ConfigError, FerError, RunError
from fer_core.explain import mask_study, saliency_numbers, saliency_study
from fer_core.explain.saliency_numbers import ALL_CLASSES, EVERY
from fer_core.pictures import is_network
from fer_core.storage import sha256

NETWORK_METHODS, OTHER_METHODS = ("grad_cam",), ("occlusion",)


def saliency(
    names: Annotated[list[str] | None, typer.Argument(help="Runs with weights; all of them by default.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Saliency method, may be repeated; grad_cam, or occlusion for models without a network."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    layer: Annotated[str | None, typer.Option(help="Layer of a CAM; the last one that is fine enough.")] = None,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="Explain only so many, spread over the split; for slow methods.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also where a study of these weights is stored.")] = False,
) -> None:
    """Mean maps per class, shares of facial regions and agreement with FACS, for every picture's true class.

    The same command after a kill goes on with the batch that was interrupted.
    """
    runs = [artifacts.find_run(name) for name in names] if names else _eligible(artifacts.list_runs()[0])
    if not runs:
        raise RunError("No run has weights here.", "Train one: python -m fer_core train compact")
    failed = []
    todo = [(run, one) for run in runs for one in method or (NETWORK_METHODS if is_network(run) else OTHER_METHODS)]
    for run, one in todo:
        name = saliency_study.study_name(run.name, split, one)
        if not again and name in {record["name"] for record in saliency_study.list_records()[0]}:
            typer.echo(f"{name} is stored and up to date; --again does it again.")
            continue
        try:
            _study(run, split, one, layer, pictures)
        except FerError as error:
            if len(todo) == 1:
                raise
            failed.append(name)
            typer.echo(f"{name} is left out: {error}", err=True)
    if failed:
        raise typer.Exit(1)


def _eligible(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.weights_path is not None and mask_study.trained_mask(run) is None]


def _study(run: Run, split_name: str, method: str, layer: str | None, pictures: int | None) -> None:
    from fer_core.explain.saliency import METHODS
    from fer_core.inference import Predictor
    from fer_core.models.features import landmark_points
    from fer_core.models.registry import load_classifier

    if method not in METHODS:
        raise ConfigError(f"Unknown method {method!r}.", f"Expected one of {', '.join(METHODS)}.")
    split = evaluated_split(run, split_name)
    classifier = Predictor(load_classifier(run, tta="none"))  # a mean over shifted views would not lie on the face
    positions = saliency_study.spread(len(split), pictures)
    settings = {"run": run.name, "weights": sha256(run.weights_path), "fingerprint": split.fingerprint}
    settings |= {"split": split_name, "method": method, "layer": layer, "n": len(positions)}
    work = mask_study.work_folder(datasets.data_dir() / "work" / "studies", settings | {"study": "saliency"})
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(run.name, total=None)

        def report(what: str):
            return lambda done, total: progress.update(
                task, description=f"{run.name}: {what}", completed=done, total=total
            )

        cache = datasets.data_dir() / "features" / "landmarks.npz"
        points, found = landmark_points(np.asarray(split.images[positions]), cache, report("finding landmarks"))
        arrays, about = saliency_study.explain_split(
            classifier, split, points, method, positions=positions, layer=layer, work=work, report=report(method)
        )
    about |= {"options": {}, "n_found": found.sum()}
    study = saliency_study.make_study(run, arrays, about, split, split_name, method)
    _print(study)
    typer.echo(f"Stored in {saliency_study.write_study(study)}")
    mask_study.clear_work(work)


def _print(study: saliency_study.SaliencyStudy) -> None:
    shares, scores = (rows(study, EVERY) for rows in (saliency_numbers.share_rows, saliency_numbers.score_rows))
    record = study.record
    where = f" at {record['layer']}" if record["layer"] else ""
    title = f"{record['run']}, {record['method']}{where}, {record['dataset']} {record['split']}, n = {record['n']}"
    table = Table(title=f"{title}: agreement with FACS", title_justify="left")
    for column in ("score", "value [95 %]", "even map"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for row in scores[scores["class"] == ALL_CLASSES].to_dict("records"):
        value = (
            number(None) if pd.isna(row["value"]) else with_interval(row["value"], (row["low"], row["high"]), percent)
        )
        table.add_row(row["score"], value, number(None) if pd.isna(row["even"]) else percent(row["even"]))
    print_table(table)
    for line in saliency_numbers.verdict(shares, scores):
        typer.echo(line)
