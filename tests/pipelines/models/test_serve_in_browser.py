"""The page to try a model, as a browser shows it; skipped where there is no Chromium."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from components.common.data.spec import MNIST_SPEC
from components.common.model.runtime import RuntimeClassifier
from tests.linear_models import save_candidate
from tests.pipelines.models.serving import serving
from tests.records import COLOUR

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


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Server of a model of digits that is sure of nothing."""
    directory = tmp_path_factory.mktemp("digits")
    save_candidate(directory, MNIST_SPEC)
    with serving(RuntimeClassifier(directory), reject_below=1.0) as address:
        yield address


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Server of a model of coloured pictures, and its training image of each class as a file."""
    directory = tmp_path_factory.mktemp("colours")
    split = save_candidate(directory, COLOUR)
    for name, image in zip(COLOUR.classes, split.images, strict=True):
        Image.fromarray(image).resize((200, 200)).save(directory / f"{name}.png")
    with serving(RuntimeClassifier(directory), reject_below=0.0) as address:
        yield address, directory


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def _said(page: Page) -> str:
    """Return the answer, once the map is there as well."""
    expect(page.get_by_text("Where the model looked")).to_be_visible(timeout=60_000)
    return page.get_by_role("status").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drawing_is_answered_on_the_page_alone(
    page: Page, digits: str, scheme: Literal["light", "dark"]
) -> None:
    messages: list[str] = []
    requests: set[str] = set()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.add(request.url))
    page.emulate_media(color_scheme=scheme)
    opened = page.goto(digits)
    assert opened
    assert opened.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    box = page.get_by_label("Drawing area").bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 250, steps=4)
    page.mouse.up()
    assert re.match(r"Unsure: perhaps \d, [\d.]+ %\. Below 100\.0 %", _said(page))
    bars = page.get_by_role("list", name="Probabilities").get_by_role("listitem")
    assert [bar.inner_text().split()[0] for bar in bars.all()] == list(MNIST_SPEC.classes)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 25, 29)"
    )
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("status")).to_have_text("No picture yet.")
    assert messages == []
    own = {address for address in requests if not address.startswith("data:")}
    assert own == {f"{digits}/", f"{digits}/model", f"{digits}/explain"}


def test_a_digit_is_drawn_with_the_keyboard_on_a_telephone(page: Page, digits: str) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(digits)
    expect(page.get_by_label("Drawing area")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Drawing area")).to_be_focused()
    page.keyboard.press(" ")
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_text("Pen down, 50 % from the left, 78 % from the top.")).to_be_visible()
    assert _said(page).startswith("Unsure: perhaps ")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.keyboard.press(" ")
    page.keyboard.press("Delete")
    expect(page.get_by_role("status")).to_have_text("No picture yet.")
    expect(page.get_by_text("Where the model looked")).to_be_hidden()


def test_a_file_is_answered_or_refused_with_the_reason(page: Page, colours: tuple[str, Path]) -> None:
    address, directory = colours
    page.goto(address)
    expect(
        page.get_by_text("blobs version 7: 3 classes, images of 32 x 32 pixels in colour.")
    ).to_be_visible()
    expect(page.get_by_label("Drawing area")).to_be_hidden()
    for name in COLOUR.classes:
        page.get_by_label("Choose a picture").or_(page.get_by_label(".png")).set_input_files(
            directory / f"{name}.png"
        )
        expect(page.get_by_role("status")).to_contain_text(name, timeout=60_000)
        assert re.match(rf"{name}, [\d.]+ %$", _said(page))
    place = page.locator("#place").inner_text()
    # The last class is bright in the lowest rows.
    assert "near the bottom" in place
    (directory / "notes.png").write_text("no picture")
    page.get_by_label(".png").set_input_files(directory / "notes.png")
    expect(page.get_by_role("status")).to_contain_text("Not possible: the picture must be a PNG")
    expect(page.get_by_text("Where the model looked")).to_be_hidden()
