"""`instgov veto`: what stands is listed, an act clears it by name, and nothing else does."""

from pathlib import Path

import numpy as np
import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import publish, read_snapshot
from instgov_dagster.governance.veto import vetoes_to_frame
from instgov_dagster.loop.live.clearing import clear_vetoes, standing_now
from instgov_dagster.loop.live.recovery import recorded_clears
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import ALL, Veto, VetoPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.cli.processes import copy_tree, instgov, told
from instgov_dagster_tests.loop.homes import ASOF, run_night, settings_of

pytestmark = [pytest.mark.roadmap("9.2")]

ACTS = ("--operator", "risk officer", "--reason", "bars were corrected")


def veto(code: ReasonCode, strategy: str = ALL, symbol: str = "SPY") -> Veto:
    return Veto(
        strategy_id=strategy, symbol=symbol, reason_code=code, trigger="test", raised_on=ASOF,
        statistic=float("inf"), threshold=2.0, n=25,
    )  # fmt: skip


@pytest.fixture
def home(ran: Path, tmp_path: Path) -> Home:
    """A home whose published night holds three vetoes, one of them a condition."""
    place = Home(copy_tree(ran, tmp_path) / "data")
    found = read_snapshot(place.published / "night")
    rows = vetoes_to_frame(
        [
            veto(ReasonCode.VETO_DATA_DEPENDENCY),
            veto(ReasonCode.VETO_UNEXPLAINED_PROFITS, "momentum", ALL),
            veto(ReasonCode.VETO_QUALITY, symbol="KO"),
        ],
        asof=ASOF,
        sessions=np.array([ASOF], dtype="datetime64[D]"),
        policy=VetoPolicy(),
    )
    publish(place.published / "night", {**found.tables, "vetoes": rows}, meta=found.meta, keep=5)
    return place


def test_what_stands_is_listed_with_its_numbers_and_its_term(home: Home) -> None:
    done = instgov("veto", "list", "--home", str(home.root), "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["reason_code"]: row for row in told(done)["vetoes"]}
    assert set(rows) == {"VETO_DATA_DEPENDENCY", "VETO_UNEXPLAINED_PROFITS", "VETO_QUALITY"}
    first = rows["VETO_DATA_DEPENDENCY"]
    assert (first["statistic"], first["threshold"], first["n"]) == (None, 2.0, 25)
    assert (first["sessions_left"], first["is_cleared"], first["is_condition"]) == (
        21,
        False,
        False,
    )
    assert rows["VETO_QUALITY"]["is_condition"]
    lines = instgov("veto", "list", "--home", str(home.root)).stdout
    assert "21 sessions left" in lines
    assert "as long as the condition holds" in lines
    assert "3 vetoes stand" in lines


def test_clearing_is_one_frame_of_the_operator_that_names_the_veto(home: Home) -> None:
    done = instgov("veto", "clear", "SPY", "--home", str(home.root), *ACTS, "--json")
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert [row["reason_code"] for row in fields["cleared"]] == ["VETO_DATA_DEPENDENCY"]
    (frame,) = read_frames(home.journal_dir, "operator")
    assert (frame.sequence, frame.kind) == (fields["sequence"], "veto_clear")
    assert (frame.meta["operator"], frame.meta["reason"]) == ("risk officer", "bars were corrected")
    assert frame.table().to_pylist()[0]["symbol"] == "SPY"
    listed = told(instgov("veto", "list", "--home", str(home.root), "--json"))["vetoes"]
    assert [row["is_cleared"] for row in listed if row["symbol"] == "SPY"] == [True]
    again = instgov("veto", "clear", "SPY", "--home", str(home.root), *ACTS)
    assert (again.returncode, again.stdout) == (2, "")
    assert "cleared already" in again.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("AAPL",), "SYMBOL must be one a veto stands on"),
        (("SPY", "--strategy", "reversal"), "SYMBOL must be one a veto stands on"),
        (("KO",), "ends with its condition"),
    ],
)
def test_clearing_what_does_not_stand_ends_with_two_and_nothing_written(
    home: Home, words: tuple[str, ...], why: str
) -> None:
    done = instgov("veto", "clear", *words, "--home", str(home.root), *ACTS)
    assert done.returncode == 2
    assert why in done.stderr
    assert list(read_frames(home.journal_dir, "operator")) == []


def test_a_veto_on_a_strategy_is_cleared_by_its_name_and_stays_cleared_in_the_next_night(
    home: Home,
) -> None:
    vetoes, _ = clear_vetoes(
        home, None, symbol=ALL, strategy_id="momentum", operator="risk", reason="explained"
    )
    assert [row.reason_code for row in vetoes] == [ReasonCode.VETO_UNEXPLAINED_PROFITS]
    _, keys = standing_now(home, None)
    assert keys == {vetoes[0].key}
    platform = open_platform(settings_of(home.root), {})
    clears = recorded_clears(platform)
    assert clears.select("strategy_id", "symbol", "operator", "reason").rows() == [
        ("momentum", ALL, "risk", "explained")
    ]
    run_night(platform, run_id="again")  # the operator's chain stands where the night reads it
    assert recorded_clears(platform).equals(clears)


@pytest.mark.parametrize("blank", [{"operator": " "}, {"reason": ""}])
def test_a_clearing_without_a_name_or_a_reason_is_refused(
    home: Home, blank: dict[str, str]
) -> None:
    words = {"operator": "risk", "reason": "why", **blank}
    with pytest.raises(InputError, match="must not be blank"):
        clear_vetoes(home, None, symbol="SPY", strategy_id=None, **words)
