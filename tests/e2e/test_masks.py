"""Masks in a real browser: two faces, a rectangle drawn with the mouse, three models, the worth of each part."""

import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.conftest import PROJECT
from tests.e2e import server
from tests.e2e.visits import expect_no_exception, overflow, settle, upload, visit

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

ASTRONAUT = PROJECT / "artifacts" / "samples" / "astronaut.jpg"
CANVAS = "The face to draw a rectangle on"


@pytest.fixture(scope="module")
def three_models(workshop, tmp_path_factory):
    """The app with a network, a logistic regression and an SVM: ``address`` and names of the ``runs``."""
    from fer_core import datasets
    from fer_core.training import run as training

    folder = tmp_path_factory.mktemp("three-models")
    shutil.copytree(workshop.artifacts, folder / "artifacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_DATA_DIR", str(workshop.data))
        toy = datasets.load(workshop.dataset)
    trained = [
        training.train(model, toy, work_root=folder / "work", root=folder / "artifacts").name
        for model in ("hog_logistic", "svm_hog_linear")
    ]
    environment = workshop.environment() | {"FER_ARTIFACTS_DIR": str(folder / "artifacts")}
    with server.running_app(environment, folder) as address:
        yield SimpleNamespace(address=address, runs=[workshop.run, *trained])


@pytest.fixture
def two_faces(tmp_path):
    """A photo with two faces, the right one mirrored and paler."""
    left = np.asarray(Image.open(ASTRONAUT).convert("RGB"))
    path = tmp_path / "two.png"
    Image.fromarray(np.concatenate([left, 255 - (255 - left[:, ::-1]) // 2], axis=1)).save(path)
    return path


def draw(tab, left, top, right, bottom):
    """Drag a rectangle over the face, in shares of it."""
    canvas = tab.get_by_role("figure", name=CANVAS).locator(".nsewdrag").first
    canvas.scroll_into_view_if_needed()
    box, before = canvas.bounding_box(), tab.url
    tab.mouse.move(box["x"] + left * box["width"], box["y"] + top * box["height"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + right * box["width"], box["y"] + bottom * box["height"], steps=8)
    tab.mouse.up()
    expect(tab).not_to_have_url(before)
    settle(tab)


def spans(tab):
    """The rectangle in the address: left, right, top, bottom."""
    values = re.findall(r"(across|down)=([\d.]+)", tab.url)
    return [float(value) for name in ("across", "down") for key, value in values if key == name]


def share_hidden(tab) -> float:
    """What the caption of the masked picture says of its pixels, in per cent."""
    said = tab.get_by_text(re.compile(r"Masked, \d+\.\d % hidden")).inner_text()
    return float(re.search(r"\d+\.\d", said)[0])


def test_two_faces_a_drawn_rectangle_a_face_mask_three_models_and_the_worth_of_the_parts(
    tab, three_models, two_faces, tmp_path
):
    models = "&".join(f"models={run}" for run in three_models.runs)
    visit(tab, three_models.address, f"masks?from=Upload&hide=&{models}")
    upload(tab, "A photo with a face", two_faces)
    expect(tab.get_by_text("two.png, face 1 of 2")).to_be_visible()
    tab.get_by_role("radio", name="2", exact=True).click()
    settle(tab)
    expect(tab.get_by_text("two.png, face 2 of 2")).to_be_visible()
    expect(tab.get_by_text("Nothing is hidden yet")).to_be_visible()

    tab.get_by_text("A rectangle of my own").click()
    settle(tab)
    draw(tab, 0.2, 0.6, 0.8, 0.9)
    expect_no_exception(tab)
    assert spans(tab) == pytest.approx([0.2, 0.8, 0.6, 0.9], abs=0.02)
    hidden = (spans(tab)[1] - spans(tab)[0]) * (spans(tab)[3] - spans(tab)[2])
    assert share_hidden(tab) == pytest.approx(100 * hidden, abs=2)
    draw(tab, 0.95, 0.3, 0.1, 0.1)  # from the lower right to the upper left
    assert spans(tab) == pytest.approx([0.1, 0.95, 0.1, 0.3], abs=0.02)

    tab.get_by_role("button", name="Face mask", exact=True).click()
    settle(tab)
    assert share_hidden(tab) > 100 * hidden
    for run in three_models.runs:
        expect(tab.get_by_test_id("stMarkdown").filter(has_text=run).filter(has_text="masked").first).to_be_visible()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Masked picture (PNG)").click()
    assert Image.open(download.value.path()).size[0] >= 384

    tab.get_by_role("radio", name="Worth", exact=True).click()
    settle(tab)
    expect_no_exception(tab)
    expect(tab.get_by_test_id("stAlertContentError")).to_have_count(0)
    expect(tab.get_by_alt_text("The parts of the face, outlined")).to_be_visible()
    bars = tab.get_by_test_id("stPlotlyChart").first
    for part in ("Forehead", "Brows", "Eyes", "Cheeks", "Nose", "Upper lip", "Mouth", "Chin"):
        expect(bars.get_by_text(part, exact=True)).to_be_visible()
    for run in three_models.runs:
        expect(bars.get_by_text(re.compile(f"{re.escape(run)}: "))).to_be_visible()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Data (CSV)").first.click()
    check_worths(download.value.path(), three_models.runs)
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Figure (HTML)").first.click()
    assert three_models.runs[0] in download.value.path().read_text(encoding="utf-8")
    bars.hover()
    with tab.expect_download() as download:
        bars.locator("[data-title*='ownload plot']").click()
    assert Image.open(download.value.path()).format == "PNG"


def check_worths(path, runs):
    """In the saved table the parts' worths add up to what hiding them all changes, which is something."""
    import pandas as pd

    table = pd.read_csv(path)
    assert table["run"].unique().tolist() == runs
    for run, rows in table.groupby("run"):
        assert len(rows) == 8
        assert rows["value"].sum() == pytest.approx((rows["full"] - rows["empty"]).iloc[0], abs=1e-6), run
        assert (rows["value"] != 0).any(), run


@pytest.mark.parametrize(
    "view",
    [
        "rectangle=true&shapes=Sunglasses",
        "ask=Worth",
        "ask=Patch",
        "scope=Several+pictures&sampled=6&shapes=Face+mask",
    ],
)
def test_views_open_from_their_address_and_fit_a_narrow_window(tab, three_models, view):
    tab.set_viewport_size({"width": 420, "height": 900})
    visit(tab, three_models.address, f"masks?from=Sample+photo&{view}")
    expect(tab.get_by_test_id("stAlertContentError")).to_have_count(0)
    assert overflow(tab) <= 1
