"""A real browser on the pages: what it complains of, where it asks, what axe finds."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
DRAWN = """() => document.body.dataset.cycle !== undefined
  && [...document.querySelectorAll('.plot')].every((p) => p.querySelector('.main-svg'))"""
PATIENCE_MS = 60_000


def chromium_path() -> str:
    """Name the system's Chromium, or skip: `make browser` installs it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium on this machine: `make browser` installs it")
    return found


@dataclass
class Seen:
    """What happened in a page since it was opened."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)

    def hear(self, page: Any) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught {error}"))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type} {message.text}")

    def _request(self, request: Any) -> None:
        place = urlsplit(request.url)
        if place.scheme in ("http", "https", "ws", "wss"):
            self.hosts.add(place.hostname or "")
            self.methods.add(request.method)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser; it is gone when the block ends."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium_path()
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def show(page: Any, address: str) -> None:
    """Open a page and wait until every picture is drawn."""
    page.goto(address, timeout=PATIENCE_MS)
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS)


def serious(page: Any) -> list[str]:
    """Name axe's serious and critical findings, each with the first element it is about."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{row['id']}: {row['nodes'][0]['html'][:160]}"
        for row in found
        if row["impact"] in ("serious", "critical")
    ]
