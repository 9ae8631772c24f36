"""``python -m fer_core runs``: list, show, verify, compare and refresh stored runs."""

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fer_core import artifacts, comparison, metrics
from fer_core.commands.tables import metrics_table, number, percent, print_table, with_interval
from fer_core.datasets.split import Dataset
from fer_core.errors import FerError, RunError
from fer_core.predictions import Predictions
from fer_core.storage import environment

app = typer.Typer(help="Stored runs: list, show, verify, compare.", no_args_is_help=True)

SplitOption = Annotated[str, typer.Option(help="val, test, or test_clean (test pictures that no other split holds).")]


@app.command("list")
def list_runs(split: SplitOption = "test", as_csv: Annotated[bool, typer.Option("--csv")] = False) -> None:
    """Every run with its headline numbers, the most accurate on val first."""
    runs, problems = artifacts.list_runs()
    frame = artifacts.runs_frame(runs, split)
    if as_csv:
        typer.echo(frame.to_csv(index=False), nl=False)
    elif frame.empty:
        typer.echo(f"No run has been evaluated on {split}. Train one: python -m fer_core train --help")
    else:
        table = Table(title=f"{split}, with 95 % bootstrap intervals", title_justify="left")
        for column in ("run", "n", "accuracy", "macro F1", "ROC AUC", "parameters"):
            table.add_column(column, justify="left" if column == "run" else "right", overflow="fold")
        for row in frame.to_dict("records"):
            accuracy = with_interval(row["accuracy"], (row["accuracy_low"], row["accuracy_high"]), percent)
            parameters = number(row["param_count"], 0)
            name = f"{row['name']} ({row['altered']})" if row["altered"] else row["name"]
            table.add_row(name, str(row["n"]), accuracy, number(row["macro_f1"]), number(row["roc_auc"]), parameters)
        print_table(table)
    for problem in problems:
        typer.echo(f"Left out: {problem}", err=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the run, or the beginning of it.")],
    split: SplitOption = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json as it is.")] = False,
) -> None:
    """All that is stored about one run, and its metrics on one split."""
    run = artifacts.find_run(name)
    if as_json:
        typer.echo(json.dumps(run.run, indent=1, ensure_ascii=False))
        return
    facts = Table(title=run.name, title_justify="left", show_header=False)
    for field, value in run.run.items():
        if field not in ("metrics", "name") and value is not None:
            facts.add_row(field, _text(value))
    print_table(facts)
    for table in metrics_table(run.metrics(split), f"{run.name} on {split}"):
        print_table(table)


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="Only this run; all runs by default.")] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also predict again with the shipped weights on the registered dataset.")
    ] = False,
) -> None:
    """Recompute every stored number; exit with 1 and say what differs if anything does."""
    runs, problems = ([artifacts.find_run(name)], []) if name else artifacts.list_runs()
    for run in runs:
        try:
            differences, notes = _verify(run, weights)
        except FerError as error:
            differences, notes = [str(error)], []
        problems += [f"{run.name}: {difference}" for difference in differences]
        typer.echo(f"{'differs' if differences else 'ok':8}{run.name}{''.join(f' ({note})' for note in notes)}")
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{len(runs)} runs verified, {len(problems)} differences.")
    if problems:
        raise typer.Exit(1)


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(help="Two or more runs.")],
    split: SplitOption = "test",
    metric: Annotated[str, typer.Option(help="Metric of the pairwise table.")] = "accuracy",
) -> None:
    """Whether runs differ by more than chance, on the pictures they share."""
    if len(names) < 2:
        raise RunError("Comparing needs two runs or more.", "`python -m fer_core runs list` shows them.")
    runs = [artifacts.find_run(name) for name in names]
    predictions = {run.name: run.predictions(split) for run in runs}
    if len(predictions) < 2:
        raise RunError(f"{runs[0].name} was given twice.", "Give two different runs.")
    pairs = comparison.all_pairs(predictions, metric)
    table = Table(title=f"{metric} on {split}, n = {pairs['n'].min()}", title_justify="left")
    for column in ("a", "b", "a - b [95 %]", "bootstrap p", "only a right", "only b right", "McNemar p", "Holm p"):
        table.add_column(column, overflow="fold")
    for row in pairs.to_dict("records"):
        difference = with_interval(row["difference"], (row["low"], row["high"]), _signed)
        p_values = [f"{row[key]:.2g}" for key in ("bootstrap_p", "mcnemar_p", "holm_p")]
        counts = str(row["only_a"]), str(row["only_b"])
        table.add_row(row["a"], row["b"], difference, p_values[0], *counts, *p_values[1:])
    print_table(table)
    if len(predictions) == 2:
        _print_differences(*predictions.values())


@app.command()
def refresh(name: Annotated[str, typer.Argument(help="Name of the run.")]) -> None:
    """Compute a run's metrics again from its stored predictions, e.g. after the dataset's facts have changed."""
    from fer_core.verification import refresh_run

    run = refresh_run(artifacts.find_run(name))
    typer.echo(f"{run.name}: metrics written again for {', '.join(run.splits)}.")


@app.command()
def strip(name: Annotated[str, typer.Argument(help="Name of the run.")]) -> None:
    """Delete the weights of a run, so that it is small enough to share; predictions and studies stay."""
    run = artifacts.find_run(name)
    freed = run.run.get("weights_bytes") or 0
    artifacts.strip_run(run)
    typer.echo(
        f"Deleted {freed / 1e6:.1f} MB of {run.name}. To have them again: {run.run.get('retrain') or 'train it'}"
    )


@app.command("time")
def measure_latency(
    names: Annotated[list[str] | None, typer.Argument(help="Runs with weights; all of them by default.")] = None,
) -> None:
    """Measure on this machine how long each run takes for one face, averaged views included, and store it."""
    from fer_core.inference import Predictor
    from fer_core.latency import latency_ms
    from fer_core.models.registry import load_classifier

    runs, failed = [artifacts.find_run(name) for name in names] if names else artifacts.list_runs()[0], False
    for run in runs:
        if not run.can_answer:
            typer.echo(f"{run.name}: no weights here")
            continue
        try:
            latency = latency_ms(Predictor(load_classifier(run)))
        except FerError as error:
            typer.echo(f"{run.name}: {error.problem}", err=True)
            failed = True
            continue
        artifacts.update_run(run, {"latency_ms": round(latency, 3), "latency_machine": environment()["machine"]})
        typer.echo(f"{run.name}: {latency:.2f} ms")
    if failed:
        raise typer.Exit(1)


def _print_differences(a: Predictions, b: Predictions) -> None:
    table = Table(title="Every metric, paired bootstrap", title_justify="left")
    for column in ("metric", "a", "b", "a - b [95 %]", "p"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for row in comparison.differences(a, b).to_dict("records"):
        better = "" if row["metric"] not in metrics.LOWER_IS_BETTER else " (lower is better)"
        difference = with_interval(row["difference"], (row["low"], row["high"]), _signed)
        values = number(row["a"]), number(row["b"])
        table.add_row(row["metric"] + better, *values, difference, f"{row['p_value']:.2g}")
    print_table(table)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _as_evaluated(dataset: Dataset, run: artifacts.Run, pixels: bool = True) -> Dataset:
    """The pictures that the run was measured on: masked, cut to faces, or of some classes only, by its settings."""
    config = run.run.get("config") or {}
    if not any(config.get(setting) for setting in ("classes", "mask", "faces")):
        return dataset
    from fer_core.training.preparation import as_evaluated

    names = [name for name in run.splits if name in dataset.splits]
    return dataclasses.replace(dataset, splits={name: as_evaluated(dataset, name, config, pixels) for name in names})


def _verify(run: artifacts.Run, weights: bool) -> tuple[list[str], list[str]]:
    """Differences, and notes about what could not be checked."""
    from fer_core import datasets
    from fer_core.verification import verify_run

    notes = ["no weights shipped"] if weights and not run.can_answer else []
    weights = weights and run.can_answer
    dataset, classifier, problems = None, None, []
    expected = run.run.get("dataset_fingerprint")
    if run.dataset not in datasets.available():
        unchecked = f"{run.dataset} is not registered"
    else:
        dataset = datasets.load(run.dataset)
        unchecked = ""
        if expected and dataset.fingerprint != expected:
            unchecked = f"the registered {run.dataset} holds other pictures: {dataset.fingerprint}, not {expected}"
            dataset = None
        else:
            dataset = _as_evaluated(dataset, run, pixels=weights)
    if weights and dataset is None:
        problems.append(f"the weights cannot be checked: {unchecked}.")
    elif unchecked:
        notes.append(unchecked)
    if weights and dataset is not None:
        from fer_core.models.registry import load_classifier

        try:
            classifier = load_classifier(run)
        except FerError as error:
            problems.append(str(error))
    with Console(stderr=True).status(f"{run.name}: {'predicting again' if classifier else 'recomputing'} ..."):
        return problems + verify_run(run, dataset=dataset, classifier=classifier), notes
