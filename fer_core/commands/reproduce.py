"""``python -m fer_core reproduce``: train every system of a paper that has no run yet, the cheapest first."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from fer_core import datasets, job_log, jobs
from fer_core.artifacts import Run
from fer_core.commands.pace import Expected, Pace, cost, expected_time, head_alone, seconds_here
from fer_core.commands.stored import finished_run, newest, runs_on, with_settings
from fer_core.commands.tables import print_table
from fer_core.commands.train import parse_settings
from fer_core.errors import ConfigError, FerError
from fer_core.models.specs import MODELS, spec
from fer_core.reporting import doing_text, duration_text, left_text
from fer_core.training import recipes, unfinished
from fer_core.training.config import TrainConfig, config_of_entry

ALL = "all"
POLL_S = 0.5


@dataclass(frozen=True)
class Planned:
    """A system and what is to be done for it.

    Attributes:
        state: in words.
        run: its run, if it has one.
        left: share of its training that is to be done.
    """

    model: str
    state: str
    run: Run | None = None
    left: float = 0.0


def reproduce(
    paper: Annotated[str, typer.Argument(help="kumar_ukken, feeling_it, ugwu_rafdb, patil_thesis, or all.")],
    dataset: Annotated[str, typer.Option(help="A registered dataset.")] = "fer2013",
    only: Annotated[list[str] | None, typer.Option(help="Only this system; may be given several times.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes of every system, in place of its recipe's.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of every system as NAME=JSON, see train.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the systems and what is done.")] = False,
) -> None:
    """Train all systems of a paper, skipping those that have a run with the same settings on the same pictures.

    Each system is a job of its own, see the Training page. Killed and started again, this joins the training that
    still runs, or goes on where it ended. A system that fails does not keep the others from being trained.
    """
    changes = parse_settings(setting or []) | ({"epochs": epochs} if epochs is not None else {})
    models = sorted(systems(paper, only or []), key=lambda model: cost(model, changes))
    fingerprint = datasets.load(dataset).fingerprint
    on_these = runs_on(fingerprint)
    plan = [_planned(model, dataset, changes, on_these) for model in models]
    waiting = [each.model for each in plan if not each.run]
    expected = expected_time(waiting, changes, on_these)
    print_table(_table(plan, expected, dataset, changes))
    typer.echo(_time_in_all(plan, expected, changes))
    if dry_run:
        return
    failures = _train_all(waiting, dataset, changes, expected, fingerprint)
    for model, reason in failures.items():
        typer.secho(f"{model}: {reason}", fg="red", err=True)
    typer.echo(f"{len(models) - len(failures)} of {len(models)} systems have a run on {dataset}.")
    if failures:
        typer.echo(f"Missing: {', '.join(failures)}. The same command tries them again.", err=True)
        raise typer.Exit(1)


def systems(paper: str, only: Sequence[str] = ()) -> list[str]:
    """Models that reproduce a row of ``paper``, in the order of ``MODELS``.

    Raises:
        ConfigError: no such paper, or ``only`` names something else.
    """
    papers = sorted({entry["paper"] for entry in MODELS.values() if entry.get("paper")})
    if paper not in (*papers, ALL):
        raise ConfigError(f"There is no paper {paper!r}.", f"Choose one of {', '.join([*papers, ALL])}.")
    found = [name for name, entry in MODELS.items() if entry.get("paper") and paper in (ALL, entry["paper"])]
    unknown = sorted(set(only) - set(found))
    if unknown:
        raise ConfigError(f"{paper} has no system {', '.join(unknown)}.", f"Choose from {', '.join(found)}.")
    return [name for name in found if not only or name in only]


def _config(model: str, changes: dict) -> TrainConfig:
    return config_of_entry(spec(model), changes)


def _planned(model: str, dataset: str, changes: dict, runs: Iterable[Run]) -> Planned:
    """What is to be done for ``model``, given the ``runs`` on the dataset's pictures."""
    config, own = _config(model, changes), newest(model, runs)
    run = with_settings(own, config)
    if run:
        return Planned(model, f"{run.name}: {100 * run.metrics('test')['accuracy']:.1f} % on test", run)
    changed = jobs.settings_changed(model, changes)
    differs = unfinished.other_settings(model, dataset, changed)
    epochs = unfinished.epochs_done(model, dataset, config.seed)
    states = [f"an unfinished training is in the way: {differs}"] if differs else []
    states += [f"unfinished, {epochs} epochs are done"] if epochs and not differs else []
    if own:
        told = recipes.told_of_run(own[0].run, changes) or f"seed {own[0].run.get('seed')}"
        states.append(f"measured with other settings: {own[0].name} ({told})")
    left = 1.0 if differs else max(0.0, 1.0 - epochs / config.epochs)
    return Planned(model, "; ".join(states) or "open", None, left)


def _table(plan: list[Planned], expected: Mapping[str, Expected | None], dataset: str, changes: dict) -> Table:
    table = Table(title=f"{len(plan)} systems on {dataset}, the cheapest first", title_justify="left")
    for column in ("system", "paper", "what it is", "epochs", "weights", "time", "state"):
        table.add_column(column, overflow="fold")
    for each in plan:
        entry, config = spec(each.model), _config(each.model, changes)
        epochs, weights = (str(config.epochs), config.initial_weights) if entry["family"] == "network" else ("-", "-")
        time_left = "-" if each.run else _time(each, expected.get(each.model), changes)
        table.add_row(each.model, entry["paper"], entry["title"], epochs, weights, time_left, each.state)
    return table


def _time(each: Planned, expected: Expected | None, changes: dict) -> str:
    """What the table says of the time that is left of one of them."""
    if expected is None:
        return "?"
    at_most = "at most " if _may_end_early([each.model], changes) else ""
    return f"{'on another machine: ' if expected.machine else ''}{at_most}{duration_text(each.left * expected.seconds)}"


def _time_in_all(plan: list[Planned], expected: Mapping[str, Expected | None], changes: dict) -> str:
    """A sentence about the time that all of them take that have no run."""
    open_ones = [each for each in plan if not each.run]
    here = [each for each in open_ones if (found := expected.get(each.model)) and not found.machine]
    elsewhere = [each for each in open_ones if (found := expected.get(each.model)) and found.machine]
    unknown = len(open_ones) - len(here) - len(elsewhere)
    said = f"{len(open_ones)} of {len(plan)} are open"
    if unknown == len(open_ones):
        return f"{said}." + (" No stored run tells how long." if open_ones else "")
    parts = []
    for group, whose in (
        (here, "on this machine"),
        (elsewhere, f"on another machine ({_machines(elsewhere, expected)})"),
    ):
        if group:
            about = "at most about" if _may_end_early([each.model for each in group], changes) else "about"
            count = "" if len(group) == len(open_ones) else f" for {len(group)}"
            seconds = duration_text(sum(each.left * expected[each.model].seconds for each in group))
            parts.append(f"{about} {seconds}{count}, by the time that stored runs took {whose}")
    parts += [f"of {unknown} no run tells"] if unknown else []
    return f"{said}: {'; '.join(parts)}."


def _machines(plan: list[Planned], expected: Mapping[str, Expected | None]) -> str:
    return "; ".join(sorted({expected[each.model].machine for each in plan}))


def _may_end_early(models: Iterable[str], changes: dict) -> bool:
    """Whether patience may end one of these trainings before its last epoch, up to which times are counted."""
    return any(spec(model)["family"] == "network" and _config(model, changes).patience > 0 for model in models)


def _train_all(
    models: list[str], dataset: str, changes: dict, expected: Mapping[str, Expected | None], fingerprint: str
) -> dict[str, str]:
    """Train one after the other. Returns why, for each that failed."""
    failures: dict[str, str] = {}
    pace = Pace(seconds_here(expected))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TextColumn("{task.fields[left]}")) as bars:
        whole = bars.add_task("systems", total=len(models), left="")
        for number, model in enumerate(models, start=1):
            try:
                job = _job(model, dataset, changes, fingerprint)
            except FerError as error:  # too little memory for this one, or it is trained with other settings now
                failures[model] = str(error)
                bars.console.print(f"{model}: not started")
                continue
            if job is None:
                bars.console.print(f"{number} of {len(models)}: {model} has been trained in the meantime")
                continue
            bars.console.print(f"{number} of {len(models)}: {model}, job {job.id}")
            task = bars.add_task(model, total=1.0, left="starting")
            head = head_alone(model, changes)  # its epochs say nothing of the time that its features take
            first, since = 0.0, None  # share of the epochs that was done when they were first seen, and seconds before
            try:
                while (job := jobs.read(job.id)).state in jobs.LIVE:
                    shown = jobs.progress(job)
                    bars.update(task, completed=shown.get("share", 0.0), left=_left(shown, job.state))
                    in_epochs = bool(shown) and "what" not in shown
                    share, own_left = (shown.get(name) if in_epochs else None for name in ("share", "time_left_s"))
                    if since is None and share is not None:
                        first, since = share, job.elapsed_s
                    elapsed = job.elapsed_s if job.state == "running" else 0.0
                    all_left = pace.left(model, own_left, 1.0 if head else share or 0.0, elapsed, models[number:])
                    about = "at most about" if _may_end_early(models[number - 1 :], changes) else "about"
                    bars.update(whole, completed=number - 1, left=duration(all_left, f"all of them: {about} "))
                    time.sleep(POLL_S)
            except KeyboardInterrupt:
                jobs.stop(job)
                raise
            bars.remove_task(task)
            if job.state == "finished" and not jobs.progress(job):
                bars.console.print(f"{model}: {job.run} has been stored while it waited")
            elif job.state == "finished":
                if not head:
                    pace.ended(model, job.elapsed_s - (since or 0.0), 1.0 - first)
                pace.learn(seconds_here(expected_time(models[number:], changes, runs_on(fingerprint))))
                bars.console.print(f"{model}: stored in {job.run} after {job.elapsed_s / 60:.1f} min")
            else:
                failures[model] = "somebody stopped it." if job.state == "stopped" else job_log.failure(job.path)
                bars.console.print(f"{model}: {job.state}")
        bars.update(whole, completed=len(models), left="")
    return failures


def _job(model: str, dataset: str, changes: dict, fingerprint: str) -> jobs.Job | None:
    """The job that trains ``model`` already, or the last one that did, or a new one; None where none is needed."""
    settings = jobs.settings_changed(model, changes)
    found = _unfinished(model, dataset, settings)
    if found and found[0].state in jobs.LIVE:
        return found[0]
    if finished_run(model, fingerprint, changes):  # looked for last: the one that trained it may have ended just now
        return None
    try:
        options = {"queue": True, "unless_stored": True}
        if found:
            return jobs.resume(found[0], keep=True, **options)
        return jobs.start(model, dataset, settings, **options)
    except FerError:
        since = _unfinished(model, dataset, settings)  # another `reproduce` was quicker
        if since and since[0].state in jobs.LIVE:
            return since[0]
        raise


def _unfinished(model: str, dataset: str, settings: dict) -> list[jobs.Job]:
    """Jobs for exactly this, those that live first."""
    found = [job for job in jobs.list_jobs()[0] if (job.model, job.dataset) == (model, dataset)]
    found = [job for job in found if job.settings == settings and job.state != "finished"]
    return sorted(found, key=lambda job: job.state not in jobs.LIVE)


def _left(shown: dict, state: str) -> str:
    if state != "running":
        return "waits for other trainings" if state == "waiting" else "starting"
    epochs = f"epoch {shown['epoch']}/{shown['epochs']}" if "epoch" in shown else ""
    doing = doing_text(shown.get("what", ""), shown.get("stage", 0), shown.get("stages", 0))
    return f"{doing or epochs} {left_text(shown)}"


def duration(seconds: float | None, before: str = "") -> str:
    """``5400.0`` as ``1 h 30 min left``; nothing where it is not known."""
    return "" if seconds is None else f"{before}{duration_text(seconds)} left"
