"""The app in a real browser, with a real network behind it."""

import re
import shutil
import time

import pytest
from playwright.sync_api import expect

from tests.bad_files import bad_files
from tests.conftest import PROJECT
from tests.e2e.visits import cut_choices, expect_no_exception, overflow, settle, upload, visit

# A test waits until the app is ready, which takes seconds; the limit is for machines that train meanwhile.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

ASTRONAUT = PROJECT / "artifacts" / "samples" / "astronaut.jpg"
PAGES = ("", "dataset", "models", "confusion", "saliency", "masks", "papers", "training")
BAD_AT_ONCE = 20
GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 23, 29)"}  # .streamlit/config.toml


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_and_asks_nobody_but_the_app(tab, app, page):
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    visit(tab, app, page)
    expect(tab.get_by_test_id("stAlertContentError")).to_have_count(0)
    assert any(url.startswith(app) for url in asked)
    assert not [url for url in asked if not url.startswith((app, "data:", "blob:"))]


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_without_data_and_results(tab, empty_app, page):
    visit(tab, empty_app, page)


def test_navigation_goes_through_all_pages(tab, app):
    visit(tab, app)
    for name in ("Dataset", "Models", "Confusion", "Saliency", "Masks", "Papers", "Home"):
        tab.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
        settle(tab)
        expect_no_exception(tab)
        expect(tab).to_have_url(re.compile("/$" if name == "Home" else f"/{name.lower()}"))


def test_uploaded_photo_gives_a_box_and_probabilities(tab, app):
    visit(tab, app)
    upload(tab, "Drop one or more pictures", ASTRONAUT)
    expect_no_exception(tab)
    expect(tab.get_by_text("1 face found")).to_be_visible()
    expect(tab.get_by_text(re.compile(r"Face 1: \w+"))).to_be_visible()
    bars = tab.get_by_test_id("stPlotlyChart").first
    expect(bars).to_be_visible()
    for name in ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"):
        expect(bars.get_by_text(name, exact=True)).to_be_visible()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Everything (JSON)").click()
    assert '"happy"' in download.value.path().read_text(encoding="utf-8")


def test_bad_files_are_named_and_the_app_lives_on(tab, app):
    files = bad_files()
    assert len(files) >= BAD_AT_ONCE
    visit(tab, app)
    payload = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        for name, (content, _) in files.items()
    ]
    upload(tab, "Drop one or more pictures", *payload)
    expect_no_exception(tab)
    messages = tab.get_by_test_id("stAlertContentError")
    expect(messages).to_have_count(len(files))
    said = messages.all_inner_texts()
    for name, (_, words) in files.items():
        assert any(name in message and words in message for message in said), name
    visit(tab, app)
    upload(tab, "Drop one or more pictures", ASTRONAUT)
    expect(tab.get_by_text("1 face found")).to_be_visible()


def test_masking_the_mouth_changes_the_probabilities(tab, app):
    visit(tab, app, "masks?hide=")
    expect(tab.get_by_text("Nothing is hidden yet")).to_be_visible()
    tab.get_by_role("button", name="Mouth", exact=True).first.click()  # of the paper's rows
    settle(tab)
    expect_no_exception(tab)
    expect(tab.get_by_alt_text("The masked face")).to_be_visible()
    expect(tab.get_by_text(re.compile(r"Masked, 50\.0 % hidden"))).to_be_visible()
    line = tab.get_by_test_id("stMarkdown").filter(has_text="under random masks").first.inner_text()
    before, after = map(float, re.search(r"had (\d+\.\d) %, masked (\d+\.\d) %", line).groups())
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Data (CSV)").click()
    rows = download.value.path().read_text(encoding="utf-8").splitlines()
    shift = rows[0].split(",").index("shift")
    shifts = [float(row.split(",")[shift]) for row in rows[1:]]
    assert 0 <= before <= 100
    assert 0 <= after <= 100
    assert max(map(abs, shifts)) > 1e-4
    assert abs(sum(shifts)) < 1e-3


def test_confusion_cell_opens_its_pictures(tab, app):
    visit(tab, app, "confusion")
    chart = tab.get_by_test_id("stPlotlyChart").first
    before = tab.get_by_test_id("stHeading").all_inner_texts()
    box = chart.locator(".nsewdrag").first.bounding_box()
    column, row = 1, 2  # neither on the diagonal nor at the edge
    tab.mouse.click(box["x"] + (column + 0.5) * box["width"] / 7, box["y"] + (row + 0.5) * box["height"] / 7)
    expect(tab).to_have_url(re.compile(r"true=\w+.*predicted=\w+|predicted=\w+.*true=\w+"))
    settle(tab)
    expect_no_exception(tab)
    assert tab.get_by_test_id("stHeading").all_inner_texts() != before
    tab.reload()  # the address holds the cell
    settle(tab)
    assert tab.get_by_test_id("stHeading").all_inner_texts() != before


def test_confusion_address_shows_the_pictures_of_a_cell(tab, app, workshop):
    from fer_core import artifacts

    run = artifacts.read_run(workshop.artifacts / "runs" / workshop.run)
    predictions = run.predictions("test")
    true, predicted = int(predictions.y_true[0]), int(predictions.y_pred[0])
    n = int(((predictions.y_true == true) & (predictions.y_pred == predicted)).sum())
    names = predictions.class_names
    visit(tab, app, f"confusion?model={workshop.run}&true={names[true]}&predicted={names[predicted]}")
    expect(tab.get_by_test_id("stMain").locator("img")).to_have_count(min(n, 24))


@pytest.mark.parametrize("method", ["Vanilla", "SmoothGrad", "Grad-CAM", "Grad-CAM++"])
def test_saliency_overlays_appear(tab, app, method):
    visit(tab, app, "saliency")
    tab.get_by_role("combobox", name=re.compile("Method")).click()
    options = tab.get_by_role("option")
    titles = options.all_inner_texts()
    wanted = next(at for at, title in enumerate(titles) if title.lower().startswith(method.lower()))
    options.nth(wanted).click()
    settle(tab)
    expect_no_exception(tab)
    expect(tab.get_by_alt_text(re.compile("over the face"))).to_be_visible()
    expect(tab.get_by_text("The map explains")).to_be_visible()


@pytest.fixture
def two_models(workshop, monkeypatch):
    """The workshop's network, and a logistic regression beside it for a while."""
    from fer_core import datasets
    from fer_core.training import run as training

    monkeypatch.setenv("FER_DATA_DIR", str(workshop.data))
    toy = datasets.load(workshop.dataset)
    other = training.train("hog_logistic", toy, work_root=workshop.data / "work", root=workshop.artifacts)
    yield [workshop.run, other.name]
    shutil.rmtree(other)


def test_saliency_of_two_models_side_by_side(tab, app, two_models):
    models = "&".join(f"models={run}" for run in two_models)
    visit(tab, app, f"saliency?method=Occlusion&check=false&{models}")
    maps = tab.get_by_alt_text(re.compile("over the face"))
    expect(maps).to_have_count(2)
    left, right = (one.bounding_box() for one in maps.all())
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"], "beside each other, not below"
    for run in two_models:
        expect(tab.get_by_role("heading", name=run)).to_be_visible()
    pictures = [tab.context.request.get(one.evaluate("image => image.src")).body() for one in maps.all()]
    assert pictures[0] != pictures[1], "each model has its own map"


def test_choices_stand_in_the_address_and_survive_a_copy(tab, app):
    visit(tab, app, "dataset?dataset=toy")
    tab.get_by_role("radio", name="test", exact=True).click()
    tab.get_by_role("radio", name="happy", exact=True).click()
    settle(tab)
    expect(tab).to_have_url(re.compile("split=test.*class=happy|class=happy.*split=test"))
    expect(tab.get_by_text("10 pictures.")).to_be_visible()
    copy = tab.context.new_page()
    visit(copy, tab.url.split("?")[0].rsplit("/", 1)[0], tab.url.rsplit("/", 1)[1])
    expect(copy.get_by_text("10 pictures.")).to_be_visible()


def test_a_link_opens_its_page_for_the_first_visitor(tab, workshop, tmp_path):
    """Streamlit knows of ``st.navigation`` only after Home.py has run once."""
    from tests.e2e import server

    with server.running_app(workshop.environment(), tmp_path) as address:
        visit(tab, address, "confusion?split=val")
        expect(tab.locator("h1")).to_have_text("Confusion")
        expect(tab.get_by_test_id("stSidebarNavLink")).to_have_count(len(PAGES))
        expect(tab).to_have_url(re.compile("confusion.*split=val"))


def test_first_page_answers_within_five_seconds(tab, app):
    """The server is up; a visitor comes for the first time. The best of three: others may be using the machine."""
    visit(tab, app)
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        page = tab.context.new_page()
        page.goto(app)
        expect(page.locator("h1")).to_be_visible()
        seconds.append(time.monotonic() - started)
        page.close()
    assert min(seconds) < 5, seconds


@pytest.mark.parametrize("page", PAGES)
def test_narrow_window_does_not_scroll_sideways(tab, app, page):
    tab.set_viewport_size({"width": 420, "height": 900})
    visit(tab, app, f"{page}?source=Samples" if page == "" else page)
    for scheme, ground in GROUNDS.items():
        tab.emulate_media(color_scheme=scheme)
        expect(tab.get_by_test_id("stApp")).to_have_css("background-color", ground)
        assert overflow(tab) <= 1
    tab.set_viewport_size({"width": 1000, "height": 900})  # columns lie side by side and are narrow
    assert not cut_choices(tab)


def test_dark_theme_is_dark(chromium, app):
    with chromium.new_context(color_scheme="dark") as context:
        tab = context.new_page()
        visit(tab, app, "models")
        expect(tab.get_by_test_id("stApp")).to_have_css("background-color", GROUNDS["dark"])
