import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.bench.auction.page import render_page, write_page
from instgov_dagster.bench.auction.picture import render_picture
from instgov_dagster.bench.auction.targets import judge_targets
from instgov_dagster.bench.machine import describe_machine
from instgov_dagster_tests.repository.roadmap import ROOT

FACTS = {
    "date": "2026-01-02",
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "system": "Linux",
    "python": "3.12.1",
    "libraries": {"numpy": "2.4.6"},
}


def row(engine: str, programme: str, n: int, cpu: float | None, **more: Any) -> dict[str, Any]:
    values = {
        "engine": engine,
        "programme": programme,
        "n": n,
        "s": 1260,
        "version": "1.0",
        "cpu_seconds": cpu,
        "cold_ms": None if cpu is None else 1e3 * cpu,
        "tick_ms_p50": None if cpu is None else 100.0 * cpu,
        "tick_ms_p99": None if cpu is None else 200.0 * cpu,
        "tick_cpu_ms_p50": None if cpu is None else 100.0 * cpu,
        "ticks": 3,
        "objective": 0.001,
        "objective_difference": 0.0,
        "gap": 1e-12 if engine == "instgov" else None,
        "violation": 0.0,
        "deltas_ms": 20.0,
        "rss_mb": 100.0,
        "status": "OPTIMAL",
        "timed_out": cpu is None,
        "note": None,
    }
    return values | more


ROWS = [
    row("instgov", "simple", 500, 0.02),
    row("instgov", "full", 500, 0.04),
    row("instgov", "full, 2 measures", 500, 0.05),
    row("instgov", "full", 500, 0.06, s=5000),
    row("cvxpy+HIGHS", "simple", 500, 1.0),
    row("cvxpy+HIGHS", "full", 500, 2.0),
    row("skfolio", "simple", 500, None),
    row("cvqp", "simple", 500, None, timed_out=False, note="not installed"),
]


def test_ratios_are_of_processor_time_to_ours_by_hand() -> None:
    page = render_page(FACTS, ROWS)
    # 1.0 s over 0.02 s cold and 100 ms over 2 ms a tick: 50 times each.
    assert "| cvxpy+HIGHS 1.0 | 1000 | 50 | 1000 | 100 | 200 | 50 | 0 | 0 | 100 |" in page
    assert "| **instgov** 1.0 | 20 | 1.0 | 20 | 2.00 | 4.00 | 1.0 | 0 | 0 | 100 |" in page
    assert "| skfolio 1.0 | not done in 60 s |" in page
    assert "| cvqp 1.0 | not installed |" in page
    assert "a processor" in page


def test_a_target_is_met_missed_or_not_measured() -> None:
    verdicts = {v.target: v for v in judge_targets(ROWS)}
    cold = verdicts["N = 500: cold < 50 ms"]
    assert (cold.measured, cold.is_met) == (40.0, True)
    ratio = verdicts["N = 500: ≥ 40 × less CPU cold than cvxpy+HIGHS, whole programme"]
    assert (ratio.measured, ratio.is_met) == (pytest.approx(50.0), True)
    late = verdicts["N = 500: tick p99 < 10 ms"]
    assert (late.measured, late.is_met) == (pytest.approx(8.0), True)
    measure = verdicts["N = 500: a second slack measure costs < 30 % of a tick more"]
    assert (measure.measured, measure.is_met) == (pytest.approx(1.25), True)
    slow = verdicts["N = 500: a tick at S = 5000 takes at most twice that at 1260"]
    assert (slow.measured, slow.is_met) == (pytest.approx(1.5), True)
    absent = verdicts["N = 3000: memory < 500 MB"]
    assert (absent.measured, absent.is_met) == (None, None)
    far = judge_targets([*ROWS, row("scipy highs-ds", "simple", 500, 1.0, objective_difference=1)])
    assert not next(v for v in far if "exact peers" in v.target).is_met


def test_an_auction_of_ours_without_a_certificate_misses_the_gap() -> None:
    verdict = judge_targets([row("instgov", "simple", 50, 0.1, gap=None)])[0]
    assert verdict.is_met is False


def test_the_picture_is_well_formed_and_names_every_engine_that_was_measured() -> None:
    text = render_picture(ROWS)
    root = ET.fromstring(text)  # noqa: S314  # our own text
    words = {element.text for element in root.iter() if element.text}
    assert {"instgov", "cvxpy+HIGHS"} <= words
    assert "skfolio" not in words
    wrong = render_picture([*ROWS, row("PyPortfolioOpt", "simple", 500, 1.0, violation=1e-4)])
    assert "PyPortfolioOpt (broken)" in wrong
    ET.fromstring(render_picture([]))  # noqa: S314  # our own text


def test_page_numbers_and_picture_are_written_together(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    write_page(path, FACTS, ROWS)
    stored = json.loads((tmp_path / "evidence" / "auction.json").read_text(encoding="utf-8"))
    assert path.read_text(encoding="utf-8") == render_page(stored["facts"], stored["rows"])
    assert (tmp_path / "evidence" / "auction.svg").is_file()


def test_the_committed_page_is_what_its_numbers_say() -> None:
    folder = ROOT / "docs" / "evidence"
    stored = json.loads((folder / "auction.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert page == render_page(stored["facts"], stored["rows"])
    assert (folder / "auction.svg").read_text(encoding="utf-8") == render_picture(stored["rows"])


def test_a_machine_is_described_without_its_name() -> None:
    facts = describe_machine()
    assert facts["cores"] >= 1
    assert facts["python"].startswith("3.")
    assert facts["libraries"]["highspy"]
    assert set(facts) == {"processor", "cores", "memory_gb", "system", "python", "libraries"}
