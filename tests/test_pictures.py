"""Files to rows: what `predict` and the Home page share, and the command itself."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from fer_core import artifacts, pictures
from fer_core.charts import faces as charts
from fer_core.commands import predict as predict_command
from fer_core.commands.output import check_writable
from fer_core.errors import ConfigError, ImageError, ModelError
from fer_core.faces import SMALL, Face, FaceCrop
from fer_core.labels import CLASS_NAMES
from fer_core.models import registry
from fer_core.predictions import Predictions
from tests.bad_files import bad_files, gradient, write_files

FACE = Face(
    (10, 20, 30, 40), 0.9, dict.fromkeys(("left_eye", "right_eye", "nose", "mouth_left", "mouth_right"), (1, 2))
)


class FromBrightness:
    """The class is the mean grey, in seven steps; its probability is 0.7."""

    class_names = CLASS_NAMES

    def predict_proba(self, images):
        classes = images.reshape(len(images), -1).mean(axis=1).astype(int) * 7 // 256
        return (0.05 + 0.65 * np.eye(7)[classes]).astype(np.float32)


def grey(value: int, side: int = 48) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two small face crops in folders, and artifacts with two runs: the one that is better on val has no weights."""
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.setattr(registry, "load_classifier", lambda run: FromBrightness())
    below = tmp_path / "pictures" / "below"
    below.mkdir(parents=True)
    Image.fromarray(grey(10)).save(tmp_path / "pictures" / "dark.png")
    Image.fromarray(grey(250)).save(below / "bright.jpg")
    (below / "notes.txt").write_text("no picture")
    (below / ".hidden.png").write_bytes(b"")
    weights = tmp_path / "weights.npz"
    np.savez(weights, nothing=np.zeros(1))
    ids, truth = np.array([f"v{i}" for i in range(14)]), np.arange(14) % 7
    for model, right, shipped in (("best", 14, None), ("good", 12, weights), ("poor", 7, weights)):
        shown = np.where(np.arange(14) < right, truth, (truth + 1) % 7)
        val = Predictions(ids, truth, 0.05 + 0.65 * np.eye(7)[shown], CLASS_NAMES)
        record = {"model": model, "dataset": "toy", "seed": 0, "date": "2026-01-01", "class_names": list(CLASS_NAMES)}
        artifacts.write_run(record, predictions={"val": val}, weights=shipped)
    return tmp_path


@pytest.fixture
def run(folder):
    app = typer.Typer()
    app.command()(predict_command.predict)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_default_is_the_best_on_val_that_has_weights(folder):
    runs, _ = artifacts.list_runs()
    assert [run.model for run in pictures.usable_runs(runs)] == ["good", "poor"]
    assert pictures.default_run(runs).model == "good"
    with pytest.raises(ModelError, match="fer_core train"):
        pictures.default_run([run for run in runs if run.model == "best"])


def test_a_run_on_drawn_faces_does_not_take_over(folder):
    ids, truth = np.array([f"v{i}" for i in range(14)]), np.arange(14) % 7
    perfect = Predictions(ids, truth, 0.05 + 0.65 * np.eye(7)[truth], CLASS_NAMES)
    record = {"model": "easy", "dataset": "drawn", "date": "2026-01-01", "class_names": list(CLASS_NAMES)}
    artifacts.write_run(record, predictions={"val": perfect}, weights=folder / "weights.npz")
    runs, _ = artifacts.list_runs()
    assert [run.model for run in pictures.usable_runs(runs)] == ["good", "poor", "easy"]
    assert pictures.default_run(runs).model == "good"


def test_folders_are_searched_and_files_taken_as_they_are(folder):
    odd = folder / "pictures" / "below" / "notes.txt"
    files, problems = pictures.expand([folder / "pictures", odd, odd, folder / "missing.png"])
    assert [file.name for file in files] == ["bright.jpg", "dark.png", "notes.txt", "missing.png"]
    assert not problems
    (folder / "empty").mkdir()
    files, ((path, error),) = pictures.expand([folder / "empty"])
    assert (files, path.name, isinstance(error, ImageError)) == ([], "empty", True)


def test_a_path_that_cannot_even_be_looked_up_is_left_to_reading(folder):
    unheard = folder / ("x" * 300)  # Path.is_dir raises on it, as below a folder that may not be entered
    files, problems = pictures.expand([folder / "pictures", unheard])
    assert [file.name for file in files] == ["bright.jpg", "dark.png", unheard.name] and not problems
    with pytest.raises(ConfigError, match="cannot be written"):
        check_writable(unheard)


def test_names_stand_in_the_table_as_they_are():
    names = ["holiday [old]/a.jpg", "a [x/b [/c].jpg", "[red]b.jpg"]
    probabilities = np.full((1, 7), 1 / 7, np.float32)
    crops = (FaceCrop(1, grey(10), FACE),)
    results = [pictures.PictureResult(name, (9, 9), crops, probabilities, CLASS_NAMES) for name in names]
    table = predict_command._text(results, "run", predict_command.Format.table)
    assert all(name in table for name in names)


def test_a_file_that_is_no_utf8_in_name_is_classified_and_written_with_escapes(run, folder):
    odd, content = folder / "pictures" / os.fsdecode(b"caf\xe9.png"), (folder / "pictures" / "dark.png").read_bytes()
    try:
        odd.write_bytes(content)
    except OSError:
        pytest.skip("This file system takes no such name.")
    for form in ("csv", "json"):
        target = folder / f"faces.{form}"
        target.write_text("old")
        result = run(folder / "pictures", "--output", target)
        assert result.exit_code == 0, result.output
        assert "udce9.png" in target.read_text(encoding="utf-8")


def test_rows_and_records_hold_the_same():
    crops = (FaceCrop(1, grey(10), FACE), FaceCrop(2, grey(250), None, True, SMALL))
    picture = pictures.Picture("a.png", (100, 80), grey(0), crops)
    results = [pictures.classify(picture, FromBrightness()), pictures.failure("b.png", ImageError("b", "mend"))]
    frame = pictures.to_frame(results)
    assert frame["expression"].tolist() == ["angry", "neutral"]
    assert frame[["left", "top", "width", "height"]].iloc[0].tolist() == [10, 20, 30, 40]
    assert frame[["left", "score"]].iloc[1].isna().all()
    assert frame["whole"].tolist() == [False, True]
    np.testing.assert_allclose(frame[[f"p_{name}" for name in CLASS_NAMES]].sum(axis=1), 1, atol=1e-6)
    record = json.loads(json.dumps(pictures.to_records(results, "net")))
    assert record["model"] == "net"
    good, bad = record["pictures"]
    assert good["faces"][0]["box"] == [10, 20, 30, 40]
    assert good["faces"][0]["probabilities"]["angry"] == frame["p_angry"][0]
    assert bad == {"file": "b.png", "error": {"problem": "b", "remedy": "mend"}}


def test_frame_of_nothing_has_its_columns():
    frame = pictures.to_frame([])
    assert frame.empty
    assert {"file", "expression", "probability"} <= set(frame.columns)


def test_predict_writes_csv(run, folder):
    output = folder / "faces.csv"
    result = run(folder / "pictures", "--output", output)
    assert result.exit_code == 0, result.output
    frame = pd.read_csv(output)
    assert [Path(name).name for name in frame["file"]] == ["bright.jpg", "dark.png"]
    assert frame["expression"].tolist() == ["neutral", "angry"]
    assert frame["whole"].all()
    np.testing.assert_allclose(frame["probability"], 0.7, atol=1e-6)


def test_twenty_bad_files_each_get_their_message_and_the_good_one_is_classified(run, folder):
    paths = write_files(folder / "bad")
    result = run(*paths, folder / "pictures" / "dark.png", "--format", "json", "--output", folder / "out.json")
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines, strict=True):
        assert path.name in line
        assert bad_files()[path.name][1] in line
    assert f"{len(paths)} of {len(paths) + 1} could not be read" in result.stderr
    record = json.loads((folder / "out.json").read_text())
    assert record["model"].startswith("toy-good")
    assert next(picture["file"] for picture in record["pictures"] if "faces" in picture).endswith("dark.png")
    assert sum("error" in picture for picture in record["pictures"]) == len(paths)


def test_predict_prints_a_table_and_takes_a_named_model(run, folder):
    result = run(folder / "pictures" / "dark.png", "--model", "toy-poor")
    assert result.exit_code == 0, result.output
    assert "toy-poor-s0-20260101" in result.stdout
    assert "angry 70.00 %" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nonsense"], "There is no run"),
        (["--output", "faces.xlsx"], "does not say what to write"),
        (["--output", "nowhere/faces.csv"], "cannot be written"),
    ],
)
def test_predict_refuses_before_it_works(run, folder, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    result = run(folder / "pictures", *arguments)
    assert result.exit_code != 0
    assert words in str(result.exception)


def test_empty_folder_is_an_error(run, folder):
    (folder / "empty").mkdir()
    result = run(folder / "empty")
    assert result.exit_code == 1
    assert "holds no picture" in result.stderr


def test_boxes_are_drawn_on_a_copy():
    picture = gradient(200, 300)
    before = picture.copy()
    drawn = charts.annotate(picture, [FaceCrop(1, grey(0), FACE)], scale=2.0)
    np.testing.assert_array_equal(picture, before)
    changed = np.argwhere((drawn != picture).any(axis=2))
    assert (drawn[60, 20] == charts.BOX_RGB).all()  # left edge of the box at twice its position
    assert changed[:, 0].max() <= 123
    assert changed[:, 1].max() <= 83
    assert (drawn[70:110, 30:70] == picture[70:110, 30:70]).all()  # the face itself stays as it is
    np.testing.assert_array_equal(charts.annotate(picture, [FaceCrop(1, picture, None, True)]), picture)


def test_bars_keep_the_order_of_classes_and_colour_the_highest():
    figure = charts.probability_bars(np.array([0.1, 0.7, 0.2]), ["a", "b", "c"])
    (bars,) = figure.data
    assert list(bars.y) == ["a", "b", "c"]
    assert list(bars.x) == [0.1, 0.7, 0.2]
    colours = bars.marker.color
    assert colours[0] == colours[2] != colours[1]
