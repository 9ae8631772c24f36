"""The Training page without a browser: what it offers, starts, shows and refuses."""

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from fer_core import artifacts, datasets, jobs, machine
from fer_core.charts import training as charts
from fer_core.models.specs import spec
from fer_core.predictions import Predictions
from fer_core.training import sweep_export, sweep_trials, sweeps, unfinished
from fer_core.training.config import config_of_entry

PROJECT = Path(__file__).resolve().parent.parent
HISTORY = pd.DataFrame(
    {"epoch": [1, 2], "loss": [2.0, 1.5], "accuracy": [0.2, 0.4], "val_loss": [2.1, 1.6], "val_accuracy": [0.1, 0.3]}
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    nowhere = property(lambda manager: Path(manager.main_script_path).parent / "nowhere")
    monkeypatch.setattr(PagesManager, "main_script_parent", nowhere)  # see tests/test_pages.py
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.delenv("FER_MAX_TRAININGS", raising=False)
    yield tmp_path
    for job in jobs.live_jobs():
        jobs.stop(job, grace_s=1)


@pytest.fixture
def busy(folder):
    """Something trains already: this process holds the lock of an unfinished training."""
    work = folder / "data" / "work" / "drawn-wide-s0"
    work.mkdir(parents=True)
    with open(work / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_page(**query):
    app = AppTest.from_file(str(PROJECT / "Home.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page("pages/training.py")
    app.run()
    assert not app.exception, app.exception
    return app


def text(app):
    kinds = (app.markdown, app.caption, app.code, app.info, app.success, app.warning, app.error)
    return "\n".join(str(element.value) for elements in kinds for element in elements)


def button(app, label):
    return next(found for found in app.button if found.label == label)


def labels(app):
    return [found.label for found in app.button]


def write_job(name, state, **fields):
    """The files of a job as its process would have left them."""
    path = jobs.jobs_dir() / name
    path.mkdir(parents=True)
    record = {"model": "compact", "dataset": "drawn", "settings": {}, "command": ["train", "compact", "drawn"]}
    record |= {"created": "2026-01-31T12:00:00", "started": time.time() - 90, "pid": 1, "process": "gone"}
    record |= {"stopped": state == "stopped"} | fields
    (path / "job.json").write_text(json.dumps(record), encoding="utf-8")
    shown = {"epoch": 2, "epochs": 4, "step": 10, "steps": 10, "logs": {"val_accuracy": 0.3}, "time_left_s": 150.0}
    shown |= {"steps_done": 20, "steps_total": 40, "at_most": True}
    (path / "progress.json").write_text(json.dumps(shown), encoding="utf-8")
    if state == "finished":
        (path / "result.json").write_text(json.dumps({"run": write_run()}), encoding="utf-8")
    else:
        leave_unfinished()
    return path


def leave_unfinished(**settings):
    """Two epochs of ``compact`` on the drawn faces, as a training with ``settings`` leaves them."""
    config = config_of_entry(spec("compact"), settings)
    claimed = unfinished.what_is_trained("compact", "drawn", datasets.load("drawn").fingerprint, config)
    work = unfinished.folder("compact", "drawn", 0)
    work.mkdir(parents=True, exist_ok=True)
    (work / "settings.json").write_text(json.dumps(claimed), encoding="utf-8")
    HISTORY.to_csv(work / "history.csv", index=False)


def write_run():
    test = datasets.load("drawn")["test"]
    uniform = np.full((len(test), 7), 1 / 7, np.float32)
    made = {"test": Predictions(test.sample_ids, test.y_true, uniform, test.class_names)}
    record = {"model": "compact", "dataset": "drawn", "date": "2026-01-31"}
    return artifacts.write_run(record, predictions=made, history=HISTORY).name


def test_without_a_training_the_form_and_its_command_are_there(folder):
    app = open_page()
    assert app.code[0].value == "python -m fer_core train compact drawn"
    assert "Start" in labels(app) and "Queue" not in labels(app)
    assert not app.error and not app.warning


def test_systems_are_offered_by_paper_with_their_own_defaults(folder):
    app = open_page(paper="Patil", system="patil_cnn_ckplus", dataset="drawn")
    assert app.code[0].value == "python -m fer_core train patil_cnn_ckplus drawn"
    numbers = {found.label: found.value for found in app.number_input}
    assert (numbers["Epochs"], numbers["Batch size"], numbers["Learning rate"], numbers["Seed"]) == (25, 32, 0.01, 0)
    app = open_page(system="majority")
    assert [found.label for found in app.number_input] == ["Seed"]


def test_changed_settings_stand_in_the_command_and_nonsense_is_refused(folder):
    app = open_page()
    app.number_input(key="compact-epochs").set_value(3)
    app.number_input(key="compact-augmentation-erase").set_value(0.5)
    app.number_input(key="compact-augmentation-shift").set_value(0.1)
    app.selectbox(key="compact-optimizer").set_value("adam")
    app.run()
    command = app.code[0].value
    assert command.startswith("python -m fer_core train compact drawn --epochs 3 --set optimizer=adam")
    assert '"erase": 0.5' in command and '"shift": 0.1' in command
    app.number_input(key="compact-batch_size").set_value(0).run()
    assert "batch" in app.error[0].value and "Received 0" in app.error[0].value
    assert "Start" not in labels(app)


def test_a_link_opens_the_form_with_its_settings(folder):
    key = "patil_cnn_ckplus"
    changed = {"epochs": "3", "learning_rate": "0.00025", "optimizer": "sgd", "mask": "mouth", "oversample": "true"}
    changed |= {"classes": ["happy", "sad"], "arguments": '{"dense": [64]}', "augmentation-erase": "0.5"}
    address = {f"{key}-{name}": value for name, value in changed.items()}
    app = open_page(paper="Patil", system=key, dataset="drawn", **address)
    assert not app.info and not app.error
    numbers = {found.label: found.value for found in app.number_input}
    assert (numbers["Epochs"], numbers["Learning rate"], numbers["Erase"]) == (3, 0.00025, 0.5)
    told = app.code[0].value
    for words in ("--epochs 3", "--learning-rate 0.00025", "optimizer=sgd", "mask=mouth", "oversample=true", "dense"):
        assert words in told, words
    assert """classes=["happy", "sad"]""" in told and '"erase": 0.5' in told
    kept = {name: app.query_params[name] for name in address}
    assert kept == address, "Streamlit drops what belongs to no widget"


def test_numbers_of_a_link_are_checked_like_typed_ones(folder):
    for value in ("nan", "words", "0", "1e99"):
        app = open_page(**{"compact-epochs": value, "compact-learning_rate": value, "compact-batch_size": value})
        assert app.error or app.code[0].value == "python -m fer_core train compact drawn", value


def test_what_happens_to_pictures_before_training_can_be_chosen(folder):
    """Equalisation, classes, masks and faces, as the papers discuss them; SVMs take what concerns pictures."""
    app = open_page()
    app.selectbox(key="compact-equalize").set_value("clahe")
    app.multiselect(key="compact-classes").set_value(["happy", "sad"])
    app.selectbox(key="compact-mask").set_value("mouth").run()
    command = app.code[0].value
    assert "--set equalize=clahe" in command and "--set mask=mouth" in command
    assert """--set 'classes=["happy", "sad"]'""" in command and not app.error
    app = open_page(paper="Patil", system="svm_hog_rbf", dataset="drawn")
    app.toggle(key="svm_hog_rbf-oversample").set_value(True).run()
    assert app.code[0].value == "python -m fer_core train svm_hog_rbf drawn --set oversample=true"
    app.text_input(key="svm_hog_rbf-arguments").set_value('{"kernel": "poly"}').run()
    assert """oversample=true --set 'arguments={"kernel": "poly"}'""" in app.code[0].value
    app.text_input(key="svm_hog_rbf-arguments").set_value("poly").run()
    assert "Arguments must be a JSON object. Received poly" in app.error[0].value


@pytest.mark.parametrize(
    ("system", "typed", "said"),
    [
        ("svm_hog_rbf", '{"C": -1}', "The argument C must be a number above 0. Received -1"),
        ("svm_hog_rbf", '{"colour": 1}', "There is no argument colour"),
        ("patil_cnn", '{"dropout": 1}', "The argument dropout of patil_cnn must be"),
        ("patil_cnn", '{"units": 4}', "patil_cnn has no argument units"),
    ],
)
def test_arguments_that_cannot_be_trained_with_are_refused_before_a_training_starts(folder, system, typed, said):
    app = open_page(paper="Patil", system=system, dataset="drawn", **{f"{system}-arguments": typed})
    assert said in app.error[0].value.replace("\\", "")
    assert "Start" not in [one.label for one in app.button] and not app.code


@pytest.mark.slow
def test_a_training_that_would_not_fit_is_refused_and_can_be_queued_stopped_and_resumed(busy):
    app = open_page(system="majority")
    assert "drawn-wide-s0" in text(app)
    button(app, "Start").click().run()
    assert "There is no room for another training" in app.error[0].value
    assert not jobs.list_jobs()[0]
    button(app, "Queue").click().run()
    (job,) = jobs.live_jobs()
    assert app.query_params["job"] == [job.id] or app.query_params["job"] == job.id
    assert "Waits for another training" in text(app)
    button(app, "Stop training").click().run()
    assert jobs.read(job.id).state == "stopped"
    button(app, "Resume training").click().run()
    assert "There is no room" in app.error[0].value


def test_a_refusal_is_told_until_something_changes(busy):
    """The training that is watched draws the page anew at each epoch."""
    app = open_page(system="majority")
    button(app, "Start").click().run()
    for _ in range(2):
        assert "There is no room for another training" in app.error[0].value
        app.run()
    next(box for box in app.number_input if box.label == "Seed").set_value(1).run()
    assert not app.error


@pytest.fixture
def process():
    """A process that stands for a training: its number, and what tells it from others."""
    sleeping = subprocess.Popen(["sleep", "120"], start_new_session=True)
    yield {"pid": sleeping.pid, "process": machine.process_identity(sleeping.pid)}
    sleeping.kill()
    sleeping.wait()


def test_a_training_that_runs_tells_how_far_it_is(folder, process):
    write_job("20260131-120000-compact", "running", **process)
    app = open_page()
    assert app.get("progress")[0].proto.text == "Epoch 2 of 4, at most 2 min left", "patience may end it"
    path = write_job("20260201-120000-svm_hog_rbf", "running", model="svm_hog_rbf", **process)
    stage = {"what": "calibration, fold 2 of 3", "stage": 4, "stages": 8, "logs": {}, "epochs": 1, "time_left_s": None}
    stage |= {"steps_done": 0, "steps_total": 0}
    (path / "progress.json").write_text(json.dumps(stage), encoding="utf-8")
    bar = app.run().get("progress")[0].proto
    assert bar.text.startswith("Stage 4 of 8: calibration, fold 2 of 3, ") and bar.text.endswith(" so far")
    assert bar.value == 37, "three of eight stages"
    stage |= {"what": "answers to train pictures", "steps_done": 14000, "steps_total": 28709, "time_left_s": 30.0}
    (path / "progress.json").write_text(json.dumps(stage), encoding="utf-8")
    said = app.run().get("progress")[0].proto.text
    assert said == "Stage 4 of 8: answers to train pictures: 14,000 of 28,709, 30 s left of this stage"


def test_a_press_at_the_end_of_an_epoch_is_not_lost(folder, process):
    path = write_job("20260131-120000-compact", "running", **process)
    app = open_page()
    shown = json.loads((path / "progress.json").read_text(encoding="utf-8"))
    (path / "progress.json").write_text(json.dumps(shown | {"epoch": 3}), encoding="utf-8")
    button(app, "Start").click().run()
    assert "compact with seed 0 is being trained on drawn already." in app.error[0].value


def test_an_unfinished_training_is_shown_with_its_curve(folder):
    write_job("20260131-120000-compact", "stopped")
    app = open_page()
    assert "Epoch 2 of 4" in app.get("progress")[0].proto.text
    assert app.get("plotly_chart")
    assert "Resume training" in labels(app) and "Stop training" not in labels(app)
    assert "2 epochs behind it and will go on" in text(app) and not button(app, "Start").disabled
    table = app.dataframe[0].value
    assert table[["model", "state", "epoch", "val_accuracy"]].values.tolist() == [["compact", "stopped", 2, 0.3]]


def test_a_stopped_training_says_which_epochs_are_kept(folder):
    """An accelerator does not write its state after each of them, so it had got further than that."""
    path = write_job("20260131-120000-compact", "stopped")
    shown = json.loads((path / "progress.json").read_text())
    (path / "progress.json").write_text(json.dumps(shown | {"epoch": 4}), encoding="utf-8")
    app = open_page()
    assert "Epoch 4 of 4" in app.get("progress")[0].proto.text
    assert "2 finished epochs are kept; resumed, it goes on with epoch 3." in text(app)
    work = unfinished.folder("compact", "drawn", 0)
    HISTORY[:1].to_csv(work / "history.csv", index=False)
    assert "1 finished epoch is kept; resumed, it goes on with epoch 2." in text(app.run())
    (work / "history.csv").unlink()
    assert " kept; " not in text(app.run())


def test_an_unfinished_training_with_other_settings_must_be_discarded_first(folder):
    leave_unfinished(epochs=4, sizes=[[32, 4]])
    app = open_page()
    assert "with other settings: epochs 4 instead of 40, sizes [[32, 4]] instead of" in app.warning[0].value
    assert "will go on" not in text(app) and button(app, "Start").disabled
    app.toggle(key="fresh-compact-drawn-0").set_value(True).run()
    assert not button(app, "Start").disabled and app.code[0].value.endswith("compact drawn --fresh")


def test_one_that_was_refused_before_its_first_epoch_is_nothing_unfinished(folder):
    leave_unfinished(epochs=4, classes=["happi"])
    (unfinished.folder("compact", "drawn", 0) / "history.csv").unlink()
    app = open_page()
    assert not app.warning and not button(app, "Start").disabled and "An unfinished training" not in text(app)


def test_a_finished_training_names_its_run(folder):
    write_job("20260131-120000-compact", "finished")
    app = open_page()
    assert "drawn-compact-s0-20260131" in app.success[0].value
    assert app.get("plotly_chart")
    link = app.get("page_link")[0].proto
    assert link.label == "Open on Models" and "drawn-compact-s0-20260131" in str(link)


def test_a_failed_training_says_why_and_damaged_ones_are_named(folder):
    path = write_job("20260131-120000-compact", "failed")
    (path / "log.txt").write_text("Error: The loss became nan.\nLower the learning rate.\n", encoding="utf-8")
    broken = jobs.jobs_dir() / "20260201-000000-compact"
    broken.mkdir()
    (broken / "job.json").write_text("{", encoding="utf-8")
    app = open_page()
    assert "The loss became nan. Lower the learning rate." in app.error[0].value
    assert "20260201-000000-compact" in app.warning[0].value.replace("\\", "")


def test_the_job_in_the_address_is_the_one_shown(folder):
    write_job("20260131-120000-compact", "stopped")
    write_job("20260201-120000-other", "failed", settings={"seed": 3})
    assert "seed 3" in text(open_page())
    assert "seed 0" in text(open_page(job="20260131-120000-compact"))
    assert "seed 3" in text(open_page(job="no-such-job"))


@pytest.mark.slow
def test_the_page_does_without_tensorflow(folder):
    write_job("20260131-120000-compact", "stopped")
    code = (
        "import sys\nfrom streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('pages/training.py', default_timeout=120).run()\n"
        "assert not app.exception\n"
        "bad = {'tensorflow', 'keras', 'optuna'} & set(sys.modules)\n"
        "sys.exit(f'imports {bad}' if bad else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]


def export_sweep():
    """Three finished trials as ``sweep_export.export`` writes them; the second is the best."""
    frame = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "complete", "complete", "fail"],
            "learning_rate": [0.1, 0.01, 0.001, 0.1],
            "batch_size": [64, 128, 64, 128],
            "train_accuracy": [0.9, 0.8, 0.5, None],
            "val_accuracy": [0.5, 0.6, 0.45, None],
            "discrepancy": [0.4, 0.2, 0.05, None],
            "train_loss": [0.1, 0.2, 1.0, None],
            "val_loss": [1.5, 1.1, 1.4, None],
            "seconds": [10.0, 11.0, 12.0, None],
            "epochs": [2, 2, 2, None],
            "started": "2026-01-31T12:00:00",
        }
    )
    parameters = {
        "learning_rate": {"choices": [], "low": 0.001, "high": 0.1, "log": True, "integer": False},
        "batch_size": {"choices": [64, 128], "low": 0.0, "high": 0.0, "log": False, "integer": False},
    }
    record = {"name": "try", "model": "compact", "dataset": "drawn", "fingerprint": "f", "space": parameters}
    record |= {"settings": {"epochs": 2}, "sampler": "tpe", "best_trial": 1, "states": {"complete": 3, "fail": 1}}
    folder = artifacts.root() / "sweeps"
    folder.mkdir(parents=True)
    frame.to_csv(folder / "try.csv", index=False)
    (folder / "try.json").write_text(json.dumps(record), encoding="utf-8")
    return frame, record


def test_without_sweeps_the_page_says_how_to_get_one(folder):
    app = open_page(view="Sweeps")
    assert "No sweep yet" in text(app)
    assert "python -m fer_core sweep run compact" in app.code[0].value


def test_a_sweep_is_shown_with_its_best_trial(folder):
    export_sweep()
    app = open_page(view="Sweeps")
    said = text(app)
    assert "trial 1 with **60.0 %** on val (train 80.0 %)" in said
    assert "3 complete, 1 fail" in said
    assert app.code[0].value == "python -m fer_core train compact drawn --epochs 2 --learning-rate 0.01"
    assert len(app.get("plotly_chart")) == 2


def test_a_sweep_of_this_machine_is_not_hidden_by_an_exported_one_of_its_name(folder):
    export_sweep()
    rates = {"learning_rate": sweeps.Parameter(low=1e-3, high=1e-1, log=True)}
    sweeps.open_sweep(sweeps.Sweep("try", "wide", "drawn", "f", rates, 4, sampler="random"))
    app = open_page(view="Sweeps")
    assert app.selectbox(key="sweep").options == ["try (on this machine)", "try"]
    assert "No trial of wide on drawn is complete yet" in text(app)
    app.selectbox(key="sweep").set_value("try").run()
    assert "trial 1 with **60.0 %** on val" in text(app)


def test_a_sweep_of_this_machine_is_shown_as_it_goes_on(folder):
    rates = {"learning_rate": sweeps.Parameter(low=1e-3, high=1e-1, log=True)}
    sweeps.open_sweep(sweeps.Sweep("live", "compact", "drawn", "f", rates, 4, sampler="random"))
    study = sweep_trials._study(sweeps.read("live"))
    trial, lock = sweep_trials._claim(study, sweeps.read("live"))
    app = open_page(view="Sweeps")
    assert "No trial of compact on drawn is complete yet" in text(app)
    result = dict.fromkeys(sweeps.RESULTS, 0.25) | {"epochs": 2}
    trial.set_user_attr("result", result)
    study.tell(trial, 0.25)
    lock.close()
    said = text(app.run())
    assert "trial 0 with **25.0 %** on val" in said and "1 complete" in said
    assert app.code[-1].value == "python -m fer_core sweep export live"


def test_the_best_trials_settings_are_its_own_and_the_sweeps(folder):
    frame, record = export_sweep()
    number, model, settings = sweep_export.best_settings(frame, record)
    assert (number, model) == (1, "compact")
    assert settings == {"epochs": 2, "learning_rate": 0.01}, "batch size 128 is the recipe's; sizes follow the epochs"
    assert [type(value) for value in settings.values()] == [int, float]


def test_sweep_figures_show_complete_trials_only(folder):
    frame, record = export_sweep()
    lines = charts.sweep_lines(frame, record["space"]).data[0]
    by_label = {axis.label: axis for axis in lines.dimensions}
    np.testing.assert_allclose(by_label["learning_rate"]["values"], [-1, -2, -3])
    assert by_label["learning_rate"].ticktext == ("0.001", "0.01", "0.1")
    assert list(by_label["batch_size"]["values"]) == [0, 1, 0]
    assert by_label["batch_size"].ticktext == ("64", "128")
    assert list(by_label["val accuracy"]["values"]) == [0.5, 0.6, 0.45]
    points, ring = charts.sweep_scatter(frame, list(record["space"]), best=1).data
    assert list(zip(points.x, points.y, strict=True)) == [(0.5, 0.4), (0.6, 0.2), (0.45, 0.05)]
    assert (list(ring.x), list(ring.y)) == ([0.6], [0.2])
    assert points.text[1] == "trial 1<br>learning_rate 0.01<br>batch_size 128"
