"""``python -m fer_core ensemble``: stored runs that answer as one."""

from typing import Annotated

import typer

from fer_core import artifacts
from fer_core.commands.tables import metrics_table, print_table


def ensemble(
    names: Annotated[
        list[str], typer.Argument(help="Two or more runs with weights, or the beginnings of their names.")
    ],
    weight: Annotated[
        list[float] | None,
        typer.Option(help="How much a run counts, one per run in their order; chosen on val without."),
    ] = None,
) -> None:
    """Store the weighted mean of some runs as a run of its own, which the pages and commands take like any other.

    It is as slow as its members together, and needs them to stay where they are.
    """
    from fer_core.training.combine import combine

    path = combine([artifacts.find_run(name) for name in names], weight)
    run = artifacts.read_run(path)
    for member in run.run["config"]["members"]:
        typer.echo(f"{member['weight']:6.1%}  {member['run']}")
    for table in metrics_table(run.metrics("test"), f"{run.name} on {run.dataset} test"):
        print_table(table)
    typer.echo(f"Stored in {path}")
