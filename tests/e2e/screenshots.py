"""Take the README's screenshots from the running app: ``python -m tests.e2e.screenshots``.

No dataset is registered while they are taken, so the only faces in them are the public-domain sample photo, drawn faces
and mean faces.
"""

import io
import itertools
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e import server
from tests.e2e.visits import settle, visit

TARGET = server.PROJECT / "docs" / "screenshots"
MOST_BYTES = 250 * 1024
WIDTH, HEIGHT = 1280, 900
# name of the file -> page, what to click there in order, height, colour scheme
SHOTS: dict[str, tuple[str, tuple[str, ...], int, str]] = {
    "home": ("", ("Samples",), HEIGHT, "light"),
    "dataset": ("dataset?dataset=fer2013", (), 1150, "light"),
    "models": ("models", (), 1150, "light"),
    "confusion": ("confusion", (), 950, "light"),
    "saliency": ("saliency", ("Sample photo",), 1050, "light"),
    "masks": ("masks", ("Sample photo",), 1200, "light"),
    "papers": ("papers", (), 1250, "light"),
    "training": ("training", (), 1150, "light"),
}


def main(names: list[str]) -> None:
    path = server.find_chromium()
    if path is None:
        raise SystemExit("Chromium is missing: apt-get install chromium, or set CHROMIUM to its path.")
    unknown = set(names) - set(SHOTS)
    if unknown:
        raise SystemExit(f"No such screenshot: {', '.join(sorted(unknown))}; choose from {', '.join(SHOTS)}.")
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(server.FLAGS))
        with server.running_app({"FER_DATA_DIR": str(Path(folder) / "data")}, Path(folder)) as address:
            for name in names or SHOTS:
                size = take(browser, address, name)
                print(f"{name}.png {size // 1024} KB", flush=True)
        browser.close()


def take(browser: Browser, address: str, name: str) -> int:
    """Write ``<name>.png``; returns its size in bytes."""
    page, clicks, height, scheme = SHOTS[name]
    with browser.new_context(viewport={"width": WIDTH, "height": height}, color_scheme=scheme) as context:
        tab: Page = context.new_page()
        tab.set_default_timeout(120_000)
        visit(tab, address, page)
        for label in clicks:
            tab.get_by_role("radio", name=label, exact=True).click()
            settle(tab)
        tab.mouse.move(0, 0)
        tab.wait_for_timeout(1_000)  # charts fade in
        if tab.get_by_test_id("stAlertContentError").count():
            raise SystemExit(f"{name} shows an error: {tab.get_by_test_id('stAlertContentError').first.inner_text()}")
        return save(tab.screenshot(), TARGET / f"{name}.png")


def save(png: bytes, path: Path) -> int:
    """Write in full colour where that fits into ``MOST_BYTES``, else with a palette."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    palettes = (picture.quantize(colours, dither=Image.Dither.FLOYDSTEINBERG) for colours in (256, 128, 64, 32))
    for version in itertools.chain([picture], palettes):
        out = io.BytesIO()
        version.save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            break
    path.write_bytes(out.getvalue())
    return out.tell()


if __name__ == "__main__":
    main(sys.argv[1:])
