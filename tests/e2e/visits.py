"""What every browser test does: open a page, wait until it is ready, and look for trouble."""

from playwright.sync_api import Page, expect

# The icon of a running script comes late and goes early; the state of the app is what the browser was last told.
READY = "[data-testid=stApp][data-test-script-state=notRunning]"
BUSY = "[data-testid=stStatusWidget], [data-testid=stSpinner], [data-testid=stSkeleton]"
LIMIT_MS = 240_000


def visit(tab: Page, address: str, path: str = "") -> None:
    """Open ``path`` and wait until the page has drawn everything."""
    tab.goto(f"{address}/{path}")
    expect(tab.locator("h1").first).to_be_visible(timeout=LIMIT_MS)
    settle(tab)
    expect_no_exception(tab)


def settle(*tabs: Page) -> None:
    """Wait until nothing is running on any of the pages, and still nothing a moment later."""
    for _ in range(2):
        tabs[0].wait_for_timeout(400)
        for tab in tabs:
            expect(tab.locator(READY)).to_have_count(1, timeout=LIMIT_MS)
            expect(tab.locator(BUSY)).to_have_count(0, timeout=LIMIT_MS)


def expect_no_exception(tab: Page) -> None:
    expect(tab.get_by_test_id("stException")).to_have_count(0)


def upload(tab: Page, label: str, *files) -> None:
    """Give ``files`` (paths, or name, mimeType and buffer) to the uploader called ``label``."""
    uploader = tab.get_by_test_id("stFileUploader").filter(has_text=label)
    uploader.locator("input[type=file]").set_input_files(list(files))
    settle(tab)


def overflow(tab: Page) -> float:
    """By how many pixels the page can be scrolled sideways."""
    return tab.evaluate(
        """() => {
            const main = document.querySelector('[data-testid=stMain]');
            const of = (e) => e.scrollWidth - e.clientWidth;
            return Math.max(of(document.documentElement), of(main));
        }"""
    )


def cut_choices(tab: Page) -> list[str]:
    """The choices in a row of which some cannot be seen without scrolling it, as their words."""
    return tab.get_by_test_id("stButtonGroup").evaluate_all(
        """groups => groups
            .filter(group => [...group.querySelectorAll('*')].some(e => e.scrollWidth > e.clientWidth + 1))
            .map(group => group.innerText)"""
    )
