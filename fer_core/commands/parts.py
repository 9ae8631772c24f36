"""``python -m fer_core study parts``: what stored runs do when a part of every face is hidden, by its landmarks."""

from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from fer_core.artifacts import Run
from fer_core.commands import study
from fer_core.commands.tables import percent, print_table, with_interval
from fer_core.explain import part_numbers, part_study
from fer_core.explain.part_numbers import ALL, MEASURES
from fer_core.explain.part_study import KIND


def parts(
    names: study.RunNames = None,
    split: study.SplitName = "test",
    fill: study.Fill = "zero",
    controls: Annotated[int, typer.Option(min=1, help="Random masks per picture and shape.")] = 1,
    tta: study.Views = None,
    limit: study.Limit = None,
    again: study.Again = False,
) -> None:
    """Recall, flips, probabilities and calibration with eyes, mouth, sunglasses and others hidden, by landmarks.

    The same command after a kill goes on with the condition that was interrupted.
    """
    make = partial(_study, split_name=split, fill=fill, seeds=list(range(controls)), tta=tta, limit=limit)
    study.make_hidden(KIND, names, split, fill, make, again=again or limit is not None)


def _study(run: Run, split_name: str, fill: str, seeds: list[int], tta: str | None, limit: int | None) -> None:
    split, predictor, tta, positions = study.asked(run, split_name, tta, limit)
    settings = {"split": split_name, "fill": fill, "tta": tta, "study": KIND.name}
    work = None if limit else study.work_of(run, split, settings)
    with study.progress_of(run) as report:
        points, found = study.landmarks_of(split, positions, report)
        predictions, areas, seconds = part_study.predict_conditions(
            predictor, split, points, fill=fill, seeds=seeds, positions=positions, work=work, report=report
        )
    about = {"split": split, "split_name": split_name, "fill": fill, "tta": tta, "seeds": seeds, "seconds": seconds}
    made = part_study.make_study(run, predictions, areas, found, **about)
    _print(made)
    study.keep(partial(part_study.write_study, made), work)


def _print(made: part_study.PartStudy) -> None:
    found, record = part_numbers.numbers(made), made.record
    about = f"{record['run']} on {record['dataset']} {record['split']}, n = {record['n']}"
    seen = f"landmarks found in {record['n_found']}"
    title = f"{about}, {seen}, fill {record['fill']}, views {record['tta']}"
    shown = ("recall", "drop", "beyond", "flip_rate", "p_shift", "ece")
    table = Table(title=title, title_justify="left")
    table.add_column("shape")
    for column in shown:
        table.add_column("accuracy [95 %]" if column == "recall" else MEASURES[column], justify="right")
    for row in found.table[found.table["class"] == ALL].to_dict("records"):
        cells = [with_interval(row[name], (row[f"{name}_low"], row[f"{name}_high"]), percent) for name in shown]
        table.add_row(row["shape"], *cells)
    print_table(table)
    for line in part_numbers.verdict(found):
        typer.echo(line)
