"""``python -m fer_core``: register data, train, evaluate, predict and look after runs."""

import os
import sys

import typer

from fer_core.commands import data, runs, study, sweep
from fer_core.commands.checks import checks
from fer_core.commands.ensemble import ensemble
from fer_core.commands.evaluate import evaluate
from fer_core.commands.masks import masks
from fer_core.commands.parts import parts
from fer_core.commands.predict import predict
from fer_core.commands.reproduce import reproduce
from fer_core.commands.saliency import saliency
from fer_core.commands.search import search
from fer_core.commands.train import train
from fer_core.errors import FerError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without a GPU TensorFlow says otherwise that CUDA failed

app = typer.Typer(
    help="FERscope: train, measure and explain facial-expression recognition models.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(data.app, name="data")
app.command()(train)
app.command()(reproduce)
app.command()(evaluate)
app.command()(ensemble)
app.command()(predict)
app.command()(search)
app.add_typer(runs.app, name="runs")
app.add_typer(sweep.app, name="sweep")
study.app.command()(masks)
study.app.command()(parts)
study.app.command()(saliency)
study.app.command()(checks)
app.add_typer(study.app, name="study")


def main() -> None:
    try:
        app(prog_name="python -m fer_core")
    except FerError as error:
        typer.secho(f"Error: {error.problem}", fg="red", err=True)
        if error.remedy:
            typer.echo(error.remedy, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
