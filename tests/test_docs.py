"""README tells the truth: its numbers are the stored ones, and every page, picture and file it shows is there."""

import json
import re
from collections.abc import Iterator

import pytest

from fer_core import artifacts
from fer_core.models.specs import spec
from fer_core.training import recipes
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
RESULTS = {
    path.name: json.loads(path.read_text("utf-8")) for path in (PROJECT / "benchmarks" / "results").glob("*.json")
}
# What the README says was measured -> file and entry of its ratio.
MEASURED = {
    "Grad-CAM": ("explain.json", "grad_cam"),
    "SmoothGrad": ("explain.json", "smoothgrad"),
    "an occlusion map": ("explain.json", "occlusion_map"),
    "the Shapley values": ("explain.json", "shapley"),
    "HOG with an RBF kernel a map": ("estimators.json", "map"),
}
LEAST = {"grad_cam": 10, "smoothgrad": 5, "occlusion_map": 20, "shapley": 20}


def results_table() -> str:
    """The table that README shows of the committed runs on fer2013, best on val first.

    A star marks those that were not trained by their model's recipe; "from" tells of initial weights already.
    """
    runs, problems = artifacts.list_runs(PROJECT / "artifacts")
    assert not problems
    runs = [run for run in runs if run.dataset == "fer2013"]
    rows = [
        "| model | from | parameters | val | test | test_clean | macro F1 (test) |",
        "|---|---|---:|---:|---|---:|---:|",
    ]
    for run in sorted(runs, key=lambda run: -run.metrics("val")["accuracy"]):
        test = run.metrics("test")
        low, high = (f"{100 * edge:.1f}" for edge in test["intervals"]["accuracy"])
        accuracy = {split: f"{100 * run.metrics(split)['accuracy']:.1f}" for split in ("val", "test", "test_clean")}
        count = f"{run.run['param_count']:,}" if run.run["param_count"] else "-"
        start = run.run.get("initial_weights") or "-"
        mark = f", seed {run.run['seed']}" if run.run["seed"] else ""
        mark += f", measured with {run.altered}" if run.altered else ""
        mark += " *" if recipes.told_of_run(run.run) not in ("", recipes.ONLY_WEIGHTS) else ""
        cells = [f"`{run.model}`: {title_of(run)}{mark}", start, count, f"{accuracy['val']} %"]
        cells += [f"**{accuracy['test']} %** [{low}, {high}]", f"{accuracy['test_clean']} %", f"{test['macro_f1']:.3f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def title_of(run) -> str:
    if run.model != artifacts.ENSEMBLE:
        return spec(run.model)["title"]
    members = [f"{member['model']} {100 * member['weight']:.0f} %" for member in run.run["config"]["members"]]
    return f"{', '.join(members)}, {run.run['config']['weights']}"


def test_results_are_the_stored_ones():
    shown = re.search(r"<!-- results:.*?-->\n(.*?)\n<!-- end of results -->", README, re.DOTALL)
    assert shown and shown.group(1).strip() == results_table()
    assert re.search(r"\| `patil_cnn`: [^|]+ \* \|", results_table()), "16 passes instead of 25, and more"
    assert not re.search(r"\| `compact`: [^|]+ \* \|", results_table())
    assert re.search(r"\| `resnet50_plain`: [^|*]+ \| random \|", results_table()), "the printed settings at 128 pixels"
    assert "A star: " in README
    assert "measured with mouth hidden" in results_table()


@pytest.mark.parametrize("page", sorted(path.stem for path in (PROJECT / "pages").glob("*.py")))
def test_page_is_shown(page):
    assert f"docs/screenshots/{page}.png" in README


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_linked_file_exists(target):
    assert (PROJECT / target).is_file()


def of_the_time(text: str) -> dict[str, int]:
    """Of each 1/N in ``text``, what took it: the words between it and the one before, and N."""
    parts = re.split(r"\b1/(\d+)", " ".join(text.split()))
    return {words: int(n) for words, n in zip(parts[::2], parts[1::2], strict=False)}


@pytest.mark.parametrize("what", MEASURED)
def test_speed_is_the_measured_one(what):
    file, entry = MEASURED[what]
    (told,) = [n for words, n in of_the_time(README).items() if what in words[-120:]]
    assert told == round(RESULTS[file][entry]["ratio"])
    assert f"benchmarks/results/{file}" in README


def test_gains_beside_plain_libraries_are_the_measured_ones():
    words = " ".join(README.split())
    step = RESULTS["onednn.json"]["vgg16"]["training step of 64 faces"]["ratio"]
    assert f"a training step of `vgg16` is {step:.1f} times as fast" in words
    ratios = [page["ratio"] for page in RESULTS["reruns.json"]["pages"].values()]
    assert f"is free again {min(ratios):.1f} to {max(ratios):.1f} times as soon" in words


def test_every_speed_is_held_against_a_measurement():
    assert len(of_the_time(README)) == len(MEASURED)


def verdicts(found, where="") -> Iterator[tuple[str, bool]]:
    """Every ``met`` of a file of results."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from [(where, value)] if name == "met" else verdicts(value, f"{where}/{name}")


@pytest.mark.parametrize("file", RESULTS)
def test_every_goal_is_met(file):
    assert [where for where, met in verdicts(RESULTS[file], file) if not met] == []


def test_goals_of_explanations_are_judged_by_their_ratios():
    found = RESULTS["explain.json"]
    for name, least in LEAST.items():
        goal = found["goals"][name]
        assert goal["goal"] == least <= goal["ratio"] == found[name]["ratio"]
    memory = found["goals"]["memory"]
    assert memory["grown_kib"] <= memory["most_kib"] and found["memory"]["calls"] >= 200
