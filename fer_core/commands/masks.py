"""``python -m fer_core study masks``: what stored runs do when rows of every picture are hidden."""

from functools import partial
from typing import Annotated

import pandas as pd
import typer
from rich.table import Table

from fer_core.artifacts import Run
from fer_core.commands import study
from fer_core.commands.tables import number, percent, print_table, with_interval
from fer_core.explain import mask_numbers, mask_study
from fer_core.explain.mask_study import KIND


def masks(
    names: study.RunNames = None,
    split: study.SplitName = "test",
    fill: study.Fill = "zero",
    controls: Annotated[int, typer.Option(min=1, help="Random masks per picture and area.")] = 5,
    tta: study.Views = None,
    limit: study.Limit = None,
    again: study.Again = False,
) -> None:
    """Accuracy, recall and flips under forehead, eyes and mouth masks, beside random masks of the same area.

    The same command after a kill goes on with the condition that was interrupted.
    """
    make = partial(_study, split_name=split, fill=fill, seeds=list(range(controls)), tta=tta, limit=limit)
    study.make_hidden(KIND, names, split, fill, make, again=again or limit is not None)


def _study(run: Run, split_name: str, fill: str, seeds: list[int], tta: str | None, limit: int | None) -> None:
    split, predictor, tta, positions = study.asked(run, split_name, tta, limit)
    work = None if limit else study.work_of(run, split, {"split": split_name, "fill": fill, "tta": tta})
    with study.progress_of(run) as report:
        predictions, seconds = mask_study.predict_conditions(
            predictor, split, fill=fill, seeds=seeds, positions=positions, work=work, report=report
        )
    about = {"split": split, "split_name": split_name, "fill": fill, "tta": tta, "seeds": seeds, "seconds": seconds}
    made = mask_study.make_study(run, predictions, **about)
    _print(made)
    study.keep(partial(mask_study.write_study, made), work)


def _print(made: mask_study.MaskStudy) -> None:
    found = mask_numbers.numbers(made)
    about = f"{made.run} on {made.record['dataset']} {made.record['split']}, n = {made.record['n']}"
    table = Table(title=f"{about}, fill {made.record['fill']}, views {made.record['tta']}", title_justify="left")
    for column in ("mask", "accuracy [95 %]", "drop", "McNemar p", "random mask", "drop beyond random", "flips"):
        table.add_column(column, justify="left" if column == "mask" else "right")
    for row in found.accuracy.to_dict("records"):
        cells = [_interval(row, name) for name in ("accuracy", "drop")]
        cells.append("-" if pd.isna(row["mcnemar_p"]) else f"{row['mcnemar_p']:.2g}")
        cells += [_interval(row, name) for name in ("control", "beyond", "flip_rate")]
        table.add_row(row["mask"], *cells)
    print_table(table)
    for line in mask_numbers.verdict(found):
        typer.echo(line)


def _interval(row: dict, name: str) -> str:
    if pd.isna(row[name]):
        return number(None)
    return with_interval(row[name], (row[f"{name}_low"], row[f"{name}_high"]), percent)
