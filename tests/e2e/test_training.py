"""A training started on the page: its curve appears, it is stopped, resumed, and ends as a stored run."""

import os
import re
import signal
import time
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import expect

from fer_core import artifacts, job_log, jobs
from tests.conftest import build_workshop
from tests.e2e import server
from tests.e2e.visits import expect_no_exception, overflow, visit

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]
LONG_MS = 240_000


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A workshop that these tests may train in."""
    return build_workshop(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def training_app(own, tmp_path_factory):
    with server.running_app(own.environment(), tmp_path_factory.mktemp("training-app")) as address:
        yield address
    with pytest.MonkeyPatch.context() as patch:  # a job outlives the app, on purpose
        patch.setenv("FER_DATA_DIR", str(own.data))
        for job in jobs.live_jobs():
            jobs.stop(job)


def fill(tab, label, value):
    box = tab.get_by_label(label, exact=True)
    box.fill(value)
    box.press("Enter")
    expect(tab.get_by_test_id("stCode").filter(has_text="fer_core train")).to_contain_text(value)


@contextmanager
def held(job):
    """Meanwhile the training of ``job`` stands still, however slow the browser is."""
    os.killpg(job.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGCONT)


def wait_for_first_epoch(job):
    deadline = time.monotonic() + LONG_MS / 1000
    while jobs.history(job) is None:
        assert time.monotonic() < deadline and jobs.is_alive(job), job_log.tail(job.path)
        time.sleep(0.05)


def test_a_training_is_watched_stopped_resumed_and_finished(tab, training_app, own, monkeypatch):
    """Meanwhile other pages answer, and no second training is started."""
    visit(tab, training_app, "training?dataset=toy")
    fill(tab, "Epochs", "3")
    fill(tab, "Batch size", "7")
    tab.get_by_role("button", name="Start").click()
    expect(tab).to_have_url(re.compile("job="), timeout=LONG_MS)
    monkeypatch.setenv("FER_DATA_DIR", str(own.data))
    (job,) = jobs.list_jobs()[0]
    with held(job):
        expect(tab.get_by_role("button", name="Start")).to_be_hidden()
        tab.get_by_text("New training", exact=True).click()
        tab.get_by_role("button", name="Start").click()
        refusal = tab.get_by_text("compact with seed 0 is being trained on toy already.")
        expect(refusal).to_be_visible(timeout=LONG_MS)
        assert len(jobs.list_jobs()[0]) == 1
        other = tab.context.new_page()
        visit(other, training_app, "dataset?dataset=toy")
        expect(other.get_by_text("Class balance")).to_be_visible()
        other.close()
    wait_for_first_epoch(job)
    with held(job):
        expect(tab.get_by_text(re.compile(r"Epoch [123] of 3"))).to_be_visible(timeout=LONG_MS)
        expect(tab.get_by_test_id("stPlotlyChart").first).to_be_visible(timeout=LONG_MS)
        expect(refusal).to_be_visible()
        tab.get_by_role("button", name="Stop training").click()
    expect(tab.get_by_role("button", name="Resume training")).to_be_visible(timeout=LONG_MS)
    assert not of_three_epochs(own)

    tab.reload()  # the address holds the job
    tab.get_by_role("button", name="Resume training").click()
    expect(tab.get_by_role("button", name="Stop training")).to_be_visible(timeout=LONG_MS)
    expect(tab.get_by_text(re.compile("Stored as toy-compact-s0-"))).to_be_visible(timeout=LONG_MS)
    expect_no_exception(tab)
    assert overflow(tab) <= 1
    (stored,) = of_three_epochs(own)
    assert stored.history()["epoch"].tolist() == [1, 2, 3]
    tab.get_by_test_id("stPageLink").get_by_text("Open on Models").click()
    expect(tab.locator("h1")).to_have_text("Models")
    expect(tab).to_have_url(re.compile(f"runs={stored.name}"))


def of_three_epochs(own):
    found = artifacts.list_runs(own.artifacts)[0]
    return [run for run in found if (run.run["config"] or {}).get("epochs") == 3]
