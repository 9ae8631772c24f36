"""How soon does the page of the stored saliency studies stand? Each of its views, in a process of its own.

    python benchmarks/study_page.py                         prints it
    python benchmarks/study_page.py --rounds 5 --output     and writes benchmarks/results/study_page.json

Streamlit's AppTest opens Home.py at Saliency, "Whole test set", with all models that a method has studies of. `process`
is the life of the Python process that shows the view once and again: start, imports, both views. `first` and `second`
are the two views inside it, where `first` also imports all that the page needs and computes what is cached afterwards.
No TensorFlow may be among it. Seconds are medians of the rounds, with the largest beside them; `_cpu` are those that
the processor worked, which a busy machine lengthens less.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

GOAL = 2.0  # seconds until a view stands
VIEWS = {
    "Mean maps": {},
    "Facial regions": {},
    "Facial regions, rightly recognised": {"study-which": "rightly recognised"},
    "Agreement with FACS": {},
    "Disagreement": {},
}
HEAVY = ("tensorflow", "keras")


def show(query: Mapping[str, str | list[str]]) -> dict:
    """Both views in this process, and what they import: run it in a fresh one."""
    started = time.perf_counter()
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.testing.v1 import AppTest

    # AppTest takes a folder called pages for Streamlit's older kind of app; see pages/ui/__init__.py.
    PagesManager.main_script_parent = property(lambda manager: Path(manager.main_script_path).parent / "nowhere")
    app = AppTest.from_file(str(PROJECT / "Home.py"), default_timeout=300)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page("pages/saliency.py")
    found = {"streamlit": time.perf_counter() - started}
    for name in ("first", "second"):
        started, worked = time.perf_counter(), time.process_time()
        app.run()
        found |= {name: time.perf_counter() - started, f"{name}_cpu": time.process_time() - worked}
    problems = [*(error.message for error in app.exception), *(error.value for error in app.error)]
    if problems or not app.get("download_button"):
        raise SystemExit(f"The view does not stand: {problems or 'nothing to download'}")
    return found | {"heavy_imports": [name for name in HEAVY if name in sys.modules]}


def in_fresh_process(query: Mapping[str, str | list[str]]) -> dict:
    """:func:`show` in another process, and how long that lived."""
    command = [sys.executable, __file__, "--show", json.dumps(query)]
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
    return {"seconds": found, "heavy_imports": heavy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument(
        "--output", type=Path, nargs="?", const=PROJECT / "benchmarks" / "results" / "study_page.json", default=None
    )
    parser.add_argument("--show", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.show is not None:
        print(json.dumps(show(args.show)))
        return
    from fer_core import artifacts
    from fer_core.explain.saliency import METHODS
    from fer_core.explain.saliency_study import KIND

    records = KIND.list_records(PROJECT / "artifacts")[0]
    conditions = {"rounds": args.rounds} | artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}
    studies = {record["name"]: record["n"] for record in records}
    result = {"conditions": conditions, "goal": {"first": GOAL}, "pictures": studies, "views": {}}
    for method in dict.fromkeys(record["method"] for record in records):
        runs = [record["run"] for record in records if record["method"] == method]
        for title, chosen in VIEWS.items():
            if title == "Disagreement" and len(runs) < 2:
                continue
            query = {"scope": "Whole test set", "study-method": METHODS[method].title, "studied": runs}
            query |= {"study-show": title.split(",")[0]} | chosen
            rounds = [in_fresh_process(query) for _ in range(args.rounds)]
            result["views"][f"{method}, {len(runs)} models: {title}"] = summary(rounds)
            medians = {name: round(one["median"], 2) for name, one in summary(rounds)["seconds"].items()}
            print(f"{method}, {len(runs)} models: {title}: {medians}", file=sys.stderr, flush=True)
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
