"""The report as a browser shows it; skipped where there is no Chromium."""

import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from components.evaluate.result import Evaluation

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or google-chrome on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def messages(page: Page) -> list[str]:
    """Console messages, errors and requested addresses of the page."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda request: found.append(request.url[:80]))
    return found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    # On a busy machine the report's figures take a while.
    page.set_default_timeout(120_000)
    yield page
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_from_disk_without_messages(
    page: Page, messages: list[str], evaluated: tuple[Evaluation, Path], scheme: Literal["light", "dark"]
) -> None:
    report = (evaluated[1] / "report.html").as_uri()
    page.emulate_media(color_scheme=scheme)

    page.goto(report)

    assert [message for message in messages if not message.startswith("data:image/svg+xml")] == [report]
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")


def test_figures_follow_the_colour_scheme(page: Page, evaluated: tuple[Evaluation, Path]) -> None:
    shown = []
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.goto((evaluated[1] / "report.html").as_uri())
        shown.append(page.evaluate("[...document.images].map(image => image.currentSrc)"))

    assert all(light != dark for light, dark in zip(*shown, strict=True))


def test_the_first_screen_holds_verdict_and_reasons(page: Page, evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, target = evaluated

    page.goto((target / "report.html").as_uri())

    assert page.get_by_role("heading", level=1).inner_text().startswith("Register the tuned model")
    for reason in evaluation.decision.reasons:
        box = page.get_by_text(reason).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 800


def test_fits_a_telephone(page: Page, evaluated: tuple[Evaluation, Path]) -> None:
    page.set_viewport_size({"width": 390, "height": 800})

    page.goto((evaluated[1] / "report.html").as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_shows_in_a_sandboxed_frame(
    page: Page, messages: list[str], evaluated: tuple[Evaluation, Path]
) -> None:
    document = escape((evaluated[1] / "report.html").read_text())

    page.set_content(f'<iframe sandbox="allow-scripts" width=900 height=700 srcdoc="{document}"></iframe>')

    frame = page.frames[1]
    assert frame.locator("h1").inner_text().startswith("Register the tuned model")
    frame.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
    assert [
        message for message in messages if not message.startswith(("data:image/svg+xml", "about:srcdoc"))
    ] == []
