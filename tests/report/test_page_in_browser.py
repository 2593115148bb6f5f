"""The page in headless Chromium: it renders without errors, and its table stays quick over 50,000 rows."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from retune.report.page import page_html
from tests.support import page_contents
from tests.support.page_contents import infect

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DRIVER and BROWSER), reason="no Chromium with chromedriver here (apt: chromium-driver)"),
]

READY = "return document.getElementById('viewport').getAttribute('aria-busy') === 'false'"
WATCH = """window.longest = 0;
new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration); })
  .observe({ type: "longtask", buffered: true });"""
LONGEST_S = 1.0  # a sanity bound for a busy machine; a free one needs less than 0.2

Driver = webdriver.Chrome


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-dev-shm-usage",
        "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
        "window-size=1280,900",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    contents = {
        "sample": page_contents.sample(),
        "infected": infect(page_contents.sample(30)),
        "tiny": page_contents.tiny(),
        "one_tuned_model": page_contents.one_tuned_model(),
        "large": page_contents.sample(50_000),
    }
    for name, content in contents.items():
        (folder / f"{name}.html").write_text(page_html(content), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in contents}


@pytest.fixture
def sample(driver: Driver, pages: dict[str, Path]) -> Driver:
    return opened(driver, pages["sample"])


def opened(driver: Driver, path: Path) -> Driver:
    """Open a page anew, with nothing chosen before, and wait for its table, if it has one."""
    driver.get(path.as_uri())
    driver.execute_script("localStorage.clear()")
    driver.refresh()
    if driver.find_elements(By.ID, "viewport"):
        settle(driver)
    return driver


def settle(driver: Driver) -> None:
    WebDriverWait(driver, 20, poll_frequency=0.05).until(lambda d: d.execute_script(READY))


def search(driver: Driver, words: str) -> None:
    """Type words in place of those there; the table is busy from the first letter on."""
    field = driver.find_element(By.ID, "words")
    field.send_keys(Keys.CONTROL + "a" + Keys.NULL + Keys.BACKSPACE + words)
    settle(driver)


def press_header(driver: Driver, column: str) -> None:
    driver.find_element(By.CSS_SELECTOR, f"[data-column={column}]").click()
    settle(driver)


def rows(driver: Driver) -> list[list[str]]:
    """Return the texts of the rows in the document."""
    script = "return [...document.querySelectorAll('.row')].map((row) => [...row.cells].map((c) => c.textContent))"
    return driver.execute_script(script)


def texts_of(row: dict[str, Any], documents: list[str]) -> list[str]:
    """Return what a search looks at: the query with its id, and each of its documents."""
    numbers = [number for number, _, _ in row["wanted"]] + [row["found"][0]]
    return [f"{row['query_id']} {row['query']}", *(documents[number] for number in numbers)]


def holds(text: str, words: str) -> bool:
    return all(word in text.lower() for word in words.lower().split())


def count(driver: Driver) -> str:
    return driver.find_element(By.ID, "count").text


def errors(driver: Driver) -> list[dict[str, Any]]:
    return [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("name", ["sample", "tiny", "one_tuned_model"])
def test_page_renders_without_console_errors(driver: Driver, pages: dict[str, Path], name: str) -> None:
    opened(driver, pages[name])
    assert errors(driver) == []
    sections = driver.find_elements(By.TAG_NAME, "section")
    assert all(section.size["height"] > 60 for section in sections)
    assert all(picture.size["width"] > 100 for picture in driver.find_elements(By.CSS_SELECTOR, ".panel svg"))


def test_scripts_in_texts_are_shown_and_never_run(driver: Driver, pages: dict[str, Path]) -> None:
    opened(driver, pages["infected"])
    driver.find_element(By.CSS_SELECTOR, ".row button").click()
    detail = driver.find_element(By.CSS_SELECTOR, ".detail").text
    assert detail.count("</script><script>window.hacked = 1</script><!--") >= 4  # query, wanted twice, found
    script = """for (const mark of document.querySelectorAll('.panel svg [aria-label]'))
        mark.dispatchEvent(new PointerEvent('pointerover', { bubbles: true }));
        return document.getElementById('tooltip').textContent"""
    assert driver.execute_script(script)
    bars = "return [...document.querySelectorAll('.panel svg [aria-label]')].filter((m) => m.getAttribute('aria-label').includes('<script>')).length"
    assert driver.execute_script(bars) > 10
    assert driver.execute_script("return window.hacked") is None
    assert errors(driver) == []


def test_table_begins_with_what_was_lost_most(sample: Driver) -> None:
    changes = page_contents.sample()["changes"]["rows"]
    lost = sorted(row["change"] for row in changes)
    assert [row[0] for row in rows(sample)][:3] == [f"▼ −{-change:.4f}" for change in lost[:3]]
    assert count(sample) == "300 of 300"


@pytest.mark.parametrize("column", ["change", "query", "model", "dataset", "before", "after"])
def test_sorting_changes_the_order_and_back(sample: Driver, column: str) -> None:
    place = ["change", "query", "model", "dataset", "before", "after"].index(column)
    data = page_contents.sample()["changes"]["rows"]
    values = {
        "change": sorted(row["change"] for row in data),
        "query": sorted(row["query"] for row in data),
        "model": sorted((row["model"] for row in data), key=list(page_contents.HOMES).index),
        "dataset": sorted((row["dataset"] for row in data), key=page_contents.DATASETS.index),
        "before": sorted(row["base_score"] for row in data),
        "after": sorted(row["score"] for row in data),
    }[column]
    shown = {"change": lambda v: f"{'▼ −' if v < 0 else '▲ +'}{abs(v):.4f}"}.get(
        column, lambda v: v if isinstance(v, str) else f"{v:.4f}"
    )
    if column == "change":  # it begins sorted by change, so the first press turns it round
        press_header(sample, column)
    else:
        press_header(sample, column)
        assert [row[place] for row in rows(sample)][:5] == [shown(v) for v in values[:5]]
        press_header(sample, column)
    assert [row[place] for row in rows(sample)][:5] == [shown(v) for v in values[:-6:-1]]
    header = sample.find_element(By.CSS_SELECTOR, "th[aria-sort]")
    assert header.get_attribute("aria-sort") == "descending"
    assert header.text.lower().startswith({"dataset": "data set"}.get(column, column))


def test_filters_keep_the_rows_they_name(sample: Driver) -> None:
    data = page_contents.sample()["changes"]["rows"]
    Select(sample.find_element(By.ID, "model")).select_by_visible_text("small_medical")
    Select(sample.find_element(By.ID, "dataset")).select_by_visible_text("general")
    Select(sample.find_element(By.ID, "direction")).select_by_visible_text("lost")
    settle(sample)
    expected = [
        row for row in data if row["model"] == "small_medical" and row["dataset"] == "general" and row["change"] < 0
    ]
    assert count(sample) == f"{len(expected)} of 300"
    assert {row[2] for row in rows(sample)} == {"small_medical"}
    assert len(rows(sample)) == len(expected)


def test_search_finds_words_of_queries_and_of_documents_in_any_case(sample: Driver) -> None:
    content = page_contents.sample()["changes"]
    for words in ("QUERY 17 ", "42 document", "query insulin"):
        search(sample, words)
        expected = [row for row in content["rows"] if any(holds(t, words) for t in texts_of(row, content["documents"]))]
        assert 0 < len(expected) < 300
        assert count(sample) == f"{len(expected)} of 300"
    search(sample, "nothing has this")
    assert count(sample) == "0 of 300"
    assert rows(sample) == []


def test_keyboard_moves_opens_and_closes(sample: Driver) -> None:
    first = sample.find_element(By.CSS_SELECTOR, ".row button")
    sample.execute_script("arguments[0].focus()", first)
    sample.switch_to.active_element.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    sample.switch_to.active_element.send_keys(Keys.ENTER)
    button = sample.switch_to.active_element
    assert button.get_attribute("aria-expanded") == "true"
    data = sorted(page_contents.sample()["changes"]["rows"], key=lambda row: row["change"])[2]
    documents = page_contents.sample()["changes"]["documents"]
    detail = sample.find_element(By.CSS_SELECTOR, ".detail").text
    assert data["query"] in detail
    assert f"rank 3 → rank 1\n{documents[data['wanted'][0][0]]}" in detail
    assert f"not found → rank 12\n{documents[data['wanted'][1][0]]}" in detail
    assert f"Found first: not judged relevant\n{documents[data['found'][0]]}" in detail
    button.send_keys(Keys.ENTER)
    assert sample.find_elements(By.CSS_SELECTOR, ".detail") == []
    sample.switch_to.active_element.send_keys(Keys.END)
    last = sample.switch_to.active_element.find_element(By.XPATH, "./ancestor::tr")
    assert last.get_attribute("aria-rowindex") == "301"


def test_open_row_stays_whole_while_scrolled_and_the_focus_too(sample: Driver) -> None:
    sample.find_elements(By.CSS_SELECTOR, ".row button")[4].click()
    height = sample.find_element(By.CSS_SELECTOR, "#viewport table").size["height"]
    scroll = "document.getElementById('viewport').scrollTop = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(arguments[1]))"
    sample.execute_async_script(scroll, 5000)
    assert sample.find_element(By.CSS_SELECTOR, "#viewport table").size["height"] == height
    assert sample.find_elements(By.CSS_SELECTOR, ".detail") == []
    sample.execute_async_script(scroll, 0)
    assert sample.find_element(By.CSS_SELECTOR, ".detail").is_displayed()
    assert sample.find_elements(By.CSS_SELECTOR, ".row button")[4].get_attribute("aria-expanded") == "true"


def test_fifty_thousand_rows_load_sort_filter_and_scroll_in_short_tasks(driver: Driver, pages: dict[str, Path]) -> None:
    opened(driver, pages["large"])
    assert count(driver) == "50,000 of 50,000"
    search(driver, "query insulin")
    assert 0 < int(count(driver).split()[0].replace(",", "")) < 50_000
    search(driver, "")
    press_header(driver, "query")
    press_header(driver, "after")
    Select(driver.find_element(By.ID, "direction")).select_by_visible_text("won")
    settle(driver)
    scroll = "document.getElementById('viewport').scrollTop = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(arguments[1]))"
    for position in (10, 400_000, 2_000_000):
        driver.execute_async_script(scroll, position)
        assert 10 < len(rows(driver)) < 200
    assert driver.execute_script("return window.longest") < 1000 * LONGEST_S
    assert errors(driver) == []


def test_page_fits_a_phone(driver: Driver, pages: dict[str, Path]) -> None:
    phone = {"width": 375, "height": 812, "deviceScaleFactor": 2, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    for name in ("sample", "infected", "one_tuned_model"):
        opened(driver, pages[name])
        assert driver.execute_script("return document.documentElement.scrollWidth") == 375
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dark_follows_the_system_until_a_reader_chooses(sample: Driver) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    bar = "return getComputedStyle(document.querySelector('.mark-rect path')).fill"
    light = sample.execute_script(colour), sample.execute_script(bar)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    sample.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    WebDriverWait(sample, 10).until(lambda driver: driver.execute_script(colour) != light[0])
    followed = sample.execute_script(colour), sample.execute_script(bar)
    assert followed[0] != light[0]
    assert followed[1] != light[1]
    sample.find_element(By.ID, "theme").click()
    assert (sample.execute_script(colour), sample.execute_script(bar)) == light
    sample.refresh()
    assert sample.execute_script(colour) == light[0]
    sample.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
