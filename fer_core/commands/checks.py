"""``python -m fer_core study checks``: whether the maps of runs can be trusted, on many pictures of a split."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Annotated

import typer
from rich.table import Table

from fer_core import artifacts
from fer_core.artifacts import Run
from fer_core.commands import study
from fer_core.commands.saliency import NETWORK_METHOD, OTHER_METHOD
from fer_core.commands.tables import number, percent, print_table, with_interval
from fer_core.explain import across_trainings, checks_numbers, checks_study
from fer_core.explain.across_trainings import Alone
from fer_core.explain.checks_study import KIND, PICTURES
from fer_core.explain.options import parse, words
from fer_core.explain.studies import spread
from fer_core.pictures import answers_alike, has_gradients
from fer_core.predictions import Classifier


def checks(
    names: study.RunNames = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Saliency method, may be repeated; grad_cam, or occlusion for models without a network."),
    ] = None,
    split: study.SplitName = "test",
    layer: study.Layer = None,
    option: study.Options = None,
    pictures: Annotated[int, typer.Option(min=1, help="How many are checked, spread over the split.")] = PICTURES,
    again: study.Again = False,
) -> None:
    """Deletion, insertion, randomised weights, stability, other trainings and grid, for the maps of many pictures.

    The same command after a kill goes on with the picture that was interrupted.
    """
    stored, tasks = {record["name"]: record for record in KIND.list_records()[0]}, []
    load, load_others = study.loader(), lru_cache(maxsize=1)(_loaded)
    for run in study.chosen_runs(names):
        if not names and answers_alike(run):
            typer.echo(f"{run.name} is left out: it says the same of every picture, so its maps are empty.")
            continue
        for one in method or [NETWORK_METHOD if has_gradients(run) else OTHER_METHOD]:
            name, given = KIND.study_name(run.name, split, one), parse(one, option or [])
            other = study.is_other(stored.get(name), layer, None if option is None else given)
            make = partial(_study, run, split, one, layer, given, pictures, load, load_others)
            tasks.append(study.Task(name, name, make, again=other))
    study.make_all(KIND, tasks, again=again, about=study.about_maps)


def _study(
    run: Run,
    split_name: str,
    method: str,
    layer: str | None,
    options: dict,
    pictures: int,
    load: Callable[[Run], Classifier],
    load_others: Callable[[tuple[str, ...], Classifier], dict[str, Classifier]],
) -> None:
    split = study.evaluated_split(run, split_name)
    classifier = load(run)
    positions = spread(len(split), pictures)
    runs = across_trainings.others(run, artifacts.list_runs()[0])
    trainings = {} if isinstance(runs, Alone) else {one.name: one.run["weights_sha256"] for one in runs}
    settings = {"split": split_name, "method": method, "layer": layer, "options": options, "study": KIND.name}
    work = study.work_of(run, split, settings | {"trainings": trainings})
    with study.progress_of(run) as report:
        arrays, about = checks_study.check_split(
            classifier,
            split,
            method,
            positions=positions,
            layer=layer,
            options=options,
            others=runs if isinstance(runs, Alone) else load_others(tuple(trainings), classifier),
            work=work,
            report=lambda what, done, total: report(f"{method}, {what}", done, total),
        )
    about |= {"options": options, "trainings": trainings}
    made = checks_study.make_study(run, arrays, about, split, split_name, method)
    _print(made)
    study.keep(partial(checks_study.write_study, made), work)


def _loaded(names: tuple[str, ...], like: Classifier) -> dict[str, Classifier]:
    from fer_core.explain.twins import other_training
    from fer_core.models.registry import load_classifier

    return {name: other_training(load_classifier(artifacts.find_run(name), tta="none"), like) for name in names}


def _print(made: checks_study.ChecksStudy) -> None:
    record = made.record
    where = f" at {record['layer']}" if record["layer"] else ""
    given = f" ({words(record['options'])})" if record["options"] else ""
    about = f"{record['run']}, {record['method']}{where}{given}, {record['dataset']} {record['split']}"
    table = Table(title=f"{about}, n = {record['n']}: checks of the maps", title_justify="left")
    for column in ("check", "passes [95 %]", "passed", "undecided", "failed", "n", "median"):
        table.add_column(column, justify="left" if column == "check" else "right")
    for row in checks_numbers.check_table(made).to_dict("records"):
        share = with_interval(row["share"], (row["low"], row["high"]), percent) if row["n"] else row["says"]
        counts = [str(row[name]) for name in ("passed", "undecided", "failed", "n")]
        table.add_row(row["check"], share, *counts, number(row["median"], 2))
    print_table(table)
    for name, why in record["left_out"].items():
        typer.echo(f"{name} does not apply: {why}")
    typer.echo(checks_numbers.verdict(made))
