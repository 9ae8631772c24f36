"""``python -m fer_core train``: train a model, evaluate it and store the run; goes on where it was stopped."""

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import artifacts, datasets, jobs
from fer_core.commands.tables import metrics_table, print_table
from fer_core.errors import ConfigError
from fer_core.models.specs import MODELS
from fer_core.reporting import Reporter, doing_text

LOGGED = ("loss", "accuracy", "val_loss", "val_accuracy")


def train(
    model: Annotated[str | None, typer.Argument(help="Model to train; without it, the models are listed.")] = None,
    dataset: Annotated[str, typer.Argument(help="A registered dataset.")] = "fer2013",
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting as NAME=JSON, e.g. --set mixup=0.2 or augmentation=none."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an unfinished training of this model first.")] = False,
    weights: Annotated[bool, typer.Option(help="Put the weights into the run directory.")] = True,
) -> None:
    """Train a model by its recipe, evaluate it on val and test, and store the run.

    The same command after a kill goes on with the epoch that was interrupted; on an accelerator, which writes its state
    every 20 seconds at most, those of the last seconds may be trained again.
    """
    if model is None:
        print_table(models_table())
        return
    folder = os.environ.get(jobs.FOLDER_VARIABLE)
    if folder:
        jobs.wait_for_turn(Path(folder))
    from fer_core.training import run as training

    options = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    changes = {name: value for name, value in options.items() if value is not None} | parse_settings(setting or [])
    config = training.recipe(model, {"seed": seed} | changes)
    if idle := training.without_effect(model, changes):
        typer.echo(f"{model} is fitted in one piece: {', '.join(idle)} changes nothing.", err=True)
    data = datasets.load(dataset)
    if folder and (stored := _stored_meanwhile(Path(folder), model, data.fingerprint, {"seed": seed} | changes)):
        typer.echo(f"{stored} has been stored in the meantime.")
        jobs.finish(Path(folder), stored)
        return
    with _bars(model) if sys.stdout.isatty() else _lines(model) as shown, _report(folder, model, config) as written:
        path = training.train(
            model,
            data,
            config=config,
            work_root=datasets.data_dir() / "work",
            fresh=fresh,
            ship_weights=weights,
            on_progress=lambda progress: (shown(progress), written(progress)),
        )
    run = artifacts.read_run(path)
    for table in metrics_table(run.metrics("test"), f"{run.name} on test"):
        print_table(table)
    typer.echo(f"Stored in {path}")
    if folder:
        jobs.finish(Path(folder), run.name)


def _stored_meanwhile(folder: Path, model: str, fingerprint: str, changes: dict) -> str | None:
    """The run that makes this job needless, if it is one that may be."""
    from fer_core.commands.stored import finished_run

    run = finished_run(model, fingerprint, changes) if jobs.read(folder.name).unless_stored else None
    return run and run.name


def parse_settings(pairs: list[str]) -> dict:
    """``["mixup=0.2", "schedule=linear"]`` as a dict; values are JSON, or plain words.

    Raises:
        ConfigError: a pair has no ``=``.
    """
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"Expected NAME=VALUE. Received {pair!r}.", "For example --set label_smoothing=0.1")
        try:
            settings[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            settings[name.strip()] = value
    return settings


def models_table() -> Table:
    """Every model that can be trained."""
    table = Table(title="Models", title_justify="left")
    for column in ("name", "what it is", "paper", "epochs", "input", "weights"):
        table.add_column(column)
    for name, entry in MODELS.items():
        size, recipe = entry["input_size"], entry["recipe"]
        start = recipe.get("initial_weights", "random") if entry["family"] == "network" else "-"
        paper, epochs = entry.get("paper", "-"), str(recipe.get("epochs", "-"))
        table.add_row(name, entry["title"], paper, epochs, f"{size} x {size}", start)
    return table


@contextmanager
def _bars(model: str):
    """Two bars, epochs with the time left and steps of this epoch, as the callback of ``training.train``."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        whole = progress.add_task(f"{model}: preparing", total=None)
        epoch = progress.add_task("epoch", total=None, visible=False)

        def report(state) -> None:
            if state.what:
                label = f"{model}: {doing_text(state.what, state.stage, state.stages)}"
                progress.update(whole, description=label, completed=state.step, total=state.steps or None)
                progress.update(epoch, visible=False)
                return
            val = state.logs.get("val_accuracy")
            shown = model if val is None else f"{model}: val {100 * val:.1f} %"
            done = (state.epoch - 1) * state.steps + state.step
            progress.update(whole, description=shown, completed=done, total=state.epochs * state.steps)
            label = f"epoch {state.epoch}/{state.epochs}"
            progress.update(epoch, description=label, completed=state.step, total=state.steps, visible=True)

        yield report


@contextmanager
def _lines(model: str):
    """A line per epoch, and per thing that is done before or after them, for logs."""
    said = ""

    def report(state) -> None:
        nonlocal said
        if state.what:
            if state.what != said:
                typer.echo(f"{model}: {doing_text(state.what, state.stage, state.stages)}")
            said = state.what
        elif state.logs.get("epoch") == state.epoch:  # the row of this very epoch: it is over
            parts = [f"{name} {state.logs[name]:.4f}" for name in LOGGED if name in state.logs]
            parts += [f"{state.logs['seconds']:.1f} s"] if "seconds" in state.logs else []
            typer.echo(f"{model}: epoch {state.epoch}/{state.epochs}: {', '.join(parts)}")

    yield report


@contextmanager
def _report(folder: str | None, model: str, config):
    """Progress for who watches this training as a job; nothing where it is none."""
    if not folder:
        yield lambda state: None
        return
    side = getattr(config, "input_size", 0) or MODELS[model]["input_size"]
    costs = [config.size_at(epoch, side) ** 2 for epoch in range(config.epochs)]
    reporter = Reporter(Path(folder), costs, may_end_early=config.patience > 0)
    reporter.begin()
    yield reporter
    reporter.close()
