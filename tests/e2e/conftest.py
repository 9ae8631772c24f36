"""Fixtures of the browser tests: Chromium, and the app with and without data."""

import os

import pytest

from tests.e2e import server


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium. Without it the tests are skipped, but in CI that is a failure."""
    path = server.find_chromium()
    if path is None:
        reason = "Chromium is missing: apt-get install chromium, or set CHROMIUM to its path."
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=120_000)  # what is expected comes at once, unless the machine trains meanwhile
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(server.FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def app(workshop, tmp_path_factory):
    """Address of the app with a registered dataset and trained runs."""
    with server.running_app(workshop.environment(), tmp_path_factory.mktemp("app")) as address:
        yield address


@pytest.fixture(scope="session")
def empty_app(tmp_path_factory):
    """Address of the app on a machine with neither data nor results."""
    folder = tmp_path_factory.mktemp("empty-app")
    environment = {"FER_DATA_DIR": str(folder / "data"), "FER_ARTIFACTS_DIR": str(folder / "artifacts")}
    with server.running_app(environment, folder) as address:
        yield address


@pytest.fixture
def tab(chromium):
    """A new browser window."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True) as context:
        page = context.new_page()
        page.set_default_timeout(90_000)  # the first network takes its time to load
        yield page
