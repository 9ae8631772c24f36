"""``python -m fer_core predict``: expressions of the faces in picture files."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import artifacts, pictures
from fer_core.commands.output import check_writable, write
from fer_core.commands.tables import percent, print_table
from fer_core.errors import ConfigError, FerError
from fer_core.pictures import PictureResult
from fer_core.wording import printable


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(help="Name of a run with weights, or its beginning. [default: the best on val, no ensemble]"),
    ] = None,
    format: Annotated[
        Format | None, typer.Option(help="What to write. [default: by the output's ending, else a table]")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File to write to instead of the terminal.")] = None,
) -> None:
    """Find the faces in pictures and give the probability of each expression.

    A picture that cannot be read is named on the error stream and the others go on; the exit code is then 1.
    """
    chosen = _format(format, output)
    check_writable(output)
    run = artifacts.find_run(model) if model else pictures.default_run(artifacts.list_runs()[0])
    results = _classify(paths, run)
    _write(results, run.name, chosen, output)
    failed = [result for result in results if result.error is not None]
    if failed:
        typer.echo(f"{len(failed)} of {len(results)} could not be read.", err=True)
        raise typer.Exit(1)


def _classify(paths: list[Path], run: artifacts.Run) -> list[PictureResult]:
    files, problems = pictures.expand(paths)
    results = []
    with _progress() as progress:
        task = progress.add_task("Starting TensorFlow", total=len(files))
        classifier = _predictor(run)
        for file in files:
            name = printable(file)
            progress.update(task, description=escape(name[-30:]))
            try:
                results.append(pictures.classify(pictures.read(file, name=name), classifier))
            except FerError as error:
                results.append(pictures.failure(name, error, classifier.class_names))
            progress.advance(task)
    results += [pictures.failure(printable(path), error, run.class_names) for path, error in problems]
    for result in results:
        if result.error is not None:
            typer.echo(f"error: {result.error}", err=True)
    return results


def _predictor(run: artifacts.Run):
    from fer_core.inference import Predictor  # TensorFlow
    from fer_core.models.registry import load_classifier

    return Predictor(load_classifier(run))


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _format(format: Format | None, output: Path | None) -> Format:
    if format is not None:
        return format
    suffix = output.suffix.lower().lstrip(".") if output else "table"
    if suffix not in list(Format):
        raise ConfigError(f"{output} does not say what to write.", "End its name in .csv or .json, or give --format.")
    return Format(suffix)


def _write(results: list[PictureResult], run_name: str, format: Format, output: Path | None) -> None:
    if format == Format.table and output is None:
        print_table(_table(results, run_name))
        return
    text = _text(results, run_name, format)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write(output, text)
        typer.echo(f"Written to {output}", err=True)


def _text(results: list[PictureResult], run_name: str, format: Format) -> str:
    if format == Format.csv:
        return pictures.to_frame(results).to_csv(index=False)
    if format == Format.json:
        return json.dumps(pictures.to_records(results, run_name), indent=1, ensure_ascii=False) + "\n"
    console = Console(width=200)
    with console.capture() as capture:
        console.print(_table(results, run_name))
    return capture.get()


def _table(results: list[PictureResult], run_name: str) -> Table:
    table = Table(title=run_name, title_justify="left")
    for column in ("file", "face", "expression", "next", "box (left, top, width, height)", "note"):
        table.add_column(column, overflow="fold")
    for result in results:
        for crop, probabilities in zip(result.crops, result.probabilities, strict=True):
            order = (-probabilities).argsort()
            best, after = (f"{result.class_names[k]} {percent(float(probabilities[k]))}" for k in order[:2])
            box = ", ".join(map(str, crop.face.box)) if crop.face else "-"
            table.add_row(escape(result.name), str(crop.number), best, after, box, escape(crop.note))
    return table
