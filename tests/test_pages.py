"""Every page runs: on an empty machine, on committed results alone, and on a registered dataset with a trained run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from fer_core import datasets
from tests import dataset_forms as forms

PROJECT = Path(__file__).resolve().parent.parent
HOME = PROJECT / "Home.py"
PAGES = sorted(path.stem for path in (PROJECT / "pages").glob("*.py") if path.stem != "__init__")
# Pages that show stored results only.
STORED = ("dataset", "models", "confusion", "papers", "training")
KEYS = ("dataset", "model", "runs", "models", "split", "class", "view", "true", "predicted", "beside", "method", "fill")
NONSENSE = dict.fromkeys(KEYS, "\u2603 <nonsense>") | {
    "page": "-7",
    "picture": "1e99",
    "opacity": "NaN",
    "hide": "everything",
    "minus": "itself",
    "bars": "",
}


def open_page(page: str, query: dict[str, str] | None = None) -> AppTest:
    """Run ``page`` inside the app."""
    app = AppTest.from_file(str(HOME), default_timeout=120)
    for key, value in (query or {}).items():
        app.query_params[key] = value
    if page != "home":
        app.switch_page(f"pages/{page}.py")
    return app.run()


def assert_healthy(app: AppTest) -> None:
    assert not app.exception, [f"{error.message}\n{''.join(error.stack_trace)}" for error in app.exception]
    assert len(app.title) == 1
    assert app.title[0].value
    assert any("Stored runs" in caption.value for caption in app.sidebar.caption), "Home.py did not run"


def text_of(app: AppTest) -> str:
    """Everything a visitor reads, titles of widgets aside."""
    kinds = (app.markdown, app.caption, app.code, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for elements in kinds for element in elements)


@pytest.fixture(autouse=True)
def home_runs_first(monkeypatch):
    """AppTest takes a folder called pages for Streamlit's older kind of app at every run; see pages/ui/__init__.py."""
    nowhere = property(lambda manager: Path(manager.main_script_path).parent / "nowhere")
    monkeypatch.setattr(PagesManager, "main_script_parent", nowhere)


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No registered data and no results."""
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path / "artifacts"))


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """What a fresh clone has: committed results, no data."""
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("FER_ARTIFACTS_DIR", raising=False)


@pytest.fixture
def working(workshop, monkeypatch):
    """A registered dataset and trained runs."""
    for name, value in workshop.environment().items():
        monkeypatch.setenv(name, value)
    return workshop


def test_home_lists_every_page():
    listed = {name for name in PAGES if f'("{name}",' in HOME.read_text(encoding="utf-8")}
    assert listed == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_page_without_anything(page, nothing):
    assert_healthy(open_page(page))


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("home", "dataset")])
def test_empty_page_says_what_to_do(page, nothing):
    assert "python -m fer_core train" in text_of(open_page(page))


@pytest.mark.parametrize("page", PAGES)
def test_page_of_a_fresh_clone(page, clone):
    assert_healthy(open_page(page))


@pytest.mark.parametrize("page", PAGES)
def test_page_with_data_and_run(page, working):
    app = open_page(page)
    assert_healthy(app)
    assert not app.error, [error.value for error in app.error]


@pytest.mark.parametrize("page", PAGES)
def test_nonsense_in_the_address_changes_nothing(page, working):
    app = open_page(page, NONSENSE)
    assert_healthy(app)
    assert not app.error, [error.value for error in app.error]
    assert "NaN" not in text_of(app)


@pytest.mark.parametrize(
    ("page", "key"), [("home", "model"), ("confusion", "model"), ("saliency", "models"), ("masks", "models")]
)
def test_a_link_to_a_missing_model_says_which_is_shown(page, key, working):
    app = open_page(page, {key: "nonsense", "check": "false", "controls": "1"})
    assert_healthy(app)
    said = [box.value.replace("\\", "") for box in app.info if "nonsense" in box.value]
    assert len(said) == 1 and "the link asks for nonsense" in said[0] and f"Shown: {working.run}." in said[0]


def test_dataset_page_counts_without_the_pictures(clone):
    app = open_page("dataset", {"dataset": "fer2013"})
    facts = json.loads((PROJECT / "artifacts" / "datasets" / "fer2013.json").read_text(encoding="utf-8"))
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Pictures"] == f"{facts['n']:,}" == "35,887"
    assert values["Extra copies"] == "1,851"
    assert "3,275" in text_of(app)
    assert "python -m fer_core data add PATH" in text_of(app)
    table = app.dataframe[0].value
    assert table.set_index("class").loc["all", "test"] == 3589
    assert table.set_index("class").loc["disgust", "train"] == 436


def test_dataset_page_shows_the_chosen_class(working):
    app = open_page("dataset", {"dataset": working.dataset, "split": "test", "class": "happy"})
    assert_healthy(app)
    assert "10 pictures." in text_of(app)  # 70 test pictures of seven classes


def test_dataset_page_follows_a_datasets_own_classes_and_shows_shared_subjects(nothing, tmp_path):
    source = forms.write_zip(tmp_path / "CK+48.zip", forms.ck_folders(forms.ck_sequences(subjects=6)))
    datasets.add(source)
    datasets.add(source, protocol="frames")
    shared = {}
    for name in ("ckplus", "ckplus-frames"):
        app = open_page("dataset", {"dataset": name, "class": "contempt"})
        assert_healthy(app)
        shared[name] = next(metric.value for metric in app.metric if metric.label == "Subjects shared")
        assert ("97-99 %" in text_of(app)) == (name == "ckplus-frames")
        assert app.dataframe[0].value["class"].tolist()[-2:] == ["contempt", "all"]
    assert shared["ckplus"] == "0 of 6"
    assert shared["ckplus-frames"] == f"{datasets.facts('ckplus-frames')['subjects']['shared']} of 6" != "0 of 6"


def test_dataset_page_sets_datasets_side_by_side(working):
    app = open_page("dataset", {"dataset": working.dataset, "beside": "drawn"})
    assert_healthy(app)
    assert "Side by side" in [subheader.value for subheader in app.subheader]
    table = next(frame.value for frame in app.dataframe if "extra_copies" in frame.value)
    assert table["dataset"].tolist() == [working.dataset, "drawn"]


def test_registering_a_missing_path_says_how_to_mend_it(working):
    app = open_page("dataset")
    app.text_input(key="register-path").input("no/such/file.csv")
    next(button for button in app.button if button.label == "Register").click()
    app.run()
    assert_healthy(app)
    assert any("does not exist" in error.value for error in app.error)


def test_registering_from_the_page(nothing, tmp_path):
    rows = ["emotion,pixels,Usage"]
    for n in range(21):
        usage = ("Training", "PublicTest", "PrivateTest")[n // 7]
        rows.append(f"{n % 7},{' '.join(str((n * 7 + k) % 256) for k in range(48 * 48))},{usage}")
    rows.append("3,1 2 3,Training")
    source = tmp_path / "small.csv"
    source.write_text("\n".join(rows), encoding="utf-8")
    app = open_page("dataset")
    app.text_input(key="register-path").input(str(source))
    app.text_input(key="register-name").input("small")
    next(button for button in app.button if button.label == "Register").click()
    app.run()
    assert_healthy(app)
    assert not app.error
    assert any("small" in message.value for message in app.success)
    left_out = next(frame.value for frame in app.dataframe if "reason" in frame.value)
    assert left_out["reason"].tolist() == ["3 pixels; expected 2,304"]
    assert (Path(os.environ["FER_DATA_DIR"]) / "small" / "dataset.json").is_file()


def test_new_run_appears_without_restart(nothing, workshop):
    import shutil

    assert "python -m fer_core train" in text_of(open_page("models"))
    target = Path(os.environ["FER_ARTIFACTS_DIR"]) / "runs" / workshop.run
    shutil.copytree(workshop.artifacts / "runs" / workshop.run, target)
    app = open_page("models")
    assert_healthy(app)
    assert app.dataframe[0].value["run"].tolist() == [workshop.run]


def test_damaged_run_is_named_and_the_others_stay(nothing, workshop):
    import shutil

    runs = Path(os.environ["FER_ARTIFACTS_DIR"]) / "runs"
    shutil.copytree(workshop.artifacts / "runs" / workshop.run, runs / workshop.run)
    (runs / "fer2013-broken-s0-20260101").mkdir()
    app = open_page("models")
    assert_healthy(app)
    said = [warning.value.replace("\\", "") for warning in app.warning]
    assert any("fer2013-broken-s0-20260101" in warning for warning in said), text_of(app)
    assert app.dataframe[0].value["run"].tolist() == [workshop.run]


def test_stored_results_show_without_tensorflow(working):
    """In a fresh interpreter, with real runs to show."""
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"for page in {STORED!r}:\n"
        f"    app = AppTest.from_file({str(HOME)!r}, default_timeout=120)\n"
        "    app.switch_page(f'pages/{page}.py').run()\n"
        "    bad = {'tensorflow', 'keras', 'jax', 'tf_keras_vis'} & set(sys.modules)\n"
        "    if bad or app.exception: sys.exit(f'{page} imports {bad}, shows {app.exception}')\n"
    )
    environment = os.environ | working.environment()
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]
