"""The promises of the report, in a real browser: worst first, a close look, a filter; ten images and a thousand."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gt_judge import artifact as artifacts
from gt_judge.compare.compare import Against, compare
from gt_judge.compare.report import page as report
from gt_judge.compare.report import views
from gt_judge.published import Published
from tests.support import pictures
from tests.support.pictures import added, scene

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SIGMAS = [0, 0, 3, 6, 9, 12, 18, 24, 35, 50]  # of the noise on each of ten images
SMALL = (48, 40)
OPENS_WITHIN = 20.0  # seconds, on a machine that is busy with other tests


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed here: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


def written(folder: Path, *, engine: bool) -> Path:
    """The report of an artifact, its published images and an engine's output in a folder."""
    names = {"artifact": "gt", "published": "<b>published</b>"}
    against = Against(Published(folder / "published"), folder / "engine" if engine else None, names=names)
    found = compare(
        artifacts.read(folder / "new", images_only=not (folder / "new" / "manifest.json").exists()), against
    )
    report.write(found, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ten")
    scenes = {f"case_{number}_1gpu.png": scene(number) for number in range(len(SIGMAS))}
    noisy = {name: added(sigma)(image) for sigma, (name, image) in zip(SIGMAS, scenes.items(), strict=True)}
    passed = {"prompt": '<script>alert("x")</script>', "guidance_scale": 3.5}
    pictures.artifact(folder / "published", scenes, passed=passed)
    pictures.artifact(folder / "new", noisy, passed=passed | {"guidance_scale": 4.0})
    pictures.write(folder / "engine", {name: added(1, 1)(image) for name, image in noisy.items()})
    return written(folder, engine=True)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thousand")
    scenes = [np.asarray(scene(number, SMALL, shapes=12)).astype(float) for number in range(20)]
    for number in range(1000):
        name, pixels = f"case_{number:04}_1gpu.png", scenes[number % 20] + number / 40
        pictures.write(folder / "published", {name: pictures.from_array(pixels)})
        pictures.write(folder / "new", {name: pictures.from_array(pixels + (number % 4) * (number % 50) / 10)})
    return written(folder, engine=False)


class Opened:
    """A report in a page, what the browser complained of, and how long it took until the first image was there."""

    def __init__(self, browser: Browser, path: Path, scheme: str = "light") -> None:
        dark = "dark" if scheme == "dark" else "light"
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=dark)  # type: ignore[arg-type]
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        start = time.monotonic()
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.querySelector('img[data-image]').naturalWidth > 0")
        self.seconds = time.monotonic() - start

    def names(self) -> list[str]:
        """The cases that are shown, in order."""
        return self.page.eval_on_selector_all(".card:not([hidden])", "cards => cards.map(card => card.dataset.name)")  # type: ignore[no-any-return]


@pytest.fixture(params=["ten", "thousand"])
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Opened]:
    report_page = Opened(browser, request.getfixturevalue(request.param))
    yield report_page
    assert report_page.said == []
    report_page.page.close()


def test_the_worst_case_is_shown_first_soon_after_opening(opened: Opened) -> None:
    names = opened.names()
    assert len(names) in (10, 1000)
    assert names[0] == ("case_9" if len(names) == 10 else names[0])
    ssim = [
        float(text)
        for text in opened.page.locator(".numbers tr:has-text('SSIM') td:first-of-type").all_inner_texts()[:5]
    ]
    assert ssim == sorted(ssim)
    assert opened.seconds < OPENS_WITHIN


def test_one_file_asks_nobody_for_anything_and_decodes_only_what_is_in_view(opened: Opened) -> None:
    images = opened.page.locator("img[data-image]").count()
    loaded = opened.page.locator("img[data-image][src]").count()
    assert 0 < loaded < max(60, images / 10)
    last = opened.page.locator(".card img[data-image]").last
    last.scroll_into_view_if_needed()
    opened.page.wait_for_function("image => image.naturalWidth > 0", arg=last.element_handle())
    assert [url for url in opened.asked if not url.startswith("data:")] == [opened.page.url]


def test_the_filter_narrows_by_grade_and_by_name(opened: Opened) -> None:
    every = len(opened.names())
    opened.page.uncheck("input[name=grade][value=identical]")
    grades = opened.page.eval_on_selector_all(".card:not([hidden])", "cards => cards.map(card => card.dataset.grade)")
    assert set(grades) == {"changed"}
    assert len(grades) < every
    opened.page.fill("#find", "CASE_9" if every == 10 else "case_0999")
    expect(opened.page.locator("#count")).to_have_text(f"1 of {every:,} cases")
    opened.page.fill("#find", "no such case")
    expect(opened.page.locator("#none")).to_be_visible()


def test_the_order_can_be_by_name(browser: Browser, ten: Path) -> None:
    opened = Opened(browser, ten)
    opened.page.select_option("#order", "name")
    assert opened.names() == sorted(opened.names())
    opened.page.close()


def clip(page: Page) -> str:
    return page.eval_on_selector("#right", "image => getComputedStyle(image).clipPath")  # type: ignore[no-any-return]


def test_the_slider_uncovers_one_image_behind_the_other_by_mouse_and_by_keyboard(opened: Opened) -> None:
    page = opened.page
    page.locator(".open").first.click()
    expect(page.locator("#look")).to_be_visible()
    before = clip(page)
    page.keyboard.press("ArrowRight")
    assert clip(page) != before
    box = page.locator(".frame").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.wait_for_function("Math.abs(document.getElementById('slider').value - 25) < 1")
    assert "25%" in clip(page)


def test_the_close_look_is_driven_by_keys_alone(browser: Browser, ten: Path) -> None:
    page = Opened(browser, ten).page
    page.locator(".open").first.focus()
    page.keyboard.press("Enter")
    title = page.inner_text("#look-title")
    for key, mode in (("f", "flip"), ("d", "map"), ("b", "side"), ("s", "slide")):
        page.keyboard.press(key)
        assert page.get_attribute("#stage", "data-mode") == mode
    page.keyboard.press("n")
    assert page.inner_text("#look-title") != title
    page.keyboard.press("p")
    assert page.inner_text("#look-title") == title
    page.keyboard.press("Escape")
    expect(page.locator("#look")).to_be_hidden()
    assert page.evaluate("document.activeElement.className") == "open"
    page.close()


def test_a_flip_shows_the_two_images_in_turn(browser: Browser, ten: Path) -> None:
    page = Opened(browser, ten).page
    page.locator(".open").first.click()
    page.keyboard.press("f")
    tags = [page.locator("#left-tag"), page.locator("#right-tag")]
    assert [tag.is_visible() for tag in tags] == [True, False]
    page.keyboard.press("f")
    assert [tag.is_visible() for tag in tags] == [False, True]
    page.close()


def test_what_a_manifest_says_is_shown_as_text_and_never_run(browser: Browser, ten: Path) -> None:
    opened = Opened(browser, ten)
    assert opened.page.locator("article script").count() == 0
    assert "<b>published</b>" in opened.page.inner_text(".facts")
    row = opened.page.locator(".changes tr:has-text('passed.guidance_scale')").first
    assert row.locator("td").all_inner_texts() == ["3.5", "4.0"]
    assert opened.said == []
    opened.page.close()


def test_each_case_has_its_images_its_map_and_its_numbers(browser: Browser, ten: Path) -> None:
    page = Opened(browser, ten).page
    worst = page.locator(".card").first
    assert worst.locator("figcaption").all_inner_texts() == [
        "new",
        "published",
        "engine",
        "new to published",
        "engine to new",
    ]
    assert worst.locator("tbody th").all_inner_texts()[:3] == ["SSIM", "PSNR", "mean abs diff"]
    assert "≥ 28" in worst.inner_text()
    page.locator(".open[data-role=engine_map]").first.click()
    assert page.get_attribute("#stage", "data-mode") == "map"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background_in_light_and_in_dark(browser: Browser, ten: Path, scheme: str) -> None:
    page = Opened(browser, ten, scheme).page
    colours = page.evaluate(
        """() => [...document.querySelectorAll(".card h2, .card .badge, .card .note, .card figcaption, .card td")].map(
            (each) => [getComputedStyle(each).color, getComputedStyle(each.closest(".card")).backgroundColor])"""
    )
    assert min(_contrast(*(_rgb(colour) for colour in pair)) for pair in colours) >= 4.5  # WCAG AA
    page.close()


def _rgb(colour: str) -> list[float]:
    return [float(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def _contrast(one: list[float], other: list[float]) -> float:
    linear = [
        [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in each] for each in (one, other)
    ]
    light = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in linear)
    return (light[1] + 0.05) / (light[0] + 0.05)


def test_the_more_images_the_smaller_they_are_and_the_file_stays_below_its_budget() -> None:
    sides = [views.side(count) for count in (1, 30, 300, 3000, 5000)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == 1024
    assert sides[-1] >= 192
    assert 3000 * views.side(3000) ** 2 * views.BYTES_PER_PIXEL <= views.BUDGET
