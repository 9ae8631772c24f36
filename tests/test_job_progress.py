"""What a training tells of its progress: how far it is, how long the rest takes, in words."""

import json
from types import SimpleNamespace

import pytest

from fer_core import jobs
from fer_core.models.specs import spec
from fer_core.reporting import Reporter, duration_text, left_text
from fer_core.training.config import config_of_entry
from fer_core.training.task import staged


def at(epoch, step, logs=None, epochs=4, steps=10):
    return SimpleNamespace(epoch=epoch, epochs=epochs, step=step, steps=steps, logs=logs or {})


def record(path):
    return json.loads((path / "progress.json").read_text(encoding="utf-8"))


def test_time_left_counts_the_cost_of_each_epoch(tmp_path):
    now = SimpleNamespace(s=100.0)
    reporter = Reporter(tmp_path, costs=[1, 1, 4, 4], clock=lambda: now.s)
    reporter(at(1, 1))
    assert record(tmp_path)["time_left_s"] is None
    now.s = 108.0
    reporter(at(1, 5))  # 4 steps in 8 s: 20 s for an epoch of cost 1; left: half of it, then 1 + 4 + 4
    assert record(tmp_path)["seconds_per_epoch"] == pytest.approx(20)
    assert record(tmp_path)["time_left_s"] == pytest.approx(20 * 9.5)
    now.s = 130.0
    reporter(at(3, 5, {"epoch": 2, "seconds": 30.0}))  # a whole epoch of cost 1 took 30 s; left: half of 4, then 4
    assert record(tmp_path)["seconds_per_epoch"] == pytest.approx(120)
    assert record(tmp_path)["time_left_s"] == pytest.approx(30 * 6)
    assert (record(tmp_path)["steps_done"], record(tmp_path)["steps_total"]) == (25, 40)


def test_time_left_is_at_most_that_where_patience_may_end_it(tmp_path):
    from fer_core.commands.train import _report

    for settings, text in (({"patience": 3}, "at most 9 s left"), ({"patience": 0}, "9 s left")):
        with _report(str(tmp_path), "patil_cnn", config_of_entry(spec("patil_cnn"), settings | {"epochs": 4})) as told:
            assert left_text(record(tmp_path)) == ""
            told(at(1, 10, {"epoch": 1, "seconds": 3.0}))
        assert left_text(record(tmp_path)) == text
    assert left_text({"what": "answers", "time_left_s": 5.0}) == "5 s left of this stage"


def test_progress_is_written_twice_a_second_at_most_and_the_last_one_always(tmp_path):
    now = SimpleNamespace(s=0.0)
    reporter = Reporter(tmp_path, clock=lambda: now.s)
    seen = []
    for tick in range(31):  # ten steps a second
        now.s = tick / 10
        reporter(at(1, tick + 1, steps=100))
        seen.append(record(tmp_path)["step"])
    assert sorted(set(seen)) == [1, 6, 11, 16, 21, 26, 31]
    now.s = 3.1
    reporter(at(1, 32, steps=100))
    assert record(tmp_path)["step"] == 31
    now.s = 3.6
    reporter.close()
    assert record(tmp_path)["step"] == 32


def test_progress_before_the_first_epoch_says_what_is_done(tmp_path):
    reporter = Reporter(tmp_path, clock=lambda: 0.0)
    reporter(SimpleNamespace(epoch=1, epochs=4, step=30, steps=120, logs={}, what="features"))
    job = jobs.Job(tmp_path, "compact", "drawn", {}, (), "")
    assert jobs.progress(job)["what"] == "features"
    assert jobs.progress(job)["share"] == 0.25


def test_what_is_done_besides_epochs_is_told_at_once_with_its_time_left(tmp_path):
    now = SimpleNamespace(s=0.0)
    reporter = Reporter(tmp_path, clock=lambda: now.s)
    reporter(at(4, 10))
    now.s = 0.1
    last = {"epoch": 4, "val_accuracy": 0.5}
    reporter(SimpleNamespace(epoch=4, epochs=4, step=0, steps=100, logs=last, what="answers"))
    assert record(tmp_path)["what"] == "answers" and record(tmp_path)["time_left_s"] is None
    assert record(tmp_path)["logs"] == last and record(tmp_path)["epoch"] == 4
    now.s = 8.1
    reporter(SimpleNamespace(epoch=4, epochs=4, step=40, steps=100, logs=last, what="answers"))
    assert record(tmp_path)["time_left_s"] == pytest.approx(12)  # 40 in 8 s, and 60 are left
    now.s = 8.2
    reporter(SimpleNamespace(epoch=1, epochs=1, step=0, steps=0, logs={}, what="fitting"))
    job = jobs.Job(tmp_path, "compact", "drawn", {}, (), "")
    assert jobs.progress(job)["what"] == "fitting" and "share" not in jobs.progress(job)


def test_a_training_without_epochs_is_as_far_as_its_stages(tmp_path):
    reporter = Reporter(tmp_path, clock=lambda: 0.0)
    job = jobs.Job(tmp_path, "svm_hog_rbf", "drawn", {}, (), "")
    tell = staged(["features", "fitting", "answers", "more answers"], reporter)
    shares = []
    for stage, done, total in (("features", 0, 8), ("fitting", 0, 0), ("answers", 0, 8), ("more answers", 8, 8)):
        tell(stage, done, total)
        shares.append(jobs.progress(job)["share"])
    assert shares == [0, 0.25, 0.5, 1]
    reporter.close()
    tell("answers", 6, 8)
    shown = jobs.progress(job)
    assert shown["share"] == (2 + 6 / 8) / 4 and (shown["stage"], shown["stages"]) == (3, 4)
    assert (shown["what"], shown["steps_done"], shown["steps_total"]) == ("answers", 6, 8)


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.2, "3 s"), (150, "2 min"), (5400, "1 h 30 min"), (86400, "24 h 0 min")]
)
def test_durations_as_people_say_them(seconds, text):
    assert duration_text(seconds) == text
