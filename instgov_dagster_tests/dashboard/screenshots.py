"""Writes docs/img from a home that ran; called as a module with the home as its one word.

The home's pages and its Dagster UI are served on the loopback; the system's Chromium looks at them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.runtime import Home
from instgov_dagster_tests.dashboard.conftest import served
from instgov_dagster_tests.dashboard.serving.browser import chromium, show
from instgov_dagster_tests.repository.roadmap import ROOT

IMAGES = ROOT / "docs" / "img"
#: The most a picture of the documents may weigh.
MOST_BYTES = 300_000
WIDTH = 1180
#: File, page, height of the part that is shown, colour scheme.
PAGES = (
    ("overview", "overview", 1150, "light"),
    ("risk", "risk", 1500, "light"),
    ("decisions", "decisions?symbol=AAPL", 1900, "light"),
    ("data-quality", "data-quality", 1400, "light"),
    ("beliefs", "beliefs", 1500, "light"),
    ("strategies", "strategies", 1200, "light"),
    ("execution", "execution", 1100, "light"),
    ("audit", "audit", 1200, "light"),
)
SCREEN, WALL = (1500, 950), (2400, 1300)
#: The UI's own key that opens every group of a graph.
OPEN_ALL = "Alt+KeyE"
#: File, path in the Dagster UI, a text that shows when it is there, size of the window.
UI = (
    ("dagster-graph", "/asset-groups", "governance", WALL),
    ("dagster-checks", "/assets/risk_verdicts?view=checks&checkDetail=cvar_is_within_its_limit",
     "cvar_is_within_its_limit", SCREEN),
    ("dagster-asset", "/assets/data_quality?view=overview", "quality_score", SCREEN),
)  # fmt: skip
PORT = 3919
PATIENCE_SECONDS = 240.0
#: The UI draws its graph and fetches its states after the text is there.
SETTLING_MS = 12_000


def main(home: Path, wanted: str = "all") -> int:
    """Write the pictures of the ``pages``, of the ``ui`` or of all; 1 where one is too large."""
    IMAGES.mkdir(exist_ok=True)
    with chromium() as browser:
        if wanted in ("all", "pages"):
            _shoot_pages(browser, home)
        if wanted in ("all", "ui"):
            _shoot_ui(browser, home)
    large = [p.name for p in IMAGES.glob("*.png") if p.stat().st_size > MOST_BYTES]
    sys.stdout.write(f"too large: {large}\n" if large else "")
    return 1 if large else 0


def _shoot_pages(browser: Any, home: Path) -> None:
    with served(Home(home)) as server:
        for name, page, height, scheme in PAGES:
            context = browser.new_context(
                viewport={"width": WIDTH, "height": height}, color_scheme=scheme
            )
            tab = context.new_page()
            show(tab, f"http://127.0.0.1:{server.port}/{page}")
            _shoot(tab, name)
            context.close()


def _shoot_ui(browser: Any, home: Path) -> None:
    patience = PATIENCE_SECONDS * 1e3
    with dagster_ui(home) as address:
        for name, path, word, (width, height) in UI:
            context = browser.new_context(viewport={"width": width, "height": height})
            tab = context.new_page()
            tab.goto(address + path, timeout=patience)
            tab.get_by_text(word).first.wait_for(state="attached", timeout=patience)
            tab.wait_for_timeout(SETTLING_MS)
            if path == "/asset-groups":
                tab.keyboard.press(OPEN_ALL)
                tab.wait_for_timeout(SETTLING_MS)
            _shoot(tab, name)
            context.close()


def _shoot(tab: Any, name: str) -> None:
    path = IMAGES / f"{name}.png"
    tab.screenshot(path=path)
    sys.stdout.write(f"{path.name} {path.stat().st_size}\n")


@contextmanager
def dagster_ui(home: Path) -> Iterator[str]:
    """Serve the UI of a home's own instance, as `make dev` does."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(ROOT / name, place / name)
        (place / "data").symlink_to(home)
        command = [str(Path(sys.executable).with_name("dagster-webserver")), "-w", "workspace.yaml",
                   "-h", "127.0.0.1", "-p", str(PORT)]  # fmt: skip
        environment = {**os.environ, "DAGSTER_HOME": folder, "DAGSTER_DISABLE_TELEMETRY": "1"}
        running = subprocess.Popen(command, cwd=folder, env=environment)
        try:
            yield _wait(f"http://127.0.0.1:{PORT}")
        finally:
            running.terminate()
            running.wait(timeout=60)


def _wait(address: str) -> str:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/server_info"):  # noqa: S310  # the loopback
                return address
        except (urllib.error.URLError, ConnectionError):
            time.sleep(1.0)
    raise TimeoutError(f"{address} does not answer")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), *sys.argv[2:]))
