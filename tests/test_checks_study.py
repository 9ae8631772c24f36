"""The study of the checks: numbers worked by hand, the checks of a single map on every picture, one set of graphs."""

import dataclasses

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_core import artifacts
from fer_core.__main__ import app
from fer_core.datasets.split import Split
from fer_core.errors import RunError
from fer_core.explain import across_trainings, checks_numbers, checks_study, faithfulness, gradients, randomised
from fer_core.explain.check_rows import check_rows
from fer_core.explain.checks_study import KIND, OUTCOMES, PICTURES, ChecksStudy
from fer_core.explain.saliency import explain
from fer_core.explain.saliency_numbers import RIGHT
from fer_core.storage import sha256
from tests.mask_readers import store_run
from tests.test_explain_twins import model
from tests.test_faithfulness import CLASSES, SIDE, keras, outcomes  # noqa: F401
from tests.test_saliency_study import Reader, prepared

CHECKS = ["Deletion", "Insertion", "Randomisation", "Stability", "Trainings", "Grid"]
LETTERS = dict(zip("pufn", range(4), strict=True))  # passed, undecided, failed, not applicable


def by_hand(faces, right=None, grid=(6, 6)):
    """A study of which each face is given by its outcomes, a letter per check: ``pppnup``."""
    codes = np.array([[LETTERS[letter] for letter in face] for face in faces], np.int8).reshape(-1, len(CHECKS))
    n, applies = len(codes), codes != LETTERS["n"]
    record = {"name": "checks-a-test-grad_cam", "run": "a", "split": "test", "method": "grad_cam", "grid": list(grid)}
    record |= {"checks": CHECKS, "n": n, "trainings": {}}
    record["left_out"] = {
        name: "no network" for name, any_ in zip(CHECKS, applies.any(axis=0), strict=True) if not any_
    }
    y_pred = np.zeros(n, int) if right is None else 1 - np.array(right, int)
    areas = np.tile(np.linspace(0, 1, checks_study.AREAS, dtype=np.float32), (n, 1))
    nothing = np.zeros((n, 0), np.float32)
    numbers = np.where(applies, np.arange(n, dtype=np.float32)[:, None], np.nan)
    ids, even = np.array([f"f{at}" for at in range(n)]), np.zeros(n, bool)
    drawn = {"randomised": nothing, "shifts": nothing, "seeds": nothing, "trainings": nothing, "chance": nothing}
    return ChecksStudy(
        record, ("happy", "sad"), ids, np.zeros(n, int), y_pred, codes, numbers, even, areas, areas, **drawn
    )


FACES = ["pppppp"] * 29 + ["pfpppp"] * 7 + ["upppup"] * 4


def test_shares_and_intervals_worked_by_hand():
    table = checks_numbers.check_table(by_hand(FACES)).set_index("check")
    assert table.loc["Deletion", ["passed", "undecided", "failed", "n"]].tolist() == [36, 4, 0, 40]
    assert table.loc["Insertion", ["passed", "undecided", "failed", "n"]].tolist() == [33, 0, 7, 40]
    # Wilson: (0.9 + 3.8415 / 80 -+ 1.96 x sqrt(0.09 / 40 + 3.8415 / 6400)) / (1 + 3.8415 / 40)
    assert table.loc["Deletion", ["share", "low", "high"]].tolist() == pytest.approx([0.9, 0.7695, 0.9604], abs=1e-4)
    assert table.loc["Grid", ["share", "low", "high"]].tolist() == [1, 1, 1]
    assert table.loc["Deletion", "median"] == 19.5
    assert set(table["says"]) == {checks_numbers.MOST_PASS}


@pytest.mark.parametrize(
    ("column", "says", "n"),
    [
        ("p" * 16 + "f" * 4, "most pass", 20),  # 80 % [58, 92]
        ("p" * 13 + "f" * 7, "undecided", 20),  # 65 % [43, 82]
        ("f" * 16 + "p" * 4, "most fail", 20),
        ("u" * 16 + "p" * 4, "most do not pass", 20),  # though it is not shown that most fail
        ("n" * 12 + "p" * 8, "most pass", 8),  # 100 % [68, 100]
        ("n" * 20, "not applicable", 0),
    ],
)
def test_a_check_says_what_its_interval_allows(column, says, n):
    study = by_hand([letter + "ppppp" for letter in column])
    row = checks_numbers.check_table(study).iloc[0]
    assert (row["says"], row["n"]) == (says, n)
    assert row["words"] == ("no network" if says == "not applicable" else "")
    assert np.isnan(row["share"]) == (n == 0)


def test_a_coarse_grid_fails_on_all_faces_alike():
    row = checks_numbers.check_table(by_hand(["pppppf"] * 2, grid=(3, 3))).iloc[-1]
    assert (row["says"], row["low"], row["high"]) == ("most fail", 0, 0)
    told = checks_numbers.verdict(by_hand(["pppppf"] * 2, grid=(3, 3)))
    assert told.endswith("passes every check on 0 of 2 faces; most often fails: grid (2 faces)."), "that is certain"


@pytest.mark.parametrize(
    ("faces", "said"),
    [
        (
            FACES,
            "Grad-CAM of a passes every check on 29 of 40 faces [57.2 %, 83.9 %]; most often fails: insertion (7 "
            "faces); most often undecided: deletion and trainings (4 faces each).",
        ),
        (["ppnpnp"] * 2, "Grad-CAM of a passes all 4 checks that apply on 2 of 2 faces [34.2 %, 100.0 %]."),
        (["ppnppp", "pppppp"], "passes every check on 2 of 2 faces [34.2 %, 100.0 %]."),
        (["fppppp"], "on 0 of 1 face [0.0 %, 79.3 %]; most often fails: deletion (1 face)."),
    ],
)
def test_the_verdict_in_one_sentence(faces, said):
    assert checks_numbers.verdict(by_hand(faces)).endswith(said)


def test_only_recognised_faces_count_where_asked():
    study = by_hand(["pppppp", "ffffff", "pfpppp"], right=[True, False, True])
    assert checks_numbers.verdict(study, RIGHT).startswith("Grad-CAM of a passes every check on 1 of 2 faces")
    assert checks_numbers.check_table(study, RIGHT)["failed"].tolist() == [0, 1, 0, 0, 0, 0]
    rows = checks_numbers.picture_rows(study, RIGHT)
    assert rows["sample_id"].tolist() == ["f0"] * 6 + ["f2"] * 6 and set(rows["class"]) == {"happy"}
    assert rows["outcome"].tolist()[6:8] == ["passed", "failed"]
    assert rows["random"].tolist()[:3] == pytest.approx([0.525, 0.525, np.nan], nan_ok=True)
    nobody = by_hand(["pppppp"], right=[False])
    assert "no face of this study is recognised" in checks_numbers.verdict(nobody, RIGHT)
    assert checks_numbers.check_table(nobody, RIGHT)["n"].tolist() == [0] * 6
    assert checks_numbers.empty_maps(dataclasses.replace(study, even=np.ones(3, bool)), RIGHT) == 2


def faces():
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE), dtype=np.uint8)
    return Split(np.array(["a", "b"]), images, np.array([1, 0]), CLASSES, "abc")


def test_the_checks_are_those_of_a_single_map_on_graphs_made_once(keras, monkeypatch):  # noqa: F811
    from fer_core.explain.twins import other_training
    from fer_core.inference import Predictor

    made, real = [], gradients._compiled
    monkeypatch.setattr(gradients, "_compiled", lambda *key: made.append(key[0]) or real(*key))
    split, own = faces(), Predictor(model(keras, 0))
    others = {"other": other_training(model(keras, 1), own)}
    arrays, about = checks_study.check_split(own, split, "grad_cam", positions=np.arange(2), layer="low", others=others)
    assert about["checks"] == CHECKS and about["left_out"] == {} and about["layer"] == "low"
    assert len(made) == 2, "one for the network, one for all that take turns"
    for place in range(2):
        image, label = split.images[place], int(split.y_true[place])
        found = explain(own, image[None], label, "grad_cam", "low")
        maps = {"other": explain(others["other"], image[None], label, "grad_cam", "low")}
        checked = faithfulness.trust(own, image, found, trainings=across_trainings.compare(found, maps))
        assert [OUTCOMES[code] for code in arrays["outcomes"][place]] == list(outcomes(checked).values())
        np.testing.assert_allclose(arrays["numbers"][place], check_rows(checked)["number"], atol=1e-5)
        areas = [checked.insertion.area, *checked.insertion.random_areas]
        np.testing.assert_allclose(arrays["insertion"][place], areas, atol=1e-5)
        np.testing.assert_allclose(arrays["randomised"][place], checked.randomisation.spearman, atol=1e-5)
        np.testing.assert_allclose(arrays["trainings"][place], checked.trainings.spearman, atol=1e-5)
    assert len(made) == 2


def test_networks_of_an_ensemble_are_drawn_anew_once_for_all_pictures(keras, monkeypatch):  # noqa: F811
    from fer_core.models.ensemble import Ensemble

    drawn, real = [], randomised._made
    monkeypatch.setattr(randomised, "_made", lambda network: drawn.append(network) or real(network))
    for module in (randomised, faithfulness):
        monkeypatch.setattr(module, "COPIES", ((1.0, 0),))
    monkeypatch.setattr(randomised, "MAX_PARAMETERS", 0)
    both = Ensemble([model(keras, 0), model(keras, 1)], np.array([0.5, 0.5]), ("a", "b"), CLASSES)
    arrays, about = checks_study.check_split(both, faces(), "grad_cam", positions=np.arange(2))
    assert len(drawn) == 2 and arrays["randomised"].shape == (2, 1)
    assert about["left_out"] == {"Trainings": "Not compared, so nothing says whether another training would give the "
                                              "same map."}  # fmt: skip


class Failing(Reader):
    """Is interrupted when it is asked too often."""

    def __init__(self, limit=None):
        super().__init__()
        self.limit = limit

    def predict_proba(self, images):
        if self.limit is not None and self.asked > self.limit:
            raise KeyboardInterrupt
        return super().predict_proba(images)


ARGUMENTS = ["study", "checks", "tiny-net-s0-20260131", "--method", "occlusion", "--option", "patch=0.5"]


def call(*more):
    return CliRunner().invoke(app, [*ARGUMENTS, *more])


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A run, and one of its recipe from another seed; gives the reader that is loaded for either."""
    loaded = {}
    prepared(tmp_path, monkeypatch, lambda run, tta="run": loaded.setdefault(run.name, Failing()))
    store_run(tmp_path)
    store_run(tmp_path, seed=1)
    return loaded


def test_the_command_goes_on_after_a_kill_and_does_nothing_twice(runs, tmp_path):
    own, sister = "tiny-net-s0-20260131", "tiny-net-s1-20260131"
    runs[own] = whole = Failing()
    assert call("--pictures", "1", "--split", "test").exit_code == 0
    each = whole.asked
    runs[own] = Failing(limit=each + 20)
    assert call("--pictures", "2", "--again").exit_code != 0
    assert KIND.list_records()[0][0]["n"] == 1
    runs[own] = rest = Failing()
    result = call("--pictures", "2", "--again")
    assert result.exit_code == 0, result.output
    assert rest.asked < 1.1 * each, "the first picture was done"
    assert "Randomisation does not apply: This model has no weights" in result.stdout
    (record,), problems = KIND.list_records(tmp_path)
    assert (record["n"], record["grid"], record["options"], problems) == (2, [2, 2], {"patch": 0.5}, [])
    run = artifacts.find_run(sister)
    assert record["trainings"] == {sister: run.run["weights_sha256"]}
    study = checks_study.read_study(tmp_path / "studies" / record["name"])
    assert checks_numbers.verdict(study) in " ".join(result.stdout.split())
    np.testing.assert_allclose(study.trainings, 1, atol=1e-6)  # the same reader
    assert (study.outcomes[:, -1] == OUTCOMES.index("failed")).all()  # 2 x 2 cells
    assert study.record["left_out"].keys() == {"Randomisation"}
    assert "is stored and up to date (2 of 60 pictures, patch 0.5)" in call().stdout
    assert not list((tmp_path / "data" / "work" / "studies").iterdir())
    _other_weights(run)
    (_, (problem,)) = KIND.list_records()
    assert f"{sister}, which it compares with, has other weights by now. Do it again: " in problem
    assert problem.endswith(f"study checks {own} --split test --method occlusion --option patch=0.5 --pictures 2")
    _other_weights(artifacts.find_run(own))
    assert "the run has other weights by now" in KIND.list_records()[1][0]
    with np.load(tmp_path / "studies" / record["name"] / KIND.file) as stored:
        arrays = dict(stored)
    KIND.write(record, arrays | {"trainings": arrays["trainings"][:, :0]})
    with pytest.raises(RunError, match="trainings"):
        checks_study.read_study(tmp_path / "studies" / record["name"])


def _other_weights(run):
    np.savez(run.weights_path, other=np.ones(1))
    artifacts.update_run(run, {"weights_sha256": sha256(run.weights_path)})


def test_the_study_of_maps_finds_its_checks_and_the_command_that_makes_them():
    maps = {"run": "a", "split": "test", "method": "grad_cam", "options": {}, "layer": "conv", "model": "compact"}
    maps |= {"n": 3589, "n_split": 3589}
    again = "python -m fer_core study checks a --split test --method grad_cam --layer conv"
    assert checks_study.command_for(maps) == again
    assert checks_study.command_for(maps | {"n_split": 12}) == again
    stored = maps | {"n": PICTURES, "name": "checks-a"}
    assert checks_study.of_maps([maps | {"run": "b"}, stored], maps) is stored
    for changed in ({"layer": "other"}, {"options": {"patch": 0.5}}, {"method": "gradient"}, {"split": "val"}):
        assert checks_study.of_maps([stored | changed], maps) is None
    assert KIND.remake([stored | {"n": 7}])[0] == f"{again} --pictures 7"
