"""What the benchmarks share: who is timed on what, and whether a goal is met. No benchmark runs here."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fer_core.explain import part_numbers
from pages.ui import state

PROJECT = Path(__file__).resolve().parent.parent


def load(name):
    spec = importlib.util.spec_from_file_location(name, PROJECT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def timing():
    return load("timing")


def test_views_are_timed_with_as_many_models_as_the_pages_open_with(monkeypatch):
    record = {"dataset": "tiny", "split": "test", "fill": "zero"}
    monkeypatch.setattr(state, "MOST_STUDIED", 2)
    titles = [title for title, _ in load("study_page").part_views([record] * 3)]
    start = "parts hidden, tiny test zero, 2 of 3 models"
    assert titles == [start, f"{start}: calibration"]


def test_what_is_computed_on_demand_is_timed_too():
    """What an address asks for must be what the page calls it: another value would time the default."""
    bench = load("study_page")
    record = {"dataset": "tiny", "split": "test", "fill": "zero"}
    for views in (bench.mask_views, bench.part_views):
        (asked,) = [query["part-measure"] for title, query in views([record]) if title.endswith("calibration")]
        assert asked in {part_numbers.MEASURES[name] for name in part_numbers.OVER_ALL}
    records = [{"method": method} for method in ("lime", "grad_cam", "lime")]
    compared = [query for title, query in bench.saliency_views(records) if query.get("study-methods") == "true"]
    assert [query["study-show"] for query in compared] == ["Agreement with FACS"]  # once, not for each method
    assert not any("study-methods" in query for _, query in bench.saliency_views(records[:1]))


def test_both_ways_do_the_same_pictures_and_are_compared_on_all_of_them(timing):
    asked = {"ours": [], "theirs": []}

    def way(name, last):
        def answer(n):
            asked[name].append(n)
            return np.array([1.0, 2.0, 3.0, last])[:n, None]

        return answer

    found = timing.compare(way("ours", 4.0), way("theirs", 5.0), 4, 4, rounds=2)
    assert asked["ours"][-2:] == asked["theirs"][-2:] == [4, 4]
    assert found["pictures"] == {"ours": 4, "theirs": 4}
    assert found["largest_difference"] == pytest.approx(0.2)  # of the last picture: 1 of 5
    assert len(found["ratio_of_each_round"]) == 2
    fewer = timing.compare(way("ours", 4.0), way("theirs", 5.0), 4, 3, rounds=1)
    assert fewer["largest_difference"] == 0  # the last one is not of both


def test_a_missed_goal_is_stored_and_said(timing):
    judged = timing.judge({"a": 10, "b": 5, "c": 2}, {"a": {"ratio": 9.96}, "b": {"ratio": 5.0}, "c": {"ratio": 31.2}})
    assert {name: one["met"] for name, one in judged.items()} == {"a": False, "b": True, "c": True}
    assert judged["a"] == {"goal": 10, "ratio": 9.96, "met": False}
    assert timing.missed(judged) == "Goals missed: a 9.96 times as fast, not 10."
    assert timing.missed({"b": judged["b"]}) == ""


@pytest.mark.parametrize(("grown", "met"), [(-3, True), (16384, True), (16385, False)])
def test_memory_that_grows_misses_its_goal(timing, grown, met):
    judged = {"a": {"goal": 10, "ratio": 12.0, "met": True}, "memory": timing.judge_growth(16384, grown)}
    assert judged["memory"]["met"] == met
    assert timing.missed(judged) == ("" if met else "Goals missed: memory 16,385 KiB more, not 16,384 at most.")
