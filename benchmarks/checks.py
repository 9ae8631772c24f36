"""How long do the checks of all methods' maps take? Those of one face in one process, beside each method's on its own.

    python benchmarks/checks.py                      the stored run of `compact`, some three minutes
    python benchmarks/checks.py --model wide         another one that has a run with weights
    python benchmarks/checks.py --methods gradient --output /dev/null   rehearsal

What "Check every map" of the Saliency page asks for, other trainings included, is asked for once for all methods, and
once per method in a process of its own that knows nothing yet: what a visitor waits for who opens the page for one
method. Both start with loaded networks; both give the same verdicts, which is checked. Seconds are those of all
cores together, which a busy machine stretches less than the clock. Writes benchmarks/results/checks.json, and
fails where the ratio of GOALS is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from timing import judge, missed, stored_run  # noqa: E402

from fer_core import artifacts  # noqa: E402
from fer_core.datasets import synthetic  # noqa: E402
from fer_core.explain import across_trainings, faithfulness, saliency, twins  # noqa: E402

GOALS = {"checks": 1.1}  # times as fast
CLASS = 3


def checked(model: str, methods: list[str]) -> dict:
    """Seconds per method, without loading the networks, and what each method's checks say."""
    from fer_core.inference import Predictor
    from fer_core.models.registry import load_classifier

    run = stored_run(model)
    classifier = Predictor(load_classifier(run, tta="none"))
    others = across_trainings.others(run, artifacts.list_runs(PROJECT / "artifacts")[0])
    alone = isinstance(others, across_trainings.Alone)
    loaded = {} if alone else {other.name: load_classifier(other, tta="none") for other in others}
    image = synthetic.faces(1, size=48, seed=0).images[0]
    found = {}
    for method in methods:
        started, clock = time.process_time(), time.perf_counter()
        map_ = saliency.explain(classifier, image[None], CLASS, method)
        again = faithfulness.once_more(map_)
        maps = {name: again(twins.taking_turns(other, classifier), image[None]) for name, other in loaded.items()}
        trainings = others if alone else across_trainings.compare(map_, maps)
        trust = faithfulness.trust(classifier, image, map_, again, trainings)
        told = [[one.name, one.outcome, one.value] for one in faithfulness.verdicts(trust)]
        seconds = {"cpu_seconds": time.process_time() - started, "wall_seconds": time.perf_counter() - clock}
        found[method] = seconds | {"verdicts": told}
        print(f"{method}: {found[method]['cpu_seconds']:.1f} s", file=sys.stderr, flush=True)
    return found


def in_own_process(model: str, methods: list[str]) -> dict:
    """:func:`checked` from cold caches."""
    command = [sys.executable, __file__, "--model", model, "--methods", *methods, "--only-check"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def total(found: dict, unit: str) -> float:
    return sum(one[unit] for one in found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--methods", nargs="+", default=list(saliency.METHODS), choices=list(saliency.METHODS))
    parser.add_argument("--only-check", action="store_true", help="check in this process and print, as the others do")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--output", type=Path, default=PROJECT / "benchmarks" / "results" / "checks.json")
    args = parser.parse_args()
    run = stored_run(args.model)
    if run is None:
        raise SystemExit(f"No run of {args.model} on fer2013 has weights here.")
    if args.only_check:
        print(json.dumps(checked(args.model, args.methods)))
        return
    together = in_own_process(args.model, args.methods)
    alone: dict[str, dict] = {}
    for method in args.methods:
        alone |= in_own_process(args.model, [method])
    units = {
        unit: {"together": total(together, unit), "alone": total(alone, unit)}
        for unit in ("cpu_seconds", "wall_seconds")
    }
    compared = units | {"ratio": units["cpu_seconds"]["alone"] / units["cpu_seconds"]["together"]}
    differ = [name for name in args.methods if together[name]["verdicts"] != alone[name]["verdicts"]]
    compared["differing_verdicts"] = differ
    conditions = {"model": args.model, "weights": run.name, "face": "drawn, 48 x 48", "class": CLASS}
    conditions |= artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}
    per_method = {
        name: {"cpu_seconds": {"together": together[name]["cpu_seconds"], "alone": alone[name]["cpu_seconds"]}}
        for name in args.methods
    }
    goals = judge(GOALS, {"checks": compared})
    result = {"conditions": conditions, "goals": goals, "checks": compared, "methods": per_method}
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    if differ:
        raise SystemExit(f"The checks together say something else than alone: {', '.join(differ)}.")
    raise SystemExit(missed(goals) or 0)


if __name__ == "__main__":
    main()
