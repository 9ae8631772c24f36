"""``python -m fer_core study saliency``: where runs look on every picture of a split."""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Annotated

import pandas as pd
import typer
from rich.table import Table

from fer_core.artifacts import Run
from fer_core.commands import study
from fer_core.commands.tables import number, percent, print_table, with_interval
from fer_core.explain import saliency_numbers, saliency_sentences, saliency_study
from fer_core.explain.options import parse, words
from fer_core.explain.saliency_numbers import ALL_CLASSES, EVERY
from fer_core.explain.saliency_study import KIND
from fer_core.explain.studies import spread
from fer_core.pictures import answers_alike, has_gradients, is_network
from fer_core.predictions import Classifier

NETWORK_METHOD, COARSE_METHOD, OTHER_METHOD = "grad_cam", "layer_cam", "occlusion"


def saliency(
    names: study.RunNames = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Saliency method, may be repeated; grad_cam, and layer_cam where the last layer is too coarse, or "
            "occlusion for models without a network."
        ),
    ] = None,
    split: study.SplitName = "test",
    layer: study.Layer = None,
    option: study.Options = None,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="Explain only so many, spread over the split; for slow methods.")
    ] = None,
    again: study.Again = False,
) -> None:
    """Mean maps per class, shares of facial regions and agreement with FACS, for every picture's true class.

    The same command after a kill goes on with the batch that was interrupted.
    """
    stored, tasks, load = {record["name"]: record for record in KIND.list_records()[0]}, [], study.loader()
    for run in study.chosen_runs(names):
        if not names and answers_alike(run):
            typer.echo(f"{run.name} is left out: it says the same of every picture, so its maps are empty.")
            continue
        for one in method or _default_methods(run):
            name, given = KIND.study_name(run.name, split, one), parse(one, option or [])
            other = study.is_other(stored.get(name), layer, None if option is None else given)
            make = partial(_study, run, split, one, layer, given, pictures, load)
            if not method and one == COARSE_METHOD:
                make = partial(_study_if_coarse, run, load, make)
            tasks.append(study.Task(name, name, make, again=other))
    study.make_all(KIND, tasks, again=again, about=study.about_maps)


def _default_methods(run: Run) -> tuple[str, ...]:
    """Grad-CAM of every network, so that they can be compared; beside it what the Saliency page takes by default."""
    if not has_gradients(run):
        return (OTHER_METHOD,)
    return (NETWORK_METHOD, COARSE_METHOD) if is_network(run) else (NETWORK_METHOD,)


def _study_if_coarse(run: Run, load: Callable[[Run], Classifier], make: Callable[[], None]) -> None:
    """The study, if the last layer of the run's network is too coarse; otherwise say that there is no need of it."""
    from fer_core.explain.gradients import cam_layers, default_layer, is_earlier

    classifier = load(run)
    if is_earlier(cam_layers(classifier), default_layer(classifier).name):
        make()
    else:
        typer.echo(f"{run.name}: the last layer is fine enough for {NETWORK_METHOD}; {COARSE_METHOD} only when asked.")


def _study(
    run: Run,
    split_name: str,
    method: str,
    layer: str | None,
    options: dict,
    pictures: int | None,
    load: Callable[[Run], Classifier],
) -> None:
    split = study.evaluated_split(run, split_name)
    classifier = load(run)
    positions = spread(len(split), pictures)
    settings = {"split": split_name, "method": method, "layer": layer, "n": len(positions), "study": KIND.name}
    settings |= {"options": options} if options else {}
    settings |= {"sample": zlib.crc32(positions.tobytes())} if len(positions) < len(split) else {}
    work = study.work_of(run, split, settings)
    with study.progress_of(run) as report:
        points, found = study.landmarks_of(split, positions, report)
        arrays, about = saliency_study.explain_split(
            classifier,
            split,
            points,
            method,
            positions=positions,
            layer=layer,
            options=options,
            work=work,
            report=partial(report, method),
        )
    about |= {"options": options, "n_found": found.sum()}
    made = saliency_study.make_study(run, arrays, about, split, split_name, method)
    _print(made)
    study.keep(partial(saliency_study.write_study, made), work)


def _print(made: saliency_study.SaliencyStudy) -> None:
    shares, scores = (rows(made, EVERY) for rows in (saliency_numbers.share_rows, saliency_numbers.score_rows))
    record = made.record
    where = f" at {record['layer']}" if record["layer"] else ""
    given = f" ({words(record['options'])})" if record["options"] else ""
    title = (
        f"{record['run']}, {record['method']}{where}{given}, {record['dataset']} {record['split']}, n = {record['n']}"
    )
    table = Table(title=f"{title}: agreement with FACS", title_justify="left")
    for column in ("score", "value [95 %]", "even map"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for row in scores[scores["class"] == ALL_CLASSES].to_dict("records"):
        value = (
            number(None) if pd.isna(row["value"]) else with_interval(row["value"], (row["low"], row["high"]), percent)
        )
        table.add_row(row["score"], value, number(None) if pd.isna(row["even"]) else percent(row["even"]))
    print_table(table)
    for line in saliency_sentences.verdict(shares, scores, saliency_numbers.lifts(made), made.record["grid"]):
        typer.echo(line)
