"""Every page in Debian's Chromium: drawn, silent, on the loopback alone, for every reader."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.dashboard.pages import PAGES
from instgov_dagster.dashboard.report import write_report
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster_tests.dashboard.conftest import served
from instgov_dagster_tests.dashboard.serving.browser import (
    AXE,
    PATIENCE_MS,
    Seen,
    chromium,
    serious,
    show,
)
from instgov_dagster_tests.loop.homes import ASOF

WATCHED_SECONDS = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def test_each_page_of_a_recorded_run_is_drawn_in_silence(recorded: Platform, tab: Any) -> None:
    seen = Seen()
    seen.hear(tab)
    with served(recorded.home) as running:
        for key in PAGES:
            show(tab, f"http://127.0.0.1:{running.port}/{key}")
            assert tab.locator("#banner").inner_text().startswith("RUNNING")
            assert tab.locator("nav a[aria-current=page]").inner_text() == PAGES[key].TITLE
        tab.goto("about:blank")
    assert seen.complaints == []
    assert (seen.hosts, seen.methods) == ({"127.0.0.1"}, {"GET"})


@pytest.mark.parametrize(
    ("name", "state", "standing"),
    [
        ("halted", "HALT_SYSTEM", "ENDED"),
        ("stale", "RUNNING", "STALE"),
        ("empty", "RUNNING", "EMPTY"),
    ],
)
def test_each_page_of_a_home_in_trouble_says_so(
    request: pytest.FixtureRequest, tab: Any, name: str, state: str, standing: str
) -> None:
    home: Home = request.getfixturevalue(name)
    seen = Seen()
    seen.hear(tab)
    with served(home) as running:
        for key in PAGES:
            show(tab, f"http://127.0.0.1:{running.port}/{key}")
            body = tab.locator("body")
            assert body.get_attribute("data-state") == state
            assert body.get_attribute("data-standing") == standing
            assert standing in tab.locator("#banner .standing").inner_text()
        tab.goto("about:blank")
    assert seen.complaints == []
    assert seen.hosts == {"127.0.0.1"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(recorded: Platform, browser: Any, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: `make browser` installs it")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    with served(recorded.home) as running:
        found = {}
        for key in PAGES:
            show(tab, f"http://127.0.0.1:{running.port}/{key}")
            found[key] = serious(tab)
    context.close()
    assert {key: rows for key, rows in found.items() if rows} == {}


def test_the_keyboard_reaches_content_pages_and_theme(recorded: Platform, tab: Any) -> None:
    with served(recorded.home) as running:
        show(tab, f"http://127.0.0.1:{running.port}/overview")
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
        tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Overview"


def test_a_server_that_is_gone_turns_the_page_stale(recorded: Platform, tab: Any) -> None:
    with served(recorded.home) as running:
        show(tab, f"http://127.0.0.1:{running.port}/overview")
        assert tab.locator("body").get_attribute("data-standing") == "ENDED"
    # By the page's own clock, or by the last word of a connection that still stood.
    tab.wait_for_function("() => document.body.dataset.standing === 'STALE'", timeout=PATIENCE_MS)
    assert "STALE: " in tab.locator("#banner").inner_text()


def test_the_report_is_drawn_without_a_server(recorded: Platform, tab: Any, tmp_path: Path) -> None:
    seen = Seen()
    seen.hear(tab)
    path, _ = write_report(recorded.home, Policy(), key=None, out=tmp_path / "report.html")
    tab.goto(path.as_uri(), timeout=PATIENCE_MS)
    tab.wait_for_function(
        "() => [...document.querySelectorAll('.plot')].every((p) => p.querySelector('.main-svg'))",
        timeout=PATIENCE_MS,
    )
    assert tab.locator(".plot").count() > 12
    assert (seen.complaints, seen.hosts) == ([], set())


@pytest.mark.nightly
def test_the_overview_follows_a_running_loop_at_one_hertz(
    recorded: Platform, tab: Any, tmp_path: Path
) -> None:
    from instgov_dagster_tests.dashboard.conftest import copied

    home = copied(recorded, tmp_path / "data")
    words = [
        "live", "--home", str(home.root), "--config", str(recorded.home.root.parent / "config"),
        "--asof", ASOF.isoformat(), "--cycles", str(WATCHED_SECONDS + 20), "--period", "1",
    ]  # fmt: skip
    command = [sys.executable, "-c", "from instgov_dagster.cli import app; app()", *words]
    loop = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with served(home) as running:
            show(tab, f"http://127.0.0.1:{running.port}/overview")
            tab.wait_for_function(
                "() => document.body.dataset.standing === 'LIVE'", timeout=4 * PATIENCE_MS
            )
            shown: list[str] = []
            until = time.monotonic() + WATCHED_SECONDS
            while time.monotonic() < until:
                cycle = tab.locator("body").get_attribute("data-cycle")
                if cycle and cycle not in shown:
                    shown.append(cycle)
                tab.wait_for_timeout(250)
            assert shown == sorted(shown)
            assert len(shown) >= WATCHED_SECONDS * 0.9
    finally:
        loop.terminate()
        loop.wait(timeout=120)
