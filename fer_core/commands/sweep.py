"""``python -m fer_core sweep``: vary training settings, by several processes at once if you like."""

import math
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.core import TyperGroup

from fer_core import datasets
from fer_core.commands.tables import number, percent, print_table
from fer_core.commands.train import parse_settings
from fer_core.training import sweep_export, sweep_trials, sweeps

FAIL = "fail"  # state of a trial


class _RunByDefault(TyperGroup):
    """``sweep compact fer2013`` is ``sweep run compact fer2013``."""

    def resolve_command(self, ctx, args):
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_RunByDefault, help="Vary training settings: run, list and export sweeps.", no_args_is_help=True)


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="Network to train.")],
    dataset: Annotated[str, typer.Argument(help="A registered dataset.")] = "fer2013",
    space: Annotated[
        list[str] | None,
        typer.Option(help="A setting and what it is drawn from: NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=A,B,C."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials in all, whoever trains them; 20 by default, of a grid all.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes of each trial, in place of the recipe's.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="A setting of all trials as NAME=JSON.")] = None,
    sampler: Annotated[str, typer.Option(help="grid, tpe or random.")] = "tpe",
    prune: Annotated[bool, typer.Option("--prune", help="End trials below the median of the others early.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the sweep, DATASET-MODEL by default.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
) -> None:
    """Sweep settings of a model, judged by accuracy on val; test is never looked at.

    The same command goes on with an interrupted sweep and tries failed trials again; run by several processes at the
    same time, they share the trials. A setting called model chooses among networks. The exit status is 1 where trials
    failed and none has finished.
    """
    data = datasets.load(dataset)
    changes = parse_settings(setting or []) | ({"epochs": epochs} if epochs is not None else {})
    drawn_from = sweeps.parse_space(space or [])
    if sampler == "grid":
        whole = len(sweeps.grid(drawn_from))
        trials = whole if trials is None else min(trials, whole)
    trials = 20 if trials is None else trials
    sweep = sweeps.Sweep(
        name=name or f"{dataset}-{model}",
        model=model,
        dataset=dataset,
        fingerprint=data.fingerprint,
        space=drawn_from,
        trials=trials,
        sampler=sampler,
        settings=changes,
        prune=prune,
        seed=seed,
    )
    sweeps.open_sweep(sweep)
    with _bars(sweep.name) as (on_start, on_progress, on_end):
        ended = sweep_trials.work(sweep.name, data, on_start, on_progress, on_end)
    states = sweep_trials.trials_frame(sweep.name)["state"].value_counts()
    failed = [trial for trial in ended if trial.state == FAIL]
    typer.echo(f"{len(ended) - len(failed)} trials finished here. All: {_counted(states)}.")
    _advise(sweep.name, states, failed)
    if (failed and len(failed) == len(ended)) or set(states.index) == {FAIL}:
        raise typer.Exit(1)


def _advise(name: str, states: Mapping[str, int], failed: Sequence[sweep_trials.Trial]) -> None:
    """What to do next."""
    if failed:
        typer.echo(f"Trial {failed[0].number} failed: {failed[0].result['error']}", err=True)
    if FAIL in states:
        typer.echo("The same command tries failed trials again, but those whose loss became no number.", err=True)
    if "complete" in states:
        typer.echo(f"For the Training page: python -m fer_core sweep export {name}")


def _counted(states: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in states.items())


@app.command("list")
def list_sweeps(name: Annotated[str | None, typer.Argument(help="Show the trials of this sweep.")] = None) -> None:
    """Sweeps on this machine, or the trials of one, the best first."""
    if name is not None:
        print_table(_trials_table(name))
        return
    found = sorted(path.parent.name for path in sweeps.sweeps_dir().glob("*/sweep.json"))
    for sweep in map(sweeps.read, found):
        done = sweep_trials.trials_frame(sweep.name)["state"].isin(sweep_export.FINISHED).sum()
        typer.echo(
            f"{sweep.name}: {sweep.model} on {sweep.dataset}, {', '.join(sweep.space)}, {done} of {sweep.trials}"
        )
    if not found:
        typer.echo("No sweep yet: python -m fer_core sweep run --help")


@app.command()
def export(name: Annotated[str, typer.Argument(help="Name of the sweep.")]) -> None:
    """Write a sweep's trials and conditions to the artifacts, where the Training page finds them."""
    for path in sweep_export.export(name):
        typer.echo(f"Written: {path}")


def _trials_table(name: str) -> Table:
    frame = sweep_trials.trials_frame(name).sort_values("val_accuracy", ascending=False)
    space = sweeps.read(name).space
    table = Table(title=name, title_justify="left")
    for column in ("trial", "state", *space, "train", "val", "discrepancy", "seconds"):
        table.add_column(column, justify="right")
    for row in frame.to_dict("records"):
        values = [_text(row[key]) for key in space]
        shares = [percent(_float(row[key])) for key in ("train_accuracy", "val_accuracy")]
        rest = [number(_float(row["discrepancy"])), number(_float(row["seconds"]), 1)]
        table.add_row(str(row["trial"]), row["state"], *values, *shares, *rest)
    return table


@contextmanager
def _bars(name: str):
    """A bar for the trial at work, a line for each that has ended."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task, trial_label = progress.add_task(name, total=None), name

        def start(trial: int, params: dict) -> None:
            nonlocal trial_label
            trial_label = f"{name}, trial {trial}"
            shown = ", ".join(f"{key} {_text(value)}" for key, value in params.items())
            progress.console.print(f"trial {trial}: {shown}")
            progress.reset(task, description=trial_label, total=None)

        def step(state) -> None:
            if state.what:
                label, done, total = f"{trial_label}: {state.what}", state.step, state.steps
            else:
                label, done = trial_label, (state.epoch - 1) * state.steps + state.step
                total = state.epochs * state.steps
            progress.update(task, description=label, completed=done, total=total)

        def end(trial: sweep_trials.Trial) -> None:
            result = trial.result
            said = result.get("error") or ""
            if trial.state == "complete":
                said = f"val {percent(result['val_accuracy'])}, train {percent(result['train_accuracy'])}"
            progress.console.print(f"trial {trial.number}: {trial.state} {said}".rstrip())

        yield start, step, end


def _float(value) -> float | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else float(value)


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
