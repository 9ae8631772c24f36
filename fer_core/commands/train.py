"""``python -m fer_core train``: train a model, evaluate it and store the run; goes on where it was stopped."""

import json
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import artifacts, datasets
from fer_core.commands.tables import metrics_table, print_table
from fer_core.errors import ConfigError
from fer_core.models.specs import MODELS


def train(
    model: Annotated[str | None, typer.Argument(help="Model to train; without it, the models are listed.")] = None,
    dataset: Annotated[str, typer.Argument(help="A registered dataset.")] = "fer2013",
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting as NAME=JSON, e.g. --set mixup=0.2.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an unfinished training of this model first.")] = False,
    weights: Annotated[bool, typer.Option(help="Put the weights into the run directory.")] = True,
) -> None:
    """Train a model by its recipe, evaluate it on val and test, and store the run.

    The same command after a kill goes on with the epoch that was interrupted.
    """
    if model is None:
        print_table(models_table())
        return
    from fer_core.training import run as training

    changes = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    config = training.recipe(model, changes | parse_settings(setting or []))
    data = datasets.load(dataset)
    with _bars(model) as on_progress:
        path = training.train(
            model,
            data,
            config=config,
            work_root=datasets.data_dir() / "work",
            fresh=fresh,
            ship_weights=weights,
            on_progress=on_progress,
        )
    run = artifacts.read_run(path)
    for table in metrics_table(run.metrics("test"), f"{run.name} on test"):
        print_table(table)
    typer.echo(f"Stored in {path}")


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
    for column in ("name", "what it is", "epochs", "input"):
        table.add_column(column)
    for name, entry in MODELS.items():
        size = entry["input_size"]
        table.add_row(name, entry["title"], str(entry["recipe"].get("epochs", "-")), f"{size} x {size}")
    return table


@contextmanager
def _bars(model: str):
    """Two bars, epochs with the time left and steps of this epoch, as the callback of ``training.train``."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        whole = progress.add_task(f"{model}: preparing", total=None)
        epoch = progress.add_task("epoch", total=None, visible=False)

        def report(state) -> None:
            val = state.logs.get("val_accuracy")
            shown = model if val is None else f"{model}: val {100 * val:.1f} %"
            done = (state.epoch - 1) * state.steps + state.step
            progress.update(whole, description=shown, completed=done, total=state.epochs * state.steps)
            label = f"epoch {state.epoch}/{state.epochs}"
            progress.update(epoch, description=label, completed=state.step, total=state.steps, visible=True)

        yield report
