"""``python -m fer_core data``: register datasets, list them, look into one, forget one; clear caches."""

from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core import caches, datasets, faces
from fer_core.commands.tables import print_table
from fer_core.errors import DatasetError
from fer_core.storage import to_json

app = typer.Typer(help="Datasets: add, list, inspect, remove, facts, cache.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of a dataset, as `data list` shows it.")]
SHOWN_LEFT_OUT = 10


@app.command()
def add(
    path: Annotated[
        Path,
        typer.Argument(help="fer2013.csv, class folders, RAF-DB, CK+, or a zip archive of one of them."),
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call it; by default its known name, its format's or the file's.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="How CK+ is split: subjects (nobody stands in two splits) or frames (leaky: frames of one sequence "
            "stand in several splits, where published 97-99 % come from; registered as ckplus-frames)."
        ),
    ] = "subjects",
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Keep the photographs of official CK+ and RAF-DB originals whole: cut no faces out."
        ),
    ] = False,
    all_left_out: Annotated[bool, typer.Option("--all", help="List everything that was left out.")] = False,
) -> None:
    """Register a dataset once; the format is recognised by looking.

    FER2013: Kaggle's fer2013.csv, or class folders with or without train, val and test above them.

    RAF-DB: list_patition_label.txt (also below EmoLabel) with Image/aligned or Image/original; or the release with
    folders 1 to 7 below train and test, with or without train_labels.csv and test_labels.csv.

    CK+: class folders of frames named S010_006_00000013.png (CK+48); or cohn-kanade-images and Emotion, of which the
    last three frames of each labelled sequence are used and faces are cut out.
    """
    cut = None if whole else faces.largest_face
    with _bar() as progress:
        report = datasets.add(path, name=name, protocol=protocol, cut=cut, progress=progress)
    print_table(counts_table(report.counts, f"{report.name}: {report.format}, fingerprint {report.fingerprint}"))
    for note in report.notes:
        typer.echo(f"Note: {note}")
    _print_left_out(report.left_out, None if all_left_out else SHOWN_LEFT_OUT)
    typer.echo(f"Registered as {report.name} in {report.path}")


@app.command("list")
def list_datasets() -> None:
    """Every dataset that is registered or that results are known of."""
    registered = datasets.available()
    table = Table(title="Datasets", title_justify="left")
    for column in ("name", "pictures", "train", "val", "test", "size", "from", "pictures here"):
        table.add_column(column, justify="right" if column in ("pictures", "train", "val", "test") else "left")
    problems = []
    for name in datasets.known():
        try:
            facts = datasets.facts(name)
        except DatasetError as error:
            problems.append(str(error))
            continue
        totals = [f"{facts['totals'][split]:,}" if split in facts["totals"] else "-" for split in datasets.SPLIT_NAMES]
        here = "drawn when needed" if name == datasets.DRAWN else "yes" if name in registered else "no"
        table.add_row(name, f"{facts['n']:,}", *totals, _size(facts["image_shape"]), facts["format"], here)
    print_table(table)
    for problem in problems:
        typer.echo(f"Left out: {problem}", err=True)


@app.command()
def inspect(
    name: NameArgument,
    all_left_out: Annotated[bool, typer.Option("--all", help="List everything that was left out.")] = False,
) -> None:
    """Counts, exact copies, leaks between the splits, and what was left out of a dataset."""
    facts = datasets.facts(name)
    print_table(counts_table(facts["counts"], f"{name}: {facts['format']}, fingerprint {facts['fingerprint']}"))
    print_table(facts_table(facts))
    for note in facts["notes"]:
        typer.echo(f"Note: {note}")
    left_out = []
    if name in datasets.available():
        left_out = [datasets.LeftOut(*item) for item in datasets.load(name).info["left_out_list"]]
    _print_left_out(left_out, None if all_left_out else SHOWN_LEFT_OUT, facts["left_out"])


@app.command()
def remove(name: NameArgument, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Forget a registered dataset; the files it was added from stay where they are."""
    if name in datasets.available() and not yes:
        typer.confirm(f"Delete the stored copy of {name} in {datasets.data_dir() / name}?", abort=True)
    datasets.remove(name)
    typer.echo(f"Removed {name}")


@app.command()
def facts(
    name: NameArgument,
    write: Annotated[bool, typer.Option("--write", help="Write them to artifacts/datasets/NAME.json.")] = False,
) -> None:
    """The facts of a dataset as JSON, without any of its pictures."""
    if write:
        typer.echo(f"Facts written to {datasets.write_facts(name)}")
    else:
        found = datasets.facts(name)
        del found["mean_faces"]
        typer.echo(to_json(found), nl=False)


@app.command("cache")
def cache_(
    kind: Annotated[str | None, typer.Argument(help=f"{', '.join(caches.KINDS)}; all of them by default.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete it; it is computed again when needed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """What is kept of computations on pictures: kinds, sizes and last use; or delete it.

    Unfinished trainings, sweeps, studies and jobs are never touched.
    """
    kinds = list(caches.KINDS) if kind is None else [kind]
    found = {name: caches.kept(name) for name in kinds}
    table = Table(title=f"Caches in {datasets.data_dir()}", title_justify="left")
    for column in ("kind", "what is kept", "files", "size", "last used"):
        table.add_column(column, justify="right" if column in ("files", "size") else "left")
    for name, of_kind in found.items():
        used = "-" if of_kind.used is None else datetime.fromtimestamp(of_kind.used).date().isoformat()
        table.add_row(name, caches.KINDS[name].about, f"{len(of_kind.files):,}", _megabytes(of_kind.size), used)
    print_table(table)
    if not clear or not any(of_kind.files for of_kind in found.values()):
        return
    if not yes:
        typer.confirm(f"Delete {_megabytes(sum(of_kind.size for of_kind in found.values()))}?", abort=True)
    freed = sum(caches.clear(name).size for name in kinds)
    typer.echo(f"Freed {_megabytes(freed)}")


def counts_table(counts: Mapping[str, Mapping[str, int]], title: str) -> Table:
    """Pictures per class and split, with the share of each class in its split."""
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    totals = {split: sum(of_split.values()) for split, of_split in counts.items()}
    for split in counts:
        table.add_column(split, justify="right")
        table.add_column("%", justify="right")
    for label in next(iter(counts.values())):
        cells = []
        for split, of_split in counts.items():
            cells += [f"{of_split[label]:,}", f"{100 * of_split[label] / totals[split]:.1f}"]
        table.add_row(label, *cells)
    table.add_section()
    table.add_row("all", *(cell for split in counts for cell in (f"{totals[split]:,}", "100.0")))
    return table


def facts_table(facts: Mapping) -> Table:
    """Copies, leaks and oddities in numbers."""
    table = Table(title="Copies and leaks", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    copies = facts["duplicates"]
    ratio = facts["imbalance_ratio"]["all"]
    rows = [
        ("largest class over smallest", "-" if ratio is None else f"{ratio:.1f}"),
        ("distinct pictures", f"{copies['distinct']:,}"),
        ("extra exact copies", f"{copies['extra_copies']:,}"),
        ("groups of equal pictures", f"{copies['groups']:,}"),
        ("pictures in the largest group", f"{copies['largest_group']:,}"),
        ("groups under several labels", f"{copies['conflicting_groups']:,}"),
    ]
    for split in ("val", "test"):
        for other, count in copies["across"].get(split, {}).items():
            if (split, other) != ("val", "test"):
                rows.append((f"{split} pictures that stand in {other} too", f"{count:,}"))
    if "test" in facts["totals"]:
        rows.append(("test pictures in no other split", f"{facts['test_clean']:,}"))
    if who := facts.get("subjects"):
        rows += [("subjects", f"{who['n']:,}"), ("subjects in several splits", f"{who['shared']:,}")]
    rows.append(("pictures of one single grey", f"{sum(map(len, facts['constant'].values())):,}"))
    for row in rows:
        table.add_row(*row)
    return table


def _print_left_out(left_out: list[datasets.LeftOut], limit: int | None, total: int | None = None) -> None:
    total = len(left_out) if total is None else total
    typer.echo(f"Left out: {total:,}")
    for where, reason in left_out[:limit]:
        where = where if where.isprintable() else repr(where)  # names in archives may hold control characters
        typer.echo(f"  {where}: {reason}")
    hidden, kept = left_out[len(left_out[:limit]) :], len(left_out)
    if hidden:
        kinds = Counter(_kind(reason) for _, reason in hidden).most_common(3)
        shown = ", ".join(f"{count:,} x {kind}" for kind, count in kinds)
        listed = "them" if kept == total else f"the first {kept:,} of all"
        typer.echo(f"  and {total - kept + len(hidden):,} more, such as {shown} (--all lists {listed})")
    elif kept < total:
        typer.echo(f"  and {total - kept:,} more, which are counted but not kept")


def _kind(reason: str) -> str:
    return reason.split(";")[0].split(":")[0]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _size(shape: list[int]) -> str:
    return f"{shape[1]} x {shape[0]}, {'RGB' if len(shape) == 3 else 'grey'}"


@contextmanager
def _bar():
    """A progress bar with the time left, as the callback that :func:`fer_core.datasets.add` wants."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        tasks: dict[str, int] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done, total=total)

        yield report
