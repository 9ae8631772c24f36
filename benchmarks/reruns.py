"""How soon is a page free again when libraries stay out of garbage collection? Both ways, each in processes of its own.

    python benchmarks/reruns.py                        three processes each way

Streamlit's AppTest opens a page with the stored run of `compact` on the sample photo, and runs it again as each click
does: all is cached then. Seconds last until the script has ended and the garbage is collected, during which no other
session of the process is answered. `spared` is how the app is, see pages/ui/upkeep.py; `not spared` is plain Streamlit.
Writes benchmarks/results/reruns.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from timing import PROJECT, stored_run

from fer_core import artifacts

VIEWS = {
    "home": {"source": "Samples", "model": "{run}"},
    "masks": {"from": "Sample photo", "models": "{run}"},
    "saliency": {"from": "Sample photo", "models": "{run}", "check": "false"},
    "models": {},
}
RERUNS = 9


def measure(run: str, spared: bool) -> dict[str, float]:
    """Median seconds of a rerun of each page in this process, in which the network is loaded by the first of them."""
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.testing.v1 import AppTest

    from pages.ui import upkeep

    if not spared:
        upkeep.spare = lambda module: None
    # AppTest takes a folder called pages for Streamlit's older kind of app; see pages/ui/__init__.py.
    PagesManager.main_script_parent = property(lambda manager: Path(manager.main_script_path).parent / "nowhere")
    found = {}
    for page, query in VIEWS.items():
        app = AppTest.from_file(str(PROJECT / "Home.py"), default_timeout=300)
        for key, value in query.items():
            app.query_params[key] = value.format(run=run)
        app.switch_page(f"pages/{page}.py")
        app.run()
        taken = []
        for _ in range(RERUNS):
            started = time.perf_counter()
            app.run()
            taken.append(time.perf_counter() - started)
        if app.exception or app.error:
            raise SystemExit(f"{page} does not stand: {[*app.exception, *app.error]}")
        found[page] = float(np.median(taken))
    if "keras" not in sys.modules:
        raise SystemExit("No page has loaded the network.")
    return found


def in_own_process(run: str, spared: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", json.dumps([run, spared])]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="processes each way")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--output", type=Path, default=PROJECT / "benchmarks" / "results" / "reruns.json")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure is not None:
        print(json.dumps(measure(*args.measure)))
        return
    run = stored_run("compact")
    if run is None:
        raise SystemExit("No run of compact with weights: python -m fer_core train compact fer2013")
    conditions = {"weights": run.name, "reruns": RERUNS, "rounds": args.rounds}
    conditions |= artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}
    rounds: dict[str, list[dict]] = {"spared": [], "not spared": []}
    for _ in range(args.rounds):
        for way, found in rounds.items():
            found.append(in_own_process(run.name, way == "spared"))
            print(f"{way}: {found[-1]}", file=sys.stderr, flush=True)
    pages = {}
    for page in VIEWS:
        seconds = {way: float(np.median([one[page] for one in found])) for way, found in rounds.items()}
        pages[page] = {"seconds": seconds, "ratio": seconds["not spared"] / seconds["spared"]}
    result = {"conditions": conditions, "pages": pages}
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
