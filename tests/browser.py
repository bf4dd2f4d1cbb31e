"""Opening the report's pages in a real browser, cut off from every network.

The system's Chromium is driven; where there is none, the tests that need it are skipped.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""What Chromium is called, by distribution."""

OFFLINE = [
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
]
"""Switches that leave Chromium nobody to talk to."""

PATIENCE = 180_000
"""Milliseconds that a busy machine may take for one step."""

WIDTHS = (1440, 768, 390)
"""Widths that every page must fit, in pixels: a desk, a tablet, a telephone."""

RAN = "window.ran"
"""What a hostile name sets when it is run."""

FOCUSABLE = "a[href], button, input, select, summary, [tabindex='0']"

WATCH = """() => {
  window.visited = new Set(); window.unmarked = [];
  document.addEventListener("focusin", ({ target }) => {
    visited.add(target);
    const style = getComputedStyle(target);
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1)
      unmarked.push(target.outerHTML.slice(0, 120));
  });
}"""

TOO_WIDE = """() => [...document.querySelectorAll("main *, .banner")].filter((one) =>
  one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, .drawing, .map"))
  .slice(0, 5).map((one) => one.outerHTML.slice(0, 120))"""


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def started() -> Iterator:
    """Start Chromium, or skip where it is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: `make setup`")
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: install the package `chromium`")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*OFFLINE, *(["--no-sandbox"] if root else [])]
        )
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page that is open, with what it asked for and complained of since it was opened."""

    page: object
    file: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def is_quiet(self) -> None:
        """Fail when the page asked for anything but itself, or complained."""
        outside = [one for one in self.requests[1:] if not one.startswith(("data:", "blob:"))]
        assert self.requests[:1] == [self.file.resolve().as_uri()], self.requests
        assert outside == [], f"{self.file}: asks for {outside}"
        assert self.complaints == [], f"{self.file}: {self.complaints}"
        assert self.page.evaluate(f"typeof {RAN}") == "undefined", f"{self.file}: a name was run"


@contextmanager
def opened(
    browser, file: Path, *, width: int = 1440, javascript: bool = True, print_media: bool = False
) -> Iterator[Opened]:
    """Open a file with the network off."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        offline=True,
        java_script_enabled=javascript,
        accept_downloads=True,
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    if print_media:
        page.emulate_media(media="print")
    one = Opened(page, file)
    page.on("request", lambda request: one.requests.append(request.url))
    page.on("pageerror", lambda error: one.complaints.append(str(error)))
    page.on(
        "console",
        lambda said: (
            one.complaints.append(said.text) if said.type in ("error", "warning") else None
        ),
    )
    page.goto(file.resolve().as_uri())
    if javascript and page.locator("#map-data").count():
        page.wait_for_selector("#figure-umap.interactive")
    yield one
    context.close()


def downloaded(page, press) -> tuple[str, bytes]:
    """Press what saves a file; return the file's name and content.

    Chromium drops what a page saves beyond ten files a second, more than a hand can press.
    """
    page.wait_for_timeout(120)
    with page.expect_download() as info:
        press.click()
    return info.value.suggested_filename, Path(info.value.path()).read_bytes()


def fits(page, width: int) -> None:
    """Fail when the page is wider than its window."""
    shown = page.evaluate("document.documentElement.scrollWidth")
    assert shown <= width, f"{page.url} is {shown} wide at {width}: {page.evaluate(TOO_WIDE)}"
    assert page.evaluate(TOO_WIDE) == [], page.url


def cut_boxes(page) -> list[str]:
    """Return the tables that scroll sideways in their own box."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".scroll")].filter(
          (box) => box.scrollWidth > box.clientWidth + 1).map((box) =>
          `${box.querySelector("table").id} ${box.scrollWidth} > ${box.clientWidth}`)"""
    )


def unfold(page) -> None:
    """Open all that is folded away."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")


def serious_faults(page) -> list[str]:
    """Return what axe-core finds that shuts readers out.

    Rows of a table and marks of a figure are alike, and axe looks at each of them for a tenth of a
    second: the first rows stand for all, and a figure is looked at as one thing.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.evaluate(
        """() => document.querySelectorAll("tbody tr:nth-child(n + 6), svg > *").forEach(
          (one) => one.remove())"""
    )
    found = axe.run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def tab_through(page) -> tuple[list[str], list[str]]:
    """Press Tab until all is visited; return what was not reached, and what did not show focus."""
    page.evaluate(WATCH)
    visible = (
        f"[...document.querySelectorAll({FOCUSABLE!r})].filter((one) => one.checkVisibility())"
    )
    for _ in range(page.evaluate(f"{visible}.length") + 2):
        page.keyboard.press("Tab")
    left = page.evaluate(
        f"""{visible}.filter((one) => !one.disabled && one.tabIndex >= 0 && !visited.has(one))
        .map((one) => one.outerHTML.slice(0, 120))"""
    )
    return left, page.evaluate("unmarked")
