"""`run --market live`: keys and addresses set as a user sets them, everything else as shipped."""

import os
from pathlib import Path

import pytest

from instgov_dagster_tests.adapters.wire.rehearsal import AGREED, TRADING, Rehearsal
from instgov_dagster_tests.adapters.wire.world import SECRETS
from instgov_dagster_tests.cli.processes import instgov


def test_a_night_and_a_session_over_the_wire_end_with_zero_and_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rehearsal = Rehearsal(tmp_path, monkeypatch, capfd)
    with rehearsal.world:
        code, fields, said = rehearsal.call("run", "--cycles", "4", "--period", "0")
        agreed = rehearsal.agreed()
    assert code == 0, said[-2000:]
    assert (fields["state"], fields["market"], fields["cycles"]) == ("RUNNING", "live", 4)
    assert agreed == AGREED
    # Before the New York exchange opens crypto alone trades.
    traded = {order["symbol"] for order in rehearsal.world.trading.orders.values()}
    assert traded <= {"BTC/USD"}
    assert fields["reasons"]["MARKET_CLOSED"] > 0


@pytest.mark.nightly
@pytest.mark.roadmap("9.4")
def test_a_night_and_thirty_paced_cycles_with_faults_end_with_zero_and_keep_every_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rehearsal = Rehearsal(tmp_path, monkeypatch, capfd)
    wire = rehearsal.world.wire
    echo = b" ".join(SECRETS)
    with rehearsal.world:
        wire.fail("GET /v8/finance/chart/KO", status=429, body=b"Too Many Requests", times=1)
        wire.fail("GET /v8/finance/chart/XOM", cuts=True, times=1)
        code, told, said = rehearsal.call("nightly")
        assert (code, told["state"]) == (0, "RUNNING"), said[-2000:]
        rehearsal.set_clock(TRADING)
        wire.fail("POST /v2/orders", acts=True, times=1, status=504, body=echo)
        wire.fail("GET /v2/stocks/quotes/latest", times=2, spares=3, status=500, body=echo)
        code, fields, more = rehearsal.call("live", "--cycles", "30", "--period", "1")
        agreed = rehearsal.agreed()
    assert code == 0, more[-2000:]
    assert (fields["state"], fields["cycles"]) == ("RUNNING", 30)
    assert fields["orders"] > 0
    assert agreed == AGREED
    names = [order["client_order_id"] for order in rehearsal.world.trading.orders.values()]
    assert len(names) == len(set(names))
    bodies = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not [s for s in SECRETS for body in ((said + more).encode(), *bodies) if s in body]


@pytest.mark.roadmap("1.5")
def test_without_keys_the_command_ends_with_two_and_names_the_variables_by_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("ALPACA_", "POLYGON_", "FRED_", "INSTGOV_")):
            monkeypatch.delenv(name)
    done = instgov("run", "--market", "live", "--home", str(tmp_path / "data"), "--cycles", "30")
    assert done.returncode == 2
    assert done.stdout == ""
    for purpose, variable in (
        ("history_batch", "INSTGOV_YAHOO_PERSONAL_USE"),
        ("reference", "FRED_API_KEY"),
        ("live_quote", "ALPACA_API_KEY_ID"),
        ("execution", "ALPACA_API_SECRET_KEY"),
    ):
        (part,) = [part for part in done.stderr.split("; ") if f"{purpose} of" in part]
        assert variable in part
    assert not (tmp_path / "data").exists()
