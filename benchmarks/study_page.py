"""How soon do the pages of stored studies stand? Each of their views, in a process of its own.

    python benchmarks/study_page.py                         prints it
    python benchmarks/study_page.py --rounds 5 --output     and writes benchmarks/results/study_page.json
    python benchmarks/study_page.py --of masks parts        only those

Streamlit's AppTest opens Home.py at "Whole test set" of Saliency and of Masks (rows, and parts by landmarks), with the
models that a page opens with: the first of those that a method, or a fill, has studies of. What a page computes only
when asked for (all methods, calibration errors) has views of its own. `process` is the life of the Python process that
shows the view once and again: start, imports, both views. `first` and `second` are the two views inside it, where
`first` also imports all that the page needs and computes what is cached afterwards. No TensorFlow may be among it.
Seconds are medians of the rounds, with the largest beside them; `_cpu` are those that the processor worked, which a
busy machine lengthens less. Fails where a view misses the goal.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

GOAL = 2.0  # seconds until a view stands
SALIENCY_VIEWS = {
    "Mean maps": {},
    "Facial regions": {},
    "Facial regions, rightly recognised": {"study-which": "rightly recognised"},
    "Agreement with FACS": {},
    "Disagreement": {},
}
ALL_METHODS = "Agreement with FACS, all methods"  # the same from whichever method it is opened
CALIBRATION = {"part-measure": "Calibration error"}  # computed only when asked for
MASK_VIEWS = {
    "Paper's tables": {},
    "Recall per class": {},
    "Flips": {},
    "Every measure": {},
    "Every measure, calibration": CALIBRATION,
}
HEAVY = ("tensorflow", "keras")

Query = Mapping[str, str | list[str]]
Views = Iterator[tuple[str, Query]]  # title, and the address without the page


def saliency_views(records: list[dict]) -> Views:
    """Of all studies of a method."""
    from fer_core.explain.saliency import METHODS

    methods = list(dict.fromkeys(record["method"] for record in records))
    for method in methods:
        stored = sum(record["method"] == method for record in records)
        compared = {ALL_METHODS: {"study-methods": "true"}} if method == methods[0] and len(methods) > 1 else {}
        for title, chosen in (SALIENCY_VIEWS | compared).items():
            if title == "Disagreement" and stored < 2:
                continue
            query = {"study-method": METHODS[method].title, "study-show": title.split(",")[0]}
            yield f"{method}, {_opened(stored)} of {stored} models: {title}", query | chosen


def mask_views(records: list[dict]) -> Views:
    """Of all studies of the papers' rows on one split and with one fill."""
    for about, chosen in _by_condition(records):
        for title, more in MASK_VIEWS.items():
            view = {"hidden": "Rows, as in the paper", "study-view": title.split(",")[0]}
            yield f"rows hidden{about}: {title}", chosen | view | more


def part_views(records: list[dict]) -> Views:
    """Of all studies of parts on one split and with one fill."""
    for about, chosen in _by_condition(records):
        for title, more in {"": {}, ": calibration": CALIBRATION}.items():
            yield f"parts hidden{about}{title}", chosen | {"hidden": "Parts, by landmarks"} | more


def _by_condition(records: list[dict]) -> Views:
    """Words and address of what is shown together, on each dataset, split and fill."""
    fields = ("dataset", "split", "fill")
    for condition in dict.fromkeys(tuple(record[field] for field in fields) for record in records):
        stored = sum(tuple(record[field] for field in fields) == condition for record in records)
        chosen = {f"study-{field}": value for field, value in zip(fields, condition, strict=True)}
        yield f", {' '.join(condition)}, {_opened(stored)} of {stored} models", chosen


def _opened(stored: int) -> int:
    """With how many of ``stored`` models a page opens."""
    from pages.ui.state import MOST_STUDIED

    return min(stored, MOST_STUDIED)


OF: dict[str, tuple[str, Callable[[list[dict]], Views]]] = {  # kind of study -> page, views
    "saliency": ("saliency", saliency_views),
    "masks": ("masks", mask_views),
    "parts": ("masks", part_views),
}


def show(page: str, query: Query) -> dict:
    """Both views in this process, and what they import: run it in a fresh one."""
    started = time.perf_counter()
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.testing.v1 import AppTest

    # AppTest takes a folder called pages for Streamlit's older kind of app; see pages/ui/__init__.py.
    PagesManager.main_script_parent = property(lambda manager: Path(manager.main_script_path).parent / "nowhere")
    app = AppTest.from_file(str(PROJECT / "Home.py"), default_timeout=300)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{page}.py")
    found = {"streamlit": time.perf_counter() - started}
    for name in ("first", "second"):
        started, worked = time.perf_counter(), time.process_time()
        app.run()
        found |= {name: time.perf_counter() - started, f"{name}_cpu": time.process_time() - worked}
    problems = [*(error.message for error in app.exception), *(error.value for error in app.error)]
    if problems or not app.get("download_button"):
        raise SystemExit(f"The view does not stand: {problems or 'nothing to download'}")
    return found | {"heavy_imports": [name for name in HEAVY if name in sys.modules]}


def in_fresh_process(page: str, query: Query) -> dict:
    """:func:`show` in another process, and how long that lived."""
    command = [sys.executable, __file__, "--show", json.dumps([page, query])]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False)
    process = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return {"process": process} | json.loads(done.stdout.splitlines()[-1])


def summary(rounds: list[dict]) -> dict:
    names = [name for name in rounds[0] if name != "heavy_imports"]
    seconds = {name: [one[name] for one in rounds] for name in names}
    found = {name: {"median": float(np.median(all_)), "largest": max(all_)} for name, all_ in seconds.items()}
    heavy = sorted({name for one in rounds for name in one["heavy_imports"]})
    return {"seconds": found, "heavy_imports": heavy, "met": found["first"]["median"] <= GOAL and not heavy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", nargs="+", choices=OF, default=list(OF), help="kinds of studies; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument(
        "--output", type=Path, nargs="?", const=PROJECT / "benchmarks" / "results" / "study_page.json", default=None
    )
    parser.add_argument("--show", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.show is not None:
        print(json.dumps(show(*args.show)))
        return
    from fer_core import artifacts
    from fer_core.explain import mask_study, part_study, saliency_study

    kinds = {kind.name: kind for kind in (saliency_study.KIND, mask_study.KIND, part_study.KIND)}
    records = {name: kinds[name].list_records(PROJECT / "artifacts")[0] for name in args.of}
    conditions = {"rounds": args.rounds} | artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}
    pictures = {record["name"]: record["n"] for of_kind in records.values() for record in of_kind}
    views = {}
    for name, of_kind in records.items():
        page, views_of = OF[name]
        for title, chosen in views_of(of_kind):
            query = {"scope": "Whole test set"} | chosen
            found = summary([in_fresh_process(page, query) for _ in range(args.rounds)])
            views[title] = found
            medians = {part: round(one["median"], 2) for part, one in found["seconds"].items()}
            print(f"{title}: {medians}", file=sys.stderr, flush=True)
    result = {"conditions": conditions, "goal": {"first": GOAL}, "pictures": pictures, "views": views}
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    late = [title for title, found in views.items() if not found["met"]]
    raise SystemExit(f"Later than {GOAL:g} s, or with TensorFlow: {'; '.join(late)}." if late else 0)


if __name__ == "__main__":
    main()
