"""What a monitor reads: every metric the Grafana board asks for, each in a row that parses."""

import json
import re
from dataclasses import replace

from instgov_dagster.dashboard.model import Standing
from instgov_dagster.dashboard.reading.board import Board
from instgov_dagster.dashboard.serving.metrics import health, prometheus
from instgov_dagster.governance.state import cause_of, fold_state
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.repository.roadmap import ROOT

BOARD = ROOT / "deploy" / "grafana" / "instgov.json"
ROW = re.compile(r'^instgov_\w+(\{(\w+="(\\.|[^"\\])*",?)*\})? (NaN|-?[0-9.e+-]+)$')


def test_the_grafana_board_asks_for_nothing_that_is_not_told(board: Board) -> None:
    panels = json.loads(BOARD.read_text())["panels"]
    asked = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"instgov_\w+", target["expr"])
    }
    told = set(re.findall(r"^# TYPE (instgov_\w+) gauge$", prometheus(board), flags=re.MULTILINE))
    assert len(asked) > 8
    assert asked - told == set()
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_row_is_one_that_prometheus_reads(board: Board) -> None:
    cause = cause_of(ReasonCode.OPERATOR_HALT, 'a "quoted"\nreason')
    halted = replace(board, state=fold_state((cause,)), home='a\\b"c')
    for reading in (board, halted):
        rows = [row for row in prometheus(reading).splitlines() if not row.startswith("#")]
        assert [row for row in rows if ROW.fullmatch(row) is None] == []


def test_a_halt_that_is_shown_is_no_illness_and_a_stop_or_staleness_is(board: Board) -> None:
    halt = fold_state((cause_of(ReasonCode.OPERATOR_HALT, "asked"),))
    stop = fold_state((cause_of(ReasonCode.CHAIN_BROKEN, "loop"),))
    assert health(replace(board, state=halt))[0]
    assert not health(replace(board, state=stop))[0]
    assert not health(replace(board, standing=Standing.STALE))[0]
